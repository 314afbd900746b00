r"""Predictions of many experts put together online, by exponential weights that need no learning rate: AdaHedge.

Expert c has lost ``L_c`` so far. The weights of the next point are

    w_c  proportional to  exp(-eta L_c),        eta = ln K / Delta,

where ``Delta`` sums the mixability gaps: by how much ``<w, loss>`` was above ``-1/eta ln <w, exp(-eta loss)>``. A loss
that is convex in the prediction costs ``sum_c w_c p_c`` at most ``<w, loss>``, and since eta never grows, the mixture's

    H  <=  min_c L_c  +  Delta  +  ln K / eta                                  (at most 2 Delta with eta up to date)

whatever the losses and their range (de Rooij, van Erven, Grünwald, Koolen, JMLR 2014). Here eta is renewed only when it
is ``STALE`` off, so that a point costs each expert one exponential; the bound holds as it stands, with the eta in use.

Predictions are first kept within a range, so that an expert with too large a step cannot spoil the mixture while it
still has weight: no farther from the labels seen so far than these are apart, if the loss is least where ``p = y``; up
to ``1 + ln t`` in size at point t, if labels are signs. ``L_c`` is what such predictions lost.

With ``share`` alpha > 0 every expert is given back alpha / K after each point (fixed share: Herbster and Warmuth,
Machine Learning 1998), so that another can take the lead soon after a change. That adds the sum over points of
``-ln(1 - alpha) / eta`` to the bound, and against a sequence of experts ``ln(K / alpha) / eta`` for each change.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from owo._record import fast_part, lean_kernel, part

STALE = 1.0 / 32.0
"""By what part eta may be too large before it is renewed."""

FARTHEST = 700.0
"""Beyond it, exp(-x) is taken as 0."""

GAPS, ETA, MASS, LEAST, DEALT, LOST, LOW, HIGH, ROUNDS = range(9)
"""``Delta``; eta, infinite until experts differ; the sum of all weights; the least excess loss; what sharing cost; the
sum of ``<w, loss>``; the range of labels seen; points."""

ANYTHING, LABELS, MARGINS = range(3)
"""Within what predictions are kept: nothing; the range of labels so far; the logarithm of the number of points."""

OUT = 1e300
"""Loss of an expert that is lost."""

_LOG2E, _HIGH, _LOW = 1.4426950408889634, 0.6931471803691238, 1.9082149292705877e-10
"""``1 / ln 2``, and ln 2 in two parts, so that small multiples of the first are exact."""
_ROUNDING = 1.5 * 2.0**52
"""Added to a number, it leaves the nearest integer in the last bits."""
_C4, _C5, _C6, _C7, _C8, _C9, _C10, _C11, _C12, _C13 = (1.0 / math.factorial(k) for k in range(4, 14))


class Mixture(NamedTuple):
    """State of an aggregation."""

    excess: Any
    """``L_c`` beyond the sum of ``<w, loss>`` (K,), infinite for experts that are lost"""
    weights: Any
    """of the next point (K,), up to their sum"""
    carried: Any
    """normalised weights summed over all points (K,)"""
    numbers: Any
    """see GAPS"""
    spare: Any
    """room (K,)"""

    @classmethod
    def begun(cls, experts: int) -> Mixture:
        """Before any point."""
        numbers = np.array([0.0, math.inf, experts, 0.0, 0.0, 0.0, math.inf, -math.inf, 0.0])
        return cls(np.zeros(experts), np.ones(experts), np.zeros(experts), numbers, np.zeros(experts))

    def copied(self) -> Mixture:
        """The same numbers, which stay as they are."""
        return Mixture(*(array.copy() for array in self))

    def normalised(self) -> np.ndarray:
        """Weights that sum to one."""
        return np.asarray(self.weights / self.weights.sum())


class Mixed(NamedTuple):
    """What is written down: a row a point, and a row a task."""

    losses: Any
    predictions: Any
    tasks: Any
    """(T, 4): the mixture's loss; up to there ``Delta``, ``ln K / eta`` with what sharing cost, the least ``L_c``"""
    weights: Any
    """(T, K) or no row: normalised weights after each task"""


@intrinsic
def _scaled(_context, x, shift):
    """``x`` times two to the power that stands in the last bits of ``shift``."""

    def generate(_context, builder, _signature, arguments):
        word = ir.IntType(64)
        value, power = (builder.bitcast(each, word) for each in arguments)
        return builder.bitcast(builder.add(value, builder.shl(power, word(52))), ir.DoubleType())

    return types.float64(types.float64, types.float64), generate


@part
def exp_minus(x):
    """``exp(-x)`` for ``x >= 0`` to one unit in the last place or two; without branches, so that loops take many."""
    near = min(x, FARTHEST)
    shift = _ROUNDING - near * _LOG2E
    k = shift - _ROUNDING
    r = -near - k * _HIGH - k * _LOW
    r2 = r * r
    high = _C8 + r * _C9 + r2 * (_C10 + r * _C11 + r2 * (_C12 + r * _C13))
    low = 0.5 + r / 6.0 + r2 * (_C4 + r * _C5 + r2 * (_C6 + r * _C7 + r2 * high))
    return _scaled(1.0 + (r + r2 * low), shift) if x <= FARTHEST else 0.0


@part
def _range(within, numbers):
    """Between what numbers predictions are kept."""
    low, high = -math.inf, math.inf
    if within == LABELS and numbers[LOW] <= numbers[HIGH]:
        width = numbers[HIGH] - numbers[LOW]
        low, high = numbers[LOW] - width, numbers[HIGH] + width
    elif within == MARGINS:
        high = 1.0 + math.log1p(numbers[ROUNDS])
        low = -high
    return low, high


@part
def _keep_within(loss, low, high, predictions, losses, row, y):
    """Predictions outside the range are taken as its end."""
    for c in range(predictions.shape[1]):
        p = predictions[row, c]
        if (p < low or p > high) and losses[row, c] != OUT:
            predictions[row, c] = low if p < low else high
            losses[row, c] = loss.value(predictions[row, c], y)


@fast_part
def _met(weights, predictions, losses, row):
    """``<w, p>`` and ``<w, loss>``."""
    p, h = 0.0, 0.0
    for c in range(weights.shape[0]):
        p += weights[c] * predictions[row, c]
        h += weights[c] * losses[row, c]
    return p, h


@part
def _least(values):
    """The least of them, by eight chains side by side: one alone has to wait for itself."""
    a = b = c = d = e = f = g = h = math.inf
    whole = values.shape[0] // 8 * 8
    for k in range(0, whole, 8):
        a, b = min(a, values[k]), min(b, values[k + 1])
        c, d = min(c, values[k + 2]), min(d, values[k + 3])
        e, f = min(e, values[k + 4]), min(f, values[k + 5])
        g, h = min(g, values[k + 6]), min(h, values[k + 7])
    for k in range(whole, values.shape[0]):
        a = min(a, values[k])
    return min(min(min(a, b), min(c, d)), min(min(e, f), min(g, h)))


@fast_part
def _lose(excess, losses, row, h, carried, weights, mass):
    """Add a point's losses, and its weights to what was carried."""
    each = 1.0 / mass
    for c in range(excess.shape[0]):
        excess[c] += losses[row, c] - h
        carried[c] += each * weights[c]


@fast_part
def _sum(values):
    total = 0.0
    for c in range(values.shape[0]):
        total += values[c]
    return total


@part
def _weigh(excess, least, eta, weights):
    """``w = exp(-eta (excess - least))``; their sum."""
    for c in range(excess.shape[0]):
        weights[c] = exp_minus(eta * (excess[c] - least))
    return _sum(weights)


@part
def _reweigh(weights, losses, row, least, eta, spare):
    """``spare = w exp(-eta (loss - least))``; the sum."""
    for c in range(weights.shape[0]):
        spare[c] = weights[c] * exp_minus(eta * (losses[row, c] - least))
    return _sum(spare)


@part
def _temper(weights, losses, row, least, eta, renewed, excess, spare):
    """``spare = (w exp(-eta (loss - least)))^(renewed / eta)``, up to a factor, without underflow before; the sum."""
    near = math.inf
    for c in range(weights.shape[0]):
        far = renewed * (losses[row, c] - least - math.log(weights[c]) / eta) if excess[c] < math.inf else math.inf
        spare[c], near = far, min(near, far)
    for c in range(weights.shape[0]):
        spare[c] = exp_minus(spare[c] - near)
    return _sum(spare)


@part
def _deal(weights, mass, share, excess, spare):
    """Normalise ``spare``, and give every expert that is not lost an equal part of ``share``."""
    alive = 0
    for c in range(excess.shape[0]):
        alive += 1 if excess[c] < math.inf else 0
    kept, dealt = (1.0 - share) / mass, share / alive
    for c in range(weights.shape[0]):
        weights[c] = kept * spare[c] + (dealt if excess[c] < math.inf else 0.0)


@part
def _drop(mixture, share, lost_at, row):
    """Experts that are lost from this row on have no weight any more."""
    excess, weights, _, numbers, _ = mixture
    for c in range(excess.shape[0]):
        if lost_at[c] == row:
            excess[c], weights[c] = math.inf, 0.0
    numbers[LEAST] = _least(excess)
    if share == 0.0 and numbers[ETA] < math.inf:
        numbers[MASS] = _weigh(excess, numbers[LEAST], numbers[ETA], weights)
    else:
        numbers[MASS] = _sum(weights)


@part
def _learn(mixture, share, losses, row, h, log_experts):
    """Weights for the next point, from the losses of this one; ``h`` is what the mixture lost at most."""
    excess, weights, carried, numbers, spare = mixture
    eta = numbers[ETA]
    numbers[LOST] += h
    _lose(excess, losses, row, h, carried, weights, numbers[MASS])
    least, mass = _least(losses[row] if share > 0.0 else excess), numbers[MASS]
    if eta == math.inf:
        gap = h - least if share > 0.0 else numbers[LEAST] - least
    elif share > 0.0:
        mass = _reweigh(weights, losses, row, least, eta, spare)
        gap = h - least + math.log(mass / numbers[MASS]) / eta
    else:
        mass = _weigh(excess, least, eta, weights)
        gap = numbers[LEAST] - least + math.log(mass / numbers[MASS]) / eta
    numbers[GAPS] += max(gap, 0.0)
    renewed = log_experts / numbers[GAPS] if numbers[GAPS] > 0.0 else math.inf
    stale = renewed < (1.0 - STALE) * eta
    if stale:
        numbers[ETA] = renewed
        if share > 0.0:
            mass = _temper(weights, losses, row, least, eta, renewed, excess, spare)
        else:
            mass = _weigh(excess, least, renewed, weights)
    numbers[LEAST], numbers[MASS] = _least(excess), mass
    if share > 0.0 and numbers[ETA] < math.inf:
        _deal(weights, mass, share, excess, spare)
        numbers[MASS] = 1.0
        numbers[DEALT] -= math.log1p(-share) / numbers[ETA]


@lean_kernel
def mix(loss, share, within, losses, predictions, lost_at, y, offsets, mixture, mixed):
    """Mix what experts predicted for whole tasks, rows ``losses`` and ``predictions`` (n, K); how many rows it did.

    Both are changed to what was kept within the range. ``lost_at`` (K,) has the row from which on an expert is lost, n
    if it is not. Fewer than n rows are done only if every expert is lost, or a number overflowed.
    """
    log_experts = math.log(max(mixture.excess.shape[0], 2))
    n, numbers = losses.shape[0], mixture.numbers
    first = n
    for c in range(lost_at.shape[0]):
        first = min(first, lost_at[c])
    task, total = 0, 0.0
    for row in range(n):
        if first <= row:
            _drop(mixture, share, lost_at, row)
        low, high = _range(within, numbers)
        _keep_within(loss, low, high, predictions, losses, row, y[row])
        p, h = _met(mixture.weights, predictions, losses, row)
        p, h = p / numbers[MASS], h / numbers[MASS]
        value = loss.value(p, y[row])
        if not (math.isfinite(value) and math.isfinite(h)):
            return row
        if mixed.losses.shape[0]:
            mixed.losses[row], mixed.predictions[row] = value, p
        if numbers[ROUNDS] == 0.0:
            numbers[LOW] = numbers[HIGH] = p
        numbers[LOW], numbers[HIGH] = min(numbers[LOW], y[row]), max(numbers[HIGH], y[row])
        numbers[ROUNDS] += 1.0
        total += value
        _learn(mixture, share, losses, row, h, log_experts)
        if row + 1 == offsets[task + 1]:
            mixed.tasks[task, 0], mixed.tasks[task, 1] = total, numbers[GAPS]
            mixed.tasks[task, 3] = numbers[LOST] + numbers[LEAST]
            mixed.tasks[task, 2] = log_experts / numbers[ETA] + numbers[DEALT]
            if mixed.weights.shape[0]:
                for c in range(mixture.weights.shape[0]):
                    mixed.weights[task, c] = mixture.weights[c] / numbers[MASS]
            task, total = task + 1, 0.0
    return n
