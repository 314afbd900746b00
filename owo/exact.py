r"""Meta-learning with a solver inside: exact meta-subgradients, the baseline for learning online within online.

With a bias theta, a metric M and a strength lambda, task t with n_t points has the regularised loss

    L_t(theta, M) = min_w  sum_i loss(<x_i, w>, y_i) + n_t lambda / 2 <w - theta, M^+ (w - theta)>

which is convex in (theta, M) together. With s_t the dual vector of its optimum and ``q_t = X_t^T s_t`` it has the
subgradients (envelope theorem)

    by theta:  q_t                by M:  - q_t q_t^T / (2 n_t lambda)

``ExactMeta`` follows these across tasks, where ``owo.OnlineWithinOnline`` takes what one online pass gives. Both leave
a ``bias`` and a ``metric`` behind, from which a new task is learned by either ``adapt_online`` or ``adapt_batch``: so
there are four mixtures of online and batch, in training and at test (Denevi et al., "Online-Within-Online
Meta-Learning", NeurIPS 2019, compare these).
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from owo import kernels
from owo.doors import as_geometry, as_law, as_loss, as_vector, positive, refuse_open, whole
from owo.geometry import Fixed, Identity
from owo.geometry.identity import Spent, norm
from owo.geometry.pieces import learn_alone
from owo.geometry.stages import Stages
from owo.laws import Account, CoinBetting, Frozen, GrowingFTRL, acts_across
from owo.online import OnlineWithinOnline
from owo.optimum import Optimum, task_optimum
from owo.streams import as_blocks

Array = NDArray[np.float64]


OVERFLOW = 1e150
"""Numbers above have no square."""


class History(NamedTuple):
    """What came of T tasks in a run of ``ExactMeta``; arrays (T,) unless said otherwise."""

    keys: tuple[Hashable, ...]
    values: Array
    """``L_t(theta_t, M_t)``: at the bias and the metric before the task was learned"""
    losses: Array
    """of the optimum, summed over the task's points, without regulariser"""
    gaps: Array
    """a value is at most this far above the minimum"""
    path: Array
    """the bias after the tasks numbered ``path_tasks``, (P, d)"""
    metric_path: Array
    """M after these, (P, K) or (P, d, d); (P, 0) where it is not learned. Its mean is the M that carries a statistical
    guarantee: see ``Ledger.metric_path``"""
    path_tasks: NDArray[np.int64]
    """how many tasks the learner had seen then, (P,)"""


class ExactMeta:
    """A bias and a metric learned across tasks from the exact subgradients of ``L_t``: a solver runs in every task.

    Parameters
    ----------
    loss : a record of ``owo.losses`` or one made with ``@owo.loss``
    strength : lambda > 0, in units of loss over the squared distance in the norm of the inverse of M. A feature map
        has trace 1, not d: compare strengths in the same metric
    outer : the law that moves the bias; default ``CoinBetting()``; ``Frozen()`` learns M alone
    geometry : what M may be and the law that moves it, a record of ``owo.geometry``; default ``Identity()``. Its
        ``gradient`` does not matter here: the one above is taken. It is the ``Paper()`` gradient of a run with
        ``GrowingFTRL(strength)`` whose slopes came from the optimum, so steps mean the same
    bias : array (d,), where the bias starts; default zeros
    metric : where M starts, as for ``OnlineWithinOnline``
    tolerance : of the optimum of every task, relative to ``1 + |L_t|``

    Raises
    ------
    TypeError
        A part lacks a method, or ``outer`` is a law that cannot act across tasks.
    ValueError
        A strength, a tolerance, a bias or a metric that is none.

    Examples
    --------
    >>> import numpy as np, owo
    >>> rng = np.random.default_rng(0)
    >>> tasks = [(X := rng.normal(size=(10, 3)), X @ (5.0 + 0.1 * rng.normal(size=3))) for _ in range(50)]
    >>> learner = ExactMeta(owo.Absolute(), 0.1, owo.AdaptiveNorm(5.0))
    >>> history = learner.run(tasks)
    >>> bool(history.values[-10:].mean() < 0.1 * history.values[:10].mean()), learner.bias.round().tolist()
    (True, [5.0, 5.0, 5.0])
    """

    def __init__(
        self,
        loss: Any,
        strength: float,
        outer: Any = None,
        geometry: Any = None,
        *,
        bias: ArrayLike | None = None,
        metric: ArrayLike | None = None,
        tolerance: float = 1e-8,
    ) -> None:
        self.loss, self.strength = as_loss(loss), positive(strength, "strength")
        self.outer = as_law(CoinBetting() if outer is None else outer, "outer")
        if not acts_across(self.outer):
            raise TypeError(f"{outer!r} takes its gradients from the loss and works inside tasks only; "
                            "use a law such as owo.DualAveraging(0.1) as outer")  # fmt: skip
        self.geometry = as_geometry(Identity() if geometry is None else geometry)
        self.tolerance, self._start = positive(tolerance, "tolerance"), metric
        self.tasks, self._gap = 0, 0.0
        self.d: int | None = None
        if bias is not None:
            self._open(as_vector(bias, "bias"))

    def __repr__(self) -> str:
        geometry = "" if isinstance(self.geometry, Identity) else f", geometry={self.geometry!r}"
        return f"ExactMeta({self.loss!r}, {self.strength!r}, outer={self.outer!r}{geometry})"

    def _open(self, centre: Array) -> None:
        """Set up all state, once the dimension is known."""
        d = len(centre)
        _, metric, self._map = self.geometry.begun(d, self._start)
        self._across = kernels.Across(
            centre, np.zeros(d), centre.copy(), np.zeros(d + 1), np.array(self.outer.start()),
            np.zeros(len(kernels.ACCOUNT)), metric,
        )  # fmt: skip
        self.d = d

    def _opened(self, what: str) -> kernels.Across:
        if self.d is None:
            raise ValueError(f"{what} has no dimension before any data: call run first, or pass bias=")
        return self._across

    @property
    def bias(self) -> Array:
        """The meta-parameter theta as it stands, array (d,)."""
        theta: Array = self._opened("the bias").play.copy()
        return theta

    @property
    def metric(self) -> Array:
        """M as it stands: one number (1,), the diagonal (d,), or a matrix (d, d)."""
        kept = self._opened("the metric").metric.play
        return np.array(self._map.play if self._map is not None else kept if len(kept) else np.ones(1))

    # -------------------------------------------------------------------------------------------------- learning

    def run(self, stream: Any, *, path_every: int = 0) -> History:
        """Learn from a stream, task by task.

        Parameters
        ----------
        stream : as for ``OnlineWithinOnline.run``; points of a task may be mixed with others', but a block has to hold
            all of a task. Tasks come in the order of their first points
        path_every : keep bias and metric after every so many tasks (0: never)

        Returns
        -------
        History
            Of the tasks of this stream.

        Raises
        ------
        ValueError, TypeError
            From data that cannot be used; tasks before it stay learned.
        FloatingPointError
            A gradient overflowed; likewise.

        Warns
        -----
        ConvergenceWarning
            The optimum of a task is not certified; its gap enters the certificate.
        """
        stride, found, path = whole(path_every, "path_every"), [], []
        for block in as_blocks(stream, self.tasks):
            refuse_open(block, "an optimum needs")
            for task in block.tasks():
                best = self._learn(task.X, task.y)
                found.append((task.key, best.value, best.loss, best.gap))
                if stride and self.tasks % stride == 0:
                    path.append((self.bias, self.metric if self.geometry.learns else np.empty(0), self.tasks))
        if not found:
            raise ValueError("the stream is empty; needed at least one task (has a generator been used up before?)")
        keys, values, losses, gaps = zip(*found, strict=True)
        width = (self.metric if self.geometry.learns else np.empty(0)).shape
        return History(
            keys, np.array(values), np.array(losses), np.array(gaps),
            np.array([bias for bias, _, _ in path]).reshape(-1, len(self.bias)),
            np.array([metric for _, metric, _ in path]).reshape(len(path), *width),
            np.array([tasks for _, _, tasks in path], dtype=np.int64),
        )  # fmt: skip

    def _learn(self, X: Array, y: Array) -> Optimum:
        """The optimum of a task around the bias and the metric as they stand, from which both then learn."""
        new = self.d is None
        if new:
            self._open(np.zeros(X.shape[1]))
        try:
            metric = None if isinstance(self.geometry, Identity) else self.metric
            best = task_optimum(self.loss, X, y, self.strength, self.bias, self.tolerance, metric=metric)
            q, scale = best.slopes @ X, 0.5 / (len(y) * self.strength)
            self._refuse_overflow(q, scale)
        except BaseException:
            self.d = None if new else self.d  # refused first data leave the dimension open
            raise
        if self.geometry.learns:
            self._move_metric(q, scale)
        kernels.learn_across(self.outer, self._across, q)
        self.tasks, self._gap = self.tasks + 1, self._gap + best.gap
        return best

    def _refuse_overflow(self, q: Array, scale: float) -> None:
        """Both learners square their gradients and add them up."""
        with np.errstate(over="ignore", invalid="ignore"):
            size = float(np.sum(q * q)) * max(1.0, scale) * (self.tasks + 1)
        if not size < OVERFLOW:
            raise FloatingPointError(
                f"the gradient of task number {self.tasks} overflowed, so it was not learned. Scale the features"
            )

    def _move_metric(self, q: Array, scale: float) -> None:
        """M learns from ``-scale q q^T``, or from what of it there is in its coordinates."""
        if self._map is not None:
            self._map.learn_outer(scale, q)
            return
        metric = self._across.metric
        squares = q * q if len(metric.play) == len(q) else np.array([q @ q])
        learn_alone(self.geometry, np.concatenate((-scale * squares, np.zeros(len(squares)))), metric)

    def certificate(self, bias: ArrayLike, metric: ArrayLike | None = None) -> float:
        """What ``sum_t [L_t(theta_t, M_t) - L_t(theta', M')]`` over all tasks so far cannot exceed, on any data.

        The regrets of the learners of theta and M, each from its own run, and the gaps of the solver: by convexity
        each difference is at most ``<q_t, theta_t - theta'> - <q_t q_t^T, M_t - M'> / (2 n_t lambda) + gap_t``.

        Parameters
        ----------
        bias : theta' (d,)
        metric : M', where it is learned; default: where M started
        """
        across = self._opened("the certificate")
        moved = norm(as_vector(bias, "bias", self.d) - across.centre)
        total = self._gap + float(self.outer.bound(Account(*across.account), moved))
        if not self.geometry.learns or not self.tasks:
            return total
        kept = across.metric if self._map is None else self._map
        initial, stage = kept.initial, np.zeros((1, self.geometry.stage(kept.initial.size)))
        if self._map is None:
            stage[0], slack = kept.spent, kept.sums[0]
        else:
            stage[0, -1], slack = kept.inverse, kept.slack
        stages = Stages(stage.shape[1])
        stages.append(stage, np.ones(1))
        spent = Spent(initial.ravel(), stages, np.array([slack]), np.ones(1))
        *_, learning = self.geometry.bound(
            spent, np.zeros((1, len(across.centre))), initial if metric is None else metric
        )
        return total + float(learning[0])


# ---------------------------------------------------------------------------------------------------- a new task


def adapt_online(
    loss: Any, X: ArrayLike, y: ArrayLike, strength: float, bias: ArrayLike | None = None,
    metric: ArrayLike | None = None,
) -> Array:  # fmt: skip
    """Weights (d,) of a new task by one online pass: the mean of its n iterates.

    They are ``w_i = theta - M q_{i-1} / (strength i)``, the ones that predicted.

    Parameters
    ----------
    loss, strength : as for ``ExactMeta``
    X, y : the task's points (n, d) and labels (n,), in the order of the pass
    bias : theta (d,); default 0
    metric : M: a number, a diagonal (d,) or a matrix (d, d); default 1

    Raises
    ------
    TypeError, ValueError, FloatingPointError
        As ``OnlineWithinOnline.adapt``.

    Examples
    --------
    >>> import owo
    >>> adapt_online(owo.Absolute(), [[1.0], [1.0]], [3.0, 3.0], strength=1.0, metric=2.0).tolist()  # of 0 and 1
    [0.5]
    """
    geometry = Identity() if metric is None else Fixed()
    alone = OnlineWithinOnline(
        loss, GrowingFTRL(strength), Frozen(), "task", geometry=geometry, bias=bias, metric=metric
    )
    return alone.adapt(X, y, average=True)


def adapt_batch(
    loss: Any, X: ArrayLike, y: ArrayLike, strength: float, bias: ArrayLike | None = None,
    metric: ArrayLike | None = None,
) -> Array:  # fmt: skip
    """Weights (d,) of a new task by the solver: the w of ``L(theta, M)``; arguments as of ``adapt_online``.

    ``owo.hindsight.task_optimum`` gives its certificate, too.

    Raises
    ------
    TypeError, ValueError
        As ``task_optimum``.

    Examples
    --------
    >>> import owo
    >>> adapt_batch(owo.Absolute(), [[1.0], [1.0]], [3.0, 3.0], strength=1.0, metric=2.0).round(6).tolist()
    [2.0]
    """
    return task_optimum(loss, X, y, strength, bias, metric=metric).weights
