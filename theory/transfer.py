"""Transfer by Monte Carlo: the excess risk on new tasks of what a run has learned, with intervals, beside its bound.

Tasks have weights ``u = theta' + spread N(0, I)`` and points ``y = <x, u> + noise N(0, 1)`` with x uniform on the
unit sphere, so that ``V = d spread^2 / 2`` and, with the absolute loss, G = 1. A run learns a bias on T tasks of n
points; a new task is learned from n points of its own around

- a bias drawn from the path theta_1, .., theta_T, or the mean of the path: ``theory.online_to_batch`` bounds both;
- the last bias theta_{T+1}, for which nothing is claimed: it may be anywhere on the path;
- 0, which is independent learning, or theta' itself,

and is left with the mean of the iterates that predicted, which bounds are about, or with the last iterate, of which
they say nothing. The excess risk is that beyond the loss of u, on points that nobody has seen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

import owo
from theory import independent, online_to_batch
from theory.problem import Problem, assume, require

Array = NDArray[np.float64]

WAYS = ("drawn from the path", "mean of the path", "last of the path", "0", "theta'")
"""Where the bias of a new task comes from."""
ITERATES = ("mean", "last")
"""What a new task is left with."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """The tasks, and how many of them; the defaults are the full mode.

    Raises
    ------
    AssumptionError
        Names the assumption that fails.
    """

    tasks: tuple[int, ...] = (3, 10, 30, 100, 300, 1000, 3000)
    """T of the runs"""
    points: int = 20
    """n"""
    d: int = 10
    distance: float = 2.0
    """``|theta'|``"""
    spread: float = 0.1
    noise: float = 0.5
    repeats: int = 40
    """runs of each T, at least 2"""
    fresh: int = 200
    """new tasks for each run"""
    unseen: int = 50
    """points that the risk on a new task is taken over"""
    seed: int = 0

    def __post_init__(self) -> None:
        for tasks in self.tasks:
            assume(tasks=tasks)
        assume(points=self.points, dimension=self.d, distance=self.distance, variance=self.spread)
        assume(apart=self.distance)
        assume(apart=self.spread)
        require(
            self.fresh >= 1 and self.unseen >= 1,
            "new tasks and points",
            f"fresh is {self.fresh!r}, unseen {self.unseen!r}",
            "at least 1 each",
        )
        require(0.0 <= self.noise < math.inf, "finite noise", f"noise is {self.noise!r}", "a finite number, 0 or more")
        require(self.repeats >= 2, "intervals over runs", f"repeats is {self.repeats!r}", "at least 2")

    @classmethod
    def quick(cls) -> Config:
        """Seconds."""
        return cls(tasks=(10, 100, 1000), repeats=10, fresh=100)

    def problem(self, tasks: int) -> Problem:
        """The constants of a run."""
        variance = self.d * self.spread**2 / 2.0
        return Problem(1.0, 1.0, self.points, tasks, self.d, variance, self.distance)


class Result(NamedTuple):
    """Excess risks in units of loss a point; W ways, two iterates, C numbers of tasks."""

    tasks: Array
    """(C,)"""
    ways: tuple[str, ...]
    iterates: tuple[str, ...]
    excess: Array
    """(W, 2, C)"""
    half_width: Array
    """(W, 2, C), of the 95 % interval over runs"""
    bounds: Array
    """(W, 2, C); NaN where there is none"""

    @property
    def violations(self) -> int:
        """Excess risks whose interval does not reach below the bound that there is; nor does that of a NaN."""
        held = self.excess - self.half_width <= self.bounds
        return int(np.count_nonzero(~held & ~np.isnan(self.bounds)))


def run(config: Config) -> Result:
    """Estimate every excess risk at every number of tasks.

    Examples
    --------
    >>> found = run(Config(tasks=(100,), repeats=4, fresh=50))
    >>> drawn, mean, last, alone, best = found.excess[:, 0, 0]
    >>> bool(best < mean < alone), found.violations
    (True, 0)
    """
    shape = (len(WAYS), len(ITERATES), len(config.tasks))
    excess, half, bounds = np.empty(shape), np.empty(shape), np.full(shape, math.nan)
    for c, tasks in enumerate(config.tasks):
        runs = [once(config, tasks, np.random.default_rng([config.seed, c, k])) for k in range(config.repeats)]
        found = np.array(runs)
        excess[:, :, c] = found.mean(axis=0)
        spread = found.std(axis=0, ddof=1) / math.sqrt(config.repeats)
        half[:, :, c] = stats.t.ppf(0.975, config.repeats - 1) * spread
        bounds[:, 0, c] = _bounds(config, tasks)
    return Result(np.array(config.tasks, dtype=np.float64), WAYS, ITERATES, excess, half, bounds)


def _bounds(config: Config, tasks: int) -> list[float]:
    problem, numbers = config.problem(tasks), parameters(config, tasks)
    at_best = replace(problem, distance=0.0)
    return [
        online_to_batch.bound(problem, **numbers._asdict()).total,
        online_to_batch.bound(problem, **numbers._asdict(), average=True).total,
        math.nan,
        independent.bound(problem, strength=numbers.strength).average(problem),
        independent.bound(at_best, strength=numbers.strength).average(at_best),
    ]


def parameters(config: Config, tasks: int) -> online_to_batch.Tuned:
    """Those of the run and of new tasks: the best for the bias drawn from the path."""
    return online_to_batch.tuned(config.problem(tasks))


def once(config: Config, tasks: int, rng: np.random.Generator) -> Array:
    """One run and its new tasks: mean excess risks (W, 2)."""
    numbers = parameters(config, tasks)
    best = np.zeros(config.d)
    best[0] = config.distance
    law = owo.GrowingFTRL(numbers.strength)
    learner = owo.OnlineWithinOnline(owo.Absolute(), law, owo.DualAveraging(numbers.step), "task")
    block, _ = sample(config, best, tasks, config.points, rng)
    path = np.concatenate([np.zeros((1, config.d)), learner.run(block, path_every=1).path])
    drawn = path[rng.integers(tasks, size=config.fresh)]
    biases = (drawn, path[:-1].mean(axis=0), path[-1], np.zeros(config.d), best)
    new, weights = sample(config, best, config.fresh, config.points, rng)
    unseen, _ = sample(config, best, config.fresh, config.unseen, rng, weights)
    return np.array([
        [excess_risk(adapted(law, new, np.broadcast_to(bias, weights.shape), average), weights, unseen)
         for average in (True, False)]
        for bias in biases
    ])  # fmt: skip


def sample(
    config: Config, best: Array, tasks: int, points: int, rng: np.random.Generator, weights: Array | None = None
) -> tuple[owo.Block, Array]:
    """Tasks and their weights (T, d), or more points of tasks whose weights are given."""
    X = rng.standard_normal((tasks * points, config.d))
    X /= np.sqrt(np.einsum("ij,ij->i", X, X))[:, None]
    if weights is None:
        weights = best + config.spread * rng.standard_normal((tasks, config.d))
    task = np.repeat(np.arange(tasks), points)
    y = np.einsum("ij,ij->i", X, weights[task]) + config.noise * rng.standard_normal(tasks * points)
    return owo.Block(X, y, task), weights


def adapted(law: owo.GrowingFTRL, new: owo.Block, biases: Array, average: bool) -> Array:
    """Weights (T, d) of new tasks, each around its own bias: that is, around 0 with labels less what its bias says."""
    left = owo.Block(new.X, new.y - np.einsum("ij,ij->i", new.X, biases[new.task]), new.task)
    alone = owo.OnlineWithinOnline(owo.Absolute(), law, owo.Frozen(), "task")
    return np.asarray(biases + alone.adapt_each(left, average=average))


def excess_risk(found: Array, weights: Array, unseen: owo.Block) -> float:
    """Mean loss beyond that of the true weights, on points that nobody has learned from."""
    by_found, by_truth = (
        np.abs(np.einsum("ij,ij->i", unseen.X, w[unseen.task]) - unseen.y).mean() for w in (found, weights)
    )
    return float(by_found - by_truth)
