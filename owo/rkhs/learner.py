"""Online within online in the Hilbert space of a kernel: the bias and the tasks' weights are functions."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable
from itertools import groupby
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from owo import kernels
from owo.doors import as_law, as_loss, refuse_labels, whole
from owo.guard import Guard, alone
from owo.iterates import reach_of
from owo.laws import Account, CoinBetting, acts_across
from owo.ledger import Ledger
from owo.rkhs.expansion import NUMBERS, Expansion
from owo.rkhs.functions import Kernel, as_kernel
from owo.rkhs.ledger import KernelLedger
from owo.rkhs.state import Laws, State, begun, ended, learned
from owo.streams import Block, Task, as_blocks
from owo.streams.block import table
from owo.streams.codes import require_hashable
from owo.streams.points import as_points, as_rows, real
from owo.streams.sparse import SparseRows

Array = NDArray[np.float64]


class KernelOnlineWithinOnline:
    """``OnlineWithinOnline`` with a kernel k in place of the inner product of points (Gram form).

    Inside task t, at its i-th point, the learner predicts ``w(x)`` with the function ``w = theta - c_i q``, where
    ``q = sum_j s_j k(x_j, .)`` are the task's gradients so far, and the bias ``theta = -C G`` is a function too, which
    the learner across tasks moves. A round needs ``k(x, x)``, ``q(x)`` and ``G(x)`` only, so that every loss, every law
    and every certificate of ``OnlineWithinOnline`` serves unchanged; with ``Polynomial(1, 0.0)`` it is the same
    learner.

    G has a term for every point with a gradient. With a ``budget`` it is written with so many points whenever a task
    ends: the points that can be missed best are left out one by one, G is projected on the others, and the change e is
    one more gradient for the learner across tasks. What that may cost is in the certificate
    (``Certificate.overlap``), at most ``sum |e|`` times the norm of the comparator's bias.

    A comparator for the ledger, which knows functions by their distances only, comes from ``Nystroem``.

    Parameters
    ----------
    loss : a record of ``owo.losses`` or one made with ``@owo.loss``
    kernel : function of points A (m, d), B (n, d) that returns k(a, b) (m, n): symmetric, positive semidefinite,
        finite, in float64; a function of your own, or ``owo.rkhs.Gaussian(1.0)``
    inner, outer, update : as for ``OnlineWithinOnline``
    budget : the most points that the bias is written with between tasks, at least 1; default no limit

    Raises
    ------
    TypeError
        A part lacks a method, or ``kernel`` cannot be called.
    ValueError
        An unknown ``update``; a ``budget`` that is no whole number of at least 1.

    Notes
    -----
    A task of n points costs ``O(n (m + n))`` values of the kernel with a bias of m points, and a budget b
    ``O((b + n)^3)`` operations beside. Memory ``O(b^2)``, and ``O(n^2)`` for the longest task.

    Examples
    --------
    >>> import numpy as np, owo
    >>> rng = np.random.default_rng(0)
    >>> tasks = [(X := rng.uniform(-3, 3, (10, 1)), np.sin(2 * X[:, 0]) + rng.normal(0, 0.1)) for _ in range(100)]
    >>> learner = owo.rkhs.KernelOnlineWithinOnline(owo.Absolute(), owo.rkhs.Gaussian(0.5), budget=50)
    >>> ledger = learner.run(tasks)
    >>> float(ledger.losses[:5].mean().round(1)), float(ledger.losses[-5:].mean().round(1))
    (3.7, 0.8)
    >>> float(learner.predict([[np.pi / 4]])[0].round(1)), len(learner.bias.points)
    (1.0, 50)
    """

    def __init__(
        self,
        loss: Any,
        kernel: Kernel,
        inner: Any = None,
        outer: Any = None,
        update: Literal["task", "point"] = "point",
        *,
        budget: int | None = None,
    ) -> None:
        inner = as_law(CoinBetting() if inner is None else inner, "inner")
        outer = as_law(CoinBetting() if outer is None else outer, "outer")
        if not acts_across(outer):
            raise TypeError(f"{outer!r} takes its gradients from the loss and works inside tasks only; "
                            "use a law such as owo.DualAveraging(0.1) as outer")  # fmt: skip
        if update not in ("task", "point"):
            raise ValueError(f"update is {update!r}; it must be 'task' (bias moves when a task ends) or 'point'")
        limit = None if budget is None else whole(budget, "budget", 1)
        self._laws = Laws(as_kernel(kernel), as_loss(loss), inner, outer, update == "point", limit)
        self._state: State | None = None
        self.d: int | None = None
        self._guard = Guard()
        self._ledger: Ledger = KernelLedger(inner, outer, update, np.zeros(2), repr(self))

    def __repr__(self) -> str:
        kernel, loss, inner, outer, every_point, budget = self._laws
        limit = "" if budget is None else f", budget={budget}"
        return (
            f"KernelOnlineWithinOnline({loss!r}, {kernel!r}, inner={inner!r}, outer={outer!r}, "
            f"update={'point' if every_point else 'task'!r}{limit})"
        )

    # ------------------------------------------------------------------------------------------------ the state

    @property
    def ledger(self) -> Ledger:
        """What happened so far: losses, regret, certificates; see ``Ledger``. Comparators: ``Nystroem.distances``."""
        return self._ledger

    @property
    def bias(self) -> Expansion:
        """The meta-parameter theta as it stands, a function of points."""
        return self.weights()

    @property
    def open_tasks(self) -> list[Hashable]:
        """Keys of the tasks that have begun and not ended."""
        return [] if self._state is None else list(self._state.open)

    def weights(self, task: Hashable = None) -> Expansion:
        """The function the next prediction in an open ``task`` would use; the bias for any other."""
        require_hashable(task)
        state = self._known("the bias")
        points, coefficients = state.total.points, -reach_of(self._laws.outer, state.meta) * state.total.coefficients
        own = None if task is None else state.open.get(task)
        if own is not None:
            scale = reach_of(self._laws.inner, own.state)
            points = np.concatenate([points, own.points])
            coefficients = np.concatenate([coefficients, -scale * own.kept])
        return Expansion(self._laws.kernel, points, coefficients)

    def _known(self, what: str) -> State:
        if self._state is None:
            raise ValueError(f"{what} has no dimension before any data: call run or learn_one first")
        return self._state

    # ------------------------------------------------------------------------------------------------- streaming

    @alone
    def run(self, stream: Block | Task | Iterable[Any], *, points: bool = False) -> Ledger:
        """Learn from a stream of blocks, tasks, or pairs ``(X, y)``; see ``OnlineWithinOnline.run``.

        Points must be dense. A block that cannot be used, be it for the kernel, leaves no trace.

        Raises
        ------
        ValueError, TypeError
            From data that cannot be used, or a kernel that is not symmetric, positive semidefinite and finite where it
            was asked; whatever a kernel raises itself comes through.
        FloatingPointError
            A loss or gradient overflowed.
        """
        empty = True
        for block in as_blocks(stream, self._next_number()):
            empty = False
            losses, predictions = self._learn(block)
            if points:
                keys = [block.keys[code] for code in block.task.tolist()]
                self._ledger.add_points(losses, predictions, block.y, keys)
        if empty:
            raise ValueError("the stream is empty; needed at least one task (has a generator been used up before?)")
        return self._ledger

    @alone
    def learn_one(self, x: ArrayLike, y: float, task: Hashable) -> float:
        """Predict for ``x`` (d,), suffer the loss against ``y``, learn; returns the prediction that was made.

        ``task`` may be any hashable but None; a key that is not open begins a task. See ``end_task``.
        """
        if task is None:
            raise ValueError("task is None, which means no task; give the task a key, such as a name or a number")
        require_hashable(task)
        point, label = real(x, "x"), real(y, "y")
        if point.ndim != 1 or label.ndim != 0:
            raise ValueError(f"x has shape {point.shape} and y {label.shape}; learn_one takes one point (d,) and one "
                             "label. Use run for many")  # fmt: skip
        X, labels = as_points(point[None, :], label[None])
        state = self._accept(X, labels, lambda row: task)
        after, written, _ = self._sound(state, X, labels, task, 0)
        self._state, self.d = after, X.shape[1]
        return float(written.predictions[0])

    @alone
    def end_task(self, task: Hashable) -> None:
        """End an open task: with ``update="task"`` the bias now learns from it. The task's sums are forgotten.

        Raises ``KeyError`` if the task is not open.
        """
        require_hashable(task)
        if self._state is None or task not in self._state.open:
            some = ", ".join(map(repr, self.open_tasks[:5])) or "none"
            raise KeyError(f"task {task!r} is not open, so it cannot end; open now: {some}")
        after, account, numbers = ended(self._laws, self._state, task)
        written = self._rows([(account, numbers, after.tally)])
        self._state = after
        self._ledger.append((task,), (0,), written, np.empty((0, 1)))

    # ------------------------------------------------------------------------------------------------ predicting

    def predict(self, X: ArrayLike, task: Hashable = None, *, weights: Expansion | None = None) -> Array:
        """Predictions (n,) for points X (n, d), of given ``weights``, or of those of ``task`` as they stand.

        Before any data they are zero, whatever d.
        """
        if weights is None and self._state is None:
            return np.zeros(len(as_rows(X)))
        if weights is not None and not isinstance(weights, Expansion):
            raise TypeError(
                f"weights is a {type(weights).__name__}; needed a function, owo.rkhs.Expansion, such as adapt returns"
            )
        return (self.weights(task) if weights is None else weights)(X)

    def predict_one(self, x: ArrayLike, task: Hashable = None) -> float:
        """The prediction ``w(x)`` for one point (d,) of an open task, or of a new one (w is the bias)."""
        point = real(x, "x")
        if point.ndim != 1:
            raise ValueError(f"x has shape {point.shape}; predict_one takes one point (d,). Use predict for many")
        return float(self.predict(point[None, :], task)[0])

    def adapt(self, X: ArrayLike, y: ArrayLike, *, average: bool = False) -> Expansion:
        """The function after one online pass over a new task around the bias; the learner does not change.

        ``X`` (n, d), ``y`` (n,). With ``average`` the mean of the n functions that predicted, else the last.
        """
        rows, labels = table(X, y)
        state = self._accept(rows, labels, lambda row: "new")
        alone = self._laws._replace(every_point=False)  # the bias stays where it is
        key = object()
        means = np.zeros(len(rows))
        for row in range(len(rows)) if average else ():
            state, _, done = learned(alone, state, rows[row : row + 1], labels[row : row + 1], key)
            state = self._whole(state, done, 1, "new", row)
            own = state.open[key]
            if row + 1 < len(rows):
                means[: len(own.kept)] -= reach_of(alone.inner, own.state) * own.kept / len(rows)
        if not average:
            state, _, done = learned(alone, state, rows, labels, key)
            self._whole(state, done, len(rows), "new", 0)
            own = state.open[key]
            means = -reach_of(alone.inner, own.state) * own.kept
        bias = -reach_of(alone.outer, state.meta) * state.total.coefficients
        points = np.concatenate([state.total.points, own.points])
        return Expansion(alone.kernel, points, np.concatenate([bias, means[: len(own.points)]]))

    # ----------------------------------------------------------------------------------------------- one block

    def _learn(self, block: Block) -> tuple[Array, Array]:
        """Learn a block, or leave everything as it was."""
        state = self._accept(block.X, block.y, lambda row: block.keys[block.task[row]])
        losses, predictions, rows, closing = np.empty(block.n), np.empty(block.n), [], []
        last = 0
        for code, together in groupby(block.task.tolist()):
            key, end = block.keys[code], last + len(list(together))
            while last < end:
                first, last = last, min(end, last + self._at_once(state, key, end - last))
                piece = slice(first, last)
                state, written, _ = self._sound(state, block.X[piece], block.y[piece], key, first)
                losses[piece], predictions[piece] = written.losses, written.predictions
            if block.ends[last - 1]:
                state, account, numbers = ended(self._laws, state, key)
                rows.append((account, numbers, state.tally))
                closing.append(code)
        written = self._rows(rows)
        self._state, self.d = state, block.d
        self._ledger.append(block.keys, closing, written, np.empty((0, 1)))
        return losses, predictions

    @staticmethod
    def _at_once(state: State, key: Hashable, n: int) -> int:
        """How many of the next n points of a task may be met at once, for the memory that their products take."""
        own = state.open.get(key)
        return max(16, NUMBERS // (len(state.total.points) + (0 if own is None else len(own.points)) + n))

    def _sound(self, state: State, X: Array, y: Array, key: Hashable, first: int) -> tuple[State, kernels.Written, int]:
        after, written, done = learned(self._laws, state, X, y, key)
        return self._whole(after, done, len(y), key, first), written, done

    def _whole(self, state: State, done: int, n: int, key: Hashable, first: int) -> State:
        if done < n:
            raise FloatingPointError(
                f"a loss, a gradient or their sum overflowed at row {first + done} (task {key!r}), so nothing of this "
                f"block was learned. Scale the features, or take smaller steps than {self._laws.inner!r} and "
                f"{self._laws.outer!r}"
            )
        return state

    def _rows(self, rows: list[tuple[Array, Array, Array]]) -> kernels.Written:
        """Rows for the ledger, of tasks that ended."""
        written = kernels.room(0, len(rows), 0, 2)
        for k, (account, numbers, tally) in enumerate(rows):
            written.accounts[k], written.tasks[k], written.tallies[k] = account, numbers, tally
            pulls = account[Account._fields.index("pull")] + tally[Account._fields.index("pull")]
            fine = kernels.sound(account.tolist()) and kernels.sound(tally.tolist())
            if not (fine and math.isfinite(sum(numbers.tolist()) + float(pulls))):
                raise FloatingPointError(
                    "the sums of a task overflowed, so nothing was learned. Scale the features, or take smaller steps "
                    f"than {self._laws.inner!r} and {self._laws.outer!r}"
                )
        return written

    def _accept(self, X: Any, y: Array, key_of: Any) -> State:
        if isinstance(X, SparseRows):
            raise TypeError("X is sparse; a kernel needs dense points: pass X.toarray()")
        refuse_labels(self._laws.loss, y, key_of)
        if self.d is not None and X.shape[1] != self.d:
            raise ValueError(
                f"points have {X.shape[1]} features; this learner has {self.d}. Give every task the same columns"
            )
        return begun(self._laws, X.shape[1]) if self._state is None else self._state

    def _next_number(self) -> int:
        """A number above all that tasks without a key have had, and above those of open tasks."""
        if self._state is None:
            return 0
        keys: list[Any] = [key for key in self._state.open if isinstance(key, (int, float, np.number))]
        begun = int(self._state.clock[kernels.ENDED]) + len(self._state.open)
        return max([begun, *(int(abs(key)) + 1 for key in keys if math.isfinite(abs(key)))])
