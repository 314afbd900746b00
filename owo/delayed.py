"""Labels that come late: predict now, learn when the label is there, in whatever order.

Let the point i be predicted with ``w_i`` and its label come when the learner's weights would be ``w'_i``. The loss
was suffered at ``w_i``, so its subgradient ``g_i = s_i x_i`` is taken there; the learner meets it at ``w'_i``, as the
linear loss ``<g_i, .>``. By convexity, against any u,

    loss(w_i) - loss(u)  <=  <g_i, w_i - u>  =  <g_i, w'_i - u>  +  s_i (p_i - p'_i)

The first part is what every certificate bounds, whatever the order of labels; the second is what the delay cost, from
two predictions that the run knows, ``p = <x, w>`` and ``p' = <x, w'>``. It may be negative. ``Ledger.overlap`` has its
sum, so the certificate is exact; and laws that bet are told of it (``late``), so that they do not grow rich on what
they could not have known. Bounds of delayed online learning (Joulani, Gyorgy and Szepesvari, ICML 2013) estimate that
sum in advance, by products of norms.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from owo.losses import loss

Array = NDArray[np.float64]


@loss
class Linear(NamedTuple):
    """``factor p``: what a learner meets of a loss whose subgradient was taken elsewhere."""

    factor: float = 1.0

    def value(self, p: float, y: float) -> float:
        return self.factor * p

    def subgradient(self, p: float, y: float) -> float:
        return self.factor

    def conjugate(self, s: float, y: float) -> float:
        return 0.0 if s == self.factor else math.inf

    def prox(self, p: float, y: float, step: float) -> float:
        return p - step * self.factor


class Asked(NamedTuple):
    """A prediction whose label is to come."""

    prediction: float
    ticket: int
    """what to ``tell`` the label for"""


class Point(NamedTuple):
    """A point that waits for its label."""

    task: Hashable
    x: Array
    prediction: float
    base: float
    """the prediction's part that came from the bias"""


class Waiting:
    """The points that wait, and what delays cost the tasks that are open, and all that ended, so far."""

    def __init__(self) -> None:
        self.points: dict[int, Point] = {}
        self.tickets = 0
        self.costs: dict[Hashable, float] = {}
        self.ended = 0.0

    def add(self, point: Point) -> Asked:
        """A ticket for a point."""
        self.tickets += 1
        self.points[self.tickets] = point
        return Asked(point.prediction, self.tickets)

    def pay(self, task: Hashable, cost: float) -> None:
        """Note what a delay cost an open task."""
        self.costs[task] = self.costs.get(task, 0.0) + cost

    def point(self, ticket: int) -> Point:
        """The point of a ticket, or ``KeyError``."""
        if ticket not in self.points:
            known = 0 < ticket <= self.tickets if isinstance(ticket, int) else False
            why = "has been told, dropped or forgotten" if known else "was never given"
            raise KeyError(f"ticket {ticket!r} {why}; {len(self.points)} points wait for their labels")
        return self.points[ticket]

    def refuse_end(self, tasks: Any) -> None:
        """Raise the ``ValueError`` of a task that would end while points of it wait."""
        if self.points:
            tasks = set(tasks)
            found = [(ticket, point.task) for ticket, point in self.points.items() if point.task in tasks]
            if found:
                raise ValueError(
                    f"task {found[0][1]!r} cannot end: {len(found)} of its points wait for labels (first: ticket "
                    f"{found[0][0]}). Tell them, or drop them"
                )

    def charge(self, tasks: Any, overlap: Array) -> None:
        """Tasks end: add what delays have cost to the ``overlap`` (m,) that was written down of them."""
        if self.costs or self.ended:
            for row, task in enumerate(tasks):
                self.ended += self.costs.pop(task, 0.0)
                overlap[row] += self.ended

    def forget(self, task: Hashable) -> None:
        """Forget what is kept of a task."""
        self.costs.pop(task, None)
        for ticket in [ticket for ticket, point in self.points.items() if point.task == task]:
            del self.points[ticket]

    def widen(self, d: int) -> None:
        """Points have d features from now on."""
        for ticket, point in self.points.items():
            self.points[ticket] = point._replace(x=np.concatenate([point.x, np.zeros(d - len(point.x))]))
