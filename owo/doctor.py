"""What ``owo doctor`` looks at: whether this installation works, and what to do where it does not."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import pathlib
import platform
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numba
import numpy as np

import owo
from owo import kernels
from owo.streams import datasets

NEEDED = ("numpy", "scipy", "numba", "cvxpy", "matplotlib")


class Finding(NamedTuple):
    """One thing that was looked at."""

    what: str
    """what was looked at"""
    well: bool
    """whether it is as it should be"""
    found: str
    """what was found, in words"""
    cure: str = ""
    """what to do about it, or what more there could be"""


def examine() -> Iterator[Finding]:
    """Look at everything, one finding at a time; what fails in an unforeseen way is a finding too."""
    for name, look in _LOOKS.items():
        try:
            yield from look()
        except Exception as error:
            said = f"{type(error).__name__}: {error}"
            yield Finding(name, False, said, "this was not foreseen: please report it with these lines")


def versions() -> dict[str, str]:
    """Versions of this package, of Python and of what is needed; ``"missing"`` for what is not installed.

    >>> list(versions())
    ['owo', 'python', 'numpy', 'scipy', 'numba', 'cvxpy', 'matplotlib']
    """
    found = {"owo": owo.__version__, "python": platform.python_version()}
    for name in NEEDED:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "missing"
    return found


def commit() -> str:
    """The commit of the checkout that this package is imported from, "-dirty" if it was changed since; else "none"."""
    folder = pathlib.Path(__file__).parent
    asked = ("ls-files", "--error-unmatch", pathlib.Path(__file__).name), ("describe", "--always", "--dirty")
    try:
        for words in asked:  # an environment may lie inside the checkout of something else, which does not track it
            said = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=True, timeout=10)
        return said.stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "none"


def _versions() -> Iterator[Finding]:
    found = versions()
    named = f"{found.pop('owo')} (commit: {commit()})"
    yield Finding("owo", True, f"{named}, Python {found.pop('python')}, {platform.platform()}")
    for name, version in found.items():
        try:
            importlib.import_module(name)
            yield Finding(name, True, version)
        except Exception as error:
            yield Finding(name, False, f"does not import ({error})", f"pip install --upgrade {name}")


def _cache() -> Iterator[Finding]:
    if not hasattr(kernels.run, "py_func"):
        yield Finding("kernel cache", False, "NUMBA_DISABLE_JIT is set, so nothing is compiled and all is slow",
                      "unset NUMBA_DISABLE_JIT")  # fmt: skip
        return
    folder = getattr(getattr(kernels.run._cache, "_cache_file", None), "folder", None)
    if folder is None:
        yield Finding("kernel cache", False, "no folder can be written, so every process compiles anew",
                      "set NUMBA_CACHE_DIR to a folder that you may write to")  # fmt: skip
        return
    try:
        require_writable(folder)
        kept = sum(1 for _ in folder.glob("*.nbc"))
        yield Finding("kernel cache", True, f"{folder} is writable and holds {kept} compiled functions")
    except OSError as error:
        yield Finding("kernel cache", False, f"{folder} cannot be written ({error.strerror or error})",
                      "set NUMBA_CACHE_DIR to a folder that you may write to")  # fmt: skip


def require_writable(folder: pathlib.Path) -> None:
    """Make the folder, if it is not there, and a file in it that goes again; ``OSError`` if that cannot be."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        pass


def _compiler() -> Iterator[Finding]:
    """Compile a loss, a law and the streaming kernel; hold them against the same code in plain Python."""
    began = time.perf_counter()
    owo.checks.check_loss(owo.Absolute())
    owo.checks.check_law(owo.GrowingFTRL())
    ledger = owo.OnlineWithinOnline(owo.Absolute(), owo.GrowingFTRL(), owo.Frozen(), "task").run([([[1.0]], [2.0])])
    seconds = time.perf_counter() - began
    if ledger.losses.tolist() != [2.0]:
        yield Finding("compiler", False, f"a stream of one point lost {ledger.losses.tolist()}, not [2.0]",
                      "pip install --force-reinstall numba llvmlite")  # fmt: skip
    else:
        yield Finding("compiler", True, f"compiled code agrees with plain Python, bit for bit ({seconds:.1f} s)")


def _threads() -> Iterator[Finding]:
    cores = os.cpu_count() or 1
    set_to = ", ".join(f"{name}={os.environ[name]}" for name in _THREAD_VARIABLES if name in os.environ)
    detail = f"{cores} cores, numba may use {numba.get_num_threads()} threads" + (f"; {set_to}" if set_to else "")
    yield Finding("threads", True, detail)


_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def _solvers() -> Iterator[Finding]:
    import cvxpy

    installed = [name for name in cvxpy.installed_solvers() if name != "SCIPY"]
    if not installed:
        yield Finding("cvxpy solvers", False, "none", "pip install clarabel")
        return
    x = cvxpy.Variable()
    value = cvxpy.Problem(cvxpy.Minimize(cvxpy.square(x - 1.0) + cvxpy.abs(x))).solve()
    fine = bool(np.isclose(value, 0.75, atol=1e-6))
    yield Finding("cvxpy solvers", fine, ", ".join(installed) + ("" if fine else f"; solved 0.75 as {value}"),
                  "" if fine else "pip install --force-reinstall cvxpy clarabel")  # fmt: skip


def _data() -> Iterator[Finding]:
    there, elsewhere, damaged = [], [], []
    absent: dict[str, str] = {}
    for name in datasets.names():
        try:
            datasets.load(name)
            there.append(name)
        except ModuleNotFoundError as error:
            absent[str(error.name)] = name
        except FileNotFoundError:
            elsewhere.append(name)
        except ValueError as error:
            damaged.append(str(error))
    if absent:
        yield Finding("data sets", False, f"{' and '.join(absent)} not installed: no data for `owo run`",
                      'pip install "owo[data]", or use a file: owo run FILE.csv --task ... --target ...')  # fmt: skip
    if there:
        yield Finding("data sets", True, ", ".join(there))
    for problem in damaged:
        yield Finding("data sets", False, problem, f"replace the file, or unset {datasets.VARIABLE}")
    if elsewhere:
        yield _elsewhere(elsewhere)


def _elsewhere(names: list[str]) -> Finding:
    folder = os.environ.get(datasets.VARIABLE, "")
    if folder and not pathlib.Path(folder).is_dir():
        return Finding("more data", False, f"{datasets.VARIABLE} is {folder!r}, which is not a folder",
                       f"set {datasets.VARIABLE} to the folder that holds the files, or unset it")  # fmt: skip
    where = f"not in {folder}" if folder else f"{datasets.VARIABLE} is not set"
    return Finding("more data", True, f"{', '.join(names)}: {where}",
                   "optional: `owo run NAME` says what each is and which file it needs")  # fmt: skip


_LOOKS: dict[str, Callable[[], Iterator[Finding]]] = {
    "versions": _versions,
    "kernel cache": _cache,
    "compiler": _compiler,
    "threads": _threads,
    "cvxpy solvers": _solvers,
    "data sets": _data,
}
