"""What a prediction is: one number and weights (d,), or k scores and weights (d, k).

A learner keeps all its weights as flat vectors; only where numbers come in or go out does their shape matter.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from owo import kernels, vector_kernels
from owo.doors import as_matrix, as_vector, is_vector_loss
from owo.geometry import Identity
from owo.laws import acts_across

Array = NDArray[np.float64]


class Output(NamedTuple):
    """The shape of a prediction, and the kernel that makes it."""

    shape: tuple[int, ...] = ()
    """``()``, or ``(k,)``"""

    @property
    def size(self) -> int:
        """Weights of each feature: 1 or k."""
        return self.shape[0] if self.shape else 1

    def given(self, weights: ArrayLike, name: str) -> Array:
        """Weights from outside, checked: (d,), or (d, k)."""
        return as_matrix(weights, name, self.size) if self.shape else as_vector(weights, name)

    def shaped(self, flat: Array) -> Array:
        """Flat weights (d,) or (d k,) as a user sees them."""
        return flat.reshape(-1, *self.shape)

    def plain(self, predictions: Array) -> Any:
        """The prediction for one point: a number, or an array (k,) of its own."""
        return np.array(predictions) if self.shape else float(predictions)

    def room(self, points: int, tasks: int, rows_of_path: int, size: int, *metric: int) -> kernels.Written:
        """As ``kernels.room``."""
        written = kernels.room(points, tasks, rows_of_path, size, *metric)
        return written._replace(predictions=np.empty((points, *self.shape))) if self.shape else written

    def run(self, loss: Any, inner: Any, outer: Any, seen: Any, every_point: bool, mixed: bool, X: Any, Z: Any,
            *rest: Any) -> int:  # fmt: skip
        """As ``kernels.run``."""
        if self.shape:
            Z = vector_kernels.workspace(self.size)
            return int(vector_kernels.run(loss, inner, outer, seen, every_point, mixed, X, Z, *rest))
        return int(kernels.run(loss, inner, outer, seen, every_point, mixed, X, Z, *rest))


def output_of(loss: Any, inner: Any, geometry: Any) -> Output:
    """The output of a loss, if the law and the geometry inside tasks can serve it, or ``TypeError``."""
    if not is_vector_loss(loss):
        return Output()
    if not acts_across(inner):
        raise TypeError(
            f"{inner!r} takes its gradients from the prox of a loss of one prediction, and {loss!r} has "
            f"{loss.classes} scores. Take a law of explicit subgradients, such as owo.GrowingFTRL(1.0)"
        )
    if not isinstance(geometry, Identity):
        raise TypeError(
            f"geometry is {geometry!r}, and {loss!r} has {loss.classes} scores; with scores only the bias is learned. "
            "Leave geometry out, which is owo.geometry.Identity()"
        )
    return Output((int(loss.classes),))
