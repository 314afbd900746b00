"""Notebooks run from start to end, and are what their text says."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent
FOLDER = ROOT / "notebooks"
SOURCES = sorted(FOLDER.glob("[0-9]*.py"))

BEFORE = """
import matplotlib.pyplot as _plt
_labels, _show = [], _plt.show
def _noting(*args, **kwargs):
    _labels.extend([(ax.get_xlabel(), ax.get_ylabel()) for ax in _plt.figure(n).axes] for n in _plt.get_fignums())
    return _show(*args, **kwargs)
_plt.show = _noting
"""
AFTER = "import json as _json; print('LABELS', _json.dumps(_labels))"

DRIVER = """
import sys, jupytext, nbformat
from nbclient import NotebookClient
source, target, folder, before, after = sys.argv[1:]
notebook = jupytext.read(source)
code = nbformat.v4.new_code_cell
notebook.cells = [code(before), *notebook.cells, code(after)]
NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": folder}}).execute()
nbformat.write(notebook, target)
"""


def test_the_five_notebooks_are_there():
    assert [path.stem[:2] for path in SOURCES] == ["01", "02", "03", "04", "05"]
    listed = (FOLDER / "README.md").read_text()
    assert all(f"]({path.stem}.ipynb)" in listed for path in SOURCES)


@pytest.fixture(scope="module")
def made():
    """The notebooks as their texts make them, by name; all in one process."""
    code = "import sys; sys.path.insert(0, sys.argv[1]); import json, pathlib, regenerate as r; "
    code += "json.dump({path: r.notebook(pathlib.Path(path)) for path in sys.argv[2:]}, sys.stdout)"
    words = [sys.executable, "-c", code, str(FOLDER), *map(str, SOURCES)]
    return json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_a_notebook_is_what_its_text_says(source, made):
    text = made[str(source)]
    assert source.with_suffix(".ipynb").read_text(encoding="utf-8") == text, "run make notebooks"
    cells = json.loads(text)["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert code and all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_a_notebook_runs_and_labels_its_axes(source, tmp_path):
    target = tmp_path / "run.ipynb"
    folder = ROOT if source.stem.startswith("04") else FOLDER  # both places are where people start Jupyter
    words = [sys.executable, "-c", DRIVER, str(source), str(target), str(folder), BEFORE, AFTER]
    env = {key: value for key, value in os.environ.items() if key != "MPLBACKEND"}  # the kernel has its own
    done = subprocess.run(words, capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr[-3000:]
    outputs = [each for cell in json.loads(target.read_text())["cells"] for each in cell.get("outputs", [])]
    assert sum("image/png" in each.get("data", {}) for each in outputs) >= 2
    said = "".join(each["text"] if isinstance(each["text"], str) else "".join(each["text"])
                   for each in outputs if each["output_type"] == "stream" and each["name"] == "stdout")  # fmt: skip
    figures = json.loads(said.split("LABELS ")[1].splitlines()[0])
    assert len(figures) >= 2
    for labels in figures:
        assert all(across for across, _ in labels) and labels[0][1], labels  # panels beside one share its y axis
