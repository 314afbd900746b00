r"""Dual ascent to the optimum of every task of a block, with its certificate: the kernels below ``owo.optimum``.

A task of n points, a bias theta and ``N = n strength`` ask for the smallest

    P(v) = sum_i loss(<x_i, theta + v>, y_i) + N/2 |v|^2,                                     v = w - theta

With predictions ``p_i = <x_i, theta + v>`` and any slopes s with pull ``q = sum_i s_i x_i``,

    gap(v, s) = sum_i [loss(p_i, y_i) + loss*(s_i, y_i) - s_i p_i] + |N v + q|^2 / (2 N)  >=  P(v) - min P

because the gap is P(v) less the dual at s. None of its terms is negative. Two stages bring it down; here is the first,
and what it cannot bring down far enough is left to ``owo.climbing``.

Coordinate ascent in the dual (Shalev-Shwartz and Zhang, JMLR 2013): the best ``s_i`` for given others is
``loss.prox_slope(b, y_i, |x_i|^2 / N)`` with b the prediction with coordinate i taken out, and ``v = -q / N``. Steps
are taken ``RELAX`` times as far, by a prox step that much shorter, which also keeps slopes feasible. A short task keeps
the inner products of its points, ``K_ij = <x_i, x_j> / N``; there semismooth Newton steps come between the sweeps, once
these begin to show which slopes are strictly inside of what the loss allows.

Nothing is needed of a loss but its ``prox_slope`` and conjugate. Only inner products of points matter, so a task with
fewer points than features is first rotated into as many dimensions as it has points (``owo.rotation``).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from owo._record import lean_kernel, part
from owo.pairs import inner_products
from owo.rotation import clear, fill, push, row_dot, square

Array = NDArray[np.float64]

# Columns of the table of points: <x, theta>, |x|^2 and the slope s; then for stage two the step c, the anchor a,
# p + c a, the derivative of the slope by p, <x, direction>, and the slope of the best answer so far.
BASE, SQUARE, SLOPE, STEP, ANCHOR, CENTRE, BEND, RISE, KEPT = range(9)
# Columns of the table of results; MOVED is sum_i c_i (change of s_i)^2 of the last round, in units of P.
LOSS, VALUE, GAP, MOVED, SWEEPS, STEPS = range(6)

AT_ONCE = 5
"""Sweeps of coordinate ascent between two looks at the gap, which costs half a sweep."""

RELAX = 1.3
"""How much farther than to its best value a slope goes: successive over-relaxation."""

STILL = 1e-3
"""What a sweep that changes nothing moves at most, in units of the gap that is sought."""

LEAST = 1e-3
"""The part of a Newton step that is worth taking."""

TINY = 1e-6
"""No more than this is left by rounding of a diagonal of a singular matrix, in units of it."""

ROUNDING = 4e-16
"""A gap is known no better than to this times the sum of the sizes of its terms: two units in the last place."""


class Room(NamedTuple):
    """Arrays for one thread to work in; a short task has at most m points."""

    wide: Array
    """a matrix, the gradient, the Newton direction and v, (k + 3, k)"""
    products: Array
    """inner products of the points, and their predictions, (m + 1, m)"""
    matrix: Array
    """what a Newton step between sweeps solves, and its direction, (m + 1, m)"""
    free: NDArray[np.int64]
    """the points whose slopes that step moves, (m,)"""


class Data(NamedTuple):
    """Points of tasks that stand together: those of task t are ``offsets[t]`` to ``offsets[t + 1] - 1``."""

    X: Array
    """the points (n, d)"""
    rows: Array
    """the same points in the metric, rotated (n, k); not rotated, where every task has as many points as features"""
    y: Array
    """the labels (n,)"""
    offsets: NDArray[np.int64]
    """(T + 1,)"""
    points: Array
    """what is known and being worked out of each point, (n, 9)"""
    room: Room
    """of the thread that works on them"""


class Span(NamedTuple):
    """Where one task lies in the tables: its points, the used columns of ``rows``, and ``N``."""

    first: int
    last: int
    width: int
    N: float


class Goal(NamedTuple):
    """When a task is done: ``gap <= tolerance (1 + |P|)`` and ``MOVED <= still``; or after so many rounds."""

    tolerance: float
    still: float
    limit: int


@part
def span_of(data, t, strength):
    """The span of task t."""
    first, last = data.offsets[t], data.offsets[t + 1]
    return Span(first, last, min(data.rows.shape[1], last - first), strength * (last - first))


# ------------------------------------------------------------------------------------ the certificate; stage one


@part
def feasible(loss, s, p, y):
    """A slope, moved back to the edge of the conjugate's domain if rounding put it outside; and its conjugate."""
    conjugate = loss.conjugate(s, y)
    if math.isfinite(conjugate):
        return s, conjugate
    inside, outside = loss.subgradient(p, y), s
    for _ in range(60):
        middle = 0.5 * (inside + outside)
        if math.isfinite(loss.conjugate(middle, y)):
            inside = middle
        else:
            outside = middle
    return inside, loss.conjugate(inside, y)


@part
def certify(loss, data, span, v, g):
    """``sum_i loss``, ``P(v)``, the gap, and how exactly the gap is known."""
    points = data.points
    fill(g, span.width, span.N, v)
    total = gap = size = 0.0
    for i in range(span.first, span.last):
        p = points[i, BASE] + row_dot(data.rows, i, v, span.width)
        s, conjugate = feasible(loss, points[i, SLOPE], p, data.y[i])
        points[i, SLOPE] = s
        value = loss.value(p, data.y[i])
        push(s, data.rows, i, span.width, g)
        total += value
        gap += value + conjugate - s * p
        size += abs(value) + abs(s * p)
    value = total + 0.5 * span.N * square(v, span.width)
    return total, value, gap + 0.5 * square(g, span.width) / span.N, ROUNDING * size


@part
def sweep(loss, data, span, v, times):
    """Coordinate ascent that keeps ``v = -q / N``; ``sum_i c_i (change of s_i)^2`` of the last sweep, with steps c."""
    points, moved = data.points, 0.0
    for _ in range(times):
        moved = 0.0
        for i in range(span.first, span.last):
            step, old = points[i, SQUARE] / (RELAX * span.N), points[i, SLOPE]
            p = points[i, BASE] + row_dot(data.rows, i, v, span.width)
            new = loss.prox_slope(p + step * old, data.y[i], step)
            if new != old:
                push((old - new) / span.N, data.rows, i, span.width, v)
                points[i, SLOPE] = new
                moved += step * (new - old) ** 2
    return moved


@part
def products(data, span):
    """``K_ij = <x_i, x_j> / N`` of a task's points."""
    K, n = data.room.products, span.last - span.first
    inner_products(data.rows, data.rows, span.first, n, span.width, K, 0)
    for i in range(n):
        for j in range(i + 1):
            K[i, j] = K[j, i] = K[i, j] / span.N


@part
def bend_of(loss, centre, s, y, c):
    """The derivative of ``prox_slope``, which gave s, by its centre: a central difference, kept between 0 and 1 / c.

    At a kink any number between will do.
    """
    h = 1e-5 * c * abs(s) + 1e-9 * abs(centre)
    if not (c > 0.0 and h > 0.0):
        return 0.0
    rise = loss.prox_slope(centre + h, y, c) - loss.prox_slope(centre - h, y, c)
    return min(max(rise / (2.0 * h), 0.0), 1.0 / c)


@part
def solve(H, size, right, least):
    """``right = H^-1 right`` (Cholesky), with H given up to its diagonal; False where it is not positive.

    ``least`` of a diagonal, in units of it, has to be left by the rows before.
    """
    for k in range(size):
        for m in range(k):
            H[k, m] = (H[k, m] - row_dot(H, k, H[m], m)) * H[m, m]
        rest = H[k, k] - square(H[k], k)
        if not rest > least * H[k, k]:
            return False
        H[k, k] = 1.0 / math.sqrt(rest)
        right[k] = (right[k] - row_dot(H, k, right, k)) * H[k, k]
    for k in range(size - 1, -1, -1):
        right[k] *= H[k, k]
        push(-right[k], H, k, k, right)
    return True


@part
def how_far(loss, data, first, count, direction):
    """The longest of 1, 1/2, 1/4, ... of a step of the free slopes that leaves all of them where they may be.

    0 if it is shorter than ``LEAST``: a sweep does more then.
    """
    far, inside = 2.0, False
    while not inside and far > LEAST:
        far, inside = 0.5 * far, True
        for k in range(count):
            i = first + data.room.free[k]
            inside = inside and math.isfinite(loss.conjugate(data.points[i, SLOPE] + far * direction[k], data.y[i]))
    return far if inside else 0.0


@part
def polish(loss, data, span, p):
    """A Newton step for ``s_i = prox_slope(p_i + K_ii s_i)``, of the free slopes, which change with their centres."""
    points, K, first = data.points, data.room.products, span.first
    free, H = data.room.free, data.room.matrix
    direction = H[H.shape[1]]
    count = straight = 0
    for i in range(span.last - first):
        c, old, y = K[i, i], points[first + i, SLOPE], data.y[first + i]
        centre = p[i] + c * old
        new = loss.prox_slope(centre, y, c)
        bend = bend_of(loss, centre, new, y, c)
        if bend > 0.0:
            straight += 1 if bend * c > 1.0 - TINY else 0
            if straight > span.width:
                return
            free[count], direction[count] = i, (new - old) / bend
            for k in range(count):
                H[count, k] = K[i, free[k]]
            H[count, count] = 1.0 / bend
            count += 1
    if solve(H, count, direction, TINY):
        far = how_far(loss, data, first, count, direction)
        for k in range(count):
            points[first + free[k], SLOPE] += far * direction[k]
            push(-far * direction[k], K, free[k], span.last - first, p)


@part
def sweep_predictions(loss, data, span, v, times, polished, still):
    """As ``sweep``, where what is kept is not v but the predictions: a slope that stays costs nothing then.

    If ``polished``, a Newton step comes before every sweep. When a sweep moves no more than ``still``, it is the last.
    Returns also how many there were.
    """
    points, K, first, n, moved, done = data.points, data.room.products, span.first, span.last - span.first, math.inf, 0
    p = K[K.shape[1]]
    for i in range(n):
        p[i] = points[first + i, BASE] + row_dot(data.rows, first + i, v, span.width)
    while done < times and not moved <= still:
        if polished:
            polish(loss, data, span, p)
        moved = 0.0
        for i in range(n):
            step, old = K[i, i] / RELAX, points[first + i, SLOPE]
            new = loss.prox_slope(p[i] + step * old, data.y[first + i], step)
            if new != old:
                change = old - new
                push(change, K, i, n, p)
                points[first + i, SLOPE] = new
                moved += step * change * change
        done += 1
    clear(v, span.width)
    for i in range(n):
        push(-points[first + i, SLOPE] / span.N, data.rows, first + i, span.width, v)
    return moved, done


@lean_kernel
def ascend(loss, data, strength, goal, shifts, results):
    """Stage one on every task, from the slopes given; writes slopes, shifts v (T, k) and results (T, 6)."""
    g = data.room.wide[data.rows.shape[1]]
    for t in range(data.offsets.shape[0] - 1):
        span, v = span_of(data, t, strength), shifts[t]
        clear(v, span.width)
        for i in range(span.first, span.last):
            push(-data.points[i, SLOPE] / span.N, data.rows, i, span.width, v)
        done, moved = 0, math.inf
        short = span.last - span.first <= data.room.products.shape[1]
        if short:
            products(data, span)
        while True:
            total, value, gap, rounding = certify(loss, data, span, v, g)
            size = 1.0 + abs(value)
            if done >= goal.limit or (gap <= max(goal.tolerance * size, rounding) and moved <= goal.still * size):
                break
            times = min(AT_ONCE, goal.limit - done)
            if short:
                still = min(goal.still, STILL * goal.tolerance) * size
                moved, times = sweep_predictions(loss, data, span, v, times, done > 0, still)
            else:
                moved = sweep(loss, data, span, v, times)
            done += times
        results[t, LOSS], results[t, VALUE], results[t, GAP] = total, value, gap
        results[t, MOVED], results[t, SWEEPS], results[t, STEPS] = moved / size, done, 0.0
