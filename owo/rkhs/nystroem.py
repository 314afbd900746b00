"""Points as the coordinates of their functions ``k(x, .)``: for comparators, and for learners without a kernel."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from owo.doors import whole
from owo.hindsight import Comparator
from owo.rkhs.functions import FIRST, Kernel, as_kernel, products, refuse_asymmetric, refuse_indefinite
from owo.streams.block import Block
from owo.streams.points import as_rows

Array = NDArray[np.float64]


class Nystroem:
    """Coordinates of functions ``k(x, .)`` projected on the span of those of some points (Williams and Seeger 2001).

    The points are pivots of a Cholesky decomposition of the Gram matrix, each the one that the span of those before it
    misses most (Fine and Scheinberg, JMLR 2001). With L the triangle that belongs to them, a point has the coordinates
    ``phi(x) = L^{-1} k(pivots, x)``, and the function of weights w in this basis is ``x -> <phi(x), w>``, with norm
    ``|w|``, exactly, at every x. So what a solver finds in these coordinates are functions of the kernel's Hilbert
    space, and comparators for a ``KernelOnlineWithinOnline``.

    Parameters
    ----------
    kernel : as for ``KernelOnlineWithinOnline``
    X : array (n, d), the points to choose from
    rank : the most coordinates, at least 1; default as many as there are
    tolerance : from 0 to 1; stop when every point is within this share of the largest ``k(x, x)`` of the span, squared

    Attributes
    ----------
    pivots : array (r, d)
    triangle : array (r, r), L

    Raises
    ------
    TypeError, ValueError
        As ``as_rows``; from a kernel that is not symmetric, positive semidefinite and finite; a ``rank`` below 1, or a
        ``tolerance`` out of its range.

    Examples
    --------
    >>> import numpy as np, owo
    >>> X, kernel = np.linspace(-3, 3, 100)[:, None], owo.rkhs.Gaussian(1.0)
    >>> basis = Nystroem(kernel, X)
    >>> phi = basis.transform(X)
    >>> phi.shape, bool(np.abs(phi @ phi.T - kernel(X, X)).max() < 1e-5)
    ((100, 19), True)
    """

    def __init__(self, kernel: Kernel, X: ArrayLike, rank: int | None = None, tolerance: float = 1e-10) -> None:
        rows = as_rows(X)
        most = len(rows) if rank is None else min(whole(rank, "rank", 1), len(rows))
        if not 0.0 <= tolerance <= 1.0:
            raise ValueError(f"tolerance is {tolerance!r}; needed a share, from 0 to 1")
        self.kernel = as_kernel(kernel)
        chosen, columns = _pivots(self.kernel, rows, most, max(tolerance, np.finfo(np.float64).eps))
        self.pivots, self.triangle = rows[chosen], np.tril(columns[chosen])
        for some in (rows[:FIRST], self.pivots):
            gram = products(self.kernel, some, some)
            refuse_asymmetric(gram, gram, some, some)
            refuse_indefinite(gram)

    def __repr__(self) -> str:
        return f"<Nystroem of {self.kernel!r}, {len(self.pivots)} coordinates>"

    def transform(self, X: ArrayLike) -> Array:
        """Coordinates (n, r) of points X (n, d)."""
        from scipy.linalg import solve_triangular

        rows = as_rows(X)
        if rows.shape[1] != self.pivots.shape[1]:
            raise ValueError(f"points have {rows.shape[1]} features; these pivots have {self.pivots.shape[1]}")
        met = products(self.kernel, self.pivots, rows)
        found: Array = np.ascontiguousarray(solve_triangular(self.triangle, met, lower=True).T)
        return found

    def block(self, block: Block) -> Block:
        """The same tasks and labels in these coordinates."""
        return Block(self.transform(np.asarray(block.X)), block.y, block.task, block.ends, block.keys)

    def distances(self, comparator: Comparator) -> Comparator:
        """A comparator with weights in these coordinates as the ledger of a kernel learner knows it, by its distances.

        That ledger has two coordinates: one along the comparator's bias, and one for how far a task is from it.
        """
        along = float(np.linalg.norm(comparator.bias))
        apart = np.linalg.norm(np.atleast_2d(comparator.weights) - comparator.bias, axis=1)
        weights = np.stack([np.full(len(apart), along), apart], axis=1)
        return comparator._replace(bias=np.array([along, 0.0]), weights=weights)


def _pivots(kernel: Kernel, X: Array, most: int, tolerance: float) -> tuple[list[int], Array]:
    """Rows of X chosen greedily, by how far their functions are from the span of those chosen before.

    With them the decomposition itself (n, r): of the rows chosen it is a triangle.
    """
    missed = np.array([products(kernel, x, x)[0, 0] for x in X[:, None, :]])
    if missed.min() < 0.0:
        refuse_indefinite(missed[[missed.argmin()]][:, None])
    if missed.max() == 0.0:
        raise ValueError("k(x, x) is 0 at every point, so these points have no functions but 0. Take others, or scale")
    enough = tolerance * missed.max()
    columns, chosen = np.empty((len(X), 0)), list[int]()
    while len(chosen) < most and missed.max() > enough:
        row = int(missed.argmax())
        met = products(kernel, X, X[[row]])[:, 0]
        column = (met - columns @ columns[row]) / np.sqrt(missed[row])
        columns = np.column_stack([columns, column])
        missed = missed - column**2
        missed[row] = 0.0
        chosen.append(row)
    return chosen, columns
