"""Results on disk: a folder for each study and configuration, a file for each seed, each written whole or not at all.

``<out>/<study>/<digest>/config.json`` says what was asked for and ``seed-0003.npz`` holds the arrays of seed 3, with
the seconds it took, versions and commit beside them. A file that is cut short or damaged, or that other sources made,
counts as missing; the next run makes it again.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import io
import json
import os
import pathlib
import tempfile
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.own import Own
from owo.doctor import commit, versions

Arrays = dict[str, NDArray[Any]]
META = "meta"
"""The name of the array of a file that is not a result but says how it came about, as JSON."""


@functools.cache
def sources() -> str:
    """Digest of the sources of owo and of the experiments: results of other sources are not mixed with these."""
    folder = pathlib.Path(__file__).parent
    found = hashlib.sha256()
    for package in (folder.parent / "owo", folder):
        for path in sorted(package.rglob("*.py")):
            found.update(path.relative_to(package.parent).as_posix().encode() + b"\0" + path.read_bytes())
    return found.hexdigest()[:12]


@dataclasses.dataclass(frozen=True)
class Folder:
    """The results of one configuration."""

    path: pathlib.Path

    def describe(self, study: str, variant: str, config: Any, own: Own) -> None:
        """Write down what the results are of."""
        brought = {"own": own.digest, "file": pathlib.Path(own.file).name}
        about = {"study": study, "variant": variant, "config": dataclasses.asdict(config), **brought}
        write(self.path / "config.json", (json.dumps(about, indent=2) + "\n").encode())

    def file(self, seed: int) -> pathlib.Path:
        """Where the arrays of a seed are."""
        return self.path / f"seed-{seed:04d}.npz"

    def save(self, seed: int, arrays: Mapping[str, NDArray[Any]], seconds: float) -> None:
        """Store the arrays of a seed."""
        meta = {"seconds": seconds, "sources": sources(), "commit": commit(), "versions": versions()}
        held = io.BytesIO()
        contents: dict[str, Any] = {**arrays, META: np.array(json.dumps(meta))}
        np.savez_compressed(held, **contents)
        write(self.file(seed), held.getvalue())

    def load(self, seed: int) -> tuple[Arrays, dict[str, Any]] | None:
        """The arrays of a seed and how they came about; None if there are none that can be used."""
        try:
            with open(self.file(seed), "rb") as file, np.load(file, allow_pickle=False) as held:
                if held.zip.testzip() is not None:
                    return None
                arrays = {name: held[name] for name in held.files}
            meta = json.loads(str(arrays.pop(META)))
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, NotImplementedError):
            return None
        return (arrays, meta) if meta["sources"] == sources() else None

    def missing(self, seeds: int) -> list[int]:
        """The seeds below ``seeds`` that have to be run."""
        return [seed for seed in range(seeds) if self.load(seed) is None]

    def sum_up(self, seeds: int) -> None:
        """Write down what the tables beside it were made of."""
        metas = [held[1] for held in map(self.load, range(seeds)) if held is not None]
        about = {
            "seeds": len(metas),
            "seconds": sum(meta["seconds"] for meta in metas),
            "commits": sorted({meta["commit"] for meta in metas}),
            "sources": sources(),
        }
        write(self.path / "tables.json", (json.dumps(about, indent=2) + "\n").encode())

    def stacked(self, seeds: int) -> Arrays:
        """The arrays of all seeds, with an axis of seeds in front."""
        found = [self.load(seed) for seed in range(seeds)]
        arrays = [each[0] for each in found if each is not None]
        return {name: np.stack([each[name] for each in arrays]) for name in arrays[0]}


def write(path: pathlib.Path, content: bytes) -> None:
    """Put a file in place whole: whoever reads, and whatever fails, there is the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise
