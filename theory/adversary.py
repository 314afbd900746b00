r"""An adversary: the data, the order and the comparators that bring regret nearest to its certificate.

A certificate that holds for every data sequence must survive whoever chooses the data to break it. For one learner
the adversary maximises

    ratio  =  regret / (certificate + rounding)

over the points x, their labels y, the order in which points of different tasks arrive, the comparators u_t and their
bias theta'; where a metric is learned the certificate is the lesser of two, for different M'. A ratio above 1 is a
bug; how near to 1 it gets says how much of the certificate is slack.

**Where (L) of ``owo.laws`` is tight.** Let the losses be linear with gradients g_1 .. g_n, and G_t their sums. A law
whose scale never grows has, against z' (centre 0),

    bound - regret  =  |z' + c_n G_n|^2 / (2 c_n)  +  1/2 sum_{t<n} (c_t - c_{t+1}) |G_t|^2

(put ``c_{t+1}/2 |G_t|^2 - c_t/2 |G_{t-1}|^2`` under the sum of ``<g_t, -c_t G_{t-1}>``). So ``DualAveraging`` meets its
bound exactly against ``z' = -c G_n``, where it would play next, whatever the data; a law that slows down does so if its
gradients cancel, ``G_t = 0`` before the last, and ``GrowingFTRL`` falls short by a part of order ``1 / ln n`` if all of
them have norm 1. ``CoinBetting`` is certified by its own wealth, and exact against every z' opposite to G. The absolute
loss is linear as long as labels are far from all predictions. The starting points of the search know all this, and the
comparators are parametrised around ``-c G``; the search knows nothing else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

import owo
from theory.targets import Moves, Outcome, Shape, Target, play, start, targets

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Config:
    """How hard to search, and against whom; the defaults are the full mode."""

    targets: tuple[Target, ...] = field(
        default_factory=lambda: targets(
            (owo.Absolute(), owo.Hinge(), owo.Logistic(), owo.Huber(0.7), owo.EpsilonInsensitive(0.2))
        )
    )
    shapes: tuple[Shape, ...] = (Shape(1, 2, 1), Shape(10, 5, 3), Shape(10, 5, 3, unit=True))
    restarts: int = 4
    evaluations: int = 350
    """games played in each restart, about"""
    seed: int = 0

    @classmethod
    def quick(cls) -> Config:
        """A search of seconds: two losses, one shape."""
        return cls(
            targets=targets((owo.Absolute(), owo.Logistic())), shapes=(Shape(10, 5, 2),), restarts=2, evaluations=120
        )


class Found(NamedTuple):
    """The worst data found for one target and shape."""

    outcome: Outcome
    moves: Array
    """the adversary's choice, as ``play`` takes it"""
    played: int
    """games it took"""


class Result(NamedTuple):
    """What the adversary found; arrays (targets, shapes)."""

    targets: tuple[Target, ...]
    shapes: tuple[Shape, ...]
    ratios: Array
    regrets: Array
    certificates: Array
    broken: NDArray[np.bool_]
    played: NDArray[np.int64]
    moves: tuple[tuple[Array, ...], ...]


def run(config: Config) -> Result:
    """Attack every learner of the configuration, at every shape."""
    found = [attacks(config, i) for i in range(len(config.targets))]
    outcomes = [[one.outcome for one in row] for row in found]
    return Result(
        config.targets,
        config.shapes,
        np.array([[one.ratio for one in row] for row in outcomes]),
        np.array([[one.regret for one in row] for row in outcomes]),
        np.array([[one.certificate for one in row] for row in outcomes]),
        np.array([[one.broken for one in row] for row in outcomes]),
        np.array([[one.played for one in row] for row in found]),
        tuple(tuple(one.moves for one in row) for row in found),
    )


def attacks(config: Config, i: int) -> list[Found]:
    """Attack the i-th learner of the configuration, at every shape; what comes of it depends on no other."""
    rngs = (np.random.default_rng([config.seed, i, j]) for j in range(len(config.shapes)))
    return [attack(config.targets[i], shape, config, rng) for shape, rng in zip(config.shapes, rngs, strict=True)]


def attack(target: Target, shape: Shape, config: Config, rng: np.random.Generator) -> Found:
    """The worst of several restarts, each climbed and then polished; stops at once where a certificate breaks.

    Examples
    --------
    >>> target, few = Target(owo.Absolute(), owo.DualAveraging(0.5), owo.Frozen()), Config(restarts=1, evaluations=50)
    >>> found = attack(target, Shape(3, 4, 2), few, np.random.default_rng(0))
    >>> bool(0.9 < found.outcome.ratio <= 1.0), found.outcome.broken
    (True, False)
    """
    search = Search(target, shape)
    for restart in range(config.restarts):
        moves = start(rng, shape, restart)
        search.climb(moves, rng, config.evaluations * 3 // 4)
        search.polish(rng, config.evaluations // 4)
        if search.worst.broken:
            break
    return Found(search.worst, search.moves, search.played)


# ------------------------------------------------------------------------------------------------------- the search


@dataclass
class Search:
    """The worst moves so far, and the means of finding worse ones."""

    target: Target
    shape: Shape
    moves: Array = field(default_factory=lambda: np.empty(0))
    worst: Outcome = field(default_factory=lambda: Outcome(-math.inf, 1.0, 0.0, False))
    played: int = 0

    def score(self, flat: Array) -> float:
        """The ratio that moves reach; the worst of all are kept."""
        outcome = play(self.target, self.shape, flat)
        self.played += 1
        if not len(self.moves) or (outcome.broken, outcome.ratio) > (self.worst.broken, self.worst.ratio):
            self.worst, self.moves = outcome, flat.copy()
        return math.inf if outcome.broken else outcome.ratio

    def climb(self, flat: Array, rng: np.random.Generator, evaluations: int) -> None:
        """A (1+1) evolution strategy with the one-fifth rule; each step changes a random part of the moves."""
        best, step = self.score(flat), 0.5
        for _ in range(evaluations):
            if math.isinf(best):
                return
            tried = self._mutant(flat, step, rng)
            value = self.score(tried)
            if value >= best:
                flat, best, step = tried, value, min(2.0, step * 1.5)
            else:
                step = max(1e-4, step * 1.5**-0.25)

    def _mutant(self, flat: Array, step: float, rng: np.random.Generator) -> Array:
        part = rng.random(len(flat)) < rng.choice([2.0 / len(flat), 0.1, 1.0])
        tried: Array = flat + step * part * rng.normal(size=len(flat))
        moves, kind = Moves.of(tried, self.shape), rng.integers(5)
        row = rng.integers(len(moves.y))
        if kind == 0:
            moves.y[row] *= -1.0
        elif kind == 1:
            moves.X[row] *= 10.0 ** rng.normal()
        elif kind == 2:
            moves.reach[:] += step * rng.normal(size=2)
        return tried

    def polish(self, rng: np.random.Generator, evaluations: int) -> None:
        """Powell's method along a few random directions and the reach of the comparators, from the worst so far."""
        at, moves = self.moves, Moves.of(np.arange(len(self.moves), dtype=float), self.shape)
        lines = rng.normal(size=(6, len(at)))
        lines[:2] = 0.0
        lines[[0, 1], moves.reach.astype(int)] = 1.0
        optimize.minimize(
            lambda z: -min(self.score(at + z @ lines), 1e3), np.zeros(len(lines)), method="Powell",
            options={"maxfev": evaluations, "ftol": 1e-12},
        )  # fmt: skip
