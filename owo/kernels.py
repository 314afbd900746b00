"""The only loops over points.

Each learner keeps the sum of its gradients and a scalar state (see ``owo.laws``), so a round needs no vectors but
the row ``x`` and a few dot products. With bias ``theta = centre - C G`` across tasks and ``w = theta - c q`` inside
one, the prediction is ``<x, theta> - c <x, q>``. Where the bias moves after every point, ``<x, theta>`` is
``<x, centre> - C <x, G>``, so that nothing of size d has to be rebuilt.

One kernel, ``run``, serves every road into the library: a whole stream, tasks interleaved point by point, and a
single point. Losses and counts are summed as written; only dot products may be reordered.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from owo._record import as_state, fast_part, kernel, lean_kernel, part

# Columns of a law's account, in the order of laws.Account, ...
ROUNDS, SCALE, SLACK, MARGIN, PULL, EXCESS, SQUARES = range(7)
ACCOUNT = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
# ... of what an open task keeps beside it, ...
LOSS, CARRY, LATENESS, OPENED = range(4)
TASK = (0.0, 0.0, 0.0, 0.0)
# ... and of the learner's clock.
POINTS, ENDED, OPEN = range(3)


@fast_part
def dots(x, a, b):
    """``<x, a>, <x, b>, <x, x>`` in one pass."""
    xa = xb = xx = 0.0
    for k in range(x.shape[0]):
        xa += x[k] * a[k]
        xb += x[k] * b[k]
        xx += x[k] * x[k]
    return xa, xb, xx


@fast_part
def dot(a, b):
    """``<a, b>``."""
    ab = 0.0
    for k in range(a.shape[0]):
        ab += a[k] * b[k]
    return ab


@part
def add(scale, x, total):
    """``total += scale x``."""
    for k in range(x.shape[0]):
        total[k] += scale * x[k]


@part
def clear(row):
    """Set to zero."""
    for k in range(row.shape[0]):
        row[k] = 0.0


@part
def place(centre, scale, total, out):
    """``out = centre - scale total``: the play of a lazy learner."""
    for k in range(out.shape[0]):
        out[k] = centre[k] - scale * total[k]


@part
def keep(values, row):
    """Write a tuple of numbers to the first entries of a row."""
    for k in range(len(values)):
        row[k] = values[k]


@part
def compensated(total, carry, value):
    """Add to a sum whose rounding error is carried along (Neumaier 1974)."""
    new = total + value
    carry += (total - new) + value if abs(total) >= abs(value) else (value - new) + total
    return new, carry


@part
def settle(law, state, account, along, norm2, slack):
    """One gradient seen by a law: the part of it that is kept, the next state, the next account.

    ``along = <g, G>`` and ``norm2 = |g|^2``; ``slack`` is what the round adds to the certificate.
    """
    scale = law.scale(state)
    kept = law.clip(state, norm2)
    rounds, _, slacks, margin, pull, excess, squares = account
    margin -= scale * law.shrink(state) * along
    if kept < 1.0:
        excess += (1.0 - kept) * math.sqrt(norm2)
    account = (rounds + 1.0, scale, slacks + slack, margin, pull, excess, squares + norm2)
    return kept, law.observe(state, along, norm2), account


@part
def with_pull(account, norm2):
    """The account with ``|G|``, which is only worked out where a row of the ledger is written."""
    rounds, scale, slack, margin, _, excess, squares = account
    return rounds, scale, slack, margin, math.sqrt(norm2), excess, squares


@part
def suffer(loss, law, state, base, along, x2, y):
    """Predict, suffer and take the slope: a round in scalars.

    ``base = <x, centre>``, ``along = <x, q>``, ``x2 = |x|^2``. Returns the prediction, the loss, the slope s, the
    gradient's ``|g|^2`` and what the round adds to the certificate.
    """
    scale = law.scale(state) * law.shrink(state)
    p = base - scale * along
    s = law.slope(loss, p, y, scale * x2)
    norm2 = s * s * x2
    slack = law.slack(state, norm2) + law.lag(loss, p, y, s, scale * x2)
    return p, loss.value(p, y), s, norm2, slack


@fast_part
def advance(gradient, kept, total, centre, scale, play):
    """``total += kept gradient``, ``play = centre - scale total``, ``gradient = 0``; returns ``|total|^2``."""
    norm2 = 0.0
    for k in range(total.shape[0]):
        new = total[k] + kept * gradient[k]
        total[k] = new
        play[k] = centre[k] - scale * new
        gradient[k] = 0.0
        norm2 += new * new
    return norm2


class Across(NamedTuple):
    """Arrays of the learner across tasks: its play is the bias."""

    centre: Any
    total: Any
    """sum of gradients G"""
    play: Any
    """theta; where the bias moves after every point, the centre"""
    state: Any
    account: Any


class Within(NamedTuple):
    """Arrays of the open tasks, a row (slot) each."""

    sums: Any
    """sums of gradients q"""
    lost: Any
    """what was clipped from them"""
    states: Any
    accounts: Any
    tasks: Any


class Written(NamedTuple):
    """What a run writes down: a row a point (if wanted), a row a task that ended, a row every ``stride`` tasks."""

    losses: Any
    predictions: Any
    accounts: Any
    tasks: Any
    tallies: Any
    path: Any


@part
def end(outer, every_point, meta, tally, account, task, q, lost, centre, G, theta, clock):
    """End a task: move the bias, clear the task's sums. Returns outer state and account, and the ledger's rows."""
    total, carry, late, opened = task
    _, along, norm2 = dots(q, G, G)
    account = with_pull(account, norm2)
    if every_point:
        late = 0.0
        clear(q)
        tally_norm2 = dot(G, G)
    else:
        if account[EXCESS] > 0.0:
            add(1.0, lost, q)
            clear(lost)
            _, along, norm2 = dots(q, G, G)
        late = late - dot(q, theta) if opened < clock[ENDED] else 0.0
        kept, meta, tally = settle(outer, meta, tally, along, norm2, outer.slack(meta, norm2))
        tally_norm2 = advance(q, kept, G, centre, outer.scale(meta) * outer.shrink(meta), theta)
    clock[ENDED] += 1
    clock[OPEN] -= 1
    return meta, tally, account, (total + carry, late, float(clock[OPEN])), with_pull(tally, tally_norm2)


@part
def finite(outer, meta, account, snapshot):
    """Whether the numbers of a task that ended, and the bias it led to, are finite."""
    reach = outer.scale(meta) * snapshot[PULL]
    inside = account[SLACK] + account[MARGIN] + account[PULL]
    return math.isfinite(reach + inside + snapshot[SLACK] + snapshot[MARGIN])


@lean_kernel
def run(loss, inner, outer, every_point, X, y, task, ends, slots, across, within, clock, written, stride):
    """Stream all points in order; return how many were taken: all of them, or those before one that overflowed.

    Row r belongs to the task in slot ``slots[task[r]]``, which ends after it if ``ends[r]``. The learner
    across tasks is updated after ``every_point``, or else when a task ends. ``across``, ``within`` and ``clock`` are
    updated in place.
    """
    centre, G, theta, meta_row, tally_row = across
    sums, lost, states, accounts, tasks = within
    losses, predictions, ended_accounts, ended_tasks, ended_tallies, path = written
    meta = as_state(outer.start(), meta_row)
    tally = as_state(ACCOUNT, tally_row)
    n = X.shape[0]
    all_points = losses.shape[0] == n
    r = row = 0
    while r < n:
        # Rows that share a slot and follow one another are streamed with its scalars in registers.
        j = slots[task[r]]
        q = sums[j]
        state = as_state(inner.start(), states[j])
        account = as_state(ACCOUNT, accounts[j])
        total, carry, late, opened = as_state(TASK, tasks[j])
        more = True
        while more:
            if account[ROUNDS] == 0.0:
                opened = float(clock[ENDED])
                clock[OPEN] += 1
            x = X[r]
            base, along, x2 = dots(x, theta, q)
            pull = 0.0
            if every_point:
                pull = dot(x, G)
                base -= outer.scale(meta) * outer.shrink(meta) * pull
            p, value, s, norm2, slack = suffer(loss, inner, state, base, along, x2, y[r])
            if not math.isfinite(value + norm2):
                return r
            if all_points:
                losses[r] = value
                predictions[r] = p
            total, carry = compensated(total, carry, value)
            kept, state, account = settle(inner, state, account, s * along, norm2, slack)
            add(kept * s, x, q)
            if every_point:
                kept, meta, tally = settle(outer, meta, tally, s * pull, norm2, outer.slack(meta, norm2))
                add(kept * s, x, G)
            else:
                late += s * base
                if kept < 1.0:
                    add((1.0 - kept) * s, x, lost[j])
            if ends[r]:
                sums_of_task = (total, carry, late, opened)
                meta, tally, account, losses_of_task, snapshot = end(
                    outer, every_point, meta, tally, account, sums_of_task, q, lost[j], centre, G, theta, clock
                )
                if not finite(outer, meta, account, snapshot):
                    return r
                keep(account, ended_accounts[row])
                keep(losses_of_task, ended_tasks[row])
                keep(snapshot, ended_tallies[row])
                row += 1
                if stride > 0 and clock[ENDED] % stride == 0:
                    slot = clock[ENDED] // stride - (clock[ENDED] - row) // stride - 1
                    place(centre, outer.scale(meta) * outer.shrink(meta), G, path[slot])
                state, account = inner.start(), ACCOUNT
                total, carry, late, opened = TASK
            r += 1
            more = r < n and slots[task[r]] == j
        keep(state, states[j])
        keep(account, accounts[j])
        keep((total, carry, late, opened), tasks[j])
    clock[POINTS] += n
    keep(meta, meta_row)
    keep(tally, tally_row)
    return n


@lean_kernel
def end_one(inner, outer, every_point, j, across, within, clock, written, stride):
    """End the open task in slot j between points, as in ``run``; False if a number overflowed."""
    centre, G, theta, meta_row, tally_row = across
    sums, lost, states, accounts, tasks = within
    meta, tally, account, losses_of_task, snapshot = end(
        outer, every_point, as_state(outer.start(), meta_row), as_state(ACCOUNT, tally_row),
        as_state(ACCOUNT, accounts[j]), as_state(TASK, tasks[j]), sums[j], lost[j], centre, G, theta, clock,
    )  # fmt: skip
    if not finite(outer, meta, account, snapshot):
        return False
    keep(account, written.accounts[0])
    keep(losses_of_task, written.tasks[0])
    keep(snapshot, written.tallies[0])
    if stride > 0 and clock[ENDED] % stride == 0:
        place(centre, outer.scale(meta) * outer.shrink(meta), G, written.path[0])
    keep(inner.start(), states[j])
    keep(ACCOUNT, accounts[j])
    keep(TASK, tasks[j])
    keep(meta, meta_row)
    keep(tally, tally_row)
    return True


@kernel
def cumulative(values):
    """Running sums (n,) with the rounding error carried along."""
    out = np.empty(values.shape[0])
    total = carry = 0.0
    for k in range(values.shape[0]):
        total, carry = compensated(total, carry, values[k])
        out[k] = total + carry
    return out


@kernel
def first_refused(loss, labels):
    """Row of the first label the loss does not take; -1 if it takes all."""
    for r in range(labels.shape[0]):
        if not loss.accepts(labels[r]):
            return r
    return -1
