"""Losses of labels -1 and +1."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from owo._record import Class, helper
from owo.losses.decorator import indicator, loss


def _accepts_signs(self: Any, y: float) -> bool:
    return abs(y) == 1.0


def _for_signs(cls: Class) -> Class:
    cls.labels, cls.accepts = "-1 or +1", _accepts_signs  # type: ignore[attr-defined]
    return cls


@loss
@_for_signs
class Hinge(NamedTuple):
    """``max(1 - y p, 0)`` for labels -1 and +1. Conjugate ``s y`` for ``-1 <= s y <= 0``.

    At ``y p = 1`` the subgradient is 0. The loss of support vector machines (Cortes and Vapnik, Machine Learning 1995).

    >>> Hinge().value(0.25, 1.0), Hinge().subgradient(0.25, 1.0), Hinge().value(2.0, 1.0)
    (0.75, -1.0, 0.0)
    """

    @property
    def lipschitz(self) -> float:
        return 1.0

    def value(self, p: float, y: float) -> float:
        return max(1.0 - y * p, 0.0)

    def subgradient(self, p: float, y: float) -> float:
        return -y * indicator(y * p < 1.0)

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
@_for_signs
class SquaredHinge(NamedTuple):
    """``max(1 - y p, 0)^2 / 2`` for labels -1 and +1; not Lipschitz. Conjugate ``s y + s^2 / 2`` for ``s y <= 0``.

    The "L2 loss" of linear support vector machines (Chang, Hsieh and Lin, JMLR 2008), halved.

    >>> SquaredHinge().value(0.0, 1.0), SquaredHinge().subgradient(0.0, 1.0), SquaredHinge().value(2.0, 1.0)
    (0.5, -1.0, 0.0)
    """

    @property
    def lipschitz(self) -> float:
        return math.inf

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
@_for_signs
class Logistic(NamedTuple):
    """``ln(1 + exp(-y p))`` for labels -1 and +1, in nats.

    Conjugate ``a ln a + (1 - a) ln(1 - a)`` with ``a = -s y`` in [0, 1] (Cox, JRSS B 1958).

    >>> round(Logistic().value(0.0, 1.0), 6), Logistic().subgradient(0.0, 1.0)
    (0.693147, -0.5)
    """

    @property
    def lipschitz(self) -> float:
        return 1.0

    def value(self, p: float, y: float) -> float:
        return _softplus(-y * p)

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
def _sigmoid(m: float) -> float:
    """``1 / (1 + exp(-m))`` without overflow."""
    e = math.exp(-abs(m))
    return 1.0 / (1.0 + e) if m >= 0.0 else e / (1.0 + e)


@helper
def _entropy(a: float) -> float:
    return a * math.log(a) if a > 0.0 else 0.0


@helper
def _softplus(m: float) -> float:
    """``ln(1 + exp(m))`` without overflow."""
    return max(m, 0.0) + math.log1p(math.exp(-abs(m)))


@helper
def _logistic_prox(m: float, step: float) -> float:
    """The root u of ``u - m = step / (1 + exp(u))``: Newton kept inside a bracket.

    The bracket follows from ``1/2 <= sigmoid(-u)`` for u <= 0 and ``ln(1 + step) >= step / (2 + step)``; it is at
    most 710 wide where the equation is curved. Where the step is large and the root far above m, Newton would move by
    about 1 a time; there it solves the logarithm of the equation, ``ln(u - m) + ln(1 + exp(u)) = ln(step)``.
    """
    low = max(m, min(0.0, m + 0.5 * step))
    high = min(m + step, max(m, 0.0) + math.log1p(step))
    far = step > 8.0 and m < math.log(step)
    u = high if far else low
    for _ in range(100):
        if far and not u > m:  # no number lies between
            break
        if far:
            excess = math.log(u - m) + _softplus(u) - math.log(step)
            rise = 1.0 / (u - m) + _sigmoid(u)
        else:
            slope = _sigmoid(-u)
            excess = (u - m) - step * slope
            rise = 1.0 + step * slope * (1.0 - slope)
        if excess > 0.0:
            high = u
        else:
            low = u
        new = u - excess / rise
        if not low < new < high:
            new = 0.5 * (low + high)
        if new == u or abs(new - u) <= 1e-16 * abs(u):
            break
        u = new
    return u
