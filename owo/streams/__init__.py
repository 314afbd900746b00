"""Streams of tasks: where data come in, and are checked, once.

A stream is a ``Block``, a ``Task``, or an iterable of these or of pairs ``(X, y)``.
"""

import importlib
from types import ModuleType

from owo.streams.arrays import as_blocks, from_arrays, from_tasks
from owo.streams.block import Block, Task
from owo.streams.columns import from_csv, from_frame
from owo.streams.encoding import Encoding
from owo.streams.files import from_file
from owo.streams.files.stream import FileStream
from owo.streams.fourier import RandomFourier
from owo.streams.synthetic import Synthetic, Truth

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


def __getattr__(name: str) -> ModuleType:
    """Load ``datasets`` on first use."""
    if name == "datasets":
        return importlib.import_module("owo.streams.datasets")
    raise AttributeError(f"module 'owo.streams' has no attribute {name!r}")
