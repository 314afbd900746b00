"""How loose each step is, and which term is to blame: the levels of many runs, a row for each setting.

``python -m theory.ratios`` prints the table.

>>> from theory.settings import by_name
>>> row = row_of([by_name("lower bound").run(seed) for seed in range(3)])
>>> row.violations, round(row.slack, 6), round(row.looseness, 6)
(0, 1.0, 1.0)
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from theory.levels import BoundViolation, Levels
from theory.settings import SETTINGS
from theory.terms import Terms


class Row(NamedTuple):
    """Of one setting; ratios are medians over its runs, infinite where the lower level is 0 or less in most of them."""

    setting: str
    runs: int
    violations: int
    """runs whose levels are not in order"""
    slack: float
    """the run's certificate over its regret"""
    looseness: float
    """the closed form over the run's certificate"""
    ratios: Terms
    """the same, term by term; 0 where the result has no such term"""
    blame: str
    """the term that most of the gap between closed form and certificate was in, in most runs"""


def row_of(found: Sequence[Levels]) -> Row:
    """The row of one setting's levels."""
    ratios = (statistics.median(column) for column in zip(*(each.ratios for each in found), strict=True))
    return Row(
        setting=found[0].setting,
        runs=len(found),
        violations=sum(map(_violated, found)),
        slack=statistics.median(each.slack for each in found),
        looseness=statistics.median(each.looseness for each in found),
        ratios=Terms(*ratios),
        blame=Counter(each.blame for each in found).most_common(1)[0][0],
    )


def rows(seeds: int) -> list[Row]:
    """A row for each setting, of its first ``seeds`` runs."""
    return [row_of([setting.run(seed) for seed in range(seeds)]) for setting in SETTINGS]


HEADS = ("setting", "runs", "violations", "certificate / regret", "closed / certificate", *Terms._fields, "blame")
"""What the cells of a row are."""


def cells(row: Row) -> tuple[str, ...]:
    """A row as it is shown; "-" where the result has no such term."""
    terms = (f"{ratio:.3g}" if ratio else "-" for ratio in row.ratios)
    counts = (str(row.runs), str(row.violations))
    return (row.setting, *counts, f"{row.slack:.3g}", f"{row.looseness:.3g}", *terms, row.blame)


def as_text(table: Iterable[Row]) -> str:
    """The table in Markdown."""
    lines = ["| " + " | ".join(HEADS) + " |", "|" + " --- |" * len(HEADS)]
    return "\n".join([*lines, *("| " + " | ".join(cells(row)) + " |" for row in table)])


def _violated(levels: Levels) -> bool:
    try:
        levels.check()
    except BoundViolation:
        return True
    return False


if __name__ == "__main__":
    print(as_text(rows(100)))
