"""Data sets from the .npz files of a folder, checked against what each must hold."""

from __future__ import annotations

import os
import pathlib
import warnings
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from owo.streams.points import Floats
from owo.streams.table import OneHot, Table

VARIABLE = "OWO_DATA"
"""The environment variable that names the folder."""


class Archive(NamedTuple):
    """A data set's file, and how many points, tasks and features it must give."""

    file: str
    n: int
    tasks: int
    d: int
    source: str

    def arrays(self, name: str, **needed: str) -> dict[str, NDArray[Any]]:
        """The needed arrays, of the given dtype kinds."""
        path = self.path(name)
        try:
            arrays, present = _contents(path, needed)
        except Exception as error:  # damage shows as a dozen kinds of exception in NumPy and what it uses
            raise ValueError(
                f"{path} cannot be read as a NumPy archive ({error or type(error).__name__}); it is damaged or cut "
                "short: copy it again"
            ) from error
        for key, kinds in needed.items():
            self.require(key in arrays, f"there is no array {key!r}, only {', '.join(present)}")
            kind = arrays[key].dtype.kind
            self.require(kind in kinds, f"array {key!r} has dtype {arrays[key].dtype}")
        return arrays

    def path(self, name: str) -> pathlib.Path:
        """Where the file is."""
        folder = os.environ.get(VARIABLE, "")
        path = pathlib.Path(folder) / self.file
        if folder and path.is_file():
            return path
        where = f"in {folder!r}, which {VARIABLE} names" if folder else f"because {VARIABLE} is not set"
        raise FileNotFoundError(
            f"data set {name} needs the file {self.file}, not found {where}. Set the environment variable {VARIABLE} "
            f"to the folder that holds it. Public source: {self.source}"
        )

    def require(self, holds: bool, fault: str) -> None:
        """Raise the ``ValueError`` of a file that holds something else."""
        if not holds:
            path = pathlib.Path(os.environ.get(VARIABLE, "")) / self.file
            raise ValueError(f"{path}: {fault}; it is not the file expected here: copy it again")

    def shaped(self, array: NDArray[Any], name: str, *shape: int) -> NDArray[Any]:
        """The array, if it has this shape and no NaN or infinity."""
        self.require(array.shape == shape, f"{name} has shape {array.shape}, needed {shape}")
        self.require(array.dtype.kind != "f" or bool(np.isfinite(array).all()), f"{name} has NaN or infinity")
        return array

    def whole(self, array: NDArray[Any], name: str, low: int, high: int) -> NDArray[np.int64]:
        """Integers (n,) within low .. high."""
        array = self.shaped(array, name, self.n)
        inside = bool(((array >= low) & (array <= high)).all())
        self.require(inside, f"{name} has values outside {low} .. {high}")
        return array.astype(np.int64)

    def numbered(self, array: NDArray[Any], name: str) -> NDArray[np.int64]:
        """Task numbers (n,): 0, then the same or one more, up to the last task."""
        task = self.whole(array, name, 0, self.tasks - 1)
        steps = np.diff(task, prepend=0)
        in_order = bool(task[0] == 0 and task[-1] == self.tasks - 1 and ((steps == 0) | (steps == 1)).all())
        self.require(in_order, f"{name} is not 0 .. {self.tasks - 1} in order")
        return task


def _contents(path: pathlib.Path, names: Iterable[str]) -> tuple[dict[str, NDArray[Any]], list[str]]:
    """The arrays of these names that an archive holds, and the names of all it holds."""
    with open(path, "rb") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy on odd headers, which are damage or of no matter
        with np.load(file, allow_pickle=False) as archive:
            broken = archive.zip.testzip()  # NumPy does not always read as far as the checksum
            if broken is not None:
                raise ValueError(f"the checksum of {broken} is wrong")
            return {name: np.asarray(archive[name]) for name in names if name in archive.files}, archive.files


def dense(name: str, archive: Archive) -> Table:
    """A file that holds features and labels as they are."""
    file = archive.arrays(name, X="f", y="fi", task="iu", names="U")
    X = archive.shaped(file["X"], "X", archive.n, archive.d).astype(np.float64, order="C")
    y = archive.shaped(file["y"], "y", archive.n).astype(np.float64)
    columns = archive.shaped(file["names"], "names", archive.d).tolist()
    return Table(name, X, y, archive.numbered(file["task"], "task"), tuple(columns), archive.source)


def movies(name: str, archive: Archive) -> Table:
    """Genres, year and intercept of the film; ``y = rating - 3``. An unknown year counts as the median one."""
    file = archive.arrays(name, user="iu", item="iu", rating="iu", item_genres="iu", genre_names="U", item_year="iu")
    genres = archive.shaped(file["item_genres"], "item_genres", 1682, 19)
    year = archive.shaped(file["item_year"], "item_year", 1682).astype(np.float64)
    year[year == 0.0] = np.median(year[year > 0.0])
    features = np.column_stack((genres, year, np.ones(1682)))
    item = archive.whole(file["item"], "item", 0, 1681)
    y = archive.whole(file["rating"], "rating", 1, 5).astype(np.float64) - 3.0
    columns = (*archive.shaped(file["genre_names"], "genre_names", 19).tolist(), "year", "intercept")
    return Table(name, features[item], y, archive.numbered(file["user"], "user"), columns, archive.source)


def jokes(name: str, archive: Archive) -> Table:
    """A column for each joke, and the intercept; y is the rating, -10 to 10."""
    file = archive.arrays(name, user="iu", item="iu", rating_x100="iu")
    rating = archive.whole(file["rating_x100"], "rating_x100", -1000, 1000)
    return _one_hot(name, archive, file, rating.astype(np.float64) / 100.0)


def stars(name: str, archive: Archive) -> Table:
    """A column for each item, and the intercept; ``y = rating - 3``, of ratings 1 to 5."""
    file = archive.arrays(name, user="iu", item="iu", rating="iu")
    rating = archive.whole(file["rating"], "rating", 1, 5)
    return _one_hot(name, archive, file, rating.astype(np.float64) - 3.0)


def _one_hot(name: str, archive: Archive, file: Mapping[str, NDArray[Any]], y: Floats) -> Table:
    items = archive.d - 1
    columns = (*(f"item_{k}" for k in range(items)), "intercept")
    X = OneHot(archive.whole(file["item"], "item", 0, items - 1), items)
    return Table(name, X, y, archive.numbered(file["user"], "user"), columns, archive.source)


def population(name: str, archive: Archive) -> Table:
    """A task is a place and year; features are the year, female, and each age group; y is log10 of people."""
    file = archive.arrays(name, location="iu", year="iu", female="iu", age_start="iu", value="f")
    year = archive.whole(file["year"], "year", 1950, 2100)
    place = archive.whole(file["location"], "location", 0, 265) * 10000 + year
    female = archive.whole(file["female"], "female", 0, 1)
    age = archive.whole(file["age_start"], "age_start", 0, 100)
    people = archive.shaped(file["value"], "value", archive.n).astype(np.float64)
    archive.require(bool((people > 0.0).all()), "value is not above 0 everywhere")
    ages = np.arange(0, 101, 5)
    X = np.column_stack((year, female, age[:, None] == ages)).astype(np.float64)
    task = archive.numbered(np.cumsum(np.diff(place, prepend=place[0]) != 0), "location and year")
    return Table(name, X, np.log10(people), task, ("year", "female", *(f"age_{a}" for a in ages)), archive.source)
