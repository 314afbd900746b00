"""Short tasks in as many dimensions as they have points: kernels that rotate there and back.

All that a linear learner sees of a task are inner products of its points (and of the points with the bias). So n
points in d > n dimensions may as well be the rows of the triangular factor R (n, n) of ``X = R F``, with orthonormal
rows in F.
"""

from __future__ import annotations

import math

import numpy as np

from owo._record import fast_part, kernel, part


@fast_part
def row_dot(rows, i, v, width):
    """``<rows_i, v>``."""
    total = 0.0
    for k in range(width):
        total += rows[i, k] * v[k]
    return total


@fast_part
def square(v, width):
    """``|v|^2``."""
    total = 0.0
    for k in range(width):
        total += v[k] * v[k]
    return total


@part
def push(scale, rows, i, width, v):
    """``v += scale rows_i``."""
    for k in range(width):
        v[k] += scale * rows[i, k]


@part
def clear(v, width):
    """``v = 0``."""
    for k in range(width):
        v[k] = 0.0


@part
def fill(v, width, scale, w):
    """``v = scale w``."""
    for k in range(width):
        v[k] = scale * w[k]


@part
def orthogonalise(X, first, last, frame, rows):
    """Gram-Schmidt: ``X = rows frame`` with orthonormal rows of ``frame``, as many as X has rank.

    Every point is made orthogonal twice, or points that nearly repeat others would leave a crooked frame.
    """
    rank, d = 0, X.shape[1]
    for i in range(first, last):
        rest = frame[rank]
        fill(rest, d, 1.0, X[i])
        size = math.sqrt(square(rest, d))
        clear(rows[i], rows.shape[1])
        for _ in range(2):
            for k in range(rank):
                along = row_dot(frame, k, rest, d)
                rows[i, k] += along
                push(-along, frame, k, d, rest)
        left = math.sqrt(square(rest, d))
        if left > 1e-14 * size:
            rows[i, rank] = left
            fill(rest, d, 1.0 / left, rest)
            rank += 1
    return rank


@kernel
def rotate(X, offsets, rows):
    """Write to ``rows`` (n, k) points that have the inner products of those of X (n, d) inside each task."""
    d = X.shape[1]
    frame = np.empty((rows.shape[1] + 1, d))
    for t in range(offsets.shape[0] - 1):
        if offsets[t + 1] - offsets[t] < d:
            orthogonalise(X, offsets[t], offsets[t + 1], frame, rows)
        else:
            for i in range(offsets[t], offsets[t + 1]):
                fill(rows[i], d, 1.0, X[i])


@kernel
def restore(X, rows, offsets, slopes, bias, shifts, weights, pulls):
    """From rotated shifts v (T, k) and slopes s (n,): weights ``theta + v``, pulls ``sum_i s_i x_i``, both (T, d)."""
    d = X.shape[1]
    frame = np.empty((shifts.shape[1] + 1, d))
    for t in range(offsets.shape[0] - 1):
        first, last = offsets[t], offsets[t + 1]
        fill(weights[t], d, 1.0, bias)
        clear(pulls[t], d)
        if last - first < d:
            for k in range(orthogonalise(X, first, last, frame, rows)):  # the same rotation as before
                push(shifts[t, k], frame, k, d, weights[t])
        else:
            push(1.0, shifts, t, d, weights[t])
        for i in range(first, last):
            push(slopes[i], X, i, d, pulls[t])
