"""Races: several ways of doing the same, timed in turn within each repetition, so that a slow moment hits all alike."""

from __future__ import annotations

import ctypes
import dataclasses
import importlib
import pathlib
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numba
import numpy as np


@dataclasses.dataclass
class Entry:
    """One way: what it is called, how much it does in one go (points, say), and the doing."""

    name: str
    work: float
    run: Callable[[], Any]
    other: bool = False
    """whether it does other work than the first, so that only throughput compares"""


@dataclasses.dataclass
class Race:
    """Seconds of each repetition, by name."""

    entries: list[Entry]
    seconds: dict[str, np.ndarray]

    def rate(self, name: str) -> np.ndarray:
        """Work a second, in each repetition."""
        (entry,) = (each for each in self.entries if each.name == name)
        return entry.work / self.seconds[name]

    def ratio(self, name: str, other: str) -> float:
        """How many times as fast one is as another: the median over repetitions."""
        return float(np.median(self.rate(name) / self.rate(other)))

    def middle(self, name: str) -> float:
        """Median rate."""
        return float(np.median(self.rate(name)))

    def spread(self, name: str) -> tuple[float, float]:
        """Quartiles of the rate."""
        low, high = np.quantile(self.rate(name), [0.25, 0.75])
        return float(low), float(high)

    def stored(self) -> dict[str, Any]:
        """As JSON takes it."""
        return {
            each.name: {"work": each.work, "other work": each.other, "seconds": self.seconds[each.name].tolist()}
            for each in self.entries
        }


def race(entries: list[Entry], repetitions: int) -> Race:
    """Time all entries, in a new order each time, for what ran before leaves its data in the caches, not one's own."""
    rng = np.random.default_rng(0)
    seconds: dict[str, list[float]] = {each.name: [] for each in entries}
    for each in entries:
        each.run()
    for _ in range(repetitions):
        for k in rng.permutation(len(entries)):
            each = entries[k]
            start = time.perf_counter()
            each.run()
            seconds[each.name].append(time.perf_counter() - start)
    return Race(entries, {name: np.array(each) for name, each in seconds.items()})


@numba.njit(nogil=True)
def _sums(n: int) -> float:
    total = 0.0
    for k in range(n):
        total = 0.5 * total + k
    return total


def cores() -> list[Entry]:
    """What a second core can give at best: a loop that touches no memory, on one and in halves on two."""
    size = 10_000_000

    def several(count: int) -> None:
        with ThreadPoolExecutor(count) as pool:
            list(pool.map(_sums, [size // count] * count))

    return [Entry("1 core", size, lambda: several(1)), Entry("2 cores", size, lambda: several(2))]


_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
"""Numbers of options in ``malloc.h``."""


def keep_memory(size: int) -> None:
    """Have so many bytes, and let all that is freed stay with this process from now on, where the C library is glibc.

    What a process gives back and asks for again a virtual machine may hand out at a tenth of the speed, or at all of
    it, as its host sees fit: times of the same work then differ by half from one minute to the next.
    """
    options = getattr(ctypes.CDLL(None), "mallopt", None)
    if options is not None:
        options(_MMAP_MAX, 0)
        options(_TRIM_THRESHOLD, 2**31 - 1)
        np.ones(size // 8)  # touched, and freed at once


def compiled_c(name: str, folder: pathlib.Path) -> Any | None:
    """The C function of a file beside this one, compiled on the spot; None where there is no gcc."""
    source, library = pathlib.Path(__file__).with_name(f"{name}.c"), folder / f"{name}.so"
    command = ["gcc", "-O3", "-march=native", "-ffast-math", "-shared", "-fPIC", str(source), "-o", str(library), "-lm"]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    function = getattr(ctypes.CDLL(str(library)), name)
    function.restype = None
    return function


def installed(name: str) -> Any | None:
    """A peer's module, or None."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


@dataclasses.dataclass
class Section:
    """A part of the page: its title, what was done, tables (title, header, rows), and all that was measured."""

    name: str
    title: str
    about: str
    tables: list[tuple[str, list[str], list[list[str]]]]
    measured: Any
    missing: tuple[str, ...] = ()

    def markdown(self) -> str:
        """The section of a page."""
        parts = [f"## {self.title}", self.about]
        for title, header, rows in self.tables:
            lines = ["| " + " | ".join(header) + " |", "|" + "--:|" * len(header)]
            lines += ["| " + " | ".join(row) + " |" for row in rows]
            parts.append((f"**{title}**\n\n" if title else "") + "\n".join(lines))
        if self.missing:
            parts.append(f"Not installed here, so not measured: {', '.join(self.missing)}.")
        return "\n\n".join(parts)
