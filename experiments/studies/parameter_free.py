"""Without a number to choose: the study of Denevi, Stamos and Pontil (UAI 2020), lazy and aggressive.

Task weights are ``w_t ~ N(4 * 1, I)`` in d = 10 dimensions, rows are uniform on the unit sphere, a task has 50
points, half to learn from and half to predict, the noise has the variance of the signal; 400 tasks, absolute loss.
Coin betting inside tasks and across them has no number to choose; the bias moves when a task ends (lazy) or after
every point (aggressive). Beside it the same with strengths and steps of least error on 100 validation tasks, which
that paper calls tuned, independent learning and the oracle.

"Tuning-free" is ``owo.TuningFree``: many learners with all kinds of numbers, their predictions weighed online.

owo bets a signed fraction of wealth along the gradient's own direction, one bettor for direction and magnitude
together (``owo.CoinBetting``), where the paper has one for each.

The variants on lenk (180 people, 16 profiles to learn from and 4 to predict, answers 0 to 10) and on schools (139
schools, scores 1 to 70) have labels as they are, neither centred nor scaled; features are encoded by the first tenth
of the tasks. A fifth of the tasks, drawn at random, is for validation and another for test.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

import owo
from experiments import trials
from experiments.figures import learning_curves
from experiments.methods import Known, Method, around_a_bias, tuning_free
from experiments.own import Own
from experiments.settings import require, require_counts, require_positive
from experiments.store import Arrays
from experiments.study import Study
from experiments.tables import Table, contest_table, titled
from experiments.trials import Halves, Trial
from owo.streams import Encoding, Synthetic, datasets

UNITS = {"synthetic": "units of y", "lenk": "points of 0 to 10", "schools": "points of 1 to 70"}


@dataclass(frozen=True, kw_only=True)
class Config:
    """One comparison."""

    data: str = "synthetic"
    tasks: int = 400
    points: int = 50
    d: int = 10
    validation: int = 100
    test: int = 100
    mean: float = 4.0
    spread: float = 1.0
    noise: float = 1.0
    """in standard deviations of the signal"""
    strengths: tuple[float, ...] = tuple((10.0 ** np.arange(-3.0, 1.1, 0.5)).tolist())
    steps: tuple[float, ...] = tuple((10.0 ** np.arange(-2.0, 2.1, 0.5)).tolist())

    def __post_init__(self) -> None:
        if self.data not in UNITS:
            raise ValueError(f"data is {self.data!r}; it must be one of {', '.join(UNITS)}")
        require_counts(self, "tasks", "d", "validation", "test")
        require(self, "2, 3, 4 ...", lambda value: value >= 2, "points")
        require_positive(self, "strengths", "steps")
        require(self, "a finite number", math.isfinite, "mean")
        require(self, "a finite number of at least 0", lambda value: 0.0 <= value < math.inf, "spread", "noise")


def draw(config: Config, seed: int, own: Own) -> Trial:
    """The tasks of one seed."""
    loss = own.loss or owo.Absolute()
    if own.stream is not None:
        return trials.from_tasks(own.stream(np.random.default_rng([seed, 0])), loss, config.validation, config.test)
    return _synthetic(config, seed, loss) if config.data == "synthetic" else _real(config, seed, loss)


def _synthetic(config: Config, seed: int, loss: Any) -> Trial:
    half = config.points // 2
    plain = Synthetic(d=config.d, mean=config.mean, spread=config.spread)

    def stream(number: int, tasks: int, points: int) -> Synthetic:
        return Synthetic(
            tasks=tasks, points=points, d=config.d, mean=config.mean, spread=config.spread,
            noise=plain.signal * config.noise, seed=number, rows=tasks * points,
        )  # fmt: skip

    training = stream(seed, config.tasks, half).block(0)
    others = [stream(seed + 2**20, config.validation, 2 * half), stream(seed + 2**21, config.test, 2 * half)]
    halves = [trials.halved(each.block(0), half) for each in others]
    truth = stream(seed, config.tasks, half).truth(0).means.mean(axis=0)
    return Trial(loss, training, halves[0], halves[1], Known(truth), owo.hindsight.best_bias(loss, training, 1.0))


def _real(config: Config, seed: int, loss: Any) -> Trial:
    block = datasets.load(config.data).block().shuffled(np.random.default_rng([seed, 1]))
    encoding = Encoding.fit(block.X, block.y, block.task)
    block = owo.Block(encoding.transform(block.X), block.y, block.task)
    if config.data != "lenk":  # of lenk the last four profiles are those to predict
        block = within_shuffled(block, np.random.default_rng([seed, 2]))
    learned = 16 if config.data == "lenk" else None
    part = block.n_tasks // 5
    ends = block.offsets[[block.n_tasks - 2 * part, block.n_tasks - part]].tolist()
    training = trials.halved(block.rows(0, ends[0]), learned).learned
    validation, test = (trials.halved(block.rows(*rows), learned) for rows in (ends, (ends[1], block.n)))
    comparator = owo.hindsight.best_bias(loss, training, 0.01)
    return Trial(loss, training, Halves(*validation), Halves(*test), Known(comparator.bias), comparator)


def within_shuffled(block: owo.Block, rng: np.random.Generator) -> owo.Block:
    """The same tasks in the same order, the points of each in a random one."""
    rows = np.lexsort((rng.random(block.n), block.task))
    return owo.Block(np.asarray(block.X)[rows], block.y[rows], block.task[rows])


def methods(config: Config, own: Own) -> tuple[Method, ...]:
    """Who takes part."""
    *learners, oracle = around_a_bias(config.strengths, config.steps)
    return (*learners, tuning_free(), oracle, *own.methods)


def run(config: Config, seed: int, own: Own) -> Arrays:
    """One seed."""
    trial = draw(config, seed, own)
    return trials.contest(trial, methods(config, own), trials.spaced(trial.training.n_tasks))


def tables(config: Config, arrays: Arrays) -> list[Table]:
    """The comparison."""
    return [contest_table(titled(f"No number to choose, {config.data}", arrays), arrays, UNITS[config.data])]


def figures(config: Config, arrays: Arrays) -> dict[str, Any]:
    """Test error against training tasks seen."""
    return {"learning_curves": learning_curves(arrays, UNITS[config.data])}


STUDY = Study(
    "parameter_free",
    "no number to choose, lazy and aggressive, beside tuned learners (Denevi, Stamos, Pontil, UAI 2020)",
    {
        "synthetic": Config(),
        "lenk": Config(data="lenk", steps=tuple((10.0 ** np.arange(-3.0, 2.1, 0.5)).tolist())),
        "schools": Config(data="schools", steps=tuple((10.0 ** np.arange(-3.0, 2.1, 0.5)).tolist())),
    },
    run,
    tables,
    figures,
)
