"""What a user brings along.

``--with mine.py`` names a Python file with any of

- ``methods``: a list of ``experiments.Method``, compared with those that the study has;
- ``loss``: a record of ``owo.losses`` or one made with ``@owo.loss``, in place of the study's;
- ``stream``: a function of a ``numpy.random.Generator`` that returns tasks, pairs ``(X, y)``, in place of the study's.

A law of your own in ten lines, compared in any study by ``python -m experiments run bias --with mine.py``::

    from typing import NamedTuple
    import owo
    from experiments import Method

    @owo.law
    class Halving(NamedTuple):
        step: float = 1.0
        def start(self): return (1.0,)
        def scale(self, state): return self.step / state[0]
        def observe(self, state, along, norm2): return (state[0] + 1.0,)

    methods = [Method("mine", lambda loss, at, known: owo.OnlineWithinOnline(loss, Halving(), owo.CoinBetting()))]
"""

from __future__ import annotations

import hashlib
import importlib.util
import pathlib
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments.methods import Method
from experiments.settings import SettingsError
from owo.doors import as_loss


class Own(NamedTuple):
    """What a user's file holds."""

    methods: Sequence[Method] = ()
    loss: Any = None
    stream: Callable[[np.random.Generator], Any] | None = None
    digest: str = ""
    """of the file; empty if there is none"""
    file: str = ""
    """where it is"""


NOTHING = Own()


def load(path: str | None) -> Own:
    """Run a user's file and take what it defines.

    Raises
    ------
    SettingsError
        There is no such file, it fails, or it defines none of the names, or something else by them.
    """
    if path is None:
        return NOTHING
    file = pathlib.Path(path).resolve()
    if not file.is_file():
        what = "a folder is there; needed a Python file" if file.is_dir() else "there is no such file"
        raise SettingsError(f"--with {path}: {what}")
    name = f"experiments_own_{hashlib.sha256(str(file).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise SettingsError(f"--with {path}: needed a Python file, whose name ends in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where the classes of the file are looked up
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise SettingsError(f"--with {path}: {type(error).__name__}: {error}") from error
    found = {key: getattr(module, key) for key in ("methods", "loss", "stream") if hasattr(module, key)}
    if not found:
        raise SettingsError(f"--with {path}: it defines none of methods, loss, stream")
    methods = found.get("methods", ())
    if not isinstance(methods, list | tuple) or not all(isinstance(each, Method) for each in methods):
        raise SettingsError(f"--with {path}: methods is {methods!r}; needed a list of experiments.Method")
    for method in methods:
        _refuse(method, path)
    names = [method.name for method in methods]
    if len(set(names)) < len(names):
        raise SettingsError(f"--with {path}: methods have the names {names}; needed each name once")
    if "loss" in found:
        try:
            as_loss(found["loss"])
        except TypeError as error:
            raise SettingsError(f"--with {path}: {error}") from None
    if "stream" in found and not callable(found["stream"]):
        raise SettingsError(f"--with {path}: stream is {found['stream']!r}; needed a function of a random generator")
    return Own(**found, digest=hashlib.sha256(file.read_bytes()).hexdigest()[:12], file=str(file))


def _refuse(method: Method, path: str) -> None:
    """Raise the ``SettingsError`` of a method that no study could use."""
    if not isinstance(method.name, str) or not method.name.strip():
        raise SettingsError(f"--with {path}: a method has the name {method.name!r}; needed some text")
    for field in ("strengths", "steps"):
        values = getattr(method, field)
        if not isinstance(values, tuple | list) or not values or not all(isinstance(v, int | float) for v in values):
            raise SettingsError(f"--with {path}: method {method.name!r} has {field} {values!r}; needed some, as (1.0,)")
