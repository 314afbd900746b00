"""Settings of a study: a frozen dataclass, overridden by ``key=value`` or a TOML file, and told apart by a digest.

>>> from dataclasses import dataclass
>>> @dataclass(frozen=True)
... class Config:
...     tasks: int = 1000
...     steps: tuple[float, ...] = (0.1, 1.0)
>>> overridden(Config(), parsed(["tasks=50", "steps=[1, 10]"]))
Config(tasks=50, steps=(1.0, 10.0))
"""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import json
import math
import pathlib
import tomllib
from collections.abc import Callable, Iterable, Mapping
from typing import Any


class SettingsError(ValueError):
    """A setting that a study does not have, or a value that it cannot be."""


def parsed(words: Iterable[str]) -> dict[str, Any]:
    """Settings from words ``key=value``; a value is as in TOML, or else text.

    >>> parsed(["kind=classification", "tasks=50", "unit=false"])
    {'kind': 'classification', 'tasks': 50, 'unit': False}
    """
    found = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key.strip():
            raise SettingsError(f"--set {word!r} is no setting; write --set key=value")
        try:
            found[key.strip()] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            found[key.strip()] = value.strip()
    return found


def from_file(path: pathlib.Path) -> dict[str, Any]:
    """Settings from a TOML file."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not TOML: {error}") from None


def overridden(config: Any, settings: Mapping[str, Any]) -> Any:
    """The configuration with some settings replaced, each of the type that it had.

    Raises
    ------
    SettingsError
        A key that there is not (the nearest that there is gets named), a value of another type or out of range.
    """
    known = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    unknown = [key for key in settings if key not in known]
    if unknown:
        near = difflib.get_close_matches(unknown[0], known, n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        raise SettingsError(f"there is no setting {unknown[0]!r}{hint} There are {', '.join(known)}")
    try:
        return dataclasses.replace(config, **{key: _like(value, known[key], key) for key, value in settings.items()})
    except SettingsError:
        raise
    except (TypeError, ValueError) as error:
        raise SettingsError(str(error)) from None


def _like(value: Any, model: Any, key: str) -> Any:
    """A value of the model's type."""
    if isinstance(model, tuple):
        values = value if isinstance(value, list | tuple) else [value]
        if not values:
            raise SettingsError(f"{key} is []; needed at least one number")
        if isinstance(value, str):
            raise SettingsError(f"{key} is {value!r}; needed numbers, as in [1, 10]")
        return tuple(_like(each, model[0] if model else each, key) for each in values)
    if isinstance(model, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not type(model):
        raise SettingsError(
            f"{key} is {value!r}; needed {_KINDS.get(type(model), type(model).__name__)}, as in {model!r}"
        )
    return value


def require(config: Any, needed: str, holds: Callable[[Any], bool], *names: str) -> None:
    """Raise the ``ValueError`` of the first setting, or entry of one, for which ``holds`` is not true.

    >>> from types import SimpleNamespace
    >>> require(SimpleNamespace(tasks=0), "1, 2, 3 ...", lambda value: value >= 1, "tasks")
    Traceback (most recent call last):
    ...
    ValueError: tasks is 0; needed 1, 2, 3 ...
    """
    for name in names:
        value = getattr(config, name)
        for each in value if isinstance(value, tuple) else (value,):
            if not holds(each):
                raise ValueError(f"{name} is {list(value) if isinstance(value, tuple) else value}; needed {needed}")


def require_counts(config: Any, *names: str) -> None:
    """Whole numbers of at least 1."""
    require(config, "1, 2, 3 ...", lambda value: value >= 1, *names)


def require_positive(config: Any, *names: str) -> None:
    """Finite numbers above 0, and of tuples each of them once."""
    require(config, "finite numbers above 0", lambda value: 0.0 < value < math.inf, *names)
    require_once(config, *names)


def require_once(config: Any, *names: str) -> None:
    """No number twice."""
    for name in names:
        value = getattr(config, name)
        if isinstance(value, tuple) and len(set(value)) < len(value):
            raise ValueError(f"{name} is {list(value)}; needed each number once")


_KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


def digest(study: str, config: Any, own: str = "") -> str:
    """Twelve digits that tell configurations apart; ``own`` is the digest of what the user brought along."""
    text = json.dumps([study, dataclasses.asdict(config), own], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
