"""Many configurations of ``OnlineWithinOnline`` in one pass over the data, each with its own ledger.

Configurations whose laws are of the same kind run side by side, as lanes of one compiled pass (``owo.lanes``); their
numbers are those of separate runs, but for rounding.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from owo import lanes
from owo._record import is_record
from owo.configurations import Group, as_configurations, kind_of, moving
from owo.doors import as_law, as_loss, as_vector, refuse_labels, refuse_open, whole
from owo.geometry import Fixed
from owo.geometry.matrices import as_psd
from owo.grid_ledger import GridLedger
from owo.guard import Guard, alone
from owo.iterates import reach_of
from owo.laws import CoinBetting
from owo.online import OnlineWithinOnline
from owo.streams import Block, Task, as_blocks
from owo.streams.points import real
from owo.streams.sparse import SparseRows

Array = NDArray[np.float64]


class Grid:
    """Learners that differ in their laws, over the same tasks, in one pass.

    Parameters
    ----------
    loss : a record of ``owo.losses``, of one prediction
    inner, outer : a law, or a list of laws, inside tasks and across them; default ``CoinBetting()``
    update : ``"point"``, ``"task"``, or a list of both: when the bias moves
    bias : array (d,), where all begin; default zeros
    metric : M inside tasks, ``w = theta - c_i M q``, the same for all: a number, a diagonal (d,) or a matrix (d, d);
        default 1
    certificates : whether to keep what certificates need: 80 bytes a task and configuration, or 8 or 16 more
        where laws clip, beside 8 for its loss; next to no time in long tasks or at large d, more than half of it in
        tasks of four points of 13 numbers

    Attributes
    ----------
    configurations : list of all combinations, the inner law varying slowest; ``of`` takes a list of your own

    Raises
    ------
    TypeError, ValueError
        As ``OnlineWithinOnline``; no configuration, or a loss of scores.

    Examples
    --------
    >>> import owo
    >>> inner, outer = [owo.GrowingFTRL(s) for s in (0.1, 1.0)], [owo.DualAveraging(0.1), owo.Frozen()]
    >>> grid = owo.Grid(owo.Absolute(), inner, outer)
    >>> ledger = grid.run([([[1.0], [1.0]], [2.0, 3.0])] * 30)
    >>> ledger.losses.shape, grid.configurations[ledger.best].outer
    ((30, 4), DualAveraging(step=0.1))
    >>> grid.learner(ledger.best).adapt([[1.0]], [2.0]).shape
    (1,)
    """

    def __init__(
        self, loss: Any, inner: Any = None, outer: Any = None, update: Any = "point", *, bias: ArrayLike | None = None,
        metric: ArrayLike | None = None, certificates: bool = True,
    ) -> None:  # fmt: skip
        several = isinstance(update, Iterable) and not isinstance(update, str)
        axes = (_several(inner), _several(outer), list(update) if several else [update])
        self._begin(loss, itertools.product(*axes), bias, metric, certificates)

    @classmethod
    def of(
        cls, loss: Any, configurations: Iterable[Any], *, bias: ArrayLike | None = None,
        metric: ArrayLike | None = None, certificates: bool = True,
    ) -> Grid:  # fmt: skip
        """A grid of configurations of your own choice, each ``(inner, outer)`` or ``(inner, outer, update)``."""
        made = cls.__new__(cls)
        made._begin(loss, configurations, bias, metric, certificates)
        return made

    def _begin(self, loss: Any, configurations: Iterable[Any], bias: Any, metric: Any, certificates: bool) -> None:
        self.loss, self.configurations = as_loss(loss), as_configurations(configurations)
        if not self.configurations:
            raise ValueError("there is no configuration; give at least one law inside tasks and one across them")
        inside: dict[int, Any] = {}  # configurations share laws
        across: dict[int, Any] = {}
        self._kinds: dict[Any, list[int]] = {}
        for number, each in enumerate(self.configurations):
            one, other, update = each
            if id(one) not in inside:
                inside[id(one)] = kind_of(one)
            if id(other) not in across:
                across[id(other)] = kind_of(moving(other))
            kind = inside[id(one)], across[id(other)], update if isinstance(update, str) else None
            if kind not in self._kinds:  # numbers of a law were checked where it was made
                OnlineWithinOnline(self.loss, *each)  # refuses what it cannot use
            self._kinds.setdefault(kind, []).append(number)
        self.certificates = bool(certificates)
        self._guard = Guard()
        self._scratch: list[lanes.Scratch] = []
        self._metric = None if metric is None else np.array(real(metric, "metric"))
        self.M: Any = None
        self.groups: list[Group] | None = None
        self._ledger: GridLedger | None = None
        self.d: int | None = None
        self._points = 0
        if bias is not None:
            self._open(as_vector(bias, "bias"))

    def __repr__(self) -> str:
        return f"<Grid of {len(self.configurations)} configurations, {self.loss!r}>"

    def __len__(self) -> int:
        """Return the number of configurations."""
        return len(self.configurations)

    def _open(self, centre: Array) -> None:
        self.M = self.matrix(len(centre))
        self.d, self.centre = len(centre), centre
        self.groups = [
            Group.of(self.configurations, members, centre, self.M is not None) for members in self._kinds.values()
        ]
        self._ledger = GridLedger(self)

    def matrix(self, d: int) -> Any:
        """M for points of d features: a diagonal (d,), a matrix (d, d), or None for the identity."""
        if self._metric is None:
            return None
        M = as_psd(self._metric, d, "metric")
        return M if np.ndim(self._metric) == 2 else np.diag(M).copy()

    @property
    def ledger(self) -> GridLedger:
        """What happened so far, in all configurations."""
        if self._ledger is None:
            raise ValueError("the ledger has no dimension before any data: call run first, or pass bias=")
        return self._ledger

    @alone
    def run(self, stream: Block | Task | Iterable[Any], *, points: bool = False, threads: int = 1) -> GridLedger:
        """Learn from a stream of whole tasks; each block of it in one compiled call for each kind of configuration.

        Parameters
        ----------
        stream : as for ``OnlineWithinOnline.run``; tasks one after another, each whole, of dense points
        points : keep losses, predictions and labels of every point in ``ledger.points``: 16 bytes a configuration and
            point
        threads : that share the configurations, in blocks of 24; the numbers do not depend on how many

        Returns
        -------
        GridLedger
            With everything that was seen since the grid was made. A configuration that overflows is lost
            (``ledger.failed``), the others go on.

        Raises
        ------
        ValueError, TypeError
            From data that cannot be used, also mixed tasks, parts of tasks and sparse points; the block they are in
            leaves no trace.
        """
        empty = True
        with ThreadPoolExecutor(whole(threads, "threads", 1)) as pool:
            for block in as_blocks(stream, 0 if self._ledger is None else self._ledger.tasks):
                empty = False
                with self.undoing():
                    self.accept(block)
                    self.ledger.append(block, self.advance(block, points, threads, pool))
        if empty:
            raise ValueError("the stream is empty; needed at least one task (has a generator been used up before?)")
        return self.ledger

    def refuse(self, block: Block) -> None:
        """Raise an error if a block cannot be learned."""
        refuse_labels(self.loss, block.y, lambda row: block.keys[block.task[row]])
        refuse_open(block, "a grid needs")
        if not block.contiguous:
            raise ValueError(
                "tasks are mixed, and a grid takes them one after another: pass block.grouped(), or run an "
                "OnlineWithinOnline for each configuration"
            )
        if isinstance(block.X, SparseRows):
            raise TypeError("X is sparse, and a grid takes dense points; pass X.toarray()")
        if self.d not in (None, block.d):
            raise ValueError(f"points have {block.d} features; this grid has {self.d}")

    def accept(self, block: Block) -> None:
        """Refuse a block that cannot be learned; begin, if it is the first."""
        self.refuse(block)
        if self.d is None:
            self._open(np.zeros(block.d))

    @contextlib.contextmanager
    def undoing(self) -> Iterator[None]:
        """Whatever goes wrong inside, put lanes and ledger back as they were; before any data there are none."""
        new, groups, ledger = self.d is None, self.groups or [], self._ledger
        before, mark = ([group.lanes.copied() for group in groups], self._points), ledger.mark() if ledger else None
        try:
            yield
        except BaseException:
            for group, saved in zip(groups, before[0], strict=True):
                group.lanes = saved
            self._points = before[1]
            if ledger and mark:
                ledger.cut(mark)
            if new:
                self.d, self.groups, self._ledger = None, None, None
            raise

    def advance(self, block: Block, points: bool, threads: int, pool: ThreadPoolExecutor) -> list[lanes.Noted]:
        """Learn from an accepted block; what every group of configurations noted of it."""
        noted = self.to_note(block.n_tasks, np.empty((2, block.n if points else 0, len(self))))
        self.stream(block.X, block.y, block.offsets, noted, threads, pool)
        return noted

    def to_note(self, tasks: int, points: Array) -> list[lanes.Noted]:
        """Room for what every group of configurations notes of tasks, and of points (2, n, C), if n is not 0."""
        noted, column = [], 0
        for group in self.groups or ():
            C = len(group.members)
            accounts = tuple(np.empty((tasks * len(each), C)) for each in group.kept) if self.certificates else ()
            noted.append(lanes.Noted(points[0], points[1], column, accounts, np.empty((tasks, C))))
            column += C
        return noted

    def stream(
        self, X: Array, y: Array, offsets: Any, noted: Sequence[lanes.Noted], threads: int, pool: ThreadPoolExecutor
    ) -> None:
        """Learn from the whole tasks of some accepted rows."""
        mapped = self.M is not None
        Z = X if not mapped else X @ self.M if self.M.ndim == 2 else X * self.M

        def part(group: Group, noted: lanes.Noted, share: int, start: int, stop: int) -> None:
            first = self.configurations[group.members[0]]
            lanes.run(
                self.loss, first.inner, moving(first.outer), first.update == "point", mapped, X, Z, y, offsets,
                self.centre, group.lanes.between(start, stop), self._scratch[share], noted, start,
            )  # fmt: skip

        for group, each in zip(self.groups or (), noted, strict=True):
            blocks = len(group.lanes.rows)
            shares = min(threads, blocks)
            self._scratch += [lanes.scratch(mapped) for _ in range(shares - len(self._scratch))]
            cuts = [blocks * k // shares for k in range(shares + 1)]
            if shares == 1:
                part(group, each, 0, 0, blocks)
            else:
                same = (itertools.repeat(some) for some in (group, each))
                list(pool.map(part, *same, range(shares), cuts[:-1], cuts[1:]))
        self._points += len(y)

    @property
    def biases(self) -> Array:
        """The bias of each configuration as it stands, (C, d)."""
        _ = self.ledger
        centre = self.centre
        found = np.empty((len(self), len(centre)))
        for group in self.groups or ():
            for place, number in enumerate(group.members):
                _, outer, update = self.configurations[number]
                total, play, meta, _ = group.state(place)
                found[number] = play if update == "task" else centre - reach_of(outer, meta) * total
        return found

    def of_points(self, noted: Sequence[lanes.Noted]) -> tuple[Array, Array]:
        """Losses and predictions (n, C) of the points that the groups noted, in the order of the configurations."""
        losses, predictions = noted[0].losses, noted[0].predictions
        order = [number for group in self.groups or () for number in group.members]
        if order != list(range(len(order))):
            places = np.argsort(order)
            losses, predictions = losses[:, places], predictions[:, places]
        return losses, predictions

    def begun(self, number: int) -> OnlineWithinOnline:
        """The learner of a configuration, before any data."""
        geometry = None if self._metric is None else Fixed()
        configuration = self.configurations[number]
        return OnlineWithinOnline(self.loss, *configuration, geometry=geometry, bias=self.centre, metric=self._metric)

    def learner(self, number: int) -> OnlineWithinOnline:
        """The learner of a configuration as it stands, to adapt to tasks, to predict, or to go on alone.

        Raises ``FloatingPointError`` for a configuration that overflowed, ``ValueError`` without certificates.
        """
        ledger = self.ledger[number]
        learner = self.begun(number)
        assert self.groups is not None
        group = next(each for each in self.groups if number % len(self) in each.members)
        total, play, meta, tally = group.state(group.members.index(number % len(self)))
        learner._total[:], learner._theta[:], learner._meta[:], learner._tally[:] = total, play, meta, tally
        learner._clock[:] = self._points, len(ledger), 0
        learner._ledger = ledger
        return learner


def _several(laws: Any) -> list[Any]:
    """One law or several, as a list."""
    if laws is None:
        return [CoinBetting()]
    return [laws] if is_record(laws) or not isinstance(laws, Iterable) else [as_law(each, "law") for each in laws]
