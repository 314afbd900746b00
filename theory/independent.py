r"""Independent task learning: the bias stays where it is.

**Assumptions.** As for ``theory.bias``, with ``owo.Frozen()`` across tasks. If ``centred``, theta' is the mean of the
u_t.

**Statement.** Measured from theta_1 the tasks have the second moment

    V_1  =  1/T sum_t |u_t - theta_1|^2 / 2  =  V + |theta' - theta_1|^2 / 2        (theta' the mean of the u_t)
                                            <=  ( sqrt(2 V) + |theta' - theta_1| )^2 / 2   (any theta')

and

    regret  <=  T G^2 (1 + ln n) / (2 lambda)  +  lambda n T V_1

which is least at ``lambda = G sqrt((1 + ln n) / (2 n V_1))``; per point it is then ``G sqrt(2 V_1 (1 + ln n) / n)``.
What meta-learning gains is variance against second moment, less the price of finding theta', which vanishes with T.

**Source.** Denevi, Ciliberto, Grazzi and Pontil (ICML 2019) for variance against second moment; Denevi, Stamos,
Ciliberto, Pontil (NeurIPS 2019) for the online form. Proof: derivations/across.md (I1, I2).
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

from theory import bias, meta
from theory.learners import frozen, growing
from theory.problem import Problem
from theory.terms import Terms


def bound(problem: Problem, *, strength: float, centred: bool = True) -> Terms:
    """The bound at a ``strength`` lambda > 0; ``centred``: the comparator's bias is the mean of its tasks.

    >>> problem = Problem(1.0, 1.0, points=1, tasks=4, dimension=3, variance=0.5, distance=1.0)
    >>> terms = bound(problem, strength=1.0)
    >>> terms.within, round(terms.comparator, 9), terms.across
    (2.0, 4.0, 0.0)
    """
    return meta.bound(from_start(problem, centred), partial(growing.bound, strength=strength), frozen.bound)


def tuned(problem: Problem, *, centred: bool = True) -> float:
    """The strength that makes the bound least."""
    return growing.tuned(from_start(problem, centred).inside)


def optimum(problem: Problem, *, centred: bool = True) -> float:
    """The bound at this strength."""
    return problem.tasks * growing.optimum(from_start(problem, centred).inside)


def from_start(problem: Problem, centred: bool = True) -> Problem:
    """The same tasks, compared with themselves around theta_1 instead of theta'."""
    if centred:
        moment = problem.variance + problem.distance**2 / 2.0
    else:
        moment = (math.sqrt(2.0 * problem.variance) + problem.distance) ** 2 / 2.0
    return replace(problem, variance=moment, distance=0.0, root_trace=None)


def gain(problem: Problem) -> float:
    """How many times smaller the tuned bound is with a learned bias: above 1 where learning it pays.

    >>> few, many = (Problem(1.0, 1.0, 10, tasks, 5, variance=0.02, distance=4.0) for tasks in (10, 10_000))
    >>> round(gain(few), 2), round(gain(many), 2)
    (1.67, 14.86)
    """
    return optimum(problem) / bias.optimum(problem)
