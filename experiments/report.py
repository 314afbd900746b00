"""One page, and one file of Markdown, of all results that are stored.

Both are made of what lies in the folders of the cases, and of nothing else: tables, figures, settings, seeds, commits.
"""

from __future__ import annotations

import base64
import dataclasses
import html
import json
import pathlib
import re
import sys
from typing import Any, NamedTuple

from experiments.settings import SettingsError
from experiments.store import Folder, sources, write
from experiments.studies import STUDIES
from experiments.study import Study
from owo.report import STYLE


class Stored(NamedTuple):
    """A case whose tables are stored."""

    study: Study
    variant: str
    folder: Folder
    settings: dict[str, Any]
    file: str
    """name of the user's file; empty if there was none"""
    made: dict[str, Any]
    """what the tables were made of: see ``Folder.sum_up``"""

    @property
    def name(self) -> str:
        """As on the command line."""
        return f"{self.study.name}/{self.variant}"

    @property
    def other(self) -> dict[str, Any]:
        """Settings that are not those of the study."""
        plain = json.loads(json.dumps(dataclasses.asdict(self.study.variants[self.variant])))
        return {key: value for key, value in self.settings.items() if plain.get(key) != value}

    @property
    def mark(self) -> str:
        """What tells its files from those of other settings: nothing for the settings of the study."""
        return f"-{self.folder.path.name}" if self.other or self.file else ""

    @property
    def heading(self) -> str:
        """Its name, and the user's file."""
        return f"{self.name}, with {self.file}" if self.file else self.name

    @property
    def origin(self) -> str:
        """How the results came about, in a line, with the command that makes them again."""
        words = [f"--set '{key}={json.dumps(value)}'" for key, value in self.other.items()]
        words += [f"--with {self.file}"] if self.file else []
        words += [f"--seeds {self.made['seeds']}"] if self.made["seeds"] != self.study.seeds else []
        seeds = "1 seed" if self.made["seeds"] == 1 else f"{self.made['seeds']} seeds"
        old = "" if self.made["sources"] == sources() else "; by other sources than these"
        made = f"{seeds}, {self.made['seconds']:.0f} s in all, commit {', '.join(self.made['commits'])}{old}"
        return f"{made}. `{' '.join(['python -m experiments run', self.name, *words])}`"

    @property
    def figures(self) -> list[pathlib.Path]:
        """The figures, as SVG."""
        return sorted(self.folder.path.glob("*.svg"))


def stored(out: pathlib.Path) -> list[Stored]:
    """The cases below a folder of results, in the order of the studies; the settings of a study before others.

    A folder whose files cannot be read is told, and left out.
    """
    found = []
    for study in STUDIES.values():
        for path in sorted((out / study.name).glob("*/tables.json")):
            try:
                about, made = (json.loads((path.parent / name).read_bytes()) for name in ("config.json", "tables.json"))
                case = Stored(study, about["variant"], Folder(path.parent), about["config"], about["file"], made)
                if case.variant in study.variants and case.origin:
                    found.append(case)
            except (OSError, ValueError, KeyError, TypeError) as error:
                print(f"{path.parent} is left out: {type(error).__name__}: {error}; run it again", file=sys.stderr)
    order = {name: rank for rank, name in enumerate(STUDIES)}
    ranks = {name: {variant: rank for rank, variant in enumerate(STUDIES[name].variants)} for name in STUDIES}
    return sorted(
        found, key=lambda each: (order[each.study.name], ranks[each.study.name][each.variant], each.mark)
    )  # fmt: skip


def make(out: pathlib.Path, docs: pathlib.Path | None = None) -> list[pathlib.Path]:
    """Write ``report.html`` below ``out``; and into ``docs``, if given, ``results.md`` and its figures as PNG.

    Raises
    ------
    SettingsError
        There is nothing to report.
    """
    cases = stored(out)
    if not cases:
        raise SettingsError(f"there are no results in {out}; run python -m experiments all first")
    written = [out / "report.html"]
    write(written[0], page(cases).encode())
    if docs is not None:
        written.append(docs / "results.md")
        write(written[1], markdown(cases).encode())
        for case in cases:
            for figure in case.figures:
                write(docs / _figure_name(case, figure), figure.with_suffix(".png").read_bytes())
    return written


def protocol(study: Study) -> str:
    """What the study says of itself, at the top of its file."""
    return (sys.modules[study.run.__module__].__doc__ or study.about).strip()


def markdown(cases: list[Stored]) -> str:
    """All results, for the docs."""
    lines = ["# Results", "", "Made by `python -m experiments all` and `python -m experiments report --docs docs`.", ""]
    for study, own in _by_study(cases):
        lines += [f"## {study.name}", "", protocol(study), ""]
        for case in own:
            tables = (case.folder.path / "tables.md").read_text(encoding="utf-8")
            lines += [f"### {case.heading}", "", case.origin, "", tables]
            lines += [f"![{_title(figure)} of {case.name}]({_figure_name(case, figure)})\n" for figure in case.figures]
    return "\n".join(lines)


def page(cases: list[Stored]) -> str:
    """One page of HTML with everything in it; it asks for nothing over the network."""
    parts = ["<h1>owo: experiments</h1>", "<ul>"]
    parts += [f'<li><a href="#{case.folder.path.name}">{html.escape(case.heading)}</a></li>' for case in cases]
    parts.append("</ul>")
    for study, own in _by_study(cases):
        parts.append(f"<h2>{html.escape(study.name)}</h2><pre>{html.escape(protocol(study))}</pre>")
        for case in own:
            parts.append(f'<h3 id="{case.folder.path.name}">{html.escape(case.heading)}</h3>')
            parts.append(f'<p class="about">{_code(case.origin)}</p>')
            parts.append(f'<div class="scroll">{(case.folder.path / "tables.html").read_text(encoding="utf-8")}</div>')
            for figure in case.figures:
                source = "data:image/svg+xml;base64," + base64.b64encode(figure.read_bytes()).decode()
                told = f"{_title(figure)} of {html.escape(case.name)}"
                parts.append(f'<figure><img alt="{told}" src="{source}"></figure>')
            settings = html.escape(json.dumps(case.settings, indent=1))
            parts.append(f"<details><summary>settings</summary><pre>{settings}</pre></details>")
    body = "\n".join(parts)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>owo: experiments</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">'
        f"<style>{STYLE}caption {{ text-align: left; font-weight: 600; padding: .4rem 0; }}</style></head>\n"
        f"<body>\n{body}\n</body></html>\n"
    )


def _by_study(cases: list[Stored]) -> list[tuple[Study, list[Stored]]]:
    return [
        (study, own) for study in STUDIES.values() if (own := [case for case in cases if case.study.name == study.name])
    ]


def _title(figure: pathlib.Path) -> str:
    return figure.stem.replace("_", " ")


def _figure_name(case: Stored, figure: pathlib.Path) -> str:
    return f"figures/results/{case.name.replace('/', '-')}{case.mark}-{figure.stem}.png"


def _code(words: str) -> str:
    """What stands between backticks as code."""
    return re.sub("`([^`]*)`", r"<code>\1</code>", html.escape(words))
