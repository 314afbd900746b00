"""What the learners of a grid are made of, and which of them run side by side."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from owo import kernels, lanes
from owo._record import is_record
from owo.abreast import LANES
from owo.laws import CoinBetting, DualAveraging, Frozen

Array = NDArray[np.float64]


class Configuration(NamedTuple):
    """What one learner of a grid is made of: see ``OnlineWithinOnline``."""

    inner: Any
    outer: Any
    update: Literal["task", "point"] = "point"


def as_configurations(values: Iterable[Any]) -> list[Configuration]:
    """Configurations from ``(inner, outer)`` or ``(inner, outer, update)``; a law that is None is ``CoinBetting()``."""
    if not isinstance(values, Iterable):
        raise TypeError(f"configurations is {values!r:.100}; needed a list of {_NEEDED}")
    found = []
    for number, each in enumerate(values):
        if not isinstance(each, (tuple, list)) or is_record(each) or not 2 <= len(each) <= 3:
            raise TypeError(f"configuration {number} is {each!r:.100}; needed {_NEEDED}")
        inner, outer = (CoinBetting() if law is None else law for law in each[:2])
        found.append(Configuration(inner, outer, *each[2:]))
    return found


_NEEDED = "(inner, outer) or (inner, outer, update), such as (owo.GrowingFTRL(1.0), owo.DualAveraging(0.1))"


def moving(outer: Any) -> Any:
    """A law across tasks as lanes take it: one that never moves is one with a step of 0, and shares their lanes."""
    return tuple.__new__(DualAveraging, (0.0,)) if isinstance(outer, Frozen) else outer


def kind_of(record: Any) -> Any:
    """What has to be the same for two records to be lanes of one pass: all but their numbers; None if it is none."""
    if not is_record(record):
        return None
    parts = tuple(
        kind_of(each) if is_record(each) else None if isinstance(each, float) else each for each in record
    )  # fmt: skip
    return type(record), parts


@dataclass
class Group:
    """Configurations of the same kind."""

    members: list[int]
    lanes: lanes.Lanes
    at_meta: int
    states: int
    """numbers of the state across tasks"""
    kept: tuple[tuple[int, ...], tuple[int, ...]]
    """numbers of accounts that are written down, of tasks and of the stream"""

    @classmethod
    def of(cls, configurations: Sequence[Configuration], members: list[int], centre: Array, mapped: bool) -> Group:
        """Their lanes, before any data."""
        pairs = [(configurations[number].inner, moving(configurations[number].outer)) for number in members]
        at_meta, after, _ = lanes.places(*pairs[0])
        kept = lanes.kept_of(pairs[0][0]), lanes.kept_of(pairs[0][1])
        return cls(members, lanes.begin(pairs, centre, mapped), at_meta, after - at_meta, kept)

    @property
    def columns(self) -> Any:
        """The members, as a slice if they follow one another."""
        first, last = self.members[0], self.members[-1]
        return slice(first, last + 1) if last - first == len(self.members) - 1 else self.members

    def numbers(self, row: int) -> Array:
        """A row of scalars, one a member."""
        rows = self.lanes.rows.reshape(len(self.lanes.rows), -1, LANES)[:, row]
        return np.asarray(rows.ravel()[: len(self.members)])

    def state(self, place: int) -> tuple[Array, Array, Array, Array]:
        """G, theta, state and account of the learner across tasks."""
        block, lane = divmod(place, LANES)
        rows, total, play = (
            each[block].reshape(-1, LANES)[:, lane] for each in (self.lanes.rows, self.lanes.total, self.lanes.play)
        )
        account = rows[lanes.OF_STREAM :][: len(kernels.ACCOUNT)]
        return total, play, rows[self.at_meta : self.at_meta + self.states], account
