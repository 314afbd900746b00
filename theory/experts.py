r"""Expert aggregation (Hedge): following the best of C learners, such as a grid of strengths.

**Assumptions.** In each of T rounds every learner c suffers a loss ``a_{t,c}``, and the largest and the smallest of a
round differ by at most rho; the weights of round t are ``p_{t,c}`` proportional to
``exp(-beta (a_{1,c} + .. + a_{t-1,c}))``, and what is suffered is ``<p_t, a_t>``: the expected loss of following a
learner drawn by them.

**Statement.** Against every learner c

    sum_t <p_t, a_t> - a_{t,c}  <=  ln C / beta  +  sum_t delta_t     (comparator, within)
                                <=  ln C / beta  +  beta T rho^2 / 8

where ``delta_t = <p_t, a_t> + ln( <p_t, exp(-beta a_t)> ) / beta`` is what a run measures. The right side is least at
``beta = sqrt(8 ln C / T) / rho``, where it is ``rho sqrt(T ln C / 2)``: what it costs not to know which of the C
parameters is the best.

**Source.** Freund and Schapire (1997); Cesa-Bianchi and Lugosi, "Prediction, Learning, and Games" (2006), section 2.2.
Proof: derivations/across.md (E1, E2).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from theory.problem import assume
from theory.terms import Terms

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Panel:
    """T ``rounds``, C ``experts``, and the ``width`` rho of their losses in a round."""

    rounds: int
    experts: int
    width: float

    def __post_init__(self) -> None:
        assume(rounds=self.rounds, experts=self.experts, width=self.width)


def bound(panel: Panel, *, rate: float) -> Terms:
    """The bound at a ``rate`` beta > 0, in units of 1 over loss.

    >>> bound(Panel(rounds=16, experts=1, width=1.0), rate=0.5)
    Terms(within=1.0, comparator=0.0, across=0.0, metric=0.0, overlap=0.0)
    """
    assume(step=rate)
    return Terms(within=rate * panel.rounds * panel.width**2 / 8.0, comparator=math.log(panel.experts) / rate)


def tuned(panel: Panel) -> float:
    """The rate that makes the bound least."""
    assume(apart=math.log(panel.experts))
    return math.sqrt(8.0 * math.log(panel.experts) / panel.rounds) / panel.width


def optimum(panel: Panel) -> float:
    """The least bound."""
    return panel.width * math.sqrt(panel.rounds * math.log(panel.experts) / 2.0)


def aggregate(losses: Array, rate: float) -> tuple[Array, Array]:
    """What Hedge suffers in each round, (T,), and the delta of each round, (T,), on ``losses`` (T, C).

    >>> suffered, delta = aggregate(np.array([[0.0, 1.0], [0.0, 1.0]]), rate=np.log(3.0))
    >>> suffered.round(6).tolist()  # weights 1/2, 1/2, then 3/4, 1/4
    [0.5, 0.25]
    """
    past = np.cumsum(losses, axis=0) - losses
    weights = -rate * (past - past.min(axis=1, keepdims=True))
    weights -= logsumexp(weights, axis=1, keepdims=True)
    suffered = (np.exp(weights) * losses).sum(axis=1)
    return suffered, suffered + logsumexp(weights - rate * losses, axis=1) / rate
