"""Mirrors: how the learner of a metric goes from sums of gradients to numbers, or to eigenvalues.

``play`` and ``divergence`` act on a number, in kernels; the others on the eigenvalues of a matrix, which may be given
once each with their ``counts``, and on matrices.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from owo._record import record

Array = NDArray[np.float64]


@record
class Exponentiated(NamedTuple):
    """Multiplicative updates, ``m = initial exp(-c G)``: as quick from far too large as from far too small.

    Divergence ``m' ln(m'/m) - m' + m`` (Kivinen and Warmuth 1997).
    """

    def play(self, initial: float, reach: float) -> float:
        return initial * math.exp(min(max(-reach, -700.0), 700.0))

    def divergence(self, other: float, m: float) -> float:
        return (other * math.log(other / m) if other > 0.0 else 0.0) - other + m

    def dual(self, eigenvalues: Array) -> Array:
        with np.errstate(divide="ignore"):
            return np.log(eigenvalues)

    def primal(self, dual: Array) -> Array:
        return np.exp(dual)

    def within_trace(self, dual: Array, radius: float, counts: Array) -> Array:
        top = dual.max()
        trace = top + math.log(counts.dot(np.exp(dual - top)))
        return dual - max(trace - math.log(radius), 0.0)

    def apart(self, other: Array, other_dual: Array, m: Array, m_dual: Array) -> float:
        return float(np.sum(other * (other_dual - m_dual)) - np.trace(other) + np.trace(m))


@record
class Projected(NamedTuple):
    """Additive updates, ``m = initial - c G``, projected; divergence ``(m' - m)^2 / 2``."""

    def play(self, initial: float, reach: float) -> float:
        return initial - reach

    def divergence(self, other: float, m: float) -> float:
        return 0.5 * (other - m) * (other - m)

    def dual(self, eigenvalues: Array) -> Array:
        return eigenvalues

    def primal(self, dual: Array) -> Array:
        return dual

    def within_trace(self, dual: Array, radius: float, counts: Array) -> Array:
        """The nearest eigenvalues >= 0 that sum to at most the radius (Duchi et al. 2008); ties need no care.

        Of values that stand together, all are above the threshold or none, so that each needs one look.
        """
        found = np.maximum(dual, 0.0)
        if counts.dot(found) <= radius:
            return found
        falling = dual.argsort()[::-1]
        below = dual - dual[falling[0]]  # exact where it matters, however large the values are beside the radius
        excess = ((counts * below)[falling].cumsum() - radius) / counts[falling].cumsum()
        return np.maximum(below - excess[(below[falling] > excess).nonzero()[0][-1]], 0.0)

    def apart(self, other: Array, other_dual: Array, m: Array, m_dual: Array) -> float:
        return 0.5 * float(np.sum((other - m) ** 2))
