r"""One file that is written whole or not at all, and read back as it was written or refused.

=========== ==========================================================================================
8 bytes     ``\x89OWO\r\n\x1a\n``
8 bytes     length of the header, little endian
header      JSON in UTF-8: the format, name, type and shape of each array, and what the caller keeps
arrays      one after another, little endian, without gaps
32 bytes    SHA-256 of all that precedes
=========== ==========================================================================================

Nothing in it is ever executed. A reader allocates no more than the size of the file, whatever its header says.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import pathlib
import stat
import tempfile
import time
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

MAGIC = b"\x89OWO\r\n\x1a\n"
FORMAT = 1
"""Raised whenever a file would be read wrongly by an older version."""

Arrays = dict[str, NDArray[Any]]
TYPES = {"<f8": np.float64, "<i8": np.int64, "|u1": np.uint8}
STALE = 3600.0
"""Seconds after which what a writer that died has left behind is removed."""


class Damaged(ValueError):
    """A file that is not, or no longer, a checkpoint."""


def write(path: str | os.PathLike[str], about: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Put a checkpoint in place: whoever reads, and whatever fails, there is the old file or the new one.

    Raises ``OSError`` where the disk is full or the folder cannot be written; the old file stays.
    """
    parts = {name: _plain(array) for name, array in arrays.items()}
    listed = [[name, array.dtype.str, list(array.shape)] for name, array in parts.items()]
    header = json.dumps({"format": FORMAT, "arrays": listed, "about": about}).encode()
    with replacing(path) as file:
        digest = hashlib.sha256()
        bodies: list[Any] = [array.reshape(-1).view(np.uint8) for array in parts.values()]
        for piece in (MAGIC, len(header).to_bytes(8, "little"), header, *bodies):
            digest.update(piece)
            file.write(piece)
        file.write(digest.digest())


def _plain(array: NDArray[Any]) -> NDArray[Any]:
    kind = next(kind for kind, dtype in TYPES.items() if array.dtype == dtype)
    return np.asarray(array, dtype=kind, order="C")


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A file to write to, that takes the place of ``path`` once it is whole and on the disk."""
    target = pathlib.Path(os.path.realpath(path))
    if target.is_dir():
        raise IsADirectoryError(f"{os.fspath(path)!r} is a folder; name a file in it")
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}-", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, _mode(target))
        os.replace(name, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise
    _sync_folder(target.parent)
    _sweep(target)


def _mode(target: pathlib.Path) -> int:
    """The permissions of the file that was there, or those that a new one gets."""
    with contextlib.suppress(FileNotFoundError):
        return stat.S_IMODE(target.stat().st_mode)
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def _sync_folder(folder: pathlib.Path) -> None:
    """Have the new name itself on the disk, where the system can do that."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _sweep(target: pathlib.Path) -> None:
    """Remove what writers of this file have left behind that were killed."""
    for each in target.parent.iterdir():
        if each.name.startswith(f".{target.name}-") and each.name.endswith(".part"):
            with contextlib.suppress(OSError):
                if time.time() - each.stat().st_mtime > STALE:
                    each.unlink()


def read(path: str | os.PathLike[str]) -> tuple[dict[str, Any], Arrays]:
    """What the caller kept, and the arrays, of a checkpoint.

    Raises ``FileNotFoundError``, or ``Damaged`` (a ``ValueError``) for anything that ``write`` did not write.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise Damaged(f"{os.fspath(path)} is damaged or not a checkpoint: it is no file")
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        try:
            return _read(file, size)
        except (ValueError, RecursionError, MemoryError, OverflowError) as error:
            raise Damaged(
                f"{os.fspath(path)} is damaged or not a checkpoint: {error or type(error).__name__}"
            ) from None


def _read(file: BinaryIO, size: int) -> tuple[dict[str, Any], Arrays]:
    digest = hashlib.sha256()
    start = file.read(16)
    length = int.from_bytes(start[8:], "little")
    if start[:8] != MAGIC:
        raise Damaged("it does not begin as one" if start else "it is empty")
    if len(start) < 16 or length > size - 48:
        raise Damaged("it is cut short")
    raw = file.read(length)
    digest.update(start + raw)
    header = _header(raw)
    arrays: Arrays = {}
    left = size - 48 - length
    for name, kind, shape in header["arrays"]:
        need = 8 * math.prod(shape) if kind != "|u1" else math.prod(shape)
        if need > left:
            raise Damaged("it is cut short")
        left -= need
        array = np.empty(shape, dtype=kind)
        if need:
            view: Any = array.reshape(-1).view(np.uint8)
            if file.readinto(view) != need:  # type: ignore[attr-defined]
                raise Damaged("it is cut short")
            digest.update(view)
        arrays[name] = array.astype(TYPES[kind], copy=False)
    if left or file.read(33) != digest.digest():
        raise Damaged("its checksum is wrong")
    return header["about"], arrays


def _header(raw: bytes) -> dict[str, Any]:
    """The header, of the right form and of a format that can be read."""
    try:
        header = json.loads(raw)
        if header["format"] != FORMAT:
            raise Damaged(f"it has format {header['format']!r}, and this version of owo reads {FORMAT}")
        listed = header["arrays"]
        fits = isinstance(header["about"], dict) and all(
            isinstance(name, str)
            and kind in TYPES
            and len(shape) <= 3
            and all(type(n) is int and 0 <= n < 2**48 for n in shape)
            for name, kind, shape in listed
        )
    except Damaged:
        raise
    except (ValueError, KeyError, TypeError) as error:
        raise Damaged(f"its header cannot be read ({type(error).__name__})") from None
    if not fits or len({each[0] for each in listed}) < len(listed):
        raise Damaged("its header is not that of a checkpoint")
    return dict(header)
