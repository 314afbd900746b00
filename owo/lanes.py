"""Many configurations in one pass: ``owo.kernels.run`` for lanes, each a learner with numbers of its own.

Inside a task theta stays, so that with ``K = X X^T`` all that a lane needs of a point is, beside ``<x, theta>``,

    <x_i, q_{i-1}>  =  sum_{k<i} s_k K_ik

which is a product of one row of K with the slopes of all lanes. Points are taken in pieces of at most ``PIECE``; what
the pieces before left in q, theta and G comes in by products of matrices, before the first point of a piece and after
its last. Where the bias moves after every point, ``<x_i, G_{i-1}>`` is found the same way; and where no law clips,
``M = I`` and both learners see the same gradients, what the piece itself adds to both is the same number. So a point
costs a lane about ``2 d + PIECE / 2`` multiplications, and d more in a task of several pieces, without a branch, on
``LANES`` lanes side by side.

Scalars are the same code as for one learner (``kernels.suffer``, ``kernels.settle``). Every number of a lane that is
not a vector lies in one array, a row of ``LANES`` lanes each: see ``owo.abreast``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from owo._record import called_part, fast_part, lean_kernel, overload_part, part
from owo.abreast import (
    LANES,
    copy_row,
    fill,
    get,
    hand_out,
    keep_lane,
    numbers,
    put,
    record_of,
    size,
    state_of,
    widely,
)
from owo.kernels import ACCOUNT, EXCESS, PULL, ROUNDS, compensated, finite, reach, settle, suffer
from owo.laws import may_clip
from owo.pairs import inner_products
from owo.products import accumulate, accumulate_all, meet
from owo.slots import aligned

PIECE = 64
"""Points that are taken together, at most."""
NEAR = 8
"""Of these, points whose products with those before them are summed together."""

# Rows of what a point needs, and leaves, ...
BASE, ALONG, FELT, SLOPE, CLIPPED, ACROSS, VALUE, PREDICTION = range(8)
# ... of what a piece and a task have cost, and of whether a number overflowed, ...
SUM, TOTAL, CARRY, FAILED = range(8, 12)
# ... of the accounts, after which come states and then the numbers of the laws.
OF_TASK = 12
OF_STREAM = OF_TASK + len(ACCOUNT)
STATES = OF_STREAM + len(ACCOUNT)

# --------------------------------------------------------------------------------------------- products with rows


@called_part
def clear(vectors, d):
    """Set to zero."""
    for k in range(d):
        fill(vectors, k, 0.0)


@called_part
def project(target, X, start, n, d, source):
    """``target[i] = <x_{start + i}, source>`` for i < n."""
    accumulate_all(target, 0, n, X, start * X.shape[1], X.shape[1], 1, d, source, True)


@called_part
def gather(target, X, start, n, source, anew):
    """``target[k] += sum_{i<n} X[start + i, k] source[i]``, for all k; ``anew``: what the target held is over."""
    d = X.shape[1]
    accumulate_all(target, 0, d, X, start * d, 1, d, n, source, anew)


@fast_part
def reach_centre(X, start, n, first, centre, at_centre):
    """``X centre`` of the same rows."""
    for i in range(n):
        total = 0.0
        for k in range(X.shape[1]):
            total += X[start + i, k] * centre[k]
        at_centre[first + i] = total


@called_part
def square(rows, row, vectors, d):
    """``rows[row] = |v|^2`` of every lane."""
    fill(rows, row, 0.0)
    meet(rows, row, vectors, vectors, d)


# ------------------------------------------------------------------------------------------------------ the passes


class Lanes(NamedTuple):
    """Arrays of all lanes, a row a block of ``LANES`` lanes, flat inside."""

    rows: Any
    total: Any
    """sums of gradients G, (blocks, d LANES)"""
    play: Any
    """theta"""
    sums: Any
    """q"""
    lost: Any
    """what was clipped from q"""
    seen: Any
    """``M q``, where M is not the identity; else none"""

    def between(self, start: int, stop: int) -> Lanes:
        """Some of the blocks."""
        return Lanes(*(array[start:stop] for array in self))

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
    base: Any
    """of every point, ``<x, theta>``; where the bias moves after every point, ``<x, G>``, as the piece begins"""
    before: Any
    """``<x, M q>``, likewise"""
    slopes: Any
    clipped: Any
    across: Any


class Noted(NamedTuple):
    """What is written down: a row a point, if wanted, and a row a task; lanes come last."""

    losses: Any
    predictions: Any
    column: Any
    """where in the two arrays above these lanes begin, which may stand beside others"""
    accounts: tuple[Any, ...]
    """of tasks and of the stream, a row a number of ``kept_of``: (5 T, C) or (6 T, C); none if there will be no
    certificates, and then nothing of them is worked out"""
    tasks: Any
    """summed losses"""

    def of_tasks(self, first: int, last: int, points: Any) -> Noted:
        """The part of it for some of the tasks, with other room for their points."""
        rows = [len(each) // len(self.tasks) for each in self.accounts]
        accounts = tuple(each[first * k : last * k] for each, k in zip(self.accounts, rows, strict=True))
        losses, predictions = points
        return Noted(losses, predictions, self.column, accounts, self.tasks[first:last])


@part
def places(inner, outer):
    """Rows of the state across tasks, of the numbers of the law inside them, and of those of the law across them."""
    at_meta = STATES + len(inner.start())
    at_inner = at_meta + len(outer.start())
    return at_meta, at_inner, at_inner + size(inner)


def _by_class(tell: Callable[[type], Any]) -> Callable[[Any], Any]:
    """A function of a law that its class decides, so that the answer is known when the code is compiled."""

    def told(law):
        return tell(type(law))

    @overload_part(told)
    def _told(law):
        found = tell(law.instance_class)
        return lambda law: found

    return told


def _to_keep(kind: type) -> tuple[int, ...]:
    """Which numbers of a law's accounts are written down: all but those that are known without them.

    Known are how many rounds there were, and what a law cut off that never clips.
    """
    known = (ROUNDS,) if may_clip(kind) else (ROUNDS, EXCESS)
    return tuple(k for k in range(len(ACCOUNT)) if k not in known)


clips, kept_of = _by_class(may_clip), _by_class(_to_keep)


@part
def inside(loss, inner, outer, accounts, rows, base, x2, length2, y, c):
    """One point, inside the task of lane c; its slope. Accounts are kept if certificates need them."""
    _, at_inner, _ = places(inner, outer)
    law = record_of(inner, rows, at_inner, c)
    state = state_of(inner.start(), rows, STATES, c)
    account = state_of(ACCOUNT, rows, OF_TASK, c)
    along = get(rows, ALONG, c)
    p, value, s, norm2, slack = suffer(loss, law, state, base, along, x2, y)
    kept, state, account = settle(law, state, account, s * along, norm2, slack, s * s * length2)
    put(rows, SUM, c, get(rows, SUM, c) + value)
    put(rows, SLOPE, c, kept * s)
    if clips(inner):
        put(rows, CLIPPED, c, (1.0 - kept) * s)
    put(rows, VALUE, c, value)
    put(rows, PREDICTION, c, p)
    keep_lane(state, rows, STATES, c)
    if accounts:
        keep_lane(account, rows, OF_TASK, c)
    elif clips(inner):
        put(rows, OF_TASK + EXCESS, c, account[EXCESS])
    return s


@part
def step(loss, inner, outer, accounts, rows, x2, length2, y, lanes):
    """One point in all lanes of a block, where the bias moves when a task ends."""
    widely()
    for c in range(lanes):
        inside(loss, inner, outer, accounts, rows, get(rows, BASE, c), x2, length2, y, c)


@part
def step_in_both(loss, inner, outer, accounts, apart, rows, at_centre, x2, length2, y, lanes):
    """One point in all lanes of a block, inside tasks and across them: ``<x, theta> = <x, centre> - C <x, G>``."""
    widely()
    at_meta, _, at_outer = places(inner, outer)
    for c in range(lanes):
        across = record_of(outer, rows, at_outer, c)
        meta = state_of(outer.start(), rows, at_meta, c)
        tally = state_of(ACCOUNT, rows, OF_STREAM, c)
        felt = get(rows, FELT, c) if apart else get(rows, BASE, c) + get(rows, ALONG, c)
        s = inside(loss, inner, outer, accounts, rows, at_centre - reach(across, meta) * felt, x2, length2, y, c)
        norm2 = s * s * length2
        kept, meta, tally = settle(across, meta, tally, s * felt, norm2, across.slack(meta, norm2), norm2)
        put(rows, ACROSS, c, kept * s)
        keep_lane(meta, rows, at_meta, c)
        if accounts:
            keep_lane(tally, rows, OF_STREAM, c)


@part
def add_up(rows, lanes):
    """Add what a piece lost, a plain sum of few numbers, to what its task lost, whose rounding is carried along."""
    widely()
    for c in range(lanes):
        total, carry = compensated(get(rows, TOTAL, c), get(rows, CARRY, c), get(rows, SUM, c))
        put(rows, TOTAL, c, total)
        put(rows, CARRY, c, carry)
        put(rows, SUM, c, 0.0)


@called_part
def join(total, sums, d):
    """``G += q``."""
    for k in range(d * LANES):
        put(total, 0, k, get(total, 0, k) + get(sums, 0, k))


@called_part
def any_clipped(rows):
    """Whether a gradient of the task was clipped in any lane."""
    excess = 0.0
    for c in range(LANES):
        excess += get(rows, OF_TASK + EXCESS, c)
    return not excess == 0.0


@fast_part
def advance(rows, centre, total, play, sums, d):
    """``G += kept q``, ``theta = centre - scale G``; kept and scale stand in rows, ``|G|^2`` comes there."""
    fill(rows, BASE, 0.0)
    for k in range(d):
        at = centre[k]
        for c in range(LANES):
            new = get(total, k, c) + get(rows, SLOPE, c) * get(sums, k, c)
            put(total, k, c, new)
            put(play, k, c, at - get(rows, VALUE, c) * new)
            put(rows, BASE, c, get(rows, BASE, c) + new * new)


@called_part
def end(inner, outer, every_point, mapped, apart, rows, centre, total, play, sums, seen, lost, lanes):
    """A task ends in all lanes of a block."""
    widely()
    d = centre.shape[0]
    at_meta, _, at_outer = places(inner, outer)
    fill(rows, ALONG, 0.0)
    meet(rows, ALONG, sums, seen, d)
    for c in range(lanes):
        put(rows, OF_TASK + PULL, c, math.sqrt(max(get(rows, ALONG, c), 0.0)))
    if mapped:
        square(rows, ALONG, sums, d)
    if every_point:
        if not apart:
            join(total, sums, d)
        square(rows, BASE, total, d)
    else:
        if clips(inner) and any_clipped(rows):
            join(sums, lost, d)
            clear(lost, d)
            square(rows, ALONG, sums, d)
        fill(rows, FELT, 0.0)
        meet(rows, FELT, sums, total, d)
        for c in range(lanes):
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
    for c in range(lanes):
        put(rows, OF_STREAM + PULL, c, math.sqrt(get(rows, BASE, c)))


def hand_out_accounts(inner, outer, rows, accounts, task, first, lanes):
    """Write the accounts of a task, and of the stream up to it, if they are kept."""


@overload_part(hand_out_accounts)
def _hand_out_accounts(inner, outer, rows, accounts, task, first, lanes):
    if not len(accounts):
        return lambda inner, outer, rows, accounts, task, first, lanes: None

    def implementation(inner, outer, rows, accounts, task, first, lanes):
        ours, theirs = kept_of(inner), kept_of(outer)
        for k in range(len(ours)):
            hand_out(rows, OF_TASK + ours[k], accounts[0], task * len(ours) + k, first, lanes)
        for k in range(len(theirs)):
            hand_out(rows, OF_STREAM + theirs[k], accounts[1], task * len(theirs) + k, first, lanes)

    return implementation


@called_part
def write(inner, outer, rows, noted, task, first, lanes):
    """A row of the ledger of every lane; the task's numbers begin anew."""
    widely()
    at_meta, at_inner, at_outer = places(inner, outer)
    for c in range(lanes):
        account = state_of(ACCOUNT, rows, OF_TASK, c)
        tally = state_of(ACCOUNT, rows, OF_STREAM, c)
        total = get(rows, TOTAL, c) + get(rows, CARRY, c)
        across = record_of(outer, rows, at_outer, c)
        meta = state_of(outer.start(), rows, at_meta, c)
        sound = math.isfinite(total) and finite(across, meta, account, (total, 0.0, 0.0), tally)
        put(rows, FAILED, c, max(get(rows, FAILED, c), 0.0 if sound else 1.0))
        put(rows, VALUE, c, total)
    there = noted.tasks.shape[1] - first
    hand_out(rows, VALUE, noted.tasks, task, first, there)
    hand_out_accounts(inner, outer, rows, noted.accounts, task, first, there)
    for c in range(lanes):
        law = record_of(inner, rows, at_inner, c)
        keep_lane(law.start(), rows, STATES, c)
        keep_lane(ACCOUNT, rows, OF_TASK, c)
        put(rows, TOTAL, c, 0.0)
        put(rows, CARRY, c, 0.0)


@called_part
def stretch(
    loss, inner, outer, every_point, mapped, apart, X, Z, y, start, n, at, begun, rows, total, play, sums, seen, lost,
    room, noted, lane, lanes,
):  # fmt: skip
    """Points of one task in all lanes of a block; their rows of K begin ``at``; with ``begun``, q is not 0."""
    d, points, accounts = X.shape[1], noted.losses.shape[0], len(noted.accounts) > 0
    project(room.base, X, start, n, d, total if every_point else play)
    if begun:
        project(room.before, X, start, n, d, seen)
    for i in range(n):
        x2, length2 = room.K[at + i, i], room.plain[at + i, i]
        near, row = i // NEAR * NEAR, (at + i) * PIECE
        if i == near:
            some = min(NEAR, n - i)
            accumulate_all(room.before, i, some, room.K, row, PIECE, 1, i, room.slopes, not begun)
            if every_point and apart:
                accumulate_all(room.base, i, some, room.plain, row, PIECE, 1, i, room.across, False)
        accumulate(rows, ALONG, room.before, i, room.K, row + near, 1, i - near, room.slopes, near, False)
        copy_row(room.base, i, rows, BASE)
        if every_point:
            if apart:
                accumulate(rows, FELT, room.base, i, room.plain, row + near, 1, i - near, room.across, near, False)
            step_in_both(
                loss, inner, outer, accounts, apart, rows, room.at_centre[at + i], x2, length2, y[start + i], lanes,
            )  # fmt: skip
            if apart:
                copy_row(rows, ACROSS, room.across, i)
        else:
            step(loss, inner, outer, accounts, rows, x2, length2, y[start + i], lanes)
            if clips(inner):
                copy_row(rows, CLIPPED, room.clipped, i)
        copy_row(rows, SLOPE, room.slopes, i)
        if points:
            there = noted.tasks.shape[1] - lane
            hand_out(rows, VALUE, noted.losses, start + i, noted.column + lane, there)
            hand_out(rows, PREDICTION, noted.predictions, start + i, noted.column + lane, there)
    add_up(rows, lanes)
    gather(sums, X, start, n, room.slopes, not begun)
    if mapped:
        gather(seen, Z, start, n, room.slopes, not begun)
    if every_point:
        if apart:
            gather(total, X, start, n, room.across, False)
    elif clips(inner) and any_clipped(rows):
        gather(lost, X, start, n, room.clipped, False)


@lean_kernel
def run(loss, inner, outer, every_point, mapped, X, Z, y, offsets, centre, lanes, room, noted, first):
    """Stream whole tasks, one after another, through all lanes; task t has rows ``offsets[t] .. offsets[t + 1]``.

    ``Z`` holds ``M x`` where M is not the identity, which ``mapped`` says; else it is ``X``, and ``room.plain`` is
    ``room.K``.

    A piece is as many tasks as fit into it, or a part of one that is longer; every block of lanes meets all of a piece
    before the next one comes. Of all blocks, these are those from ``first`` on.
    """
    apart = mapped or clips(inner) or clips(outer)
    width = room.slopes.shape[0] // PIECE  # LANES, which the compiler must not know: it would not use vectors
    task, start, tasks = 0, offsets[0], offsets.shape[0] - 1
    while task < tasks:
        begun, whole = start > offsets[task], task
        while whole < tasks and offsets[whole + 1] - start <= PIECE:
            whole += 1
        stop = offsets[whole] if whole > task else start + PIECE
        at = start
        for t in range(task, max(whole, task + 1)):
            n = min(offsets[t + 1], stop) - at
            inner_products(X, Z, at, n, X.shape[1], room.K, at - start)
            if mapped:
                inner_products(X, X, at, n, X.shape[1], room.plain, at - start)
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
                    loss, inner, outer, every_point, mapped, apart, X, Z, y, at, n, at - start, begun and t == task,
                    rows, total, play, sums, seen, lost, room, noted, (first + b) * LANES, width,
                )  # fmt: skip
                at += n
                if at == offsets[t + 1]:
                    end(
                        inner, outer, every_point, mapped, apart, rows, centre, total, play, sums, seen, lost, width,
                    )  # fmt: skip
                    write(inner, outer, rows, noted, t, (first + b) * LANES, width)
        start, task = stop, whole


def begin(pairs: list[tuple[Any, Any]], centre: np.ndarray, mapped: bool) -> Lanes:
    """Lanes for pairs of laws, before any data; what is left of the last block repeats the last pair."""
    blocks = -(-len(pairs) // LANES)
    d = len(centre)
    pairs = pairs + pairs[-1:] * (blocks * LANES - len(pairs))
    (states, ours), (metas, theirs) = (_begun(laws) for laws in zip(*pairs, strict=True))
    begun = np.concatenate((np.zeros((len(pairs), STATES)), states, metas, ours, theirs), axis=1)
    rows = _aligned(begun.reshape(blocks, LANES, -1).transpose(0, 2, 1).reshape(blocks, -1))
    play = _aligned(np.broadcast_to(np.repeat(centre, LANES), (blocks, d * LANES)))
    total, sums, lost = (aligned(blocks, d * LANES) for _ in range(3))
    return Lanes(rows, total, play, sums, lost, aligned(blocks if mapped else 0, d * LANES))


def _begun(laws: Sequence[Any]) -> list[np.ndarray]:
    """State and numbers of each law, a row each; many of them may be the same object."""
    known = {id(law): law for law in laws}
    place = {key: k for k, key in enumerate(known)}
    rows = [place[id(law)] for law in laws]
    tables = [law.start() for law in known.values()], [numbers(law) for law in known.values()]
    return [np.array(table, dtype=np.float64)[rows] for table in tables]


def _aligned(values: np.ndarray) -> np.ndarray:
    out = aligned(*values.shape)
    out[...] = values
    return out


def scratch(mapped: bool) -> Scratch:
    """Room for one thread."""
    K = np.zeros((PIECE, PIECE))
    plain = np.zeros((PIECE, PIECE)) if mapped else K
    return Scratch(K, plain, np.zeros(PIECE), *(aligned(PIECE * LANES) for _ in range(5)))
