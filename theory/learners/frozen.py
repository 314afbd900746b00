r"""A learner that never moves: what there is to gain.

**Assumptions.** Convex losses; ``|g_i| <= G``; the learner plays ``z_i = z_1``: ``owo.Frozen()``.

**Statement.** For every z' at distance D from z_1

    sum_i <g_i, z_i - z'>  =  -<g_1 + .. + g_n, z' - z_1>  <=  D n G

with equality where all gradients point from z' to z_1. Across tasks this is the bias that stays where it is.

**Source.** Cauchy-Schwarz.
"""

from __future__ import annotations

from theory.problem import Game
from theory.terms import Terms


def bound(game: Game) -> Terms:
    """The bound; there is nothing to choose.

    >>> bound(Game(rounds=4, gradient=2.0, distance=1.0))
    Terms(within=0.0, comparator=8.0, across=0.0, metric=0.0, overlap=0.0)
    """
    return Terms(within=0.0, comparator=game.distance * game.rounds * game.gradient)
