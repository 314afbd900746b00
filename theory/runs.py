"""Runs of owo on data, and their levels."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

import owo
from owo.hindsight import Comparator
from theory.data import Array, Data, hostile, problem_of, truth
from theory.levels import Levels
from theory.problem import Problem
from theory.terms import Terms

Update = Literal["task", "point"]

Order = NDArray[np.int64]


class Run(NamedTuple):
    """What a learner of owo made of data."""

    ledger: owo.Ledger
    predictions: Array
    """(T, n)"""


def run_of(
    data: Data, inner: Any, outer: Any, update: Update = "task", *, bias: Any = None, geometry: Any = None
) -> Run:
    """One task after the other."""
    learner = owo.OnlineWithinOnline(data.loss, inner, outer, update, bias=bias, geometry=geometry)
    ledger = learner.run(zip(data.X, data.y, strict=True), points=True, path_every=1)
    predictions = np.concatenate([block["prediction"] for block in ledger.points]).reshape(data.y.shape)
    return Run(ledger, predictions)


def mixed(rng: np.random.Generator, data: Data) -> Order:
    """The task of every point, (T n,): groups of tasks one after another, points of a group in random order."""
    tasks, n, _ = data.X.shape
    group = int(rng.integers(1, tasks + 1))
    groups = (np.arange(a, min(a + group, tasks)) for a in range(0, tasks, group))
    return np.concatenate([rng.permutation(np.repeat(members, n)) for members in groups])


def mean_delay(order: Order) -> float:
    """How many other tasks end between the first point of a task and its last, in the mean over tasks."""
    places = [np.flatnonzero(order == t) for t in range(int(order.max()) + 1)]
    ends = np.array([place[-1] for place in places])
    return float(np.mean([np.count_nonzero((ends > place[0]) & (ends < place[-1])) for place in places]))


def run_mixed(data: Data, order: Order, inner: Any, outer: Any, update: Update) -> Run:
    """The points of each task in their own order, tasks in the ``order`` given (T n,)."""
    tasks, n, _ = data.X.shape
    turn = np.empty_like(order)
    for t in range(tasks):
        turn[order == t] = np.arange(n)
    block = owo.Block(data.X[order, turn], data.y[order, turn], order, None, tuple(range(tasks)))
    ledger = owo.OnlineWithinOnline(data.loss, inner, outer, update).run(block, points=True)
    predictions = np.empty((tasks, n))
    predictions[order, turn] = ledger.points[0]["prediction"]
    return Run(ledger, predictions)


def levels_of(run: Run, data: Data, comparator: Comparator, closed: Terms) -> Levels:
    """The three levels of a run whose certificate is the ledger's; the setting and the seed are filled in later."""
    certificate = run.ledger.certificate(comparator)
    last = [float(term[-1]) for term in certificate]
    return Levels(
        setting="",
        seed=0,
        what=f"{run.ledger.description}, {data.order} points, against {comparator.name}",
        rounds=data.y.size,
        regret=float(run.ledger.regret(comparator)[-1]),
        certificate=Terms(*last),
        closed=closed,
        rounding=float(run.ledger.rounding(comparator)[-1]),
    )


def around(rng: np.random.Generator, best: float) -> float:
    """A parameter within a factor of 10 of the best one."""
    return float(best * 10.0 ** rng.uniform(-1.0, 1.0))


def rough_of(data: Data) -> Problem:
    """The constants before any run: with the truth for a comparator, so that parameters can be set."""
    return problem_of(data, truth(data))


def against(rng: np.random.Generator, data: Data, run: Run) -> Comparator:
    """The comparator: mostly the hostile one, because bounds are about it."""
    return truth(data) if rng.random() < 0.3 else hostile(rng, data, run.predictions)
