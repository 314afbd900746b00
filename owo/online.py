"""Online within online: a stream of tasks, a learner inside each, a learner across them.

The paper's bias instance (Denevi, Stamos, Ciliberto, Pontil, "Online-Within-Online Meta-Learning", NeurIPS 2019)
is ``OnlineWithinOnline(loss, inner=GrowingFTRL(strength), outer=DualAveraging(step), update="task")``.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Hashable, Iterable
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from owo import kernels, saved
from owo._record import as_state
from owo.delayed import Asked, Linear, Point
from owo.doors import (
    as_vector,
    refuse_labels,
    refuse_open,
    whole,
)
from owo.engine import Engine
from owo.guard import alone
from owo.iterates import adapted
from owo.ledger import Ledger
from owo.resuming import Saves, position_of, rest_of
from owo.spill import Spill
from owo.streams import Block, Task, as_blocks
from owo.streams.block import table
from owo.streams.codes import require_hashable
from owo.streams.points import as_points, as_rows, real
from owo.streams.sparse import SparseRows, is_matrix

Array = NDArray[np.float64]


class OnlineWithinOnline(Engine):
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
    history : what the ledger keeps: ``"tasks"`` (default), a row for each, about 200 bytes; or ``"spans"``, a bounded
        number of rows, each the sum over a span of tasks: for streams without an end. See ``owo.SpanLedger``
    spill : ``owo.Spill(most, folder)``: of more open tasks than that, those not met for longest are kept on disk

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

    def run(
        self,
        stream: Block | Task | Iterable[Any],
        *,
        points: bool = False,
        path_every: int = 0,
        progress: Callable[[int, int], None] | None = None,
        bad: Literal["raise", "skip"] = "raise",
        autosave: str | os.PathLike[str] | None = None,
        every: float = 60.0,
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
        bad : what to do with a point that cannot be learned, because numbers overflow or the loss does not take its
            label: ``"raise"``, or ``"skip"`` it and count it in ``skipped``
        autosave : a file that the learner is saved to (see ``save``) between blocks, and at the end. With a stream from
            ``owo.streams.from_file`` it remembers how far it came: see ``rest_of``. A save that fails in between warns,
            and the run goes on; the last one raises ``OSError``
        every : seconds between two of these, at least

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
        if bad not in ("raise", "skip"):
            raise ValueError(f"bad is {bad!r}; it must be 'raise' or 'skip' (points that cannot be learned, and count)")
        with self._guard.held():
            self._run(stream, points, stride, progress, bad == "skip", Saves(self, autosave, every))
        return self._ledger

    def _run(
        self, stream: Any, points: bool, stride: int, progress: Callable[[int, int], None] | None, skip: bool,
        saves: Saves,
    ) -> None:  # fmt: skip
        empty, where = True, position_of(stream)
        for block in as_blocks(stream, self._next_number):
            empty = False
            for part, written in self._learned(block, stride, points, skip):
                if points:
                    keys = [part.keys[code] for code in part.task.tolist()]
                    self._ledger.add_points(written.losses, written.predictions, part.y, keys)
            self.position = where() if where else None
            if progress is not None:
                progress(int(self._clock[kernels.POINTS]), int(self._clock[kernels.ENDED]))
            saves.now_and_then()
        taken_up = where is not None and stream.position > 0  # at the end, or with rows that were all left out
        if self.d is None and (taken_up or not empty):
            raise ValueError("no point of the stream could be learned; learner.skipped and stream.skipped say why")
        if empty and not taken_up:
            raise ValueError("the stream is empty; needed at least one task (has a generator been used up before?)")
        self.position = where() if where else None
        saves.at_the_end()

    def learn_one(self, x: ArrayLike, y: float, task: Hashable) -> float | Any:
        """Predict for ``x`` (d,), suffer the loss against ``y``, learn; returns the prediction that was made, or (k,).

        ``task`` may be any hashable but None; a key that is not open begins a task. See ``end_task``.
        """
        single = self._single
        if single is not None:
            prediction: float = single.learn(x, y, task)
            if prediction != prediction:
                prediction = single.learn_found(x, y, task)
            if prediction == prediction:
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
        with self._guard.held(), self._whole():
            self._accept(X, labels, lambda row: task)
            predictions = self._meet(X, labels, task)
            self._count_alone(self._alone + 1)
        return self._output.plain(predictions[0])

    # -------------------------------------------------------------------------------------------- labels that come late

    @alone
    def ask(self, x: ArrayLike, task: Hashable) -> Asked:
        """Predict for ``x`` (d,) now, and learn when ``tell`` brings the label; see ``owo.delayed``.

        Returns the prediction and a ticket. Points may wait as long as they have to, of any tasks, and labels come in
        any order; memory is d floats each. A task ends only when none of its points waits. Where labels come more than
        a few points late take laws with a step (``GrowingFTRL``, ``DualAveraging``): bettors stake on what they knew.
        """
        if task is None:
            raise ValueError("task is None, which means no task; give the task a key, such as a name or a number")
        if self._output.shape:
            raise TypeError(f"{self.loss!r} has {self._output.size} scores; labels can be late for one prediction only")
        require_hashable(task)
        point = as_vector(x, "x", self.d)
        if self.d is None:
            self._open(np.zeros(len(point)))
        base = float(self._flat_bias() @ point)
        return self._waiting.add(Point(task, point, float(self.predict_one(point, task)), base))

    @alone
    def tell(self, ticket: int, y: float) -> float:
        """Learn from the label of a point that was asked; returns the loss that its prediction had suffered.

        The subgradient is taken at that prediction, and the certificate counts what the delay cost, exactly. A law
        that takes its gradients from the loss (``Implicit``) takes an explicit one.

        Raises
        ------
        KeyError
            No point waits under this ticket.
        ValueError, FloatingPointError
            As ``learn_one``; the point goes on waiting.
        """
        if self.d is None:
            raise KeyError(f"ticket {ticket!r} was never given; 0 points wait for their labels")
        task, x, asked, asked_base = self._waiting.point(ticket)
        label = as_vector([y] if np.ndim(y) == 0 else y, "y", 1)
        refuse_labels(self.loss, label, lambda row: task)
        value = float(self.loss.value(asked, label[0]))
        slope = float(self.loss.subgradient(asked, label[0]))
        if not math.isfinite(value + slope):
            raise FloatingPointError(f"the loss or its slope overflowed (task {task!r}), so nothing was learned")
        j, base = self._slots.find(task), float(self._flat_bias() @ x)
        before = (0.0, 0.0) if j is None else self._slots.arrays.tasks[j, :2].tolist()
        now = float(self._meet(x[None, :], _ZERO, task, Linear(slope))[0])
        j = self._slots.keys[task]  # just met, so in memory
        self._slots.arrays.tasks[j, :2] = kernels.compensated(*before, value)
        del self._waiting.points[ticket]
        self._waiting.pay(task, slope * (asked - now))
        self._tell_laws(j, slope * (asked - asked_base - now + base), slope * (asked_base - base))
        return value

    def _tell_laws(self, j: int, inside: float, across: float) -> None:
        """Tell the laws what a delay cost beyond what they have seen: bettors lower their wealth by it."""
        row = self._slots.arrays.states[j]
        row[:] = self.inner.late(as_state(self.inner.start(), row), inside)
        if self.update == "point":
            self._meta[:] = self.outer.late(as_state(self.outer.start(), self._meta), across)

    @alone
    def drop(self, ticket: int) -> None:
        """Forget a point whose label will not come; ``KeyError`` if none waits under this ticket."""
        if self.d is None:
            raise KeyError(f"ticket {ticket!r} was never given; 0 points wait for their labels")
        self._waiting.point(ticket)
        del self._waiting.points[ticket]

    @property
    def waiting(self) -> dict[int, Hashable]:
        """The tasks of the points that wait for their labels, by ticket."""
        return {} if self.d is None else {ticket: point.task for ticket, point in self._waiting.points.items()}

    # ------------------------------------------------------------------------------------------------------ on the disk

    @alone
    def save(self, path: str | os.PathLike[str]) -> None:
        """Write all there is of the learner to one file: whole, or not at all (see ``owo.checkpoint``).

        Everything but ``ledger.points``: open tasks, the ledger, points that wait, the position in a file. No pickle;
        a learner that was loaded goes on with the same bits. Task keys can be numbers, strings, bytes, dates of NumPy,
        and tuples of these.

        Raises
        ------
        OSError
            It cannot be written; a file that was there before is as it was.
        TypeError
            A task key of another kind.
        """
        saved.save(self, path)

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], *, loss: Any = None, inner: Any = None, outer: Any = None,
        geometry: Any = None, spill: Spill | None = None,
    ) -> OnlineWithinOnline:  # fmt: skip
        """The learner that ``save`` wrote.

        A loss, law or geometry of your own is not in ``owo``: pass it again, and ``spill`` if tasks shall be. The
        file is data and can do nothing, so it may come from a stranger.

        Raises
        ------
        FileNotFoundError, OSError
            It is not there, or cannot be read.
        ValueError
            It is damaged, or no learner that this version reads; or what was passed is not what it was made with.

        Examples
        --------
        >>> import pathlib, tempfile, owo
        >>> path = pathlib.Path(tempfile.mkdtemp(), "learner.owo")
        >>> learner = owo.OnlineWithinOnline(owo.Absolute())
        >>> _ = learner.learn_one([1.0, 2.0], 3.0, "oslo")
        >>> learner.save(path)
        >>> again = OnlineWithinOnline.load(path)
        >>> again.learn_one([1.0, 0.5], 2.0, "oslo") == learner.learn_one([1.0, 0.5], 2.0, "oslo")
        True
        """
        given = {"loss": loss, "inner": inner, "outer": outer, "geometry": geometry}
        return saved.load(cls, path, given, spill)

    def rest_of(self, stream: Any) -> Any:
        """What is left of a stream of ``owo.streams.from_file`` after what this learner, saved in between, has seen.

        All of it, if the learner has met no points. Raises ``ValueError`` if it is not the same file, read the same
        way, or the learner met points of another origin.
        """
        return rest_of(stream, self.position, self.points_met)

    # ------------------------------------------------------------------------------------------------------- predicting

    def predict_one(self, x: ArrayLike, task: Hashable = None) -> float | Any:
        """The prediction ``<x, w>``, or (k,), for one point (d,) of an open task, or of a new one (w is the bias)."""
        single = self._single
        if single is not None:
            prediction: float = single.predict(x, task)
            if prediction != prediction:
                prediction = single.predict_found(x, task)
            if prediction == prediction:
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


_NEVER = 2**62
"""So many tasks that they will not end."""

_ZERO = np.zeros(1)
