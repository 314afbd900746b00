"""Convex losses of a prediction ``p`` and a label ``y``, as records of scalar functions.

Every loss offers, for numbers ``p``, ``y``, ``s`` and ``step >= 0``:

===================== =====================================================================================
``value(p, y)``        the loss
``subgradient(p, y)``  one ``s`` with ``value(z, y) >= value(p, y) + s (z - p)`` for every ``z``
``conjugate(s, y)``    ``sup_p  s p - value(p, y)``; ``inf`` outside its domain
``prox(p, y, step)``   ``argmin_z  value(z, y) + (z - p)^2 / (2 step)``
``prox_slope(...)``    the subgradient at that point, ``(p - prox) / step``, without cancellation
``accepts(y)``         whether ``y`` is a label of this loss
``lipschitz``          the largest ``|s|``, or ``inf``
``labels``             the labels it takes, in words, if not all finite numbers
``degree``             k where ``value(c p, c y) = c^k value(p, y)`` for every c > 0; 0 where there is no such k
``expression(p, y)``   the same loss as a cvxpy expression, for verification
===================== =====================================================================================

The scalar functions run inside kernels and as plain Python, with the same result. A loss of your own is a
class with the first four, decorated with ``@owo.loss``; ``owo.checks.check_loss`` tests that they belong together.
Learning needs ``value`` and ``subgradient``; ``prox`` is how hindsight solves, ``conjugate`` how it certifies.

Losses of labels 0 .. k - 1, with k scores for a prediction, have a list of their own in ``owo.losses.multiclass``.

Source of the operators: Parikh and Boyd, "Proximal Algorithms" (2014), chapters 2 and 6; of the conjugates of losses
of a prediction: Shalev-Shwartz and Zhang, "Stochastic Dual Coordinate Ascent" (JMLR 2013).
"""

from __future__ import annotations

from owo.losses.classification import Hinge, Logistic, SquaredHinge
from owo.losses.decorator import default_prox_slope, loss, vector_loss
from owo.losses.multiclass import MulticlassHinge, Softmax
from owo.losses.regression import Absolute, EpsilonInsensitive, Huber, Pinball, Squared

__all__ = [
    "Absolute",
    "EpsilonInsensitive",
    "Hinge",
    "Huber",
    "Logistic",
    "MulticlassHinge",
    "Pinball",
    "Softmax",
    "Squared",
    "SquaredHinge",
    "default_prox_slope",
    "loss",
    "vector_loss",
]
