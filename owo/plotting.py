"""Figures of runs: axes in, axes out.

Each function draws into ``ax``, or into the axes of a new pyplot figure, and returns the axes. Lines differ in colour,
dash and marker, so that they can be told apart in grey and by eyes that do not tell colours apart (palette of Okabe
and Ito). Nothing is shown, saved or set globally: that is the caller's business.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from owo.ledger import Certificate, Ledger

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = NDArray[np.float64]

STYLES: tuple[tuple[str, Any, str], ...] = (
    ("#000000", "-", "o"),
    ("#0072B2", (0, (5, 2)), "s"),
    ("#D55E00", (0, (1, 1.2)), "^"),
    ("#009E73", (0, (6, 2, 1, 2)), "D"),
    ("#CC79A7", (0, (3, 1.5)), "v"),
    ("#8C6D00", (0, (8, 3)), "P"),
    ("#56B4E9", (0, (4, 1, 1, 1, 1, 1)), "X"),
)
"""Colour, dash and marker of the first, second, ... line."""

LINES = dict(zip(("certificate", "regret", *Certificate._fields), STYLES, strict=False))
"""Styles of the lines of ``regret``: a term looks the same in every figure, whichever others are drawn."""

POINTS_DRAWN = 300
"""Tasks drawn of a line at most: more cannot be seen, and files stay small."""


def cumulative_loss(
    ledgers: Mapping[str, Ledger] | Ledger,
    ax: Axes | None = None,
    *,
    beyond: Ledger | None = None,
    scale: float = 1.0,
    unit: str = "",
) -> Axes:
    """Loss summed over all tasks so far, a line for each ledger; the lower, the better.

    Parameters
    ----------
    ledgers : runs by the name that the legend shows; or a single run
    ax : axes to draw into; default: of a new figure
    beyond : a run over the same tasks whose loss is subtracted, for a close look at differences
    scale, unit : what a loss of 1 is in the unit that the label names, as in ``scale=0.53, unit="log wage"``

    Examples
    --------
    >>> import numpy as np, owo
    >>> runs = {"mine": owo.OnlineWithinOnline(owo.Absolute()).run([(np.eye(3), np.ones(3))] * 5)}
    >>> axes = owo.plotting.cumulative_loss(runs)
    >>> axes.get_xlabel()
    'tasks seen'
    """
    if isinstance(ledgers, Ledger):
        ledgers = {"learner": ledgers}
    if not ledgers:
        raise ValueError(
            "cumulative_loss got no ledgers; pass a dict of at least one, as in {'my run': learner.ledger}"
        )
    ax = _axes(ax)
    for (name, ledger), style in zip(ledgers.items(), _styles(), strict=False):
        loss = ledger.cumulative_loss() if beyond is None else ledger.regret(beyond)
        tasks, (line,) = _thinned(_tasks(ledger), scale * loss)
        _line(ax, tasks, line, style, name)
    ax.set_xlabel("tasks seen")
    ax.set_ylabel(f"cumulative loss{' beyond the reference' if beyond is not None else ''}{_in(unit)}")
    ax.set_xlim(left=0.0)
    if beyond is None:
        ax.set_ylim(bottom=0.0)
    return _finished(ax, loc="upper left" if beyond is None else "best")


def regret(
    ledger: Ledger, comparator: Any, ax: Axes | None = None, *, terms: bool = False, scale: float = 1.0, unit: str = ""
) -> Axes:
    """Average regret a point and the certificate it cannot exceed, against the tasks seen; both axes logarithmic.

    Where the regret is not above zero the run is ahead of the comparator, and a logarithmic axis has no place for it.

    Parameters
    ----------
    ledger : the run
    comparator : of ``owo.hindsight``
    ax : axes to draw into; default: of a new figure
    terms : draw the terms of the certificate too, thin, where they are above zero
    scale, unit : as for ``cumulative_loss``

    Examples
    --------
    >>> import numpy as np, owo
    >>> tasks = owo.streams.from_arrays(np.ones((6, 1)), np.arange(6.0), [0, 0, 1, 1, 2, 2])
    >>> ledger = owo.OnlineWithinOnline(owo.Absolute()).run(tasks)
    >>> axes = regret(ledger, owo.hindsight.best_bias(owo.Absolute(), tasks, 1.0))
    >>> [line.get_label() for line in axes.get_lines()]
    ['certificate', 'regret']
    """
    ax = _axes(ax)
    points = np.cumsum(ledger.rounds) / scale
    certificate = ledger.certificate(comparator)
    lines = {"certificate": certificate.total / points, "regret": ledger.regret(comparator) / points}
    if terms:
        lines |= {term: values / points for term, values in certificate._asdict().items() if np.any(values > 0.0)}
    tasks, thin = _thinned(_tasks(ledger), *lines.values(), log=True)
    for label, values in zip(lines, thin, strict=True):
        above = np.where(values > 0.0, values, np.nan)
        _line(ax, tasks, above, LINES[label], label, log=True, thin=label in Certificate._fields)
    ax.set_xscale("log")
    if np.any(thin[0] > 0.0):
        ax.set_yscale("log")
        low = [float(values[values > 0.0].min(initial=np.inf)) for values in thin[:2]]
        ax.set_ylim(bottom=max(0.3 * min(low), 0.02 * low[0]))  # a regret on its way below zero goes down for ever
    ax.set_xlabel("tasks seen")
    ax.set_ylabel(f"average a point{_in(unit)}")
    return _finished(ax, loc="center left", beside=True)


def bias_path(
    ledger: Ledger, names: Sequence[str] | None = None, ax: Axes | None = None, *, shown: int | Sequence[str] = 6
) -> Axes:
    """The bias as it moved: a line for each coordinate, the largest at the end named, the others grey.

    Parameters
    ----------
    ledger : of a run with ``path_every`` above 0
    names : d names of the coordinates; default ``x0, x1, ...``
    ax : axes to draw into; default: of a new figure
    shown : how many are named, or which

    Raises
    ------
    ValueError
        The ledger has no path, or there are not d names.

    Examples
    --------
    >>> import numpy as np, owo
    >>> runs = owo.OnlineWithinOnline(owo.Absolute()).run([(np.eye(2), np.ones(2))] * 5, path_every=1)
    >>> axes = bias_path(runs, ["price", "weekday"], shown=1)
    >>> [text.get_text() for text in axes.get_legend().get_texts()]
    ['price', '1 other']
    """
    if not len(ledger.path):
        raise ValueError("the ledger has no path of the bias; run the learner with path_every=1 (or more) to keep one")
    d = ledger.path.shape[1]
    labels = [f"x{j}" for j in range(d)] if names is None else list(names)
    if len(labels) != d:
        raise ValueError(f"{len(labels)} names for a bias of {d} coordinates; give one for each")
    ax = _axes(ax)
    start = np.vstack([ledger.centre, ledger.path])
    tasks, thin = _thinned(np.concatenate([[0.0], ledger.path_tasks]), *start.T)
    wanted = largest(ledger, labels, shown) if isinstance(shown, int) else list(shown)
    absent = [name for name in wanted if name not in labels]
    if absent:
        raise ValueError(f"no coordinate {absent[0]!r} to show; there are {', '.join(labels)}")
    named = [labels.index(name) for name in wanted]
    for j in sorted(set(range(d)) - set(named)):
        ax.plot(tasks, thin[j], color="0.8", linewidth=0.8, zorder=1)
    for j, style in zip(named, _styles(), strict=False):
        _line(ax, tasks, thin[j], style, labels[j])
    if d > len(named):
        others = d - len(named)
        ax.plot([], [], color="0.8", linewidth=0.8, label=f"{others} other{'s' if others > 1 else ''}")
    ax.set_xlabel("tasks seen")
    ax.set_ylabel("coordinate of the bias")
    ax.set_xlim(left=0.0)
    return _finished(ax, loc="center left", beside=True)


def largest(ledger: Ledger, names: Sequence[str], count: int) -> list[str]:
    """Names of the coordinates of the bias that are largest at the end of its path, the largest first.

    >>> import numpy as np, owo
    >>> run = owo.OnlineWithinOnline(owo.Absolute()).run([([[1.0, 3.0]], [2.0])] * 5, path_every=1)
    >>> largest(run, ["price", "weekday"], 1)
    ['weekday']
    """
    order = np.argsort(-np.abs(ledger.path[-1]), kind="stable")
    return [names[j] for j in order[:count].tolist()]


# ------------------------------------------------------------------------------------------------------- drawing


def _axes(ax: Axes | None) -> Axes:
    if ax is not None:
        return ax
    from matplotlib import pyplot

    return pyplot.subplots(layout="constrained")[1]


def _tasks(ledger: Ledger) -> Array:
    if not len(ledger):
        raise ValueError("the ledger is empty: no task has ended, so there is nothing to draw; run the learner first")
    return np.arange(1.0, len(ledger) + 1.0)


def _thinned(tasks: Array, *lines: Array, log: bool = False) -> tuple[Array, list[Array]]:
    """The same lines at ``POINTS_DRAWN`` tasks at most, evenly spread on the axis they are drawn on."""
    n = len(tasks)
    if n <= POINTS_DRAWN:
        return tasks, list(lines)
    at = np.geomspace(1, n, POINTS_DRAWN) if log else np.linspace(1, n, POINTS_DRAWN)
    chosen = np.unique(np.round(at).astype(np.int64)) - 1
    return tasks[chosen], [line[chosen] for line in lines]


def _styles() -> Iterable[tuple[str, Any, str]]:
    while True:
        yield from STYLES


def _line(
    ax: Axes, x: Array, y: Array, style: tuple[str, Any, str], label: str, log: bool = False, thin: bool = False
) -> None:
    colour, dash, marker = style
    at = np.geomspace(1, len(x), 7)[1:-1] - 1 if log else np.linspace(0, len(x) - 1, 7)[1:-1]
    marks = set() if thin else set(np.round(at).astype(int).tolist()) if len(x) > 7 else set(range(len(x)))
    there = np.isfinite(np.concatenate(([np.nan], y, [np.nan])))
    marks |= set(np.flatnonzero(there[1:-1] & ~there[:-2] & ~there[2:]).tolist())  # no line joins these
    ax.plot(
        x, y, color=colour, linestyle=dash, label=label, marker=marker if marks else None, markevery=sorted(marks),
        linewidth=1.0 if thin else 1.7, markersize=5.0, markeredgecolor="white", markeredgewidth=0.6, zorder=2,
    )  # fmt: skip


def _in(unit: str) -> str:
    return f" ({unit})" if unit else ""


def _finished(ax: Axes, loc: Literal["best", "upper left", "center left"], beside: bool = False) -> Axes:
    """What all figures share: a light grid, two spines, a legend without a box, beside the axes if lines fill these."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(True, which="major", color="0.9", linewidth=0.8)
    ax.set_axisbelow(True)
    legend(ax, loc, beside)
    return ax


def legend(
    ax: Axes, loc: Literal["best", "upper left", "center left"], beside: bool = False, others: Sequence[Axes] = ()
) -> None:
    """The legend of the lines of ``ax``, and of those of ``others`` that it lacks, which then have none."""
    named = {
        label: line for each in (ax, *others) for line, label in zip(*each.get_legend_handles_labels(), strict=True)
    }
    for each in others:
        drawn = each.get_legend()
        if drawn is not None:
            drawn.remove()
    place = {"bbox_to_anchor": (1.0, 0.5)} if beside else {}
    ax.legend(named.values(), named.keys(), loc=loc, frameon=False, fontsize="small", handlelength=3.2, **place)
