"""What talks to numba: records with compiled methods, and cached kernels.

A *record* is an immutable ``NamedTuple`` of numbers with methods. ``@record`` gives the class a numba
type of its own, so that a kernel may say ``loss.value(p, y)`` and be specialised on the loss it was
handed; the very same method runs as plain Python outside a kernel. A record class may live in any file
or notebook; nothing has to be registered anywhere else.

A *kernel* is a compiled function whose machine code is kept on disk (``owo._cache``).
"""

from __future__ import annotations

import functools
import importlib
import inspect
import logging
import math
import numbers
import re
import types as pytypes
from collections.abc import Callable
from typing import Any, TypeVar

import numba
import numpy as np
from numba.core import types
from numba.core.datamodel import models, register_default
from numba.core.errors import NumbaError
from numba.cpython.unsafe.tuple import tuple_setitem
from numba.extending import overload, overload_method, register_jitable, typeof_impl

from owo._cache import KernelCache
from owo._fingerprint import PYTHON_ONLY, STRICT, compiled_methods, fingerprint

log = logging.getLogger("owo")

Class = TypeVar("Class", bound=type)


# --------------------------------------------------------------------------------------------------- records


def record(cls: Class) -> Class:
    """Turn a ``NamedTuple`` class into a record whose methods also run inside kernels.

    Fields annotated ``float`` are converted on construction, and ``check(self)``, if the class has it, is
    called to refuse bad values. Two records are equal when their class and their fields are, and a record
    is always true (an empty tuple would not be).

    Every method whose name has no leading underscore can be called from a kernel, so it must be written in
    the part of Python that numba compiles: scalars, tuples, ``math``. Exceptions: properties, and the methods
    ``check``, ``bound``, ``expression``, ``begun``, ``stage`` and ``distances``, which stay in Python.
    """
    build, fields = cls.__new__, cls._fields  # type: ignore[attr-defined]
    floats = {
        n for n, kind in cls.__annotations__.items() if getattr(kind, "__forward_arg__", kind) in (float, "float")
    }

    def new(klass: Any, *args: Any, **kwargs: Any) -> Any:
        made = build(klass, *args, **kwargs)
        values = [_number(cls, n, v) if n in floats else v for n, v in zip(fields, made, strict=True)]
        made = tuple.__new__(klass, values)
        if hasattr(made, "check"):
            made.check()
        return made

    cls.__new__ = new  # type: ignore[method-assign, assignment]
    cls._make = classmethod(lambda klass, values: klass(*values))  # type: ignore[attr-defined]
    cls.__eq__ = lambda self, other: type(self) is type(other) and tuple.__eq__(self, other)  # type: ignore[method-assign, assignment]
    cls.__ne__ = lambda self, other: not self == other  # type: ignore[method-assign, assignment]
    cls.__hash__ = lambda self: hash((type(self), *self))  # type: ignore[method-assign, assignment]
    cls.__bool__ = lambda self: True  # type: ignore[attr-defined]
    _distinguish(cls)
    typeof_impl.register(cls)(_typeof_record)
    _records.add(cls)
    for name, value in compiled_methods(cls).items():
        _publish(cls, name, value)
    return cls


def _distinguish(cls: Any) -> None:
    """Give a class that has the name of an earlier record class another one.

    Numba remembers the type of a named tuple by the name of its class, so a class defined anew (a cell run again)
    would get the old one's code. Its ``repr`` and ``__qualname__`` keep the name.
    """
    label = cls.__name__
    _named[label] = _named.get(label, 0) + 1
    if _named[label] > 1:
        cls.__name__ = f"{label}_{_named[label]}"
        shown = cls.__repr__
        cls.__repr__ = lambda self: label + shown(self).removeprefix(cls.__name__)


def _number(cls: type, name: str, value: object) -> float:
    if isinstance(value, numbers.Real) and not isinstance(value, bool) and not math.isnan(value):
        return float(value)
    raise ValueError(f"{cls.__name__}({name}={value!r}): {name} must be a real number; pass a float such as 1.0")


def require(holds: bool, record: Any, field: str, needed: str) -> None:
    """Raise the ``ValueError`` of a bad field: what came, what was needed."""
    if not holds:
        name = type(record).__name__
        raise ValueError(f"{name}({field}={getattr(record, field)!r}): {field} must be {needed}")


def is_record(value: Any) -> bool:
    """Whether a value is an instance of a class made with ``@record`` (or ``@loss``, ``@law``)."""
    return isinstance(value, tuple) and type(value) in _records


def is_record_class(value: Any) -> bool:
    """Whether a value is a class made with ``@record`` (or ``@loss``, ``@law``)."""
    return isinstance(value, type) and value in _records


class RecordType(types.NamedTuple):
    """The numba type of one record class with fields of given numba types."""

    def __init__(self, field_types: tuple[types.Type, ...], cls: type) -> None:
        super().__init__(field_types, cls)
        self.label = f"{cls.__module__}.{cls.__qualname__}.{fingerprint(cls)}"
        self.name = f"{self.label}({', '.join(map(str, field_types))})"
        _known[self.label] = cls

    @property
    def key(self) -> tuple[str, tuple[types.Type, ...]]:
        """Class and code, but not the class object: equal in every process that has the same code."""
        return self.label, self.types

    def __bool__(self) -> bool:
        """Numba asks whether the receiver of a method is there; a record without fields is."""
        return True

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (self.label, self.instance_class.__module__, self.types)


register_default(RecordType)(models.TupleModel)

_known: dict[str, type] = {}
_records: set[type] = set()
_named: dict[str, int] = {}
_published: dict[str, tuple[Any, ...]] = {}
_kinds: dict[type, type[RecordType]] = {}


_METHOD = {"forceinline": True, "no_cfunc_wrapper": True, "no_cpython_wrapper": True}
"""Options of methods in kernels. Left a call, one that takes arrays costs as much as all else of a point. Whether it
may allocate, and how it rounds, numba takes from the caller."""


def _typeof_record(value: Any, _context: object) -> RecordType:
    cls = type(value)
    return _kinds.get(cls, RecordType)(tuple(numba.typeof(v) for v in value), cls)


def _restore(label: str, module: str, field_types: tuple[types.Type, ...]) -> RecordType:
    if label not in _known:
        importlib.import_module(module)
    cls = _known[label]
    return _kinds.get(cls, RecordType)(field_types, cls)


def _publish(cls: type, name: str, method: pytypes.FunctionType) -> None:
    """Let kernels call the method ``name`` of records: the class's own Python function is compiled, and inlined.

    Numba folds the call's arguments by the signature of ``implementation``, one for all records: hence the borrowed
    one, and a kind of type of its own for a class whose method of that name takes other arguments.
    """
    code = method.__code__
    variable = code.co_flags & (inspect.CO_VARARGS | inspect.CO_VARKEYWORDS)
    shape = code.co_argcount, code.co_kwonlyargcount, variable, method.__defaults__, method.__kwdefaults__
    if _published.get(name) == shape:
        return
    kind = RecordType
    if name in _published:
        if cls not in _kinds:
            _kinds[cls] = type("RecordType", (RecordType,), {})
            register_default(_kinds[cls])(models.TupleModel)
        kind = _kinds[cls]
    _published.setdefault(name, shape)

    def implementation(self: RecordType, *_args: types.Type, **_named: types.Type) -> Callable[..., Any] | None:
        return getattr(self.instance_class, name, None)

    parameters = [p.replace(annotation=p.empty) for p in inspect.signature(method).parameters.values()]
    implementation.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    overload_method(kind, name, strict=False, jit_options=_METHOD)(implementation)


# --------------------------------------------------------------------------------------------------- kernels

_CALLED: dict[str, Any] = {
    "error_model": "numpy", "fastmath": False, "_nrt": False, "no_cfunc_wrapper": True, "no_cpython_wrapper": True,
}  # fmt: skip
"""Options of what only kernels call: it allocates nothing, and needs no door for C or Python. What is not said numba
takes from the caller."""

_INLINED = {**_CALLED, "forceinline": True}

_FAST = set() if STRICT else {"reassoc", "contract", "nsz", "arcp"}


def _piece(function: Callable[..., Any], options: dict[str, Any]) -> Any:
    """What kernels compile with these options, which ``edition`` reads; called from Python, it is plain Python.

    There 1 / 0 and log 0 raise, and NumPy's numbers warn, where compiled code goes on with infinity or NaN.
    """
    function.compiled_with = options  # type: ignore[attr-defined]
    return register_jitable(**options)(function)


def helper(function: Callable[..., Any]) -> Any:
    """A plain scalar function that record methods may call, in kernels and in Python alike."""
    return _piece(function, {"error_model": "numpy", "no_cfunc_wrapper": True})


def part(function: Callable[..., Any]) -> Any:
    """A piece of a kernel, inlined where it is called; it must not allocate. Arithmetic as written."""
    return _piece(function, _INLINED)


def fast_part(function: Callable[..., Any]) -> Any:
    """As ``part``, but sums may be reordered (for dot products; NaN and inf keep their meaning)."""
    return _piece(function, {**_INLINED, "fastmath": _FAST or False})


def fused_part(function: Callable[..., Any]) -> Any:
    """As ``part``, but a product and a sum may be rounded once."""
    return _piece(function, {**_INLINED, "fastmath": _FAST & {"contract"}})


def called_part(function: Callable[..., Any]) -> Any:
    """As ``part``, for what is long and called from many places: inlined only in parts, else compiled once."""
    return _piece(function, _CALLED)


def overload_part(function: Callable[..., Any]) -> Any:
    """Numba's ``overload`` for parts: the decorated function is given types, what it returns is inlined."""
    return overload(function, strict=False, jit_options=_INLINED)


def kernel(function: Callable[..., Any]) -> Any:
    """Compile on first call, keep the machine code on disk, release the GIL. Arithmetic as written."""
    return _cached(numba.njit(error_model="numpy", nogil=True, no_cfunc_wrapper=True)(function), function)


def lean_kernel(function: Callable[..., Any]) -> Any:
    """As ``kernel``, for code that allocates nothing: array views are not reference-counted (up to twice as fast)."""
    return _cached(numba.njit(error_model="numpy", nogil=True, _nrt=False, no_cfunc_wrapper=True)(function), function)


def quick_kernel(function: Callable[..., Any]) -> Any:
    """As ``lean_kernel``, for calls so short that releasing the GIL would cost more."""
    return _cached(numba.njit(error_model="numpy", _nrt=False, no_cfunc_wrapper=True)(function), function)


def _cached(compiled: Any, function: Callable[..., Any]) -> Any:
    if hasattr(compiled, "enable_caching"):  # not so under NUMBA_DISABLE_JIT
        compiled._compile_for_args = functools.partial(_compile, compiled._compile_for_args)
        try:
            compiled._cache = KernelCache(function)
        except (RuntimeError, OSError) as error:  # no folder can be written
            log.info("no cache folder for %s: it compiles anew in every process (%s)", function.__name__, error)
    return compiled


def _compile(compile_for: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """As numba does; where a record cannot be compiled, say which method and why, in front of numba's pages."""
    try:
        return compile_for(*args, **kwargs)
    except NumbaError as error:
        records = [each for each in args if is_record(each)]
        if not records:
            raise
        raise TypeError(_explained(_COLOUR.sub("", str(error)), records)) from error


_COLOUR = re.compile("\x1b\\[[0-9;]*m")
_CALLEE = re.compile(r"RecordType'>, '(\w+)'\) for \S*?(\w+)\.[0-9a-f]{16}\(")


def _explained(report: str, records: list[Any]) -> str:
    """One line from numba's report, which names the innermost call that failed first."""
    callee = _CALLEE.search(report)
    if callee is None:
        return (
            f"{', '.join(map(repr, records))} cannot be compiled together: a number or a state changes its type on the "
            "way. States must be tuples of floats, always of one length; owo.checks finds which are not"
        )
    innermost = report[: callee.start()].rpartition("specific error:")[2]
    lines = [line.strip().removeprefix("TypingError: ") for line in innermost.splitlines()]
    lines = [line for line in lines if line and not line.startswith("Failed in nopython mode")]
    reason = " ".join(lines[: 2 if lines and lines[0].endswith(":") else 1]).rstrip(".")
    return (
        f"{callee[2]}.{callee[1]} cannot be compiled: {reason}. Methods may use numbers, tuples, math, entries of "
        "arrays (one at a time: no slices, no new arrays), and functions made with numba.njit; only properties, _names "
        f"and {', '.join(sorted(PYTHON_ONLY))} stay in Python"
    )


# ------------------------------------------------------------------------------- tuples of numbers as array rows


def as_state(template: tuple[float, ...], row: np.ndarray) -> tuple[float, ...]:
    """Read a law's state, a tuple shaped like ``template``, from the first entries of a row."""
    return tuple(row[: len(template)].tolist())


@overload_part(as_state)
def _as_state(template: types.Type, row: types.Type) -> Callable[..., Any]:
    if not len(template):
        return lambda template, row: template

    def implementation(template, row):  # type: ignore[no-untyped-def]
        state = template
        for k in range(len(template)):
            state = tuple_setitem(state, k, row[k])
        return state

    return implementation


def keep(values: tuple[float, ...], row: np.ndarray) -> None:
    """Write a tuple of numbers to the first entries of a row: the way back from ``as_state``."""
    row[: len(values)] = values


@overload_part(keep)
def _keep(values: types.Type, row: types.Type) -> Callable[..., Any]:
    if not len(values):  # numba cannot index an empty tuple, even in a loop that never runs
        return lambda values, row: None

    def implementation(values, row):  # type: ignore[no-untyped-def]
        for k in range(len(values)):
            row[k] = values[k]

    return implementation
