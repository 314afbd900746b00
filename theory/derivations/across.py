"""The numbers of across.md: many tasks, and the learner across them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

import owo
from theory import aggressive, bias, delayed, drifting, experts, independent
from theory.derivations import Array, Sides, displayed
from theory.derivations.within import Task, online
from theory.learners import constant, dual_averaging
from theory.problem import Problem


class Meta(NamedTuple):
    """T tasks of n points, learned one after another around a bias that gradient descent moves."""

    tasks: list[Task]
    """each with its bias theta_t, and M = I / strength"""
    strength: float
    step: float
    problem: Problem
    weights: Array
    """u_t (T, d)"""
    bias: Array
    """theta' (d,)"""

    @property
    def q(self) -> Array:
        """(T, d)."""
        return np.array([t.sums[-1] for t in self.tasks])

    @property
    def path(self) -> Array:
        """theta_1 .. theta_T, (T, d)."""
        return np.array([t.theta for t in self.tasks])

    def regret(self) -> float:
        """Against u_t."""
        pairs = zip(self.tasks, self.weights, strict=True)
        return float(sum(t.losses(t.weights[:-1]).sum() - t.losses(u).sum() for t, u in pairs))


def meta(rng: np.random.Generator) -> Meta:
    """A random one, with the absolute loss; the weights compared with are the favoured ones."""
    count, n, d = int(rng.integers(1, 12)), int(rng.integers(1, 10)), int(rng.integers(1, 5))
    strength, step = (float(v) for v in 10.0 ** rng.uniform((-1, -3), (1, -1)))
    X = rng.normal(size=(count, n, d))
    y = X @ rng.normal(size=d) + rng.normal(size=(count, 1)) + 0.3 * rng.normal(size=(count, n))
    tasks, theta = [], np.zeros(d)
    for each, labels in zip(X, y, strict=True):
        tasks.append(online(owo.Absolute(), each, labels, theta, np.eye(d) / strength))
        theta = theta - step * tasks[-1].sums[-1]
    q = np.array([t.sums[-1] for t in tasks])
    other = -q.sum(axis=0) / (1.0 + np.linalg.norm(q.sum(axis=0))) * rng.exponential()
    weights = other - q / (1.0 + np.linalg.norm(q, axis=1, keepdims=True)) * rng.exponential()
    variance = float(0.5 * np.mean(np.sum((weights - other) ** 2, axis=1)))
    radius = float(np.linalg.norm(X, axis=2).max())
    problem = Problem(1.0, radius, n, count, d, variance, float(np.linalg.norm(other)))
    return Meta(tasks, strength, step, problem, weights, other)


@displayed("B1")
def linear(rng: np.random.Generator) -> Sides:
    """The dual value is linear in (theta, M)."""
    t = meta(rng).tasks[-1]
    d, q = len(t.theta), t.sums[-1]
    A, theta = rng.normal(size=(d, d)), rng.normal(size=d)
    M = A @ A.T
    moved = q @ (t.theta - theta) - np.sum(np.outer(q, q) * (t.M - M)) / (2 * t.n)
    return Sides(t.dual(t.theta, t.M), t.dual(theta, M) + moved, equal=True, size=float(q @ q))


@displayed("B2")
def inequality(rng: np.random.Generator) -> Sides:
    """(B), at the dual values around theta'."""
    m = meta(rng)
    left = sum(float(t.losses(t.weights[:-1]).sum()) for t in m.tasks)
    right = sum(t.dual(m.bias, t.M) + t.last_term() for t in m.tasks)
    return Sides(left, right + float(np.sum(m.q * (m.path - m.bias))))


@displayed("B3")
def sums(rng: np.random.Generator) -> Sides:
    """No sum of gradients is longer than n G."""
    m = meta(rng)
    return Sides(np.linalg.norm(m.q, axis=1), m.problem.across.gradient)


@displayed("B4")
def closed(rng: np.random.Generator) -> Sides:
    """The bias instance in constants."""
    m = meta(rng)
    return Sides(m.regret(), bias.bound(m.problem, strength=m.strength, step=m.step).total)


@displayed("C1")
def translation(rng: np.random.Generator) -> Sides:
    """One gradient, two learners."""
    g, theta, v, other, u = rng.normal(size=(5, 4))
    return Sides(g @ (theta + v - u), g @ (theta - other) + g @ (v - (u - other)), equal=True)


class Eager(NamedTuple):
    """An aggressive run: gradients, biases and plays inside the tasks, each (T, n, d)."""

    g: Array
    theta: Array
    v: Array
    problem: Problem
    weights: Array
    bias: Array


def eager(rng: np.random.Generator, strength: float, step: float) -> Eager:
    """The data of ``meta``, learned with the constant regulariser and a bias that moves after every point."""
    m = meta(rng)
    n, d = m.problem.points, len(m.bias)
    theta, rows = np.zeros(d), []
    for t in m.tasks:
        v = np.zeros(d)
        for x, y in zip(t.X, t.y, strict=True):
            g = owo.Absolute().subgradient(float(x @ (theta + v)), float(y)) * x
            rows.append((g, theta, v))
            theta, v = theta - step * g, v - g / (strength * n)
    g, path, inside = (np.array(each).reshape(-1, n, d) for each in zip(*rows, strict=True))
    return Eager(g, path, inside, m.problem, m.weights, m.bias)


@displayed("C2")
def two_regrets(rng: np.random.Generator) -> Sides:
    """(C): linear regret is at most the sum of the bounds of both, in the run's own numbers."""
    strength, step = 10.0 ** rng.uniform(-1, 1, 2)
    e = eager(rng, strength, step)
    left = np.sum(e.g * (e.theta + e.v - e.weights[:, None]))
    squares, n = float(np.sum(e.g**2)), e.problem.points
    across = e.problem.distance**2 / (2 * step) + 0.5 * step * squares
    inside = n * strength * e.problem.tasks * e.problem.variance + squares / (2 * strength * n)
    return Sides(left, across + inside)


@displayed("C3")
def eager_optimum(rng: np.random.Generator) -> Sides:
    """The tuned bound is no more than that at any other parameters."""
    p = meta(rng).problem
    strength, step = (10.0 ** rng.uniform(-3, 3, 2)).tolist()
    other = p.tasks * constant.bound(p.inside, strength=strength).total + dual_averaging.bound(p.along, step=step).total
    return Sides(aggressive.optimum(p), other)


@displayed("I1")
def second_moment(rng: np.random.Generator) -> Sides:
    """Variance and the square of the mean."""
    m = meta(rng)
    mean = m.weights.mean(axis=0)
    variance = float(0.5 * np.mean(np.sum((m.weights - mean) ** 2, axis=1)))
    p = Problem(1.0, 1.0, 1, m.problem.tasks, len(mean), variance, float(np.linalg.norm(mean)))
    return Sides(0.5 * np.mean(np.sum(m.weights**2, axis=1)), independent.from_start(p).variance, equal=True)


@displayed("I2")
def any_centre(rng: np.random.Generator) -> Sides:
    """Around any other theta'."""
    m = meta(rng)
    left = 0.5 * np.mean(np.sum(m.weights**2, axis=1))
    return Sides(left, independent.from_start(m.problem, centred=False).variance)


class Mixed(NamedTuple):
    """Tasks that were open at the same time: (T,) ends, and biases at points and at ends."""

    q: Array
    at_points: Array
    """(T, n, d)"""
    at_ends: Array
    """(T, d)"""
    delays: Array
    """(T,)"""
    g: Array
    problem: Problem
    bias: Array


def mixed(rng: np.random.Generator, step: float) -> Mixed:
    """Random gradients of norm at most 1, points of all tasks in random order; delivered when a task ends."""
    count, n, d = int(rng.integers(1, 10)), int(rng.integers(1, 6)), int(rng.integers(1, 4))
    g = np.abs(rng.normal(size=(count, n, d)))
    g /= np.maximum(np.linalg.norm(g, axis=2, keepdims=True), 1.0)
    order = rng.permutation(np.repeat(np.arange(count), n))
    theta, met = np.zeros(d), np.zeros(count, dtype=int)
    at_points, at_ends = np.zeros((count, n, d)), np.zeros((count, d))
    began, ended, delays = np.zeros(count), 0, np.zeros(count)
    for t in order.tolist():
        began[t] = ended if met[t] == 0 else began[t]
        at_points[t, met[t]] = theta
        met[t] += 1
        if met[t] == n:
            at_ends[t], delays[t], ended = theta, ended - began[t], ended + 1
            theta = theta - step * g[t].sum(axis=0)
    other = -g.sum(axis=(0, 1)) * rng.exponential()
    problem = Problem(1.0, 1.0, n, count, d, 0.0, float(np.linalg.norm(other)))
    return Mixed(g.sum(axis=1), at_points, at_ends, delays, g, problem, other)


@displayed("D1")
def late(rng: np.random.Generator) -> Sides:
    """How far a bias has moved while its task was open, and what that costs."""
    step = float(10.0 ** rng.uniform(-2, 1))
    m = mixed(rng, step)
    top = m.problem.across.gradient
    moved = np.linalg.norm(m.at_points - m.at_ends[:, None], axis=2).max(axis=1)
    cost = float(np.sum(m.g * (m.at_points - m.at_ends[:, None])))
    return Sides([*moved, cost], [*(step * top * m.delays), step * top**2 * m.delays.sum()])


@displayed("D2")
def with_delay(rng: np.random.Generator) -> Sides:
    """The regret of the bias, at the points, in constants."""
    step = float(10.0 ** rng.uniform(-2, 1))
    m = mixed(rng, step)
    terms = delayed.bound(m.problem, strength=1.0, step=step, delay=float(m.delays.mean()))
    return Sides(np.sum(m.g * (m.at_points - m.bias)), terms.across + terms.overlap)


@displayed("P1")
def one_step(rng: np.random.Generator) -> Sides:
    """Gradient descent in one round, and the drift of the comparator after it."""
    z, g, here, there = rng.normal(size=(4, 3)) * 10.0 ** rng.uniform(-1, 1, (4, 1))
    step = float(rng.exponential())
    after = z - step * g
    far = float(np.linalg.norm(after - 0.5 * (here + there)))
    near = sum((z - here) ** 2) - sum((after - there) ** 2)
    drift = 2.0 * far * np.linalg.norm(here - there)
    return Sides(g @ (z - here), (near + drift) / (2 * step) + 0.5 * step * g @ g, size=sum(z**2) / step)


@displayed("P2")
def walk(rng: np.random.Generator) -> Sides:
    """The regret of the bias against a comparator that walks, in constants."""
    m = meta(rng)
    biases = np.cumsum(rng.normal(size=m.path.shape), axis=0) * 10.0 ** rng.uniform(-2, 0)
    middle = 0.5 * (biases[:-1] + biases[1:])
    diameter = float(np.linalg.norm(m.path[1:] - middle, axis=1).max(initial=1e-9))
    path = float(np.linalg.norm(np.diff(biases, axis=0), axis=1).sum())
    problem = Problem(1.0, m.problem.radius, m.problem.points, len(biases), 1, 0.0, float(np.linalg.norm(biases[0])))
    bound = drifting.bound(problem, strength=1.0, step=m.step, path=path, diameter=diameter)
    return Sides(np.sum(m.q * (m.path - biases)), bound.across)


@displayed("E1")
def best_expert(rng: np.random.Generator) -> Sides:
    """What Hedge suffers beyond any expert, in the run's own numbers."""
    losses, rate = rng.normal(size=(20, 4)) * rng.exponential(), float(10.0 ** rng.uniform(-2, 2))
    suffered, delta = experts.aggregate(losses, rate)
    return Sides(suffered.sum() - losses.sum(axis=0), np.log(4.0) / rate + delta.sum())


@displayed("E2")
def hoeffding(rng: np.random.Generator) -> Sides:
    """Hoeffding's lemma."""
    losses, rate = rng.normal(size=(20, 4)) * rng.exponential(), float(10.0 ** rng.uniform(-2, 2))
    return Sides(experts.aggregate(losses, rate)[1], rate * np.ptp(losses, axis=1) ** 2 / 8.0)
