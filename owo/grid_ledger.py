"""What a grid suffered: the ledgers of all its configurations at once."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from owo import kernels, lanes
from owo.configurations import Configuration
from owo.growing import Growing
from owo.ledger import Ledger
from owo.streams import Block

if TYPE_CHECKING:
    from owo.grid import Grid

Array = NDArray[np.float64]


class GridLedger:
    """What a grid suffered, an entry a task and configuration; ``ledger[c]`` is the ``Ledger`` of configuration c.

    Attributes
    ----------
    points : list of dicts of arrays (loss and prediction (n, C), label (n,), task), if points were kept
    """

    def __init__(self, grid: Grid) -> None:
        self._grid = grid
        self.points: list[dict[str, Any]] = []
        self._keys: list[Hashable] = []
        self._rounds = Growing(1)
        self._losses = Growing(len(grid))
        self._tables: list[tuple[list[Array], list[Array]]] = [([], []) for _ in grid.groups or ()]

    def append(self, block: Block, noted: Sequence[lanes.Noted]) -> None:
        """Add the tasks of a block, and its points if they were noted."""
        groups = self._grid.groups or []
        in_order = len(groups) == 1  # the members of one group are all configurations
        losses = noted[0].tasks if in_order else np.empty((block.n_tasks, len(self._grid)))
        for group, rows, tables in zip(groups, noted, self._tables, strict=True):
            if not in_order:
                losses[:, group.columns] = rows.tasks
            for table, more in zip(tables, rows.accounts, strict=False):
                table.append(more)
        losses[:, self.failed] = np.inf
        self._losses.append(losses)
        self._rounds.append(np.diff(block.offsets)[:, None].astype(np.float64))
        self._keys += block.keys
        if len(noted[0].losses):
            loss, prediction = self._grid.of_points(noted)
            keys = [block.keys[code] for code in block.task.tolist()]
            self.points.append({"loss": loss, "prediction": prediction, "label": block.y.copy(), "task": keys})

    def mark(self) -> tuple[int, int, int]:
        """Where it stands, for ``cut``."""
        return self.tasks, len(self.points), len(self._tables[0][0])

    def cut(self, mark: tuple[int, int, int]) -> None:
        """Go back to a mark."""
        tasks, points, blocks = mark
        del self._keys[tasks:], self.points[points:]
        self._rounds.cut(tasks)
        self._losses.cut(tasks)
        for table in itertools.chain.from_iterable(self._tables):
            del table[blocks:]

    def __len__(self) -> int:
        """Return the number of configurations."""
        return len(self._grid)

    @property
    def tasks(self) -> int:
        """How many have ended."""
        return len(self._keys)

    def __repr__(self) -> str:
        return f"<GridLedger of {len(self)} configurations: {len(self._keys)} tasks, {int(self.rounds.sum())} points>"

    @property
    def configurations(self) -> list[Configuration]:
        """Those of the grid."""
        return self._grid.configurations

    @property
    def keys(self) -> list[Hashable]:
        """Keys of the tasks."""
        return list(self._keys)

    @property
    def rounds(self) -> Array:
        """Points of each task, (T,)."""
        return self._rounds.filled[:, 0]

    @property
    def losses(self) -> Array:
        """Summed loss of each task, (T, C); infinite from the block on in which a configuration overflowed."""
        return self._losses.filled

    @property
    def failed(self) -> NDArray[np.bool_]:
        """Which configurations overflowed, (C,)."""
        found = np.zeros(len(self._grid), dtype=np.bool_)
        for group in self._grid.groups or ():
            found[group.members] = group.numbers(lanes.FAILED) > 0.0
        return found

    def cumulative_loss(self) -> Array:
        """Loss summed over all tasks so far, (T, C)."""
        return np.cumsum(self.losses, axis=0)

    def average_loss(self) -> Array:
        """Cumulative loss over points so far, (T, C)."""
        return self.cumulative_loss() / np.cumsum(self.rounds)[:, None]

    @property
    def best(self) -> int:
        """The configuration of least loss so far."""
        if not len(self._keys):
            raise ValueError("no task has ended, so no configuration is the best yet")
        return int(np.argmin(self.losses.sum(axis=0)))

    def regret(self, comparator: Any) -> Array:
        """Loss beyond a comparator's, (T, C), at every task boundary; infinite for configurations that overflowed.

        See ``Ledger.regret``.
        """
        return self._columns(lambda ledger: ledger.regret(comparator))

    def certificate(self, comparator: Any) -> Array:
        """The bounds that ``regret(comparator)`` cannot exceed, (T, C): see ``Ledger.certificate``."""
        return self._columns(lambda ledger: ledger.certificate(comparator).total)

    def _columns(self, of: Callable[[Ledger], Array]) -> Array:
        failed, nothing = self.failed, np.full(self.tasks, np.inf)
        return np.stack([nothing if failed[c] else of(self[c]) for c in range(len(self))], axis=1)

    def __getitem__(self, number: int) -> Ledger:
        """Return the ledger of one configuration, as if it had run alone.

        Raises
        ------
        IndexError
            There is no such configuration.
        FloatingPointError
            It overflowed.
        ValueError
            The grid keeps no certificates.
        """
        if not isinstance(number, (int, np.integer)) or not -len(self) <= number < len(self):
            raise IndexError(f"there is no configuration {number!r}; there are {len(self)}, numbered from 0")
        inner, outer, update = self.configurations[number]
        number %= len(self)
        if self.failed[number]:
            raise FloatingPointError(f"configuration {number} overflowed: {inner!r}, {outer!r}; take smaller steps")
        if not self._grid.certificates:
            raise ValueError(
                "this grid keeps losses only (certificates=False), so a configuration has no ledger of its own"
            )
        ledger = self._grid.begun(number).ledger
        for group, (accounts, tallies) in zip(self._grid.groups or (), self._tables, strict=True):
            if number in group.members and accounts:
                place = group.members.index(number)
                written = kernels.room(0, len(self._keys), 0, len(self._grid.centre))
                seen = self.rounds if update == "point" else np.ones(self.tasks)  # gradients, across tasks
                written.accounts[:] = _whole(accounts, place, group.kept[0], self.rounds)
                written.tallies[:] = _whole(tallies, place, group.kept[1], np.cumsum(seen))
                written.tasks[:] = 0.0
                written.tasks[:, kernels.LOSS] = self.losses[:, number]
                ledger.append(self._keys, range(len(self._keys)), written, np.empty((0, 1)))
        return ledger


def _whole(table: list[Array], place: int, kept: tuple[int, ...], rounds: Array) -> Array:
    """Accounts (T, 7) of one configuration, with the numbers that had not to be kept: see ``lanes.kept_of``."""
    found = np.zeros((len(rounds), len(kernels.ACCOUNT)))
    found[:, kernels.ROUNDS] = rounds
    found[:, kept] = np.concatenate([each[:, place] for each in table]).reshape(-1, len(kept))
    return found
