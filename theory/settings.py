"""For each result a generator of runs of owo within its assumptions, and the three levels of each run.

>>> levels = by_name("bias").run(seed=0).check()
>>> levels.regret <= levels.certificate.total <= levels.closed.total
True

A run draws a loss, tasks in a random or hostile order, and parameters around the best ones for the constants that the
data turned out to have: bounds hold at all parameters. The comparator is the truth or the one that the run's own
gradients point to, so that regrets are large.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np

import owo
from owo.geometry import Complete, Exponentiated, FeatureMap, Paper, Projected
from theory import (
    aggressive,
    bias,
    delayed,
    drifting,
    entropic_map,
    experts,
    frobenius_map,
    independent,
    joint,
    lower,
    meta,
    opponents,
    parameter_free,
)
from theory.data import LOSSES, Array, compared, draw, problem_of
from theory.learners import constant, dual_averaging, frozen
from theory.levels import Levels
from theory.pairs import (
    Maker,
    first_gradient,
    with_adaptive_norm,
    with_coin_betting,
    with_constant,
    with_dual_averaging,
    with_growing,
    with_implicit,
    with_inverse_sqrt,
)
from theory.problem import Problem
from theory.runs import Run, Update, against, around, levels_of, mean_delay, mixed, rough_of, run_mixed, run_of
from theory.terms import Terms


class Setting(NamedTuple):
    """A result, and how to make runs of it."""

    name: str
    theorem: str
    """the module of ``theory`` that has the closed form"""
    play: Callable[[Any, np.random.Generator], Levels]
    losses: tuple[int, ...] = (0, 3)
    """of ``theory.data.LOSSES``; two a setting, all of them over the settings"""

    def run(self, seed: int) -> Levels:
        """One run; the seed decides everything."""
        rng = np.random.default_rng([seed, *self.name.encode()])
        loss = LOSSES[self.losses[seed % len(self.losses)]]
        return self.play(loss, rng)._replace(setting=self.name, seed=seed)


# -------------------------------------------------------------------------------------------------- the settings


def _within(make: Maker, loss: Any, rng: np.random.Generator) -> Levels:
    """Tasks of one learner that start at a fixed bias: T games at once."""
    data = draw(rng, loss)
    inner, bound = make(rng, rough_of(data).inside)
    start = data.weights.mean(axis=0)
    run = run_of(data, inner, owo.Frozen(), bias=start)
    found = against(rng, data, run)
    comparator = compared(data, found.name, found.weights - found.bias + start, start)
    if isinstance(inner, owo.AdaptiveNorm):
        bound = partial(bound, first=first_gradient(data, run))
    closed = meta.bound(problem_of(data, comparator, start), bound, frozen.bound)
    return levels_of(run, data, comparator, closed)


def _composed(update: Update, loss: Any, rng: np.random.Generator) -> Levels:
    """A pair of learners; where the bias moves after every point, tasks may be mixed point by point, too."""
    data = draw(rng, loss)
    rough = rough_of(data)
    game = rough.across if update == "task" else rough.along
    of_inner, of_outer = COMPOSED[rng.integers(len(COMPOSED))]
    (inner, within), (outer, across) = of_inner(rng, rough.inside), of_outer(rng, game)
    if update == "point" and rng.random() < 0.5:
        run = run_mixed(data, mixed(rng, data), inner, outer, update)
    else:
        run = run_of(data, inner, outer, update)
    comparator = against(rng, data, run)
    compose = meta.bound if update == "task" else aggressive.bound
    return levels_of(run, data, comparator, compose(problem_of(data, comparator), within, across))


COMPOSED = (
    (with_growing, with_inverse_sqrt),
    (with_inverse_sqrt, with_dual_averaging),
    (with_dual_averaging, with_growing),
)
"""Pairs of learners inside tasks and across them."""


def _bias(loss: Any, rng: np.random.Generator) -> Levels:
    data = draw(rng, loss)
    strength, step = (around(rng, best) for best in bias.tuned(rough_of(data)))
    run = run_of(data, owo.GrowingFTRL(strength), owo.DualAveraging(step))
    comparator = against(rng, data, run)
    closed = bias.bound(problem_of(data, comparator), strength=strength, step=step)
    return levels_of(run, data, comparator, closed)


def _independent(loss: Any, rng: np.random.Generator) -> Levels:
    """Against tasks around their mean, and charged for the mean's distance as the theorem says."""
    data = draw(rng, loss)
    strength = around(rng, independent.tuned(rough_of(data)))
    run = run_of(data, owo.GrowingFTRL(strength), owo.Frozen())
    found = against(rng, data, run)
    problem = problem_of(data, compared(data, found.name, found.weights))
    around_start = compared(data, found.name, found.weights, np.zeros(data.X.shape[2]))
    return levels_of(run, data, around_start, independent.bound(problem, strength=strength))


def _parameter_free(update: Update, loss: Any, rng: np.random.Generator) -> Levels:
    data = draw(rng, loss)
    rough = rough_of(data)
    game = rough.across if update == "task" else rough.along
    initial, across = around(rng, rough.gradient * 0.1), around(rng, game.gradient * 0.1)
    run = run_of(data, owo.CoinBetting(initial, rough.gradient), owo.CoinBetting(across, game.gradient), update)
    comparator = against(rng, data, run)
    problem = problem_of(data, comparator)
    closed = parameter_free.bound(problem, initial=initial, initial_across=across, update=update)
    return levels_of(run, data, comparator, closed)


def _map(kind: str, loss: Any, rng: np.random.Generator) -> Levels:
    """A feature map, alone or beside a bias, against the best M' of the trace."""
    data = draw(rng, loss, shared=int(rng.integers(1, 3)))
    trace = float(10.0 ** rng.uniform(-1.0, 1.0))
    rough, tuned = rough_of(data), entropic_map.tuned if kind == "entropic" else frobenius_map.tuned
    strength, kappa = (around(rng, best) for best in tuned(rough, trace=trace))
    step = around(rng, bias.tuned(rough).step)
    parts = (Exponentiated(), Complete()) if kind == "entropic" else (Projected(), Paper())
    geometry = FeatureMap(owo.DualAveraging(kappa), trace, *parts)
    d = data.X.shape[2]
    start = np.zeros(d) if kind == "joint" else data.weights.mean(axis=0)
    outer = owo.DualAveraging(step) if kind == "joint" else owo.Frozen()
    run = run_of(data, owo.GrowingFTRL(strength), outer, geometry=geometry, bias=start)
    found = against(rng, data, run)
    bias_of = found.bias if kind == "joint" else start
    best, root = _best_map(found.weights - found.bias, trace)
    comparator = compared(data, found.name, found.weights - found.bias + bias_of, bias_of, best)
    problem = replace(problem_of(data, comparator, start), root_trace=root)
    apart = float(np.linalg.norm(best - np.eye(d) * trace / d))
    if kind == "joint":
        closed = joint.bound(
            problem, strength=strength, step=step, metric_step=kappa, trace=trace, apart=apart
        )  # fmt: skip
    elif kind == "frobenius":
        closed = frobenius_map.bound(problem, strength=strength, metric_step=kappa, trace=trace, apart=apart)
    else:
        reach = float(np.einsum("tnd,de,tne->tn", data.X, best, data.X).max())
        values = np.linalg.eigvalsh(best)
        divergence = float(values @ np.log(values * d / trace))
        closed = entropic_map.bound(
            problem, strength=strength, metric_step=kappa, trace=trace, reach=reach, divergence=divergence
        )
    return levels_of(run, data, comparator, closed)


def _best_map(apart: Array, trace: float) -> tuple[Array, float]:
    """``r B^{1/2} / tr B^{1/2}`` and ``tr B^{1/2}`` of the deviations (T, d), with eigenvalues kept above 0.

    A singular M' has a finite certificate only where the deviations are in its range to the last bit. Raising small
    eigenvalues of B raises ``<B, M'^+>`` to ``tr B^{1/2}`` times that of the raised B, over r: no more than the theorem
    has with the latter for tau.
    """
    if not apart.any():
        return np.eye(apart.shape[1]) * trace / apart.shape[1], 0.0
    _, found, directions = np.linalg.svd(apart, full_matrices=True)
    values = np.zeros(len(directions))
    values[: len(found)] = found
    values = np.maximum(values, 1e-9 * values.max())
    best: Array = (directions.T * (values * trace / values.sum())) @ directions
    return best, float(values.sum() / np.sqrt(len(apart)))


def _delayed(loss: Any, rng: np.random.Generator) -> Levels:
    """Points of some tasks mixed at random, group after group."""
    data = draw(rng, loss)
    order = mixed(rng, data)
    delay = mean_delay(order)
    strength, step = (around(rng, best) for best in delayed.tuned(rough_of(data), delay=delay))
    run = run_mixed(data, order, owo.GrowingFTRL(strength), owo.DualAveraging(step), "task")
    comparator = against(rng, data, run)
    closed = delayed.bound(problem_of(data, comparator), strength=strength, step=step, delay=delay)
    return levels_of(run, data, comparator, closed)


def _drifting(loss: Any, rng: np.random.Generator) -> Levels:
    """A comparator whose bias walks; its certificate is worked out from what the ledger keeps (P2)."""
    data = draw(rng, loss)
    walk = np.cumsum(rng.normal(size=data.weights.shape), axis=0) * 10.0 ** rng.uniform(-2, 0) / data.radius
    strength, step = (around(rng, best) for best in bias.tuned(rough_of(data)))
    run = run_of(data, owo.GrowingFTRL(strength), owo.DualAveraging(step))
    found = against(rng, data, run)
    comparator = compared(data, f"{found.name}, drifting", found.weights + walk, found.bias)
    biases, ledger = found.bias + walk, run.ledger
    middle = 0.5 * (biases[:-1] + biases[1:])
    diameter = float(np.linalg.norm(ledger.path[:-1] - middle, axis=1).max())
    path = float(np.linalg.norm(np.diff(biases, axis=0), axis=1).sum())
    apart = np.linalg.norm(comparator.weights - biases, axis=1)
    distance, variance = float(np.linalg.norm(biases[0])), float(0.5 * np.mean(apart**2))
    problem = replace(problem_of(data, comparator), variance=variance, distance=distance, root_trace=None)
    closed = drifting.bound(problem, strength=strength, step=step, path=path, diameter=diameter)
    at_bias, at_task = (float(np.sum(ledger.inner.bound(ledger.account, far))) for far in (0.0 * apart, apart))
    across = (distance**2 + 2.0 * diameter * path) / (2.0 * step) + float(ledger.tally.slack[-1])
    levels = levels_of(run, data, comparator, closed)
    return levels._replace(certificate=Terms(at_bias, at_task - at_bias, across))


def _experts(loss: Any, rng: np.random.Generator) -> Levels:
    """A grid of strengths, each a run of owo; Hedge over the losses of their tasks, against the best run."""
    data = draw(rng, loss)
    best, count = bias.tuned(rough_of(data)), int(rng.integers(2, 6))
    strengths = best.strength * np.geomspace(0.1, 10.0, count)
    runs = [run_of(data, owo.GrowingFTRL(each), owo.DualAveraging(best.step)) for each in strengths.tolist()]
    losses = np.stack([run.ledger.losses for run in runs], axis=1)
    panel = experts.Panel(len(losses), count, float(np.ptp(losses, axis=1).max()) or 1.0)
    rate = around(rng, experts.tuned(panel))
    suffered, delta = experts.aggregate(losses, rate)
    totals = losses.sum(axis=0)
    certificate = Terms(within=float(delta.sum()), comparator=float(np.log(count)) / rate)
    rounding = 1e-13 * float(losses.sum() + np.log(count) / rate)
    return Levels(
        "", 0, f"Hedge over {count} strengths, {data.order} points", data.y.size,
        float(suffered.sum() - totals.min()), certificate, experts.bound(panel, rate=rate), rounding,
    )  # fmt: skip


def _orthogonal(loss: Any, rng: np.random.Generator) -> Levels:
    """The worst opponent against the best learner: all three levels are the lower bound."""
    problem = Problem(
        1.0, float(10.0 ** rng.uniform(-1, 1)), int(rng.integers(1, 12)), int(rng.integers(1, 12)),
        int(rng.integers(4, 8)), float(rng.exponential()), float(rng.exponential()),
    )  # fmt: skip
    strength, step = aggressive.tuned(problem)
    learner = owo.OnlineWithinOnline(
        loss, owo.DualAveraging(1.0 / (strength * problem.points)), owo.DualAveraging(step), "point",
        bias=np.zeros(problem.dimension),
    )  # fmt: skip
    data, comparator, predictions = opponents.orthogonal(learner, problem, rng)
    inner, outer = partial(constant.bound, strength=strength), partial(dual_averaging.bound, step=step)
    closed = aggressive.bound(problem, inner, outer)
    levels = levels_of(Run(learner.ledger, predictions), data, comparator, closed)
    return levels._replace(lower=lower.bound(problem).total)


SETTINGS = (
    Setting("within: growing", "learners.growing", partial(_within, with_growing), (0, 3)),
    Setting("within: constant", "learners.constant", partial(_within, with_constant), (1, 2)),
    Setting("within: dual averaging", "learners.dual_averaging", partial(_within, with_dual_averaging), (2, 1)),
    Setting("within: implicit", "learners.implicit", partial(_within, with_implicit), (0, 4)),
    Setting("within: inverse sqrt", "learners.inverse_sqrt", partial(_within, with_inverse_sqrt), (0, 5)),
    Setting("within: adaptive norm", "learners.adaptive_norm", partial(_within, with_adaptive_norm), (0, 3)),
    Setting("within: coin betting", "learners.coin_betting", partial(_within, with_coin_betting), (0, 2)),
    Setting("meta inequality", "meta", partial(_composed, "task"), (0,)),
    Setting("aggressive", "aggressive", partial(_composed, "point"), (0,)),
    Setting("bias", "bias", _bias, (0, 3, 5)),
    Setting("independent", "independent", _independent, (0, 3)),
    Setting("feature map, Frobenius", "frobenius_map", partial(_map, "frobenius"), (0, 3)),
    Setting("feature map, entropic", "entropic_map", partial(_map, "entropic"), (0, 3)),
    Setting("bias and feature map", "joint", partial(_map, "joint"), (0, 4)),
    Setting("parameter-free, lazy", "parameter_free", partial(_parameter_free, "task"), (0, 1)),
    Setting("parameter-free, aggressive", "parameter_free", partial(_parameter_free, "point"), (0, 1)),
    Setting("delayed", "delayed", _delayed, (0, 3)),
    Setting("drifting comparator", "drifting", _drifting, (0, 3)),
    Setting("expert aggregation", "experts", _experts, (0, 5)),
    Setting("lower bound", "lower", _orthogonal, (0,)),
)
"""One for each result, and for each learner inside tasks."""


def by_name(name: str) -> Setting:
    """The setting of this name."""
    found = {setting.name: setting for setting in SETTINGS}
    if name not in found:
        raise ValueError(f"no setting {name!r}; there are {', '.join(found)}")
    return found[name]
