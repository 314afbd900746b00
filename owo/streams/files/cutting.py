"""Pieces of a file made into features, labels and tasks, with what is missing raised, skipped or filled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from owo.streams.codes import Codes, in_order
from owo.streams.columns import _fault
from owo.streams.files.cells import Ids, Times, finite, listed
from owo.streams.files.packing import write_columns
from owo.streams.files.pieces import Piece, Source
from owo.streams.points import Floats, first_nonfinite


class Policy(NamedTuple):
    """What is done where a value is missing: rows are skipped, ``fill`` has numbers for features, or it is raised."""

    skips: bool
    fill: Mapping[str, float]
    same: float | None

    def plain(self) -> Any:
        """As it was asked for."""
        return "skip" if self.skips else self.same if self.same is not None else dict(self.fill) or "raise"


def policy_of(missing: Any, features: Sequence[str]) -> Policy:
    """The policy that ``missing`` asks for; raises ``ValueError`` if it is none."""
    if isinstance(missing, str):
        if missing not in ("raise", "skip"):
            raise ValueError(f"missing is {missing!r}; needed 'raise', 'skip', a number, or a mapping of numbers")
        return Policy(missing == "skip", {}, None)
    if finite(missing):
        return Policy(False, dict.fromkeys(features, float(missing)), float(missing))
    if not isinstance(missing, Mapping):
        raise ValueError(f"missing is {missing!r}; needed 'raise', 'skip', a finite number, or a mapping of numbers")
    for name, value in missing.items():
        if name not in features:
            raise ValueError(f"missing has the column {name!r}, which is none of the features; only they can be filled")
        if not finite(value):
            raise ValueError(f"missing[{name!r}] is {value!r}; needed a finite number")
    return Policy(False, {name: float(value) for name, value in missing.items()}, None)


class Counts(NamedTuple):
    """Rows that were left out and values that were filled in, by reason."""

    skipped: Counter[str]
    filled: Counter[str]

    def add(self, more: Counts) -> None:
        """Count these, too."""
        self.skipped.update(more.skipped)
        self.filled.update(more.filled)


class Cut(NamedTuple):
    """The rows of a piece that are kept, as rows of the file, and what is in them."""

    rows: Codes
    X: Floats
    y: Floats
    ids: Ids
    keys: tuple[Hashable, ...]
    times: NDArray[Any] | None
    stop: int
    """The row of the file after the piece."""
    read: int
    counts: Counts


class _Fault(NamedTuple):
    """Rows of one column with something wrong in them, and its columns in X if it is a feature."""

    name: str
    kind: str
    rows: NDArray[np.bool_]
    at: slice | None = None


class Cutter:
    """Makes cuts of pieces; ``columns`` are those it needs, ``names`` those of X."""

    def __init__(
        self,
        source: Source,
        task: str,
        target: str,
        features: Sequence[str],
        time: str | None,
        policy: Policy,
        levels: Mapping[str, Sequence[Hashable]],
    ) -> None:
        self._source, self._policy = source, policy
        self._task, self._target, self._features, self._time = task, target, features, time
        self._levels = {name: {level: k for k, level in enumerate(of)} for name, of in levels.items()}
        self._text_times: bool | None = None
        self.columns = list(dict.fromkeys((task, target, *features, *([] if time is None else [time]))))
        self.names: list[str] = []
        self._at: dict[str, slice] = {}
        for name in features:
            more = [f"{name}={level}" for level in levels[name]] if name in levels else [name]
            self._at[name] = slice(len(self.names), len(self.names) + len(more))
            self.names += more

    def cut(self, piece: Piece) -> Cut:
        """The rows of a piece that are kept; the others, and what is filled in, are counted by reason."""
        counts = Counts(Counter(), Counter())
        with self._source.reading():
            ids = piece.cells(self._task).ids()
            X, y, faults = self._numbers(piece)
            times, of_time = self._times(piece)
        gone = ids.codes < 0
        if gone.any():
            faults.insert(0, _Fault(self._task, "missing", gone))
        faults[1 if gone.any() else 0 : 0] = of_time
        faults = [fault for fault in faults if not self._fill(fault, X, counts.filled)]
        rows = np.arange(piece.start, piece.start + piece.n)
        values = None if times is None else times.values
        if faults:
            if not self._policy.skips:
                self._refuse(faults, piece, ids)
            kept = self._kept(faults, counts.skipped)
            rows, X, y, values = rows[kept], X[kept], y[kept], None if values is None else values[kept]
            ids = _renumbered(ids, kept)
        return Cut(rows, X, y, ids, tuple(listed(ids.distinct)), values, piece.start + piece.n, piece.read, counts)

    # ------------------------------------------------------------------------------------------------------ columns

    def _numbers(self, piece: Piece) -> tuple[Floats, Floats, list[_Fault]]:
        """Features and labels of all rows, and what is wrong in which."""
        faults: list[_Fault] = []
        y, odd = piece.cells(self._target).numbers()
        if not (y.flags.writeable and y.flags.aligned and y.flags.c_contiguous and y.dtype.isnative):
            y = np.array(y, dtype=np.float64)
        table = piece.table(self._features) if piece.table is not None and not self._levels else None
        odd_rows: dict[str, Codes] = {}
        checked = False
        if table is not None:
            with np.errstate(over="ignore"):
                X = np.array(table, dtype=np.float64, order="C")
        else:
            X = np.empty((piece.n, len(self.names)))
            columns = []
            for name in self._features:
                if name in self._levels:
                    faults += self._encode(piece, name, X)
                    continue
                values, odd_rows[name] = piece.cells(name).numbers()
                columns.append(values)
            at = [self._at[name].start for name in self._features if name not in self._levels]
            checked = write_columns(columns, at, X)
        if not checked and first_nonfinite(X) is not None:
            for name in self._features:
                if name not in self._levels:
                    place = self._at[name]
                    faults += _nonfinite(name, X[:, place.start], odd_rows.get(name), place)
        if first_nonfinite(y) is not None:
            faults += _nonfinite(self._target, y, odd)
        order = {name: k for k, name in enumerate(self._features)}
        return X, y, sorted(faults, key=lambda fault: order.get(fault.name, len(order)))

    def _encode(self, piece: Piece, name: str, X: Floats) -> list[_Fault]:
        """Write the 0/1 columns of a column of categories."""
        codes, distinct = piece.cells(name).ids()
        level_of, at = self._levels[name], self._at[name]
        levels = np.array([level_of.get(level, -1) for level in listed(distinct)] + [-2])[codes]
        X[:, at] = 0.0
        known = np.flatnonzero(levels >= 0)
        X[known, at.start + levels[known]] = 1.0
        faults = [_Fault(name, "missing", levels == -2, at), _Fault(name, "not a level", levels == -1, at)]
        return [fault for fault in faults if fault.rows.any()]

    def _times(self, piece: Piece) -> tuple[Times | None, list[_Fault]]:
        if self._time is None:
            return None, []
        times = piece.cells(self._time).times(self._text_times)
        if self._source.texts and self._text_times is None and not times.missing.all():
            self._text_times = times.values.dtype.kind == "U"
        odd = np.zeros(piece.n, dtype=np.bool_)
        odd[times.odd] = True
        faults = [_Fault(self._time, "missing", times.missing), _Fault(self._time, "not a number", odd)]
        return times, [fault for fault in faults if fault.rows.any()]

    # ------------------------------------------------------------------------------------------------------- policy

    def _fill(self, fault: _Fault, X: Floats, filled: Counter[str]) -> bool:
        """Fill in what is missing, if it is of a feature that has a number for it."""
        if fault.at is None or fault.name not in self._policy.fill or fault.kind not in ("missing", "not a level"):
            return False
        X[fault.rows, fault.at] = 0.0 if fault.name in self._levels else self._policy.fill[fault.name]
        filled[f"{fault.name}: {fault.kind}"] += int(np.count_nonzero(fault.rows))
        return True

    def _kept(self, faults: list[_Fault], skipped: Counter[str]) -> NDArray[np.bool_]:
        gone = np.zeros(len(faults[0].rows), dtype=np.bool_)
        for fault in faults:
            new = np.count_nonzero(fault.rows & ~gone)
            if new:
                skipped[f"{fault.name}: {fault.kind}"] += int(new)
            gone |= fault.rows
        return ~gone

    def _refuse(self, faults: list[_Fault], piece: Piece, ids: Ids) -> None:
        """Raise the ``ValueError`` of the first row with a fault."""
        row, fault = min(((int(np.argmax(fault.rows)), fault) for fault in faults), key=lambda pair: pair[0])
        code = int(ids.codes[row])
        of = "" if code < 0 else f" (task {listed(ids.distinct[code : code + 1])[0]!r})"
        shown = piece.cells(fault.name).shown(row)
        raise ValueError(
            f"{self._source.place(piece.start + row)}, column {fault.name!r}{of}: {self._words(fault, shown)}"
        )

    def _words(self, fault: _Fault, shown: Any) -> str:
        feature = fault.at is not None
        cure = "mend it, or leave such rows out with missing='skip'"
        if fault.kind == "missing":
            fill = f", or fill it in with missing={{{fault.name!r}: ...}}" if feature else ""
            said = "nothing stands there" if shown in (None, "") else f"{shown!r} is no value"
            return f"{said}; {cure}{fill}"
        if fault.kind == "not a level":
            return f"{shown!r} is none of the levels; add it to categories[{fault.name!r}], {cure}"
        if fault.kind == "infinite":
            return f"{shown!r} is not a finite number; {cure}"
        said = _fault(shown).partition("; encode")[0]
        encode = f", or encode categories with categories={{{fault.name!r}: 'observe'}}" if feature else ""
        return f"{said}; {cure}{encode}"


def _nonfinite(name: str, values: Floats, odd: Codes | None, at: slice | None = None) -> list[_Fault]:
    text = np.zeros(len(values), dtype=np.bool_)
    text[odd if odd is not None else []] = True
    kinds = {"missing": np.isnan(values) & ~text, "not a number": text, "infinite": np.isinf(values)}
    return [_Fault(name, kind, rows, at) for kind, rows in kinds.items() if rows.any()]


def _renumbered(ids: Ids, kept: NDArray[np.bool_]) -> Ids:
    """The ids of the rows that are kept, numbered by their first rows again."""
    found, codes = np.unique(ids.codes[kept], return_inverse=True)
    codes, order = in_order(codes, tuple(found.tolist()))
    return Ids(codes, ids.distinct[np.array(order, dtype=np.int64)])
