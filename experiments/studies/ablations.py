"""What the gain depends on: one quantity of synthetic tasks varied, all others as in the first study.

Tasks ``w_t ~ N(4 * 1, spread^2 I)`` in d = 30 dimensions, 500 tasks of 10 points with unit rows, noise of a tenth of
the signal's variance, absolute loss (with labels flipped: hinge loss). The quantities: points a task; the tasks'
spread; the noise; the dimension; the share of labels that are flipped; the degrees of freedom of Student's t noise,
fewer for heavier tails; and by how many powers of ten the scales of features differ, where half of the features are
that much smaller. Everything is streamed once and every point is predicted before it is seen; numbers are those of
least loss on another stream.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import owo
from experiments import sweep
from experiments.methods import Known, Method, around_a_bias
from experiments.own import Own
from experiments.settings import require, require_counts, require_once, require_positive
from experiments.store import Arrays
from experiments.study import Study
from experiments.sweep import Streams
from experiments.tables import Table
from owo.streams import Synthetic

QUANTITIES = {
    "points": "points a task",
    "spread": "spread of the tasks (units of w)",
    "noise": "noise (standard deviations of the signal)",
    "d": "dimension",
    "flips": "share of labels flipped",
    "tail": "degrees of freedom of the noise",
    "scaling": "powers of ten between scales of features",
}


RANGES: dict[str, tuple[str, Callable[[float], bool]]] = {
    **dict.fromkeys(("points", "d"), ("1, 2, 3 ...", lambda value: value >= 1.0 and value == round(value))),
    **dict.fromkeys(("spread", "noise"), ("finite numbers of at least 0", lambda value: 0.0 <= value < math.inf)),
    "flips": ("0 to .5", lambda value: 0.0 <= value <= 0.5),
    "tail": ("numbers above 1", lambda value: value > 1.0),
    "scaling": ("0 to 10", lambda value: 0.0 <= value <= 10.0),
}
"""What values can be, in words and as a test."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """One quantity and its values."""

    quantity: str = "points"
    values: tuple[float, ...] = (2.0, 5.0, 10.0, 20.0, 50.0)
    tasks: int = 500
    points: int = 10
    d: int = 30
    mean: float = 4.0
    spread: float = 1.0
    noise: float = 10.0**-0.5
    """in standard deviations of the signal"""
    strengths: tuple[float, ...] = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
    steps: tuple[float, ...] = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)

    def __post_init__(self) -> None:
        if self.quantity not in QUANTITIES:
            raise ValueError(f"quantity is {self.quantity!r}; it must be one of {', '.join(QUANTITIES)}")
        require_counts(self, "tasks", "points", "d")
        require_positive(self, "strengths", "steps")
        require(self, "a finite number", math.isfinite, "mean")
        require(self, "a finite number of at least 0", lambda value: 0.0 <= value < math.inf, "spread", "noise")
        needed, holds = RANGES[self.quantity]
        require(self, f"{needed}, of {QUANTITIES[self.quantity]}", holds, "values")
        require_once(self, "values")


def draw(config: Config, value: float, seed: int, loss: Any = None) -> Streams:
    """Two streams of the same kind, one to choose numbers on."""
    q = config.quantity
    flips = q == "flips"
    plain = Synthetic(
        tasks=config.tasks,
        points=round(value) if q == "points" else config.points,
        d=round(value) if q == "d" else config.d,
        mean=config.mean,
        spread=value if q == "spread" else config.spread,
        tail=value if q == "tail" else np.inf,
        kind="classification" if flips else "regression",
        seed=seed,
    )
    noise = 1.0 if flips else plain.signal * (value if q == "noise" else config.noise)
    blocks, known = [], []
    for number in (seed + 2**20, seed):
        stream = _replaced(plain, noise=noise, seed=number)
        block, rng = stream.block(0), np.random.default_rng([number, 1])
        X, y = np.asarray(block.X), block.y
        truth = stream.truth(0).means.mean(axis=0)
        if flips:
            y = np.where(rng.random(block.n) < value, -y, y)
        if q == "scaling":
            scales = np.where(np.arange(block.d) % 2 == 0, 1.0, 10.0**-value)
            X, truth = X * scales, truth / scales
        blocks.append(owo.Block(X, y, block.task))
        known.append(Known(truth))
    loss = loss or (owo.Hinge() if flips else owo.Absolute())
    if flips:  # the mean that labels were made from is not the best of biases where some are wrong
        known = [Known(owo.hindsight.best_bias(loss, block, 1.0).bias) for block in blocks]
    return Streams(loss, blocks[0], blocks[1], known[1], known[0])


def _replaced(stream: Synthetic, **changes: Any) -> Synthetic:
    return replace(stream, rows=stream.tasks * stream.points, **changes)


def methods(config: Config, own: Own) -> tuple[Method, ...]:
    """Who takes part."""
    return (*around_a_bias(config.strengths, config.steps), *own.methods)


def run(config: Config, seed: int, own: Own) -> Arrays:
    """One seed."""
    return sweep.sweep(config.values, lambda value: draw(config, value, seed, own.loss), methods(config, own))


def tables(config: Config, arrays: Arrays) -> list[Table]:
    """Losses and gains."""
    return sweep.tables(f"Varying {config.quantity}", QUANTITIES[config.quantity], arrays)


def figures(config: Config, arrays: Arrays) -> dict[str, Any]:
    """Losses and gains against the quantity."""
    log = config.quantity not in ("flips", "scaling")
    return {config.quantity: sweep.figure(QUANTITIES[config.quantity], arrays, log)}


STUDY = Study(
    "ablations",
    "what the gain of a learned bias depends on: points, spread, noise, dimension, flips, tails, scales",
    {
        "points": Config(),
        "spread": Config(quantity="spread", values=(0.1, 0.3, 1.0, 3.0, 10.0)),
        "noise": Config(quantity="noise", values=(0.01, 0.1, 0.3, 1.0, 3.0)),
        "d": Config(quantity="d", values=(3.0, 10.0, 30.0, 100.0)),
        "flips": Config(quantity="flips", values=(0.0, 0.1, 0.2, 0.3, 0.4)),
        "tail": Config(quantity="tail", values=(1.5, 2.0, 3.0, 5.0, 30.0)),
        "scaling": Config(quantity="scaling", values=(0.0, 0.5, 1.0, 2.0)),
    },
    run,
    tables,
    figures,
    streams=False,
)
