"""What every geometry has, and the one that leaves the metric alone."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from owo._record import Class, record
from owo.geometry.stages import Stages
from owo.rows import meet

Array = NDArray[np.float64]


class Metric(NamedTuple):
    """What a run keeps of M, arrays of K numbers (1 for a scalar, d for a diagonal)."""

    play: Array
    """M as it stands"""
    initial: Array
    total: Array
    """sum of gradients"""
    states: Array
    """of the laws, (K, s)"""
    spent: Array
    """(2 K,): the sum of the B of all tasks, and 1 / c of every coordinate"""
    sums: Array
    """(2,): slack; and ``sum <H, M_begin - M_end>``, what it cost that M moved while tasks were open"""


class Begun(NamedTuple):
    """How a geometry begins a run."""

    seen: Any
    """the record that kernels see"""
    metric: Metric
    map: Any = None
    """``matrices.Map``, where M is a matrix"""


class Spent(NamedTuple):
    """What a ledger of T tasks kept of a metric that was learned: see ``geometry.bound``."""

    initial: Array
    """M at the start"""
    stages: Stages
    slack: Array
    """of the learner of M, summed up, (T,)"""
    scales: Array
    """c of the learners inside the tasks, (T,)"""


def geometry(cls: Class) -> Class:
    """Make a ``NamedTuple`` class a geometry; what it does not define it has from ``Identity``."""
    for name in KERNEL_METHODS:
        if not hasattr(cls, name):
            setattr(cls, name, vars(Identity)[name])
    return record(cls)


KERNEL_METHODS = ("begin", "look", "square", "note", "move", "trace", "sound", "write")
"""What kernels ask of a geometry; ``Identity`` says what each is."""


def norm(vectors: Array) -> Any:
    """Euclidean norms along the last axis; squares neither overflow nor vanish."""
    largest = np.abs(vectors).max(axis=-1, initial=0.0)
    scale = np.where(largest > 0.0, largest, 1.0)
    return scale * np.linalg.norm(vectors / scale[..., None], axis=-1)


def no_metric() -> Metric:
    """What a kernel is handed where it keeps nothing of M."""
    none = np.empty(0)
    return Metric(none, none, none, np.empty((0, 0)), none, none)


@record
class Identity(NamedTuple):
    """``M = I``: the bias alone is learned, as in the core; every method is what a kernel asks of a geometry."""

    @property
    def learns(self) -> bool:
        return False

    def stage(self, width: int) -> int:
        return 0

    def begun(self, d: int, initial: Any) -> Begun:
        if initial is not None:
            raise ValueError(
                "metric was given, but the geometry is Identity; pass geometry=owo.geometry.Scalar() or another one"
            )
        return Begun(self, no_metric())

    def distances(self, apart: Array, metric: Array) -> Array:
        return norm(apart)

    def begin(self, metric: Metric, own: Array) -> None:
        """A task begins: remember M."""

    def look(self, X: Any, Z: Any, r: int, theta: Array, q: Array, own: Array) -> tuple[float, float, float, float]:
        """``<x, theta>, <x, M q>, |x|_M^2, |x|^2``."""
        base, along, x2 = meet(X, r, theta, q)
        return base, along, x2, x2

    def square(self, q: Array, own: Array, norm2: float) -> float:
        """``|q|_M^2``; ``norm2`` is ``|q|^2``."""
        return norm2

    def note(
        self, X: Any, r: int, q: Array, own: Array, s: float, scale: float, half: float, hints: Array, slopes: Array
    ) -> None:
        """Row r had slope s at the scale c; ``half = c s^2 / 2``: remember what M will learn from."""

    def move(self, account: Any, own: Array, hints: Array, overlaps: bool, metric: Metric) -> None:
        """A task ends: M learns from it."""

    def trace(self, metric: Metric, row: Array) -> None:
        """Write down M as it stands, on the path."""

    def sound(self, metric: Metric) -> bool:
        """Whether all sums are finite."""
        return True

    def write(self, metric: Metric, moves: Array, stages: Array, row: int, rows: int) -> None:
        """Write down what happened to M."""
