"""Many configurations of ``OnlineWithinOnline`` in one pass over the data, each with its own ledger.

Configurations whose laws are of the same kind run side by side, as lanes of one compiled pass (``owo.lanes``); their
numbers are those of separate runs, but for rounding.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from owo import kernels, lanes
from owo._record import is_record
from owo.abreast import WIDTH
from owo.doors import as_law, as_loss, as_vector, refuse_labels, refuse_open, whole
from owo.geometry import Fixed
from owo.geometry.matrices import as_psd
from owo.growing import Growing
from owo.guard import Guard, alone
from owo.iterates import reach_of
from owo.laws import CoinBetting, DualAveraging, Frozen
from owo.ledger import Ledger
from owo.online import OnlineWithinOnline
from owo.streams import Block, Task, as_blocks
from owo.streams.points import real
from owo.streams.sparse import SparseRows

Array = NDArray[np.float64]

NUMBERS = len(kernels.ACCOUNT)
"""Of an account."""


class Configuration(NamedTuple):
    """What one learner of a grid is made of: see ``OnlineWithinOnline``."""

    inner: Any
    outer: Any
    update: Literal["task", "point"] = "point"


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
    certificates : whether to keep what certificates need: 112 bytes a task and configuration, beside 8 for its loss,
        and up to a third of the time

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
                inside[id(one)] = _kind(one)
            if id(other) not in across:
                across[id(other)] = _kind(_moving(other))
            kind = inside[id(one)], across[id(other)], update if isinstance(update, str) else None
            if kind not in self._kinds:  # numbers of a law were checked where it was made
                OnlineWithinOnline(self.loss, *each)  # refuses what it cannot use
            self._kinds.setdefault(kind, []).append(number)
        self.certificates = bool(certificates)
        self._guard = Guard()
        self._scratch: list[lanes.Scratch] = []
        self._metric = None if metric is None else np.array(real(metric, "metric"))
        self.M: Any = None
        self._groups: list[_Group] | None = None
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
        self._groups = [
            _Group.of(self.configurations, members, centre, self.M is not None) for members in self._kinds.values()
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
        new, groups, ledger = self.d is None, self._groups or [], self._ledger
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
                self.d, self._groups, self._ledger = None, None, None
            raise

    def advance(self, block: Block, points: bool, threads: int, pool: ThreadPoolExecutor) -> list[lanes.Noted]:
        """Learn from an accepted block; what every group of configurations noted of it."""
        noted = self.to_note(block.n_tasks, np.empty((2, block.n if points else 0, len(self))))
        self.stream(block.X, block.y, block.offsets, noted, threads, pool)
        return noted

    def to_note(self, tasks: int, points: Array) -> list[lanes.Noted]:
        """Room for what every group of configurations notes of tasks, and of points (2, n, C), if n is not 0."""
        noted, column = [], 0
        for group in self._groups or ():
            C = len(group.members)
            accounts = tuple(np.empty((2, tasks * NUMBERS, C))) if self.certificates else ()
            noted.append(lanes.Noted(points[0], points[1], column, accounts, np.empty((tasks, C))))
            column += C
        return noted

    def stream(
        self, X: Array, y: Array, offsets: Any, noted: Sequence[lanes.Noted], threads: int, pool: ThreadPoolExecutor
    ) -> None:
        """Learn from the whole tasks of some accepted rows."""
        mapped = self.M is not None
        Z = X if not mapped else X @ self.M if self.M.ndim == 2 else X * self.M

        def part(group: _Group, noted: lanes.Noted, share: int, start: int, stop: int) -> None:
            first = self.configurations[group.members[0]]
            lanes.run(
                self.loss, first.inner, _moving(first.outer), first.update == "point", mapped, X, Z, y, offsets,
                self.centre, group.lanes.between(start, stop), self._scratch[share], noted, start,
            )  # fmt: skip

        for group, each in zip(self._groups or (), noted, strict=True):
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
        for group in self._groups or ():
            for place, number in enumerate(group.members):
                _, outer, update = self.configurations[number]
                total, play, meta, _ = group.state(place)
                found[number] = play if update == "task" else centre - reach_of(outer, meta) * total
        return found

    def of_points(self, noted: Sequence[lanes.Noted]) -> tuple[Array, Array]:
        """Losses and predictions (n, C) of the points that the groups noted, in the order of the configurations."""
        losses, predictions = noted[0].losses, noted[0].predictions
        order = [number for group in self._groups or () for number in group.members]
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
        assert self._groups is not None
        group = next(each for each in self._groups if number % len(self) in each.members)
        total, play, meta, tally = group.state(group.members.index(number % len(self)))
        learner._total[:], learner._theta[:], learner._meta[:], learner._tally[:] = total, play, meta, tally
        learner._clock[:] = self._points, len(ledger), 0
        learner._ledger = ledger
        return learner


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
        self._tables: list[tuple[list[Array], list[Array]]] = [([], []) for _ in grid._groups or ()]

    def append(self, block: Block, noted: Sequence[lanes.Noted]) -> None:
        """Add the tasks of a block, and its points if they were noted."""
        groups = self._grid._groups or []
        in_order = len(groups) == 1  # the members of one group are all configurations
        losses = noted[0].tasks if in_order else np.empty((block.n_tasks, len(self._grid)))
        for group, rows, tables in zip(groups, noted, self._tables, strict=True):
            if not in_order:
                losses[:, group.columns] = rows.tasks
            for table, kept in zip(tables, rows.accounts, strict=False):
                table.append(kept)
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
        for group in self._grid._groups or ():
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
        inner, outer, _ = self.configurations[number]
        number %= len(self)
        if self.failed[number]:
            raise FloatingPointError(f"configuration {number} overflowed: {inner!r}, {outer!r}; take smaller steps")
        if not self._grid.certificates:
            raise ValueError(
                "this grid keeps losses only (certificates=False), so a configuration has no ledger of its own"
            )
        ledger = self._grid.begun(number).ledger
        for group, (accounts, tallies) in zip(self._grid._groups or (), self._tables, strict=True):
            if number in group.members and accounts:
                place = group.members.index(number)
                written = kernels.room(0, len(self._keys), 0, len(self._grid.centre))
                written.accounts[:] = np.concatenate([each[:, place] for each in accounts]).reshape(-1, NUMBERS)
                written.tallies[:] = np.concatenate([each[:, place] for each in tallies]).reshape(-1, NUMBERS)
                written.tasks[:] = 0.0
                written.tasks[:, kernels.LOSS] = self.losses[:, number]
                ledger.append(self._keys, range(len(self._keys)), written, np.empty((0, 1)))
        return ledger


@dataclass
class _Group:
    """Configurations of the same kind."""

    members: list[int]
    lanes: lanes.Lanes
    at_meta: int
    states: int
    """numbers of the state across tasks"""

    @classmethod
    def of(cls, configurations: Sequence[Configuration], members: list[int], centre: Array, mapped: bool) -> _Group:
        """Their lanes, before any data."""
        pairs = [(configurations[number].inner, _moving(configurations[number].outer)) for number in members]
        at_meta, after, _ = lanes.places(*pairs[0])
        return cls(members, lanes.begin(pairs, centre, mapped), at_meta, after - at_meta)

    @property
    def columns(self) -> Any:
        """The members, as a slice if they follow one another."""
        first, last = self.members[0], self.members[-1]
        return slice(first, last + 1) if last - first == len(self.members) - 1 else self.members

    def numbers(self, row: int) -> Array:
        """A row of scalars, one a member."""
        rows = self.lanes.rows.reshape(len(self.lanes.rows), -1, WIDTH)[:, row]
        return np.asarray(rows.ravel()[: len(self.members)])

    def state(self, place: int) -> tuple[Array, Array, Array, Array]:
        """G, theta, state and account of the learner across tasks."""
        block, lane = divmod(place, WIDTH)
        rows, total, play = (
            each[block].reshape(-1, WIDTH)[:, lane] for each in (self.lanes.rows, self.lanes.total, self.lanes.play)
        )
        return total, play, rows[self.at_meta : self.at_meta + self.states], rows[lanes.OF_STREAM :][:NUMBERS]


def as_configurations(values: Iterable[Any]) -> list[Configuration]:
    """Configurations from ``(inner, outer)`` or ``(inner, outer, update)``; a law that is None is ``CoinBetting()``."""
    if not isinstance(values, Iterable):
        raise TypeError(f"configurations is {values!r:.100}; needed a list of {_NEEDED}")
    found = []
    for number, each in enumerate(values):
        if not isinstance(each, (tuple, list)) or is_record(each) or not 2 <= len(each) <= 3:
            raise TypeError(f"configuration {number} is {each!r:.100}; needed {_NEEDED}")
        inner, outer = (CoinBetting() if law is None else law for law in each[:2])
        found.append(Configuration(inner, outer, *each[2:]))
    return found


_NEEDED = "(inner, outer) or (inner, outer, update), such as (owo.GrowingFTRL(1.0), owo.DualAveraging(0.1))"


def _several(laws: Any) -> list[Any]:
    """One law or several, as a list."""
    if laws is None:
        return [CoinBetting()]
    return [laws] if is_record(laws) or not isinstance(laws, Iterable) else [as_law(each, "law") for each in laws]


def _moving(outer: Any) -> Any:
    """A law across tasks as lanes take it: one that never moves is one with a step of 0, and shares their lanes."""
    return tuple.__new__(DualAveraging, (0.0,)) if isinstance(outer, Frozen) else outer


def _kind(record: Any) -> Any:
    """What has to be the same for two records to be lanes of one pass: all but their numbers; None if it is none."""
    if not is_record(record):
        return None
    parts = tuple(
        _kind(each) if is_record(each) else None if isinstance(each, float) else each for each in record
    )  # fmt: skip
    return type(record), parts
