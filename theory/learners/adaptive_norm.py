r"""Steps from the norms of the gradients so far: free of their scale, if the first is not much too small.

**Assumptions.** Convex losses; ``|g_i| <= G``; the first gradient that is not 0 has norm ``g_1 > 0``; with
``S_i = |g_1|^2 + .. + |g_i|^2`` the learner plays ``z_i = z_1 - (b / sqrt(S_{i-1})) (g_1 + .. + g_{i-1})``, which is
``owo.AdaptiveNorm(diameter=b)``.

**Statement.** For every z' at distance D from z_1

    sum_i <g_i, z_i - z'>  <=  D^2 sqrt(S_n) / (2 b)  +  b/2 [ 2 sqrt(S_n) + G^2 / g_1 - G^2 / sqrt(S_n) ]
                           <=  D^2 G sqrt(n) / (2 b)  +  b G / 2 [ 2 sqrt(n) + G / g_1 - 1 / sqrt(n) ]

The term ``G / g_1`` belongs to the certificate (L) of this law and cannot be left out of its bound. The step at round
i does not know ``|g_i|``, so gradients of size G after tiny ones are met with the large steps that tiny ones ask for:
with ``|g_1| = e`` and ``|g_2| = G`` the second round alone adds ``b G^2 / (2 e)`` to the certificate, whatever n is.
What it costs the run itself is no more than ``b G``, because it has moved by b until then. A bound in ``sqrt(S_n)``
alone needs a bounded set, or the step of the next round.

**Source.** Auer, Cesa-Bianchi and Gentile (2002) for the steps; Orabona and Pal, "Scale-free online learning" (2018)
for the question of the first gradient. Proof: derivations/learners.md (L1, L4 to L6).
"""

from __future__ import annotations

import math

from theory.problem import Game, assume, require
from theory.terms import Terms


def bound(game: Game, *, diameter: float, first: float) -> Terms:
    """The bound at a ``diameter`` b > 0, in units of ``|z|``, and a ``first`` gradient of this norm, at most G.

    >>> bound(Game(rounds=4, gradient=2.0, distance=1.0), diameter=1.0, first=2.0)
    Terms(within=4.5, comparator=2.0, across=0.0, metric=0.0, overlap=0.0)
    """
    assume(diameter=diameter)
    return Terms(
        within=0.5 * diameter * _sum(game, first),
        comparator=game.distance**2 * game.gradient * math.sqrt(game.rounds) / (2.0 * diameter),
    )


def tuned(game: Game, *, first: float) -> float:
    """The diameter that makes the bound least."""
    assume(apart=game.distance)
    return game.distance * math.sqrt(game.gradient * math.sqrt(game.rounds) / _sum(game, first))


def optimum(game: Game, *, first: float) -> float:
    """The least bound."""
    return game.distance * math.sqrt(game.gradient * math.sqrt(game.rounds) * _sum(game, first))


def _sum(game: Game, first: float) -> float:
    """At least ``sum_i |g_i|^2 / sqrt(S_{i-1})``, with S_1 in place of S_0."""
    assume(first=first)
    rounded = 1.0 + 1e-12  # a norm is known to a few units in its last place
    require(first <= game.gradient * rounded, "bounded gradients", f"first is {first!r}", f"at most {game.gradient!r}")
    root = math.sqrt(game.rounds)
    return game.gradient * (2.0 * root + game.gradient / first - 1.0 / root)
