"""Inner products of the points of a task, of each with itself and those before it. Compiled code only.

Sums of a block of ``BLOCK`` x ``BLOCK`` products stay in vector registers, so that every number that is read serves
``BLOCK`` of them. All are summed in one order, wherever in a block they lie.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from owo._record import called_part, fast_part, overload_part
from owo.vectors import LONG, address, dense, everywhere, half_sums, kind_of, plus_product, shuffled, word

BLOCK = 4
"""Points of a block on either side."""
COLUMNS = 4 if LONG == 8 else 2
"""Columns of a block that are summed together, so that all sums stay in registers."""
VECTOR = kind_of(LONG)


def inner_products(X, Z, start, n, width, K, first):
    """``K[first + i, j] = <x_i, z_j>`` for j <= i < n, of the first ``width`` numbers of rows from ``start`` on.

    K has columns up to the next multiple of ``BLOCK``; what is left there, and above the diagonal, may be anything.
    """
    _plain(X, Z, start, n, width, K, first)


@overload_part(inner_products)
def _inner_products(X, Z, start, n, width, K, first):
    if dense(X, Z, K):
        return lambda X, Z, start, n, width, K, first: _blocks(X, Z, start, n, width, K, first)
    return lambda X, Z, start, n, width, K, first: _plain(X, Z, start, n, width, K, first)


@fast_part
def _plain(X, Z, start, n, width, K, first):
    for i in range(n):
        for j in range(i + 1):
            total = 0.0
            for k in range(width):
                total += X[start + i, k] * Z[start + j, k]
            K[first + i, j] = total


@called_part
def _blocks(X, Z, start, n, width, K, first):
    for i in range(0, n, BLOCK):
        for j in range(0, i + 1, BLOCK):
            _block(X, Z, start, n, width, K, first, i, j)


@intrinsic
def _block(_context, X, Z, start, n, width, K, first, i, j):
    """``BLOCK`` rows from i on and columns from j on. In place of rows past the last, the last is taken again."""

    def generate(context, builder, signature, arguments):
        kinds, (X, Z, start, n, width, K, first, i, j) = signature.args, arguments
        X, Z, K = (
            context.make_array(kind)(context, builder, array)
            for kind, array in ((kinds[0], X), (kinds[1], Z), (kinds[5], K))
        )
        last = builder.sub(n, word(1))

        def rows_from(begin):
            places = [builder.add(begin, word(r)) for r in range(BLOCK)]
            return [builder.select(builder.icmp_signed("<", place, last), place, last) for place in places]

        def addresses(array, places):
            apart = builder.extract_value(array.shape, 1)
            return [
                builder.gep(array.data, [builder.mul(builder.add(start, place), apart)], inbounds=True)
                for place in places
            ]

        there = rows_from(i)
        left, right = addresses(X, there), addresses(Z, rows_from(j))
        zero = ir.Constant(VECTOR, [0.0] * LONG)
        sums = [[cgutils.alloca_once_value(builder, zero) for _ in right] for _ in left]

        def add(some, read):
            ours, theirs = [read(row) for row in left], [read(row) for row in right[some]]
            for a, totals in zip(ours, sums, strict=True):
                for b, total in zip(theirs, totals[some], strict=True):
                    builder.store(plus_product(builder, builder.load(total), a, b), total)

        def add_all(some):
            with cgutils.for_range(builder, builder.udiv(width, word(LONG))) as loop:
                at = builder.mul(loop.index, word(LONG))
                add(some, lambda row: builder.load(address(builder, row, at, LONG), align=8))
            rest = builder.and_(width, word(LONG - 1))
            with builder.if_then(builder.icmp_unsigned("!=", rest, word(0))):
                at = builder.sub(width, rest)
                wanted = _first(builder, rest)
                add(some, lambda row: _load_some(builder, address(builder, row, at, LONG), wanted))

        for column in range(0, BLOCK, COLUMNS):
            add_all(slice(column, column + COLUMNS))
        for row, totals in zip(there, sums, strict=True):
            found = _four_sums(builder, [_four(builder, builder.load(total)) for total in totals])
            at = builder.mul(builder.add(first, row), builder.extract_value(K.shape, 1))
            builder.store(found, address(builder, K.data, builder.add(at, j), BLOCK), align=8)
        return context.get_dummy_value()

    counts = (types.intp,) * 2
    return types.void(X, Z, types.intp, types.intp, types.intp, K, types.intp, *counts), generate


def _first(builder: Any, count: Any) -> Any:
    """Which numbers of a vector are among the first few."""
    numbers = ir.Constant(ir.VectorType(count.type, LONG), list(range(LONG)))
    return builder.icmp_unsigned("<", numbers, everywhere(builder, count, LONG))


def _load_some(builder: Any, place: Any, wanted: Any) -> Any:
    """The wanted numbers of a vector, and zeros."""
    kind = ir.FunctionType(VECTOR, [place.type, ir.IntType(32), wanted.type, VECTOR])
    load = cgutils.get_or_insert_function(builder.module, kind, f"llvm.masked.load.v{LONG}f64.p0v{LONG}f64")
    return builder.call(load, [place, ir.IntType(32)(8), wanted, ir.Constant(VECTOR, [0.0] * LONG)])


def _four(builder: Any, vector: Any) -> Any:
    """The numbers of a vector, summed to four."""
    return vector if vector.type.count == 4 else half_sums(builder, vector)


def _four_sums(builder: Any, vectors: list[Any]) -> Any:
    """A vector of the sums of four vectors of four."""
    one, two = (
        builder.fadd(shuffled(builder, a, b, [0, 4, 2, 6]), shuffled(builder, a, b, [1, 5, 3, 7]))
        for a, b in (vectors[:2], vectors[2:])
    )
    return builder.fadd(shuffled(builder, one, two, [0, 1, 4, 5]), shuffled(builder, one, two, [2, 3, 6, 7]))
