r"""From regret to risk: what a learned bias is worth on a new task.

**Assumptions.** As for ``theory.bias``; moreover tasks are drawn independently from one distribution, and the n
points of a task independently from that of the task. A new task is learned from n points of its own, by the same
inner algorithm around a bias, and its weights are the mean of the n that predicted. u is a comparator of the new
task, V = ``E |u - theta'|^2 / 2``. The bias is one of theta_1, .., theta_T drawn uniformly, or (``average``) their
mean.

**Statement.** With k = 1 for the drawn bias and k = 2 for the mean, the expected risk on the new task beyond that of
u is at most

    k G^2 (1 + ln n) / (2 lambda n)  +  lambda V  +  [ |theta' - theta_1|^2 / (2 eta) + eta T n^2 G^2 / 2 ] / (n T)

For a drawn bias task t itself is a fresh task to theta_t, so that the expected risk is at most the expected average
loss of the run, and the regret bound is all that is needed. The mean is a single bias, and no better in this bound:
the run's loss is not convex in theta, ``L(theta) = min_w sum_i l_i(w) + n lambda/2 |w - theta|^2`` is, and going from
one to the other and back costs the inner term a second time. It is least at
``lambda = G sqrt(k (1 + ln n) / (2 n V))``, where it is

    G sqrt(2 k V (1 + ln n) / n)  +  G |theta' - theta_1| / sqrt(T)

**Source.** Denevi, Stamos, Ciliberto, Pontil (NeurIPS 2019); online-to-batch conversion: Cesa-Bianchi, Conconi and
Gentile (2004). Proof: derivations/statistics.md (S1 to S5).
"""

from __future__ import annotations

import math
from typing import NamedTuple

from theory import bias
from theory.learners.growing import logarithm
from theory.problem import Problem
from theory.terms import Terms


class Tuned(NamedTuple):
    """Parameters inside tasks and across them."""

    strength: float
    step: float


def bound(problem: Problem, *, strength: float, step: float, average: bool = False) -> Terms:
    """The bound on expected excess risk, in units of loss per point; ``average``: the bias is the mean of the path.

    >>> problem = Problem(1.0, 1.0, points=1, tasks=4, dimension=3, variance=0.5, distance=1.0)
    >>> bound(problem, strength=1.0, step=0.5, average=True)
    Terms(within=1.0, comparator=0.5, across=0.5, metric=0.0, overlap=0.0)
    """
    terms = bias.bound(problem, strength=strength, step=step).times(1.0 / problem.rounds)
    return terms._replace(within=_count(average) * terms.within)


def tuned(problem: Problem, *, average: bool = False) -> Tuned:
    """The parameters that make the bound least."""
    strength, step = bias.tuned(problem)
    return Tuned(strength * math.sqrt(_count(average)), step)


def optimum(problem: Problem, *, average: bool = False) -> float:
    """The bound at these."""
    n, twice = problem.points, 2.0 * _count(average)
    within = math.sqrt(twice * problem.variance * logarithm(n) / n)
    return problem.gradient * (within + problem.distance / math.sqrt(problem.tasks))


def _count(average: bool) -> int:
    """How often the inner term is paid."""
    return 2 if average else 1
