"""What a learner is made of and how it takes a step: the state of ``OnlineWithinOnline``, and its compiled calls.

A step, of a block or of one point, is taken whole or not at all.
"""

from __future__ import annotations

import contextlib
import math
import numbers
from collections.abc import Callable, Hashable, Iterator
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from owo import kernels
from owo.delayed import Waiting
from owo.doors import (
    Overflowed,
    RefusedLabel,
    as_any_loss,
    as_geometry,
    as_law,
    at_row,
    refuse_labels,
    whole,
)
from owo.geometry import Identity
from owo.geometry.maps import stream
from owo.guard import Guard, alone
from owo.iterates import reach_of
from owo.laws import CoinBetting, Frozen, acts_across, keeps_to_potential
from owo.ledger import Ledger
from owo.outputs import output_of
from owo.slots import Places, Slots, aligned
from owo.spans import SpanLedger
from owo.spill import Spill, as_spill
from owo.streams import Block
from owo.streams.codes import require_hashable
from owo.streams.sparse import SparseRows

Array = NDArray[np.float64]


MANY = 100
"""Points that come one by one, after which it pays to compile a door of their own."""

_FIRST, _NO = np.zeros(1, dtype=np.int64), np.zeros(1, dtype=bool)


class Engine:
    """State and steps of ``OnlineWithinOnline``, which says what the arguments are."""

    def __init__(
        self,
        loss: Any,
        inner: Any = None,
        outer: Any = None,
        update: Literal["task", "point"] = "point",
        *,
        geometry: Any = None,
        bias: ArrayLike | None = None,
        metric: ArrayLike | None = None,
        history: Literal["tasks", "spans"] = "tasks",
        spill: Spill | None = None,
    ) -> None:
        self.loss = as_any_loss(loss)
        self.inner = as_law(CoinBetting() if inner is None else inner, "inner")
        self.outer = as_law(CoinBetting() if outer is None else outer, "outer")
        if not acts_across(self.outer):
            raise TypeError(f"{outer!r} takes its gradients from the loss and works inside tasks only; "
                            "use a law such as owo.DualAveraging(0.1) as outer")  # fmt: skip
        if update not in ("task", "point"):
            raise ValueError(f"update is {update!r}; it must be 'task' (bias moves when a task ends) or 'point'")
        if history not in ("tasks", "spans"):
            raise ValueError(f"history is {history!r}; it must be 'tasks' (a row each) or 'spans' (bounded memory)")
        self.update, self.history = update, history
        self.geometry, self._start = _geometry(geometry, self.inner), metric
        self._output = output_of(self.loss, self.inner, self.geometry)
        self.d: int | None = None
        self._single: Any = None
        self.spill, self._guard = None if spill is None else as_spill(spill), Guard()
        self.position: dict[str, Any] | None = None
        self.skipped: dict[str, int] = {}
        if bias is not None:
            self._open(self._output.given(bias, "bias").ravel())

    def __repr__(self) -> str:
        geometry = "" if isinstance(self.geometry, Identity) else f", geometry={self.geometry!r}"
        return (
            f"OnlineWithinOnline({self.loss!r}, inner={self.inner!r}, outer={self.outer!r}, "
            f"update={self.update!r}{geometry})"
        )

    def _open(self, centre: Array) -> None:
        """Set up all state, once the dimension is known; ``centre`` is flat."""
        size = len(centre)
        self.d = size // self._output.size
        self.centre = _aligned_copy(centre)
        self._total = aligned(size)
        self._theta = _aligned_copy(centre)
        self._meta = np.array(self.outer.start(), dtype=np.float64)
        self._tally = np.zeros(len(kernels.ACCOUNT))
        self._pending = np.zeros(size + 1)
        self._clock = np.zeros(3, dtype=np.int64)
        self._seen, self._metric, self._map = self.geometry.begun(self.d, self._start)
        initial = self._metric.initial if self._map is None else self._map.initial.ravel()
        self._width, self._stage = len(initial) if self.geometry.learns else 0, self.geometry.stage(len(initial))
        if self.spill is not None and self._map is not None:
            raise ValueError(f"{type(self.geometry).__name__} keeps matrices of open tasks, which cannot be spilled")
        self._slots = Slots(size, self.inner, len(self._metric.play), self.spill)
        self._waiting = Waiting()
        self._single = None
        self._alone = 0
        kind = Ledger if self.history == "tasks" else SpanLedger
        self._ledger = kind(self.inner, self.outer, self.update, centre, repr(self), self.geometry, initial)

    def _require_dimension(self, what: str) -> None:
        if self.d is None:
            raise ValueError(f"{what} has no dimension before any data: call run or learn_one first, or pass bias=")

    @property
    def ledger(self) -> Ledger:
        """What happened so far: losses, regret, certificates; see ``Ledger``."""
        self._require_dimension("the ledger")
        return self._ledger

    @property
    def points_met(self) -> int:
        """Points learned so far, those of open tasks too."""
        return 0 if self.d is None else int(self._clock[kernels.POINTS])

    @property
    def total_loss(self) -> float:
        """Loss summed over all points so far, those of open tasks too."""
        if self.d is None:
            return 0.0
        ended = self._ledger.cumulative_loss()
        return float(np.sum(ended[-1:]) + self._slots.losses())

    @property
    def bias(self) -> Array:
        """The meta-parameter theta as it stands, array (d,), or (d, k)."""
        self._require_dimension("the bias")
        return self._output.shaped(self._flat_bias())

    def _flat_bias(self) -> Array:
        self._guard.free_for_reading()
        if self.update == "task":
            return self._theta.copy()
        return self.centre - reach_of(self.outer, self._meta) * self._total

    def _nowhere(self, d: int) -> Array:
        """Weights before any data."""
        return self._output.shaped(np.zeros(d * self._output.size))

    @property
    def metric(self) -> Array:
        """M as a new task would use it: one number (1,), the diagonal (d,), or a matrix (d, d)."""
        self._require_dimension("the metric")
        if self._map is not None:
            return np.array(self._map.play)
        return self._metric.play.copy() if len(self._metric.play) else np.ones(1)

    @property
    def open_tasks(self) -> list[Hashable]:
        """Keys of the tasks that have begun and not ended."""
        return [] if self.d is None else self._slots.all_keys()

    def weights(self, task: Hashable = None) -> Array:
        """The weights (d,), or (d, k), the next prediction in an open ``task`` would use; the bias for any other."""
        require_hashable(task)
        self._require_dimension("the bias")
        if self.spill is not None:  # looking a task up may bring it back from disk
            with self._guard.held():
                return self._weights(task)
        return self._weights(task)

    def _weights(self, task: Hashable) -> Array:
        w = self._flat_bias()
        j = None if task is None else self._slots.find(task)
        if j is not None:
            slots = self._slots.arrays
            pull = slots.sums[j]
            if self._map is not None:
                pull = self._map.open[j].M @ pull
            elif len(self._metric.play):
                pull = slots.metrics[j] * pull
            w -= reach_of(self.inner, slots.states[j]) * pull
        return self._output.shaped(w)

    @alone
    def widen(self, d: int) -> None:
        """Let points have ``d`` features from now on, the first of them those of before; the new ones were 0 so far.

        All goes on as if they had been 0 from the start. Raises ``ValueError`` if d is less than it is, the learner has
        a geometry, or its ledger a path.
        """
        self._require_dimension("the learner")
        if not isinstance(self.geometry, Identity) or len(self._ledger.path):
            raise ValueError("only a learner without a geometry, whose ledger keeps no path, can be widened")
        d, size = whole(d, "d", int(self.d or 0)), len(self.centre)
        more = d * self._output.size - size
        for name in ("centre", "_total", "_theta"):
            setattr(self, name, _aligned_copy(np.concatenate([getattr(self, name), np.zeros(more)])))
        self._pending = np.concatenate([self._pending[:size], np.zeros(more), self._pending[size:]])
        self._slots.widen(size + more)
        self._ledger.widen(np.concatenate([self._ledger.centre, np.zeros(more)]))
        self._waiting.widen(d)
        self.d, self._single, self._alone = d, None, min(self._alone, MANY - 1)

    @alone
    def end_task(self, task: Hashable) -> None:
        """End an open task: with ``update="task"`` the bias now learns from it. The task's sums are forgotten.

        Raises ``KeyError`` if the task is not open.
        """
        require_hashable(task)
        j = None if self.d is None else self._slots.find(task)
        if j is None:
            some = ", ".join(map(repr, self.open_tasks[:5])) or "none"
            raise KeyError(f"task {task!r} is not open, so it cannot end; open now: {some}")
        self._waiting.refuse_end((task,))
        written = kernels.room(0, 1, 0, len(self.centre), self._width, self._stage)
        with self._undoing(np.array([j]), []):
            if not kernels.end_one(
                self.inner, self.outer, self._seen, self.update == "point", j, self._across(), self._slots.arrays,
                self._clock, written,
            ) or not (self._map is None or self._map.end(j, written, 0, 1)):  # fmt: skip
                raise FloatingPointError(
                    f"the sums of task {task!r} overflowed, so it stays open. Scale the features, or take smaller "
                    f"steps than {self.inner!r} and {self.outer!r}"
                )
        self._slots.release(task)
        self._waiting.charge((task,), written.tasks[:, kernels.OVERLAP])
        self._ledger.append((task,), (0,), written, np.empty((0, 1)))

    @alone
    def forget(self, task: Hashable) -> None:
        """Drop all that is kept of an open task, as if it were new: it never ends, and has no row in the ledger.

        With ``update="task"`` the bias never learns from it. With ``"point"`` it already has, and that stays, so
        certificates keep a term for its gradients (``Ledger.pending``). Raises ``KeyError`` if it is not open.
        """
        require_hashable(task)
        j = None if self.d is None else self._slots.find(task)
        if j is None:
            raise KeyError(f"task {task!r} is not open, so there is nothing to forget")
        if self._map is not None:
            self._map.open.pop(j, None)
        self._slots.forget(task)
        self._waiting.forget(task)
        if self.update == "task":
            self._clock[kernels.OPEN] -= 1  # else its gradients stay among those of open tasks, for good

    # ------------------------------------------------------------------------------------------------------- steps

    def _count_alone(self, points: int) -> None:
        """Go on as after so many points that came one by one."""
        self._alone = points
        if self._alone >= MANY and self._single is None:
            from owo.single import Single  # a tenth of the time that ``import owo`` may take

            self._single = Single.of(self)

    def _meet(self, X: Array, y: Array, task: Hashable, loss: Any = None) -> Array:
        """Learn one checked point (1, d) of a task that is open or begins, by another loss if one is given."""
        slot = self._slots.find(task)
        taken = self._slots.take(1) if slot is None else []
        slots = np.array(taken if slot is None else [slot])
        written = self._output.room(1, 0, 0, len(self.centre), self._width)
        self._stream(X, y, _FIRST, _NO, slots, slots, taken, written, 0, True, lambda row: task, loss)
        self._slots.seat(task, int(slots[0]))
        return np.asarray(written.predictions)

    def _learned(self, block: Block, stride: int, points: bool, skip: bool) -> Iterator[tuple[Block, kernels.Written]]:
        """The block as it was learned: whole, or with ``skip`` in parts around the points that cannot be."""
        start = 0
        while start < block.n:
            part = block.rows(start, block.n) if start else block
            try:
                yield part, self._learn(part, stride, points)
                return
            except (RefusedLabel, Overflowed) as error:
                if not skip:
                    raise
                row, why = error.row, "label" if isinstance(error, RefusedLabel) else "overflow"
            if row:
                yield from self._learned(part.rows(0, row), stride, points, skip)
            self.skipped[why] = self.skipped.get(why, 0) + 1
            key = part.keys[part.task[row]]
            if part.ends[row] and self.d is not None and self._slots.holds(key):
                try:
                    self.end_task(key)
                except FloatingPointError:
                    self.forget(key)
            start += row + 1

    def _learn(self, block: Block, stride: int = 0, points: bool = False) -> kernels.Written:
        """Learn a block in one compiled call, or leave everything as it was."""
        with self._whole():
            closing = range(block.n_tasks) if block.contiguous else block.task[block.ends]
            if self.d is not None and self._waiting.points:
                self._waiting.refuse_end(block.keys[code] for code in closing)
            self._accept(block.X, block.y, lambda row: block.keys[block.task[row]])
            seats = self._slots.assign(block)
            ended = int(self._clock[kernels.ENDED])
            times = np.arange(ended // stride + 1, (ended + len(closing)) // stride + 1) * stride if stride else ()
            at = np.array(times, dtype=np.float64)
            written = self._output.room(
                block.n if points else 0, len(closing), len(at), len(self.centre), self._width, self._stage
            )
            self._stream(
                block.X, block.y, block.task, block.ends, *seats[:3], written, stride,
                bool(self._clock[kernels.OPEN]) or not block.contiguous, lambda row: block.keys[block.task[row]],
            )  # fmt: skip
            self._slots.settle(block, seats)
            self._waiting.charge((block.keys[code] for code in closing), written.tasks[:, kernels.OVERLAP])
            self._ledger.append(block.keys, closing, written, at[:, None])
            self._slots.relieve()
        return written

    def _stream(
        self, X: Array, y: Array, task: Any, ends: Any, slots: Places, used: Places, taken: list[int],
        written: kernels.Written, stride: int, mixed: bool, key_of: Callable[[int], Hashable], loss: Any = None,
    ) -> None:  # fmt: skip
        """Run the kernel on checked points."""
        with self._undoing(used, taken):
            rows = X.parts if isinstance(X, SparseRows) else X

            def kernel(X: Array, Z: Array, y: Array, task: Any, ends: Any, written: Any) -> int:
                return self._output.run(
                    self.loss if loss is None else loss, self.inner, self.outer, self._seen, self.update == "point",
                    mixed, X, Z, y, task, ends, slots, self._across(), self._slots.arrays, self._clock, written, stride,
                )  # fmt: skip

            if self._map is None:
                done = kernel(rows, rows, y, task, ends, written)
            else:
                ended = int(self._clock[kernels.ENDED])
                path_rows = lambda row: (ended + row) // stride - ended // stride if stride else 0  # noqa: E731
                done = stream(self._map, kernel, X, y, task, ends, slots, written, path_rows)
            if done < len(y):
                words = (
                    f"a loss, a gradient or their sum overflowed at row {done} (task {key_of(done)!r}), so nothing of "
                    f"this block was learned. Scale the features, or take smaller steps than {self.inner!r} and "
                    f"{self.outer!r}"
                )
                raise at_row(Overflowed(words), done)

    @contextlib.contextmanager
    def _undoing(self, used: Places, taken: list[int]) -> Iterator[None]:
        """Whatever goes wrong inside, put back all that a kernel may have changed."""
        *arrays, metric = self._across()
        arrays += [*metric, self._clock]
        before, saved = [array.copy() for array in arrays], self._slots.save(used)
        learned = None if self._map is None else self._map.snapshot()
        try:
            yield
        except BaseException:
            self._slots.restore(used, saved, taken)
            self._map = learned
            for array, old in zip(arrays, before, strict=True):
                array[...] = old
            raise

    @contextlib.contextmanager
    def _whole(self) -> Iterator[None]:
        """If the first data ever are refused, the learner has no dimension yet."""
        new = self.d is None
        try:
            yield
        except BaseException:
            if new:
                self.d = None
            raise

    def _next_number(self) -> int:
        """A number above all that tasks without a key have had, and above those of open tasks."""
        if self.d is None:
            return 0
        open_tasks = self._slots.all_keys()
        keys: list[Any] = [key for key in open_tasks if isinstance(key, numbers.Number)]  # 1.0 is 1, too
        begun = int(self._clock[kernels.ENDED]) + len(open_tasks)
        return max([begun, *(int(abs(key)) + 1 for key in keys if math.isfinite(abs(key)))])

    def _across(self) -> kernels.Across:
        play = self._theta if self.update == "task" else self.centre
        return kernels.Across(self.centre, self._total, play, self._pending, self._meta, self._tally, self._metric)

    def _accept(self, X: Array, y: Array, key_of: Callable[[int], Hashable]) -> None:
        """Check what only the learner knows: the loss's labels, the dimension; set up on first data."""
        refuse_labels(self.loss, y, key_of)
        if self.d is None:
            self._open(self._nowhere(X.shape[1]).ravel())
        self._same_width(X.shape[1], len(self.centre) // self._output.size)
        if self._map is not None and isinstance(X, SparseRows):
            raise TypeError(
                f"{type(self.geometry).__name__} is a matrix and needs dense points, but X is sparse; take Scalar() or "
                "Diagonal(), or pass X.toarray()"
            )

    @staticmethod
    def _same_width(came: int, needed: int) -> None:
        if came != needed:
            raise ValueError(
                f"points have {came} features; this learner has {needed}. Give every task the same columns"
            )


def _geometry(geometry: Any, inner: Any) -> Any:
    """The geometry, if the law inside tasks can serve it."""
    found = as_geometry(Identity() if geometry is None else geometry)
    if found.learns and (not keeps_to_potential(inner) or isinstance(inner, Frozen)):
        raise TypeError(
            f"{inner!r} cannot be the inner law where the metric is learned: that needs a law that moves, at explicit "
            "subgradients, with a scale that never grows. Take owo.GrowingFTRL(1.0) or owo.AdaptiveNorm(1.0)"
        )
    if getattr(found, "may_vanish", False) and inner.scale(inner.start()) == 0.0:
        raise TypeError(
            f"{inner!r} cannot be the inner law of a {type(found).__name__}: it takes its scale from gradients, which "
            "M may send to 0. Take owo.GrowingFTRL(1.0), or Full() as geometry"
        )
    return found


def _aligned_copy(vector: Array) -> Array:
    copy = aligned(len(vector))
    copy[:] = vector
    return copy
