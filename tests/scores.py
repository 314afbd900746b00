"""Streams and learners for losses of k scores; run as a program, what they do on one small stream, for test_multiclass.

Usage: python tests/scores.py OUT.npz
"""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

import numpy as np
from games import ACROSS, beside

import owo
from owo.streams import Block

KINDS = (owo.MulticlassHinge, owo.Softmax)
ORDERS = ("random", "sorted", "repeated", "alternating", "adversarial")


@owo.losses.vector_loss
class Brier(NamedTuple):
    """``|p - e_y|^2 / 2``, with a limit of its own on the number of classes."""

    classes: int = 3

    def check(self) -> None:
        if self.classes > 9:
            raise ValueError("too many for this Brier")

    def value(self, p: np.ndarray, y: float) -> float:
        total = 0.0
        for c in range(p.shape[0]):
            total += 0.5 * (p[c] - (1.0 if c == int(y) else 0.0)) ** 2
        return float(total)

    def slopes(self, p: np.ndarray, y: float, out: np.ndarray) -> None:
        for c in range(p.shape[0]):
            out[c] = p[c] - (1.0 if c == int(y) else 0.0)

    def conjugate(self, s: np.ndarray, y: float) -> float:
        return 0.5 * float(np.sum(s * s)) + float(s[int(y)])

    def expression(self, p: Any, y: Any) -> Any:
        import cvxpy

        return 0.5 * cvxpy.sum(cvxpy.square(p - np.eye(self.classes)[np.asarray(y).astype(int)]), axis=1)


def stream(rng: np.random.Generator, k: int, lengths: list[int], d: int, scale: float, order: str) -> Block:
    """A block of contiguous tasks with labels 0 .. k - 1; rows have norms up to ``scale`` and a hostile order."""
    centre = rng.normal(size=(d, k)) / scale
    rows, labels = [], []
    for n in lengths:
        X = rng.normal(size=(n, d))
        X *= scale / np.maximum(np.linalg.norm(X, axis=1, keepdims=True), 1e-9)
        if order == "repeated":
            X[:] = X[0]
        P = X @ (centre + 0.3 * rng.normal(size=(d, k)) / scale) + 0.2 * rng.normal(size=(n, k))
        y = P.argmax(axis=1).astype(float)
        if order == "sorted":
            at = np.argsort(y, kind="stable")
            X, y = X[at], y[at]
        elif order == "alternating":
            X *= np.where(np.arange(n) % 2, 1.0, -1.0)[:, None]
        elif order == "adversarial":  # the class that a learner that trusts the past would not expect
            y, X = np.arange(n) % k * 1.0, np.sort(X, axis=0)
        rows.append(X)
        labels.append(y)
    task = np.repeat(np.arange(len(lengths)), lengths)
    return Block(np.concatenate(rows), np.concatenate(labels), task, None, tuple(range(len(lengths))))


def results() -> dict[str, np.ndarray]:
    """Every number that runs of each loss with each law wrote down."""
    found = {}
    for i, kind in enumerate(KINDS):
        for j, inner in enumerate(ACROSS):
            rng = np.random.default_rng([i, j])
            block = stream(rng, 3, [5, 1, 9], 4, 1.0, "random")
            for update, blk in (("task", block.interleaved(rng)), ("point", block)):
                learner = owo.OnlineWithinOnline(kind(3), inner, beside(i, j), update)
                ledger = learner.run(blk, points=True)
                columns = [*ledger.account, *ledger.tally, ledger.losses, ledger.overlap, ledger.pending]
                points = [ledger.points[0][name] for name in ("loss", "prediction")]
                found[f"{i}-{j}-{update}"] = np.concatenate([np.ravel(c) for c in (*columns, *points, learner.bias)])
    return found


if __name__ == "__main__":
    np.savez(sys.argv[1], **results())
