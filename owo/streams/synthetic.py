"""Tasks drawn at random around a common mean, of which the true weights are known."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from owo.streams.block import Block
from owo.streams.points import Floats


class Truth(NamedTuple):
    """What the points of T tasks were drawn from."""

    means: Floats
    """(T, d): the mean that each task's weights were drawn around (of its cluster, after drift)"""
    weights: Floats
    """(T, d): each task's weights"""
    clusters: NDArray[np.int64]
    """(T,): the number of each task's cluster"""


@dataclass(frozen=True, kw_only=True)
class Synthetic:
    """A stream of ``tasks`` random tasks; iterate it, as often as you like, for its blocks.

    The weights of task t are ``w_t = m_t + spread * N(0, 1)`` in every coordinate; its rows x are uniform on the unit
    sphere (``unit``) or ``N(0, 1/d)`` in every coordinate. Regression has ``y = <x, w_t> + noise * e`` with e normal,
    or Student t with ``tail`` degrees of freedom. Classification has ``y = 1`` with probability
    ``1 / (1 + exp(-<x, w_t> / noise))`` and else -1, and rows with ``|<x, w_t>| < margin`` are drawn again.

    The mean m_t is ``mean``, plus the centre of the task's cluster, plus a random walk with steps of
    ``drift * N(0, 1)`` in every coordinate that starts at 0. Cluster centres are ``separation * N(0, 1)`` in every
    coordinate; each of the ``clusters`` is equally likely for each task.

    Chunk c, about ``rows`` points, comes from ``numpy.random.default_rng([seed, c])``, so that ``block(c)`` and
    ``truth(c)`` need no chunk before it, and full chunks do not depend on ``tasks``. The walk allows this because the
    first d draws of a chunk are its end, relative to its start, and the steps between are a bridge to it: where
    chunk c starts is the sum of c short vectors, and the law is that of the plain walk.

    Parameters
    ----------
    tasks : number of tasks
    points : points a task; if ``geometric``, the mean of lengths that are geometrically distributed, at least 1
    d : number of features
    mean, spread : a number, or one for each coordinate; in units of y
    noise : standard deviation in units of y (of e's scale, if it has a tail); for classification see above
    tail : degrees of freedom of the noise, at least 1; the smaller, the heavier; ``inf`` is normal. Regression only
    drift, separation : standard deviations in units of y; 0 for none
    clusters : number of clusters
    geometric, unit, kind, margin : see above
    rows : points a chunk, about
    seed : 0 .. 2**32 - 1

    Raises
    ------
    ValueError
        A parameter out of its range; or, when iterated, a ``margin`` that rows hardly ever reach.

    Notes
    -----
    The regression of Denevi et al. (ICML 2019) is ``Synthetic(noise=s.signal / 10**0.5)`` with ``s = Synthetic()``, the
    classification ``Synthetic(kind="classification")``; those of the parameter-free study (UAI 2020) have
    ``tasks=400, d=10, points=50, noise=s.signal``.

    Examples
    --------
    >>> stream = Synthetic(tasks=3, points=4, d=2, seed=1)
    >>> [block] = stream
    >>> block, stream.truth(0).weights.shape
    (Block(12 points of 3 tasks, d = 2), (3, 2))
    """

    tasks: int = 1000
    points: int = 10
    d: int = 30
    mean: float | Sequence[float] = 4.0
    spread: float | Sequence[float] = 1.0
    noise: float = 1.0
    tail: float = math.inf
    drift: float = 0.0
    clusters: int = 1
    separation: float = 0.0
    geometric: bool = False
    unit: bool = True
    kind: Literal["regression", "classification"] = "regression"
    margin: float = 0.5
    rows: int = 65536
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("tasks", "points", "d", "clusters", "rows"):
            self._require(name, isinstance(getattr(self, name), Integral) and getattr(self, name) >= 1, "1, 2, 3 ...")
        for name in ("noise", "drift", "separation", "margin"):
            self._require(name, 0.0 <= getattr(self, name) < math.inf, "finite and at least 0")
        self._require("seed", isinstance(self.seed, Integral) and 0 <= self.seed < 2**32, "0 .. 2**32 - 1")
        self._require("tail", self.tail >= 1.0, "at least 1, or inf for normal noise")
        self._require("kind", self.kind in ("regression", "classification"), "'regression' or 'classification'")
        self._require("tail", self.tail == math.inf or self.kind == "regression", "inf for classification")
        for name, low in (("mean", -math.inf), ("spread", 0.0)):
            value = np.asarray(getattr(self, name), dtype=np.float64)
            fits = value.shape in ((), (self.d,)) and bool(np.isfinite(value).all() and (value >= low).all())
            self._require(
                name, fits, f"a finite number, or {self.d} of them" + (", none below 0" if low == 0.0 else "")
            )
            object.__setattr__(self, name, tuple(value.tolist()) if value.ndim else float(value))

    def _require(self, name: str, holds: bool, needed: str) -> None:
        if not holds:
            raise ValueError(f"Synthetic({name}={getattr(self, name)!r}): {name} must be {needed}")

    # ------------------------------------------------------------------------------------------------- the stream

    def __iter__(self) -> Iterator[Block]:
        start = np.zeros(self.d)
        for chunk in range(self.chunks):
            yield self._block(chunk, start)
            start = start + self._shift(chunk)

    @property
    def chunks(self) -> int:
        """Number of blocks."""
        return -(-self.tasks // self._chunk_tasks)

    @property
    def signal(self) -> float:
        """Standard deviation of ``<x, w>`` over all tasks and rows, drift aside, in units of y."""
        squares = np.square(self.mean) + np.square(self.spread) + self.separation**2
        return math.sqrt(float(np.mean(squares)))

    def block(self, chunk: int) -> Block:
        """Chunk number ``chunk`` of the stream, made alone; keys are the tasks' numbers in the stream."""
        return self._block(chunk, self._start(chunk))

    def truth(self, chunk: int) -> Truth:
        """What ``block(chunk)`` was drawn from."""
        return self._truth(self._rng(chunk), chunk, self._start(chunk))

    @property
    def _chunk_tasks(self) -> int:
        return max(1, self.rows // self.points)

    def _tasks_of(self, chunk: int) -> range:
        if not 0 <= chunk < self.chunks:
            raise ValueError(f"chunk {chunk} of {self.chunks}; needed 0 .. {self.chunks - 1}")
        first = chunk * self._chunk_tasks
        return range(first, min(first + self._chunk_tasks, self.tasks))

    # -------------------------------------------------------------------------------------------------- the draws

    def _rng(self, chunk: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, chunk])

    def _start(self, chunk: int) -> Floats:
        """Where the walk stands when a chunk begins; summed in order, as when iterating."""
        start = np.zeros(self.d)
        for earlier in range(chunk if self.drift else 0):
            start = start + self._shift(earlier)
        return start

    def _shift(self, chunk: int) -> Floats:
        """How far the walk moves in a full chunk."""
        step = self.drift * math.sqrt(self._chunk_tasks)
        return self._rng(chunk).normal(scale=step, size=self.d)

    def _walk(self, rng: np.random.Generator, tasks: range) -> Floats:
        """The walk at each task of a chunk, relative to its start; always draws a full chunk."""
        n = self._chunk_tasks
        end = math.sqrt(n) * rng.standard_normal(self.d)
        if not self.drift:
            return np.zeros((len(tasks), self.d))
        walk = np.cumsum(rng.standard_normal((n, self.d)), axis=0)
        before = np.concatenate((np.zeros((1, self.d)), walk[:-1]))
        passed = np.arange(n)[:, None] / n
        walk = np.asarray(self.drift * (before + passed * (end - walk[-1])))
        return walk[: len(tasks)]

    def _truth(self, rng: np.random.Generator, chunk: int, start: Floats) -> Truth:
        tasks = self._tasks_of(chunk)
        means = np.asarray(self.mean) + start + self._walk(rng, tasks)
        clusters = rng.integers(self.clusters, size=len(tasks))
        # [seed, 0] would be the same entropy as [seed]; a third word gives the centres draws of their own
        centres = np.random.default_rng([self.seed, 0, 1]).standard_normal((self.clusters, self.d))
        means += self.separation * centres[clusters]
        weights = means + np.asarray(self.spread) * rng.standard_normal(means.shape)
        return Truth(means, weights, clusters)

    def _block(self, chunk: int, start: Floats) -> Block:
        rng = self._rng(chunk)
        weights = self._truth(rng, chunk, start).weights
        tasks = self._tasks_of(chunk)
        lengths = rng.geometric(1.0 / self.points, len(tasks)) if self.geometric else np.full(len(tasks), self.points)
        task = np.repeat(np.arange(len(tasks)), lengths)
        if self.kind == "classification":
            X, signal = self._clear_rows(rng, weights, task)
            with np.errstate(all="ignore"):  # noise of 0: the sign of <x, w>
                likely = 0.5 * (1.0 + np.tanh(0.5 * signal / self.noise))
            y = np.where(rng.random(len(task)) < likely, 1.0, -1.0)
        else:
            X = self._rows(rng, len(task))
            y = _inner(X, weights, task) + self.noise * self._errors(rng, len(task))
        return Block(X, y, task, keys=tasks)

    def _rows(self, rng: np.random.Generator, n: int) -> Floats:
        X = rng.standard_normal((n, self.d))
        X /= np.sqrt(np.einsum("ij,ij->i", X, X))[:, None] if self.unit else math.sqrt(self.d)
        return X

    def _errors(self, rng: np.random.Generator, n: int) -> Floats:
        return rng.standard_normal(n) if self.tail == math.inf else rng.standard_t(self.tail, n)

    def _clear_rows(self, rng: np.random.Generator, weights: Floats, task: NDArray[np.int64]) -> tuple[Floats, Floats]:
        """Rows of at least the margin and their ``<x, w>``; those of less are drawn again."""
        X = self._rows(rng, len(task))
        signal = _inner(X, weights, task)
        unclear = np.flatnonzero(np.abs(signal) < self.margin)
        for _ in range(2000):
            if not len(unclear):
                return X, signal
            X[unclear] = self._rows(rng, len(unclear))
            signal[unclear] = _inner(X[unclear], weights, task[unclear])
            unclear = unclear[np.abs(signal[unclear]) < self.margin]
        raise ValueError(
            f"Synthetic(margin={self.margin}): {len(unclear)} rows never got this far from the boundary: |w| is small "
            f"(<x, w> has standard deviation {self.signal:.3g}); needed a smaller margin or larger mean or spread"
        )


def _inner(X: Floats, weights: Floats, task: NDArray[np.int64]) -> Floats:
    """``<x, w>`` of each row with its task's weights, (n,)."""
    products: Floats = np.einsum("ij,ij->i", X, weights[task])
    return products
