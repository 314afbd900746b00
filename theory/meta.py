r"""The meta inequality (B): regret across tasks is that of two online linear games.

**Assumptions.** Convex losses, ``|g| <= G = L R``; tasks of n points, one after another; inside each task a learner
that starts at the bias theta_t and has a bound in closed form (``theory.learners``); the bias moves when a task ends,
by a learner that gets the gradient ``q_t = sum_i g_{t,i}``, of norm at most ``n G``.

**Statement.** For all weights u_t and every bias theta'

    sum_t sum_i l_{t,i}(w_{t,i}) - l_{t,i}(u_t)  <=  sum_t [ within_t + comparator_t(|u_t - theta'|) ]  +  Reg(theta')
                                                <=  T [ within + comparator(sqrt(2 V)) ]  +  Reg(theta')

where Reg(theta') is the bound of the outer learner in the game of T rounds, gradients up to ``n G`` and distance
``|theta' - theta_1|``. No batch solver runs: the gradients q_t are those of the online pass.

**Source.** Denevi, Stamos, Ciliberto, Pontil (NeurIPS 2019), for the growing regulariser; the composition with any
inner and outer learner is this project's. Proof: derivations/across.md (B1 to B4).
"""

from __future__ import annotations

from theory.problem import Problem
from theory.terms import Learner, Terms


def bound(problem: Problem, inner: Learner, outer: Learner) -> Terms:
    """The bound for an ``inner`` and an ``outer`` learner, each with its parameters set.

    >>> from functools import partial
    >>> from theory.learners import coin_betting, growing
    >>> problem = Problem(1.0, 1.0, points=10, tasks=100, dimension=5, variance=0.5, distance=0.0)
    >>> inner, outer = partial(growing.bound, strength=0.5), partial(coin_betting.bound, initial=1.0)
    >>> bound(problem, inner, outer).across
    1.0
    """
    return compose(problem, inner, outer(problem.across))


def compose(problem: Problem, inner: Learner, outer: Terms) -> Terms:
    """T tasks of an ``inner`` learner, and what the bias pays in its own game."""
    task = inner(problem.inside).times(problem.tasks)
    return Terms(within=task.within, comparator=task.comparator, across=outer.total)
