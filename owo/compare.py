"""The comparison behind ``owo run``: how learners do on a data set, over many orders of its tasks.

In every order the data are encoded from its beginning alone, so that nothing is known before it could be. All
learners see the same orders; differences between them are therefore paired, and intervals are of the differences.
Each run, in each order, is held against a comparator in hindsight: its regret must not exceed its certificate.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from owo import hindsight
from owo.contenders import CONTENDERS, INDEPENDENT, PER_TASK, Choice, Contender
from owo.ledger import CertificateViolation, Ledger
from owo.losses import Absolute, Pinball, Squared
from owo.streams import Block, Encoding

Array = NDArray[np.float64]
Progress = Callable[[float, str], None]

PATH_ROWS = 500
"""Rows kept of the path of the bias, at most about."""

SAME = 1e-8
"""Gains this close, in percent, are the same: sums in another order differ by rounding, about 1e-13 of a loss."""


class Data(NamedTuple):
    """What is compared on."""

    name: str
    block: Block
    columns: tuple[str, ...]
    """what the d features are"""
    source: str
    """what the data are, in a sentence"""


@dataclass(frozen=True)
class Settings:
    """What a comparison is asked for.

    Parameters
    ----------
    loss : a record of ``owo.losses``; if it takes -1 and +1 only, labels are split at their median
    orders : number of random orders of the tasks, at least 1
    seed : of the orders; order k follows from (seed, k) alone
    strength, step : of the learners inside and across tasks; default: the best of a coarse grid, in hindsight
    fraction : part of the tasks (where they are mixed, of the points) the encoding is taken from, the first ones in
        each order
    """

    loss: Any = field(default_factory=Absolute)
    orders: int = 10
    seed: int = 0
    strength: float | None = None
    step: float | None = None
    fraction: float = 0.1

    def __post_init__(self) -> None:
        if self.orders < 1 or self.seed < 0:
            raise ValueError(
                f"orders is {self.orders}, seed {self.seed}; needed at least 1 order and a seed of at least 0"
            )
        for name in ("strength", "step"):
            value = getattr(self, name)
            if value is not None and not 0.0 < value < math.inf:
                raise ValueError(
                    f"{name} is {value}; it must be finite and above 0, or left out for the best of a grid"
                )
        if not 0.0 < self.fraction <= 1.0:
            raise ValueError(f"fraction is {self.fraction}; it is a part of the tasks: above 0 and at most 1")

    @property
    def classification(self) -> bool:
        """Whether the loss takes -1 and +1 only."""
        return not self.loss.accepts(0.5)

    @property
    def degree(self) -> int:
        """How the loss scales with y, so that it can be told in units of y; 0 if it cannot."""
        return 0 if self.classification else _DEGREES.get(type(self.loss), 0)


_DEGREES = {Absolute: 1, Pinball: 1, Squared: 2}


# ------------------------------------------------------------------------------------------------------- the runs


class Arena(NamedTuple):
    """The tasks in one order, encoded from its beginning."""

    block: Block
    encoding: Encoding
    unit: float
    """what a loss of 1 is in the unit of the table"""


class Run(NamedTuple):
    """One learner streamed over one arena."""

    ledger: Ledger
    loss: float
    """a point, in the unit of the table"""
    error: float
    """errors a point, a prediction of exactly 0 counted half; NaN for regression"""
    seconds: float


@dataclass(frozen=True)
class Outcome:
    """A row of the table."""

    contender: Contender
    choice: Choice
    losses: Array
    """loss a point in each random order (orders,), in the unit of the table"""
    errors: Array
    """errors a point in each random order (orders,)"""
    own: Run
    """the run in the data's own order"""
    comparator: hindsight.Comparator
    """what it is held against in that order"""
    seconds: float
    """of streaming the data once, the least over orders"""


@dataclass(frozen=True)
class Comparison:
    """All that a report needs."""

    data: Data
    settings: Settings
    arena: Arena
    """the data in their own order"""
    outcomes: tuple[Outcome, ...]
    violations: tuple[str, ...]
    """runs whose regret exceeded their certificate, in words: none, unless something is wrong"""
    checked: int
    """how often a run was held against a comparator"""
    doubts: tuple[str, ...]
    """comparators that are not certified to be the best of their kind, in words"""
    drawn: Encoding
    """of the first random order; the others are encoded from as many tasks"""
    distinct: int
    """how many of the random orders differ"""

    @property
    def mixed(self) -> bool:
        """Whether the data's own order has tasks mixed, which the random orders never have."""
        return not self.arena.encoding.whole

    def outcome(self, contender: Contender) -> Outcome:
        """The row of a contender."""
        return next(each for each in self.outcomes if each.contender is contender)

    def gain(self, outcome: Outcome) -> tuple[float, float]:
        """How much less is lost than by independent learning, in percent, and the half-width of its 95 % interval.

        There is no interval, but NaN, if some of the random orders are the same.
        """
        gain, half = paired_gain(self.outcome(INDEPENDENT).losses, outcome.losses)
        return gain, half if self.distinct == self.settings.orders else math.nan

    def own_gain(self, outcome: Outcome) -> float:
        """How much less is lost than by independent learning in the data's own order, in percent."""
        return paired_gain(np.array([self.outcome(INDEPENDENT).own.loss]), np.array([outcome.own.loss]))[0]


def paired_gain(reference: Array, losses: Array) -> tuple[float, float]:
    """Mean of ``100 (1 - loss_k / reference_k)`` over orders k, and the half-width of its 95 % t-interval.

    With a single order the half-width is NaN; so it is if the gains do not depend on the order, but for rounding.

    >>> paired_gain(np.array([2.0, 4.0]), np.array([1.0, 3.0]))[0]
    37.5
    """
    from scipy.special import stdtrit

    with np.errstate(divide="ignore", invalid="ignore"):  # where nothing was lost there is nothing to gain
        gains = 100.0 * (1.0 - losses / reference)
    n = len(gains)
    if n < 2 or not np.ptp(gains) > SAME:
        return float(gains.mean()), math.nan
    return float(gains.mean()), float(stdtrit(n - 1, 0.975) * gains.std(ddof=1) / math.sqrt(n))


def arena(data: Data, settings: Settings, order: int | None = None) -> Arena:
    """The data in random order number ``order``, or in their own."""
    block = data.block if order is None else data.block.shuffled(np.random.default_rng([settings.seed, order]))
    encoding = Encoding.fit(block.X, block.y, block.task, settings.fraction, classification=settings.classification)
    size = float(np.max(np.abs(data.block.y)))  # squares of y might overflow, those of y / size cannot
    spread = float(np.std(data.block.y / size)) * size if size > 0.0 else 0.0
    unit = (encoding.width / spread) ** settings.degree if spread > 0.0 else 1.0
    return Arena(encoding.block(block), encoding, unit)


def stream(contender: Contender, choice: Choice, where: Arena, settings: Settings, bias: Array | None = None) -> Run:
    """Stream an arena through a fresh learner."""
    learner = contender.learner(settings.loss, choice, bias)
    every = max(1, where.block.n_tasks // PATH_ROWS)
    began = time.perf_counter()
    ledger = learner.run(where.block, points=settings.classification, path_every=every)
    seconds = time.perf_counter() - began
    error = math.nan
    if settings.classification:
        agree = ledger.points[0]["prediction"] * ledger.points[0]["label"]
        error = float(np.mean(np.where(agree == 0.0, 0.5, agree < 0.0)))
    return Run(ledger, float(ledger.cumulative_loss()[-1]) / where.block.n * where.unit, error, seconds)


def compare(data: Data, settings: Settings, progress: Progress | None = None) -> Comparison:
    """Run all learners over all orders.

    Parameters
    ----------
    data, settings : what, and how
    progress : called with the part that is done, 0 to 1, and what is being done, in words

    Raises
    ------
    FloatingPointError
        A learner overflowed, whatever of the grid it tried: data or steps are too large.
    """
    return _Study(data, settings, progress).run()


class _Study:
    """A comparison in the making."""

    def __init__(self, data: Data, settings: Settings, progress: Progress | None) -> None:
        self.data, self.settings, self.progress = data, settings, progress
        self.chosen: dict[str, Choice] = {}
        self.violations: list[str] = []
        self.doubts: list[str] = []
        self.orders: set[tuple[Hashable, ...]] = set()
        self.checked = self.done = 0
        tried = [len(self._choices(each)) for each in CONTENDERS]
        self.steps = 1 + sum(n for n in tried if n > 1) + (settings.orders + 1) * (len(CONTENDERS) + 1) + 1

    def run(self) -> Comparison:
        """Choose numbers on the first random order, stream all random orders, then the data's own order."""
        first = arena(self.data, self.settings, 0)
        self._choose(first)
        shape = (len(CONTENDERS), self.settings.orders)
        losses, errors, seconds = np.empty(shape), np.empty(shape), np.empty(shape)
        for order in range(self.settings.orders):
            doing = f"random order {order + 1} of {self.settings.orders}"
            where = arena(self.data, self.settings, order)
            self.orders.add(where.block.keys)
            for row, run in enumerate(self._all(where, self._best_bias(where, doing), doing)):
                losses[row, order], errors[row, order], seconds[row, order] = run.loss, run.error, run.seconds
        return self._own_order(first.encoding, losses, errors, seconds.min(axis=1))

    def _own_order(self, drawn: Encoding, losses: Array, errors: Array, seconds: Array) -> Comparison:
        doing = "the data's own order"
        where = arena(self.data, self.settings)
        best = self._best_bias(where, doing)
        single = self._in_hindsight(hindsight.pooled, where, doing)
        outcomes = []
        for row, (each, run) in enumerate(zip(CONTENDERS, self._all(where, best, doing), strict=True)):
            if each.single:
                self._hold(run, single, f"{each.name}, {doing}")
            comparator, choice = single if each.single else best, self.chosen[each.name]
            outcomes.append(Outcome(each, choice, losses[row], errors[row], run, comparator, float(seconds[row])))
        return Comparison(
            self.data, self.settings, where, tuple(outcomes), tuple(self.violations), self.checked, tuple(self.doubts),
            drawn, len(self.orders),
        )  # fmt: skip

    def _best_bias(self, where: Arena, doing: str) -> hindsight.Comparator:
        return self._in_hindsight(hindsight.best_bias, where, doing, self.chosen[PER_TASK.name].strength)

    def _in_hindsight(
        self, find: Callable[..., hindsight.Comparator], where: Arena, doing: str, *numbers: float
    ) -> hindsight.Comparator:
        """A comparator. It serves as one even where it is not certified to be the best, but that is told."""
        self._tell(doing)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", hindsight.ConvergenceWarning)
            comparator: hindsight.Comparator = find(self.settings.loss, where.block, *numbers)
        self.doubts += [f"{doing}: {each.message}" for each in caught]
        return comparator

    def _all(self, where: Arena, best: hindsight.Comparator, doing: str) -> Iterator[Run]:
        """Stream all learners over an arena; each is held against the best bias."""
        for each in CONTENDERS:
            self._tell(doing)
            bias = best.bias if each.from_best else None
            run = stream(each, self.chosen[each.name], where, self.settings, bias)
            self._hold(run, best, f"{each.name}, {doing}")
            yield run

    def _hold(self, run: Run, comparator: hindsight.Comparator, what: str) -> None:
        self.checked += 1
        try:
            run.ledger.check(comparator)
        except CertificateViolation as violation:
            self.violations.append(f"{what}: {violation}")

    def _choose(self, where: Arena) -> None:
        """The numbers of least loss in an arena. A number at which a learner overflows is not chosen."""
        self._tell("compiling")
        for each in CONTENDERS:
            choices = self._choices(each)
            losses = [self._tried(each, choice, where) if len(choices) > 1 else 0.0 for choice in choices]
            self.chosen[each.name] = choices[int(np.argmin(losses))]

    def _choices(self, contender: Contender) -> list[Choice]:
        """What is tried: nothing for one that takes the numbers of another, which comes before it."""
        if contender.like is not None:
            return [self.chosen.get(contender.like.name, Choice(1.0, 1.0))]
        return contender.choices(self.settings.strength, self.settings.step)

    def _tried(self, contender: Contender, choice: Choice, where: Arena) -> float:
        self._tell(f"grid, compiling on first use: {contender.name}")
        try:
            return stream(contender, choice, where, self.settings).loss
        except FloatingPointError:
            return math.inf

    def _tell(self, doing: str) -> None:
        if self.progress is not None:
            self.progress(min(self.done / self.steps, 1.0), doing)
        self.done += 1
