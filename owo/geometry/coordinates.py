"""Metrics of coordinates: a step for all of them, or for each."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from owo import laws
from owo._record import Class, require
from owo.geometry.identity import Begun, Metric, Spent, geometry
from owo.geometry.mirrors import Exponentiated
from owo.geometry.pieces import copy, learn, meet_diagonal, note_diagonal, square_diagonal, write_down
from owo.kernels import MARGIN, SLACK
from owo.laws import AdaptiveNorm
from owo.rows import meet
from owo.streams.points import real

Array = NDArray[np.float64]


def coordinates(cls: Class) -> Class:
    """Make a ``NamedTuple`` class a geometry whose M is an array (K,) that a run keeps for every open task."""
    for name, method in _SHARED.items():
        if name not in vars(cls):
            setattr(cls, name, method)
    return geometry(cls)


def _begin(self: Any, metric: Metric, own: Array) -> None:
    copy(metric.play, own)


def _trace(self: Any, metric: Metric, row: Array) -> None:
    copy(metric.play, row)


def _sound(self: Any, metric: Metric) -> bool:
    total = metric.sums[0] + metric.sums[1]
    for k in range(metric.play.shape[0]):
        total += metric.spent[k]
    return math.isfinite(total)


def _write(self: Any, metric: Metric, moves: Array, stages: Array, row: int, rows: int) -> None:
    write_down(metric, moves, stages, row, rows)


_SHARED = {"begin": _begin, "trace": _trace, "sound": _sound, "write": _write}


@coordinates
class Scalar(NamedTuple):
    """``M = m I``: learns the step size inside tasks.

    Parameters
    ----------
    law : how m moves: a law whose scale never grows, on the gradients ``h = sum_i <g_i, w_i - theta> / m``
    low, high : the interval m stays in, > 0; it starts at 1, or where ``OnlineWithinOnline(metric=...)`` says
    mirror : ``Exponentiated()`` or ``Projected()``

    Raises
    ------
    ValueError
        An empty interval, or a law whose scale may grow.

    Examples
    --------
    A step 1000 times too small is mended by tasks that lie far from the bias:

    >>> import owo
    >>> rng = np.random.default_rng(0)
    >>> tasks = [(X := rng.normal(size=(20, 3)), X @ rng.normal(size=3)) for _ in range(300)]
    >>> learner = owo.OnlineWithinOnline(
    ...     owo.Absolute(), owo.GrowingFTRL(1.0), owo.DualAveraging(0.01), geometry=Scalar(), metric=0.001
    ... )
    >>> losses = learner.run(tasks).losses
    >>> bool(losses[-50:].mean() < 0.7 * losses[:50].mean())
    True
    """

    law: Any = AdaptiveNorm(1.0)
    low: float = 1e-6
    high: float = 1e6
    mirror: Any = Exponentiated()

    def check(self) -> None:
        _check(self)

    @property
    def learns(self) -> bool:
        return True

    def begun(self, d: int, initial: Any) -> Begun:
        return Begun(self, _new(self, 1, initial))

    def stage(self, width: int) -> int:
        return 2

    def bound(self, spent: Spent, apart: Array, other: Any) -> tuple[Array, Array, Array]:
        return _bound(self, spent, np.sum(apart**2, axis=1, keepdims=True), other)

    def look(self, X: Any, Z: Any, r: int, theta: Array, q: Array, own: Array) -> tuple[float, float, float, float]:
        base, along, x2 = meet(X, r, theta, q)
        return base, own[0] * along, own[0] * x2, x2

    def square(self, q: Array, own: Array, norm2: float) -> float:
        return own[0] * norm2

    def move(self, account: Any, own: Array, hints: Array, overlaps: bool, metric: Metric) -> None:
        hints[0], hints[1] = account[MARGIN] / own[0], account[SLACK] / own[0]
        learn(self, own, hints, overlaps, metric)


@coordinates
class Diagonal(NamedTuple):
    """``M = diag(m)``: learns a step size for every coordinate; parameters as of ``Scalar``, for each of them."""

    law: Any = AdaptiveNorm(1.0)
    low: float = 1e-6
    high: float = 1e6
    mirror: Any = Exponentiated()

    def check(self) -> None:
        _check(self)

    @property
    def learns(self) -> bool:
        return True

    def begun(self, d: int, initial: Any) -> Begun:
        return Begun(self, _new(self, d, initial))

    def stage(self, width: int) -> int:
        return 2 * width

    def bound(self, spent: Spent, apart: Array, other: Any) -> tuple[Array, Array, Array]:
        return _bound(self, spent, apart**2, other)

    def look(self, X: Any, Z: Any, r: int, theta: Array, q: Array, own: Array) -> tuple[float, float, float, float]:
        return meet_diagonal(X, r, theta, q, own)

    def square(self, q: Array, own: Array, norm2: float) -> float:
        return square_diagonal(q, own)

    def note(
        self, X: Any, r: int, q: Array, own: Array, s: float, scale: float, half: float, hints: Array, slopes: Array
    ) -> None:
        note_diagonal(X, r, q, s * scale, half, hints)

    def move(self, account: Any, own: Array, hints: Array, overlaps: bool, metric: Metric) -> None:
        learn(self, own, hints, overlaps, metric)


@coordinates
class FixedDiagonal(NamedTuple):
    """``M = diag(m)`` as given; see ``matrices.Fixed``."""

    def sound(self, metric: Metric) -> bool:
        return True

    def trace(self, metric: Metric, row: Array) -> None:
        pass

    def write(self, metric: Metric, moves: Array, stages: Array, row: int, rows: int) -> None:
        pass

    def look(self, X: Any, Z: Any, r: int, theta: Array, q: Array, own: Array) -> tuple[float, float, float, float]:
        return meet_diagonal(X, r, theta, q, own)

    def square(self, q: Array, own: Array, norm2: float) -> float:
        return square_diagonal(q, own)


def _new(rule: Any, width: int, initial: Any) -> Metric:
    play = _inside(rule, 1.0 if initial is None else initial, width, "metric is")
    states = np.tile(np.array(rule.law.start(), dtype=np.float64), (width, 1))
    sums = np.zeros(2)
    return Metric(play, play.copy(), np.zeros(width), states, np.zeros(2 * width), sums)


def _bound(rule: Any, spent: Spent, squares: Array, given: Any) -> tuple[Array, Array, Array]:
    """Terms of a certificate against M' (K,): within the tasks (T,), spread of each task (T,), learning M (T,).

    ``squares`` (T, K) are the squared distances of the comparator's weights from its bias. Without a ``given`` M' it
    is the one that makes spread and within least at the end.
    """
    initial, stages, slack, scales = spent
    width, tasks = len(initial), len(scales)
    paid, used = squares / (2.0 * scales[:, None]), stages.spent[:, :width]
    if given is None:
        with np.errstate(divide="ignore", invalid="ignore"):
            best = np.sqrt(paid.sum(axis=0) / (used[-1] if tasks else 1.0))
        other = np.clip(np.where(np.isnan(best), initial, best), rule.low, rule.high)
    else:
        other = _inside(rule, given, width, "comparator has metric")
    divergence = np.array([rule.mirror.divergence(*pair) for pair in zip(other, initial, strict=True)])
    with np.errstate(invalid="ignore"):
        learning = np.where(divergence > 0.0, divergence * stages.spent[:, width:], 0.0).sum(axis=1)
    within, learned = (stages.by_task(values, tasks) for values in (used @ other, learning))
    return within, np.sum(paid / other, axis=1), learned + slack


def _inside(rule: Any, values: Any, width: int, what: str) -> Array:
    """M (K,) from outside, checked."""
    found = real(values, "metric").astype(np.float64)
    if found.shape not in ((), (width,)):
        raise ValueError(
            f"{what} of shape {found.shape}; needed a number{f' or an array ({width},)' if width > 1 else ''}"
        )
    found = np.array(np.broadcast_to(found, width))
    if not ((found >= rule.low) & (found <= rule.high)).all():
        raise ValueError(f"{what} {values!r}; needed numbers between low = {rule.low:g} and high = {rule.high:g}")
    return found


def _check(rule: Any) -> None:
    require(0.0 < rule.low <= rule.high < math.inf, rule, "low", "above 0, at most high, and high finite")
    require(rule.high <= 1e300 * rule.low, rule, "high", "at most 1e300 times low")
    require(laws.keeps_to_potential(rule.law), rule, "law", "a law whose scale never grows, such as AdaptiveNorm(1.0)")
    require(hasattr(rule.mirror, "divergence"), rule, "mirror", "Exponentiated() or Projected()")
