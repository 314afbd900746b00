"""What a part of the validation is: units that measure, a judgement of each, and what is shown of all of them.

A part is one record of functions; adding one is a module with such a record and a line in ``PARTS`` of ``runner``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Arrays = dict[str, NDArray[Any]]


class Violation(NamedTuple):
    """Something that is not as the theory says."""

    what: str
    """in words, with setting and seed"""
    unit: str
    """the least that has to be computed to see it again"""


class Table(NamedTuple):
    """Cells as text."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    @property
    def words(self) -> tuple[bool, ...]:
        """Of each column whether it stands to the left: the first, and those of words; numbers stand to the right.

        >>> Table(("setting", "ratio", "blame"), (("bias", "1.5", "within"), ("joint", "-", "none"))).words
        (True, False, True)
        """
        columns = list(zip(*self.rows, strict=True))
        numbers = [any(cell[:1].isdigit() or cell[:1] in "-\N{PLUS-MINUS SIGN}" for cell in c) for c in columns]
        return (True, *(not each for each in numbers[1:]))


class Summary(NamedTuple):
    """What came of all units of a part."""

    runs: int
    """runs of owo, each held against what it must not exceed"""
    table: Table
    arrays: Arrays
    """what the figures are drawn from, and what is written"""
    shortfalls: tuple[str, ...] = ()
    """what no unit shows by itself: the units together say less than they should"""


class Picture(NamedTuple):
    """A figure, drawn from the arrays of the summary."""

    name: str
    """of its files"""
    title: str
    caption: str
    draw: Callable[[Arrays], Figure]


class Part(NamedTuple):
    """One kind of claim."""

    name: str
    title: str
    about: str
    """what is claimed, and what the table shows"""
    config: Callable[[bool], Any]
    """the configuration, quick or full"""
    units: Callable[[Any], dict[str, float]]
    """names of the units, and about how many seconds each takes"""
    measure: Callable[[Any, str], Arrays]
    """what comes of a unit: it depends on the configuration and the unit's name alone"""
    judge: Callable[[Any, str, Arrays], list[Violation]]
    """what is wrong with it"""
    summary: Callable[[Any, dict[str, Arrays]], Summary]
    pictures: tuple[Picture, ...] = ()
