"""What ``owo run`` leaves behind: arrays, configuration, figures, and one page that holds it all."""

from __future__ import annotations

import base64
import hashlib
import html
import io
import json
import os
import pathlib
import platform
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from owo import contenders, plotting, table
from owo.compare import Comparison, Outcome
from owo.contenders import FREE, INDEPENDENT, PER_TASK, POOLED
from owo.doctor import commit, versions
from owo.streams.block import Block, count

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# ------------------------------------------------------------------------------------------------------- the files


def write(comparison: Comparison, folder: pathlib.Path) -> None:
    """Write ``arrays.npz``, ``table.csv``, ``config.json``, the figures as PNG and SVG, and ``report.html``."""
    folder.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(folder / "arrays.npz", **arrays(comparison))
    settings = config(comparison)
    (folder / "config.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    table.write_csv(comparison, folder / "table.csv")
    pictures = {}
    for name, draw in FIGURES.items():
        pictures[name] = _drawn(draw, comparison, folder / name)
    (folder / "report.html").write_text(page(comparison, pictures, settings), encoding="utf-8")


def arrays(comparison: Comparison) -> dict[str, Any]:
    """What was measured, by name; K learners, T tasks in the order they ended, no pickle.

    Losses are sums over a task's points in encoded units; times ``unit`` they are in the unit of the table.
    """
    outcomes, first = comparison.outcomes, comparison.outcomes[0].own.ledger
    certificates = [each.own.ledger.certificate(each.comparator) for each in outcomes]
    found = {
        "learner": np.array([each.contender.name for each in outcomes]),
        "unit": np.array(comparison.arena.unit),
        "task": first.to_dict()["task"],
        "points": first.rounds,
        "loss": np.array([each.own.ledger.losses for each in outcomes]),
        "regret": np.array([each.own.ledger.regret(each.comparator) for each in outcomes]),
        "random_order_loss": np.array([each.losses for each in outcomes]),
        "path": np.array([each.own.ledger.path for each in outcomes]),
        "path_tasks": first.path_tasks,
        "path_columns": np.array(coordinates(comparison)),
    }
    for term in certificates[0]._fields:
        found[f"certificate_{term}"] = np.array([getattr(each, term) for each in certificates])
    if comparison.settings.classification:
        found["random_order_error"] = np.array([each.errors for each in outcomes])
    for name, comparator in (("best_bias", outcomes[0].comparator), ("pooled", comparison.outcome(POOLED).comparator)):
        found |= {
            f"{name}_bias": comparator.bias,
            f"{name}_weights": comparator.weights,
            f"{name}_loss": comparator.losses,
        }
    return found


def coordinates(comparison: Comparison) -> list[str]:
    """Names of the coordinates of the bias."""
    names = list(comparison.data.columns)
    return names + ["intercept"] * (comparison.arena.block.d - len(names))


def config(comparison: Comparison) -> dict[str, Any]:
    """All that is needed to repeat a comparison, ready for JSON."""
    data, settings = comparison.data, comparison.settings
    return {
        "data": {
            "name": data.name, "source": data.source, "points": data.block.n, "tasks": data.block.n_tasks,
            "columns": list(data.columns), "sha256": digest(data.block),
        },
        "loss": repr(settings.loss),
        "seed": settings.seed,
        "orders": settings.orders,
        "strength": settings.strength,
        "step": settings.step,
        "fraction": settings.fraction,
        "grid": {"strength": list(contenders.STRENGTHS), "step": list(contenders.STEPS)},
        "learners": {each.contender.name: each.own.ledger.description for each in comparison.outcomes},
        "encoding of the data's own order": comparison.arena.encoding.to_dict(),
        "encoding of the first random order": comparison.drawn.to_dict(),
        "certificates": table.verdict(comparison),
        "versions": versions(),
        "commit": commit(),
        "platform": platform.platform(),
        "processors": os.cpu_count(),
    }  # fmt: skip


def digest(block: Block) -> str:
    """SHA-256 of the bytes of X, y and task, by which data are known again.

    >>> digest(Block([[1.0]], [2.0], [0]))[:8]
    'f992952d'
    """
    found = hashlib.sha256()
    for array in (block.X, block.y, block.task):
        found.update(array.data)
    return found.hexdigest()


# ----------------------------------------------------------------------------------------------------- the figures


def _figure(sharey: bool = False) -> tuple[Figure, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.2, 3.8), layout="constrained")
    return figure, figure.subplots(1, 2, sharey=sharey)


def _draw_loss(comparison: Comparison) -> Figure:
    figure, (whole, close) = _figure()
    scale, unit = comparison.arena.unit, table.unit(comparison)
    ledgers = {each.contender.name: each.own.ledger for each in comparison.outcomes}
    plotting.cumulative_loss(ledgers, whole, scale=scale, unit=unit)
    plotting.cumulative_loss(ledgers, close, beyond=ledgers[INDEPENDENT.name], scale=scale, unit=unit)
    close.get_legend().remove()
    close.set_ylabel("beyond independent learning")
    return figure


def _draw_regret(comparison: Comparison) -> Figure:
    figure, axes = _figure(sharey=True)
    for each, ax in zip((PER_TASK, FREE), axes, strict=True):
        run, scale = comparison.outcome(each), comparison.arena.unit
        plotting.regret(run.own.ledger, run.comparator, ax, terms=True, scale=scale, unit=table.unit(comparison))
        ax.set_title(each.name, fontsize="medium")
    axes[1].set_ylabel("")
    plotting.legend(axes[1], "center left", beside=True, others=axes[:1])
    return figure


def _draw_path(comparison: Comparison) -> Figure:
    figure, axes = _figure(sharey=True)
    names = coordinates(comparison)
    shown = plotting.largest(comparison.outcome(FREE).own.ledger, names, 6)
    for each, ax in zip((PER_TASK, FREE), axes, strict=True):
        plotting.bias_path(comparison.outcome(each).own.ledger, names, ax, shown=shown)
        ax.set_title(each.name, fontsize="medium")
    axes[0].get_legend().remove()
    axes[1].set_ylabel("")
    return figure


FIGURES: dict[str, Callable[[Comparison], Figure]] = {
    "cumulative_loss": _draw_loss,
    "regret": _draw_regret,
    "bias_path": _draw_path,
}
"""The figures by the name of their file."""


def _drawn(draw: Callable[[Comparison], Figure], comparison: Comparison, path: pathlib.Path) -> bytes:
    """Draw a figure, write it as PNG and SVG, return the SVG."""
    import matplotlib

    with matplotlib.rc_context({"svg.hashsalt": "owo"}):  # names inside the SVG then do not change from run to run
        figure = draw(comparison)
        figure.savefig(path.with_suffix(".png"), dpi=120)
        picture = io.BytesIO()
        figure.savefig(picture, format="svg", metadata={"Date": None})
    path.with_suffix(".svg").write_bytes(picture.getvalue())
    return picture.getvalue()


# -------------------------------------------------------------------------------------------------------- the page

CAPTIONS = {
    "cumulative_loss": (
        "Cumulative loss",
        """Loss summed over all tasks so far, in the data's own order: the lower the line, the better. To the right the
        same beyond independent learning, which is the level line. A line that goes down belongs to a learner that gains
        on independent learning; the steeper, the more a task.""",
    ),
    "regret": (
        "Average regret and its certificate",
        """Regret is the loss a point beyond the best bias in hindsight, with each task at its own optimum around that
        bias. The certificate is worked out from the run's own numbers and holds whatever the data: regret stays below
        it at every task. Its terms: within, learning inside the tasks; spread, how far the tasks lie from one bias;
        across, learning that bias, which should fade as tasks go by; overlap, of mixed tasks alone, what reached
        the bias late, or before its task ended. The axes are logarithmic: where a line has a gap it is not above zero,
        a term never above zero is not drawn, and one far below the certificate lies under the frame.""",
    ),
    "bias_path": (
        "Path of the bias",
        """Where the next task would start from, coordinate by coordinate; the largest are named. Lines that level off
        say that the tasks have a common mean and that it was found; lines that drift, that it moves along the data.""",
    ),
}

STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff;
  max-width: 82rem; margin: 2rem auto; padding: 0 1.2rem; }
h1 { font-size: 1.7rem; margin: 0 0 .3rem; }
h2 { font-size: 1.2rem; margin: 2.2rem 0 .6rem; }
p, li, figcaption, dd { max-width: 48rem; }
.about, figcaption, .notes { color: #444; }
.notes { font-size: .92rem; padding-left: 1.1rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .7rem; text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
thead tr:first-child th { text-align: center; font-weight: normal; color: #444; }
thead tr:first-child th:not(:empty) { border-bottom: 1px solid #aaa; }
thead tr:last-child th { border-bottom: 2px solid #1a1a1a; }
tbody tr:nth-child(even) { background: #f4f4f4; }
tbody tr:last-child td { border-bottom: 1px solid #aaa; }
figure { margin: 1rem 0 2rem; }
img { max-width: 100%; height: auto; }
.well, .ill { padding: .5rem .8rem; border-left: 4px solid #009e73; background: #eef7f3; }
.ill { border-color: #b00020; background: #fdeef0; }
dt { font-weight: 600; }
dd { margin: 0 0 .5rem 1.2rem; }
pre { background: #f4f4f4; padding: .8rem; white-space: pre-wrap; font-size: .82rem; line-height: 1.35; }
"""


def page(comparison: Comparison, pictures: dict[str, bytes], settings: dict[str, Any]) -> str:
    """One page of HTML with everything in it: it opens from disk and asks for nothing over the network."""
    data = comparison.data
    state = "ill" if comparison.violations else "well"
    *remarks, verdict = table.remarks(comparison)
    said = [*table.notes(comparison), *remarks]
    parts = [
        f"<h1>{_text(data.name)}: learning {count(data.block.n_tasks, 'task')} online within online</h1>",
        f'<p class="about">{_code(data.source)}. {table.size(comparison)}.</p>',
        f"<p>{_text(table.summary(comparison))}</p>",
        f'<p class="{state}">{_text(verdict)}</p>',
        '<h2>Results</h2><div class="scroll">' + _html_table(table.table(comparison)) + "</div>",
        '<ul class="notes">' + "".join(f"<li>{_text(note)}</li>" for note in said) + "</ul>",
        *(_figure_html(name, picture) for name, picture in pictures.items()),
        "<h2>The learners</h2><dl>" + "".join(_described(each) for each in comparison.outcomes) + "</dl>",
        "<h2>Configuration</h2><p>With the same seed, versions and kind of processor the arrays are the same, bit for "
        f"bit.</p><pre>{_text(json.dumps(settings, indent=2))}</pre>",
    ]
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{_text(data.name)}: owo run</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">'
        f"<style>{STYLE}</style></head>\n<body>\n" + "\n".join(parts) + "\n</body></html>\n"
    )


def _text(words: str) -> str:
    return html.escape(words, quote=False)


def _code(words: str) -> str:
    """What stands between backticks as code."""
    return re.sub("`([^`]*)`", r"<code>\1</code>", _text(words))


def _html_table(cells: table.Table) -> str:
    groups = "".join(f'<th colspan="{span}">{_text(title)}</th>' for title, span in cells.groups)
    header = "".join(f'<th scope="col">{_text(name)}</th>' for name in cells.header)
    rows = "".join("<tr>" + "".join(f"<td>{_text(cell)}</td>" for cell in row) + "</tr>\n" for row in cells.rows)
    return f"<table><thead><tr>{groups}</tr><tr>{header}</tr></thead><tbody>\n{rows}</tbody></table>"


def _figure_html(name: str, picture: bytes) -> str:
    title, caption = CAPTIONS[name]
    source = "data:image/svg+xml;base64," + base64.b64encode(picture).decode()
    image = f'<img alt="{title}, a figure" src="{source}">'
    return f"<h2>{title}</h2><figure>{image}<figcaption>{_text(' '.join(caption.split()))}</figcaption></figure>"


def _described(outcome: Outcome) -> str:
    return f"<dt>{_text(outcome.contender.name)}</dt><dd>{_text(outcome.contender.about)}.</dd>"
