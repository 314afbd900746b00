"""Damage files at random and read them: it has to work or raise ValueError or TypeError.

Parquet, Arrow IPC, CSV and NumPy files, saved learners (which must never be read as another one), and settings.
``python tests/fuzz_files.py FOLDER SEED SECONDS [KIND]`` writes the bytes it is about to read into FOLDER first, so
that what ended the process is still there; KIND is an extension that it keeps to. Prints how many files it has read,
how many of them were refused, and by how many MiB the memory of the process grew after the first quarter of the time.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import resource
import signal
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet

import owo
from experiments.settings import from_file as settings
from experiments.settings import overridden
from owo.streams import from_file

LONGEST = 30
"""Seconds a file of a few kilobytes may take."""


def columns(rng: np.random.Generator, n: int) -> pa.Table:
    shop = rng.integers(0, 5, n)
    price = pa.array(rng.normal(size=n), mask=rng.random(n) < 0.1)
    kinds = [pa.array(shop), pa.array([f"s{k}" for k in shop]), pa.array([f"s{k}" for k in shop]).dictionary_encode()]
    return pa.table({"shop": kinds[rng.integers(3)], "price": price, "open": shop > 2, "sold": rng.normal(size=n)})


def write(rng: np.random.Generator, folder: Path) -> list[Path]:
    """A valid file of each format; returns those that may be damaged."""
    table = columns(rng, int(rng.integers(1, 200)))
    packing = [None, "snappy", "zstd"][rng.integers(3)]
    parquet.write_table(table, folder / "t.parquet", row_group_size=50, compression=packing or "none")
    options = pa.ipc.IpcWriteOptions(compression=[None, "lz4", "zstd"][rng.integers(3)])
    with pa.ipc.new_file(folder / "t.arrow", table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=50)
    with pa.ipc.new_stream(folder / "t.ipc", table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=50)
    rows = zip(*(column.to_pylist() for column in table.columns), strict=True)
    text = "".join(",".join("" if v is None else f'"{v}"' if v == "s1" else str(v) for v in row) + "\n" for row in rows)
    (folder / "t.csv").write_text("shop,price,open,sold\n" + text)
    (folder / "t").mkdir(exist_ok=True)
    arrays = {
        "X": rng.normal(size=(len(table), 2)),
        "shop": rng.integers(0, 5, len(table)),
        "sold": rng.normal(size=len(table)),
    }
    for name, array in arrays.items():
        np.save(folder / "t" / f"{name}.npy", array)
    learner = owo.OnlineWithinOnline(owo.Absolute(), history=["tasks", "spans"][rng.integers(2)])
    learner.run(owo.streams.from_arrays(arrays["X"], arrays["sold"], arrays["shop"]))
    learner.save(folder / "t.owo")
    (folder / "t.toml").write_text('kind = "regression"\ntasks = 50\nunit = true\nsteps = [0.1, 1.0]\n')
    return [
        folder / "t.owo",
        folder / "t.toml",
        folder / "t.parquet",
        folder / "t.arrow",
        folder / "t.ipc",
        folder / "t.csv",
        folder / "t" / "X.npy",
        folder / "t" / "shop.npy",
    ]


def damaged(rng: np.random.Generator, data: bytes) -> bytes:
    """Bytes overwritten, cut off, put in or taken out, most often near either end, where the structure is."""
    spot = [
        lambda n: rng.integers(n),
        lambda n: min(rng.integers(64), n - 1),
        lambda n: max(n - 1 - rng.integers(600), 0),
    ]
    for _ in range(rng.integers(1, 4)):
        at = int(spot[rng.integers(3)](len(data)))
        some = bytes(rng.integers(0, 256, rng.integers(1, 9), dtype=np.uint8))
        some = [some, b"\xff" * 4, b"\x00" * 8, b"\xff\xff\xff\x7f", b'"', b"\n"][rng.integers(6)]
        kind = rng.integers(9)
        if kind == 0:
            data = data[:at]
        elif kind == 1:
            data = data[:at] + some + data[at:]
        elif kind == 2:
            data = data[:at] + data[at + len(some) :]
        elif kind == 3:
            data = data[:at] + some + data[at + len(some) :]
        else:
            data = data[:at] + bytes([data[at] ^ (1 << int(rng.integers(8)))]) + data[at + 1 :]
        if not data:
            break
    return data


def read(path: Path, rng: np.random.Generator) -> bool:
    """Whether a file is refused, in one way or another of reading it."""
    if path.suffix in (".owo", ".toml"):
        try:
            owo.OnlineWithinOnline.load(path) if path.suffix == ".owo" else overridden(Settings(), settings(path))
            return False
        except ValueError:
            return True
    kinds: list[dict[str, object]] = [{}, {"missing": "skip"}, {"missing": 0.0}, {"ends": "never"}, {"ends": "change"}]
    kinds += [{"time": "sold", "missing": "skip"}, {"categories": {"open": "observe"}}]
    options: Any = kinds[rng.integers(len(kinds))]
    try:
        stream = from_file(path, "shop", "sold", rows=int(rng.integers(1, 99)), **options)
        for block in stream:
            assert np.isfinite(block.X).all() and np.isfinite(block.y).all() and len(block.keys) <= block.n
            assert block.task.min() >= 0 and block.task.max() == len(block.keys) - 1
        return False
    except (ValueError, TypeError):
        return True


@dataclasses.dataclass(frozen=True)
class Settings:
    kind: str = "regression"
    tasks: int = 10
    unit: bool = False
    steps: tuple[float, ...] = (1.0,)


def peak() -> float:
    """MiB that were resident at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(folder: Path, seed: int, seconds: float, kind: str = "") -> None:
    warnings.simplefilter("error")
    alarm: Callable[[int], int] = getattr(signal, "alarm", lambda _: 0)  # unhandled, it ends the process
    began, refused, early = time.monotonic(), 0, 0.0
    for k in itertools.count():
        rng = np.random.default_rng([seed, k])
        paths = [path for path in write(rng, folder) if not kind or path.suffix == f".{kind}"]
        target = paths[rng.integers(len(paths))]
        valid = target.read_bytes()
        for _ in range(10):
            data = damaged(rng, valid)
            target.write_bytes(data)
            alarm(LONGEST)
            was_refused = read(target.parent if target.suffix == ".npy" else target, rng)
            assert was_refused or target.suffix != ".owo" or data == valid, "a damaged learner was read"
            refused += was_refused
            alarm(0)
        spent = time.monotonic() - began
        early = early or (peak() if spent > seconds / 4 else 0.0)
        if spent > seconds:
            break
    print(10 * (k + 1), refused, f"{peak() - early:.1f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), *sys.argv[4:])
    sys.stdout.flush()
    os._exit(0)
