"""The numbers of statistics.md: expectations over points and tasks, worked out exactly by going through all cases.

A distribution of tasks here is a finite list of tasks, each a finite list of points, all equally likely.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np

import owo
from theory import online_to_batch
from theory.derivations import Array, Sides, displayed
from theory.derivations.within import Task, online
from theory.learners.growing import logarithm
from theory.problem import Problem

LOSS = owo.Absolute()


class World(NamedTuple):
    """``K`` tasks of ``A`` points each: X (K, A, d), y (K, A); samples of n points, with a strength."""

    X: Array
    y: Array
    n: int
    strength: float

    @property
    def gradient(self) -> float:
        """G."""
        return float(np.linalg.norm(self.X, axis=2).max())

    def risk(self, k: int, w: Array) -> float:
        """Mean loss of w on task k."""
        return float(np.mean(np.abs(self.X[k] @ w - self.y[k])))

    def samples(self, k: int, theta: Array) -> list[Task]:
        """The online pass on every sequence of n points of task k."""
        M = np.eye(len(theta)) / self.strength
        draws = itertools.product(range(self.y.shape[1]), repeat=self.n)
        return [online(LOSS, self.X[k, list(draw)], self.y[k, list(draw)], theta, M) for draw in draws]

    def transfer(self, theta: Array) -> float:
        """The expected risk of the mean of the iterates around theta, over new tasks and their samples."""
        tasks = range(len(self.y))
        return float(
            np.mean([self.risk(k, t.weights[:-1].mean(axis=0)) for k in tasks for t in self.samples(k, theta)])
        )


def world(rng: np.random.Generator, tasks: int = 1, points: int = 3, n: int = 3, d: int = 2) -> World:
    """A random one."""
    X = rng.normal(size=(tasks, points, d))
    weights = rng.normal(size=d) + rng.exponential() * rng.normal(size=(tasks, d))
    y = np.einsum("kad,kd->ka", X, weights) + 0.3 * rng.normal(size=(tasks, points))
    return World(X, y, n, float(10.0 ** rng.uniform(-1, 1)))


@displayed("S1")
def averaging(rng: np.random.Generator) -> Sides:
    """Jensen: the mean of the iterates, and the mean of their risks."""
    w = world(rng)
    t = w.samples(0, rng.normal(size=2))[int(rng.integers(20))]
    played = t.weights[:-1]
    return Sides(w.risk(0, played.mean(axis=0)), np.mean([w.risk(0, each) for each in played]))


@displayed("S2")
def fresh(rng: np.random.Generator) -> Sides:
    """A point is new to the weights that predict it."""
    w = world(rng)
    found = w.samples(0, rng.normal(size=2))
    losses = np.mean([t.losses(t.weights[:-1]).sum() for t in found])
    risks = np.mean([sum(w.risk(0, each) for each in t.weights[:-1]) for t in found])
    return Sides(risks, losses, equal=True)


@displayed("S3")
def gap(rng: np.random.Generator) -> Sides:
    """The expected optimum, and the expected dual value of the online pass."""
    w, theta = world(rng, n=2), rng.normal(size=2)
    found = w.samples(0, theta)
    solved = [owo.hindsight.task_optimum(LOSS, t.X, t.y, w.strength, theta, 1e-10) for t in found]
    lower = np.mean([each.value - each.gap for each in solved])
    dual = np.mean([t.dual(theta, t.M) + t.last_term() for t in found])
    return Sides(lower, dual)


@displayed("S4")
def transfer_risk(rng: np.random.Generator) -> Sides:
    """The expected risk beyond a comparator's: of a bias drawn from the path, and of the path's mean."""
    w, step = world(rng, tasks=2, points=2, n=2), float(10.0 ** rng.uniform(-2, 0))
    drawn, mean, runs = 0.0, 0.0, 0
    for first in (0, 1):
        for one in w.samples(first, np.zeros(2)):
            theta = -step * one.sums[-1]
            mean, runs = mean + w.transfer(0.5 * theta), runs + 1
            drawn += 0.5 * (w.transfer(np.zeros(2)) + w.transfer(theta))
    bias, spread = rng.normal(size=2), rng.normal(size=(2, 2)) * 10.0 ** rng.uniform(-1, 0)
    best = float(np.mean([w.risk(k, bias + spread[k]) for k in (0, 1)]))
    variance = float(0.5 * np.mean(np.sum(spread**2, axis=1)))
    problem = Problem(1.0, w.gradient, w.n, 2, 2, variance, float(np.linalg.norm(bias)))
    bounds = [
        online_to_batch.bound(problem, strength=w.strength, step=step, average=average).total
        for average in (False, True)
    ]
    return Sides([drawn / runs - best, mean / runs - best], bounds)


@displayed("S5")
def inner_term(rng: np.random.Generator) -> Sides:
    """The inner term of a sample, in constants."""
    w = world(rng)
    t = w.samples(0, rng.normal(size=2))[int(rng.integers(20))]
    return Sides(t.last_term(), w.gradient**2 * logarithm(w.n) / (2 * w.strength))
