"""What a validation leaves behind: tables, arrays, figures, configuration, and one page that holds it all."""

from __future__ import annotations

import base64
import csv
import html
import json
import pathlib
from typing import TYPE_CHECKING

import numpy as np

from owo.doctor import commit, versions
from owo.report import STYLE
from theory.validate import drawing
from theory.validate.part import Picture, Table
from theory.validate.section import Section, overview, told, verdict
from theory.validate.store import plain

if TYPE_CHECKING:
    from collections.abc import Sequence


def write(sections: Sequence[Section], quick: bool, command: str, folder: pathlib.Path) -> None:
    """Write a CSV table and an archive of arrays for each part, the figures, ``config.json`` and ``report.html``."""
    pictures = {}
    for section in sections:
        name, summary = section.part.name, section.summary
        np.savez_compressed(folder / f"{name}.npz", allow_pickle=False, **summary.arrays)
        with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([summary.table.header, *summary.table.rows])
        for picture in section.part.pictures:
            pictures[picture.name] = drawing.write(picture.draw, summary.arrays, folder / picture.name)
    config = {
        "command": command,
        "runs": {section.part.name: section.summary.runs for section in sections},
        "violations": {section.part.name: section.wrong for section in sections},
        "versions": versions(),
        "commit": commit(),
    }
    said = json.dumps(config, indent=2)
    settings = {section.part.name: plain(section.part.config(quick)) for section in sections}
    whole = json.dumps(config | {"settings": settings}, indent=2)
    (folder / "config.json").write_text(whole + "\n", encoding="utf-8")
    (folder / "report.html").write_text(page(sections, pictures, quick, said), encoding="utf-8")


def page(sections: Sequence[Section], pictures: dict[str, bytes], quick: bool, said: str) -> str:
    """One page of HTML with everything in it: it opens from disk and asks for nothing over the network."""
    wrong = any(section.wrong for section in sections)
    parts = [
        "<h1>Theory against runs</h1>",
        f'<p class="about">Every bound, held against runs of owo{" (the quick mode)" if quick else ""}.</p>',
        f'<p class="{"ill" if wrong else "well"}">{verdict(sections)}</p>{_table(overview(sections))}',
        *(_section(section, pictures, quick) for section in sections),
        "<h2>Configuration</h2><p>The command repeats all of this; the numbers depend neither on the number of "
        f"processes nor on the order in which they work.</p><pre>{_text(said)}</pre>",
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>Theory against runs: owo</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">'
        f"<style>{STYLE}{MORE}</style></head>\n<body>\n" + "\n".join(parts) + "\n</body></html>\n"
    )


MORE = """
h3 { font-size: 1rem; margin: 1.6rem 0 .4rem; }
thead tr:first-child th, thead tr:first-child th:not(:empty) { color: #1a1a1a; text-align: right; font-weight: 600;
  border-bottom: 2px solid #1a1a1a; white-space: normal; vertical-align: bottom; }
thead tr:first-child th.words, .words { text-align: left; }
figure img { zoom: 1.3; }
"""


def _section(section: Section, pictures: dict[str, bytes], quick: bool) -> str:
    summary, part = section.summary, section.part
    ill = "\n".join(told(section, quick))
    return "\n".join([
        f"<h2>{_text(part.title)}</h2><p>{_words(part.about)}</p>",
        f'<pre class="ill">{_text(ill)}</pre>' if ill else f'<p class="well">{summary.runs:,} runs, no violation.</p>',
        f'<div class="scroll">{_table(summary.table)}</div>',
        *(_figure(picture, pictures[picture.name]) for picture in part.pictures),
    ])  # fmt: skip


def _table(table: Table) -> str:
    header = "".join(f'<th scope="col"{_side(words)}>{_text(name)}</th>' for name, words in _with(table, table.header))
    rows = "".join(
        "<tr>" + "".join(f"<td{_side(words)}>{_text(cell)}</td>" for cell, words in _with(table, row)) + "</tr>\n"
        for row in table.rows
    )
    return f"<table><thead><tr>{header}</tr></thead><tbody>\n{rows}</tbody></table>"


def _with(table: Table, row: Sequence[str]) -> zip[tuple[str, bool]]:
    return zip(row, table.words, strict=True)


def _side(words: bool) -> str:
    return ' class="words"' if words else ""


def _figure(picture: Picture, drawn: bytes) -> str:
    source = "data:image/svg+xml;base64," + base64.b64encode(drawn).decode()
    image = f'<img alt="{_text(picture.title)}, a figure" src="{source}">'
    return f"<h3>{_text(picture.title)}</h3><figure>{image}<figcaption>{_words(picture.caption)}</figcaption></figure>"


def _words(paragraph: str) -> str:
    return _text(" ".join(paragraph.split()))


def _text(words: str) -> str:
    return html.escape(words, quote=False)
