r"""Dual ascent to the optimum of every task of a block, with its certificate: the kernels below ``owo.optimum``.

A task of n points, a bias theta and ``N = n strength`` ask for the smallest

    P(v) = sum_i loss(<x_i, theta + v>, y_i) + N/2 |v|^2,                                     v = w - theta

With predictions ``p_i = <x_i, theta + v>`` and any slopes s with pull ``q = sum_i s_i x_i``,

    gap(v, s) = sum_i [loss(p_i, y_i) + loss*(s_i, y_i) - s_i p_i] + |N v + q|^2 / (2 N)  >=  P(v) - min P

because the gap is P(v) less the dual at s. None of its terms is negative. Two stages bring it down:

1. Coordinate ascent in the dual (Shalev-Shwartz and Zhang, JMLR 2013): the best ``s_i`` for given others is
   ``loss.prox_slope(b, y_i, |x_i|^2 / N)`` with b the prediction with coordinate i taken out, and ``v = -q / N``. Steps
   are taken ``RELAX`` times as far, by a prox step that much shorter, which also keeps slopes feasible.
2. Where that is slow, proximal points of the dual (Rockafellar 1976), each found by semismooth Newton steps (Li, Sun
   and Toh, SIAM J. Optimization 2018). Around slopes a, with ``c_i = softness |x_i|^2 / N``, they minimise a smooth
   function of v with gradient ``N v + sum_i s_i x_i``, ``s_i = loss.prox_slope(p_i + c_i a_i, y_i, c_i)``; these
   slopes are the next a. For piecewise linear and quadratic losses that ends after finitely many steps.

Neither needs more of a loss than its ``prox_slope``. Only inner products of points matter, so a task with fewer points
than features is first rotated into as many dimensions as it has points (``owo.rotation``).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from owo._record import fast_part, lean_kernel, part
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

PATIENCE = 15
"""Anchors in a row without progress after which stage two is at the end of what rounding allows."""

ROUNDING = 4e-16
"""A gap is known no better than to this times the sum of the sizes of its terms: two units in the last place."""


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
    room: Array
    """to work in, (k + 3, k): a matrix, the gradient, the Newton direction and v"""
    products: Array
    """room for inner products of the points of a short task, and for its predictions, (m + 1, m)"""


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


@fast_part
def products(data, span):
    """``K_ij = <x_i, x_j> / N`` of a task's points."""
    rows, K, first = data.rows, data.products, span.first
    for i in range(span.last - first):
        for j in range(i + 1):
            total = 0.0
            for k in range(span.width):
                total += rows[first + i, k] * rows[first + j, k]
            K[i, j] = K[j, i] = total / span.N


@part
def sweep_predictions(loss, data, span, v, times):
    """As ``sweep``, where what is kept is not v but the predictions: a slope that stays costs nothing then."""
    points, K, first, n, moved = data.points, data.products, span.first, span.last - span.first, 0.0
    p = K[K.shape[1]]
    for i in range(n):
        p[i] = points[first + i, BASE] + row_dot(data.rows, first + i, v, span.width)
    for _ in range(times):
        moved = 0.0
        for i in range(n):
            step, old = K[i, i] / RELAX, points[first + i, SLOPE]
            new = loss.prox_slope(p[i] + step * old, data.y[first + i], step)
            if new != old:
                change = old - new
                for j in range(n):
                    p[j] += change * K[i, j]
                points[first + i, SLOPE] = new
                moved += step * change * change
    clear(v, span.width)
    for i in range(n):
        push(-points[first + i, SLOPE] / span.N, data.rows, first + i, span.width, v)
    return moved


@lean_kernel
def ascend(loss, data, strength, goal, shifts, results):
    """Stage one on every task, from the slopes given; writes slopes, shifts v (T, k) and results (T, 6)."""
    g = data.room[data.rows.shape[1]]
    for t in range(data.offsets.shape[0] - 1):
        span, v = span_of(data, t, strength), shifts[t]
        clear(v, span.width)
        for i in range(span.first, span.last):
            push(-data.points[i, SLOPE] / span.N, data.rows, i, span.width, v)
        done, moved = 0, math.inf
        short = span.last - span.first <= data.products.shape[1]
        if short:
            products(data, span)
        while True:
            total, value, gap, rounding = certify(loss, data, span, v, g)
            size = 1.0 + abs(value)
            if done >= goal.limit or (gap <= max(goal.tolerance * size, rounding) and moved <= goal.still * size):
                break
            times = min(AT_ONCE, goal.limit - done)
            moved = sweep_predictions(loss, data, span, v, times) if short else sweep(loss, data, span, v, times)
            done += times
        results[t, LOSS], results[t, VALUE], results[t, GAP] = total, value, gap
        results[t, MOVED], results[t, SWEEPS], results[t, STEPS] = moved / size, done, 0.0


# ----------------------------------------------------------------------------------------------------- stage two


@part
def anchor(data, span, v, softness):
    """Start a proximal point at the present slopes."""
    points = data.points
    for i in range(span.first, span.last):
        c, s = softness * points[i, SQUARE] / span.N, points[i, SLOPE]
        points[i, STEP], points[i, ANCHOR] = c, s
        points[i, CENTRE] = points[i, BASE] + row_dot(data.rows, i, v, span.width) + c * s


@part
def respond(loss, data, span, v, g):
    """Slopes, their derivatives and the gradient at v; returns ``sum_i c_i (s_i - a_i)^2``.

    The derivative is a central difference, kept between 0 and 1 / c; at a kink any number between will do.
    """
    points, moved = data.points, 0.0
    fill(g, span.width, span.N, v)
    for i in range(span.first, span.last):
        c, centre, bend = points[i, STEP], points[i, CENTRE], 0.0
        s = loss.prox_slope(centre, data.y[i], c)
        h = 1e-5 * c * abs(s) + 1e-9 * abs(centre)
        if c > 0.0 and h > 0.0:
            rise = loss.prox_slope(centre + h, data.y[i], c) - loss.prox_slope(centre - h, data.y[i], c)
            bend = min(max(rise / (2.0 * h), 0.0), 1.0 / c)
        points[i, SLOPE], points[i, BEND] = s, bend
        push(s, data.rows, i, span.width, g)
        moved += c * (s - points[i, ANCHOR]) ** 2
    return moved


@lean_kernel
def newton(data, span, g, H, direction):
    """Solve ``(N I + sum_i bend_i x_i x_i^T) direction = -g`` (Cholesky); False where that matrix is not positive."""
    points, width = data.points, span.width
    for k in range(width):
        clear(H[k], k)
        H[k, k] = span.N
    for i in range(span.first, span.last):
        if points[i, BEND] != 0.0:
            for k in range(width):
                push(points[i, BEND] * data.rows[i, k], data.rows, i, k + 1, H[k])
    for k in range(width):
        for m in range(k):
            H[k, m] = (H[k, m] - row_dot(H, k, H[m], m)) / H[m, m]
        rest = H[k, k] - square(H[k], k)
        if not rest > 0.0:
            return False
        H[k, k] = math.sqrt(rest)
        direction[k] = (-g[k] - row_dot(H, k, direction, k)) / H[k, k]
    for k in range(width - 1, -1, -1):
        direction[k] /= H[k, k]
        push(-direction[k], H, k, k, direction)
    for i in range(span.first, span.last):
        points[i, RISE] = row_dot(data.rows, i, direction, width)
    return True


@part
def search(loss, data, span, v, direction):
    """How far to go: to where the slope along the direction is a fraction of what it was (guarded false position)."""
    points, linear, quadratic = data.points, 0.0, span.N * square(direction, span.width)
    for k in range(span.width):
        linear += span.N * v[k] * direction[k]
    t, low, high, start, below, above = 0.0, 0.0, math.inf, 0.0, 0.0, 0.0
    for trial in range(40):
        slope = linear + t * quadratic
        for i in range(span.first, span.last):
            rise = points[i, RISE]
            slope += rise * loss.prox_slope(points[i, CENTRE] + t * rise, data.y[i], points[i, STEP])
        if trial == 0:
            start = slope
        if start >= 0.0 or abs(slope) <= 0.2 * abs(start):
            break
        if slope < 0.0:
            low, below = t, slope
        else:
            high, above = t, slope
        part_way = min(max(below / (below - above), 0.1), 0.9)
        t = low + part_way * (high - low) if high < math.inf else max(1.0, 2.0 * t)
    return t


@part
def advance(data, span, v, direction, t):
    """Go t times along the direction."""
    for k in range(span.width):
        v[k] += t * direction[k]
    for i in range(span.first, span.last):
        data.points[i, CENTRE] += t * data.points[i, RISE]


@part
def copy(points, span, source, target):
    """Copy a column of the table of points."""
    for i in range(span.first, span.last):
        points[i, target] = points[i, source]


@part
def settle(loss, data, span, v, enough, limit):
    """Newton steps to the proximal point of the present anchor; ``sum_i c_i (s_i - a_i)^2`` and how many they were."""
    k, steps = data.rows.shape[1], 0
    H, g, direction = data.room, data.room[k], data.room[k + 1]
    while True:
        moved = respond(loss, data, span, v, g)
        if steps >= limit or square(g, span.width) / span.N <= max(0.1 * moved, enough):
            return moved, steps
        if not newton(data, span, g, H, direction):
            return moved, limit
        advance(data, span, v, direction, search(loss, data, span, v, direction))
        steps += 1


@part
def keep_best(data, span, shift, result, v, found):
    """Write down an answer, ``LOSS`` to ``MOVED``, with its shift and its slopes."""
    result[LOSS], result[VALUE], result[GAP], result[MOVED] = found
    fill(shift, span.width, 1.0, v)
    copy(data.points, span, SLOPE, KEPT)


@lean_kernel
def climb(loss, data, strength, goal, shifts, results):
    """Stage two on every task that has not reached its goal; keeps the best answer it meets.

    A step is a Newton step or a new anchor. Anchors go with softer and softer c, unless the last one contracted well.
    """
    g, v = data.room[data.rows.shape[1]], data.room[data.rows.shape[1] + 2]
    for t in range(data.offsets.shape[0] - 1):
        best = results[t, GAP]
        if best <= goal.tolerance * (1.0 + abs(results[t, VALUE])) and results[t, MOVED] <= goal.still:
            continue
        span = span_of(data, t, strength)
        fill(v, span.width, 1.0, shifts[t])
        softness, moved, before, least, steps, stale = 0.01, math.inf, math.inf, math.inf, 0, 0
        while True:
            total, value, gap, rounding = certify(loss, data, span, v, g)
            size = 1.0 + abs(value)
            accuracy, still = max(goal.tolerance * size, rounding), goal.still * size
            stale = 0 if gap < best or moved < least else stale + 1
            least = min(least, moved)
            if steps == 0 or gap < best or gap <= accuracy:
                best = gap
                keep_best(data, span, shifts[t], results[t], v, (total, value, gap, moved / size))
            if steps >= goal.limit or stale > PATIENCE or (gap <= accuracy and moved <= still):
                break
            if moved > 0.01 * before:
                softness = max(0.2 * softness, 1e-14)
            before = moved
            anchor(data, span, v, softness)
            moved, taken = settle(loss, data, span, v, 0.5 * min(accuracy, still), goal.limit - steps)
            steps += taken + 1
        copy(data.points, span, KEPT, SLOPE)
        results[t, STEPS] = steps
