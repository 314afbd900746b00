"""Points one by one: behind the quick door all is as on the ordinary road, to the bit, also what is refused."""

import copy
import math
import pickle
from typing import NamedTuple

import numpy as np
import pytest

import owo
from owo.engine import MANY

GAMES = [
    (owo.Absolute(), owo.GrowingFTRL(0.5), owo.GrowingFTRL(20.0)),
    (owo.Absolute(), owo.AdaptiveNorm(1.0), owo.AdaptiveNorm(0.2)),
    (owo.Absolute(), owo.CoinBetting(limit=0.3), owo.CoinBetting(limit=0.1)),
    (owo.Squared(), owo.Implicit(0.3), owo.AdaptiveNorm(0.1)),
    (owo.Absolute(), owo.Ball(owo.DualAveraging(0.3), 0.5), owo.Ball(owo.DualAveraging(0.05), 0.2)),
    (owo.EpsilonInsensitive(0.2), owo.Frozen(), owo.DualAveraging(0.05)),
]
"""Laws as they stand beside each other in ``games``, with other numbers: the road is compiled with them anyway."""


def points(seed, n=260, d=4, tasks=5):
    """Points of tasks that are mixed, as arrays, labels and keys."""
    rng = np.random.default_rng(seed)
    return (
        list(rng.normal(size=(n, d))),
        rng.normal(size=n).tolist(),
        [f"task {k}" for k in rng.integers(tasks, size=n)],
    )


def fed(learner, rows, labels, keys, *, quick):
    """Predictions of a learner that meets points one by one, as arrays or as lists, for which the door is shut."""
    found = []
    for r, (x, y, key) in enumerate(zip(rows, labels, keys, strict=True)):
        found.append(learner.learn_one(x if quick else x.tolist(), y, key))
        if r % 50 == 49:
            learner.end_task(key)
    return found


def same(one, other):
    """Whether two learners are in the same state, to the bit."""
    slots, others = one._slots, other._slots
    assert slots.keys == others.keys and sorted(slots.free) == sorted(others.free)
    for mine, theirs in zip(slots.arrays, others.arrays, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    for name in ("_total", "_theta", "_meta", "_tally", "_pending", "_clock"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    for name, mine in one.ledger.tables.items():
        np.testing.assert_array_equal(mine.filled, other.ledger.tables[name].filled)


@pytest.mark.parametrize("update", ["task", "point"])
@pytest.mark.parametrize(("loss", "inner", "outer"), GAMES, ids=repr)
def test_behind_the_door_every_law_does_what_it_does_on_the_road(loss, inner, outer, update):
    for seed in range(3):
        quick, plain = (owo.OnlineWithinOnline(loss, inner, outer, update, bias=np.ones(4)) for _ in range(2))
        data = points(seed)
        assert fed(quick, *data, quick=True) == fed(plain, *data, quick=False)
        assert quick._single is not None
        same(quick, plain)
        for x, key in zip(data[0][:20], [*data[2][:19], "another"], strict=True):
            assert quick.predict_one(x, key) == pytest.approx(plain.predict_one(x.tolist(), key), rel=1e-12, abs=1e-14)
            assert quick.predict_one(x) == pytest.approx(plain.predict_one(x.tolist()), rel=1e-12, abs=1e-14)


@pytest.mark.parametrize(
    "loss", [owo.Logistic(), owo.Hinge(), owo.Pinball(0.3), owo.Huber(0.5)], ids=lambda loss: type(loss).__name__
)
def test_behind_the_door_every_loss_is_itself(loss):
    quick, plain = (owo.OnlineWithinOnline(loss) for _ in range(2))
    rows, labels, keys = points(9)
    if not loss.accepts(0.5):
        labels = [1.0 if y > 0 else -1.0 for y in labels]
    assert fed(quick, rows, labels, keys, quick=True) == fed(plain, rows, labels, keys, quick=False)
    same(quick, plain)


def begun():
    """A learner that has a door, and a twin that has none."""
    learners = [owo.OnlineWithinOnline(owo.Hinge(), owo.GrowingFTRL(1.0), owo.DualAveraging(0.1)) for _ in range(2)]
    rows, labels, keys = points(3, n=MANY + 20)
    labels = [1.0 if y > 0 else -1.0 for y in labels]
    for learner, quick in zip(learners, (True, False), strict=True):
        for x, y, key in zip(rows, labels, keys, strict=True):
            learner.learn_one(x if quick else x.tolist(), y, key)
    return learners


X = np.ones(4)


@pytest.mark.parametrize(
    "x, y, key, error, words",
    [
        (np.array([1.0, np.nan, 0.0, 0.0]), 1.0, "new", ValueError, "NaN"),
        (np.array([1.0, np.inf, 0.0, 0.0]), 1.0, "task 1", ValueError, "inf"),
        (np.ones(5), 1.0, "new", ValueError, "5 features"),
        (np.ones((1, 4)), 1.0, "task 1", ValueError, "one point"),
        (X, float("nan"), "task 1", ValueError, "NaN"),
        (X, 0.5, "task 1", ValueError, "label"),
        (X, 0.5, "new", ValueError, "label"),
        (X, 1.0, None, ValueError, "None"),
        (X, 1.0, ["a"], TypeError, "hash"),
        (X, 1.0, float("nan"), ValueError, "equal"),
        (1e200 * X, 1.0, "task 1", FloatingPointError, "overflowed"),
        (1e200 * X, 1.0, "new", FloatingPointError, "overflowed"),
        (np.ma.masked_array(X, [True, False, False, False]), 1.0, "task 1", (TypeError, ValueError), "mask"),
        (X.astype(complex), 1.0, "task 1", TypeError, "real"),
    ],
)
def test_what_is_refused_on_the_road_is_refused_at_the_door(x, y, key, error, words):
    learner, twin = begun()
    assert learner._single is not None
    with pytest.raises(error, match=words):
        learner.learn_one(x, y, key)
    same(learner, twin)
    learner.learn_one(X, 1.0, "new")
    twin.learn_one(X.tolist(), 1.0, "new")
    same(learner, twin)


@owo.loss
class Excess(NamedTuple):
    """``max(p - y, 0)`` for labels of at least 0, infinite ones too."""

    def value(self, p, y):
        return max(p - y, 0.0)

    def subgradient(self, p, y):
        return 1.0 if p > y else 0.0

    def conjugate(self, s, y):
        return s * y if 0.0 <= s <= 1.0 else math.inf

    def prox(self, p, y, step):
        return min(p, max(p - step, y))

    def accepts(self, y):
        return y >= 0.0


def test_a_label_that_a_loss_would_take_but_that_is_no_number_is_refused():
    learner = owo.OnlineWithinOnline(Excess(), bias=np.ones(4))
    for _ in range(MANY + 1):
        learner.learn_one(X, 1.0, "task")
    assert learner._single is not None
    with pytest.raises(ValueError, match="inf"):
        learner.learn_one(X, math.inf, "task")


@pytest.mark.parametrize("road", ["door", "list", "run"])
def test_a_prediction_that_overflows_is_refused_even_if_the_loss_is_zero(road):
    learner = owo.OnlineWithinOnline(
        owo.Hinge(), owo.CoinBetting(), owo.Frozen(), "task", bias=[1e300, -1e299, 0.0, 0.0]
    )
    for _ in range(MANY + 1):
        learner.learn_one(np.array([1.0, 1.0, 0.0, 0.0]), 1.0, "task")
    x = np.array([1e10, 1.0, 0.0, 0.0])
    with pytest.raises(FloatingPointError, match="overflowed"):
        if road == "run":
            learner.run([(x[None, :], [1.0])])
        else:
            learner.learn_one(x if road == "door" else x.tolist(), 1.0, "task")
    learner.end_task("task")
    assert np.isfinite(learner.ledger.tables["tasks"].filled).all()


@pytest.mark.parametrize(
    "x", [X.astype(np.float32), np.ones((4, 2))[:, 0], X.astype(">f8"), np.ones(4, dtype=np.int64), X.tolist()],
    ids=["single", "strided", "swapped", "whole", "list"],
)  # fmt: skip
def test_what_the_door_does_not_take_takes_the_road(x):
    learner, twin = begun()
    for y in (1.0, 1, np.float64(1.0), np.int8(-1)):
        assert learner.learn_one(x, y, "task 2") == twin.learn_one(X.tolist(), float(y), "task 2")
    same(learner, twin)


def test_a_copy_has_a_door_of_its_own():
    learner, twin = begun()
    for copied in (copy.deepcopy(learner), pickle.loads(pickle.dumps(learner))):
        assert copied._single is None
        for _ in range(MANY + 1):
            copied.learn_one(2 * X, -1.0, "elsewhere")
        assert copied._single is not None and copied._single is not learner._single
        same(learner, twin)
        assert "elsewhere" in copied.open_tasks


def test_the_door_stays_open_while_blocks_are_run_and_tasks_multiply():
    learner, twin = begun()
    rng = np.random.default_rng(1)
    for step in range(30):
        block = owo.Block(
            rng.normal(size=(6, 4)), np.ones(6), [0, 1, 0, 1, 1, 0], ends=np.zeros(6, bool), keys=[step, f"task {step}"]
        )
        learner.run(block)
        twin.run(block)
        for k in range(8):
            x = rng.normal(size=4)
            assert learner.learn_one(x, 1.0, ("many", step, k)) == twin.learn_one(x.tolist(), 1.0, ("many", step, k))
    same(learner, twin)
    assert len(learner.open_tasks) > 250


def test_learners_without_a_door_go_on_by_the_road():
    rows, labels, keys = points(0, n=MANY + 10)
    for learner in (
        owo.OnlineWithinOnline(owo.Softmax(3)),
        owo.OnlineWithinOnline(owo.Absolute(), owo.GrowingFTRL(1.0), geometry=owo.geometry.Diagonal()),
    ):
        for x, y, key in zip(rows, labels, keys, strict=True):
            learner.learn_one(x, 1.0 if learner.loss == owo.Softmax(3) else y, key)
        assert learner._single is None


@pytest.mark.parametrize("loss", [owo.Absolute(), owo.Softmax(3)], ids=lambda loss: type(loss).__name__)
@pytest.mark.parametrize("update", ["task", "point"])
@pytest.mark.parametrize(
    "inner", [owo.GrowingFTRL(1.0), owo.CoinBetting(limit=0.5)], ids=lambda law: type(law).__name__
)
def test_a_learner_that_was_widened_goes_on_as_if_the_new_features_had_been_zero(loss, update, inner):
    narrow, wide = (owo.OnlineWithinOnline(loss, inner, owo.DualAveraging(0.1), update) for _ in range(2))
    rows, labels, keys = points(4, n=3 * MANY)
    labels = [float(k % 3) for k in range(len(labels))] if loss == owo.Softmax(3) else labels
    for r, (x, y, key) in enumerate(zip(rows, labels, keys, strict=True)):
        if r == 2 * MANY:
            narrow.widen(6)
        more = x[:2] if r >= 2 * MANY else np.zeros(2)
        x = np.concatenate([x, more])
        one = narrow.learn_one(x if r >= 2 * MANY else x[:4], y, key)
        np.testing.assert_allclose(one, wide.learn_one(x, y, key), rtol=1e-11, atol=1e-12)
        if r % 70 == 69:
            narrow.end_task(key)
            wide.end_task(key)
    np.testing.assert_allclose(narrow.bias, wide.bias, rtol=1e-10, atol=1e-12)
    size = wide.bias.size
    comparator = owo.hindsight.Comparator("some", np.ones(size), np.ones((1, size)), np.zeros(len(wide.ledger)))
    np.testing.assert_allclose(
        narrow.ledger.certificate(comparator).total, wide.ledger.certificate(comparator).total, rtol=1e-10
    )


def test_what_cannot_be_widened_is_refused():
    with pytest.raises(ValueError, match="no dimension"):
        owo.OnlineWithinOnline(owo.Absolute()).widen(3)
    learner = owo.OnlineWithinOnline(owo.Absolute(), bias=np.zeros(4))
    with pytest.raises(ValueError, match="4 or more"):
        learner.widen(3)
    fixed = owo.OnlineWithinOnline(owo.Absolute(), geometry=owo.geometry.Fixed(), metric=2.0, bias=np.zeros(4))
    with pytest.raises(ValueError, match="without a geometry"):
        fixed.widen(5)


class Busybody:
    """A key that uses the learner whenever it is compared."""

    def __init__(self, act):
        self.act = act

    def __hash__(self):
        return hash("task 1")

    def __eq__(self, other):
        if other == "task 1":
            self.act()
        return other == "task 1"


@pytest.mark.parametrize("what", ["grows", "ends", "learns"])
def test_a_key_may_use_the_learner_while_it_is_looked_up(what):
    learner, twin = begun()
    done = []

    def act():
        if not done:
            done.append(what)
            if what == "grows":
                for k in range(50):
                    learner.learn_one(X, 1.0, k)
            elif what == "ends":
                learner.end_task("task 1")
            else:
                learner.learn_one(2 * X, -1.0, "task 1")

    if what == "grows":
        for k in range(50):
            twin.learn_one(X.tolist(), 1.0, k)
    elif what == "ends":
        twin.end_task("task 1")
    else:
        twin.learn_one((2 * X).tolist(), -1.0, "task 1")
    assert learner._single is not None
    assert learner.learn_one(X, 1.0, Busybody(act)) == twin.learn_one(X.tolist(), 1.0, "task 1")
    assert done == [what]
    if what != "ends":  # else the key is the busybody now
        same(learner, twin)
    np.testing.assert_array_equal(learner.weights("task 1"), twin.weights("task 1"))


class Rude:
    """A key that cannot be looked up when it likes."""

    def __init__(self):
        self.rude = False

    def __hash__(self):
        if self.rude:
            raise OSError("not today")
        return 7


def test_a_key_that_fails_is_heard_and_changes_nothing():
    learner, twin = begun()
    assert learner._single is not None
    key = Rude()
    learner.learn_one(X, 1.0, key)
    twin.learn_one(X.tolist(), 1.0, key)
    key.rude = True
    for ask in (
        lambda: learner.learn_one(X, 1.0, key),
        lambda: learner.predict_one(X, key),
        lambda: learner.weights(key),
    ):
        with pytest.raises(OSError, match="not today"):
            ask()
    with pytest.raises(TypeError, match="hash"):
        learner.predict_one(X, ["a"])
    key.rude = False
    same(learner, twin)


def test_arrays_and_numbers_of_other_classes_or_places_take_the_road():
    learner, twin = begun()
    room = np.zeros(8 * 4 + 1, dtype=np.uint8)
    shifted = room[1:].view(np.float64)
    shifted[:] = X

    class Array(np.ndarray):
        pass

    class Number(float):
        pass

    for x in (shifted, X.view(Array), np.broadcast_to(1.0, 4)):
        assert math.isnan(learner._single.learn(x, 1.0, "task 2"))
        assert learner.learn_one(x, Number(1.0), "task 2") == twin.learn_one(X.tolist(), 1.0, "task 2")
        assert learner.predict_one(x, "task 2") == pytest.approx(twin.predict_one(X.tolist(), "task 2"), rel=1e-12)
    for y in (Number(1.0), 1, True, "1"):
        assert math.isnan(learner._single.learn(X, y, "task 2"))
    same(learner, twin)


def test_where_objects_are_laid_out_in_another_way_there_is_no_door(monkeypatch):
    from owo import single

    monkeypatch.setattr(single, "DTYPE", single.SHAPE)
    single._as_expected.cache_clear()
    learner, _ = begun()
    assert learner._single is None
    monkeypatch.undo()
    single._as_expected.cache_clear()
    learner, _ = begun()
    assert learner._single is not None


def test_readers_find_arrays_that_moved():
    learner, twin = begun()
    block = owo.Block(np.ones((60, 4)), np.ones(60), np.arange(60), ends=np.zeros(60, bool))
    learner.run(block)
    twin.run(block)
    assert math.isnan(learner._single.predict(X, "task 1"))
    for _ in range(2):
        assert learner.predict_one(X, "task 1") == pytest.approx(twin.predict_one(X.tolist(), "task 1"), rel=1e-12)
    assert not math.isnan(learner._single.predict(X, "task 1"))
