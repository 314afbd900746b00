"""``Task``: one task. ``Block``: many tasks in one piece, what a learner consumes in one compiled call."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from owo.streams.codes import Codes, checked, ended, in_order, named, require_hashable
from owo.streams.points import Floats, first_nonfinite, refuse_nonfinite, shaped
from owo.streams.sparse import SparseRows, is_matrix


@dataclass(frozen=True, slots=True, init=False, eq=False, repr=False)
class Task:
    """One task: rows ``X`` (n, d), labels ``y`` (n,) in the order in which they arrive, and a hashable ``key``.

    Any real dtype, byte order and memory layout; float64 in C order is used without a copy. A task without a key
    gets its number in the stream.

    Raises
    ------
    TypeError
        Not real numbers, or a key that cannot be hashed.
    ValueError
        Shapes that do not fit, no points, NaN or infinity; the message names row and column.

    Examples
    --------
    >>> Task([[1.0, 2.0], [3.0, 4.0]], [0.5, 1.5], "london")
    Task('london', 2 points, d = 2)
    """

    X: Floats
    y: Floats
    key: Hashable

    def __init__(self, X: ArrayLike, y: ArrayLike, key: Hashable = None) -> None:
        require_hashable(key)
        of = "" if key is None else f" of task {key!r}"
        rows, labels = table(X, y, of)
        for array, name in ((rows, "X"), (labels, "y")):
            if not isinstance(array, SparseRows):
                refuse_nonfinite(array, name, of)
        _set(self, X=rows, y=labels, key=key)

    @classmethod
    def _of(cls, X: Floats, y: Floats, key: Hashable) -> Task:
        task = cls.__new__(cls)
        _set(task, X=X, y=y, key=key)
        return task

    @property
    def n(self) -> int:
        """Number of points."""
        return len(self.y)

    @property
    def d(self) -> int:
        """Number of features."""
        return int(self.X.shape[1])

    def __repr__(self) -> str:
        return f"Task({self.key!r}, {count(self.n, 'point')}, d = {self.d})"


@dataclass(frozen=True, slots=True, init=False, eq=False, repr=False)
class Block:
    """Points of many tasks in the order in which they arrive; checked once, when it is made, and immutable.

    The rows of a task may stand together or be mixed with those of others. ``ends`` is True at the last row of
    a task; a task without such a row stays open, and a later block with the same key goes on with it.

    Parameters
    ----------
    X : array (n, d), the features. Any real dtype, byte order and memory layout; or a SciPy sparse matrix or array
    y : array (n,), the labels
    task : integer array (n,), codes of the tasks: all of 0 .. T-1. For ids of any kind see ``from_arrays``
    ends : bool array (n,); default: every task ends at its last row
    keys : T distinct hashables, ``keys[code]`` names a task; default 0 .. T-1

    Attributes
    ----------
    X, y : float64, C order; X is a ``SparseRows`` if it came sparse
    task : int64; tasks are numbered in the order of their first rows, with ``keys`` to match
    ends : bool
    keys : tuple

    Raises
    ------
    TypeError
        Features or labels that are not real numbers, codes that are not integers, keys that cannot be hashed.
    ValueError
        Shapes that do not fit, no points, NaN or infinity, a code without rows, rows of a task after its end,
        equal keys. The message names row, column and task.

    Notes
    -----
    An array that is float64 (int64, bool) in C order is taken without a copy: do not change it afterwards. The arrays
    stay writable although nothing may write to them, because kernels would be compiled once more for read-only ones;
    for the same reason an array that comes read-only is copied.

    Examples
    --------
    >>> block = Block([[1.0], [2.0], [3.0]], [0.0, 1.0, 1.0], [0, 0, 1], keys=["a", "b"])
    >>> block
    Block(3 points of 2 tasks, d = 1)
    >>> block.ends.tolist(), block.offsets.tolist()
    ([False, True, True], [0, 2, 3])
    """

    X: Floats
    y: Floats
    task: Codes
    ends: NDArray[np.bool_]
    keys: tuple[Hashable, ...]
    contiguous: bool
    """Whether the rows of each task follow one another, and every task ends."""
    ids: Codes | None
    """The keys as an array, where a stream has whole numbers and says so: a learner finds its tasks sooner."""

    def __init__(
        self,
        X: ArrayLike,
        y: ArrayLike,
        task: ArrayLike,
        ends: ArrayLike | None = None,
        keys: Iterable[Hashable] | None = None,
    ) -> None:
        rows, labels = table(X, y)
        codes = checked(task, len(rows))
        names = named(keys, codes)
        if not isinstance(rows, SparseRows):
            refuse_nonfinite(rows, "X", key_of=lambda row: names[codes[row]])
        refuse_nonfinite(labels, "y", key_of=lambda row: names[codes[row]])
        flags = ended(ends, codes, names)
        codes, names = in_order(codes, names)
        self._fill(rows, labels, codes, flags, names)

    @classmethod
    def _of(
        cls, X: Floats, y: Floats, task: Codes, ends: NDArray[np.bool_], keys: tuple[Hashable, ...],
        ids: Codes | None = None,
    ) -> Block:  # fmt: skip
        """From parts known to be right."""
        block = cls.__new__(cls)
        block._fill(X, y, task, ends, keys, ids)
        return block

    def _fill(
        self, X: Floats, y: Floats, task: Codes, ends: NDArray[np.bool_], keys: tuple[Hashable, ...],
        ids: Codes | None = None,
    ) -> None:  # fmt: skip
        in_turn = int(np.count_nonzero(task[1:] != task[:-1])) + 1 == len(keys)
        contiguous = in_turn and int(np.count_nonzero(ends)) == len(keys)
        _set(self, X=X, y=y, task=task, ends=ends, keys=keys, contiguous=contiguous, ids=ids)

    @classmethod
    def _joined(cls, X: list[Floats], y: list[Floats], keys: tuple[Hashable, ...]) -> Block:
        """From the shaped arrays of tasks with distinct keys; the values are still to be checked."""
        lengths = np.fromiter(map(len, y), np.int64, len(y))
        ends = np.zeros(int(lengths.sum()), dtype=np.bool_)
        ends[np.cumsum(lengths) - 1] = True
        rows: Any = X[0] if len(X) == 1 else _stacked(X)
        labels = y[0] if len(y) == 1 else np.concatenate(y)
        for name, array, parts in (("X", rows, X), ("y", labels, y)):
            if isinstance(array, SparseRows):
                continue
            where = first_nonfinite(array)
            if where is not None:
                k = int(np.searchsorted(np.cumsum(lengths), where[0], side="right"))
                refuse_nonfinite(parts[k], name, f" of task {keys[k]!r}")
        return cls._of(rows, labels, np.repeat(np.arange(len(y)), lengths), ends, keys)

    # ------------------------------------------------------------------------------------------------- what it is

    @property
    def n(self) -> int:
        """Number of points."""
        return len(self.y)

    @property
    def d(self) -> int:
        """Number of features."""
        return int(self.X.shape[1])

    @property
    def n_tasks(self) -> int:
        """Number of tasks T, also those that go on in another block."""
        return len(self.keys)

    @property
    def lengths(self) -> Codes:
        """Points of each task in this block, (T,).

        >>> Block([[1.0], [2.0], [3.0]], [0.0, 1.0, 1.0], [0, 1, 0]).lengths.tolist()
        [2, 1]
        """
        return np.bincount(self.task, minlength=self.n_tasks)

    @property
    def offsets(self) -> Codes:
        """Where tasks begin, (T + 1,): task t has rows ``offsets[t]:offsets[t + 1]``, which have to stand together.

        Raises ``ValueError`` if rows of other tasks stand between them; ``grouped()`` puts them together.

        >>> Block([[1.0], [2.0], [3.0]], [0.0, 1.0, 1.0], [0, 1, 0]).grouped().offsets.tolist()
        [0, 2, 3]
        """
        if not self._together:
            raise ValueError("offsets needs the rows of each task together; this block has them mixed with others'. "
                             "Take grouped().offsets, or go through tasks()")  # fmt: skip
        return np.concatenate(([0], np.cumsum(self.lengths)))

    @property
    def _together(self) -> bool:
        """Whether the rows of each task follow one another: tasks are numbered in the order of their first rows."""
        return bool(np.all(self.task[1:] >= self.task[:-1]))

    def __repr__(self) -> str:
        mixed = "" if self.contiguous else ", mixed or open"
        return f"Block({count(self.n, 'point')} of {count(self.n_tasks, 'task')}, d = {self.d}{mixed})"

    # ---------------------------------------------------------------------------------------------- what it gives

    def tasks(self) -> Iterator[Task]:
        """Each task with its rows of this block, in the order of first rows. No copy if the rows stand together.

        >>> list(Block([[1.0], [2.0], [3.0]], [0.0, 1.0, 1.0], [0, 1, 0], keys=["a", "b"]).tasks())
        [Task('a', 2 points, d = 1), Task('b', 1 point, d = 1)]
        """
        together = self.grouped()
        for key, (start, stop) in zip(together.keys, pairwise(together.offsets.tolist()), strict=True):
            yield Task._of(together.X[start:stop], together.y[start:stop], key)

    def rows(self, start: int, stop: int) -> Block:
        """The points ``start`` to ``stop - 1`` as a block; a task that ends later is left open.

        >>> Block([[1.0], [2.0], [3.0]], [0.0, 1.0, 1.0], [0, 1, 0]).rows(0, 2).ends.tolist()
        [False, True]
        """
        if not 0 <= start < stop <= self.n:
            raise ValueError(f"rows {start}:{stop} of {self.n}; needed 0 <= start < stop <= {self.n}")
        found, codes = np.unique(self.task[start:stop], return_inverse=True)
        codes, keys = in_order(codes, tuple(self.keys[code] for code in found.tolist()))
        return Block._of(self.X[start:stop], self.y[start:stop], codes, self.ends[start:stop], keys)

    def grouped(self) -> Block:
        """The same tasks with the rows of each put together; the block itself if they already are.

        >>> Block([[1.0], [2.0], [3.0]], [0.0, 1.0, 1.0], [0, 1, 0]).grouped().X.ravel().tolist()
        [1.0, 3.0, 2.0]
        """
        if self._together:
            return self
        return self._taken(np.argsort(self.task, kind="stable"))

    def shuffled(self, rng: np.random.Generator | int) -> Block:
        """The same tasks in random order, one after another; the order inside each stays.

        ``rng`` is a generator or a seed.

        >>> Block([[1.0], [2.0], [3.0]], [0.0, 1.0, 1.0], [0, 0, 1], keys=["a", "b"]).shuffled(3).keys
        ('b', 'a')
        """
        rank = _generator(rng).permutation(self.n_tasks)
        return self._taken(np.argsort(rank[self.task], kind="stable"))

    def interleaved(self, rng: np.random.Generator | int) -> Block:
        """The same points with tasks mixed at random, all mixtures equally likely; the order inside each stays.

        ``rng`` is a generator or a seed.

        >>> Block([[1.0], [2.0], [3.0]], [0.0, 1.0, 1.0], [0, 0, 1]).interleaved(5).X.ravel().tolist()
        [1.0, 3.0, 2.0]
        """
        mixture = _generator(rng).permutation(self.task)
        rows = np.empty(self.n, dtype=np.int64)
        rows[np.argsort(mixture, kind="stable")] = np.argsort(self.task, kind="stable")
        return self._taken(rows)

    def _taken(self, rows: Codes) -> Block:
        """Rows in a new order that keeps the order inside every task."""
        codes, keys = in_order(self.task[rows], self.keys)
        return Block._of(self.X[rows], self.y[rows], codes, self.ends[rows], keys)


def table(X: Any, y: ArrayLike, of: str = "") -> tuple[Any, Floats]:
    """Rows and labels, as ``shaped``, or sparse rows."""
    if not (isinstance(X, SparseRows) or is_matrix(X)):
        return shaped(X, y, of)
    rows = X if isinstance(X, SparseRows) else SparseRows.of(X, f"X{of}")
    _, labels = shaped(np.zeros((len(rows), 1)), y, of)
    return rows, labels


def _stacked(pieces: list[Any]) -> Any:
    """Rows of tasks, one below the other."""
    sparse = [isinstance(piece, SparseRows) for piece in pieces]
    if any(sparse) and not all(sparse):
        raise TypeError("some tasks have sparse rows and some dense ones; give all of a stream the same kind")
    return SparseRows.stacked(pieces) if sparse[0] else np.concatenate(pieces)


def _set(record: Any, **fields: Any) -> None:
    for name, value in fields.items():
        object.__setattr__(record, name, value)


def count(n: int, noun: str) -> str:
    """A number of things in words.

    >>> count(1, "task"), count(1200, "point")
    ('1 task', '1,200 points')
    """
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def _generator(rng: np.random.Generator | int) -> np.random.Generator:
    if rng is None:
        raise TypeError(
            "rng is None; pass a seed such as 0, or numpy.random.default_rng(0), so that runs can be repeated"
        )
    return np.random.default_rng(rng)
