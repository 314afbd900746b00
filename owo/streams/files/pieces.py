"""Pieces of a file, and what a stream asks of a file.

A source gives the cells of its columns piece by piece, so that no more than a few pieces are in memory. What a damaged
file makes its reader say is a ``ValueError`` that names the file.
"""

from __future__ import annotations

import contextlib
import mmap
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, Protocol

from numpy.typing import NDArray

from owo.streams.files.cells import Cells


class Piece(NamedTuple):
    """Rows ``start`` to ``start + n - 1`` of a file, and how many of its bytes have been read after them."""

    start: int
    n: int
    cells: Callable[[str], Cells]
    read: int
    table: Callable[[Sequence[str]], NDArray[Any] | None] | None = None
    """These columns as one array (n, d) of numbers, where the file has them so."""


class Source(Protocol):
    """What a stream asks of a file."""

    path: str
    names: list[str]
    size: int
    rows: int | None
    what: str
    """The file in words, where its columns are spoken of."""
    texts: bool
    """Whether cells are text, whose type is found out by reading them."""

    def pieces(self, columns: Sequence[str], start: int, rows: int) -> Iterator[Piece]:
        """Pieces of ``rows`` rows, the last one shorter, from row ``start`` on."""

    def kind(self, name: str) -> str:
        """The type of a column that is not of numbers, else an empty string."""

    def hashable(self, name: str) -> bool:
        """Whether the values of a column can name tasks."""

    def place(self, row: int) -> str:
        """The file and a row of it, in words."""

    def reading(self) -> contextlib.AbstractContextManager[None]:
        """In this, what a reader says of damaged data becomes a ``ValueError`` that names the file."""

    def files(self) -> list[str]:
        """The paths of what is read."""


def recut(batches: Iterable[Any], rows: int) -> Iterator[Any]:
    """Arrow tables of ``rows`` rows, the last one shorter, made of slices of record batches."""
    import pyarrow as pa

    held: list[Any] = []
    n = 0
    for batch in batches:
        while len(batch):
            held.append(batch.slice(0, rows - n))
            batch = batch.slice(len(held[-1]))
            n += len(held[-1])
            if n == rows:
                yield pa.Table.from_batches(held)
                held, n = [], 0
    if n:
        yield pa.Table.from_batches(held)


def after(batches: Iterable[Any], rows: int, path: str) -> Iterator[Any]:
    """Record batches without their first ``rows`` rows, of which there have to be as many."""
    asked = rows
    for batch in batches:
        gone = min(rows, len(batch))
        rows -= gone
        if gone < len(batch):
            yield batch.slice(gone)
    if rows:
        raise ValueError(f"{path} has {asked - rows:,} rows; nothing can begin at row {asked:,}")


def ahead(items: Iterator[Any]) -> Generator[Any, None, None]:
    """The same items, each made by another thread while the one before it is used."""
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = thread.submit(next, items, None)
            yield item


def cells_of(table: Any, kind: Callable[[Any], Cells]) -> Callable[[str], Cells]:
    """The columns of an Arrow table, by name."""
    return lambda name: kind(table.column(name))


def give_back(mapped: Any) -> None:
    """Let the pages of a mapped file go; they are read again where they are used again."""
    if hasattr(mapped, "madvise") and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)
