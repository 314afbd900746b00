r"""Steps that fall as ``1 / sqrt(i)``: no horizon needed, at a factor of sqrt(2).

**Assumptions.** Convex losses; ``|g_i| <= G``; the learner plays ``z_i = z_1 - (c / sqrt(i)) (g_1 + .. + g_{i-1})``,
which is ``owo.InverseSqrt(step=c)``.

**Statement.** For every z' at distance D from z_1

    sum_i <g_i, z_i - z'>  <=  D^2 sqrt(n) / (2 c)  +  c/2 sum_i |g_i|^2 / sqrt(i)
                           <=  D^2 sqrt(n) / (2 c)  +  c/2 G^2 (2 sqrt(n) - 1)

and the right side is least at ``c = (D/G) sqrt(sqrt(n) / (2 sqrt(n) - 1))``, where it is ``D G sqrt(2 n - sqrt(n))``.
So one c, ``D / (G sqrt(2))`` but for the smallest n, serves all n.

**Source.** Orabona (arXiv 1912.13213), chapter 7. Proof: derivations/learners.md (L1, L3).
"""

from __future__ import annotations

import math

from theory.problem import Game, assume
from theory.terms import Terms


def bound(game: Game, *, step: float) -> Terms:
    """The bound at a first ``step`` c > 0, in units of ``|z|^2`` over loss.

    >>> bound(Game(rounds=4, gradient=2.0, distance=1.0), step=0.5)
    Terms(within=3.0, comparator=2.0, across=0.0, metric=0.0, overlap=0.0)
    """
    assume(step=step)
    root = math.sqrt(game.rounds)
    return Terms(
        within=0.5 * step * game.gradient**2 * (2.0 * root - 1.0),
        comparator=game.distance**2 * root / (2.0 * step),
    )


def tuned(game: Game) -> float:
    """The step that makes the bound least."""
    assume(apart=game.distance)
    root = math.sqrt(game.rounds)
    return game.distance / game.gradient * math.sqrt(root / (2.0 * root - 1.0))


def optimum(game: Game) -> float:
    """The least bound."""
    return game.distance * game.gradient * math.sqrt(2.0 * game.rounds - math.sqrt(game.rounds))
