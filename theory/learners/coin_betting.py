r"""Coin betting: no step size at all, for a logarithm.

**Assumptions.** Convex losses; ``|g_i| <= limit``; the learner bets the Krichevsky-Trofimov fraction of its wealth,
which begins at eps, and never clips: ``owo.CoinBetting(initial=eps, limit=limit)`` with ``limit >= G``.

**Statement.** For every z' at distance D from z_1, with ``c = limit``,

    sum_i <g_i, z_i - z'>  <=  eps  +  D c sqrt( n ln(1 + 24 n^2 D^2 c^2 / eps^2) )

Nothing needs to be tuned: eps enters the second term through a logarithm only.

**Source.** Orabona and Pal, "Coin Betting and Parameter-Free Online Learning" (NIPS 2016). Proof:
derivations/learners.md (L9 to L12).
"""

from __future__ import annotations

import math

from theory.problem import Game, assume, require
from theory.terms import Terms


def bound(game: Game, *, initial: float, limit: float | None = None) -> Terms:
    """The bound with ``initial`` wealth eps > 0, in units of loss; ``limit`` is G if it is not given.

    >>> terms = bound(Game(rounds=4, gradient=1.0, distance=0.0), initial=0.5)
    >>> terms.within, terms.comparator
    (0.5, 0.0)
    """
    assume(initial=initial)
    limit = game.gradient if limit is None else limit
    require(limit >= game.gradient, "gradients within the limit", f"limit is {limit!r}", f"at least {game.gradient!r}")
    far = game.distance * limit
    odds = 24.0 * (game.rounds * far / initial) ** 2
    return Terms(within=initial, comparator=far * math.sqrt(game.rounds * math.log1p(odds)))
