"""The learner of a metric that is a matrix.

The mathematics is that of ``owo.geometry``; a mirror acts on eigenvalues here. A task's points are streamed by the one
kernel with ``Z = X M``, a matrix product; its slopes and scales come back, and from them H and B, again by products.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from owo.geometry.identity import geometry
from owo.geometry.pieces import meet_given, note_given
from owo.kernels import PULL, SCALE, SLACK, cut

Array = NDArray[np.float64]

SLOPE, REACH, HALF = range(3)
"""Columns of what comes back of a point: s, c and c s^2 / 2."""


@geometry
class Given(NamedTuple):
    """What a kernel sees of a matrix: ``z = M x`` comes with every point, slopes and scales go back."""

    def look(self, X: Any, Z: Any, r: int, theta: Array, q: Array, own: Array) -> tuple[float, float, float, float]:
        return meet_given(X, Z, r, theta, q)

    def note(
        self, X: Any, r: int, q: Array, own: Array, s: float, scale: float, half: float, hints: Array, slopes: Array
    ) -> None:
        note_given(s, scale, half, slopes[r])


class OpenTask(NamedTuple):
    """What is kept of a task that is open."""

    M: Array
    """as it was when the task began"""
    q: Array
    H: Array
    B: Array


@dataclass
class Map:
    """The learner of M. Its arrays are replaced, never written to, so a shallow copy is a snapshot."""

    rule: Any
    play: Array
    dual: Array
    initial: Array
    initial_dual: Array
    total: Array
    spent: Array
    state: tuple[float, ...]
    inverse: float = 0.0
    slack: float = 0.0
    late: float = 0.0
    open: dict[int, OpenTask] = field(default_factory=dict)

    def snapshot(self) -> Map:
        """The learner as it stands."""
        return replace(self, open=dict(self.open))

    def packed(self, slots: list[int]) -> dict[str, Array]:
        """All numbers, those of open tasks in the order of ``slots``."""
        found = {name: getattr(self, name) for name in _ARRAYS}
        found |= {"state": np.array(self.state), "sums": np.array([self.inverse, self.slack, self.late])}
        for at, name in enumerate(OpenTask._fields):
            some = [self.open[slot][at] for slot in slots]
            found[f"open.{name}"] = np.array(some) if some else np.zeros((0, *np.shape(OpenTask(*self._new())[at])))
        return found

    def unpacked(self, arrays: dict[str, Array], slots: list[int]) -> Map:
        """A learner with the numbers that ``packed`` gave."""
        new = {name: shaped_as(arrays, name, getattr(self, name)) for name in _ARRAYS}
        state = tuple(shaped_as(arrays, "state", self.state).tolist())
        inverse, slack, late = shaped_as(arrays, "sums", np.zeros(3)).tolist()
        parts = [
            shaped_as(arrays, f"open.{name}", np.zeros((len(slots), *np.shape(each))))
            for name, each in OpenTask(*self._new())._asdict().items()
        ]
        tasks = {slot: OpenTask(*each) for slot, *each in zip(slots, *parts, strict=True)}
        return replace(self, state=state, inverse=inverse, slack=slack, late=late, open=tasks, **new)

    def _new(self) -> tuple[Array, Array, Array, Array]:
        d = len(self.play)
        return self.play, np.zeros(d), np.zeros((d, d)), np.zeros((d, d))

    def begin(self, slot: int) -> OpenTask:
        """The task in a slot, which begins if it is not open."""
        if slot not in self.open:
            self.open[slot] = OpenTask(*self._new())
        return self.open[slot]

    def note(self, slot: int, X: Array, slopes: Array) -> None:
        """Points of a task and what came back of them."""
        task = self.open[slot]
        with np.errstate(over="ignore", invalid="ignore"):  # looked at when the task ends
            g = slopes[:, SLOPE, None] * X
            sums = np.cumsum(g, axis=0)
            before = task.q + sums - g
            H = X.T @ ((slopes[:, REACH] * slopes[:, SLOPE])[:, None] * before)
            B = X.T @ (slopes[:, HALF, None] * X)
        self.open[slot] = OpenTask(task.M, task.q + sums[-1], task.H - 0.5 * (H + H.T), task.B + B)

    def end(self, slot: int, written: Any, row: int, rows: int) -> bool:
        """A task ends, which is row ``row`` of the ``rows`` of this run: M learns from it; False if that overflowed."""
        with np.errstate(over="ignore", invalid="ignore"):
            return self._end(slot, written, row, rows)

    def _end(self, slot: int, written: Any, row: int, rows: int) -> bool:
        task, account = self.open.pop(slot), written.accounts[row]
        pull2 = max(float(task.q @ task.M @ task.q), 0.0)
        account[PULL] = math.sqrt(pull2)
        if not self.rule.learns:
            return True
        scale = settled_scale(account, pull2)
        H = self.rule.gradient.of(task, scale)
        self.spent = self.spent + self.rule.gradient.spend(task.B)
        if not (np.isfinite(np.sum(H * H)) and np.isfinite(self.spent).all()):
            return False
        if task.M is not self.play:
            self.late += float(np.sum(H * (task.M - self.play)))
        self.learn(H)
        write_row(written, row, rows, (self.slack, self.late), (*self.spent, self.inverse))
        return math.isfinite(self.slack + self.late)

    def learn_outer(self, weight: float, q: Array) -> None:
        """As ``learn``, from ``H = -weight q q^T``."""
        self.learn(-weight * np.outer(q, q))

    def learn(self, H: Array) -> None:
        """Follow the regularised leader; ``slack = max_M <H, M_t - M> - divergence(M, M_t) / c_t``."""
        law, mirror = self.rule.law, self.rule.mirror
        after = law.observe(self.state, float(np.sum(H * self.total)), float(np.sum(H * H)))
        c = law.scale(self.state) or law.scale(after)
        if c > 0.0:
            best, best_dual = self._fitted(self.dual - c * H)
            gained = float(np.sum(H * (self.play - best))) - mirror.apart(best, best_dual, self.play, self.dual) / c
            self.slack += max(gained, 0.0)
            self.inverse = 1.0 / c
        elif H.any():
            self.inverse = math.inf
        self.total, self.state = self.total + H, after
        self.play, self.dual = self._fitted(self.initial_dual - law.scale(after) * self.total)

    def _fitted(self, dual: Array) -> tuple[Array, Array]:
        values, vectors = np.linalg.eigh(dual)
        fitted = self.rule.within.fit(self.rule.mirror, values, np.ones(len(values)))
        primal = self.rule.mirror.primal(fitted)
        return (vectors * primal) @ vectors.T, (vectors * fitted) @ vectors.T


_ARRAYS = ("play", "dual", "initial", "initial_dual", "total", "spent")


def shaped_as(arrays: dict[str, Array], name: str, like: Any) -> Array:
    """An array from a file, if it has the shape that it must have; else ``ValueError``."""
    if name not in arrays or arrays[name].shape != np.shape(like) or arrays[name].dtype != np.float64:
        came = f"{arrays[name].dtype} {arrays[name].shape}" if name in arrays else "absent"
        raise ValueError(f"its array {name!r} is {came}; needed float64 {np.shape(like)}")
    return arrays[name]


def settled_scale(account: Any, pull2: float) -> float:
    """The scale that a task's certificate stands on: of its last play, or of the next one if that was 0."""
    return float(account[SCALE]) or (2.0 * float(account[SLACK]) / pull2 if pull2 > 0.0 else 0.0)


def write_row(written: Any, row: int, rows: int, moves: tuple[float, ...], stage: tuple[float, ...]) -> None:
    """A row of the ledger for M; a stage every so many rows, and after the last."""
    written.moves[row] = moves
    pace = -(-rows // len(written.stages))
    if (row + 1) % pace == 0 or row + 1 == rows:
        written.stages[row // pace] = stage


def stream(
    learner: Any, kernel: Callable[..., int], X: Array, y: Array, task: Any, ends: Any, slots: Any, written: Any,
    path_rows: Callable[[int], int],
) -> int:  # fmt: skip
    """Run the kernel on every piece of a task, and the learner of M; how many points were taken, as ``kernels.run``.

    ``path_rows`` says how many rows of the path precede the row of a task that ends.
    """
    of = slots[task]
    cuts = np.flatnonzero((of[1:] != of[:-1]) | ends[:-1]) + 1
    rows, row = len(written.accounts), 0
    for a, b in itertools.pairwise([0, *cuts.tolist(), len(y)]):
        slot, ending = int(of[a]), bool(ends[b - 1])
        open_task, slopes = learner.begin(slot), np.empty((b - a, 3))
        points = slice(a, b) if len(written.losses) else slice(0)
        piece = cut(written, points, slice(row, row + ending), slice(path_rows(row), None), slopes)
        done = kernel(X[a:b], X[a:b] @ open_task.M, y[a:b], task[a:b], ends[a:b], piece)
        if done < b - a:
            return a + done
        learner.note(slot, X[a:b], slopes)
        if ending and not learner.end(slot, written, row, rows):
            return b - 1
        if path_rows(row + ending) > path_rows(row):
            written.path[path_rows(row), X.shape[1] :] = np.asarray(learner.play).ravel() if learner.rule.learns else ()
        row += ending
    return len(y)
