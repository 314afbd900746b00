"""The numbers of maps.md: learning a metric."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

import owo
from owo.geometry import Complete, Exponentiated, FeatureMap, Paper, Projected
from owo.geometry.matrices import dense_map
from owo.laws import DualAveraging
from theory.derivations import Array, Sides, displayed
from theory.derivations.within import online
from theory.learners.growing import logarithm


class Inner(NamedTuple):
    """One task's gradients (n, d), with |g| <= top, and the strength of its growing regulariser."""

    g: Array
    top: float
    strength: float

    @property
    def q(self) -> Array:
        """(d,)."""
        found: Array = self.g.sum(axis=0)
        return found

    @property
    def E(self) -> Array:
        """``1/(2 lambda) sum_i g_i g_i^T / i``."""
        weights = 0.5 / (self.strength * np.arange(1, len(self.g) + 1))
        found: Array = (self.g.T * weights) @ self.g
        return found

    @property
    def pull(self) -> Array:
        """``q q^T / (2 lambda n)``."""
        found: Array = np.outer(self.q, self.q) / (2 * self.strength * len(self.g))
        return found

    @property
    def largest(self) -> float:
        """``n G^2 / (2 lambda)``."""
        return float(len(self.g) * self.top**2 / (2 * self.strength))


def inner(rng: np.random.Generator, d: int | None = None) -> Inner:
    """Random gradients; sometimes they all agree."""
    n, d = int(rng.integers(1, 20)), int(rng.integers(1, 6)) if d is None else d
    g = rng.normal(size=(n, d))
    g = np.abs(g) if rng.random() < 0.5 else g
    return Inner(g, float(np.linalg.norm(g, axis=1).max()), float(rng.exponential()) + 0.1)


def psd(rng: np.random.Generator, d: int, trace: float) -> Array:
    """A random one of this trace, sometimes nearly singular."""
    A = rng.normal(size=(d, d)) * 10.0 ** rng.uniform(-2, 1, d)
    found: Array = A @ A.T
    found *= trace / np.trace(found)
    return found


def root(A: Array) -> Array:
    """``A^{1/2}``."""
    values, vectors = np.linalg.eigh(A)
    found: Array = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    return found


def logarithm_of(A: Array) -> Array:
    """``ln A``."""
    values, vectors = np.linalg.eigh(A)
    found: Array = (vectors * np.log(values)) @ vectors.T
    return found


def divergence(A: Array, B: Array) -> float:
    """``tr A (ln A - ln B) - tr A + tr B``."""
    return float(np.sum(A * (logarithm_of(A) - logarithm_of(B))) - np.trace(A) + np.trace(B))


@displayed("B5")
def moving_metric(rng: np.random.Generator) -> Sides:
    """(B) in full: bias and metric both move, here anywhere."""
    d, strength = int(rng.integers(1, 5)), float(rng.exponential()) + 0.1
    other, bias, left, right = psd(rng, d, 1.0), rng.normal(size=d), 0.0, 0.0
    for _ in range(5):
        X, M, theta = rng.normal(size=(int(rng.integers(1, 9)), d)), psd(rng, d, 1.0), rng.normal(size=d)
        M += 1e-6 * np.eye(d)
        t = online(owo.Absolute(), X, rng.normal(size=len(X)), theta, M / strength)
        e = Inner(t.g, 0.0, strength)
        left += float(t.losses(t.weights[:-1]).sum())
        right += t.dual(bias, other / strength) + float(np.sum(e.E * other))
        right += float(e.q @ (theta - bias) + np.sum((e.E - e.pull) * (M - other)))
    return Sides(left, right, size=1.0 + 1.0 / strength)


@displayed("M1")
def gradient_norm(rng: np.random.Generator) -> Sides:
    """Of rank one: the Frobenius norm is the square of q's."""
    t = inner(rng)
    return Sides(np.linalg.norm(t.pull), t.largest)


@displayed("M2")
def cauchy(rng: np.random.Generator) -> Sides:
    """The trace of the root."""
    d, trace = int(rng.integers(1, 6)), float(rng.exponential())
    A, M = psd(rng, d, 1.0), psd(rng, d, trace) + 1e-3 * trace * np.eye(d)
    return Sides(np.trace(root(A)) ** 2, np.sum(A * np.linalg.inv(M)) * np.trace(M))


@displayed("M3")
def best(rng: np.random.Generator) -> Sides:
    """The metric at which that is an equality."""
    d, trace = int(rng.integers(1, 6)), float(rng.exponential())
    A = psd(rng, d, 1.0) + 0.01 * np.eye(d)
    M = trace * root(A) / np.trace(root(A))
    return Sides(np.sum(A * np.linalg.inv(M)), np.trace(root(A)) ** 2 / trace, equal=True)


def _play(rng: np.random.Generator, mirror: object, gradient: object) -> tuple[float, Array, Array, list[Inner], float]:
    """The learner of M on random tasks: linear regret against a random M', M', M_1, the tasks, and its step."""
    d, trace, step = int(rng.integers(1, 5)), float(rng.exponential()) + 0.1, float(10.0 ** rng.uniform(-2, 1))
    tasks, other = [inner(rng, d) for _ in range(int(rng.integers(1, 12)))], psd(rng, d, trace)
    learner = dense_map(FeatureMap(DualAveraging(step), trace, mirror, gradient), d, None)
    start, regret = np.array(learner.play), 0.0
    for t in tasks:
        H = -t.pull if isinstance(gradient, Paper) else t.E - t.pull
        regret += float(np.sum(H * (learner.play - other)))
        learner.learn(H)
    return regret, other, start, tasks, step


@displayed("M4")
def projected(rng: np.random.Generator) -> Sides:
    """Projected steps."""
    regret, other, start, tasks, step = _play(rng, Projected(), Paper())
    spent = sum(float(np.sum(t.pull**2)) for t in tasks)
    return Sides(regret, np.sum((other - start) ** 2) / (2 * step) + 0.5 * step * spent, size=1.0 + step * spent)


@displayed("M5")
def from_middle(rng: np.random.Generator) -> Sides:
    """How far any M of this trace is from the multiple of I."""
    d, trace = int(rng.integers(1, 6)), float(rng.exponential())
    M = psd(rng, d, trace)
    return Sides(np.linalg.norm(M - np.eye(d) * trace / d), trace * np.sqrt(1.0 - 1.0 / d), size=trace + 1.0)


@displayed("M6")
def complete(rng: np.random.Generator) -> Sides:
    """The spectral norm of a difference of positive semidefinite matrices."""
    t = inner(rng)
    norms = [float(np.linalg.norm(A, 2)) for A in (t.E - t.pull, t.E, t.pull)]
    return Sides([norms[0], max(norms[1:])], [max(norms[1:]), t.largest])


@displayed("M7")
def strongly_convex(rng: np.random.Generator) -> Sides:
    """Pinsker's inequality for matrices of trace at most r."""
    d, trace = int(rng.integers(1, 5)), float(rng.exponential()) + 0.1
    A, B = (psd(rng, d, trace * rng.uniform(0.2, 1.0)) + 1e-6 * np.eye(d) for _ in range(2))
    top = max(float(np.trace(A)), float(np.trace(B)))
    apart = float(np.abs(np.linalg.eigvalsh(A - B)).sum())
    return Sides(apart**2 / (2.0 * top), divergence(A, B))


@displayed("M8")
def from_entropy(rng: np.random.Generator) -> Sides:
    """The divergence from the multiple of I."""
    d, trace = int(rng.integers(1, 6)), float(rng.exponential())
    M = (psd(rng, d, trace) + 1e-4 * trace * np.eye(d)) / (1.0 + 1e-4 * d)
    return Sides(divergence(M, np.eye(d) * trace / d), trace * np.log(d), size=1.0 + trace)


@displayed("M9")
def exponentiated(rng: np.random.Generator) -> Sides:
    """Matrix exponentiated gradient."""
    regret, other, start, tasks, step = _play(rng, Exponentiated(), Complete())
    trace = float(np.trace(start))
    spent = sum(float(np.linalg.norm(t.E - t.pull, 2)) ** 2 for t in tasks)
    other = other + 1e-12 * trace * np.eye(len(other))
    return Sides(regret, divergence(other, start) / step + 0.5 * step * trace * spent, size=1.0 + trace / step)


@displayed("M10")
def as_seen(rng: np.random.Generator) -> Sides:
    """What the inner term is in the metric M'."""
    t = inner(rng)
    M = psd(rng, t.g.shape[1], 1.0)
    reach = float(np.einsum("id,de,ie->i", t.g, M, t.g).max())
    return Sides(np.sum(t.E * M), reach * logarithm(len(t.g)) / (2 * t.strength))
