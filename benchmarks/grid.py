"""Many configurations in one pass, beside as many passes of one, a loop over all of them in C, and NumPy over lanes.

All compute the paper's bias instance (absolute loss, GrowingFTRL inside, DualAveraging across, bias moved once a task)
at 24 strengths times 16 steps on the same arrays, and their losses are checked to agree. ``grid`` keeps all that its
384 ledgers and certificates need, ``losses`` (``certificates=False``) the loss of every task, as C does. Separate
passes are timed on some of the configurations. Rows are timed in turn within each repetition; medians.

Usage: python -m benchmarks.grid [--points 20000] [--repetitions 7] [--out results/bench]
"""

from __future__ import annotations

import argparse
import ctypes
import json
import pathlib
import subprocess
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import owo
from benchmarks.__main__ import problem
from owo.streams import Block

STRENGTHS, STEPS = np.geomspace(0.1, 10.0, 24), np.geomspace(1e-4, 1e-2, 16)
SHAPES = [(13, 40), (30, 40), (100, 40), (1000, 40), (13, 4), (30, 4), (100, 4), (30, 400)]
LANES, SOME = 64, 8
"""Lanes of a block in C; how many of the separate passes are timed."""


def c_grid(folder: pathlib.Path) -> Any | None:
    """The C loop, compiled on the spot; None where there is no gcc."""
    source, library = pathlib.Path(__file__).with_name("grid.c"), folder / "grid.so"
    command = ["gcc", "-O3", "-march=native", "-ffast-math", "-shared", "-fPIC", str(source), "-o", str(library), "-lm"]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    function = ctypes.CDLL(str(library)).grid
    floats, longs = np.ctypeslib.ndpointer(np.float64), np.ctypeslib.ndpointer(np.int64)
    function.argtypes = [floats, floats, longs, *(ctypes.c_long,) * 3, *(floats,) * 5]
    function.restype = None
    return function


def numpy_lanes(block: Block, strengths: Any, steps: Any, tasks: int) -> Any:
    """All configurations as columns of matrices, point by point."""
    theta, losses = np.zeros((block.d, len(strengths))), np.zeros((tasks, len(strengths)))
    for t in range(tasks):
        q = np.zeros_like(theta)
        for i, r in enumerate(range(block.offsets[t], block.offsets[t + 1]), start=1):
            x = block.X[r]
            e = x @ theta - (x @ q) / (strengths * i) - block.y[r]
            losses[t] += np.abs(e)
            q += np.outer(x, np.sign(e))
        theta -= steps * q
    return losses


def contenders(block: Block, compiled: Any | None) -> dict[str, tuple[float, Callable[[], Any]]]:
    """Name -> configuration-points, and a function that does them and returns losses of tasks, a column each."""
    strengths, steps = (each.ravel() for each in np.meshgrid(STRENGTHS, STEPS, indexing="ij"))
    inner, outer = [owo.GrowingFTRL(s) for s in STRENGTHS], [owo.DualAveraging(s) for s in STEPS]
    count, T = len(strengths), block.n_tasks

    def ours(certificates: bool, threads: int = 1) -> Callable[[], Any]:
        def stream() -> Any:
            grid = owo.Grid(owo.Absolute(), inner, outer, "task", certificates=certificates)
            return grid.run(block, threads=threads).losses

        return stream

    def separate() -> Any:
        picked = np.linspace(0, count - 1, SOME).astype(int)
        losses = np.full((T, count), np.nan)
        for c in picked:
            laws = owo.GrowingFTRL(strengths[c]), owo.DualAveraging(steps[c])
            losses[:, c] = owo.OnlineWithinOnline(owo.Absolute(), *laws, "task").run(block).losses
        return losses

    def in_c() -> Any:
        assert compiled is not None
        blocks, losses = count // LANES, np.empty((T, count))
        theta, q = np.zeros((2, count * block.d))
        compiled(block.X, block.y, block.offsets, T, block.d, blocks, strengths, steps, theta, q, losses)
        return losses

    few = max(1, min(T, 2000 // int(block.offsets[1])))
    rows: dict[str, tuple[float, Callable[[], Any]]] = {
        "grid": (count * block.n, ours(True)),
        "losses": (count * block.n, ours(False)),
        "two threads": (count * block.n, ours(False, 2)),
        "separate": (SOME * block.n, separate),
    }
    if compiled is not None:
        rows["C"] = (count * block.n, in_c)
    rows["NumPy"] = (count * int(block.offsets[few]), lambda: numpy_lanes(block, strengths, steps, few))
    return rows


def agree(results: dict[str, Any]) -> None:
    """All contenders suffered the same losses; slopes are signs, so rounding can flip one only at an exact tie."""
    for name, losses in results.items():
        ours = results["grid"][: len(losses)]
        there = np.isfinite(losses)
        if not np.allclose(losses[there], ours[there], rtol=1e-9, atol=1e-9):
            raise SystemExit(f"{name} and the grid disagree on the losses: the comparison is void")


def measure(points: int, d: int, n: int, repetitions: int, compiled: Any | None) -> dict[str, Any]:
    """Time a shape; million configuration-points a second, by contender."""
    block = problem(points, d, n)
    rows = contenders(block, compiled)
    agree({name: stream() for name, (_, stream) in rows.items()})
    times: dict[str, list[float]] = {name: [] for name in rows}
    for _ in range(repetitions):
        for name, (_, stream) in rows.items():
            start = time.perf_counter()
            stream()
            times[name].append(time.perf_counter() - start)
    rates = {name: rows[name][0] / np.array(t) / 1e6 for name, t in times.items()}
    result: dict[str, Any] = {"d": d, "n": n, "points": block.n}
    for name, rate in rates.items():
        result[name] = {"median": float(np.median(rate)), "quartiles": np.quantile(rate, [0.25, 0.75]).tolist()}
        for own in ("grid", "losses"):
            result[name][f"{own} is times"] = float(np.median(rates[own] / rate))
    result["threads"] = float(np.median(rates["two threads"] / rates["losses"]))
    return result


def table(results: list[dict[str, Any]]) -> str:
    """Markdown."""
    lines = [
        "| d | n | grid, M/s | losses | separate | C | NumPy | grid / separate | losses / C | 2 threads |",
        "|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for r in results:
        c = r.get("C")
        rates = [f"{r[name]['median']:.0f}" for name in ("grid", "losses", "separate")]
        cells = [
            r["d"], r["n"], *rates, f"{c['median']:.0f}" if c else "no gcc", f"{r['NumPy']['median']:.1f}",
            f"{r['separate']['grid is times']:.1f}", f"{c['losses is times']:.2f}" if c else "-", f"{r['threads']:.2f}",
        ]  # fmt: skip
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def main() -> None:
    """Measure, print, write."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(prog="python -m benchmarks.grid", description=__doc__.split("\n")[0])
    parser.add_argument("--points", type=int, default=20_000)
    parser.add_argument("--repetitions", type=int, default=7)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("results/bench"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        compiled = c_grid(pathlib.Path(folder))
        results = [measure(options.points if d < 1000 else options.points // 4, d, n, options.repetitions, compiled)
                   for d, n in SHAPES]  # fmt: skip
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "grid.json").write_text(json.dumps(results, indent=1))
    text = table(results)
    (options.out / "grid.md").write_text(text + "\n")
    print(text)
    print(f"{len(STRENGTHS) * len(STEPS)} configurations; medians of {options.repetitions} repetitions")


if __name__ == "__main__":
    main()
