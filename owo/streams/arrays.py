"""Blocks from arrays with a column of task ids, and from tasks that come one by one."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from owo.streams.block import Block, Task, table
from owo.streams.codes import numbered, require_hashable
from owo.streams.points import ROWS_AT_ONCE, Floats

Pair: TypeAlias = tuple[ArrayLike, ArrayLike] | tuple[ArrayLike, ArrayLike, Hashable]
Stream: TypeAlias = Block | Task | Iterable[Block | Task | Pair]


# ------------------------------------------------------------------------------------- a column that names the task


def from_arrays(X: ArrayLike, y: ArrayLike, task: ArrayLike | Sequence[Hashable], *, contiguous: bool = False) -> Block:
    """A block from rows, labels and the id of each row's task.

    Rows stay in their order, which is the order in which the learner will see them; a task ends at its last row.
    Tasks whose rows are not all together are interleaved with others. Features are taken as they are: scale them and
    add an intercept with ``owo.streams.Encoding``, without which learners can do badly.

    Parameters
    ----------
    X : array (n, d), the features; or a SciPy sparse matrix or array, which stays sparse
    y : array (n,), the labels
    task : (n,) ids: numbers, strings, dates, or a list of any hashables
    contiguous : True demands that the rows of each task stand together

    Raises
    ------
    TypeError
        ``X`` or ``y`` is not of real numbers, or an id cannot be hashed.
    ValueError
        Shapes that do not fit, no points, a missing id, NaN, infinity, or tasks that are mixed though ``contiguous``.

    Examples
    --------
    >>> block = from_arrays([[1.0], [2.0], [3.0]], [1.0, 0.0, 1.0], ["paris", "oslo", "paris"])
    >>> block.keys, block.task.tolist(), block.ends.tolist()
    (('paris', 'oslo'), [0, 1, 0], [False, True, True])
    """
    rows, labels = table(X, y)
    codes, keys = numbered(task, len(rows))
    block = Block(rows, labels, codes, keys=keys)
    if contiguous and not block.contiguous:
        raise ValueError(_mixed(block))
    return block


def _mixed(block: Block) -> str:
    starts = np.concatenate(([0], np.flatnonzero(np.diff(block.task)) + 1))
    highest = np.maximum.accumulate(block.task[starts])
    row = int(starts[1:][block.task[starts[1:]] < highest[1:]][0])
    return (
        f"task {block.keys[block.task[row]]!r} comes back at row {row} after rows of others; needed the rows of each "
        "task together. Sort them, for example with np.argsort(task, kind='stable'), or leave contiguous out"
    )


# ---------------------------------------------------------------------------------------------------- task by task


def from_tasks(tasks: Iterable[Block | Task | Pair], *, rows: int = ROWS_AT_ONCE) -> Iterable[Block]:
    """Gather tasks lazily into blocks of about ``rows`` points.

    Parameters
    ----------
    tasks : iterable of ``Task``, ``(X, y)`` or ``(X, y, key)``; a task without a key gets its number in the stream.
        A ``Block`` among them is passed on as it is. A key that comes again is a new task, in a new block
    rows : points a block has before it is handed on, at least 1. No more than that and one task are held at a time

    Returns
    -------
    iterable of ``Block``, as often as ``tasks`` can be iterated: again and again for a list, once for a generator

    Raises
    ------
    TypeError, ValueError
        When iterated, as ``Task`` does, or when tasks differ in d; the message names the task. Here, if ``tasks``
        cannot be iterated or ``rows`` is below 1.

    Examples
    --------
    >>> pairs = (([[float(k), 1.0]], [float(k)]) for k in range(5))
    >>> [block.keys for block in from_tasks(pairs, rows=2)]
    [(0, 1), (2, 3), (4,)]
    """
    if rows < 1:
        raise ValueError(f"rows is {rows}; a block needs at least 1 point")
    return _Gathered(tasks, rows)


def as_blocks(stream: Stream, first: int | Callable[[], int] = 0) -> Iterator[Block]:
    """The blocks of anything that can be streamed: a ``Block``, a ``Task``, or an iterable that ``from_tasks`` takes.

    Tasks without a key get the numbers ``first``, ``first + 1``, ... as they come; a function is asked for the first of
    these when there is one.

    Raises
    ------
    TypeError
        Anything else; the message says which function makes a stream of it.
    ValueError
        When iterated: data that cannot be used, or d that changes along the stream.

    Examples
    --------
    >>> [block.n for block in as_blocks([([[1.0]], [2.0]), ([[3.0], [4.0]], [5.0, 6.0])])]
    [3]
    """
    if isinstance(stream, Block):
        return iter((stream,))
    return iter(_Gathered([stream] if isinstance(stream, Task) else stream, first=first))


class _Gathered:
    """The blocks of an iterable of tasks, gathered anew at each iteration."""

    def __init__(self, tasks: Iterable[Any], rows: int = ROWS_AT_ONCE, first: int | Callable[[], int] = 0) -> None:
        if not _is_stream(tasks):
            raise TypeError(_no_stream(tasks))
        self._tasks, self._rows, self._first = tasks, rows, first

    def __iter__(self) -> Iterator[Block]:
        pending = _Pending()
        d, first = None, self._first if isinstance(self._first, int) else None
        for k, item in enumerate(self._tasks):
            whole = isinstance(item, Block)
            if isinstance(item, Block):
                X, y, key = item.X, item.y, None
            else:
                if first is None:
                    first = self._first()  # type: ignore[operator]
                X, y, key = _task_of(item, first + k)
            if d is not None and X.shape[1] != d:
                what = f"block {k}" if whole else f"task {key!r}"
                raise ValueError(f"{what} has d = {X.shape[1]} features, those before it {d}; a stream needs one d")
            d = X.shape[1]
            if pending.keys and (whole or key in pending.keys):
                yield pending.block()
                pending = _Pending()
            if isinstance(item, Block):
                yield item
                continue
            pending.add(X, y, key)
            if pending.n >= self._rows:
                yield pending.block()
                pending = _Pending()
        if pending.keys:
            yield pending.block()


class _Pending:
    """Tasks on their way into a block."""

    def __init__(self) -> None:
        self.X: list[Floats] = []
        self.y: list[Floats] = []
        self.keys: dict[Hashable, None] = {}
        self.n = 0

    def add(self, X: Floats, y: Floats, key: Hashable) -> None:
        self.X.append(X)
        self.y.append(y)
        self.keys[key] = None
        self.n += len(y)

    def block(self) -> Block:
        return Block._joined(self.X, self.y, tuple(self.keys))


def _task_of(item: Any, k: int) -> tuple[Floats, Floats, Hashable]:
    if isinstance(item, Task):
        return item.X, item.y, k if item.key is None else item.key
    if isinstance(item, tuple) and len(item) == 2 and _is_frame(item[1]) and np.ndim(item[0]) < 2:
        raise TypeError(
            f"entry {k} of the stream is a key and a {type(item[1]).__name__}, one group of a frame; pass the whole "
            "frame: from_frame(frame, task=..., target=...)"
        )
    if not isinstance(item, tuple) or len(item) not in (2, 3):
        raise TypeError(
            f"entry {k} of the stream is a {type(item).__name__}; needed a Block, a Task, (X, y) or (X, y, key). "
            "For arrays with a column of task ids use from_arrays(X, y, task)"
        )
    key = item[2] if len(item) == 3 and item[2] is not None else k
    require_hashable(key)
    X, y = table(item[0], item[1], f" of task {key!r}")
    return X, y, key


def _is_stream(stream: Any) -> bool:
    if isinstance(stream, tuple):
        return all(isinstance(item, (Block, Task, tuple)) for item in stream)
    if isinstance(stream, (str, bytes, dict, np.ndarray)) or _is_frame(stream):
        return False
    return isinstance(stream, Iterable)


def _is_frame(stream: Any) -> bool:
    return hasattr(stream, "collect") or hasattr(stream, "columns")  # collect: asking a lazy frame for columns warns


def _no_stream(stream: Any) -> str:
    name = type(stream).__name__
    if isinstance(stream, (str, bytes)) or hasattr(stream, "__fspath__"):
        return f"the stream is {stream!r}; to read a file use from_csv(path, task=..., target=...), or from_file"
    if hasattr(stream, "blocks"):
        return f"the stream is a {name}; pass its blocks()"
    if isinstance(stream, tuple):
        return f"the stream is a bare {name}; pass [(X, y)] for a single task, or from_arrays(X, y, task) for many"
    if isinstance(stream, np.ndarray):
        return (
            f"the stream is an array of shape {stream.shape}; labels and tasks are missing: use from_arrays(X, y, task)"
        )
    if isinstance(stream, dict) or _is_frame(stream):
        return f"the stream is a {name}; use from_frame(frame, task=..., target=...)"
    return f"the stream is a {name}; needed a Block, a Task, or an iterable of Tasks or pairs (X, y)"
