r"""Coin betting inside tasks and across them: nothing to tune, lazy or aggressive.

**Assumptions.** Convex losses, ``|g| <= G``; T tasks of n points, one after another; ``owo.CoinBetting(eps, G)``
inside tasks and, across them, ``owo.CoinBetting(eps', n G)`` if the bias moves when a task ends, or
``owo.CoinBetting(eps', G)`` if it moves after every point.

**Statement.** With ``D = |theta' - theta_1|``, for all weights u_t and every bias theta'

    regret  <=  T eps  +  T G sqrt( 2 V n ln(1 + 48 n^2 V G^2 / eps^2) )
              + eps' + D n G sqrt( T ln(1 + 24 T^2 n^2 D^2 G^2 / eps'^2) )        (lazy)
              + eps' + D G sqrt( n T ln(1 + 24 n^2 T^2 D^2 G^2 / eps'^2) )        (aggressive)

So V and D need not be known: not knowing them costs logarithms, and eps per task.

**Source.** Denevi, Stamos and Pontil, "Online Parameter-Free Learning of Multiple Low Variance Tasks" (UAI 2020),
lazy and aggressive, with another bettor; Orabona and Pal (NIPS 2016) for this one. Proof: derivations/learners.md (L9
to L12, J1) with derivations/across.md (B2, C1).
"""

from __future__ import annotations

from functools import partial
from typing import Literal

from theory import aggressive, meta
from theory.learners import coin_betting
from theory.problem import Problem
from theory.terms import Terms


def bound(
    problem: Problem, *, initial: float, initial_across: float, update: Literal["task", "point"] = "point"
) -> Terms:
    """The bound with ``initial`` wealth eps inside every task and ``initial_across`` eps' across, in units of loss.

    >>> problem = Problem(1.0, 1.0, points=10, tasks=100, dimension=5, variance=0.5, distance=2.0)
    >>> lazy, eager = (bound(problem, initial=1.0, initial_across=1.0, update=u).across for u in ("task", "point"))
    >>> round(lazy / eager, 2)  # about sqrt(10)
    3.15
    """
    inner = partial(coin_betting.bound, initial=initial)
    outer = partial(coin_betting.bound, initial=initial_across)
    compose = meta.bound if update == "task" else aggressive.bound
    return compose(problem, inner, outer)
