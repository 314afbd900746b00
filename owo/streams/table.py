"""A data set in memory: ``Table``, whose features may be a ``OneHot``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from owo.rows import Sparse
from owo.streams.block import Block
from owo.streams.points import ROWS_AT_ONCE, Floats
from owo.streams.sparse import SparseRows


@dataclass(frozen=True, eq=False)
class OneHot:
    """The matrix (n, ``items + 1``) with a one in column ``item[i]`` of row i, and ones in the last, the intercept.

    It takes 8 bytes a row. ``np.asarray`` makes all of it, an index (a slice, mask or array of rows) some of its rows.

    >>> OneHot(np.array([2, 0]), items=3)[:1]
    array([[0., 0., 1., 1.]])
    """

    item: NDArray[np.int64]
    items: int

    @property
    def dtype(self) -> np.dtype[np.float64]:
        """Of the matrix."""
        return np.dtype(np.float64)

    @property
    def shape(self) -> tuple[int, int]:
        """Of the matrix."""
        return len(self.item), self.items + 1

    def __len__(self) -> int:
        return len(self.item)

    def __getitem__(self, index: Any) -> Floats:
        item = self.item[index]
        rows = np.zeros((len(item), self.items + 1))
        rows[np.arange(len(item)), item] = 1.0
        rows[:, -1] = 1.0
        return rows

    def sparse(self) -> SparseRows:
        """The same rows, of two entries each."""
        n = len(self.item)
        columns = np.column_stack((self.item, np.full(n, self.items))).ravel()
        return SparseRows(Sparse(np.ones(2 * n), columns, 2 * np.arange(n + 1)), self.items + 1)

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        return self[:].astype(dtype or np.float64, copy=False)


class Table(NamedTuple):
    """A data set: rows of the same task stand together, in the order in which they arrive."""

    name: str
    X: Floats | OneHot
    """features (n, d); a ``OneHot`` where the matrix would be large"""
    y: Floats
    """labels (n,)"""
    task: NDArray[np.int64]
    """the task of each row (n,), 0 .. T-1"""
    columns: tuple[str, ...]
    """what the d features are"""
    source: str
    """what the data are, where they come from, and their terms"""

    def block(self, *, sparse: bool = False) -> Block:
        """All of it as one block; keys are the tasks' numbers. ``sparse`` keeps a ``OneHot`` as it is."""
        X = self.X.sparse() if sparse and isinstance(self.X, OneHot) else np.asarray(self.X)
        return Block(X, self.y, self.task)

    def blocks(self, rows: int = ROWS_AT_ONCE) -> Iterator[Block]:
        """Blocks of whole tasks, each of at least ``rows`` points but the last; keys are the tasks' numbers."""
        ends = np.append(np.flatnonzero(np.diff(self.task)) + 1, len(self.task))
        start = 0
        while start < len(self.task):
            stop = int(ends[min(int(np.searchsorted(ends, start + rows)), len(ends) - 1)])
            codes = self.task[start:stop] - self.task[start]
            keys = range(int(self.task[start]), int(self.task[stop - 1]) + 1)
            yield Block(self.X[start:stop], self.y[start:stop], codes, keys=keys)
            start = stop
