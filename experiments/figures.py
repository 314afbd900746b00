"""Figures of results: a line a method, with 95 % intervals over seeds; lines differ in colour, marker and dash."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.store import Arrays
from experiments.tables import interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = ("#4d4d4d", "#56b4e9", "#d55e00", "#e69f00", "#999999", "#009e73", "#0072b2", "#cc79a7", "#000000", "#882255")
MARKERS = "os^vDP<>*Xd"
DASHES = ("-", "--", "-.", ":")


def learning_curves(arrays: Arrays, unit: str, of: str = "error", methods: Sequence[str] | None = None) -> Figure:
    """A line a method, test error against training tasks seen, in a unit unless signs are predicted."""
    figure, ax = blank()
    seen, names = arrays["seen"][0], arrays["method"][0].tolist()
    for m, name in enumerate(names):
        if (methods is None or name in methods) and np.isfinite(arrays[of][:, m]).all():
            mean, half = interval(arrays[of][:, m])
            line(ax, m, seen, mean, half, name)
    ax.set_xscale("log")
    ax.set_xlabel("training tasks seen")
    ax.set_ylabel(f"test error ({'share of wrong signs' if arrays['classifies'].any() else unit})")
    beside(ax)
    return figure


def blank(width: float = 6.8, height: float = 3.4) -> tuple[Figure, Any]:
    """A figure of two columns' width with one pair of axes, in inches."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    ax = figure.subplots()
    ax.grid(True, alpha=0.25, linewidth=0.6)
    ax.spines[["top", "right"]].set_visible(False)
    return figure, ax


def line(ax: Any, number: int, x: Any, mean: Any, half: Any, name: str) -> None:
    """The mean with its interval as a band."""
    colour = COLOURS[number % len(COLOURS)]
    ax.plot(
        x, mean, color=colour, linestyle=DASHES[number % len(DASHES)], marker=MARKERS[number % len(MARKERS)],
        markersize=4, linewidth=1.4, label=name,
    )  # fmt: skip
    if np.isfinite(half).all():
        ax.fill_between(x, mean - half, mean + half, color=colour, alpha=0.15, linewidth=0)


def beside(ax: Any) -> None:
    """The legend, where it hides nothing."""
    ax.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize="small")
