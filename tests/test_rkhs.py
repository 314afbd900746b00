"""Learners with a kernel: the linear learner in other coordinates, with a bias of so many points and a certificate."""

from __future__ import annotations

import numpy as np
import pytest
from games import CLASSIFICATION, LOSSES, ORDERS, THOROUGH, WITHIN, beside, name, stream
from hypothesis import given, settings
from hypothesis import strategies as st

import owo
from owo.hindsight import Comparator
from owo.rkhs import Expansion, Gaussian, KernelOnlineWithinOnline, Nystroem, Polynomial
from owo.rkhs.expansion import shortened

LINEAR = Polynomial(1, 0.0)
KERNELS = (Gaussian(0.7), Gaussian(3.0), Polynomial(2, 1.0), LINEAR)
GAMES = [(i, (3 * i + 4 * k) % 8) for i in range(len(LOSSES)) for k in range(2)]
"""A loss and an inner law: every one twice."""
FIRST = GAMES[::2] if THOROUGH else [GAMES[2 * k] for k in (1, 2, 5, 7)]
"""Every loss once, and every law; or half of these, among them laws that clip, shrink and take implicit steps."""
ONCE = pytest.mark.parametrize(("i", "j"), FIRST, ids=[f"{name(LOSSES[i])}-{name(WITHIN[j])}" for i, j in FIRST])


def streamed(seed=0, tasks=12, d=3, loss=owo.Absolute(), scale=1.0, order="random", interleaved=False):
    rng = np.random.default_rng(seed)
    block = stream(rng, loss, rng.integers(1, 15, tasks).tolist(), d, scale, order)
    return block.interleaved(rng) if interleaved else block


def columns(ledger):
    table = ledger.to_dict()
    return {key: table[key] for key in table if key not in ("task", "pending")}  # that one is a bound here


# ------------------------------------------------------------------------------------------------ the same learner


@pytest.mark.parametrize("interleaved", [False, True])
@pytest.mark.parametrize("update", ["task", "point"])
@ONCE
def test_with_the_linear_kernel_it_is_the_linear_learner(i, j, update, interleaved):
    parts = WITHIN[j], beside(i, j), update
    block = streamed(loss=LOSSES[i], interleaved=interleaved)
    plain = owo.OnlineWithinOnline(LOSSES[i], *parts)
    kernel = KernelOnlineWithinOnline(LOSSES[i], LINEAR, *parts)
    theirs, ours = columns(plain.run(block)), columns(kernel.run(block))
    for key in theirs:  # 170 points of sums in another order
        np.testing.assert_allclose(ours[key], theirs[key], rtol=1e-9, atol=1e-9, err_msg=key)
    X = np.eye(3)
    np.testing.assert_allclose(kernel.predict(X), plain.predict(X), rtol=1e-9, atol=1e-9)


@ONCE
def test_a_gaussian_kernel_is_linear_in_the_coordinates_of_its_functions(i, j):
    block = streamed(1, loss=LOSSES[i])
    basis = Nystroem(Gaussian(1.0), block.X, tolerance=0.0)
    plain = owo.OnlineWithinOnline(LOSSES[i], WITHIN[j], beside(i, j))
    kernel = KernelOnlineWithinOnline(LOSSES[i], Gaussian(1.0), WITHIN[j], beside(i, j))
    theirs = plain.run(basis.block(block), points=True).points[0]["prediction"]
    ours = kernel.run(block, points=True).points[0]["prediction"]
    # the pivots span all points but for what a share of 1e-16 of k(x, x) hides, 1e-8 of its root
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("budget", [None, 7])
@pytest.mark.parametrize("update", ["task", "point"])
@pytest.mark.parametrize("interleaved", [False, True])
def test_every_road_leads_to_the_same_numbers(interleaved, update, budget):
    block = streamed(2, interleaved=interleaved)
    parts = owo.Absolute(), Gaussian(1.0), owo.CoinBetting(), owo.AdaptiveNorm(1.0), update
    whole, cut, single = (KernelOnlineWithinOnline(*parts, budget=budget) for _ in range(3))
    expected = columns(whole.run(block))
    third = block.n // 3
    cut.run([block.rows(0, third), block.rows(third, 2 * third), block.rows(2 * third, block.n)])
    for x, y, code, end in zip(block.X, block.y, block.task, block.ends, strict=True):
        single.learn_one(x, y, block.keys[code])
        if end:
            single.end_task(block.keys[code])
    for other in (cut, single):
        for key, column in columns(other.ledger).items():  # the same sums in pieces; a budget inverts a matrix
            np.testing.assert_allclose(column, expected[key], rtol=1e-7, atol=1e-7, err_msg=key)
    assert single.open_tasks == cut.open_tasks == []


def test_adapt_is_what_learning_would_do_and_changes_nothing():
    block = streamed(3)
    learner = KernelOnlineWithinOnline(owo.Absolute(), Gaussian(1.0), owo.GrowingFTRL(0.3), update="task", budget=20)
    learner.run(block)
    X, y, at = block.X[:6], block.y[:6] + 3.0, np.random.default_rng(0).normal(size=(5, 3))
    before = learner.predict(at)
    last, mean = learner.adapt(X, y)(at), learner.adapt(X, y, average=True)(at)
    np.testing.assert_array_equal(learner.predict(at), before)
    iterates = []
    for x, label in zip(X, y, strict=True):
        iterates.append(learner.predict(at, "new"))
        learner.learn_one(x, label, "new")
    np.testing.assert_allclose(last, learner.predict(at, "new"), atol=1e-12)
    np.testing.assert_allclose(mean, np.mean(iterates, axis=0), atol=1e-12)
    np.testing.assert_allclose(learner.predict_one(at[0], "new"), learner.predict(at, "new")[0], rtol=1e-14)


def test_the_bias_is_a_function_with_a_norm():
    learner = KernelOnlineWithinOnline(owo.Absolute(), Gaussian(1.0))
    learner.run(streamed(4))
    bias = learner.bias
    gram = bias.kernel(bias.points, bias.points)
    np.testing.assert_allclose(bias.norm**2, bias.coefficients @ gram @ bias.coefficients, rtol=1e-12)
    np.testing.assert_allclose(learner.ledger.to_dict()["across_pull"][-1], Expansion(
        bias.kernel, bias.points, learner._state.total.coefficients).norm, rtol=1e-9)  # fmt: skip


# ---------------------------------------------------------------------------------------------------- certificates


def comparators(learner, loss, block, rng):
    """Zero, the least loss in hindsight around the run's own bias, and functions that are far away."""
    basis = Nystroem(learner.bias.kernel, block.X, rank=20, tolerance=1e-8)
    near, r = basis.block(block), len(basis.pivots)
    towards = np.linalg.lstsq(basis.transform(basis.pivots), learner.bias(basis.pivots), rcond=None)[0]
    for bias in (np.zeros(r), towards, 10.0 * towards, rng.normal(size=r) * 10.0):
        for apart in (np.zeros((1, r)), rng.normal(size=(block.n_tasks, r)), -10.0 * np.ones((1, r)) * bias):
            weights = np.broadcast_to(bias + apart, (block.n_tasks, r))
            losses = np.zeros(block.n_tasks)
            for row, (code, y) in enumerate(zip(block.task, block.y, strict=True)):
                losses[code] += loss.value(float(near.X[row] @ weights[code]), float(y))
            yield basis.distances(Comparator("", bias, weights, losses, block.keys))


@pytest.mark.parametrize(("i", "j"), GAMES)
@settings(max_examples=15)
@given(
    seed=st.integers(0, 2**32 - 1),
    kernel=st.sampled_from(KERNELS),
    budget=st.sampled_from([None, 1, 2, 5, 20]),
    update=st.sampled_from(("task", "point")),
    order=st.sampled_from(ORDERS),
    interleaved=st.booleans(),
    scale=st.sampled_from([0.1, 1.0, 3.0]),
)
def test_regret_stays_below_its_certificate(i, j, seed, kernel, budget, update, order, interleaved, scale):
    loss, rng = LOSSES[i], np.random.default_rng(seed)
    inner, outer = WITHIN[j], beside(i, j)
    block = streamed(seed, 6, 2, loss, scale, order, interleaved)
    learner = KernelOnlineWithinOnline(loss, kernel, inner, outer, update, budget=budget)
    try:
        ledger = learner.run(block)
    except FloatingPointError:  # squared losses with large steps
        return
    assert budget is None or len(learner.bias.points) <= budget
    for comparator in comparators(learner, loss, block, rng):
        ledger.check(comparator)


def test_what_the_budget_cut_is_in_the_certificate_and_has_to_be():
    """Two tasks that want opposite signs of one function in turn: a bias of one point forgets each for the other."""
    X = np.tile([[0.0], [40.0]], (40, 1))
    block = owo.Block(X, np.ones(80), np.repeat(np.arange(80), 1))
    learner = KernelOnlineWithinOnline(
        owo.Absolute(), Gaussian(1.0), owo.Frozen(), owo.DualAveraging(0.05), "task", budget=1
    )
    ledger = learner.run(block)
    basis = Nystroem(Gaussian(1.0), X[:2])
    best = owo.hindsight.given_bias(owo.Absolute(), basis.block(block), 1e6, np.ones(2))
    comparator = basis.distances(best)
    ledger.check(comparator)
    silent = ledger.certificate(comparator).total - ledger.certificate(comparator).overlap
    assert ledger.regret(comparator)[-1] > silent[-1]


@pytest.mark.parametrize("apart", [1e-7, 1e-6, 1e-3])
@pytest.mark.parametrize("budget", [None, 2])
@pytest.mark.parametrize("update", ["task", "point"])
def test_norms_of_functions_that_nearly_cancel_are_not_lost_to_rounding(update, budget, apart):
    """Frozen laws, linear losses: regret to ``-far G / |G|`` is ``far |G|``, and so is its certificate."""
    signs, far = np.tile([-1.0, 1.0], 6), 1e6
    for seed in range(60):
        rng, kernel = np.random.default_rng(seed), KERNELS[seed % 4]
        X = np.repeat(rng.normal(size=(6, 2)), 2, axis=0) + apart * rng.normal(size=(12, 2))
        block = owo.Block(X, -1e9 * signs, np.repeat(np.arange(6), 2))
        gram = kernel(X, X)
        square = signs @ gram @ signs
        if square > 0.0:
            learner = KernelOnlineWithinOnline(
                owo.Absolute(), kernel, owo.Frozen(), owo.Frozen(), update, budget=budget
            )
            ledger = learner.run(block)
            more = far * (signs * (gram @ signs)).reshape(6, 2).sum(axis=1) / np.sqrt(square)
            ledger.check(Comparator("", np.array([far, 0.0]), np.array([[far, 0.0]]), ledger.losses - more, block.keys))


def test_the_length_of_a_function_is_never_less_than_exact_arithmetic_says():
    from fractions import Fraction

    X = np.array([[1.0, 0.1], [1.0 + 2.0**-40, 0.1]])
    block = owo.Block(X, [-5.0, 5.0], [0, 0])
    ledger = KernelOnlineWithinOnline(owo.Absolute(), LINEAR, owo.Frozen(), owo.Frozen()).run(block)
    exact = sum((Fraction(float(a)) - Fraction(float(b))) ** 2 for a, b in X.T)
    table = ledger.to_dict()
    assert Fraction(float(table["pull"][0])) ** 2 >= exact and Fraction(float(table["across_pull"][0])) ** 2 >= exact


def test_a_comparator_on_the_features_themselves_is_refused():
    block = streamed(8, d=2)
    ledger = KernelOnlineWithinOnline(owo.Absolute(), Gaussian(1.0)).run(block)
    for d in (2, 3):
        with pytest.raises(ValueError, match="by their distances"):
            ledger.certificate(Comparator("", np.ones(d), np.ones((1, d)), np.zeros(len(ledger))))
    with pytest.raises(TypeError, match="against weights"):
        ledger.certificate(ledger)


# --------------------------------------------------------------------------------------------------------- budgets


def test_a_point_left_out_is_projected_on_the_others_and_is_the_one_that_is_missed_least():
    rng = np.random.default_rng(0)
    X, a = rng.normal(size=(8, 2)), rng.normal(size=8)
    gram = Gaussian(1.0)(X, X)
    kept, short = shortened(gram, a, 7)
    errors = []
    for out in range(8):
        others = np.delete(np.arange(8), out)
        near = np.linalg.solve(gram[np.ix_(others, others)], gram[others] @ a)
        e = a.copy()
        e[others] -= near
        errors.append(e @ gram @ e)
        if not kept[out]:
            np.testing.assert_allclose(short[others], near, rtol=1e-5)  # a ridge of 1e-10, eigenvalues from 1e-4
    assert kept.sum() == 7 and int(np.argmin(errors)) == int(np.flatnonzero(~kept)[0])


def test_a_budget_of_all_dimensions_costs_nothing():
    block = streamed(5, 30)
    free, tight = (
        KernelOnlineWithinOnline(owo.Absolute(), LINEAR, owo.GrowingFTRL(1.0), owo.DualAveraging(0.1), budget=budget)
        for budget in (None, 3)
    )
    losses = free.run(block).losses, tight.run(block).losses
    assert len(tight.bias.points) == 3 and len(free.bias.points) > 100
    np.testing.assert_allclose(*losses, rtol=1e-6)  # the ridge


@pytest.mark.parametrize("X", [np.zeros((12, 2)), np.ones((12, 2)), np.vstack([np.zeros((6, 2)), np.eye(2), np.eye(2),
                                                                             np.eye(2)])])  # fmt: skip
@pytest.mark.parametrize("kernel", [LINEAR, Gaussian(1.0), lambda A, B: 1e-250 * (A @ B.T)])
def test_points_that_coincide_or_have_no_function_can_be_left_out(kernel, X):
    learner = KernelOnlineWithinOnline(owo.Absolute(), kernel, budget=2)
    learner.run(owo.Block(X, np.arange(12.0), np.repeat(np.arange(4), 3)))
    assert len(learner.bias.points) == 2 and np.isfinite(learner.predict(X)).all()


def test_many_points_are_left_out_as_one_by_one():
    rng = np.random.default_rng(1)
    X, a = rng.normal(size=(30, 3)), rng.normal(size=30)
    gram = Gaussian(1.0)(X, X)
    kept, short = shortened(gram, a, 10)
    left, one = np.arange(30), a
    for budget in range(29, 9, -1):
        stay, one = shortened(gram[np.ix_(left, left)], one, budget)
        left, one = left[stay], one[stay]
    assert left.tolist() == np.flatnonzero(kept).tolist()
    np.testing.assert_allclose(short[kept], one, rtol=1e-6)  # the ridge of each inverse


# ------------------------------------------------------------------------------------------------------- bad input


def nan_beyond(limit):
    def kernel(A, B):
        K = Gaussian(1.0)(A, B)
        K[np.abs(A).max(axis=1) > limit] = np.nan
        return K

    return kernel


@pytest.mark.parametrize(("kernel", "message"), [
    (nan_beyond(5.0), "kernel returned nan for the points"),
    (lambda A, B: np.exp(A[:, :1] - 2.0 * B[:, 0]), "not symmetric"),
    (lambda A, B: -(A @ B.T), "not positive semidefinite"),
    (lambda A, B: np.tanh(A @ B.T - 3.0), "not positive semidefinite"),
    (lambda A, B: (A @ B.T)[:, :1], r"returned an array \(\d+, 1\)"),
    (lambda A, B: "no", "what the kernel returned"),
    (lambda A, B: Gaussian(1.0)(A, B).astype(np.float32), "returned float32; needed float64"),
    (lambda A, B: 1.0 - 2.0 * Gaussian(1.0)(A, B) + 2.0 * np.all(A[:, None] == B, axis=2), "not positive semidefinite"),
])  # fmt: skip
@pytest.mark.parametrize("road", ["run", "learn_one"])
def test_a_bad_kernel_is_named_and_leaves_no_trace(kernel, message, road):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(12, 3)), rng.normal(size=12)
    learner = KernelOnlineWithinOnline(owo.Absolute(), kernel)
    if "nan" in message:
        learner.run([(X[:6], y[:6])])
    X[8] *= 100.0
    before, loss = learner._state, len(learner.ledger)
    with pytest.raises((TypeError, ValueError), match=message):
        if road == "run":
            learner.run([(X, y), (X, y)])
        else:
            for x, label in zip(X, y, strict=True):
                learner.learn_one(x, label, "a")
                before = learner._state
    assert learner._state is before and len(learner.ledger) == loss


@pytest.mark.parametrize("update", ["task", "point"])
def test_a_kernel_may_write_to_its_points_and_reuse_its_matrix(update):
    matrix = np.empty(10_000)

    def careless(A, B):
        K = matrix[: len(A) * len(B)].reshape(len(A), len(B))
        K[:] = Gaussian(1.0)(A, B)
        A *= 0.0
        B -= 7.0
        return K

    block = streamed(6)
    before = block.X.copy()
    ours, theirs = (KernelOnlineWithinOnline(owo.Absolute(), k, update=update, budget=5) for k in (
        careless, Gaussian(1.0)))  # fmt: skip
    np.testing.assert_array_equal(ours.run(block).losses, theirs.run(block).losses)
    np.testing.assert_array_equal(block.X, before)


@pytest.mark.parametrize("update", ["task", "point"])
def test_a_kernel_that_raises_midway_leaves_no_trace(update):
    calls = []

    def kernel(A, B):
        calls.append(1)
        if len(calls) == 12:
            raise RuntimeError("midway")
        return Gaussian(1.0)(A, B)

    learner = KernelOnlineWithinOnline(owo.Absolute(), kernel, update=update, budget=5)
    learner.run(streamed(7, 2))
    before, calls[:] = learner._state, [1] * 9
    with pytest.raises(RuntimeError, match="midway"):
        learner.run(streamed(7))
    assert learner._state is before and len(learner.ledger) == 2 and learner.open_tasks == []


def test_a_bias_changed_outside_does_not_change_the_learner():
    learner = KernelOnlineWithinOnline(owo.Absolute(), Gaussian(1.0))
    X = streamed(4).X
    learner.run(streamed(4))
    before = learner.predict(X)
    learner.bias.points[:] = 0.0
    np.testing.assert_array_equal(learner.predict(X), before)


@pytest.mark.parametrize(("change", "error", "message"), [
    ({"kernel": "rbf"}, TypeError, "kernel is 'rbf'; needed a function"),
    ({"kernel": Gaussian}, TypeError, "needed a function"),
    ({"budget": 0}, ValueError, "budget is 0"),
    ({"budget": 2.5}, ValueError, "budget is 2.5"),
    ({"update": "never"}, ValueError, "update is 'never'"),
    ({"outer": owo.Implicit(1.0)}, TypeError, "works inside tasks only"),
    ({"loss": owo.Softmax(3)}, TypeError, "loss of 3 scores"),
])  # fmt: skip
def test_parts_that_cannot_work_are_refused(change, error, message):
    with pytest.raises(error, match=message):
        KernelOnlineWithinOnline(**({"loss": owo.Absolute(), "kernel": Gaussian(1.0)} | change))


@pytest.mark.parametrize(("build", "message"), [
    (lambda: Gaussian(0.0), "width is 0.0"),
    (lambda: Gaussian(np.nan), "width is nan"),
    (lambda: Polynomial(0), "degree is 0"),
    (lambda: Polynomial(2, -1.0), "offset is -1.0"),
    (lambda: Nystroem(Gaussian(1.0), np.ones((3, 1)), rank=0), "rank is 0"),
    (lambda: Nystroem(lambda A, B: -(A @ B.T), np.ones((3, 1))), "not positive semidefinite"),
    (lambda: Nystroem(lambda A, B: np.exp(A[:, :1] - 2.0 * B[:, 0]), np.eye(2)), "not symmetric"),
    (lambda: Nystroem(LINEAR, np.zeros((3, 1))), "0 at every point"),
    (lambda: Nystroem(LINEAR, np.ones((3, 1)), tolerance=np.nan), "tolerance is nan"),
    (lambda: Expansion(LINEAR, np.ones((3, 1)), np.ones(2)), r"needed \(m, d\) and \(m,\)"),
])  # fmt: skip
def test_parameters_out_of_range_are_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_data_that_do_not_fit_are_refused():
    import scipy.sparse

    learner = KernelOnlineWithinOnline(owo.Hinge(), Gaussian(1.0))
    for call, error, message in (
        (lambda: learner.run([(np.ones((2, 2)), [1.0, 0.5])]), ValueError, "label"),
        (lambda: learner.run([(scipy.sparse.eye(2).tocsr(), [1.0, -1.0])]), TypeError, "sparse"),
        (lambda: learner.run([]), ValueError, "empty"),
        (lambda: learner.bias, ValueError, "no dimension"),
        (lambda: learner.end_task("a"), KeyError, "not open"),
        (lambda: learner.learn_one([1.0], 1.0, None), ValueError, "no task"),
        (lambda: learner.learn_one([[1.0]], 1.0, "a"), ValueError, "one point"),
        (lambda: learner.predict_one([[1.0]]), ValueError, "one point"),
    ):
        with pytest.raises(error, match=message):
            call()
    learner.learn_one([1.0, 2.0], 1.0, "a")
    for call in (lambda: learner.learn_one([1.0], 1.0, "a"), lambda: learner.predict(np.ones((1, 3)))):
        with pytest.raises(ValueError, match="features"):
            call()
    with pytest.raises(TypeError, match="weights is a ndarray; needed a function"):
        learner.predict([[1.0, 2.0]], weights=np.ones(2))


def test_steps_that_overflow_leave_no_trace():
    learner = KernelOnlineWithinOnline(owo.Squared(), LINEAR, owo.DualAveraging(1e200))
    with pytest.raises(FloatingPointError, match="overflowed at row"):
        learner.run([(np.full((9, 1), 1e3), np.ones(9))])
    assert learner.open_tasks == [] and len(learner.ledger) == 0


def test_margin_losses_learn_a_circle():
    """What no linear learner can: labels inside and outside a circle, its radius a task's own."""
    rng = np.random.default_rng(0)
    X = rng.uniform(-2, 2, (3000, 2))
    radius = np.repeat(rng.uniform(1.1, 1.5, 150), 20)
    y = np.where(np.linalg.norm(X, axis=1) < radius, 1.0, -1.0)
    learner = KernelOnlineWithinOnline(CLASSIFICATION[0], Gaussian(1.0), budget=60)
    ledger = learner.run(owo.Block(X, y, np.repeat(np.arange(150), 20)), points=True)
    wrong = np.sign(ledger.points[0]["prediction"]) != y
    assert wrong[2000:].mean() < 0.15 < 0.3 < min(np.mean(y > 0), np.mean(y < 0))
