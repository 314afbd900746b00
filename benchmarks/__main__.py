"""One stream, inner and outer loop in one call, against the same recursion in NumPy and in C.

All compute the paper's bias instance (absolute loss, GrowingFTRL inside, DualAveraging across, bias moved once a task)
on the same arrays, and their losses are checked to agree. ``owo`` is ``learner.run``, with the ledger it returns: 17
numbers a task, in new memory, for the certificate. ``kernel`` is its one compiled call alone, which writes these
numbers into memory that is there already; the C loop writes the loss of every point, likewise. Rows are timed in turn
within each repetition, so that a slow moment of the machine hits all alike; medians, with quartiles.

Usage: python -m benchmarks [--points 1000000] [--repetitions 15] [--out results/bench]
"""

from __future__ import annotations

import argparse
import ctypes
import itertools
import json
import pathlib
import platform
import subprocess
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numba
import numpy as np

import owo
from owo import kernels
from owo.streams import Block

STRENGTH, STEP = 1.0, 0.001
SHAPES = [(30, 40), (30, 4), (13, 40), (13, 4), (100, 40), (100, 4)]
NUMPY_POINTS = 20_000
"""The NumPy loop is timed on the first points only: its time per point does not depend on how many follow."""


def c_stream(folder: pathlib.Path) -> Any | None:
    """The C loop, compiled on the spot; None where there is no gcc."""
    source, library = pathlib.Path(__file__).with_name("stream.c"), folder / "stream.so"
    command = ["gcc", "-O3", "-march=native", "-ffast-math", "-shared", "-fPIC", str(source), "-o", str(library), "-lm"]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    function = ctypes.CDLL(str(library)).stream
    floats, longs = np.ctypeslib.ndpointer(np.float64), np.ctypeslib.ndpointer(np.int64)
    real, whole = ctypes.c_double, ctypes.c_long
    function.argtypes = [floats, floats, longs, whole, whole, real, real, floats, floats, floats]
    function.restype = None
    return function


def numpy_stream(X: Any, y: Any, offsets: Any) -> Any:
    """The plain loop of research code."""
    theta, losses = np.zeros(X.shape[1]), np.empty(len(y))
    for start, stop in itertools.pairwise(offsets):
        q = np.zeros(X.shape[1])
        for i, r in enumerate(range(start, stop), start=1):
            p = X[r] @ (theta - q / (STRENGTH * i))
            losses[r] = abs(p - y[r])
            q += np.sign(p - y[r]) * X[r]
        theta -= STEP * q
    return losses


def problem(points: int, d: int, n: int) -> Block:
    """Unit rows, tasks around a common mean."""
    rng = np.random.default_rng([d, n])
    X = rng.standard_normal((points // n * n, d))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    task = np.repeat(np.arange(points // n), n)
    w = rng.standard_normal(d) + 0.3 * rng.standard_normal((points // n, d))
    y = np.einsum("ij,ij->i", X, w[task]) + 0.1 * rng.standard_normal(len(X))
    return Block(X, y, task)


def contenders(block: Block, compiled: Any | None) -> dict[str, tuple[int, Callable[[], Any]]]:
    """Name -> number of points, function that streams them and returns their losses."""
    X, y, d = block.X, block.y, block.d
    offsets = block.offsets
    short = offsets[: np.searchsorted(offsets, NUMPY_POINTS, side="right")]

    def ours() -> Any:
        learner = owo.OnlineWithinOnline(owo.Absolute(), owo.GrowingFTRL(STRENGTH), owo.DualAveraging(STEP), "task")
        return learner.run(block, points=False).losses

    laws = owo.GrowingFTRL(STRENGTH), owo.DualAveraging(STEP)
    learner = owo.OnlineWithinOnline(owo.Absolute(), *laws, "task", bias=np.zeros(d))
    slots, _, _ = learner._slots.assign(block)
    written = kernels.room(0, block.n_tasks, 0, d)

    def kernel() -> Any:
        across, within, clock = learner._across(), learner._slots.arrays, np.zeros(3, dtype=np.int64)
        for array in (across.total, across.play, across.state, across.account):
            array[:] = 0.0
        kernels.run(
            learner.loss,
            *laws,
            learner.geometry,
            False,
            False,
            X,
            X,
            y,
            block.task,
            block.ends,
            slots,
            across,
            within,
            clock,
            written,
            0,
        )
        return written.tasks[:, 0]

    losses = np.zeros(block.n)

    def in_c() -> Any:
        assert compiled is not None
        compiled(X, y, offsets, len(offsets) - 1, d, STRENGTH, STEP, np.zeros(d), np.zeros(d), losses)
        return losses

    rows: dict[str, tuple[int, Callable[[], Any]]] = {"owo": (block.n, ours), "kernel": (block.n, kernel)}
    if compiled is not None:
        rows["C"] = (block.n, in_c)
    rows["NumPy"] = (int(short[-1]), lambda: numpy_stream(X, y, short)[: short[-1]])
    return rows


def agree(results: dict[str, Any], block: Block) -> None:
    """All contenders suffered the same losses; slopes are signs, so rounding can flip one only at an exact tie."""
    for name, losses in results.items():
        if name not in ("owo", "kernel"):
            losses = np.add.reduceat(losses, block.offsets[:-1][block.offsets[:-1] < len(losses)])
        if not np.allclose(losses, results["owo"][: len(losses)], rtol=1e-9, atol=1e-9):
            raise SystemExit(f"{name} and owo disagree on the losses: the comparison is void")


def measure(points: int, d: int, n: int, repetitions: int, compiled: Any | None) -> dict[str, Any]:
    """Time a shape; million points a second, by contender."""
    block = problem(points, d, n)
    rows = contenders(block, compiled)
    agree({name: stream() for name, (_, stream) in rows.items()}, block)
    times: dict[str, list[float]] = {name: [] for name in rows}
    for _ in range(repetitions):
        for name, (_, stream) in rows.items():
            start = time.perf_counter()
            stream()
            times[name].append(time.perf_counter() - start)
    rates = {name: rows[name][0] / np.array(t) / 1e6 for name, t in times.items()}
    result: dict[str, Any] = {"d": d, "n": n, "points": block.n}
    for name, rate in rates.items():
        low, middle, high = np.quantile(rate, [0.25, 0.5, 0.75])
        result[name] = {"median": float(middle), "quartiles": [float(low), float(high)]}
        for own in ("owo", "kernel"):
            result[name][f"{own} is times"] = float(np.median(rates[own] / rate))
    return result


def table(results: list[dict[str, Any]]) -> str:
    """Markdown."""
    lines = [
        "| d | n | owo, M points/s | kernel | C | NumPy | owo / C | kernel / C | owo / NumPy |",
        "|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for r in results:
        ours, c, plain = r["owo"], r.get("C"), r["NumPy"]
        middle = f"{ours['median']:.1f} ({ours['quartiles'][0]:.1f}-{ours['quartiles'][1]:.1f})"
        ratios = [f"{c[f'{own} is times']:.2f}" if c else "-" for own in ("owo", "kernel")]
        rates = [f"{r['kernel']['median']:.1f}", f"{c['median']:.1f}" if c else "no gcc", f"{plain['median']:.2f}"]
        cells = [r["d"], r["n"], middle, *rates, *ratios, f"{plain['owo is times']:.0f}"]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def main() -> None:
    """Measure, print, write."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.split("\n")[0])
    parser.add_argument("--points", type=int, default=1_000_000)
    parser.add_argument("--repetitions", type=int, default=15)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("results/bench"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        compiled = c_stream(pathlib.Path(folder))
        results = [measure(options.points, d, n, options.repetitions, compiled) for d, n in SHAPES]
    versions = {"python": platform.python_version(), "numpy": np.__version__, "numba": numba.__version__}
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "stream.json").write_text(json.dumps({"versions": versions, "results": results}, indent=1))
    text = table(results)
    (options.out / "stream.md").write_text(text + "\n")
    print(text)
    print(f"medians of {options.repetitions} repetitions (quartiles); ratios are medians of ratios within a repetition")


if __name__ == "__main__":
    main()
