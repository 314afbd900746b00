"""One seed of a comparison: tasks to learn from, tasks to choose numbers on, tasks to be measured on.

Every method sees the same tasks in the same order, so differences between methods are paired. Where tasks are
measured, part of their points is learned from and the rest is predicted. Numbers are chosen on the validation tasks,
twice: those of least error there for what is measured on test tasks, and those of least loss in streaming them for
what is suffered while learning. Test tasks choose nothing.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import owo
from experiments.methods import Known, Method, Numbers, distinct
from owo.hindsight import Comparator

Array = NDArray[np.float64]


class Halves(NamedTuple):
    """New tasks: points that are learned from, and points that are predicted, of the same tasks in the same order."""

    learned: owo.Block
    predicted: owo.Block


class Trial(NamedTuple):
    """What one seed drew."""

    loss: Any
    training: owo.Block
    validation: Halves
    test: Halves
    known: Known
    comparator: Comparator | None = None
    """what the runs' regret is against; their certificates are checked against it, too"""
    streamed: owo.Block | None = None
    """validation tasks as they would be streamed; default: those of their points that are learned from"""
    brought: bool = False
    """whether the tasks are a user's own"""

    @property
    def classifies(self) -> bool:
        """Whether errors are counted: labels are -1 and +1."""
        return not self.loss.accepts(0.5)


def contest(trial: Trial, methods: Sequence[Method], checkpoints: Sequence[int]) -> dict[str, NDArray[Any]]:
    """Run every method; arrays of M methods and C checkpoints.

    Parameters
    ----------
    trial : the tasks
    methods : who takes part
    checkpoints : after how many training tasks the test tasks are measured; the last is all of them

    Returns
    -------
    dict
        ``method`` (M,), ``seen`` (C,); ``error`` (M, C), of test tasks: mean absolute error in units of y, or the share
        of wrong signs; ``online`` (M, C), mean loss a point of the training tasks so far, as it was suffered;
        ``regret`` and ``certificate`` (M,) a point, of that run, NaN without a comparator; ``numbers`` (M, 2), strength
        and step of the run whose new tasks were measured, and ``online_numbers`` (M, 2), of the one that was suffered;
        ``classifies`` and ``brought``, of the trial.

    Raises
    ------
    TypeError, ValueError
        A method's learner lacks what is needed, or two methods have one name.
    owo.CertificateViolation
        A run's regret exceeded its certificate.
    """
    names = distinct(methods)
    rows = [_followed(method, trial, checkpoints) for method in methods]
    found = {name: np.array([getattr(row, name) for row in rows]) for name in _Row._fields}
    of_trial = {"classifies": np.array(trial.classifies), "brought": np.array(trial.brought)}
    return {"method": np.array(names), "seen": np.array(checkpoints), **found, **of_trial}


class _Row(NamedTuple):
    error: Array
    online: Array
    regret: float
    certificate: float
    numbers: Numbers
    online_numbers: Numbers


def _followed(method: Method, trial: Trial, checkpoints: Sequence[int]) -> _Row:
    """Train with the numbers for new tasks, stopping to measure; and with those for the stream."""
    choice = chosen(method, trial)
    learner = method.begun(trial.loss, choice.new, trial.known, "adapt_each")
    block, errors = trial.training, []
    rows = np.concatenate(([0], np.flatnonzero(block.ends)[np.asarray(checkpoints) - 1] + 1))
    for start, stop in itertools.pairwise(rows.tolist()):
        ledger = learner.run(block.rows(start, stop))  # of all tasks so far
        errors.append(error(learner, method, trial.test, trial))
    if choice.online != choice.new:
        ledger = method.begun(trial.loss, choice.online, trial.known).run(block)
    online, regret, certificate = np.full(len(checkpoints), math.nan), math.nan, math.nan
    if ledger is not None:
        last = np.asarray(checkpoints) - 1
        online = (np.cumsum(ledger.losses) / np.cumsum(ledger.rounds))[last]
    if trial.comparator is not None and ledger is not None:
        ledger.check(trial.comparator)
        regret = float(ledger.regret(trial.comparator)[-1]) / block.n
        certificate = float(ledger.certificate(trial.comparator).total[-1]) / block.n
    return _Row(np.array(errors), online, regret, certificate, *choice)


class Choice(NamedTuple):
    """The numbers that a method was given."""

    new: Numbers
    """of least error on validation tasks, after all training tasks"""
    online: Numbers
    """of least loss in streaming the validation tasks, after all training tasks"""


def chosen(method: Method, trial: Trial) -> Choice:
    """The best of its grid on the validation tasks: for errors of new tasks, and for the loss of a stream."""
    if len(method.grid) == 1:
        return Choice(method.grid[0], method.grid[0])
    errors, losses = [], []
    streamed = trial.validation.learned if trial.streamed is None else trial.streamed
    for numbers in method.grid:
        learner = method.begun(trial.loss, numbers, trial.known, "adapt_each")
        new = suffered = math.inf
        try:
            learner.run(trial.training)
            new = error(learner, method, trial.validation, trial)
            ledger = learner.run(streamed)
            suffered = new if ledger is None else float(np.sum(ledger.losses[trial.training.n_tasks :]))
        except FloatingPointError:  # a step far too large; nobody would choose it
            pass
        errors.append(new)
        losses.append(suffered)
    return Choice(method.grid[int(np.argmin(errors))], method.grid[int(np.argmin(losses))])


def error(learner: Any, method: Method, tasks: Halves, trial: Trial) -> float:
    """Mean over points that are predicted: ``|prediction - y|``, or wrong signs, where 0 counts half."""
    weights = learner.adapt_each(tasks.learned, average=method.average)
    predicted, y = predictions(tasks.predicted, weights), tasks.predicted.y
    if trial.classifies:
        return float(np.mean(np.where(predicted * y == 0.0, 0.5, predicted * y < 0.0)))
    return float(np.mean(np.abs(predicted - y)))


def predictions(block: owo.Block, weights: Array) -> Array:
    """``<x, w_t>`` (n,) with the weights (T, d) of each point's task; rows that are sparse stay so."""
    if isinstance(block.X, np.ndarray):
        return np.asarray(np.einsum("nd,nd->n", block.X, weights[block.task]))
    values, columns, starts = block.X.parts
    row = np.repeat(np.arange(block.n), np.diff(starts))
    summed = np.bincount(row, values * weights[block.task[row], columns], minlength=block.n)
    return np.asarray(summed, dtype=np.float64)


def halved(block: owo.Block, learned: int | None = None) -> Halves:
    """Of every task the first ``learned`` points (default: half, at least one) to learn from, the others to predict.

    >>> halved(owo.Block([[1.0]] * 5, [0.0] * 5, [0, 0, 0, 1, 1]))
    Halves(learned=Block(2 points of 2 tasks, d = 1), predicted=Block(3 points of 2 tasks, d = 1))
    """
    place = np.arange(block.n) - np.repeat(block.offsets[:-1], np.diff(block.offsets))
    limit = (
        np.repeat(np.maximum(np.diff(block.offsets) // 2, 1), np.diff(block.offsets)) if learned is None else learned
    )
    first = place < limit
    return Halves(*(owo.Block(block.X[rows], block.y[rows], block.task[rows]) for rows in (first, ~first)))


def spaced(tasks: int, count: int = 12) -> tuple[int, ...]:
    """About ``count`` checkpoints, evenly spaced on a logarithmic axis from 1 to ``tasks``.

    >>> spaced(1000, 4)
    (1, 10, 100, 1000)
    """
    return tuple(sorted({round(value) for value in np.geomspace(1, tasks, count)}))


def from_tasks(tasks: Any, loss: Any, validation: int, test: int) -> Trial:
    """A trial from a user's tasks, pairs ``(X, y)``: the last ones are for test, those before them for validation.

    Raises
    ------
    ValueError
        Too few tasks, or one of a single point among those that are halved.
    """
    block = owo.streams.from_arrays(*joined(tasks))
    left = block.n_tasks - validation - test
    if left < 1:
        raise ValueError(
            f"the stream has {block.n_tasks} tasks; needed more than {validation} for validation and {test} for test"
        )
    short = next((t for t in range(left, block.n_tasks) if block.offsets[t + 1] - block.offsets[t] < 2), None)
    if short is not None:
        raise ValueError(
            f"task {short} of the stream has 1 point; needed two, one to learn from and one to predict, of each of the "
            f"last {validation + test} tasks, which are for validation and test"
        )
    ends = block.offsets[[left, left + validation]].tolist()
    training = block.rows(0, ends[0])
    parts = [halved(block.rows(*part)) for part in ((ends[0], ends[1]), (ends[1], block.n))]
    best = owo.hindsight.best_bias(loss, training, 1.0)
    return Trial(loss, training, parts[0], parts[1], Known(best.bias), best, brought=True)


def joined(tasks: Any) -> tuple[Array, Array, NDArray[np.int64]]:
    """X (n, d), y and task (n,) of a user's tasks, pairs ``(X, y)``.

    Raises
    ------
    ValueError
        There are none, or one is no such pair, or has another width than the first.
    """
    needed = "needed a list of tasks, pairs (X, y) of arrays (n, d) and (n,)"
    if not isinstance(tasks, Iterable):
        raise ValueError(f"stream returned {tasks!r}; {needed}")
    rows: list[Array] = []
    labels: list[Array] = []
    for number, task in enumerate(tasks):
        try:
            X, y = (np.asarray(each, dtype=np.float64) for each in task)
        except (TypeError, ValueError):
            raise ValueError(f"stream returned a task {number} that is no pair of numbers; {needed}") from None
        if X.ndim != 2 or y.shape != X.shape[:1] or not len(X):
            raise ValueError(f"task {number} of the stream has X {X.shape} and y {y.shape}; needed (n, d) and (n,)")
        if rows and X.shape[1] != rows[0].shape[1]:
            raise ValueError(f"task {number} of the stream has {X.shape[1]} features, task 0 has {rows[0].shape[1]}")
        rows.append(X)
        labels.append(y)
    if not rows:
        raise ValueError(f"stream returned no tasks; {needed}")
    return np.concatenate(rows), np.concatenate(labels), np.repeat(np.arange(len(rows)), [len(y) for y in labels])
