"""Weights of many new tasks by one online pass each, around a bias and a metric that stay as they are.

With ``w_i = theta - c_i M q_{i-1}`` and ``q_{i-1} = sum_{k<i} s_k x_k`` the mean of the n iterates that predicted is

    theta - 1/n  sum_k s_k C_k M x_k,        C_k = sum_{i>k} c_i,

so the slopes s and scales c of all points, from one compiled pass over all tasks, are enough for the means of all.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from owo import kernels
from owo._record import as_state
from owo.geometry.identity import no_metric
from owo.geometry.maps import REACH, SLOPE, Given
from owo.laws import Frozen
from owo.rows import Sparse
from owo.slots import Slots
from owo.streams import Block
from owo.streams.sparse import SparseRows

Array = NDArray[np.float64]


def adapted(loss: Any, inner: Any, block: Block, bias: Array, metric: Array, average: bool) -> Array:
    """Weights (T, d) of the block's tasks: the last iterate of each, or the mean of those that predicted.

    ``bias`` (d,); ``metric`` one number, a diagonal (d,) or a matrix (d, d). Labels have to be of the loss's domain.

    Raises
    ------
    FloatingPointError
        A number overflowed.
    """
    X, Z = _rows(block.X, metric)
    slots = Slots(block.d, inner)
    places = np.array(slots.take(block.n_tasks))
    zeros, none = np.zeros(block.d), np.zeros(0)
    across = kernels.Across(
        zeros, zeros, np.array(bias), np.zeros(block.d + 1), none, np.zeros(len(kernels.ACCOUNT)), no_metric()
    )
    written = kernels.room(0, 0, 0, block.d)._replace(slopes=np.empty((block.n, 3)))
    done = kernels.run(
        loss, inner, Frozen(), Given(), False, False, X, Z, block.y, block.task, np.zeros(block.n, bool), places,
        across, slots.arrays, np.zeros(3, np.int64), written, 0,
    )  # fmt: skip
    if done < block.n:
        raise FloatingPointError(
            f"a loss or a gradient overflowed at row {done} (task {block.keys[block.task[done]]!r}); scale the "
            f"features, or take smaller steps than {inner!r}"
        )
    if average:
        return np.asarray(bias - _mean_shifts(block, Z, written.slopes))
    pulls = slots.arrays.sums[places]
    scales = np.array([reach_of(inner, slots.arrays.states[place]) for place in places])
    return np.asarray(bias - scales[:, None] * (pulls @ metric if metric.ndim == 2 else pulls * metric))


def reach_of(law: Any, row: Array) -> float:
    """The factor on the sum of gradients that a law plays next, from its state as an array."""
    state = as_state(law.start(), row)
    return float(law.scale(state) * law.shrink(state))


def _rows(X: Array | SparseRows, metric: Array) -> tuple[Any, Any]:
    """Rows x, and M x, as kernels take them."""
    if isinstance(X, SparseRows) and metric.ndim < 2:
        values, columns, starts = X.parts
        return X.parts, Sparse(values * np.broadcast_to(metric, X.shape[1])[columns], columns, starts)
    X = np.asarray(X)
    return X, X @ metric if metric.ndim == 2 else X * metric


def _mean_shifts(block: Block, Z: Array | Sparse, slopes: Array) -> Array:
    """``1/n sum_k s_k C_k M x_k`` of every task (T, d)."""
    from scipy import sparse  # a fifth of the time that ``import owo`` may take

    rows = np.argsort(block.task, kind="stable")
    lengths = np.bincount(block.task, minlength=block.n_tasks)
    running = np.cumsum(slopes[rows, REACH])
    later = np.repeat(running[np.cumsum(lengths) - 1], lengths) - running
    weight = slopes[rows, SLOPE] * later / np.repeat(lengths, lengths)
    of_tasks = sparse.csr_array((weight, (block.task[rows], rows)), shape=(block.n_tasks, block.n))
    if isinstance(Z, Sparse):
        return np.asarray((of_tasks @ sparse.csr_array(tuple(Z), shape=(block.n, block.d))).todense())
    return np.asarray(of_tasks @ Z)
