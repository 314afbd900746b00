r"""A regulariser that grows by one every round: the inner algorithm of Denevi et al.

**Assumptions.** Convex losses; ``|g_i| <= G``; the learner plays ``z_i = z_1 - (g_1 + .. + g_{i-1}) / (lambda i)``,
which is ``owo.GrowingFTRL(strength=lambda)``.

**Statement.** For every z' at distance D from z_1

    sum_i <g_i, z_i - z'>  <=  lambda n D^2 / 2  +  1/(2 lambda) sum_i |g_i|^2 / i
                           <=  lambda n D^2 / 2  +  G^2 (1 + ln n) / (2 lambda)

and the right side is least at ``lambda = G sqrt((1 + ln n) / n) / D``, where it is ``D G sqrt(n (1 + ln n))``.
The logarithm is the price of not knowing n: see ``theory.learners.constant``.

**Source.** Denevi, Stamos, Ciliberto, Pontil (NeurIPS 2019) for the algorithm; the potential argument is that of
Orabona, "A Modern Introduction to Online Learning" (arXiv 1912.13213), chapter 7. Proof: derivations/within.md (W1 to
W8).
"""

from __future__ import annotations

import math

from theory.problem import Game, assume
from theory.terms import Terms


def bound(game: Game, *, strength: float) -> Terms:
    """The bound at a ``strength`` lambda > 0, in units of loss over ``|z|^2``.

    >>> bound(Game(rounds=1, gradient=2.0, distance=1.0), strength=2.0)
    Terms(within=1.0, comparator=1.0, across=0.0, metric=0.0, overlap=0.0)
    """
    assume(strength=strength)
    return Terms(
        within=game.gradient**2 * logarithm(game.rounds) / (2.0 * strength),
        comparator=0.5 * strength * game.rounds * game.distance**2,
    )


def tuned(game: Game) -> float:
    """The strength that makes the bound least."""
    assume(apart=game.distance)
    return game.gradient * math.sqrt(logarithm(game.rounds) / game.rounds) / game.distance


def optimum(game: Game) -> float:
    """The least bound."""
    return game.distance * game.gradient * math.sqrt(game.rounds * logarithm(game.rounds))


def logarithm(rounds: int) -> float:
    """``1 + ln n``, at least ``1 + 1/2 + .. + 1/n``."""
    return 1.0 + math.log(rounds)
