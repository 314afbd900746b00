"""Bad input: an error that says what came and what was needed, and a learner that is what it was."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from games import name
from test_online import same

import owo
from owo.streams import Block, Task

GOOD = np.array([[1.0, 0.5], [0.2, -1.0], [0.3, 0.3]])
LABELS = np.array([1.0, -1.0, 1.0])


class Undecorated(NamedTuple):
    def value(self, p, y):
        return abs(p - y)

    subgradient = conjugate = prox = value


def seasoned(loss, update="task"):
    """A learner with a past and an open task."""
    learner = owo.OnlineWithinOnline(loss, owo.GrowingFTRL(1.0), owo.DualAveraging(0.1), update)
    learner.run([Task(GOOD, LABELS, "past")])
    learner.learn_one(GOOD[0], LABELS[0], "open")
    return learner


def bad(change, value=None):
    X = GOOD.copy()
    X[1, 1] = np.nan if value is None else value
    return change(X)


BAD_TASKS = [
    ("NaN", lambda: (bad(lambda X: X), LABELS), ValueError, "X.* has NaN at row 1, column 1"),
    ("infinity", lambda: (bad(lambda X: X, np.inf), LABELS), ValueError, "X.* has inf at row 1, column 1"),
    ("label NaN", lambda: (GOOD, [1.0, np.nan, 1.0]), ValueError, "y.* has NaN at row 1"),
    (
        "label outside",
        lambda: (GOOD, [1.0, 0.0, 1.0]),
        ValueError,
        "does not take the label 0.0 at row 1 .*must be -1 or \\+1",
    ),
    ("empty task", lambda: (np.empty((0, 2)), []), ValueError, "no points"),
    ("no features", lambda: (np.empty((3, 0)), LABELS), ValueError, "no features"),
    ("too few labels", lambda: (GOOD, [1.0, -1.0]), ValueError, "2 labels and X.* 3 rows|needed one label a row"),
    ("one dimension", lambda: (GOOD[0], LABELS), ValueError, "needed \\(points, features\\)"),
    ("another d", lambda: (np.ones((3, 5)), LABELS), ValueError, "points have 5 features; this learner has 2"),
    ("objects", lambda: (GOOD.astype(object), LABELS), TypeError, "dtype object"),
    ("strings", lambda: (GOOD.astype(str), LABELS), TypeError, "needed real numbers"),
    ("complex", lambda: (GOOD * 1j, LABELS), TypeError, "complex"),
    (
        "overflow",
        lambda: (GOOD * 1e200, LABELS),
        FloatingPointError,
        "overflowed at row 0 .*nothing of this block",
    ),
]


@pytest.mark.parametrize("update", ["task", "point"])
@pytest.mark.parametrize(("make", "error", "message"), [b[1:] for b in BAD_TASKS], ids=[b[0] for b in BAD_TASKS])
def test_bad_points_are_refused_and_leave_no_trace(make, error, message, update):
    learner, twin = seasoned(owo.Hinge(), update), seasoned(owo.Hinge(), update)
    with pytest.raises(error, match=message):
        learner.run([make()])
    same(learner, twin)
    X, y = make()
    if np.ndim(X) == 2 and len(X) == len(y) > 0:
        with pytest.raises((ValueError, TypeError, FloatingPointError)):
            for x, label in zip(X, y, strict=True):
                learner.learn_one(x, label, "open")
                twin.learn_one(x, label, "open")
        same(learner, twin)


def test_a_block_that_overflows_in_the_middle_is_undone_whole():
    X = np.vstack([GOOD, GOOD * 1e200, GOOD])
    block = Block(X, np.tile(LABELS, 3), np.repeat([0, 1, 2], 3), None, ("open", "b", "c"))
    for blk in (block, block.interleaved(0)):
        learner, twin = seasoned(owo.Hinge()), seasoned(owo.Hinge())
        with pytest.raises(FloatingPointError, match=r"task 'b'.*nothing of this block"):
            learner.run(blk)
        same(learner, twin)
        learner.run([(GOOD, LABELS)])
        twin.run([(GOOD, LABELS)])
        same(learner, twin)


@pytest.mark.parametrize("update", ["task", "point"])
@pytest.mark.parametrize("size", [1e200, 1e308])
def test_the_row_that_overflowed_is_named_wherever_it_stands(update, size):
    keys, task, ends = ("open", "b", "c", "d"), [0, 1, 1, 2, 1, 0, 3, 3, 2], [0, 0, 0, 0, 1, 0, 0, 1, 0]
    X, y = np.tile(GOOD, (3, 1)), np.tile(LABELS, 3)
    learner = seasoned(owo.Hinge(), update)
    for row in range(len(y)):  # amid a task, at its end, before another goes on, and where the block ends with it open
        big = X.copy()
        big[row] *= size
        with pytest.raises(FloatingPointError, match=f"overflowed at row {row} .task '{keys[task[row]]}'"):
            learner.run(Block(big, y, np.array(task), np.array(ends, bool), keys))
    same(learner, seasoned(owo.Hinge(), update))


@pytest.mark.parametrize("wrong", [[0], [256, 300], [599]])
def test_the_first_label_that_is_refused_is_named_among_many(wrong):
    y = np.ones(600)
    y[wrong] = 0.0
    with pytest.raises(ValueError, match=f"label 0.0 at row {wrong[0]} "):
        owo.OnlineWithinOnline(owo.Hinge()).run([(np.ones((600, 1)), y)])


@pytest.mark.parametrize(
    "convert",
    [
        lambda X: X.astype(np.float16),
        lambda X: X.astype(">f8"),
        np.asfortranarray,
        lambda X: np.repeat(X, 2, axis=1)[:, ::2],
        lambda X: X.tolist(),
    ],
    ids=["float16", "big-endian", "Fortran order", "strided", "lists"],
)
def test_unusual_arrays_are_taken_as_the_numbers_they_hold(convert):
    X = GOOD.astype(np.float16).astype(float)
    a, b = seasoned(owo.Hinge()), seasoned(owo.Hinge())
    a.run([(X, LABELS)])
    b.run([(convert(X), LABELS)])
    same(a, b)


def test_one_point_and_a_constant_feature_are_no_special_cases():
    learner = owo.OnlineWithinOnline(owo.Absolute())
    ledger = learner.run([(np.ones((1, 2)), [3.0]), (np.ones((4, 2)), [3.0] * 4)])
    assert ledger.rounds.tolist() == [1.0, 4.0] and np.isfinite(ledger.losses).all()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda m: m.end_task("nobody"), KeyError, "task 'nobody' is not open.*'open'"),
        (lambda m: m.learn_one(GOOD, 1.0, "open"), ValueError, "learn_one takes one point"),
        (lambda m: m.learn_one(GOOD[0], [1.0, 2.0], "open"), ValueError, "learn_one takes one label"),
        (lambda m: m.learn_one(GOOD[0], 1.0, ["a", "list"]), TypeError, "cannot be hashed"),
        (lambda m: m.learn_one(GOOD[0], 1.0, None), ValueError, "task is None"),
        (lambda m: m.run([(GOOD, LABELS)], path_every=np.inf), ValueError, "path_every is inf"),
        (lambda m: m.predict_one(GOOD), ValueError, "predict_one takes one point"),
        (lambda m: m.predict(np.ones((2, 3))), ValueError, "points have 3 features; this learner has 2"),
        (lambda m: m.predict(GOOD, weights=[1.0, np.nan]), ValueError, "weights .*finite"),
        (lambda m: m.run([(GOOD, LABELS)], path_every=-1), ValueError, "path_every is -1"),
        (lambda m: m.run(42), TypeError, "int"),
        (lambda m: m.run([]), ValueError, "empty"),
        (lambda m: m.adapt(GOOD, [1.0, 0.5, 1.0]), ValueError, "must be -1 or \\+1"),
        (lambda m: m.ledger.regret(np.zeros(7)), ValueError, "7.*1 tasks"),
        (lambda m: m.ledger.certificate(m.ledger), TypeError, "a certificate is against weights"),
    ],
)
def test_bad_calls_are_refused_and_leave_no_trace(call, error, message):
    learner, twin = seasoned(owo.Hinge()), seasoned(owo.Hinge())
    with pytest.raises(error, match=message):
        call(learner)
    same(learner, twin)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: owo.OnlineWithinOnline(owo.Absolute), TypeError, "loss is the class Absolute; pass an instance"),
        (lambda: owo.OnlineWithinOnline("absolute"), TypeError, "no method value"),
        (lambda: owo.OnlineWithinOnline(Undecorated()), TypeError, "not made with @owo.loss"),
        (lambda: owo.OnlineWithinOnline(owo.Absolute(), owo.GrowingFTRL), TypeError, "inner is the class GrowingFTRL"),
        (lambda: owo.OnlineWithinOnline(owo.Absolute(), owo.Absolute()), TypeError, "no method start"),
        (lambda: owo.OnlineWithinOnline(owo.Absolute(), outer=owo.Implicit()), TypeError, "works inside tasks only"),
        (lambda: owo.OnlineWithinOnline(owo.Absolute(), update="batch"), ValueError, "'task'.*'point'"),
        (lambda: owo.OnlineWithinOnline(owo.Absolute(), bias=[np.nan]), ValueError, "bias .*finite"),
        (lambda: owo.OnlineWithinOnline(owo.Absolute()).bias, ValueError, "no dimension before any data"),
        (lambda: owo.OnlineWithinOnline(owo.Absolute()).end_task("a"), KeyError, "open now: none"),
        (lambda: owo.OnlineWithinOnline(owo.Absolute(), owo.GrowingFTRL(-1.0)), ValueError, "strength must be"),
    ],
)
def test_bad_learners_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize("loss", [owo.Hinge(), owo.SquaredHinge(), owo.Logistic()], ids=name)
def test_labels_of_zero_and_one_are_refused_for_classification(loss):
    with pytest.raises(ValueError, match="Recode y"):
        owo.OnlineWithinOnline(loss).run([(GOOD, [0.0, 1.0, 1.0])])
