"""Kernels: symmetric, positive semidefinite functions of two points; and the door that a user's own comes in by.

A kernel is any callable that gives, for points A (m, d) and B (n, d), the matrix ``k(a_i, b_j)`` (m, n) in float64.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from owo.doors import positive, whole
from owo.streams.points import real

Array = NDArray[np.float64]
Kernel = Callable[[Array, Array], Any]

SYMMETRY = 1e-9
"""Of the largest entry: how far rounding may put ``k(a, b)`` from ``k(b, a)``, and an eigenvalue below 0."""

FIRST = 32
"""So many points are asked of a kernel both ways round, k(a, b) and k(b, a), and all together."""


@dataclass(frozen=True)
class Gaussian:
    """``exp(-|a - b|^2 / (2 width^2))``; ``width > 0`` in the units of the points.

    >>> import numpy as np
    >>> Gaussian(1.0)(np.zeros((1, 2)), np.array([[0.0, 0.0], [1.0, 1.0]])).round(3).tolist()
    [[1.0, 0.368]]
    """

    width: float

    def __post_init__(self) -> None:
        positive(self.width, "width")

    def __call__(self, A: Array, B: Array) -> Array:
        from scipy.spatial.distance import cdist

        apart: Array = cdist(A, B, "sqeuclidean")
        apart *= -0.5 / self.width**2
        return np.exp(apart, out=apart)


@dataclass(frozen=True)
class Polynomial:
    """``(<a, b> + offset)^degree``; ``offset >= 0``, ``degree`` a whole number of at least 1.

    ``Polynomial(1, 0.0)`` is the linear kernel, with which all is as without one.
    """

    degree: int = 2
    offset: float = 1.0

    def __post_init__(self) -> None:
        whole(self.degree, "degree", 1)
        if self.offset != 0.0:
            positive(self.offset, "offset")

    def __call__(self, A: Array, B: Array) -> Array:
        found: Array = (A @ B.T + self.offset) ** self.degree
        return found


def as_kernel(value: Any) -> Kernel:
    """A callable, or ``TypeError``."""
    if isinstance(value, type) or not callable(value):
        raise TypeError(f"kernel is {value!r}; needed a function of points A (m, d) and B (n, d) that returns the "
                        "matrix k(a, b) (m, n), such as owo.rkhs.Gaussian(1.0)")  # fmt: skip
    return value  # type: ignore[no-any-return]


def products(kernel: Kernel, A: Array, B: Array) -> Array:
    """``k(a_i, b_j)`` (m, n), or ``TypeError`` or ``ValueError`` for what is no such matrix of finite numbers.

    The kernel gets copies of the points, and its matrix is copied: it may write to them, and use its own again.
    """
    if not len(A) or not len(B):
        return np.zeros((len(A), len(B)))
    came = real(kernel(A.copy(), B.copy()), "what the kernel returned")
    if came.dtype.kind == "f" and came.dtype.itemsize < 8:
        raise TypeError(f"the kernel returned {came.dtype}; needed float64, for the certificates. Compute in float64")
    found = np.array(came, dtype=np.float64, order="C")
    if found.shape != (len(A), len(B)):
        raise ValueError(f"the kernel returned an array {found.shape} for {len(A)} and {len(B)} points; needed "
                         f"({len(A)}, {len(B)}), a row for each of the first")  # fmt: skip
    if not np.isfinite(found).all():
        i, j = (int(index[0]) for index in np.nonzero(~np.isfinite(found)))
        raise ValueError(f"the kernel returned {found[i, j]} for the points {_shown(A[i])} and {_shown(B[j])}; needed "
                         "finite numbers. Scale the features, or mend the kernel")  # fmt: skip
    return found


def refuse_asymmetric(there: Array, back: Array, A: Array, B: Array) -> None:
    """``ValueError`` unless ``k(a, b)`` (m, n) is ``k(b, a)`` (n, m), up to rounding."""
    off = np.abs(there - back.T)
    largest = np.abs(there).max(initial=0.0)
    if off.max(initial=0.0) > SYMMETRY * largest:
        i, j = np.unravel_index(int(off.argmax()), off.shape)
        raise ValueError(
            f"the kernel is not symmetric: for the points {_shown(A[i])} and {_shown(B[j])} it is {there[i, j]:.17g} "
            f"one way round and {back[j, i]:.17g} the other. Needed k(a, b) = k(b, a)"
        )


def refuse_indefinite(gram: Array) -> None:
    """``ValueError`` unless a symmetric matrix (n, n) is positive semidefinite, up to rounding."""
    largest = np.abs(gram).max(initial=0.0)
    lifted = gram + SYMMETRY * max(largest, 1e-300) * len(gram) * np.eye(len(gram))
    try:
        np.linalg.cholesky(lifted)
    except np.linalg.LinAlgError:
        least = float(np.linalg.eigvalsh(gram)[0])
        raise ValueError(
            f"the kernel is not positive semidefinite: its matrix of {len(gram)} points has the eigenvalue {least:.6g} "
            f"and entries up to {largest:.6g}. Take a kernel that is, such as owo.rkhs.Gaussian(1.0)"
        ) from None


def _shown(point: Array) -> str:
    return str(point) if len(point) <= 6 else f"{point[:6]}..."
