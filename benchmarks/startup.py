"""What it takes until there is a result: import, first call with machine code on disk, first call ever."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time

import numpy as np

from benchmarks.timing import Section

ABOUT = """New processes, each timed as a whole from outside. **bare** is Python that does nothing; **first result**
learns 200 tasks with the default learner; **warm** finds the machine code that an earlier process kept, **cold**
compiles it."""

FIRST = """
import numpy as np, owo
rng = np.random.default_rng(0)
stream = [(rng.normal(size=(10, 5)), rng.normal(size=10)) for _ in range(200)]
owo.OnlineWithinOnline(owo.Absolute()).run(stream)
"""


def _seconds(code: str, folder: str) -> float:
    """Wall time of a process."""
    environment = os.environ | {"NUMBA_CACHE_DIR": folder}
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def section(scale: float, repetitions: int) -> Section:
    """In turn, so that a slow moment hits all."""
    rows = [
        ("bare Python", ""), ("import numpy", "import numpy"), ("import numba", "import numba"),
        ("import owo", "import owo"), ("first result, warm", FIRST),
        ("first result without tuning, warm", FIRST.replace("OnlineWithinOnline", "TuningFree")),
    ]  # fmt: skip
    seconds: dict[str, list[float]] = {name: [] for name, _ in rows}
    cold: list[float] = []
    with tempfile.TemporaryDirectory() as kept:
        for _, code in rows:
            _seconds(code, kept)
        for turn in range(repetitions):
            for name, code in rows:
                seconds[name].append(_seconds(code, kept))
            if turn < 2:
                with tempfile.TemporaryDirectory() as empty:
                    cold.append(_seconds(FIRST, empty))
    seconds["first result, cold"] = cold
    table = [[name, f"{1e3 * np.median(each):.0f}"] for name, each in seconds.items()]
    return Section("startup", "Until the first result", ABOUT, [("", ["", "ms"], table)], seconds)
