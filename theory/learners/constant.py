r"""A constant regulariser: the growing one with n known beforehand.

**Assumptions.** Convex losses; ``|g_i| <= G``; n is known; the learner plays ``z_i = z_1 - (g_1 + .. + g_{i-1}) /
(lambda n)``, which is ``owo.DualAveraging(step=1 / (lambda n))``.

**Statement.** For every z' at distance D from z_1

    sum_i <g_i, z_i - z'>  <=  lambda n D^2 / 2  +  1/(2 lambda n) sum_i |g_i|^2
                           <=  lambda n D^2 / 2  +  G^2 / (2 lambda)

and the right side is least at ``lambda = G / (D sqrt(n))``, where it is ``D G sqrt(n)``. No learner does better in
dimension 3 or more: ``theory.lower``.

**Source.** Orabona (arXiv 1912.13213), chapter 7. Proof: derivations/learners.md (L1, L2).
"""

from __future__ import annotations

import math

from theory.problem import Game, assume
from theory.terms import Terms


def bound(game: Game, *, strength: float) -> Terms:
    """The bound at a ``strength`` lambda > 0, in units of loss over ``|z|^2``.

    >>> bound(Game(rounds=4, gradient=2.0, distance=1.0), strength=2.0)
    Terms(within=1.0, comparator=4.0, across=0.0, metric=0.0, overlap=0.0)
    """
    assume(strength=strength)
    return Terms(
        within=game.gradient**2 / (2.0 * strength),
        comparator=0.5 * strength * game.rounds * game.distance**2,
    )


def tuned(game: Game) -> float:
    """The strength that makes the bound least."""
    assume(apart=game.distance)
    return game.gradient / (game.distance * math.sqrt(game.rounds))


def optimum(game: Game) -> float:
    """The least bound."""
    return game.distance * game.gradient * math.sqrt(game.rounds)
