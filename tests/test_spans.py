"""Ledgers of bounded size: at the boundaries that are left, what ledgers of tasks say there."""

import math

import numpy as np
import pytest

import owo
from owo.hindsight import Comparator
from owo.spans import COLUMNS, ENDED, ROWS, fold
from tests.states import KINDS, learner


def tasks(count, n=3, d=4, seed=0):
    rng = np.random.default_rng(seed)
    return [(X := rng.normal(size=(n, d)), X @ (2.0 + rng.normal(size=d))) for _ in range(count)]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("spans", "scores")])
def test_certificate_and_regret_at_the_ends_of_spans_are_those_of_single_tasks(kind):
    stream = tasks(5000 if kind in ("default", "diagonal") else 2500)
    fine, coarse = learner(kind, history="tasks").run(stream), learner(kind, history="spans").run(stream)
    w = np.full(4, 2.0)
    theirs = np.array([np.abs(X @ w - y).sum() for X, y in stream])
    ends = coarse.tasks_ended
    assert len(coarse) <= ROWS and ends[-1] == len(stream) == coarse.n_tasks and (np.diff(ends)[:-1] == ends[0]).all()
    summed = np.diff(np.cumsum(theirs)[ends - 1], prepend=0.0)
    one, many = Comparator("w", w, w[None], summed), Comparator("w", w, w[None], theirs)
    for ours, exact in zip(coarse.certificate(one), fine.certificate(many), strict=True):
        np.testing.assert_allclose(ours, exact[ends - 1], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(coarse.regret(one), fine.regret(many)[ends - 1], atol=1e-9)
    np.testing.assert_allclose(coarse.rounding(one), fine.rounding(many)[ends - 1], rtol=1e-9)
    np.testing.assert_allclose(coarse.average_loss(), fine.average_loss()[ends - 1], rtol=1e-12)
    coarse.check(one)
    reference = owo.OnlineWithinOnline(owo.Absolute(), owo.Frozen(), owo.Frozen(), bias=w, history="spans").run(stream)
    np.testing.assert_allclose(coarse.regret(reference), coarse.regret(one), atol=1e-9)


def test_rows_do_not_depend_on_how_tasks_were_handed_over():
    stream = tasks(2600)
    whole, single = (learner("spans") for _ in range(2))
    whole.run(stream)
    for number, (X, y) in enumerate(stream):
        if number < 2200:
            single.run([(X, y, number)])
        else:
            for x, label in zip(X, y, strict=True):
                single.learn_one(x, label, number)
            single.end_task(number)
    np.testing.assert_array_equal(whole.ledger.rows, single.ledger.rows)
    np.testing.assert_array_equal(whole.ledger.count, single.ledger.count)


def test_sums_of_losses_carry_their_rounding_errors():
    """Losses of very different sizes; the exact sum is that of ``math.fsum``."""
    rng = np.random.default_rng(0)
    losses = rng.lognormal(sigma=8.0, size=200_000)
    rows, count = np.zeros((ROWS, COLUMNS)), np.array([0, 1])
    news = np.zeros((len(losses), COLUMNS))
    news[:, 7] = losses
    fold(rows, count, news)
    ledger = learner("spans").run(tasks(1))
    ledger.rows, ledger.count = rows, count
    assert rows[count[0] - 1, ENDED] == len(losses) and count[1] == 128
    exact = math.fsum(losses)
    assert abs(ledger.cumulative_loss()[-1] - exact) <= 1e-15 * exact


def test_what_belongs_to_single_tasks_is_refused_in_words():
    ledger = learner("spans").run(tasks(30))
    block = owo.streams.from_arrays(np.ones((60, 4)), np.ones(60), np.repeat(np.arange(30), 2))
    best = owo.hindsight.best_bias(owo.Absolute(), block, strength=1.0)
    with pytest.raises(ValueError, match="comparator knows its tasks by keys, and a ledger of spans keeps none"):
        ledger.regret(best)
    with pytest.raises(ValueError, match=r"knows what one vector of weights for all tasks costs"):
        ledger.certificate(best)
    with pytest.raises(ValueError, match="a ledger of spans is saved with its learner"):
        ledger.save("nowhere")
    with pytest.raises(ValueError, match="history is 'rows'; it must be 'tasks'"):
        owo.OnlineWithinOnline(owo.Absolute(), history="rows")
    assert "30 tasks in 30 spans" in repr(ledger) and ledger.keys == list(range(1, 31))
    assert list(ledger.to_dict()["task"]) == ledger.keys
