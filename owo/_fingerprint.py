"""What compiled code depends on, as a digest: an edit changes it, another process does not.

The digest of a function follows all that it calls. It sees functions (also those that numba compiled, with their
options), modules, numbers, strings, tuples, arrays, ``Enum`` and ``NamedTuple`` classes; it does not see what numba
looks up by itself, such as ``numba.extending.overload``, which is why the files of owo that overload are read as files,
nor the options of ``numba.extending.register_jitable``.
"""

from __future__ import annotations

import dis
import enum
import functools
import hashlib
import os
import pathlib
import types
from collections.abc import Callable, Iterator
from typing import Any

import numba
import numpy as np

STRICT = os.environ.get("OWO_STRICT", "") not in ("", "0")
"""With ``OWO_STRICT=1`` dot products are summed in plain order: slower, the same bits on every machine."""

PYTHON_ONLY = {"check", "bound", "expression", "begun", "stage", "distances"}
"""Methods of records that kernels do not call."""


def compiled_methods(cls: type) -> dict[str, types.FunctionType]:
    """The methods that kernels may call, inherited ones too."""
    members = {name: value for kind in reversed(cls.__mro__) for name, value in vars(kind).items()}
    return {
        name: value
        for name, value in members.items()
        if isinstance(value, types.FunctionType) and not name.startswith("_") and name not in PYTHON_ONLY
    }


@functools.cache
def fingerprint(cls: type) -> str:
    """Digest of a ``NamedTuple`` class: its fields, in order, and the code of its methods and of all they call."""
    digest = hashlib.sha256(_toolchain())
    _add(digest, cls, [], set())
    return digest.hexdigest()[:16]


def edition(function: Callable[..., Any]) -> str:
    """Digest of a kernel: its source file and the code of all it calls. To be asked when all of that is defined."""
    source = pathlib.Path(function.__code__.co_filename)
    digest = hashlib.sha256(_toolchain() + (source.read_bytes() if source.is_file() else b""))
    _add(digest, function, [], set())
    return digest.hexdigest()[:12]


OVERLOADING = (
    "_record.py", "prefetching.py", "vectors.py", "pairs.py", "rows.py", "abreast.py", "products.py",
    "geometry/pieces.py",
)  # fmt: skip
"""Files with intrinsics and overloads, which numba looks up by itself; but those that only kernels of the file use."""


@functools.cache
def _toolchain() -> bytes:
    """The compilers, and how they are called."""
    digest = hashlib.sha256(f"{np.__version__} {numba.__version__} strict={STRICT}".encode())
    for name in OVERLOADING:
        digest.update((pathlib.Path(__file__).parent / name).read_bytes())
    return digest.digest()


def _add(digest: Any, value: Any, attributes: list[str], seen: set[Any]) -> None:
    """Add a global or captured value as compiled code would see it; of a module, only what is named of it."""
    options = getattr(value, "targetoptions", None) or getattr(value, "compiled_with", None)
    if isinstance(options, dict):  # a set of flags has another order in every process
        digest.update(repr(sorted((k, sorted(v) if isinstance(v, set) else v) for k, v in options.items())).encode())
    value = getattr(value, "py_func", value)
    if isinstance(value, types.FunctionType):
        if id(value) not in seen:
            seen.add(id(value))
            cells = (cell.cell_contents for cell in value.__closure__ or ())
            captured = dict(zip(value.__code__.co_freevars, cells, strict=True))
            digest.update(repr((value.__defaults__, value.__kwdefaults__)).encode())
            _add_code(digest, value.__code__, {**value.__globals__, **captured}, seen)
    elif isinstance(value, types.ModuleType):
        if (id(value), *attributes) not in seen:
            seen.add((id(value), *attributes))
            for name in attributes:
                _add(digest, getattr(value, name, None), attributes, seen)
    elif isinstance(value, np.ndarray):
        digest.update(f"{value.dtype}{value.shape}".encode() + value.tobytes())
    elif isinstance(value, type) and hasattr(value, "_fields"):
        if id(value) not in seen:
            seen.add(id(value))
            digest.update(repr(value._fields).encode())
            for name, method in sorted(compiled_methods(value).items()):
                digest.update(name.encode())
                _add(digest, method, [], seen)
    elif isinstance(value, type) and issubclass(value, enum.Enum):
        digest.update(repr([(each.name, each.value) for each in value]).encode())
    elif isinstance(value, tuple):
        digest.update(f"{len(value)}".encode())
        for member in (type(value), *value):
            _add(digest, member, attributes, seen)
    elif isinstance(value, (int, float, complex, str, bytes, np.generic, type(None))):
        digest.update(repr(value).encode())


def _add_code(digest: Any, code: types.CodeType, namespace: dict[str, Any], seen: set[Any]) -> None:
    digest.update(code.co_code)
    digest.update(repr((code.co_names, code.co_varnames, code.co_freevars)).encode())
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            _add_code(digest, constant, namespace, seen)
        else:
            digest.update(repr(constant).encode())
    for name in sorted(set(_outside(code)) & namespace.keys()):
        digest.update(name.encode())
        _add(digest, namespace[name], list(code.co_names), seen)


def _outside(code: types.CodeType) -> Iterator[str]:
    """Names that code takes from elsewhere."""
    for instruction in dis.get_instructions(code):
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_DEREF", "LOAD_NAME"):
            yield instruction.argval
