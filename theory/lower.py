r"""Matching lower bounds: what no learner can avoid, so how much of the upper bounds is needed.

**Assumptions.** Any learner that sees points one after another, lazy or not, in d >= 4 dimensions; losses that are
linear where it matters, with slopes up to L: ``owo.Absolute`` with far labels. The comparator has
``|theta' - theta_1| = D`` and ``1/T sum_t |u_t - theta'|^2 = 2 V``.

**Statement.** (orthogonal) An opponent that gives every point a direction orthogonal to the weights, to the sum of
the task's points and to the sum of all points so far, makes the regret of every deterministic learner

    T G sqrt(2 V n)  +  D G sqrt(n T)

which is the upper bound of ``theory.aggressive``: that one cannot be improved, not even by a constant. With T = 1 and
D = 0 it is the upper bound of the constant regulariser, inside a task.

(signs) With independent random signs along one direction, in any dimension and for learners that draw lots too, the
expected regret is at least ``T G sqrt(2 V) e_n + D G e_{nT}`` with ``e_n = E|S_n|``, S_n the sum of n signs,
``e_n >= sqrt(n/2)``.

(lazy) A learner that keeps its weights inside a task, as the inner algorithm of ``theory.bias`` tuned for V = 0, has
expected regret at least ``D n G e_T`` if all n points of a task share a random sign: learning only between tasks
costs sqrt(n).

**Source.** Abernethy, Bartlett, Rakhlin and Tewari, "Optimal Strategies and Minimax Lower Bounds for Online Convex
Games" (COLT 2008) for the orthogonal opponent of one task; Khintchine's inequality with Szarek's constant (1976) for
signs. Two levels at once are this project's. Proof: derivations/lower.md (K1 to K6).
"""

from __future__ import annotations

import math

from theory.problem import Problem, assume, require
from theory.terms import Terms


def bound(problem: Problem, *, signs: bool = False) -> Terms:
    """The regret that an opponent can force: the orthogonal one, or (``signs``) in expectation one with random signs.

    >>> problem = Problem(1.0, 1.0, points=4, tasks=25, dimension=5, variance=0.5, distance=2.0)
    >>> bound(problem)
    Terms(within=0.0, comparator=50.0, across=20.0, metric=0.0, overlap=0.0)
    """
    inside, along = problem.inside, problem.along
    if signs:
        inner, outer = expected_sum(inside.rounds), expected_sum(along.rounds)
    else:
        d = problem.dimension
        require(d >= 4, "room for orthogonal points", f"dimension is {d}", "4 or more")
        inner, outer = math.sqrt(inside.rounds), math.sqrt(along.rounds)
    return Terms(
        within=0.0,
        comparator=problem.tasks * inside.distance * inside.gradient * inner,
        across=along.distance * along.gradient * outer,
    )


def lazy(problem: Problem) -> Terms:
    """The expected regret that random signs of whole tasks force on learners whose weights move between tasks only."""
    game = problem.across
    return Terms(within=0.0, comparator=0.0, across=game.distance * game.gradient * expected_sum(game.rounds))


def expected_sum(rounds: int) -> float:
    """``E |e_1 + .. + e_n|`` of independent random signs, between ``sqrt(n/2)`` and ``sqrt(n)``.

    ``2^{1-n} m binomial(n, m)`` with m = ceil(n/2).

    >>> [expected_sum(n) for n in (1, 2, 3)]
    [1.0, 1.0, 1.5]
    """
    assume(rounds=rounds)
    half = -(-rounds // 2)
    paths: int = 2 ** (rounds - 1)
    return half * math.comb(rounds, half) / paths
