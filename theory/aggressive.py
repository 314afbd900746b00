r"""The aggressive variant (C): the bias moves after every point.

**Assumptions.** As for ``theory.meta``, but the learner plays ``w = theta + v``, v from the task's own learner
started at 0 and theta from the outer learner, and both get the gradient g of every point.

**Statement.** For all weights u_t and every bias theta'

    sum_t sum_i l_{t,i}(w_{t,i}) - l_{t,i}(u_t)  <=  T [ within + comparator(sqrt(2 V)) ]  +  Reg(theta')

where Reg(theta') is now the bound of the outer learner in the game of ``n T`` rounds with gradients up to G. With the
constant regulariser inside and a constant step across, both tuned,

    regret  <=  T G sqrt(2 V n)  +  |theta' - theta_1| G sqrt(n T)

against ``|theta' - theta_1| n G sqrt(T)`` in the second term of lazy updates: a factor of sqrt(n). No learner does
better in dimension 4 or more: ``theory.lower``.

**Source.** Denevi, Stamos and Pontil (UAI 2020) for the variant, with parameter-free learners; translation, z = a +
b, of two online learners fed with one gradient: Cutkosky, "Combining Online Learning Guarantees" (COLT 2019). Proof:
derivations/across.md (C1 to C3).
"""

from __future__ import annotations

from typing import NamedTuple

from theory.learners import constant, dual_averaging
from theory.meta import compose
from theory.problem import Problem
from theory.terms import Learner, Terms


class Tuned(NamedTuple):
    """Parameters of the constant regulariser inside tasks and of the constant step across them."""

    strength: float
    step: float


def bound(problem: Problem, inner: Learner, outer: Learner) -> Terms:
    """The bound for an ``inner`` and an ``outer`` learner, each with its parameters set.

    >>> from functools import partial
    >>> problem = Problem(1.0, 1.0, points=4, tasks=25, dimension=5, variance=0.5, distance=2.0)
    >>> strength, step = tuned(problem)
    >>> inner, outer = partial(constant.bound, strength=strength), partial(dual_averaging.bound, step=step)
    >>> round(bound(problem, inner, outer).total, 9), optimum(problem)  # 25 sqrt(4) + 2 sqrt(100)
    (70.0, 70.0)
    """
    return compose(problem, inner, outer(problem.along))


def tuned(problem: Problem) -> Tuned:
    """The strength of the constant regulariser and the step across tasks that make the bound least."""
    return Tuned(constant.tuned(problem.inside), dual_averaging.tuned(problem.along))


def optimum(problem: Problem) -> float:
    """The bound at these."""
    return problem.tasks * constant.optimum(problem.inside) + dual_averaging.optimum(problem.along)
