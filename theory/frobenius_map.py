r"""Online within online with a feature map, by projected gradient steps: the instance of Denevi et al. that learns M.

**Assumptions.** Convex losses, L-Lipschitz in the prediction, ``|x| <= R``, G = L R; T tasks of n points, one after
another; inside them ``owo.GrowingFTRL(strength=lambda)`` in the metric M, ``w_i = theta - M q_{i-1} / (lambda i)``,
with theta fixed; M in { psd, trace M <= r }, moved by ``H_t = -q_t q_t^T / (2 lambda n)`` with step kappa, lazily,
and projected: ``owo.geometry.FeatureMap(DualAveraging(kappa), r, Projected(), Paper())``.

**Statement.** For all weights u_t, with ``B = 1/T sum_t (u_t - theta)(u_t - theta)^T``, ``tau = tr B^{1/2}``, and the
M' that serves them best, ``M' = r B^{1/2} / tau``,

    regret  <=  r T G^2 (1 + ln n) / (2 lambda)                                    (within)
              + lambda n T tau^2 / (2 r)                                           (comparator)
              + |M' - M_1|_F^2 / (2 kappa) + kappa T n^2 G^4 / (8 lambda^2)          (metric)

With ``a = |M' - M_1|_F``, which from ``M_1 = (r/d) I`` is at most ``r sqrt(1 - 1/d)``, it is least at

    kappa = 2 a lambda / (n G^2 sqrt(T)),     lambda = (G / tau) sqrt( r (r (1 + ln n) + a n / sqrt(T)) / n )

and per point it is then ``G tau sqrt( (1 + ln n) / n  +  (a/r) / sqrt(T) )``. If tasks differ along one direction tau
is ``sqrt(2 V)``, as with the best bias; if they differ along all d alike it is ``sqrt(2 V d)``.

**Source.** Denevi, Stamos, Ciliberto, Pontil (NeurIPS 2019). Proof: derivations/maps.md (M1 to M5).
"""

from __future__ import annotations

import math
from typing import NamedTuple

from theory.learners.growing import logarithm
from theory.problem import Problem, assume
from theory.terms import Terms


class Tuned(NamedTuple):
    """Parameters inside tasks and of the metric."""

    strength: float
    metric_step: float


def bound(
    problem: Problem, *, strength: float, metric_step: float, trace: float = 1.0, apart: float | None = None
) -> Terms:
    """The bound at a ``strength`` lambda > 0 and a ``metric_step`` kappa > 0.

    ``trace`` is r, ``apart`` the distance ``|M' - M_1|_F``: by default the most that it can be. The variance of the
    problem does not matter, nor does its distance: tasks are measured from where the bias is, by ``root``.

    >>> problem = Problem(1.0, 1.0, points=1, tasks=4, dimension=2, variance=0.5, distance=0.0, root_trace=1.0)
    >>> bound(problem, strength=1.0, metric_step=2.0, apart=1.0)
    Terms(within=2.0, comparator=2.0, across=0.0, metric=1.25, overlap=0.0)
    """
    assume(strength=strength, metric_step=metric_step, trace=trace)
    n, tasks, squared = problem.points, problem.tasks, problem.gradient**2
    apart = _apart(problem, trace, apart)
    return Terms(
        within=trace * tasks * squared * logarithm(n) / (2.0 * strength),
        comparator=strength * n * tasks * problem.root**2 / (2.0 * trace),
        metric=apart**2 / (2.0 * metric_step) + 0.5 * metric_step * tasks * (n * squared / (2.0 * strength)) ** 2,
    )


def tuned(problem: Problem, *, trace: float = 1.0, apart: float | None = None) -> Tuned:
    """The parameters that make the bound least."""
    apart = _apart(problem, trace, apart)
    assume(apart=apart)
    assume(apart=problem.root)
    n, tasks, gradient = problem.points, problem.tasks, problem.gradient
    spent = trace * logarithm(n) + apart * n / math.sqrt(tasks)
    strength = gradient / problem.root * math.sqrt(trace * spent / n)
    return Tuned(strength, 2.0 * apart * strength / (n * gradient**2 * math.sqrt(tasks)))


def optimum(problem: Problem, *, trace: float = 1.0, apart: float | None = None) -> float:
    """The bound at these."""
    apart, n, tasks = _apart(problem, trace, apart), problem.points, problem.tasks
    slow = logarithm(n) / n + apart / trace / math.sqrt(tasks)
    return problem.rounds * problem.gradient * problem.root * math.sqrt(slow)


def _apart(problem: Problem, trace: float, apart: float | None) -> float:
    """``|M' - M_1|_F``, or the most that it can be from the multiple of I of trace r."""
    assume(trace=trace)
    apart = trace * math.sqrt(1.0 - 1.0 / problem.dimension) if apart is None else apart
    assume(distance=apart)
    return apart
