"""Each result proved step by step in a ``.md`` file, and beside it the numbers of every displayed inequality.

Inequality W3 of ``within.md`` is the function ``@displayed("W3")`` of ``within.py``: it draws data and evaluates both
sides. The functions are written with NumPy alone, apart from ``owo``'s own learners, so that they check these as well.

>>> evaluate("W1", seed=0).holds
True
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

TOPICS = ("within", "learners", "across", "maps", "statistics", "lower")
"""The files, without their ending."""


class Sides(NamedTuple):
    """Both sides of a displayed inequality, or equality, on data; numbers or arrays of them."""

    left: ArrayLike
    right: ArrayLike
    equal: bool = False
    size: float = 1.0
    """of the numbers that the sides are sums of, where these cancel"""

    @property
    def over(self) -> float:
        """By how much the left side exceeds the right (or differs from it), in units of the size of both."""
        left, right = np.asarray(self.left, dtype=np.float64), np.asarray(self.right, dtype=np.float64)
        apart = np.abs(left - right) if self.equal else left - right
        return float(np.max(apart / (self.size + np.abs(left) + np.abs(right))))

    @property
    def holds(self) -> bool:
        """Whether it does, but for rounding; NaN does not."""
        return self.over <= ROUNDING


ROUNDING = 1e-11
"""Sides are sums of up to a few thousand products of numbers near 1."""

Displayed = Callable[[np.random.Generator], Sides]

_FOUND: dict[str, Displayed] = {}


def displayed(name: str) -> Callable[[Displayed], Displayed]:
    """Give a function the name that its inequality has in the text."""

    def enter(function: Displayed) -> Displayed:
        if name in _FOUND and _FOUND[name].__qualname__ != function.__qualname__:
            raise ValueError(f"{name} is evaluated twice, by {_FOUND[name].__qualname__} and {function.__qualname__}")
        _FOUND[name] = function
        return function

    return enter


def inequalities() -> dict[str, Displayed]:
    """All of them, by name."""
    for topic in TOPICS:
        importlib.import_module(f"theory.derivations.{topic}")
    return dict(_FOUND)


def evaluate(name: str, seed: int) -> Sides:
    """Both sides on one draw of data."""
    return inequalities()[name](np.random.default_rng([seed, *name.encode()]))


def shown() -> list[str]:
    """The names that the texts display, in order: a line ``**(W1)**`` above each."""
    here = Path(__file__).parent
    texts = [(here / f"{topic}.md").read_text(encoding="utf-8") for topic in TOPICS]
    return [name for text in texts for name in re.findall(r"^\*\*\(([A-Z]+\d+)\)\*\*", text, flags=re.MULTILINE)]
