"""Tables of results: means over seeds with 95 % intervals, and what is gained on a baseline, paired by seed."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from experiments.methods import INDEPENDENT
from experiments.store import Arrays
from owo.compare import paired_gain

Array = NDArray[np.float64]


class Table(NamedTuple):
    """Cells as text."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""

    def markdown(self) -> str:
        """As in a README."""
        lines = [f"**{self.title}**", "", "| " + " | ".join(self.header) + " |"]
        lines.append("| --- |" + " ---: |" * (len(self.header) - 1))
        lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in self.rows]
        return "\n".join([*lines, *(["", self.note] if self.note else [])])

    def html(self) -> str:
        """As in a page."""
        head = "".join(f"<th>{html.escape(cell)}</th>" for cell in self.header)
        body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in self.rows)
        note = f"<p class='note'>{html.escape(self.note)}</p>" if self.note else ""
        return f"<table><caption>{html.escape(self.title)}</caption><tr>{head}</tr>{body}</table>{note}"


def interval(values: Array) -> tuple[Array, Array]:
    """Mean over seeds (the first axis) and the half-width of its 95 % t-interval; NaN for one seed.

    >>> mean, half = interval(np.array([1.0, 2.0, 3.0]))
    >>> float(mean), round(float(half), 3)
    (2.0, 2.484)
    """
    n = len(values)
    mean = np.mean(values, axis=0)
    if n < 2:
        return mean, np.full_like(mean, math.nan)
    return mean, stats.t.ppf(0.975, n - 1) * np.std(values, axis=0, ddof=1) / math.sqrt(n)


def shown(values: Array) -> str:
    """Mean and half-width in three digits.

    >>> shown(np.array([0.1, 0.2, 0.3])), shown(np.array([0.1])), shown(np.array([math.nan]))
    ('.200 ± .248', '.100', '-')
    """
    mean, half = (float(each) for each in interval(np.asarray(values, dtype=np.float64)))
    if math.isnan(mean):
        return "-"
    return number(mean) if math.isnan(half) else f"{number(mean)} ± {number(half)}"


def number(value: float) -> str:
    """Three decimals below 10, else three digits."""
    text = f"{value:.3f}" if abs(value) < 10.0 else f"{value:.1f}" if abs(value) < 1000.0 else f"{value:.3g}"
    return text.replace("0.", ".", 1) if text.lstrip("-").startswith("0.") else text


def gain(reference: Array, values: Array) -> str:
    """How much less than the reference, in percent, paired by seed, with its 95 % interval.

    >>> gain(np.array([1.0, 2.0]), np.array([0.9, 1.8]))
    '10.0'
    """
    mean, half = paired_gain(reference, values)
    return f"{mean:z.1f}" if math.isnan(half) else f"{mean:z.1f} ± {half:.1f}"


def contest_table(title: str, arrays: Arrays, unit: str, note: str = "") -> Table:
    """A row a method: error of new tasks after all of training; loss, regret and certificate of a stream; numbers.

    The unit is that of errors, unless signs are predicted.
    """
    names = arrays["method"][0].tolist()
    unit = "share of wrong signs" if arrays["classifies"].any() else unit
    error, online = arrays["error"][:, :, -1], arrays["online"][:, :, -1]
    base = names.index(INDEPENDENT)
    header = (
        "method", f"test error ({unit})", "gain %", "strength, step", "online loss", "gain %", "regret", "certificate",
        "strength, step",
    )  # fmt: skip
    rows = []
    for m, name in enumerate(names):
        gains = ("-", "-") if m == base else (gain(error[:, base], error[:, m]), _gain_online(online, base, m))
        online_numbers = "-" if np.isnan(online[:, m]).any() else middle(arrays["online_numbers"][:, m])
        rows.append((
            name, shown(error[:, m]), gains[0], middle(arrays["numbers"][:, m]), shown(online[:, m]), gains[1],
            shown(arrays["regret"][:, m]), shown(arrays["certificate"][:, m]), online_numbers,
        ))  # fmt: skip
    return Table(title, header, tuple(rows), note)


def reference_table(title: str, rows: Iterable[tuple[str, tuple[float, float], Array]], note: str) -> Table:
    """What other code measured, as least and largest number, beside ours; and how far ours lies outside.

    >>> reference_table("errors", [("mine", (0.1, 0.2), np.array([0.25])), ("other", (0.1, 0.1), np.ones(1))], "").rows
    (('mine', '.100 to .200', '.250', '+.050'), ('other', '.100', '1.000', '+.900'))
    """
    held = []
    for name, (least, largest), ours in rows:
        mean = float(np.mean(ours))
        apart = mean - min(max(mean, least), largest)
        there = number(least) if least == largest else f"{number(least)} to {number(largest)}"
        held.append(
            (name, there, shown(ours), f"{'+' if apart > 0.0 else ''}{number(apart)}" if abs(apart) >= 5e-4 else "0")
        )
    return Table(title, ("method", "reference", "ours", "difference"), tuple(held), note)


def titled(title: str, arrays: Arrays) -> str:
    """A study's title, which says so where its tasks are a user's."""
    return f"{title}; tasks of a file" if arrays["brought"].any() else title


def _gain_online(online: Array, base: int, m: int) -> str:
    return "-" if np.isnan(online[:, m]).any() else gain(online[:, base], online[:, m])


def middle(numbers: Array) -> str:
    """The medians over seeds of strength and step (seeds, 2), in three digits.

    >>> middle(np.array([[1.0, 0.1], [1.0, 0.316]]))
    '1, .208'
    """
    return ", ".join(f"{value:.3g}".replace("0.", ".", 1) if value < 1.0 else f"{value:.3g}" for value in
                     np.median(numbers, axis=0).tolist())  # fmt: skip
