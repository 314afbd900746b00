"""Products with rows of lanes (``owo.abreast``), whose sums stay in vector registers. Compiled code only."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from owo._record import called_part
from owo.abreast import ABREAST, VECTOR, VECTORS, vector_of
from owo.vectors import LONG, everywhere, plus_product


def _sums(builder: Any, n: Any, places: list[Any], begin: list[Any], factors: Any) -> None:
    """``place = begin + sum_{k<n} a_k b_k`` for vectors that stay in registers; ``factors(k)`` are pairs a, b."""
    kept = [cgutils.alloca_once(builder, VECTOR) for _ in places]
    for total, first in zip(kept, begin, strict=True):
        builder.store(first, total)
    with cgutils.for_range(builder, n) as loop:
        for total, (a, b) in zip(kept, factors(loop.index), strict=True):
            builder.store(plus_product(builder, builder.load(total), a, b), total)
    for total, place in zip(kept, places, strict=True):
        builder.store(builder.load(total), place, align=8)


CHAINS = 8
"""Sums side by side: as many as a processor of the kind that is common has to have under way to be busy."""


def _one_row(context: Any, builder: Any, n: Any, places: list[Any], begin: list[Any], factors: Any) -> None:
    """As ``_sums``, for the vectors of one row: each in several parts, of every second k, if there are few."""
    parts = max(1, CHAINS // VECTORS)
    constant = [context.get_constant(types.intp, k) for k in range(parts + 1)]
    spare = [cgutils.alloca_once(builder, VECTOR) for _ in range(VECTORS * parts)]
    zero = ir.Constant(VECTOR, [0.0] * ABREAST)
    whole = builder.udiv(n, constant[parts])

    def several(j: Any) -> Any:
        first = builder.mul(j, constant[parts])
        return [pair for p in range(parts) for pair in factors(builder.add(first, constant[p]))]

    _sums(builder, whole, spare, [*begin, *[zero] * (VECTORS * (parts - 1))], several)
    first = builder.mul(whole, constant[parts])
    totals = []
    for v in range(VECTORS):
        total = builder.load(spare[v])
        for p in range(1, parts):
            total = builder.fadd(total, builder.load(spare[p * VECTORS + v]))
        totals.append(total)
    _sums(builder, builder.sub(n, first), places, totals, lambda k: factors(builder.add(first, k)))


@intrinsic
def accumulate(_context, target, row, origin, at, M, first, stride, n, source, begin, anew):
    """``target[row] = origin[at] + sum_{k<n} M.flat[first + k stride] source[begin + k]``, for all lanes.

    Without ``origin[at]`` if it begins ``anew``.
    """

    def generate(context, builder, signature, arguments):
        target, row, origin, at, M, first, stride, n, source, begin, anew = arguments
        kinds = signature.args
        coefficients = context.make_array(kinds[4])(context, builder, M).data

        def factors(k):
            place = builder.gep(coefficients, [builder.add(first, builder.mul(k, stride))], inbounds=True)
            factor = everywhere(builder, builder.load(place), ABREAST)
            return [
                (factor, builder.load(vector_of(context, builder, kinds[8], source, builder.add(begin, k), v), align=8))
                for v in range(VECTORS)
            ]

        places = [vector_of(context, builder, kinds[0], target, row, v) for v in range(VECTORS)]
        before = [builder.load(vector_of(context, builder, kinds[2], origin, at, v), align=8) for v in range(VECTORS)]
        _one_row(context, builder, n, places, [_unless(builder, anew, each) for each in before], factors)
        return context.get_dummy_value()

    integers = (types.intp,) * 3
    return types.void(target, types.intp, origin, types.intp, M, *integers, source, types.intp, types.boolean), generate


def _unless(builder: Any, anew: Any, vector: Any) -> Any:
    """The vector, or zeros."""
    return builder.select(anew, ir.Constant(VECTOR, [0.0] * ABREAST), vector)


ROWS, PART = 4, 3 if LONG == 8 else 2
"""Rows that are summed together, and vectors of each: every number that is read serves several sums, which stay in
registers."""


@intrinsic
def _accumulate_rows(_context, target, row, M, first, apart, stride, n, source, anew):
    """``target[row + r] += sum_{k<n} M.flat[first + r apart + k stride] source[k]`` for r < ``ROWS``."""

    def generate(context, builder, signature, arguments):
        target, row, M, first, apart, stride, n, source, anew = arguments
        kinds = signature.args
        coefficients = context.make_array(kinds[2])(context, builder, M).data
        rows = [context.get_constant(types.intp, r) for r in range(ROWS)]
        starts = [builder.add(first, builder.mul(r, apart)) for r in rows]
        for v in range(0, VECTORS, PART):

            def factors(k, v=v):
                step = builder.mul(k, stride)
                vectors = [
                    builder.load(vector_of(context, builder, kinds[7], source, k, v + u), align=8) for u in range(PART)
                ]
                found = []
                for start in starts:
                    place = builder.gep(coefficients, [builder.add(start, step)], inbounds=True)
                    factor = everywhere(builder, builder.load(place), ABREAST)
                    found += [(factor, vector) for vector in vectors]
                return found

            places = [
                vector_of(context, builder, kinds[0], target, builder.add(row, r), v + u)
                for r in rows
                for u in range(PART)
            ]
            begin = [_unless(builder, anew, builder.load(place, align=8)) for place in places]
            _sums(builder, n, places, begin, factors)
        return context.get_dummy_value()

    integers = (types.intp,) * 4
    return types.void(target, types.intp, M, *integers, source, types.boolean), generate


@called_part
def accumulate_all(target, row, rows, M, first, apart, stride, n, source, anew):
    """``target[row + r] += sum_{k<n} M.flat[first + r apart + k stride] source[k]`` for r < ``rows``: matrices.

    Where it begins ``anew``, what the target held does not count.
    """
    whole = rows // ROWS * ROWS
    for r in range(0, whole, ROWS):
        _accumulate_rows(target, row + r, M, first + r * apart, apart, stride, n, source, anew)
    for r in range(whole, rows):
        accumulate(target, row + r, target, row + r, M, first + r * apart, stride, n, source, 0, anew)


@intrinsic
def meet(_context, target, row, vectors, others, n):
    """``target[row] += <v, u>`` of every lane, for vectors of n numbers."""

    def generate(context, builder, signature, arguments):
        target, row, vectors, others, n = arguments
        kinds = signature.args

        def factors(k):
            return [
                (
                    builder.load(vector_of(context, builder, kinds[2], vectors, k, v), align=8),
                    builder.load(vector_of(context, builder, kinds[3], others, k, v), align=8),
                )
                for v in range(VECTORS)
            ]

        places = [vector_of(context, builder, kinds[0], target, row, v) for v in range(VECTORS)]
        _one_row(context, builder, n, places, [builder.load(place, align=8) for place in places], factors)
        return context.get_dummy_value()

    return types.void(target, types.intp, vectors, others, types.intp), generate
