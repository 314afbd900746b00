"""How time and memory grow: with tasks, points a task, features, configurations and threads; fitted exponents."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np

import owo
from benchmarks.stream import laws, problem
from benchmarks.timing import Entry, Section, cores, race
from owo.streams import Block

ABOUT = """Each row multiplies one size and leaves the others. The exponent is the slope of log time against log size by
least squares; below 1 it means fixed costs of a call or a task, so beside it stand the size from which on they no
longer show (neighbours are .95 or more apart) and the exponent from there on; above 1, data that leave a cache."""

SIZES: dict[str, list[int]] = {
    "tasks T": [30_000, 60_000, 125_000, 250_000, 500_000, 1_000_000],
    "points a task n": [16, 64, 256, 1024, 4096],
    "features d": [100, 200, 400, 800, 1600],
    "configurations": [128, 256, 512, 1024, 2048],
}
FIXED = {
    "tasks T": "n = 10, d = 10", "points a task n": "T = 2,000, d = 30", "features d": "T = 1,000, n = 40",
    "configurations": "T = 500, n = 40, d = 30",
}  # fmt: skip


def made(name: str, size: int) -> Entry:
    """A stream of a size, and the pass over it."""
    if name == "configurations":
        block = problem(20_000, 30, 40)
        inner = [owo.GrowingFTRL(s) for s in np.geomspace(0.1, 10.0, size // 8)]
        outer = [owo.DualAveraging(s) for s in np.geomspace(1e-4, 1e-2, 8)]
        return Entry(
            str(size), size, lambda: owo.Grid(owo.Absolute(), inner, outer, "task", certificates=False).run(block)
        )
    T, n, d = {"tasks T": (size, 10, 10), "points a task n": (2000, size, 30), "features d": (1000, 40, size)}[name]
    block = problem(T * n, d, n)
    return Entry(str(size), size, lambda: owo.OnlineWithinOnline(owo.Absolute(), *laws(), "task").run(block))


def exponent(sizes: Any, seconds: Any) -> tuple[float, str, float]:
    """Slope over all sizes; from where on fixed costs no longer show (.95 between neighbours), and the slope there."""
    x, t = np.log(sizes), np.log(seconds)
    steps = np.diff(t) / np.diff(x)
    flat = np.flatnonzero(steps < 0.95)
    start = min(int(flat[-1]) + 1 if len(flat) else 0, len(sizes) - 2)
    return float(np.polyfit(x, t, 1)[0]), f"{sizes[start]:,}", float(np.polyfit(x[start:], t[start:], 1)[0])


PEAK = """
import re, sys
from benchmarks.growth import made
def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024
name, size = sys.argv[1], int(sys.argv[2])
made(name, 128 if name == "configurations" else 16 if name == "points a task n" else 100).run()
entry = made(name, size)
with open("/proc/self/clear_refs", "w") as file:
    file.write("5")  # from here on
before = peak()
entry.run()
print(peak() - before)
"""


def section(scale: float, repetitions: int) -> Section:
    """All sizes, and threads."""
    rows, measured = [], {}
    for name, sizes in SIZES.items():
        some = [size for size in sizes if scale >= 1.0 or size <= 100_000]
        found = race([made(name, size) for size in some], max(3, repetitions // 2))
        seconds = np.array([np.median(found.seconds[str(size)]) for size in some])
        slope, start, there = exponent(some, seconds)
        peak = float(subprocess.run([sys.executable, "-c", PEAK, name, str(some[-1])], capture_output=True, text=True,
                                    check=True).stdout)  # fmt: skip
        rows.append([
            name, FIXED[name], f"{some[0]:,} to {some[-1]:,}", f"{1e3 * seconds[0]:.1f} to {1e3 * seconds[-1]:.1f}",
            f"{slope:.2f}", start, f"{there:.2f}", f"{peak:.0f}",
        ])  # fmt: skip
        measured[name] = found.stored() | {"peak beyond the data, MiB": peak}
    header = [
        "size",
        "others",
        "from, to",
        "ms",
        "exponent",
        "straight from",
        "exponent there",
        "peak beyond the data, MiB",
    ]
    return Section("growth", "Growth", ABOUT, [("", header, rows), _threads(repetitions, measured)], measured)


def _threads(repetitions: int, measured: dict[str, Any]) -> Any:
    """What a second core gives."""
    block: Block = problem(40_000, 30, 40)
    inner = [owo.GrowingFTRL(s) for s in np.geomspace(0.1, 10.0, 24)]
    outer = [owo.DualAveraging(s) for s in np.geomspace(1e-4, 1e-2, 16)]

    def grid(threads: int) -> Any:
        return owo.Grid(owo.Absolute(), inner, outer, "task", certificates=False).run(block, threads=threads)

    def optima(threads: int) -> Any:
        return owo.hindsight.optima(owo.Absolute(), block, 0.01, threads=threads)

    def many(threads: int) -> Any:
        jobs = [(owo.OnlineWithinOnline(owo.Absolute(), *laws(), "point"), block) for _ in range(8)]
        return owo.run_many(jobs, threads=threads)

    found = race(cores(), repetitions)
    rows = [[
        "sums alone", *(f"{1e3 * np.median(found.seconds[name]):.0f}" for name in ("1 core", "2 cores")),
        f"{found.ratio('2 cores', '1 core'):.2f}",
    ]]  # fmt: skip
    for name, work in (("grid of 384", grid), ("optima of 1,000 tasks", optima), ("run_many, 8 streams", many)):
        found = race([Entry(str(k), 1.0, lambda work=work, k=k: work(k)) for k in (1, 2)], repetitions)
        rows.append([name, *(f"{1e3 / found.middle(str(k)):.0f}" for k in (1, 2)), f"{found.ratio('2', '1'):.2f}"])
        measured[f"threads, {name}"] = found.stored()
    return "Two cores", ["work", "1 thread, ms", "2 threads, ms", "times"], rows
