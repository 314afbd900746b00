"""The problems of ``owo.hindsight`` in cvxpy, for verification: slow, and independent of every kernel.

They need the loss's ``expression(p, y)``, its twin in cvxpy. Losses of k scores have weights (d, k) where a single task
is solved, and flat ones (d k,), as in a ``Ledger``, where there are many. Solver and tolerances are arguments. A result
that the solver does not call optimal is an error, never a number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from owo.doors import as_any_loss, as_block, as_weights, is_vector_loss, positive, refuse_labels
from owo.streams.block import Block
from owo.streams.points import as_points

Array = NDArray[np.float64]

SOLVER = "CLARABEL"
OPTIONS: Mapping[str, Any] = MappingProxyType(
    {"tol_gap_abs": 1e-10, "tol_gap_rel": 1e-10, "tol_feas": 1e-10, "max_iter": 200}
)
"""CLARABEL's tolerances: duality gap (absolute, relative) and feasibility, a hundredth of its defaults."""


class Solution(NamedTuple):
    """What the solver found."""

    value: float
    """the objective at these weights"""
    weights: Array
    """(d,) or (d, k); of ``best_bias`` (T, d) or (T, d k), in the order of ``block.keys``"""
    bias: Array
    """(d,), (d, k) or (d k,), as the weights: the one given, or found"""
    status: str
    """the solver's own word"""


def task_optimum(
    loss: Any,
    X: ArrayLike,
    y: ArrayLike,
    strength: float,
    bias: ArrayLike | None = None,
    *,
    solver: str = SOLVER,
    options: Mapping[str, Any] = OPTIONS,
) -> Solution:
    """``min_w  sum_i loss(<x_i, w>, y_i) + n strength / 2 |w - bias|^2``; as ``hindsight.task_optimum``.

    Parameters
    ----------
    loss : a loss with ``expression``
    X, y, strength, bias : as there
    solver, options : for ``cvxpy.Problem.solve``; other solvers have other names for their tolerances

    Raises
    ------
    TypeError
        The loss has no ``expression``; otherwise as there.
    ValueError
        As there.
    RuntimeError
        The solver does not call its result optimal.

    Examples
    --------
    >>> import owo
    >>> task_optimum(owo.Squared(), [[1.0], [1.0]], [0.0, 3.0], strength=0.5).weights.round(6).tolist()
    [1.0]
    """
    import cvxpy

    X, y = as_points(X, y)
    centre = as_weights(bias, "bias", as_any_loss(loss), X.shape[1])
    centre = centre.reshape(X.shape[1], -1) if is_vector_loss(loss) else centre
    weights = cvxpy.Variable(centre.shape)
    spread = cvxpy.sum_squares(weights - centre)
    objective = _total(loss, X @ weights, y) + 0.5 * len(y) * positive(strength, "strength") * spread
    value, status = _solved(objective, solver, options)
    return Solution(value, np.asarray(weights.value), centre, status)


def best_bias(
    loss: Any, block: Block, strength: float, *, solver: str = SOLVER, options: Mapping[str, Any] = OPTIONS
) -> Solution:
    """``min over theta and all w_t  sum_t [sum_i loss(<x_i, w_t>, y_i) + n_t strength / 2 |w_t - theta|^2]``, jointly.

    As ``hindsight.bias_optimum``; arguments and errors as in ``task_optimum``.

    Raises
    ------
    TypeError, ValueError, RuntimeError
        As ``task_optimum``; ``block`` is not an ``owo.Block``.

    Examples
    --------
    >>> import owo
    >>> block = owo.Block([[1.0], [1.0]], [0.0, 2.0], [0, 1])
    >>> best_bias(owo.Squared(), block, strength=1.0).bias.round(6).tolist()
    [1.0]
    """
    import cvxpy

    tasks, lengths = as_block(block).n_tasks, np.bincount(block.task)
    size = block.d * _scores(loss)
    weights, bias = cvxpy.Variable((tasks, size)), cvxpy.Variable((1, size))
    predictions = _predictions(loss, np.asarray(block.X), weights[block.task])
    spread = cvxpy.sum_squares(cvxpy.multiply(np.sqrt(lengths)[:, None], weights - np.ones((tasks, 1)) @ bias))
    objective = _total(loss, predictions, block.y) + 0.5 * positive(strength, "strength") * spread
    value, status = _solved(objective, solver, options)
    return Solution(value, np.asarray(weights.value), np.asarray(bias.value)[0], status)


def pooled(
    loss: Any, block: Block, strength: float, *, solver: str = SOLVER, options: Mapping[str, Any] = OPTIONS
) -> Solution:
    """``min_w  sum_i loss(<x_i, w>, y_i) + n strength / 2 |w|^2`` over all points; as ``hindsight.pooled``.

    Raises
    ------
    TypeError, ValueError, RuntimeError
        As ``task_optimum``; ``block`` is not an ``owo.Block``.

    Examples
    --------
    >>> import owo
    >>> block = owo.Block([[1.0], [1.0], [1.0]], [0.0, 0.0, 6.0], [0, 0, 1])
    >>> pooled(owo.Squared(), block, strength=1.0).weights.round(6).tolist()
    [1.0]
    """
    block = as_block(block)
    return task_optimum(loss, np.asarray(block.X), block.y, strength, solver=solver, options=options)


class Multipliers(NamedTuple):
    """Where dual methods start from: all but exact weights, and slopes that may leave the conjugate's domain."""

    bias: Array
    """(d k,)"""
    shifts: Array
    """V_t, (T, r k)"""
    slopes: Array
    """(n, k)"""


def multipliers(
    loss: Any, X: Array, seen: Array, y: Array, task: Any, inertias: Array, bias: Array | None
) -> Multipliers:
    """The problem of ``score_optimum``, around a bias or (None) the best one, with its multipliers.

    Raises
    ------
    RuntimeError
        The solver does not call its result optimal.
    """
    import cvxpy

    k, d, r = loss.classes, X.shape[1], seen.shape[1]
    shifts, theta = cvxpy.Variable((len(inertias), r * k)), cvxpy.Variable((1, d * k))
    fixed = [] if bias is None else [theta == bias[None, :]]
    scores = cvxpy.Variable((len(y), k))
    base = cvxpy.vstack([X @ theta[0, c::k] for c in range(k)]).T
    meet = scores == base + _predictions(loss, seen, shifts[task])
    spread = cvxpy.sum_squares(cvxpy.multiply(np.sqrt(inertias)[:, None], shifts))
    _solved(_total(loss, scores, y) + 0.5 * spread, SOLVER, OPTIONS, [meet, *fixed])
    return Multipliers(np.asarray(theta.value)[0], np.asarray(shifts.value), -np.asarray(meet.dual_value))


def _scores(loss: Any) -> int:
    return int(loss.classes) if is_vector_loss(loss) else 1


def _predictions(loss: Any, X: Array, weights: Any) -> Any:
    """What each row (n, d) predicts with flat weights of its own, (n, d) or (n, d k): (n,), or (n, k)."""
    import cvxpy

    if not is_vector_loss(loss):
        return cvxpy.sum(cvxpy.multiply(X, weights), axis=1)
    k = _scores(loss)
    return cvxpy.vstack([cvxpy.sum(cvxpy.multiply(X, weights[:, c::k]), axis=1) for c in range(k)]).T


def _total(loss: Any, predictions: Any, y: Array) -> Any:
    import cvxpy

    refuse_labels(as_any_loss(loss), y)
    if not callable(getattr(loss, "expression", None)):
        raise TypeError(
            f"{type(loss).__name__} has no method expression(p, y), its twin in cvxpy; verification needs it: define it"
        )
    return cvxpy.sum(loss.expression(predictions, y))


def _solved(
    objective: Any, solver: str, options: Mapping[str, Any], constraints: Sequence[Any] = ()
) -> tuple[float, str]:
    import cvxpy

    problem = cvxpy.Problem(cvxpy.Minimize(objective), list(constraints))
    problem.solve(solver=solver, **options)
    if problem.status != cvxpy.OPTIMAL:
        raise RuntimeError(
            f"{solver} ended with status {problem.status!r}; needed {cvxpy.OPTIMAL!r}. Pass looser tolerances in "
            "options, another solver, or better scaled points"
        )
    return float(problem.value), str(problem.status)
