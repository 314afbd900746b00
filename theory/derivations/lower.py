"""The numbers of lower.md: what opponents force, in expectation by going through all signs."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

import owo
from theory import aggressive, lower, opponents
from theory.derivations import Array, Sides, displayed
from theory.problem import Problem
from theory.runs import Update


@displayed("K1")
def khintchine(rng: np.random.Generator) -> Sides:
    """Sums of signs: the formula, and both of its bounds."""
    counts = range(1, 300)
    exact = [np.abs(np.sum(list(itertools.product((-1, 1), repeat=n)), axis=1)).mean() for n in range(1, 11)]
    formula = [lower.expected_sum(n) for n in counts]
    low, high = np.sqrt(np.arange(1, 300) / 2.0), np.sqrt(np.arange(1, 300))
    return Sides([*low, *formula, *exact], [*formula, *high, *formula[:10]])


@displayed("K2")
def favoured(rng: np.random.Generator) -> Sides:
    """The best comparator at given distances, against random ones at the same."""
    q = rng.normal(size=(6, 3))
    far, spread = rng.exponential(size=2)
    along = rng.normal(size=(200, 3))
    along *= far / np.linalg.norm(along, axis=1, keepdims=True)
    apart = rng.normal(size=(200, 6, 3))
    apart *= (spread * np.sqrt(6) / np.sqrt(np.sum(apart**2, axis=(1, 2))))[:, None, None]
    reached = -np.einsum("td,std->s", q, along[:, None] + apart)
    bound = far * np.linalg.norm(q.sum(axis=0)) + spread * np.sqrt(6 * np.sum(q**2))
    at_best = far * np.linalg.norm(q.sum(axis=0)) + np.sum(q * q) * spread * np.sqrt(6 / np.sum(q**2))
    return Sides([*reached, at_best], bound)


def _small(rng: np.random.Generator, dimension: int) -> Problem:
    """Few enough points to go through all signs."""
    tasks, n = ((1, 8), (2, 4), (4, 2), (3, 3))[rng.integers(4)]
    radius, variance, distance = rng.exponential(size=3).tolist()
    return Problem(1.0, radius, n, tasks, dimension, variance, distance)


@displayed("K3")
def orthogonal(rng: np.random.Generator) -> Sides:
    """Any learner's regret against the orthogonal opponent: what it forces, to the last bit."""
    problem = _small(rng, 4)
    learners: tuple[tuple[Any, Any, Update], ...] = (
        (owo.DualAveraging(0.3), owo.DualAveraging(0.1), "point"),
        (owo.CoinBetting(1.0, problem.radius), owo.CoinBetting(0.1, problem.across.gradient), "task"),
        (owo.AdaptiveNorm(2.0), owo.Frozen(), "task"),
    )
    inner, outer, update = learners[rng.integers(len(learners))]
    learner = owo.OnlineWithinOnline(owo.Absolute(), inner, outer, update, bias=np.zeros(4))
    _, comparator, _ = opponents.orthogonal(learner, problem, rng)
    regret = float(learner.ledger.regret(comparator)[-1])
    return Sides(lower.bound(problem).total, regret, equal=True, size=float(learner.ledger.losses.sum()))


def _linear_regret(problem: Problem, signs: Array, inner: float, outer: float, eager: bool) -> float:
    """Of constant steps on gradients with these signs (T, n) along one direction, against the favoured comparator."""
    g, theta, suffered = problem.gradient * signs, 0.0, 0.0
    for row in g:
        v, before = 0.0, theta
        for each in row:
            suffered += each * (theta + v)
            v -= inner * each
            theta -= outer * each if eager else 0.0
        theta = theta if eager else before - outer * row.sum()
    q = g.sum(axis=1)
    spread = problem.inside.distance * np.abs(q).sum()
    return float(suffered + problem.distance * abs(q.sum()) + spread)


@displayed("K4")
def signs(rng: np.random.Generator) -> Sides:
    """The expected regret against independent signs, of a lazy or an aggressive learner."""
    problem = _small(rng, 1)
    inner, outer = rng.exponential(size=2)
    eager = bool(rng.integers(2))
    every = itertools.product((-1.0, 1.0), repeat=problem.rounds)
    shape = (problem.tasks, problem.points)
    regrets = [_linear_regret(problem, np.array(each).reshape(shape), inner, outer, eager) for each in every]
    return Sides(lower.bound(problem, signs=True).total, np.mean(regrets))


@displayed("K5")
def whole_tasks(rng: np.random.Generator) -> Sides:
    """The expected regret against one sign a task, of a learner whose weights rest inside tasks."""
    tasks, n = int(rng.integers(1, 9)), int(rng.integers(1, 6))
    problem = Problem(1.0, float(rng.exponential()), n, tasks, 1, 0.0, float(rng.exponential()))
    outer = float(rng.exponential())
    every = itertools.product((-1.0, 1.0), repeat=tasks)
    regrets = [_linear_regret(problem, np.outer(each, np.ones(n)), 0.0, outer, False) for each in every]
    return Sides(lower.lazy(problem).total, np.mean(regrets))


@displayed("K6")
def between(rng: np.random.Generator) -> Sides:
    """Signs force at least sqrt(1/2) of the upper bound, which the orthogonal opponent forces wholly."""
    problem = _small(rng, 4)
    signed, full = lower.bound(problem, signs=True).total, lower.bound(problem).total
    best = aggressive.optimum(problem)
    return Sides([best * np.sqrt(0.5), signed, full], [signed, full, best])
