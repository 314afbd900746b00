r"""Rates: how average regret falls with the number of tasks, of points, of dimensions and with the tasks' variance.

All streams have the absolute loss and ``|x| = 1``, so G = 1; D is the length of the bias theta'.

**A far target.** ``x = (r, v) / sqrt(2)`` with a random sign r and v uniform on the unit sphere of the other d - 1
coordinates; half of the tasks have weights ``(D + sqrt(2 V)) e_1``, half ``(D - sqrt(2 V)) e_1``, in random order,
and labels are without noise: the comparator ``u_t`` loses nothing and regret is loss. Parameters are those that make
the bounds least, and a step that is right for the worst data takes the time that the bound allows to get to the
target: about ``sqrt(T)`` tasks if the bias moves by ``D / sqrt(T)`` after each, ``sqrt(n T)`` points if it moves by
``D / sqrt(n T)`` after each of these. So ``D / sqrt(T)`` and ``D / sqrt(n T)`` are met up to a constant, by one
stream. A learner without a step of that kind may be faster here.

**Random signs.** Labels so far away that the loss is linear, with gradients ``+- x``: signs drawn for each task, the
same for all its points and with one x, or for each point. Nothing can be learned, so every learner has the expected
regret ``D E|G|`` against the best bias of length D: about ``D / sqrt(T)`` and ``D / sqrt(n T)`` a point. No algorithm
does better on them, which makes them the lower bound for the two terms (Orabona, arXiv 1912.13213, section 5.1;
``theory.lower``).

A slope is fitted to logarithms for every seed; its interval is Student's, at 95 %, over seeds. Beside it stands the
slope of the bound over the same grid, fitted in the same way, so that logarithms and the terms that do not dominate
count.

**Where regret falls faster than its bound.** The far target is not the worst of data for every learner. Bounds count
gradients of a task as if all pulled the same way, ``|q| <= n G``; once a learner is near the target their signs
alternate, so independent learning and above all maps gain more from points than their bounds say. They gain from
dimensions, too, since the other coordinates of two rows are then nearly orthogonal and disturb each other less.

**Where slopes differ from powers of T and V.** The strength that is best for a map falls with T, so its metric term
falls a little more slowly than ``T^(-1/2)``. Bettors inside tasks begin with wealth ``sqrt(n / T)`` and first have to
earn the rest: the farther the tasks, the more of their points go by, so that regret is steeper in V than the bound.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

import owo
from theory.contestants import ALONE, BETTING_POINT, BETTING_TASK, FREE, GIVEN, MAP, POINT, TASK, Contestant
from theory.problem import Problem

Array = NDArray[np.float64]
Vary = Literal["tasks", "points", "dimension", "variance"]

FAR = 1e3
"""Labels of the random signs are so far out; no bias gets there."""

ROUNDING = 1e-9
"""Of a bound: both sides are sums of up to 1e6 losses."""


class Stream(NamedTuple):
    """Points, and what the comparator loses on them."""

    block: owo.Block
    possible: float


def far_target(problem: Problem, rng: np.random.Generator) -> Stream:
    """Tasks ``(D +- sqrt(2 V)) e_1`` without noise; of an odd number the last is ``D e_1``."""
    T, n, d = problem.tasks, problem.points, problem.dimension
    X = rng.standard_normal((T * n, d))
    X[:, 0] = 0.0
    if d > 1:
        X /= math.sqrt(2.0) * np.sqrt(np.einsum("ij,ij->i", X, X))[:, None]
    X[:, 0] = rng.choice([-1.0, 1.0], T * n) * (math.sqrt(0.5) if d > 1 else 1.0)
    weights = problem.distance + math.sqrt(2.0 * problem.variance) * sides(T, rng)
    return Stream(owo.Block(X, X[:, 0] * np.repeat(weights, n), np.repeat(np.arange(T), n)), 0.0)


def sides(tasks: int, rng: np.random.Generator) -> Array:
    """Where tasks lie (T,): half at 1, half at -1, in random order; of an odd number one is at 0."""
    return rng.permutation(np.repeat([1.0, -1.0, 0.0], [tasks // 2, tasks // 2, tasks % 2]))


def signs_of_tasks(problem: Problem, rng: np.random.Generator) -> Stream:
    """One x and one sign a task."""
    T, n = problem.tasks, problem.points
    X = np.repeat(_directions(T, problem.dimension, rng), n, axis=0)
    return _linear(X, np.repeat(rng.choice([-1.0, 1.0], T), n), problem)


def signs_of_points(problem: Problem, rng: np.random.Generator) -> Stream:
    """One x and one sign a point."""
    return _linear(
        _directions(problem.rounds, problem.dimension, rng), rng.choice([-1.0, 1.0], problem.rounds), problem
    )


def _directions(rows: int, d: int, rng: np.random.Generator) -> Array:
    X = rng.standard_normal((rows, d))
    return np.asarray(X / np.sqrt(np.einsum("ij,ij->i", X, X))[:, None])


def _linear(X: Array, signs: Array, problem: Problem) -> Stream:
    """``|<x, w> - sign FAR| = FAR - sign <x, w>``, which the best bias of length D makes ``D |sum sign x|`` less."""
    task = np.repeat(np.arange(problem.tasks), problem.points)
    possible = len(X) * FAR - problem.distance * float(np.linalg.norm(signs @ X))
    return Stream(owo.Block(X, signs * FAR, task), possible)


# --------------------------------------------------------------------------------------------------------- the runs

BASE = Problem(lipschitz=1.0, radius=1.0, points=10, tasks=3000, dimension=10, variance=0.0, distance=1.0)


@dataclass(frozen=True, kw_only=True)
class Axis:
    """One quantity varied, all others as in ``base``; a line for each contestant."""

    vary: Vary
    values: tuple[float, ...]
    contestants: tuple[Contestant, ...]
    base: Problem = BASE
    stream: Callable[[Problem, np.random.Generator], Stream] = far_target
    reference: Contestant | None = None
    """regret is against this one's loss, instead of the comparator's"""
    seeds: int = 8

    def problems(self) -> list[Problem]:
        """A problem for each value."""
        whole = self.vary != "variance"
        changes: list[dict[str, Any]] = [{self.vary: round(value) if whole else value} for value in self.values]
        return [replace(self.base, **change) for change in changes]


def grid(low: float, high: float, count: int) -> tuple[float, ...]:
    """Values evenly spread on a logarithmic axis."""
    return tuple(float(value) for value in np.geomspace(low, high, count))


BIASES = (ALONE, TASK, POINT, FREE)


class Sizes(NamedTuple):
    """How far the axes reach, 2.5 decades each, and how often."""

    tasks: float = 1e5
    points: float = 1264.0
    dimension: float = 632.0
    map_tasks: float = 1e5
    map_points: float = 1264.0
    map_dimension: float = 632.0
    values: int = 6
    seeds: int = 8
    map_seeds: int = 4


def axes(to: Sizes) -> tuple[Axis, ...]:
    """Every contestant on every axis; then the random signs."""
    few, fewer, variances = replace(BASE, tasks=300), replace(BASE, tasks=100), grid(3e-3, 3.0, to.values)
    low, thousand = to.tasks * 10.0**-2.5, replace(BASE, tasks=1000)
    return (
        Axis(vary="tasks", values=grid(low, to.tasks, to.values), contestants=BIASES, seeds=to.seeds),
        Axis(vary="points", values=grid(4, to.points, to.values), contestants=BIASES, base=few, seeds=to.seeds),
        Axis(vary="variance", values=variances, contestants=BIASES, seeds=to.seeds),
        Axis(vary="dimension", values=grid(2, to.dimension, to.values), contestants=BIASES, base=thousand,
             seeds=to.seeds),
        Axis(vary="tasks", values=grid(to.map_tasks * 10.0**-2.5, to.map_tasks, to.values), contestants=(MAP,),
             base=replace(BASE, dimension=5), reference=GIVEN, seeds=to.map_seeds),
        Axis(vary="points", values=grid(4, to.map_points, to.values), contestants=(MAP, GIVEN), base=fewer,
             seeds=to.map_seeds),
        Axis(vary="variance", values=variances, contestants=(MAP, GIVEN), base=few, seeds=to.map_seeds),
        Axis(vary="dimension", values=grid(2, to.map_dimension, to.values), contestants=(MAP, GIVEN), base=fewer,
             seeds=to.map_seeds),
        *_random_signs(signs_of_tasks, (TASK, BETTING_TASK), to),
        *_random_signs(signs_of_points, (POINT, BETTING_POINT), to),
    )  # fmt: skip


def _random_signs(
    stream: Callable[[Problem, np.random.Generator], Stream], who: tuple[Contestant, ...], to: Sizes
) -> tuple[Axis, ...]:
    tasks, points = grid(to.tasks * 10.0**-2.5, to.tasks, to.values), grid(4, to.points, to.values)
    few = replace(BASE, tasks=300)
    return (
        Axis(vary="tasks", values=tasks, contestants=who, stream=stream, seeds=2 * to.seeds),
        Axis(vary="points", values=points, contestants=who, base=few, stream=stream, seeds=2 * to.seeds),
    )


@dataclass(frozen=True, kw_only=True)
class Config:
    """What is run, and where all draws begin; the defaults are the full mode."""

    axes: tuple[Axis, ...] = field(default_factory=lambda: axes(Sizes()))
    seed: int = 0

    @classmethod
    def quick(cls) -> Config:
        """Seconds: fewer tasks, values and seeds."""
        sizes = Sizes(tasks=1e4, map_tasks=1e3, values=5, seeds=3, map_seeds=3)
        return cls(axes=axes(sizes))


class Slope(NamedTuple):
    """The exponent of a power law, fitted."""

    value: float
    half_width: float
    """of the 95 % interval, over seeds"""
    theory: float
    """of the bound, over the same grid"""


class Curve(NamedTuple):
    """One contestant along one axis."""

    learner: str
    stream: str
    vary: str
    base: Problem
    values: Array
    """(G,)"""
    regrets: Array
    """(G, seeds), average a point, in units of loss"""
    bounds: Array
    """(G,), likewise; where regret is against another contestant, the term of the bound that only this one has"""
    beyond: bool
    """whether regret is against another contestant"""
    slope: Slope
    violations: int
    """regrets against the comparator that exceed the bound, also where those shown are against another contestant"""


def run(config: Config) -> tuple[Curve, ...]:
    """All curves of all axes."""
    return tuple(curve for i, axis in enumerate(config.axes) for curve in follow(axis, config.seed, i))


def follow(axis: Axis, seed: int, number: int = 0) -> list[Curve]:
    """The contestants of one axis, all of them on the same streams.

    Examples
    --------
    >>> [curve] = follow(Axis(vary="tasks", values=(100, 1000, 10000), contestants=(TASK,), seeds=3), seed=0)
    >>> bool(abs(curve.slope.value + 0.5) < 0.05), round(curve.slope.theory, 6), curve.violations
    (True, -0.5, 0)
    """
    problems = axis.problems()
    shape = len(axis.contestants), len(problems), axis.seeds
    regrets, shown = np.empty(shape), np.empty(shape)
    for g, problem in enumerate(problems):
        for k in range(axis.seeds):
            stream = axis.stream(problem, np.random.default_rng([seed, number, g, k]))
            losses = np.array([lost(each, problem, stream) for each in axis.contestants])
            against = stream.possible if axis.reference is None else lost(axis.reference, problem, stream)
            regrets[:, g, k] = (losses - stream.possible) / problem.rounds
            shown[:, g, k] = (losses - against) / problem.rounds
    return [_curve(axis, each, problems, regrets[i], shown[i]) for i, each in enumerate(axis.contestants)]


def lost(contestant: Contestant, problem: Problem, stream: Stream) -> float:
    """What a contestant loses on a stream."""
    return float(contestant.learner(problem).run(stream.block).cumulative_loss()[-1])


def _curve(axis: Axis, contestant: Contestant, problems: list[Problem], regrets: Array, shown: Array) -> Curve:
    values = np.array([getattr(problem, axis.vary) for problem in problems], dtype=np.float64)
    bounds = np.array([contestant.bound(problem).average(problem) for problem in problems])
    above = int(np.count_nonzero(~(regrets <= bounds[:, None] * (1.0 + ROUNDING))))
    if axis.reference is not None:
        bounds -= [axis.reference.bound(problem).average(problem) for problem in problems]
    slope = Slope(*fitted(values, shown), fitted(values, bounds[:, None])[0])
    name, beyond = axis.stream.__name__.replace("_", " "), axis.reference is not None
    return Curve(contestant.name, name, axis.vary, axis.base, values, shown, bounds, beyond, slope, above)


def fitted(values: Array, regrets: Array) -> tuple[float, float]:
    """The slope of ``log regrets`` (G, seeds) against ``log values`` (G,), and half its 95 % interval over seeds.

    Both NaN if a regret is not above 0, the interval if there is one seed.

    >>> fitted(np.array([1.0, 10.0, 100.0]), np.array([[3.0, 5.0], [0.3, 0.5], [0.03, 0.05]]))[0]
    -1.0
    """
    if not (regrets > 0.0).all():
        return math.nan, math.nan
    slopes = np.array([stats.linregress(np.log(values), column).slope for column in np.log(regrets).T])
    seeds = len(slopes)
    error = float(slopes.std(ddof=1)) / math.sqrt(seeds) if seeds > 1 else math.nan
    return float(slopes.mean()), float(stats.t.ppf(0.975, seeds - 1)) * error if seeds > 1 else math.nan
