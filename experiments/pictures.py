"""Tables and figures of a case, as files beside its arrays."""

from __future__ import annotations

import io
import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from experiments.store import write
from experiments.tables import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = ("png", "svg")


def write_all(folder: pathlib.Path, tables: Sequence[Table], figures: Mapping[str, Figure]) -> None:
    """``tables.md``, ``tables.html``, and each figure as PNG and SVG."""
    write(folder / "tables.md", ("\n\n".join(each.markdown() for each in tables) + "\n").encode())
    write(folder / "tables.html", "".join(each.html() for each in tables).encode())
    for name, figure in figures.items():
        for form in FORMATS:
            held = io.BytesIO()
            figure.savefig(held, format=form, dpi=160, metadata={"Date": None} if form == "svg" else None)
            write(folder / f"{name}.{form}", held.getvalue())
