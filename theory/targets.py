"""What an adversary may do to one learner: points, labels, their order and comparators as one flat array of numbers.

See ``theory.adversary`` for what it does with that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

import owo
from owo.hindsight import Comparator

Array = NDArray[np.float64]

FAR = 10.0
"""Labels are about so far out: beyond all predictions, if the adversary wants losses to be linear."""


@dataclass(frozen=True)
class Target:
    """One learner to be attacked; arguments as of ``owo.OnlineWithinOnline``."""

    loss: Any
    inner: Any
    outer: Any
    update: Literal["task", "point"] = "task"
    geometry: Any = None

    @property
    def classifies(self) -> bool:
        """Whether labels must be -1 or +1."""
        accepts = getattr(self.loss, "accepts", None)
        return accepts is not None and not accepts(0.5)

    def learner(self, d: int) -> owo.OnlineWithinOnline:
        """The learner, before any data."""
        metric = np.linspace(0.5, 2.0, d) if isinstance(self.geometry, owo.geometry.Fixed) else None
        return owo.OnlineWithinOnline(
            self.loss, self.inner, self.outer, self.update, geometry=self.geometry, bias=np.zeros(d), metric=metric
        )


class Shape(NamedTuple):
    """What the adversary may choose from."""

    tasks: int
    points: int
    d: int
    unit: bool = False
    """whether ``|x| = 1``, as closed forms suppose; else rows may be of any length, or 0"""


INNER = (
    owo.DualAveraging(0.5),
    owo.GrowingFTRL(1.0),
    owo.InverseSqrt(0.5),
    owo.AdaptiveNorm(1.0),
    owo.CoinBetting(),
    owo.Implicit(0.5),
    owo.Ball(owo.DualAveraging(0.5), 2.0),
    owo.Frozen(),
)
OUTER = (owo.DualAveraging(0.1), owo.GrowingFTRL(2.0), owo.CoinBetting(), owo.InverseSqrt(0.3), owo.AdaptiveNorm(1.0),
         owo.Ball(owo.DualAveraging(0.1), 2.0), owo.Frozen())  # fmt: skip
GEOMETRIES = (
    owo.geometry.Fixed(),
    owo.geometry.Scalar(),
    owo.geometry.Diagonal(),
    owo.geometry.FeatureMap(),
    owo.geometry.Full(),
)


def targets(losses: tuple[Any, ...]) -> tuple[Target, ...]:
    """Every inner law with every loss and both updates, the outer laws in turn; then every geometry, both updates."""
    updates: tuple[Literal["task", "point"], ...] = ("task", "point")
    plain = [
        Target(loss, inner, OUTER[(i + j) % len(OUTER)], update)
        for i, loss in enumerate(losses)
        for j, inner in enumerate(INNER)
        for update in updates
    ]
    learned = [
        Target(losses[0], owo.GrowingFTRL(1.0), owo.DualAveraging(0.1), update, geometry)
        for geometry in GEOMETRIES
        for update in updates
    ]
    return (*plain, *learned)


class Outcome(NamedTuple):
    """One target as it was played."""

    regret: float
    certificate: float
    rounding: float
    broken: bool
    """whether regret exceeded certificate and rounding at any task boundary"""

    @property
    def ratio(self) -> float:
        """``regret / (certificate + rounding)``; 0 where the certificate is not above 0, so that there is none."""
        allowed = self.certificate + self.rounding
        return self.regret / allowed if allowed > 0.0 and math.isfinite(self.regret / allowed) else 0.0


# --------------------------------------------------------------------------------------------- what the adversary plays


class Moves(NamedTuple):
    """The adversary's choice, taken apart; views into one flat array, so that any optimiser can work on it."""

    X: Array
    """(points, d)"""
    y: Array
    """(points,), in units of ``FAR``"""
    arrival: Array
    """(points,): points arrive in the order of these numbers, those of a task in the order that they have in it"""
    reach: Array
    """(2,): how far comparators lie from their bias, and theta' from the centre; logarithms, 0 where (L) is tight"""
    apart: Array
    """(tasks, d): added to the comparators"""
    shift: Array
    """(d,): added to theta'"""

    @classmethod
    def of(cls, flat: Array, shape: Shape) -> Moves:
        """Take apart a flat array."""
        T, n, d = shape.tasks, shape.tasks * shape.points, shape.d
        sizes = np.cumsum([n * d, n, n, 2, T * d])
        X, y, arrival, reach, apart, shift = np.split(flat, sizes)
        return cls(X.reshape(n, d), y, arrival, reach, apart.reshape(T, d), shift)


def length(shape: Shape) -> int:
    """Numbers that the adversary chooses."""
    n = shape.tasks * shape.points
    return n * (shape.d + 2) + 2 + (shape.tasks + 1) * shape.d


def start(rng: np.random.Generator, shape: Shape, restart: int) -> Array:
    """Where a search begins: gradients that cancel; that come late; that repeat; or random ones, in turn."""
    flat = np.zeros(length(shape))
    moves = Moves.of(flat, shape)
    task = np.repeat(np.arange(shape.tasks), shape.points)
    within = np.tile(np.arange(shape.points), shape.tasks)
    moves.X[:] = rng.normal(size=moves.X.shape)
    moves.y[:] = rng.choice([-1.0, 1.0], size=len(moves.y))
    moves.arrival[:] = task if restart % 2 == 0 else rng.uniform(0.0, shape.tasks, len(task))
    kind = restart % 4
    if kind < 3:
        moves.X[:] = rng.normal(size=(shape.tasks, shape.d))[task]
        moves.y[:] = np.where(within % 2 == 0, 1.0, -1.0) if kind == 0 else 1.0
    if kind == 1:
        moves.X[:] *= 10.0 ** (within - shape.points + 1.0)[:, None]
    return flat


def play(target: Target, shape: Shape, flat: Array) -> Outcome:
    """Run the learner on the adversary's data and hold it against the adversary's comparators."""
    moves = Moves.of(flat, shape)
    block = as_block(target, shape, moves)
    learner = target.learner(shape.d)
    try:
        ledger = learner.run(block, points=True)
    except FloatingPointError:  # a loss with unbounded slopes ran away, and the learner refused: nothing was claimed
        return Outcome(0.0, math.inf, 0.0, False)
    comparator = _comparator(target, block, ledger, moves)
    regret, rounding = ledger.regret(comparator), ledger.rounding(comparator)
    certificate = ledger.certificate(comparator).total
    if ledger.geometry.learns:
        unmoved = comparator._replace(metric=ledger.metric.reshape(learner.metric.shape))
        certificate = np.minimum(certificate, ledger.certificate(unmoved).total)
    broken = bool(np.any(~(regret <= certificate + rounding)))
    return Outcome(float(regret[-1]), float(certificate[-1]), float(rounding[-1]), broken)


def as_block(target: Target, shape: Shape, moves: Moves) -> owo.Block:
    """The points in the order that the adversary has them arrive."""
    X = moves.X
    if shape.unit:
        X = X / np.maximum(np.linalg.norm(X, axis=1, keepdims=True), 1e-12)
    y = np.where(moves.y >= 0.0, 1.0, -1.0) if target.classifies else FAR * moves.y
    slots = np.repeat(np.arange(shape.tasks), shape.points)
    mixed = slots[np.argsort(moves.arrival, kind="stable")]  # whose turn it is
    rows = np.empty(len(y), dtype=np.int64)
    rows[np.argsort(mixed, kind="stable")] = np.arange(len(y))
    return owo.Block(X[rows], y[rows], mixed)


def _comparator(target: Target, block: owo.Block, ledger: Any, moves: Moves) -> Comparator:
    """Comparators where (L) is tight, up to the adversary's factors and shifts: opposite to the sums of gradients."""
    points, codes = ledger.points[-1], block.task
    pulls = np.zeros((block.n_tasks, block.d))
    slopes = [
        target.loss.subgradient(p, y) for p, y in zip(points["prediction"].tolist(), block.y.tolist(), strict=True)
    ]
    np.add.at(pulls, codes, np.array(slopes)[:, None] * block.X)
    account, order = ledger.account, [block.keys.index(key) for key in ledger.keys]
    reach = np.empty(block.n_tasks)
    reach[order] = np.where(account.scale > 0.0, account.scale * account.pull, 1.0)
    far = float(ledger.tally.scale[-1] * ledger.tally.pull[-1]) or 1.0
    inward, outward = np.exp(np.clip(moves.reach, -20.0, 20.0))
    metric = np.array(ledger.metric)
    steered = pulls @ metric.reshape(block.d, block.d) if len(metric) == block.d**2 > 1 else pulls
    steered = steered * metric if len(metric) in (1, block.d) else steered
    bias = -outward * far * _direction(pulls.sum(axis=0)) + moves.shift
    weights = bias - inward * reach[:, None] * _direction(steered) + moves.apart
    losses = np.zeros(block.n_tasks)
    predictions = np.sum(block.X * weights[codes], axis=1).tolist()
    values = [target.loss.value(p, y) for p, y in zip(predictions, block.y.tolist(), strict=True)]
    np.add.at(losses, codes, values)
    return Comparator("adversary", bias, weights, losses, block.keys)


def _direction(vectors: Array) -> Array:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-300))
