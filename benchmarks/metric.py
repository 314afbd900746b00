"""The step of a learned feature map: gradients of rank one in their span, against dense eigendecompositions."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

import owo
from benchmarks.timing import Section
from owo import kernels
from owo.geometry import FeatureMap, Paper, Projected
from owo.geometry.lowrank import LowRankMap
from owo.geometry.matrices import dense_map

SHAPES = [(20, 10), (100, 10), (100, 40), (300, 10), (300, 40), (300, 100), (1000, 10), (1000, 40)]

ABOUT = """Both learners get the same tasks' q and give the same M (checked to 1e-12 of its norm). A step is what
follows a task: the projection of M on the psd matrices of trace 1, and another for its share of the certificate; it
is averaged over the first tasks, whose number is the rank that M has come to. **eigh** is one decomposition of a
dense (d, d) matrix alone. It and the step in the span are means of three in a row."""

ROW = 3
"""How many are timed in a row."""


def steps(learner: Any, X: np.ndarray) -> tuple[float, np.ndarray]:
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


def section(scale: float, repetitions: int) -> Section:
    """All shapes; the largest without repetitions of the dense form."""
    rule = FeatureMap(owo.DualAveraging(0.05), 1.0, Projected(), Paper())
    rows, measured = [], {}
    for d, tasks in SHAPES:
        X = np.random.default_rng([d, tasks]).normal(size=(tasks, d)) / np.sqrt(d)
        times, apart = [], 0.0
        for _ in range(repetitions if d < 1000 else 2):
            spans = [steps(LowRankMap.begun(rule, d, 1.0 / d), X) for _ in range(ROW)]
            low, ours = sum(spent for spent, _ in spans) / ROW, spans[0][1]
            dense, theirs = steps(dense_map(rule, d, None), X)
            apart = max(apart, float(np.abs(ours - theirs).max() / np.linalg.norm(theirs, 2)))
            began = time.perf_counter()
            for _ in range(ROW):
                np.linalg.eigh(theirs)
            times.append((low, dense, (time.perf_counter() - began) / ROW))
        if apart > 1e-12:
            raise SystemExit(f"the two forms are {apart} apart in M: the comparison is void")
        low, dense, eigh = np.median(times, axis=0)
        rows.append([
            str(d), str(tasks), f"{1e3 * low:.3f}", f"{1e3 * dense:.2f}", f"{1e3 * eigh:.2f}", f"{dense / low:.1f}",
            f"{eigh / low:.1f}", f"{apart:.0e}",
        ])  # fmt: skip
        measured[f"d = {d}, rank {tasks}"] = {"low rank": low, "dense": dense, "eigh": eigh, "apart": apart}
    header = ["d", "tasks", "in the span, ms", "dense, ms", "eigh, ms", "dense / span", "eigh / span", "apart"]
    return Section("metric", "The step of a feature map", ABOUT, [("", header, rows)], measured)
