r"""Proximal steps on the loss itself, never worse than gradient steps.

**Assumptions.** Convex losses of a prediction, L-Lipschitz, ``|x_i| <= R``, so ``G = L R``; the learner plays
``w_{i+1} = argmin_w l_i(w) + |w - w_i|^2 / (2 gamma)``: ``owo.Implicit(step=gamma)``. Inside tasks only.

**Statement.** For every u at distance D from w_1

    sum_i l_i(w_i) - l_i(u)  <=  D^2 / (2 gamma)  +  sum_i [ l_i(w_i) - l_i(w_{i+1}) - |w_{i+1} - w_i|^2 / (2 gamma) ]
                             <=  D^2 / (2 gamma)  +  gamma n G^2 / 2

The bracket is what a run measures. It is at most ``gamma |g_i|^2 / 2`` with g_i the subgradient at w_i, the term of a
gradient step, and much less where a step of length ``gamma G`` would overshoot.

**Source.** Kulis and Bartlett, "Implicit Online Learning" (ICML 2010); Orabona (arXiv 1912.13213). Proof:
derivations/learners.md (L7, L8).
"""

from __future__ import annotations

from theory.learners import dual_averaging
from theory.problem import Game
from theory.terms import Terms


def bound(game: Game, *, step: float) -> Terms:
    """The bound at a ``step`` gamma > 0, in units of ``|w|^2`` over loss: that of gradient steps.

    >>> bound(Game(rounds=4, gradient=2.0, distance=1.0), step=0.25)
    Terms(within=2.0, comparator=2.0, across=0.0, metric=0.0, overlap=0.0)
    """
    return dual_averaging.bound(game, step=step)


def tuned(game: Game) -> float:
    """The step that makes the bound least."""
    return dual_averaging.tuned(game)


def optimum(game: Game) -> float:
    """The least bound."""
    return dual_averaging.optimum(game)
