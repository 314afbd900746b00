"""Numbers from outside, made fit for compiled loops, once.

Kernels see aligned, writable, C-ordered float64 arrays and nothing else, so that each is compiled for one signature.
Arrays that are so already are used as they are, without a copy; all others are converted into new ones.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats: TypeAlias = NDArray[np.float64]

ROWS_AT_ONCE = 65536
"""Rows looked at together where a whole array would need a large temporary one."""

_FLOAT64 = np.dtype(np.float64)
_SMALL = 4096


def as_points(X: ArrayLike, y: ArrayLike, of: str = "") -> tuple[Floats, Floats]:
    """Rows ``X`` (n, d) and labels ``y`` (n,) of n >= 1 points, finite, as float64 in C order.

    ``of`` goes into the messages, as in ``" of task 'b'"``.

    Raises
    ------
    TypeError
        An array is complex, or holds strings, dates or Python objects.
    ValueError
        Shapes that do not fit, no points, no columns, masked entries, NaN or infinity.
    """
    X, y = shaped(X, y, of)
    refuse_nonfinite(X, "X", of)
    refuse_nonfinite(y, "y", of)
    return X, y


def shaped(X: ArrayLike, y: ArrayLike, of: str = "") -> tuple[Floats, Floats]:
    """As ``as_points``, but NaN and infinity pass."""
    rows, labels = _matrix(X, of), real(y, f"y{of}")
    if labels.shape == (len(rows), 1):
        raise ValueError(f"y{of} has shape {labels.shape}; needed one label a row, (n,). Pass y.ravel()")
    if labels.ndim != 1:
        raise ValueError(f"y{of} has shape {labels.shape}; needed one label a row, {(len(rows),)}")
    if len(labels) != len(rows):
        raise ValueError(f"y{of} has {len(labels)} labels and X {len(rows)} rows; needed one label a row")
    return rows, fit(labels)


def as_rows(X: ArrayLike, of: str = "") -> Floats:
    """Rows ``X`` (n, d), n >= 1, finite, as float64 in C order; raises as ``as_points``."""
    rows = _matrix(X, of)
    refuse_nonfinite(rows, "X", of)
    return rows


def _matrix(X: ArrayLike, of: str) -> Floats:
    array = real(X, f"X{of}")
    if array.ndim != 2:
        advice = (
            "for a single feature pass X[:, None], for a single point X[None, :]" if array.ndim == 1 else "reshape it"
        )
        raise ValueError(f"X{of} has shape {array.shape}; needed (points, features): {advice}")
    if 0 in array.shape:
        missing = "points" if not len(array) else "features"
        raise ValueError(f"X{of} has shape {array.shape}, so no {missing}; needed at least one. Leave empty tasks out")
    return fit(array)


def real(values: Any, name: str) -> NDArray[Any]:
    """Anything array-like as an array of a real dtype, of whatever precision and memory layout."""
    if np.ma.isMaskedArray(values):
        if np.ma.is_masked(values):
            where = tuple(np.argwhere(np.ma.getmaskarray(values))[0].tolist())
            raise ValueError(f"{name} is masked at {place(where)}; fill or drop masked entries before streaming")
        values = values.data
    if hasattr(values, "toarray"):
        raise TypeError(f"{name} is a sparse {type(values).__name__}; needed a dense array: pass {name[0]}.toarray()")
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{name} is not an array: its rows have different lengths ({error})") from None
    if array.dtype.kind not in "buif":
        raise TypeError(f"{name} has dtype {array.dtype}{_example(array)}; needed real numbers. {_cure(array)}")
    return array


def _example(array: NDArray[Any]) -> str:
    if array.dtype.kind not in "OSU" or not array.size:
        return ""
    (value,) = array.ravel()[:1].tolist()
    return f" (the first entry is {value!r})"


def _cure(array: NDArray[Any]) -> str:
    if array.dtype.kind == "c":
        return "Take the real part, or real and imaginary parts as two features"
    if array.dtype.kind in "mM":
        return "Turn times into numbers, for example days since a start"
    return "Convert it with .astype(float); encode categories as 0/1 columns first"


def fit(array: NDArray[Any]) -> Floats:
    """The same numbers as an aligned, writable float64 array in C order; a copy only if they are not so yet."""
    flags = array.flags
    if array.dtype == _FLOAT64 and flags.c_contiguous and flags.aligned and flags.writeable:
        return array
    with np.errstate(over="ignore"):  # beyond float64: infinity, which is refused later
        return np.require(array, np.float64, ["C", "A", "W"])


def first_nonfinite(array: NDArray[Any]) -> tuple[int, ...] | None:
    """Index of the first NaN or infinity of an array (n,) or (n, d), or None."""
    if array.size <= _SMALL and np.isfinite(array).all():
        return None
    with np.errstate(all="ignore"):
        if np.isfinite(array.sum()):  # one pass without a temporary; NaN and infinity never leave a sum
            return None
    for start in range(0, len(array), ROWS_AT_ONCE):
        bad = np.argwhere(~np.isfinite(array[start : start + ROWS_AT_ONCE]))
        if len(bad):
            row, *rest = bad[0].tolist()
            return start + row, *rest
    return None


def refuse_nonfinite(
    array: NDArray[Any], name: str, of: str = "", key_of: Callable[[int], Hashable] | None = None
) -> None:
    """Raise the ``ValueError`` that names the first NaN or infinity; ``key_of`` tells the task of a row."""
    where = first_nonfinite(array)
    if where is not None:
        task = f" (task {key_of(where[0])!r})" if key_of else ""
        value = str(array[where]).replace("nan", "NaN")
        raise ValueError(f"{name}{of} has {value} at {place(where)}{task}: fill or drop it before streaming")


def place(where: tuple[int, ...]) -> str:
    """An index in words, counted from 0."""
    if len(where) > 2:
        return f"index {where}"
    return ", ".join(f"{axis} {i}" for axis, i in zip(("row", "column"), where, strict=False))
