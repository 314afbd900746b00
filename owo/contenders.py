"""The learners that ``owo run`` compares, and the coarse grid for those that have numbers to choose."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from owo.laws import CoinBetting, DualAveraging, Frozen, GrowingFTRL
from owo.online import OnlineWithinOnline

Array = NDArray[np.float64]

STRENGTHS = tuple((10.0 ** np.arange(-1.5, 1.01, 0.5)).tolist())
"""Strengths inside tasks that are tried."""

STEPS = tuple((10.0 ** np.arange(-2.5, 0.51, 0.5)).tolist())
"""Steps across tasks that are tried."""


class Choice(NamedTuple):
    """The two numbers a tuned learner has."""

    strength: float
    step: float


class Contender(NamedTuple):
    """A learner of the comparison."""

    name: str
    about: str
    inner: Callable[[Choice], Any]
    outer: Callable[[Choice], Any]
    update: Literal["task", "point"]
    tunes: tuple[str, ...]
    """which of the two numbers matter to it"""
    fixable: bool = True
    """whether numbers given by the user apply"""
    like: Contender | None = None
    """whose numbers it takes; default: those that are best for itself"""
    from_best: bool = False
    """whether it starts from the best bias in hindsight, not from zero"""
    single: bool = False
    """whether its regret is beyond the best single weights, not beyond the best bias"""

    def choices(self, strength: float | None, step: float | None) -> list[Choice]:
        """What is tried: the numbers given, or else the grid where they matter.

        >>> PER_TASK.choices(1.0, 0.1), len(INDEPENDENT.choices(None, None)) == len(STRENGTHS)
        ([Choice(strength=1.0, step=0.1)], True)
        """
        given = (strength, step) if self.fixable else (None, None)
        axes: list[tuple[float, ...]] = []
        for name, value, grid in zip(Choice._fields, given, (STRENGTHS, STEPS), strict=True):
            axes.append((value,) if value is not None else grid if name in self.tunes else (1.0,))
        return [Choice(*pair) for pair in itertools.product(*axes)]

    def learner(self, loss: Any, choice: Choice, bias: Array | None = None) -> OnlineWithinOnline:
        """A fresh learner of this kind."""
        return OnlineWithinOnline(loss, self.inner(choice), self.outer(choice), self.update, bias=bias)


def _ftrl(choice: Choice) -> GrowingFTRL:
    return GrowingFTRL(choice.strength)


def _gradient_steps(choice: Choice) -> DualAveraging:
    return DualAveraging(choice.step)


def _coin(_: Choice) -> CoinBetting:
    return CoinBetting()


def _frozen(_: Choice) -> Frozen:
    return Frozen()


INDEPENDENT = Contender(
    "independent", "every task is learned on its own, from a bias of zero", _ftrl, _frozen, "task", ("strength",)
)
POOLED = Contender(
    "pooled", "one learner for all tasks, which does not know that there are tasks", _frozen, _gradient_steps, "point",
    ("step",), fixable=False, single=True,
)  # fmt: skip
PER_TASK = Contender(
    "OWO per task", "online within online; the bias moves when a task ends", _ftrl, _gradient_steps, "task",
    ("strength", "step"),
)  # fmt: skip
PER_POINT = Contender(
    "OWO per point", "online within online; the bias moves after every point", _ftrl, _gradient_steps, "point",
    ("strength", "step"),
)  # fmt: skip
FREE_ALONE = Contender(
    "parameter-free independent",
    "every task on its own, by coin betting: no number to choose",
    _coin,
    _frozen,
    "task",
    (),
)
FREE = Contender(
    "parameter-free OWO", "coin betting inside tasks and across them, after every point: no number to choose",
    _coin, _coin, "point", (),
)  # fmt: skip
ORACLE = Contender(
    "oracle", "as OWO per task, but from the best bias in hindsight from the start on: what nobody can know",
    _ftrl, _frozen, "task", ("strength",), like=PER_TASK, from_best=True,
)  # fmt: skip

CONTENDERS = (INDEPENDENT, POOLED, PER_TASK, PER_POINT, FREE_ALONE, FREE, ORACLE)
