"""One point from Python in under a microsecond: ``kernels.run`` for a single point, behind a door that costs little.

Most of the time of so short a call goes into looking at arguments and handing them over. So compiled code gets the
objects as they are, looks itself whether they are what it needs, and finds the rest by the addresses on a *desk*: the
numbers of loss and laws, the learner's arrays. It keeps the interpreter's lock, so that nothing can come between. It
changes nothing unless all numbers come out finite; else the learner's ordinary road, which says what is wrong, takes
the point instead.
"""

from __future__ import annotations

import ctypes
import functools
import math
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.datamodel import models, register_default
from numba.extending import NativeValue, intrinsic, typeof_impl, unbox
from numba.np.arrayobj import populate_array

from owo._record import RecordType, as_state, is_record, keep, part, quick_kernel
from owo.abreast import numbers
from owo.geometry import Identity
from owo.kernels import ACCOUNT, ENDED, OPEN, POINTS, ROUNDS, TASK, compensated, reach, settle, sound, suffer
from owo.streams.codes import require_hashable
from owo.vectors import add, dot, dots

(
    TOTAL, PLAY, PENDING, META, TALLY, CLOCK, SUMS, LOST, STATES, ACCOUNTS, TASKS, VALUES, BUSY, MOVES,
    MOVED, SIZE, CLIPS, EVERY, ARRAY, FLOAT64, FLOAT, DESK,
) = range(22)  # fmt: skip
"""What lies on a desk. Addresses: of the learner's arrays, of the numbers of loss and laws, of a number that is 0 while
nobody else is at work, of ``Slots.moves``; how often the arrays had moved when the desk was laid; d, whether the inner
law clips, whether the bias moves after every point; the addresses of ``np.ndarray``, the dtype of float64 and
``float``; the length of it all."""

KIND, DATA, NDIM, SHAPE, STRIDES, DTYPE = 8, 16, 24, 32, 40, 56
"""Where in an object its type is, and in an array the rest; the number of a float is where the data of an array are."""


class Kinds:
    """What loss and laws are, but for their numbers; compiled code sees only its type."""

    def __init__(self, *records: Any) -> None:
        self.records = records


class KindsType(types.Type):
    """The numba type of ``Kinds``, one for each combination."""

    def __init__(self, kinds: tuple[RecordType, ...]) -> None:
        self.kinds = kinds
        super().__init__(f"Kinds({', '.join(each.name for each in kinds)})")

    @property
    def key(self) -> Any:
        """Equal in every process that has the same code."""
        return self.kinds


register_default(KindsType)(models.OpaqueModel)


@typeof_impl.register(Kinds)
def _typeof_kinds(value: Kinds, _context: object) -> KindsType:
    return KindsType(tuple(numba.typeof(each) for each in value.records))


@unbox(KindsType)
def _unbox_kinds(_typ: Any, _value: Any, c: Any) -> NativeValue:
    return NativeValue(c.context.get_dummy_value())


class Handle(types.Type):
    """The numba type of any Python object, as it is."""

    def __init__(self) -> None:
        super().__init__("Handle")


HANDLE = Handle()
register_default(Handle)(models.OpaqueModel)


@unbox(Handle)
def _unbox_handle(_typ: Any, value: Any, _c: Any) -> NativeValue:
    return NativeValue(value)


@intrinsic
def _address(_context, handle):
    """Where an object is."""

    def generate(context, builder, _signature, arguments):
        return builder.ptrtoint(arguments[0], context.get_value_type(types.intp))

    return types.intp(handle), generate


@intrinsic
def _found(_context, keys, key):
    """The whole number that a dict has under a key; -1 if it has none, -2 if the key cannot be looked up."""

    def generate(context, builder, _signature, arguments):
        python = context.get_python_api(builder)
        kind = ir.FunctionType(python.pyobj, [python.pyobj, python.pyobj])
        entry = builder.call(python._get_function(kind, "PyDict_GetItemWithError"), arguments)
        row = cgutils.alloca_once_value(builder, context.get_constant(types.intp, -1))
        with builder.if_else(cgutils.is_not_null(builder, entry)) as (there, gone):
            with there:
                builder.store(python.long_as_longlong(entry), row)
            with gone, builder.if_then(cgutils.is_not_null(builder, python.err_occurred())):
                python.err_clear()
                builder.store(context.get_constant(types.intp, -2), row)
        return builder.load(row)

    return types.intp(keys, key), generate


@intrinsic
def _restored(_context, kinds, values):
    """The records of ``kinds``, with numbers from an array."""

    def build(context, builder, kind, data, at):
        parts = []
        for field in kind.types:
            if isinstance(field, RecordType):
                inner, at = build(context, builder, field, data, at)
                parts.append(inner)
            else:
                parts.append(builder.load(builder.gep(data, [ir.Constant(ir.IntType(64), at)])))
                at += 1
        return context.make_tuple(builder, kind, parts), at

    def generate(context, builder, signature, arguments):
        data, at, made = context.make_array(signature.args[1])(context, builder, arguments[1]).data, 0, []
        for kind in signature.args[0].kinds:
            record, at = build(context, builder, kind, data, at)
            made.append(record)
        return context.make_tuple(builder, signature.return_type, made)

    return types.Tuple(kinds.kinds)(kinds, values), generate


def _view(kind):
    """What makes an array of ``n`` numbers of a kind out of their address."""

    @intrinsic
    def view(_context, address, n):
        def generate(context, builder, signature, arguments):
            made, word = context.make_array(signature.return_type)(context, builder), context.get_value_type(types.intp)
            data = builder.inttoptr(arguments[0], made.data.type)
            populate_array(
                made, data=data, shape=[arguments[1]], strides=[ir.Constant(word, 8)], itemsize=ir.Constant(word, 8),
                meminfo=None,
            )  # fmt: skip
            return made._getvalue()

        return types.Array(kind, 1, "C")(address, n), generate

    return view


_floats, _wholes, _halves = _view(types.float64), _view(types.int64), _view(types.int32)


@part
def _word(at):
    return _wholes(at, 1)[0]


@part
def _ready(places):
    """Whether nobody else is at work, and the learner's arrays are where they were."""
    return _word(places[BUSY]) == 0 and _word(places[MOVES]) == places[MOVED]


@part
def _vector_at(places, x):
    """Where the numbers of an array (d,) of float64 are, side by side; 0 for any other object."""
    at = _address(x)
    if _word(at + KIND) != places[ARRAY] or _word(at + DTYPE) != places[FLOAT64] or _halves(at + NDIM, 1)[0] != 1:
        return 0
    if _word(_word(at + SHAPE)) != places[SIZE] or _word(_word(at + STRIDES)) != 8 or _word(at + DATA) % 8 != 0:
        return 0
    return _word(at + DATA)


@part
def _float(places, y):
    """The number that a float is; NaN for any other object."""
    at = _address(y)
    return _floats(at + DATA, 1)[0] if _word(at + KIND) == places[FLOAT] else math.nan


@quick_kernel
def learn(kinds, desk, keys, point, label, task):
    """Predict, suffer, learn, as ``kernels.run`` with tasks that may be mixed; NaN, and nothing done, if it cannot.

    ``keys`` has the slots of tasks, ``point`` and ``label`` are any objects.
    """
    slot = _found(keys, task)  # before all else: keys may have methods of their own, which can do anything
    places = _wholes(_word(_address(desk) + DATA), DESK)
    if slot < 0 or not _ready(places):
        return math.nan
    at, y = _vector_at(places, point), _float(places, label)
    loss, inner, outer = _restored(kinds, _floats(places[VALUES], 1))
    if at == 0 or not loss.accepts(y):
        return math.nan
    d, s = places[SIZE], len(inner.start())
    x = _floats(at, d)
    G, q = _floats(places[TOTAL], d), _floats(places[SUMS] + 8 * d * slot, d)
    theta = _floats(places[PLAY], d)
    pending = _floats(places[PENDING], d + 1)
    meta_row = _floats(places[META], len(outer.start()))
    tally_row = _floats(places[TALLY], len(ACCOUNT))
    state_row = _floats(places[STATES] + 8 * s * slot, s)
    account_row = _floats(places[ACCOUNTS] + 8 * len(ACCOUNT) * slot, len(ACCOUNT))
    task_row = _floats(places[TASKS] + 8 * len(TASK) * slot, len(TASK))
    clock = _wholes(places[CLOCK], 3)
    meta, tally = as_state(outer.start(), meta_row), as_state(ACCOUNT, tally_row)
    state, account = as_state(inner.start(), state_row), as_state(ACCOUNT, account_row)
    total, carry, earned, opened = as_state(TASK, task_row)
    begins = account[ROUNDS] == 0.0
    if begins:
        opened = float(clock[ENDED])
    base, along, x2 = dots(x, theta, q)
    pull = moved = across = 0.0
    if places[EVERY]:
        pull = dot(x, G)
        moved = reach(outer, meta) * pull
    p, value, slope, norm2, slack = suffer(loss, inner, state, base - moved, along, x2, y)
    total, carry = compensated(total, carry, value)
    kept, state, account = settle(inner, state, account, slope * along, norm2, slack, slope * slope * x2)
    if places[EVERY]:
        norm2 = slope * slope * x2
        across, meta, tally = settle(outer, meta, tally, slope * pull, norm2, outer.slack(meta, norm2), norm2)
        earned -= slope * moved
    else:
        earned += slope * base
    if not (math.isfinite(p) and math.isfinite(value) and math.isfinite(y) and sound(account) and sound(tally)):
        return math.nan
    add(kept * slope, x, q)
    if places[CLIPS] and kept < 1.0:
        add((1.0 - kept) * slope, x, _floats(places[LOST] + 8 * d * slot, d))
    if places[EVERY]:
        add(across * slope, x, G)
        add(slope, x, pending)
        pending[d] += slope * moved
    clock[POINTS] += 1
    clock[OPEN] += 1 if begins else 0
    keep(state, state_row)
    keep(account, account_row)
    keep((total, carry, earned, opened), task_row)
    keep(meta, meta_row)
    keep(tally, tally_row)
    return p


@quick_kernel
def predict(kinds, desk, keys, point, task):
    """``<x, w>`` for a task, or a new one where ``keys`` does not have it; NaN if it cannot."""
    slot = _found(keys, task)
    places = _wholes(_word(_address(desk) + DATA), DESK)
    at = _vector_at(places, point)
    if slot < -1 or at == 0 or not _ready(places):
        return math.nan
    _, inner, outer = _restored(kinds, _floats(places[VALUES], 1))
    d, s = places[SIZE], len(inner.start())
    x = _floats(at, d)
    theta = _floats(places[PLAY], d)
    p, along, _ = dots(x, theta, _floats(places[SUMS] + 8 * d * slot, d) if slot >= 0 else theta)
    if places[EVERY]:
        state = as_state(outer.start(), _floats(places[META], len(outer.start())))
        p -= reach(outer, state) * dot(x, _floats(places[TOTAL], d))
    if slot >= 0:
        p -= reach(inner, as_state(inner.start(), _floats(places[STATES] + 8 * s * slot, s))) * along
    return p if math.isfinite(p) else math.nan


class Single:
    """The door: made when a learner has met its first point, kept beside it, never copied with it.

    ``learn(x, y, task)`` and ``predict(x, task)`` return a prediction, or NaN, with nothing done, for anything out of
    the ordinary; ``learn_found`` and ``predict_found`` look for a task that is new or on disk, and do likewise.
    """

    def __init__(self, learner: Any) -> None:
        self.learner, self.slots, self.guard = learner, learner._slots, learner._guard
        self.kinds = Kinds(learner.loss, learner.inner, learner.outer)
        self.values = np.array([*numbers(learner.loss), *numbers(learner.inner), *numbers(learner.outer), 0.0])
        self.desk, self.reading_desk, self.own_desk = np.zeros((3, DESK), dtype=np.int64)
        self.nobody = np.zeros(1, dtype=np.int64)
        kinds = numba.typeof(self.kinds)
        self._learn, self._predict = _compiled(learn, kinds, 5), _compiled(predict, kinds, 4)
        self._look_up()
        self.learn: Callable[[Any, Any, Any], float] = _shut
        self.predict: Callable[[Any, Any], float] = _shut
        if self.slots.spilled is None:
            self.learn = functools.partial(self._learn, self.kinds, self.desk, self.slots.keys)
            self.predict = functools.partial(self._predict, self.kinds, self.reading_desk, self.slots.keys)

    @staticmethod
    def of(learner: Any) -> Single | None:
        """A door, if the learner is plain enough for one."""
        plain = not learner._output.shape and isinstance(learner.geometry, Identity)
        parts = learner.loss, learner.inner, learner.outer
        if not (plain and hasattr(learn, "get_overload") and all(map(_of_numbers, parts)) and _as_expected()):
            return None
        return Single(learner)

    def __reduce__(self) -> Any:
        """A copy of the learner makes a door of its own."""
        return type(None), ()

    def _look_up(self) -> None:
        """Lay the desks; the addresses of tasks change when there are more."""
        across, within, learner = self.learner._across(), self.slots.arrays, self.learner
        arrays = (
            across.total, across.play, across.pending, across.state, across.account, learner._clock, within.sums,
            within.lost, within.states, within.accounts, within.tasks, self.values,
        )  # fmt: skip
        addresses, moves, guard = [each.ctypes.data for each in arrays], self.slots.moves, self.guard
        for desk, busy in ((self.own_desk, self.nobody), (self.reading_desk, guard.busy), (self.desk, guard.taken)):
            desk[:] = [
                *addresses, busy.ctypes.data, moves.ctypes.data, moves[0], learner.d, self.slots.clips,
                learner.update == "point", id(np.ndarray), id(_FLOAT64), id(float),
            ]  # fmt: skip

    def _keep_up(self) -> None:
        """Lay them anew if the arrays have moved."""
        if self.desk[MOVED] != self.slots.moves[0]:
            self._look_up()

    def learn_found(self, x: Any, y: Any, task: Any) -> float:
        """As ``learn``; ``TypeError`` or ``ValueError`` for what can be no key."""
        if task is None:
            return math.nan
        require_hashable(task)
        self.guard.take()
        try:
            row = self.slots.find(task)
            if row is None:
                return self._begin(x, y, task)
            self._keep_up()
            p: float = self._learn(self.kinds, self.own_desk, {task: row}, x, y, task)
            self.slots.relieve()
            return p
        finally:
            self.guard.give_back()

    def _begin(self, x: Any, y: Any, task: Any) -> float:
        """The first point of a task."""
        row = self.slots.take(1)[0]
        p: float = math.nan
        try:
            self._keep_up()
            p = self._learn(self.kinds, self.own_desk, {task: row}, x, y, task)
        finally:
            if p == p:
                self.slots.seat(task, row)
            else:
                self.slots.free.append(row)
        return p

    def predict_found(self, x: Any, task: Any) -> float:
        """As ``predict``; likewise."""
        if self.slots.spilled is None:
            if self.guard.acquire(False):  # else the road says whether to wait
                try:
                    self._keep_up()
                finally:
                    self.guard.release()
            return self.predict(x, task)
        require_hashable(task)
        with self.guard.held():
            row = self.slots.find(task)
            self._keep_up()
            p: float = self._predict(self.kinds, self.own_desk, {} if row is None else {task: row}, x, task)
        return p


_FLOAT64 = np.dtype(np.float64)


def _shut(*_point: Any) -> float:
    """A door for learners that must look for a task first."""
    return math.nan


def _compiled(kernel: Any, kinds: Any, handles: int) -> Any:
    """The compiled function by itself, which takes its arguments without looking at their types."""
    arguments = (kinds, *[HANDLE] * handles)
    kernel.compile(arguments)
    return kernel.get_overload(arguments)


@functools.cache
def _as_expected() -> bool:
    """Whether arrays and floats are laid out as compiled code expects, and an interpreter's lock is there to keep."""
    if object.__basicsize__ != DATA:  # other interpreters, or no lock
        return False

    def word(at: int) -> int:
        return ctypes.c_int64.from_address(at).value

    x, y = np.arange(3.0), math.pi
    known = {KIND: id(np.ndarray), DATA: x.ctypes.data, DTYPE: id(_FLOAT64)}
    return (
        all(word(id(x) + at) == value for at, value in known.items())
        and ctypes.c_int32.from_address(id(x) + NDIM).value == 1
        and (word(word(id(x) + SHAPE)), word(word(id(x) + STRIDES))) == (3, 8)
        and word(id(y) + KIND) == id(float)
        and ctypes.c_double.from_address(id(y) + DATA).value == y
    )


def _of_numbers(record: Any) -> bool:
    """Whether a record has nothing but numbers, and records that have."""
    return all(type(each) is float or (is_record(each) and _of_numbers(each)) for each in record)
