"""Certified optima of tasks: the weights of least regularised loss, and how far from least they can be at most.

``task_optimum`` solves one task, ``optima`` all tasks of a block in one compiled pass (``owo.ascent``, then
``owo.climbing``). The certificate is a duality gap, which holds whatever the solver did; an optimum that misses its
tolerance is warned about.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Hashable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from owo import ascent, climbing
from owo.ascent import GAP, LOSS, MOVED, STEPS, SWEEPS, VALUE, Data, Goal, Room
from owo.curvature import curvature
from owo.doors import as_block, as_loss, as_weights, is_vector_loss, positive, refuse_labels, whole
from owo.geometry.matrices import root_of
from owo.rotation import restore, rotate
from owo.streams.block import Block
from owo.streams.points import as_points

Array = NDArray[np.float64]

MAX_SWEEPS, MAX_STEPS = 50, 300
"""Limits on the work for one task: sweeps of coordinate ascent, then Newton steps; more than 60 of these are rare."""


_AS_IT_IS = Goal(math.inf, math.inf, 0)


class ConvergenceWarning(UserWarning):
    """An optimum that is not certified to the tolerance asked for; its ``gap`` still bounds its error."""


class Optimum(NamedTuple):
    """The optimum of one task; see ``task_optimum``."""

    weights: Array
    """w (d,), or (d, k)"""
    slopes: Array
    """s (n,), or (n, k): a subgradient of the loss at each point, with ``w = bias - M sum_i s_i x_i / (n strength)``"""
    value: float
    """P(w), the regularised loss"""
    gap: float
    """P(w) is at most this far above the minimum"""
    certified: bool
    """``gap <= tolerance (1 + |value|)``"""
    loss: float
    """``sum_i loss(<x_i, w>, y_i)`` without the regulariser"""
    sweeps: int
    """of coordinate ascent, with Newton steps between them if points are few; proximal points for a loss of scores"""
    steps: int
    """of Newton's method, after the sweeps; passes over all points for a loss of scores"""


class Optima(NamedTuple):
    """The optima of T tasks, in the order of ``block.keys``; fields as in ``Optimum``; see ``optima``."""

    keys: tuple[Hashable, ...]
    weights: Array
    """(T, d), or flat (T, d k)"""
    slopes: Array
    """(n,), or (n, k), in the order of ``block.grouped()``"""
    values: Array
    gaps: Array
    certified: NDArray[np.bool_]
    losses: Array
    pulls: Array
    """(T, d): ``q_t = sum_i s_i x_i``, the gradient of ``L_t`` at the bias"""
    sweeps: NDArray[np.int64]
    steps: NDArray[np.int64]


def task_optimum(
    loss: Any,
    X: ArrayLike,
    y: ArrayLike,
    strength: float,
    bias: ArrayLike | None = None,
    tolerance: float = 1e-8,
    *,
    metric: ArrayLike | None = None,
    max_sweeps: int = MAX_SWEEPS,
    max_steps: int = MAX_STEPS,
) -> Optimum:
    """The weights of least regularised loss on one task, with a certificate.

    ``min_w  sum_i loss(<x_i, w>, y_i) + n strength / 2 |w - bias|^2``, the distance in the norm of the inverse of a
    metric M: ``<w - bias, M^+ (w - bias)>``, and w - bias in the range of M. With ``M = A A^T`` and ``w = bias + A v``
    that is the plain problem for v on points ``A^T x_i`` whose predictions start at ``<x_i, bias>``.

    Parameters
    ----------
    loss : an instance of a class made with ``@owo.loss``, or of k scores, which has weights (d, k)
    X, y : the points (n, d) and labels (n,)
    strength : lambda > 0, in units of loss over |w|^2
    bias : theta (d,), or (d, k), or that flat; default 0
    tolerance : the gap asked for, relative to ``1 + |value|``
    metric : M, positive semidefinite: a number, a diagonal (d,) or a matrix (d, d); default 1
    max_sweeps, max_steps : limits on the work, whole numbers of at least 0

    Raises
    ------
    TypeError
        ``loss`` is no loss; points, labels or bias are not real numbers.
    ValueError
        Shapes that do not fit, NaN or infinity; labels that the loss does not take; strength, tolerance or a limit
        out of range; a metric that is not positive semidefinite.

    Warns
    -----
    ConvergenceWarning
        The optimum is not certified.

    Examples
    --------
    >>> import owo
    >>> best = task_optimum(owo.Absolute(), [[1.0], [1.0], [1.0]], [0.0, 1.0, 5.0], strength=0.01)
    >>> best.weights.round(3).tolist(), best.certified
    ([1.0], True)
    >>> task_optimum(owo.Squared(), [[1.0, 1.0]], [3.0], strength=1.0, metric=[2.0, 0.0]).weights.round(3).tolist()
    [2.0, 0.0]
    """
    X, y = as_points(X, y)
    tasks = _kind(loss)(loss, X, y, np.array([0, len(y)], dtype=np.int64), ("the task",), strength, metric)
    tasks.solve(as_weights(bias, "bias", loss, tasks.d), _goals(tolerance, max_sweeps, max_steps))
    found = tasks.optima(tolerance)
    _warn(found, tolerance, max_steps)
    weights = found.weights[0].reshape(tasks.d, *found.slopes.shape[1:])
    return Optimum(
        weights, found.slopes, float(found.values[0]), float(found.gaps[0]), bool(found.certified[0]),
        float(found.losses[0]), int(found.sweeps[0]), int(found.steps[0]),
    )  # fmt: skip


def optima(
    loss: Any,
    block: Block,
    strength: float,
    bias: ArrayLike | None = None,
    tolerance: float = 1e-8,
    *,
    metric: ArrayLike | None = None,
    max_sweeps: int = MAX_SWEEPS,
    max_steps: int = MAX_STEPS,
    threads: int = 1,
) -> Optima:
    """``task_optimum`` for every task of a block, in one compiled pass.

    The rows of a task need not stand together. Arguments and errors as there; T tasks, n points in all. ``threads``
    share the tasks, for losses of one prediction; no number depends on how many.

    Raises
    ------
    TypeError, ValueError
        As ``task_optimum``; ``block`` is not an ``owo.Block``.

    Warns
    -----
    ConvergenceWarning
        Some optima are not certified.

    Examples
    --------
    >>> import owo
    >>> block = owo.Block([[1.0], [1.0], [1.0]], [0.0, 1.0, 3.0], [0, 1, 1], keys=["a", "b"])
    >>> found = optima(owo.Squared(), block, strength=1.0)
    >>> dict(zip(found.keys, found.weights[:, 0].round(3).tolist()))
    {'a': 0.0, 'b': 1.0}
    """
    tasks = tasks_of(loss, block, strength, metric)
    tasks.threads = whole(threads, "threads", 1)
    tasks.solve(as_weights(bias, "bias", loss, tasks.d), _goals(tolerance, max_sweeps, max_steps))
    found: Optima = tasks.optima(tolerance)
    _warn(found, tolerance, max_steps)
    return found


SHORT = 64
"""Points of a task, at most, that keep their inner products while their slopes are sought."""


def regularisation_path(
    loss: Any,
    block: Block,
    strengths: Iterable[float],
    bias: ArrayLike | None = None,
    tolerance: float = 1e-8,
    *,
    metric: ArrayLike | None = None,
    threads: int = 1,
) -> list[Optima]:
    """``optima`` for one strength after another, each from the slopes of the one before; of one prediction.

    The nearer a strength is to the last one, the less there is to do: give them in order, say from large to small, to
    choose one by validation. Each of the answers is certified by itself, wherever it began. Arguments and errors as
    ``optima``.

    Examples
    --------
    >>> import owo
    >>> block = owo.Block([[1.0], [1.0], [1.0]], [0.0, 1.0, 3.0], [0, 1, 1])
    >>> [each.weights[1].round(2).tolist() for each in regularisation_path(owo.Squared(), block, [10.0, 1.0, 0.1])]
    [[0.18], [1.0], [1.82]]
    """
    steps = [positive(strength, "strength") for strength in strengths]
    if not steps:
        raise ValueError("there is no strength; give at least one, in units of loss over |w|^2")
    tasks, goals = tasks_of(as_loss(loss), block, steps[0], metric), _goals(tolerance, MAX_SWEEPS, MAX_STEPS)
    start, found = as_weights(bias, "bias", loss, tasks.d), []
    tasks.threads = whole(threads, "threads", 1)
    for strength in steps:
        tasks.strength = strength
        tasks.solve(start, goals)
        found.append(tasks.optima(tolerance))
        _warn(found[-1], tolerance, MAX_STEPS)
    return found


class Tasks:
    """Tasks whose rows stand together, ready for the kernels; each solve starts from the slopes of the one before.

    ``X`` (n, d), ``y`` (n,) and ``offsets`` (T + 1,) of T tasks with ``keys``. With a metric ``M = A A^T`` the kernels
    see the points ``A^T x`` (``seen``), and ``theta + A v`` is what ``theta + v`` is without one.
    """

    threads = 1
    """that share the tasks of a solve"""

    def __init__(
        self, loss: Any, X: Array, y: Array, offsets: NDArray[np.int64], keys: tuple[Hashable, ...], strength: float,
        metric: ArrayLike | None = None,
    ) -> None:  # fmt: skip
        self.loss, self.keys, self.strength = as_loss(loss), keys, positive(strength, "strength")
        refuse_labels(loss, y)
        self.n, self.d = X.shape
        self.root = None if metric is None else root_of(metric, self.d)
        self.size = 1.0 if self.root is None else float(np.linalg.norm(self.root, 2)) or 1.0
        self.seen = X if self.root is None else X @ self.root
        lengths, width = np.diff(offsets), self.seen.shape[1]
        k = min(width, int(lengths.max()))
        rows = self.seen if lengths.min() >= width else np.empty((self.n, k))
        if rows is not self.seen:
            rotate(self.seen, offsets, rows)
        points = np.zeros((self.n, ascent.KEPT + 1))
        points[:, ascent.SQUARE] = np.einsum("ij,ij->i", self.seen, self.seen)
        self.data = Data(X, rows, y, offsets, points, _room(k))
        self.shifts, self.results = np.zeros((len(lengths), k)), np.zeros((len(lengths), STEPS + 1))
        self.bias = np.zeros(self.d)

    @property
    def inertia(self) -> float:
        """``sum_t n_t strength``."""
        return float(self.strength * self.n)

    def solve(self, bias: Array, goals: tuple[Goal, Goal]) -> None:
        """The optima around a bias: stage one, then stage two for the tasks that need it."""
        first, second = goals
        self.bias = bias
        self.data.points[:, ascent.BASE] = self.data.X @ bias
        self._shared(ascent.ascend, first)
        gaps, sizes, moved = self.results[:, GAP], 1.0 + np.abs(self.results[:, VALUE]), self.results[:, MOVED]
        if not np.all((gaps <= second.tolerance * sizes) & (moved <= second.still)):
            self._shared(climbing.climb, second)

    def _shared(self, stage: Any, goal: Goal) -> None:
        """A stage on all tasks, by threads that have about the same number of points each, and room of their own."""
        offsets = self.data.offsets
        count = min(self.threads, len(self.keys))
        cuts = np.searchsorted(offsets, np.linspace(0, self.n, count + 1)[1:-1])
        ends = np.unique(np.concatenate(([0], cuts, [len(self.keys)]))).tolist()

        def part(start: int, stop: int) -> None:
            data = self.data._replace(offsets=offsets[start : stop + 1])
            if count > 1:
                data = data._replace(room=_room(self.shifts.shape[1]))
            stage(self.loss, data, self.strength, goal, self.shifts[start:stop], self.results[start:stop])

        if len(ends) == 2:
            part(*ends)
            return
        with ThreadPoolExecutor(count) as pool:
            list(pool.map(part, ends[:-1], ends[1:]))

    def losses_at(self, weights: Array) -> Array:
        """The loss of each task, (T,), at one vector of weights for all."""
        self.solve(weights, (_AS_IT_IS, _AS_IT_IS))
        losses: Array = self.results[:, LOSS].copy()
        return losses

    def value(self) -> float:
        """``sum_t L_t(bias)``."""
        return float(self.results[:, VALUE].sum())

    def gap(self) -> float:
        """How far ``value`` is above what it should be, at most."""
        return float(self.gaps().sum())

    def gaps(self) -> Array:
        """How far each task is above its optimum at most, (T,): the duality gaps, and what rounding may hide in them.

        A prediction is known to about a unit in the last place of ``|x| (|bias| + |A| |v|)``, however small it is
        itself.
        """
        squares = self.data.points[:, ascent.SQUARE]
        if self.root is not None:
            squares = np.einsum("ij,ij->i", self.data.X, self.data.X)
        slopes, lengths = np.abs(self.data.points[:, ascent.SLOPE]), np.sqrt(squares)
        reach = float(np.linalg.norm(self.bias)) + self.size * np.linalg.norm(self.shifts, axis=1)
        met = np.add.reduceat(slopes * lengths, self.data.offsets[:-1]) * reach
        known: Array = np.maximum(self.results[:, GAP], 0.0) + ascent.ROUNDING * (met + self.results[:, LOSS])
        return known

    def gradient(self) -> Array:
        """``sum_t q_t``."""
        return self.data.X.T @ self.data.points[:, ascent.SLOPE]

    def moved(self, pull: Array) -> Array:
        """``M pull``."""
        return pull if self.root is None else self.root @ (self.root.T @ pull)

    def hessian(self) -> Array:
        """A generalised Hessian of ``sum_t L_t``, (d, d)."""
        longest = int(np.diff(self.data.offsets).max())
        factor, root = np.empty((longest, longest)), np.empty_like(self.data.X)
        curvature(self.loss, self.data, self.strength, self.shifts, factor, root)
        return root.T @ root

    def optima(self, tolerance: float) -> Optima:
        """What was found, in the coordinates of X."""
        slopes = self.data.points[:, ascent.SLOPE].copy()
        weights, pulls = np.empty((2, len(self.keys), self.seen.shape[1]))
        start = self.bias if self.root is None else np.zeros(self.seen.shape[1])
        restore(self.seen, self.data.rows, self.data.offsets, slopes, start, self.shifts, weights, pulls)
        if self.root is not None:
            weights = self.bias + weights @ self.root.T
            pulls = np.add.reduceat(slopes[:, None] * self.data.X, self.data.offsets[:-1], axis=0)
        values, losses = self.results[:, [VALUE, LOSS]].T.copy()
        gaps = self.gaps()
        certified = np.isfinite(values) & (gaps <= tolerance * (1.0 + np.abs(values)))
        sweeps, steps = self.results[:, [SWEEPS, STEPS]].T.astype(np.int64)
        return Optima(self.keys, weights, slopes, values, gaps, certified, losses, pulls, sweeps, steps)


def _room(width: int) -> Room:
    """Room for one thread."""
    products, matrix = np.empty((2, SHORT + 1, SHORT))
    return Room(np.empty((width + 3, width)), products, matrix, np.empty(SHORT, np.int64))


def tasks_of(loss: Any, block: Block, strength: float, metric: ArrayLike | None = None) -> Any:
    """The ``Tasks``, or for a loss of scores the ``ScoreTasks``, of a block in the order of its keys."""
    kind, together = _kind(loss), as_block(block).grouped()
    offsets = np.concatenate(([0], np.cumsum(together.lengths, dtype=np.int64)))
    return kind(loss, np.asarray(together.X), together.y, offsets, together.keys, strength, metric)


def _kind(loss: Any) -> Any:
    if not is_vector_loss(loss):
        return Tasks
    from owo.score_optimum import ScoreTasks

    return ScoreTasks


def _goals(tolerance: float, max_sweeps: int, max_steps: int) -> tuple[Goal, Goal]:
    tolerance = 0.9 * positive(tolerance, "tolerance")  # what rounding may hide comes on top of a gap
    sweeps, steps = whole(max_sweeps, "max_sweeps"), whole(max_steps, "max_steps")
    return Goal(tolerance, math.inf, sweeps), Goal(tolerance, math.inf, steps)


def _warn(found: Optima, tolerance: float, max_steps: int) -> None:
    """Never silent: how many optima are not certified, the worst of them, and what to do."""
    count = int(np.count_nonzero(~found.certified))
    if count:
        relative = found.gaps / (1.0 + np.abs(found.values))
        worst = int(np.argmax(np.nan_to_num(relative, nan=np.inf)))
        warnings.warn(
            f"{count} of {len(found.keys)} optima are not certified; the worst, of task {found.keys[worst]!r}, may be "
            f"{relative[worst]:.3g} (1 + |value|) above the minimum, where {tolerance:g} was asked. Raise max_steps "
            f"(now {max_steps}), strength or tolerance; centre y if it is far from 0; run owo.checks on your own loss",
            ConvergenceWarning,
            stacklevel=3,
        )
