"""How the optima of tasks answer to their bias: a generalised Hessian, for Newton steps of ``owo.hindsight``."""

from __future__ import annotations

import math

from owo._record import lean_kernel, part
from owo.ascent import ANCHOR, BEND, SLOPE, SQUARE, STEP, span_of
from owo.climbing import anchor, respond
from owo.rotation import clear, fill, push, row_dot, square


@part
def curved(points, i):
    """Whether the slope of a point answers to its prediction."""
    return points[i, BEND] * points[i, STEP] > 1e-9


@part
def eliminate(data, span, i, L, root):
    """One more row of the Cholesky factor L of ``diag(1 / h) + X X^T / N`` and of ``root = L^-1 X``."""
    X, points, d, a = data.X, data.points, data.X.shape[1], i - span.first
    fill(root[i], d, 1.0, X[i])
    for b in range(a):
        j = span.first + b
        L[a, b] = 0.0
        if curved(points, j):
            product = row_dot(data.rows, i, data.rows[j], span.width) / span.N
            L[a, b] = (product - row_dot(L, a, L[b], b)) / L[b, b]
            push(-L[a, b], root, j, d, root[i])
    own = points[i, SQUARE] / span.N
    rest = own + max(1.0 / points[i, BEND] - points[i, STEP], 0.0) - square(L[a], a)
    L[a, a] = math.sqrt(max(rest, 0.0) + 1e-10 * own)
    fill(root[i], d, 1.0 / L[a, a], root[i])


@lean_kernel
def curvature(loss, data, strength, shifts, L, root):
    """Write rows (n, d) such that ``root^T root`` is a generalised Hessian of ``sum_t L_t`` by the bias.

    ``L_t(theta) = min_v P(v)`` has the Hessian ``X^T (diag(1 / h) + X X^T / N)^-1 X``, with ``h_i`` the curvature of
    the loss at point i: infinite at a kink; points without any are left out. Shifts and slopes must be those of
    the optima; L has room for the longest task, (n_t, n_t).
    """
    g = data.room.wide[data.rows.shape[1]]
    for t in range(data.offsets.shape[0] - 1):
        span = span_of(data, t, strength)
        anchor(data, span, shifts[t], 1e-3)
        respond(loss, data, span, shifts[t], g)
        for i in range(span.first, span.last):
            data.points[i, SLOPE] = data.points[i, ANCHOR]
            if curved(data.points, i):
                eliminate(data, span, i, L, root)
            else:
                clear(root[i], root.shape[1])
