"""A ledger as a file: plain arrays and JSON in an .npz archive, without pickles."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from owo import kernels
from owo.descriptions import described, read_key, revived, written_key

if TYPE_CHECKING:
    from owo.ledger import Ledger

Arrays = dict[str, NDArray[Any]]

FORMAT = 2
"""Raised whenever a file would be read wrongly by an older version."""


def save(ledger: Ledger, path: str | os.PathLike[str]) -> None:
    """Write a ledger; see ``Ledger.save``."""
    header = {
        "format": FORMAT,
        "inner": described(ledger.inner),
        "outer": described(ledger.outer),
        "update": ledger.update,
        "geometry": described(ledger.geometry),
        "description": ledger.description,
        "keys": [_written(key) for key in ledger.keys],
    }
    arrays: Arrays = {name: table.filled for name, table in ledger.tables.items()}
    arrays |= {"header": np.array(json.dumps(header)), "centre": ledger.centre, "metric": ledger.metric}
    arrays |= {"spent": ledger.stages.spent, "stages": ledger.stages.tasks}
    np.savez_compressed(path, allow_pickle=False, **arrays)


def load(kind: type[Ledger], path: str | os.PathLike[str], given: dict[str, Any]) -> Ledger:
    """Read a ledger, with the parts ``given`` in place of those described; see ``Ledger.load``."""
    name = os.fspath(path)
    if not name.endswith(".npz") and os.path.exists(f"{name}.npz"):
        name = f"{name}.npz"  # what ``save`` made of the same name
    with open(name, "rb") as raw:
        try:
            with np.load(raw, allow_pickle=False) as file:
                arrays = {key: file[key] for key in file.files}
            return _of(kind, json.loads(str(arrays.pop("header"))), arrays, given)
        except Exception as error:  # whatever damage does to an archive, to its JSON or to what that says
            raise ValueError(f"{name} is damaged or not a ledger that this version reads: {error}") from error


def _of(kind: type[Ledger], header: dict[str, Any], arrays: Arrays, given: dict[str, Any]) -> Ledger:
    if header.get("format") != FORMAT:
        raise ValueError(f"it has ledger format {header.get('format')!r}, needed {FORMAT}")
    if header["update"] not in ("task", "point"):
        raise ValueError(f"it was updated every {header['update']!r}, needed 'task' or 'point'")
    inner, outer, ours = (
        revived(header[role], role, "Ledger.load") if given[role] is None else given[role]
        for role in ("inner", "outer", "geometry")
    )
    for name, array in arrays.items():
        if array.dtype != np.float64 or array.ndim != (1 if name in ("centre", "metric", "stages") else 2):
            raise ValueError(f"its {name} is an array of {array.dtype} with shape {array.shape}")
    keys = [read_key(key) for key in header["keys"]]
    ledger = kind(inner, outer, header["update"], arrays["centre"], str(header["description"]), ours, arrays["metric"])
    tables = ("accounts", "tasks", "tallies", *(("moves",) if ours.learns else ()))
    lengths = {len(keys), *(len(arrays[name]) for name in tables)}
    if len(lengths) > 1 or len(arrays["path"]) != len(arrays["path_tasks"]):
        raise ValueError(f"it names {len(keys)} tasks, and has rows of {len(arrays['tasks'])}")
    none = np.empty((0, 0))
    written = kernels.Written(
        none, none, arrays["accounts"], arrays["tasks"], arrays["tallies"], arrays["path"], arrays["moves"], none, none
    )
    ledger.append(keys, range(len(keys)), written, arrays["path_tasks"])
    ledger.stages.append(arrays["spent"], arrays["stages"])
    return ledger


def _written(key: Any) -> Any:
    """A task key in JSON; by its ``repr``, if it has no other form."""
    try:
        return written_key(key)
    except TypeError:
        return {"repr": repr(key)}
