r"""Delayed feedback: tasks that are open at the same time, so that the bias learns from each only when it ends.

**Assumptions.** As for ``theory.bias``, but points of tasks may be interleaved; ``delay`` is the mean, over the
tasks, of how many others end between a task's first point and its own end.

**Statement.** For all weights u_t and every bias theta'

    regret  <=  T G^2 (1 + ln n) / (2 lambda)  +  lambda n T V               (within, comparator)
              + |theta' - theta_1|^2 / (2 eta) + eta T n^2 G^2 / 2           (across)
              + eta T delay n^2 G^2                                          (overlap)

because a task's points were played at biases that are behind the one its gradient is delivered at by the gradients of
the tasks that ended meanwhile, each of norm at most ``n G``. It is least at
``eta = |theta' - theta_1| / (n G sqrt(T (1 + 2 delay)))``, where across and overlap together are

    |theta' - theta_1| n G sqrt(T (1 + 2 delay))

With ``delay = 0`` it is the bound of ``theory.bias``. This is what makes running tasks in parallel sound.

**Source.** McMahan and Streeter, "Delay-Tolerant Algorithms" (NIPS 2014), for gradient descent with delays. Proof:
derivations/across.md (D1, D2).
"""

from __future__ import annotations

import math
from typing import NamedTuple

from theory import bias
from theory.learners import growing
from theory.problem import Problem, assume
from theory.terms import Terms


class Tuned(NamedTuple):
    """Parameters inside tasks and across them."""

    strength: float
    step: float


def bound(problem: Problem, *, strength: float, step: float, delay: float) -> Terms:
    """The bound at a ``strength`` lambda > 0, a ``step`` eta > 0 across tasks and a mean ``delay`` >= 0.

    >>> problem = Problem(1.0, 1.0, points=1, tasks=4, dimension=3, variance=0.5, distance=1.0)
    >>> bound(problem, strength=1.0, step=0.5, delay=2.0)
    Terms(within=2.0, comparator=2.0, across=2.0, metric=0.0, overlap=4.0)
    """
    assume(delay=delay)
    game = problem.across
    overlap = step * game.rounds * delay * game.gradient**2
    return bias.bound(problem, strength=strength, step=step)._replace(overlap=overlap)


def tuned(problem: Problem, *, delay: float) -> Tuned:
    """The parameters that make the bound least."""
    assume(delay=delay)
    strength, step = bias.tuned(problem)
    return Tuned(strength, step / math.sqrt(1.0 + 2.0 * delay))


def optimum(problem: Problem, *, delay: float) -> float:
    """The bound at these."""
    assume(delay=delay)
    game = problem.across
    across = game.distance * game.gradient * math.sqrt(game.rounds * (1.0 + 2.0 * delay))
    return problem.tasks * growing.optimum(problem.inside) + across
