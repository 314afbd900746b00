"""The numbers of learners.md: online linear learners."""

from __future__ import annotations

import math
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from scipy.special import gammaln

from theory.data import LOSSES
from theory.derivations import Array, Sides, displayed
from theory.learners import adaptive_norm, coin_betting, frozen, growing, inverse_sqrt
from theory.problem import Game
from theory.terms import Learner


def gradients(rng: np.random.Generator) -> Array:
    """(n, d), of norms that differ by orders of magnitude; sometimes all in one direction."""
    n, d = int(rng.integers(1, 40)), int(rng.integers(1, 5))
    g = rng.normal(size=(n, d)) * 10.0 ** rng.uniform(-1, 1, (n, 1))
    return np.abs(g) if rng.random() < 0.3 else g


def falling(rng: np.random.Generator, n: int) -> Array:
    """A scale c_t that never grows."""
    return np.sort(rng.exponential(size=n))[::-1]


def norms2(g: Array) -> Array:
    """Squared norms of rows."""
    found: Array = np.sum(g**2, axis=1)
    return found


@displayed("L1")
def one_round(rng: np.random.Generator) -> Sides:
    """The linear loss of a round, as a difference of squares."""
    g = gradients(rng)
    c, sums = falling(rng, len(g)), np.cumsum(g, axis=0)
    before = sums - g
    linear = np.sum(g * (-c[:, None] * before), axis=1)
    squares = 0.5 * c * (norms2(before) - norms2(sums) + norms2(g))
    return Sides(linear, squares, equal=True, size=1.0 + float(norms2(sums).max()))


@displayed("L2")
def lazy(rng: np.random.Generator) -> Sides:
    """(L): the certificate of every law whose scale never grows."""
    g = gradients(rng)
    c, sums = falling(rng, len(g)), np.cumsum(g, axis=0)
    plays, other = -c[:, None] * (sums - g), rng.normal(size=g.shape[1]) * 10.0 ** rng.uniform(-1, 1)
    return Sides(np.sum(g * (plays - other)), other @ other / (2 * c[-1]) + 0.5 * np.sum(c * norms2(g)))


@displayed("L3")
def roots(rng: np.random.Generator) -> Sides:
    """A sum of inverse roots."""
    n = np.arange(1, 3000)
    return Sides(np.cumsum(1.0 / np.sqrt(n)), 2.0 * np.sqrt(n) - 1.0)


@displayed("L4")
def self_normalised(rng: np.random.Generator) -> Sides:
    """Each square over the root of the sum up to it."""
    a = norms2(gradients(rng))
    sums = np.cumsum(a)
    return Sides(np.sum(a / np.sqrt(sums)), 2.0 * math.sqrt(sums[-1]))


@displayed("L5")
def one_behind(rng: np.random.Generator) -> Sides:
    """The same with the sum before it."""
    a = norms2(gradients(rng))
    root = np.sqrt(np.cumsum(a))
    left = np.sum(a[1:] / root[:-1])
    return Sides(left, np.sum(a[1:] / root[1:]) + a.max() * (1.0 / root[0] - 1.0 / root[-1]))


@displayed("L6")
def adaptive(rng: np.random.Generator) -> Sides:
    """The slack of an adaptive law, its first step taken for its second."""
    g = gradients(rng)
    a = norms2(g)
    root, top, n = np.sqrt(np.cumsum(a)), float(a.max()), len(a)
    slack = root[0] + np.sum(a[1:] / root[:-1])
    measured = 2.0 * root[-1] + top / root[0] - top / root[-1]
    constants = math.sqrt(top) * (2.0 * math.sqrt(n) + math.sqrt(top) / root[0] - 1.0 / math.sqrt(n))
    return Sides([slack, measured], [measured, constants])


class Step(NamedTuple):
    """A proximal step of length ``step`` from w, on one point of a random Lipschitz loss."""

    loss: Any
    x: Array
    y: float
    step: float
    w: Array
    after: Array

    def value(self, w: Array) -> float:
        """The loss at w."""
        return float(self.loss.value(float(self.x @ w), self.y))


def proximal_step(rng: np.random.Generator) -> Step:
    """``w - step s x``, with s the slope at the point itself."""
    loss, d, step = LOSSES[rng.integers(len(LOSSES))], int(rng.integers(1, 5)), float(10.0 ** rng.uniform(-2, 2))
    x, w, y = rng.normal(size=d), rng.normal(size=d), float(rng.choice((-1.0, 1.0)))
    slope = loss.prox_slope(float(x @ w), y, step * float(x @ x))
    return Step(loss, x, y, step, w, w - step * slope * x)


@displayed("L7")
def proximal(rng: np.random.Generator) -> Sides:
    """A proximal step against any u."""
    t = proximal_step(rng)
    u = t.w + rng.normal(size=t.w.shape) * 10.0 ** rng.uniform(-1, 1)
    moved, far, near = (float(np.sum(v**2)) for v in (t.after - t.w, u - t.w, u - t.after))
    size = 1.0 + (far + near) / t.step
    return Sides(t.value(t.after) - t.value(u), (far - near - moved) / (2 * t.step), size=size)


@displayed("L8")
def no_overshoot(rng: np.random.Generator) -> Sides:
    """What a proximal step leaves is at most what a gradient step does."""
    t = proximal_step(rng)
    lag = t.value(t.w) - t.value(t.after) - np.sum((t.after - t.w) ** 2) / (2 * t.step)
    g = t.loss.subgradient(float(t.x @ t.w), t.y) * t.x
    return Sides([lag, 0.5 * t.step * g @ g], [0.5 * t.step * g @ g, 0.5 * t.step * t.loss.lipschitz**2 * t.x @ t.x])


def log_potential(n: Any, x: Any) -> Any:
    """``ln F_n(x)`` of Krichevsky and Trofimov."""
    up, down = gammaln((n + 1 + x) / 2), gammaln((n + 1 - x) / 2)
    return n * math.log(2.0) + up + down - math.log(math.pi) - gammaln(n + 1)


def bets(rng: np.random.Generator) -> tuple[Array, Array, Array]:
    """Gradients of norm at most 1, the plays of the bettor with one unit of wealth, and its wealth after each round."""
    g = gradients(rng)
    g /= np.maximum(np.linalg.norm(g, axis=1, keepdims=True), 1.0)
    wealth, total, plays, after = 1.0, np.zeros(g.shape[1]), [], []
    for t, each in enumerate(g, start=1):
        plays.append(-wealth / t * total)
        wealth -= float(each @ plays[-1])
        total = total + each
        after.append(wealth)
    return g, np.array(plays), np.array(after)


@displayed("L9")
def wealth(rng: np.random.Generator) -> Sides:
    """The bettor's wealth is never below the potential."""
    g, _, after = bets(rng)
    pull = np.linalg.norm(np.cumsum(g, axis=0), axis=1)
    return Sides(np.exp(log_potential(np.arange(1, len(g) + 1), pull)), after)


@displayed("L10")
def potential(rng: np.random.Generator) -> Sides:
    """The potential is never below a Gaussian one."""
    n = np.arange(1, 400)[:, None]
    x = n * np.linspace(0.0, 1.0, 50)
    return Sides(x**2 / (2 * n) - 1.0 - 0.5 * np.log(math.pi * n), log_potential(n, x))


@displayed("L11")
def conjugate(rng: np.random.Generator) -> Sides:
    """The conjugate of a Gaussian potential."""
    far, n, beta = np.exp(rng.normal(size=3) * (2.0, 1.0, 2.0))
    x = np.linspace(0.0, 20.0 * math.sqrt(n), 20_001)
    with np.errstate(over="ignore"):
        values = far * x - beta * np.exp(x**2 / (2.0 * n))
    return Sides(values.max(), far * math.sqrt(n * math.log1p(n * far**2 / beta**2)) - beta)


@displayed("L12")
def parameter_free(rng: np.random.Generator) -> Sides:
    """The regret of the bettor, with any limit and any wealth."""
    g, plays, _ = bets(rng)
    limit, initial = np.exp(rng.normal(size=2))
    other = rng.normal(size=g.shape[1]) * 10.0 ** rng.uniform(-2, 1)
    regret = limit * np.sum(g * (plays * initial / limit - other))
    game = Game(len(g), limit, float(np.linalg.norm(other)))
    return Sides(regret, coin_betting.bound(game, initial=float(initial)).total)


@displayed("J1")
def many_games(rng: np.random.Generator) -> Sides:
    """The sum over games at their own distances, and T games at the root of their mean square."""
    distances, n = rng.exponential(size=10) * 10.0 ** rng.uniform(-2, 2), int(rng.integers(1, 50))
    mean = float(np.sqrt(np.mean(distances**2)))
    bounds: tuple[Learner, ...] = (
        partial(growing.bound, strength=0.3), partial(inverse_sqrt.bound, step=0.3),
        partial(adaptive_norm.bound, diameter=0.3, first=0.5), partial(coin_betting.bound, initial=0.3), frozen.bound,
    )  # fmt: skip
    left = [sum(bound(Game(n, 1.0, each)).total for each in distances.tolist()) for bound in bounds]
    return Sides(left, [10 * bound(Game(n, 1.0, mean)).total for bound in bounds])
