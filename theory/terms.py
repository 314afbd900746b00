"""The terms of a bound, by the same names for every result."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from theory.problem import Game, Problem


class Terms(NamedTuple):
    """A bound on regret, in units of loss summed over all points, split by what has to be paid for.

    They are the terms of ``owo.ledger.Certificate``, whose ``spread`` is the comparator's term here.
    """

    within: float
    """learning inside the tasks, were all of them at the bias"""
    comparator: float
    """the distances of the tasks from the bias"""
    across: float = 0.0
    """learning the bias"""
    metric: float = 0.0
    """learning the metric M"""
    overlap: float = 0.0
    """learning late, from tasks that were open at the same time"""

    @property
    def total(self) -> float:
        """The bound: the sum of all terms."""
        return sum(self)

    def times(self, count: float) -> Terms:
        """The terms of so many equal games together."""
        return Terms(*(count * term for term in self))

    def average(self, problem: Problem) -> float:
        """The bound on regret per point."""
        return self.total / problem.rounds


Learner = Callable[[Game], Terms]
"""A learner with its parameters set, as ``functools.partial(growing.bound, strength=0.1)``."""
