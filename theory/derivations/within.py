"""The numbers of within.md: one task, one pass, any metric."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

import owo
from theory.data import LOSSES
from theory.derivations import Array, Sides, displayed
from theory.learners.growing import logarithm


class Task(NamedTuple):
    """A task with the online pass of a growing regulariser in the metric M (the strength is in M)."""

    loss: Any
    X: Array
    y: Array
    theta: Array
    M: Array
    weights: Array
    """w_1 .. w_{n+1}, (n + 1, d)"""
    s: Array
    sums: Array
    """q_0 .. q_n, (n + 1, d)"""

    @property
    def g(self) -> Array:
        """g_1 .. g_n, (n, d)."""
        found: Array = self.s[:, None] * self.X
        return found

    @property
    def n(self) -> int:
        """Points."""
        return len(self.y)

    def f(self, w: Array) -> Array:
        """The regulariser at rows of weights."""
        apart = np.atleast_2d(w) - self.theta
        found: Array = 0.5 * np.einsum("ij,ij->i", apart, np.linalg.solve(self.M, apart.T).T)
        return found

    def losses(self, w: Array) -> Array:
        """``l_i(w_i)`` at rows of weights (n, d), or at one w."""
        p = np.einsum("ij,ij->i", self.X, np.broadcast_to(w, self.X.shape))
        return np.array([self.loss.value(*pair) for pair in zip(p.tolist(), self.y.tolist(), strict=True)])

    def conjugates(self) -> Array:
        """``loss*(s_i, y_i)``."""
        return np.array([self.loss.conjugate(*pair) for pair in zip(self.s.tolist(), self.y.tolist(), strict=True)])

    def norms2(self) -> Array:
        """``|g_i|_M^2``."""
        found: Array = np.einsum("ij,jk,ik->i", self.g, self.M, self.g)
        return found

    def dual(self, theta: Array, M: Array) -> float:
        """``D(s; theta, M)``."""
        q = self.sums[-1]
        return float(-self.conjugates().sum() + q @ theta - q @ M @ q / (2 * self.n))

    def last_term(self) -> float:
        """``1/2 sum_i |g_i|_M^2 / i``."""
        return float(0.5 * np.sum(self.norms2() / np.arange(1, self.n + 1)))


def task(rng: np.random.Generator, loss: Any = None) -> Task:
    """A random one."""
    loss = LOSSES[rng.integers(len(LOSSES))] if loss is None else loss
    n, d = int(rng.integers(1, 30)), int(rng.integers(1, 6))
    X, theta = rng.normal(size=(n, d)), rng.normal(size=d)
    y = rng.normal(size=n)
    if isinstance(loss, owo.Hinge | owo.Logistic):
        y = np.where(y > 0.0, 1.0, -1.0)
    A = rng.normal(size=(d, d)) * 10.0 ** rng.uniform(-1, 0.5)
    return online(loss, X, y, theta, A @ A.T + 0.01 * np.eye(d))


def online(loss: Any, X: Array, y: Array, theta: Array, M: Array) -> Task:
    """``w_i = theta - M q_{i-1} / i``."""
    q, weights, slopes, sums = np.zeros_like(theta), [], [], []
    for i, (x, label) in enumerate(zip(X, y, strict=True), start=1):
        weights.append(theta - M @ q / i)
        slopes.append(loss.subgradient(float(x @ weights[-1]), float(label)))
        sums.append(q)
        q = q + slopes[-1] * x
    weights.append(theta - M @ q / (len(y) + 1))
    return Task(loss, X, y, theta, M, np.array(weights), np.array(slopes), np.array([*sums, q]))


def _leader(t: Task, strength: int, q: Array) -> float:
    """``max_w -<q, w> - strength f(w)``."""
    return float(-q @ t.theta + q @ t.M @ q / (2 * strength))


@displayed("W1")
def fenchel_young(rng: np.random.Generator) -> Sides:
    """Each loss is its linear part less its conjugate."""
    t = task(rng)
    linear = np.einsum("ij,ij->i", t.g, t.weights[:-1])
    return Sides(t.losses(t.weights[:-1]), linear - t.conjugates(), equal=True)


@displayed("W2")
def smooth(rng: np.random.Generator) -> Sides:
    """A step of the leader's value."""
    t = task(rng)
    i = int(rng.integers(1, t.n + 1))
    before = _leader(t, i, t.sums[i - 1])
    g = t.g[i - 1]
    return Sides(_leader(t, i, t.sums[i]), before - g @ t.weights[i - 1] + t.norms2()[i - 1] / (2 * i), equal=True)


@displayed("W3")
def grow(rng: np.random.Generator) -> Sides:
    """One more regulariser."""
    t = task(rng)
    i = int(rng.integers(1, t.n + 1))
    q = t.sums[i]
    return Sides(_leader(t, i + 1, q) + t.f(t.weights[i])[0], _leader(t, i, q))


@displayed("W4")
def theorem(rng: np.random.Generator) -> Sides:
    """(A), with the regularisers of the weights that were played."""
    t = task(rng)
    played = t.weights[:-1]
    return Sides(t.losses(played).sum() + t.f(played).sum(), t.dual(t.theta, t.M) + t.last_term())


@displayed("W5")
def weak_duality(rng: np.random.Generator) -> Sides:
    """The dual value is below every primal one: near the optimum, and anywhere."""
    t = task(rng, LOSSES[rng.choice((0, 3))])
    u = t.theta + rng.normal(size=(20, len(t.theta))) * 10.0 ** rng.uniform(-2, 1, (20, 1))
    best = owo.hindsight.optima(t.loss, owo.Block(t.X, t.y, np.zeros(t.n, int)), 1.0, t.theta, metric=t.M).weights
    around = best + 0.01 * rng.normal(size=u.shape)
    primal = [float(t.losses(w).sum() + t.n * t.f(w)[0]) for w in (*u, *around, *best)]
    return Sides(t.dual(t.theta, t.M), min(primal))


@displayed("W6")
def harmonic(rng: np.random.Generator) -> Sides:
    """``1 + ln n``."""
    n = np.arange(1, 3000)
    return Sides(np.cumsum(1.0 / n), [logarithm(k) for k in n.tolist()])


@displayed("W7")
def closed(rng: np.random.Generator) -> Sides:
    """The bound in constants, against a random u."""
    loss, strength = LOSSES[rng.integers(len(LOSSES))], float(10.0 ** rng.uniform(-1, 1))
    drawn = task(rng, loss)
    t = online(loss, drawn.X, drawn.y, drawn.theta, np.eye(len(drawn.theta)) / strength)
    u = t.theta + rng.normal(size=len(t.theta))
    gradient = loss.lipschitz * float(np.linalg.norm(t.X, axis=1).max())
    regret = t.losses(t.weights[:-1]).sum() - t.losses(u).sum()
    apart = float(np.sum((u - t.theta) ** 2))
    return Sides(regret, 0.5 * strength * t.n * apart + gradient**2 * logarithm(t.n) / (2 * strength))


@displayed("W8")
def tuning(rng: np.random.Generator) -> Sides:
    """The mean of two numbers, and their geometric mean."""
    a, b, strength = rng.exponential(size=(3, 100))
    return Sides(2.0 * np.sqrt(a * b), strength * a + b / strength)
