r"""Online within online with a bias: the instance of Denevi et al. that learns theta.

**Assumptions.** Convex losses, L-Lipschitz in the prediction, ``|x| <= R``, G = L R; T tasks of n points, one after
another; ``owo.GrowingFTRL(strength=lambda)`` inside tasks, ``owo.DualAveraging(step=eta)`` across them, lazy updates.

**Statement.** For all weights u_t and every bias theta', with ``V = 1/T sum_t |u_t - theta'|^2 / 2``,

    regret  <=  T G^2 (1 + ln n) / (2 lambda)                    (within)
              + lambda n T V                                     (comparator)
              + |theta' - theta_1|^2 / (2 eta) + eta T n^2 G^2 / 2   (across)

which is least at ``lambda = G sqrt((1 + ln n) / (2 n V))`` and ``eta = |theta' - theta_1| / (n G sqrt(T))``; per
point it is then

    G sqrt(2 V (1 + ln n) / n)  +  G |theta' - theta_1| / sqrt(T)

The first term is what a learner that knew theta' would pay, the second what it costs to find it, and vanishes.

**Source.** Denevi, Stamos, Ciliberto, Pontil (NeurIPS 2019). Proof: derivations/across.md (B1 to B4).
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from theory import meta
from theory.learners import dual_averaging, growing
from theory.problem import Problem
from theory.terms import Terms


class Tuned(NamedTuple):
    """Parameters inside tasks and across them."""

    strength: float
    step: float


def bound(problem: Problem, *, strength: float, step: float) -> Terms:
    """The bound at a ``strength`` lambda > 0 and a ``step`` eta > 0 across tasks.

    >>> problem = Problem(1.0, 1.0, points=1, tasks=4, dimension=3, variance=0.5, distance=1.0)
    >>> bound(problem, strength=1.0, step=0.5)
    Terms(within=2.0, comparator=2.0, across=2.0, metric=0.0, overlap=0.0)
    """
    inner, outer = partial(growing.bound, strength=strength), partial(dual_averaging.bound, step=step)
    return meta.bound(problem, inner, outer)


def tuned(problem: Problem) -> Tuned:
    """The parameters that make the bound least."""
    return Tuned(growing.tuned(problem.inside), dual_averaging.tuned(problem.across))


def optimum(problem: Problem) -> float:
    """The bound at these."""
    return problem.tasks * growing.optimum(problem.inside) + dual_averaging.optimum(problem.across)
