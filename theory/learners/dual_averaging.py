r"""Dual averaging with a constant step, which without a constraint is online gradient descent.

**Assumptions.** Convex losses; ``|g_i| <= G``; the learner plays ``z_{i+1} = z_i - eta g_i``, that is ``z_i = z_1 - eta
(g_1 + .. + g_{i-1})``: ``owo.DualAveraging(step=eta)``.

**Statement.** For every z' at distance D from z_1

    sum_i <g_i, z_i - z'>  <=  D^2 / (2 eta)  +  eta/2 sum_i |g_i|^2
                           <=  D^2 / (2 eta)  +  eta n G^2 / 2

and the right side is least at ``eta = D / (G sqrt(n))``, where it is ``D G sqrt(n)``. With ``eta = 1 / (lambda n)``
it is the constant regulariser.

**Source.** Zinkevich (ICML 2003) for gradient descent; Orabona (arXiv 1912.13213), chapters 2 and 7. Proof:
derivations/learners.md (L1, L2).
"""

from __future__ import annotations

import math

from theory.problem import Game, assume
from theory.terms import Terms


def bound(game: Game, *, step: float) -> Terms:
    """The bound at a ``step`` eta > 0, in units of ``|z|^2`` over loss.

    >>> bound(Game(rounds=4, gradient=2.0, distance=1.0), step=0.25)
    Terms(within=2.0, comparator=2.0, across=0.0, metric=0.0, overlap=0.0)
    """
    assume(step=step)
    return Terms(
        within=0.5 * step * game.rounds * game.gradient**2,
        comparator=game.distance**2 / (2.0 * step),
    )


def tuned(game: Game) -> float:
    """The step that makes the bound least."""
    assume(apart=game.distance)
    return game.distance / (game.gradient * math.sqrt(game.rounds))


def optimum(game: Game) -> float:
    """The least bound."""
    return game.distance * game.gradient * math.sqrt(game.rounds)
