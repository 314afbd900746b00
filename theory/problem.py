"""The constants of a problem, and the assumptions that the bounds rest on: stated and checked here, nowhere else.

Letters in formulas are those of Denevi, Stamos, Ciliberto and Pontil, "Online-Within-Online Meta-Learning" (NeurIPS
2019): a loss that is L-Lipschitz in the prediction, inputs with ``|x| <= R``, T tasks of n points each, weights u_t
that the tasks are compared with and a bias theta' that these are near to,

    V = 1/T sum_t |u_t - theta'|^2 / 2

A subgradient ``g = s x`` then has ``|g| <= L R``, and the sum q of those of a task ``|q| <= n L R``.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple


class AssumptionError(ValueError):
    """A number that a bound does not hold for; the message names the assumption."""


class Assumption(NamedTuple):
    """What one constant has to satisfy."""

    name: str
    needed: str
    holds: Callable[[Any], bool]


def _positive(value: Any) -> bool:
    return _real(value) and 0.0 < value < math.inf


def _nonnegative(value: Any) -> bool:
    return _real(value) and 0.0 <= value < math.inf


def _count(value: Any) -> bool:
    return _real(value) and 1 <= value < math.inf and value == int(value)


def _real(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


ABOVE, LEAST, COUNT = "a finite number above 0", "a finite number, 0 or more", "a whole number, 1 or more"

ASSUMPTIONS = {
    "lipschitz": Assumption("Lipschitz loss", ABOVE, _positive),
    "radius": Assumption("bounded inputs", ABOVE, _positive),
    "points": Assumption("tasks of n >= 1 points", COUNT, _count),
    "tasks": Assumption("T >= 1 tasks", COUNT, _count),
    "dimension": Assumption("finite dimension", COUNT, _count),
    "variance": Assumption("finite variance of the tasks", LEAST, _nonnegative),
    "distance": Assumption("bounded comparator", LEAST, _nonnegative),
    "root_trace": Assumption("trace of the root", LEAST, _nonnegative),
    "rounds": Assumption("n >= 1 rounds", COUNT, _count),
    "gradient": Assumption("bounded gradients", ABOVE, _positive),
    "first": Assumption("first gradient away from 0", ABOVE, _positive),
    "strength": Assumption("positive strength", ABOVE, _positive),
    "step": Assumption("positive step", ABOVE, _positive),
    "metric_step": Assumption("positive step of the metric", ABOVE, _positive),
    "diameter": Assumption("positive diameter", ABOVE, _positive),
    "initial": Assumption("positive initial wealth", ABOVE, _positive),
    "apart": Assumption(
        "comparator away from the start", "a distance above 0: there is nothing to tune at 0", _positive
    ),
    "trace": Assumption("bounded trace", ABOVE, _positive),
    "reach": Assumption("inputs bounded in the metric", LEAST, _nonnegative),
    "divergence": Assumption("bounded divergence of the metric", LEAST, _nonnegative),
    "delay": Assumption("bounded delay", LEAST, _nonnegative),
    "path": Assumption("bounded path length", LEAST, _nonnegative),
    "experts": Assumption("at least one expert", COUNT, _count),
    "width": Assumption("losses in a bounded range", ABOVE, _positive),
}
"""By the name of the argument or field that each is about."""


def assume(**values: Any) -> None:
    """Raise the ``AssumptionError`` that names the first assumption that fails.

    >>> assume(points=0)
    Traceback (most recent call last):
        ...
    theory.problem.AssumptionError: assumption 'tasks of n >= 1 points' fails: points is 0; needed a whole number, 1 ...
    """
    for argument, value in values.items():
        assumption = ASSUMPTIONS[argument]
        if not assumption.holds(value):
            raise AssumptionError(
                f"assumption {assumption.name!r} fails: {argument} is {value!r}; needed {assumption.needed}"
            )


def require(holds: bool, name: str, came: str, needed: str) -> None:
    """As ``assume``, for what an assumption says of several constants together."""
    if not holds:
        raise AssumptionError(f"assumption {name!r} fails: {came}; needed {needed}")


@dataclass(frozen=True)
class Game:
    """An online linear game: n rounds, gradients of norm at most G, a comparator at distance D from the start.

    Tasks are such games, and so is what the bias plays across them. D may be the root of a mean of squares over
    many games of one size: see ``theory.learners``.
    """

    rounds: int
    gradient: float
    distance: float

    def __post_init__(self) -> None:
        assume(rounds=self.rounds, gradient=self.gradient, distance=self.distance)


@dataclass(frozen=True)
class Problem:
    """What is known of T tasks of n points beforehand.

    Parameters
    ----------
    lipschitz, radius : L and R, > 0
    points, tasks : n of each task, and T
    dimension : d
    variance : V, in units of |w|^2
    distance : ``|theta' - theta_1|``: from where the bias starts to the comparator's
    root_trace : ``tr B^{1/2}`` of ``B = 1/T sum_t (u_t - theta')(u_t - theta')^T``, which lies between ``sqrt(2 V)``
        (tasks differ along one direction) and ``sqrt(2 V min(d, T))``; the latter if it is not known

    Raises
    ------
    AssumptionError
        Names the assumption that fails.

    Examples
    --------
    >>> problem = Problem(lipschitz=1.0, radius=2.0, points=10, tasks=100, dimension=5, variance=0.5, distance=3.0)
    >>> problem.across
    Game(rounds=100, gradient=20.0, distance=3.0)
    """

    lipschitz: float
    radius: float
    points: int
    tasks: int
    dimension: int
    variance: float
    distance: float
    root_trace: float | None = None

    def __post_init__(self) -> None:
        assume(
            lipschitz=self.lipschitz, radius=self.radius, points=self.points, tasks=self.tasks,
            dimension=self.dimension, variance=self.variance, distance=self.distance,
        )  # fmt: skip
        assume(root_trace=self.root)
        low, high = math.sqrt(2.0 * self.variance), self._largest_root()
        rounded = 1.0 + 1e-7  # both ends are met where all directions, or one, count; eigenvalues know half the digits
        require(
            low <= self.root * rounded and self.root <= high * rounded,
            "trace of the root",
            f"root_trace is {self.root:g}",
            f"a number between sqrt(2 V) = {low:g} and sqrt(2 V min(d, T)) = {high:g}",
        )

    def _largest_root(self) -> float:
        return math.sqrt(2.0 * self.variance * min(self.dimension, self.tasks))

    @property
    def root(self) -> float:
        """``tr B^{1/2}``, or the most that it can be."""
        return self._largest_root() if self.root_trace is None else self.root_trace

    @property
    def rounds(self) -> int:
        """``n T``: points of all tasks."""
        return self.points * self.tasks

    @property
    def gradient(self) -> float:
        """``G = L R``: no subgradient is longer."""
        return self.lipschitz * self.radius

    @property
    def inside(self) -> Game:
        """The game inside a task, at the root mean square distance of the tasks, ``sqrt(2 V)``."""
        return Game(self.points, self.gradient, math.sqrt(2.0 * self.variance))

    @property
    def across(self) -> Game:
        """The game that the bias plays if it moves when a task ends: T rounds, gradients q_t."""
        return Game(self.tasks, self.points * self.gradient, self.distance)

    @property
    def along(self) -> Game:
        """The game that the bias plays if it moves after every point: n T rounds, gradients g."""
        return Game(self.rounds, self.gradient, self.distance)
