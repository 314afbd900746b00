"""Opponents that make a learner's regret as large as can be: they see its weights before every point.

All labels are so far away that the absolute loss is linear where it matters; its subgradient is -x, whatever w is.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import owo
from owo.hindsight import Comparator
from theory.data import TINY, Array, Data, compared
from theory.problem import Problem

Choice = Callable[[Array, Array, Array], Array]
"""From the weights, the sum of the task's points and the sum of all points, each (d,), to a direction (d,)."""


def orthogonal(
    learner: owo.OnlineWithinOnline, problem: Problem, rng: np.random.Generator
) -> tuple[Data, Comparator, Array]:
    """Every point is orthogonal to the weights, to the task's sum of points and to the sum of all; d >= 4.

    Returns the data, the comparator at the distances of the problem that they favour most, and predictions (T, n).
    """

    def choose(weights: Array, own: Array, every: Array) -> Array:
        avoided = np.stack([weights, own, every], axis=1)
        units = avoided / np.maximum(np.linalg.norm(avoided, axis=0), TINY)
        left, values, _ = np.linalg.svd(units, full_matrices=True)
        free = left[:, int(np.count_nonzero(values > 1e-9)) :]
        direction: Array = free @ rng.normal(size=free.shape[1])
        return direction

    return play(learner, problem, choose)


def signs(
    learner: owo.OnlineWithinOnline, problem: Problem, rng: np.random.Generator, whole_tasks: bool = False
) -> tuple[Data, Comparator, Array]:
    """Every point (``whole_tasks``: every task) has a random sign along the first coordinate."""
    sign = rng.choice((-1.0, 1.0), size=(problem.tasks, problem.points))
    if whole_tasks:
        sign[:] = sign[:, :1]
    drawn = iter(sign.ravel().tolist())
    along = np.eye(problem.dimension)[0]
    return play(learner, problem, lambda weights, own, every: next(drawn) * along)


def play(learner: owo.OnlineWithinOnline, problem: Problem, choose: Choice) -> tuple[Data, Comparator, Array]:
    """Play all points; the learner has to start at 0 and to have the absolute loss."""
    tasks, n, d = problem.tasks, problem.points, problem.dimension
    spread = problem.inside.distance
    far = 2.0 * problem.radius * (problem.distance + spread) + 1.0
    X, labels, predictions = np.empty((tasks, n, d)), np.empty((tasks, n)), np.empty((tasks, n))
    for t in range(tasks):
        for i in range(n):
            every = X.reshape(-1, d)[: t * n + i].sum(axis=0)
            weights = learner.weights(t)
            direction = choose(weights, X[t, :i].sum(axis=0), every)
            X[t, i] = problem.radius * direction / np.linalg.norm(direction)
            labels[t, i] = abs(float(X[t, i] @ weights)) + far
            predictions[t, i] = learner.learn_one(X[t, i], float(labels[t, i]), t)
        learner.end_task(t)
    sums = X.sum(axis=1)  # minus the gradients
    total = sums.sum(axis=0)
    bias = problem.distance * total / (np.linalg.norm(total) + TINY)
    share = sums / (np.linalg.norm(sums, axis=1, keepdims=True) + TINY)
    data = Data(owo.Absolute(), X, labels, np.zeros((tasks, d)), "opponent's")
    return data, compared(data, "the favoured", bias + spread * share, bias), predictions
