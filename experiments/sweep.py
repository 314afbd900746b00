"""One quantity varied, every method streamed over the same tasks at each of its values: what learning online costs.

Nothing is held out but a second stream of the same kind, on which numbers are chosen: those of least loss a point.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import owo
from experiments.figures import COLOURS, DASHES, MARKERS, beside
from experiments.methods import INDEPENDENT, Known, Method, Numbers, distinct
from experiments.store import Arrays
from experiments.tables import Table, gain, interval, shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Streams(NamedTuple):
    """What is drawn at one value."""

    loss: Any
    choosing: owo.Block
    """that numbers are chosen on"""
    streamed: owo.Block
    known: Known
    of_choosing: Known
    """what oracles know of the other stream"""


def sweep(values: Sequence[float], draw: Callable[[float], Streams], methods: Sequence[Method]) -> Arrays:
    """Arrays of V values and M methods.

    ``method`` (M,), ``value`` (V,); ``loss`` and ``late`` (V, M), loss a point of all tasks and of the later half of
    them; ``strength`` and ``step`` (V, M), the numbers chosen; ``regret`` and ``certificate`` (V, M), a point, against
    the tasks' optima around the bias that oracles know.

    Raises
    ------
    owo.CertificateViolation
        A run's regret exceeded its certificate.
    """
    names = distinct(methods)
    rows = []
    for value in values:
        streams = draw(value)
        best = owo.hindsight.given_bias(streams.loss, streams.streamed, 1.0, streams.known.bias)
        rows.append([_streamed(method, streams, best) for method in methods])
    found = np.array(rows)
    columns = ("loss", "late", "regret", "certificate", "strength", "step")
    held = {name: found[:, :, k] for k, name in enumerate(columns)}
    return {"method": np.array(names), "value": np.array(values, dtype=np.float64), **held}


def _streamed(method: Method, streams: Streams, best: owo.hindsight.Comparator) -> tuple[float, ...]:
    numbers = chosen(method, streams)
    ledger = _ledger(method, streams.loss, numbers, streams.known, streams.streamed)
    ledger.check(best)
    half, points = len(ledger) // 2, streams.streamed.n
    return (
        float(ledger.losses.sum()) / points,
        float(ledger.losses[half:].sum() / ledger.rounds[half:].sum()),
        float(ledger.regret(best)[-1]) / points,
        float(ledger.certificate(best).total[-1]) / points,
        *numbers,
    )


def chosen(method: Method, streams: Streams) -> Numbers:
    """The numbers of least loss on the stream for choosing."""
    if len(method.grid) == 1:
        return method.grid[0]
    found = []
    for numbers in method.grid:
        try:
            ledger = _ledger(method, streams.loss, numbers, streams.of_choosing, streams.choosing)
            found.append(float(ledger.losses.sum()))
        except FloatingPointError:  # a step far too large; nobody would choose it
            found.append(math.inf)
    return method.grid[int(np.argmin(found))]


def _ledger(method: Method, loss: Any, numbers: Numbers, known: Known, block: owo.Block) -> Any:
    ledger = method.begun(loss, numbers, known).run(block)
    if not hasattr(ledger, "check"):
        raise TypeError(f"method {method.name!r} returns {ledger!r} from run; this study needs an owo.Ledger")
    return ledger


def tables(title: str, quantity: str, arrays: Arrays, note: str = "") -> list[Table]:
    """Loss a point at each value, a column a method; and what is gained on independent learning."""
    names, values = arrays["method"][0].tolist(), arrays["value"][0].tolist()
    base = names.index(INDEPENDENT)
    losses = [[shown(arrays["loss"][:, v, m]) for m in range(len(names))] for v in range(len(values))]
    gains = [
        [gain(arrays["loss"][:, v, base], arrays["loss"][:, v, m]) for m in range(len(names)) if m != base]
        for v in range(len(values))
    ]
    heads = [f"{value:g}" for value in values]
    return [
        Table(f"{title}: loss a point", (quantity, *names), _rows(heads, losses), note),
        Table(
            f"{title}: gain on independent learning, percent",
            (quantity, *(name for name in names if name != INDEPENDENT)),
            _rows(heads, gains),
        ),
    ]


def _rows(heads: list[str], cells: list[list[str]]) -> tuple[tuple[str, ...], ...]:
    return tuple((head, *row) for head, row in zip(heads, cells, strict=True))


def figure(quantity: str, arrays: Arrays, log: bool = True) -> Figure:
    """Loss, and the gain on independent learning, against the quantity."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullFormatter

    figure = Figure(figsize=(9.2, 3.3), layout="constrained")
    left, right = figure.subplots(1, 2)
    names, values = arrays["method"][0].tolist(), arrays["value"][0]
    losses = arrays["loss"]
    gains = 100.0 * (1.0 - losses / losses[:, :, [names.index(INDEPENDENT)]])
    for m, name in enumerate(names):
        look = {"color": COLOURS[m % len(COLOURS)], "linestyle": DASHES[m % len(DASHES)], "linewidth": 1.3,
                "marker": MARKERS[m % len(MARKERS)], "markersize": 4, "label": name}  # fmt: skip
        for ax, drawn in ((left, losses), (right, gains)):
            mean, half = interval(drawn[:, :, m])
            ax.errorbar(values, mean, yerr=None if np.isnan(half).any() else half, capsize=2, elinewidth=0.8, **look)
    for ax, label in ((left, "loss a point"), (right, "gain on independent learning (%)")):
        ax.set_xlabel(quantity)
        ax.set_ylabel(label)
        ax.grid(True, alpha=0.25, linewidth=0.6)
        ax.spines[["top", "right"]].set_visible(False)
        if log:
            ax.set_xscale("symlog", linthresh=float(values[values > 0].min()), linscale=0.5)
        ax.set_xticks(values, [f"{value:g}" for value in values])
        ax.minorticks_off()
    left.set_yscale("log")
    left.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 3.0, 5.0)))
    left.yaxis.set_major_formatter("{x:g}")
    left.yaxis.set_minor_formatter(NullFormatter())
    right.axhline(0.0, color="black", linewidth=0.8)
    beside(right)
    return figure
