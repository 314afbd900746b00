"""Figures of rates: regret against what is varied, logarithmic, with bounds and slopes; arrays in, a figure out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from owo.plotting import STYLES
from theory.validate.drawing import COLUMN, PAGE, Array, figure, legend, logarithmic, quiet
from theory.validate.part import Arrays

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LABELS = {
    "tasks": "tasks T",
    "points": "points of a task n",
    "variance": "variance of the tasks V (units of $|w|^2$)",
    "dimension": "dimension d",
}
"""Of the axes, by what is varied."""

GUIDES = {"tasks": -0.5, "points": -0.5, "variance": 0.5}
"""Slopes drawn to be compared with."""


def draw_bias(arrays: Arrays) -> Figure:
    """Learners of the bias on the far target."""
    chosen = [c for c in _curves(arrays, "far target") if "map" not in arrays["learner"][c]]
    return _panels(arrays, chosen, ("tasks", "points", "variance", "dimension"))


def draw_map(arrays: Arrays) -> Figure:
    """Learners of the feature map on the far target."""
    chosen = [c for c in _curves(arrays, "far target") if "map" in arrays["learner"][c]]
    return _panels(arrays, chosen, ("tasks", "points", "variance", "dimension"))


def draw_signs(arrays: Arrays) -> Figure:
    """Streams in which there is nothing to learn."""
    chosen = [*_curves(arrays, "signs of tasks"), *_curves(arrays, "signs of points")]
    return _panels(arrays, chosen, ("tasks", "points"))


def _curves(arrays: Arrays, stream: str) -> list[int]:
    found: list[int] = np.flatnonzero(arrays["stream"] == stream).tolist()
    return found


def _panels(arrays: Arrays, chosen: Sequence[int], varied: Sequence[str]) -> Figure:
    """A panel for each quantity varied, and a style for each learner."""
    learners = list(dict.fromkeys(arrays["learner"][list(chosen)].tolist()))
    drawn = figure(PAGE, 0.5 + 2.3 * (len(varied) // 2))
    axes = drawn.subplots(len(varied) // 2, 2, squeeze=False).ravel()
    for ax, vary in zip(axes, varied, strict=True):
        mine = [c for c in chosen if arrays["vary"][c] == vary]
        for c in mine:
            _curve(ax, arrays, c, learners.index(arrays["learner"][c]))
        _finished(ax, arrays, mine, vary)
    named = {label: handle for ax in axes for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    named["bound: thin, in the same dashes"] = axes[0].plot([], [], color="0.35", linewidth=0.8)[0]
    legend(drawn, 3, list(named.values()), list(named), 2.6)
    return drawn


def _curve(ax: Axes, arrays: Arrays, c: int, style: int) -> None:
    """Mean regret with its intervals over seeds, and the bound without marks."""
    colour, dash, marker = STYLES[style]
    here = arrays["at_curve"] == c
    value, regret, half = (arrays[f"at_{name}"][here] for name in ("value", "regret", "half_width"))
    ax.errorbar(
        value, regret, half, color=colour, linestyle=dash, marker=marker, markersize=4.0, markeredgecolor="white",
        markeredgewidth=0.5, linewidth=1.3, elinewidth=0.9, capsize=1.8, label=arrays["learner"][c],
    )  # fmt: skip
    ax.plot(value, arrays["at_bound"][here], color=colour, linestyle=dash, linewidth=0.8, alpha=0.8)


def _finished(ax: Axes, arrays: Arrays, curves: Sequence[int], vary: str) -> None:
    beyond = any(arrays["beyond"][c] for c in curves)
    ax.set_xlabel(LABELS[vary])
    ax.set_ylabel(f"{'beyond the map given' if beyond else 'regret'} (loss a point)")
    slopes = np.concatenate([arrays["slope"][list(curves)], arrays["slope_of_bound"][list(curves)]])
    if vary in GUIDES and np.any(np.abs(slopes - GUIDES[vary]) < 0.1):
        here = np.isin(arrays["at_curve"], curves)
        _guide(ax, arrays["at_value"][here], arrays["at_regret"][here], GUIDES[vary])
    logarithmic(quiet(ax))


def _guide(ax: Axes, value: Array, regret: Array, slope: float) -> None:
    """A dotted line of a slope, below all curves."""
    ends = np.array([value.min(), value.max()])
    ratio = regret / value**slope
    low = 0.5 * float(ratio[regret > 0.0].min())
    ax.plot(ends, low * ends**slope, color="0.45", linewidth=0.9, linestyle=(0, (1, 2)))
    middle = float(np.sqrt(ends.prod()))
    sign = "" if slope > 0 else "\N{MINUS SIGN}"
    ax.annotate(f"slope {sign}1/2", (middle, low * middle**slope), (0, -4),
                textcoords="offset points", ha="right" if slope < 0 else "left", va="top", color="0.3")  # fmt: skip


# ---------------------------------------------------------------------------------------- gains, and risks of new tasks


def draw_phase(arrays: Arrays) -> Figure:
    """The gain of a learned bias over tasks and the share of their variance, with the frontier of the bounds."""
    from matplotlib.colors import TwoSlopeNorm

    drawn = figure(COLUMN, 2.9)
    ax = drawn.subplots()
    tasks, shares, gain = arrays["tasks"], arrays["shares"], arrays["gain"]
    norm = TwoSlopeNorm(0.0, min(-1.0, float(gain.min())), max(1.0, float(gain.max())))
    columns, rows = _edges(np.log10(tasks)), _edges(shares).clip(0.0, 1.0)
    mesh = ax.pcolormesh(10.0**columns, rows, gain, cmap="PuOr", norm=norm)
    ax.plot(tasks, arrays["frontier"], color="black", linewidth=1.5, clip_on=False, label="bounds equal")
    ax.contour(tasks, shares, np.where(shares < 1.0, gain.T, np.nan).T, [0.0], colors="black", linestyles="dashed")
    ax.plot([], [], color="black", linestyle="dashed", label="losses equal")
    row, column = np.nonzero(np.abs(gain) <= arrays["half_width"])
    ax.plot(tasks[column], shares[row], "x", color="0.3", markersize=3.0, clip_on=False, label="interval holds 0")
    ax.set_xscale("log")
    ax.set_ylim(0.0, 1.0)
    ax.set_xlabel("tasks T")
    ax.set_ylabel("share of the variance V / S")
    drawn.colorbar(mesh, ax=ax, label="gain over independent learning (%)")
    legend(drawn, 3, *ax.get_legend_handles_labels(), 1.8)
    return drawn


def _edges(middles: Array) -> Array:
    """Of cells around their middles."""
    between = 0.5 * (middles[1:] + middles[:-1])
    return np.concatenate([[2.0 * middles[0] - between[0]], between, [2.0 * middles[-1] - between[-1]]])


def draw_transfer(arrays: Arrays) -> Figure:
    """Excess risk against the number of tasks, a panel for each iterate."""
    ways, iterates = arrays["ways"].tolist(), arrays["iterates"].tolist()
    drawn = figure(PAGE, 3.0)
    axes = drawn.subplots(1, len(iterates), sharey=True)
    for i, (ax, iterate) in enumerate(zip(axes, iterates, strict=True)):
        for w, way in enumerate(ways):
            colour, dash, marker = STYLES[w]
            ax.errorbar(
                arrays["tasks"], arrays["excess"][w, i], arrays["half_width"][w, i], color=colour, linestyle=dash,
                marker=marker, markersize=4.0, markeredgecolor="white", markeredgewidth=0.5, linewidth=1.3,
                elinewidth=0.9, capsize=1.8, label=way,
            )  # fmt: skip
            ax.plot(arrays["tasks"], arrays["bounds"][w, i], color=colour, linestyle=dash, linewidth=0.8, alpha=0.8)
        ax.set_title(f"{iterate} iterate")
        ax.set_xlabel("tasks of the run T")
        logarithmic(quiet(ax))
    axes[0].set_ylabel("excess risk (loss a point)")
    handles, labels = axes[0].get_legend_handles_labels()
    bound = axes[0].plot([], [], color="0.35", linewidth=0.8)[0]
    legend(
        drawn, 3, [*handles, bound], [*(f"bias: {label}" for label in labels), "bound: thin, in the same dashes"], 2.6
    )
    return drawn
