"""Point by point, from Python: checked input, a prediction, a step."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np

import owo
from benchmarks.timing import Entry, Section, installed, race

ABOUT = """`learn_one` of a learner with `GrowingFTRL` inside tasks and `DualAveraging` across, for points that are
arrays and come from tasks of 40; it returns the prediction it made. river's linear regression does other work (one
model) on dicts; `predict_one` and `learn_one`, as in its documentation, and so does `owo.river.OWORegressor` on the
same dicts. Microseconds a point."""

POINTS = 20_000


def section(scale: float, repetitions: int) -> Section:
    """Speed at several d, and that a long stream from a generator leaves memory as it was."""
    rows, measured, missing = [], {}, ()
    river = installed("river")
    for d in (13, 30, 100):
        rng = np.random.default_rng(d)
        X, y = rng.normal(size=(POINTS, d)), rng.normal(size=POINTS).tolist()
        points, dicts = list(X), [dict(enumerate(x)) for x in X.tolist()]
        entries = [_ours("per point", points, y, "point"), _ours("per task", points, y, "task")]
        if river is None:
            missing = ("river",)
        else:
            entries += [_river(dicts, y), _adapter(dicts, y)]
        found = race(entries, repetitions)
        times = (
            [f"{found.ratio('per point', 'river'):.1f}", f"{found.ratio('river', 'adapter'):.2f}"] if river else ["-"]
        )
        rows.append([str(d), *(f"{1e6 / found.middle(each.name):.2f}" for each in entries), *times])
        measured[f"d = {d}"] = found.stored()
    header = [
        "d",
        "`learn_one`, bias per point",
        "bias per task",
        *(["river, predict + learn", "`owo.river`, predict + learn"] if river else []),
        "river / `learn_one`",
        *(["`owo.river` / river"] if river else []),
    ]
    tasks, shown = int(scale * 1e6), []
    for history in ("tasks", "spans"):
        kept = measured[f"memory, {history}"] = _memory(tasks, history)
        growth = (kept[1] - kept[0]) * 2**20 / (0.9 * tasks)
        shown.append([history, f"{kept[0]:.0f}", f"{kept[1]:.0f}", f"{growth:.1f}"])
    flat = (
        "Memory of a stream from a generator, tasks of 10 points, d = 30: resident size, MiB",
        ["`history`", f"first {tasks // 10:,} tasks", f"all {tasks:,}", "growth a task, bytes"],
        shown,
    )
    return Section("points", "Point by point", ABOUT, [("", header, rows), flat], measured, missing)


def _ours(name: str, points: list[Any], y: list[float], update: Any) -> Entry:
    learner = owo.OnlineWithinOnline(owo.Absolute(), owo.GrowingFTRL(1.0), owo.DualAveraging(0.001), update)

    def run() -> None:
        for r, (x, label) in enumerate(zip(points, y, strict=True)):
            learner.learn_one(x, label, r // 40)

    return Entry(name, len(y), run)


def _river(dicts: list[Any], y: list[float]) -> Entry:
    from river import linear_model

    model = linear_model.LinearRegression()

    def run() -> None:
        for x, label in zip(dicts, y, strict=True):
            model.predict_one(x)
            model.learn_one(x, label)

    return Entry("river", len(y), run)


def _adapter(dicts: list[Any], y: list[float]) -> Entry:
    from owo.river import OWORegressor

    model = OWORegressor(None, None, owo.GrowingFTRL(1.0), owo.DualAveraging(0.001))

    def run() -> None:
        for x, label in zip(dicts, y, strict=True):
            model.predict_one(x)
            model.learn_one(x, label)

    return Entry("adapter", len(y), run)


STREAM = """
import sys, numpy as np, owo
rng = np.random.default_rng(0)
X, y = rng.normal(size=(10, 30)), rng.normal(size=10)
learner = owo.OnlineWithinOnline(owo.Absolute(), history=sys.argv[2])
peaks = []
for count in (int(sys.argv[1]) // 10, int(sys.argv[1]) * 9 // 10):
    learner.run((X, y) for _ in range(count))
    peaks.append(int(open("/proc/self/statm").read().split()[1]) / 256)
print(*peaks)
"""


def _memory(tasks: int, history: str) -> list[float]:
    """Resident size in MiB after a tenth, and after all of a stream, in a process of its own."""
    words = [sys.executable, "-c", STREAM, str(tasks), history]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return [float(each) for each in done.stdout.split()]
