"""The loop over points of one learner.

Each learner keeps the sum of its gradients and a scalar state (see ``owo.laws``), so a round needs no vectors but
the row ``x`` and a few dot products. With bias ``theta = centre - C G`` across tasks and ``w = theta - c q`` inside
one, the prediction is ``<x, theta> - c <x, q>``. Where the bias moves after every point, ``<x, theta>`` is
``<x, centre> - C <x, G>``, so that nothing of size d has to be rebuilt.

One kernel, ``run``, serves every road into the library: a whole stream, tasks interleaved point by point, and a
single point. Losses and counts are summed as written; only dot products may be reordered, and steps along a row
rounded once.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from owo._record import as_state, fast_part, keep, kernel, lean_kernel, part
from owo.prefetching import prefetch
from owo.rows import bring_near, join, product
from owo.vectors import add, dot, dots

# Columns of a law's account, in the order of laws.Account, ...
ROUNDS, SCALE, SLACK, MARGIN, PULL, EXCESS, SQUARES = range(7)
ACCOUNT = (0.0,) * 7
# ... of what an open task keeps beside it (EARNED: see ``Within``), ...
TOTAL, CARRY, EARNED, OPENED = range(4)
TASK = (0.0,) * 4
# ... of what is written down of a task that ended, beside its account, ...
LOSS, OVERLAP, PENDING = range(3)
# ... and of the learner's clock.
POINTS, ENDED, OPEN = range(3)

AHEAD, COMING, WIDE = 16, 1600, 256
"""Rows are asked for this many ahead of their use, or as many as have ``COMING`` numbers if that is fewer, where they
have at most ``WIDE`` each; longer rows the processor follows by itself, and asking would only be in its way. Of open
tasks, which are longer in use, always the one ``AHEAD`` points on. Where memory is the limit this is worth up to half
as much speed again (``make bench``)."""


@part
def clear(row):
    """Set to zero."""
    for k in range(row.shape[0]):
        row[k] = 0.0


@part
def lead(d):
    """How many rows ahead of its use a row of d numbers is asked for; 0 where it is not."""
    return min(AHEAD, COMING // d) if d <= WIDE else 0


@part
def place(centre, scale, total, out):
    """``out = centre - scale total``: the play of a lazy learner."""
    for k in range(out.shape[0]):
        out[k] = centre[k] - scale * total[k]


@part
def compensated(total, carry, value):
    """Add to a sum whose rounding errors, each found exactly (Knuth 1969), are carried along."""
    new = total + value
    added = new - total
    carry += (total - (new - added)) + (value - added)
    return new, carry


@part
def reach(law, state):
    """The factor on the sum of gradients in a law's play."""
    return law.scale(state) * law.shrink(state)


@part
def settle(law, state, account, along, norm2, slack, length2):
    """One gradient seen by a law: the part of it that is kept, the next state, the next account.

    ``along = <g, M G>``, ``norm2 = |g|_M^2`` and ``length2 = |g|^2``; ``slack`` is what the round adds to the
    certificate.
    """
    kept = law.clip(state, norm2)
    rounds, _, slacks, margin, pull, excess, squares = account
    margin -= reach(law, state) * along
    if kept < 1.0:
        excess += (1.0 - kept) * math.sqrt(norm2)
    account = (rounds + 1.0, law.scale(state), slacks + slack, margin, pull, excess, squares + length2)
    return kept, law.observe(state, along, norm2), account


@part
def with_pull(account, norm2):
    """The account with ``|G|``, which is only worked out where a row of the ledger is written."""
    rounds, scale, slack, margin, _, excess, squares = account
    return rounds, scale, slack, margin, math.sqrt(norm2), excess, squares


@part
def suffer(loss, law, state, base, along, x2, y):
    """Predict, suffer and take the slope: a round in scalars.

    ``base = <x, centre>``, ``along = <x, M q>``, ``x2 = |x|_M^2``. Returns the prediction, the loss, the slope s, the
    gradient's ``|g|_M^2`` and what the round adds to the certificate.
    """
    scale = reach(law, state)
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
    pending: Any
    """of tasks that overlap, (d + 1,). Where the bias moves after every point: the sum of the gradients of open tasks,
    which it has learned from already, and what they cost, ``-sum <g, theta - centre>``. Where it moves when a task
    ends: zeros, and the sum of ``<g_i, theta_i - theta_end>`` so far"""
    state: Any
    account: Any
    metric: Any
    """what the geometry keeps: see ``geometry.Metric``"""


class Within(NamedTuple):
    """Arrays of the open tasks, a row (slot) each."""

    sums: Any
    """sums of gradients q"""
    lost: Any
    """what was clipped from them"""
    states: Any
    accounts: Any
    tasks: Any
    """loss so far and what its sum lost by rounding; ``sum <g, theta>``, or ``sum <g, theta - centre>`` where the bias
    moves after every point; how many tasks had ended before this one began"""
    metrics: Any
    """M of each, as it was when the task began"""
    hints: Any
    """what the geometry will learn from each"""


class Written(NamedTuple):
    """What a run writes down: a row a point (if wanted), a row a task that ended, a row every ``stride`` tasks."""

    losses: Any
    predictions: Any
    accounts: Any
    tasks: Any
    tallies: Any
    path: Any
    """the bias, and the metric beside it"""
    moves: Any
    """of the geometry, where it learns: a row a task that ended"""
    stages: Any
    """and a row every ``pace`` tasks, and after the last"""
    slopes: Any
    """and, where it asks for them, a row a point: ``s``, ``c`` and ``c s^2 / 2``"""


def room(points: int, tasks: int, rows_of_path: int, d: int, width: int = 0, stage: int = 0) -> Written:
    """Arrays for a run to write to, not yet filled; ``width`` of a metric that is learned, ``stage`` of its stages."""
    (losses, predictions), (accounts, tallies) = np.empty((2, points)), np.empty((2, tasks, len(ACCOUNT)))
    ended, path = np.empty((tasks, PENDING + 1)), np.empty((rows_of_path, d + width))
    moves, stages = np.empty((tasks if stage else 0, 2)), np.empty((stages_of(tasks, stage), stage))
    return Written(losses, predictions, accounts, ended, tallies, path, moves, stages, np.empty((0, 3)))


def cut(written: Written, points: slice, tasks: slice, rows_of_path: slice, slopes: Any) -> Written:
    """The part of what a run writes down that belongs to some of its points."""
    losses, predictions, accounts, ended, tallies, path, moves, stages, _ = written
    return Written(
        losses[points], predictions[points], accounts[tasks], ended[tasks], tallies[tasks], path[rows_of_path],
        moves[tasks], stages, slopes,
    )  # fmt: skip


def stages_of(tasks: int, stage: int) -> int:
    """How many stages of a metric are written down, so that they have no more than about ``NUMBERS`` numbers."""
    pace = -(-tasks * stage // NUMBERS)
    return -(-tasks // pace) if pace else 0


NUMBERS = 2**18
"""Numbers that the stages of one run may have, at most about."""


@part
def hand_over(outer, meta, tally, earned, overlaps, q, along, norm2, across):
    """The learner across tasks sees the gradient q of a task that ended, and moves the bias; ``q`` is cleared."""
    centre, G, theta, pending, _, _, _ = across
    late = earned - dot(q, theta) if overlaps else 0.0
    kept, meta, tally = settle(outer, meta, tally, along, norm2, outer.slack(meta, norm2), norm2)
    if overlaps:
        meta = outer.late(meta, kept * late)
        pending[q.shape[0]] += late
    norm2 = advance(q, kept, G, centre, reach(outer, meta), theta)
    return meta, with_pull(tally, norm2), pending[q.shape[0]], 0.0


@part
def let_go(tally, earned, last, q, across):
    """A task ended whose gradients the bias has learned from one by one; ``q`` is cleared."""
    _, G, _, pending, _, _, _ = across
    if last:
        clear(pending)
    else:
        add(-1.0, q, pending)
        pending[q.shape[0]] += earned
    clear(q)
    d = G.shape[0]
    return with_pull(tally, dot(G, G)), pending[d], math.sqrt(dot(pending[:d], pending[:d]))


@part
def end(outer, geometry, every_point, meta, tally, account, task, q, lost, own, hints, across, clock):
    """End a task: its gradients go to the learner across tasks, its sums are cleared.

    Returns the outer state and account, the task's account, and the other numbers that are written down of it.
    """
    total, carry, earned, opened = task
    overlaps = opened < clock[ENDED]
    clock[ENDED] += 1
    clock[OPEN] -= 1
    G = across.total
    _, along, norm2 = dots(q, G, G)
    account = with_pull(account, geometry.square(q, own, norm2))
    geometry.move(account, own, hints, overlaps, across.metric)
    if account[EXCESS] > 0.0:
        add(1.0, lost, q)
        clear(lost)
        _, along, norm2 = dots(q, G, G)
    if every_point:
        tally, overlap, pending = let_go(tally, earned, clock[OPEN] == 0, q, across)
    else:
        meta, tally, overlap, pending = hand_over(outer, meta, tally, earned, overlaps, q, along, norm2, across)
    return meta, tally, account, (total + carry, overlap, pending)


@part
def sound(account):
    """Whether sums over rounds are finite, and ``|G|^2``, which is at most the number of rounds times the squares."""
    return math.isfinite(account[SLACK] + account[MARGIN] + account[ROUNDS] * account[SQUARES])


@part
def write(account, numbers, tally, geometry, metric, written, row):
    """A row of the ledger."""
    geometry.write(metric, written.moves, written.stages, row, written.tasks.shape[0])
    keep(account, written.accounts[row])
    keep(numbers, written.tasks[row])
    keep(tally, written.tallies[row])


@part
def finite(outer, meta, account, numbers, tally):
    """Whether the numbers of a task that ended, and the bias it led to, are finite."""
    across = outer.scale(meta) * tally[PULL] + numbers[OVERLAP] + numbers[PENDING]
    return sound(account) and sound(tally) and math.isfinite(across)


@lean_kernel
def run(
    loss, inner, outer, geometry, every_point, mixed, X, Z, y, task, ends, slots, across, within, clock, written, stride
):
    """Stream all points in order; return how many were taken: all of them, or those before one that overflowed.

    Row r belongs to the task in slot ``slots[task[r]]``, which ends after it if ``ends[r]``. The learner
    across tasks is updated after ``every_point``, or else when a task ends. Without ``mixed`` no task is open while
    another one ends. ``Z`` holds ``M x`` for the geometries that ask for
    it, else it is ``X``. ``across``, ``within`` and ``clock`` are updated in place.
    """
    centre, G, theta, pending, meta_row, tally_row, metric = across
    sums, lost, states, accounts, tasks, metrics, hints = within
    meta = as_state(outer.start(), meta_row)
    tally = as_state(ACCOUNT, tally_row)
    n, d = y.shape[0], G.shape[0]
    ahead = lead(d)
    all_points = written.losses.shape[0] == n
    r = row = at = 0
    while r < n:
        # Rows that share a slot and follow one another are streamed with its scalars in registers.
        j = slots[task[r]]
        q, own = sums[j], metrics[j]
        state = as_state(inner.start(), states[j])
        account = as_state(ACCOUNT, accounts[j])
        total, carry, earned, opened = as_state(TASK, tasks[j])
        more = True
        while more:
            if not (sound(account) and sound(tally)):  # of the point before: to ask at once is to wait for the sums
                return r - 1
            if account[ROUNDS] == 0.0:
                opened = float(clock[ENDED])
                clock[OPEN] += 1
                geometry.begin(metric, own)
            if ahead:
                bring_near(X, min(r + ahead, n - 1))
            if mixed and ahead:
                coming = slots[task[min(r + AHEAD, n - 1)]]
                prefetch(sums, coming)
                prefetch(states, coming)
                prefetch(accounts, coming)
                prefetch(tasks, coming)
            base, along, x2, length2 = geometry.look(X, Z, r, theta, q, own)
            pull = moved = 0.0
            if every_point:
                pull = product(X, r, G)
                moved = reach(outer, meta) * pull
            p, value, s, norm2, slack = suffer(loss, inner, state, base - moved, along, x2, y[r])
            if all_points:
                written.losses[r] = value
                written.predictions[r] = p
            total, carry = compensated(total, carry, value)
            scale = reach(inner, state)
            half = 0.5 * scale * s * s
            if scale == 0.0 and x2 > 0.0:  # the law has seen no gradient yet; its slack knows the scale it takes
                half = slack / x2
            kept, state, account = settle(inner, state, account, s * along, norm2, slack, s * s * length2)
            geometry.note(X, r, q, own, kept * s, scale, half, hints[j], written.slopes)
            join(kept * s, X, r, q)
            if kept < 1.0 and (mixed or not every_point):
                join((1.0 - kept) * s, X, r, lost[j])
            if every_point:
                norm2 = s * s * length2
                kept, meta, tally = settle(outer, meta, tally, s * pull, norm2, outer.slack(meta, norm2), norm2)
                join(kept * s, X, r, G)
                if mixed:
                    join(s, X, r, pending)
                    pending[d] += s * moved
                    earned -= s * moved
            else:
                earned += s * base
            if not (math.isfinite(p) and math.isfinite(value)):
                return r
            if ends[r]:
                ended = (total, carry, earned, opened)
                meta, tally, account, numbers = end(
                    outer, geometry, every_point, meta, tally, account, ended, q, lost[j], own, hints[j], across, clock
                )
                if not (finite(outer, meta, account, numbers, tally) and geometry.sound(metric)):
                    return r
                write(account, numbers, tally, geometry, metric, written, row)
                row += 1
                if stride > 0 and clock[ENDED] % stride == 0:
                    place(centre, reach(outer, meta), G, written.path[at, :d])
                    geometry.trace(metric, written.path[at, d:])
                    at += 1
                state, account = inner.start(), ACCOUNT
                total, carry, earned, opened = TASK
            r += 1
            more = r < n and slots[task[r]] == j
        if not (sound(account) and sound(tally)):
            return r - 1
        keep(state, states[j])
        keep(account, accounts[j])
        keep((total, carry, earned, opened), tasks[j])
    clock[POINTS] += n
    keep(meta, meta_row)
    keep(tally, tally_row)
    return n


@lean_kernel
def end_one(inner, outer, geometry, every_point, j, across, within, clock, written):
    """End the open task in slot j between points, as in ``run``; False if a number overflowed."""
    sums, lost, states, accounts, tasks, metrics, hints = within
    meta, tally, account, numbers = end(
        outer, geometry, every_point, as_state(outer.start(), across.state), as_state(ACCOUNT, across.account),
        as_state(ACCOUNT, accounts[j]), as_state(TASK, tasks[j]), sums[j], lost[j], metrics[j], hints[j], across,
        clock,
    )  # fmt: skip
    if not (finite(outer, meta, account, numbers, tally) and geometry.sound(across.metric)):
        return False
    write(account, numbers, tally, geometry, across.metric, written, 0)
    keep(inner.start(), states[j])
    keep(ACCOUNT, accounts[j])
    keep(TASK, tasks[j])
    keep(meta, across.state)
    keep(tally, across.account)
    return True


@lean_kernel
def learn_across(outer, across, q):
    """The learner across tasks sees the gradient q of a task that no run has met, as ``run`` does; ``q`` is cleared."""
    G = across.total
    _, along, norm2 = dots(q, G, G)
    meta, tally, _, _ = hand_over(
        outer, as_state(outer.start(), across.state), as_state(ACCOUNT, across.account), 0.0, False, q, along, norm2,
        across,
    )  # fmt: skip
    keep(meta, across.state)
    keep(tally, across.account)


@lean_kernel
def copy_rows(array, rows, out):
    """``out[k] = array[rows[k]]``, with rows asked for ahead of their use: they may lie anywhere."""
    n = rows.shape[0]
    for k in range(n):
        prefetch(array, rows[min(k + AHEAD, n - 1)])
        for j in range(out.shape[1]):
            out[k, j] = array[rows[k], j]


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
    refused = 0
    for r in range(labels.shape[0]):  # without a way out, so that the processor takes several at a time
        refused += 0 if loss.accepts(labels[r]) else 1
    r = 0
    while refused and loss.accepts(labels[r]):
        r += 1
    return r if refused else -1
