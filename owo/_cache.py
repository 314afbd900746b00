"""Machine code of kernels, kept on disk.

The file it is kept in is named after a digest of everything the code depends on, so an edit is a miss, never a stale
hit; a damaged file is a miss too; and processes that compile at the same time cannot disturb each other.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import logging
import os
import pathlib
import pickle
import re
import threading
from collections.abc import Callable
from typing import Any

from numba.core import caching, types

from owo._fingerprint import STRICT, edition

log = logging.getLogger("owo")


class KernelCache(caching.FunctionCache):
    """numba's cache, with a store that has no index to race for and checks what it reads."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        stem = _LINE.sub("", self._impl.filename_base)
        stem += "-strict" if STRICT else ""  # so that neither sweeps the other away
        self._cache_file = _Store(pathlib.Path(self._cache_path), stem, function)

    def _load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            found = super()._load_overload(sig, target_context)
            return found if found is None or tuple(found.signature.args) == tuple(sig) else None
        except Exception as error:  # whatever is wrong with a cached file, compiling anew is right
            log.info("cached code of %s is unusable, compiling anew: %r", self._name, error)
            return None

    def _save_overload(self, sig: Any, data: Any) -> None:
        try:
            super()._save_overload(sig, data)
        except (OSError, pickle.PicklingError) as error:
            log.info("compiled code of %s was not kept: %r", self._name, error)


_LINE = re.compile(r"-\d+(?=\.py\d+)")
"""Of a function, in the names that numba gives to files: another when a line above it comes or goes."""


class _Store:
    """One file for each compiled signature: 32 bytes of SHA-256, then the code.

    ``edition`` stands for the sources the kernel is built from, and is part of the files' names: those of another
    edition are never read, and are removed when a new one is written.
    """

    def __init__(self, folder: pathlib.Path, stem: str, function: Callable[..., Any]) -> None:
        self.folder, self.stem, self.function = folder, stem, function

    @functools.cached_property
    def edition(self) -> str:
        """Worked out on first use, when all that the kernel calls has been defined."""
        return edition(self.function)

    def _path(self, key: Any) -> pathlib.Path:
        signature = key[0]
        name = hashlib.sha256(repr((key, list(map(_fields, signature)))).encode()).hexdigest()[:24]
        return self.folder / f"{self.stem}.{self.edition}.{name}.nbc"

    def load(self, key: Any) -> Any:
        try:
            content = self._path(key).read_bytes()
        except OSError:
            return None
        digest, code = content[:32], content[32:]
        return pickle.loads(code) if hashlib.sha256(code).digest() == digest else None  # numba's own format

    def save(self, key: Any, data: Any) -> None:
        code = caching.dumps(data)
        path = self._path(key)
        scratch = path.with_name(f".{path.name}-{os.getpid()}-{threading.get_ident()}.part")
        try:
            scratch.write_bytes(hashlib.sha256(code).digest() + code)
            os.replace(scratch, path)
        except BaseException:
            scratch.unlink(missing_ok=True)
            raise
        for old in self.folder.glob(f"{self.stem}.*.nbc"):
            if old.name.split(".")[-3] != self.edition:
                with contextlib.suppress(OSError):
                    old.unlink()

    def flush(self) -> None:
        for path in self.folder.glob(f"{self.stem}.{self.edition}.*.nbc"):
            path.unlink(missing_ok=True)


def _fields(kind: types.Type) -> Any:
    """The names in a type of tuples, which its ``repr`` leaves out: compiled code knows them by their places only."""
    return getattr(kind, "fields", ()), [_fields(each) for each in kind.types] if isinstance(
        kind, types.BaseTuple
    ) else []
