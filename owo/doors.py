"""What comes from outside, checked once and in words: vectors, numbers, blocks, losses, laws, labels.

Each function takes a value and the name that its user knows it by, and returns it fit for use or raises what came,
what was needed and what to do. Points have their own door in ``owo.streams``.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Hashable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from owo._record import is_record, is_record_class
from owo.kernels import first_refused
from owo.streams.block import Block
from owo.streams.points import Floats, first_nonfinite, fit, place, real

LOSS = ("value", "subgradient", "conjugate", "prox")
"""The methods that a loss must define."""

VECTOR_LOSS = ("value", "slopes", "conjugate")
"""The methods that a loss of scores must define."""

LAW = ("start", "scale", "observe")
"""The methods that a law must define."""


class RefusedLabel(ValueError):
    """A label that the loss does not take, at ``row``."""

    row = -1


class Overflowed(FloatingPointError):
    """A number that overflowed, at ``row``."""

    row = -1


def at_row(error: Any, row: int) -> Any:
    """The error, with the row it is about."""
    error.row = row
    return error


def as_vector(values: ArrayLike, name: str, d: int | None = None) -> Floats:
    """A copy of finite numbers (d,) as float64; any ``d`` of at least 1 if it is not known.

    Raises
    ------
    TypeError
        Not real numbers.
    ValueError
        Another shape, NaN or infinity.
    """
    vector = fit(real(values, name))
    if vector.ndim != 1 or not len(vector) or (d is not None and len(vector) != d):
        needed = "(d,)" if d is None else f"({d},)"
        raise ValueError(f"{name} has shape {vector.shape}; needed a finite vector {needed}: a number for each feature")
    where = first_nonfinite(vector)
    if where is not None:
        raise ValueError(
            f"{name} has {str(vector[where]).replace('nan', 'NaN')} at entry {where[0]}; needed a finite vector: "
            "replace what is missing or has overflowed"
        )
    return vector.copy()


def as_matrix(values: ArrayLike, name: str, k: int) -> Floats:
    """A copy of finite numbers (d, k) as float64, any d of at least 1; raises as ``as_vector``."""
    matrix = fit(real(values, name))
    if matrix.ndim != 2 or not len(matrix) or matrix.shape[1] != k:
        raise ValueError(
            f"{name} has shape {matrix.shape}; needed a finite matrix (d, {k}): a row for each feature, a column for "
            "each class"
        )
    where = first_nonfinite(matrix)
    if where is not None:
        raise ValueError(
            f"{name} has {str(matrix[where]).replace('nan', 'NaN')} at {place(where)}; needed a finite matrix: replace "
            "what is missing or has overflowed"
        )
    return matrix.copy()


def as_weights(values: ArrayLike | None, name: str, loss: Any, d: int) -> Floats:
    """Weights (d,) for a loss; of k scores (d k,), from (d, k) or flat; zeros for None. Raises as ``as_vector``."""
    k = int(loss.classes) if is_vector_loss(loss) else 1
    if values is None:
        return np.zeros(d * k)
    if not is_vector_loss(loss) or np.ndim(values) == 1:
        return as_vector(values, name, d * k)
    matrix = as_matrix(values, name, k)
    if len(matrix) != d:
        raise ValueError(f"{name} has shape {matrix.shape}; needed ({d}, {k}): a row for each feature")
    return matrix.ravel()


def positive(value: float, name: str) -> float:
    """A finite number above 0, or ``ValueError``."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not 0.0 < value < math.inf:
        raise ValueError(f"{name} is {value!r}; needed a finite number above 0")
    return float(value)


def fraction(value: float, name: str) -> float:
    """A number of at least 0 and below 1, or ``ValueError``."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not 0.0 <= value < 1.0:
        raise ValueError(f"{name} is {value!r}; needed a number of at least 0 and below 1, such as 0.001")
    return float(value)


def whole(value: float, name: str, least: int = 0) -> int:
    """A whole number of at least ``least``, or ``ValueError``; 3.0 is one, True is not."""
    number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not number or not least <= value < math.inf or value != int(value):
        raise ValueError(f"{name} is {value!r}; needed a whole number, {least} or more")
    return int(value)


def as_block(value: Any) -> Block:
    """An ``owo.Block``, or ``TypeError``."""
    if not isinstance(value, Block):
        raise TypeError(f"block is a {type(value).__name__}; needed an owo.Block: see owo.streams.from_arrays")
    return value


def as_loss(value: Any, role: str = "loss") -> Any:
    """An instance of a class made with ``@owo.loss``, or ``TypeError``."""
    if is_vector_loss(value):
        raise TypeError(
            f"{role} is {value!r}, a loss of {value.classes} scores; here a loss of one prediction is needed, such as "
            "owo.Hinge(). OnlineWithinOnline, owo.hindsight and owo.reference take losses of scores"
        )
    return _part(value, role, "loss", (*LOSS, "accepts"), "owo.Absolute()")


def is_vector_loss(value: Any) -> bool:
    """Whether this is an instance of a class made with ``@owo.losses.vector_loss``."""
    return is_record(value) and all(hasattr(value, name) for name in (*VECTOR_LOSS, "accepts", "classes"))


def as_vector_loss(value: Any) -> Any:
    """An instance of a class made with ``@owo.losses.vector_loss``, or ``TypeError``."""
    if is_vector_loss(value):
        return value
    if is_record(value) and hasattr(value, "prox"):
        raise TypeError(f"loss is {value!r}, of one prediction; needed a loss of scores such as owo.Softmax(3)")
    return _part(value, "loss", "losses.vector_loss", (*VECTOR_LOSS, "classes"), "owo.Softmax(3)")


def as_any_loss(value: Any) -> Any:
    """An instance of a class made with ``@owo.loss`` or ``@owo.losses.vector_loss``, or ``TypeError``."""
    return value if is_vector_loss(value) else as_loss(value)


def as_law(value: Any, role: str) -> Any:
    """An instance of a class made with ``@owo.law``, or ``TypeError``. ``role``: "inner", "outer" or "law"."""
    return _part(value, role, "law", (*LAW, "shrink"), "owo.GrowingFTRL(1.0)")


def as_geometry(value: Any) -> Any:
    """An instance of a class made with ``@owo.geometry.geometry``, or ``TypeError``."""
    return _part(value, "geometry", "geometry", ("begun", "stage", "learns"), "owo.geometry.Scalar()")


def _part(value: Any, role: str, kind: str, methods: tuple[str, ...], example: str) -> Any:
    """The last of the methods is one that the decorator fills in."""
    if isinstance(value, type):
        raise TypeError(f"{role} is the class {value.__name__}; pass an instance such as {example}")
    *needed, filled_in = methods
    for method in needed:
        if not callable(getattr(value, method, None)):
            raise TypeError(f"{role} is {value!r}, which has no method {method}; pass a {kind} such as {example}")
    if not is_record(value) or not hasattr(value, filled_in):
        raise TypeError(f"{role} is {value!r}, whose class was not made with @owo.{kind}; decorate the class with it")
    return value


def is_law_class(value: Any) -> bool:
    """Whether this is a class made with ``@owo.law``."""
    return is_record_class(value) and hasattr(value, "observe")


def refuse_labels(loss: Any, y: Floats, key_of: Callable[[int], Hashable] | None = None) -> None:
    """Raise the ``ValueError`` that names the first label (n,) the loss does not take; ``key_of`` tells its task."""
    row = first_refused(loss, y)
    if row >= 0:
        task = f" (task {key_of(row)!r})" if key_of else ""
        wanted = getattr(loss, "labels", "finite numbers")
        words = (
            f"{type(loss).__name__} does not take the label {float(y[row])!r} at row {row}{task}: labels must be "
            f"{wanted}. Recode y"
        )
        raise at_row(RefusedLabel(words), row)


def refuse_open(block: Block, why: str) -> None:
    """Raise the ``ValueError`` that names the first task of the block that does not end in it."""
    if np.count_nonzero(block.ends) < block.n_tasks:
        ended = set(block.task[block.ends].tolist())
        key = next(key for code, key in enumerate(block.keys) if code not in ended)
        raise ValueError(f"task {key!r} goes on after its block; {why} all of a task at once: put its points together")
