"""Pieces of kernels for metrics of coordinates: see ``owo.geometry``."""

from __future__ import annotations

import math
from typing import Any

from owo._record import as_state, fast_part, keep, lean_kernel, overload_part, part
from owo.rows import is_sparse


@fast_part
def _dots_diagonal(x, a, b, m):
    xa = xb = xmx = xx = 0.0
    for k in range(x.shape[0]):
        xm = x[k] * m[k]
        xa += x[k] * a[k]
        xb += xm * b[k]
        xmx += xm * x[k]
        xx += x[k] * x[k]
    return xa, xb, xmx, xx


@fast_part
def _sparse_dots_diagonal(X, r, a, b, m):
    xa = xb = xmx = xx = 0.0
    for k in range(X.starts[r], X.starts[r + 1]):
        value, column = X.values[k], X.columns[k]
        xm = value * m[column]
        xa += value * a[column]
        xb += xm * b[column]
        xmx += xm * value
        xx += value * value
    return xa, xb, xmx, xx


def meet_diagonal(X: Any, r: int, a: Any, b: Any, m: Any) -> Any:
    """``<x, a>, <x, diag(m) b>, <x, diag(m) x>, <x, x>`` for row x."""
    return _sparse_dots_diagonal(X, r, a, b, m) if is_sparse(X) else _dots_diagonal(X[r], a, b, m)


@overload_part(meet_diagonal)
def _meet_diagonal(X, r, a, b, m):
    if is_sparse(X):
        return lambda X, r, a, b, m: _sparse_dots_diagonal(X, r, a, b, m)
    return lambda X, r, a, b, m: _dots_diagonal(X[r], a, b, m)


@fast_part
def square_diagonal(q, m):
    """``<q, diag(m) q>``."""
    total = 0.0
    for k in range(q.shape[0]):
        total += m[k] * q[k] * q[k]
    return total


@part
def _note_dense(x, q, cs, half, hints):
    d = x.shape[0]
    for k in range(d):
        hints[k] -= cs * x[k] * q[k]
        hints[d + k] += half * x[k] * x[k]


@part
def _note_sparse(X, r, q, cs, half, hints):
    d = q.shape[0]
    for k in range(X.starts[r], X.starts[r + 1]):
        value, column = X.values[k], X.columns[k]
        hints[column] -= cs * value * q[column]
        hints[d + column] += half * value * value


def note_diagonal(X: Any, r: int, q: Any, cs: float, half: float, hints: Any) -> None:
    """Add a point's ``-c s x_k q_k`` and ``c s^2 x_k^2 / 2`` to a task's diagonals of H and B."""
    if is_sparse(X):
        _note_sparse(X, r, q, cs, half, hints)
    else:
        _note_dense(X[r], q, cs, half, hints)


@overload_part(note_diagonal)
def _note_diagonal(X, r, q, cs, half, hints):
    if is_sparse(X):
        return lambda X, r, q, cs, half, hints: _note_sparse(X, r, q, cs, half, hints)
    return lambda X, r, q, cs, half, hints: _note_dense(X[r], q, cs, half, hints)


@fast_part
def _dots_given(x, z, a, b):
    xa = zb = xz = xx = 0.0
    for k in range(x.shape[0]):
        xa += x[k] * a[k]
        zb += z[k] * b[k]
        xz += x[k] * z[k]
        xx += x[k] * x[k]
    return xa, zb, max(xz, 0.0), xx


@fast_part
def _sparse_dots_given(X, Z, r, a, b):
    xa = zb = xz = xx = 0.0
    for k in range(X.starts[r], X.starts[r + 1]):
        x, z, column = X.values[k], Z.values[k], X.columns[k]
        xa += x * a[column]
        zb += z * b[column]
        xz += x * z
        xx += x * x
    return xa, zb, max(xz, 0.0), xx


def meet_given(X: Any, Z: Any, r: int, a: Any, b: Any) -> Any:
    """``<x, a>, <z, b>, <x, z>, <x, x>`` for rows x and z, which have the same columns where they are sparse."""
    return _sparse_dots_given(X, Z, r, a, b) if is_sparse(X) else _dots_given(X[r], Z[r], a, b)


@overload_part(meet_given)
def _meet_given(X, Z, r, a, b):
    if is_sparse(X):
        return lambda X, Z, r, a, b: _sparse_dots_given(X, Z, r, a, b)
    return lambda X, Z, r, a, b: _dots_given(X[r], Z[r], a, b)


@part
def note_given(s, scale, half, row):
    """Hand back what came of a point."""
    row[0], row[1], row[2] = s, scale, half


@part
def copy(source, target):
    """``target = source``."""
    for k in range(source.shape[0]):
        target[k] = source[k]


@part
def learn_coordinate(rule, k, h, metric):
    """Coordinate k of M gets its gradient h and moves; returns the slack of the round."""
    play, initial, total, states, spent, _ = metric
    state = as_state(rule.law.start(), states[k])
    after = rule.law.observe(state, h * total[k], h * h)
    c, slack = rule.law.scale(state), 0.0
    if c == 0.0:  # nothing was seen before, so any c would have played the same
        c = rule.law.scale(after)
    if h != 0.0:
        best = min(max(rule.mirror.play(play[k], c * h), rule.low), rule.high)
        slack = max(h * (play[k] - best) - rule.mirror.divergence(best, play[k]) / c, 0.0) if c > 0.0 else 0.0
        spent[play.shape[0] + k] = 1.0 / c if c > 0.0 else math.inf
    total[k] += h
    play[k] = min(max(rule.mirror.play(initial[k], rule.law.scale(after) * total[k]), rule.low), rule.high)
    keep(after, states[k])
    return slack


@part
def learn(rule, own, hints, overlaps, metric):
    """M learns from a task that ended; its hints are cleared."""
    width = own.shape[0]
    for k in range(width):
        if overlaps:
            metric.sums[1] += hints[k] * (own[k] - metric.play[k])
        metric.spent[k] += hints[width + k]
        metric.sums[0] += learn_coordinate(rule, k, hints[k], metric)
        hints[k] = hints[width + k] = 0.0


@lean_kernel
def learn_alone(rule, hints, metric):
    """M learns from hints that no run has met."""
    learn(rule, metric.play, hints, False, metric)


@part
def write_down(metric, moves, stages, row, rows):
    """A row of the ledger for M; a stage every so many rows, and after the last."""
    copy(metric.sums, moves[row])
    pace = -(-rows // stages.shape[0])
    if (row + 1) % pace == 0 or row + 1 == rows:
        copy(metric.spent, stages[row // pace])
