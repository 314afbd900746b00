r"""A feature map learned by matrix exponentiated gradient, from the complete gradient: d enters through its logarithm.

**Assumptions.** As for ``theory.frobenius_map``, but M moves multiplicatively on { psd, trace M <= r }, with step
kappa and from ``M_1 = (r/d) I``, by ``H_t = 1/(2 lambda) sum_i g_i g_i^T / i - q_t q_t^T / (2 lambda n)``:
``owo.geometry.FeatureMap(DualAveraging(kappa), r, Exponentiated(), Complete())``; and ``<x, M' x> <= rho``.

**Statement.** For all weights u_t, with tau and M' as there,

    regret  <=  T L^2 rho (1 + ln n) / (2 lambda)                          (within)
              + lambda n T tau^2 / (2 r)                                   (comparator)
              + Delta / kappa + kappa r T n^2 G^4 / (8 lambda^2)             (metric)

where ``Delta = tr M'(ln M' - ln M_1) - tr M' + tr M_1 <= r ln d`` and ``rho <= R^2 r``. It is least at

    kappa = (2 lambda / (n G^2)) sqrt(2 Delta / (r T)),
    lambda = (1/tau) sqrt( r (L^2 rho (1 + ln n) + n G^2 sqrt(2 r Delta / T)) / n )

and per point it is then ``tau sqrt( L^2 rho (1 + ln n) / (r n)  +  G^2 sqrt(2 Delta / (r T)) )``. Two things are
gained over Frobenius steps: the first term is of the inputs as M' sees them, not of the largest that any M could make
of them; and Delta / r is ``ln d`` at most, and 0 where all directions matter alike.

**Source.** Tsuda, Ratsch and Warmuth, "Matrix Exponentiated Gradient Updates" (JMLR 2005) for the learner; the complete
gradient is this project's. Proof: derivations/maps.md (M2, M3, M6 to M10).
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
    problem: Problem, *, strength: float, metric_step: float, trace: float = 1.0, reach: float | None = None,
    divergence: float | None = None,
) -> Terms:  # fmt: skip
    """The bound at a ``strength`` lambda > 0 and a ``metric_step`` kappa > 0.

    ``trace`` is r, ``reach`` is rho and ``divergence`` Delta, by default the most that they can be.

    >>> problem = Problem(1.0, 1.0, points=1, tasks=4, dimension=2, variance=0.5, distance=0.0, root_trace=1.0)
    >>> bound(problem, strength=1.0, metric_step=2.0, divergence=0.5)
    Terms(within=2.0, comparator=2.0, across=0.0, metric=1.25, overlap=0.0)
    """
    assume(strength=strength, metric_step=metric_step)
    n, tasks = problem.points, problem.tasks
    reach, divergence = _constants(problem, trace, reach, divergence)
    steep = n * problem.gradient**2 / (2.0 * strength)
    return Terms(
        within=tasks * problem.lipschitz**2 * reach * logarithm(n) / (2.0 * strength),
        comparator=strength * n * tasks * problem.root**2 / (2.0 * trace),
        metric=divergence / metric_step + 0.5 * metric_step * trace * tasks * steep**2,
    )


def tuned(
    problem: Problem, *, trace: float = 1.0, reach: float | None = None, divergence: float | None = None
) -> Tuned:
    """The parameters that make the bound least."""
    n, gradient = problem.points, problem.gradient
    reach, divergence = _constants(problem, trace, reach, divergence)
    assume(apart=divergence)
    assume(apart=problem.root)
    strength = math.sqrt(trace * _spent(problem, trace, reach, divergence) / n) / problem.root
    step = 2.0 * strength / (n * gradient**2) * math.sqrt(2.0 * divergence / (trace * problem.tasks))
    return Tuned(strength, step)


def optimum(
    problem: Problem, *, trace: float = 1.0, reach: float | None = None, divergence: float | None = None
) -> float:
    """The bound at these."""
    reach, divergence = _constants(problem, trace, reach, divergence)
    spent = _spent(problem, trace, reach, divergence)
    return problem.tasks * problem.root * math.sqrt(problem.points * spent / trace)


def _spent(problem: Problem, trace: float, reach: float, divergence: float) -> float:
    """``2 lambda / T`` times what does not grow with lambda, at the best step of the metric."""
    n = problem.points
    learning = n * problem.gradient**2 * math.sqrt(2.0 * trace * divergence / problem.tasks)
    return problem.lipschitz**2 * reach * logarithm(n) + learning


def _constants(problem: Problem, trace: float, reach: float | None, divergence: float | None) -> tuple[float, float]:
    """Rho and Delta, checked, or the most that they can be."""
    assume(trace=trace)
    reach = problem.radius**2 * trace if reach is None else reach
    divergence = trace * math.log(problem.dimension) if divergence is None else divergence
    assume(reach=reach, divergence=divergence)
    return reach, divergence
