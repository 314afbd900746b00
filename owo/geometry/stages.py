"""What the learner of a metric spent, at stages of a run: what a certificate against any M' needs to know of it.

Both kinds of numbers in a stage never fall as a run goes on: the sum of the tasks' B, and 1 / c. So those of the next
stage bound those of every boundary before it, and a run of any length needs a bounded number of stages.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from owo.growing import Growing

Array = NDArray[np.float64]

NUMBERS = 2**20
"""Numbers that are kept, at most about: past them every other stage is forgotten."""


class Stages:
    """Rows (P, columns): the sum of B, and 1 / c; each with the number of tasks that had ended."""

    def __init__(self, columns: int) -> None:
        self.columns = columns
        self._spent, self._tasks = Growing(columns), Growing(1)

    def append(self, spent: Array, tasks: Array) -> None:
        """Add stages (p, columns), taken after ``tasks`` (p,) had ended."""
        self._spent.append(spent)
        self._tasks.append(np.asarray(tasks, dtype=np.float64)[:, None])
        if len(self._tasks) * self.columns > NUMBERS:
            kept = slice((len(self._tasks) + 1) % 2, None, 2)  # the last one stays
            spent, tasks = self._spent.filled[kept].copy(), self._tasks.filled[kept].copy()
            self._spent, self._tasks = Growing(self.columns), Growing(1)
            self._spent.append(spent)
            self._tasks.append(tasks)

    @property
    def spent(self) -> Array:
        """The stages, (P, columns)."""
        return self._spent.filled

    @property
    def tasks(self) -> Array:
        """Tasks that had ended by then, (P,)."""
        return self._tasks.filled[:, 0]

    def by_task(self, values: Array, tasks: int) -> Array:
        """Of numbers (P,) one a stage, those of the next stage at every boundary, (T,)."""
        found: Array = values[np.searchsorted(self.tasks, np.arange(1, tasks + 1))]
        return found
