"""The loop over points for losses of k scores.

Weights (d, k) are kept as vectors (d k,), rows one after another. With the slopes s (k,) of a loss at the scores
``W^T x`` the gradient is ``x s^T``, so that a round needs of a sum of gradients G no more than ``G^T x``:

    <x s^T, G> = <s, G^T x>,    |x s^T|^2 = |s|^2 |x|^2

and laws, accounts, and all that happens between tasks are those of ``owo.kernels``.
"""

from __future__ import annotations

import math

import numpy as np

from owo._record import as_state, keep, lean_kernel, part
from owo.kernels import (
    ACCOUNT,
    ENDED,
    OPEN,
    POINTS,
    ROUNDS,
    TASK,
    compensated,
    end,
    finite,
    lead,
    place,
    reach,
    settle,
    sound,
    write,
)
from owo.rows import bring_near, join_all, products, square
from owo.vectors import dot

# Rows of a run's workspace (WORK, k): what the point meets, and what comes of it.
BASE, ALONG, PULL, SCORES, SLOPES = range(5)
WORK = 5


def workspace(k: int) -> np.ndarray:
    """Arrays that ``run`` works in."""
    return np.zeros((WORK, k))


@part
def suffer(loss, base, moved, pull, scale, along, y, p, s):
    """Predict, suffer and take the slopes: ``p = base - moved pull - scale along``, ``s``; returns the loss.

    NaN if a score overflowed, also where the loss would not notice.
    """
    total = 0.0
    for c in range(p.shape[0]):
        p[c] = base[c] - moved * pull[c] - scale * along[c]
        total += p[c]
    if not math.isfinite(total):
        return math.nan
    loss.slopes(p, y, s)
    return loss.value(p, y)


@part
def put(values, row):
    """Copy into a row."""
    for c in range(row.shape[0]):
        row[c] = values[c]


@lean_kernel
def run(
    loss, inner, outer, geometry, every_point, mixed, X, work, y, task, ends, slots, across, within, clock, written,
    stride,
):  # fmt: skip
    """Stream all points in order, as ``kernels.run``, for a loss of k scores; ``work`` is a ``workspace(k)``."""
    centre, G, theta, pending, meta_row, tally_row, metric = across
    sums, lost, states, accounts, tasks, metrics, hints = within
    base, along, pull, p, s = work[BASE], work[ALONG], work[PULL], work[SCORES], work[SLOPES]
    meta = as_state(outer.start(), meta_row)
    tally = as_state(ACCOUNT, tally_row)
    n, size = y.shape[0], G.shape[0]
    ahead = lead(size // p.shape[0])
    all_points = written.losses.shape[0] == n
    r = row = at = 0
    while r < n:
        # Rows that share a slot and follow one another are streamed with its scalars in registers.
        j = slots[task[r]]
        q = sums[j]
        state = as_state(inner.start(), states[j])
        account = as_state(ACCOUNT, accounts[j])
        total, carry, earned, opened = as_state(TASK, tasks[j])
        more = True
        while more:
            if account[ROUNDS] == 0.0:
                opened = float(clock[ENDED])
                clock[OPEN] += 1
            if ahead:
                bring_near(X, min(r + ahead, n - 1))
            products(X, r, theta, base)
            products(X, r, q, along)
            moved = 0.0
            if every_point:
                products(X, r, G, pull)
                moved = reach(outer, meta)
            value = suffer(loss, base, moved, pull, reach(inner, state), along, y[r], p, s)
            if all_points:
                written.losses[r] = value
                put(p, written.predictions[r])
            total, carry = compensated(total, carry, value)
            norm2 = dot(s, s) * square(X, r)
            kept, state, account = settle(
                inner, state, account, dot(s, along), norm2, inner.slack(state, norm2), norm2
            )  # fmt: skip
            join_all(kept, X, r, s, q)
            if kept < 1.0 and (mixed or not every_point):
                join_all(1.0 - kept, X, r, s, lost[j])
            if every_point:
                pulled = dot(s, pull)
                kept, meta, tally = settle(outer, meta, tally, pulled, norm2, outer.slack(meta, norm2), norm2)
                join_all(kept, X, r, s, G)
                if mixed:
                    join_all(1.0, X, r, s, pending)
                    pending[size] += moved * pulled
                    earned -= moved * pulled
            else:
                earned += dot(s, base)
            if not (math.isfinite(value) and sound(account) and sound(tally)):
                return r
            if ends[r]:
                ended = (total, carry, earned, opened)
                meta, tally, account, numbers = end(
                    outer, geometry, every_point, meta, tally, account, ended, q, lost[j], metrics[j], hints[j], across,
                    clock,
                )  # fmt: skip
                if not finite(outer, meta, account, numbers, tally):
                    return r
                write(account, numbers, tally, geometry, metric, written, row)
                row += 1
                if stride > 0 and clock[ENDED] % stride == 0:
                    place(centre, reach(outer, meta), G, written.path[at])
                    at += 1
                state, account = inner.start(), ACCOUNT
                total, carry, earned, opened = TASK
            r += 1
            more = r < n and slots[task[r]] == j
        keep(state, states[j])
        keep(account, accounts[j])
        keep((total, carry, earned, opened), tasks[j])
    clock[POINTS] += n
    keep(meta, meta_row)
    keep(tally, tally_row)
    return n
