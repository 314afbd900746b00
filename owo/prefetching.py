"""Rows asked for ahead of their use, so that they are near when it comes. Changes no number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from owo._record import overload_part

LINE = 64
"""Bytes of a cache line."""


def prefetch(rows: np.ndarray, r: int) -> None:
    """Ask for row r of an array (n, d) in C order to be brought near, ahead of its use. Changes no number."""


def prefetch_next(rows: np.ndarray, r: int) -> None:
    """As ``prefetch``, for rows that come one after another: into the second cache, where many of them may wait."""


@overload_part(prefetch)
def _prefetch(rows: types.Type, r: types.Type) -> Callable[..., Any]:
    return lambda rows, r: _into_all(rows, r)


@overload_part(prefetch_next)
def _prefetch_next(rows: types.Type, r: types.Type) -> Callable[..., Any]:
    return lambda rows, r: _into_second(rows, r)


def _fetching(locality: int) -> Any:
    """``llvm.prefetch``, for reading, of every cache line of a row; into all caches with a locality of 3."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        address, whole, byte = ir.IntType(64), ir.IntType(32), ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [byte, whole, whole, whole])
        fetch = builder.module.declare_intrinsic("llvm.prefetch", [byte], kind)
        size = cgutils.unpack_tuple(builder, array.strides)[0]
        start = builder.add(builder.ptrtoint(array.data, address), builder.mul(size, arguments[1]))
        first = builder.and_(start, address(-LINE))  # a row may begin within a line
        lines = cgutils.for_range_slice(builder, first, builder.add(start, size), address(LINE), inc=True)
        with lines as (at, _):
            builder.call(fetch, [builder.inttoptr(at, byte), whole(0), whole(locality), whole(1)])
        return context.get_dummy_value()

    return intrinsic(lambda _context, rows, r: (types.void(rows, r), generate))


_into_all, _into_second = _fetching(3), _fetching(2)
