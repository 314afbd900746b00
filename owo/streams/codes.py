"""Tasks as numbers: codes 0 .. T-1, one a row, and a key for each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Codes: TypeAlias = NDArray[np.int64]

# ----------------------------------------------------------------------------------------------- from ids of any kind


def numbered(task: ArrayLike | Sequence[Hashable], n: int) -> tuple[Codes, tuple[Hashable, ...]]:
    """Number n task ids in the order in which they first appear; returns codes (n,) and the id of each code."""
    ids = _ids(task)
    if ids.shape != (n,):
        raise ValueError(f"task has shape {ids.shape}; needed one id a row, {(n,)}")
    codes, keys = (_numbered_objects if ids.dtype.kind in "OTV" else _numbered_values)(ids)
    for code, key in enumerate(keys if ids.dtype.kind in "OTVfmM" else ()):
        if _is_missing(key):
            row = int(np.argmax(codes == code))
            raise ValueError(f"task is missing ({key!r}) at row {row}; give that row an id or drop it")
    return codes, keys


def _ids(task: Any) -> NDArray[Any]:
    if isinstance(task, (str, bytes)):
        raise TypeError(f"task is the string {task!r}; needed one id a row. For the name of a column use from_frame")
    if np.ma.is_masked(task):
        raise ValueError("task has masked entries; give these rows an id or drop them")
    if hasattr(task, "dtype") or hasattr(task, "__array__"):
        return np.asarray(task)
    if not isinstance(task, Iterable):
        raise TypeError(f"task is a {type(task).__name__}; needed one id a row, in an array or a list")
    return np.fromiter(task, dtype=object)  # a list may hold tuples, or 1 beside "1": keep each as it is


def _numbered_objects(ids: NDArray[Any]) -> tuple[Codes, tuple[Hashable, ...]]:
    code_of: dict[Hashable, int] = {}
    row = -1
    codes = np.empty(len(ids), dtype=np.int64)
    try:
        for row, key in enumerate(ids.tolist()):
            codes[row] = code_of.setdefault(key, len(code_of))
    except TypeError:
        kind = type(ids.tolist()[row]).__name__
        raise TypeError(f"task at row {row} is a {kind}, which cannot be hashed; use a str, int or tuple") from None
    return codes, tuple(code_of)


def _numbered_values(ids: NDArray[Any]) -> tuple[Codes, tuple[Hashable, ...]]:
    """Sorts one id for each run of equal ones, so rows that come task by task cost little."""
    change = np.empty(len(ids), dtype=np.bool_)
    change[:1] = True
    np.not_equal(ids[1:], ids[:-1], out=change[1:])
    runs = np.flatnonzero(change)
    distinct, first, inverse = np.unique(ids[runs], return_index=True, return_inverse=True)
    order, rank = _ranked(first)
    codes = np.repeat(rank[inverse], np.diff(runs, append=len(ids)))
    keys = distinct[order]
    return codes, tuple(keys) if keys.dtype.kind in "mM" else tuple(keys.tolist())


def _is_missing(key: Any) -> bool:
    if key is None or type(key).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(key, (float, np.floating, np.datetime64, np.timedelta64)) and bool(key != key)


# ------------------------------------------------------------------------------------------------------ from codes


def checked(task: ArrayLike, n: int) -> Codes:
    """Codes (n,) as int64, all at least 0 and below n."""
    codes = np.asarray(task)
    if codes.dtype.kind not in "iu":
        raise TypeError(f"task has dtype {codes.dtype}; needed integer codes. For ids of any kind use from_arrays")
    if codes.shape != (n,):
        raise ValueError(f"task has shape {codes.shape}; needed one code a row, {(n,)}")
    low, high = int(codes.min()), int(codes.max())
    if low < 0 or high >= n:
        raise ValueError(
            f"task has codes {low} to {high} for {n} points; needed 0 .. T-1. For other ids use from_arrays"
        )
    return np.require(codes, np.int64, ["C", "A", "W"])


def named(keys: Iterable[Hashable] | None, codes: Codes) -> tuple[Hashable, ...]:
    """A key for every code; each must have rows, and a key of its own."""
    used = np.bincount(codes)
    names = tuple(range(len(used))) if keys is None else distinct(tuple(keys))
    if len(names) < len(used):
        raise ValueError(f"{len(names)} keys for tasks 0 .. {len(used) - 1}; needed {len(used)}")
    if len(names) > len(used) or not used.all():
        code = int(np.argmin(used)) if not used.all() else len(used)
        raise ValueError(f"task {names[code]!r} (code {code}) has no points; leave empty tasks out")
    return names


def distinct(keys: tuple[Hashable, ...]) -> tuple[Hashable, ...]:
    """The keys, if they can be hashed and no two are equal."""
    try:
        n = len(set(keys))
    except TypeError:
        for key in keys:
            require_hashable(key)
        raise
    if n < len(keys):
        twice = Counter(keys).most_common(1)[0][0]
        raise ValueError(f"two tasks have the key {twice!r}; needed a key of its own for each")
    return keys


def require_hashable(key: Hashable) -> None:
    """Raise the ``TypeError`` of a key that is not, and the ``ValueError`` of one that does not equal itself."""
    try:
        hash(key)
        if key != key:
            raise ValueError(f"task key {key!r} does not equal itself, so it could never be found again; use another")
    except TypeError:
        raise TypeError(
            f"task key {key!r} is a {type(key).__name__}, which cannot be hashed; use a str, int or tuple"
        ) from None


def ended(ends: ArrayLike | None, codes: Codes, keys: Sequence[Hashable]) -> NDArray[np.bool_]:
    """Flags (n,), True at most at the last row of each task; without ``ends``, exactly there."""
    last = np.empty(len(keys), dtype=np.int64)
    last[codes] = np.arange(len(codes))  # of repeated indices the last one stays
    if ends is None:
        flags = np.zeros(len(codes), dtype=np.bool_)
        flags[last] = True
        return flags
    flags = np.asarray(ends)
    if flags.dtype != np.bool_ or flags.shape != codes.shape:
        raise ValueError(f"ends has dtype {flags.dtype}, shape {flags.shape}; needed bool, one a row, {codes.shape}")
    at = np.flatnonzero(flags)
    early = at[last[codes[at]] != at]
    if len(early):
        row = int(early[0])
        key = keys[codes[row]]
        raise ValueError(f"task {key!r} ends at row {row} but has rows after it; needed True at its last row at most")
    return np.require(flags, np.bool_, ["C", "A", "W"])


def in_order(codes: Codes, keys: tuple[Hashable, ...]) -> tuple[Codes, tuple[Hashable, ...]]:
    """Number tasks in the order of their first rows."""
    first = np.empty(len(keys), dtype=np.int64)
    first[codes[::-1]] = np.arange(len(codes) - 1, -1, -1)
    if np.all(first[1:] > first[:-1]):
        return codes, keys
    order, rank = _ranked(first)
    return rank[codes], tuple(keys[code] for code in order.tolist())


def _ranked(first: Codes) -> tuple[Codes, Codes]:
    """The order (T,) of tasks by their first rows, and the rank (T,) of each in it."""
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return order, rank
