"""The blocks of a file: one after another, from any of them on, with the ends of tasks."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from owo.streams.block import Block
from owo.streams.codes import Codes
from owo.streams.encoding import Encoding
from owo.streams.files.cells import listed
from owo.streams.files.cutting import Counts, Cut, Cutter, Policy
from owo.streams.files.ends import LastRows, Order, Turns
from owo.streams.files.pieces import Piece, Source, ahead

MOST_LEVELS = 1000
"""Levels that may be found in a column of categories; a column with more is likely to be of names."""

FIRST_PASS = 1 << 17
"""Rows of the task column looked at together."""


class Asked(NamedTuple):
    """What a stream was asked for."""

    task: str
    target: str
    features: tuple[str, ...]
    time: str | None
    policy: Policy
    ends: str
    rows: int


class _Found(NamedTuple):
    """What the first pass found: the last row of each task, ascending, and the levels of categories."""

    last: Codes
    levels: dict[str, list[Any]]


class FileStream:
    """The blocks of a file; see ``from_file``, which makes one.

    Attributes
    ----------
    position : rows of the file in the blocks handed out so far, and those between; set just before a block is handed
        out to what it will be after it
    skipped, filled : how many rows were left out and values filled in, by reason such as "price: missing"; a row counts
        once, for its first reason
    bytes_read, size : bytes of the file read so far, in parts as large as its rows are, and in all

    Notes
    -----
    An iteration begins by setting these anew. Two iterations at once give the right blocks, but share the counters.
    A file must not be changed while it is read.
    """

    def __init__(
        self,
        source: Source,
        asked: Asked,
        categories: dict[str, list[Any] | None],
        start: int = 0,
        found: _Found | None = None,
        encoding: Encoding | None = None,
        counted: tuple[Mapping[str, int], Mapping[str, int]] = ({}, {}),
    ) -> None:
        self._source, self._asked, self._categories, self._start = source, asked, categories, start
        self._found, self._encoding, self._counted = found, encoding, counted
        self.size = source.size
        self._reset()

    def _reset(self) -> None:
        self.position, self.bytes_read = self._start, 0
        skipped, filled = self._counted
        self.skipped: Counter[str] = Counter(skipped)
        self.filled: Counter[str] = Counter(filled)

    # ------------------------------------------------------------------------------------------------- what it is

    @property
    def features(self) -> list[str]:
        """Names of the columns of X, before any encoding; levels of categories as ``weekday=mon``.

        Makes the first pass if needed.
        """
        return self._cutter().names

    @property
    def d(self) -> int:
        """Number of columns of X. Makes the first pass if that has to find the levels of categories."""
        return len(self.features) if self._encoding is None else self._encoding.d

    @property
    def rows(self) -> int | None:
        """Rows of the file, None as long as that is not known."""
        return self._source.rows

    def __repr__(self) -> str:
        a = self._asked
        return (
            f"FileStream({self._source.path!r}, task={a.task!r}, target={a.target!r}, rows={a.rows}, ends={a.ends!r})"
        )

    def identity(self) -> dict[str, Any]:
        """What tells this stream from others, in plain values for JSON: kept in a checkpoint, it shows another file.

        The name and size in bytes, SHA-256 of the first and of the last MiB (of each file of a folder in turn), and
        what ``from_file`` was asked for.
        """
        head, tail = hashlib.sha256(), hashlib.sha256()
        for path in self._source.files():
            with open(path, "rb") as file:
                head.update(file.read(1 << 20))
                file.seek(max(os.path.getsize(path) - (1 << 20), 0))
                tail.update(file.read(1 << 20))
        asked = self._asked
        return {
            "name": os.path.basename(os.path.normpath(self._source.path)),
            "size": self.size,
            "head": head.hexdigest(),
            "tail": tail.hexdigest(),
            "task": asked.task,
            "target": asked.target,
            "features": list(asked.features),
            "time": asked.time,
            "missing": asked.policy.plain(),
            "categories": {
                name: "observe" if levels is None else list(map(_plain, levels))
                for name, levels in self._categories.items()
            },
            "ends": asked.ends,
            "rows": asked.rows,
            "encoding": None if self._encoding is None else self._encoding.to_dict(),
        }

    # ---------------------------------------------------------------------------------------------------- its blocks

    def fit_encoding(self, *, classification: bool = False) -> Encoding:
        """Means and scales of the beginning of the stream, of a tenth of its rows but no more than the first block."""
        with contextlib.closing(self._plain().blocks()) as blocks:
            first = next(blocks, None)
        if first is None:
            raise ValueError(f"{self._source.path}: no row can be used, so there is nothing to take scales from")
        part = 1.0 if self.rows is None else max(10, self.rows / 10) / first.n
        rows = slice(0, max(1, round(min(1.0, part) * first.n)))
        X, y, task = first.X[rows], first.y[rows], first.task[rows]
        return Encoding.fit(X, y, task, 1.0, classification=classification)

    def encoded(self, encoding: Encoding) -> FileStream:
        """The same stream, with rows and labels encoded."""
        return FileStream(self._source, self._asked, self._categories, self._start, self._found, encoding)

    def _plain(self) -> FileStream:
        return FileStream(self._source, self._asked, self._categories, 0, self._found)

    def from_position(
        self, position: int, *, skipped: Mapping[str, int] | None = None, filled: Mapping[str, int] | None = None
    ) -> FileStream:
        """The same stream from row ``position`` on: a multiple of ``rows``, or the end.

        ``skipped`` and ``filled`` are what was counted before. What the first pass found is shared. Whether tasks come
        back (``ends="change"``) or times decrease is checked among the rows from there on.

        Raises ``ValueError`` for any other position; for one behind the end of a file whose rows are not yet known,
        when iterated.
        """
        if isinstance(position, bool) or not isinstance(position, (int, np.integer)) or position < 0:
            raise ValueError(f"position is {position!r}; needed a number of rows")
        whole, total = self._asked.rows, self.rows
        if total is not None and position > total:
            raise ValueError(f"position is {position:,}, behind the {total:,} rows of {self._source.path}")
        if position % whole and total is not None and position != total:
            raise ValueError(f"position is {position:,}; needed a multiple of rows = {whole:,}, or the end, {total:,}")
        counted = (skipped or {}, filled or {})
        return FileStream(
            self._source, self._asked, self._categories, int(position), self._found, self._encoding, counted
        )

    def prepare(self, progress: Callable[[int, int], None] | None = None) -> None:
        """Make the first pass now, if one is needed and has not been made; ``progress(bytes read, size)`` as it goes.

        It finds the last row of each task (``ends="last"``) and the levels of categories to be observed. Of each task
        it keeps 8 bytes, and while it lasts about 50 for integer ids and about 200 and the text for others.
        """
        if self._found is not None:
            return
        levels = self._observed(progress)
        last = LastRows()
        if self._asked.ends == "last":
            for piece, cut in ahead(self._first_pass(levels)):
                with self._source.reading():
                    if cut is None:
                        ids = piece.cells(self._asked.task).ids()
                        last.add(ids, np.arange(piece.start, piece.start + piece.n))
                    else:
                        last.add(cut.ids, cut.rows)
                if progress is not None:
                    progress(piece.read, self.size)
        self._found = _Found(last.sorted(), levels)

    def _first_pass(self, levels: dict[str, list[Any]]) -> Iterator[tuple[Piece, Cut | None]]:
        """The task column, and which rows are kept where some may be skipped."""
        asked = self._asked
        if not asked.policy.skips:
            for piece in self._source.pieces([asked.task], 0, FIRST_PASS):
                yield piece, None
            return
        cutter = self._cutter_of(levels)
        for piece in self._source.pieces(cutter.columns, 0, asked.rows):
            yield piece, cutter.cut(piece)

    def _observed(self, progress: Callable[[int, int], None] | None) -> dict[str, list[Any]]:
        """The levels of all categories."""
        levels = {name: dict.fromkeys(given or ()) for name, given in self._categories.items()}
        wanted = [name for name, given in self._categories.items() if given is None]
        for piece in self._source.pieces(wanted, 0, self._asked.rows) if wanted else ():
            for name in wanted:
                with self._source.reading():
                    levels[name].update(dict.fromkeys(listed(piece.cells(name).ids().distinct)))
                if len(levels[name]) > MOST_LEVELS:
                    raise ValueError(
                        f"{self._source.path}: column {name!r} has more than {MOST_LEVELS:,} levels; name those that "
                        f"matter in categories={{{name!r}: [...]}}, or leave the column out of features"
                    )
            if progress is not None:
                progress(piece.read, self.size)
        for name in wanted:
            if not levels[name]:
                raise ValueError(f"{self._source.path}: column {name!r} has no values; leave it out of features")
        return {name: list(found) for name, found in levels.items()}

    def _cutter(self) -> Cutter:
        if self._found is None and None in self._categories.values():
            self.prepare()
        levels = {name: levels or [] for name, levels in self._categories.items()}
        return self._cutter_of(levels if self._found is None else self._found.levels)

    def _cutter_of(self, levels: dict[str, list[Any]]) -> Cutter:
        asked = self._asked
        return Cutter(self._source, asked.task, asked.target, asked.features, asked.time, asked.policy, levels)

    def __iter__(self) -> Iterator[Block]:
        return self.blocks()

    def blocks(self) -> Generator[Block, None, None]:
        """The blocks, as iterating gives them; close it to stop early."""
        self._reset()
        if self._start == self.rows:
            self.bytes_read = self.size
            return
        if self._asked.ends == "last" or None in self._categories.values():
            self.prepare()
        with contextlib.closing(ahead(self._cuts())) as cuts:
            if self._asked.ends == "change":
                steps = _changing(cuts, self._order(), Turns(self._source.place))
            else:
                steps = _known(cuts, self._order(), None if self._found is None else self._found.last)
            for block, cut in steps:
                self.position, self.bytes_read = cut.stop, cut.read
                Counts(self.skipped, self.filled).add(cut.counts)
                if block is not None:
                    yield block if self._encoding is None else self._encoding.block(block)
        self.bytes_read = self.size

    def _cuts(self) -> Iterator[Cut]:
        cutter = self._cutter()
        if self._start % self._asked.rows:
            for _ in self._source.pieces([self._asked.task], self._start, 1):
                raise ValueError(
                    f"position is {self._start:,}, inside {self._source.path}; needed a multiple of "
                    f"rows = {self._asked.rows:,}, or the end"
                )
            return
        empty = self._start == 0
        for piece in self._source.pieces(cutter.columns, self._start, self._asked.rows):
            empty = False
            yield cutter.cut(piece)
        if empty:
            raise ValueError(f"{self._source.path} has no rows; needed at least one point")

    def _order(self) -> Order | None:
        time, task = self._asked.time, self._asked.task
        if time is None:
            return None
        advice = (
            "Sort the file, for example with DuckDB: "
            f"COPY (SELECT * FROM '{self._source.path}' ORDER BY {task}, {time}) TO 'sorted.parquet'"
        )
        return Order(time, advice, self._source.place)


class Step(NamedTuple):
    """A block, if a cut left one, and the cut: how far the file has been handed out, and what was counted."""

    block: Block | None
    cut: Cut


def _known(cuts: Iterator[Cut], order: Order | None, last: Codes | None) -> Iterator[Step]:
    """Blocks whose ends are known: the rows ``last``, or none."""
    for cut in cuts:
        block = None
        if len(cut.rows):
            ends = np.zeros(len(cut.rows), dtype=np.bool_)
            if last is not None:
                at = last[np.searchsorted(last, cut.rows[0]) : np.searchsorted(last, cut.rows[-1], side="right")]
                ends[np.searchsorted(cut.rows, at)] = True
            block = _block(cut, ends, order)
        yield Step(block, cut)


def _changing(cuts: Iterator[Cut], order: Order | None, turns: Turns) -> Iterator[Step]:
    """Blocks whose last row ends its task if the next row has another; each is kept until that is known."""
    kept: tuple[Block, Cut] | None = None
    empty: list[Cut] = []
    for cut in cuts:
        if not len(cut.rows):
            empty.append(cut)
            continue
        closes, ends = turns.met(cut.ids.codes, cut.keys, cut.rows)
        if kept is not None:
            yield Step(_closed(kept[0], order) if closes else kept[0], kept[1])
        yield from (Step(None, each) for each in empty)
        empty.clear()
        kept = _block(cut, ends, order), cut
    if kept is not None:
        yield Step(_closed(kept[0], order), kept[1])
    yield from (Step(None, each) for each in empty)


def _block(cut: Cut, ends: NDArray[np.bool_], order: Order | None) -> Block:
    if order is not None and cut.times is not None:
        order.check(cut.times, cut.ids.codes, cut.keys, cut.rows, ends)
    ids = cut.ids.distinct if cut.ids.distinct.dtype == np.int64 else None
    return Block._of(cut.X, cut.y, cut.ids.codes, ends, cut.keys, ids)


def _closed(block: Block, order: Order | None) -> Block:
    block.ends[-1] = True
    if order is not None:
        order.close(block.keys[block.task[-1]])
    return Block._of(block.X, block.y, block.task, block.ends, block.keys, block.ids)


def _plain(level: Any) -> Any:
    return level if isinstance(level, (str, int, float, bool)) else str(level)
