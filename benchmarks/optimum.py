"""Optima of tasks in hindsight, certified, beside cvxpy."""

from __future__ import annotations

import time
import warnings
from typing import Any

import numpy as np

import owo
from benchmarks.timing import Entry, Section, race
from owo import hindsight
from owo.streams import Block

TOLERANCE = 1e-8
LOSSES = (owo.Absolute(), owo.Pinball(0.3), owo.Hinge(), owo.Logistic())
STRENGTHS = (0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0003)
SHAPES = ((20, 13), (40, 30), (200, 30), (1000, 100))

ABOUT = """`hindsight.optima` finds `min_w sum_i loss(<x_i, w>, y_i) + n strength / 2 |w - bias|^2` for every task of
a block in one call, with a duality gap that proves each to 1e-8 of its value; rows of X have norm 1. The loop beside
it solves one cvxpy problem, made once, whose points are parameters, by CLARABEL task by task; **core** is what
CLARABEL itself says it took, without cvxpy around it. **sweeps** of coordinate ascent and **steps** after them are
medians over the tasks."""


def tasks(count: int, n: int, d: int, loss: Any, seed: int = 0, *, ties: bool = False) -> Block:
    """Tasks around a common mean; with ties a third of the points are doubled and labels rounded."""
    rng = np.random.default_rng([seed, n, d])
    X = rng.standard_normal((count * n, d))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    w = 1.0 + 0.5 * rng.standard_normal((count, d))
    y = np.einsum("ij,ij->i", X, np.repeat(w, n, axis=0)) + 0.3 * rng.standard_normal(count * n)
    if ties:
        y = np.round(y)
        for start in range(0, count * n, n):
            X[start + 1 : start + n // 3] = X[start]
            y[start + 1 : start + n // 6] = y[start]
    if not loss.accepts(0.5):
        y = np.where(y > 0.0, 1.0, -1.0)
    return Block(X, y, np.repeat(np.arange(count), n))


class Loop:
    """A cvxpy problem with parameters, solved again and again."""

    def __init__(self, loss: Any, n: int, d: int, strength: float) -> None:
        import cvxpy

        self.signs = not loss.accepts(0.5)  # of signs only the margin counts, so that labels may go into the points
        self.X, self.y = cvxpy.Parameter((n, d)), np.ones(n) if self.signs else cvxpy.Parameter(n)
        self.w = cvxpy.Variable(d)
        value = cvxpy.sum(loss.expression(self.X @ self.w, self.y))
        self.problem = cvxpy.Problem(cvxpy.Minimize(value + n * strength / 2 * cvxpy.sum_squares(self.w)))
        self.core = 0.0

    def run(self, block: Block, count: int) -> list[float]:
        """The values of the first tasks."""
        found, self.core = [], 0.0
        for task in list(block.tasks())[:count]:
            if self.signs:
                self.X.value = task.X * task.y[:, None]
            else:
                self.X.value, self.y.value = task.X, task.y
            found.append(float(self.problem.solve(solver="CLARABEL")))
            self.core += self.problem.solver_stats.solve_time
        return found


def certified() -> tuple[list[list[str]], dict[str, Any]]:
    """How many of all cases are certified, and the slowest."""
    rows, measured = [], {}
    for loss in LOSSES:  # so that none of what follows includes loading or compiling
        for strength in STRENGTHS[0], STRENGTHS[-1]:
            hindsight.optima(loss, tasks(20, 20, 13, loss), strength, tolerance=TOLERANCE)
    for n, d in SHAPES:
        count, done, worst, middle = 0, 0, 0.0, []
        for loss in LOSSES:
            for strength in STRENGTHS:
                for ties in (False, True):
                    block = tasks(20 if n < 1000 else 2, n, d, loss, ties=ties)
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore", hindsight.ConvergenceWarning)
                        start = time.perf_counter()
                        found = hindsight.optima(loss, block, strength, tolerance=TOLERANCE)
                        spent = (time.perf_counter() - start) / block.n_tasks
                    count += block.n_tasks
                    done += int(np.count_nonzero(found.certified))
                    middle.append(spent)
                    worst = max(worst, spent)
        rows.append(
            [
                str(n),
                str(d),
                str(count),
                f"{100 * done / count:.2f} %",
                f"{1e6 * np.median(middle):.0f}",
                f"{1e6 * worst:.0f}",
            ]
        )
        measured[f"certified, n = {n}, d = {d}"] = {"tasks": count, "certified": done, "seconds": middle}
    return rows, measured


def section(scale: float, repetitions: int) -> Section:
    """Certification over everything; speed at two shapes."""
    rows, measured = certified()
    speed = []
    for n, d, count, some in ((40, 30, 1000, 20), (200, 30, 100, 10)):
        for loss in (owo.Absolute(), owo.Hinge()):
            block = tasks(max(some, int(count * min(scale * 2, 1.0))), n, d, loss)
            for strength in (0.3, 0.03, 0.003):
                loop = Loop(loss, n, d, strength)

                def ours(threads: int = 1, loss: Any = loss, block: Block = block, strength: float = strength) -> Any:
                    return hindsight.optima(loss, block, strength, tolerance=TOLERANCE, threads=threads)

                theirs, solved = loop.run(block, some), ours()
                mine = solved.values[:some]
                if not np.allclose(theirs, mine, rtol=1e-5):
                    raise SystemExit("cvxpy and owo disagree on the optima: the comparison is void")
                cores: list[float] = []

                def other(
                    loop: Loop = loop, block: Block = block, some: int = some, cores: list[float] = cores
                ) -> None:
                    loop.run(block, some)
                    cores.append(loop.core)

                found = race(
                    [Entry("owo", block.n_tasks, ours), Entry("2 threads", block.n_tasks, lambda: ours(2)),
                     Entry("cvxpy", some, other)],
                    max(3, repetitions // 2),
                )  # fmt: skip
                core = float(np.median(cores)) / some
                mine_each = 1.0 / found.middle("owo")
                speed.append([
                    f"({n}, {d})", type(loss).__name__, f"{strength:g}", f"{1e6 * mine_each:.0f}",
                    f"{1e6 / found.middle('2 threads'):.0f}", f"{1e6 / found.middle('cvxpy'):.0f}", f"{1e6 * core:.0f}",
                    f"{found.ratio('owo', 'cvxpy'):.0f}", f"{core / mine_each:.1f}",
                    f"{np.median(solved.sweeps):.0f}", f"{np.median(solved.steps):.0f}",
                ])  # fmt: skip
                measured[f"{n}, {d}, {loss!r}, {strength}"] = found.stored() | {"core": core}
    header = ["(n, d)", "loss", "strength", "owo, us a task", "2 threads", "cvxpy", "core", "cvxpy / owo", "core / owo",
              "sweeps", "steps"]  # fmt: skip
    return Section(
        "optimum", "Optima in hindsight", ABOUT,
        [
            (f"Certified to {TOLERANCE:g}: absolute, pinball, hinge and logistic loss, strengths .3 to .0003, with and "
             "without doubled points and rounded labels",
             ["n", "d", "tasks", "certified", "median, us a task", "slowest setting"], rows),
            ("Speed", header, speed),
        ],
        measured,
    )  # fmt: skip
