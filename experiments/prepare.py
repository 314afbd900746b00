"""Turn the original public files of four data sets into the ``.npz`` files that ``owo.streams.datasets`` reads.

For users who hold these files; nothing is downloaded. ``python -m experiments prepare NAME SOURCE --out FOLDER``, then
``OWO_DATA=FOLDER``. Layouts are those of the public copies:

- schools: ``schoolData.mat`` (dstamos/Adversarial-LTL, dstamos/Parameter-free-MTL): cells X, of arrays (26, n), and Y,
  (n, 1);
- lenk: ``lenk_data.mat`` (prolearner/onlineLTL): Traindata (2880, 15) and Testdata (720, 15), labels in the last
  column, 16 and 4 rows a person;
- ml100k: the folder ``ml-100k`` of GroupLens, with ``u.data``, ``u.item`` and ``u.genre``;
- jester3: a ``.mat`` file with one matrix (24938, 100) of ratings, sparse, or dense with 0, 99 or NaN where there is
  none.

A file is written only when every count is right.
"""

from __future__ import annotations

import io
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.settings import SettingsError
from experiments.store import write

Arrays = dict[str, NDArray[Any]]


def prepare(name: str, source: pathlib.Path, out: pathlib.Path) -> pathlib.Path:
    """Read a source, check it, write its ``.npz`` file; returns where.

    Raises
    ------
    SettingsError
        There is no such data set or source; the source cannot be read, or is not what it should be.
    """
    if name not in SETS:
        raise SettingsError(f"there is nothing to prepare for {name!r}; there are {', '.join(SETS)}")
    file, read = SETS[name]
    if not source.exists():
        raise SettingsError(f"there is no {source}")
    try:
        arrays = read(source)
    except SettingsError:
        raise
    except Exception as error:  # damage shows as a dozen kinds of exception in SciPy and NumPy
        raise SettingsError(f"{source} cannot be read as {name}: {error or type(error).__name__}") from error
    held = io.BytesIO()
    contents: dict[str, Any] = arrays
    np.savez_compressed(held, **contents)
    write(out / file, held.getvalue())
    return out / file


def _require(holds: bool, source: pathlib.Path, came: str, needed: str) -> None:
    if not holds:
        raise SettingsError(f"{source}: {came}; needed {needed}. It is not the file expected here")


def _mat(source: pathlib.Path, *names: str) -> dict[str, Any]:
    from scipy.io import loadmat

    found = {key: value for key, value in loadmat(source).items() if not key.startswith("__")}
    absent = [name for name in names if name not in found]
    _require(not absent, source, f"it has {', '.join(found) or 'nothing'}", f"{', '.join(names)}")
    return found


def schools(source: pathlib.Path) -> Arrays:
    """139 schools, 15,362 pupils, 26 features."""
    file = _mat(source, "X", "Y")
    pupils = [np.asarray(each, dtype=np.float64).T for each in file["X"].ravel()]
    scores = [np.asarray(each, dtype=np.float64).ravel() for each in file["Y"].ravel()]
    _require(len(pupils) == len(scores) == 139, source, f"it has {len(pupils)} schools", "139")
    widths = {each.shape[1] if each.ndim == 2 else 0 for each in pupils}
    _require(widths == {26}, source, f"features are {sorted(widths)}", "26 in each school")
    fit = all(len(X) == len(y) for X, y in zip(pupils, scores, strict=True))
    _require(fit, source, "a school has other numbers of pupils and scores", "one score a pupil")
    names = np.array([f"feature_{k}" for k in range(26)])
    return _dense(source, np.concatenate(pupils), np.concatenate(scores), [len(y) for y in scores], 15362, names)


def lenk(source: pathlib.Path) -> Arrays:
    """180 people, 16 profiles of computers and 4 more to predict, 14 features, answers 0 to 10."""
    file = _mat(source, "Traindata", "Testdata")
    shapes = {"Traindata": (2880, 15), "Testdata": (720, 15)}
    for name, shape in shapes.items():
        _require(file[name].shape == shape, source, f"{name} has shape {file[name].shape}", f"{shape}")
    parts = [np.asarray(file[name], dtype=np.float64).reshape(180, -1, 15) for name in shapes]
    rows = np.concatenate(parts, axis=1).reshape(-1, 15)
    _require(bool(((rows[:, 14] >= 0) & (rows[:, 14] <= 10)).all()), source, "answers leave 0 to 10", "0 to 10")
    names = np.array(["intercept", *(f"attribute_{letter}" for letter in "ABCDEFGHIJKLM")])
    found = _dense(source, rows[:, :14], rows[:, 14], [20] * 180, 3600, names)
    return {**found, "is_test": np.tile(np.repeat([0, 1], [16, 4]), 180)}


def _dense(
    source: pathlib.Path, X: NDArray[Any], y: NDArray[Any], lengths: list[int], points: int, names: NDArray[Any]
) -> Arrays:
    _require(len(y) == points, source, f"it has {len(y):,} points", f"{points:,}")
    _require(bool(np.isfinite(X).all() and np.isfinite(y).all()), source, "there is NaN or infinity", "numbers")
    task = np.repeat(np.arange(len(lengths)), lengths)
    return {"X": np.ascontiguousarray(X), "y": y, "task": task, "names": names, "n_tasks": np.array(len(lengths))}


def ml100k(source: pathlib.Path) -> Arrays:
    """943 users, 1,682 films, 100,000 ratings; genres and years of the films."""
    for name in ("u.data", "u.item", "u.genre"):
        _require((source / name).is_file(), source, f"there is no {name}", "u.data, u.item and u.genre in one folder")
    ratings = np.loadtxt(source / "u.data", dtype=np.int64, ndmin=2)
    _require(ratings.shape == (100000, 4), source, f"u.data has shape {ratings.shape}", "(100000, 4)")
    ratings = ratings[np.lexsort((ratings[:, 1], ratings[:, 0]))]
    user, item, rating = ratings[:, 0] - 1, ratings[:, 1] - 1, ratings[:, 2]
    counts = len(np.unique(user)), int(user.max()) + 1, int(item.max()) + 1
    _require(counts == (943, 943, 1682), source, f"users and films are {counts[0]} and {counts[2]}", "943 and 1682")
    _require(bool(((rating >= 1) & (rating <= 5)).all()), source, "ratings leave 1 to 5", "1 to 5")
    lines = (source / "u.item").read_text(encoding="latin-1").splitlines()
    films = [line.split("|") for line in lines if line.strip()]
    _require(len(films) == 1682, source, f"u.item has {len(films)} films", "1682")
    _require({len(film) for film in films} == {24}, source, "a film of u.item has other columns", "24 columns")
    genres = np.array([[int(flag) for flag in film[5:]] for film in films], dtype=np.int8)
    years = np.array([int(film[2][-4:]) if film[2] else 0 for film in films], dtype=np.int16)
    named = [
        line.split("|")[0] for line in (source / "u.genre").read_text(encoding="latin-1").splitlines() if "|" in line
    ]
    _require(len(named) == 19, source, f"u.genre has {len(named)} genres", "19")
    return {
        "user": user.astype(np.int32), "item": item.astype(np.int16), "rating": rating.astype(np.int8),
        "item_genres": genres, "genre_names": np.array(named), "item_year": years,
        "n_users": np.array(943), "n_items": np.array(1682),
    }  # fmt: skip


def jester3(source: pathlib.Path) -> Arrays:
    """24,938 users, 100 jokes, 615,091 ratings from -10 to 10."""
    from scipy import sparse

    matrices = [value for value in _mat(source).values() if getattr(value, "shape", ()) == (24938, 100)]
    _require(len(matrices) == 1, source, f"{len(matrices)} matrices are (24938, 100)", "one")
    dense = matrices[0].toarray() if sparse.issparse(matrices[0]) else np.asarray(matrices[0], dtype=np.float64)
    there = np.isfinite(dense) & (dense != 0.0) & (dense != 99.0)
    user, item = np.nonzero(there)
    hundredths = np.rint(100.0 * dense[there]).astype(np.int64)
    _require(len(user) == 615091, source, f"it has {len(user):,} ratings", "615,091")
    _require(len(np.unique(user)) == 24938, source, "some users rated nothing", "24,938 users with ratings")
    _require(bool((np.abs(hundredths) <= 1000).all()), source, "ratings leave -10 to 10", "-10 to 10")
    return {
        "user": user.astype(np.int32), "item": item.astype(np.int16), "rating_x100": hundredths.astype(np.int16),
        "n_users": np.array(24938), "n_items": np.array(100),
    }  # fmt: skip


SETS: dict[str, tuple[str, Callable[[pathlib.Path], Arrays]]] = {
    "schools": ("school.npz", schools),
    "lenk": ("lenk.npz", lenk),
    "ml100k": ("ml100k.npz", ml100k),
    "jester3": ("jester3.npz", jester3),
}
"""The file of each, and what reads its source."""
