r"""Predictions of many experts put together online, by exponential weights that need no learning rate: AdaHedge.

Expert c has lost ``L_c`` so far. The weights of the next point are

    w_c  proportional to  exp(-eta L_c),        eta = ln K / Delta,

where ``Delta`` sums the mixability gaps: by how much ``<w, loss>`` was above ``-1/eta ln <w, exp(-eta loss)>``. A loss
that is convex in the prediction costs ``sum_c w_c p_c`` at most ``<w, loss>``, and since eta never grows, the mixture's

    H  <=  min_c L_c  +  Delta  +  ln K / eta                                  (at most 2 Delta with eta up to date)

whatever the losses and their range (de Rooij, van Erven, Grünwald, Koolen, JMLR 2014). Here eta is renewed only when it
is ``STALE`` off, so that a point costs each expert one exponential; the bound holds as it stands, with the eta in use.

Predictions are first kept within a range, so that an expert with too large a step cannot spoil the mixture while it
still has weight: no farther from the labels seen so far, and the first prediction, than these are apart, if the loss
is least where ``p = y``; up to ``1 + ln t`` in size at point t, if labels are signs. ``L_c`` is what such predictions
lost.

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

from owo._record import fast_part, fused_part, lean_kernel, part
from owo.abreast import widely

STALE = 1.0 / 32.0
"""By what part eta may be too large before it is renewed."""

FARTHEST = 700.0
"""Beyond it, exp(-x) is taken as 0."""

GAPS, ETA, MASS, LEAST, DEALT, LOST, LOW, HIGH, ROUNDS, ALIVE, STRAYED = range(11)
"""``Delta``; eta, infinite until experts differ; the sum of all weights; the least excess loss; what sharing cost; the
sum of ``<w, loss>``; the range of labels seen, and the first prediction; points; experts that are not lost; points up
to the last one at which any prediction was outside the range."""

ANYTHING, LABELS, MARGINS = range(3)
"""Within what predictions are kept: nothing; the range of labels so far; the logarithm of the number of points."""

OUT = 1e300
"""Loss of an expert that is lost."""

LATELY = 0.1
"""What one point counts among the last ones."""

FORGOTTEN = 1e-30
"""What is below it is 0: shrunk again and again, a number would stay at the least above 0, which multiplies slowly."""

NEGLIGIBLE = 1e-12
"""Part of the largest weight below which an expert counts for nothing."""

_LOG2E, _HIGH, _LOW = 1.4426950408889634, 0.6931471803691238, 1.9082149292705877e-10
"""``1 / ln 2``, and ln 2 in two parts, so that small multiples of the first are exact."""
_ROUNDING = 1.5 * 2.0**52
"""Added to a number, it leaves the nearest integer in the last bits."""
_C3, _C4, _C5, _C6, _C7, _C8, _C9, _C10, _C11, _C12, _C13 = (1.0 / math.factorial(k) for k in range(3, 14))


class Mixture(NamedTuple):
    """State of an aggregation."""

    excess: Any
    """``L_c`` beyond the sum of ``<w, loss>`` (K,), infinite for experts that are lost"""
    weights: Any
    """of the next point (K,), up to their sum"""
    carried: Any
    """normalised weights summed over all points (K,)"""
    strayed: Any
    """how often each was outside the range lately (K,), up to the last point at which any was"""
    numbers: Any
    """see GAPS"""
    spare: Any
    """room (K,)"""

    @classmethod
    def begun(cls, experts: int) -> Mixture:
        """Before any point."""
        numbers = np.array([0.0, math.inf, experts, 0.0, 0.0, 0.0, math.inf, -math.inf, 0.0, experts, 0.0])
        zeros = [np.zeros(experts) for _ in range(4)]
        return cls(zeros[0], np.ones(experts), zeros[1], zeros[2], numbers, zeros[3])

    def copied(self) -> Mixture:
        """The same numbers, which stay as they are."""
        return Mixture(*(array.copy() for array in self))

    def normalised(self) -> np.ndarray:
        """Weights that sum to one."""
        return np.asarray(self.weights / self.weights.sum())

    def trusted(self) -> np.ndarray:
        """The weights of experts whose predictions stay within the range, which sum to one.

        An expert that diverges has a part of what is shared, and more after points at which the end of the range is
        right; its predictions are then kept within, but nothing else of it is of use.
        """
        lately = self.strayed * (1.0 - LATELY) ** (self.numbers[ROUNDS] - self.numbers[STRAYED])
        found = np.where((lately <= 0.5) & (self.weights > NEGLIGIBLE * self.weights.max()), self.weights, 0.0)
        return np.asarray(found / found.sum()) if found.any() else self.normalised()


class Mixed(NamedTuple):
    """What is written down: a row a point, and a row a task."""

    losses: Any
    predictions: Any
    tasks: Any
    """(T, 4): the mixture's loss; up to there ``Delta``, ``ln K / eta`` with what sharing cost, the least ``L_c``"""
    weights: Any
    """(T, K) or no row: normalised weights after each task"""

    def part(self, points: slice, tasks: slice) -> Mixed:
        """The rows of some of the points and tasks."""
        return Mixed(self.losses[points], self.predictions[points], self.tasks[tasks], self.weights[tasks])


@intrinsic
def _scaled(_context, x, shift):
    """``x`` times two to the power that stands in the last bits of ``shift``."""

    def generate(_context, builder, _signature, arguments):
        word = ir.IntType(64)
        value, power = (builder.bitcast(each, word) for each in arguments)
        return builder.bitcast(builder.add(value, builder.shl(power, word(52))), ir.DoubleType())

    return types.float64(types.float64, types.float64), generate


@fused_part
def exp_minus(x):
    """``exp(-x)`` for ``x >= 0`` to one unit in the last place or two; without branches, so that loops take many."""
    near = min(x, FARTHEST)
    shift = _ROUNDING - near * _LOG2E
    k = shift - _ROUNDING
    r = -near - k * _HIGH - k * _LOW
    r2 = r * r
    high = _C8 + r * _C9 + r2 * (_C10 + r * _C11 + r2 * (_C12 + r * _C13))
    low = 0.5 + r * _C3 + r2 * (_C4 + r * _C5 + r2 * (_C6 + r * _C7 + r2 * high))
    return _scaled(1.0 + (r + r2 * low), shift) if x <= FARTHEST else 0.0


@part
def limits(within, numbers):
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
def _count(low, high, predictions, losses, row):
    """How many predictions are outside the range, and how many experts have a number that is not finite."""
    widely()
    outside = broken = 0
    for c in range(predictions.shape[1]):
        p = predictions[row, c]
        outside += 1 if p < low else 0
        outside += 1 if p > high else 0
        broken += 0 if abs(p) < math.inf else 1
        broken += 0 if abs(losses[row, c]) < math.inf else 1
    return outside, broken


@part
def _keep_within(loss, low, high, predictions, losses, row, y, excess, strayed, numbers):
    """Predictions outside the range are taken as its end."""
    widely()
    left = (1.0 - LATELY) ** (numbers[ROUNDS] + 1.0 - numbers[STRAYED])
    numbers[STRAYED] = numbers[ROUNDS] + 1.0
    for c in range(predictions.shape[1]):
        p = predictions[row, c]
        kept = low if p < low else high if p > high else p
        before = left * strayed[c]
        strayed[c] = (before if before > FORGOTTEN else 0.0) + (LATELY if kept != p else 0.0)
        predictions[row, c] = kept
        losses[row, c] = loss.value(kept, y) if excess[c] < math.inf else OUT


@part
def _lose_broken(predictions, losses, row, excess, weights):
    """Experts with a number that is not finite are lost, and have no say any more; how many are lost by this row."""
    lost = 0
    for c in range(predictions.shape[1]):
        if excess[c] < math.inf and not (math.isfinite(predictions[row, c]) and math.isfinite(losses[row, c])):
            excess[c], weights[c] = math.inf, 0.0
            lost += 1
        if excess[c] == math.inf:
            predictions[row, c], losses[row, c] = 0.0, OUT
    return lost


@intrinsic
def _lesser(_context, a, b):
    """The lesser of two numbers that are no NaN, so that the least of many can be found several at a time."""

    def generate(_context, builder, _signature, arguments):
        flags = ("nnan", "nsz")
        less = builder.fcmp_ordered("<", *arguments, flags=flags)
        return builder.select(less, *arguments, flags=flags)

    return types.float64(types.float64, types.float64), generate


@fast_part
def _met(weights, predictions, losses, row):
    """``<w, p>``, ``<w, loss>`` and the least loss, which means something only if the others are finite."""
    widely()
    p, h, least = 0.0, 0.0, math.inf
    for c in range(weights.shape[0]):
        p += weights[c] * predictions[row, c]
        h += weights[c] * losses[row, c]
        least = _lesser(losses[row, c], least)
    return p, h, least


@fast_part
def _lose(excess, losses, row, h, carried, weights, mass):
    """Add a point's losses, and its weights to what was carried; the least excess."""
    widely()
    each, least = 1.0 / mass, math.inf
    for c in range(excess.shape[0]):
        excess[c] += losses[row, c] - h
        carried[c] += each * weights[c]
        least = _lesser(excess[c], least)
    return least


@fast_part
def _weigh(excess, least, eta, weights):
    """``w = exp(-eta (excess - least))``; their sum."""
    widely()
    total = 0.0
    for c in range(excess.shape[0]):
        weights[c] = exp_minus(eta * (excess[c] - least))
        total += weights[c]
    return total


@fast_part
def _reweigh(weights, losses, row, least, eta, spare):
    """``spare = w exp(-eta (loss - least))``; the sum."""
    widely()
    total = 0.0
    for c in range(weights.shape[0]):
        spare[c] = weights[c] * exp_minus(eta * (losses[row, c] - least))
        total += spare[c]
    return total


@fast_part
def _temper(weights, losses, row, least, eta, renewed, excess, spare):
    """``spare = (w exp(-eta (loss - least)))^(renewed / eta)``, up to a factor, without underflow before; the sum."""
    near, total = math.inf, 0.0
    for c in range(weights.shape[0]):
        far = renewed * (losses[row, c] - least - math.log(weights[c]) / eta) if excess[c] < math.inf else math.inf
        spare[c], near = far, min(near, far)
    for c in range(weights.shape[0]):
        spare[c] = exp_minus(spare[c] - near)
        total += spare[c]
    return total


@part
def _deal(weights, mass, share, alive, excess, spare):
    """Normalise ``spare``, and give every expert that is not lost an equal part of ``share``."""
    widely()
    kept, dealt = (1.0 - share) / mass, share / alive
    for c in range(weights.shape[0]):
        weights[c] = kept * spare[c] + (dealt if excess[c] < math.inf else 0.0)


@part
def _go_on_without(mixture, share):
    """Weigh anew after experts were lost."""
    excess, weights, numbers = mixture.excess, mixture.weights, mixture.numbers
    alive, least, mass = 0, math.inf, 0.0
    for c in range(excess.shape[0]):
        alive += 1 if excess[c] < math.inf else 0
        least, mass = min(least, excess[c]), mass + weights[c]
    if share == 0.0 and numbers[ETA] < math.inf:
        mass = _weigh(excess, least, numbers[ETA], weights)
    numbers[ALIVE], numbers[LEAST], numbers[MASS] = alive, least, mass


@part
def _hear(loss, share, within, predictions, losses, row, y, mixture):
    """``<w, p>`` and ``<w, loss>`` of a point, per unit of weight, and the least loss; NaN if no expert is left."""
    excess, weights, numbers = mixture.excess, mixture.weights, mixture.numbers
    low, high = limits(within, numbers)
    outside, broken = _count(low, high, predictions, losses, row)
    if broken > 0 or numbers[ALIVE] < excess.shape[0]:
        if _lose_broken(predictions, losses, row, excess, weights) > 0:
            _go_on_without(mixture, share)
    if outside > 0:
        _keep_within(loss, low, high, predictions, losses, row, y, excess, mixture.strayed, numbers)
    p, h, least = _met(weights, predictions, losses, row)
    return p / numbers[MASS], h / numbers[MASS], least


@part
def _learn(mixture, share, losses, row, h, lowest, log_experts):
    """Weights for the next point, from the losses of this one: ``h`` is what the mixture lost at most."""
    excess, weights, carried, _, numbers, spare = mixture
    eta = numbers[ETA]
    numbers[LOST] += h
    ahead = _lose(excess, losses, row, h, carried, weights, numbers[MASS])
    least, mass = lowest if share > 0.0 else ahead, numbers[MASS]
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
    numbers[LEAST], numbers[MASS] = ahead, mass
    if share > 0.0 and numbers[ETA] < math.inf:
        _deal(weights, mass, share, numbers[ALIVE], excess, spare)
        numbers[MASS] = 1.0
        numbers[DEALT] -= math.log1p(-share) / numbers[ETA]


@lean_kernel
def mix(loss, share, within, losses, predictions, y, offsets, mixture, mixed):
    """Mix what experts predicted for whole tasks, rows ``losses`` and ``predictions`` (n, K); how many rows it did.

    Both are changed to what was kept within the range. An expert with a loss or a prediction that is not finite is lost
    from that row on. Fewer than n rows are done only if every expert is lost, or the mixture overflowed.
    """
    log_experts = math.log(max(mixture.excess.shape[0], 2))
    n, numbers = losses.shape[0], mixture.numbers
    task, total = 0, 0.0
    for row in range(n):
        p, h, lowest = _hear(loss, share, within, predictions, losses, row, y[row], mixture)
        value = loss.value(p, y[row])
        if not (math.isfinite(value) and math.isfinite(h)):
            return row
        if mixed.losses.shape[0]:
            mixed.losses[row], mixed.predictions[row] = value, p
        if numbers[ROUNDS] == 0.0:  # one label alone would be all of the range
            numbers[LOW] = numbers[HIGH] = p
        numbers[LOW], numbers[HIGH] = min(numbers[LOW], y[row]), max(numbers[HIGH], y[row])
        numbers[ROUNDS] += 1.0
        total += value
        _learn(mixture, share, losses, row, h, lowest, log_experts)
        if row + 1 == offsets[task + 1]:
            mixed.tasks[task, 0], mixed.tasks[task, 1] = total, numbers[GAPS]
            mixed.tasks[task, 3] = numbers[LOST] + numbers[LEAST]
            mixed.tasks[task, 2] = log_experts / numbers[ETA] + numbers[DEALT]
            if mixed.weights.shape[0]:
                for c in range(mixture.weights.shape[0]):
                    mixed.weights[task, c] = mixture.weights[c] / numbers[MASS]
            task, total = task + 1, 0.0
    return n
