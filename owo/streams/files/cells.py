"""Cells: a stretch of one column of a file, read as numbers, as ids of tasks or as times.

Where a cell is empty a number is NaN, the code of an id is -1 and a time is marked. What is to be done about it is for
the stream to decide.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from owo.streams.codes import Codes, _numbered_objects, _numbered_values
from owo.streams.columns import _number
from owo.streams.files.packing import number_by_table
from owo.streams.points import Floats

EMPTY_WORDS = frozenset(("", "na", "n/a", "nan", "null", "none"))
"""Text that stands for no value in a column of numbers of a CSV file, in any case."""


SPAN = 1 << 18
"""How far apart integer ids of a few rows may be for a table of all between them; 2 MB."""


class Numbers(NamedTuple):
    """``values`` (n,), NaN where there is none; ``odd``: the rows whose text is no number, which are NaN too."""

    values: Floats
    odd: Codes


class Ids(NamedTuple):
    """``codes`` (n,), numbered by first rows, -1 where there is no id; ``distinct`` (T,), the id of each code."""

    codes: Codes
    distinct: NDArray[Any]


class Times(NamedTuple):
    """``values`` (n,) that can be compared, and ``missing`` (n,), True where there is none; ``odd`` as in Numbers."""

    values: NDArray[Any]
    missing: NDArray[np.bool_]
    odd: Codes


class Cells(Protocol):
    """What a stretch of a column can be asked for."""

    def numbers(self) -> Numbers:
        """The cells as float64."""

    def ids(self) -> Ids:
        """The cells as ids of tasks, or levels of a category."""

    def times(self, text: bool | None) -> Times:
        """The cells as times; ``text``: whether times that came as text are compared so (None: not yet known)."""

    def shown(self, row: int) -> Any:
        """One cell, for a message."""


_NONE = np.empty(0, dtype=np.int64)


def listed(distinct: NDArray[Any]) -> list[Hashable]:
    """Ids as Python objects; dates stay NumPy's, as in ``from_arrays``.

    >>> listed(np.array([3, 1]))
    [3, 1]
    """
    return list(distinct) if distinct.dtype.kind in "mM" else distinct.tolist()


def objects(values: Sequence[Any]) -> NDArray[Any]:
    """A list as an array of Python objects, whatever they are.

    >>> objects(["a", "bb"]).dtype
    dtype('O')
    """
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def without(ids: Ids, gone: NDArray[np.bool_]) -> Ids:
    """The same ids after those marked in ``gone`` (T,) have become missing."""
    left = np.flatnonzero(~gone)
    code = np.full(len(gone) + 1, -1)  # the last entry is for -1
    code[left] = np.arange(len(left))
    return Ids(code[ids.codes], ids.distinct[left])


def _dense(values: NDArray[Any]) -> Ids | None:
    """Integer ids that leave few gaps, numbered by a table of first rows instead of by hashing; else None."""
    n = len(values)
    if not n:
        return None
    low = values.min()
    span = int(values.max()) - int(low) + 1
    if span > max(4 * n, SPAN):
        return None
    at = (values.astype(np.int64) if values.dtype.kind == "i" else values) - low
    codes, first = np.empty((2, n), dtype=np.int64)
    count = number_by_table(at.astype(np.int64), np.full(span, -1), codes, first)
    return Ids(codes, values[first[:count]].astype(values.dtype.newbyteorder("=")))


# ---------------------------------------------------------------------------------------------------- NumPy arrays


class ArrayCells:
    """Cells of a NumPy array (n,)."""

    def __init__(self, values: NDArray[Any]) -> None:
        self._values = values

    def numbers(self) -> Numbers:
        with np.errstate(over="ignore"):
            return Numbers(self._values.astype(np.float64), _NONE)

    def ids(self) -> Ids:
        values = np.asarray(self._values)
        if values.dtype.kind in "iu" and (found := _dense(values)) is not None:
            return found
        codes, keys = _numbered_values(values)
        kind = values.dtype.kind
        distinct = objects(keys) if kind in "US" else np.array(keys, dtype=values.dtype.newbyteorder("="))
        found = Ids(codes, distinct)
        return without(found, distinct != distinct) if kind in "fmM" else found

    def times(self, text: bool | None) -> Times:
        values = np.asarray(self._values)
        missing = values != values if values.dtype.kind in "fmM" else np.zeros(len(values), dtype=np.bool_)
        return Times(values, missing, _NONE)

    def shown(self, row: int) -> Any:
        return self._values[row : row + 1].tolist()[0]


# ------------------------------------------------------------------------------------------------------------ Arrow


class ArrowCells:
    """Cells of a column of an Arrow table."""

    def __init__(self, column: Any) -> None:
        import pyarrow as pa

        self._array = whole(column)
        if not pa.types.is_primitive(self._array.type):  # offsets and indices may point anywhere in a damaged file
            self._array.validate(full=True)
        if pa.types.is_dictionary(self._array.type):
            self._array = self._array.cast(self._array.type.value_type)

    def numbers(self) -> Numbers:
        return Numbers(_floats(self._array), _NONE)

    def ids(self) -> Ids:
        import pyarrow as pa

        array = self._array
        if pa.types.is_integer(array.type) and not array.null_count and (found := _dense(_plain(array))) is not None:
            return found
        if pa.types.is_floating(array.type):
            values = _floats(array) + 0.0  # -0.0 is 0.0
            array = pa.array(values, mask=np.isnan(values))
        encoded = array.dictionary_encode()
        return Ids(_codes(encoded.indices), _distinct(encoded.dictionary))

    def times(self, text: bool | None) -> Times:
        import pyarrow as pa

        array = self._array
        if pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
            texts = array.to_pylist()
            return Times(np.array([each or "" for each in texts], dtype=str), _missing(array), _NONE)
        if pa.types.is_temporal(array.type) or pa.types.is_integer(array.type):
            return Times(_plain(array), _missing(array), _NONE)
        values = _floats(array)
        return Times(values, np.isnan(values), _NONE)

    def shown(self, row: int) -> Any:
        return self._array[row].as_py()


# The module reads Arrow's buffers itself: ``to_numpy`` would load pandas, which takes a second and 60 MB.


def whole(column: Any) -> Any:
    """A column of a table as one array."""
    import pyarrow as pa

    array = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        raise ValueError(f"{column.nbytes:,} bytes of text in {len(column):,} rows; take fewer rows at once")
    return array


def _plain(array: Any) -> NDArray[Any]:
    """The values of an array of numbers, dates or times, read-only; whatever it may be where they are missing."""
    import pyarrow as pa

    types, kind = pa.types, array.type
    array.validate()
    dtype = f"i{kind.bit_width // 8}"
    if types.is_unsigned_integer(kind) or types.is_floating(kind):
        dtype = f"{'f' if types.is_floating(kind) else 'u'}{kind.bit_width // 8}"
    buffer = array.buffers()[1]
    if buffer is None:
        return np.zeros(len(array), dtype=dtype)
    size = kind.bit_width // 8
    values = np.frombuffer(buffer, dtype=dtype, count=len(array), offset=array.offset * size)
    if types.is_timestamp(kind) or types.is_duration(kind):
        return values.view(f"{'M8' if types.is_timestamp(kind) else 'm8'}[{kind.unit}]")
    return values.astype("M8[D]") if types.is_date32(kind) else values


def _missing(array: Any) -> NDArray[np.bool_]:
    """Where an array has no value (n,)."""
    import pyarrow as pa

    bits = array.buffers()[0]
    if pa.types.is_null(array.type) or array.null_count == 0 or bits is None:
        return np.full(len(array), pa.types.is_null(array.type))
    return ~_bits(bits, array.offset, len(array))


def _bits(buffer: Any, start: int, n: int) -> NDArray[np.bool_]:
    first = start // 8
    packed = np.frombuffer(buffer, dtype=np.uint8, count=(start + n + 7) // 8 - first, offset=first)
    return np.unpackbits(packed, bitorder="little")[start % 8 : start % 8 + n].astype(np.bool_)


def _floats(array: Any) -> Floats:
    """The values of an array of numbers as float64, NaN where there are none."""
    import pyarrow as pa

    types = pa.types
    if types.is_null(array.type):
        return np.full(len(array), np.nan)
    if types.is_boolean(array.type):
        array = array.cast(pa.uint8())
    elif types.is_decimal(array.type):
        array = array.cast(pa.float64())
    values: Floats = np.asarray(_plain(array), dtype=np.float64)
    return np.where(_missing(array), np.nan, values) if array.null_count else values


def _codes(indices: Any) -> Codes:
    codes = _plain(indices).astype(np.int64)
    if indices.null_count:
        codes[_missing(indices)] = -1
    return codes


def _distinct(array: Any) -> NDArray[Any]:
    """Ids that are all there, as integers, dates or Python objects."""
    import pyarrow as pa

    types = pa.types
    if types.is_integer(array.type) or types.is_date32(array.type) or types.is_timestamp(array.type):
        return _plain(array)
    return objects(array.to_pylist())


# ------------------------------------------------------------------------------------------------------------- text


class TextCells:
    """Cells of a CSV file, as text; blanks around it do not count."""

    def __init__(self, fields: Sequence[str]) -> None:
        self._fields = fields

    def numbers(self) -> Numbers:
        try:
            if "_" in "".join(self._fields):  # Python reads 1_000 as a number
                raise ValueError
            return Numbers(np.fromiter(map(float, self._fields), np.float64, len(self._fields)), _NONE)
        except ValueError:
            values = np.array([_number(field) for field in self._fields])
        rows = np.flatnonzero(np.isnan(values)).tolist()
        odd = [row for row in rows if self._fields[row].strip().lower() not in EMPTY_WORDS]
        return Numbers(values, np.array(odd, dtype=np.int64))

    def ids(self) -> Ids:
        codes, keys = _numbered_objects(objects([field.strip() for field in self._fields]))
        return without(Ids(codes, objects(keys)), objects(keys) == "")

    def times(self, text: bool | None) -> Times:
        fields = [field.strip() for field in self._fields]
        missing = np.array([field.lower() in EMPTY_WORDS for field in fields], dtype=np.bool_)
        if text is not True:
            values, odd = self.numbers()
            if text is False or not len(odd):
                return Times(values, missing, odd)
        return Times(np.array(fields, dtype=str), missing, _NONE)

    def shown(self, row: int) -> Any:
        return self._fields[row].strip()


class ArrowTextCells:
    """Cells of a CSV file that Arrow holds; says the same as ``TextCells``."""

    def __init__(self, column: Any) -> None:
        self._array = whole(column)

    def numbers(self) -> Numbers:
        import pyarrow as pa
        import pyarrow.compute as pc

        for array in (self._array, None):
            try:
                if array is None:
                    trimmed = pc.utf8_trim_whitespace(self._array)
                    array = pc.if_else(pc.equal(trimmed, ""), pa.scalar(None, pa.string()), trimmed)
                return Numbers(_floats(array.cast(pa.float64())), _NONE)
            except pa.ArrowInvalid:
                continue
        return self._text().numbers()

    def ids(self) -> Ids:
        encoded = self._array.dictionary_encode()
        codes = _codes(encoded.indices)
        texts = encoded.dictionary.to_pylist()
        stripped = [text.strip() for text in texts]
        found = Ids(codes, objects(stripped))
        if stripped != texts:
            again, keys = _numbered_objects(found.distinct)
            found = Ids(again[codes], objects(keys))
        return without(found, found.distinct == "") if "" in stripped else found

    def times(self, text: bool | None) -> Times:
        return self._text().times(text)

    def shown(self, row: int) -> Any:
        return self._array[row].as_py().strip()

    def _text(self) -> TextCells:
        return TextCells(self._array.to_pylist())


def finite(value: Any) -> bool:
    """Whether a value is a number, and not NaN or infinite.

    >>> finite(1), finite(float("nan")), finite("1"), finite(True)
    (True, False, False, False)
    """
    real = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    return real and math.isfinite(value)
