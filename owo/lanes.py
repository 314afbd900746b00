"""Many configurations in one pass: ``owo.kernels.run`` for lanes, each a learner with numbers of its own.

Inside a task theta stays, so that with ``K = X X^T`` all that a lane needs of a point is, beside ``<x, theta>``,

    <x_i, q_{i-1}>  =  sum_{k<i} s_k K_ik

which is a product of one row of K with the slopes of all lanes. Points are taken in pieces of at most ``PIECE``; what
the pieces before left in q, theta and G comes in by products, too. Where the bias moves after every point,
``<x_i, G_{i-1}>`` is found the same way. So a point costs a lane ``2 d + PIECE / 2`` multiplications at most, without a
branch, on ``WIDTH`` lanes side by side.

Scalars are the same code as for one learner (``kernels.suffer``, ``kernels.settle``). Every number of a lane that is
not a vector lies in one array, a row of ``WIDTH`` lanes each: see ``owo.abreast``.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from owo._record import fast_part, lean_kernel, part
from owo.abreast import (
    WIDTH,
    accumulate,
    copy_row,
    fill,
    get,
    hand_out,
    keep_lane,
    meet,
    numbers,
    put,
    record_of,
    size,
    state_of,
)
from owo.kernels import ACCOUNT, EXCESS, PULL, compensated, finite, reach, settle, suffer
from owo.slots import aligned

PIECE = 64
"""Points that are taken together, at most."""

# Rows of what a point needs, and leaves, ...
BASE, ALONG, FELT, SLOPE, CLIPPED, FULL, ACROSS, VALUE, PREDICTION = range(9)
# ... of what a task has cost, and of whether a number overflowed, ...
TOTAL, CARRY, FAILED = range(9, 12)
# ... of the accounts, after which come states and then the numbers of the laws.
OF_TASK = 12
OF_STREAM = OF_TASK + len(ACCOUNT)
STATES = OF_STREAM + len(ACCOUNT)

# --------------------------------------------------------------------------------------------- products with rows


@part
def mix(target, row, M, i, n, source):
    """``target[row] += sum_{k<n} M[i, k] source[k]``."""
    accumulate(target, row, M, i * M.shape[1], 1, n, source)


@part
def gather(target, X, start, n, source):
    """``target[k] += sum_{i<n} X[start + i, k] source[i]``, for all k."""
    d = X.shape[1]
    for k in range(d):
        accumulate(target, k, X, start * d + k, d, n, source)


@fast_part
def gram(X, Z, start, n, first, K):
    """``X Z^T`` up to its diagonal, of ``n`` rows from ``start`` on; into rows from ``first``."""
    for i in range(n):
        for j in range(i + 1):
            total = 0.0
            for k in range(X.shape[1]):
                total += X[start + i, k] * Z[start + j, k]
            K[first + i, j] = total


@fast_part
def reach_centre(X, start, n, first, centre, at_centre):
    """``X centre`` of the same rows."""
    for i in range(n):
        total = 0.0
        for k in range(X.shape[1]):
            total += X[start + i, k] * centre[k]
        at_centre[first + i] = total


@part
def square(rows, row, vectors, d):
    """``rows[row] = |v|^2`` of every lane."""
    fill(rows, row, 0.0)
    meet(rows, row, vectors, vectors, d)


@part
def clear(vectors, d):
    """Set to zero."""
    for k in range(d):
        fill(vectors, k, 0.0)


# ------------------------------------------------------------------------------------------------------ the passes


class Lanes(NamedTuple):
    """Arrays of all lanes, a row a block of ``WIDTH`` lanes, flat inside."""

    rows: Any
    total: Any
    """sums of gradients G, (blocks, d WIDTH)"""
    play: Any
    """theta"""
    sums: Any
    """q"""
    lost: Any
    """what was clipped from q"""
    seen: Any
    """``M q``, where M is not the identity; else none"""

    def copied(self) -> Lanes:
        """The same numbers, which stay as they are."""
        return Lanes(*map(_aligned, self))


class Scratch(NamedTuple):
    """Room for a piece of a task."""

    K: Any
    """``<x, M x'>``"""
    plain: Any
    """``<x, x'>``"""
    at_centre: Any
    slopes: Any
    clipped: Any
    across: Any


class Noted(NamedTuple):
    """What is written down: a row a point, if wanted, and a row a task; lanes come last."""

    losses: Any
    predictions: Any
    accounts: Any
    """of tasks, a row a number: (7 T, C)"""
    tallies: Any
    tasks: Any
    """summed losses"""


@part
def step(loss, inner, rows, x2, length2, y, at_inner):
    """One point, inside the tasks of a block's lanes."""
    for c in range(WIDTH):
        law = record_of(inner, rows, at_inner, c)
        state = state_of(inner.start(), rows, STATES, c)
        account = state_of(ACCOUNT, rows, OF_TASK, c)
        along = get(rows, ALONG, c)
        p, value, s, norm2, slack = suffer(loss, law, state, get(rows, BASE, c), along, x2, y)
        kept, state, account = settle(law, state, account, s * along, norm2, slack, s * s * length2)
        total, carry = compensated(get(rows, TOTAL, c), get(rows, CARRY, c), value)
        put(rows, TOTAL, c, total)
        put(rows, CARRY, c, carry)
        put(rows, SLOPE, c, kept * s)
        put(rows, CLIPPED, c, (1.0 - kept) * s)
        put(rows, FULL, c, s)
        put(rows, VALUE, c, value)
        put(rows, PREDICTION, c, p)
        keep_lane(state, rows, STATES, c)
        keep_lane(account, rows, OF_TASK, c)


@part
def step_across(outer, rows, length2, at_outer, at_meta):
    """The same point, across tasks, where the bias moves after every point."""
    for c in range(WIDTH):
        across = record_of(outer, rows, at_outer, c)
        meta = state_of(outer.start(), rows, at_meta, c)
        tally = state_of(ACCOUNT, rows, OF_STREAM, c)
        s = get(rows, FULL, c)
        norm2 = s * s * length2
        kept, meta, tally = settle(across, meta, tally, s * get(rows, FELT, c), norm2, across.slack(meta, norm2), norm2)
        put(rows, ACROSS, c, kept * s)
        keep_lane(meta, rows, at_meta, c)
        keep_lane(tally, rows, OF_STREAM, c)


@part
def move_back(outer, rows, at_outer, at_meta):
    """``<x, theta> = <x, centre> - C <x, G>``, where the bias moves after every point."""
    for c in range(WIDTH):
        across = record_of(outer, rows, at_outer, c)
        meta = state_of(outer.start(), rows, at_meta, c)
        put(rows, BASE, c, get(rows, BASE, c) - reach(across, meta) * get(rows, FELT, c))


@part
def any_clipped(rows):
    """Whether a gradient of the task was clipped in any lane."""
    excess = 0.0
    for c in range(WIDTH):
        excess += get(rows, OF_TASK + EXCESS, c)
    return not excess == 0.0


@fast_part
def advance(rows, centre, total, play, sums, d):
    """``G += kept q``, ``theta = centre - scale G``, ``q = 0``; kept and scale stand in rows, ``|G|^2`` comes there."""
    for k in range(d):
        at = centre[k]
        for c in range(WIDTH):
            new = get(total, k, c) + get(rows, SLOPE, c) * get(sums, k, c)
            put(total, k, c, new)
            put(play, k, c, at - get(rows, VALUE, c) * new)
        fill(sums, k, 0.0)
    square(rows, BASE, total, d)


@part
def end(inner, outer, every_point, mapped, rows, centre, total, play, sums, seen, lost, at_outer, at_meta):
    """A task ends in all lanes of a block."""
    d = centre.shape[0]
    fill(rows, ALONG, 0.0)
    meet(rows, ALONG, sums, seen, d)
    for c in range(WIDTH):
        put(rows, OF_TASK + PULL, c, math.sqrt(max(get(rows, ALONG, c), 0.0)))
    if mapped:
        clear(seen, d)
        square(rows, ALONG, sums, d)
    if every_point:
        square(rows, BASE, total, d)
        clear(sums, d)
    else:
        if any_clipped(rows):
            for k in range(d):
                for c in range(WIDTH):
                    put(sums, k, c, get(sums, k, c) + get(lost, k, c))
            clear(lost, d)
            square(rows, ALONG, sums, d)
        fill(rows, FELT, 0.0)
        meet(rows, FELT, sums, total, d)
        for c in range(WIDTH):
            across = record_of(outer, rows, at_outer, c)
            meta = state_of(outer.start(), rows, at_meta, c)
            tally = state_of(ACCOUNT, rows, OF_STREAM, c)
            norm2 = get(rows, ALONG, c)
            kept, meta, tally = settle(across, meta, tally, get(rows, FELT, c), norm2, across.slack(meta, norm2), norm2)
            put(rows, SLOPE, c, kept)
            put(rows, VALUE, c, reach(across, meta))
            keep_lane(meta, rows, at_meta, c)
            keep_lane(tally, rows, OF_STREAM, c)
        advance(rows, centre, total, play, sums, d)
    for c in range(WIDTH):
        put(rows, OF_STREAM + PULL, c, math.sqrt(get(rows, BASE, c)))


@part
def write(inner, outer, rows, noted, task, first, at_outer, at_meta):
    """A row of the ledger of every lane; the task's numbers begin anew."""
    lanes = min(WIDTH, noted.tasks.shape[1] - first)
    for c in range(lanes):
        account = state_of(ACCOUNT, rows, OF_TASK, c)
        tally = state_of(ACCOUNT, rows, OF_STREAM, c)
        total = get(rows, TOTAL, c) + get(rows, CARRY, c)
        across = record_of(outer, rows, at_outer, c)
        meta = state_of(outer.start(), rows, at_meta, c)
        if not (math.isfinite(total) and finite(across, meta, account, (total, 0.0, 0.0), tally)):
            put(rows, FAILED, c, 1.0)
        noted.tasks[task, first + c] = total
    if noted.accounts.shape[0]:
        for k in range(len(ACCOUNT)):
            hand_out(rows, OF_TASK + k, noted.accounts, task * len(ACCOUNT) + k, first)
            hand_out(rows, OF_STREAM + k, noted.tallies, task * len(ACCOUNT) + k, first)
    for c in range(WIDTH):
        law = record_of(inner, rows, at_meta + len(outer.start()), c)
        keep_lane(law.start(), rows, STATES, c)
        keep_lane(ACCOUNT, rows, OF_TASK, c)
        put(rows, TOTAL, c, 0.0)
        put(rows, CARRY, c, 0.0)


@part
def stretch(
    loss, inner, outer, every_point, mapped, X, Z, y, start, n, at, begun, rows, total, play, sums, seen, lost, room,
    noted, lane, at_inner, at_outer, at_meta,
):  # fmt: skip
    """Points of one task in all lanes of a block; their rows of K begin ``at``; with ``begun``, q is not 0."""
    d, points = X.shape[1], noted.losses.shape[0]
    for i in range(n):
        fill(rows, ALONG, 0.0)
        if begun:
            mix(rows, ALONG, X, start + i, d, seen)
        mix(rows, ALONG, room.K, at + i, i, room.slopes)
        if every_point:
            fill(rows, BASE, room.at_centre[at + i])
            fill(rows, FELT, 0.0)
            mix(rows, FELT, X, start + i, d, total)
            mix(rows, FELT, room.plain, at + i, i, room.across)
            move_back(outer, rows, at_outer, at_meta)
        else:
            fill(rows, BASE, 0.0)
            mix(rows, BASE, X, start + i, d, play)
        step(loss, inner, rows, room.K[at + i, i], room.plain[at + i, i], y[start + i], at_inner)
        copy_row(rows, SLOPE, room.slopes, i)
        if every_point:
            step_across(outer, rows, room.plain[at + i, i], at_outer, at_meta)
            copy_row(rows, ACROSS, room.across, i)
        else:
            copy_row(rows, CLIPPED, room.clipped, i)
        if points:
            hand_out(rows, VALUE, noted.losses, start + i, lane)
            hand_out(rows, PREDICTION, noted.predictions, start + i, lane)
    gather(sums, X, start, n, room.slopes)
    if mapped:
        gather(seen, Z, start, n, room.slopes)
    if every_point:
        gather(total, X, start, n, room.across)
    elif any_clipped(rows):
        gather(lost, X, start, n, room.clipped)


@lean_kernel
def run(loss, inner, outer, every_point, mapped, X, Z, y, offsets, centre, lanes, room, noted, first):
    """Stream whole tasks, one after another, through all lanes; task t has rows ``offsets[t] .. offsets[t + 1]``.

    ``Z`` holds ``M x`` where M is not the identity, which ``mapped`` says; else it is ``X``, and ``room.plain`` is
    ``room.K``.

    A piece is as many tasks as fit into it, or a part of one that is longer; every block of lanes meets all of a piece
    before the next one comes. Of all blocks, these are those from ``first`` on.
    """
    at_meta = STATES + len(inner.start())
    at_inner = at_meta + len(outer.start())
    at_outer = at_inner + size(inner)
    task, start, tasks = 0, offsets[0], offsets.shape[0] - 1
    while task < tasks:
        begun, whole = start > offsets[task], task
        while whole < tasks and offsets[whole + 1] - start <= PIECE:
            whole += 1
        stop = offsets[whole] if whole > task else start + PIECE
        at = start
        for t in range(task, max(whole, task + 1)):
            n = min(offsets[t + 1], stop) - at
            gram(X, Z, at, n, at - start, room.K)
            if mapped:
                gram(X, X, at, n, at - start, room.plain)
            reach_centre(X, at, n, at - start, centre, room.at_centre)
            at += n
        for b in range(lanes.rows.shape[0]):
            rows, total, play = lanes.rows[b], lanes.total[b], lanes.play[b]
            sums, lost = lanes.sums[b], lanes.lost[b]
            seen = lanes.seen[b] if mapped else sums
            at = start
            for t in range(task, max(whole, task + 1)):
                n = min(offsets[t + 1], stop) - at
                stretch(
                    loss, inner, outer, every_point, mapped, X, Z, y, at, n, at - start, begun and t == task, rows,
                    total, play, sums, seen, lost, room, noted, (first + b) * WIDTH, at_inner, at_outer, at_meta,
                )  # fmt: skip
                at += n
                if at == offsets[t + 1]:
                    end(
                        inner, outer, every_point, mapped, rows, centre, total, play, sums, seen, lost, at_outer,
                        at_meta,
                    )  # fmt: skip
                    write(inner, outer, rows, noted, t, (first + b) * WIDTH, at_outer, at_meta)
        start, task = stop, whole


def begin(pairs: list[tuple[Any, Any]], centre: np.ndarray, mapped: bool) -> Lanes:
    """Lanes for pairs of laws, before any data; what is left of the last block repeats the last pair."""
    blocks = -(-len(pairs) // WIDTH)
    d = len(centre)
    columns = []
    for one, other in pairs:
        columns.append([
            *(0.0,) * STATES, *one.start(), *other.start(), *numbers(one), *numbers(other),
        ])  # fmt: skip
    columns += [columns[-1]] * (blocks * WIDTH - len(columns))
    rows = _aligned(np.array(columns).reshape(blocks, WIDTH, -1).transpose(0, 2, 1).reshape(blocks, -1))
    play = _aligned(np.broadcast_to(np.repeat(centre, WIDTH), (blocks, d * WIDTH)))
    total, sums, lost = (aligned(blocks, d * WIDTH) for _ in range(3))
    return Lanes(rows, total, play, sums, lost, aligned(blocks if mapped else 0, d * WIDTH))


def _aligned(values: np.ndarray) -> np.ndarray:
    out = aligned(*values.shape)
    out[...] = values
    return out


def scratch(mapped: bool) -> Scratch:
    """Room for one thread."""
    K = np.zeros((PIECE, PIECE))
    plain = np.zeros((PIECE, PIECE)) if mapped else K
    return Scratch(K, plain, np.zeros(PIECE), *(aligned(PIECE * WIDTH) for _ in range(3)))
