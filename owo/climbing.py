"""The second stage to the optimum of a task, after ``owo.ascent``, whose terms it uses: for what is slow there.

Proximal points of the dual (Rockafellar 1976), each found by semismooth Newton steps (Li, Sun and Toh, SIAM J.
Optimization 2018). Around slopes a, with ``c_i = softness |x_i|^2 / N``, they minimise a smooth function of v with
gradient ``N v + sum_i s_i x_i``, ``s_i = loss.prox_slope(p_i + c_i a_i, y_i, c_i)``; these slopes are the next a. For
piecewise linear and quadratic losses that ends after finitely many steps.
"""

from __future__ import annotations

import math

from owo._record import lean_kernel, part
from owo.ascent import (
    ANCHOR,
    BASE,
    BEND,
    CENTRE,
    GAP,
    KEPT,
    LOSS,
    MOVED,
    RISE,
    SLOPE,
    SQUARE,
    STEP,
    STEPS,
    VALUE,
    bend_of,
    certify,
    solve,
    span_of,
)
from owo.rotation import clear, fill, push, row_dot, square

PATIENCE = 15
"""Anchors in a row without progress after which stage two is at the end of what rounding allows."""


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
    """Slopes, their derivatives and the gradient at v; returns ``sum_i c_i (s_i - a_i)^2``."""
    points, moved = data.points, 0.0
    fill(g, span.width, span.N, v)
    for i in range(span.first, span.last):
        c, centre, y = points[i, STEP], points[i, CENTRE], data.y[i]
        s = loss.prox_slope(centre, y, c)
        points[i, SLOPE], points[i, BEND] = s, bend_of(loss, centre, s, y, c)
        push(s, data.rows, i, span.width, g)
        moved += c * (s - points[i, ANCHOR]) ** 2
    return moved


@lean_kernel
def newton(data, span, g, H, direction):
    """Solve ``(N I + sum_i bend_i x_i x_i^T) direction = -g`` (Cholesky); False where that matrix is not positive.

    It knows no loss, so as a kernel it is compiled once for all of them.
    """
    points, width = data.points, span.width
    for k in range(width):
        clear(H[k], k)
        H[k, k] = span.N
    for i in range(span.first, span.last):
        if points[i, BEND] != 0.0:
            for k in range(width):
                push(points[i, BEND] * data.rows[i, k], data.rows, i, k + 1, H[k])
    fill(direction, width, -1.0, g)
    if not solve(H, width, direction, 0.0):
        return False
    for i in range(span.first, span.last):
        points[i, RISE] = row_dot(data.rows, i, direction, width)
    return True


@part
def search(loss, data, span, v, direction):
    """How far to go: to where the rise along the direction is a fraction of what it was (guarded false position)."""
    points, linear, quadratic = data.points, 0.0, span.N * square(direction, span.width)
    for k in range(span.width):
        linear += span.N * v[k] * direction[k]
    t, low, high, start, below, above = 0.0, 0.0, math.inf, 0.0, 0.0, 0.0
    for trial in range(40):
        rising = linear + t * quadratic
        for i in range(span.first, span.last):
            rise = points[i, RISE]
            rising += rise * loss.prox_slope(points[i, CENTRE] + t * rise, data.y[i], points[i, STEP])
        if trial == 0:
            start = rising
        if start >= 0.0 or abs(rising) <= 0.2 * abs(start):
            break
        if rising < 0.0:
            low, below = t, rising
        else:
            high, above = t, rising
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
def approach(loss, data, span, v, enough, limit):
    """Newton steps to the proximal point of the present anchor; ``sum_i c_i (s_i - a_i)^2`` and how many they were."""
    k, steps = data.rows.shape[1], 0
    H, g, direction = data.room.wide, data.room.wide[k], data.room.wide[k + 1]
    while True:
        moved = respond(loss, data, span, v, g)
        if steps >= limit or square(g, span.width) / span.N <= max(0.1 * moved, enough):
            return moved, steps
        if not newton(data, span, g, H, direction):
            return moved, limit
        t = search(loss, data, span, v, direction)
        if t == 0.0:  # rounding hides the way up
            return moved, steps + 1
        advance(data, span, v, direction, t)
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
    g, v = data.room.wide[data.rows.shape[1]], data.room.wide[data.rows.shape[1] + 2]
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
            moved, taken = approach(loss, data, span, v, 0.5 * min(accuracy, still), goal.limit - steps)
            steps += taken + 1
        copy(data.points, span, KEPT, SLOPE)
        results[t, STEPS] = steps
