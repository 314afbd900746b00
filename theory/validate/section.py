"""What came of a part as it is told, in the terminal and on the page."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import NamedTuple

from theory.validate.part import Part, Summary, Table, Violation

SHOWN = 3
"""Violations printed of each part and kind; of a wrong statement there may be thousands."""


class Section(NamedTuple):
    """What came of one part."""

    part: Part
    summary: Summary
    violations: tuple[Violation, ...]

    @property
    def wrong(self) -> int:
        """Violations and shortfalls."""
        return len(self.violations) + len(self.summary.shortfalls)


def overview(sections: Sequence[Section]) -> Table:
    """A row for each part."""
    rows = tuple((each.part.title, f"{each.summary.runs:,}", str(each.wrong)) for each in sections)
    return Table(("what was held against runs", "runs", "violations"), rows)


def verdict(sections: Sequence[Section]) -> str:
    """All of it in one sentence."""
    runs, wrong = sum(each.summary.runs for each in sections), sum(each.wrong for each in sections)
    return f"{runs:,} runs of owo, {wrong or 'not one'} violation{'s' if wrong > 1 else ''}."


def told(section: Section, quick: bool) -> list[str]:
    """What is wrong, in lines: the first few violations of each unit's first word, and how to see each again."""
    lines, seen = [], dict[str, int]()
    for violation in section.violations:
        kind = violation.unit.partition("/")[0]
        seen[kind] = seen.get(kind, 0) + 1
        if seen[kind] <= SHOWN:
            lines += [violation.what, f"  again: {again(f'{section.part.name}/{violation.unit}', quick)}"]
    more = sum(max(0, count - SHOWN) for count in seen.values())
    return [*lines, *([f"and {more} more like these"] if more else []), *section.summary.shortfalls]


def again(unit: str, quick: bool) -> str:
    """The command that computes one unit once more."""
    return shlex.join(["python", "-m", "theory.validate", *(["--quick"] if quick else []), "--unit", unit])
