"""Numbers of many learners side by side: arrays whose rows hold one number of ``LANES`` lanes each.

A row is addressed without wrap-around and at a distance from others that the compiler knows, so that it can take
several lanes at a time. Compiled code only.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.cpython.unsafe.tuple import tuple_setitem
from numba.extending import intrinsic

from owo._record import RecordType, called_part, is_record, overload_part, part
from owo.vectors import LONG

LANES = 24
"""Lanes that are taken together."""
ABREAST = LONG
"""Lanes of one vector instruction."""
VECTOR = ir.VectorType(ir.DoubleType(), ABREAST)
VECTORS = LANES // ABREAST
"""In a row."""


def _place(context: Any, builder: Any, signature: Any, arguments: Any, extra: int = 0) -> Any:
    """Where entry ``row LANES + lane`` of a flat array is; rows and lanes are never negative."""
    array = context.make_array(signature.args[0])(context, builder, arguments[0])
    row = builder.add(arguments[1], context.get_constant(types.intp, extra), flags=("nsw", "nuw"))
    start = builder.mul(row, context.get_constant(types.intp, LANES), flags=("nsw", "nuw"))
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


@intrinsic
def widely(_context):
    """Let loops of the function that calls this use vectors as wide as those of ``owo.products``, if there are any.

    Of its own accord the compiler takes half of them on processors whose clock wide ones once slowed down. What it then
    stores in halves is read as a whole, which waits for both to arrive.
    """

    def generate(context, builder, _signature, _arguments):
        set.add(builder.function.attributes, f'"prefer-vector-width"="{64 * ABREAST}"')  # llvmlite knows it not
        return context.get_dummy_value()

    return types.void(), generate


def numbers(record: Any) -> tuple[float, ...]:
    """The numbers of a record, and of records in it, in the order in which ``record_of`` takes them."""
    found: list[float] = []
    for value in record:
        found += numbers(value) if is_record(value) else [value] if isinstance(value, float) else []
    return tuple(found)


def size(record):
    """How many numbers ``record_of`` takes."""
    return len(numbers(record))


@overload_part(size)
def _size(record):
    count = _count(record)
    return lambda record: count


def _count(kind: types.Type) -> int:
    return sum(_count(each) if isinstance(each, RecordType) else each == types.float64 for each in kind.types)


def state_of(template, rows, row, lane):
    """A tuple of a lane, shaped like the template, from the rows from ``row`` on."""


@overload_part(state_of)
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


@overload_part(keep_lane)
def _keep_lane(values, rows, row, lane):
    if not len(values):
        return lambda values, rows, row, lane: None

    def implementation(values, rows, row, lane):
        for k in range(len(values)):
            put(rows, row + k, lane, values[k])

    return implementation


# ------------------------------------------------------------------------------------------------------ whole rows


@part
def fill(rows, row, value):
    """A row of one number."""
    for c in range(LANES):
        put(rows, row, c, value)


@intrinsic
def _hand_out_all(_context, rows, row, table, i, first):
    """``table[i, first : first + LANES] = rows[row]``."""

    def generate(context, builder, signature, arguments):
        rows, row, table, i, first = arguments
        array = context.make_array(signature.args[2])(context, builder, table)
        width = builder.extract_value(array.shape, 1)
        to = builder.gep(array.data, [builder.add(builder.mul(i, width), first)], inbounds=True)
        values = [
            builder.load(vector_of(context, builder, signature.args[0], rows, row, v), align=8) for v in range(VECTORS)
        ]
        places = builder.bitcast(to, VECTOR.as_pointer())
        for v, value in enumerate(values):
            builder.store(value, builder.gep(places, [ir.Constant(ir.IntType(64), v)]), align=8)
        return context.get_dummy_value()

    return types.void(rows, types.intp, table, types.intp, types.intp), generate


@called_part
def hand_out(rows, row, table, i, first, lanes):
    """Write a row, up to ``lanes`` of it, into ``table[i]`` from column ``first`` on."""
    if lanes >= LANES:
        _hand_out_all(rows, row, table, i, first)
    else:
        for c in range(lanes):
            table[i, first + c] = get(rows, row, c)


def vector_of(context: Any, builder: Any, kind: types.Type, array: Any, row: Any, k: int) -> Any:
    """Where vector k of a row is."""
    lane = context.get_constant(types.intp, k * ABREAST)
    places = types.void(kind, types.intp, types.intp)
    return builder.bitcast(_place(context, builder, places, (array, row, lane)), VECTOR.as_pointer())


@intrinsic
def copy_row(_context, source, at, target, row):
    """``target[row] = source[at]``."""

    def generate(context, builder, signature, arguments):
        source, at, target, row = arguments
        for v in range(VECTORS):
            value = builder.load(vector_of(context, builder, signature.args[0], source, at, v), align=8)
            builder.store(value, vector_of(context, builder, signature.args[2], target, row, v), align=8)
        return context.get_dummy_value()

    return types.void(source, types.intp, target, types.intp), generate
