"""Laws of owo, each with the closed bound of the same learner, at parameters around the best ones for a game."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import owo
from theory.data import Data
from theory.learners import adaptive_norm, coin_betting, constant, dual_averaging, growing, implicit, inverse_sqrt
from theory.problem import Game
from theory.runs import Run, around
from theory.terms import Terms

Pair = tuple[Any, Callable[..., Terms]]
"""A law of owo, and the bound on its regret in a game."""

Maker = Callable[[np.random.Generator, Game], Pair]


def with_growing(rng: np.random.Generator, game: Game) -> Pair:
    """A growing regulariser."""
    strength = around(rng, growing.tuned(game))
    return owo.GrowingFTRL(strength), partial(growing.bound, strength=strength)


def with_constant(rng: np.random.Generator, game: Game) -> Pair:
    """A constant regulariser, which owo has as a step."""
    strength = around(rng, constant.tuned(game))
    return owo.DualAveraging(1.0 / (strength * game.rounds)), partial(constant.bound, strength=strength)


def with_dual_averaging(rng: np.random.Generator, game: Game) -> Pair:
    """A constant step."""
    step = around(rng, dual_averaging.tuned(game))
    return owo.DualAveraging(step), partial(dual_averaging.bound, step=step)


def with_implicit(rng: np.random.Generator, game: Game) -> Pair:
    """Proximal steps."""
    step = around(rng, implicit.tuned(game))
    return owo.Implicit(step), partial(implicit.bound, step=step)


def with_inverse_sqrt(rng: np.random.Generator, game: Game) -> Pair:
    """Falling steps."""
    step = around(rng, inverse_sqrt.tuned(game))
    return owo.InverseSqrt(step), partial(inverse_sqrt.bound, step=step)


def with_adaptive_norm(rng: np.random.Generator, game: Game) -> Pair:
    """Steps from the gradients' norms; the bound still wants their ``first``."""
    diameter = around(rng, game.distance)
    return owo.AdaptiveNorm(diameter), partial(adaptive_norm.bound, diameter=diameter)


def with_coin_betting(rng: np.random.Generator, game: Game) -> Pair:
    """Bets, with a limit that is sometimes too large."""
    initial, limit = around(rng, game.distance * game.gradient), game.gradient * float(rng.choice((1.0, 1.0, 3.0)))
    return owo.CoinBetting(initial, limit), partial(coin_betting.bound, initial=initial, limit=limit)


def first_gradient(data: Data, run: Run) -> float:
    """The shortest of the first gradients that are not 0, one a task."""
    norms = np.abs(data.slopes(run.predictions)) * np.linalg.norm(data.X, axis=2)
    found = [row[row > 0.0][0] for row in norms if row.any()]
    return float(min(found, default=data.loss.lipschitz * data.radius))
