"""Parquet and Arrow IPC files in pieces."""

from __future__ import annotations

import contextlib
import mmap
import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from owo.streams.files.cells import ArrowCells
from owo.streams.files.pieces import Piece, after, cells_of, give_back, recut

KEPT = 4
"""Pieces of a Parquet file after which memory that Arrow keeps for later is given back."""

BUFFER = 1 << 16
"""Bytes read at once from each column of a Parquet file."""


def arrow() -> Any:
    """The module ``pyarrow``, or the ``ImportError`` that says how to get it."""
    try:
        import pyarrow
    except ImportError:
        raise ImportError(
            'reading Parquet and Arrow files needs pyarrow, which is not installed: pip install "owo[io]"'
        ) from None
    return pyarrow


class _Typed:
    """What Parquet and Arrow files have in common: a schema, and rows counted from 0."""

    texts = False

    def __init__(self, path: str, form: str) -> None:
        self._arrow = arrow()
        self.path, self.what, self._form = path, path, form
        self.size = os.path.getsize(path)
        self.rows: int | None = None

    def _take(self, schema: Any) -> None:
        self._schema = schema
        self.names = list(schema.names)

    def kind(self, name: str) -> str:
        types, kind = self._arrow.types, self._schema.field(name).type
        numeric = types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)
        return "" if numeric or types.is_decimal(kind) or types.is_null(kind) else str(kind)

    def hashable(self, name: str) -> bool:
        types, kind = self._arrow.types, self._schema.field(name).type
        kind = kind.value_type if types.is_dictionary(kind) else kind
        return not types.is_nested(kind)

    def place(self, row: int) -> str:
        return f"{self.path}, row {row}"

    def files(self) -> list[str]:
        return [self.path]

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        try:
            yield
        except (FileNotFoundError, PermissionError):
            raise
        except (self._arrow.ArrowException, OSError, UnicodeError, OverflowError, MemoryError) as error:
            said = " ".join(str(error).split())[:300] or type(error).__name__
            raise ValueError(f"{self.path}: not a {self._form} that can be read, or a damaged one ({said})") from None

    def _safely(self, batches: Iterator[Any]) -> Iterator[Any]:
        """The same record batches; damage found on the way names the file."""
        while True:
            with self.reading():
                batch = next(batches, None)
            if batch is None:
                return
            yield batch


class ParquetFile(_Typed):
    """A Parquet file; pages of the columns asked for are decoded as they come, never a row group at once."""

    def __init__(self, path: str) -> None:
        super().__init__(path, "Parquet file")
        with self.reading(), self._opened() as file:
            groups = [file.metadata.row_group(k) for k in range(file.metadata.num_row_groups)]
            self._take(file.schema_arrow)
            self.rows = file.metadata.num_rows
            sizes = [(group.num_rows, group.total_byte_size) for group in groups]
        self._ends = np.cumsum([0, *(n for n, _ in sizes)])
        weights = np.cumsum([0.0, *(max(weight, 1) for _, weight in sizes)])
        self._read = self.size * weights / weights[-1] if len(sizes) else weights
        if min((n for n, _ in sizes), default=0) < 0 or self._ends[-1] != self.rows:
            raise ValueError(
                f"{path}: damaged; its row groups have {self._ends[-1]:,} rows, its footer says {self.rows:,}"
            )

    def _opened(self) -> Any:
        from pyarrow.parquet import ParquetFile as Parquet

        return Parquet(self.path, pre_buffer=False, buffer_size=BUFFER)

    def pieces(self, columns: Sequence[str], start: int, rows: int) -> Iterator[Piece]:
        first = max(int(np.searchsorted(self._ends, start, side="right")) - 1, 0)
        groups = list(range(first, len(self._ends) - 1))
        at = start
        if start < self._ends[-1]:
            with self.reading():
                file = self._opened()
            with file:
                batches = file.iter_batches(min(rows, 1 << 16), groups, list(columns), use_threads=False)
                gone = start - int(self._ends[first])
                for number, table in enumerate(recut(after(self._safely(batches), gone, self.path), rows)):
                    n, at = len(table), at + len(table)
                    read = int(np.interp(at, self._ends, self._read))
                    yield Piece(at - n, n, cells_of(table, ArrowCells), read)
                    if number % KEPT == 0:
                        self._arrow.default_memory_pool().release_unused()
        if at < self._ends[-1]:
            raise ValueError(f"{self.path}: damaged; it holds {at:,} rows, its footer says {self._ends[-1]:,}")


class ArrowFile(_Typed):
    """An Arrow IPC file or stream (Feather), mapped into memory; pages that have been used are given back."""

    def __init__(self, path: str) -> None:
        super().__init__(path, "Arrow IPC file")
        if not self.size:
            raise ValueError(f"{path} is empty; needed an Arrow IPC file")
        with self.reading(), open(path, "rb") as file:
            self._random = file.read(6) == b"ARROW1"
        with self.reading(), self._mapped() as mapped:
            self._take(self._reader(mapped, None)[0].schema)

    @contextlib.contextmanager
    def _mapped(self) -> Iterator[mmap.mmap]:
        with open(self.path, "rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        try:
            yield mapped
        finally:
            with contextlib.suppress(BufferError):  # tables still in use hold it, and close it with the last of them
                mapped.close()

    def _reader(self, mapped: mmap.mmap, columns: Sequence[str] | None) -> Any:
        ipc = self._arrow.ipc
        source = self._arrow.BufferReader(self._arrow.py_buffer(mapped))
        fields = None if columns is None else sorted(self.names.index(name) for name in columns)
        options = ipc.IpcReadOptions(use_threads=False, included_fields=fields)
        return (ipc.open_file if self._random else ipc.open_stream)(source, options=options), source

    def _batches(self, mapped: mmap.mmap, columns: Sequence[str], tell: list[int]) -> Iterator[Any]:
        reader, source = self._reader(mapped, columns if self._packed(mapped) else None)
        if not self._random:
            for batch in reader:
                tell[0] = source.tell()
                yield batch
            return
        for k in range(reader.num_record_batches):
            tell[0] = self.size * (k + 1) // reader.num_record_batches
            yield reader.get_batch(k)

    def _packed(self, mapped: mmap.mmap) -> bool:
        """Whether batches are not used where they lie, being compressed: then only some columns should be read."""
        if not self._random:
            return True
        reader, _ = self._reader(mapped, None)
        before = self._arrow.total_allocated_bytes()
        batch = reader.get_batch(0) if reader.num_record_batches else None
        return batch is not None and self._arrow.total_allocated_bytes() > before

    def pieces(self, columns: Sequence[str], start: int, rows: int) -> Iterator[Piece]:
        at, tell = start, [0]
        with self._mapped() as mapped:
            batches = self._safely(self._batches(mapped, columns, tell))
            for table in recut(after(batches, start, self.path), rows):
                table = table.select(list(columns))
                for chunk in (chunk for column in table.columns for chunk in column.chunks):
                    with self.reading():
                        chunk.validate()
                n, at = len(table), at + len(table)
                yield Piece(at - n, n, cells_of(table, ArrowCells), tell[0])
                give_back(mapped)
        self.rows = at
