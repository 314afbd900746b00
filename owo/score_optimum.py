r"""Certified optima of tasks for losses of k scores, around a bias or together with the best one.

With ``N_t = n_t strength``, a bias theta (d, k) and ``W_t = theta + V_t`` the smallest

    sum_t [ sum_i loss(W_t^T x_i, y_i) + N_t/2 |V_t|^2 ]

over all V_t, or over theta, too, is sought by L-BFGS (Liu and Nocedal 1989) and, where that does not see further, by
Newton steps whose linear systems Krylov methods solve; both are SciPy's. With the slopes ``s_i`` found and the pulls
``Q_t = sum_i x_i s_i^T`` the weights are ``W_t = theta - Q_t / N_t``, and they are certified whatever the solver did:

    sum_{i in t} [loss(p_i, y_i) + loss*(s_i, y_i) - <s_i, p_i>]  >=  L_t - min L_t,       p_i = W_t^T x_i

A loss that turns, and has ``prox_slopes``, is smoothed around the slopes so far, which are proximal points of the dual
(Rockafellar 1976): after a few of them what was smoothed is exact. They start from what an interior point method finds
if the loss has an ``expression``. One without ``prox_slopes`` is taken to be smooth. Points that nearly lie in fewer
dimensions may leave a hinge short of the tolerance, which ``owo.hindsight`` then says.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Hashable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from owo.ascent import ROUNDING, Goal
from owo.doors import as_vector_loss, positive, refuse_labels
from owo.geometry.matrices import root_of
from owo.losses.decorator import default_prox_slopes
from owo.optimum import Optima
from owo.proximal import certify, visit

Array = NDArray[np.float64]

NARROW, LEAST, NEAR = 0.2, 1e-3, 1e-4
"""Smoothing narrows by so much until it is ``LEAST``; only a relative gap below ``NEAR`` is worth Krylov methods."""

WORTH, AGAIN = 10, 6
"""Steps of L-BFGS for one of Newton's; rounds, ever more exact, for a smooth loss."""


class ScoreTasks:
    """Tasks whose rows stand together, for a loss of k scores; for ``owo.hindsight`` what ``Tasks`` is of one.

    ``X`` (n, d), ``y`` (n,) and ``offsets`` (T + 1,) of T tasks with ``keys``; all weights are flat, (d k,).
    """

    def __init__(
        self, loss: Any, X: Array, y: Array, offsets: NDArray[np.int64], keys: tuple[Hashable, ...], strength: float,
        metric: ArrayLike | None = None,
    ) -> None:  # fmt: skip
        self.loss, self.keys, self.strength = as_vector_loss(loss), keys, positive(strength, "strength")
        refuse_labels(loss, y)
        self.n, self.d = X.shape
        self.root = None if metric is None else root_of(metric, self.d)
        self.X, self.y, self.offsets = X, y, offsets
        self.seen = X if self.root is None else X @ self.root
        k, T = int(loss.classes), len(keys)
        self.inertias = np.diff(offsets) * self.strength
        self.inertia = self.strength * self.n
        self.slopes, self.held, self.steps = np.zeros((self.n, k)), np.zeros((self.n, k)), np.zeros(self.n)
        self.pulls, self.points, self.gaps_of = np.zeros((T, self.seen.shape[1] * k)), *np.zeros((2, self.n))
        self.bias, self.free, self.sweeps, self.evaluations = np.zeros(self.d * k), False, 0, 0

    # ------------------------------------------------------------------------------------------------- solving

    def solve(self, bias: Array | None, goals: tuple[Goal, Goal], radius: float | None = None) -> None:
        """The optima around a bias (d k,), or with None around the best one; see ``error`` for when that is enough.

        Proximal points are at most as many as the first goal's limit, steps to each as the second's.
        """
        self.free, self.radius = bias is None, radius
        self.bias = np.zeros_like(self.bias) if bias is None else bias
        proximal = type(self.loss).prox_slopes is not default_prox_slopes
        squares = np.einsum("ij,ij->i", self.seen, self.seen) / np.repeat(self.inertias, np.diff(self.offsets))
        z, soft, limit = self._start(proximal), 1.0, goals[1].limit
        for sweep in range(max(goals[0].limit if proximal else min(goals[0].limit, AGAIN), 1)):
            self.steps[:] = soft * squares if proximal else 0.0
            self.sweeps = sweep + 1
            for approach in (self._descended, self._polished):
                z = approach(z, limit, max(1e-6 * 0.1**sweep, 1e-13))
                self._certify(z)
                if self.error() <= goals[1].tolerance or (proximal and self._apart() > NEAR):
                    break
            if self.error() <= goals[1].tolerance:
                break
            self.held[:] = self.slopes
            soft = max(NARROW * soft, LEAST)

    def _start(self, proximal: bool) -> Array:
        """Where to start from, and slopes to hold: for a loss that turns, what an interior point method finds."""
        size = self.pulls.size + self.free * self.bias.size
        self.held[:] = 0.0
        if not proximal or not hasattr(self.loss, "expression"):
            return np.zeros(size)
        from owo import reference

        task, fixed = np.repeat(np.arange(len(self.keys)), np.diff(self.offsets)), None if self.free else self.bias
        try:
            found = reference.multipliers(self.loss, self.X, self.seen, self.y, task, self.inertias, fixed)
        except Exception:
            logging.getLogger(__name__).info("cvxpy found no start; from 0", exc_info=True)
            return np.zeros(size)
        self.held[:] = found.slopes
        theta = [found.bias * math.sqrt(self.inertia)] if self.free else []
        return np.concatenate([(found.shifts * np.sqrt(self.inertias)[:, None]).ravel(), *theta])

    def error(self) -> float:
        """How far the worst task, or with a free bias the sum of all, may be above its least, relative to 1 + value."""
        if not self.free:
            return float(np.max(self.gaps() / (1.0 + np.abs(self.values()))))
        return (self.gap() + self.reach() * float(np.linalg.norm(self.gradient()))) / (1.0 + abs(self.value()))

    def reach(self) -> float:
        """The radius in which the bias is held against others."""
        return 1.0 + 2.0 * float(np.linalg.norm(self.bias)) if self.radius is None else self.radius

    def _apart(self) -> float:
        return self.gap() / (1.0 + abs(self.value()))

    def _parts(self, z: Array) -> tuple[Array, Array]:
        """Scaled V (T, r k), and theta: what a unit moves costs as much in each."""
        v = z[: self.pulls.size].reshape(self.pulls.shape)
        return v, z[self.pulls.size :] / math.sqrt(self.inertia) if self.free else self.bias

    def _objective(self, z: Array) -> tuple[float, Array]:
        """What is minimised, and its gradient."""
        v, theta = self._parts(z)
        roots = np.sqrt(self.inertias)[:, None]
        visit(
            self.loss, self.X, self.seen, self.y, self.offsets, theta, v / roots, self.steps, self.held, self.slopes,
            self.pulls, self.points,
        )  # fmt: skip
        self.evaluations += 1
        parts = [(v + self.pulls / roots).ravel(), *([self.gradient() / math.sqrt(self.inertia)] if self.free else ())]
        return float(self.points.sum() + 0.5 * np.sum(v * v)), np.concatenate(parts)

    def _descended(self, z: Array, limit: int, still: float) -> Array:
        from scipy.optimize import minimize

        options = {"maxiter": WORTH * limit, "maxfun": 2 * WORTH * limit, "maxcor": 20, "ftol": 0.0, "gtol": still}
        found: Array = minimize(self._objective, z, jac=True, method="L-BFGS-B", options=options).x
        return found

    def _polished(self, z: Array, limit: int, still: float) -> Array:
        """Closer by the gradient alone, which says more near the least than differences of values."""
        from scipy.optimize import root

        value, gradient = self._objective(z)
        options = {"fatol": min(1e-13 * (1.0 + abs(value)), still), "maxiter": min(limit, 12),
                   "jac_options": {"method": "minres", "inner_maxiter": 100}}  # fmt: skip
        try:
            with np.errstate(all="ignore"):  # 0/0 where a step is 0
                found: Array = root(lambda z: self._objective(z)[1], z, method="krylov", options=options).x
        except ValueError:  # a gradient that jumps has no Jacobian
            return z
        nearer = np.linalg.norm(self._objective(found)[1]) < np.linalg.norm(gradient)
        return found if nearer else z

    def _certify(self, z: Array) -> None:
        """Losses and gaps at the weights that the slopes at z lead to."""
        _, self.bias = self._parts(z)
        self._objective(z)
        self._meet(-self.pulls / self.inertias[:, None])

    def _meet(self, V: Array) -> None:
        self.shifts = V
        certify(
            self.loss, self.X, self.seen, self.y, self.offsets, self.bias, V, self.slopes, self.points, self.gaps_of
        )  # fmt: skip

    # ------------------------------------------------------------------------------------------- what was found

    def losses(self) -> Array:
        """Of each task, summed over its points, (T,)."""
        return np.add.reduceat(self.points, self.offsets[:-1])

    def losses_at(self, weights: Array) -> Array:
        """The same for one vector of weights (d k,) for all tasks."""
        self.bias = weights
        self._meet(np.zeros_like(self.pulls))
        return self.losses()

    def values(self) -> Array:
        """``L_t(bias)`` of each task, (T,)."""
        found: Array = self.losses() + 0.5 * self.inertias * np.sum(self.shifts**2, axis=1)
        return found

    def value(self) -> float:
        """``sum_t L_t(bias)``."""
        return float(self.values().sum())

    def gaps(self) -> Array:
        """How far each task is above its optimum at most, (T,): the duality gaps, and what rounding may hide in them.

        Scores are known to about a unit in the last place of ``|x| (|bias| + |A| |V|)``, however small they are.
        """
        size = 1.0 if self.root is None else float(np.linalg.norm(self.root, 2))
        reach = float(np.linalg.norm(self.bias)) + size * np.linalg.norm(self.shifts, axis=1)
        lengths = np.linalg.norm(self.X, axis=1) * np.linalg.norm(self.slopes, axis=1)
        met = np.add.reduceat(lengths, self.offsets[:-1]) * reach
        gaps = np.add.reduceat(self.gaps_of, self.offsets[:-1])
        known: Array = np.maximum(gaps, 0.0) + ROUNDING * (met + self.losses())
        return known

    def gap(self) -> float:
        """How far ``value`` is above what it should be, at most."""
        return float(self.gaps().sum())

    def gradient(self) -> Array:
        """``sum_t Q_t``, flat: the gradient by the bias."""
        return (self.X.T @ self.slopes).ravel()

    def weights(self) -> Array:
        """``W_t``, (T, d k)."""
        if self.root is None:
            return self.bias + self.shifts
        T, r = len(self.keys), self.root.shape[1]
        moved: Array = np.einsum("dr,trk->tdk", self.root, self.shifts.reshape(T, r, -1))
        return self.bias + moved.reshape(T, -1)

    def task_pulls(self) -> Array:
        """``Q_t``, (T, d k)."""
        if self.root is None:
            return self.pulls.copy()
        each = (self.X[:, :, None] * self.slopes[:, None, :]).reshape(self.n, -1)
        return np.add.reduceat(each, self.offsets[:-1], axis=0)

    def optima(self, tolerance: float) -> Optima:
        """What was found; weights and pulls flat."""
        values, gaps = self.values(), self.gaps()
        certified = np.isfinite(values) & (gaps <= tolerance * (1.0 + np.abs(values)))
        sweeps, steps = (np.full(len(self.keys), count, dtype=np.int64) for count in (self.sweeps, self.evaluations))
        return Optima(
            self.keys, self.weights(), self.slopes.copy(), values, gaps, certified, self.losses(), self.task_pulls(),
            sweeps, steps,
        )  # fmt: skip
