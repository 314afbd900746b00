"""What was possible: the best bias, and the comparators that regret is measured against.

With a bias theta and a strength lambda, task t with n_t points has the regularised loss

    L_t(theta) = min_w  sum_i loss(<x_i, w>, y_i) + n_t lambda / 2 |w - theta|^2

``task_optimum`` and ``optima`` solve that, ``bias_optimum`` minimises ``sum_t L_t(theta)``. All three return a bound on
their own error. On them are built the comparators for ``Ledger.regret`` and ``Ledger.certificate``: ``own_optimum``,
``given_bias``, ``best_bias``, ``pooled``.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Hashable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from owo.ascent import Goal
from owo.doors import as_weights, is_vector_loss, positive, whole
from owo.optimum import (
    MAX_STEPS,
    MAX_SWEEPS,
    ConvergenceWarning,
    Optima,
    Optimum,
    Tasks,
    optima,
    regularisation_path,
    task_optimum,
    tasks_of,
)
from owo.streams.block import Block

__all__ = [
    "BiasOptimum",
    "Comparator",
    "ConvergenceWarning",
    "Optima",
    "Optimum",
    "best_bias",
    "bias_optimum",
    "given_bias",
    "optima",
    "own_optimum",
    "pooled",
    "regularisation_path",
    "task_optimum",
]

Array = NDArray[np.float64]


class BiasOptimum(NamedTuple):
    """The bias with the least ``sum_t L_t``; see ``bias_optimum``."""

    bias: Array
    """theta (d,), or flat (d k,)"""
    value: float
    """``sum_t L_t(theta)``"""
    lower: float
    """no bias within ``radius`` of this one has a smaller value than this"""
    radius: float
    gradient_norm: float
    """``|sum_t q_t|``"""
    certified: bool
    """``value - lower <= tolerance (1 + |value|)``"""
    solves: int
    """how often all tasks were solved"""
    optima: Optima
    """of the tasks, around theta"""


class Comparator(NamedTuple):
    """What a run is compared with: weights for every task, and a bias that they are near to."""

    name: str
    bias: Array
    """theta' (d,); of a loss of k scores flat, (d k,), and so below"""
    weights: Array
    """u_t (T, d), or (1, d) for all tasks alike"""
    losses: Array
    """(T,): the loss of ``u_t`` on task t, summed over its points, without regulariser"""
    keys: tuple[Hashable, ...] = ()
    """of the tasks"""
    metric: Any = None
    """M', where the run learned a metric; by default nearly the one of least certificate"""


# --------------------------------------------------------------------------------------------------- the best bias

# Within tasks: as exact as arithmetic allows, because errors of first order in s reach the gradient across tasks.
_EXACT = Goal(1e-13, 1e-18, MAX_SWEEPS), Goal(1e-13, 1e-18, MAX_STEPS)


def bias_optimum(
    loss: Any,
    block: Block,
    strength: float,
    tolerance: float = 1e-8,
    *,
    metric: ArrayLike | None = None,
    radius: float | None = None,
    max_solves: int = 300,
) -> BiasOptimum:
    """The single bias that would have served all tasks best: ``min_theta sum_t L_t(theta)``, with a certificate.

    The sum is convex and smooth, with gradient ``g = sum_t q_t``; Newton steps with Levenberg-Marquardt damping
    minimise it. The certificate: the dual value of each task is linear in theta, so for every theta' within ``radius``
    of theta

        sum_t L_t(theta')  >=  sum_t [L_t(theta) - gap_t] - radius |g|

    Parameters
    ----------
    loss, block, strength, tolerance, metric : as for ``optima``
    radius : of the ball in which the certificate holds; default ``1 + 2 |theta|``, which holds every bias of length up
        to ``1 + |theta|``
    max_solves : limit on the work, in solves of all tasks, at least 2; the usual need is about 10

    Raises
    ------
    TypeError, ValueError
        As ``optima``; ``radius`` or ``max_solves`` out of range. Nothing is solved before.

    Warns
    -----
    ConvergenceWarning
        The bias is not certified.

    Notes
    -----
    Memory: a copy of X, (d, d) numbers, and (n_t, n_t) for the longest task.

    In a singular metric the bias alone moves some predictions, so that the sum turns where the loss does. Newton steps
    then stop short for ``Absolute``, ``Hinge`` and their like, and the bias is not certified.

    For a loss of k scores the bias and all tasks are sought together (``owo.score_optimum``), flat, (d k,); ``solves``
    is then the passes over all points, and ``max_solves`` a limit on the proximal points. 300 tasks of 20 points in 10
    dimensions and 4 classes took 0.2 s at strength 1 and 0.4 s at 0.01 with ``Softmax``, and 3.8 and 2.9 s with
    ``MulticlassHinge``, of which 1.2 to 1.6 s are the interior point method that it starts from; that grows faster than
    the data: 2000 tasks of 20 points in 20 dimensions and 5 classes took 5 s with ``Softmax`` and 130 s with the hinge.

    Examples
    --------
    >>> import owo
    >>> block = owo.Block([[1.0], [1.0], [1.0]], [4.0, 5.0, 9.0], [0, 1, 2])
    >>> best = bias_optimum(owo.Absolute(), block, strength=0.5)
    >>> best.bias.round(6).tolist(), round(best.value, 6)
    ([5.5], 3.125)
    """
    tolerance, max_solves = positive(tolerance, "tolerance"), whole(max_solves, "max_solves", least=2)
    given = None if radius is None else positive(radius, "radius")
    tasks = tasks_of(loss, block, strength, metric)
    if is_vector_loss(loss):
        steps = Goal(tolerance, math.inf, MAX_STEPS)
        tasks.solve(None, (Goal(tolerance, math.inf, min(max_solves, MAX_SWEEPS)), steps), given)
        solves = tasks.evaluations
    else:
        solves = _newton(tasks, tolerance, given, max_solves)
    value, lower, radius, norm = _bounds(tasks, given)
    certified = math.isfinite(value) and value - lower <= tolerance * (1.0 + abs(value))
    if not certified:
        warnings.warn(
            f"the best bias is not certified: within {radius:.3g} of it some bias may be better by {value - lower:.3g} "
            f"of {value:.6g}, where {tolerance:g} (1 + value) was asked. Raise max_solves (now {max_solves}), strength "
            "or tolerance",
            ConvergenceWarning,
            stacklevel=2,
        )
    return BiasOptimum(tasks.bias, value, lower, radius, norm, certified, solves, tasks.optima(tolerance))


def _bounds(tasks: Any, given: float | None) -> tuple[float, float, float, float]:
    """``sum_t L_t``, what no bias in a radius is below, the radius, and the norm of the gradient."""
    value, norm = tasks.value(), float(np.linalg.norm(tasks.gradient()))
    radius = 1.0 + 2.0 * float(np.linalg.norm(tasks.bias)) if given is None else given
    return value, value - tasks.gap() - radius * norm, radius, norm


def _newton(tasks: Tasks, tolerance: float, given: float | None, max_solves: int) -> int:
    """Move the bias to the best one; the solves of all tasks that it took."""
    tasks.solve(np.zeros(tasks.d), _EXACT)
    tasks.solve(-tasks.moved(tasks.gradient()) / tasks.inertia, _EXACT)  # the mean of the tasks' optima around 0
    solves, damping = 2, 1e-3
    while True:
        value, lower, _, _ = _bounds(tasks, given)
        certified = value - lower <= tolerance * (1.0 + abs(value))
        if certified or solves >= max_solves or not math.isfinite(value):
            return solves
        damping, taken = _newton_step(tasks, damping, max_solves - solves)
        solves += taken


def _newton_step(tasks: Tasks, damping: float, limit: int) -> tuple[float, int]:
    """Move the bias by a Newton step, damped until it does not overshoot; the next damping, and the solves it took."""
    bias, gradient, hessian = tasks.bias, tasks.gradient(), tasks.hessian()
    for solves in range(1, limit + 1):
        step = -np.linalg.solve(hessian + damping * tasks.inertia / tasks.size**2 * np.eye(tasks.d), gradient)
        tasks.solve(bias + step, _EXACT)
        if tasks.gradient() @ step <= -0.5 * (gradient @ step):
            return max(0.1 * damping, 1e-10), solves
        damping *= 10.0
    tasks.solve(bias, _EXACT)
    return damping, limit


# ------------------------------------------------------------------------------------------------------ comparators


def own_optimum(loss: Any, block: Block, strength: float) -> Comparator:
    """Every task at its own optimum around 0: with a small strength, (nearly) the least loss that weights can have.

    The bias is the mean of these weights, each counted as often as its task has points: the bias that makes the
    spread ``sum_t n_t |u_t - bias|^2`` least, which is what certificates pay for.

    Raises
    ------
    TypeError, ValueError
        As ``optima``.

    Examples
    --------
    >>> import owo
    >>> block = owo.Block([[1.0], [1.0], [1.0]], [1.0, 1.0, 4.0], [0, 0, 1])
    >>> own = own_optimum(owo.Absolute(), block, strength=0.01)
    >>> own.weights.round(6).tolist(), own.bias.round(6).tolist()
    ([[1.0], [4.0]], [2.0])
    """
    found, lengths = optima(loss, block, strength), block.grouped().lengths
    return Comparator("own optimum", lengths @ found.weights / block.n, found.weights, found.losses, found.keys)


def given_bias(
    loss: Any, block: Block, strength: float, bias: ArrayLike, name: str = "given bias", *,
    metric: ArrayLike | None = None,
) -> Comparator:  # fmt: skip
    """Every task at its optimum around a bias (d,): the true mean of synthetic tasks, or 0 for independent learning.

    With a ``metric`` M', as for ``optima``, that is the optimum of ``L_t(theta', M')``; the comparator keeps M'.

    Raises
    ------
    TypeError, ValueError
        As ``optima``.

    Examples
    --------
    >>> import owo
    >>> block = owo.Block([[1.0], [1.0]], [0.0, 2.0], [0, 1])
    >>> given_bias(owo.Squared(), block, 1.0, [1.0], name="one").weights.round(3).tolist()
    [[0.5], [1.5]]
    """
    found = optima(loss, block, strength, bias, metric=metric)
    return Comparator(name, as_weights(bias, "bias", loss, block.d), found.weights, found.losses, found.keys, metric)


def best_bias(
    loss: Any, block: Block, strength: float, tolerance: float = 1e-8, *, metric: ArrayLike | None = None
) -> Comparator:
    """Every task at its optimum around the best single bias in hindsight; ``bias_optimum`` has its certificate.

    With a ``metric`` M', as for ``optima``, that is the best bias for it; the comparator keeps M'.

    Raises
    ------
    TypeError, ValueError
        As ``bias_optimum``.

    Examples
    --------
    >>> import owo
    >>> block = owo.Block([[1.0], [1.0]], [0.0, 2.0], [0, 1])
    >>> best_bias(owo.Squared(), block, 1.0).bias.round(6).tolist()
    [1.0]
    """
    best = bias_optimum(loss, block, strength, tolerance, metric=metric)
    return Comparator("best bias", best.bias, best.optima.weights, best.optima.losses, best.optima.keys, metric)


def pooled(loss: Any, block: Block, strength: float = 1e-6) -> Comparator:
    """One weight vector for the points of all tasks, ``min_w  sum_i loss + n strength / 2 |w|^2``; no spread.

    Raises
    ------
    TypeError, ValueError
        As ``optima``.

    Examples
    --------
    >>> import owo
    >>> block = owo.Block([[1.0], [1.0], [1.0]], [0.0, 0.0, 6.0], [0, 0, 1])
    >>> pooled(owo.Squared(), block).weights.round(3).tolist()
    [[2.0]]
    """
    tasks, together = tasks_of(loss, block, strength), block.grouped()
    weights = task_optimum(loss, np.asarray(together.X), together.y, strength).weights.ravel()
    return Comparator("pooled", weights, weights[None], tasks.losses_at(weights), tasks.keys)
