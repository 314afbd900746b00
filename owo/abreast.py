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
from owo._record import RecordType, called_part, is_record, part

WIDTH = 32
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


@called_part
def hand_out(rows, row, table, i, first, lanes):
    """Write a row, up to ``lanes`` of it, into ``table[i]`` from column ``first`` on."""
    if lanes >= WIDTH:
        _hand_out_all(rows, row, table, i, first)
    else:
        for c in range(lanes):
            table[i, first + c] = get(rows, row, c)


def _lanes_of(context: Any, builder: Any, kind: types.Type, array: Any, row: Any, k: int) -> Any:
    """Where vector k of a row is."""
    lane = context.get_constant(types.intp, k * ABREAST)
    places = types.void(kind, types.intp, types.intp)
    return builder.bitcast(_place(context, builder, places, (array, row, lane)), VECTOR.as_pointer())


@intrinsic
def copy_row(_context, source, at, target, row):
    """``target[row] = source[at]``."""

    def generate(context, builder, signature, arguments):
        source, at, target, row = arguments
        for v in range(WIDTH // ABREAST):
            value = builder.load(_lanes_of(context, builder, signature.args[0], source, at, v), align=8)
            builder.store(value, _lanes_of(context, builder, signature.args[2], target, row, v), align=8)
        return context.get_dummy_value()

    return types.void(source, types.intp, target, types.intp), generate


def _plus_product(builder: Any, total: Any, a: Any, b: Any) -> Any:
    """``total + a b``, rounded once where the processor can."""
    if STRICT:
        return builder.fadd(total, builder.fmul(a, b))
    name = f"llvm.fmuladd.v{ABREAST}f64"
    together = cgutils.get_or_insert_function(builder.module, ir.FunctionType(VECTOR, [VECTOR] * 3), name)
    return builder.call(together, [a, b, total])


def _everywhere(builder: Any, place: Any) -> Any:
    """A vector of one number."""
    nothing, zero = ir.Constant(VECTOR, ir.Undefined), ir.Constant(ir.IntType(32), 0)
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), ABREAST), [0] * ABREAST)
    return builder.shuffle_vector(builder.insert_element(nothing, builder.load(place), zero), nothing, zeros)


def _sums(builder: Any, n: Any, places: list[Any], begin: list[Any], factors: Any) -> None:
    """``place = begin + sum_{k<n} a_k b_k`` for vectors that stay in registers; ``factors(k)`` are pairs a, b."""
    kept = [cgutils.alloca_once(builder, VECTOR) for _ in places]
    for total, first in zip(kept, begin, strict=True):
        builder.store(first, total)
    with cgutils.for_range(builder, n) as loop:
        for total, (a, b) in zip(kept, factors(loop.index), strict=True):
            builder.store(_plus_product(builder, builder.load(total), a, b), total)
    for total, place in zip(kept, places, strict=True):
        builder.store(builder.load(total), place, align=8)


CHAINS = 8
"""Sums side by side: as many as a processor of the kind that is common has to have under way to be busy."""
VECTORS = WIDTH // ABREAST


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
def accumulate(_context, target, row, origin, at, M, first, stride, n, source, begin):
    """``target[row] = origin[at] + sum_{k<n} M.flat[first + k stride] source[begin + k]``, for all lanes."""

    def generate(context, builder, signature, arguments):
        target, row, origin, at, M, first, stride, n, source, begin = arguments
        kinds = signature.args
        coefficients = context.make_array(kinds[4])(context, builder, M).data

        def factors(k):
            place = builder.gep(coefficients, [builder.add(first, builder.mul(k, stride))], inbounds=True)
            factor = _everywhere(builder, place)
            return [
                (factor, builder.load(_lanes_of(context, builder, kinds[8], source, builder.add(begin, k), v), align=8))
                for v in range(VECTORS)
            ]

        places = [_lanes_of(context, builder, kinds[0], target, row, v) for v in range(VECTORS)]
        start = [builder.load(_lanes_of(context, builder, kinds[2], origin, at, v), align=8) for v in range(VECTORS)]
        _one_row(context, builder, n, places, start, factors)
        return context.get_dummy_value()

    integers = (types.intp,) * 3
    return types.void(target, types.intp, origin, types.intp, M, *integers, source, types.intp), generate


ROWS, PART = 4, 2
"""Rows that are summed together, and vectors of each: every number that is read serves several sums."""


@intrinsic
def _accumulate_rows(_context, target, row, M, first, apart, stride, n, source):
    """``target[row + r] += sum_{k<n} M.flat[first + r apart + k stride] source[k]`` for r < ``ROWS``."""

    def generate(context, builder, signature, arguments):
        target, row, M, first, apart, stride, n, source = arguments
        kinds = signature.args
        coefficients = context.make_array(kinds[2])(context, builder, M).data
        rows = [context.get_constant(types.intp, r) for r in range(ROWS)]
        starts = [builder.add(first, builder.mul(r, apart)) for r in rows]
        for v in range(0, VECTORS, PART):

            def factors(k, v=v):
                step = builder.mul(k, stride)
                vectors = [
                    builder.load(_lanes_of(context, builder, kinds[7], source, k, v + u), align=8) for u in range(PART)
                ]
                found = []
                for start in starts:
                    place = builder.gep(coefficients, [builder.add(start, step)], inbounds=True)
                    factor = _everywhere(builder, place)
                    found += [(factor, vector) for vector in vectors]
                return found

            places = [
                _lanes_of(context, builder, kinds[0], target, builder.add(row, r), v + u)
                for r in rows
                for u in range(PART)
            ]
            begin = [builder.load(place, align=8) for place in places]
            _sums(builder, n, places, begin, factors)
        return context.get_dummy_value()

    integers = (types.intp,) * 4
    return types.void(target, types.intp, M, *integers, source), generate


@called_part
def accumulate_all(target, row, rows, M, first, apart, stride, n, source):
    """``target[row + r] += sum_{k<n} M.flat[first + r apart + k stride] source[k]`` for r < ``rows``: matrices."""
    whole = rows // ROWS * ROWS
    for r in range(0, whole, ROWS):
        _accumulate_rows(target, row + r, M, first + r * apart, apart, stride, n, source)
    for r in range(whole, rows):
        accumulate(target, row + r, target, row + r, M, first + r * apart, stride, n, source, 0)


@intrinsic
def meet(_context, target, row, vectors, others, n):
    """``target[row] += <v, u>`` of every lane, for vectors of n numbers."""

    def generate(context, builder, signature, arguments):
        target, row, vectors, others, n = arguments
        kinds = signature.args

        def factors(k):
            return [
                (
                    builder.load(_lanes_of(context, builder, kinds[2], vectors, k, v), align=8),
                    builder.load(_lanes_of(context, builder, kinds[3], others, k, v), align=8),
                )
                for v in range(VECTORS)
            ]

        places = [_lanes_of(context, builder, kinds[0], target, row, v) for v in range(VECTORS)]
        _one_row(context, builder, n, places, [builder.load(place, align=8) for place in places], factors)
        return context.get_dummy_value()

    return types.void(target, types.intp, vectors, others, types.intp), generate
