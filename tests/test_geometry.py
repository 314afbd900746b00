"""Metrics that are learned: certificates, the same numbers on every road, and what is gained."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from games import ACROSS, LOSSES, ORDERS, in_a_metric, name, stream, tried
from hypothesis import given, settings
from hypothesis import strategies as st
from test_certificates import comparators, scaled

import owo
from owo.geometry import (
    Complete,
    Diagonal,
    Exact,
    Exponentiated,
    FeatureMap,
    Fixed,
    Full,
    Identity,
    Paper,
    Projected,
    Scalar,
    matrices,
)
from owo.geometry.lowrank import LowRankMap
from owo.geometry.maps import Map

RUNS = 19
WITHIN = (owo.DualAveraging(0.1), owo.GrowingFTRL(2.0), owo.InverseSqrt(0.3), owo.AdaptiveNorm(1.0))
MOVES = (owo.AdaptiveNorm(1.0), owo.DualAveraging(0.01), owo.InverseSqrt(0.1), owo.Frozen())
MIRRORS = (Exponentiated(), Projected())
GRADIENTS = (Exact(), Complete(), Paper())


def games():
    """Geometries, each with the loss, inner and outer law it is tried with.

    A step or a diagonal is compiled with its law and its mirror. So of kind, law and mirror there is every pair rather
    than everything with everything; every inner law with each kind and each mirror; and every loss and every outer law.
    Matrices the kernels see all alike. Of the 48 every second one is there, or all with ``make thorough``, and they go
    through ten kernels.
    """
    found = []
    for k, kind in enumerate((Scalar, Diagonal)):
        for i, law in enumerate(MOVES):
            loss = 2 * i + k
            laws = WITHIN[(i + 2 * k) % 4], ACROSS[loss % len(ACROSS)]
            found.append((kind(law=law, mirror=MIRRORS[(i + k) % 2]), LOSSES[loss], *laws))
    matrices = itertools.product(*map(enumerate, ((FeatureMap, Full), MIRRORS, GRADIENTS, MOVES)))
    for number, ((k, kind), (m, mirror), (g, gradient), (i, law)) in enumerate(matrices, start=len(found)):
        turn = number + number // 8  # so that a law does not meet the same losses again
        if tried(k + m + g, i, 2):
            geometry = kind(law=law, mirror=mirror, gradient=gradient)
            found.append((geometry, *in_a_metric(turn, vanishes=kind is FeatureMap)))
    return found


GAMES = games()


def resized(geometry, log_size):
    """The same geometry with another room to move in."""
    if isinstance(geometry, FeatureMap):
        return geometry._replace(radius=10.0**log_size)
    return geometry._replace(low=10.0 ** (log_size - 3), high=10.0 ** (log_size + 3))


def others(rng, geometry, d):
    """Metrics M' to be compared with: the default, and one inside the set."""
    if isinstance(geometry, (Scalar, Diagonal)):
        size = 1 if isinstance(geometry, Scalar) else d
        return None, np.exp(rng.uniform(np.log(geometry.low), np.log(geometry.high), size))
    root = rng.normal(size=(d, d))
    return None, geometry.within.like(root @ root.T)


@pytest.mark.parametrize(
    ("geometry", "loss", "inner", "outer"), GAMES, ids=[f"{i}-{name(game[0])}" for i, game in enumerate(GAMES)]
)
@settings(max_examples=RUNS)
@given(
    seed=st.integers(0, 2**32 - 1),
    d=st.integers(1, 12),
    lengths=st.lists(st.integers(1, 60) | st.integers(1, 3), min_size=1, max_size=8),
    log_scale=st.integers(-6, 6),
    log_step=st.floats(-3, 2),
    log_size=st.floats(-2, 2),
    order=st.sampled_from(ORDERS),
    update=st.sampled_from(("task", "point")),
    interleave=st.booleans(),
)
def test_regret_stays_below_its_certificate(
    geometry, loss, inner, outer, seed, d, lengths, log_scale, log_step, log_size, order, update, interleave
):
    """56 geometries x 19 streams = 1,064 runs."""
    rng = np.random.default_rng(seed)
    geometry, scale = resized(geometry, log_size), 10.0**log_scale
    inner, outer = (scaled(law, 10.0**log_step / scale**2) for law in (inner, outer))
    block = stream(rng, loss, lengths, d, scale, order)
    if interleave:
        block = block.interleaved(rng)
    start = None if isinstance(geometry, FeatureMap) else 10.0**log_size
    learner = owo.OnlineWithinOnline(
        loss, inner, outer, update, geometry=geometry, bias=rng.normal(size=d) / scale, metric=start
    )
    try:
        ledger = learner.run(block, points=True)
    except FloatingPointError:
        assert loss.lipschitz == np.inf
        return
    for comparator in comparators(rng, loss, block, ledger, scale):
        for metric in others(rng, geometry, d):
            against = comparator._replace(metric=metric)
            ledger.check(against)
            assert not np.isnan(ledger.certificate(against).total).any()


def test_a_certificate_that_understates_what_the_metric_met_is_caught():
    """One point a task, slopes of 1: regret 1 a task against certificate <B, m'> + m = 1/2 + 1/2, tight."""
    x = np.ones((2, 1))
    still = Scalar(law=owo.Frozen(), low=1.0, high=1.0)
    learner = owo.OnlineWithinOnline(owo.Absolute(), owo.DualAveraging(1.0), owo.Frozen(), "task", geometry=still)
    ledger = learner.run([(x, np.array([1.0, -1.0]))] * 3)
    comparator = owo.hindsight.Comparator("zero", np.zeros(1), np.zeros((1, 1)), np.array([2.0] * 3))
    ledger.check(comparator)
    assert np.allclose(ledger.regret(comparator), [1, 2, 3])
    assert np.allclose(ledger.certificate(comparator).total, [1, 2, 3])
    ledger.stages._spent._room[:, 0] *= 0.99
    with pytest.raises(owo.CertificateViolation):
        ledger.check(comparator)


# ------------------------------------------------------------------------------------------------------ the numbers


def laws():
    return owo.GrowingFTRL(0.8), owo.DualAveraging(0.05)


@pytest.mark.parametrize("update", ["task", "point"])
def test_a_metric_frozen_at_one_changes_no_bit_of_the_core(update):
    rng = np.random.default_rng(0)
    block = stream(rng, owo.Absolute(), [9, 1, 14, 30], 6, 1.0, "random").interleaved(rng)
    core, frozen = (
        owo.OnlineWithinOnline(owo.Absolute(), *laws(), update, geometry=geometry)
        for geometry in (Identity(), Scalar(law=owo.Frozen()))
    )
    a, b = core.run(block, points=True), frozen.run(block, points=True)
    assert np.array_equal(core.bias, frozen.bias) and np.array_equal(
        a.points[0]["prediction"], b.points[0]["prediction"]
    )
    for ours, theirs in zip((*a.account, *a.tally, a.losses), (*b.account, *b.tally, b.losses), strict=True):
        assert np.array_equal(ours, theirs)


def by_hand(block, rule, step, mirror, form):
    """The exact gradient and the regularised leader, written with matrices; M within bounds that do not bind."""
    d = block.d
    theta, M, G, squares, losses = np.zeros(d), np.eye(d), np.zeros((d, d)), 0.0, []
    for task in block.tasks():
        q, H, total = np.zeros(d), np.zeros((d, d)), 0.0
        for i, (x, y) in enumerate(zip(task.X, task.y, strict=True), start=1):
            c = 1.0 / (0.8 * i)
            p = x @ (theta - c * M @ q)
            total += abs(p - y)
            g = np.sign(p - y) * x
            H -= c * (np.outer(g, q) + np.outer(q, g)) / 2
            q = q + g
        losses.append(total)
        theta = theta - 0.05 * q
        H = form(H)
        G, squares = G + H, squares + H**2 if rule is Diagonal else squares + np.sum(H**2)
        with np.errstate(divide="ignore", invalid="ignore"):
            scaled_sum = np.nan_to_num(G * step / np.sqrt(squares))
        if mirror == Projected():
            M = form(np.eye(d)) - scaled_sum
        else:
            values, vectors = np.linalg.eigh(-scaled_sum)
            M = (vectors * np.exp(values)) @ vectors.T
    return theta, M, np.array(losses)


FORMS = {
    Scalar: lambda H: np.eye(len(H)) * np.trace(H) / 1.0,
    Diagonal: lambda H: np.diag(np.diag(H)),
    Full: lambda H: H,
}


@pytest.mark.parametrize("mirror", MIRRORS, ids=name)
@pytest.mark.parametrize("rule", [Diagonal, Full])
def test_equals_the_algorithm_written_with_matrices(rule, mirror):
    block = stream(np.random.default_rng(1), owo.Absolute(), [9, 1, 14, 30], 4, 1.0, "random")
    geometry = rule(law=owo.AdaptiveNorm(0.1), mirror=mirror)
    learner = owo.OnlineWithinOnline(owo.Absolute(), *laws(), "task", geometry=geometry)
    ledger = learner.run(block)
    theta, M, losses = by_hand(block, rule, 0.1, mirror, FORMS[rule])
    # the same sums in another order; eigenvalues through exp and log
    assert np.allclose(ledger.losses, losses, rtol=1e-10) and np.allclose(learner.bias, theta, atol=1e-10)
    assert np.allclose(learner.metric, np.diag(M) if rule is Diagonal else M, atol=1e-10)


def test_a_learned_step_follows_the_margin_of_each_task():
    """By hand: one task of two points, then m = exp(-h / |h|) with h = <g_1, w> + <g_2, w> over m."""
    learner = owo.OnlineWithinOnline(
        owo.Absolute(), owo.DualAveraging(1.0), owo.Frozen(), "task", geometry=Scalar(), metric=2.0
    )
    learner.run([(np.ones((2, 1)), np.array([5.0, 9.0]))])  # w = 0, then 2: the margin is (-1) 2, h = -1
    assert learner.metric == pytest.approx([2.0 * np.e], rel=1e-15)
    assert learner.predict_one([1.0], "new") == 0.0
    learner.learn_one([1.0], 1.0, "new")
    assert learner.weights("new") == pytest.approx([2.0 * np.e], rel=1e-15)


@pytest.mark.parametrize("geometry", [Scalar(), Diagonal(), FeatureMap(), Full(gradient=Complete())], ids=name)
@pytest.mark.parametrize("update", ["task", "point"])
@pytest.mark.parametrize("interleave", [False, True])
def test_all_roads_give_the_same_numbers(geometry, update, interleave):
    rng = np.random.default_rng(2)
    block = stream(rng, owo.Absolute(), [3, 1, 8, 20, 5], 5, 1.0, "random")
    if interleave:
        block = block.interleaved(rng)
    whole, single, pieces = (
        owo.OnlineWithinOnline(owo.Absolute(), *laws(), update, geometry=geometry) for _ in range(3)
    )
    whole.run(block, path_every=2)
    for start in range(0, block.n, 5):
        pieces.run(block.rows(start, min(start + 5, block.n)), path_every=2)
    for r in range(block.n):
        key = block.keys[block.task[r]]
        single.learn_one(block.X[r], block.y[r], key)
        if block.ends[r]:
            single.end_task(key)
    matrices = isinstance(geometry, (FeatureMap, Full))
    for other in (single, pieces):
        for ours, theirs in (
            (whole.metric, other.metric),
            (whole.bias, other.bias),
            (whole.ledger.losses, other.ledger.losses),
            (whole.ledger.tables["moves"].filled, other.ledger.tables["moves"].filled),
            *zip(whole.ledger.account, other.ledger.account, strict=True),
        ):
            # a product of matrices may sum in another order than one row at a time
            assert np.allclose(ours, theirs, rtol=1e-11, atol=1e-11) if matrices else np.array_equal(ours, theirs)
    for ours, theirs in (
        (whole.ledger.path, pieces.ledger.path),
        (whole.ledger.metric_path, pieces.ledger.metric_path),
    ):
        assert len(ours) == 2 and np.allclose(ours, theirs, atol=1e-11)
    assert whole.ledger.metric_path.shape == (2, *whole.metric.shape)


@pytest.mark.parametrize("law", [owo.CoinBetting(), owo.Implicit(0.3), owo.GrowingFTRL(1.0)], ids=name)
def test_a_fixed_metric_is_a_change_of_features_where_the_bias_is_frozen(law):
    """M = A A^T: the same as running on features A^T x with M = I."""
    rng = np.random.default_rng(3)
    block = stream(rng, owo.Absolute(), [12, 5, 30], 4, 1.0, "random")
    A = rng.normal(size=(4, 4))
    fixed = owo.OnlineWithinOnline(owo.Absolute(), law, owo.Frozen(), "task", geometry=Fixed(), metric=A @ A.T)
    plain = owo.OnlineWithinOnline(owo.Absolute(), law, owo.Frozen(), "task")
    ours = fixed.run(block)
    theirs = plain.run(owo.Block(block.X @ A, block.y, block.task))
    for a, b in zip((ours.losses, *ours.account[:-1]), (theirs.losses, *theirs.account[:-1]), strict=True):
        assert np.allclose(a, b, rtol=1e-10, atol=1e-10)  # the same sums through M or through A
    u = rng.normal(size=4)
    mine = owo.hindsight.Comparator("u", np.zeros(4), u[None], np.zeros(3))
    yours = mine._replace(weights=np.linalg.solve(A, u)[None])
    assert np.allclose(ours.certificate(mine).total, theirs.certificate(yours).total, rtol=1e-8)  # A is inverted
    ours.check(mine)


@pytest.mark.parametrize("kind", [FeatureMap, Full], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("law", [owo.AdaptiveNorm(1.0), owo.DualAveraging(0.03)], ids=name)
@pytest.mark.parametrize("tasks", [3, 40])
def test_gradients_of_rank_one_cost_their_span_and_give_the_same_numbers(kind, law, tasks, monkeypatch):
    """More tasks than dimensions, and fewer; tasks that overlap; a q of 0 and one that repeats."""
    rng = np.random.default_rng(9)
    block = stream(rng, owo.Absolute(), [int(n) for n in rng.integers(1, 9, tasks)], 12, 1.0, "random").interleaved(rng)
    geometry = kind(law=law, mirror=Projected(), gradient=Paper())

    def run():
        learner = owo.OnlineWithinOnline(owo.Absolute(), *laws(), "task", geometry=geometry)
        return learner, learner.run(block, path_every=1)

    low, ours = run()
    assert isinstance(low._map, LowRankMap) and low._map.play.Q.shape[1] <= min(tasks, 12)
    monkeypatch.setattr(matrices, "_learner", matrices.dense_map)
    dense, theirs = run()
    assert isinstance(dense._map, Map)
    # eigenvalues of another matrix with the same ones: some units in the last place, through 40 tasks
    for one, other in (
        (low.metric, dense.metric),
        (ours.losses, theirs.losses),
        (ours.metric_path, theirs.metric_path),
        (ours.tables["moves"].filled[:, 1], theirs.tables["moves"].filled[:, 1]),
        (ours.stages.spent, theirs.stages.spent),
    ):
        assert np.allclose(one, other, rtol=1e-10, atol=1e-10)
    assert (ours.tables["moves"].filled[:, 0] >= theirs.tables["moves"].filled[:, 0] - 1e-10).all()  # a bound on it


@pytest.mark.parametrize("kind", [FeatureMap, Full], ids=lambda kind: kind.__name__)
def test_nothing_is_made_of_memory_that_was_never_written(kind, monkeypatch):
    """It may hold numbers whose sum overflows, of which NumPy warns."""
    monkeypatch.setattr(matrices.np, "empty", lambda shape: np.full(shape, 1e308))
    assert kind(mirror=Projected(), gradient=Paper()).stage(144) == 2


@pytest.mark.parametrize("geometry", [Scalar(), Diagonal(), FeatureMap(), Fixed()], ids=name)
def test_adapting_to_a_task_is_what_learning_it_next_would_do(geometry):
    block = stream(np.random.default_rng(9), owo.Absolute(), [9, 14, 30], 4, 1.0, "random")
    learner = owo.OnlineWithinOnline(owo.Absolute(), *laws(), "task", geometry=geometry)
    learner.run(block)
    X, y = block.X[:7], block.y[:7]
    adapted = learner.adapt(X, y)
    for x, label in zip(X, y, strict=True):
        learner.learn_one(x, label, "new")
    assert np.allclose(adapted, learner.weights("new"), rtol=1e-11, atol=1e-11)  # matrix products sum in another order


def test_stages_of_a_long_run_are_thinned_and_still_bound(monkeypatch):
    from owo import kernels
    from owo.geometry import stages

    rng = np.random.default_rng(4)
    block = stream(rng, owo.Absolute(), [3] * 200, 4, 1.0, "random")

    def total(numbers):
        monkeypatch.setattr(kernels, "NUMBERS", numbers)
        monkeypatch.setattr(stages, "NUMBERS", numbers)
        learner = owo.OnlineWithinOnline(owo.Absolute(), *laws(), "task", geometry=Diagonal())
        for start in range(0, block.n, 90):
            learner.run(block.rows(start, min(start + 90, block.n)))
        comparator = owo.hindsight.Comparator("zero", np.zeros(4), np.ones((1, 4)), np.zeros(200), metric=np.ones(4))
        return len(learner.ledger.stages.tasks), learner.ledger.certificate(comparator).total

    many, exact = total(10**6)
    few, above = total(80)
    assert many == 200 and few <= 10 and (above >= exact - 1e-9).all() and above[-1] == pytest.approx(exact[-1])
    assert above[-1] < 1.5 * above[-20]


@pytest.mark.parametrize("geometry", [Scalar(low=0.1), Full(mirror=Projected(), gradient=Paper()), Fixed()], ids=name)
def test_a_saved_ledger_of_a_metric_comes_back(geometry, tmp_path):
    block = stream(np.random.default_rng(8), owo.Absolute(), [5, 9, 2], 3, 1.0, "random")
    ledger = owo.OnlineWithinOnline(owo.Absolute(), *laws(), "task", geometry=geometry, metric=2.0).run(block)
    ledger.save(tmp_path / "a")
    back = owo.Ledger.load(tmp_path / "a")
    comparator = owo.hindsight.Comparator("one", np.zeros(3), np.ones((1, 3)), np.zeros(3), (0, 1, 2))
    assert back.geometry == geometry
    for ours, theirs in zip(ledger.certificate(comparator), back.certificate(comparator), strict=True):
        assert np.array_equal(ours, theirs)


# --------------------------------------------------------------------------------------------------- what is gained


def spread_stream(seed, T=3000, n=40, d=20, mean=0.0):
    rng = np.random.default_rng(seed)
    W = mean + rng.normal(size=(T, d))
    X = rng.normal(size=(T, n, d))
    X /= np.linalg.norm(X, axis=2, keepdims=True)
    y = np.einsum("tnd,td->tn", X, W)
    y += 0.2 * y.std() * rng.normal(size=y.shape)
    return owo.Block(X.reshape(-1, d), y.ravel(), np.repeat(np.arange(T), n))


def late_loss(block, **options):
    """Of the last third of the tasks."""
    learner = owo.OnlineWithinOnline(owo.Absolute(), owo.GrowingFTRL(1.0), owo.DualAveraging(0.1), "task", **options)
    return learner.run(block).losses[2000:].sum()


def best_step(block):
    """The least of a grid of 25 single steps, and where."""
    grid = 10.0 ** np.linspace(-3, 3, 25)
    return min((late_loss(block, geometry=Scalar(law=owo.Frozen()), metric=m), m) for m in grid)


@pytest.mark.parametrize("mean", [0.0, 4.0])
def test_steps_learned_from_a_hundred_times_off_are_as_good_as_the_best_of_a_grid(mean):
    block = spread_stream(5, mean=mean)
    loss, step = best_step(block)
    for far in (0.01, 100.0):
        assert late_loss(block, geometry=Scalar(), metric=far * step) <= 1.01 * loss
        assert late_loss(block, geometry=Diagonal(), metric=far * step) <= 1.03 * loss


def test_the_exact_gradient_follows_the_loss_and_the_bound_on_it_does_not():
    """What ``docs/design.md`` says of the gradients of M."""
    block = spread_stream(5)
    loss, step = best_step(block)
    for far in (0.01, 100.0):
        assert late_loss(block, geometry=Full(), metric=far * step) <= 1.10 * loss
        assert late_loss(block, geometry=Full(gradient=Complete()), metric=far * step) >= 1.18 * loss


def test_mean_and_directions_learned_together_beat_either_alone():
    """Tasks around 4 (1, .., 1), away from it in four directions only: 10 streams, a paired interval above 0."""

    def mean_loss(seed, outer, geometry):
        rng = np.random.default_rng(seed)
        T, n, d = 400, 40, 20
        W = np.full((T, d), 4.0)
        A = rng.normal(size=(T, 4))
        W[:, :4] += 2.0 * A / np.linalg.norm(A, axis=1, keepdims=True)
        X = rng.normal(size=(T, n, d))
        X /= np.linalg.norm(X, axis=2, keepdims=True)
        y = np.einsum("tnd,td->tn", X, W) + 0.2 * rng.normal(size=(T, n))
        learner = owo.OnlineWithinOnline(owo.Absolute(), owo.GrowingFTRL(1.0), outer, "task", geometry=geometry)
        return learner.run(owo.Block(X.reshape(-1, d), y.ravel(), np.repeat(np.arange(T), n))).losses.mean()

    kinds = {
        "bias": (owo.DualAveraging(0.1), Scalar()),
        "map": (owo.Frozen(), Full()),
        "both": (owo.DualAveraging(0.1), Full()),
        "both, diagonal": (owo.DualAveraging(0.1), Diagonal()),
    }
    losses = {title: np.array([mean_loss(seed, *kind) for seed in range(10)]) for title, kind in kinds.items()}
    for title in ("both", "both, diagonal"):
        gains = np.minimum(losses["bias"], losses["map"]) - losses[title]
        assert gains.mean() - 2.26 * gains.std(ddof=1) / np.sqrt(10) > 0.0  # 97.5 % quantile of t with 9 degrees


# -------------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("geometry", "metric", "said"),
    [
        (Full(), [[1.0, 2.0], [0.0, 1.0]], "not symmetric"),
        (Fixed(), [[1.0, 2.0], [2.0, 1.0]], "eigenvalue -1"),
        (FeatureMap(), np.eye(2), "sum to 2"),
        (FeatureMap(), np.diag([1.0, 0.0]), "singular"),
        (Full(), np.eye(3), r"shape \(3, 3\)"),
        (Scalar(), 1e9, "between low"),
        (Scalar(), [1.0, 1.0], r"shape \(2,\)"),
        (Diagonal(), [1.0, np.nan], "between low"),
        (Identity(), 2.0, "geometry is Identity"),
    ],
    ids=str,
)
def test_metrics_that_are_none_are_refused(geometry, metric, said):
    with pytest.raises(ValueError, match=said):
        owo.OnlineWithinOnline(owo.Absolute(), owo.GrowingFTRL(1.0), geometry=geometry, metric=metric, bias=np.zeros(2))


def test_geometries_that_make_no_sense_are_refused():
    for make, field in (
        (lambda: FeatureMap(radius=0.0), "radius"),
        (lambda: Scalar(low=2.0, high=1.0), "low"),
        (lambda: Full(law=owo.CoinBetting()), "law"),
        (lambda: Diagonal(mirror=owo.Absolute()), "mirror"),
        (lambda: FeatureMap(gradient=owo.Absolute()), "gradient"),
    ):
        with pytest.raises(ValueError, match=f"{field} must be"):
            make()
    for inner in (owo.CoinBetting(), owo.Implicit(1.0), owo.Frozen()):
        with pytest.raises(TypeError, match="cannot be the inner law where the metric is learned"):
            owo.OnlineWithinOnline(owo.Absolute(), inner, geometry=Scalar())


def test_what_overflows_leaves_no_trace_in_a_metric():
    for geometry in (Scalar(), Full()):
        learner, twin = (
            owo.OnlineWithinOnline(owo.Squared(), owo.DualAveraging(1.0), owo.Frozen(), "task", geometry=geometry)
            for _ in range(2)
        )
        X, y = np.random.default_rng(6).normal(size=(6, 3)), np.ones(6)
        for each in (learner, twin):
            each.run([(X, y)])
            each.learn_one(X[0], 1.0, "open")
        with pytest.raises(FloatingPointError):
            learner.run([(X, y), (1e100 * X, y)])
        for each in (learner, twin):
            each.end_task("open")
        assert np.array_equal(learner.metric, twin.metric) and len(learner.ledger) == 2


# ------------------------------------------------------------------------------------------------- where M vanishes


@pytest.mark.parametrize("gradient", GRADIENTS, ids=name)
@pytest.mark.parametrize("mirror", MIRRORS, ids=name)
def test_what_a_singular_metric_does_not_see_is_paid_for(gradient, mirror):
    """M moves to one direction, then all tasks lie in the other: B counts what M sends to 0."""
    e = np.eye(2)
    learner = owo.OnlineWithinOnline(
        owo.Absolute(), owo.DualAveraging(1.0), owo.Frozen(), "task",
        geometry=FeatureMap(owo.AdaptiveNorm(1.0), 1.0, mirror, gradient),
    )  # fmt: skip
    ledger = learner.run([(np.tile(e[0], (10, 1)), np.full(10, 2.0))] * 5 + [(e[1:], [1.0])] * 200)
    weights = np.r_[[2 * e[0]] * 5, [0.1 * e[1]] * 200]
    comparator = owo.hindsight.Comparator("c", np.zeros(2), weights, np.r_[[0.0] * 5, [0.9] * 200])
    for metric in (None, e / 2):
        ledger.check(comparator._replace(metric=metric))


def test_a_law_that_takes_its_scale_from_gradients_is_refused_where_the_metric_may_vanish():
    with pytest.raises(TypeError, match="takes its scale from gradients"):
        owo.OnlineWithinOnline(owo.Absolute(), owo.AdaptiveNorm(1.0), geometry=FeatureMap())


def test_a_gradient_that_is_rounding_alone_moves_nothing():
    learner = owo.OnlineWithinOnline(
        owo.Absolute(), owo.AdaptiveNorm(1.0), owo.Frozen(), "task", geometry=Full(gradient=Complete())
    )
    learner.run([([[1.1, 2.2 / 3]], [1.0])])  # one point: B = c/2 q q^T
    assert np.array_equal(learner.metric, np.eye(2))


@pytest.mark.parametrize(
    "law", [owo.CoinBetting(), owo.AdaptiveNorm(1.0), owo.GrowingFTRL(1.0), owo.Frozen()], ids=name
)
@pytest.mark.parametrize("far", [1.0, 1e-12])
def test_outside_the_range_of_a_fixed_metric_nothing_is_proved(law, far):
    learner = owo.OnlineWithinOnline(owo.Absolute(), law, owo.Frozen(), "task", geometry=Fixed(), metric=[1.0, 0.0])
    ledger = learner.run([([[0.0, 1e9]], [1.0])])
    weights = np.array([[1.0, far]])
    comparator = owo.hindsight.Comparator("c", np.zeros(2), weights, np.abs(weights @ [0.0, 1e9] - 1.0))
    assert np.isinf(ledger.certificate(comparator).total).all()
    ledger.check(comparator)


@pytest.mark.parametrize(
    "geometry", [Scalar(), Diagonal(), FeatureMap(radius=5.0), Full(low=2.0), Full(high=0.1)], ids=repr
)
def test_adapting_before_any_data_starts_where_learning_would(geometry):
    learner = owo.OnlineWithinOnline(owo.Absolute(), owo.GrowingFTRL(1.0), owo.Frozen(), "task", geometry=geometry)
    X, y = np.array([[1.0, 3.0], [2.0, 1.0]]), np.array([1.0, -2.0])
    adapted = learner.adapt(X, y)
    for x, label in zip(X, y, strict=True):
        learner.learn_one(x, label, "new")
    assert np.allclose(adapted, learner.weights("new"), rtol=1e-12)  # matrix products sum in another order


@pytest.mark.parametrize("geometry", [Identity(), Scalar(), Diagonal(), FeatureMap(), Full(), Fixed()], ids=name)
def test_before_any_task_ended_certificates_are_empty(geometry):
    learner = owo.OnlineWithinOnline(owo.Absolute(), owo.GrowingFTRL(1.0), owo.Frozen(), "task", geometry=geometry)
    learner.learn_one([1.0, 2.0], 1.0, "open")
    comparator = owo.hindsight.Comparator("c", np.zeros(2), np.ones((1, 2)), np.zeros(0))
    assert all(len(term) == 0 for term in learner.ledger.certificate(comparator))
    learner.ledger.check(comparator)


@pytest.mark.parametrize("geometry", [Full(), Full(gradient=Paper(), mirror=Projected()), FeatureMap()], ids=repr)
@pytest.mark.parametrize("size", [1e-100, 1.0])
def test_far_comparators_have_large_certificates_never_small_ones(geometry, size):
    learner = owo.OnlineWithinOnline(owo.Absolute(), owo.GrowingFTRL(1.0), owo.Frozen(), "task", geometry=geometry)
    ledger = learner.run([(size * np.eye(2), np.ones(2))])
    with np.errstate(over="ignore", invalid="ignore"):
        for far in (1e80, 1e100):
            comparator = owo.hindsight.Comparator("far", np.zeros(2), np.full((1, 2), far), np.zeros(1))
            ledger.check(comparator)


def test_an_interval_too_wide_for_exponents_is_refused():
    with pytest.raises(ValueError, match="high must be at most 1e300 times low"):
        Scalar(low=1e-200, high=1e200)


@pytest.mark.parametrize("metric", ["a", [[1.0], [1.0, 2.0]], 1j], ids=repr)
@pytest.mark.parametrize("geometry", [Scalar(), Full(), Fixed()], ids=name)
def test_metrics_that_are_no_numbers_are_refused_in_words(geometry, metric):
    with pytest.raises((TypeError, ValueError), match=r"^metric"):
        owo.OnlineWithinOnline(owo.Absolute(), owo.GrowingFTRL(1.0), geometry=geometry, metric=metric, bias=np.zeros(2))


# ------------------------------------------------------------------------------------------- matrices, at the edges


@pytest.mark.parametrize(
    "geometry", [owo.geometry.FeatureMap(), owo.geometry.Full(), owo.geometry.Diagonal()], ids=name
)
def test_the_path_of_a_metric_has_the_shape_of_the_metric_in_one_dimension_too(geometry, tmp_path):
    learner = owo.OnlineWithinOnline(owo.Absolute(), owo.GrowingFTRL(1.0), geometry=geometry)
    ledger = learner.run([(np.ones((3, 1)), np.ones(3))] * 4, path_every=1)
    assert ledger.metric_path.shape == (4, *learner.metric.shape)
    assert np.array_equal(ledger.metric_path[-1], learner.metric)
    ledger.save(tmp_path / "run.npz")
    assert np.array_equal(owo.Ledger.load(tmp_path / "run.npz").metric_path, ledger.metric_path)


@pytest.mark.parametrize("seed", range(5))
def test_a_metric_at_the_edge_of_its_set_is_in_it_whatever_was_rounded(seed):
    """Beside eigenvalues of 1e4 the least ones are known to about 1e-11; beyond that is outside."""
    rng, d = np.random.default_rng(seed), 6
    Q = np.linalg.qr(rng.normal(size=(d, d)))[0]
    edge = (Q * np.r_[1e-6, 1e-6, 1.0, 1e3, 1e4, 1e4]) @ Q.T
    learner = owo.OnlineWithinOnline(owo.Absolute(), owo.GrowingFTRL(1.0), geometry=owo.geometry.Full())
    X = rng.normal(size=(8, d))
    ledger = learner.run([(X, X @ rng.normal(size=d))] * 3)
    weights = rng.normal(size=(1, d))
    losses = np.full(3, np.abs(X @ weights[0] - X @ np.zeros(d)).sum())
    inside = owo.hindsight.Comparator("edge", np.zeros(d), weights, losses, metric=0.5 * (edge + edge.T))
    assert np.isfinite(ledger.certificate(inside).total).all()
    below = (Q * np.r_[1e-7, 1e-6, 1.0, 1e1, 1e1, 1e1]) @ Q.T
    with pytest.raises(ValueError, match="comparator has metric has eigenvalues from 1e-07"):
        ledger.certificate(inside._replace(metric=0.5 * (below + below.T)))
