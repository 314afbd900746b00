"""Records and task keys as JSON, and back."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np

from owo import geometry, laws, losses

LONGEST = 3300
"""Bits of a whole number that can be a key in a file."""


def _short(key: Any) -> str:
    return f"of {key.bit_length():,} bits" if isinstance(key, int) else repr(key)


def written_key(key: Any) -> Any:
    """A task key in JSON, that ``read_key`` makes equal again; ``TypeError`` for a kind that has no such form."""
    if isinstance(key, tuple):
        return {"tuple": [written_key(part) for part in key]}
    if isinstance(key, np.datetime64):
        text = str(key)
        exact = [str(key.astype(np.int64)), *map(str, np.datetime_data(key.dtype))]
        return {"datetime64": text if np.datetime64(text).dtype == key.dtype else exact}
    if isinstance(key, bytes):
        return {"bytes": key.hex()}
    if isinstance(key, (np.number, np.str_, np.bool_)) and not isinstance(key, np.timedelta64):
        key = key.item()
    if not isinstance(key, (int, float, str, type(None))) or (isinstance(key, int) and key.bit_length() > LONGEST):
        raise TypeError(
            f"task key {_short(key)} is a {type(key).__name__}, which cannot be written to a file; those that can are "
            "numbers of at most a thousand digits, strings, bytes, dates of NumPy, None, and tuples of these"
        )
    return key


def read_key(key: Any) -> Hashable:
    """What ``written_key`` wrote."""
    if isinstance(key, dict) and len(key) == 1:
        ((kind, value),) = key.items()
        if kind == "tuple":
            return tuple(map(read_key, value))
        if kind == "datetime64":
            return np.datetime64(value) if isinstance(value, str) else np.datetime64(int(value[0]), _unit(value))
        if kind == "bytes":
            return bytes.fromhex(value)
        if kind == "repr":  # in a ledger
            return str(value)
    if not isinstance(key, (int, float, str, type(None))):
        raise ValueError(f"{key!r} is not a task key")
    return key


def _unit(value: list[str]) -> Any:
    return value[1], int(value[2])


def described(record: Any) -> dict[str, Any]:
    """A loss, a law or a geometry in JSON."""
    fields = {
        k: described(v) if hasattr(v, "_asdict") else getattr(v, "item", lambda v=v: v)()
        for k, v in record._asdict().items()
    }
    name = type(record).__qualname__.rpartition(".")[2]  # the name that a class had when it was written
    return {"law": name, "ours": type(record) is _ours(name), "fields": fields}


def revived(description: dict[str, Any], role: str, where: str) -> Any:
    """The record that was described, if it is one of owo's; ``where`` names what takes those that are not."""
    kind = _ours(description["law"])
    if not description["ours"] or kind is None:
        raise ValueError(f"{description['law']} is not one of owo's; pass it to {where}, as in {role}=learner.{role}")
    fields = {k: revived(v, role, where) if isinstance(v, dict) else v for k, v in description["fields"].items()}
    return kind(**fields)


def _ours(name: str) -> Any:
    """The class of this name among the losses, laws and geometries of owo."""
    found = (vars(module).get(name) for module in (laws, geometry, losses))
    return next((kind for kind in found if isinstance(kind, type) and hasattr(kind, "_fields")), None)
