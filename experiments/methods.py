"""The learners that studies compare: each a name, a way to make it, and the numbers that are tried for it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

import owo
from owo.exact import ExactMeta, adapt_batch

Array = NDArray[np.float64]


class Numbers(NamedTuple):
    """The two numbers that a tuned learner has: lambda inside tasks, eta across them."""

    strength: float = 1.0
    step: float = 1.0


class Known(NamedTuple):
    """What an oracle is told."""

    bias: Array
    """(d,): the mean of the tasks' weights, or the best bias in hindsight"""
    metric: Array | None = None
    """(d, d): the best map of trace 1, where maps are compared"""
    mean: Array | None = None
    """(d,): the mean of the tasks' own optima, where that is another bias"""


class Method(NamedTuple):
    """A learner of a comparison.

    Examples
    --------
    >>> make = lambda loss, at, known: owo.OnlineWithinOnline(loss, owo.GrowingFTRL(at.strength))
    >>> mine = Method("mine", make, strengths=(1.0, 2.0))
    >>> mine.grid
    [Numbers(strength=1.0, step=1.0), Numbers(strength=2.0, step=1.0)]
    """

    name: str
    learner: Callable[[Any, Numbers, Known], Any]
    """makes it, from the loss, the numbers and what oracles know; it needs ``run(block)`` that returns the ledger of
    all its runs (or None, if it is not online) and ``adapt_each(tasks, average=)``, as ``OnlineWithinOnline`` has"""
    strengths: tuple[float, ...] = (1.0,)
    """that are tried; one where it does not matter"""
    steps: tuple[float, ...] = (1.0,)
    average: bool = True
    """whether a new task gets the mean of its iterates, for which transfer has a guarantee, or the last one"""

    def begun(self, loss: Any, numbers: Numbers, known: Known, *needed: str) -> Any:
        """A fresh learner, which has ``run`` and what else is ``needed``, or ``TypeError``."""
        learner = self.learner(loss, numbers, known)
        for name in ("run", *needed):
            if not callable(getattr(learner, name, None)):
                raise TypeError(f"method {self.name!r} makes a {type(learner).__name__}, which has no {name}(...)")
        return learner

    @property
    def grid(self) -> list[Numbers]:
        """All numbers that are tried."""
        return [Numbers(*pair) for pair in itertools.product(self.strengths, self.steps)]


def distinct(methods: Sequence[Method]) -> list[str]:
    """The names of methods, each once, or ``ValueError``."""
    names = [method.name for method in methods]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"two methods have the name {twice!r}; give yours another one")
    return names


def around_a_bias(strengths: tuple[float, ...], steps: tuple[float, ...]) -> tuple[Method, ...]:
    """Every learner of a bias, with the baselines; the same strengths and steps are tried for all that have them."""

    def pooled(loss: Any, at: Numbers, _: Known) -> Any:
        return _owo(loss, owo.Frozen(), owo.DualAveraging(at.step), "point")

    def per_task(loss: Any, at: Numbers, _: Known) -> Any:
        return _owo(loss, _ftrl(at), owo.DualAveraging(at.step), "task")

    def per_point(loss: Any, at: Numbers, _: Known) -> Any:
        return _owo(loss, _ftrl(at), owo.DualAveraging(at.step), "point")

    def oracle(loss: Any, at: Numbers, known: Known) -> Any:
        return _owo(loss, _ftrl(at), owo.Frozen(), "task", bias=known.bias)

    return (
        independent(strengths),
        Method(POOLED, pooled, steps=steps),
        Method(PER_TASK, per_task, strengths, steps),
        Method(PER_POINT, per_point, strengths, steps),
        *parameter_free(),
        Method(ORACLE, oracle, strengths),
    )


def independent(strengths: tuple[float, ...]) -> Method:
    """Every task on its own, from a bias of 0."""
    return Method(INDEPENDENT, lambda loss, at, _: _owo(loss, _ftrl(at), owo.Frozen(), "task"), strengths)


def parameter_free() -> tuple[Method, ...]:
    """Coin betting: every task on its own, around a bias that moves when a task ends, or after every point."""
    return (
        Method(FREE_ALONE, lambda loss, *_: _owo(loss, owo.CoinBetting(), owo.Frozen(), "task")),
        Method(FREE_LAZY, lambda loss, *_: _owo(loss, owo.CoinBetting(), owo.CoinBetting(), "task")),
        Method(FREE, lambda loss, *_: _owo(loss, owo.CoinBetting(), owo.CoinBetting(), "point")),
    )


def tuning_free() -> Method:
    """The predictions of many configurations, weighed online; of dense tasks that come one after another."""
    return Method(TUNING_FREE, lambda loss, *_: owo.TuningFree(loss))


INDEPENDENT, POOLED, ORACLE = "independent", "pooled", "oracle mean"
PER_TASK, PER_POINT, TUNING_FREE = "OWO per task", "OWO per point", "tuning-free"
FREE_ALONE, FREE_LAZY, FREE = (
    "parameter-free independent", "parameter-free OWO per task", "parameter-free OWO per point"
)  # fmt: skip


class Exact:
    """Exact meta-subgradients in training; a new task by the solver, or by one online pass."""

    def __init__(
        self, loss: Any, strength: float, outer: Any, geometry: Any, at_test: Literal["online", "batch"]
    ) -> None:
        self.loss, self.strength, self.at_test = loss, strength, at_test
        self.meta = ExactMeta(loss, strength, outer, geometry)

    def run(self, block: owo.Block) -> None:
        """Learn from tasks; there is no ledger, since nothing is predicted before it is seen."""
        self.meta.run(block)

    def adapt_each(self, tasks: owo.Block, *, average: bool = True) -> Array:
        """Weights (T, d) of new tasks."""
        bias, metric = self.meta.bias, self.meta.metric
        if self.at_test == "online":
            law, still = owo.GrowingFTRL(self.strength), owo.geometry.Fixed()
            alone = owo.OnlineWithinOnline(
                self.loss, law, owo.Frozen(), "task", geometry=still, bias=bias, metric=metric
            )
            return alone.adapt_each(tasks, average=average)
        solved = (adapt_batch(self.loss, each.X, each.y, self.strength, bias, metric) for each in tasks.tasks())
        return np.array(list(solved))


def _owo(loss: Any, inner: Any, outer: Any, update: Any, bias: Array | None = None) -> owo.OnlineWithinOnline:
    return owo.OnlineWithinOnline(loss, inner, outer, update, bias=bias)


def _ftrl(at: Numbers) -> owo.GrowingFTRL:
    return owo.GrowingFTRL(at.strength)
