"""Where the tasks of a long file end, and whether their rows come in the order of time."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from owo.streams.codes import Codes
from owo.streams.files.cells import Ids, listed

Flags = NDArray[np.bool_]


SMALL = 1 << 21
"""Integer ids below this have places in a table."""


class LastRows:
    """The last row of every id, from pieces of a file in their order.

    Integer ids below ``SMALL`` have a place each in a table of 8 bytes; other integers take 16 bytes each, and as much
    again while pieces are merged; what is no integer takes what a dictionary needs.
    """

    def __init__(self) -> None:
        self._small: Codes = np.zeros(0, dtype=np.int64)
        self._others: dict[Hashable, int] = {}
        self._ids: list[NDArray[Any]] = []
        self._rows: list[Codes] = []

    def add(self, ids: Ids, rows: Codes) -> None:
        """Take the ids of rows ``rows`` (n,) of the file; those without an id do not count."""
        last = np.full(len(ids.distinct) + 1, -1)
        last[ids.codes] = rows  # of repeated indices the last one stays; the last entry is for -1
        last = last[:-1]
        distinct = ids.distinct[last >= 0]
        last = last[last >= 0]
        if distinct.dtype.kind not in "iu":
            self._others.update(zip(listed(distinct), last.tolist(), strict=True))
            return
        if not len(distinct):
            return
        small = (distinct >= 0) & (distinct < SMALL)
        if small.any():
            self._note(distinct[small].astype(np.int64), last[small])
            distinct, last = distinct[~small], last[~small]
        if not len(distinct):
            return
        order = np.argsort(distinct)
        self._ids.append(distinct[order])
        self._rows.append(last[order])
        if sum(map(len, self._ids[1:])) > len(self._ids[0]):
            self._merge()

    def sorted(self) -> Codes:
        """The last rows of all ids (T,), ascending."""
        self._merge()
        others = np.fromiter(self._others.values(), np.int64, len(self._others))
        return np.sort(np.concatenate((self._small[self._small >= 0], *self._rows, others)))

    def _note(self, ids: Codes, rows: Codes) -> None:
        """Later rows of small ids."""
        most = int(ids.max()) + 1
        if most > len(self._small):
            room = np.full(min(2 * most, SMALL), -1, dtype=np.int64)
            room[: len(self._small)] = self._small
            self._small = room
        self._small[ids] = rows

    def _merge(self) -> None:
        if len(self._ids) < 2:
            return
        ids, rows = np.concatenate(self._ids), np.concatenate(self._rows)
        order = np.argsort(ids, kind="stable")
        ids = ids[order]
        final = np.append(ids[1:] != ids[:-1], True)
        self._ids, self._rows = [ids[final]], [rows[order[final]]]


class Turns:
    """Tasks that end where the next row has another id; ``place`` says where a row is, for the message."""

    def __init__(self, place: Callable[[int], str]) -> None:
        self._ended: set[Hashable] = set()
        self._open: Hashable = None
        self._began = False
        self._place = place

    def met(self, codes: Codes, keys: tuple[Hashable, ...], rows: Codes) -> tuple[bool, Flags]:
        """Whether the task of the rows before these ends with them, and the ends (n,), False at the last row.

        ``codes`` (n,) are numbered in the order of first rows, ``rows`` (n,) are rows of the file. Raises
        ``ValueError`` if a task comes back after others.
        """
        change = codes[1:] != codes[:-1]
        starts = np.concatenate(([0], np.flatnonzero(change) + 1))
        first = keys[codes[0]]
        closes = self._began and first != self._open
        if closes:
            self._ended.add(self._open)
        self._began = True
        for start, code in zip(starts.tolist(), codes[starts].tolist(), strict=True):
            key = keys[code]
            if key in self._ended:
                raise ValueError(
                    f"{self._place(int(rows[start]))}: task {key!r} comes back after rows of others, but with "
                    "ends='change' a task ends where another begins. Sort the rows by task, or take ends='last'"
                )
            if start:
                self._ended.add(keys[codes[start - 1]])
        self._open = keys[codes[-1]]
        return closes, np.append(change, False)


class Order:
    """The latest time of every open task, against which its next rows are held."""

    def __init__(self, name: str, advice: str, place: Callable[[int], str]) -> None:
        self._latest: dict[Hashable, Any] = {}
        self._name, self._advice, self._place = name, advice, place

    def check(self, times: NDArray[Any], codes: Codes, keys: tuple[Hashable, ...], rows: Codes, ends: Flags) -> None:
        """Raise ``ValueError`` at the first of the rows whose time is before one of its task's; tasks that end go."""
        order = np.argsort(codes, kind="stable")
        by_task, sequence = times[order], codes[order]
        starts = np.concatenate(([True], sequence[1:] != sequence[:-1]))
        early = np.flatnonzero((by_task[1:] < by_task[:-1]) & ~starts[1:]) + 1
        found = [(int(order[k]), by_task[k - 1]) for k in early.tolist()]
        firsts, finals = np.flatnonzero(starts), np.append(np.flatnonzero(starts)[1:] - 1, len(codes) - 1)
        for key, value, at in zip(keys, listed(by_task[firsts]), order[firsts].tolist(), strict=True):
            before = self._latest.get(key)
            if before is not None and value < before:
                found.append((at, before))
        if found:
            at, before = min(found, key=lambda pair: pair[0])
            raise ValueError(
                f"{self._place(int(rows[at]))}, column {self._name!r} (task {keys[codes[at]]!r}): {times[at]} comes "
                f"after {before}; the rows of a task must come in the order of time. {self._advice}"
            )
        self._latest.update(zip(keys, listed(by_task[finals]), strict=True))
        for code in codes[ends].tolist():
            del self._latest[keys[code]]

    def close(self, key: Hashable) -> None:
        """Forget a task that has ended after all."""
        self._latest.pop(key, None)
