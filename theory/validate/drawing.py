"""What all figures share: sizes of a page, a quiet frame, guides, and files."""

from __future__ import annotations

import io
import pathlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from owo.plotting import STYLES
from theory.validate.part import Arrays

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[np.float64]

COLUMN, PAGE = 3.35, 6.9
"""Widths in inches: one column and two of a journal's page."""

SETTINGS = {
    "font.size": 8.0,
    "axes.titlesize": 8.0,
    "legend.fontsize": 7.5,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "pdf.fonttype": 42,  # letters, not curves: text can be searched and edited
    "svg.hashsalt": "owo",  # names inside the SVG then do not change from run to run
}
"""Text of 7 to 8 points, at the size that it is printed in."""


def figure(width: float, height: float) -> Figure:
    """An empty figure of so many inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def quiet(ax: Axes, grid: str = "both") -> Axes:
    """Two spines, and a light grid behind the data."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(True, axis=grid, which="major", color="0.9", linewidth=0.6)  # type: ignore[arg-type]
    ax.set_axisbelow(True)
    return ax


def marks(
    ax: Axes, middle: Array, low: Array, high: Array, at: Array, style: int, label: str, line: bool = False
) -> None:
    """Points with intervals along the horizontal axis, at heights ``at``; a style of its own for every kind."""
    colour, dash, marker = STYLES[style]
    ax.hlines(at, low, high, color=colour, linewidth=1.1, alpha=0.55)
    ax.plot(
        middle, at, color=colour, marker=marker, markersize=4.2, markeredgecolor="white", markeredgewidth=0.5,
        linestyle=dash if line else "none", label=label, clip_on=False, zorder=3,
    )  # fmt: skip


def write(draw: Callable[[Arrays], Figure], arrays: Arrays, path: pathlib.Path) -> bytes:
    """Draw a figure, write it as PNG, PDF and SVG, return the SVG."""
    import matplotlib

    with matplotlib.rc_context(SETTINGS):
        drawn = draw(arrays)
        drawn.savefig(path.with_suffix(".png"), dpi=200)
        drawn.savefig(path.with_suffix(".pdf"), metadata={"CreationDate": None})
        picture = io.BytesIO()
        drawn.savefig(picture, format="svg", metadata={"Date": None})
    path.with_suffix(".svg").write_bytes(picture.getvalue())
    return picture.getvalue()


def rows_named(ax: Axes, names: list[Any]) -> None:
    """Named rows, the first at the top."""
    ax.set_yticks(np.arange(len(names)), names)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.tick_params(axis="y", length=0)
