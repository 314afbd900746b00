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

SETTINGS: Any = {
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


def logarithmic(ax: Axes) -> Axes:
    """Both axes logarithmic; where one spans less than two decades, with ticks at 1, 2 and 5."""
    from matplotlib.ticker import LogLocator, NullFormatter

    ax.set_xscale("log")
    ax.set_yscale("log")
    for axis, (low, high) in ((ax.xaxis, ax.get_xlim()), (ax.yaxis, ax.get_ylim())):
        axis.set_minor_formatter(NullFormatter())
        if high / low < 100.0:
            axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
            axis.set_major_formatter("{x:g}")
    return ax


def marks(ax: Axes, spread: Array, at: Array, style: int, label: str) -> None:
    """Medians with intervals along the horizontal axis, whose ends are set; arrows where a median is beyond them.

    Parameters
    ----------
    spread : low end, median and high end (3, rows)
    at : height of each (rows,)
    style : of ``owo.plotting.STYLES``
    label : in the legend
    """
    colour, _, marker = STYLES[style]
    left, right = ax.get_xlim()
    low, middle, high = spread.clip(left, right)
    ax.hlines(at, low, high, color=colour, linewidth=1.0, alpha=0.55)
    shapes = ((marker, (spread[1] > left) & (spread[1] < right)), ("<", spread[1] <= left), (">", spread[1] >= right))
    for shape, where in shapes:
        (drawn,) = ax.plot(
            middle[where], at[where], color=colour, marker=shape, markersize=4.2, linestyle="none", clip_on=False,
            markeredgecolor="white", markeredgewidth=0.5, zorder=3, label=label if shape is marker else None,
        )  # fmt: skip
        drawn.set_in_layout(False)  # a mark on the frame needs no room of its own, and none at all even less


def legend(drawn: Figure, columns: int, handles: list[Any], labels: list[Any], length: float = 1.0) -> None:
    """Marks, or lines of some length, and their names above all axes."""
    drawn.legend(handles, labels, loc="outside upper center", ncols=columns, frameon=False, handlelength=length,
                 handletextpad=0.4, columnspacing=1.4)  # fmt: skip


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


def separated(ax: Axes, rows: int) -> None:
    """Light lines between rows of several marks."""
    for row in range(1, rows):
        ax.axhline(row - 0.5, color="0.92", linewidth=0.6, zorder=0)
