"""Three levels of every setting: measured regret <= certificate of the run <= closed form."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from theory.levels import BoundViolation, Levels
from theory.ratios import HEADS, cells, row_of
from theory.settings import SETTINGS, Setting, by_name
from theory.terms import Terms
from theory.validate import figures
from theory.validate.part import Arrays, Part, Picture, Summary, Table, Violation


@dataclass(frozen=True, kw_only=True)
class Config:
    """How many runs; the defaults are the full mode."""

    seeds: int = 2000
    """runs of each setting"""
    together: int = 250
    """seeds of a unit"""

    @classmethod
    def quick(cls) -> Config:
        """Runs of seconds."""
        return cls(seeds=60, together=60)


def units(config: Config) -> dict[str, float]:
    """Settings, each in stretches of seeds.

    >>> list(units(Config(seeds=4, together=2)))[:3]
    ['within: growing/0-1', 'within: growing/2-3', 'within: constant/0-1']
    """
    stretches = [
        (first, min(first + config.together, config.seeds)) for first in range(0, config.seeds, config.together)
    ]
    return {
        f"{setting.name}/{first}-{stop - 1}": 1.5e-3 * (stop - first)
        for setting in SETTINGS
        for first, stop in stretches
    }


def _parsed(unit: str) -> tuple[str, range]:
    """The setting and the seeds; "bias/7" is one run.

    >>> _parsed("bias/0-99"), _parsed("bias/7")
    (('bias', range(0, 100)), ('bias', range(7, 8)))
    """
    name, _, span = unit.rpartition("/")
    first, _, last = span.partition("-")
    return name, range(int(first), int(last or first) + 1)


def measure(config: Config, unit: str) -> Arrays:
    """The levels of n runs: sums over the points of all tasks, in units of loss."""
    name, seeds = _parsed(unit)
    setting = by_name(name)
    found = [_run(setting, seed) for seed in seeds]
    return {
        "seed": np.array(seeds),
        "rounds": np.array([each.rounds for each in found]),
        "regret": np.array([each.regret for each in found]),
        "certificate": np.array([each.certificate for each in found]),
        "closed": np.array([each.closed for each in found]),
        "rounding": np.array([each.rounding for each in found]),
        "lower": np.array([math.nan if each.lower is None else each.lower for each in found]),
        "wrong": np.array([_wrong(each) for each in found]),
    }


def _run(setting: Setting, seed: int) -> Levels:
    try:
        return setting.run(seed)
    except Exception as error:
        error.add_note(f"in the run of seed {seed} of the setting {setting.name!r}")
        raise


def _wrong(levels: Levels) -> str:
    """What is not in order; empty where all is."""
    try:
        levels.check()
    except BoundViolation as violation:
        return str(violation)
    return ""


def judge(config: Config, unit: str, found: Arrays) -> list[Violation]:
    """A violation for each run whose levels are not in order."""
    name, _ = _parsed(unit)
    pairs = zip(found["seed"].tolist(), found["wrong"].tolist(), strict=True)
    return [Violation(wrong, f"{name}/{seed}") for seed, wrong in pairs if wrong]


def summary(config: Config, found: dict[str, Arrays]) -> Summary:
    """A row for each setting, and the columns of all runs one below the other."""
    by_setting: dict[str, list[Arrays]] = {}
    for unit, arrays in found.items():
        by_setting.setdefault(_parsed(unit)[0], []).append(arrays)
    joined = {
        name: {key: np.concatenate([each[key] for each in parts]) for key in parts[0]}
        for name, parts in by_setting.items()
    }
    rows = [cells(row_of(_levels(name, arrays))) for name, arrays in joined.items()]
    whole = {key: np.concatenate([each[key] for each in joined.values()]) for key in next(iter(joined.values()))}
    whole["setting"] = np.repeat(list(joined), [len(each["seed"]) for each in joined.values()])
    return Summary(len(whole["seed"]), Table(HEADS, tuple(rows)), whole)


def _levels(name: str, found: Arrays) -> list[Levels]:
    """The levels again, from their columns."""
    columns = (
        found[key].tolist() for key in ("seed", "rounds", "regret", "certificate", "closed", "rounding", "lower")
    )
    return [
        Levels(name, seed, "", rounds, regret, Terms(*certificate), Terms(*closed), rounding,
               None if math.isnan(lower) else lower)
        for seed, rounds, regret, certificate, closed, rounding, lower in zip(*columns, strict=True)
    ]  # fmt: skip


PART = Part(
    "levels",
    "Regret, certificate and closed form",
    """For every result of the theory, random runs of owo within its assumptions: losses, sizes, scales, hostile orders
    of the points and comparators chosen against the run. On each run the measured regret has to be at most the run's
    own certificate, and that at most the theorem's closed form. Ratios are medians over the runs; "-" where the result
    has no such term, inf where the lower level is 0 or less in most runs. "blame" names the term that most of the gap
    between closed form and certificate is in.""",
    lambda quick: Config.quick() if quick else Config(),
    units,
    measure,
    judge,
    summary,
    (
        Picture(
            "levels",
            "How much of the closed form is used",
            """Measured regret and the run's certificate as parts of the closed form: medians over the runs of a
            setting, with the middle 90 %. Nothing may lie to the right of 1. The lower bound is met by all three at
            once.""",
            figures.draw_levels,
        ),
        Picture(
            "looseness",
            "Looseness, term by term",
            """Each term of the closed form over the same term of the run's certificate: medians, with the middle 90 %.
            A term may lie to the left of 1, since only the totals are ordered. Runs in which the certificate gained by
            a term, so that it is 0 or less, count as infinitely loose; a bar that ends at the frame goes on beyond
            it.""",
            figures.draw_looseness,
        ),
    ),
)
