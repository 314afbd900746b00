"""Generated streams and learners for the tests: every loss, every law, hostile orders and scales."""

from __future__ import annotations

import os

import numpy as np

import owo
from owo.streams import Block

REGRESSION = (owo.Absolute(), owo.EpsilonInsensitive(0.2), owo.Pinball(0.3), owo.Huber(0.7), owo.Squared())
CLASSIFICATION = (owo.Hinge(), owo.SquaredHinge(), owo.Logistic())
LOSSES = REGRESSION + CLASSIFICATION
ACROSS = (
    owo.Frozen(),
    owo.DualAveraging(0.1),
    owo.GrowingFTRL(2.0),
    owo.InverseSqrt(0.3),
    owo.AdaptiveNorm(1.0),
    owo.CoinBetting(),
    owo.Ball(owo.DualAveraging(0.5), 0.7),
)
WITHIN = (*ACROSS, owo.Implicit(0.5))
ORDERS = ("random", "sorted", "repeated", "alternating", "adversarial")

THOROUGH = bool(os.environ.get("OWO_THOROUGH"))
"""Whether to try every combination, as ``make thorough`` does: most of what that takes is compiling their kernels."""


def tried(i: int, j: int, of: int = 3) -> bool:
    """Whether a combination is tried: all, or of each number's one in ``of``, evenly spread, with i = j among them."""
    return THOROUGH or (i - j) % of == 0


PAIRS = [(i, j) for i in range(len(LOSSES)) for j in range(len(WITHIN)) if tried(i, j)]
"""Losses and inner laws that are tried together."""


def beside(i: int, j: int) -> object:
    """The outer law for a loss i and an inner law j, in all tests that go through losses and inner laws.

    Every triple is a kernel to compile, and these are compiled once for all: every loss and every inner law, each with
    every outer law.
    """
    return ACROSS[(i + j) % len(ACROSS)]


def in_a_metric(i: int, *, vanishes: bool = True) -> tuple[object, object, object]:
    """A loss, an inner and an outer law, all in turn, for a metric that is a matrix; for the same reason.

    Where the metric may vanish it does not take AdaptiveNorm, which scales with the gradients it meets.
    """
    i %= len(LOSSES)
    inner = WITHIN[4] if i > 5 and not vanishes else WITHIN[1 + i % 3]  # WITHIN[4] is AdaptiveNorm
    return LOSSES[i], inner, ACROSS[i % len(ACROSS)]


def name(record: object) -> str:
    return type(record).__name__


def stream(rng: np.random.Generator, loss: object, lengths: list[int], d: int, scale: float, order: str) -> Block:
    """A block of contiguous tasks whose rows have norms up to ``scale`` and come in a hostile order."""
    centre = rng.normal(size=d) / scale
    rows, labels = [], []
    for n in lengths:
        X = rng.normal(size=(n, d))
        X *= scale / np.maximum(np.linalg.norm(X, axis=1, keepdims=True), 1e-9)
        if order == "repeated":
            X[:] = X[0]
        u = centre + 0.3 * rng.normal(size=d) / scale
        p = X @ u + 0.2 * rng.normal(size=n)
        y = np.where(p > 0, 1.0, -1.0) if loss in CLASSIFICATION else p
        if order == "sorted":
            at = np.argsort(p)
            X, y = X[at], y[at]
        elif order == "alternating":
            X *= np.where(np.arange(n) % 2, 1.0, -1.0)[:, None]
        elif order == "adversarial":
            # the label far on the other side of where a learner that trusts the past would go
            y = np.where(np.arange(n) % 2, 1.0, -1.0) * (1.0 if loss in CLASSIFICATION else 5.0)
            X = np.sort(X, axis=0)
        rows.append(X)
        labels.append(y)
    keys = tuple(range(len(lengths)))
    task = np.repeat(np.arange(len(lengths)), lengths)
    return Block(np.concatenate(rows), np.concatenate(labels), task, None, keys)
