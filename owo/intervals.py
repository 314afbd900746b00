r"""Prediction intervals around any learner, whose coverage holds for every sequence of data.

The interval at a point is ``prediction -+ q_t``. After the label it is widened or narrowed,

    q_{t+1}  =  q_t + eta_t (miss_t - alpha),        miss_t = 1 if the label was outside, else 0,

which is online gradient descent on the pinball loss of the scores ``s_t = |y_t - prediction_t|`` (Gibbs and Candes,
"Adaptive conformal inference under distribution shift", NeurIPS 2021). Nothing is assumed of the data: with scores of
at most B,

    | 1/T sum_t miss_t - alpha |  <=  (B + max eta) (1 / eta_1 + sum_t |1 / eta_{t+1} - 1 / eta_t|) / T

(Angelopoulos, Barber and Bates, "Online conformal prediction with decaying step sizes", ICML 2024, Theorem 1). Here
``eta_t`` is ``rate`` times the largest score so far, so that no scale has to be known; it never falls, and the bracket
is at most ``2 / eta_1``.
"""

from __future__ import annotations

import math
import os
from collections.abc import Hashable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from owo import checkpoint, saved
from owo.doors import positive
from owo.online import OnlineWithinOnline

Array = NDArray[np.float64]


class Interval(NamedTuple):
    """What was predicted for a point, before its label was seen."""

    low: float
    prediction: float
    high: float


class Coverage(NamedTuple):
    """How often labels lay inside, and how far from the aim that can have been."""

    points: int
    inside: float
    """share of labels that lay inside their interval"""
    bound: float
    """what ``|inside - coverage|`` cannot exceed, from the run itself"""
    width: float
    """mean width of the intervals that were finite, in units of y"""


_STATE = (
    "coverage", "rate", "_reach", "_largest", "_first", "_points", "_finite", "_missed", "_widths", "_turns", "_last",
)  # fmt: skip


class Intervals:
    """A learner that says between what numbers the next label will lie, in a given share of all cases.

    Parameters
    ----------
    learner : of real labels: an ``OnlineWithinOnline``, or for ``run`` alone a ``TuningFree``
    coverage : the share of labels that shall lie inside, strictly between 0 and 1
    rate : how fast intervals adapt, as a part of the largest score so far; larger follows changes sooner, smaller
        keeps the width steadier

    Examples
    --------
    >>> import numpy as np, owo
    >>> rng = np.random.default_rng(0)
    >>> tasks = [(X := rng.normal(size=(10, 3)), X @ (5 + rng.normal(size=3))) for _ in range(300)]
    >>> intervals = Intervals(owo.OnlineWithinOnline(owo.Absolute()), coverage=0.9)
    >>> low, high = intervals.run(tasks)
    >>> found = intervals.coverage_so_far()
    >>> abs(found.inside - 0.9) <= found.bound, low.shape
    (True, (3000,))
    """

    def __init__(self, learner: Any, coverage: float = 0.9, rate: float = 0.02) -> None:
        self.learner, self.rate = learner, positive(rate, "rate")
        self.coverage = positive(coverage, "coverage")
        if not self.coverage < 1.0:
            raise ValueError(f"coverage is {coverage!r}; needed a share strictly between 0 and 1, such as 0.9")
        self._reach, self._largest, self._first = math.inf, 0.0, math.inf
        self._points = self._finite = 0
        self._missed = self._widths = self._turns = self._last = 0.0

    def __repr__(self) -> str:
        return f"Intervals({self.learner!r}, coverage={self.coverage!r}, rate={self.rate!r})"

    @property
    def reach(self) -> float:
        """Half the width of the next interval; infinite until there is a score above 0."""
        return self._reach

    def predict_one(self, x: ArrayLike, task: Hashable = None) -> Interval:
        """The interval for a point; nothing is learned."""
        return self._around(float(self.learner.predict_one(x, task)))

    def learn_one(self, x: ArrayLike, y: float, task: Hashable) -> Interval:
        """Learn from a point; the interval that was predicted for it."""
        made = self._around(float(self.learner.learn_one(x, y, task)))
        self._meet(abs(float(y) - made.prediction))
        return made

    def run(self, stream: Any) -> tuple[Array, Array]:
        """Learn from a stream; the ends (n,) of the intervals that were predicted for its points, in their order.

        The stream, and the errors, are those of the learner's own ``run``; points of blocks that were learned before an
        error count.
        """
        kept = len(self.learner.ledger.points) if _has_begun(self.learner) else 0
        lows, highs = [np.empty(0)], [np.empty(0)]
        try:
            self.learner.run(stream, points=True)
        finally:
            some = self.learner.ledger.points if _has_begun(self.learner) else []
            for rows in some[kept:]:
                reaches = np.empty(len(rows["label"]))
                for r, score in enumerate(np.abs(rows["label"] - rows["prediction"]).tolist()):
                    reaches[r] = max(self._reach, 0.0)
                    self._meet(score)
                lows.append(rows["prediction"] - reaches)
                highs.append(rows["prediction"] + reaches)
            del some[kept:]
        return np.concatenate(lows), np.concatenate(highs)

    def _around(self, prediction: float) -> Interval:
        half = max(self._reach, 0.0)
        return Interval(prediction - half, prediction, prediction + half)

    def _meet(self, score: float) -> None:
        """A label that came at this distance from its prediction."""
        self._points += 1
        if score <= self._largest == 0.0:
            return  # no scale yet: the interval is the whole line, and the label inside
        if math.isinf(self._reach):
            self._reach, self._largest = score, score
            self._first = self._last = self.rate * score
            self._turns = 1.0 / self._first
            return
        missed = score > self._reach
        self._finite += 1
        self._widths += 2.0 * max(self._reach, 0.0)
        self._missed += missed
        self._reach += self._last * (missed - (1.0 - self.coverage))
        if score > self._largest:
            self._largest, step = score, self.rate * score
            self._turns += 1.0 / self._last - 1.0 / step
            self._last = step

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write this and its learner, an ``OnlineWithinOnline``, to one file, as ``OnlineWithinOnline.save`` does."""
        if not isinstance(self.learner, OnlineWithinOnline):
            raise TypeError(f"the learner is a {type(self.learner).__name__}; only an OnlineWithinOnline can be saved")
        about, arrays = saved.packed(self.learner)
        own = {name: getattr(self, name) for name in _STATE}
        checkpoint.write(path, {"kind": "Intervals", "learner": about, "own": own}, arrays)

    @classmethod
    def load(cls, path: str | os.PathLike[str], **parts: Any) -> Intervals:
        """What ``save`` wrote; ``parts`` and errors as of ``OnlineWithinOnline.load``."""
        about, arrays = checkpoint.read(path)
        with saved.refusing(path):
            if about["kind"] != "Intervals":
                raise ValueError(f"it holds {about['kind']!r}, not Intervals")
            learner = saved.unpacked(OnlineWithinOnline, about["learner"], arrays, parts)
            made = cls(learner, about["own"]["coverage"], about["own"]["rate"])
            for name in _STATE[2:]:
                setattr(made, name, type(getattr(made, name))(about["own"][name]))
        return made

    def coverage_so_far(self) -> Coverage:
        """What came of it; points before the first score above 0 lay inside the whole line and are not counted."""
        n = self._finite
        if not n:
            return Coverage(0, math.nan, math.inf, math.nan)
        bound = (self._largest + self._last) * self._turns / n
        return Coverage(n, 1.0 - self._missed / n, bound, self._widths / n)


def _has_begun(learner: Any) -> bool:
    """Whether a learner has met data, and so has a ledger."""
    grid = getattr(learner, "grid", learner)
    return getattr(grid, "d", None) is not None
