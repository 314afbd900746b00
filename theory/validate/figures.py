"""Figures of the levels of runs, and of what the adversary found: arrays in, a figure out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from theory.terms import Terms
from theory.validate.drawing import COLUMN, PAGE, Array, figure, legend, marks, quiet, rows_named, separated
from theory.validate.part import Arrays

if TYPE_CHECKING:
    from matplotlib.axes import Axes
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
    drawn = figure(PAGE, 4.5)
    settings = _settings(arrays)
    ax = _rows(drawn, [name for name, _ in settings], 1e-3, 1.25)
    closed = arrays["closed"].sum(axis=1)
    parts = {"certificate of the run": arrays["certificate"].sum(axis=1) / closed, "regret": arrays["regret"] / closed}
    at = np.arange(len(settings), dtype=np.float64)
    for style, (label, values) in enumerate(parts.items()):
        spread = np.array([_quantiles(values[mine]) for _, mine in settings]).T
        marks(ax, spread, at + (style - 0.5) * 0.36, style, label)
    ax.set_xlabel("part of the closed form (both in units of loss, summed over a run)")
    legend(drawn, 2, *ax.get_legend_handles_labels())
    return drawn


def draw_looseness(arrays: Arrays) -> Figure:
    """The closed form over the certificate for each term, a row for each setting."""
    drawn = figure(PAGE, 5.6)
    settings = _settings(arrays)
    ax = _rows(drawn, [name for name, _ in settings], 0.3, 100.0)
    closed, certificate = arrays["closed"], arrays["certificate"]
    ratios = np.divide(closed, certificate, out=np.full_like(closed, np.inf), where=certificate > 0.0)
    there = np.array([closed[mine].any(axis=0) for _, mine in settings])
    offsets = 0.26 * (np.cumsum(there, axis=1) - 0.5 * (there.sum(axis=1, keepdims=True) + 1))
    for term, name in enumerate(Terms._fields):
        (rows,) = np.nonzero(there[:, term])
        spread = np.array([_quantiles(ratios[settings[row][1], term]) for row in rows]).T
        marks(ax, spread, rows + offsets[rows, term], term, name)
    separated(ax, len(settings))
    ax.set_xlabel("term of the closed form / same term of the certificate")
    legend(drawn, len(Terms._fields), *ax.get_legend_handles_labels())
    return drawn


def _rows(drawn: Figure, names: list[str], low: float, high: float) -> Axes:
    """Named rows over a logarithmic axis, with a line at 1."""
    ax = quiet(drawn.subplots(), "x")
    ax.set_xscale("log")
    ax.set_xlim(low, high)
    ax.xaxis.set_major_formatter("{x:g}")
    ax.axvline(1.0, color="0.4", linewidth=0.9)
    rows_named(ax, names)
    return ax


def draw_adversary(arrays: Arrays) -> Figure:
    """The largest ratio of regret to certificate: a row for each learner, a mark for each loss, a panel for a shape."""
    from matplotlib.ticker import MultipleLocator

    learners, losses = (list(dict.fromkeys(arrays[name].tolist())) for name in ("learner", "loss"))
    shapes = largest(arrays)
    drawn = figure(COLUMN if len(shapes) == 1 else PAGE, 1.0 + 0.34 * len(learners))
    axes = drawn.subplots(1, len(shapes), sharex=True, sharey=True, squeeze=False)[0]
    there = [[(arrays["learner"] == learner) & (arrays["loss"] == loss) for loss in losses] for learner in learners]
    rows, kinds = np.nonzero([[mine.any() for mine in row] for row in there])
    best = np.array([arrays["ratio"][there[row][kind]].max(axis=0) for row, kind in zip(rows, kinds, strict=True)])
    offsets = 0.17 * (kinds - 0.5 * (np.bincount(rows)[rows] - 1))
    for ax, shape in zip(axes, shapes, strict=True):
        quiet(ax, "x")
        ax.set_xlim(0.1 * np.floor(9.99 * best[:, shapes].min()), 1.012)
        ax.axvline(1.0, color="0.4", linewidth=0.9)
        for style, loss in enumerate(losses):
            mine = kinds == style
            marks(ax, np.array([best[mine, shape]] * 3), (rows + offsets)[mine], style, loss)
        ax.xaxis.set_major_locator(MultipleLocator(0.1))
        separated(ax, len(learners))
        rows_named(ax, learners)
        ax.set_title(arrays["shape"][shape])
        ax.set_xlabel("largest regret found / certificate")
    handles, labels = axes[0].get_legend_handles_labels()
    legend(drawn, 3 if len(shapes) == 1 else len(labels), handles, labels)
    return drawn


def largest(arrays: Arrays) -> list[int]:
    """The shapes of most points: games of few points are soon won."""
    found: list[int] = np.flatnonzero(arrays["points"] == arrays["points"].max()).tolist()
    return found
