"""One protocol, one result; causality; nothing half-applied; evaluation changes nothing."""

from __future__ import annotations

import copy
import itertools
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import pytest
from games import ACROSS, CLASSIFICATION, LOSSES, WITHIN, beside, name, stream, tried

import owo
from owo.streams import Block, Task

SETUPS = list(
    itertools.product(
        ("task", "point"), ((owo.GrowingFTRL(1.0), owo.DualAveraging(0.1)), (owo.CoinBetting(), owo.CoinBetting()))
    )
)


def make(update="task", laws=(owo.GrowingFTRL(1.0), owo.DualAveraging(0.1)), loss=None):
    return owo.OnlineWithinOnline(loss or owo.Absolute(), *laws, update)


def same(a, b):
    """Two learners hold the same numbers, bit for bit."""
    assert np.array_equal(a.bias, b.bias)
    assert np.array_equal(a.ledger.losses, b.ledger.losses) and a.ledger.keys == b.ledger.keys
    for ours, theirs in zip(a.ledger.account, b.ledger.account, strict=True):
        assert np.array_equal(ours, theirs)
    for ours, theirs in zip(a.ledger.tally, b.ledger.tally, strict=True):
        assert np.array_equal(ours, theirs)
    assert np.array_equal(a.ledger.overlap, b.ledger.overlap) and np.array_equal(a.ledger.pending, b.ledger.pending)
    assert sorted(map(str, a.open_tasks)) == sorted(map(str, b.open_tasks))
    for task in a.open_tasks:
        assert np.array_equal(a.weights(task), b.weights(task))


def by_hand(block, loss, strength, step, update, centre):
    """The paper's algorithm, written with vectors and no shortcuts."""
    theta, G, losses = centre.copy(), np.zeros_like(centre), []
    for task in block.tasks():
        q, total = np.zeros_like(centre), 0.0
        for i, (x, y) in enumerate(zip(task.X, task.y, strict=True), start=1):
            w = theta - q / (strength * i)
            p = float(w @ x)
            total += loss.value(p, y)
            g = loss.subgradient(p, y) * x
            q = q + g
            if update == "point":
                G = G + g
                theta = centre - step * G
        if update == "task":
            G = G + q
            theta = centre - step * G
        losses.append(total)
    return theta, np.array(losses)


@pytest.mark.parametrize("update", ["task", "point"])
@pytest.mark.parametrize("loss", LOSSES, ids=name)
def test_equals_the_algorithm_written_with_vectors(loss, update):
    rng = np.random.default_rng(0)
    block = stream(rng, loss, [9, 1, 14, 30], 6, 1.0, "random")
    centre = 0.3 * rng.normal(size=6)
    learner = owo.OnlineWithinOnline(loss, owo.GrowingFTRL(0.8), owo.DualAveraging(0.05), update, bias=centre)
    ledger = learner.run(block)
    theta, losses = by_hand(block, loss, 0.8, 0.05, update, centre)
    # the same sums in another order
    assert np.allclose(ledger.losses, losses, rtol=1e-12, atol=1e-12) and np.allclose(
        learner.bias, theta, rtol=1e-12, atol=1e-12
    )


@pytest.mark.parametrize(("update", "laws"), SETUPS)
def test_all_roads_give_the_same_bits_for_contiguous_tasks(update, laws):
    block = stream(np.random.default_rng(1), owo.Absolute(), [3, 1, 8, 20, 5], 7, 1.0, "random")
    whole = make(update, laws)
    whole.run(block)
    tasks = make(update, laws)
    tasks.run(block.tasks())
    pieces = make(update, laws)
    for start in range(0, block.n, 4):
        pieces.run(block.rows(start, min(start + 4, block.n)))
    single = make(update, laws)
    for task in block.tasks():
        for x, y in zip(task.X, task.y, strict=True):
            expected = single.predict_one(x, task.key)
            # a prediction is one dot product with w, learn_one's are two: with theta and with q
            assert single.learn_one(x, y, task.key) == pytest.approx(expected, rel=1e-12, abs=1e-12)
        single.end_task(task.key)
    for other in (tasks, pieces, single):
        same(whole, other)


@pytest.mark.parametrize(("update", "laws"), SETUPS)
def test_all_roads_give_the_same_bits_for_interleaved_tasks(update, laws):
    rng = np.random.default_rng(2)
    block = stream(rng, owo.Absolute(), [3, 1, 8, 20, 5], 7, 1.0, "random").interleaved(rng)
    whole = make(update, laws)
    whole.run(block)
    single = make(update, laws)
    pieces = make(update, laws)
    for start in range(0, block.n, 5):
        pieces.run(block.rows(start, min(start + 5, block.n)))
    for r in range(block.n):
        key = block.keys[block.task[r]]
        single.learn_one(block.X[r], block.y[r], key)
        if block.ends[r]:
            single.end_task(key)
    same(whole, single)
    same(whole, pieces)
    assert whole.ledger.overlap.any() and whole.ledger.pending.any() == (update == "point")
    if update == "point":  # no task is open any more
        assert whole.ledger.overlap[-1] == whole.ledger.pending[-1] == 0.0


FROZEN = [j for j in range(len(WITHIN)) if tried(-j % len(ACROSS), j)]


@pytest.mark.parametrize("j", FROZEN, ids=[name(WITHIN[j]) for j in FROZEN])
def test_interleaving_changes_nothing_where_the_bias_is_frozen(j):
    rng, i = np.random.default_rng(3), -j % len(ACROSS)
    assert beside(i, j) == owo.Frozen()
    block = stream(rng, LOSSES[i], [6, 9, 12], 5, 1.0, "random")
    apart, mixed = (owo.OnlineWithinOnline(LOSSES[i], WITHIN[j], owo.Frozen(), "task") for _ in range(2))
    apart.run(block)
    mixed.run(block.interleaved(rng))
    order = [mixed.ledger.keys.index(key) for key in apart.ledger.keys]
    assert np.array_equal(apart.ledger.losses, mixed.ledger.losses[order])


@pytest.mark.parametrize("update", ["task", "point"])
@pytest.mark.parametrize("j", range(len(ACROSS)), ids=[name(law) for law in ACROSS])
def test_future_labels_change_nothing_earlier(update, j):
    rng, inner, outer = np.random.default_rng(4), WITHIN[j], beside(LOSSES.index(owo.Absolute()), j)
    block = stream(rng, owo.Absolute(), [10] * 6, 4, 1.0, "random")
    for cut in (0, 7, 25, 59):
        y = block.y.copy()
        y[cut:] = rng.permutation(y[cut:]) + rng.normal(size=len(y) - cut)
        changed = Block(block.X, y, block.task, block.ends, block.keys)
        a, b = (make(update, (inner, outer)).run(blk, points=True).points[0]["prediction"] for blk in (block, changed))
        assert np.array_equal(a[: cut + 1], b[: cut + 1])  # the prediction at the first changed label is made before it


def test_late_gradients_are_exactly_accounted_for():
    """Two tasks that overlap: by hand, the first one's end moves the bias under the second."""
    x, one = np.array([1.0]), owo.DualAveraging(1.0)
    learner = owo.OnlineWithinOnline(owo.Absolute(), owo.Frozen(), one, "task")
    learner.learn_one(x, 1.0, "a")  # predicts 0, slope -1
    learner.learn_one(x, 1.0, "b")  # predicts 0, slope -1
    learner.end_task("a")  # bias 0 -> 1
    assert learner.bias == 1.0
    learner.learn_one(x, 3.0, "b")  # predicts 1, slope -1
    learner.end_task("b")  # gradients at 0 and 1, delivered at 1: (-1) (0 - 1) + (-1) (1 - 1)
    assert learner.ledger.overlap.tolist() == [0.0, 1.0] and learner.bias == 3.0


def test_adapt_and_predict_leave_no_trace():
    rng = np.random.default_rng(5)
    block = stream(rng, owo.Absolute(), [10] * 8, 4, 1.0, "random")
    learner, twin = make("point"), make("point")
    learner.run(block)
    learner.learn_one(block.X[0], block.y[0], "open")
    twin.run(block)
    twin.learn_one(block.X[0], block.y[0], "open")
    X, y = block.X[:10], block.y[:10]
    last, mean = learner.adapt(X, y), learner.adapt(X, y, average=True)
    learner.predict(X), learner.predict(X, "open"), learner.predict_one(X[0]), learner.weights("open")
    same(learner, twin)
    fresh = owo.OnlineWithinOnline(owo.Absolute(), learner.inner, owo.Frozen(), "task", bias=learner.bias)
    iterates = []
    for x, label in zip(X, y, strict=True):
        iterates.append(fresh.weights("t"))
        fresh.learn_one(x, label, "t")
    assert np.allclose(last, fresh.weights("t"), rtol=1e-13) and np.allclose(
        mean, np.mean(iterates, axis=0), rtol=1e-12
    )


LAWS = (owo.Frozen(), owo.DualAveraging(0.3), owo.GrowingFTRL(2.0), owo.InverseSqrt(0.5), owo.AdaptiveNorm(1.0),
        owo.CoinBetting(), owo.Ball(owo.DualAveraging(0.5), 0.3), owo.Implicit(0.4))  # fmt: skip
"""As in ``WITHIN``, with other numbers."""


@pytest.mark.parametrize(
    ("metric", "law"),
    [
        pytest.param(metric, law, id=f"{metric}-{type(law).__name__}")
        for i, metric in enumerate(("none", "diagonal", "matrix"))
        for j, law in enumerate(LAWS)
        if tried(i, j)
    ],
)
def test_weights_of_many_new_tasks_are_those_of_one_after_another(law, metric):
    """The mean by one formula from slopes and scales; here from the iterates themselves, point by point."""
    rng = np.random.default_rng(7)
    A = rng.normal(size=(4, 4))
    given = {"none": None, "diagonal": rng.uniform(0.2, 2.0, 4), "matrix": A @ A.T}[metric]
    geometry = None if metric == "none" else owo.geometry.Fixed()
    bias = rng.normal(size=4)
    learner = owo.OnlineWithinOnline(owo.Huber(0.8), law, owo.CoinBetting(), geometry=geometry, bias=bias, metric=given)
    # while no task has ended the outer law does not matter; this one is compiled with the others anyway
    outer = owo.Frozen() if geometry else beside(LOSSES.index(owo.Huber(0.7)), LAWS.index(law))
    block = stream(rng, owo.Huber(0.8), [1, 9, 4, 12, 2], 4, 1.0, "random")
    mixed = rng.permutation(block.n)
    mixed = owo.Block(block.X[mixed], block.y[mixed], block.task[mixed], keys=block.keys)
    for tasks in (block, mixed):
        last, mean = learner.adapt_each(tasks), learner.adapt_each(tasks, average=True)
        for row, task in enumerate(tasks.tasks()):
            alone = owo.OnlineWithinOnline(
                owo.Huber(0.8), law, outer, "task", geometry=geometry, bias=bias, metric=given
            )
            iterates = []
            for x, label in zip(task.X, task.y, strict=True):
                iterates.append(alone.weights("t"))
                alone.learn_one(x, label, "t")
            np.testing.assert_allclose(last[row], alone.weights("t"), rtol=1e-11, atol=1e-13)  # sums in another order
            np.testing.assert_allclose(mean[row], np.mean(iterates, axis=0), rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("geometry", [None, owo.geometry.Scalar(), owo.geometry.Diagonal(), owo.geometry.Full()])
def test_a_learner_without_data_adapts_from_where_it_would_start(geometry):
    fresh, opened = (
        owo.OnlineWithinOnline(owo.Absolute(), owo.GrowingFTRL(1.0), geometry=geometry, bias=bias)
        for bias in (None, [0.0, 0.0])
    )
    tasks = [([[1.0, 2.0], [3.0, -1.0]], [1.0, 5.0]), ([[1.0, 1.0]], [-2.0])]
    for average in (False, True):
        weights = fresh.adapt_each(tasks, average=average)
        np.testing.assert_array_equal(weights, opened.adapt_each(tasks, average=average))
        np.testing.assert_allclose(fresh.adapt(*tasks[0], average=average), weights[0], rtol=1e-13)
    assert fresh.d is None


def test_weights_of_many_new_tasks_need_whole_tasks_of_the_same_width():
    learner = owo.OnlineWithinOnline(owo.Absolute(), bias=[1.0])
    with pytest.raises(ValueError, match="task 1 goes on after its block; weights need all of a task at once"):
        learner.adapt_each(owo.Block([[1.0], [1.0]], [0.0, 1.0], [0, 1], [True, False]))
    with pytest.raises(ValueError, match="points have 2 features; this learner has 1"):
        learner.adapt_each([([[1.0, 2.0]], [0.0])])
    with pytest.raises(ValueError, match="the stream is empty"):
        learner.adapt_each([])
    with pytest.raises(FloatingPointError, match="a loss or a gradient overflowed at row 0"):
        owo.OnlineWithinOnline(owo.Squared(), owo.DualAveraging(1e200)).adapt([[1e100], [1e100]], [1.0, 1.0])


def test_a_copied_learner_goes_on_by_itself():
    rng = np.random.default_rng(6)
    block = stream(rng, owo.Absolute(), [10] * 4, 4, 1.0, "random")
    learner = make()
    learner.run(block)
    before = learner.bias
    other = copy.deepcopy(learner)
    other.run(block)
    assert np.array_equal(learner.bias, before) and not np.array_equal(other.bias, before)
    learner.run(block)
    same(learner, other)


def test_a_task_key_may_come_back():
    rng = np.random.default_rng(7)
    X, y = rng.normal(size=(4, 3)), rng.normal(size=4)
    learner = make()
    learner.run([Task(X, y, "a"), Task(X, y, "a")])
    assert learner.ledger.keys == ["a", "a"] and learner.open_tasks == []


def test_slots_are_reused():
    learner = make("point")
    for k in range(500):
        learner.learn_one([1.0, 0.5], 1.0, k)
        if k >= 3:
            learner.end_task(k - 3)
    assert len(learner.open_tasks) == 3 and len(learner._slots.arrays.sums) <= 8


def test_pairs_arrays_and_labels_of_all_losses_are_taken():
    for loss in CLASSIFICATION:
        ledger = make(loss=loss).run([(np.eye(2), np.array([1.0, -1.0]))])
        assert len(ledger) == 1 and ledger.rounds.tolist() == [2.0]


def test_a_class_defined_anew_is_compiled_anew():
    """A cell of a notebook that is run again: the same name, other code."""

    def defined(factor):
        @owo.loss
        class Priced(NamedTuple):
            def value(self, p, y):
                return factor * abs(p - y)

            def subgradient(self, p, y):
                return factor if p > y else -factor if p < y else 0.0

            def conjugate(self, s, y):
                return s * y if abs(s) <= factor else np.inf

            def prox(self, p, y, step):
                a = factor * step
                return p - a if p - y > a else p + a if p - y < -a else y

        return Priced()

    task = [(np.ones((1, 1)), [4.0])]
    losses = [
        owo.OnlineWithinOnline(defined(factor), owo.GrowingFTRL(1.0), owo.Frozen(), "task").run(task).losses[0]
        for factor in (1.0, 9.0, 5.0)
    ]
    assert losses == [4.0, 36.0, 20.0]
    assert repr(defined(2.0)) == "Priced()"


def test_a_law_may_inherit_from_another():
    @owo.law
    class Bold(owo.CoinBetting):
        def start(self):
            return (10.0 * self.initial, 1.0, self.limit)

    owo.checks.check_law(Bold(1.0, 1.0))
    assert Bold(1.0, 1.0).clip((10.0, 1.0, 1.0), 4.0) == 0.5


def test_a_loss_that_raises_leaves_no_trace():
    @owo.loss
    class Moody(NamedTuple):
        def value(self, p, y):
            if y == 13.0:
                raise ValueError("unlucky")
            return abs(p - y)

        def subgradient(self, p, y):
            return 1.0 if p > y else -1.0 if p < y else 0.0

        def conjugate(self, s, y):
            return s * y if abs(s) <= 1.0 else np.inf

        def prox(self, p, y, step):
            return p - step if p - y > step else p + step if p - y < -step else y

    rng = np.random.default_rng(8)
    block = stream(rng, owo.Absolute(), [6, 5, 7], 3, 1.0, "random").interleaved(rng)
    labels = block.y.copy()
    labels[12] = 13.0
    learner, twin = (owo.OnlineWithinOnline(Moody(), owo.GrowingFTRL(1.0), owo.DualAveraging(0.1)) for _ in range(2))
    for each in (learner, twin):
        each.run(block)
        each.learn_one(block.X[0], 1.0, "open")
    with pytest.raises(ValueError, match="unlucky"):
        learner.run(Block(block.X, labels, block.task, block.ends, block.keys))
    same(learner, twin)
    learner.run(block)
    twin.run(block)
    same(learner, twin)


def test_sums_that_would_overflow_are_refused_at_the_point_where_they_would():
    """|q|^2 of 14 such points may be 14^2 1e306, too much for a float64."""
    X, y = np.full((100, 1), 1e153), np.ones(100)
    learner = owo.OnlineWithinOnline(owo.Absolute(), owo.Frozen(), owo.AdaptiveNorm(), "task")
    learner.run([(np.ones((2, 1)), np.ones(2))])
    before = learner.bias
    with pytest.raises(FloatingPointError, match="row 13"):
        learner.run([(X, y)])
    assert np.array_equal(learner.bias, before) and len(learner.ledger) == 1
    for x, label in zip(X[:13], y[:13], strict=True):
        learner.learn_one(x, label, "big")
    with pytest.raises(FloatingPointError, match="row 0"):
        learner.learn_one(X[13], y[13], "big")
    with pytest.raises(FloatingPointError, match="it stays open"):
        learner.end_task("big")  # for the learner across tasks, 13^2 1e306 is too much beside another task
    assert learner.open_tasks == ["big"] and np.array_equal(learner.bias, before)


def test_a_point_that_would_spoil_a_certificate_is_refused():
    for laws in ((owo.Frozen(), owo.DualAveraging(1e5)), (owo.DualAveraging(1e5), owo.Frozen())):
        learner, twin = make("point", laws), make("point", laws)
        for each in (learner, twin):
            each.learn_one([1.0], 1.0, "a")
        with pytest.raises(FloatingPointError, match="row 0"):
            learner.learn_one([1e153], 1.0, "b")
        same(learner, twin)
        learner.end_task("a")


def test_a_task_that_ends_late_never_makes_the_bias_run_away():
    """Tasks open all at once, as in a file sorted by date: coin betting loses what its late bets really lost."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(1500, 4))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    y = X @ np.full(4, 2.0) + 0.3 * rng.normal(size=1500)
    block = owo.streams.from_arrays(X, y, np.tile(np.arange(60), 25))
    late = owo.OnlineWithinOnline(owo.Absolute(), update="task").run(block)
    alone = owo.OnlineWithinOnline(owo.Absolute(), outer=owo.Frozen(), update="task").run(block)
    assert late.average_loss()[-1] <= 1.01 * alone.average_loss()[-1]


@pytest.mark.parametrize(
    "key", [1, 1.0, np.float64(1), np.int64(1), True, Fraction(1), Decimal(1), complex(1)], ids=repr
)
def test_numbers_given_to_tasks_avoid_all_open_keys_that_equal_them(key):
    learner = make()
    learner.learn_one([1.0, 2.0], 3.0, key)
    learner.run([(np.ones((2, 2)), np.ones(2))] * 3)
    assert learner.open_tasks == [key] and learner.ledger.rounds.tolist() == [2, 2, 2]


def test_masked_numbers_are_no_numbers():
    learner = make()
    with pytest.raises(ValueError, match="x is masked at row 0"):
        learner.learn_one(np.ma.array([9.0], mask=[True]), 1.0, "a")
    with pytest.raises(ValueError, match="y is masked"):
        learner.learn_one([1.0], np.ma.masked, "a")
    assert learner.d is None


@pytest.mark.parametrize("key", [float("nan"), np.float64("nan"), np.datetime64("NaT")], ids=repr)
def test_a_key_that_does_not_equal_itself_is_refused(key):
    with pytest.raises(ValueError, match="does not equal itself"):
        make().learn_one([1.0], 1.0, key)


def test_there_is_no_ledger_before_there_are_data():
    with pytest.raises(ValueError, match="the ledger has no dimension before any data"):
        make().ledger  # noqa: B018


def test_first_data_that_are_refused_do_not_fix_the_dimension():
    learner = owo.OnlineWithinOnline(owo.Absolute())
    with pytest.raises(FloatingPointError):
        learner.run([(np.full((1, 3), 1e200), [1.0])])
    learner.run([(np.ones((1, 5)), [1.0])])
    assert learner.d == 5


def test_tasks_without_a_key_never_continue_an_open_one():
    learner = make()
    learner.learn_one([1.0, 2.0], 1.0, 0)
    learner.run([(np.ones((2, 2)), [1.0, 2.0])])
    learner.run([(np.ones((3, 2)), [1.0, 2.0, 3.0])])
    assert learner.open_tasks == [0] and learner.ledger.rounds.tolist() == [2.0, 3.0]
    assert len(set(learner.ledger.keys)) == 2
