"""Files larger than memory, a million open tasks, what a save costs: seconds and resident memory, a process each."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

from benchmarks.timing import Section

D = 20
ABOUT = f"""A Parquet file of mixed tasks, {D} features and an integer task in float64 and int64, made here and removed
again. Reading alone is `pyarrow.parquet.ParquetFile.iter_batches` over the same columns with the same settings, and
nothing done with the rows. Each row is the median over processes of its own, which use both cores as they see fit;
memory is the peak of what is resident (VmHWM), interpreter, numba and Arrow included. The first pass finds where tasks
end, by the task column alone. Open tasks and saves are measured once."""

READ = """
import sys, time
from pyarrow.parquet import ParquetFile
began = time.perf_counter()
with ParquetFile(sys.argv[1], pre_buffer=False, buffer_size=65536) as file:
    n = sum(len(batch) for batch in file.iter_batches(65536, use_threads=False))
"""
LEARN = """
import sys, time
import numpy as np, owo
parts = owo.GrowingFTRL(1.0), owo.DualAveraging(1e-4)
one = owo.OnlineWithinOnline(owo.Absolute(), *parts, history=sys.argv[3])
owo.OnlineWithinOnline(owo.Absolute(), *parts).run([(np.ones((2, 20)), np.ones(2))])  # compiles, or loads what was
began = time.perf_counter()
one.run(owo.streams.from_file(sys.argv[1], "user", "y", ends=sys.argv[2]))
n = one.points_met
"""
COMMAND = """
import contextlib, io, sys, tempfile, time
from owo import cli
began = time.perf_counter()
with contextlib.redirect_stdout(io.StringIO()):
    cli.main(["run", sys.argv[1], "--task", "user", "--target", "y", "--out", tempfile.mkdtemp()])
n = 0
"""
OPEN = """
import sys, time
import numpy as np, owo
count, spill, d = int(sys.argv[1]), int(sys.argv[2]), 20
more = {"spill": owo.Spill(spill)} if spill else {}
one = owo.OnlineWithinOnline(owo.Absolute(), owo.GrowingFTRL(1.0), owo.DualAveraging(1e-4), history="spans", **more)
X = np.random.default_rng(0).normal(size=(50_000, d))
def block(first):
    return owo.Block(X, X.sum(axis=1), np.arange(len(X)), np.zeros(len(X), bool), range(first, first + len(X)))
one.run(block(0))
before = peak()
began = time.perf_counter()
for first in range(len(X), count, len(X)):
    one.run(block(first))
n = len(one.open_tasks)
"""
SAVE = OPEN.replace(
    "n = len(one.open_tasks)",
    """
one.save(sys.argv[3])
began = time.perf_counter()
one.save(sys.argv[3])
n = len(one.open_tasks)
""",
)
LOAD = """
import sys, time
import owo
began = time.perf_counter()
n = len(owo.OnlineWithinOnline.load(sys.argv[3]).open_tasks)
"""
PEAK = """
import re
def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) * 1024
before = 0
"""
PRINT = """
import json
print(json.dumps([time.perf_counter() - began, peak(), before, n]))
"""


def made(path: pathlib.Path, rows: int, tasks: int) -> None:
    """A file of mixed tasks."""
    import pyarrow as pa
    from pyarrow import parquet

    rng = np.random.default_rng(0)
    w = 2.0 + 0.5 * rng.normal(size=(tasks, D))
    names = ["user", *(f"x{k}" for k in range(D)), "y"]
    schema = pa.schema([(name, pa.int64() if name == "user" else pa.float64()) for name in names])
    with parquet.ParquetWriter(path, schema) as file:
        for start in range(0, rows, 1 << 18):
            n = min(1 << 18, rows - start)
            X, user = rng.normal(size=(n, D)), rng.integers(tasks, size=n)
            y = np.sum(X * w[user], axis=1) + 0.5 * rng.normal(size=n)
            columns = [user, *(np.ascontiguousarray(X[:, k]) for k in range(D)), y]
            file.write_table(pa.table([pa.array(each) for each in columns], names=names), row_group_size=1 << 20)


def run(code: str, *words: object) -> list[float]:
    """Seconds, peak memory, memory before, and a count, of a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", PEAK + code + PRINT, *map(str, words)], capture_output=True, text=True, check=True
    )
    found: list[float] = json.loads(done.stdout.splitlines()[-1])
    return found


def section(scale: float, repetitions: int) -> Section:
    """Reading alone, learning, the command; open tasks, saves."""
    rows, tasks, many = (round(scale * each) for each in (10_000_000, 100_000, 1_000_000))
    shown, measured = [], {}
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "log.parquet")
        made(path, rows, tasks)
        ways = {
            "reading alone": (READ, path),
            "learning, tasks never end": (LEARN, path, "never", "spans"),
            "learning, first pass included": (LEARN, path, "last", "spans"),
            "`owo run`: three learners, encoding, saves": (COMMAND, path),
        }
        found: dict[str, list[list[float]]] = {name: [] for name in ways}
        for _ in range(max(3, repetitions // 2)):
            for name, (code, *words) in ways.items():
                found[name].append(run(code, *words))
        base = float(np.median([each[0] for each in found["reading alone"]]))
        for name, runs in found.items():
            seconds, peak = (np.array([each[k] for each in runs]) for k in (0, 1))
            measured[name] = {"seconds": seconds.tolist(), "peak": peak.tolist()}
            middle = float(np.median(seconds))
            spread = f"{seconds.min():.2f} to {seconds.max():.2f}"
            shown.append([name, f"{middle:.2f}", spread, f"{middle / base:.2f}", f"{peak.max() / 1e6:.0f}"])
        for name, spill in (("in memory", 0), ("spilled to disk but for 100,000", 100_000)):
            seconds, peak, before, count = run(OPEN, many, spill)
            each = (peak - before) / max(count - 50_000, 1)
            measured[f"open tasks, {name}"] = {"seconds": seconds, "bytes": each}
            shown.append([f"{many:,} open tasks, {name}", f"{seconds:.2f}", "-", "-", f"{each:.0f} bytes a task"])
        kept = pathlib.Path(folder, "learner.owo")
        for name, code in (("saving", SAVE), ("loading", LOAD)):
            seconds, *_ = run(code, many, 0, kept)
            size = kept.stat().st_size
            measured[name] = {"seconds": seconds, "bytes": size}
            shown.append([f"{name} {many:,} open tasks ({size / 1e6:.0f} MB)", f"{seconds:.2f}", "-", "-", "-"])
    header = ["", "seconds", "range", "times reading alone", "peak MB"]
    title = f"Files: {rows:,} rows, {tasks:,} mixed tasks"
    return Section("files", title, ABOUT, [("", header, shown)], measured)
