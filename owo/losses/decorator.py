"""``@owo.loss``, and what it fills in."""

from __future__ import annotations

import math
from typing import Any

from owo._record import Class, helper, record
from owo.doors import LOSS


def loss(cls: Class) -> Class:
    """Make a ``NamedTuple`` class a loss: a record with ``prox_slope`` and ``accepts`` filled in if missing.

    The class must define ``value``, ``subgradient``, ``conjugate`` and ``prox``; ``lipschitz`` (default ``inf``),
    ``degree`` (default 0) and ``expression`` are optional: without the latter there is no cvxpy twin.

    Raises
    ------
    TypeError
        A method is missing.

    Examples
    --------
    >>> from typing import NamedTuple
    >>> @loss
    ... class Twice(NamedTuple):
    ...     def value(self, p, y):
    ...         return 2.0 * abs(p - y)
    ...
    ...     def subgradient(self, p, y):
    ...         return 2.0 if p > y else -2.0 if p < y else 0.0
    ...
    ...     def conjugate(self, s, y):
    ...         return s * y if abs(s) <= 2.0 else math.inf
    ...
    ...     def prox(self, p, y, step):
    ...         return p - 2.0 * step if p - y > 2.0 * step else p + 2.0 * step if y - p > 2.0 * step else y
    >>> Twice().value(1.0, 4.0), Twice().prox_slope(1.0, 4.0, 0.5)
    (6.0, -2.0)
    """
    for name in LOSS:
        if not callable(getattr(cls, name, None)):
            raise TypeError(f"a loss needs a method {name}(...); {cls.__name__} has none. See owo.losses for the list.")
    for name, default in (("prox_slope", default_prox_slope), ("accepts", _accepts)):
        if not hasattr(cls, name):
            setattr(cls, name, default)
    for name, value in (("lipschitz", math.inf), ("degree", 0)):
        if not hasattr(cls, name):
            setattr(cls, name, value)
    return record(cls)


def default_prox_slope(self: Any, p: float, y: float, step: float) -> float:
    """``(p - prox) / step``; for small steps only as exact as that difference. ``subgradient`` for step 0."""
    if step == 0.0:
        return float(self.subgradient(p, y))
    return float((p - self.prox(p, y, step)) / step)


def _accepts(self: Any, y: float) -> bool:
    return math.isfinite(y)


@helper
def indicator(holds: bool) -> float:
    """1 if it holds, else 0."""
    return 1.0 if holds else 0.0
