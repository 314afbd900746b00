"""The step of a learned feature map: gradients of rank one in their span, against dense eigendecompositions.

Both learners get the same tasks' q and give the same M (checked to 1e-8). A step is what follows a task: the projection
of M, and another for its share of the certificate. ``eigh`` is one decomposition of a dense (d, d) matrix alone.

Usage: OPENBLAS_NUM_THREADS=1 python -m benchmarks.metric [--repetitions 5]
"""

from __future__ import annotations

import argparse
import time

import numpy as np

import owo
from owo import kernels
from owo.geometry import FeatureMap, Paper, Projected
from owo.geometry.lowrank import LowRankMap
from owo.geometry.matrices import dense_map

SHAPES = [(20, 10), (100, 10), (100, 40), (300, 10), (300, 40), (300, 100)]


def steps(learner: object, X: np.ndarray) -> tuple[float, np.ndarray]:
    """Seconds a step, and M after all tasks, one point each: ``q = x``."""
    written = kernels.room(0, 1, 0, X.shape[1], 0, 2)
    written.accounts[0] = 0.0
    written.accounts[0, kernels.SCALE] = 1.0
    spent = 0.0
    for x in X[:, None, :]:
        learner.begin(0)
        learner.note(0, x, np.array([[1.0, 1.0, 0.5]]))
        began = time.perf_counter()
        learner.end(0, written, 0, 1)
        spent += time.perf_counter() - began
    return spent / len(X), np.asarray(learner.play)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.metric")
    parser.add_argument("--repetitions", type=int, default=5)
    repetitions = parser.parse_args().repetitions
    rule = FeatureMap(owo.DualAveraging(0.05), 1.0, Projected(), Paper())
    print("| d | tasks | rank-one, ms a step | dense, ms | times | eigh, ms | times |\n|--:|--:|--:|--:|--:|--:|--:|")
    for d, tasks in SHAPES:
        X = np.random.default_rng([d, tasks]).normal(size=(tasks, d)) / np.sqrt(d)
        times = []
        for _ in range(repetitions):
            low, ours = steps(LowRankMap.begun(rule, d, 1.0 / d), X)
            dense, theirs = steps(dense_map(rule, d, None), X)
            if np.abs(ours - theirs).max() > 1e-8:
                raise SystemExit("the two forms disagree on M: the comparison is void")
            began = time.perf_counter()
            for _ in range(10):
                np.linalg.eigh(theirs)
            times.append((low, dense, (time.perf_counter() - began) / 10))
        low, dense, eigh = np.median(times, axis=0)
        ratios = f"{dense / low:.1f} | {1e3 * eigh:.2f} | {eigh / low:.1f}"
        print(f"| {d} | {tasks} | {1e3 * low:.3f} | {1e3 * dense:.2f} | {ratios} |")


if __name__ == "__main__":
    main()
