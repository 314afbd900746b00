"""Numbers of many learners side by side: arrays whose rows hold one number of ``WIDTH`` lanes each.

A row is addressed without wrap-around and at a distance from others that the compiler knows, so that it can take
several lanes at a time; sums over rows stay in vector registers. Compiled code only.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.cpython.unsafe.tuple import tuple_setitem
from numba.extending import intrinsic, overload

from owo._fingerprint import STRICT
from owo._record import RecordType, is_record, part

WIDTH = 64
"""Lanes that are taken together."""
ABREAST = 8
"""Lanes of one vector instruction, where the processor has such long ones."""
VECTOR = ir.VectorType(ir.DoubleType(), ABREAST)


def _place(context: Any, builder: Any, signature: Any, arguments: Any, extra: int = 0) -> Any:
    """Where entry ``row WIDTH + lane`` of a flat array is; rows and lanes are never negative."""
    array = context.make_array(signature.args[0])(context, builder, arguments[0])
    row = builder.add(arguments[1], context.get_constant(types.intp, extra), flags=("nsw", "nuw"))
    start = builder.mul(row, context.get_constant(types.intp, WIDTH), flags=("nsw", "nuw"))
    return builder.gep(array.data, [builder.add(start, arguments[2], flags=("nsw", "nuw"))], inbounds=True)


@intrinsic
def get(_context, rows, row, lane):
    """``rows[row, lane]``."""

    def generate(context, builder, signature, arguments):
        return builder.load(_place(context, builder, signature, arguments))

    return types.float64(rows, types.intp, types.intp), generate


@intrinsic
def put(_context, rows, row, lane, value):
    """``rows[row, lane] = value``."""

    def generate(context, builder, signature, arguments):
        builder.store(arguments[3], _place(context, builder, signature, arguments))
        return context.get_dummy_value()

    return types.void(rows, types.intp, types.intp, types.float64), generate


@intrinsic
def record_of(_context, template, rows, row, lane):
    """The record of a lane: as the template, with the numbers in ``rows`` from ``row`` on."""

    def build(context, builder, kind, value, signature, arguments, used):
        parts = []
        for k, field in enumerate(kind.types):
            if isinstance(field, RecordType):
                inner, used = build(
                    context, builder, field, builder.extract_value(value, k), signature, arguments, used
                )
                parts.append(inner)
            elif field == types.float64:
                parts.append(builder.load(_place(context, builder, signature, arguments, used)))
                used += 1
            else:
                parts.append(builder.extract_value(value, k))
        return context.make_tuple(builder, kind, parts), used

    def generate(context, builder, signature, arguments):
        places = types.void(*signature.args[1:])
        return build(context, builder, signature.args[0], arguments[0], places, arguments[1:], 0)[0]

    return template(template, rows, types.intp, types.intp), generate


def numbers(record: Any) -> tuple[float, ...]:
    """The numbers of a record, and of records in it, in the order in which ``record_of`` takes them."""
    found: list[float] = []
    for value in record:
        found += numbers(value) if is_record(value) else [value] if isinstance(value, float) else []
    return tuple(found)


def size(record):
    """How many numbers ``record_of`` takes."""
    return len(numbers(record))


@overload(size, strict=False)
def _size(record):
    count = _count(record)
    return lambda record: count


def _count(kind: types.Type) -> int:
    return sum(_count(each) if isinstance(each, RecordType) else each == types.float64 for each in kind.types)


def state_of(template, rows, row, lane):
    """A tuple of a lane, shaped like the template, from the rows from ``row`` on."""


@overload(state_of, strict=False)
def _state_of(template, rows, row, lane):
    if not len(template):
        return lambda template, rows, row, lane: template

    def implementation(template, rows, row, lane):
        state = template
        for k in range(len(template)):
            state = tuple_setitem(state, k, get(rows, row + k, lane))
        return state

    return implementation


def keep_lane(values, rows, row, lane):
    """The way back."""


@overload(keep_lane, strict=False)
def _keep_lane(values, rows, row, lane):
    if not len(values):
        return lambda values, rows, row, lane: None

    def implementation(values, rows, row, lane):
        for k in range(len(values)):
            put(rows, row + k, lane, values[k])

    return implementation


# --------------------------------------------------------------------------------------------- products with rows


@part
def fill(rows, row, value):
    """A row of one number."""
    for c in range(WIDTH):
        put(rows, row, c, value)


@part
def copy_row(source, at, target, row):
    """A row of another array."""
    for c in range(WIDTH):
        put(target, row, c, get(source, at, c))


@intrinsic
def _hand_out_all(_context, rows, row, table, i, first):
    """``table[i, first : first + WIDTH] = rows[row]``."""

    def generate(context, builder, signature, arguments):
        rows, row, table, i, first = arguments
        array = context.make_array(signature.args[2])(context, builder, table)
        width = builder.extract_value(array.shape, 1)
        to = builder.gep(array.data, [builder.add(builder.mul(i, width), first)], inbounds=True)
        values = [
            builder.load(_lanes_of(context, builder, signature.args[0], rows, row, v), align=8)
            for v in range(WIDTH // ABREAST)
        ]
        places = builder.bitcast(to, VECTOR.as_pointer())
        for v, value in enumerate(values):
            builder.store(value, builder.gep(places, [ir.Constant(ir.IntType(64), v)]), align=8)
        return context.get_dummy_value()

    return types.void(rows, types.intp, table, types.intp, types.intp), generate


@part
def hand_out(rows, row, table, i, first):
    """Write a row of lanes into ``table[i]`` from column ``first`` on, those that are there."""
    if table.shape[1] - first >= WIDTH:
        _hand_out_all(rows, row, table, i, first)
    else:
        for c in range(table.shape[1] - first):
            table[i, first + c] = get(rows, row, c)


def _lanes_of(context: Any, builder: Any, kind: types.Type, array: Any, row: Any, k: int) -> Any:
    """Where vector k of a row is."""
    lane = context.get_constant(types.intp, k * ABREAST)
    places = types.void(kind, types.intp, types.intp)
    return builder.bitcast(_place(context, builder, places, (array, row, lane)), VECTOR.as_pointer())


def _sum(context: Any, builder: Any, kind: types.Type, target: Any, row: Any, n: Any, term: Any) -> Any:
    """``target[row] += sum_{k<n} a_k b_k`` for all lanes, which stay in registers; ``term(k, v)`` gives vectors v."""
    kept = [cgutils.alloca_once(builder, VECTOR) for _ in range(WIDTH // ABREAST)]
    for v, place in enumerate(kept):
        builder.store(builder.load(_lanes_of(context, builder, kind, target, row, v), align=8), place)
    with cgutils.for_range(builder, n) as loop:
        factors = term(loop.index)
        for v, place in enumerate(kept):
            builder.store(_plus_product(builder, builder.load(place), *factors(v)), place)
    for v, place in enumerate(kept):
        builder.store(builder.load(place), _lanes_of(context, builder, kind, target, row, v), align=8)
    return context.get_dummy_value()


def _plus_product(builder: Any, total: Any, a: Any, b: Any) -> Any:
    """``total + a b``, rounded once where the processor can."""
    if STRICT:
        return builder.fadd(total, builder.fmul(a, b))
    name = f"llvm.fmuladd.v{ABREAST}f64"
    together = cgutils.get_or_insert_function(builder.module, ir.FunctionType(VECTOR, [VECTOR] * 3), name)
    return builder.call(together, [a, b, total])


@intrinsic
def accumulate(_context, target, row, M, first, stride, n, source):
    """``target[row] += sum_{k<n} M.flat[first + k stride] source[k]``, for all lanes."""

    def generate(context, builder, signature, arguments):
        target, row, M, first, stride, n, source = arguments
        coefficients = context.make_array(signature.args[2])(context, builder, M).data
        nothing, zero = ir.Constant(VECTOR, ir.Undefined), ir.Constant(ir.IntType(32), 0)
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), ABREAST), [0] * ABREAST)

        def term(k):
            at = builder.add(first, builder.mul(k, stride))
            scalar = builder.load(builder.gep(coefficients, [at], inbounds=True))
            factor = builder.shuffle_vector(builder.insert_element(nothing, scalar, zero), nothing, zeros)
            return lambda v: (
                factor, builder.load(_lanes_of(context, builder, signature.args[6], source, k, v), align=8)
            )  # fmt: skip

        return _sum(context, builder, signature.args[0], target, row, n, term)

    return types.void(target, types.intp, M, types.intp, types.intp, types.intp, source), generate


@intrinsic
def meet(_context, target, row, vectors, others, n):
    """``target[row] += <v, u>`` of every lane, for vectors of n numbers."""

    def generate(context, builder, signature, arguments):
        target, row, vectors, others, n = arguments

        def term(k):
            return lambda v: (
                builder.load(_lanes_of(context, builder, signature.args[2], vectors, k, v), align=8),
                builder.load(_lanes_of(context, builder, signature.args[3], others, k, v), align=8),
            )

        return _sum(context, builder, signature.args[0], target, row, n, term)

    return types.void(target, types.intp, vectors, others, types.intp), generate
