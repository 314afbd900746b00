"""Rows of which only some entries are not zero: ratings, words, one-hot items."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from owo.rows import Sparse
from owo.streams.points import Floats, fit, place

Codes = NDArray[np.int64]


class SparseRows:
    """Rows (n, d) in compressed form, checked once; an index (a slice, mask or array of rows) gives rows again.

    Made by ``from_arrays(X, y, task)`` and ``Block(X, ...)`` from a SciPy sparse matrix or array. ``np.asarray`` makes
    a dense array of them, ``rows @ weights`` (d,) or (d, k)
    predicts.

    Attributes
    ----------
    parts : ``values`` (m,), ``columns`` (m,), rising inside each row, and ``starts`` (n + 1,)
    shape : (n, d)
    """

    dtype = np.dtype(np.float64)
    ndim = 2

    def __init__(self, parts: Sparse, d: int) -> None:
        self.parts, self.shape = parts, (len(parts.starts) - 1, d)

    @classmethod
    def of(cls, matrix: Any, name: str = "X") -> SparseRows:
        """A SciPy sparse matrix or array, checked.

        Raises
        ------
        TypeError
            Not of real numbers.
        ValueError
            No rows or columns, NaN or infinity, columns of a row that are out of order or come twice.
        """
        rows = matrix.tocsr()
        if matrix.format != "csr":
            rows.sum_duplicates()
        if rows.dtype.kind not in "buif":
            raise TypeError(f"{name} has dtype {rows.dtype}; needed real numbers: convert it with .astype(float)")
        if 0 in rows.shape:
            raise ValueError(f"{name} has shape {rows.shape}; needed at least one row and one column")
        values, columns = fit(rows.data), rows.indices.astype(np.int64)
        starts = rows.indptr.astype(np.int64)
        row_of = np.repeat(np.arange(rows.shape[0]), np.diff(starts))
        falls = np.flatnonzero((np.diff(columns) <= 0) & (np.diff(row_of) == 0))
        if len(falls):
            k = int(falls[0])
            raise ValueError(
                f"{name} has column {columns[k + 1]} after column {columns[k]} in row {row_of[k]}; needed columns that "
                "rise, each once: call sum_duplicates() on the matrix, which also sorts them"
            )
        bad = np.flatnonzero(~np.isfinite(values))
        if len(bad):
            at, value = (int(row_of[bad[0]]), int(columns[bad[0]])), str(values[bad[0]]).replace("nan", "NaN")
            raise ValueError(f"{name} has {value} at {place(at)}: fill or drop it before streaming")
        return cls(Sparse(values, columns, starts), int(rows.shape[1]))

    @classmethod
    def stacked(cls, pieces: Sequence[SparseRows]) -> SparseRows:
        """The rows of all pieces, one below the other; all with the same d."""
        lengths = np.concatenate([np.diff(piece.parts.starts) for piece in pieces])
        values, columns = (np.concatenate([piece.parts[k] for piece in pieces]) for k in (0, 1))
        return cls(Sparse(values, columns, np.concatenate(([0], np.cumsum(lengths)))), pieces[0].shape[1])

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def size(self) -> int:
        """How many entries are kept."""
        return len(self.parts.values)

    def __repr__(self) -> str:
        return f"SparseRows({self.shape[0]:,} rows, d = {self.shape[1]}, {self.size:,} entries)"

    def __getitem__(self, index: Any) -> SparseRows:
        values, columns, starts = self.parts
        rows = np.arange(len(self))[index]
        lengths = starts[rows + 1] - starts[rows]
        ends = np.cumsum(lengths)
        if len(rows) and np.array_equal(rows, np.arange(rows[0], rows[0] + len(rows))):
            entries: Any = slice(int(starts[rows[0]]), int(starts[rows[-1] + 1]))
        else:
            entries = np.arange(int(ends[-1]) if len(ends) else 0) + np.repeat(starts[rows] - (ends - lengths), lengths)
        kept = Sparse(values[entries], columns[entries], np.concatenate(([0], ends)))
        return SparseRows(kept, self.shape[1])

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        dense = np.zeros(self.shape, dtype=dtype or np.float64)
        dense[np.repeat(np.arange(len(self)), np.diff(self.parts.starts)), self.parts.columns] = self.parts.values
        return dense

    def __matmul__(self, weights: Floats) -> Floats:
        if weights.ndim == 2:
            return np.column_stack([self @ column for column in weights.T])
        row_of = np.repeat(np.arange(len(self)), np.diff(self.parts.starts))
        met = self.parts.values * weights[self.parts.columns]
        return np.bincount(row_of, met, minlength=len(self)).astype(np.float64)


def is_matrix(X: Any) -> bool:
    """Whether this is a SciPy sparse matrix or array."""
    return hasattr(X, "tocsr")
