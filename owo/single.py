"""One point from Python in under a microsecond: ``kernels.run`` for a single point, behind a door that costs little.

Most of the time of so short a call goes into handing over arguments. So the kernel gets, beside the point, what is
cheap to take apart: the kinds of loss and laws, which are nothing at run time, their numbers, and the addresses of the
learner's arrays. It changes nothing unless all numbers come out finite; else the learner's ordinary road, which
says what is wrong, takes the point instead.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import types
from numba.core.datamodel import models, register_default
from numba.extending import NativeValue, intrinsic, typeof_impl, unbox
from numba.np.arrayobj import populate_array

from owo._record import RecordType, as_state, is_record, keep, quick_kernel
from owo.abreast import numbers
from owo.geometry import Identity
from owo.kernels import ACCOUNT, ENDED, OPEN, POINTS, ROUNDS, TASK, compensated, reach, settle, sound, suffer
from owo.streams.codes import require_hashable
from owo.vectors import add, dot, dots

CENTRE, TOTAL, PLAY, PENDING, META, TALLY, SUMS, LOST, STATES, ACCOUNTS, TASKS, CLOCK, SIZE, CLIPS, EVERY = range(15)
"""Addresses of the learner's arrays; d, whether the inner law clips, whether the bias moves after every point."""

_FLOAT, _NEXT = np.dtype(np.float64), (8,)


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


_floats, _wholes = _view(types.float64), _view(types.int64)


@quick_kernel
def learn(kinds, values, places, x, y, slot):
    """Predict, suffer, learn, as ``kernels.run`` with tasks that may be mixed; NaN, and nothing done, if it cannot."""
    loss, inner, outer = _restored(kinds, values)
    d, s = places[SIZE], len(inner.start())
    if x.shape[0] != d or not loss.accepts(y):
        return math.nan
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
def predict(kinds, values, places, x, slot):
    """``<x, w>`` for the task in a slot, or for a new one (below 0); NaN if it cannot."""
    _, inner, outer = _restored(kinds, values)
    d, s = places[SIZE], len(inner.start())
    if x.shape[0] != d:
        return math.nan
    theta = _floats(places[PLAY], d)
    p, along, _ = dots(x, theta, _floats(places[SUMS] + 8 * d * slot, d) if slot >= 0 else theta)
    if places[EVERY]:
        state = as_state(outer.start(), _floats(places[META], len(outer.start())))
        p -= reach(outer, state) * dot(x, _floats(places[TOTAL], d))
    if slot >= 0:
        p -= reach(inner, as_state(inner.start(), _floats(places[STATES] + 8 * s * slot, s))) * along
    return p


class Single:
    """The door: made when a learner has met its first point, kept beside it, never copied with it."""

    def __init__(self, learner: Any) -> None:
        self.learner, self.slots, self.guard = learner, learner._slots, learner._guard
        self.find = self.slots.keys.get
        self.kinds = Kinds(learner.loss, learner.inner, learner.outer)
        self.values = np.array([*numbers(learner.loss), *numbers(learner.inner), *numbers(learner.outer), 0.0])
        floats, wholes = types.Array(types.float64, 1, "C"), types.Array(types.int64, 1, "C")
        start = numba.typeof(self.kinds), floats, wholes, floats
        self._learn = _compiled(learn, (*start, types.float64, types.intp))
        self._predict = _compiled(predict, (*start, types.intp))
        self._look_up()

    @staticmethod
    def of(learner: Any) -> Single | None:
        """A door, if the learner is plain enough for one."""
        plain = not learner._output.shape and isinstance(learner.geometry, Identity)
        parts = learner.loss, learner.inner, learner.outer
        if not (plain and hasattr(learn, "get_overload") and all(map(_of_numbers, parts))):
            return None
        return Single(learner)

    def __reduce__(self) -> Any:
        """A copy of the learner makes a door of its own."""
        return type(None), ()

    def _look_up(self) -> None:
        """The addresses of the learner's arrays; those of tasks change when there are more."""
        across, within, learner = self.learner._across(), self.slots.arrays, self.learner
        arrays = (
            across.centre, across.total, across.play, across.pending, across.state, across.account, within.sums,
            within.lost, within.states, within.accounts, within.tasks, learner._clock,
        )  # fmt: skip
        self.arrays = within
        self.places = np.array([
            *(each.ctypes.data for each in arrays), learner.d, self.slots.clips, learner.update == "point",
        ])  # fmt: skip

    def learn(self, x: Any, y: Any, task: Any) -> float | None:
        """As ``OnlineWithinOnline.learn_one``; None, and nothing done, for anything out of the ordinary."""
        if type(x) is not np.ndarray or x.dtype is not _FLOAT or x.strides != _NEXT or type(y) is not float:
            return None
        slots = self.slots
        slot = slots.keys.get(task) if slots.spilled is None else slots.find(task)
        if slot is None:
            return self._begin(x, y, task)
        if slots.arrays is not self.arrays:
            self._look_up()
        p: float = self._learn(self.kinds, self.values, self.places, x, y, slot)
        if slots.spilled is not None:
            slots.relieve()
        return p if p == p else None

    def learn_row(self, row: Any, y: float, task: Any) -> float | None:
        """As ``OnlineWithinOnline.learn_one`` for a float and an array of float64; None likewise."""
        guard = self.guard
        if not guard.acquire(False):
            return None
        try:
            slot = self.find(task)
            if slot is None or self.slots.arrays is not self.arrays:
                return None
            p: float = self._learn(self.kinds, self.values, self.places, row, y, slot)
        except TypeError:  # a key that cannot be hashed
            return None
        finally:
            guard.release()
        return p if p == p else None

    def predict_row(self, row: Any, task: Any) -> float | None:
        """As ``OnlineWithinOnline.predict_one``, likewise."""
        if self.guard.busy or self.slots.arrays is not self.arrays:
            return None
        try:
            p: float = self._predict(self.kinds, self.values, self.places, row, self.find(task, -1))
        except TypeError:  # a key that cannot be hashed
            return None
        return p if p - p == 0.0 else None

    def _begin(self, x: Any, y: float, task: Any) -> float | None:
        """The first point of a task."""
        if task is None:
            return None
        require_hashable(task)
        slot = self.slots.take(1)[0]
        if self.slots.arrays is not self.arrays:
            self._look_up()
        p = math.nan
        try:
            p = self._learn(self.kinds, self.values, self.places, x, y, slot)
        finally:
            if p == p:
                self.slots.seat(task, slot)
            else:
                self.slots.free.append(slot)
        return p if p == p else None

    def _found(self, task: Any) -> int:
        """The row of a task, which may have been on disk; -1 if it is not open."""
        slot = self.slots.find(task)
        return -1 if slot is None else slot

    def predict(self, x: Any, task: Any) -> float | None:
        """As ``OnlineWithinOnline.predict_one``; None for anything out of the ordinary."""
        if type(x) is not np.ndarray or x.dtype is not _FLOAT or x.strides != _NEXT:
            return None
        slots = self.slots
        slot = slots.keys.get(task, -1) if slots.spilled is None else self._found(task)
        if slots.arrays is not self.arrays:
            self._look_up()
        p: float = self._predict(self.kinds, self.values, self.places, x, slot)
        return p if p - p == 0.0 else None


def _compiled(kernel: Any, arguments: Any) -> Any:
    """The compiled function by itself, which takes its arguments without looking at their types again."""
    kernel.compile(arguments)
    return kernel.get_overload(arguments)


def _of_numbers(record: Any) -> bool:
    """Whether a record has nothing but numbers, and records that have."""
    return all(type(each) is float or (is_record(each) and _of_numbers(each)) for each in record)
