"""The phase diagram: from how many tasks on, and up to what variance, a learned bias gains on independent learning.

Tasks lie at ``D e_1 +- sqrt(2 V) e_2``, so that none is at 0, where learning on its own begins; rows have length 1,
half of it along these two coordinates; labels are without noise. The second moment ``S = V + D^2 / 2`` is 1/2
everywhere: a share ``V / S`` of 0 is tasks that are all alike, a share of 1 no bias at all. Learners and bounds are
those of ``theory.contestants``, and the frontier is where the bounds of the two are equal: with ``a = (1 + ln n) /
n`` where

    sqrt(2 V a) + D / sqrt(T)  =  sqrt(2 S a).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

import owo
from theory import bias, independent
from theory.contestants import ALONE, TASK
from theory.problem import Problem, require
from theory.rates import BASE, Stream, lost, sides

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Config:
    """The grid; the defaults are the full mode.

    Raises
    ------
    AssumptionError
        An odd number of tasks, which cannot lie on either side of the bias alike.
    """

    tasks: tuple[int, ...] = (2, 6, 20, 60, 200, 600, 2000, 6000, 20000)
    shares: tuple[float, ...] = tuple(np.linspace(0.0, 1.0, 11).round(12).tolist())
    seeds: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        for tasks in self.tasks:
            require(
                tasks % 2 == 0, "half of the tasks on either side of the bias", f"tasks is {tasks!r}", "even numbers"
            )

    @classmethod
    def quick(cls) -> Config:
        """Seconds."""
        return cls(tasks=(2, 20, 200, 2000), shares=(0.0, 0.5, 0.9, 1.0), seeds=3)


class Phase(NamedTuple):
    """Where a learned bias gains on independent learning: C numbers of tasks, R shares V / S of the second moment."""

    tasks: Array
    """(C,)"""
    shares: Array
    """(R,)"""
    gain: Array
    """(R, C): how much less was lost, in percent of what independent learning lost, mean over seeds"""
    half_width: Array
    """(R, C), of its 95 % interval"""
    bound_gain: Array
    """(R, C): the same of the two bounds"""
    frontier: Array
    """(C,): the share at which the bounds are equal; above it independent learning has the better bound"""


def run(config: Config) -> Phase:
    """Measure the gain at every share and number of tasks."""
    shape = (len(config.shares), len(config.tasks))
    gain, half, bounds = np.empty(shape), np.empty(shape), np.empty(shape)
    for r, share in enumerate(config.shares):
        for c, tasks in enumerate(config.tasks):
            problem = shared(share, tasks)
            gains = []
            for k in range(config.seeds):
                stream = sideways_target(problem, np.random.default_rng([config.seed, 2**16, r, c, k]))
                gains.append(100.0 * (1.0 - lost(TASK, problem, stream) / lost(ALONE, problem, stream)))
            gain[r, c] = np.mean(gains)
            half[r, c] = stats.t.ppf(0.975, len(gains) - 1) * np.std(gains, ddof=1) / math.sqrt(len(gains))
            bounds[r, c] = 100.0 * (1.0 - TASK.bound(problem).total / ALONE.bound(problem).total)
    borders = np.array([frontier(tasks) for tasks in config.tasks])
    return Phase(np.array(config.tasks, dtype=np.float64), np.array(config.shares), gain, half, bounds, borders)


def shared(share: float, tasks: int) -> Problem:
    """The problem at a share ``V / S`` of the second moment ``S = 1/2``."""
    return replace(BASE, tasks=tasks, variance=0.5 * share, distance=math.sqrt(1.0 - share))


def sideways_target(problem: Problem, rng: np.random.Generator) -> Stream:
    """Tasks ``D e_1 +- sqrt(2 V) e_2``, in at least two dimensions."""
    T, n, d = problem.tasks, problem.points, problem.dimension
    X = rng.standard_normal((T * n, d))
    X[:, :2] = 0.0
    if d > 2:
        X /= math.sqrt(2.0) * np.sqrt(np.einsum("ij,ij->i", X, X))[:, None]
    X[:, :2] = rng.choice([-1.0, 1.0], (T * n, 2)) * (0.5 if d > 2 else math.sqrt(0.5))
    weights = np.zeros((T, d))
    weights[:, 0] = problem.distance
    weights[:, 1] = math.sqrt(2.0 * problem.variance) * sides(T, rng)
    task = np.repeat(np.arange(T), n)
    return Stream(owo.Block(X, np.einsum("ij,ij->i", X, weights[task]), task), 0.0)


def frontier(tasks: int) -> float:
    """The share ``V / S`` at which the bounds with and without a learned bias are equal; 0 if nowhere below 1.

    >>> [round(frontier(tasks), 3) for tasks in (1, 10, 100, 10000)]
    [0.0, 0.286, 0.886, 0.999]
    """

    def gain(share: float) -> float:
        problem = shared(share, tasks)
        return independent.optimum(problem) - bias.optimum(problem)

    return float(optimize.brentq(gain, 0.0, 1.0 - 1e-9)) if gain(0.0) > 0.0 > gain(1.0 - 1e-9) else 0.0
