"""A learner of M for gradients of rank one, at the cost of the span that they have seen.

Where M starts at a multiple of I, moves by projection, and learns from ``H = - c_n/2 q q^T`` alone, it stays

    M = level I + Q K Q^T,      Q (d, r) an orthonormal basis of the q seen so far

because outside that span all eigenvalues are alike. So the projection needs the eigenvalues of an (r, r) matrix, and
one value d - r times; the result is that of ``maps.Map`` up to rounding.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from owo.geometry.maps import HALF, SLOPE, settled_scale, shaped_as, write_row
from owo.kernels import PULL

Array = NDArray[np.float64]


class Factored:
    """``level I + Q K Q^T``, as an operand of ``@``; ``np.asarray`` makes the matrix (d, d)."""

    __array_ufunc__ = None

    def __init__(self, level: float, Q: Array, K: Array) -> None:
        self.level, self.Q, self.K = level, Q, K

    def __rmatmul__(self, X: Array) -> Array:
        product: Array = self.level * X + ((X @ self.Q) @ self.K) @ self.Q.T
        return product

    def __matmul__(self, v: Array) -> Array:
        return self.__rmatmul__(v)  # symmetric

    def square(self, v: Array) -> float:
        """``<v, M v>``."""
        along = v.dot(self.Q)
        return float(self.level * v.dot(v) + along.dot(self.K).dot(along))

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        dense = self.level * np.eye(len(self.Q)) + self.Q @ self.K @ self.Q.T
        return (0.5 * (dense + dense.T)).astype(dtype or np.float64, copy=False)


class OpenTask(NamedTuple):
    """What is kept of a task that is open."""

    M: Factored
    """as it was when the task began"""
    q: Array
    met: float
    """the trace of B"""


@dataclass
class LowRankMap:
    """As ``maps.Map``, which says what the methods do; arrays are replaced, never written to."""

    rule: Any
    within: Any
    """the rule's set, which would be made anew whenever it is asked for"""
    start: float
    """M begins as ``start I``"""
    play: Factored
    sums: Array
    """minus the sum of gradients, in the basis (r, r)"""
    state: tuple[float, ...]
    spent: float = 0.0
    inverse: float = 0.0
    slack: float = 0.0
    late: float = 0.0
    open: dict[int, OpenTask] = field(default_factory=dict)

    @classmethod
    def begun(cls, rule: Any, d: int, start: float) -> LowRankMap:
        """The learner before any task."""
        none = np.zeros((0, 0))
        return cls(rule, rule.within, start, Factored(start, np.zeros((d, 0)), none), none, rule.law.start())

    @property
    def initial(self) -> Array:
        """M at the start, (d, d)."""
        return self.start * np.eye(len(self.play.Q))

    def snapshot(self) -> LowRankMap:
        """The learner as it stands."""
        return replace(self, open=dict(self.open))

    def packed(self, slots: list[int]) -> dict[str, Array]:
        """All numbers, those of open tasks in the order of ``slots``."""
        tasks = [self.open[slot] for slot in slots]
        metrics = list({id(each.M): each.M for each in tasks}.values())
        which = {id(M): number for number, M in enumerate(metrics)}
        sums = [self.spent, self.inverse, self.slack, self.late]
        found = {"state": np.array(self.state), "total": self.sums, "sums": np.array(sums)}
        found["open"] = np.array([(which[id(each.M)], each.met) for each in tasks]).reshape(-1, 2)
        found["open.q"] = np.array([each.q for each in tasks]).reshape(-1, len(self.play.Q))
        for number, M in enumerate([*metrics, self.play]):
            found |= {f"{number}.level": np.array([M.level]), f"{number}.Q": M.Q, f"{number}.K": M.K}
        return found

    def unpacked(self, arrays: dict[str, Array], slots: list[int]) -> LowRankMap:
        """A learner with the numbers that ``packed`` gave."""
        d, metrics = len(self.play.Q), list[Factored]()
        while f"{len(metrics)}.Q" in arrays:
            name = len(metrics)
            r = min(len(np.transpose(arrays[f"{name}.Q"])), d)
            parts = ((f"{name}.Q", (d, r)), (f"{name}.K", (r, r)), (f"{name}.level", (1,)))
            Q, K, level = (shaped_as(arrays, part, np.zeros(shape)) for part, shape in parts)
            metrics.append(Factored(float(level[0]), Q, K))
        sums = shaped_as(arrays, "total", metrics[-1].K)
        state = tuple(shaped_as(arrays, "state", self.state).tolist())
        spent, inverse, slack, late = shaped_as(arrays, "sums", np.zeros(4)).tolist()
        numbers = shaped_as(arrays, "open", np.zeros((len(slots), 2)))
        q = shaped_as(arrays, "open.q", np.zeros((len(slots), d)))
        tasks = {
            slot: OpenTask(metrics[:-1][int(which)], row, met)
            for slot, row, (which, met) in zip(slots, q, numbers.tolist(), strict=True)
        }
        return replace(
            self, play=metrics[-1], sums=sums, state=state, spent=spent, inverse=inverse, slack=slack, late=late,
            open=tasks,
        )  # fmt: skip

    def begin(self, slot: int) -> OpenTask:
        """The task in a slot, which begins if it is not open."""
        if slot not in self.open:
            self.open[slot] = OpenTask(self.play, np.zeros(len(self.play.Q)), 0.0)
        return self.open[slot]

    def note(self, slot: int, X: Array, slopes: Array) -> None:
        """Points of a task and what came back of them."""
        task = self.open[slot]
        with np.errstate(over="ignore", invalid="ignore"):  # looked at when the task ends
            met = float(slopes[:, HALF] @ np.einsum("ij,ij->i", X, X))
            self.open[slot] = OpenTask(task.M, task.q + slopes[:, SLOPE] @ X, task.met + met)

    def end(self, slot: int, written: Any, row: int, rows: int) -> bool:
        """A task ends, which is row ``row`` of the ``rows`` of this run: M learns from it; False if that overflowed."""
        task, account = self.open.pop(slot), written.accounts[row]
        with np.errstate(over="ignore", invalid="ignore"):
            pull2 = max(task.M.square(task.q), 0.0)
            account[PULL] = math.sqrt(pull2)
            weight = 0.5 * settled_scale(account, pull2)
            self.spent += task.met
            if not math.isfinite(weight * float(task.q.dot(task.q)) + self.spent):
                return False
            if task.M is not self.play:
                self.late -= weight * (task.M.square(task.q) - self.play.square(task.q))
            self.learn_outer(weight, task.q)
        write_row(written, row, rows, (self.slack, self.late), (self.spent, self.inverse))
        return math.isfinite(self.slack + self.late)

    def learn_outer(self, weight: float, q: Array) -> None:
        """Follow the regularised leader after ``H = -weight q q^T``, with the slack ``c |H|^2 / 2``.

        That bounds the slack of ``maps.Map``, which takes a decomposition of its own.
        """
        law, size = self.rule.law, weight * float(q.dot(q))
        along = self._join(q)
        after = law.observe(self.state, weight * float(along.dot(self.sums).dot(along)), size * size)
        c = law.scale(self.state) or law.scale(after)
        if c > 0.0:
            self.slack += 0.5 * c * size * size
            self.inverse = 1.0 / c
        elif size > 0.0:
            self.inverse = math.inf
        self.sums, self.state = self.sums + along[:, None] * (weight * along), after
        self.play = self._fitted(law.scale(after) * self.sums)

    def _join(self, q: Array) -> Array:
        """The coordinates of q in the basis, which grows if q leaves its span."""
        M = self.play
        r, size = M.Q.shape[1], math.sqrt(q.dot(q))
        along = q.dot(M.Q)
        rest = q - M.Q.dot(along)
        left = math.sqrt(rest.dot(rest))
        if left < 0.7 * size:  # once more, or the basis would lose its right angles; twice is enough (Parlett 1998)
            again = rest.dot(M.Q)
            along, rest = along + again, rest - M.Q.dot(again)
            left = math.sqrt(rest.dot(rest))
        if left <= 1e-12 * size or r == len(q):
            return along
        Q, larger, more = np.empty((len(q), r + 1)), np.zeros((2, r + 1, r + 1)), np.empty(r + 1)
        Q[:, :r], Q[:, r] = M.Q, rest / left
        larger[0, :r, :r], larger[1, :r, :r] = M.K, self.sums
        more[:r], more[r] = along, left
        self.play, self.sums = Factored(M.level, Q, larger[0]), larger[1]
        return more

    def _fitted(self, K: Array) -> Factored:
        """The point of the set nearest to ``start I + Q K Q^T``."""
        Q, r, others = self.play.Q, len(K), len(self.play.Q) - len(K)
        values, vectors = np.linalg.eigh(K)
        dual = np.full(r + 1 if others else r, self.start)
        dual[:r] += values
        counts = np.ones(len(dual))
        counts[r:] = others  # outside the span all eigenvalues are alike
        fitted = self.within.fit(self.rule.mirror, dual, counts)
        level = float(fitted[r]) if others else 0.0
        return Factored(level, Q, (vectors * (fitted[:r] - level)) @ vectors.T)
