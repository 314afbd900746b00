"""Losses of k scores: their parts fit, they learn as defined on every road, and they keep their certificates."""

from __future__ import annotations

import itertools
import math
import os
import pathlib
import pickle
import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse
import scores
from games import ACROSS, beside, name, tried
from hypothesis import given, settings
from hypothesis import strategies as st
from scores import KINDS, Brier, stream

import owo
from owo import reference
from owo.checks import check_vector_loss, vector
from owo.hindsight import Comparator

HERE = pathlib.Path(__file__).parent
LOSSES = [kind(k) for kind in KINDS for k in (2, 3, 7)]
UPDATES = ("task", "point")
each_loss = pytest.mark.parametrize("loss", LOSSES, ids=repr)


def slopes(loss, p, y):
    out = np.full(loss.classes, np.nan)
    loss.slopes(np.asarray(p, dtype=float), float(y), out)
    return out


def total(loss, P, y):
    """The loss of all rows of scores (n, k)."""
    return math.fsum(loss.value(p, label) for p, label in zip(P, y.tolist(), strict=True))


# ------------------------------------------------------------------------------------------------------ the losses


@each_loss
def test_losses_keep_the_contract(loss):
    check_vector_loss(loss)


@each_loss
def test_conjugates_are_finite_for_mixtures_of_slopes_only(loss):
    rng = np.random.default_rng(2)
    for y in range(loss.classes):
        s = rng.dirichlet(np.ones(loss.classes) * 0.3)
        s[y] = -(s.sum() - s[y])
        assert math.isfinite(loss.conjugate(s, y))
        for outside in (s + 0.1, 3.0 * np.eye(loss.classes)[y], -s - 0.5):
            assert loss.conjugate(outside, y) == math.inf


@each_loss
def test_losses_are_numbers_at_extreme_and_tied_scores(loss):
    k = loss.classes
    for size, pattern in itertools.product((0.0, 5e-324, 1e16, 1e155, 1e300), ((1, -1), (1, 1), (-1, 1), (0, 1))):
        p = size * np.resize(np.array(pattern, dtype=float), k)
        for y in range(k):
            s = slopes(loss, p, y)
            assert math.isfinite(loss.value(p, y)) and np.isfinite(s).all() and math.isfinite(loss.conjugate(s, y))
            assert loss.value(p, y) >= 0.0 and s[y] <= 0.0 and abs(s.sum()) <= 1e-15 * k


def test_by_hand():
    hinge, softmax = owo.MulticlassHinge(3), owo.Softmax(3)
    assert hinge.value(np.array([2.0, 0.5, 0.0]), 0.0) == 0.0 and not slopes(hinge, [2.0, 0.5, 0.0], 0).any()
    assert hinge.value(np.array([2.0, 1.5, 1.5]), 0.0) == 0.5
    assert slopes(hinge, [2.0, 1.5, 1.5], 0).tolist() == [-1.0, 1.0, 0.0]
    p = np.array([0.0, math.log(2.0), math.log(5.0)])
    assert math.isclose(softmax.value(p, 1.0), math.log(8 / 2), rel_tol=1e-15)
    assert np.allclose(slopes(softmax, p, 1), [1 / 8, 2 / 8 - 1, 5 / 8], rtol=1e-15)
    # a label nearly certain: no cancellation in the loss, nor in its slope
    assert softmax.value(np.array([50.0, 0.0, 0.0]), 0.0) == 2 * math.exp(-50.0)
    assert slopes(softmax, [50.0, 0.0, 0.0], 0)[0] == -2 * math.exp(-50.0)


@pytest.mark.parametrize(("kind", "binary"), [(owo.MulticlassHinge, owo.Hinge()), (owo.Softmax, owo.Logistic())])
def test_two_classes_are_the_binary_loss_of_the_difference_bit_for_bit(kind, binary):
    loss = kind(2)
    for p in vector.scores(2, np.random.default_rng(3), 300):
        for y, sign in ((0.0, -1.0), (1.0, 1.0)):
            m = float(p[1] - p[0])
            assert loss.value(p, y) == binary.value(m, sign)
            s = binary.subgradient(m, sign)
            assert slopes(loss, p, y).tolist() == [-s, s]
            assert math.isclose(loss.conjugate(np.array([-s, s]), y), binary.conjugate(s, sign), abs_tol=1e-15)


@each_loss
def test_losses_are_records(loss):
    assert pickle.loads(pickle.dumps(loss)) == loss and hash(loss) == hash(type(loss)(loss.classes))
    assert loss != type(loss)(loss.classes + 1)
    assert [y for y in (-1.0, -0.0, 0.5, loss.classes - 1.0, float(loss.classes), math.nan, math.inf)
            if loss.accepts(y)] == [-0.0, loss.classes - 1.0]  # fmt: skip


@pytest.mark.parametrize("classes", [1, 0, -3, 2.5, 3.0, "3", True, None])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_classes_are_a_whole_number_of_at_least_two(kind, classes):
    with pytest.raises(ValueError, match=f"classes={classes!r}.*whole number of at least 2"):
        kind(classes)


@pytest.mark.parametrize("classes", [1, 0, 2.5, "3", True, None])
def test_a_loss_of_ones_own_has_as_many_classes_as_ours_may(classes):
    """A number that is not whole would let a label name a score that is not there."""
    with pytest.raises(ValueError, match=r"Brier\(classes=.*whole number of at least 2"):
        Brier(classes)
    with pytest.raises(ValueError, match="too many"):
        Brier(10)
    with pytest.raises(ValueError, match=r"Brier does not take the label 3.0 .*whole numbers, 0 to 2"):
        owo.OnlineWithinOnline(Brier()).run([(np.ones((1, 2)), [3.0])])


# ------------------------------------------------------------------------------------------------ learning with them


def by_definition(loss, inner, outer, update, block, d):
    """The algorithm with matrices: scores, losses and the bias. Tasks one after another."""
    k = loss.classes
    G, meta, found, losses = np.zeros((d, k)), outer.start(), [], []
    play = lambda law, state, total: -law.scale(state) * law.shrink(state) * total  # noqa: E731

    def across(g, meta, G):
        along, norm2 = float(np.sum(g * G)), float(np.sum(g * g))
        return outer.observe(meta, along, norm2), G + outer.clip(meta, norm2) * g

    for task in block.tasks():
        Q, whole, state = np.zeros((d, k)), np.zeros((d, k)), inner.start()
        for x, y in zip(task.X, task.y.tolist(), strict=True):
            p = (play(outer, meta, G) + play(inner, state, Q)).T @ x
            g = np.outer(x, slopes(loss, p, y))
            along, norm2 = float(np.sum(g * Q)), float(np.sum(g * g))
            Q, state = Q + inner.clip(state, norm2) * g, inner.observe(state, along, norm2)
            whole += g
            found.append(p)
            losses.append(loss.value(p, y))
            if update == "point":
                meta, G = across(g, meta, G)
        if update == "task":
            meta, G = across(whole, meta, G)
    return np.array(found), np.array(losses), play(outer, meta, G)


def tight(law):
    """The same law with a limit that gradients exceed, where it has one."""
    return law._replace(limit=0.5) if isinstance(law, owo.CoinBetting) else law


SOME = [(i, j) for i in range(len(KINDS)) for j in range(len(ACROSS)) if tried(i, j, of=2)]


@pytest.mark.parametrize("update", UPDATES)
@pytest.mark.parametrize(("i", "j"), SOME, ids=[f"{KINDS[i].__name__}-{name(ACROSS[j])}" for i, j in SOME])
def test_runs_equal_the_algorithm_written_with_matrices(i, j, update):
    rng, loss = np.random.default_rng(5), KINDS[i](3)
    block = stream(rng, 3, [6, 1, 9, 4], 5, 1.0, "random")
    inner, outer = tight(ACROSS[j]), tight(beside(i, j))
    learner = owo.OnlineWithinOnline(loss, inner, outer, update)
    points = learner.run(block, points=True).points[0]
    P, losses, bias = by_definition(loss, inner, outer, update, block, 5)
    # sums in another order, over twenty rounds; scores and the bias are of size 1
    assert np.allclose(points["prediction"], P, rtol=1e-10, atol=1e-12)
    assert np.allclose(points["loss"], losses, rtol=1e-10, atol=1e-12)
    assert np.allclose(learner.bias, bias, rtol=1e-10, atol=1e-12)
    assert learner.bias.shape == (5, 3) and learner.ledger.centre.shape == (15,)
    for law, account in ((inner, learner.ledger.account), (outer, learner.ledger.tally)):
        assert account.excess.any() == isinstance(law, owo.CoinBetting)  # gradients were clipped, too


@pytest.mark.parametrize("update", UPDATES)
@pytest.mark.parametrize(("kind", "binary"), [(owo.MulticlassHinge, owo.Hinge()), (owo.Softmax, owo.Logistic())])
def test_two_classes_learn_as_the_binary_loss_with_twice_the_steps(kind, binary, update):
    """With ``W = (-w, w) / 2`` gradients are ``(-g, g)``: one of the difference moves it by twice as much."""
    rng = np.random.default_rng(6)
    block = stream(rng, 2, [20, 30, 10], 4, 1.0, "random").interleaved(rng)
    signs = owo.Block(block.X, 2.0 * block.y - 1.0, block.task, block.ends, block.keys)
    two = owo.OnlineWithinOnline(kind(2), owo.GrowingFTRL(2.0), owo.DualAveraging(0.1), update)
    one = owo.OnlineWithinOnline(binary, owo.GrowingFTRL(1.0), owo.DualAveraging(0.2), update)
    P = two.run(block, points=True).points[0]["prediction"]
    p = one.run(signs, points=True).points[0]["prediction"]
    # dot products are summed in another order
    assert np.allclose(P[:, 1] - P[:, 0], p, rtol=1e-11, atol=1e-12)
    assert np.allclose(two.bias, np.outer(one.bias, [-0.5, 0.5]), rtol=1e-11, atol=1e-12)
    assert np.allclose(two.ledger.losses, one.ledger.losses, rtol=1e-11)


def test_compiled_equals_plain_python(tmp_path):
    """The very same code without a compiler; dot products are summed in another order."""
    path = tmp_path / "plain.npz"
    environment = {
        **os.environ,
        "NUMBA_DISABLE_JIT": "1",
        "PYTHONPATH": os.pathsep.join([str(HERE.parent), str(HERE)]),
    }
    done = subprocess.run(
        [sys.executable, str(HERE / "scores.py"), str(path)], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    compiled = scores.results()
    with np.load(path, allow_pickle=False) as plain:
        assert set(plain.files) == set(compiled) and len(compiled) == 2 * len(KINDS) * len(ACROSS)
        for run, ours in compiled.items():
            assert np.allclose(ours, plain[run], rtol=1e-12, atol=1e-12), run


# ---------------------------------------------------------------------------------------------------------- roads


def state_of(learner):
    ledger = learner.ledger
    columns = [*ledger.account, *ledger.tally, ledger.losses, ledger.overlap, ledger.pending]
    return np.concatenate([np.ravel(column) for column in (*columns, learner.bias)])


@pytest.mark.parametrize("update", UPDATES)
@pytest.mark.parametrize("mixed", [False, True], ids=["in turn", "mixed"])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_all_roads_lead_to_the_same_bits(kind, mixed, update):
    rng = np.random.default_rng(7)
    block = stream(rng, 3, [4, 7, 1, 5], 6, 1.0, "random")
    block = block.interleaved(rng) if mixed else block
    start = rng.normal(size=(6, 3))
    learners = [owo.OnlineWithinOnline(kind(3), None, None, update, bias=start) for _ in range(4)]
    whole, pieces, single, sparse = learners
    points = whole.run(block, points=True).points[0]
    for cut, stop in itertools.pairwise([0, 3, 4, 11, block.n]):
        pieces.run(block.rows(cut, stop))
    sparse.run(owo.Block(scipy.sparse.csr_array(block.X), block.y, block.task, block.ends, block.keys))
    made = []
    for x, y, code, last in zip(block.X, block.y, block.task, block.ends, strict=True):
        foretold = single.predict_one(x, block.keys[code])
        made.append(single.learn_one(x, y, block.keys[code]))
        assert np.allclose(foretold, made[-1], rtol=1e-12, atol=1e-12)  # NumPy sums in another order
        if last:
            single.end_task(block.keys[code])
    assert np.array_equal(made, points["prediction"])
    for other in (pieces, single):
        assert np.array_equal(state_of(other), state_of(whole)) and other.ledger.keys == whole.ledger.keys
    assert np.allclose(state_of(sparse), state_of(whole), rtol=1e-12, atol=1e-12)
    assert np.array_equal(sparse.predict(scipy.sparse.csr_array(block.X)).argmax(axis=1),
                          sparse.predict(block.X).argmax(axis=1))  # fmt: skip


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_adapt_is_what_learn_one_would_use_next(kind):
    rng = np.random.default_rng(8)
    learner = owo.OnlineWithinOnline(kind(3), owo.GrowingFTRL(0.5), owo.DualAveraging(0.1), "task")
    learner.run(stream(rng, 3, [9, 9], 4, 1.0, "random"))
    X, y = rng.normal(size=(7, 4)), rng.integers(0, 3, 7)
    before = state_of(learner)
    last, mean, iterates = learner.adapt(X, y), learner.adapt(X, y, average=True), []
    assert np.array_equal(state_of(learner), before) and not learner.open_tasks
    for x, label in zip(X, y, strict=True):
        iterates.append(learner.weights("new"))
        learner.learn_one(x, label, "new")
    assert last.shape == mean.shape == (4, 3)
    assert np.array_equal(last, learner.weights("new"))
    assert np.allclose(mean, np.mean(iterates, axis=0), rtol=1e-13, atol=1e-14)
    assert np.array_equal(learner.predict(X, weights=last), learner.predict(X, "new"))
    assert np.array_equal(learner.predict(X, "new"), X @ last) and learner.predict_one(X[0], "new").shape == (3,)


def test_before_any_data_scores_are_zero():
    fresh = owo.OnlineWithinOnline(owo.Softmax(3))
    assert np.array_equal(fresh.predict(np.ones((2, 4))), np.zeros((2, 3))) and fresh.d is None
    assert fresh.adapt(np.ones((2, 4)), [0, 2]).shape == (4, 3) and fresh.d is None
    assert np.array_equal(fresh.learn_one(np.ones(4), 2, "a"), np.zeros(3)) and fresh.d == 4


def test_the_path_of_the_bias_is_flat_and_a_ledger_is_kept_on_file(tmp_path):
    rng = np.random.default_rng(9)
    learner = owo.OnlineWithinOnline(owo.Softmax(3), update="task")
    ledger = learner.run(stream(rng, 3, [5, 6, 7], 4, 1.0, "random"), path_every=1)
    assert ledger.path.shape == (3, 12)
    assert np.array_equal(ledger.path[-1].reshape(4, 3), learner.bias)
    ledger.save(tmp_path / "run.npz")
    again = owo.Ledger.load(tmp_path / "run.npz")
    comparator = Comparator("zero", np.zeros(12), np.zeros((1, 12)), ledger.rounds * math.log(3.0))
    assert np.array_equal(again.certificate(comparator).total, ledger.certificate(comparator).total)


# --------------------------------------------------------------------------------------------------- certificates


def comparators(rng, loss, block, ledger, scale):
    """Zero, a random far one, and one that the run's own gradients point to, with a bias and without."""
    tasks, k, d = list(block.tasks()), loss.classes, block.d
    place, pulls = {key: t for t, key in enumerate(block.keys)}, np.zeros((len(tasks), d, k))
    met = ledger.points[0]
    for x, p, y, key in zip(block.X, met["prediction"], met["label"], met["task"], strict=True):
        pulls[place[key]] += np.outer(x, slopes(loss, p, y))
    size = np.linalg.norm(pulls.reshape(len(tasks), -1), axis=1)[:, None, None] + 1e-300
    hostile = -pulls / size * rng.exponential(2.0) / scale
    far = rng.normal(size=(d, k)) * 10.0 / scale
    sets = {
        "zero": (np.zeros((d, k)), np.zeros((1, d, k))),
        "far": (far, far + rng.normal(size=(len(tasks), d, k)) / scale),
        "hostile": (hostile.mean(axis=0), hostile),
        "hostile around zero": (np.zeros((d, k)), hostile),
    }
    for title, (bias, weights) in sets.items():
        each = np.broadcast_to(weights, (len(tasks), d, k))
        losses = np.array([total(loss, task.X @ W, task.y) for task, W in zip(tasks, each, strict=True)])
        yield Comparator(title, bias.ravel(), weights.reshape(len(weights), -1), losses, block.keys)


def scaled(law, factor):
    """The same law with its step made ``factor`` times larger, where it has one."""
    if isinstance(law, owo.Ball):
        return law._replace(law=scaled(law.law, factor))
    if isinstance(law, owo.GrowingFTRL):
        return law._replace(strength=law.strength / factor)
    return law._replace(step=law.step * factor) if hasattr(law, "step") else law


@pytest.mark.parametrize("j", range(len(ACROSS)), ids=[name(law) for law in ACROSS])
@pytest.mark.parametrize("i", range(len(KINDS)), ids=[kind.__name__ for kind in KINDS])
@settings(max_examples=25)
@given(
    seed=st.integers(0, 2**32 - 1),
    k=st.integers(2, 6),
    d=st.integers(1, 20),
    lengths=st.lists(st.integers(1, 100) | st.integers(1, 5), min_size=1, max_size=6),
    log_scale=st.integers(-6, 6),
    log_step=st.floats(-3, 2),
    order=st.sampled_from(scores.ORDERS),
    update=st.sampled_from(UPDATES),
    interleave=st.booleans(),
)
def test_regret_stays_below_its_certificate(i, j, seed, k, d, lengths, log_scale, log_step, order, update, interleave):
    """2 losses x 7 laws x 25 streams = 350 runs, each held against four comparators at every task boundary.

    With 14 kernels there is every loss with every inner and every outer law, and every inner law with two outer ones.
    """
    rng, loss, scale = np.random.default_rng(seed), KINDS[i](k), 10.0**log_scale
    inner, outer = (scaled(law, 10.0**log_step / scale**2) for law in (ACROSS[j], beside(i, j)))
    block = stream(rng, k, lengths, d, scale, order)
    block = block.interleaved(rng) if interleave else block
    learner = owo.OnlineWithinOnline(loss, inner, outer, update, bias=rng.normal(size=(d, k)) / scale)
    ledger = learner.run(block, points=True)
    assert len(ledger) == len(lengths) and ledger.rounds.sum() == sum(lengths)
    for comparator in comparators(rng, loss, block, ledger, scale):
        ledger.check(comparator)
        certificate = ledger.certificate(comparator)
        assert np.isfinite(certificate.total).all() or isinstance(inner, owo.Ball) or isinstance(outer, owo.Ball)
        if not interleave:
            assert (certificate.overlap == 0).all()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_the_certificate_is_reached_in_one_dimension_and_can_fail(kind):
    """One point, one task, from zero: regret to the step's own end is the certificate but for the loss's curvature."""
    loss = kind(2)
    learner = owo.OnlineWithinOnline(loss, owo.DualAveraging(0.5), owo.Frozen(), "task")
    ledger = learner.run([(np.array([[1.0]]), np.array([0.0]))])
    s = slopes(loss, [0.0, 0.0], 0)
    comparator = Comparator("step", np.zeros(2), -0.5 * s[None, :], np.array([loss.value(-0.5 * s, 0.0)]))
    assert math.isclose(ledger.certificate(comparator).total[0], 0.5 * (s @ s), rel_tol=1e-15)
    ledger.check(comparator)
    if kind is owo.MulticlassHinge:  # linear there, so that regret and certificate are both 1
        assert ledger.regret(comparator)[0] == ledger.certificate(comparator).total[0] == 1.0
        ledger.tables["accounts"]._room[:, owo.kernels.SLACK] *= 0.99
        with pytest.raises(owo.CertificateViolation, match="after task 1 of 1"):
            ledger.check(comparator)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_runs_are_certified_against_the_optima_of_cvxpy(kind):
    rng, loss = np.random.default_rng(10), kind(3)
    block = stream(rng, 3, [12, 8, 10], 4, 1.0, "random")
    best = reference.best_bias(loss, block, 0.2)
    W = best.weights.reshape(3, 4, 3)
    losses = np.array([total(loss, task.X @ w, task.y) for task, w in zip(block.tasks(), W, strict=True)])
    lengths = np.array([12, 8, 10])
    spread = 0.5 * 0.2 * lengths @ np.sum((best.weights - best.bias) ** 2, axis=1)
    assert math.isclose(losses.sum() + spread, best.value, rel_tol=1e-8)  # the solver's tolerance, and a margin
    alone = sum(
        reference.task_optimum(loss, task.X, task.y, 0.2, best.bias.reshape(4, 3)).value for task in block.tasks()
    )
    assert math.isclose(alone, best.value, rel_tol=1e-7)
    comparator = Comparator("best bias", best.bias, best.weights, losses, block.keys)
    for update in UPDATES:
        ledger = owo.OnlineWithinOnline(loss, owo.GrowingFTRL(0.2), owo.CoinBetting(), update).run(block)
        ledger.check(comparator)
        assert ledger.regret(comparator)[-1] > 0.0


def test_the_optimum_of_cvxpy_is_stationary():
    """Smooth loss: ``sum_i x_i s_i^T + n strength (W - bias) = 0`` at the optimum."""
    rng, loss = np.random.default_rng(11), owo.Softmax(4)
    X, y, bias = rng.normal(size=(25, 3)), rng.integers(0, 4, 25) * 1.0, rng.normal(size=(3, 4))
    found = reference.task_optimum(loss, X, y, 0.1, bias)
    gradient = sum(np.outer(x, slopes(loss, x @ found.weights, label)) for x, label in zip(X, y, strict=True))
    # a gap of 1e-10 leaves weights to the square root of that over the curvature, n strength = 2.5
    assert np.abs(gradient + 25 * 0.1 * (found.weights - bias)).max() < 1e-4
    assert reference.pooled(loss, owo.Block(X, y, np.zeros(25, int)), 0.1).weights.shape == (3, 4)
    with pytest.raises(ValueError, match=r"bias has shape \(4, 4\)"):
        reference.task_optimum(loss, X, y, 0.1, np.zeros((4, 4)))


# --------------------------------------------------------------------------------------------------- what it gains


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_tasks_around_a_common_matrix_gain_from_each_other(kind):
    """Short tasks near one W: learning their bias beats learning each alone, most of all towards the end."""
    rng, d, k, T, n = np.random.default_rng(12), 10, 4, 300, 10
    W = 2.0 * rng.normal(size=(d, k))
    tasks = []
    for _ in range(T):
        X = rng.normal(size=(n, d))
        tasks.append((X, (X @ (W + 0.3 * rng.normal(size=(d, k)))).argmax(axis=1).astype(float)))
    inner = owo.GrowingFTRL(1.0)
    alone = owo.OnlineWithinOnline(kind(k), inner, owo.Frozen(), "task").run(tasks)
    for outer, update in itertools.product((owo.CoinBetting(), owo.AdaptiveNorm(5.0)), UPDATES):
        meta = owo.OnlineWithinOnline(kind(k), inner, outer, update).run(tasks)
        late, late_alone = meta.losses[-T // 3 :].mean(), alone.losses[-T // 3 :].mean()
        assert late < 0.6 * late_alone and meta.average_loss()[-1] < 0.8 * alone.average_loss()[-1]


# ------------------------------------------------------------------------------------------------------- bad input


BAD_LABELS = [(3.0, "3.0"), (-1.0, "-1.0"), (0.5, "0.5"), (1e300, r"1e\+300")]


@pytest.mark.parametrize(("label", "shown"), BAD_LABELS, ids=[shown for _, shown in BAD_LABELS])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_labels_that_are_no_classes_are_refused_before_anything_is_learned(kind, label, shown):
    learner = owo.OnlineWithinOnline(kind(3))
    bad = [(np.ones((3, 2)), np.array([0.0, label, 2.0]))]
    words = f"{kind.__name__} does not take the label {shown} at row 1 .*whole numbers, 0 to 2"
    with pytest.raises(ValueError, match=words):
        learner.run(bad)
    assert learner.d is None
    learner.run([(np.ones((2, 2)), np.array([0.0, 2.0]))])
    before = state_of(learner)
    for refused in (
        lambda: learner.run(bad),
        lambda: learner.learn_one(np.ones(2), label, "a"),
        lambda: learner.adapt(*bad[0]),
    ):
        with pytest.raises(ValueError, match="does not take the label"):
            refused()
    assert np.array_equal(state_of(learner), before) and not learner.open_tasks


def test_labels_that_are_no_numbers_are_refused():
    learner = owo.OnlineWithinOnline(owo.Softmax(3))
    for label, shown in ((math.nan, "NaN"), (math.inf, "inf")):
        with pytest.raises(ValueError, match=f"y has {shown}"):
            learner.learn_one(np.ones(2), label, "a")
    with pytest.raises(TypeError, match="y of task 0 has dtype"):
        learner.run([(np.ones((2, 2)), np.array(["a", "b"]))])
    assert learner.d is None


@pytest.mark.parametrize("update", UPDATES)
@pytest.mark.parametrize("mixed", [False, True], ids=["in turn", "mixed"])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_run_that_overflows_leaves_no_trace(kind, mixed, update):
    rng = np.random.default_rng(13)
    learner = owo.OnlineWithinOnline(kind(3), owo.GrowingFTRL(1.0), owo.CoinBetting(), update)
    learner.run(stream(rng, 3, [4, 5], 2, 1.0, "random"))
    learner.learn_one(np.ones(2), 1, "open")
    before, open_weights = state_of(learner), learner.weights("open")
    block = stream(rng, 3, [6, 6], 2, 1.0, "random")
    X = block.X.copy()
    X[7] = 1e200
    bad = owo.Block(X, block.y, block.task, keys=("new", "newer"))
    with pytest.raises(FloatingPointError, match="nothing of this block was learned"):
        learner.run(bad.interleaved(rng) if mixed else bad)
    assert np.array_equal(state_of(learner), before) and np.array_equal(learner.weights("open"), open_weights)
    assert learner.open_tasks == ["open"]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_score_that_overflows_is_noticed_though_the_loss_is_finite(kind):
    bias = np.zeros((2, 3))
    bias[:, 2] = [-1e308, -1e308]  # the score of class 2 is -infinity, the loss of class 0 is not
    learner = owo.OnlineWithinOnline(kind(3), bias=bias)
    with pytest.raises(FloatingPointError, match="row 0"):
        learner.run([(np.ones((1, 2)), np.zeros(1))])
    assert np.array_equal(learner.bias, bias)


def test_what_cannot_serve_losses_of_scores_is_refused_in_words():
    softmax = owo.Softmax(3)
    with pytest.raises(TypeError, match=r"Implicit.* has 3 scores.*explicit subgradients"):
        owo.OnlineWithinOnline(softmax, owo.Implicit(1.0))
    for geometry in (owo.geometry.Scalar(), owo.geometry.Diagonal(), owo.geometry.Fixed(), owo.geometry.Full()):
        with pytest.raises(TypeError, match=r"has 3 scores; with scores only the bias is learned.*Identity"):
            owo.OnlineWithinOnline(softmax, owo.GrowingFTRL(1.0), geometry=geometry)
    with pytest.raises(TypeError, match=r"loss is Softmax\(classes=3\), a loss of 3 scores.*one prediction"):
        owo.exact.ExactMeta(softmax, 1.0)
    with pytest.raises(TypeError, match="class Softmax"):
        owo.OnlineWithinOnline(owo.Softmax)


def test_weights_of_another_shape_are_refused():
    for bias in (np.zeros(3), np.zeros((2, 4)), np.zeros((0, 3))):
        with pytest.raises(ValueError, match=r"bias has shape .*needed a finite matrix \(d, 3\)"):
            owo.OnlineWithinOnline(owo.Softmax(3), bias=bias)
    with pytest.raises(ValueError, match="bias has NaN at row 1, column 2"):
        owo.OnlineWithinOnline(owo.Softmax(3), bias=[[0.0, 0.0, 0.0], [0.0, 0.0, math.nan]])
    learner = owo.OnlineWithinOnline(owo.Softmax(3), bias=np.zeros((2, 3)))
    with pytest.raises(ValueError, match="points have 3 features; this learner has 2"):
        learner.run([(np.ones((1, 3)), np.zeros(1))])
    with pytest.raises(ValueError, match="points have 2 features; this learner has 4"):
        learner.predict(np.ones((1, 2)), weights=np.zeros((4, 3)))


def test_a_comparator_of_matrices_is_asked_for_flat_weights():
    ledger = owo.OnlineWithinOnline(owo.Softmax(3)).run([(np.ones((2, 4)), [0, 2])])
    with pytest.raises(ValueError, match=r"bias \(4, 3\).*this run has d=12; give matrices \(d, k\) flat"):
        ledger.certificate(Comparator("W", np.zeros((4, 3)), np.zeros((1, 4, 3)), np.zeros(1)))


def test_a_loss_of_scores_needs_its_methods():
    class Nothing:
        classes = 2

    with pytest.raises(TypeError, match=r"needs a method value.*Nothing has none"):
        owo.losses.vector_loss(Nothing)
