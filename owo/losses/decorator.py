"""``@owo.loss`` and ``@owo.losses.vector_loss``, and what they fill in."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable
from typing import Any

from owo._record import Class, helper, record, require
from owo.doors import LOSS, VECTOR_LOSS


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
    _demand(cls, LOSS, "owo.losses")
    for name, default in (("prox_slope", default_prox_slope), ("accepts", _accepts)):
        if not hasattr(cls, name):
            setattr(cls, name, default)
    for name, value in (("lipschitz", math.inf), ("degree", 0)):
        if not hasattr(cls, name):
            setattr(cls, name, value)
    return record(cls)


def vector_loss(cls: Class) -> Class:
    """Make a ``NamedTuple`` class a loss of k scores, a record with ``accepts`` and ``lipschitz`` filled in if missing.

    The class must define ``value``, ``slopes`` and ``conjugate``, and the whole number ``classes``, k, of at least 2;
    see ``owo.losses.multiclass``. By default labels are the whole numbers 0 .. k - 1, and ``lipschitz`` is ``inf``;
    ``prox_slopes``, which hindsight needs of a loss that is not smooth, and ``expression``, the twin in cvxpy, are
    optional.

    Raises
    ------
    TypeError
        A method or ``classes`` is missing.
    ValueError
        From instances whose ``classes`` is no such number.

    Examples
    --------
    >>> from typing import NamedTuple
    >>> import numpy as np
    >>> @vector_loss
    ... class Brier(NamedTuple):
    ...     classes: int = 2
    ...
    ...     def value(self, p, y):
    ...         total = 0.0
    ...         for c in range(p.shape[0]):
    ...             total += 0.5 * (p[c] - (c == int(y))) ** 2
    ...         return float(total)
    ...
    ...     def slopes(self, p, y, out):
    ...         for c in range(p.shape[0]):
    ...             out[c] = p[c] - (c == int(y))
    ...
    ...     def conjugate(self, s, y):
    ...         return 0.5 * float(np.sum(s * s)) + s[int(y)]
    >>> Brier(3).value(np.zeros(3), 1.0), Brier(3).accepts(3.0)
    (0.5, False)
    """
    _demand(cls, VECTOR_LOSS, "owo.losses.multiclass")
    if not hasattr(cls, "classes"):
        raise TypeError(f"a loss of scores needs classes, how many; {cls.__name__} has none. Add a field classes: int")
    defaults: dict[str, Any] = {"lipschitz": math.inf, "prox_slopes": default_prox_slopes}
    if not hasattr(cls, "accepts"):
        defaults |= {"accepts": _accepts_classes, "labels": property(_labels)}
    for name, default in defaults.items():
        if not hasattr(cls, name):
            setattr(cls, name, default)
    cls.check = _checking_classes(getattr(cls, "check", None))  # type: ignore[attr-defined]
    return record(cls)


def _demand(cls: type, methods: tuple[str, ...], where: str) -> None:
    for name in methods:
        if not callable(getattr(cls, name, None)):
            raise TypeError(f"a loss needs a method {name}(...); {cls.__name__} has none. See {where} for the list.")


def default_prox_slope(self: Any, p: float, y: float, step: float) -> float:
    """``(p - prox) / step``; for small steps only as exact as that difference. ``subgradient`` for step 0."""
    if step == 0.0:
        return float(self.subgradient(p, y))
    return float((p - self.prox(p, y, step)) / step)


def default_prox_slopes(self: Any, p: Any, y: float, step: float, out: Any) -> None:
    """For a step of 0 only: stands in where a loss of scores has none of its own."""
    self.slopes(p, y, out)


def _accepts(self: Any, y: float) -> bool:
    return math.isfinite(y)


def _accepts_classes(self: Any, y: float) -> bool:
    return 0.0 <= y < self.classes and y == math.floor(y)


def _checking_classes(own: Callable[[Any], None] | None) -> Callable[[Any], None]:
    """A check of the number of classes, and then of what the class checks itself."""

    def check(self: Any) -> None:
        whole = isinstance(self.classes, numbers.Integral) and not isinstance(self.classes, bool)
        require(whole and self.classes >= 2, self, "classes", "a whole number of at least 2, such as 3")
        if own is not None:
            own(self)

    return check


def _labels(self: Any) -> str:
    return f"whole numbers, 0 to {self.classes - 1}"


@helper
def indicator(holds: bool) -> float:
    """1 if it holds, else 0."""
    return 1.0 if holds else 0.0
