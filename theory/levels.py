"""Three levels of one run, in order: measured regret, the run's own certificate, the closed form."""

from __future__ import annotations

import math
from typing import NamedTuple

from theory.terms import Terms


class BoundViolation(AssertionError):
    """A level above the next one: a run, a certificate or a theorem is wrong."""


class Levels(NamedTuple):
    """What came of one run of a setting; all numbers in units of loss, summed over the points of all tasks."""

    setting: str
    seed: int
    what: str
    """the loss, the learners and the comparator, in words"""
    rounds: int
    """points of all tasks"""
    regret: float
    certificate: Terms
    """the run's own, from the numbers that it kept"""
    closed: Terms
    """the theorem's, from the constants of the problem"""
    rounding: float
    """how far floating-point arithmetic alone may push the regret over its certificate"""
    lower: float | None = None
    """what the regret cannot be below, where the opponent was the worst there is"""

    @property
    def ratios(self) -> Terms:
        """The closed form over the certificate, term by term: how loose each step is; 0 where neither has the term.

        A term of a certificate may be 0 or less, where the run gained by what the theorem charges for: then infinite.
        """
        pairs = zip(self.closed, self.certificate, strict=True)
        return Terms(*(_over(above, below) if above else 0.0 for above, below in pairs))

    @property
    def looseness(self) -> float:
        """The closed form over the certificate."""
        return _over(self.closed.total, self.certificate.total)

    @property
    def slack(self) -> float:
        """The certificate over the regret; infinite where the run did better than the comparator."""
        return _over(self.certificate.total, self.regret)

    @property
    def blame(self) -> str:
        """The term that most of the gap between closed form and certificate is in; "none" where there is no gap."""
        gaps = [above - below for above, below in zip(self.closed, self.certificate, strict=True)]
        largest = max(range(len(gaps)), key=gaps.__getitem__)
        return Terms._fields[largest] if gaps[largest] > CLOSED * self.closed.total else "none"

    def check(self) -> Levels:
        """Return the levels if they are in order, beyond rounding; else raise ``BoundViolation``.

        Both comparisons are of totals: a certificate may have more of one term and less of another.
        """
        size = self.closed.total + sum(map(abs, self.certificate))
        rounding = self.rounding + (CLOSED * size if math.isfinite(size) else 0.0)
        steps = [
            ("regret", self.regret, "certificate of the run", self.certificate.total),
            ("certificate of the run", self.certificate.total, "closed form", self.closed.total),
        ]
        if self.lower is not None:
            steps.append(("lower bound", self.lower, "regret", self.regret))
        for low, below, high, above in steps:
            if not below <= above + rounding:  # NaN is no bound
                raise BoundViolation(
                    f"{self.setting}, seed {self.seed}: the {low} {below:.9g} exceeds the {high} {above:.9g}; "
                    f"{self.what}"
                )
        return self


def _over(above: float, below: float) -> float:
    return above / below if below > 0.0 else math.inf


CLOSED = 1e-10
"""Of the size of the terms: both sides are sums of up to 1e4 products, some of eigenvalues of small matrices."""
