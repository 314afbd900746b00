"""The open tasks: a row (slot) of sums and scalars each, in arrays that grow."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from owo import kernels, laws
from owo.spill import Spill, Spilled
from owo.streams import Block
from owo.streams.codes import distinct

Places = NDArray[np.int64]


def aligned(*shape: int) -> NDArray[np.float64]:
    """Zeros that begin on a cache line: wide vector loads of the learner's sums then never straddle two."""
    size = math.prod(shape)
    room = np.zeros(size + 8)
    skip = -(room.ctypes.data // 8) % 8
    return room[skip : skip + size].reshape(shape)


class Seats(NamedTuple):
    """Where the tasks of a block are."""

    slots: Places
    """of every key of the block"""
    used: Places
    """all of them, once each"""
    taken: list[int]
    """those that were free"""
    new: NDArray[np.bool_]
    """which keys were not open"""


class Keys(dict[Hashable, int]):
    """The row of each open task, by key; notes whether it was changed."""

    changed = True

    def __setitem__(self, key: Hashable, row: int) -> None:
        self.changed = True
        super().__setitem__(key, row)

    def pop(self, key: Hashable) -> int:  # type: ignore[override]
        """Remove a key; returns its row."""
        self.changed = True
        return super().pop(key)


class Table:
    """``Keys`` as an array, for keys that are whole numbers and not much larger than there are: a tenth of the time."""

    def __init__(self) -> None:
        self.rows = np.zeros(0, dtype=np.int64)

    def look_up(self, keys: Keys, wanted: Sequence[Hashable], ids: Places | None = None) -> Places:
        """The rows of the keys wanted, -1 for those that are not open; ``ids``: the same keys as an array, if any."""
        if ids is None and len(wanted) >= WORTH_IT:
            ids = _numbers(wanted)
        if len(wanted) >= WORTH_IT and ids is not None and self._holds(keys, ids):
            return np.asarray(self.rows[ids])
        return np.fromiter(map(keys.get, wanted, itertools.repeat(-1)), np.int64, len(wanted))

    def _holds(self, keys: Keys, ids: NDArray[Any]) -> bool:
        """Whether the table has all keys, and a place for these; made anew if the keys were changed elsewhere."""
        if not _fit(ids, len(keys) + len(ids)):
            return False
        if keys.changed:
            known = _numbers(list(keys))
            if known is None or not _fit(known, len(keys) + len(ids)):
                return False
            self.rows = np.full(int(known.max(initial=0)) + 1, -1, dtype=np.int64)
            self.rows[known] = list(keys.values())
            keys.changed = False
        most = int(ids.max()) + 1
        if most > len(self.rows):
            self.rows = np.concatenate([self.rows, np.full(2 * most - len(self.rows), -1, dtype=np.int64)])
        return True

    def renew(self, keys: Keys, gone: Sequence[Hashable], new: Sequence[Hashable], rows: Sequence[int]) -> list[int]:
        """Change keys and table together; returns the rows of those that are gone."""
        free = [dict.pop(keys, key) for key in gone]
        keys.update(zip(new, rows, strict=True))
        if not keys.changed and (gone or new):
            ids = _numbers([*gone, *new])
            if ids is not None and self._holds(keys, ids):
                self.rows[ids[: len(gone)]] = -1
                self.rows[ids[len(gone) :]] = rows
            else:
                keys.changed = True
        return free


WORTH_IT = 1024
"""Keys for which a table is looked at, or made."""


def _numbers(keys: Sequence[Hashable]) -> Places | None:
    """Keys as an array, if all are whole numbers, and none is so large that it does not fit."""
    if not set(map(type, keys)) <= {int}:
        return None
    try:
        return np.fromiter(keys, np.int64, len(keys))
    except OverflowError:
        return None


def _fit(ids: NDArray[Any], count: int) -> bool:
    """Whether these can be places in a table for so many keys."""
    return not len(ids) or bool(ids.min() >= 0 and ids.max() < 8 * count + 2**16)


class Slots:
    """Rows of ``kernels.Within`` by task key; a free row is always as new.

    Memory is ``8 (d + s + 11)`` bytes an open task, s the length of the law's state; twice d for a law that clips;
    and three times ``width``, the length of a metric that is learned; beside that, its key and an entry in ``keys``.

    With a ``Spill``, tasks that have not been met for longest are kept on disk; ``keys`` has those in memory only.
    """

    def __init__(self, d: int, law: Any, width: int = 0, spill: Spill | None = None) -> None:
        self.d, self.width = d, width
        self.fresh = np.array(law.start(), dtype=np.float64)
        self.clips = laws.may_clip(type(law))
        self.keys, self._table = Keys(), Table()
        self.free: list[int] = []
        self.arrays = self._rows(0)
        self.moves = np.zeros(1, dtype=np.int64)
        """how often ``arrays`` was replaced; who knows their addresses looks here first"""
        self.spilled = None if spill is None else Spilled(spill, sum(array.shape[1] for array in self.arrays))
        self.met = np.zeros(0, dtype=np.int64)
        self.now = 0
        self._saved: list[NDArray[np.float64]] = []
        self._reserve(1)

    def _rows(self, n: int) -> kernels.Within:
        lost = aligned(n, self.d) if self.clips else np.zeros((n, 0))
        states = np.tile(self.fresh, (n, 1))
        accounts, tasks = np.zeros((n, len(kernels.ACCOUNT))), np.zeros((n, len(kernels.TASK)))
        metrics, hints = aligned(n, self.width), aligned(n, 2 * self.width)
        return kernels.Within(aligned(n, self.d), lost, states, accounts, tasks, metrics, hints)

    def widen(self, d: int) -> None:
        """Rows of d numbers from now on, which begin with those of before."""
        if self.spilled is not None:
            raise ValueError("a learner that spills tasks to disk cannot be widened")
        self.d = d
        grown = self._rows(len(self.arrays.sums))
        for after, before in zip(grown, self.arrays, strict=True):
            after[:, : before.shape[1]] = before
        self._move(grown)

    def _reserve(self, count: int) -> None:
        """Have at least ``count`` free rows."""
        if len(self.free) >= count:
            return
        old = len(self.arrays.sums)
        new = max(2 * old, old + count - len(self.free))
        grown = self._rows(new)
        for after, before in zip(grown, self.arrays, strict=True):
            after[:old] = before
        self._move(grown)
        self.met = np.concatenate([self.met, np.zeros(new - old, dtype=np.int64)])
        self.free.extend(range(new - 1, old - 1, -1))

    def _move(self, grown: kernels.Within) -> None:
        self.moves += 1
        self.arrays = grown

    def adopt(self, keys: Sequence[Hashable]) -> Places:
        """Rows for tasks that are open, in this order."""
        rows = self.take(len(keys))
        self.keys.update(zip(distinct(tuple(keys)), rows, strict=True))
        self.keys.changed = True
        return np.array(rows, dtype=np.int64)

    def forget(self, key: Hashable) -> None:
        """Make the row of a task as new, and free it."""
        row = self.keys[key]
        for array, new in zip(self.arrays, self._rows(1), strict=True):
            array[row] = new[0]
        self.release(key)

    def assign(self, block: Block) -> Seats:
        """The slot of every key of the block.

        Tasks that follow one another, each ending before the next begins, share one row.
        """
        if self.spilled is not None:
            self.recall([key for key in block.keys if key in self.spilled.records])
        if self.keys:
            slots = self._table.look_up(self.keys, block.keys, block.ids)
        else:
            slots = np.full(len(block.keys), -1, dtype=np.int64)
        new = slots < 0
        in_turn = block.contiguous or bool(np.all(block.ends[:-1][block.task[1:] != block.task[:-1]]))
        taken = self.take(1 if in_turn else int(new.sum()))
        used = np.concatenate([slots[~new], taken]).astype(np.int64)
        slots[new] = taken[0] if in_turn else taken
        self.now += 1
        self.met[used] = self.now
        return Seats(slots, used, taken, new)

    def take(self, count: int) -> list[int]:
        """Remove rows from the free ones."""
        self._reserve(count)
        taken = self.free[len(self.free) - count :]
        del self.free[len(self.free) - count :]
        return taken[::-1]

    def settle(self, block: Block, seats: Seats) -> None:
        """After a run: remember which of the block's tasks are still open, free the others' rows."""
        slots, _, taken, new = seats
        still = np.zeros(len(slots), dtype=np.bool_)
        if not block.contiguous:
            last = np.empty(len(slots), dtype=np.int64)
            last[block.task] = np.arange(block.n)  # of repeated indices the last one stays
            still = ~block.ends[last]
        gone = [block.keys[code] for code in np.flatnonzero(~still & ~new).tolist()]
        stay = np.flatnonzero(still & new)
        come, rows = [block.keys[code] for code in stay.tolist()], slots[stay].tolist()
        self.free.extend(self._table.renew(self.keys, gone, come, rows))
        self.free.extend(set(taken).difference(rows))

    # ------------------------------------------------------------------------------------------------ on the disk

    def find(self, key: Hashable) -> int | None:
        """The row of an open task, which is brought back if it is on disk; None if the task is not open."""
        row = self.keys.get(key)
        back = row is None and self.spilled is not None and key in self.spilled.records
        if back:
            self.recall([key])
            row = self.keys[key]
        if row is not None and self.spilled is not None:
            self.now += 1
            self.met[row] = self.now
        if back:
            self.relieve()
        return row

    def seat(self, key: Hashable, row: int) -> None:
        """A task is open, in a row that was taken for it."""
        self.keys[key] = row
        self.now += 1
        self.met[row] = self.now
        self.relieve()

    def holds(self, key: Hashable) -> bool:
        """Whether a task is open."""
        return key in self.keys or (self.spilled is not None and key in self.spilled.records)

    def all_keys(self) -> list[Hashable]:
        """Keys of all open tasks."""
        return [*self.keys, *(self.spilled.records if self.spilled is not None else ())]

    def losses(self) -> float:
        """Loss of all open tasks so far, summed: free rows have none."""
        here = self.arrays.tasks[:, :2]  # with what sums lost by rounding
        if self.spilled is None or not self.spilled.records:
            return float(here.sum())
        at = kernels.Within._fields.index("tasks")
        return float(here.sum() + self._parted(self.spilled.read(list(self.spilled.records)))[at][:, :2].sum())

    def contents(self) -> list[NDArray[np.float64]]:
        """The rows of all open tasks, in the order of ``all_keys``."""
        rows = np.array(list(self.keys.values()), dtype=np.int64)
        here = [array[rows] for array in self.arrays]
        if self.spilled is None:
            return here
        there = self._parted(self.spilled.read(list(self.spilled.records)))
        return [np.concatenate(pair) for pair in zip(here, there, strict=True)]

    def recall(self, keys: Sequence[Hashable]) -> None:
        """Bring tasks back from the disk."""
        if not keys or self.spilled is None:
            return
        found = self._parted(self.spilled.read(keys))
        rows = self.adopt(keys)
        for array, content in zip(self.arrays, found, strict=True):
            array[rows] = content
        self.spilled.drop(keys)

    def relieve(self) -> None:
        """If too many tasks are in memory, send those away that were not met for longest, and an eighth more.

        Where the disk does not take them they stay, with a warning: they have been learned from already.
        """
        if self.spilled is None or len(self.keys) <= self.spilled.most:
            return
        count = len(self.keys) - max(1, self.spilled.most * 7 // 8)
        keys, rows = list(self.keys), np.array(list(self.keys.values()), dtype=np.int64)
        oldest = np.argpartition(self.met[rows], count - 1)[:count]
        gone, places = [keys[at] for at in oldest.tolist()], rows[oldest]
        try:
            self.spilled.put(gone, np.concatenate([array[places] for array in self.arrays], axis=1))
        except OSError as error:
            warnings.warn(f"open tasks stay in memory: {error}", RuntimeWarning, stacklevel=4)
            return
        for array, new in zip(self.arrays, self._rows(1), strict=True):
            array[places] = new[0]
        for key in gone:
            self.release(key)

    def _parted(self, rows: NDArray[np.float64]) -> list[NDArray[np.float64]]:
        """Rows as the disk has them, as arrays of their own."""
        widths = [array.shape[1] for array in self.arrays]
        return [np.array(part) for part in np.split(rows, np.cumsum(widths)[:-1], axis=1)]

    # -------------------------------------------------------------------------------------------------------- undo

    def save(self, rows: Places) -> list[NDArray[np.float64]]:
        """What the given rows hold, for ``restore``; good until the next call, for pages are dear to ask for anew."""
        if not self._saved or len(self._saved[0]) < len(rows) or self._saved[0].shape[1] != self.d:
            self._saved = [np.empty((len(rows), array.shape[1])) for array in self.arrays]
        kept = [room[: len(rows)] for room in self._saved]
        for array, room in zip(self.arrays, kept, strict=True):
            kernels.copy_rows(array, rows, room)
        return kept

    def restore(self, rows: Places, saved: list[NDArray[np.float64]], taken: list[int]) -> None:
        """Put rows back as they were saved, and free those that were taken."""
        for array, content in zip(self.arrays, saved, strict=True):
            array[rows] = content
        self.free.extend(taken)

    def release(self, key: Hashable) -> None:
        """Free the row of a task that ended."""
        self.free.append(self.keys.pop(key))
