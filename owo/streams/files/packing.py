"""Columns written as rows, and ids numbered, in one compiled pass each: what a long file would wait for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from owo._record import lean_kernel
from owo.streams.points import Floats

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


def write_columns(columns: Sequence[Floats], at: Sequence[int], X: Floats) -> bool:
    """Write columns (n,) into those columns ``at`` of X (n, d); whether all their numbers are finite."""
    if any(each.shape != (len(X),) for each in columns):
        raise ValueError(f"columns have {[each.shape for each in columns]}; needed {(len(X),)} each")
    whole = [np.ascontiguousarray(each, dtype=np.float64) for each in columns]  # what they are, nearly always
    addresses = np.array([each.ctypes.data for each in whole], dtype=np.int64)
    return bool(_interleave(addresses, np.array(at, dtype=np.int64), X))


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
