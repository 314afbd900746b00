"""Sums over the numbers of two vectors, and steps along one: the arithmetic of a point.

A compiler takes blocks of many numbers at a time and what is left one by one, which of 30 numbers can be 14, and of 13
all of them. Here blocks are of two vectors, and what is left goes in vectors half as long each time. Where arrays are
not dense, or with ``OWO_STRICT``, the loop is taken as it is written.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import binding, ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from owo._fingerprint import STRICT
from owo._record import fast_part, overload_part, part

LONG = 8 if STRICT or binding.get_host_cpu_features().get("avx512f", False) else 4
"""Numbers of the longest vectors that a processor has: 8 with 32 registers for them, or 4 with 16. Some sums have
another order with either, so that with ``OWO_STRICT`` it is 8 everywhere."""

WIDTH = 4
"""Numbers of the longest vector. With 8, d = 13 takes a tenth longer, and d = 100 a tenth less."""


def dots(x, a, b):
    """``<x, a>, <x, b>, <x, x>`` in one pass."""
    return _plain_dots(x, a, b)


def dot(a, b):
    """``<a, b>``."""
    return _plain_dot(a, b)


def add(scale, x, total):
    """``total += scale x``."""
    _plain_add(scale, x, total)


@fast_part
def _plain_dots(x, a, b):
    xa = xb = xx = 0.0
    for k in range(x.shape[0]):
        xa += x[k] * a[k]
        xb += x[k] * b[k]
        xx += x[k] * x[k]
    return xa, xb, xx


@fast_part
def _plain_dot(a, b):
    ab = 0.0
    for k in range(a.shape[0]):
        ab += a[k] * b[k]
    return ab


@part
def _plain_add(scale, x, total):
    for k in range(x.shape[0]):
        total[k] += scale * x[k]


def dense(*arrays: types.Type) -> bool:
    """Whether vectors of these arrays may be taken."""
    return not STRICT and all(each.layout == "C" and each.dtype == types.float64 for each in arrays)


@overload_part(dots)
def _dots(x, a, b):
    return (lambda x, a, b: _sums_of_three(x, a, b)) if dense(x, a, b) else (lambda x, a, b: _plain_dots(x, a, b))


@overload_part(dot)
def _dot(a, b):
    return (lambda a, b: _sum(a, b)) if dense(a, b) else (lambda a, b: _plain_dot(a, b))


@overload_part(add)
def _add(scale, x, total):
    if dense(x, total):
        return lambda scale, x, total: _step(scale, x, total)
    return lambda scale, x, total: _plain_add(scale, x, total)


# ----------------------------------------------------------------------------------------------------- in registers


def kind_of(width: int) -> Any:
    """The type of some numbers side by side."""
    return ir.VectorType(ir.DoubleType(), width) if width > 1 else ir.DoubleType()


def word(number: int) -> Any:
    """A constant integer."""
    return ir.Constant(ir.IntType(64), number)


def address(builder: Any, data: Any, at: Any, width: int) -> Any:
    """Where ``width`` numbers begin, as the address of a vector."""
    return builder.bitcast(builder.gep(data, [at], inbounds=True), kind_of(width).as_pointer())


def everywhere(builder: Any, number: Any, width: int) -> Any:
    """A vector of one number."""
    nothing, whole = ir.Constant(ir.VectorType(number.type, width), ir.Undefined), ir.IntType(32)
    zeros = ir.Constant(ir.VectorType(whole, width), [0] * width)
    return builder.shuffle_vector(builder.insert_element(nothing, number, whole(0)), nothing, zeros)


def plus_product(builder: Any, total: Any, a: Any, b: Any) -> Any:
    """``total + a b``, rounded once where the processor can."""
    if STRICT:
        return builder.fadd(total, builder.fmul(a, b))
    suffix = f"v{a.type.count}f64" if isinstance(a.type, ir.VectorType) else "f64"
    kind = ir.FunctionType(a.type, [a.type] * 3)
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, f"llvm.fmuladd.{suffix}"), [a, b, total])


def shuffled(builder: Any, a: Any, b: Any, places: list[int]) -> Any:
    """A vector of the numbers at some places of two, one after the other."""
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(ir.IntType(32), len(places)), places))


def half_sums(builder: Any, value: Any) -> Any:
    """The sum of the two halves of a vector, which is a number where they have one each."""
    half, nothing = value.type.count // 2, ir.Constant(value.type, ir.Undefined)
    low, high = (shuffled(builder, value, nothing, list(range(first, first + half))) for first in (0, half))
    total = builder.fadd(low, high)
    return total if half > 1 else builder.extract_element(total, ir.Constant(ir.IntType(32), 0))


def _in_vectors(builder: Any, n: Any, visit: Callable[[Any, int, int], None], halve: Callable[[], None]) -> None:
    """Call ``visit(start, width, chain)`` for all of n numbers: blocks of two vectors, chains 0 and 1, then the rest.

    ``halve()`` comes before the rest goes on in vectors half as long.
    """
    with cgutils.for_range(builder, builder.udiv(n, word(2 * WIDTH))) as loop:
        first = builder.mul(loop.index, word(2 * WIDTH))
        visit(first, WIDTH, 0)
        visit(builder.add(first, word(WIDTH)), WIDTH, 1)
    width = WIDTH
    while True:
        with builder.if_then(builder.icmp_unsigned("!=", builder.and_(n, word(width)), word(0))):
            visit(builder.and_(n, word(-2 * width)), width, 0)
        if width == 1:
            return
        halve()
        width //= 2


def _sums(builder: Any, n: Any, pairs: list[tuple[Any, Any]]) -> list[Any]:
    """Of every pair of vectors of n numbers, the sum of their products."""
    zero = ir.Constant(kind_of(WIDTH), [0.0] * WIDTH)
    chains = [[cgutils.alloca_once_value(builder, zero) for _ in pairs] for _ in range(2)]

    def visit(start: Any, width: int, chain: int) -> None:
        for place, both in zip(chains[chain], pairs, strict=True):
            a, b = (builder.load(address(builder, data, start, width), align=8) for data in both)
            builder.store(plus_product(builder, builder.load(place), a, b), place)

    def halve() -> None:
        totals = [builder.load(place) for place in chains[0]]
        if len(chains) > 1:
            totals = [builder.fadd(total, builder.load(place)) for total, place in zip(totals, chains[1], strict=True)]
        chains[:] = [[cgutils.alloca_once_value(builder, half_sums(builder, total)) for total in totals]]

    _in_vectors(builder, n, visit, halve)
    return [builder.load(place) for place in chains[0]]


def _numbers(context: Any, builder: Any, kinds: Any, arrays: Any) -> tuple[Any, list[Any]]:
    """How many numbers the first of some vectors has, and where those of each are."""
    made = [context.make_array(kind)(context, builder, array) for kind, array in zip(kinds, arrays, strict=True)]
    return builder.extract_value(made[0].shape, 0), [each.data for each in made]


@intrinsic
def _sums_of_three(_context, x, a, b):
    def generate(context, builder, signature, arguments):
        n, (x, a, b) = _numbers(context, builder, signature.args, arguments)
        return context.make_tuple(builder, signature.return_type, _sums(builder, n, [(x, a), (x, b), (x, x)]))

    return types.UniTuple(types.float64, 3)(x, a, b), generate


@intrinsic
def _sum(_context, a, b):
    def generate(context, builder, signature, arguments):
        n, pair = _numbers(context, builder, signature.args, arguments)
        return _sums(builder, n, [tuple(pair)])[0]

    return types.float64(a, b), generate


@intrinsic
def _step(_context, scale, x, total):
    def generate(context, builder, signature, arguments):
        scale = arguments[0]
        n, (x, total) = _numbers(context, builder, signature.args[1:], arguments[1:])

        def visit(start, width, _chain):
            factor = everywhere(builder, scale, width) if width > 1 else scale
            place = address(builder, total, start, width)
            along = builder.load(address(builder, x, start, width), align=8)
            builder.store(plus_product(builder, builder.load(place, align=8), factor, along), place, align=8)

        _in_vectors(builder, n, visit, lambda: None)
        return context.get_dummy_value()

    return types.void(types.float64, x, total), generate
