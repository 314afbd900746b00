"""CSV files in pieces: Arrow reads them where it can, Python where it cannot, and Python finds the line of a fault."""

from __future__ import annotations

import contextlib
import csv
import importlib.util
import io
import os
import re
from collections.abc import Generator, Iterator, Sequence
from itertools import chain, islice
from typing import Any, NamedTuple, TypeAlias

from owo.streams.columns import _COMPRESSED, RECORDS_AT_ONCE, doubt
from owo.streams.files.cells import ArrowTextCells, Cells, TextCells
from owo.streams.files.pieces import Piece, after, cells_of, recut

CHUNK = 1 << 20
"""Bytes read at once."""

LONGEST_LINE = 1 << 24
"""Bytes a line may have; in a longer one something is wrong."""


Records: TypeAlias = Generator[tuple[int, list[str]], None, None]
"""Records, each with the number of its last line."""


class _Place(NamedTuple):
    """Row ``row`` begins at byte ``offset``, after ``line`` lines."""

    row: int
    offset: int
    line: int


class CsvFile:
    """A CSV file in UTF-8 whose first line names the columns; lines without text are no rows."""

    texts = True

    def __init__(self, path: str, delimiter: str) -> None:
        self.path, self._delimiter = path, delimiter
        self.size = os.path.getsize(path)
        self.rows: int | None = None
        with open(path, "rb") as raw:
            if raw.read(6).startswith(_COMPRESSED):
                raise ValueError(f"{path} is compressed; decompress it first")
        lines = _Lines(path, 0)
        with self.reading(), contextlib.closing(self._records(lines, _Place(0, 0, 0), None)) as records:
            header = next(records, None)
            if header is None:
                raise ValueError(f"{path} is empty; needed a first line with the names of the columns")
            self._first = _Place(0, lines.offset, header[0])
        self.names = [name.strip() for name in header[1]]
        self.what = f"{path}{doubt(self.names, delimiter)}"

    def kind(self, name: str) -> str:
        return ""

    def hashable(self, name: str) -> bool:
        return True

    def files(self) -> list[str]:
        return [self.path]

    def place(self, row: int) -> str:
        record = next(self._from(row, _Lines(self.path, 0)), None)
        return f"{self.path}, line {record[0]}" if record else f"{self.path}, row {row}"

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        try:
            yield
        except UnicodeError as error:
            raise ValueError(f"{self.path}: not UTF-8 ({error}); save it as UTF-8") from None

    def pieces(self, columns: Sequence[str], start: int, rows: int) -> Iterator[Piece]:
        at = start
        if importlib.util.find_spec("pyarrow"):
            import pyarrow as pa

            try:
                for piece in self._by_arrow(columns, start, rows):
                    at = piece.start + piece.n
                    yield piece
                if at > start:
                    self.rows = at
                    return
            except (pa.ArrowException, _Unsure):
                pass  # Python finds out what is wrong, or that nothing is
        yield from self._by_python(columns, at, rows)

    # ------------------------------------------------------------------------------------------------------- Arrow

    def _by_arrow(self, columns: Sequence[str], start: int, rows: int) -> Iterator[Piece]:
        import pyarrow as pa
        from pyarrow import csv as arrow_csv

        place = self._near(start)
        numbers = {name: str(self.names.index(name)) for name in columns}
        with _Watched(self.path) as file:
            file.seek(place.offset)
            reader = arrow_csv.open_csv(
                pa.PythonFile(file, "r"),
                arrow_csv.ReadOptions(block_size=CHUNK, column_names=[str(k) for k in range(len(self.names))]),
                arrow_csv.ParseOptions(delimiter=self._delimiter, newlines_in_values=True),
                arrow_csv.ConvertOptions(
                    include_columns=list(numbers.values()),
                    column_types={number: pa.string() for number in numbers.values()},
                    null_values=[],
                    strings_can_be_null=False,
                ),
            )
            at = start
            for table in recut(after(reader, start - place.row, self.path), rows):
                if file.quoted and any(_quotes(chunk) for column in table.columns for chunk in column.chunks):
                    raise _Unsure
                at += len(table)
                table = table.rename_columns(list(numbers))
                yield Piece(at - len(table), len(table), cells_of(table, ArrowTextCells), min(file.tell(), self.size))

    # ------------------------------------------------------------------------------------------------------ Python

    def _by_python(self, columns: Sequence[str], start: int, rows: int) -> Iterator[Piece]:
        lines = _Lines(self.path, 0)
        at = {name: self.names.index(name) for name in columns}
        packed = _packing()
        row = start
        with contextlib.closing(self._from(start, lines)) as records:
            while True:
                parts: dict[str, list[Any]] = {name: [] for name in columns}
                n = 0
                while n < rows and (chunk := list(islice(records, min(RECORDS_AT_ONCE, rows - n)))):
                    n += len(chunk)
                    for name, position in at.items():
                        parts[name].append(packed([record[position] for _, record in chunk]))
                if not n:
                    break
                row += n
                yield Piece(row - n, n, _joined(parts), min(lines.offset, self.size))
        self.rows = row

    def _from(self, row: int, lines: _Lines) -> Records:
        """The records from row ``row`` on, each with the number of its last line."""
        place = self._near(row)
        lines.offset = place.offset
        records = self._records(lines, place, len(self.names))
        for k in range(row - place.row):
            if next(records, None) is None:
                raise ValueError(f"{self.path} has {place.row + k:,} rows; nothing can begin at row {row:,}")
        yield from records

    def _records(self, lines: _Lines, place: _Place, width: int | None) -> Records:
        text = iter(lines)
        reader = csv.reader(text, delimiter=self._delimiter, skipinitialspace=True, strict=True)
        try:
            for record in reader:
                if not record or (len(record) == 1 and not record[0].strip()):
                    continue
                line = place.line + reader.line_num
                if width is not None and len(record) != width:
                    raise ValueError(
                        f"{self.path}, line {line}: {len(record)} fields, but the first line names {width} columns; "
                        f"fields are separated by {self._delimiter!r}, text that holds it needs quotes"
                    )
                yield line, record
        except csv.Error as error:
            line = place.line + reader.line_num
            raise ValueError(f"{self.path}, line {line}: not valid CSV ({error}); check its quotes") from None
        except UnicodeDecodeError as error:
            line = place.line + reader.line_num + 1
            raise ValueError(f"{self.path}, line {line}: not UTF-8 ({error.reason}); save it as UTF-8") from None

    def _near(self, row: int) -> _Place:
        """A place at or before a row, found by counting lines as long as each is sure to be a row."""
        at = self._first
        with open(self.path, "rb") as file:
            file.seek(at.offset)
            while at.row < row:
                chunk = file.read(CHUNK)
                chunk = chunk[: chunk.rfind(b"\n") + 1]
                n = chunk.count(b"\n")
                if not n or at.row + n > row or _UNSURE.search(b"\n" + chunk):
                    break
                at = _Place(at.row + n, at.offset + len(chunk), at.line + n)
                file.seek(at.offset)
        return at


_UNSURE = re.compile(rb'"|\n\s*\n|\r(?!\n)')
"""Quotes, which may hold line ends, blank lines, and carriage returns by themselves."""


class _Lines:
    """The lines of a file as text; ``offset`` is where the next one begins."""

    def __init__(self, path: str, offset: int) -> None:
        self._path, self.offset = path, offset

    def __iter__(self) -> Iterator[str]:
        with open(self._path, "rb") as file:
            file.seek(self.offset)
            rest = b""
            while chunk := file.read(CHUNK):
                *lines, rest = (rest + chunk).splitlines(keepends=True)
                if rest.endswith(b"\n"):
                    lines, rest = [*lines, rest], b""
                yield from map(self._text, lines)
                if len(rest) > LONGEST_LINE:
                    raise csv.Error(f"a line of more than {LONGEST_LINE:,} bytes")
            if rest:
                yield self._text(rest)

    def _text(self, line: bytes) -> str:
        start = self.offset
        self.offset += len(line)
        return line.decode("utf-8" if start else "utf-8-sig")


class _Unsure(Exception):
    """Arrow may have read quotes in another way than Python."""


class _Watched(io.FileIO):
    """A file that remembers whether there were quotes in what was read."""

    quoted = False

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(-1 if size is None else size) or b""
        self.quoted = self.quoted or b'"' in data
        return data


def _quotes(texts: Any) -> bool:
    import pyarrow.compute as pc

    return bool(pc.any(pc.match_substring(texts, '"')).as_py())


def _packing() -> Any:
    """What holds texts: an Arrow array, which takes a tenth of the memory, or a list."""
    if not importlib.util.find_spec("pyarrow"):
        return list
    import pyarrow as pa

    return lambda texts: pa.array(texts, pa.string())


def _joined(parts: dict[str, list[Any]]) -> Any:
    def cells(name: str) -> Cells:
        if isinstance(parts[name][0], list):
            return TextCells(list(chain.from_iterable(parts[name])))
        import pyarrow as pa

        return ArrowTextCells(pa.chunked_array(parts[name]))

    return cells
