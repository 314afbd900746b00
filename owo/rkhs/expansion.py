r"""Functions ``sum_j a_j k(x_j, .)``, and how one is written with fewer points.

To leave out point j and come as near as the others allow is to project on their span. With ``P`` the inverse of the
Gram matrix of all points, that changes the coefficients to ``a - (a_j / P_jj) P_j`` and moves the function by exactly
``|a_j| / sqrt(P_jj)`` (the elimination behind block inversion), so the point to leave out is the one where that is
least.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from owo._record import kernel as compiled
from owo.rkhs.functions import Kernel, products
from owo.streams.points import as_rows

Array = NDArray[np.float64]

RIDGE = 1e-10
"""Of the mean of the Gram matrix's diagonal, added to it: points that depend on others have an inverse then, too."""

NUMBERS = 2**22
"""Products of points that are held at a time, at most about."""


class Expansion:
    """The function ``f = sum_j a_j k(x_j, .)`` of the kernel's Hilbert space.

    Attributes
    ----------
    kernel : k
    points : array (m, d), x
    coefficients : array (m,), a

    Examples
    --------
    >>> import owo
    >>> f = Expansion(owo.rkhs.Polynomial(1, 0.0), [[1.0, 0.0], [0.0, 2.0]], [3.0, 0.5])
    >>> f([[1.0, 1.0]]).tolist(), round(f.norm**2, 6)
    ([4.0], 10.0)
    """

    def __init__(self, kernel: Kernel, points: ArrayLike, coefficients: ArrayLike) -> None:
        self.kernel = kernel
        self.points = np.asarray(points, dtype=np.float64)
        self.coefficients = np.asarray(coefficients, dtype=np.float64)

    def __repr__(self) -> str:
        return f"<Expansion of {len(self.points)} points in {self.kernel!r}>"

    def __call__(self, X: ArrayLike) -> Array:
        """``f(x)`` (n,) for points X (n, d)."""
        rows, m = as_rows(X), len(self.points)
        if not m:
            return np.zeros(len(rows))
        if rows.shape[1] != self.points.shape[1]:
            raise ValueError(f"points have {rows.shape[1]} features; this function has {self.points.shape[1]}")
        step = max(1, NUMBERS // m)
        found = [products(self.kernel, rows[k : k + step], self.points) for k in range(0, len(rows), step)]
        return np.concatenate([piece @ self.coefficients for piece in found])

    @property
    def norm(self) -> float:
        """``|f| = sqrt(<a, K a>)`` in the Hilbert space."""
        if not len(self.points):
            return 0.0
        return math.sqrt(max(float(self.coefficients @ self(self.points)), 0.0))


def shortened(gram: Array, coefficients: Array, budget: int) -> tuple[NDArray[np.bool_], Array]:
    """The points (m,) of a function to keep, ``budget`` of them, and coefficients (m,) near it, 0 at the others.

    Points are left out one by one, each time the one that can be missed best. ``gram`` is their matrix (m, m).
    """
    lifted = gram + RIDGE * max(float(np.trace(gram)) / len(gram), np.finfo(float).tiny) * np.eye(len(gram))
    kept, short = np.ones(len(gram), dtype=np.bool_), coefficients.copy()
    _leave_out(np.ascontiguousarray(np.linalg.inv(lifted)), short, kept, len(gram) - budget)
    return kept, short


@compiled
def _leave_out(inverse, a, kept, times):
    """Leave out so many points; ``inverse`` and ``a`` become those of the points kept, with zeros between them."""
    m = a.shape[0]
    for _ in range(times):
        least, out = np.inf, -1
        for j in range(m):
            if kept[j]:
                moved = a[j] * a[j] / max(inverse[j, j], 1e-300)
                if out < 0 or moved < least:
                    least, out = moved, j
        kept[out] = False
        pivot = max(inverse[out, out], 1e-300)
        step = a[out] / pivot
        for i in range(m):
            if kept[i]:
                a[i] -= step * inverse[i, out]
                factor = inverse[i, out] / pivot
                for k in range(m):
                    inverse[i, k] -= factor * inverse[out, k]
        a[out] = 0.0
        for k in range(m):
            inverse[out, k] = 0.0
