"""Open tasks on the disk: those that have not been met for longest leave the memory, and come back when they are."""

from __future__ import annotations

import os
import tempfile
import weakref
from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from owo.doors import whole

Array = NDArray[np.float64]


class Spill(NamedTuple):
    """How many open tasks a learner may hold in memory, and where the others go.

    The file is scratch: it has no name, and is gone with the process. What must last is what ``save`` writes, which has
    the tasks of both.

    Parameters
    ----------
    most : open tasks in memory after a step; a block may bring as many more as it has tasks
    folder : of the file; default the system's for temporary files
    """

    most: int = 100_000
    folder: str | os.PathLike[str] | None = None


def as_spill(value: Any) -> Spill:
    """A ``Spill`` that can be used, or ``TypeError``, ``ValueError``."""
    if not isinstance(value, Spill):
        raise TypeError(f"spill is {value!r}; needed owo.Spill(most), such as owo.Spill(100_000)")
    whole(value.most, "most", 1)
    if value.folder is not None and not os.path.isdir(value.folder):
        raise ValueError(
            f"there is no folder {os.fspath(value.folder)!r} for the tasks that are spilled; make it first"
        )
    return value


class Spilled:
    """Rows (width,) by key, in a file of records."""

    def __init__(self, how: Spill, width: int) -> None:
        self.most = whole(how.most, "most", 1)
        self.width = width
        self.records: dict[Hashable, int] = {}
        self._free: list[int] = []
        self._count = 0
        self._file, name = tempfile.mkstemp(dir=how.folder)
        os.unlink(name)
        weakref.finalize(self, os.close, self._file)

    def __reduce__(self) -> Any:
        raise TypeError("a learner that spills tasks to disk cannot be copied; save it, and load the copy")

    def put(self, keys: Sequence[Hashable], rows: Array) -> None:
        """Write rows (n, width); raises ``OSError``, and keeps none of them, if the disk is full."""
        reused = self._free[: len(keys)]
        places = [*reused, *range(self._count, self._count + len(keys) - len(reused))]
        size = 8 * self.width
        for place, row in zip(places, rows, strict=True):
            if os.pwrite(self._file, row.tobytes(), place * size) != size:
                raise OSError(f"the disk is full: {len(keys):,} open tasks could not be written to it")
        del self._free[: len(reused)]
        self._count += len(keys) - len(reused)
        self.records.update(zip(keys, places, strict=True))

    def read(self, keys: Sequence[Hashable]) -> Array:
        """The rows of these keys, (n, width); they stay."""
        size = 8 * self.width
        pieces = [os.pread(self._file, size, self.records[key] * size) for key in keys]
        return np.frombuffer(b"".join(pieces), dtype=np.float64).reshape(-1, self.width)

    def drop(self, keys: Sequence[Hashable]) -> None:
        """Forget these keys."""
        self._free += [self.records.pop(key) for key in keys]
