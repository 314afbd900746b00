"""The synthetic feature-map protocol of Denevi et al. (NeurIPS 2019): tasks share four coordinates of twenty.

Usage: python tests/protocol.py [TASKS [SEED ...]]: the table of all mixtures of online and batch, by seed; default 3000
training tasks, seeds 0, 1, 2. Strengths in training and at test and the step are chosen on 100 validation tasks; test
errors are of 500 others.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

import owo
from owo.exact import ExactMeta, adapt_batch, adapt_online
from owo.geometry import FeatureMap, Paper, Projected

D, SHARED, POINTS = 20, 4, 40
ORACLE = np.where(np.arange(D) < SHARED, 1.0 / SHARED, 0.0)
"""The best map in advance: weights are uniform on the sphere of the first four coordinates."""
UNTRAINED = np.full(D, 1.0 / D)
"""Of the same trace, and knows nothing."""
STRENGTH, STEP = 0.02, 3.0
"""What the online map was found to need; the step of the paper, which is ``POINTS`` times that of ``Paper``."""
GRID = [(strength, step) for strength in (0.005, 0.01, 0.02) for step in (1.0, 10.0, 100.0)]
AT_TEST = (0.003, 0.005, 0.007, 0.01, 0.02, 0.03)
"""Strengths; online wants larger ones than by batch."""
LOSS = owo.Absolute()
Adapt = Callable[..., np.ndarray]


class Tasks(NamedTuple):
    """Of T tasks 40 points with noisy labels to learn from, and 40 with clean ones to be measured on."""

    X: np.ndarray
    y: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray

    def block(self) -> owo.Block:
        return owo.Block(self.X.reshape(-1, D), self.y.ravel(), np.repeat(np.arange(len(self.y)), POINTS))


def draw(rng: np.random.Generator, tasks: int) -> Tasks:
    """Unit rows; weights of unit norm on the shared coordinates; noise of standard deviation .2."""
    w = np.zeros((tasks, D))
    w[:, :SHARED] = rng.normal(size=(tasks, SHARED))
    w /= np.linalg.norm(w, axis=1, keepdims=True)
    X = rng.normal(size=(tasks, 2 * POINTS, D))
    X /= np.linalg.norm(X, axis=2, keepdims=True)
    y = np.einsum("tnd,td->tn", X, w)
    noisy = y[:, :POINTS] + 0.2 * rng.normal(size=(tasks, POINTS))
    return Tasks(np.ascontiguousarray(X[:, :POINTS]), noisy, X[:, POINTS:], y[:, POINTS:])


def error(tasks: Tasks, adapt: Adapt, strength: float, metric: np.ndarray | None) -> float:
    """Mean absolute error on the clean points, in the units of y."""
    w = [adapt(LOSS, X, y, strength, metric=metric) for X, y in zip(tasks.X, tasks.y, strict=True)]
    return float(np.abs(np.einsum("tnd,td->tn", tasks.X_test, w) - tasks.y_test).mean())


def feature_map(step: float) -> FeatureMap:
    return FeatureMap(owo.DualAveraging(step / POINTS), 1.0, Projected(), Paper())


def online_map(tasks: Tasks, strength: float = STRENGTH, step: float = STEP) -> np.ndarray:
    """The mean of the maps that learning online went through."""
    learner = owo.OnlineWithinOnline(LOSS, owo.GrowingFTRL(strength), owo.Frozen(), "task", geometry=feature_map(step))
    return learner.run(tasks.block(), path_every=1).metric_path.mean(axis=0)


def exact_map(tasks: Tasks, strength: float, step: float) -> np.ndarray:
    """The mean of the maps that exact meta-subgradients went through."""
    learner = ExactMeta(LOSS, strength, owo.Frozen(), feature_map(step))
    return learner.run(tasks.block(), path_every=1).metric_path.mean(axis=0)


def table(tasks: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    training, validation, test = draw(rng, tasks), draw(rng, 100), draw(rng, 500)
    metrics = {
        "online in training": {pair: online_map(training, *pair) for pair in [*GRID, (STRENGTH, STEP)]},
        "batch in training": {pair: exact_map(training, *pair) for pair in GRID},
        "oracle map": {("none", "none"): ORACLE},
        "M = I/d, untrained": {("none", "none"): UNTRAINED},
    }
    print(f"seed {seed}, {tasks} tasks: test MAE")
    for way, adapt in (("online", adapt_online), ("batch", adapt_batch)):
        for title, found in metrics.items():
            errors = {(pair, at): error(validation, adapt, at, found[pair]) for pair in found for at in AT_TEST}
            pair, at = min(errors, key=errors.__getitem__)
            least = error(test, adapt, at, found[pair])
            print(f"  {title}, {way} at test: {least:.4f} (strength, step {pair}; at test {at:g})", flush=True)
    fixed = error(test, adapt_online, STRENGTH, metrics["online in training"][STRENGTH, STEP])
    print(f"  online map at strength {STRENGTH:g}, step {STEP:g}, online at test: {fixed:.4f}", flush=True)


if __name__ == "__main__":
    numbers = [int(word) for word in sys.argv[1:]]
    for each in numbers[1:] or (0, 1, 2):
        table(numbers[0] if numbers else 3000, each)
