"""A learner as numbers and words, and back: what ``OnlineWithinOnline.save`` writes and ``load`` reads.

All that a learner knows lies in arrays, beside the records it was made of and the keys of its tasks. A file says what
the records are by name and numbers, never as code, so those that are not owo's have to be passed again. Whatever comes
from a file has to have the shape that a learner made anew has, before anything compiled sees it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Hashable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import owo
from owo import checkpoint, kernels
from owo.checkpoint import Arrays, Damaged
from owo.delayed import Point, Waiting
from owo.descriptions import described, read_key, revived, written_key
from owo.doors import whole
from owo.geometry import Diagonal, Identity, Scalar
from owo.geometry.maps import shaped_as
from owo.spans import ENDED, ROWS, SpanLedger
from owo.spill import Spill
from owo.streams.codes import require_hashable

if TYPE_CHECKING:
    from owo.online import OnlineWithinOnline

ROLES = ("loss", "inner", "outer", "geometry")
_STATE = ("centre", "_total", "_theta", "_meta", "_tally", "_pending")
_WIDEST = 2**22
"""Numbers that the metric of a small file may have."""


def save(learner: OnlineWithinOnline, path: str | os.PathLike[str]) -> None:
    """Write a learner; see ``OnlineWithinOnline.save``."""
    about, arrays = packed(learner)
    checkpoint.write(path, about, arrays)


def load(
    kind: type[OnlineWithinOnline], path: str | os.PathLike[str], given: dict[str, Any], spill: Spill | None
) -> OnlineWithinOnline:
    """Read a learner, with the parts ``given`` in place of those described; see ``OnlineWithinOnline.load``."""
    about, arrays = checkpoint.read(path)
    with refusing(path):
        return unpacked(kind, about, arrays, given, spill)


@contextlib.contextmanager
def refusing(path: str | os.PathLike[str]) -> Iterator[None]:
    """Whatever goes wrong in this is said of the file: ``ValueError``."""
    try:
        yield
    except _Wrong as error:
        raise ValueError(f"{os.fspath(path)}: {error}") from None
    except Exception as error:  # whatever a file that owo did not write may say
        raise Damaged(f"{os.fspath(path)} is not a learner that this version of owo reads: {error}") from error


class _Wrong(ValueError):
    """The file is whole, but what was passed beside it does not fit."""


def packed(learner: OnlineWithinOnline) -> tuple[dict[str, Any], Arrays]:
    """What a learner is, in JSON, and its numbers."""
    about: dict[str, Any] = {"kind": "OnlineWithinOnline", "owo": owo.__version__}
    about |= {role: described(getattr(learner, role)) for role in ROLES}
    start = None if learner._start is None else np.asarray(learner._start, dtype=np.float64)
    about |= {"update": learner.update, "history": learner.history, "d": learner.d, "position": learner.position}
    about |= {"skipped": dict(learner.skipped), "alone": 0 if learner.d is None else learner._alone}
    about["start"] = None if start is None else list(start.shape)
    arrays: Arrays = {} if start is None else {"start": start.ravel()}
    if learner.d is None:
        return about, arrays
    keys, contents = learner._slots.all_keys(), learner._slots.contents()
    arrays |= {name: getattr(learner, name) for name in _STATE}
    arrays["clock"] = learner._clock
    arrays |= {f"metric.{name}": part for name, part in learner._metric._asdict().items()}
    arrays |= {f"open.{name}": part for name, part in zip(kernels.Within._fields, contents, strict=True)}
    if learner._map is not None:
        arrays |= {
            f"map.{name}": part for name, part in learner._map.packed(list(learner._slots.keys.values())).items()
        }
    _pack_keys("open", keys, about, arrays)
    _pack_waiting(learner._waiting, about, arrays)
    _pack_ledger(learner.ledger, about, arrays)
    return about, arrays


def unpacked(
    kind: type[OnlineWithinOnline],
    about: dict[str, Any],
    arrays: Arrays,
    given: dict[str, Any],
    spill: Spill | None = None,
) -> OnlineWithinOnline:
    """The learner that ``packed`` described."""
    if about["kind"] != "OnlineWithinOnline":
        raise ValueError(f"it holds {about['kind']!r}, not an OnlineWithinOnline")
    parts = {role: _part(role, about[role], given.get(role)) for role in ROLES}
    start = None if about["start"] is None else arrays["start"].reshape(about["start"])
    learner = kind(**parts, update=about["update"], history=about["history"], metric=start, spill=spill)
    learner.position, learner.skipped = _position(about["position"]), _counts(about["skipped"])
    if about["d"] is None:
        return learner
    centre = arrays["centre"]
    if centre.ndim != 1 or not 0 < about["d"] * learner._output.size == len(centre):
        raise ValueError(f"its centre has shape {centre.shape} for d = {about['d']!r}")
    if not isinstance(learner.geometry, (Identity, Scalar, Diagonal)):
        numbers = sum(array.size for array in arrays.values())
        if len(centre) ** 2 > max(numbers, _WIDEST):  # more than a learner of this file can have
            raise ValueError(f"it has {numbers:,} numbers, and a metric in {len(centre):,} dimensions")
    if "map.play" in arrays:
        shaped_as(arrays, "map.play", np.zeros((len(centre), len(centre))))
    learner._open(centre)
    for name in _STATE:
        getattr(learner, name)[...] = shaped_as(arrays, name, getattr(learner, name))
    _unpack_clock(learner, arrays["clock"])
    for name, part in learner._metric._asdict().items():
        part[...] = shaped_as(arrays, f"metric.{name}", part)
    keys = _unpack_keys("open", about, arrays)
    rows = learner._slots.adopt(keys)
    for name, part in learner._slots.arrays._asdict().items():
        part[rows] = shaped_as(arrays, f"open.{name}", part[rows])
    if learner._map is not None:
        own = {name.removeprefix("map."): part for name, part in arrays.items() if name.startswith("map.")}
        learner._map = learner._map.unpacked(own, rows.tolist())
    learner._slots.relieve()
    if not len(keys) <= learner._clock[kernels.OPEN]:
        raise ValueError(f"{len(keys)} tasks are open, and its clock says {learner._clock[kernels.OPEN]}")
    _unpack_waiting(learner._waiting, learner.d, about, arrays)
    _unpack_ledger(learner.ledger, about, arrays)
    learner._count_alone(whole(about.get("alone", 0), "alone"))
    return learner


def _position(value: Any) -> dict[str, Any] | None:
    if value is not None and not (isinstance(value, dict) and isinstance(value["identity"], dict)):
        raise ValueError(f"its position is {value!r}")
    return None if value is None else {**value, "position": whole(value["position"], "position")}


def _counts(value: Any) -> dict[str, int]:
    return {str(why): whole(times, why) for why, times in value.items()}


def _part(role: str, description: dict[str, Any], given: Any) -> Any:
    """A record: the one passed, if it is the one described, or one of owo's."""
    if given is None:
        return revived(description, role, "load")
    if described(given) | {"ours": 0} != description | {"ours": 0}:
        raise _Wrong(f"{role} was {_shown(description)}, and {given!r} was passed; pass the same, or a new learner")
    return given


def _shown(description: dict[str, Any]) -> str:
    fields = (f"{k}={_shown(v) if isinstance(v, dict) else repr(v)}" for k, v in description["fields"].items())
    return f"{description['law']}({', '.join(fields)})"


def _unpack_clock(learner: OnlineWithinOnline, clock: NDArray[Any]) -> None:
    if clock.dtype != np.int64 or clock.shape != learner._clock.shape or (clock < 0).any() or (clock > 2**60).any():
        raise ValueError(f"its clock is {clock!r}")
    learner._clock[...] = clock


# -------------------------------------------------------------------------------------------------- keys of tasks


def _pack_keys(name: str, keys: Sequence[Hashable], about: dict[str, Any], arrays: Arrays) -> None:
    """Task keys as an array, where they are whole numbers, else as JSON."""
    if all(type(key) is int and -(2**63) <= key < 2**63 for key in keys):
        arrays[f"{name}.keys"] = np.array(keys, dtype=np.int64)
    else:
        about[f"{name}.keys"] = [written_key(key) for key in keys]


def _unpack_keys(name: str, about: dict[str, Any], arrays: Arrays) -> list[Hashable]:
    if f"{name}.keys" in about:
        found = [read_key(key) for key in about[f"{name}.keys"]]
        for key in found:
            require_hashable(key)
            if key is None:
                raise ValueError("a task has the key None")
        return found
    numbers = arrays[f"{name}.keys"]
    if numbers.dtype != np.int64 or numbers.ndim != 1:
        raise ValueError(f"its keys are an array of {numbers.dtype}, {numbers.shape}")
    return list(numbers.tolist())


# ------------------------------------------------------------------------------------- points that wait for labels


def _pack_waiting(waiting: Waiting, about: dict[str, Any], arrays: Arrays) -> None:
    points = waiting.points
    arrays["waiting.tickets"] = np.array([waiting.tickets, *points], dtype=np.int64)
    arrays["waiting.x"] = np.array([point.x for point in points.values()]).ravel()
    made = [(point.prediction, point.base) for point in points.values()]
    arrays["waiting.predictions"] = np.array(made, dtype=np.float64).reshape(-1, 2)
    arrays["waiting.costs"] = np.array([waiting.ended, *waiting.costs.values()])
    _pack_keys("waiting", [point.task for point in points.values()], about, arrays)
    _pack_keys("costs", list(waiting.costs), about, arrays)


def _unpack_waiting(waiting: Waiting, d: int | None, about: dict[str, Any], arrays: Arrays) -> None:
    tickets = arrays["waiting.tickets"]
    if tickets.dtype != np.int64 or tickets.ndim != 1 or (tickets < 0).any() or (tickets > tickets[0]).any():
        raise ValueError(f"its tickets are {tickets.dtype} {tickets.shape}")
    waiting.tickets, *numbers = tickets.tolist()
    tasks, owing = _unpack_keys("waiting", about, arrays), _unpack_keys("costs", about, arrays)
    x = shaped_as(arrays, "waiting.x", np.zeros(len(numbers) * (d or 0))).reshape(len(numbers), d or 0)
    made = shaped_as(arrays, "waiting.predictions", np.zeros((len(numbers), 2))).tolist()
    points = [Point(task, row, *each) for task, row, each in zip(tasks, x, made, strict=True)]
    waiting.points = dict(zip(numbers, points, strict=True))
    waiting.ended, *costs = shaped_as(arrays, "waiting.costs", np.zeros(len(owing) + 1)).tolist()
    waiting.costs = dict(zip(owing, costs, strict=True))


# ---------------------------------------------------------------------------------------------------- the ledger


def _pack_ledger(ledger: Any, about: dict[str, Any], arrays: Arrays) -> None:
    names = ("path", "path_tasks") if isinstance(ledger, SpanLedger) else tuple(ledger.tables)
    arrays |= {f"ledger.{name}": ledger.tables[name].filled for name in names}
    arrays |= {"stages.spent": ledger.stages.spent, "stages.tasks": ledger.stages.tasks}
    arrays |= {"ledger.centre": ledger.centre, "ledger.metric": ledger.metric}
    about["description"] = ledger.description
    if isinstance(ledger, SpanLedger):
        arrays |= {"spans.rows": ledger.rows[: len(ledger)], "spans.count": ledger.count}
    else:
        _pack_keys("ledger", ledger.keys, about, arrays)


def _unpack_ledger(ledger: Any, about: dict[str, Any], arrays: Arrays) -> None:
    ledger.description = str(about["description"])
    ledger.centre = shaped_as(arrays, "ledger.centre", ledger.centre)
    ledger.metric = shaped_as(arrays, "ledger.metric", ledger.metric)
    spent, tasks = arrays["stages.spent"], arrays["stages.tasks"]
    shaped_as(arrays, "stages.spent", np.zeros((len(tasks), ledger.stages.columns)))
    ledger.stages.append(spent, shaped_as(arrays, "stages.tasks", np.zeros(len(spent))))
    if isinstance(ledger, SpanLedger):
        count = arrays["spans.count"]
        fits = count.dtype == np.int64 and count.shape == (2,) and 0 <= count[0] <= ROWS and 1 <= count[1] < 2**60
        if not (fits and np.isfinite(arrays["spans.rows"][:, ENDED]).all()):
            raise ValueError(f"its spans are counted as {count!r}, or are not finite")
        ledger.rows[: count[0]] = shaped_as(arrays, "spans.rows", ledger.rows[: count[0]])
        ledger.count[...] = count
        names: Any = ("path", "path_tasks")
    else:
        keys = _unpack_keys("ledger", about, arrays)
        names = tuple(ledger.tables)
        tables = ("accounts", "tasks", "tallies", *(("moves",) if ledger.geometry.learns else ()))
        lengths = {len(arrays[f"ledger.{name}"]) for name in tables}
        if lengths != {len(keys)}:
            raise ValueError(f"it names {len(keys)} tasks that ended, and has rows of {lengths}")
        ledger.adopt(keys)
    if len(arrays["ledger.path"]) != len(arrays["ledger.path_tasks"]):
        raise ValueError("its path has rows of no task")
    for name in names:
        found = arrays[f"ledger.{name}"]
        if found.dtype != np.float64 or found.ndim != 2:
            raise ValueError(f"its ledger has {name} of shape {found.shape}")
        ledger.tables[name].append(found)
