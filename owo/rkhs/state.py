"""The state of a kernel learner, and its three moves: points of a task, the end of a task, a shorter bias.

Every array is replaced, never changed, so that a state which was kept is a state to go back to.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from owo import kernels
from owo._record import as_state
from owo.geometry import Identity
from owo.geometry.identity import no_metric
from owo.iterates import reach_of
from owo.rkhs.expansion import shortened
from owo.rkhs.functions import FIRST, Kernel, products, refuse_asymmetric, refuse_indefinite
from owo.rows import Gram

Array = NDArray[np.float64]

_ENDS = np.array([0, 1, -1])
"""What the end of a task adds to the clock: points, tasks that ended, open tasks."""

EPSILON = float(np.finfo(np.float64).eps)


class Laws(NamedTuple):
    """What does not change in a run."""

    kernel: Kernel
    loss: Any
    inner: Any
    outer: Any
    every_point: bool
    budget: int | None


class Open(NamedTuple):
    """An open task of n points, those without a gradient left out."""

    points: Array
    """(n, d)"""
    kept: Array
    """coefficients (n,) of the sum of its gradients q"""
    lost: Array
    """and of what was clipped from them"""
    square: float
    """``|q|^2``"""
    raw_square: float
    """the same of the gradients before clipping"""
    terms: float
    """``sum_j |s_j| |k(x_j, .)|``, before clipping: a share of its square may be lost by rounding"""
    state: Array
    account: Array
    task: Array
    gram: Array | None = None
    """its points' products (n, n), where all came at once"""


class Total(NamedTuple):
    """G, the sum of gradients that the learner across tasks has seen: the bias but for its scale."""

    points: Array
    """(m, d)"""
    coefficients: Array
    """(m,)"""
    gram: Array
    """(m, m) where there is a budget, else (0, 0)"""
    square: float
    """``|G|^2``"""
    terms: float
    """as in ``Open``"""

    def joined(
        self, points: Array, more: Array, cross: Array, gram: Array | None, square: float, terms: float
    ) -> Total:
        """With points (k, d) that have the coefficients ``more`` and the products ``cross`` (k, m) with those here."""
        used = np.flatnonzero(more)
        both = self.gram
        if gram is not None:
            both = np.block([[self.gram, cross[used].T], [cross[used], gram[np.ix_(used, used)]]])
        return Total(
            np.concatenate([self.points, points[used]]), np.concatenate([self.coefficients, more[used]]), both,
            max(square, 0.0), self.terms + terms,
        )  # fmt: skip


class State(NamedTuple):
    """Everything that changes in a run."""

    total: Total
    meta: Array
    tally: Array
    clock: NDArray[np.int64]
    open: dict[Hashable, Open]
    open_cost: float = 0.0
    """of open tasks that the bias has learned from, ``-sum <g, theta - centre>``; see ``kernels.Across.pending``"""
    cost: float = 0.0
    """``sum <g_i, theta_i - theta_end>`` of tasks that overlapped, less ``sum <e, theta>`` over what the budget cut"""
    cut: float = 0.0
    """``sum |e|``"""


def begun(laws: Laws, d: int) -> State:
    """Before any point."""
    total = Total(np.empty((0, d)), np.empty(0), np.empty((0, 0)), 0.0, 0.0)
    meta = np.array(laws.outer.start(), dtype=np.float64)
    return State(total, meta, np.zeros(len(kernels.ACCOUNT)), np.zeros(3, dtype=np.int64), {})


def _fresh(laws: Laws, d: int) -> Open:
    state = np.array(laws.inner.start(), dtype=np.float64)
    zeros = np.zeros(len(kernels.ACCOUNT)), np.zeros(len(kernels.TASK))
    return Open(np.empty((0, d)), np.empty(0), np.empty(0), 0.0, 0.0, 0.0, state, *zeros)


def _above(square: float, terms: float, n: int) -> float:
    """What ``|f|^2`` of n terms is at most, given what was summed up.

    The sum loses up to ``n`` units in the last place of ``terms^2``, which is all there is of it where points nearly
    coincide and their coefficients cancel; a certificate asks for no less than the norm.
    """
    return max(square, 0.0) + n * EPSILON * terms * terms


# ------------------------------------------------------------------------------------------------- points of a task


def learned(laws: Laws, s: State, X: Array, y: Array, key: Hashable) -> tuple[State, kernels.Written, int]:
    """Points (n, d) of one task in turn: the next state, what happened at each, and how many went well, if not all."""
    total, task = s.total, s.open.get(key) or _fresh(laws, X.shape[1])
    m, o, n = len(total.points), len(task.points), len(y)
    known = np.concatenate([total.points, task.points])
    rows = products(laws.kernel, X, np.concatenate([known, X]))
    own = rows[:, m + o :]
    _check(laws.kernel, s, X, known, rows)

    G, q, lost = (np.zeros(m + o + n) for _ in range(3))
    G[:m], q[m : m + o], lost[m : m + o] = total.coefficients, task.kept, task.lost
    pending, clock, meta, tally = np.zeros(m + o + n + 1), s.clock.copy(), s.meta.copy(), s.tally.copy()
    theta = np.zeros(m + o + n) if laws.every_point else -reach_of(laws.outer, meta) * G
    across = kernels.Across(np.zeros(m + o + n), G, theta, pending, meta, tally, no_metric())
    state, account, row = task.state[None].copy(), task.account[None].copy(), task.task[None].copy()
    within = kernels.Within(q[None], lost[None], state, account, row, np.empty((1, 0)), np.empty((1, 0)))
    written, table = kernels.room(n, 0, 0, m + o + n), Gram(rows, m + o)
    done = kernels.run(
        laws.loss, laws.inner, laws.outer, Identity(), laws.every_point, True, table, table, y, np.zeros(n, np.int64),
        np.zeros(n, np.bool_), np.zeros(1, np.int64), across, within, clock, written, 0,
    )  # fmt: skip

    if done < n:
        return s, written, int(done)
    task = _longer(task, X, rows[:, m:], q[m:], lost[m:])._replace(state=state[0], account=account[0], task=row[0])
    if laws.every_point:
        square = total.square + _grown(G[m + o :], rows[:, :m] @ total.coefficients, own)
        gram = None if laws.budget is None else own
        total = total.joined(X, G[m + o :], rows[:, :m], gram, square, _terms(G[m + o :], own))
    after = s._replace(
        total=total, meta=meta, tally=tally, clock=clock, open={**s.open, key: task},
        open_cost=s.open_cost + float(pending[-1]),
    )  # fmt: skip
    return after, written, int(done)


def _longer(task: Open, X: Array, rows: Array, q: Array, lost: Array) -> Open:
    """The task with points X (n, d) that have the products ``rows`` (n, o + n), and coefficients (o + n,)."""
    o, raw = len(task.points), q + lost
    met, own = rows[:, :o], rows[:, o:]
    square = task.square + _grown(q[o:], met @ q[:o], own)
    raw_square = task.raw_square + _grown(raw[o:], met @ raw[:o], own)
    used = np.flatnonzero((q[o:] != 0.0) | (raw[o:] != 0.0))
    return task._replace(
        points=np.concatenate([task.points, X[used]]), kept=np.concatenate([q[:o], q[o:][used]]),
        lost=np.concatenate([lost[:o], lost[o:][used]]), square=max(square, 0.0), raw_square=max(raw_square, 0.0),
        terms=task.terms + _terms(raw[o:], own),
        gram=None if o else own[np.ix_(used, used)],
    )  # fmt: skip


def _grown(a: Array, met: Array, gram: Array) -> float:
    """``|f + h|^2 - |f|^2`` for h with coefficients a at points where f is ``met``."""
    return float(a @ (2.0 * met + gram @ a))


def _terms(a: Array, gram: Array) -> float:
    """``sum_j |a_j| |k(x_j, .)|``."""
    return float(np.abs(a) @ np.sqrt(np.maximum(gram.diagonal(), 0.0)))


def _check(kernel: Kernel, s: State, X: Array, known: Array, rows: Array) -> None:
    gram, points, m = rows[:, len(known) :], X, len(known)
    if s.clock[kernels.POINTS] < FIRST and m:
        points = np.concatenate([known, X])
        gram = products(kernel, points, points)
        refuse_asymmetric(rows[:, :m], gram[:m, m:], X, known)
    refuse_asymmetric(gram, gram, points, points)
    refuse_indefinite(gram)


# ------------------------------------------------------------------------------------------------- end of a task


def ended(laws: Laws, s: State, key: Hashable) -> tuple[State, Array, Array]:
    """A task ends: the next state, the task's account, and its other numbers for the ledger."""
    task = s.open[key]
    others = {other: each for other, each in s.open.items() if other != key}
    account = kernels.with_pull(
        as_state(kernels.ACCOUNT, task.account), _above(task.square, task.terms, len(task.kept))
    )
    total, carry, earned, opened = as_state(kernels.TASK, task.task)
    overlaps = opened < s.clock[kernels.ENDED]
    s = s._replace(open=others, clock=s.clock + _ENDS)
    if laws.every_point:
        s = s._replace(open_cost=s.open_cost + earned if others else 0.0)
    else:
        s = _handed_over(laws, s, task, earned, overlaps)
    if _too_long(laws, s.total):
        s = _cut(laws, s)
    total_square = _above(s.total.square, s.total.terms, len(s.total.coefficients))
    tally = kernels.with_pull(as_state(kernels.ACCOUNT, s.tally), total_square)
    learned_from = sum(math.sqrt(_raw(each)) for each in others.values()) if laws.every_point else 0.0
    numbers = (total + carry, s.open_cost + s.cost, learned_from + s.cut)
    return s._replace(tally=np.array(tally)), np.array(account), np.array(numbers)


def _raw(task: Open) -> float:
    return _above(task.raw_square, task.terms, len(task.kept))


def _handed_over(laws: Laws, s: State, task: Open, earned: float, overlaps: bool) -> State:
    """The learner across tasks sees the gradient q of a task that ended, as in ``kernels.hand_over``.

    If G gets too long it sees ``q + e`` instead, e being what it takes to shorten G: one round, not two.
    """
    total, raw = s.total, task.kept + task.lost
    cross = products(laws.kernel, task.points, total.points)
    along, norm2 = float(raw @ (cross @ total.coefficients)), _raw(task)
    meta, tally = as_state(laws.outer.start(), s.meta), as_state(kernels.ACCOUNT, s.tally)
    factor = kernels.reach(laws.outer, meta)
    late = earned + factor * along if overlaps else 0.0
    gram = None
    if laws.budget is not None:
        gram = products(laws.kernel, task.points, task.points) if task.gram is None else task.gram

    def after(kept: float) -> Total:
        square = total.square + kept * (2.0 * along + kept * task.raw_square)
        return total.joined(task.points, kept * raw, cross, gram, square, kept * task.terms)

    shorter, cost = None, 0.0
    if _too_long(laws, after(1.0)):
        long = after(1.0)
        cut = _shortened(long, laws)
        old = np.concatenate([total.coefficients, np.zeros(len(long.points) - len(total.points))])
        met, size2 = float(old @ cut.moved), norm2 + 2.0 * float((long.coefficients - old) @ cut.moved) + cut.square
        if laws.outer.clip(meta, size2) >= 1.0:
            shorter, along, norm2, cost = cut, along + met, max(size2, 0.0), factor * met
    kept, meta, tally = kernels.settle(
        laws.outer, meta, tally, along, norm2, laws.outer.slack(meta, norm2), norm2
    )  # fmt: skip
    if overlaps:
        meta = laws.outer.late(meta, kept * late)
    s = s._replace(meta=np.array(meta), tally=np.array(tally), cost=s.cost + late + cost)
    if shorter is None:
        return s._replace(total=after(kept))
    return s._replace(total=shorter.total, cut=s.cut + math.sqrt(shorter.square))


# ------------------------------------------------------------------------------------------------- a shorter bias


class _Cut(NamedTuple):
    """G written with fewer points, and the change e."""

    total: Total
    moved: Array
    """e at the points of the longer G"""
    square: float
    """``|e|^2``, or above it by what rounding may have lost"""


def _too_long(laws: Laws, total: Total) -> bool:
    return laws.budget is not None and len(total.points) > laws.budget


def _shortened(total: Total, laws: Laws) -> _Cut:
    kept, short = shortened(total.gram, total.coefficients, laws.budget or 0)
    e = short - total.coefficients
    moved = total.gram @ e
    gram = np.ascontiguousarray(total.gram[np.ix_(kept, kept)])
    square = max(float(short[kept] @ gram @ short[kept]), 0.0)
    shorter = Total(total.points[kept], short[kept], gram, square, _terms(short[kept], gram))
    return _Cut(shorter, moved, _above(float(e @ moved), _terms(e, total.gram), len(e)))


def _cut(laws: Laws, s: State) -> State:
    """Write G with ``budget`` points; what that changes, e, the learner across tasks sees as one more gradient.

    It stays a learner with a certificate then, on gradients of which the tasks' are all but e; and e costs a comparator
    ``<e, theta' - theta>``: one part known, one at most ``|e| |theta'|``.
    """
    shorter = _shortened(s.total, laws)
    met = float(s.total.coefficients @ shorter.moved)
    meta, tally = as_state(laws.outer.start(), s.meta), as_state(kernels.ACCOUNT, s.tally)
    cost, cut, left = s.cost, s.cut, 1.0
    while left > 0.0:  # a law that clips takes it in two
        along, size2 = left * (met + (1.0 - left) * shorter.square), left * left * shorter.square
        cost += kernels.reach(laws.outer, meta) * along
        cut += math.sqrt(size2)
        taken, meta, tally = kernels.settle(
            laws.outer, meta, tally, along, size2, laws.outer.slack(meta, size2), size2
        )  # fmt: skip
        left = 0.0 if taken >= 1.0 else left * (1.0 - taken)
    return s._replace(total=shorter.total, meta=np.array(meta), tally=np.array(tally), cost=cost, cut=cut)
