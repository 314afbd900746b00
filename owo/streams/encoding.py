"""Features and labels on a common scale, fitted on the beginning of a stream only."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from owo.streams.block import Block, count
from owo.streams.codes import Codes, numbered
from owo.streams.points import Floats, as_points, as_rows, real, refuse_nonfinite


@dataclass(frozen=True)
class Encoding:
    """Rows of norm 1 from standardised columns, and labels in standard deviations, or as signs.

    A row x becomes ``z / |z|`` with ``z_j = (x_j - mean_j) / scale_j``, and a last entry 1 before the division if
    ``intercept``. A label y becomes ``(y - centre) / width``; for classification +1 where ``y > centre``, else -1.
    Make one with ``fit``, which looks at the beginning of a stream and at nothing later.

    Parameters
    ----------
    mean, scale : d numbers each, in the columns' units
    intercept : whether a column of ones is added
    centre, width : in units of y
    classification : whether labels become signs
    tasks, points : number of tasks and of points it was fitted on, the first that came
    whole : whether these were whole tasks; else tasks were mixed, and points were counted

    Examples
    --------
    >>> X, y, task = [[1990.0, 0.0], [2000.0, 1.0], [2010.0, 1.0]], [5.0, 7.0, 9.0], [0, 0, 1]
    >>> encoding = Encoding.fit(X, y, task, fraction=1.0)
    >>> encoding.mean, encoding.intercept, encoding.centre
    ((2000.0, 0.0), True, 7.0)
    >>> encoding.transform([[2000.0, 0.0]])
    array([[0., 0., 1.]])
    """

    mean: tuple[float, ...]
    scale: tuple[float, ...]
    intercept: bool
    centre: float
    width: float
    classification: bool
    tasks: int
    points: int
    whole: bool

    @classmethod
    def fit(
        cls,
        X: Any,
        y: ArrayLike,
        task: ArrayLike | Sequence[Any],
        fraction: float = 0.1,
        *,
        least: int = 10,
        classification: bool = False,
        intercept: bool | None = None,
    ) -> Encoding:
        """Take means and scales from the beginning of a stream, whose rows come in the order in which they arrive.

        That is the first tasks if the rows of each stand together, and else the first rows: where tasks are mixed, the
        first of them may go on to the last row. In these, columns of 0 and 1, or of -1 and +1, keep mean 0 and scale 1;
        so does an intercept, a column of ones. Other columns get their mean and standard deviation, constant ones
        scale 1. ``centre`` and ``width`` are mean and standard deviation of y; for classification ``centre`` is the
        median, or between the two values of y, or 0 if the only value is -1, 0 or 1.

        Parameters
        ----------
        X : array (n, d)
        y : array (n,)
        task : (n,) ids of any kind
        fraction : which part of the tasks (if mixed, of the rows) is looked at, above 0, at most 1 (all: not online,
            for comparisons only)
        least : the least number of tasks (if mixed, of rows) looked at, if there are as many
        classification : turn labels into signs
        intercept : add a column of ones; default: unless there is one

        Raises
        ------
        ValueError, TypeError
            As ``Block`` does for the rows looked at, or a ``fraction`` or ``least`` out of range.

        Examples
        --------
        >>> X, y = [[1.0], [3.0], [5.0], [900.0]], [0.0, 2.0, 4.0, -50.0]
        >>> Encoding.fit(X, y, ["a", "a", "b", "c"], fraction=0.5, least=1).basis
        '2 tasks'
        >>> mixed = Encoding.fit(X, y, ["a", "b", "a", "b"], fraction=0.5, least=1)
        >>> mixed.basis, mixed.mean
        ('2 points', (2.0,))
        """
        if not 0.0 < fraction <= 1.0:
            raise ValueError(f"fraction is {fraction}; needed a part of the stream, above 0 and at most 1")
        if least < 1:
            raise ValueError(f"least is {least}; needed at least 1 task")
        codes, _ = numbered(task, len(np.asarray(y)))
        first, whole = _beginning(codes, fraction, least)
        rows, labels = _only(X, first, "X", len(codes)), _only(y, first, "y", len(codes))
        tasks = int(codes[first].max(initial=-1)) + 1
        rows, labels = as_points(
            rows, labels, f" of the first {count(tasks, 'task') if whole else count(len(first), 'point')}"
        )
        mean, scale = _standard(rows)
        if intercept is None:
            intercept = not np.any(np.all(rows == 1.0, axis=0))
        centre, width = _standard_labels(labels, classification)
        return cls(
            tuple(mean.tolist()), tuple(scale.tolist()), bool(intercept), centre, width, classification, tasks,
            len(first), whole,
        )  # fmt: skip

    @property
    def d(self) -> int:
        """Number of features after encoding."""
        return len(self.mean) + self.intercept

    @property
    def basis(self) -> str:
        """What it was fitted on, in words: so many tasks or points, the first that came."""
        return count(self.tasks, "task") if self.whole else count(self.points, "point")

    def transform(self, X: ArrayLike) -> Floats:
        """Encoded rows (n, ``d``) of raw rows (n, d); every norm is 1, or 0 for a row of zeros without intercept."""
        return self._rows(as_rows(X))

    def _rows(self, rows: Floats) -> Floats:
        if rows.shape[1] != len(self.mean):
            raise ValueError(
                f"X has {rows.shape[1]} columns; the encoding was fitted on {len(self.mean)}. Pass the same ones"
            )
        Z = np.ones((len(rows), self.d))
        columns = Z[:, : len(self.mean)]
        with np.errstate(over="ignore"):
            np.subtract(rows, self.mean, out=columns)
            columns /= self.scale
        refuse_nonfinite(Z, "standardised X")
        with np.errstate(over="ignore"):
            squares = np.einsum("ij,ij->i", Z, Z)
        odd = np.flatnonzero(~((squares > 1e-200) & (squares < 1e200)))  # squares that overflowed or vanished
        if len(odd):
            largest = np.max(np.abs(Z[odd]), axis=1, keepdims=True)
            Z[odd] /= np.where(largest > 0.0, largest, 1.0)
            squares[odd] = np.einsum("ij,ij->i", Z[odd], Z[odd])
        Z /= np.sqrt(np.where(squares > 0.0, squares, 1.0))[:, None]
        return Z

    def target(self, y: ArrayLike) -> Floats:
        """Encoded labels (n,).

        >>> Encoding.fit([[0.0], [1.0]], [4.0, 8.0], [0, 1]).target([4.0, 10.0])
        array([-1.,  2.])
        """
        labels = real(y, "y").astype(np.float64)
        refuse_nonfinite(labels, "y")
        if self.classification:
            return np.where(labels > self.centre, 1.0, -1.0)
        with np.errstate(over="ignore"):
            return (labels - self.centre) / self.width

    def original(self, predictions: ArrayLike) -> Floats:
        """Predictions of a regression, back in units of y.

        >>> Encoding.fit([[0.0], [1.0]], [4.0, 8.0], [0, 1]).original([-1.0, 2.0])
        array([ 4., 10.])
        """
        if self.classification:
            raise ValueError(
                "this encoding is for classification, whose predictions have no units of y; take their sign"
            )
        return self.centre + self.width * np.asarray(predictions, dtype=np.float64)

    def block(self, block: Block) -> Block:
        """The block with rows and labels encoded; tasks stay as they are.

        >>> raw = Block([[0.0], [1.0]], [4.0, 8.0], [0, 1])
        >>> Encoding.fit(raw.X, raw.y, raw.task).block(raw)
        Block(2 points of 2 tasks, d = 2)
        """
        labels = self.target(block.y)
        refuse_nonfinite(labels, "standardised y")
        return Block._of(self._rows(block.X), labels, block.task, block.ends, block.keys, block.ids)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and lists, ready for JSON.

        >>> stored = Encoding.fit([[0.0], [1.0]], [4.0, 8.0], [0, 1]).to_dict()
        >>> stored["centre"], Encoding.from_dict(stored).basis
        (6.0, '2 tasks')
        """
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Encoding:
        """The encoding that ``to_dict`` described. Raises ``ValueError`` if entries are missing or unknown."""
        names = {field.name for field in fields(cls)}
        if set(stored) != names:
            raise ValueError(f"an encoding has entries {sorted(names)}; got {sorted(stored)}")
        values: dict[str, Any] = {n: tuple(v) if isinstance(v, list) else v for n, v in stored.items()}
        return cls(**values)


def _beginning(codes: Codes, fraction: float, least: int) -> tuple[Codes, bool]:
    """The rows of the first tasks, or the first rows where tasks are mixed; and which of the two."""
    whole = bool(np.all(codes[1:] >= codes[:-1]))  # codes number the tasks in the order of their first rows
    n = int(codes[-1]) + 1 if whole and len(codes) else len(codes)
    looked = min(n, max(least, math.ceil(fraction * n)))
    return np.arange(np.searchsorted(codes, looked) if whole else looked), whole


def _only(values: Any, rows: NDArray[np.int64], name: str, n: int) -> Any:
    """Some rows of anything array-like."""
    if not hasattr(values, "dtype") or not hasattr(values, "__getitem__"):
        values = real(values, name)
    if len(values) != n:
        raise ValueError(f"{name} has {len(values)} rows, task {n} ids; needed one id a row")
    return values[rows]


def _standard(rows: Floats) -> tuple[Floats, Floats]:
    """Mean and scale of each column, (d,) each."""
    indicator = np.all((rows == 0.0) | (rows == 1.0), axis=0) | np.all(np.abs(rows) == 1.0, axis=0)
    mean, scale = _moments(rows)
    return np.where(indicator, 0.0, mean), np.where(indicator, 1.0, scale)


def _standard_labels(y: Floats, classification: bool) -> tuple[float, float]:
    if not classification:
        mean, scale = _moments(y)
        return float(mean), float(scale)
    values = np.unique(y)
    if len(values) == 1 and values[0] in (-1.0, 0.0, 1.0):  # of classes only one was seen: 0 splits 0/1 and -1/+1
        return 0.0, 1.0
    return float(values.mean() if len(values) == 2 else np.median(y)), 1.0


def _moments(values: Floats) -> tuple[Floats, Floats]:
    """Mean and standard deviation down the rows; 1 for the deviation of what is constant."""
    size = np.max(np.abs(values), axis=0)
    unit = np.where(size > 0.0, size, 1.0)  # neither sums nor squares overflow
    part = values / unit
    constant = values.max(axis=0) == values.min(axis=0)
    mean = np.where(constant, values[0], part.mean(axis=0) * unit)
    return mean, np.where(constant, 1.0, part.std(axis=0) * unit)
