"""Where one bias fails: a mean that moves along the stream, and tasks of two kinds.

Tasks are those of the first study (d = 30, 10 points, unit rows, noise of a tenth of the signal's variance, absolute
loss), 1,000 of them. Drift: the mean of task t is that of task t - 1 plus a step of ``drift * N(0, 1)`` in every
coordinate. Clusters: two kinds of tasks, equally likely, whose means are ``separation * N(0, 1)`` away from the common
one in every coordinate; the spread of all tasks around the one bias grows with it, and the gain goes.

The oracle that follows is told each task's own mean, and so knows what no single bias says.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

import owo
from experiments import sweep
from experiments.methods import INDEPENDENT, Known, around_a_bias
from experiments.own import Own
from experiments.settings import require, require_counts, require_once, require_positive
from experiments.store import Arrays
from experiments.study import Study
from experiments.sweep import Streams
from experiments.tables import Table
from owo.streams import Synthetic

FOLLOWING = "oracle of each task's mean"
QUANTITIES = {"drift": "drift of the mean a task (units of w)", "separation": "distance of cluster means (units of w)"}


@dataclass(frozen=True, kw_only=True)
class Config:
    """What moves, and how much."""

    quantity: Literal["drift", "separation"] = "drift"
    values: tuple[float, ...] = (0.0, 0.01, 0.03, 0.1, 0.3)
    tasks: int = 1000
    points: int = 10
    d: int = 30
    strengths: tuple[float, ...] = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
    steps: tuple[float, ...] = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)

    def __post_init__(self) -> None:
        if self.quantity not in QUANTITIES:
            raise ValueError(f"quantity is {self.quantity!r}; it must be 'drift' or 'separation'")
        require_counts(self, "tasks", "points", "d")
        require_positive(self, "strengths", "steps")
        require(self, "finite numbers of at least 0", lambda value: 0.0 <= value < math.inf, "values")
        require_once(self, "values")


def stream(config: Config, value: float, seed: int) -> Synthetic:
    """The tasks at one value; the noise is that of tasks that share one mean."""
    plain = Synthetic(
        tasks=config.tasks, points=config.points, d=config.d, seed=seed, rows=config.tasks * config.points
    )
    plain = replace(plain, noise=plain.signal / 10.0**0.5)
    if config.quantity == "drift":
        return replace(plain, drift=value)
    return replace(plain, separation=value, clusters=2)


def draw(config: Config, value: float, seed: int, loss: Any = None) -> Streams:
    """Two streams of the same kind, one to choose numbers on."""
    choosing, streamed = stream(config, value, seed + 2**20), stream(config, value, seed)
    known = [Known(each.truth(0).means.mean(axis=0)) for each in (streamed, choosing)]
    return Streams(loss or owo.Absolute(), choosing.block(0), streamed.block(0), *known)


def run(config: Config, seed: int, own: Own) -> Arrays:
    """One seed; the oracle that follows learns what is left when each task's mean is taken off."""
    methods = (*around_a_bias(config.strengths, config.steps), *own.methods)
    found = sweep.sweep(config.values, lambda value: draw(config, value, seed, own.loss), methods)
    [alone] = [method for method in methods if method.name == INDEPENDENT]
    rows = [followed(config, value, seed, alone, own.loss) for value in config.values]
    added = {name: np.array([row[name] for row in rows])[:, None] for name in rows[0]}
    joined = {name: np.concatenate([found[name], added[name]], axis=1) for name in added}
    return {**found, "method": np.append(found["method"], FOLLOWING), **joined}


def followed(config: Config, value: float, seed: int, alone: Any, loss: Any) -> dict[str, float]:
    """As a row of ``sweep``: for a loss of ``y - p``, a bias of m is labels of ``y - <x, m>``."""
    streams = draw(config, value, seed, loss)
    left = [
        owo.Block(block.X, block.y - np.einsum("nd,nd->n", block.X, each.truth(0).means[block.task]), block.task)
        for block, each in (
            (streams.choosing, stream(config, value, seed + 2**20)), (streams.streamed, stream(config, value, seed)),
        )
    ]  # fmt: skip
    own = sweep.sweep([value], lambda _: streams._replace(choosing=left[0], streamed=left[1]), [alone])
    return {name: float(own[name][0, 0]) for name in ("loss", "late", "regret", "certificate", "strength", "step")}


def tables(config: Config, arrays: Arrays) -> list[Table]:
    """Losses and gains."""
    return sweep.tables(f"Varying {config.quantity}", QUANTITIES[config.quantity], arrays)


def figures(config: Config, arrays: Arrays) -> dict[str, Any]:
    """Losses and gains against what moves."""
    return {config.quantity: sweep.figure(QUANTITIES[config.quantity], arrays)}


STUDY = Study(
    "drift",
    "where one bias fails: a mean that moves, and two kinds of tasks",
    {"drift": Config(), "clusters": Config(quantity="separation", values=(0.0, 0.5, 1.0, 2.0, 4.0, 8.0))},
    run,
    tables,
    figures,
    streams=False,
)
