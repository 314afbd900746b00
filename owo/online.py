"""Online within online: a stream of tasks, a learner inside each, a learner across them.

The paper's bias instance (Denevi, Stamos, Ciliberto, Pontil, "Online-Within-Online Meta-Learning", NeurIPS 2019)
is ``OnlineWithinOnline(loss, inner=GrowingFTRL(strength), outer=DualAveraging(step), update="task")``.
"""

from __future__ import annotations

import contextlib
import math
import numbers
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from owo import kernels
from owo.doors import as_any_loss, as_geometry, as_law, refuse_labels, refuse_open, whole
from owo.geometry import Identity
from owo.geometry.maps import stream
from owo.iterates import adapted, reach_of
from owo.laws import CoinBetting, Frozen, acts_across, keeps_to_potential
from owo.ledger import Ledger
from owo.outputs import output_of
from owo.slots import Places, Slots, aligned
from owo.streams import Block, Task, as_blocks
from owo.streams.block import table
from owo.streams.codes import require_hashable
from owo.streams.points import as_points, as_rows, real
from owo.streams.sparse import SparseRows, is_matrix

Array = NDArray[np.float64]


class OnlineWithinOnline:
    """An online learner inside every task, around a bias that an online learner moves across tasks.

    Inside task t, at its i-th point ``(x, y)``, the learner predicts ``<x, w>`` with ``w = theta - c_i q``, where
    ``q`` is the sum of the task's subgradients so far and ``c_i`` follows the law ``inner``; it then pays
    ``loss.value(<x, w>, y)``. The bias is ``theta = centre - C G``, where ``C`` follows the law ``outer``, and ``G`` is
    the sum of the tasks' ``q``, taken when a task ends (``update="task"``), or of all subgradients, taken after
    every point (``update="point"``, the aggressive variant).

    Tasks may come one after another or interleaved point by point; every road (``run`` on any blocks, ``learn_one``)
    leads to the same numbers. Each run can be held against a bound on its regret: ``learner.ledger``.

    A loss of k scores, such as ``Softmax(k)``, has weights and a bias (d, k), and predicts ``W^T x`` (k,); all else is
    the same. Its ledger, and so a comparator for it, has weights flat, (d k,), rows of W one after another.

    Parameters
    ----------
    loss : a record of ``owo.losses`` or one made with ``@owo.loss`` (of k scores: ``@owo.losses.vector_loss``)
    inner : the law inside tasks; default ``CoinBetting()``, which has no step size
    outer : the law across tasks; default ``CoinBetting()``; ``Frozen()`` is independent task learning
    update : ``"point"`` (default) or ``"task"``: when the bias moves. Where many tasks are open at once, as in a file
        sorted by date, ``"task"`` learns late, or with a large step astray: take ``"point"``
    geometry : the metric M inside tasks, ``w = theta - c_i M q``: a record of ``owo.geometry`` that says how it is
        learned; default ``Identity()``, that is M = I
    bias : array (d,), or (d, k), the centre of the outer law; default zeros
    metric : where M starts: a number or, for ``Diagonal``, an array (d,); default 1

    Raises
    ------
    TypeError
        A part lacks a method, ``outer`` is a law that cannot act across tasks, or the loss has scores and ``inner`` or
        ``geometry`` cannot serve it.
    ValueError
        An unknown ``update``, a bias that is not a finite vector.

    Examples
    --------
    >>> import numpy as np, owo
    >>> rng = np.random.default_rng(0)
    >>> tasks = [(X := rng.normal(size=(10, 3)), X @ (5 + rng.normal(size=3))) for _ in range(200)]
    >>> learner = owo.OnlineWithinOnline(owo.Absolute())
    >>> ledger = learner.run(tasks)
    >>> bool(ledger.average_loss()[-1] < ledger.average_loss()[0] / 2)
    True
    """

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
    ) -> None:
        self.loss = as_any_loss(loss)
        self.inner = as_law(CoinBetting() if inner is None else inner, "inner")
        self.outer = as_law(CoinBetting() if outer is None else outer, "outer")
        if not acts_across(self.outer):
            raise TypeError(f"{outer!r} takes its gradients from the loss and works inside tasks only; "
                            "use a law such as owo.DualAveraging(0.1) as outer")  # fmt: skip
        if update not in ("task", "point"):
            raise ValueError(f"update is {update!r}; it must be 'task' (bias moves when a task ends) or 'point'")
        self.update = update
        self.geometry, self._start = _geometry(geometry, self.inner), metric
        self._output = output_of(self.loss, self.inner, self.geometry)
        self.d: int | None = None
        self._single: Any = None
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
        self._slots = Slots(size, self.inner, len(self._metric.play))
        self._single = None
        self._alone = 0
        self._ledger = Ledger(self.inner, self.outer, self.update, centre, repr(self), self.geometry, initial)

    # ------------------------------------------------------------------------------------------------ the state

    def _require_dimension(self, what: str) -> None:
        if self.d is None:
            raise ValueError(f"{what} has no dimension before any data: call run or learn_one first, or pass bias=")

    @property
    def ledger(self) -> Ledger:
        """What happened so far: losses, regret, certificates; see ``Ledger``."""
        self._require_dimension("the ledger")
        return self._ledger

    @property
    def bias(self) -> Array:
        """The meta-parameter theta as it stands, array (d,), or (d, k)."""
        self._require_dimension("the bias")
        return self._output.shaped(self._flat_bias())

    def _flat_bias(self) -> Array:
        if self.update == "task":
            return self._theta.copy()
        return self.centre - reach_of(self.outer, self._meta) * self._total

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
        return [] if self.d is None else list(self._slots.keys)

    def weights(self, task: Hashable = None) -> Array:
        """The weights (d,), or (d, k), the next prediction in an open ``task`` would use; the bias for any other."""
        require_hashable(task)
        self._require_dimension("the bias")
        w = self._flat_bias()
        if task is not None and task in self._slots.keys:
            j = self._slots.keys[task]
            slots = self._slots.arrays
            pull = slots.sums[j]
            if self._map is not None:
                pull = self._map.open[j].M @ pull
            elif len(self._metric.play):
                pull = slots.metrics[j] * pull
            w -= reach_of(self.inner, slots.states[j]) * pull
        return self._output.shaped(w)

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
        self.d, self._single, self._alone = d, None, min(self._alone, MANY - 1)

    # ------------------------------------------------------------------------------------------------- streaming

    def run(
        self,
        stream: Block | Task | Iterable[Any],
        *,
        points: bool = False,
        path_every: int = 0,
        progress: Callable[[int, int], None] | None = None,
    ) -> Ledger:
        """Learn from a stream; each block of it in one compiled call.

        Parameters
        ----------
        stream : ``Block``, ``Task``, or an iterable of these or of pairs ``(X, y)``, each pair a task; tasks without
            a key are numbered on from those that ended before
        points : keep the loss, prediction and label of every point in ``ledger.points``
        path_every : keep the bias in ``ledger.path``, and M in ``ledger.metric_path`` where it is learned, after every
            so many tasks (0: never)
        progress : called after each block with the numbers of points and of tasks ended so far

        Returns
        -------
        Ledger
            The learner's own ledger, with everything it has seen since it was made.

        Raises
        ------
        ValueError, TypeError
            From data that cannot be used; the block they are in leaves no trace, blocks before it stay learned.
        FloatingPointError
            A loss or gradient overflowed (steps too large, data unscaled); likewise without a trace.
        """
        stride = min(whole(path_every, "path_every"), _NEVER)
        empty = True
        for block in as_blocks(stream, self._next_number()):
            empty = False
            written = self._learn(block, stride, points)
            if points:
                keys = [block.keys[code] for code in block.task.tolist()]
                self._ledger.add_points(written.losses, written.predictions, block.y, keys)
            if progress is not None:
                progress(int(self._clock[kernels.POINTS]), int(self._clock[kernels.ENDED]))
        if empty:
            raise ValueError("the stream is empty; needed at least one task (has a generator been used up before?)")
        return self._ledger

    def learn_one(self, x: ArrayLike, y: float, task: Hashable) -> float | Any:
        """Predict for ``x`` (d,), suffer the loss against ``y``, learn; returns the prediction that was made, or (k,).

        ``task`` may be any hashable but None; a key that is not open begins a task. See ``end_task``.
        """
        if self._single is not None:
            try:
                prediction: float | None = self._single.learn(x, y, task)
            except TypeError:  # a key that cannot be hashed
                prediction = None
            if prediction is not None:
                return prediction
        if task is None:
            raise ValueError("task is None, which means no task; give the task a key, such as a name or a number")
        require_hashable(task)
        point, label = real(x, "x"), real(y, "y")
        if point.ndim != 1:
            raise ValueError(f"x has shape {point.shape}; learn_one takes one point (d,). Use run for many")
        if label.ndim != 0:
            raise ValueError(f"y has shape {label.shape}; learn_one takes one label. Use run for many")
        X, labels = as_points(point[None, :], label[None])
        with self._whole():
            self._accept(X, labels, lambda row: task)
            slot = self._slots.keys.get(task)
            taken = self._slots.take(1) if slot is None else []
            slots = np.array(taken if slot is None else [slot])
            written = self._output.room(1, 0, 0, len(self.centre), self._width)
            self._stream(X, labels, _FIRST, _NO, slots, slots, taken, written, 0, True, lambda row: task)
            self._slots.keys[task] = int(slots[0])
        self._alone += 1
        if self._alone >= MANY and self._single is None:
            from owo.single import Single  # a tenth of the time that ``import owo`` may take

            self._single = Single.of(self)
        return self._output.plain(written.predictions[0])

    def end_task(self, task: Hashable) -> None:
        """End an open task: with ``update="task"`` the bias now learns from it. The task's sums are forgotten.

        Raises ``KeyError`` if the task is not open.
        """
        require_hashable(task)
        if self.d is None or task not in self._slots.keys:
            some = ", ".join(map(repr, self.open_tasks[:5])) or "none"
            raise KeyError(f"task {task!r} is not open, so it cannot end; open now: {some}")
        written = kernels.room(0, 1, 0, len(self.centre), self._width, self._stage)
        j = self._slots.keys[task]
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
        self._ledger.append((task,), (0,), written, np.empty((0, 1)))

    # ------------------------------------------------------------------------------------------------ predicting

    def predict_one(self, x: ArrayLike, task: Hashable = None) -> float | Any:
        """The prediction ``<x, w>``, or (k,), for one point (d,) of an open task, or of a new one (w is the bias)."""
        if self._single is not None:
            try:
                prediction: float | None = self._single.predict(x, task)
            except TypeError:  # a key that cannot be hashed
                prediction = None
            if prediction is not None:
                return prediction
        point = real(x, "x")
        if point.ndim != 1:
            raise ValueError(f"x has shape {point.shape}; predict_one takes one point (d,). Use predict for many")
        return self._output.plain(self.predict(point[None, :], task)[0])

    def predict(self, X: ArrayLike, task: Hashable = None, *, weights: ArrayLike | None = None) -> Array:
        """Predictions (n,) for rows ``X`` (n, d) with given ``weights`` (d,), or with those of ``task`` as they stand.

        Of a loss of k scores (n, k), with weights (d, k). Before any data the weights are zero, whatever d.
        """
        rows = SparseRows.of(X) if is_matrix(X) else X if isinstance(X, SparseRows) else as_rows(X)
        if weights is not None:
            w = self._output.given(weights, "weights")
        else:
            w = self._nowhere(rows.shape[1]) if self.d is None else self.weights(task)
        self._same_width(rows.shape[1], len(w))
        return rows @ w

    def adapt(self, X: ArrayLike, y: ArrayLike, *, average: bool = False) -> Array:
        """Weights, as ``bias``, after one online pass over a new task around the bias; the learner does not change.

        ``X`` (n, d), ``y`` (n,). With ``average`` the mean of the n iterates that predicted, the one that carries
        the statistical guarantee (online-to-batch), else the last iterate. With ``update="task"`` that is what
        ``learn_one`` would use next; with ``"point"``, ``learn_one`` would have moved the bias too.
        """
        rows, labels = table(X, y)
        return np.array(self._adapted(Block(rows, labels, np.zeros(len(rows), np.int64), keys=("new",)), average)[0])

    def adapt_each(self, stream: Block | Task | Iterable[Any], *, average: bool = False) -> Array:
        """As ``adapt``, for every task of a stream on its own: weights (T, d), or (T, d, k), in order of beginning.

        This is how to measure what was learned on many tasks that nobody learns from, in one compiled pass.

        Raises
        ------
        ValueError, TypeError, FloatingPointError
            As ``run``; or a task goes on after its block.

        Examples
        --------
        >>> import owo
        >>> learner = owo.OnlineWithinOnline(owo.Absolute(), owo.DualAveraging(0.5), owo.Frozen(), bias=[2.0])
        >>> learner.adapt_each([([[1.0], [1.0]], [3.0, 3.0]), ([[1.0]], [0.0])]).tolist()
        [[3.0], [1.5]]
        """
        found = []
        for block in as_blocks(stream):
            refuse_open(block, "weights need")
            found.append(self._adapted(block, average))
        if not found:
            raise ValueError("the stream is empty; needed at least one task (has a generator been used up before?)")
        return np.concatenate(found)

    def _adapted(self, block: Block, average: bool) -> Array:
        """Weights of each of the block's tasks around the bias."""
        refuse_labels(self.loss, block.y, lambda row: block.keys[block.task[row]])
        bias = self._nowhere(block.d) if self.d is None else self.bias
        self._same_width(block.d, len(bias))
        if self._output.shape:
            return np.array([self._adapted_scores(task, bias, average) for task in block.tasks()])
        metric = self._begin_metric(block.d) if self.d is None else self.metric
        return adapted(self.loss, self.inner, block, bias, metric, average)

    def _adapted_scores(self, task: Task, bias: Array, average: bool) -> Array:
        """As ``_adapted``, for one task of k scores."""
        alone = OnlineWithinOnline(self.loss, self.inner, self.outer, "task", bias=bias)
        rows, stay = Block(task.X, task.y, np.zeros(task.n, np.int64), np.zeros(task.n, bool), ("new",)), []
        for row in range(task.n if average else 0):
            stay.append(alone.weights("new"))
            alone._learn(rows.rows(row, row + 1))
        if average:
            return np.asarray(np.mean(stay, axis=0))
        alone._learn(rows)
        return alone.weights("new")

    def _begin_metric(self, d: int) -> Array:
        """M before any data, as ``metric`` would give it."""
        _, metric, matrix = self.geometry.begun(d, self._start)
        if matrix is not None:
            return np.array(matrix.play)
        return metric.play.copy() if len(metric.play) else np.ones(1)

    def _nowhere(self, d: int) -> Array:
        """Weights before any data."""
        return self._output.shaped(np.zeros(d * self._output.size))

    # ----------------------------------------------------------------------------------------------- one block

    def _learn(self, block: Block, stride: int = 0, points: bool = False) -> kernels.Written:
        """Learn a block in one compiled call, or leave everything as it was."""
        with self._whole():
            self._accept(block.X, block.y, lambda row: block.keys[block.task[row]])
            slots, used, taken = self._slots.assign(block)
            closing = range(block.n_tasks) if block.contiguous else block.task[block.ends]
            ended = int(self._clock[kernels.ENDED])
            times = np.arange(ended // stride + 1, (ended + len(closing)) // stride + 1) * stride if stride else ()
            at = np.array(times, dtype=np.float64)
            written = self._output.room(
                block.n if points else 0, len(closing), len(at), len(self.centre), self._width, self._stage
            )
            self._stream(
                block.X, block.y, block.task, block.ends, slots, used, taken, written, stride,
                bool(self._slots.keys) or not block.contiguous, lambda row: block.keys[block.task[row]],
            )  # fmt: skip
            self._slots.settle(block, slots, taken)
            self._ledger.append(block.keys, closing, written, at[:, None])
        return written

    def _stream(
        self, X: Array, y: Array, task: Any, ends: Any, slots: Places, used: Places, taken: list[int],
        written: kernels.Written, stride: int, mixed: bool, key_of: Callable[[int], Hashable],
    ) -> None:  # fmt: skip
        """Run the kernel on checked points."""
        with self._undoing(used, taken):
            rows = X.parts if isinstance(X, SparseRows) else X

            def kernel(X: Array, Z: Array, y: Array, task: Any, ends: Any, written: Any) -> int:
                return self._output.run(
                    self.loss, self.inner, self.outer, self._seen, self.update == "point", mixed, X, Z, y, task, ends,
                    slots, self._across(), self._slots.arrays, self._clock, written, stride,
                )  # fmt: skip

            if self._map is None:
                done = kernel(rows, rows, y, task, ends, written)
            else:
                ended = int(self._clock[kernels.ENDED])
                path_rows = lambda row: (ended + row) // stride - ended // stride if stride else 0  # noqa: E731
                done = stream(self._map, kernel, X, y, task, ends, slots, written, path_rows)
            if done < len(y):
                raise FloatingPointError(
                    f"a loss, a gradient or their sum overflowed at row {done} (task {key_of(done)!r}), so nothing of "
                    f"this block was learned. Scale the features, or take smaller steps than {self.inner!r} and "
                    f"{self.outer!r}"
                )

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
        keys: list[Any] = [key for key in self._slots.keys if isinstance(key, numbers.Number)]  # 1.0 is 1, too
        begun = int(self._clock[kernels.ENDED]) + len(self._slots.keys)
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


MANY = 100
"""Points that come one by one, after which it pays to compile a door of their own."""

_NEVER = 2**62
"""So many tasks that they will not end."""

_FIRST, _NO = np.zeros(1, dtype=np.int64), np.zeros(1, dtype=bool)


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
