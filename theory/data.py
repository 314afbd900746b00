"""Random tasks in hostile orders, comparators for them, and the constants of the problem that they make."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import owo
from owo.hindsight import Comparator
from theory.problem import Problem

Array = NDArray[np.float64]

LOSSES = (
    owo.Absolute(), owo.Pinball(0.3), owo.Hinge(), owo.Logistic(), owo.Huber(0.5), owo.EpsilonInsensitive(0.2)
)  # fmt: skip
"""The Lipschitz losses of one prediction."""

ORDERS = ("random", "sorted", "repeated", "alternating", "adversarial")


class Data(NamedTuple):
    """T tasks of n points each."""

    loss: Any
    X: Array
    """(T, n, d)"""
    y: Array
    """(T, n)"""
    weights: Array
    """that the labels were made from, (T, d)"""
    order: str

    @property
    def radius(self) -> float:
        """``max |x|``."""
        return float(np.sqrt((self.X**2).sum(axis=2)).max())

    def losses_of(self, weights: Array) -> Array:
        """Summed loss of each task (T,) at weights (T, d)."""
        predictions = np.einsum("tnd,td->tn", self.X, weights)
        value = self.loss.value
        return np.array(
            [sum(map(value, p, y)) for p, y in zip(predictions.tolist(), self.y.tolist(), strict=True)]
        )  # fmt: skip

    def slopes(self, predictions: Array) -> Array:
        """Subgradients s (T, n) at predictions (T, n)."""
        pairs = zip(predictions.ravel().tolist(), self.y.ravel().tolist(), strict=True)
        return np.array([self.loss.subgradient(p, y) for p, y in pairs]).reshape(self.y.shape)


def draw(rng: np.random.Generator, loss: Any, *, tasks: int | None = None, shared: int | None = None) -> Data:
    """Tasks of random size, scale, spread and order; ``shared``: along so many directions do they differ."""
    tasks = int(rng.integers(2, 30)) if tasks is None else tasks
    n, d = int(rng.integers(1, 25)), int(rng.integers(2, 7))
    scale, spread = 10.0 ** rng.uniform(-1, 1), 10.0 ** rng.uniform(-1.5, 0.5)
    X = rng.normal(size=(tasks, n, d))
    X *= scale / np.linalg.norm(X, axis=2, keepdims=True)
    if rng.random() < 0.5:  # else all are as long as they may be, which bounds are about
        X *= rng.uniform(0.5, 1.0, (tasks, n, 1))
    order = str(rng.choice(ORDERS))
    if order == "repeated":
        X[:] = X[:, :1]
    elif order == "alternating":
        X *= np.where(np.arange(n) % 2, 1.0, -1.0)[:, None]
    deviations = rng.normal(size=(tasks, d)) * (np.arange(d) < (shared or d))
    weights = (rng.normal(size=d) + spread * deviations) / scale
    p = np.einsum("tnd,td->tn", X, weights) + 0.2 * rng.normal(size=(tasks, n))
    classes = isinstance(loss, owo.Hinge | owo.Logistic)
    y = np.where(p > 0.0, 1.0, -1.0) if classes else p
    if order == "sorted":
        at = np.argsort(p, axis=1)
        X, y = np.take_along_axis(X, at[:, :, None], axis=1), np.take_along_axis(y, at, axis=1)
    elif order == "adversarial":  # the label is where a learner that trusts the past does not go
        y = np.broadcast_to(np.where(np.arange(n) % 2, 1.0, -1.0) * (1.0 if classes else 5.0), y.shape).copy()
    return Data(loss, X, y, weights, order)


def truth(data: Data) -> Comparator:
    """The weights that the labels were made from, and their mean."""
    return compared(data, "truth", data.weights)


def hostile(rng: np.random.Generator, data: Data, predictions: Array) -> Comparator:
    """Weights that lie where the run's own gradients point: the comparators that bounds are about."""
    pulls = np.einsum("tn,tnd->td", data.slopes(predictions), data.X)
    total = pulls.sum(axis=0)
    far, spread = rng.exponential(1.0, size=2) / data.radius
    bias = -far * total / (np.linalg.norm(total) + TINY)
    deviations = -spread * pulls / (np.linalg.norm(pulls, axis=1, keepdims=True) + TINY)
    return compared(data, "hostile", bias + deviations, bias)


TINY = 1e-300


def compared(data: Data, name: str, weights: Array, bias: Array | None = None, metric: Any = None) -> Comparator:
    """A comparator of given weights (T, d), by default around their mean."""
    bias = weights.mean(axis=0) if bias is None else bias
    keys = tuple(range(len(weights)))
    return Comparator(name, bias, weights, data.losses_of(weights), keys, metric)


def problem_of(data: Data, comparator: Comparator, start: Array | None = None) -> Problem:
    """The constants of a run that began at ``start``, by default 0."""
    tasks, n, d = data.X.shape
    apart = comparator.weights - comparator.bias
    return Problem(
        lipschitz=data.loss.lipschitz,
        radius=data.radius,
        points=n,
        tasks=tasks,
        dimension=d,
        variance=float(0.5 * np.mean(np.sum(apart**2, axis=1))),
        distance=float(np.linalg.norm(comparator.bias - (0.0 if start is None else start))),
        root_trace=float(np.linalg.svd(apart, compute_uv=False).sum() / np.sqrt(tasks)),
    )
