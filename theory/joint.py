r"""A bias and a feature map learned together.

**Assumptions.** As for ``theory.frobenius_map``, but the bias moves, too: by ``owo.DualAveraging(step=eta)`` on the
same sums q_t, when a task ends.

**Statement.** For all weights u_t and every bias theta', with ``B = 1/T sum_t (u_t - theta')(u_t - theta')^T``,

    regret  <=  r T G^2 (1 + ln n) / (2 lambda)  +  lambda n T tau^2 / (2 r)          (within, comparator)
              + |theta' - theta_1|^2 / (2 eta) + eta T n^2 G^2 / 2                    (across)
              + |M' - M_1|_F^2 / (2 kappa) + kappa T n^2 G^4 / (8 lambda^2)             (metric)

A task's loss is linear in the pair (theta, M), so neither learner has to know of the other: their bounds add up, and
the best lambda and kappa are those of the map alone, the best eta that of the bias alone. Per point,

    G tau sqrt( (1 + ln n) / n  +  (a/r) / sqrt(T) )  +  G |theta' - theta_1| / sqrt(T)

where tau belongs to the tasks' differences from theta', no longer from theta_1.

**Source.** The two instances are those of Denevi, Stamos, Ciliberto, Pontil (NeurIPS 2019); their sum is this
project's. Proof: derivations/maps.md (B5, M1 to M5).
"""

from __future__ import annotations

from typing import NamedTuple

from theory import frobenius_map
from theory.learners import dual_averaging
from theory.problem import Problem
from theory.terms import Terms


class Tuned(NamedTuple):
    """Parameters inside tasks, of the bias and of the metric."""

    strength: float
    step: float
    metric_step: float


def bound(
    problem: Problem, *, strength: float, step: float, metric_step: float, trace: float = 1.0,
    apart: float | None = None,
) -> Terms:  # fmt: skip
    """The bound at ``strength`` lambda, ``step`` eta and ``metric_step`` kappa, all > 0; the rest as for the map.

    >>> problem = Problem(1.0, 1.0, points=1, tasks=4, dimension=2, variance=0.5, distance=1.0, root_trace=1.0)
    >>> bound(problem, strength=1.0, step=0.5, metric_step=2.0, apart=1.0)
    Terms(within=2.0, comparator=2.0, across=2.0, metric=1.25, overlap=0.0)
    """
    terms = frobenius_map.bound(problem, strength=strength, metric_step=metric_step, trace=trace, apart=apart)
    return terms._replace(across=dual_averaging.bound(problem.across, step=step).total)


def tuned(problem: Problem, *, trace: float = 1.0, apart: float | None = None) -> Tuned:
    """The parameters that make the bound least."""
    strength, metric_step = frobenius_map.tuned(problem, trace=trace, apart=apart)
    return Tuned(strength, dual_averaging.tuned(problem.across), metric_step)


def optimum(problem: Problem, *, trace: float = 1.0, apart: float | None = None) -> float:
    """The bound at these."""
    return frobenius_map.optimum(problem, trace=trace, apart=apart) + dual_averaging.optimum(problem.across)
