"""Convex losses of a prediction ``p`` and a label ``y``, as records of scalar functions.

Every loss offers, for numbers ``p``, ``y``, ``s`` and ``step >= 0``:

===================== =====================================================================================
``value(p, y)``        the loss
``subgradient(p, y)``  one ``s`` with ``value(z, y) >= value(p, y) + s (z - p)`` for every ``z``
``conjugate(s, y)``    ``sup_p  s p - value(p, y)``; ``inf`` outside its domain
``prox(p, y, step)``   ``argmin_z  value(z, y) + (z - p)^2 / (2 step)``
``prox_slope(...)``    the subgradient at that point, ``(p - prox) / step``, without cancellation
``accepts(y)``         whether ``y`` is a label of this loss
``lipschitz``          the largest ``|s|``, or ``inf``
``labels``             the labels it takes, in words, if not all finite numbers
``expression(p, y)``   the same loss as a cvxpy expression, for verification
===================== =====================================================================================

The scalar functions run inside kernels and as plain Python, with the same result. A loss of your own is a
class with the first four, decorated with ``@owo.loss``; ``owo.checks.check_loss`` tests that they belong together.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from owo._record import Class, helper, record, require


def loss(cls: Class) -> Class:
    """Make a ``NamedTuple`` class a loss: a record with ``prox_slope`` and ``accepts`` filled in if missing.

    The class must define ``value``, ``subgradient``, ``conjugate`` and ``prox``; ``lipschitz`` (default ``inf``)
    and ``expression`` are optional: without the latter there is no cvxpy twin.
    """
    for name in ("value", "subgradient", "conjugate", "prox"):
        if not callable(getattr(cls, name, None)):
            raise TypeError(f"a loss needs a method {name}(...); {cls.__name__} has none. See owo.losses for the list.")
    for name, default in (("prox_slope", default_prox_slope), ("accepts", _accepts)):
        if not hasattr(cls, name):
            setattr(cls, name, default)
    if not hasattr(cls, "lipschitz"):
        cls.lipschitz = math.inf  # type: ignore[attr-defined]
    return record(cls)


def default_prox_slope(self: Any, p: float, y: float, step: float) -> float:
    """``(p - prox) / step``; for small steps only as exact as that difference. ``subgradient`` for step 0."""
    if step == 0.0:
        return float(self.subgradient(p, y))
    return float((p - self.prox(p, y, step)) / step)


def _accepts(self: Any, y: float) -> bool:
    return math.isfinite(y)


# ------------------------------------------------------------------------------------------------- regression


@loss
class Absolute(NamedTuple):
    """``|p - y|``, in units of y.

    Conjugate ``s y`` for ``|s| <= 1``. At ``p = y`` the subgradient is 0.

    >>> Absolute().value(2.0, 5.0), Absolute().subgradient(2.0, 5.0), Absolute().prox(2.0, 5.0, 1.0)
    (3.0, -1.0, 3.0)
    """

    @property
    def lipschitz(self) -> float:
        return 1.0

    def value(self, p: float, y: float) -> float:
        return abs(p - y)

    def subgradient(self, p: float, y: float) -> float:
        return _indicator(p > y) - _indicator(p < y)

    def conjugate(self, s: float, y: float) -> float:
        return s * y if abs(s) <= 1.0 else math.inf

    def prox(self, p: float, y: float, step: float) -> float:
        return p - step if p - y > step else p + step if p - y < -step else y

    def prox_slope(self, p: float, y: float, step: float) -> float:
        if abs(p - y) >= step:
            return _indicator(p > y) - _indicator(p < y)
        return (p - y) / step

    def expression(self, p: Any, y: Any) -> Any:
        import cvxpy

        return cvxpy.abs(p - y)


@loss
class EpsilonInsensitive(NamedTuple):
    """``max(|p - y| - width, 0)``: errors up to ``width`` (units of y, >= 0) cost nothing.

    Conjugate ``s y + width |s|`` for ``|s| <= 1``. The loss of support vector regression.
    """

    width: float = 0.1

    def check(self) -> None:
        require(0.0 <= self.width < math.inf, self, "width", "finite and at least 0")

    @property
    def lipschitz(self) -> float:
        return 1.0

    def value(self, p: float, y: float) -> float:
        return max(abs(p - y) - self.width, 0.0)

    def subgradient(self, p: float, y: float) -> float:
        return _indicator(p - y > self.width) - _indicator(p - y < -self.width)

    def conjugate(self, s: float, y: float) -> float:
        return s * y + self.width * abs(s) if abs(s) <= 1.0 else math.inf

    def prox(self, p: float, y: float, step: float) -> float:
        r = p - y
        if abs(r) <= self.width:
            return p
        return p - math.copysign(min(step, abs(r) - self.width), r)

    def prox_slope(self, p: float, y: float, step: float) -> float:
        r = p - y
        if abs(r) <= self.width:
            return 0.0
        if abs(r) - self.width >= step:
            return math.copysign(1.0, r)
        return math.copysign((abs(r) - self.width) / step, r)

    def expression(self, p: Any, y: Any) -> Any:
        import cvxpy

        return cvxpy.pos(cvxpy.abs(p - y) - self.width)


@loss
class Pinball(NamedTuple):
    """``quantile (y - p)`` below the label, ``(1 - quantile) (p - y)`` above it; its mean is least at that quantile.

    Conjugate ``s y`` for ``-quantile <= s <= 1 - quantile``. ``0 < quantile < 1``; units of y.
    """

    quantile: float = 0.5

    def check(self) -> None:
        require(0.0 < self.quantile < 1.0, self, "quantile", "strictly between 0 and 1")

    @property
    def lipschitz(self) -> float:
        return max(self.quantile, 1.0 - self.quantile)

    def value(self, p: float, y: float) -> float:
        return max(self.quantile * (y - p), (1.0 - self.quantile) * (p - y))

    def subgradient(self, p: float, y: float) -> float:
        return (1.0 - self.quantile) * _indicator(p > y) - self.quantile * _indicator(p < y)

    def conjugate(self, s: float, y: float) -> float:
        return s * y if -self.quantile <= s <= 1.0 - self.quantile else math.inf

    def prox(self, p: float, y: float, step: float) -> float:
        up, down = step * self.quantile, step * (1.0 - self.quantile)
        return p - down if p - y > down else p + up if p - y < -up else y

    def prox_slope(self, p: float, y: float, step: float) -> float:
        if p - y >= step * (1.0 - self.quantile) or y - p >= step * self.quantile:
            return (1.0 - self.quantile) * _indicator(p > y) - self.quantile * _indicator(p < y)
        return (p - y) / step

    def expression(self, p: Any, y: Any) -> Any:
        import cvxpy

        return cvxpy.maximum(self.quantile * (y - p), (1.0 - self.quantile) * (p - y))


@loss
class Huber(NamedTuple):
    """``r^2 / 2`` for ``|r| <= threshold``, else ``threshold (|r| - threshold / 2)``, with ``r = p - y``.

    Conjugate ``s y + s^2 / 2`` for ``|s| <= threshold``. The threshold is > 0 and in units of y.
    """

    threshold: float = 1.0

    def check(self) -> None:
        require(0.0 < self.threshold < math.inf, self, "threshold", "finite and above 0")

    @property
    def lipschitz(self) -> float:
        return self.threshold

    def value(self, p: float, y: float) -> float:
        r = abs(p - y)
        return 0.5 * r * r if r <= self.threshold else self.threshold * (r - 0.5 * self.threshold)

    def subgradient(self, p: float, y: float) -> float:
        return min(max(p - y, -self.threshold), self.threshold)

    def conjugate(self, s: float, y: float) -> float:
        return s * y + 0.5 * s * s if abs(s) <= self.threshold else math.inf

    def prox(self, p: float, y: float, step: float) -> float:
        return p - step * self.prox_slope(p, y, step)

    def prox_slope(self, p: float, y: float, step: float) -> float:
        return min(max((p - y) / (1.0 + step), -self.threshold), self.threshold)

    def expression(self, p: Any, y: Any) -> Any:
        import cvxpy

        return 0.5 * cvxpy.huber(p - y, self.threshold)


@loss
class Squared(NamedTuple):
    """``(p - y)^2 / 2``, in units of y squared; not Lipschitz. Conjugate ``s y + s^2 / 2``."""

    @property
    def lipschitz(self) -> float:
        return math.inf

    def value(self, p: float, y: float) -> float:
        return 0.5 * (p - y) * (p - y)

    def subgradient(self, p: float, y: float) -> float:
        return p - y

    def conjugate(self, s: float, y: float) -> float:
        return s * y + 0.5 * s * s

    def prox(self, p: float, y: float, step: float) -> float:
        return p - (p - y) * (step / (1.0 + step))

    def prox_slope(self, p: float, y: float, step: float) -> float:
        return (p - y) / (1.0 + step)

    def expression(self, p: Any, y: Any) -> Any:
        import cvxpy

        return 0.5 * cvxpy.square(p - y)


# -------------------------------------------------------------------------------- classification, y in {-1, +1}


@loss
class Hinge(NamedTuple):
    """``max(1 - y p, 0)`` for labels -1 and +1. Conjugate ``s y`` for ``-1 <= s y <= 0``.

    At ``y p = 1`` the subgradient is 0.
    """

    @property
    def lipschitz(self) -> float:
        return 1.0

    @property
    def labels(self) -> str:
        return "-1 or +1"

    def accepts(self, y: float) -> bool:
        return abs(y) == 1.0

    def value(self, p: float, y: float) -> float:
        return max(1.0 - y * p, 0.0)

    def subgradient(self, p: float, y: float) -> float:
        return -y * _indicator(y * p < 1.0)

    def conjugate(self, s: float, y: float) -> float:
        return s * y if -1.0 <= s * y <= 0.0 else math.inf

    def prox(self, p: float, y: float, step: float) -> float:
        m = y * p
        return p if m >= 1.0 else p + step * y if 1.0 - m >= step else y

    def prox_slope(self, p: float, y: float, step: float) -> float:
        short = 1.0 - y * p
        return 0.0 if short <= 0.0 else -y if short >= step else -y * short / step

    def expression(self, p: Any, y: Any) -> Any:
        import cvxpy

        return cvxpy.pos(1 - cvxpy.multiply(y, p))


@loss
class SquaredHinge(NamedTuple):
    """``max(1 - y p, 0)^2 / 2`` for labels -1 and +1; not Lipschitz. Conjugate ``s y + s^2 / 2`` for ``s y <= 0``."""

    @property
    def lipschitz(self) -> float:
        return math.inf

    @property
    def labels(self) -> str:
        return "-1 or +1"

    def accepts(self, y: float) -> bool:
        return abs(y) == 1.0

    def value(self, p: float, y: float) -> float:
        short = max(1.0 - y * p, 0.0)
        return 0.5 * short * short

    def subgradient(self, p: float, y: float) -> float:
        return -y * max(1.0 - y * p, 0.0)

    def conjugate(self, s: float, y: float) -> float:
        return s * y + 0.5 * s * s if s * y <= 0.0 else math.inf

    def prox(self, p: float, y: float, step: float) -> float:
        return p + y * max(1.0 - y * p, 0.0) * (step / (1.0 + step))

    def prox_slope(self, p: float, y: float, step: float) -> float:
        return -y * max(1.0 - y * p, 0.0) / (1.0 + step)

    def expression(self, p: Any, y: Any) -> Any:
        import cvxpy

        return 0.5 * cvxpy.square(cvxpy.pos(1 - cvxpy.multiply(y, p)))


@loss
class Logistic(NamedTuple):
    """``ln(1 + exp(-y p))`` for labels -1 and +1, in nats.

    Conjugate ``a ln a + (1 - a) ln(1 - a)`` with ``a = -s y`` in [0, 1].
    """

    @property
    def lipschitz(self) -> float:
        return 1.0

    @property
    def labels(self) -> str:
        return "-1 or +1"

    def accepts(self, y: float) -> bool:
        return abs(y) == 1.0

    def value(self, p: float, y: float) -> float:
        m = y * p
        return max(-m, 0.0) + math.log1p(math.exp(-abs(m)))

    def subgradient(self, p: float, y: float) -> float:
        return -y * _sigmoid(-y * p)

    def conjugate(self, s: float, y: float) -> float:
        a = -s * y
        if a < 0.0 or a > 1.0:
            return math.inf
        return _entropy(a) + _entropy(1.0 - a)

    def prox(self, p: float, y: float, step: float) -> float:
        return y * _logistic_prox(y * p, step)

    def prox_slope(self, p: float, y: float, step: float) -> float:
        return -y * _sigmoid(-_logistic_prox(y * p, step))

    def expression(self, p: Any, y: Any) -> Any:
        import cvxpy

        return cvxpy.logistic(-cvxpy.multiply(y, p))


@helper
def _indicator(holds: bool) -> float:
    return 1.0 if holds else 0.0


@helper
def _sigmoid(m: float) -> float:
    """``1 / (1 + exp(-m))`` without overflow."""
    e = math.exp(-abs(m))
    return 1.0 / (1.0 + e) if m >= 0.0 else e / (1.0 + e)


@helper
def _entropy(a: float) -> float:
    return a * math.log(a) if a > 0.0 else 0.0


@helper
def _logistic_prox(m: float, step: float) -> float:
    """The root u of ``u - m = step / (1 + exp(u))``: Newton kept inside a bracket.

    The bracket follows from ``1/2 <= sigmoid(-u)`` for u <= 0 and ``ln(1 + step) >= step / (2 + step)``; it is at
    most 710 wide where the equation is curved, so halving alone would end too.
    """
    low = max(m, min(0.0, m + 0.5 * step))
    high = min(m + step, max(m, 0.0) + math.log1p(step))
    u = low
    for _ in range(100):
        slope = _sigmoid(-u)
        excess = (u - m) - step * slope
        if excess > 0.0:
            high = u
        else:
            low = u
        new = u - excess / (1.0 + step * slope * (1.0 - slope))
        if not low < new < high:
            new = 0.5 * (low + high)
        if new == u or abs(new - u) <= 1e-16 * abs(u):
            break
        u = new
    return u
