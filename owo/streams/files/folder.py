"""A folder of NumPy arrays, mapped into memory, in pieces."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from owo.streams.files.cells import ArrayCells, Cells
from owo.streams.files.pieces import Piece, give_back


class ArrayFolder:
    """A folder with ``X.npy`` (n, d), whose columns are named x0 .. x{d-1}, and a ``NAME.npy`` (n,) a column."""

    texts = False

    def __init__(self, path: str, columns: Sequence[str]) -> None:
        self.path, self.what = path, f"the folder {path}"
        self._X = self._mapped("X", 2)
        self.rows: int | None = len(self._X)
        self._columns = {name: self._mapped(name, 1) for name in columns}
        for name, array in self._columns.items():
            if len(array) != self.rows:
                raise ValueError(f"{path}: {name}.npy has {len(array):,} entries, X.npy {self.rows:,} rows")
        self._of_X = {f"x{j}": j for j in range(self._X.shape[1])}
        for name in columns:
            if name in self._of_X:
                raise ValueError(
                    f"{path}: {name!r} is column {self._of_X[name]} of X.npy; give {name}.npy another name"
                )
        self.names = [*columns, *self._of_X]
        self.size = sum(map(os.path.getsize, self.files()))

    def _mapped(self, name: str, ndim: int) -> NDArray[Any]:
        path = os.path.join(self.path, f"{name}.npy")
        if not os.path.isfile(path):
            there = ", ".join(sorted(file for file in os.listdir(self.path) if file.endswith(".npy"))[:20])
            raise FileNotFoundError(f"no such file: {path}; the folder has {there or 'no .npy files'}")
        try:
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        except Exception as error:  # a damaged header is parsed as Python, and fails as that does
            raise ValueError(f"{path}: not a NumPy array that can be read, or a damaged one ({error})") from None
        if not isinstance(array, np.ndarray) or array.ndim != ndim:
            shape = getattr(array, "shape", None)
            raise ValueError(f"{path} has shape {shape}; needed {'(points, features)' if ndim == 2 else '(points,)'}")
        return array

    def files(self) -> list[str]:
        return [os.path.join(self.path, f"{name}.npy") for name in ("X", *self._columns)]

    def kind(self, name: str) -> str:
        dtype = (self._X if name in self._of_X else self._columns[name]).dtype
        return "" if dtype.kind in "buif" else str(dtype)

    def hashable(self, name: str) -> bool:
        return self._column(name, 0, 0).dtype.kind in "buifUSmM"

    def place(self, row: int) -> str:
        return f"{self.path}, row {row}"

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        yield

    def _column(self, name: str, start: int, stop: int) -> NDArray[Any]:
        if name in self._of_X:
            return self._X[start:stop, self._of_X[name]]
        return self._columns[name][start:stop]

    def pieces(self, columns: Sequence[str], start: int, rows: int) -> Iterator[Piece]:
        for first in range(start, len(self._X), rows):
            stop = min(first + rows, len(self._X))
            yield self._piece(first, stop)
            for array in (self._X, *self._columns.values()):
                give_back(getattr(array, "_mmap", None))

    def _piece(self, start: int, stop: int) -> Piece:
        def cells(name: str) -> Cells:
            return ArrayCells(self._column(name, start, stop))

        def table(names: Sequence[str]) -> NDArray[Any] | None:
            at = [self._of_X[name] for name in names if name in self._of_X]
            if len(at) < len(names):
                return None
            rows = self._X[start:stop]
            return rows if at == list(range(rows.shape[1])) else rows[:, at]

        return Piece(start, stop - start, cells, self.size * stop // len(self._X), table)
