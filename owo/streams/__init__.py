"""Streams of tasks: where data come in, and are checked, once.

A stream is a ``Block``, a ``Task``, or an iterable of these or of pairs ``(X, y)``.
"""

import importlib
from typing import TYPE_CHECKING, Any

from owo.streams.arrays import as_blocks, from_arrays, from_tasks
from owo.streams.block import Block, Task
from owo.streams.columns import from_csv, from_frame
from owo.streams.encoding import Encoding
from owo.streams.fourier import RandomFourier
from owo.streams.synthetic import Synthetic, Truth

if TYPE_CHECKING:
    from owo.streams.files import from_file
    from owo.streams.files.stream import FileStream

_HOMES = {"FileStream": "files.stream", "from_file": "files"}

__all__ = [
    "Block",
    "Encoding",
    "FileStream",
    "RandomFourier",
    "Synthetic",
    "Task",
    "Truth",
    "as_blocks",
    "datasets",
    "from_arrays",
    "from_csv",
    "from_file",
    "from_frame",
    "from_tasks",
]


def __getattr__(name: str) -> Any:
    """Load ``datasets``, and what reads files, on first use."""
    if name == "datasets":
        return importlib.import_module("owo.streams.datasets")
    if name in _HOMES:
        return getattr(importlib.import_module(f"owo.streams.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'owo.streams' has no attribute {name!r}")
