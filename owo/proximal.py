r"""Passes over the points of many tasks for losses of k scores: the kernels below ``owo.score_optimum``.

Weights (d, k) are vectors (d k,), as in ``owo.vector_kernels``. A point x is met twice: by the bias theta as it is, by
``V_t`` of its task as ``seen``, which is x, or ``A^T x`` in a metric ``M = A A^T``.
"""

from __future__ import annotations

import numpy as np

from owo._record import kernel
from owo.rows import join_all, products
from owo.vectors import dot


@kernel
def visit(loss, X, seen, y, offsets, theta, V, steps, held, slopes, pulls, values):
    """Slopes and values of all points at ``theta`` and V (T, r k), and each task's pull ``sum_i seen_i s_i^T``.

    Where the step c of a point is above 0 its loss is smoothed: it is the largest ``<s, b> - loss*(s) - c/2 |s|^2``,
    with ``b = p + c held`` for scores p.
    """
    k = slopes.shape[1]
    p, b = np.empty(k), np.empty(k)
    for t in range(offsets.shape[0] - 1):
        pull = pulls[t]
        pull[:] = 0.0
        for r in range(offsets[t], offsets[t + 1]):
            s, c = slopes[r], steps[r]
            products(X, r, theta, b)
            products(seen, r, V[t], p)
            for j in range(k):
                b[j] += p[j] + c * held[r, j]
            if c > 0.0:
                loss.prox_slopes(b, y[r], c, s)
                values[r] = dot(s, b) - loss.conjugate(s, y[r]) - 0.5 * c * dot(s, s)
            else:
                loss.slopes(b, y[r], s)
                values[r] = loss.value(b, y[r])
            join_all(1.0, seen, r, s, pull)


@kernel
def certify(loss, X, seen, y, offsets, theta, V, slopes, losses, gaps):
    """Losses (n,) at ``theta`` and V, and how far each is from Fenchel-Young equality with the slopes, (n,)."""
    k = slopes.shape[1]
    p, b = np.empty(k), np.empty(k)
    for t in range(offsets.shape[0] - 1):
        for r in range(offsets[t], offsets[t + 1]):
            products(X, r, theta, b)
            products(seen, r, V[t], p)
            for j in range(k):
                b[j] += p[j]
            losses[r] = loss.value(b, y[r])
            gaps[r] = losses[r] + loss.conjugate(slopes[r], y[r]) - dot(slopes[r], b)
