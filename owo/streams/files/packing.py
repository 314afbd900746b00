"""Columns written as rows, and ids numbered, in one compiled pass each: what a long file would wait for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from owo._record import lean_kernel
from owo.streams.points import Floats

ROWS_IN_CACHE = 2048
"""Rows into which columns of other kinds are written together, so that what is written stays in the cache."""


IN_LINE = 8
"""Rows taken from a column together: whole cache lines, since columns that lie a power of two apart share few places in
a cache."""


@intrinsic
def _number_at(_context, address, r):
    """The float64 of place r of those that begin at an address, which need not be a multiple of 8."""

    def generate(_context, builder, _signature, arguments):
        start = builder.inttoptr(arguments[0], ir.DoubleType().as_pointer())
        return builder.load(builder.gep(start, [arguments[1]]), align=1)

    return types.float64(types.int64, types.intp), generate


@lean_kernel
def _interleave(addresses, at, X):
    """``X[r, at[k]]`` is number r of column k; returns whether all are finite."""
    finite = True
    for start in range(0, X.shape[0], IN_LINE):
        for k in range(addresses.shape[0]):
            for r in range(start, min(start + IN_LINE, X.shape[0])):
                value = _number_at(addresses[k], r)
                X[r, at[k]] = value
                finite &= value - value == 0.0
    return finite


def write_columns(columns: Sequence[NDArray[Any]], at: Sequence[int], X: Floats) -> bool:
    """Write columns (n,) into those columns ``at`` of X (n, d); True if all their numbers are known to be finite."""
    if all(each.dtype == np.float64 and each.dtype.isnative and each.flags.c_contiguous for each in columns):
        if any(each.shape != (len(X),) for each in columns):
            raise ValueError(f"columns have {[each.shape for each in columns]}; needed {(len(X),)} each")
        addresses = np.array([each.ctypes.data for each in columns], dtype=np.int64)
        return bool(_interleave(addresses, np.array(at, dtype=np.int64), X))
    into: Any = slice(None) if len(at) == X.shape[1] else list(at)
    for start in range(0, len(X), ROWS_IN_CACHE):
        part = slice(start, start + ROWS_IN_CACHE)
        X[part, into] = np.array([values[part] for values in columns]).T
    return False


@lean_kernel
def number_by_table(places, table, codes, first):
    """Number ``places`` (n,) by their first rows, into ``codes`` (n,) and ``first`` (at most n,); how many there are.

    ``table`` has a place for each, and -1 there.
    """
    count = 0
    for r in range(places.shape[0]):
        code = table[places[r]]
        if code < 0:
            code = count
            table[places[r]] = code
            first[count] = r
            count += 1
        codes[r] = code
    return count
