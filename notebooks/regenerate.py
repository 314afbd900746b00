"""Make the ``.ipynb`` of every notebook from its ``.py``, without outputs; ``make notebooks``.

The text is what is edited. The same text gives the same file, byte for byte.
"""

import pathlib

import jupytext
import nbformat

FOLDER = pathlib.Path(__file__).parent


def sources() -> list[pathlib.Path]:
    """The notebooks as text, in order."""
    return sorted(FOLDER.glob("[0-9]*.py"))


def notebook(source: pathlib.Path) -> str:
    """The contents of a notebook's ``.ipynb``."""
    made = jupytext.read(source)
    for number, cell in enumerate(made.cells):
        cell["id"] = f"cell-{number:02d}"  # a notebook has an id for each cell; at random, it would change every time
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    kernel = made.metadata["kernelspec"]
    made.metadata = nbformat.NotebookNode(kernelspec=kernel, language_info={"name": "python"})
    return nbformat.writes(made, version=4) + "\n"


if __name__ == "__main__":
    for source in sources():
        source.with_suffix(".ipynb").write_text(notebook(source), encoding="utf-8")
        print(source.with_suffix(".ipynb").name)
