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
from owo.rkhs.functions import Kernel, as_kernel, products, refuse_indefinite
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

    Raises
    ------
    TypeError
        ``kernel`` cannot be called.
    ValueError
        Shapes that do not fit; from a call, points with another number of features.

    Examples
    --------
    >>> import owo
    >>> f = Expansion(owo.rkhs.Polynomial(1, 0.0), [[1.0, 0.0], [0.0, 2.0]], [3.0, 0.5])
    >>> f([[1.0, 1.0]]).tolist(), round(f.norm**2, 6)
    ([4.0], 10.0)
    """

    def __init__(self, kernel: Kernel, points: ArrayLike, coefficients: ArrayLike) -> None:
        self.kernel = as_kernel(kernel)
        self.points = np.array(points, dtype=np.float64)  # copies: a learner's own would let it be changed from outside
        self.coefficients = np.array(coefficients, dtype=np.float64)
        if self.points.ndim != 2 or self.coefficients.shape != (len(self.points),):
            raise ValueError(
                f"points have shape {self.points.shape} and coefficients {self.coefficients.shape}; needed (m, d) and "
                "(m,), a coefficient for each point"
            )

    def __repr__(self) -> str:
        return f"<Expansion of {len(self.points)} points in {self.kernel!r}>"

    def __call__(self, X: ArrayLike) -> Array:
        """``f(x)`` (n,) for points X (n, d)."""
        rows, m = as_rows(X), len(self.points)
        if rows.shape[1] != self.points.shape[1]:
            raise ValueError(f"points have {rows.shape[1]} features; this function has {self.points.shape[1]}")
        if not m:
            return np.zeros(len(rows))
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
    kept, short = np.ones(len(gram), dtype=np.bool_), coefficients.copy()
    inverse, diagonal = _inverse(gram)
    _leave_out(inverse, 1.0 / diagonal, short, kept, len(gram) - budget)
    return kept, short


def _inverse(gram: Array) -> tuple[Array, Array]:
    """Of a Gram matrix (m, m) and a ridge, and the diagonal (m,) of their sum; ``ValueError`` if it is indefinite."""
    from scipy.linalg.lapack import dpotrf, dpotri

    ridge = RIDGE * (max(float(np.sum(gram.diagonal() / len(gram))), 1e-200) if gram.any() else 1.0)
    while True:
        lifted = gram + ridge * np.eye(len(gram))
        triangle, missed = dpotrf(lifted, lower=True)
        if not missed:
            inverse = np.tril(dpotri(triangle, lower=True)[0])
            return inverse + np.tril(inverse, -1).T, lifted.diagonal().copy()
        refuse_indefinite(gram)
        ridge *= 10.0  # within what rounding may do to a kernel


@compiled
def _leave_out(inverse, least, a, kept, times):
    """Leave out so many points: ``kept`` says which stay, and ``a`` becomes their coefficients, with zeros between.

    Leaving one out takes from ``inverse`` the product of a row with itself, so that only such rows are worked out, from
    those before; its diagonal stays at or above ``least`` (m,), but for rounding.
    """
    m = a.shape[0]
    rows, diagonal = np.empty((times, m)), np.empty(m)
    for j in range(m):
        diagonal[j] = inverse[j, j]
    for t in range(times):
        fewest, out = np.inf, -1
        for j in range(m):
            if kept[j]:
                moved = a[j] * a[j] / max(diagonal[j], least[j])
                if out < 0 or moved < fewest:
                    fewest, out = moved, j
        row = rows[t]
        for k in range(m):
            row[k] = inverse[out, k]
        for s in range(t):
            factor = rows[s, out]
            for k in range(m):
                row[k] -= factor * rows[s, k]
        kept[out] = False
        pivot = math.sqrt(max(diagonal[out], least[out]))
        step = a[out] / pivot
        a[out] = 0.0
        for k in range(m):
            row[k] /= pivot
            diagonal[k] -= row[k] * row[k]
            if kept[k]:
                a[k] -= step * row[k]
