"""Results of units on disk, so that a run that was interrupted goes on where it stopped."""

from __future__ import annotations

import hashlib
import os
import pathlib
import re
from collections.abc import Iterable
from functools import cache
from typing import Any

import numpy as np

from owo.doctor import versions
from theory.validate.part import Arrays

KEY = "fingerprint"
"""The array of a file that says what it was computed with."""

SHOWN = (
    "command.py",
    "drawing.py",
    "figures.py",
    "page.py",
    "progress.py",
    "rate_figures.py",
    "runner.py",
    "section.py",
)
"""Modules beside this one that only run or show: an edit of them changes no number."""


def fingerprint(part: str, config: Any, unit: str) -> str:
    """A digest of all that the result of a unit depends on: sources, versions, configuration and name."""
    return hashlib.sha256("\n".join((sources(), part, plain(config), unit)).encode()).hexdigest()


def plain(config: Any) -> str:
    """A configuration as text; without the addresses of functions, which are others in every process."""
    return re.sub(r" at 0x[0-9a-f]+", "", repr(config))


@cache
def sources() -> str:
    """A digest of the sources of owo and theory, and of the versions that they run with."""
    here = pathlib.Path(__file__).parent
    digest = hashlib.sha256(repr(versions()).encode())
    for root in (here.parents[1] / "owo", here.parent):
        for path in sorted(root.rglob("*.py")):
            if not (path.parent == here and path.name in SHOWN):
                digest.update(path.relative_to(root.parent).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()


class Store:
    """The folder of the results of units: one file each, written whole or not at all."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder

    def path(self, part: str, unit: str) -> pathlib.Path:
        """The file of a unit, named after it.

        >>> Store(pathlib.Path("units")).path("levels", "within: growing/0-99").as_posix()
        'units/levels/within-growing-0-99.npz'
        """
        return self.folder / part / (re.sub(r"[^A-Za-z0-9.]+", "-", unit).strip("-") + ".npz")

    def load(self, part: str, unit: str, key: str) -> Arrays | None:
        """The result of a unit; None if there is none, if it was computed with something else, or if it is damaged."""
        path = self.path(part, unit)
        if not path.exists():
            return None
        try:
            with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
                if str(file[KEY]) != key:
                    return None
                return {name: file[name] for name in file.files if name != KEY}
        except Exception:  # whatever damage does to an archive: the unit is computed again
            return None

    def save(self, part: str, unit: str, key: str, found: Arrays) -> None:
        """Keep the result of a unit."""
        path = self.path(part, unit)
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = self._scratch(path, os.getpid())
        with scratch.open("wb") as raw:
            np.savez_compressed(raw, allow_pickle=False, **{KEY: np.array(key)}, **found)
        os.replace(scratch, path)

    def forget(self, processes: Iterable[int]) -> None:
        """Remove what processes left behind that were ended while they wrote."""
        for process in processes:
            for path in self.folder.rglob(self._scratch(pathlib.Path("*"), process).name):
                path.unlink(missing_ok=True)

    @staticmethod
    def _scratch(path: pathlib.Path, process: int) -> pathlib.Path:
        return path.with_name(f"{path.stem}.{process}.partial")
