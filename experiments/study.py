"""What a study is: configurations by name, a run that gives arrays for a seed, tables and figures of these."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from experiments.own import Own
from experiments.store import Arrays
from experiments.tables import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Study(NamedTuple):
    """One file of ``experiments.studies``."""

    name: str
    about: str
    """in a sentence, with its source"""
    variants: Mapping[str, Any]
    """configurations, frozen dataclasses, by name"""
    run: Callable[[Any, int, Own], Arrays]
    """arrays of one seed, from a configuration, the seed and what the user brought; the same numbers every time"""
    tables: Callable[[Any, Arrays], list[Table]]
    """from a configuration and the arrays of all seeds, stacked"""
    figures: Callable[[Any, Arrays], dict[str, Figure]]
    """likewise, by file name"""
    seeds: int = 10
    """that are run, unless asked otherwise"""
    streams: bool = True
    """whether it takes a user's stream; those that vary the tasks do not"""
