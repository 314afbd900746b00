r"""A comparator that drifts: a bias theta'_t for every task, that moves little from one to the next.

**Assumptions.** As for ``theory.bias``; the comparator's biases have path length
``P = sum_t |theta'_{t+1} - theta'_t|``, and the learner's biases stay within ``diameter`` of them:
``|theta_{t+1} - (theta'_t + theta'_{t+1}) / 2| <= diameter``. V is the spread around the moving bias,
``1/T sum_t |u_t - theta'_t|^2 / 2``, and ``distance`` is ``|theta'_1 - theta_1|``.

**Statement.** For all weights u_t and all theta'_t

    regret  <=  T G^2 (1 + ln n) / (2 lambda)  +  lambda n T V                                      (within, comparator)
              + ( |theta'_1 - theta_1|^2 + 2 diameter P ) / (2 eta)  +  eta T n^2 G^2 / 2             (across)

which is least at ``eta = sqrt(|theta'_1 - theta_1|^2 + 2 diameter P) / (n G sqrt(T))``, where across is

    n G sqrt( T (|theta'_1 - theta_1|^2 + 2 diameter P) )

With P = 0 it is the bound of ``theory.bias``. The step is constant: without a constraint ``owo.DualAveraging`` is
gradient descent, and forgets as gradient descent does; laws with falling steps do not have this bound.

**Source.** Zinkevich (ICML 2003) for gradient descent on a bounded set; that the diameter is only needed between the
learner's path and the comparator's is seen from the proof: derivations/across.md (P1, P2).
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


def bound(problem: Problem, *, strength: float, step: float, path: float, diameter: float) -> Terms:
    """The bound at a ``strength`` lambda > 0 and a ``step`` eta > 0, for a ``path`` P >= 0 and a ``diameter``.

    >>> problem = Problem(1.0, 1.0, points=1, tasks=4, dimension=3, variance=0.5, distance=1.0)
    >>> bound(problem, strength=1.0, step=0.5, path=3.0, diameter=0.5)
    Terms(within=2.0, comparator=2.0, across=5.0, metric=0.0, overlap=0.0)
    """
    terms = bias.bound(problem, strength=strength, step=step)
    return terms._replace(across=terms.across + _drift(path, diameter) / (2.0 * step))


def tuned(problem: Problem, *, path: float, diameter: float) -> Tuned:
    """The parameters that make the bound least."""
    game, far = problem.across, math.sqrt(problem.distance**2 + _drift(path, diameter))
    assume(apart=far)
    return Tuned(growing.tuned(problem.inside), far / (game.gradient * math.sqrt(game.rounds)))


def optimum(problem: Problem, *, path: float, diameter: float) -> float:
    """The bound at these."""
    game, far = problem.across, math.sqrt(problem.distance**2 + _drift(path, diameter))
    return problem.tasks * growing.optimum(problem.inside) + far * game.gradient * math.sqrt(game.rounds)


def _drift(path: float, diameter: float) -> float:
    assume(path=path)
    assume(diameter=diameter)
    return 2.0 * diameter * path
