"""Figures of the levels of runs, and of what the adversary found: arrays in, a figure out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from theory.terms import Terms
from theory.validate.drawing import COLUMN, PAGE, Array, figure, marks, quiet, rows_named
from theory.validate.part import Arrays

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MIDDLE = (0.05, 0.5, 0.95)
"""Quantiles drawn: the middle 90 % and the median."""


def _settings(arrays: Arrays) -> list[tuple[str, NDArray[np.bool_]]]:
    """The names of the settings in their order, and which runs are theirs."""
    return [(name, arrays["setting"] == name) for name in dict.fromkeys(arrays["setting"].tolist())]


def _quantiles(values: Array) -> Array:
    """Of values that may be infinite: without interpolation, which knows no infinity."""
    return np.asarray(np.quantile(values, MIDDLE, method="inverted_cdf"))


def draw_levels(arrays: Arrays) -> Figure:
    """Regret and certificate as parts of the closed form, a row for each setting."""
    drawn = figure(PAGE, 4.1)
    ax = quiet(drawn.subplots(), "x")
    settings = _settings(arrays)
    closed = arrays["closed"].sum(axis=1)
    parts = {"certificate of the run": arrays["certificate"].sum(axis=1) / closed, "regret": arrays["regret"] / closed}
    at = np.arange(len(settings), dtype=np.float64)
    ax.set_xscale("log")
    ax.set_xlim(LEAST, 1.25)
    ax.axvline(1.0, color="0.4", linewidth=0.9)
    for style, (label, values) in enumerate(parts.items()):
        low, middle, high = np.array([_quantiles(values[mine]) for _, mine in settings]).clip(LEAST).T
        shown = np.where(middle > LEAST, middle, np.nan)
        marks(ax, shown, low, high, at + (style - 0.5) * 0.3, style, label)
    rows_named(ax, [name for name, _ in settings])
    ax.set_xlabel("part of the closed form (ratio of losses, summed over a run)")
    drawn.legend(loc="outside upper center", ncols=2, frameon=False)
    return drawn


LEAST = 1e-3
"""Of the closed form: smaller parts, and those below 0, lie under the frame."""


def draw_looseness(arrays: Arrays) -> Figure:
    """The closed form over the certificate for each term, a row for each setting."""
    drawn = figure(PAGE, 4.4)
    ax = quiet(drawn.subplots(), "x")
    settings = _settings(arrays)
    low_end, high_end = 0.3, 100.0
    ax.set_xscale("log")
    ax.set_xlim(low_end, high_end)
    ax.axvline(1.0, color="0.4", linewidth=0.9)
    closed, certificate = arrays["closed"], arrays["certificate"]
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.where(certificate > 0.0, closed / certificate, np.inf)
    for term, name in enumerate(Terms._fields):
        rows, found = [], []
        for row, (_, mine) in enumerate(settings):
            if closed[mine, term].any():
                rows.append(row + (term - 2) * 0.16)
                found.append(_quantiles(ratios[mine, term]))
        low, middle, high = np.array(found).clip(low_end, high_end).T
        inside = np.where((middle > low_end) & (middle < high_end), middle, np.nan)
        marks(ax, inside, low, high, np.array(rows), term, name)
    for row in range(1, len(settings)):
        ax.axhline(row - 0.5, color="0.94", linewidth=0.6, zorder=0)
    rows_named(ax, [name for name, _ in settings])
    ax.set_xlabel("closed form / certificate of the run")
    drawn.legend(loc="outside upper center", ncols=len(Terms._fields), frameon=False)
    return drawn


def draw_adversary(arrays: Arrays) -> Figure:
    """The largest ratio of regret to certificate, a row for each learner and a mark for each loss."""
    learners = list(dict.fromkeys(arrays["learner"].tolist()))
    losses = list(dict.fromkeys(arrays["loss"].tolist()))
    drawn = figure(COLUMN, 0.9 + 0.24 * len(learners))
    ax = quiet(drawn.subplots(), "x")
    ax.axvline(1.0, color="0.4", linewidth=0.9)
    for style, loss in enumerate(losses):
        at, found = [], []
        for row, learner in enumerate(learners):
            here = arrays["ratio"][(arrays["learner"] == learner) & (arrays["loss"] == loss)]
            if here.size:
                at.append(row + (style - 0.5 * (len(losses) - 1)) * 0.15)
                found.append(here.max())
        middle = np.array(found)
        marks(ax, middle, middle, middle, np.array(at), style, loss)
    rows_named(ax, learners)
    ax.set_xlim(right=1.01)
    ax.set_xlabel("largest regret found / certificate")
    drawn.legend(loc="outside upper center", ncols=2, frameon=False, columnspacing=1.0)
    return drawn
