"""Many configurations in one pass, beside as many passes of one, a loop over all of them in C, and NumPy over lanes."""

from __future__ import annotations

import ctypes
import mmap
import pathlib
import tempfile
from typing import Any

import numpy as np

import owo
from benchmarks.stream import problem
from benchmarks.timing import Entry, Race, Section, compiled_c, cores, race
from owo.streams import Block, Synthetic, datasets
from owo.streams.encoding import Encoding
from owo.tuning_free import configurations_for

STRENGTHS, STEPS = np.geomspace(0.1, 10.0, 24), np.geomspace(1e-4, 1e-2, 16)
ROWS = {13: 100_000, 30: 100_000, 100: 40_000, 1000: 5_000}
"""Points of a block, by d: a second core takes some milliseconds to come up to its speed."""
SHAPES = [(13, 40), (30, 40), (100, 40), (1000, 40), (13, 4), (30, 4), (100, 4), (30, 400)]
LANES, SOME = 64, 8
"""Lanes of a block in C; how many of the separate passes are timed."""

ABOUT = """The paper's bias instance at 24 strengths times 16 steps on the same arrays; losses are checked to agree.
**grid** keeps all that its 384 ledgers and certificates need, 88 bytes a task and configuration, **losses**
(`certificates=False`) the loss of every task, as C does, and **2 threads** the same on two cores; **2 cores / 1** is
what a second core gives to a loop of sums that touches no memory. **separate** are passes of one configuration, of
which 8 are timed. All work in memory that was used before; what it costs where it was not, the last table says.
Million configuration-points a second."""


def in_c(block: Block, folder: pathlib.Path) -> Any | None:
    """A loop over blocks of lanes in C; None without a compiler."""
    function = compiled_c("grid", folder)
    if function is None:
        return None
    floats, longs = np.ctypeslib.ndpointer(np.float64), np.ctypeslib.ndpointer(np.int64)
    function.argtypes = [floats, floats, longs, *(ctypes.c_long,) * 3, *(floats,) * 5]
    strengths, steps = _pairs()
    count = len(strengths)

    def stream() -> Any:
        losses = np.empty((block.n_tasks, count))
        theta, q = np.zeros((2, count * block.d))
        blocks = count // LANES
        function(block.X, block.y, block.offsets, block.n_tasks, block.d, blocks, strengths, steps, theta, q, losses)
        return losses

    return stream


def in_numpy(block: Block, tasks: int) -> Any:
    """All configurations as columns of matrices, point by point."""
    strengths, steps = _pairs()
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


def _pairs() -> tuple[Any, Any]:
    strengths, steps = (each.ravel() for each in np.meshgrid(STRENGTHS, STEPS, indexing="ij"))
    return strengths, steps


def compare(block: Block, folder: pathlib.Path, repetitions: int) -> Race:
    """Everybody on one block."""
    strengths, steps = _pairs()
    inner, outer = [owo.GrowingFTRL(s) for s in STRENGTHS], [owo.DualAveraging(s) for s in STEPS]
    count = len(strengths)

    def ours(certificates: bool, threads: int = 1) -> Any:
        grid = owo.Grid(owo.Absolute(), inner, outer, "task", certificates=certificates)
        return grid.run(block, threads=threads).losses

    def separate() -> Any:
        losses = np.full((block.n_tasks, count), np.nan)
        for c in np.linspace(0, count - 1, SOME).astype(int):
            laws = owo.GrowingFTRL(strengths[c]), owo.DualAveraging(steps[c])
            losses[:, c] = owo.OnlineWithinOnline(owo.Absolute(), *laws, "task").run(block).losses
        return losses

    few = max(1, min(block.n_tasks, 2000 // int(block.offsets[1])))
    entries = [
        Entry("grid", count * block.n, lambda: ours(True)),
        Entry("losses", count * block.n, lambda: ours(False)),
        Entry("2 threads", count * block.n, lambda: ours(False, 2)),
        Entry("separate", SOME * block.n, separate),
        Entry("NumPy", count * int(block.offsets[few]), lambda: in_numpy(block, few)),
    ]
    c = in_c(block, folder)
    if c is not None:
        entries.append(Entry("C", count * block.n, c))
    whole = ours(True)
    for each in entries:
        losses = each.run()
        there = np.isfinite(losses)
        if not np.allclose(losses[there], whole[: len(losses)][there], rtol=1e-9, atol=1e-9):
            raise SystemExit(f"{each.name} and the grid disagree on the losses: the comparison is void")
    return race([*entries, *cores()], repetitions)


def section(scale: float, repetitions: int) -> Section:
    """The grid, the paper's study in one go, and learning without tuning."""
    rows, measured, missing = [], {}, ()
    with tempfile.TemporaryDirectory() as folder:
        for d, n in SHAPES:
            block = problem(int(max(scale, 0.25) * ROWS[d]), d, n)
            found = compare(block, pathlib.Path(folder), repetitions)
            names = [each.name for each in found.entries if "core" not in each.name]
            missing = () if "C" in names else ("a C compiler",)
            beside = f"{found.ratio('losses', 'C'):.2f}" if "C" in names else "-"
            rows.append([
                str(d), str(n), *(f"{found.middle(name) / 1e6:.1f}" for name in names),
                f"{found.ratio('grid', 'separate'):.1f}", beside, f"{found.ratio('2 threads', 'losses'):.2f}",
                f"{found.ratio('2 cores', '1 core'):.2f}",
            ])  # fmt: skip
            measured[f"d = {d}, n = {n}"] = found.stored()
    header = ["d", "n", *names, "grid / separate", "losses / C", "2 threads / losses",
              "2 cores / 1, sums alone"]  # fmt: skip
    free, absent = _tuning_free(repetitions, measured)
    return Section(
        "grid", "Many configurations", ABOUT,
        [
            ("", header, rows), _study(scale, repetitions, measured), free, _new_memory(repetitions, measured),
        ],
        measured, missing + absent,
    )  # fmt: skip


def _new_memory(repetitions: int, measured: dict[str, Any]) -> Any:
    """What it costs to fill the memory that the accounts of a grid need, for the first time and again."""
    size = 2500 * 384 * 80
    area: list[Any] = []

    def first() -> None:
        area[:] = [np.frombuffer(mmap.mmap(-1, size))]
        area[0].fill(1.0)

    found = race([Entry("first", size, first), Entry("again", size, lambda: area[0].fill(2.0))], repetitions)
    measured["new memory"] = found.stored()
    return (
        "Memory new to the process: the accounts of 384 configurations and 2,500 tasks, 77 MB, filled with a number",
        ["the first time, ms", "range", "again, ms"],
        [[
            f"{1e3 * np.median(found.seconds['first']):.0f}",
            f"{1e3 * found.seconds['first'].min():.0f} to {1e3 * found.seconds['first'].max():.0f}",
            f"{1e3 * np.median(found.seconds['again']):.0f}",
        ]],
    )  # fmt: skip


def _study(scale: float, repetitions: int, measured: dict[str, Any]) -> Any:
    """400 configurations over 3,000 training tasks of 40 points, then the choice of one on 100 new tasks."""
    stream = Synthetic(tasks=3100, points=40, d=20, mean=4.0, spread=1.0, rows=3100 * 40).block(0)
    training, validation = stream.rows(0, 3000 * 40), stream.rows(3000 * 40, 3100 * 40)
    inner = [owo.GrowingFTRL(s) for s in np.geomspace(0.01, 10.0, 20)]
    outer = [owo.DualAveraging(s) for s in np.geomspace(1e-4, 1.0, 20)]

    def study() -> Any:
        grid = owo.Grid(owo.Absolute(), inner, outer, "task", certificates=False)
        grid.run(training, threads=2)
        losses = []
        for c in range(400):
            learner = owo.OnlineWithinOnline(
                owo.Absolute(), grid.configurations[c].inner, owo.Frozen(), bias=grid.biases[c]
            )
            weights = learner.adapt_each(validation, average=True)
            losses.append(np.abs(np.einsum("ij,ij->i", validation.X, weights[validation.task]) - validation.y).mean())
        return int(np.argmin(losses))

    found = race([Entry("study", 400 * training.n, study)], max(3, repetitions // 2))
    measured["study"] = found.stored()
    seconds = float(np.median(found.seconds["study"]))
    return (
        "A study on two cores: 400 configurations, 3,000 tasks of 40 points, d = 20; each then adapted to 100 tasks",
        ["seconds", "million configuration-points a second"],
        [[f"{seconds:.2f}", f"{found.middle('study') / 1e6:.0f}"]],
    )


REAL = "wagepan", "airfare", "countymurders", "gapminder", "schools", "lenk"
FAMILIES = [(4, 0.3, 30, 10), (4, 1, 30, 10), (4, 3, 30, 10), (0, 1, 30, 10), (2, 0.5, 10, 40)]
"""Mean and spread of the tasks' weights, d, n; with a mean of 0 tasks have nothing in common."""


def _streams() -> tuple[dict[str, Block], tuple[str, ...]]:
    """What is learned without tuning, and the data sets that are not here."""
    streams, missing = {}, []
    for name in REAL:
        try:
            some = datasets.load(name).block()
        except FileNotFoundError:
            missing.append(f"the data set {name} (OWO_DATA)")
        else:
            streams[name] = Encoding.fit(some.X, some.y, some.task).block(some).shuffled(0)
    for mean, spread, d, n in FAMILIES:
        made = Synthetic(tasks=300, points=n, d=d, mean=float(mean), spread=spread, rows=300 * n).block(0)
        streams[f"synthetic, mean {mean}, spread {spread}"] = made.shuffled(0)
    for d in (13, 30, 100):
        streams[f"500 tasks of 40, d = {d}"] = problem(20_000, d, 40)
    return streams, tuple(missing)


def _tuning_free(repetitions: int, measured: dict[str, Any]) -> tuple[Any, tuple[str, ...]]:
    """What learning without tuning costs beside one plain run, and what it loses beside the best in hindsight."""
    rows = []
    streams, missing = _streams()
    inner = [owo.GrowingFTRL(s) for s in np.geomspace(0.03, 30.0, 12)]
    outer = [owo.DualAveraging(s) for s in np.geomspace(1e-3, 3.0, 12)]
    plain = configurations_for(owo.Absolute())[100]
    for name, block in streams.items():
        times = max(1, 20_000 // block.n)

        def alone(block: Block = block, times: int = times) -> None:
            for _ in range(times):
                owo.OnlineWithinOnline(owo.Absolute(), *plain).run(block)

        def grid(outer: Any = outer, block: Block = block) -> Any:
            return owo.Grid(owo.Absolute(), inner, outer, certificates=False).run(block).losses.sum(axis=0)

        def free(block: Block = block) -> float:
            return float(owo.TuningFree(owo.Absolute(), certificates=False).run(block).losses.sum())

        entries = [
            Entry("plain", times * block.n, alone), Entry("grid of 144", block.n, grid),
            Entry("tuning-free", block.n, free),
        ]  # fmt: skip
        found = race(entries, repetitions)
        ours = free()
        rows.append([
            name, f"{block.d}", *(f"{found.middle(each.name) / 1e6:.2f}" for each in entries),
            f"{found.ratio('plain', 'grid of 144'):.1f}", f"{found.ratio('plain', 'tuning-free'):.1f}",
            *(f"{100 * (ours / best - 1):+.1f} %" for best in (grid().min(), grid([owo.Frozen()]).min())),
        ])  # fmt: skip
        measured[f"tuning-free, {name}"] = found.stored()
    header = ["stream", "d", "plain, M points/s", "grid of 144", "tuning-free (192)", "plain / grid",
              "plain / tuning-free", "loss beside best of 144", "beside best of 12 independent"]  # fmt: skip
    title = "Learning without tuning: one plain run, 144 configurations, and the 192 of `TuningFree` with their mixture"
    return (title, header, rows), missing
