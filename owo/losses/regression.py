"""Losses of real labels."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from owo._record import require
from owo.losses.decorator import indicator, loss


@loss
class Absolute(NamedTuple):
    """``|p - y|``, in units of y.

    Conjugate ``s y`` for ``|s| <= 1``. At ``p = y`` the subgradient is 0. Its mean is least at the median (Koenker and
    Bassett, Econometrica 1978).

    >>> Absolute().value(2.0, 5.0), Absolute().subgradient(2.0, 5.0), Absolute().prox(2.0, 5.0, 1.0)
    (3.0, -1.0, 3.0)
    """

    @property
    def lipschitz(self) -> float:
        return 1.0

    @property
    def degree(self) -> int:
        return 1

    def value(self, p: float, y: float) -> float:
        return abs(p - y)

    def subgradient(self, p: float, y: float) -> float:
        return indicator(p > y) - indicator(p < y)

    def conjugate(self, s: float, y: float) -> float:
        return s * y if abs(s) <= 1.0 else math.inf

    def prox(self, p: float, y: float, step: float) -> float:
        return p - step if p - y > step else p + step if p - y < -step else y

    def prox_slope(self, p: float, y: float, step: float) -> float:
        if abs(p - y) >= step:
            return indicator(p > y) - indicator(p < y)
        return (p - y) / step

    def expression(self, p: Any, y: Any) -> Any:
        import cvxpy

        return cvxpy.abs(p - y)


@loss
class EpsilonInsensitive(NamedTuple):
    """``max(|p - y| - width, 0)``: errors up to ``width`` (units of y, >= 0) cost nothing.

    Conjugate ``s y + width |s|`` for ``|s| <= 1``. The loss of support vector regression (Vapnik, "The Nature of
    Statistical Learning Theory", 1995).

    >>> EpsilonInsensitive(0.5).value(2.0, 2.3), EpsilonInsensitive(0.5).value(2.0, 5.0)
    (0.0, 2.5)
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
        return indicator(p - y > self.width) - indicator(p - y < -self.width)

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

    Conjugate ``s y`` for ``-quantile <= s <= 1 - quantile``. ``0 < quantile < 1``; units of y (Koenker and Bassett,
    Econometrica 1978).

    >>> Pinball(0.75).value(0.0, 4.0), Pinball(0.75).value(4.0, 0.0)
    (3.0, 1.0)
    """

    quantile: float = 0.5

    def check(self) -> None:
        require(0.0 < self.quantile < 1.0, self, "quantile", "strictly between 0 and 1")

    @property
    def lipschitz(self) -> float:
        return max(self.quantile, 1.0 - self.quantile)

    @property
    def degree(self) -> int:
        return 1

    def value(self, p: float, y: float) -> float:
        return max(self.quantile * (y - p), (1.0 - self.quantile) * (p - y))

    def subgradient(self, p: float, y: float) -> float:
        return (1.0 - self.quantile) * indicator(p > y) - self.quantile * indicator(p < y)

    def conjugate(self, s: float, y: float) -> float:
        return s * y if -self.quantile <= s <= 1.0 - self.quantile else math.inf

    def prox(self, p: float, y: float, step: float) -> float:
        up, down = step * self.quantile, step * (1.0 - self.quantile)
        return p - down if p - y > down else p + up if p - y < -up else y

    def prox_slope(self, p: float, y: float, step: float) -> float:
        if p - y >= step * (1.0 - self.quantile) or y - p >= step * self.quantile:
            return (1.0 - self.quantile) * indicator(p > y) - self.quantile * indicator(p < y)
        return (p - y) / step

    def expression(self, p: Any, y: Any) -> Any:
        import cvxpy

        return cvxpy.maximum(self.quantile * (y - p), (1.0 - self.quantile) * (p - y))


@loss
class Huber(NamedTuple):
    """``r^2 / 2`` for ``|r| <= threshold``, else ``threshold (|r| - threshold / 2)``, with ``r = p - y``.

    Conjugate ``s y + s^2 / 2`` for ``|s| <= threshold``. The threshold is > 0 and in units of y (Huber, Annals of
    Mathematical Statistics 1964).

    >>> Huber(1.0).value(0.5, 0.0), Huber(1.0).value(3.0, 0.0), Huber(1.0).subgradient(3.0, 0.0)
    (0.125, 2.5, 1.0)
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
    """``(p - y)^2 / 2``, in units of y squared; not Lipschitz. Conjugate ``s y + s^2 / 2``.

    Its mean is least at the mean (Gauss 1809).

    >>> Squared().value(1.0, 3.0), Squared().subgradient(1.0, 3.0), Squared().prox(1.0, 3.0, 1.0)
    (2.0, -2.0, 2.0)
    """

    @property
    def lipschitz(self) -> float:
        return math.inf

    @property
    def degree(self) -> int:
        return 2

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
