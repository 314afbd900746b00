"""Blocks from tables with named columns: data frames of any library, and CSV files."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from owo.streams.arrays import from_arrays
from owo.streams.block import Block
from owo.streams.points import Floats, _cure, first_nonfinite

RECORDS_AT_ONCE = 4096
"""Lines of a CSV file that are parsed together: few enough for their text to stay in the processor's cache."""


class Columns(NamedTuple):
    """The names of the columns that are used."""

    task: Any
    target: Any
    features: list[Any]


def chosen(names: Sequence[Any], task: Any, target: Any, features: Sequence[Any] | None, what: str) -> Columns:
    """Check the names asked for against those there are; ``features=None`` means all but task and target."""
    if isinstance(features, str):
        raise TypeError(f"features is the string {features!r}; needed a list of column names, as in [{features!r}]")
    counts = Counter(names)
    taken = [n for n in names if n not in (task, target) and n != ""] if features is None else list(features)
    for name in (task, target, *taken):
        if name not in counts:
            raise ValueError(_absent(name, names, what))
        if counts[name] > 1:
            raise ValueError(f"{what} has {counts[name]} columns {name!r}; needed one")
    if task == target:
        raise ValueError(f"task and target are both {task!r}; needed two columns")
    if task in taken:
        raise ValueError(
            f"the task column {task!r} is among the features; leave it out, it says which task a row is of"
        )
    if target in taken:
        raise ValueError(f"the target {target!r} is among the features; leave it out, or the learner sees the answer")
    if not taken:
        raise ValueError(f"{what} has no columns beside task and target; needed at least one feature")
    often, times = Counter(taken).most_common(1)[0]
    if times > 1:
        raise ValueError(f"feature {often!r} is named {times} times; name it once")
    return Columns(task, target, taken)


def _absent(name: Any, names: Sequence[Any], what: str) -> str:
    import difflib

    near = difflib.get_close_matches(str(name), [str(n) for n in names], n=1)
    shown = ", ".join(repr(n) for n in names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
    return f"{what} has no column {name!r}; it has {shown or 'none'}" + (f". Did you mean {near[0]!r}?" if near else "")


# --------------------------------------------------------------------------------------------------------- frames


def from_frame(frame: Any, *, task: Any, target: Any, features: Sequence[Any] | None = None) -> Block:
    """A block from a pandas or polars DataFrame, an Arrow table, or a mapping of names to arrays.

    Rows stay in their order. Numbers and booleans (as 0 and 1) can be features. Columns are taken as they are: scale
    them and add an intercept with ``owo.streams.Encoding``, without which learners can do badly.

    Parameters
    ----------
    frame : the table
    task : name of the column of task ids, of any type
    target : name of the column of labels
    features : names of the columns of X, in this order; default: all others, in the frame's order

    Raises
    ------
    TypeError
        A feature or the target is not numeric; the message names the column and its type.
    ValueError
        A column that is not there, or missing values, NaN or infinity in one; the message names column and row.

    Examples
    --------
    >>> block = from_frame({"shop": ["a", "a", "b"], "price": [1, 2, 3], "sold": [9, 8, 7]}, task="shop", target="sold")
    >>> block.X.ravel().tolist(), block.keys
    ([1.0, 2.0, 3.0], ('a', 'b'))
    """
    names = _names(frame)
    columns = chosen(names, task, target, features, "the frame")
    ids = _present(frame[task], task, None)
    y = _numbers(frame[target], target, ids)
    X = np.empty((len(y), len(columns.features)))
    for j, name in enumerate(columns.features):
        values = _numbers(frame[name], name, ids)
        if len(values) != len(y):
            raise ValueError(
                f"column {name!r} has {len(values)} values, column {target!r} {len(y)}; needed equal lengths"
            )
        X[:, j] = values
    return from_arrays(X, y, ids)


def _names(frame: Any) -> list[Any]:
    if hasattr(frame, "collect"):
        raise TypeError(f"frame is a {type(frame).__name__}; needed its rows: pass frame.collect()")
    for attribute in ("column_names", "columns"):  # Arrow tables have both: there, columns are the data
        if hasattr(frame, attribute):
            return list(getattr(frame, attribute))
    if hasattr(frame, "keys") and hasattr(frame, "__getitem__"):
        return list(frame.keys())
    raise TypeError(f"frame is a {type(frame).__name__}; needed a pandas or polars DataFrame or an Arrow table. "
                    "For plain arrays use from_arrays")  # fmt: skip


def _present(column: Any, name: Any, ids: NDArray[Any] | None) -> NDArray[Any]:
    """The values of a column that has them all."""
    for attribute in ("isna", "is_null"):  # pandas; polars and Arrow
        if hasattr(column, attribute):
            missing = np.asarray(getattr(column, attribute)())
            if missing.any():
                count, row = int(missing.sum()), int(np.argmax(missing))
                raise ValueError(
                    f"column {name!r} has {count:,} missing values, the first at row {row}{_of(ids, row)}: "
                    "fill or drop them before streaming"
                )
            break
    if np.ma.is_masked(column):
        row = int(np.argmax(np.ma.getmaskarray(column)))
        raise ValueError(f"column {name!r} is masked at row {row}{_of(ids, row)}: fill or drop such rows")
    if isinstance(column, (list, tuple)) and ids is None:
        return np.fromiter(column, dtype=object)
    return np.asarray(column)


def _numbers(column: Any, name: Any, ids: NDArray[Any]) -> Floats:
    values = _present(column, name, ids)
    if values.dtype.kind not in "buif":
        kind = getattr(column, "dtype", getattr(column, "type", values.dtype))
        raise TypeError(f"column {name!r} has dtype {kind}{_odd_value(values)}; needed numbers. {_remedy(values)}")
    if values.ndim != 1:
        raise ValueError(f"column {name!r} has shape {values.shape}; needed one number a row")
    with np.errstate(over="ignore"):
        numbers = values.astype(np.float64)
    where = first_nonfinite(numbers)
    if where is not None:
        value = str(numbers[where]).replace("nan", "NaN")
        raise ValueError(f"column {name!r} has {value} at row {where[0]}{_of(ids, where[0])}: "
                         "fill or drop it before streaming")  # fmt: skip
    return numbers


def _of(ids: NDArray[Any] | None, row: int) -> str:
    return "" if ids is None or row >= len(ids) else f" (task {ids[row : row + 1].tolist()[0]!r})"


def _odd_value(values: NDArray[Any]) -> str:
    odd = next((v for v in values.ravel().tolist() if not isinstance(v, (int, float))), None)
    return "" if odd is None or values.dtype.kind in "mM" else f" (it holds {odd!r})"


def _remedy(values: NDArray[Any]) -> str:
    if values.dtype.kind in "cmM":
        return _cure(values)
    first = values.ravel()[0] if values.size else ""
    if not isinstance(first, str) and hasattr(first, "__float__"):
        return "Cast the column to float"
    return "Encode it as 0/1 columns (get_dummies in pandas, to_dummies in polars), or leave it out with features=[...]"


# ------------------------------------------------------------------------------------------------------ CSV files


def from_csv(
    path: str | os.PathLike[str],
    *,
    task: str,
    target: str,
    features: Sequence[str] | None = None,
    delimiter: str = ",",
) -> Block:
    r"""A block from a CSV file in UTF-8 whose first line names the columns.

    Rows stay in their order. Task ids are the text of the file ("007" stays so). True and False are 1 and 0. Lines
    without any text are skipped. A column without a name, such as a saved row index, is no feature.

    Parameters
    ----------
    path : the file
    task, target : names of the columns of task ids and of labels
    features : names of the columns of X, in this order; default: all others, in the file's order
    delimiter : what separates fields

    Raises
    ------
    FileNotFoundError
        No such file.
    ValueError
        A column that is not there (the nearest is named), a field that is not a finite number (line and column are
        named), a line with too few or too many fields, text that is not UTF-8, a compressed file, no rows.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp(), "sales.csv")
    >>> _ = path.write_text("shop,price,sold\na,1.5,9\na,2,8\nb,3,7\n")
    >>> from_csv(path, task="shop", target="sold")
    Block(3 points of 2 tasks, d = 1)
    """
    with _opened(path, delimiter) as lines:
        return _read(lines, task, target, features)


def header(path: str | os.PathLike[str], delimiter: str = ",") -> list[str]:
    """The names of the columns of a CSV file; raises as ``from_csv``."""
    with _opened(path, delimiter) as lines:
        return lines.names


@contextlib.contextmanager
def _opened(path: str | os.PathLike[str], delimiter: str) -> Iterator[_Lines]:
    """The lines of a CSV file; what is wrong with its text is placed."""
    import csv

    with open(path, "rb") as raw:
        if raw.read(6).startswith(_COMPRESSED):
            raise ValueError(
                f"{path} is compressed; decompress it, or read it into a frame for from_frame, for example with "
                "pandas.read_csv (pandas.read_excel for a workbook)"
            )
    with open(path, encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, delimiter=delimiter, skipinitialspace=True, strict=True)
        try:
            yield _Lines(reader, os.fspath(path), delimiter)
        except csv.Error as error:
            raise ValueError(f"{path}, line {reader.line_num}: not valid CSV ({error}); check its quotes") from None
        except UnicodeDecodeError as error:
            raise ValueError(
                f"{path}, line {reader.line_num + 1} or later: not UTF-8 ({error.reason}); save it as UTF-8, or read "
                "it with pandas.read_csv(path, encoding=...) into a frame for from_frame"
            ) from None


_COMPRESSED = (b"\x1f\x8b", b"PK\x03\x04", b"\xfd7zXZ", b"BZh91A")
"""How files of gzip, zip (also .xlsx), xz and bzip2 begin."""


class _Lines:
    """The records of a CSV file that are not blank, each with the number of its last line."""

    def __init__(self, reader: Any, path: str, delimiter: str) -> None:
        self.path, self.delimiter = path, delimiter
        self._records = ((reader.line_num, record) for record in reader if any(map(str.strip, record)))
        header = next(self._records, None)
        if header is None:
            raise ValueError(f"{path} is empty; needed a first line with the names of the columns")
        self.names = [name.strip() for name in header[1]]

    def __iter__(self) -> Iterator[tuple[int, list[str]]]:
        width = len(self.names)
        for line, record in self._records:
            if len(record) != width:
                raise ValueError(
                    f"{self.path}, line {line}: {len(record)} fields, but the first line names {width} columns; fields "
                    f"are separated by {self.delimiter!r}, text that holds it needs quotes"
                )
            yield line, record


def _read(lines: _Lines, task: str, target: str, features: Sequence[str] | None) -> Block:
    names = lines.names
    what = f"{lines.path}{doubt(names, lines.delimiter)}"
    columns = chosen(names, task, target, features, what)
    numeric = [*columns.features, target]
    at, task_at = [names.index(name) for name in numeric], names.index(task)
    ids: list[str] = []
    parts: list[Floats] = []
    records = iter(lines)
    while chunk := list(islice(records, RECORDS_AT_ONCE)):
        fields = list(zip(*(record for _, record in chunk), strict=True))
        part = np.empty((len(chunk), len(at)))
        for j, (position, name) in enumerate(zip(at, numeric, strict=True)):
            try:
                part[:, j] = _parsed(fields[position], chunk, name, lines.path)
            except ValueError as error:
                text = _text_columns(name, {each: fields[names.index(each)] for each in columns.features})
                fault = str(error).partition("; encode categories")[0] if text else str(error)
                raise ValueError(fault + text) from None
        for (line, _), key in zip(chunk, fields[task_at], strict=True):
            if not key.strip():
                raise ValueError(f"{lines.path}, line {line}: column {task!r} is empty; every row needs a task")
        ids.extend(key.strip() for key in fields[task_at])
        parts.append(part)
    if not parts:
        raise ValueError(f"{lines.path} has no rows below its first line; needed at least one point")
    table = np.concatenate(parts)
    return from_arrays(np.ascontiguousarray(table[:, :-1]), np.ascontiguousarray(table[:, -1]), ids)


def doubt(names: Sequence[str], delimiter: str) -> str:
    """Words for a file of a single column; empty for any other."""
    return f" (one column: is {delimiter!r} the right delimiter?)" if len(names) == 1 else ""


def _parsed(fields: Sequence[str], chunk: list[tuple[int, list[str]]], name: str, path: str) -> Floats:
    try:
        if "_" in "".join(fields):  # Python reads 1_000 as a number
            raise ValueError
        values = np.fromiter(map(float, fields), np.float64, len(fields))
    except ValueError:
        values = np.array([_number(field) for field in fields])
    where = first_nonfinite(values)
    if where is not None:
        line, field = chunk[where[0]][0], fields[where[0]]
        raise ValueError(f"{path}, line {line}, column {name!r}: {_fault(field.strip())}")
    return values


def _number(field: str) -> float:
    word = field.strip().lower()
    if word in ("true", "false"):
        return float(word == "true")
    try:
        return float(field) if "_" not in field else float("nan")
    except ValueError:
        return float("nan")


def _text_columns(name: str, read: Mapping[str, Sequence[str]]) -> str:
    """Words for features that hold text or dates, if one of this name does: what they are, and what is left."""
    text = [each for each, fields in read.items() if _is_text(fields)]
    if name not in text:
        return ""
    left = [each for each in read if each not in text]
    shown = f"column{'s' if len(text) > 1 else ''} {', '.join(map(repr, text))}"
    if not left:
        return f". Text or dates are in {shown}, which are all the features there are: turn them into numbers"
    typed = f", on the command line --features {shlex.quote(','.join(left))}" if "," not in "".join(left) else ""
    return f". Text or dates are in {shown}: turn them into numbers, or leave them out with features={left!r}{typed}"


def _is_text(fields: Sequence[str]) -> bool:
    """Whether most of the fields that are not empty are no numbers, not even infinite ones."""
    filled = [field for field in fields if field.strip()]
    odd = sum(
        np.isnan(_number(field)) and field.strip().lower() not in ("nan", "na", "n/a", "null") for field in filled
    )
    return 2 * odd > len(filled)


def _fault(field: str) -> str:
    """What is wrong with a field that is no number, and what to do."""
    if not field:
        return "nothing stands there; fill or drop the row, or leave the column out of features"
    said = f"{field!r} is not a finite number"
    if re.fullmatch(r"[+-]?[\d.]*,\d+", field):
        return f"{said}; is the comma a decimal one? Write {field.replace('.', '').replace(',', '.')}"
    try:
        float(field)
    except ValueError:
        return f"{said}; encode categories as 0/1 columns, or choose other columns as features (--features)"
    return f"{said}; fill or drop the row, or leave the column out of features"
