"""Losses of labels 0, 1, .., k - 1, of k scores a point.

With weights W (d, k) a point x has the scores ``p = W^T x`` (k,), and a loss convex in p. All it offers, for arrays
``p``, ``s`` and ``out`` (k,) and a label ``y``:

===================== =====================================================================================
``value(p, y)``        the loss
``slopes(p, y, out)``  writes into ``out`` one s with ``value(z, y) >= value(p, y) + <s, z - p>`` for every z
``conjugate(s, y)``    ``sup_p  <s, p> - value(p, y)``; ``inf`` outside its domain
``prox_slopes(...)``   for ``(p, y, step, out)``: the s in ``out`` that ``slopes`` may give at ``p - step s``,
                       ``argmin_z  value(z, y) + |z - p|^2 / (2 step)``, for ``step > 0``; not for smooth losses
``accepts(y)``         whether ``y`` is a label of this loss
``classes``            k
``lipschitz``          the largest ``|s|``, a Euclidean norm, or ``inf``
``labels``             the labels it takes, in words
``expression(p, y)``   the same loss for P (n, k) and y (n,) as a cvxpy expression (n,), for verification
===================== =====================================================================================

The gradient in W is ``x s^T``, so that ``<x s^T, G> = <s, G^T x>`` and ``|x s^T| = |s| |x|``, and the laws never notice
that there is more than one score. A loss of your own is a class with the first three and ``classes``, decorated with
``@owo.losses.vector_loss``; ``owo.checks.check_vector_loss`` tests that its functions belong together.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from owo._record import helper
from owo.losses.decorator import vector_loss

Array = NDArray[np.float64]


@vector_loss
class MulticlassHinge(NamedTuple):
    """``max(0, 1 + max_{c != y} p_c - p_y)`` for labels 0 .. classes - 1.

    Conjugate ``s_y`` for ``s + e_y`` in the simplex. Of rivals that tie the first counts; where the loss is 0 so are
    the slopes. For two classes it is ``Hinge`` of ``p_1 - p_0`` (Crammer and Singer, JMLR 2001).

    >>> import numpy as np
    >>> loss, p, s = MulticlassHinge(3), np.array([0.5, 1.0, -1.0]), np.empty(3)
    >>> loss.slopes(p, 0.0, s)
    >>> loss.value(p, 0.0), s.tolist(), loss.value(p, 2.0)
    (1.5, [-1.0, 1.0, 0.0], 3.0)
    """

    classes: int

    @property
    def lipschitz(self) -> float:
        return math.sqrt(2.0)

    def value(self, p: Array, y: float) -> float:
        short = float(1.0 + (p[_rival(p, y)] - p[int(y)]))
        return 0.0 if short <= 0.0 else short  # so that NaN stays NaN

    def slopes(self, p: Array, y: float, out: Array) -> None:
        for c in range(p.shape[0]):
            out[c] = 0.0
        rival = _rival(p, y)
        if 1.0 + (p[rival] - p[int(y)]) > 0.0:
            out[rival] = 1.0
            out[int(y)] = -1.0

    def conjugate(self, s: Array, y: float) -> float:
        return float(s[int(y)]) if _in_simplex(s, y) else math.inf

    def prox_slopes(self, p: Array, y: float, step: float, out: Array) -> None:
        """``s + e_y`` is the point of the simplex nearest to ``e_y + (p - e_y) / step``."""
        label = int(y)
        for c in range(p.shape[0]):
            out[c] = p[c] + (step - 1.0 if c == label else 0.0)
        _to_simplex(out, step)
        others = 0.0
        for c in range(p.shape[0]):
            if c != label:
                others += out[c]
        out[label] = -others

    def expression(self, p: Any, y: Any) -> Any:
        import cvxpy

        chosen = _one_hot(y, self.classes)
        return cvxpy.max(p + (1.0 - chosen), axis=1) - cvxpy.sum(cvxpy.multiply(chosen, p), axis=1)


@vector_loss
class Softmax(NamedTuple):
    """``ln(sum_c exp(p_c)) - p_y`` for labels 0 .. classes - 1, in nats: the cross-entropy of the softmax of p.

    Conjugate ``sum_c a_c ln a_c`` with ``a = s + e_y`` in the simplex. For two classes it is ``Logistic`` of
    ``p_1 - p_0`` (Cox, Research Papers in Statistics 1966).

    >>> import numpy as np
    >>> loss, p, s = Softmax(2), np.array([1.0, 1.0]), np.empty(2)
    >>> loss.slopes(p, 0.0, s)
    >>> round(loss.value(p, 0.0), 6), s.tolist()
    (0.693147, [-0.5, 0.5])
    """

    classes: int

    @property
    def lipschitz(self) -> float:
        return math.sqrt(2.0)

    def value(self, p: Array, y: float) -> float:
        top = _largest(p)
        others = 0.0
        for c in range(p.shape[0]):
            if c != top:
                others += math.exp(p[c] - p[top])
        return float((p[top] - p[int(y)]) + math.log1p(others))  # exact also where the label is nearly certain

    def slopes(self, p: Array, y: float, out: Array) -> None:
        top, label = _largest(p), int(y)
        others = 0.0
        for c in range(p.shape[0]):
            out[c] = math.exp(p[c] - p[top])
            if c != label:
                others += out[c]
        total = others + out[label]
        for c in range(p.shape[0]):
            out[c] /= total
        out[label] = -(others / total)  # not 1 less than the probability, which would cancel

    def conjugate(self, s: Array, y: float) -> float:
        if not _in_simplex(s, y):
            return math.inf
        total = 0.0
        for c in range(s.shape[0]):
            a = s[c] + 1.0 if c == int(y) else s[c]
            if a > 0.0:
                total += a * math.log(a)
        return float(total)

    def expression(self, p: Any, y: Any) -> Any:
        import cvxpy

        return cvxpy.log_sum_exp(p, axis=1) - cvxpy.sum(cvxpy.multiply(_one_hot(y, self.classes), p), axis=1)


def _one_hot(y: Any, classes: int) -> Array:
    chosen: Array = np.eye(classes)[np.asarray(y).astype(np.int64)]
    return chosen


@helper
def _largest(p: Array) -> int:
    """The first of the largest scores."""
    top = 0
    for c in range(1, p.shape[0]):
        if p[c] > p[top]:
            top = c
    return top


@helper
def _rival(p: Array, y: float) -> int:
    """The first of the largest scores but the label's."""
    label = int(y)
    rival = 1 if label == 0 else 0
    for c in range(rival + 1, p.shape[0]):
        if c != label and p[c] > p[rival]:
            rival = c
    return rival


@helper
def _in_simplex(s: Array, y: float) -> bool:
    """Whether ``s + e_y >= 0`` has the sum 1, up to the rounding of a sum of k numbers of size 1."""
    total, allowed = 0.0, 1e-15 * s.shape[0]
    for c in range(s.shape[0]):
        if s[c] < (-1.0 - allowed if c == int(y) else 0.0):
            return False
        total += s[c]
    return abs(total) <= allowed


@helper
def _to_simplex(a: Array, unit: float) -> None:
    """Put the point of the simplex that is nearest to ``a / unit`` in place of a (Michelot, JOTA 1986)."""
    top = a[_largest(a)]
    for c in range(a.shape[0]):
        a[c] -= top  # the same for all moves nothing, and what counts is now of the size of a unit
    kept, level = a.shape[0] + 1, -math.inf
    while True:
        count, total = 0, -unit
        for c in range(a.shape[0]):
            if a[c] > level:
                count += 1
                total += a[c]
        if count == kept:
            break
        kept, level = count, total / count
    total = 0.0
    for c in range(a.shape[0]):
        a[c] = max(a[c] - level, 0.0)
        total += a[c]
    for c in range(a.shape[0]):
        a[c] /= total
