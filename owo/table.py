"""The table of a comparison, and what has to be known to read it."""

from __future__ import annotations

import csv
import math
import os
from typing import Any, NamedTuple

import numpy as np

from owo.compare import Comparison, Outcome
from owo.contenders import FREE, INDEPENDENT, PER_POINT
from owo.streams.block import Block, count


class Table(NamedTuple):
    """Cells as text."""

    groups: tuple[tuple[str, int], ...]
    """headings over the columns, and how many columns each is over"""
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def table(comparison: Comparison) -> Table:
    """The table of a comparison; ``notes`` says what it means."""
    error = ("error",) if comparison.settings.classification else ()
    orders = comparison.settings.orders
    groups = (
        ("", 1),
        (f"{orders} random order{'s' if orders > 1 else ''}", 2 + len(error)),
        ("the data's own order", 3 + len(error)),
        ("", 1),
        ("numbers used", 2),
    )
    header = (
        "learner",
        "loss",
        *error,
        "gain %",
        "loss",
        *error,
        "regret",
        "certificate",
        "seconds",
        "strength",
        "step",
    )
    return Table(groups, header, tuple(_cells(comparison, outcome) for outcome in comparison.outcomes))


def _cells(comparison: Comparison, outcome: Outcome) -> tuple[str, ...]:
    gain, half = comparison.gain(outcome)
    shown = f"{gain:z.1f}" + ("" if math.isnan(half) else f" ± {half:.1f}")
    if outcome.contender is INDEPENDENT or not math.isfinite(gain):
        shown = "-"
    sort = comparison.settings.classification
    regret, certificate = per_point(comparison, outcome)
    return (
        outcome.contender.name,
        number(float(outcome.losses.mean())),
        *([number(float(outcome.errors.mean()))] if sort else []),
        shown,
        number(outcome.own.loss),
        *([number(outcome.own.error)] if sort else []),
        number(regret),
        number(certificate),
        f"{outcome.seconds:.4f}" if outcome.seconds < 1.0 else f"{outcome.seconds:.2f}",
        *("-" if used is None else f"{used.value:.3g}{'*' * used.from_grid}" for used in _numbers(comparison, outcome)),
    )


class _Number(NamedTuple):
    """A strength or a step that was used."""

    value: float
    from_grid: bool
    """whether it is the best of the grid, not given"""


def _numbers(comparison: Comparison, outcome: Outcome) -> list[_Number | None]:
    """Strength and step, None where they do not matter."""
    who, settings = outcome.contender, comparison.settings
    return [
        _Number(value, not (who.fixable and getattr(settings, name) is not None)) if name in who.tunes else None
        for name, value in outcome.choice._asdict().items()
    ]


def per_point(comparison: Comparison, outcome: Outcome) -> tuple[float, float]:
    """Regret and certificate in the data's own order, a point, in the unit of the table."""
    scale = comparison.arena.unit / comparison.data.block.n
    ledger = outcome.own.ledger
    regret, certificate = ledger.regret(outcome.comparator)[-1], ledger.certificate(outcome.comparator).total[-1]
    return float(regret) * scale, float(certificate) * scale


def size(comparison: Comparison) -> str:
    """How much data there are, in words."""
    block = comparison.data.block
    return f"{count(block.n_tasks, 'task')}, {count(block.n, 'point')}, d = {comparison.arena.block.d}"


def number(value: float) -> str:
    """Three decimals, or three digits where these say nothing.

    >>> number(0.12345), number(0.00012345), number(math.nan)
    ('0.123', '0.000123', '-')
    """
    if math.isnan(value):
        return "-"
    return f"{value:.3f}" if 0.001 <= abs(value) < 1000.0 or value == 0.0 else f"{value:.3g}"


def unit(comparison: Comparison) -> str:
    """The unit of the losses, in words; empty if they have none."""
    if comparison.settings.classification:
        return ""
    return {1: "standard deviations of y", 2: "variances of y"}.get(
        comparison.settings.degree, "units of the encoded y"
    )


def loss_name(loss: Any) -> str:
    """A loss in words.

    >>> import owo
    >>> loss_name(owo.SquaredHinge()), loss_name(owo.Pinball(0.9))
    ('squared hinge loss', 'pinball loss (quantile 0.9)')
    """
    fields = ", ".join(f"{key} {value:g}" for key, value in loss._asdict().items())
    words = "".join(f" {c.lower()}" if c.isupper() else c for c in type(loss).__name__).strip()
    return f"{words} loss" + (f" ({fields})" if fields else "")


def notes(comparison: Comparison) -> list[str]:
    """What has to be known to read any table of the same settings, a line each."""
    settings, units = comparison.settings, unit(comparison)
    lines = [f"loss: {loss_name(settings.loss)}, mean over points{f', in {units}' if units else ''}."]
    if settings.classification:
        lines.append("error: share of points whose sign was wrong; a prediction of exactly 0 counts half.")
    lines.append(
        "gain: how much less is lost than by independent learning in the same orders; "
        + (
            "±: 95 % interval of that paired difference, none where the order makes no difference."
            if settings.orders > 1
            else "its interval needs 2 orders."
        )
    )
    lines.append("regret: loss a point beyond the best bias in hindsight (pooled: beyond the best single weights).")
    lines.append("certificate: the bound on that regret that the run itself proves, whatever the data.")
    lines.append("seconds: to stream all points once, compiled. Orders are orders of the tasks.")
    if any(used is not None and used.from_grid for each in comparison.outcomes for used in _numbers(comparison, each)):
        lines.append("*: best of a coarse grid, in hindsight, on the first random order (oracle: as OWO per task).")
    lines.append("Parameter-free rows are coin betting as it comes: no number in them was tuned.")
    return lines


def remarks(comparison: Comparison) -> list[str]:
    """What has to be known of this data set and this run."""
    lines = [_basis(comparison), *_labels(comparison)]
    if comparison.mixed:
        lines.append(
            "In the data's own order tasks are mixed; in the random orders, and so in the gains, they come one after "
            f"another. Mixed, up to {most_open(comparison.data.block)} tasks are open at once, and OWO per task learns "
            "late, because its bias moves only when a task ends: per point is the one to use then."
        )
    if comparison.distinct < comparison.settings.orders:
        lines.append(
            f"There are too few orders of {count(comparison.data.block.n_tasks, 'task')} for an interval: "
            f"{comparison.distinct} among the {comparison.settings.orders} random ones."
        )
    if comparison.doubts:
        lines.append(f"{len(comparison.doubts)} comparators are not certified as best. First: {comparison.doubts[0]}")
    return [*lines, verdict(comparison)]


def _basis(comparison: Comparison) -> str:
    """What means and scales were taken from."""
    own, drawn = comparison.arena.encoding, comparison.drawn
    every = comparison.data.block.n
    if not comparison.mixed:
        if own.points == every:
            return "Means and scales were taken from all tasks: this is not online."
        return f"Means and scales come from the first {own.basis} of each order, and from nothing later."
    first, second = (f"{'all' if each.points == every else 'the first'} {each.basis}" for each in (own, drawn))
    rest = "all is not online" if every in (own.points, drawn.points) else "and from nothing later"
    return f"Means and scales come from {first} of the data's own order and {second} of each random one, {rest}."


def _labels(comparison: Comparison) -> list[str]:
    """What was made of the labels, where that is not plain."""
    encoding, y = comparison.arena.encoding, comparison.data.block.y
    values = np.unique(y)
    signs = encoding.target(values)
    if len(values) == 1:
        return [f"y is {y[0]:g} at every point: there is nothing to learn."]
    if not encoding.classification:
        return []
    if signs[0] == signs[-1]:
        return [f"All labels count as {signs[0]:+.0f}: there is nothing to learn."]
    if len(values) == 2:
        return [f"y has two values, which are the classes: {values[1]:g} is +1, {values[0]:g} is -1."]
    return [
        f"The loss takes -1 and +1 only: y above {encoding.centre:.4g} counts as +1, the rest as -1. That is the "
        "median over what means and scales come from; each random order has its own."
    ]


def most_open(block: Block) -> int:
    """How many tasks are open at once, at most.

    >>> most_open(Block([[0.0]] * 4, [0.0] * 4, [0, 1, 0, 2]))
    2
    """
    begins = np.diff(np.maximum.accumulate(block.task), prepend=-1)
    return int(np.max(np.cumsum(begins) - np.cumsum(block.ends) + block.ends))


def summary(comparison: Comparison) -> str:
    """What came out, in two sentences; in the data's own order too, if that has tasks mixed."""
    rows = [comparison.outcome(contender) for contender in (PER_POINT, FREE)]
    if not all(math.isfinite(gain) for row in rows for gain in (comparison.gain(row)[0], comparison.own_gain(row))):
        return "Independent learning lost nothing, so there is nothing to gain."
    first, second = (_lost(row.contender.name, *comparison.gain(row)) for row in rows)
    said = f"gainst independent learning, {first}; {second}, with no number to choose."
    if not comparison.mixed:
        return f"A{said}"
    first, second = (_lost(row.contender.name, comparison.own_gain(row)) for row in rows)
    return (
        f"In random orders of whole tasks, one after another, a{said} In the data's own order, which has tasks mixed, "
        f'{first}; {second} (columns under "the data\'s own order").'
    )


def _lost(name: str, gain: float, half: float = math.nan) -> str:
    """A gain in words, its interval in the sign of these."""
    size = abs(gain)
    interval = "" if math.isnan(half) else f" (95 % interval {size - half:.1f} to {size + half:.1f})"
    return f"{name} lost {size:.1f} % {'less' if round(gain, 1) >= 0.0 else 'more'}{interval}"


def verdict(comparison: Comparison) -> str:
    """Whether all runs kept to their certificates."""
    bad = len(comparison.violations)
    if not bad:
        return f"Held against hindsight {comparison.checked} times, at every task: no regret above its certificate."
    return f"CERTIFICATE VIOLATED in {bad} of {comparison.checked} checks. First: {comparison.violations[0]}"


def write_csv(comparison: Comparison, path: str | os.PathLike[str]) -> None:
    """The table in full precision."""
    names = ("learner", "loss", "error", "gain_percent", "gain_half_width", "own_loss", "own_error", "own_regret",
             "own_certificate", "seconds", "strength", "step")  # fmt: skip
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        for each in comparison.outcomes:
            values = (each.losses.mean(), each.errors.mean(), *comparison.gain(each), each.own.loss, each.own.error,
                      *per_point(comparison, each), each.seconds)  # fmt: skip
            used = [math.nan if one is None else one.value for one in _numbers(comparison, each)]
            cells = [repr(float(value)) if math.isfinite(value) else "" for value in (*values, *used)]
            writer.writerow([each.contender.name, *cells])
