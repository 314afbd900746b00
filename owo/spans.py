"""A ledger of bounded size: a row for a span of tasks, whose length doubles whenever there are too many rows.

Everything a certificate against one vector of weights for all tasks needs is a sum over tasks, or a number as it
stands at a boundary; so the rows of neighbouring spans can be added up, and the bound stays exact at the boundaries
that are left. What is lost is what belongs to single tasks: their losses, their keys, comparators with weights of
their own for each.
"""

from __future__ import annotations

import os
from collections.abc import Hashable, Sequence
from typing import Any, NoReturn

import numpy as np

from owo import kernels
from owo._record import kernel, part
from owo.geometry.identity import Spent
from owo.geometry.stages import Stages
from owo.kernels import ACCOUNT, EXCESS, MARGIN, ROUNDS, SLACK, SQUARES, compensated
from owo.laws import Account
from owo.ledger import Array, Ledger, _positions

ROWS = 2048
"""Rows that there are at most."""

_WIDTH = len(ACCOUNT)
_TASKS = _WIDTH
_TALLY = _TASKS + kernels.PENDING + 1
_MOVES = _TALLY + _WIDTH
CARRY, AT_BIAS, MARGINS, ENDED = range(_MOVES + 2, _MOVES + 6)
"""What the sum of losses lost by rounding; the sums of B at distance 0 and of |margin|; tasks that had ended."""
COLUMNS = ENDED + 1


@part
def _join(row, new):
    """One span that takes in the next: sums are added, all else is as it stands after the later."""
    for k in range(row.shape[0]):
        if k == ROUNDS or k == SLACK or k == MARGIN or k == EXCESS or k == SQUARES or k == AT_BIAS or k == MARGINS:
            row[k] += new[k]
        elif k == _TASKS:
            row[k], row[CARRY] = compensated(row[k], row[CARRY] + new[CARRY], new[k])
        elif k != CARRY:
            row[k] = new[k]


@kernel
def fold(rows, count, news):
    """Add tasks (m, COLUMNS) one by one to rows (ROWS, COLUMNS); ``count`` has the rows in use and tasks a row."""
    for k in range(news.shape[0]):
        new = news[k]
        at = count[0] - 1
        ended = rows[at, ENDED] if at >= 0 else 0.0
        if at >= 0 and ended < count[0] * count[1]:
            _join(rows[at], new)
            rows[at, ENDED] = ended + 1.0
            continue
        if count[0] == rows.shape[0]:
            for r in range(rows.shape[0] // 2):
                rows[r] = rows[2 * r]
                _join(rows[r], rows[2 * r + 1])
                rows[r, ENDED] = rows[2 * r + 1, ENDED]
            count[0] //= 2
            count[1] *= 2
        rows[count[0]] = new
        rows[count[0], ENDED] = ended + 1.0
        count[0] += 1


class SpanLedger(Ledger):
    """As ``Ledger``, with a row for each span of tasks: at most ``ROWS`` rows, however many tasks end.

    Arrays have an entry for each span: (P,). Spans have equal lengths, a power of 2, but for the last;
    ``tasks_ended`` says how many tasks had ended at the end of each. ``losses`` and ``rounds`` are those of the span,
    cumulative quantities stand at its end, and certificates are exact there.

    A comparator has one vector of weights for all tasks, ``hindsight.Comparator(name, w, w[None], losses)``, or is
    another ``SpanLedger`` of the same stream, of a learner that is only the reference.

    Examples
    --------
    >>> import owo
    >>> tasks = [([[1.0], [1.0]], [2.0, 3.0])] * 5000
    >>> ledger = owo.OnlineWithinOnline(owo.Absolute(), history="spans").run(tasks)
    >>> len(ledger), ledger.tasks_ended[:3].tolist(), int(ledger.rounds.sum())
    (1250, [4, 8, 12], 10000)
    """

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self.rows = np.zeros((ROWS, COLUMNS))
        self.count = np.array([0, 1])

    def append(self, keys: Sequence[Hashable], codes: Any, written: kernels.Written, at: Array) -> None:
        """Add the tasks that ended in a run, as ``Ledger.append``; keys are not kept."""
        if len(written.stages):
            self.note_stages(written, len(codes), self.n_tasks)
        self.tables["path"].append(written.path)
        self.tables["path_tasks"].append(at)
        if not len(codes):
            return
        news = np.zeros((len(codes), COLUMNS))
        news[:, :_TASKS], news[:, _TASKS:_TALLY] = written.accounts, written.tasks
        news[:, _TALLY:_MOVES] = written.tallies
        if len(written.moves):
            news[:, _MOVES:CARRY] = written.moves
        account = Account(*written.accounts.T)
        if not self.geometry.learns:
            news[:, AT_BIAS] = self.inner.bound(account, np.zeros(len(codes)))
        news[:, MARGINS] = np.abs(account.margin)
        fold(self.rows, self.count, news)

    @property
    def _filled(self) -> Array:
        return self.rows[: self.count[0]]

    @property
    def n_tasks(self) -> int:
        """Number of tasks that ended."""
        return int(self._filled[-1, ENDED]) if len(self) else 0

    @property
    def tasks_ended(self) -> Any:
        """Number of tasks that had ended at the end of each span, (P,)."""
        return self._filled[:, ENDED].astype(np.int64)

    def __len__(self) -> int:
        """Return the number of spans."""
        return int(self.count[0])

    def __repr__(self) -> str:
        if not len(self):
            return f"<SpanLedger of {self.description}: no task has ended>"
        return (
            f"<SpanLedger of {self.description}: {self.n_tasks} tasks in {len(self)} spans, "
            f"{int(self.rounds.sum())} points, mean loss {self.average_loss()[-1]:.6g}>"
        )

    @property
    def keys(self) -> list[Hashable]:
        """How many tasks had ended at the end of each span, which is what there is to name it."""
        return list(self.tasks_ended.tolist())

    @property
    def account(self) -> Account:
        """Sums over the tasks of each span; ``scale`` and ``pull`` of its last task."""
        return Account(*self._filled[:, :_TASKS].T)

    @property
    def tally(self) -> Account:
        return Account(*self._filled[:, _TALLY:_MOVES].T)

    @property
    def losses(self) -> Array:
        """Summed loss of each span, (P,)."""
        return np.asarray(self._filled[:, _TASKS + kernels.LOSS] + self._filled[:, CARRY])

    @property
    def rounds(self) -> Array:
        """Points of each span, (P,)."""
        return self._filled[:, ROUNDS]

    @property
    def overlap(self) -> Array:
        return self._filled[:, _TASKS + kernels.OVERLAP]

    @property
    def pending(self) -> Array:
        return self._filled[:, _TASKS + kernels.PENDING]

    def _at_bias(self) -> Array:
        return self._filled[:, AT_BIAS]

    def _moves(self) -> Array:
        return self._filled[:, _MOVES:CARRY]

    def _apart(self, comparator: Any) -> tuple[Array, Array]:
        bias, weights = _positions(comparator)
        d = len(self.centre)
        if bias.shape != (d,) or weights.shape[1:] != (d,) or (weights != bias).any():
            raise ValueError(
                f"comparator has bias {bias.shape} and weights {weights.shape}; a ledger of spans knows what one "
                f"vector of weights for all tasks costs, which is the bias too: bias=w ({d},), weights=w[None]. "
                "For weights of their own for each task make the learner with history='tasks'"
            )
        return bias, np.zeros((len(self), d))

    def _spent(self) -> Spent:
        stages = _AtEnds(self.stages, self.tasks_ended)
        return Spent(self.metric, stages, self._moves()[:, 0], np.ones(len(self)))

    def _order_of(self, comparator: Any) -> Any:
        theirs = list(getattr(comparator, "keys", ()))
        if theirs and not (isinstance(comparator, SpanLedger) and theirs == self.keys):
            raise ValueError(
                "comparator knows its tasks by keys, and a ledger of spans keeps none: give losses summed over each "
                "span, without keys, or another ledger of spans over the same stream"
            )
        return slice(None)

    def _margins(self) -> Array:
        return self._filled[:, MARGINS]

    def save(self, path: str | os.PathLike[str]) -> NoReturn:
        """Raise ``ValueError``: a ledger of spans is saved with its learner."""
        raise ValueError("a ledger of spans is saved with its learner: learner.save(path)")


class _AtEnds(Stages):
    """The stages of a run, looked up at the ends of spans."""

    def __init__(self, stages: Stages, ends: Any) -> None:
        super().__init__(stages.columns)
        self._spent, self._tasks, self._ends = stages._spent, stages._tasks, ends

    def by_task(self, values: Array, tasks: int) -> Array:
        found: Array = values[np.searchsorted(self.tasks, self._ends)]
        return found
