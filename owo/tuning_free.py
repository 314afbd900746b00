"""Online within online without a number to choose: many configurations at once, their predictions mixed online.

``TuningFree(loss)`` runs a ``Grid`` and lets AdaHedge (``owo.aggregate``) weigh what its learners predict. The mixture
loses at most what the best of them loses, beside a term that the losses themselves bound, without knowing which is
best; and independent learning is always among them, so that nothing is lost where tasks have nothing in common.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from owo import aggregate
from owo.aggregate import Mixed, Mixture
from owo.configurations import Configuration, as_configurations
from owo.doors import as_loss, as_vector, fraction, positive, whole
from owo.grid import Grid
from owo.guard import Guard, alone
from owo.iterates import adapted
from owo.lanes import Noted
from owo.laws import DualAveraging, Frozen, GrowingFTRL, Implicit
from owo.streams import Block, Task, as_blocks
from owo.streams.block import table
from owo.streams.points import as_rows
from owo.tuning_free_ledger import TuningFreeLedger

Array = NDArray[np.float64]

STRENGTHS = tuple(np.geomspace(0.03, 30.0, 8).tolist())
"""Of ``GrowingFTRL`` inside tasks, in units of loss over |w|^2."""
REACHES = tuple(np.geomspace(0.1, 3.0, 4).tolist())
"""Steps of ``Implicit`` inside tasks, in units of |w|^2 over loss; of losses of unbounded slope alone, ``WIDE``."""
WIDE = tuple(np.geomspace(1.0 / 30.0, 1.0 / 0.03, 12).tolist())
STEPS = tuple(np.geomspace(3e-4, 10.0, 15).tolist())
"""Across tasks, in units of |w|^2 over loss."""

LEAST = 1e-300
"""The least share but none."""

ROWS = 512
"""Points whose predictions are held at a time, or those of one task that is longer."""


def configurations_for(loss: Any, unit: float = 1.0) -> list[Configuration]:
    """The configurations that ``TuningFree`` takes by itself: every law inside tasks beside every step, and each alone.

    >>> import owo
    >>> laws = [type(each.inner).__name__ for each in configurations_for(owo.Absolute())]
    >>> len(laws), laws.count("Implicit"), configurations_for(owo.Squared())[0].inner
    (192, 64, Implicit(step=0.03333333333333333))
    """
    if np.isfinite(loss.lipschitz):
        inner = [*(GrowingFTRL(each / unit) for each in STRENGTHS), *(Implicit(each * unit) for each in REACHES)]
    else:
        inner = [Implicit(each * unit) for each in WIDE]
    outer = [*(DualAveraging(each * unit) for each in STEPS), Frozen()]
    return [Configuration(one, other, "point") for one in inner for other in outer]


class TuningFree:
    """A learner like ``OnlineWithinOnline`` that has no number to tune.

    It predicts ``sum_c w_c p_c``, where ``p_c`` is what configuration c predicts, and the weights come from AdaHedge.
    With ``H`` its loss and ``L_c`` that of c, its predictions kept within a range that labels so far suggest,

        H <= min_c L_c + Delta + ln K / eta

    where ``Delta`` sums mixability gaps (``owo.aggregate``); ``ledger.bound`` is beside the loss of the best
    configuration as it ran. Against any comparator the regret is at most ``min_c (certificate of c + H - L_c)``, there
    too with ``L_c`` as it ran (``ledger.certificate``).

    Parameters
    ----------
    loss : a record of ``owo.losses``, of one prediction
    configurations : list of ``(inner, outer)`` or ``(inner, outer, update)``; independent learning, with ``Frozen()``
        across tasks, is added for every law inside tasks that lacks it. Default: 8 strengths of ``GrowingFTRL`` and 4
        steps of ``Implicit`` (12 where slopes are not bounded), beside 15 steps across tasks and ``Frozen()``, spread
        over one and a half to four and a half powers of ten
    unit : what the squared norm of a task's weights is beside its loss without learning: the default configurations
        are for features and labels about 1 in size, as ``owo.streams.Encoding`` makes them, and scale with it
    share : part of all weight that is dealt out equally after every point, 0 <= share < 1 (fixed share): the best
        configuration may then change over time, at a price of about ``-ln(1 - share)`` over eta a point. Default: .001;
        0 for a loss of your own that is least elsewhere than at ``p = y`` and takes other labels than signs, for whose
        predictions no range is known
    bias : array (d,), where all begin; default zeros
    metric : M inside tasks, as for ``Grid``; default 1
    certificates : whether to keep what certificates need, as for ``Grid``

    Raises
    ------
    TypeError, ValueError
        As ``Grid``; a share outside [0, 1), a unit that is not above 0.

    Examples
    --------
    >>> import owo
    >>> learner = owo.TuningFree(owo.Absolute())
    >>> ledger = learner.run([([[1.0], [1.0]], [2.0, 3.0])] * 30)
    >>> best = ledger.configurations.losses.sum(axis=0).min()
    >>> bool(ledger.losses.sum() <= best + ledger.bound[-1]), len(ledger.leaders(3))
    (True, 3)
    """

    def __init__(
        self, loss: Any, configurations: Iterable[Any] | None = None, *, unit: float = 1.0, share: float | None = None,
        bias: ArrayLike | None = None, metric: ArrayLike | None = None, certificates: bool = True,
    ) -> None:  # fmt: skip
        if configurations is None:
            some = configurations_for(as_loss(loss), positive(unit, "unit"))
        else:
            some = _with_independent(configurations)
        self.grid = Grid.of(loss, some, bias=bias, metric=metric, certificates=certificates)
        self.loss = self.grid.loss
        self._within = _range_of(self.loss)
        usual = 0.0 if self._within == aggregate.ANYTHING else 1e-3
        self.share = usual if share is None else fraction(share, "share")
        if 0.0 < self.share < LEAST:
            raise ValueError(f"share is {share!r}; needed 0, or at least {LEAST}, whose logarithm can be told")
        self._mixture = Mixture.begun(len(self.grid))
        self._ledger, self._guard = TuningFreeLedger(self.grid), Guard()

    def __repr__(self) -> str:
        return f"<TuningFree of {len(self.grid)} configurations, {self.loss!r}>"

    @property
    def ledger(self) -> TuningFreeLedger:
        """What happened so far."""
        return self._ledger

    @property
    def configurations(self) -> list[Configuration]:
        """Those whose predictions are mixed."""
        return self.grid.configurations

    @property
    def weights(self) -> Array:
        """How much each configuration counts in the next prediction, (C,); they sum to one."""
        return self._mixture.normalised()

    @property
    def bias(self) -> Array:
        """The bias from which a new task begins, (d,): the configurations' biases, weighed.

        Those whose predictions lately left the range count in predictions, which are kept within it, but not here: the
        bias of a configuration that diverges may be anything. Raises ``ValueError`` before any data, unless ``bias``
        was given.
        """
        if self.grid.d is None:
            raise ValueError("the bias has no dimension before any data: call run first, or pass bias=")
        trusted = self._mixture.trusted()
        counts = trusted > 0.0
        return np.asarray(trusted[counts] @ self.grid.biases[counts])

    @alone
    def run(
        self, stream: Block | Task | Iterable[Any], *, points: bool = False, weights: bool = False, threads: int = 1
    ) -> TuningFreeLedger:
        """Predict, suffer, learn: all configurations and their weights.

        Parameters
        ----------
        stream : as for ``Grid.run``: tasks one after another, each whole, of dense points
        points : keep the loss, prediction and label of every point in ``ledger.points``
        weights : keep the weights after every task in ``ledger.weights``: 8 bytes a task and configuration
        threads : that share the configurations; no number depends on them

        Returns
        -------
        TuningFreeLedger
            The learner's own ledger, with everything it has seen since it was made.

        Raises
        ------
        ValueError, TypeError
            As ``Grid.run``; the block they are in leaves no trace.
        FloatingPointError
            All configurations overflowed; likewise without a trace.
        """
        threads = whole(threads, "threads", 1)
        empty = True
        with ThreadPoolExecutor(threads) as pool:
            for block in as_blocks(stream, len(self._ledger)):
                empty = False
                before, mark = self._mixture.copied(), self._ledger.mark()
                try:
                    with self.grid.undoing():
                        self.grid.accept(block)
                        noted, mixed = self._advance(block, points, weights, threads, pool)
                        self._ledger.append(block, noted, mixed, self._mixture)
                except BaseException:
                    self._mixture = before
                    self._ledger.cut(mark)
                    raise
        if empty:
            raise ValueError("the stream is empty; needed at least one task (has a generator been used up before?)")
        return self._ledger

    def _advance(
        self, block: Block, points: bool, weights: bool, threads: int, pool: ThreadPoolExecutor
    ) -> tuple[list[Noted], Mixed]:
        """Learn from a block: some whole tasks at a time, through all configurations and then through the mixture."""
        K, offsets = len(self.grid), block.offsets
        noted = self.grid.to_note(block.n_tasks, np.empty((2, 0, 0)))
        loss, prediction = np.empty((2, block.n if points else 0))
        mixed = Mixed(loss, prediction, np.empty((block.n_tasks, 4)), np.empty((block.n_tasks if weights else 0, K)))
        room = np.empty((2, 0, K))
        for first, last in _parts(offsets):
            start, stop = int(offsets[first]), int(offsets[last])
            if stop - start > room.shape[1]:
                room = np.empty((2, stop - start, K))
            some, places = room[:, : stop - start], offsets[first : last + 1] - start
            part = [each.of_tasks(first, last, some) for each in noted]
            self.grid.stream(block.X[start:stop], block.y[start:stop], places, part, threads, pool)
            done = aggregate.mix(
                self.loss, self.share, self._within, *self.grid.of_points(part), block.y[start:stop], places,
                self._mixture, mixed.part(slice(start, stop), slice(first, last)),
            )  # fmt: skip
            if done < stop - start:
                raise FloatingPointError(
                    f"no configuration is left at row {start + done} of task {block.keys[block.task[start + done]]!r}: "
                    "all overflowed, so nothing of this block was learned. Scale the features"
                )
        if self.grid.ledger.failed.all():
            raise FloatingPointError(
                f"the sums of gradients of all configurations overflowed in a block that ends with task "
                f"{block.keys[-1]!r}, so nothing of it was learned. Scale the features"
            )
        return noted, mixed

    # ------------------------------------------------------------------------------------------------ predicting

    def adapt(self, X: ArrayLike, y: ArrayLike, *, average: bool = False) -> Array:
        """Weights (d,) after one pass over a new task: each configuration's, as for ``bias``; the learner stays.

        See ``OnlineWithinOnline.adapt``.
        """
        rows, labels = table(X, y)
        block = Block(rows, labels, np.zeros(len(rows), np.int64), keys=("new",))
        return np.array(self.adapt_each(block, average=average)[0])

    def adapt_each(self, stream: Block | Task | Iterable[Any], *, average: bool = False) -> Array:
        """As ``adapt``, for every task of a stream on its own: weights (T, d), in order of beginning."""
        found = []
        for block in as_blocks(stream):
            self.grid.refuse(block)
            M = self.grid.matrix(block.d)
            metric = np.ones(1) if M is None else M
            trusted, total = self._mixture.trusted(), np.zeros((block.n_tasks, block.d))
            biases = self.grid.biases if self.grid.d is not None else np.zeros((len(self.grid), block.d))
            for number in np.flatnonzero(trusted):
                inner = self.configurations[number].inner
                total += trusted[number] * adapted(self.loss, inner, block, biases[number], metric, average)
            found.append(total)
        if not found:
            raise ValueError("the stream is empty; needed at least one task (has a generator been used up before?)")
        return np.concatenate(found)

    def predict(self, X: ArrayLike, *, weights: ArrayLike | None = None) -> Array:
        """Predictions (n,) for rows (n, d): with given ``weights`` (d,), else those for the first point of a new task.

        These are mixed as in ``run``, each configuration's kept within the range. Before any data they are zero.
        """
        rows = as_rows(X)
        if weights is not None:
            return np.asarray(rows @ as_vector(weights, "weights", rows.shape[1]))
        if self.grid.d is None:
            return np.zeros(len(rows))
        if rows.shape[1] != self.grid.d:
            raise ValueError(f"X has {rows.shape[1]} features; this learner has {self.grid.d}")
        shares, (low, high) = self.weights, aggregate.limits(self._within, self._mixture.numbers)
        counts, found = shares > 0.0, np.empty(len(rows))
        biases = self.grid.biases[counts].T
        for start in range(0, len(rows), ROWS):
            with np.errstate(over="ignore", invalid="ignore"):
                each = np.nan_to_num(rows[start : start + ROWS] @ biases, nan=0.0, posinf=np.inf, neginf=-np.inf)
            found[start : start + ROWS] = each.clip(low, high) @ shares[counts]
        return found


def _range_of(loss: Any) -> int:
    """Within what predictions are kept; see ``owo.aggregate``."""
    some = [y for y in (-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0) if loss.accepts(y)]
    if some == [-1.0, 1.0]:
        return aggregate.MARGINS
    near = all(loss.value(y, y) <= min(loss.value(y - 0.1, y), loss.value(y + 0.1, y)) for y in some)
    return aggregate.LABELS if near else aggregate.ANYTHING


def _with_independent(configurations: Iterable[Any]) -> list[Configuration]:
    """The configurations, and independent learning by every law inside tasks."""
    some = as_configurations(configurations)
    alone = [each.inner for each in some if isinstance(each.outer, Frozen)]
    for each in list(some):
        if each.inner not in alone:
            alone.append(each.inner)
            some.append(Configuration(each.inner, Frozen(), each.update))
    return some


def _parts(offsets: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Whole tasks, about ``ROWS`` points at a time: the first of them, and the one after the last."""
    task = 0
    while task < len(offsets) - 1:
        after = int(np.searchsorted(offsets, offsets[task] + ROWS, side="right")) - 1
        yield task, max(after, task + 1)
        task = max(after, task + 1)
