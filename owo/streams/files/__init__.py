"""Files larger than memory as streams of blocks."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from owo.streams.columns import chosen
from owo.streams.files.arrow import ArrowFile, ParquetFile
from owo.streams.files.cutting import policy_of
from owo.streams.files.folder import ArrayFolder
from owo.streams.files.pieces import Source
from owo.streams.files.stream import Asked, FileStream
from owo.streams.files.text import CsvFile

ROWS = 32768
"""Rows of a block, unless others are asked for. Some ten times as many are in memory at a time, as rows or columns."""


def from_file(
    path: str | os.PathLike[str],
    task: str = "task",
    target: str = "y",
    features: Sequence[str] | None = None,
    *,
    time: str | None = None,
    missing: str | float | Mapping[str, float] = "raise",
    categories: Mapping[str, Sequence[Any] | str] | None = None,
    ends: str = "last",
    rows: int = ROWS,
    delimiter: str | None = None,
) -> FileStream:
    r"""A stream of blocks of ``rows`` rows from a file of any size, of which a few blocks are in memory at a time.

    Rows stay in the order of the file. It is Parquet (.parquet), Arrow IPC (.arrow, .feather, .ipc), CSV in UTF-8 with
    a first line of names (.csv, .tsv), or a folder of NumPy arrays: ``X.npy`` (n, d), its columns named x0, x1, ...,
    and one ``NAME.npy`` (n,) for each of the columns named by ``task``, ``target`` and ``time``. Task ids of CSV are
    text, others as they are; a line of CSV with nothing but delimiters is a row without values. Parquet and Arrow need
    ``pip install "owo[io]"``; CSV is read faster with it.

    Parameters
    ----------
    path : the file or folder, whose extension says what it is
    task, target : names of the columns of task ids and of labels
    features : names of the columns of X, in this order; default: all but task, target and time, in the file's order
    time : name of a column whose values may not decrease within a task, which is checked as rows are met: numbers,
        dates or times. In CSV they are compared as numbers if those of the first block are numbers, else as text, which
        is right for ISO dates. Where a file is not in order, sort it first, for example with DuckDB:
        ``COPY (SELECT * FROM 'in.parquet' ORDER BY shop, day) TO 'out.parquet'``
    missing : what to do with a row that has no task, label, time or feature, or a value that is NaN, infinite or no
        number. "raise"; "skip" the row, which ``skipped`` counts; or a number, or one for each of some features, to be
        taken where a feature is missing or NaN, which ``filled`` counts (anything else raises)
    categories : for columns of text, the levels of each: ``{"weekday": ["mon", "tue"]}`` makes a 0/1 column of each
        level, in this order; "observe" in place of a list takes the levels in the order of their first rows, at most
        1,000, from a first pass over the column. A value that is no level is treated as a missing one; filled, it is 0
        in all columns
    ends : "last": a task ends at its last row in the file, which a first pass over the task column finds (over all
        used columns if rows may be skipped). "change": it ends where the next row has another id, in a single pass that
        needs the rows of each task together. "never": no task ends; see ``OnlineWithinOnline.end_task``
    rows : rows of the file in a block. Block k has rows k * rows to (k + 1) * rows - 1, less those skipped
    delimiter : what separates fields of CSV; default "," and a tab in .tsv

    Returns
    -------
    FileStream
        An iterable of ``Block``, again and again, which can also begin at a later block.

    Raises
    ------
    ImportError
        A Parquet or Arrow file without pyarrow.
    FileNotFoundError
        No such file.
    TypeError, ValueError
        Here: a column that is not there (the nearest is named) or not of numbers, a damaged file, an option that is
        none. When iterated: missing values, a task that comes back, times out of order, damage; the message names file,
        row (from 0; in CSV the line), column and task.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp(), "sales.csv")
    >>> _ = path.write_text("shop,price,sold\na,1.5,9\nb,2,8\na,3,7\n")
    >>> for block in from_file(path, task="shop", target="sold", rows=2):
    ...     print(block.keys, block.X.tolist(), block.ends.tolist())
    ('a', 'b') [[1.5], [2.0]] [False, True]
    ('a',) [[3.0]] [True]
    """
    if ends not in ("last", "change", "never"):
        raise ValueError(f"ends is {ends!r}; needed 'last', 'change' or 'never'")
    if isinstance(rows, bool) or not isinstance(rows, (int, np.integer)) or rows < 1:
        raise ValueError(f"rows is {rows!r}; needed the rows of a block, a whole number of at least 1")
    beside = [name for name in (task, target, time) if name is not None]
    source = _opened(path, delimiter, list(dict.fromkeys(beside)))
    if features is None:
        features = [name for name in source.names if name not in beside and name != ""]
    columns = chosen(source.names, task, target, features, source.what)
    if time is not None and time in columns.features:
        raise ValueError(f"the time column {time!r} is among the features; name it as one or the other")
    if time is not None:
        chosen(source.names, time, target if time != target else task, [columns.features[0]], source.what)
    _check_kinds(source, columns.features, target, beside, categories or {})
    if source.rows == 0:
        raise ValueError(f"{source.path} has no rows; needed at least one point")
    asked = Asked(task, target, tuple(columns.features), time, policy_of(missing, columns.features), ends, int(rows))
    return FileStream(source, asked, _levels(categories, columns.features, source))


def _opened(path: str | os.PathLike[str], delimiter: str | None, columns: Sequence[str]) -> Source:
    """The source that a path's extension names; ``columns`` are those that a folder has beside X."""
    path = os.fspath(path)
    if not os.path.exists(path):
        raise FileNotFoundError(f"no such file: {path}")
    if os.path.isdir(path):
        return ArrayFolder(path, columns)
    extension = os.path.splitext(path)[1].lower()
    if extension in (".csv", ".tsv"):
        return CsvFile(path, delimiter or ("\t" if extension == ".tsv" else ","))
    if extension == ".parquet":
        return ParquetFile(path)
    if extension in (".arrow", ".feather", ".ipc"):
        return ArrowFile(path)
    raise ValueError(
        f"{path} has the extension {extension!r}; needed .parquet, .arrow, .feather, .ipc, .csv, .tsv, or a folder of "
        "X.npy and a NAME.npy for each other column"
    )


def _check_kinds(
    source: Source, features: Sequence[str], target: str, beside: Sequence[str], categories: Mapping[str, Any]
) -> None:
    for name in (*features, target):
        kind = source.kind(name)
        if kind and name not in categories:
            cure = f"; encode it with categories={{{name!r}: 'observe'}}, or leave it out of features"
            if kind.startswith(("timestamp", "date", "time", "duration")):
                cure = f"; leave it out of features, or name it as time={name!r} to have the order of rows checked"
            raise TypeError(
                f"{source.path}: column {name!r} is of type {kind}; needed numbers{cure if name != target else ''}"
            )
    for name in (*beside, *categories):
        if name in source.names and not source.hashable(name):
            raise TypeError(f"{source.path}: column {name!r} is of type {source.kind(name)}; needed numbers or text")


def _levels(
    categories: Mapping[str, Sequence[Any] | str] | None, features: Sequence[str], source: Source
) -> dict[str, list[Any] | None]:
    """The levels of each column of categories; None where they are to be observed."""
    found: dict[str, list[Any] | None] = {}
    for name, levels in (categories or {}).items():
        if name not in features:
            raise ValueError(f"categories has the column {name!r}, which is none of the features")
        if isinstance(levels, str):
            if levels != "observe":
                raise ValueError(f"categories[{name!r}] is {levels!r}; needed a list of levels, or 'observe'")
            found[name] = None
            continue
        named = [str(level) if source.texts else level for level in levels]
        if not named or len(set(named)) < len(named) or any(level is None or level != level for level in named):
            raise ValueError(
                f"categories[{name!r}] is {list(levels)!r}; needed one or more different levels, none missing"
            )
        found[name] = named
    return found
