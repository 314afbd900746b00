"""Learning a bias on synthetic tasks: the first study of Denevi, Ciliberto, Grazzi, Pontil (ICML 2019).

Task weights are ``w_t ~ N(4 * 1, I)`` in d = 30 dimensions, rows are uniform on the unit sphere, a task has 10 points
to learn from and a test task 100 more to predict. Regression: ``y = <x, w> + noise`` with a tenth of the signal's
variance, absolute loss. Classification: labels from a logistic model, rows with ``|<x, w>| < .5`` drawn again, hinge
loss. Strength and step are those of least error on 100 validation tasks, from ten each between 1e-6 and 1e3.

The variant "as published" has that paper's indexing and sampling: the step ``1 / (strength k)`` after k gradients,
where owo has ``1 / (strength (k + 1))``, and as many points as a task has, drawn from it with replacement.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np

import owo
from experiments import trials
from experiments.figures import learning_curves
from experiments.methods import Known, Method, Numbers, around_a_bias
from experiments.own import Own
from experiments.settings import require, require_counts, require_positive
from experiments.store import Arrays
from experiments.study import Study
from experiments.tables import Table, contest_table, titled
from experiments.trials import Halves, Trial
from owo.streams import Synthetic

UNIT = "units of y"
GRID = tuple((10.0 ** np.linspace(-6.0, 3.0, 10)).tolist())


@dataclass(frozen=True, kw_only=True)
class Config:
    """One comparison."""

    kind: Literal["regression", "classification"] = "regression"
    tasks: int = 1000
    points: int = 10
    predicted: int = 100
    """points of each validation and test task that are predicted"""
    d: int = 30
    validation: int = 100
    test: int = 100
    mean: float = 4.0
    spread: float = 1.0
    published: bool = False
    """whether indices and sampling are those of the paper"""
    strengths: tuple[float, ...] = GRID
    steps: tuple[float, ...] = GRID

    def __post_init__(self) -> None:
        if self.kind not in ("regression", "classification"):
            raise ValueError(f"kind is {self.kind!r}; it must be 'regression' or 'classification'")
        require_counts(self, "tasks", "points", "predicted", "d", "validation", "test")
        require_positive(self, "strengths", "steps")
        require(self, "a finite number", math.isfinite, "mean")
        require(self, "a finite number of at least 0", lambda value: 0.0 <= value < math.inf, "spread")


def draw(config: Config, seed: int, own: Own) -> Trial:
    """The tasks of one seed."""
    loss = own.loss or (owo.Absolute() if config.kind == "regression" else owo.Hinge())
    rng = np.random.default_rng([seed, 0])
    if own.stream is not None:
        return trials.from_tasks(own.stream(rng), loss, config.validation, config.test)
    points = config.points + config.predicted
    few = Synthetic(tasks=config.tasks, points=config.points, d=config.d, mean=config.mean, spread=config.spread,
                    kind=config.kind, seed=seed)  # fmt: skip
    noise = few.signal / 10.0**0.5 if config.kind == "regression" else 1.0
    training, truth = _whole(few, noise, seed, config.tasks, config.points)
    validation, _ = _whole(few, noise, seed + 2**20, config.validation, points)
    test, _ = _whole(few, noise, seed + 2**21, config.test, points)
    if config.published:
        training = with_replacement(training, rng)
    halves = [trials.halved(each, config.points) for each in (validation, test)]
    if config.published:
        halves = [Halves(with_replacement(each.learned, rng), each.predicted) for each in halves]
    comparator = owo.hindsight.best_bias(loss, training, 1.0)
    return Trial(loss, training, halves[0], halves[1], Known(truth.means.mean(axis=0)), comparator)


def _whole(stream: Synthetic, noise: float, seed: int, tasks: int, points: int) -> tuple[owo.Block, Any]:
    """All tasks of a stream as one block, and their truth."""
    stream = replace(stream, noise=noise, seed=seed, tasks=tasks, points=points, rows=tasks * points)
    return stream.block(0), stream.truth(0)


def with_replacement(block: owo.Block, rng: np.random.Generator) -> owo.Block:
    """As many points of each task as it has, drawn from it with replacement."""
    starts, lengths = block.offsets[:-1], np.diff(block.offsets)
    rows = np.repeat(starts, lengths) + (rng.random(block.n) * np.repeat(lengths, lengths)).astype(np.int64)
    return owo.Block(np.asarray(block.X)[rows], block.y[rows], block.task)


@owo.law
class StronglyConvex(NamedTuple):
    """Subgradient descent on ``loss + lambda/2 |w - theta|^2`` with steps ``1 / (lambda k)``.

    After k gradients ``c = 1 / (lambda k)``, one index ahead of ``owo.GrowingFTRL``, so the first step is twice as
    long. The first prediction is the bias, whatever the scale.
    """

    strength: float = 1.0

    def start(self) -> tuple[float]:
        return (1.0,)

    def scale(self, state: tuple[float]) -> float:
        return 1.0 / (self.strength * max(state[0] - 1.0, 1.0))

    def observe(self, state: tuple[float], along: float, norm2: float) -> tuple[float]:
        return (state[0] + 1.0,)


def methods(config: Config, own: Own) -> tuple[Method, ...]:
    """Who takes part."""
    found = around_a_bias(config.strengths, config.steps)
    if config.published:
        found = tuple(each._replace(learner=_published(each)) if len(each.strengths) > 1 else each for each in found)
    return (*found, *own.methods)


def _published(method: Method) -> Any:
    def learner(loss: Any, at: Numbers, known: Known) -> owo.OnlineWithinOnline:
        plain = method.learner(loss, at, known)
        bias = None if plain.d is None else plain.bias
        return owo.OnlineWithinOnline(loss, StronglyConvex(at.strength), plain.outer, plain.update, bias=bias)

    return learner


def run(config: Config, seed: int, own: Own) -> Arrays:
    """One seed."""
    trial = draw(config, seed, own)
    return trials.contest(trial, methods(config, own), trials.spaced(trial.training.n_tasks))


def tables(config: Config, arrays: Arrays) -> list[Table]:
    """The comparison."""
    return [contest_table(titled(f"Learning a bias, {config.kind}", arrays), arrays, UNIT)]


def figures(config: Config, arrays: Arrays) -> dict[str, Any]:
    """Test error against training tasks seen."""
    return {"learning_curves": learning_curves(arrays, UNIT)}


STUDY = Study(
    "bias",
    "a bias on synthetic tasks around a mean, regression and classification (Denevi et al., ICML 2019)",
    {
        "regression": Config(),
        "classification": Config(kind="classification"),
        "as-published": Config(published=True),
    },
    run,
    tables,
    figures,
)
