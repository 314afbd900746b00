"""What a ``TuningFree`` learner suffered, and the certificate of the mixture."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from owo.aggregate import Mixed, Mixture
from owo.configurations import Configuration
from owo.doors import whole
from owo.grid import Grid
from owo.grid_ledger import GridLedger
from owo.growing import Growing
from owo.lanes import Noted
from owo.ledger import CertificateViolation
from owo.streams import Block

Array = NDArray[np.float64]


class Carried(NamedTuple):
    """A configuration, and the part of all weight that it had, in the mean over points."""

    configuration: Configuration
    weight: float


class TuningFreeCertificate(NamedTuple):
    """What the regret of a ``TuningFree`` learner cannot exceed, after each task: ``TuningFreeLedger.certificate``."""

    learning: Array
    """certificate of the configuration it stands on, (T,)"""
    mixing: Array
    """what the mixture lost beyond that configuration, (T,); below 0 where it lost less"""
    configuration: NDArray[np.int64]
    """its number, (T,): the one with the least sum of both, and of what rounding may hide"""
    rounding: Array
    """how far rounding alone may push the regret over the sum, (T,): see ``Ledger.rounding``"""

    @property
    def total(self) -> Array:
        """The certificate: the sum of both terms."""
        return self.learning + self.mixing


class TuningFreeLedger:
    """What a ``TuningFree`` learner suffered, an entry a task.

    Attributes
    ----------
    configurations : ``GridLedger`` of what it mixed
    points : list of dicts of arrays (loss, prediction, label, task), one for each block, if points were kept
    carried : array (C,), the weight of each configuration in the mean over points
    """

    def __init__(self, grid: Grid) -> None:
        self._grid = grid
        self.points: list[dict[str, Any]] = []
        self._tasks, self._weights = Growing(4), Growing(len(grid))
        self._carried = np.zeros(len(grid))
        self._rounds = 0

    def append(self, block: Block, noted: list[Noted], mixed: Mixed, mixture: Mixture) -> None:
        """Add some tasks."""
        self._grid.ledger.append(block, noted)
        self._tasks.append(mixed.tasks)
        self._weights.append(mixed.weights)
        self._carried[:] = mixture.carried
        self._rounds += block.n
        if len(mixed.losses):
            keys = [block.keys[code] for code in block.task.tolist()]
            self.points.append(
                {"loss": mixed.losses, "prediction": mixed.predictions, "label": block.y.copy(), "task": keys}
            )

    def mark(self) -> tuple[int, int, int, int, Array]:
        """Where it stands, for ``cut``."""
        return len(self._tasks), len(self._weights), len(self.points), self._rounds, self._carried.copy()

    def cut(self, mark: tuple[int, int, int, int, Array]) -> None:
        """Go back to a mark; what the configurations did is for ``Grid.undoing`` to undo."""
        tasks, weights, points, self._rounds, self._carried[:] = mark
        self._tasks.cut(tasks)
        self._weights.cut(weights)
        del self.points[points:]

    def __len__(self) -> int:
        """Return the number of tasks."""
        return len(self._tasks)

    def __repr__(self) -> str:
        if not len(self):
            return f"<TuningFreeLedger of {len(self._grid)} configurations: no task yet>"
        return (
            f"<TuningFreeLedger of {len(self._grid)} configurations: {len(self)} tasks, {self._rounds} points, mean "
            f"loss {self.average_loss()[-1]:.6g}>"
        )

    @property
    def configurations(self) -> GridLedger:
        """What happened in each configuration."""
        return self._grid.ledger

    @property
    def keys(self) -> list[Hashable]:
        """Keys of the tasks."""
        return self._grid.ledger.keys if len(self) else []

    @property
    def rounds(self) -> Array:
        """Points of each task, (T,)."""
        return self._grid.ledger.rounds if len(self) else np.empty(0)

    @property
    def losses(self) -> Array:
        """Summed loss of each task, (T,)."""
        return self._tasks.filled[:, 0]

    @property
    def bound(self) -> Array:
        """How much more than the best configuration the mixture can have lost so far, (T,).

        ``min_c L_c + Delta + ln K / eta`` of ``owo.aggregate``, where predictions are kept within a range, less what
        the best configuration lost as it ran: below 0 where the range helped more than mixing costs at most.
        """
        if not len(self):
            return np.empty(0)
        least: Array = self.configurations.cumulative_loss().min(axis=1)
        return self._mixing + self._tasks.filled[:, 3] - least

    @property
    def _mixing(self) -> Array:
        return self._tasks.filled[:, 1] + self._tasks.filled[:, 2]

    @property
    def weights(self) -> Array:
        """Weights after each task, (T, C), if they were kept, else (0, C)."""
        return self._weights.filled

    @property
    def carried(self) -> Array:
        """The weight of each configuration, in the mean over points, (C,)."""
        return self._carried / max(self._rounds, 1)

    def leaders(self, count: int = 5) -> list[Carried]:
        """The configurations that carried most of the weight, most first."""
        order = np.argsort(-self.carried, kind="stable")[: whole(count, "count", 1)]
        return [Carried(self._grid.configurations[c], float(self.carried[c])) for c in order.tolist()]

    def cumulative_loss(self) -> Array:
        """Loss summed over all tasks so far, (T,)."""
        return np.cumsum(self.losses)

    def average_loss(self) -> Array:
        """Cumulative loss over points so far, (T,)."""
        return self.cumulative_loss() / np.cumsum(self.rounds)

    def regret(self, comparator: Any) -> Array:
        """Loss beyond a comparator's, (T,), at every task boundary: see ``Ledger.regret``.

        Raises ``ValueError`` if the learner keeps no certificates.
        """
        some = self.configurations[int(np.flatnonzero(~self.configurations.failed)[0])]
        return some.regret(comparator) + self.cumulative_loss() - some.cumulative_loss()

    def certificate(self, comparator: Any) -> TuningFreeCertificate:
        """The bound that ``regret(comparator)`` cannot exceed: ``min_c (certificate of c + H - L_c)``.

        Configurations that overflowed are left out. Raises ``ValueError`` if the learner keeps no certificates.
        """
        ours, alive = self.cumulative_loss(), np.flatnonzero(~self.configurations.failed)
        nothing = np.full(len(self), np.inf)
        best = TuningFreeCertificate(nothing, nothing, np.zeros(len(self), dtype=np.int64), nothing)
        for c in alive.tolist():
            ledger = self.configurations[c]
            learning, mixing = ledger.certificate(comparator).total, ours - ledger.cumulative_loss()
            rounding = ledger.rounding(comparator)
            better = learning + mixing + rounding < best.total + best.rounding
            rows = zip((learning, mixing, np.full(len(self), c), rounding), best, strict=True)
            best = TuningFreeCertificate(*(np.where(better, new, old) for new, old in rows))
        return best

    def check(self, comparator: Any) -> None:
        """Raise ``CertificateViolation`` if regret or the mixture exceeds its bound, beyond rounding."""
        if not len(self):
            raise ValueError("no task has ended, so there is nothing to check")
        certificate = self.certificate(comparator)
        regret = self.regret(comparator)
        lost, least = self.cumulative_loss(), self._tasks.filled[:, 3]
        rounded = 8.0 * np.finfo(float).eps * (1.0 + self.rounds.max()) * (lost + np.abs(least))
        for what, came, allowed, off in (
            ("the regret", regret, certificate.total, certificate.rounding),
            ("the loss beyond the best configuration", lost - least, self._mixing, certificate.rounding + rounded),
        ):
            bad = np.flatnonzero(~(came - allowed - off <= 0.0))
            if len(bad):
                t = int(bad[0])
                raise CertificateViolation(
                    f"after task {t + 1} of {len(self)}, {what} is {came[t]:.6g}, and its bound {allowed[t]:.6g}. If "
                    "the loss or a law is your own, run owo.checks on it; else please report this run."
                )
