"""Files larger than memory as streams of blocks."""

from __future__ import annotations

import decimal
import json
import math
import os
import secrets
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from blocks import SIGNATURE, signature
from hypothesis import given, settings
from hypothesis import strategies as st

import owo
from owo.streams import Block, FileStream, from_arrays, from_csv, from_file
from owo.streams.files.cells import ArrayCells, ArrowCells
from owo.streams.files.ends import SMALL, LastRows

pa = pytest.importorskip("pyarrow")
from pyarrow import parquet  # noqa: E402

Columns = dict[str, list[Any]]

# ------------------------------------------------------------------------------------------------ one table, any file


def table_of(columns: Columns) -> Any:
    return pa.table({name: pa.array(v) if isinstance(v, np.ndarray) else v for name, v in columns.items()})


def as_parquet(columns: Columns, path: Path, group: int = 4) -> Path:
    parquet.write_table(table_of(columns), path / "t.parquet", row_group_size=group)
    return path / "t.parquet"


def as_ipc(columns: Columns, path: Path, group: int = 4) -> Path:
    table = table_of(columns)
    with pa.ipc.new_file(path / "t.arrow", table.schema) as writer:
        writer.write_table(table, max_chunksize=group)
    return path / "t.arrow"


def as_ipc_stream(columns: Columns, path: Path, group: int = 4) -> Path:
    table = table_of(columns)
    with pa.ipc.new_stream(path / "t.ipc", table.schema) as writer:
        writer.write_table(table, max_chunksize=group)
    return path / "t.ipc"


def as_csv(columns: Columns, path: Path, group: int = 4) -> Path:
    lines = [",".join(columns)]
    lines += [",".join("" if v is None else str(v) for v in row) for row in zip(*columns.values(), strict=True)]
    (path / "t.csv").write_text("\n".join(lines) + "\n")
    return path / "t.csv"


def as_npy(columns: Columns, path: Path, group: int = 4) -> Path:
    folder = path / "t"
    folder.mkdir(exist_ok=True)
    features = [name for name in columns if name not in ("shop", "sold", "day")]
    np.save(folder / "X.npy", np.column_stack([np.array(columns[name], dtype=float) for name in features]))
    for name in set(columns) - set(features):
        np.save(folder / f"{name}.npy", np.array(columns[name]))
    return folder


WRITERS: dict[str, Callable[..., Path]] = {
    "Parquet": as_parquet,
    "IPC": as_ipc,
    "IPC stream": as_ipc_stream,
    "CSV": as_csv,
    "npy": as_npy,
}
every_format = pytest.mark.parametrize("form", WRITERS)


def sales(n: int = 23, tasks: int = 4, seed: int = 0, contiguous: bool = False) -> Columns:
    rng = np.random.default_rng(seed)
    shop = [f"s{k}" for k in rng.integers(0, tasks, n)]
    return {
        "shop": sorted(shop) if contiguous else shop,
        "price": rng.normal(size=n).tolist(),
        "open": rng.integers(0, 9, n).tolist(),
        "sold": rng.normal(size=n).tolist(),
    }


def whole(columns: Columns, features: tuple[str, ...] = ("price", "open")) -> Block:
    X = np.column_stack([np.array(columns[name], dtype=float) for name in features])
    return from_arrays(X, np.array(columns["sold"], dtype=float), list(columns["shop"]))


def rows_of(blocks: Any) -> list[tuple[Any, ...]]:
    """Every row of a stream: its task, point, label and whether the task ends."""
    return [
        (block.keys[code], *x, y, end)
        for block in blocks
        for code, x, y, end in zip(
            block.task.tolist(), block.X.tolist(), block.y.tolist(), block.ends.tolist(), strict=True
        )
    ]


def stream(path: Path, **options: Any) -> FileStream:
    return from_file(path, "shop", "sold", **options)


def right(block: Block) -> bool:
    """What a block made of parts has to be as if it had been checked."""
    again = Block(block.X, block.y, block.task, block.ends, block.keys)
    return (
        signature(block) == SIGNATURE
        and all(array.flags.writeable and array.flags.aligned for array in (block.X, block.y, block.task, block.ends))
        and again.keys == block.keys
        and np.array_equal(again.task, block.task)
        and again.contiguous == block.contiguous
    )


@every_format
@pytest.mark.parametrize("contiguous", [False, True])
@pytest.mark.parametrize("rows", [1, 3, 7, 23, 100])
def test_blocks_of_a_file_are_the_rows_of_its_table(form: str, contiguous: bool, rows: int, tmp_path: Path) -> None:
    columns = sales(contiguous=contiguous)
    blocks = list(stream(WRITERS[form](columns, tmp_path), rows=rows))
    assert [block.n for block in blocks] == [min(rows, 23 - start) for start in range(0, 23, rows)]
    assert rows_of(blocks) == rows_of([whole(columns)])
    assert all(map(right, blocks))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_neither_row_groups_nor_the_cut_change_a_row(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 40))
    columns = sales(n, data.draw(st.integers(1, 9)), seed=n)
    form = data.draw(st.sampled_from(list(WRITERS)))
    rows, group = data.draw(st.integers(1, 45)), data.draw(st.integers(1, 45))
    with tempfile.TemporaryDirectory() as folder:
        made = stream(WRITERS[form](columns, Path(folder), group), rows=rows)
        assert rows_of(made) == rows_of([whole(columns)])
        assert rows_of(made) == rows_of([whole(columns)])  # again from the beginning
        assert made.position == n == made.rows and made.bytes_read == made.size
        start = rows * data.draw(st.integers(0, n // rows))
        assert rows_of(made.from_position(start)) == rows_of([whole(columns)])[start:]


IDS = {
    "int64": [5, 3, 5, 2**60],
    "uint8": np.array([5, 3, 5, 0], dtype=np.uint8),
    "text": ["a", "ü", "a", "b"],
    "dictionary": pa.array(["a", "ü", "a", "b"]).dictionary_encode(),
    "float": [0.5, -0.0, 0.5, 0.0],
    "bool": [True, False, True, True],
    "date": pa.array(np.array(["2020-01-02", "2020-01-01", "2020-01-02", "2020-01-03"], dtype="M8[D]")),
    "large": pa.array(["a", "b", "a", "c"], pa.large_string()),
}


@pytest.mark.parametrize("kind", IDS)
@pytest.mark.parametrize("form", ["Parquet", "IPC"])
def test_ids_of_any_type_name_tasks_across_blocks(kind: str, form: str, tmp_path: Path) -> None:
    ids = IDS[kind]
    columns = {"shop": ids, "price": [1.0, 2.0, 3.0, 4.0], "sold": [0.0, 1.0, 0.0, 1.0]}
    plain = ids.to_pylist() if hasattr(ids, "to_pylist") else list(ids)
    blocks = list(stream(WRITERS[form](columns, tmp_path), rows=2))
    assert rows_of(blocks) == rows_of(
        [from_arrays(np.array([[1.0], [2.0], [3.0], [4.0]]), [0.0, 1.0, 0.0, 1.0], plain)]
    )
    if kind in ("int64", "uint8"):
        assert all(type(key) is int for block in blocks for key in block.keys)


def test_csv_reads_as_from_csv_does(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(
        '\ufeffshop, price ,note,sold\r\n007,+1e1,"a, ""b""\nc",True\r\n\r\n 7 , 2.5,,false\n'
        ' "x, y",1.,z,-0\n"ü",.5,"",3'.encode()
    )
    expected = from_csv(path, task="shop", target="sold", features=["price"])
    for rows in (1, 2, 9):
        assert rows_of(stream(path, features=["price"], rows=rows)) == rows_of([expected])
    assert expected.keys == ("007", "7", "x, y", "ü")


def test_csv_without_arrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    columns = sales()
    columns["open"][3] = None
    path, read = as_csv(columns, tmp_path), as_parquet(columns, tmp_path)
    by_arrow = rows_of(stream(path, rows=4, missing=0.0))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert rows_of(stream(path, rows=4, missing=0.0)) == by_arrow == rows_of(stream(read, rows=4, missing=0.0))


def test_a_table_without_pyarrow_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = as_parquet(sales(), tmp_path)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r'pip install "owo\[io\]"'):
        stream(path)


@pytest.mark.parametrize("chunk", [40, 100, 1 << 20])
def test_chunks_do_not_show_in_csv(chunk: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("owo.streams.files.text.CHUNK", chunk)
    columns = sales(60)
    for k in (10, 11, 40):
        columns["shop"][k] = f'"a, ""{k}""\nb"'
    path = as_csv(columns, tmp_path)
    for text in (
        path.read_text(),
        path.read_text().replace("\n", "\r\n"),
        path.read_text().replace("\ns1", "\n  \n\ns1"),
    ):
        path.write_bytes(text.encode())
        expected = rows_of([from_csv(path, task="shop", target="sold")])
        made = stream(path, rows=7)
        assert rows_of(made) == expected and made.rows == 60
        for start in range(0, 60, 7):
            assert rows_of(made.from_position(start)) == expected[start:]
            assert rows_of(stream(path, rows=7).from_position(start)) == expected[start:]
        lines = text.splitlines(keepends=True)
        line = len(lines) - 3
        lines[line - 1] = lines[line - 1].replace(",", ",x", 1)
        path.write_bytes("".join(lines).encode())
        with pytest.raises(ValueError, match=f"line {line}, column 'price'"):
            list(stream(path, rows=7))
        lines[line - 1] = "s1,2\n"
        path.write_bytes("".join(lines).encode())
        with pytest.raises(ValueError, match=f"line {line}: 2 fields"):
            list(stream(path, rows=7))


def test_a_line_of_delimiters_is_a_row_without_values(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("shop,price,sold\na,1,2\n,,\n\na,3,4\n")
    with pytest.raises(ValueError, match="line 3, column 'shop': nothing stands there"):
        list(stream(tmp_path / "t.csv"))
    made = stream(tmp_path / "t.csv", missing="skip")
    assert sum(block.n for block in made) == 2 and made.skipped == {"shop: missing": 1} and made.position == 3


def test_tabs_and_other_delimiters(tmp_path: Path) -> None:
    for name, delimiter, asked in (("t.tsv", "\t", None), ("t.csv", ";", ";"), ("u.tsv", "|", "|")):
        (tmp_path / name).write_text(delimiter.join(["shop", "price", "sold"]) + "\n" + delimiter.join(["a", "1", "2"]))
        (block,) = stream(tmp_path / name, delimiter=asked)
        assert rows_of([block]) == [("a", 1.0, 2.0, True)]


NUMBERS = {
    "decimal": pa.array([decimal.Decimal("1.50"), decimal.Decimal("-2.25"), None]),
    "bool": pa.array([True, False, None]),
    "uint64": pa.array([1, 2**53, None], pa.uint64()),
    "int8": pa.array([-128, 127, None], pa.int8()),
    "float32": pa.array([0.5, -0.25, None], pa.float32()),
    "float16": pa.array(np.array([0.5, -0.25, np.nan], dtype=np.float16)),
    "nan": pa.array([0.5, -0.25, math.nan]),
}


@pytest.mark.parametrize("kind", NUMBERS)
def test_numbers_of_any_type(kind: str, tmp_path: Path) -> None:
    columns = {"shop": [1, 1, 1], "price": NUMBERS[kind], "sold": NUMBERS[kind].slice(0, 3)}
    for writer in (as_parquet, as_ipc):
        made = stream(writer(columns, tmp_path), missing="skip")
        (block,) = made
        expected = [float(value) for value in NUMBERS[kind].to_pylist()[:2]]
        assert block.X[:, 0].tolist() == block.y.tolist() == expected and made.skipped == {"price: missing": 1}
        assert right(block)


@pytest.mark.parametrize("dtype", [np.float32, ">f8", np.int16, np.bool_])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_of_any_layout(dtype: Any, order: Any, tmp_path: Path) -> None:
    X = np.asarray(np.arange(12).reshape(4, 3) % 5, dtype=dtype, order=order)
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "task.npy", np.array([7, 8, 7, 8], dtype=">i4"))
    y = np.array([0, 1, 1, 0], dtype=dtype)
    np.save(tmp_path / "y.npy", y)
    whole = from_arrays(X, y, [7, 8, 7, 8])
    blocks = list(from_file(tmp_path, rows=3))
    assert rows_of(blocks) == rows_of([whole]) and all(map(right, blocks))
    some = from_arrays(X[:, [2, 0]], y, [7, 8, 7, 8])
    assert rows_of(from_file(tmp_path, rows=3, features=["x2", "x0"])) == rows_of([some])
    np.save(tmp_path / "y.npy", np.arange(5))
    with pytest.raises(ValueError, match=r"y\.npy has 5 entries, X\.npy 4 rows"):
        from_file(tmp_path)


@given(st.lists(st.integers(-3, 4)), st.sampled_from(["i1", "i8", ">i4", "u1", "u8"]), st.integers(0, 2**40))
def test_ids_are_numbered_by_their_first_rows(ids: list[int], kind: str, by: int) -> None:
    scale = by if kind.endswith("i8") else 31 if kind != "u8" else 1
    values = np.array([abs(each) if "u" in kind else each for each in ids], dtype=kind) * np.array(scale, dtype=kind)
    found = ArrayCells(values).ids()
    order = list(dict.fromkeys(values.tolist()))
    assert found.distinct.tolist() == order and found.codes.tolist() == [order.index(v) for v in values.tolist()]


IDS_OF_TASKS = st.one_of(st.none(), st.integers(-2, 20), st.integers(SMALL - 2, SMALL + 2), st.just(2**60))


@given(st.lists(st.lists(IDS_OF_TASKS, max_size=8), max_size=12), st.booleans())
def test_last_rows_are_those_of_all_pieces(pieces: list[list[int | None]], text: bool) -> None:
    last, expected, start = LastRows(), {}, 0
    for piece in pieces:
        array = pa.chunked_array([pa.array(piece, pa.int64())])
        last.add(ArrowCells(array.cast(pa.string()) if text else array).ids(), np.arange(start, start + len(piece)))
        expected.update({each: start + k for k, each in enumerate(piece) if each is not None})
        start += len(piece)
    assert last.sorted().tolist() == sorted(expected.values())


# --------------------------------------------------------------------------------------------------- ends and order


@every_format
@pytest.mark.parametrize("rows", [1, 2, 5, 50])
def test_a_change_of_task_ends_it(form: str, rows: int, tmp_path: Path) -> None:
    columns = sales(contiguous=True)
    blocks = list(stream(WRITERS[form](columns, tmp_path), rows=rows, ends="change"))
    assert rows_of(blocks) == rows_of([whole(columns)])
    assert all(map(right, blocks))


@every_format
def test_no_task_ends(form: str, tmp_path: Path) -> None:
    blocks = list(stream(WRITERS[form](sales(), tmp_path), rows=5, ends="never"))
    assert not any(block.ends.any() for block in blocks) and all(map(right, blocks))


@pytest.mark.parametrize("rows", [1, 2, 3, 10])
def test_a_task_that_comes_back_is_named(rows: int, tmp_path: Path) -> None:
    columns = {"shop": ["a", "a", "b", "b", "a"], "price": [1.0] * 5, "sold": [0.0] * 5}
    for writer, place in ((as_parquet, "row 4"), (as_csv, "line 6")):
        with pytest.raises(ValueError, match=f"{place}: task 'a' comes back"):
            list(stream(writer(columns, tmp_path), rows=rows, ends="change"))


ISO = ["2020-01-01", "2020-03-01", "2020-01-02", "2020-03-01"]
DAYS: dict[str, Any] = {
    "numbers": np.array([1, 5, 2, 5]),
    "text": np.array(ISO),
    "dates": np.array(ISO, dtype="M8[D]"),
    "timestamps": np.array(ISO, dtype="M8[ns]"),
    "floats": np.array([0.5, 2.5, 1.0, 2.5]),
}


@every_format
@pytest.mark.parametrize("kind", DAYS)
@pytest.mark.parametrize("rows", [1, 2, 9])
@pytest.mark.parametrize("ends", ["last", "never"])
def test_times_may_not_decrease_within_a_task(form: str, kind: str, rows: int, ends: str, tmp_path: Path) -> None:
    columns = {"shop": ["a", "b", "a", "b"], "price": [1.0] * 4, "day": DAYS[kind], "sold": [0.0] * 4}
    made = stream(WRITERS[form](columns, tmp_path), time="day", rows=rows, ends=ends)
    assert sum(block.n for block in made) == 4 and made.features in (["price"], ["x0"])
    columns["day"] = DAYS[kind][[2, 1, 0, 3]]
    place = "line 4" if form == "CSV" else "row 2"
    with pytest.raises(ValueError, match=rf"{place}, column 'day' \(task 'a'\): .* comes after .*DuckDB.*BY shop, day"):
        list(stream(WRITERS[form](columns, tmp_path), time="day", rows=rows, ends=ends))


def test_a_time_of_a_task_that_has_ended_is_forgotten(tmp_path: Path) -> None:
    columns = {"shop": ["a", "a", "b"], "price": [1.0] * 3, "day": [1, 2, 0], "sold": [0.0] * 3}
    for ends in ("last", "change"):
        made = stream(as_parquet(columns, tmp_path), time="day", rows=1, ends=ends)
        order = made._order()
        made._order = lambda order=order: order  # type: ignore[method-assign]
        assert [block.n for block in made] == [1, 1, 1]
        assert order is not None and not order._latest


# ---------------------------------------------------------------------------------------------------- missing values


def holes(columns: Columns) -> Columns:
    columns = {name: list(values) for name, values in columns.items()}
    columns["price"][2], columns["price"][9], columns["sold"][9] = None, math.nan, None
    columns["price"][11] = math.inf
    columns["shop"][4], columns["shop"][22] = None, None
    return columns


MISSING_FORMS = ["Parquet", "IPC", "IPC stream", "CSV"]


@pytest.mark.parametrize("form", MISSING_FORMS)
@pytest.mark.parametrize("rows", [1, 4, 40])
@pytest.mark.parametrize("ends", ["last", "change"])
def test_rows_are_skipped_and_counted(form: str, rows: int, ends: str, tmp_path: Path) -> None:
    columns = holes(sales(contiguous=True))
    kept = [k for k in range(23) if k not in (2, 4, 9, 11, 22)]
    made = stream(WRITERS[form](columns, tmp_path), missing="skip", rows=rows, ends=ends)
    left = {name: [values[k] for k in kept] for name, values in columns.items()}
    blocks = list(made)
    assert rows_of(blocks) == rows_of([whole(left)]) and all(map(right, blocks))
    expected = {"price: missing": 2, "price: infinite": 1, "shop: missing": 2}
    assert dict(made.skipped) == expected and made.position == 23
    assert list(made) and dict(made.skipped) == expected
    assert rows_of(made.from_position(min(rows, 23))) == rows_of([whole(left)])[sum(k < rows for k in kept) :]


def test_a_task_ends_at_its_last_row_that_is_kept(tmp_path: Path) -> None:
    columns = {"shop": ["a", "b", "c", "a"], "price": [1.0, 2.0, None, None], "sold": [0.0] * 4}
    for writer in (as_parquet, as_csv):
        blocks = list(stream(writer(columns, tmp_path), missing="skip", rows=2))
        assert [(block.keys, block.ends.tolist()) for block in blocks] == [(("a", "b"), [True, True])]


@pytest.mark.parametrize("form", MISSING_FORMS)
@pytest.mark.parametrize("rows", [2, 50])
def test_features_are_filled_and_counted(form: str, rows: int, tmp_path: Path) -> None:
    columns = sales()
    columns["price"][2] = columns["price"][7] = columns["open"][7] = None
    path = WRITERS[form](columns, tmp_path)
    filled = {**columns, "price": [1.5 if v is None else v for v in columns["price"]]}
    filled["open"] = [1.5 if v is None else v for v in columns["open"]]
    made = stream(path, missing=1.5, rows=rows)
    assert rows_of(made) == rows_of([whole(filled)]) and dict(made.filled) == {"price: missing": 2, "open: missing": 1}
    with pytest.raises(ValueError, match=r"column 'open'.*nothing stands there.*missing="):
        list(stream(path, missing={"price": 1.5}, rows=rows))


@pytest.mark.parametrize("form", MISSING_FORMS)
@pytest.mark.parametrize("ends", ["last", "never"])
@pytest.mark.parametrize(
    ("row", "name", "value", "words"),
    [
        (7, "price", None, r"column 'price' \(task 's\d'\): nothing stands there; .*missing='skip'.*missing={'price'"),
        (7, "price", math.inf, r"column 'price' \(task 's\d'\): .*inf.* is not a finite number"),
        (8, "sold", None, r"column 'sold' \(task 's\d'\): nothing stands there; .*missing='skip'$"),
        (0, "shop", None, "column 'shop': nothing stands there"),
        (22, "open", None, r"column 'open' \(task 's\d'\)"),
    ],
)
def test_the_first_bad_value_is_placed(
    form: str, ends: str, row: int, name: str, value: float | None, words: str, tmp_path: Path
) -> None:
    columns = sales()
    columns[name][row] = value
    path = WRITERS[form](columns, tmp_path)
    place = f"{path}, line {row + 2}, " if form == "CSV" else f"{path}, row {row}, "
    with pytest.raises(ValueError, match=place + words):
        list(stream(path, rows=5, ends=ends))


def test_text_in_a_column_of_numbers(tmp_path: Path) -> None:
    columns = sales()
    columns["price"][7] = "low"
    columns["price"][8] = "1_000"
    path = as_csv(columns, tmp_path)
    with pytest.raises(ValueError, match=r"line 9, column 'price' \(task .*'low' is not a finite number.*categories="):
        list(stream(path, rows=5))
    made = stream(path, rows=5, missing="skip")
    assert sum(block.n for block in made) == 21 and dict(made.skipped) == {"price: not a number": 2}
    with pytest.raises(ValueError, match="'low' is not a finite"):
        list(stream(path, rows=5, missing=0.0))  # what is there but no number is not filled


def test_npy_rows_are_skipped(tmp_path: Path) -> None:
    columns = sales()
    columns["price"][3], columns["sold"][5] = math.nan, math.inf
    path = as_npy(columns, tmp_path)
    made = stream(path, missing="skip", rows=4)
    assert sum(block.n for block in made) == 21 and dict(made.skipped) == {"x0: missing": 1, "sold: infinite": 1}
    with pytest.raises(ValueError, match=r"row 3, column 'x0' \(task 's\d'\)"):
        list(stream(path))


@pytest.mark.parametrize("missing", ["drop", math.nan, True, {"cost": 1.0}, {"price": "x"}, {"sold": 1.0}, None])
def test_a_policy_that_is_none_is_refused(missing: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="missing"):
        stream(as_parquet(sales(), tmp_path), missing=missing)


# -------------------------------------------------------------------------------------------------------- categories

WEEK = ["tue", "mon", "tue", "wed", "mon"]


@pytest.mark.parametrize("form", MISSING_FORMS)
@pytest.mark.parametrize("given", [["mon", "tue", "wed"], "observe"])
@pytest.mark.parametrize("rows", [2, 9])
def test_a_column_a_level(form: str, given: Any, rows: int, tmp_path: Path) -> None:
    columns = {"shop": list("ababa"), "day": WEEK, "price": [1.0, 2.0, 3.0, 4.0, 5.0], "sold": [0.0] * 5}
    made = stream(WRITERS[form](columns, tmp_path), categories={"day": given}, rows=rows)
    levels = ["tue", "mon", "wed"] if given == "observe" else given
    assert made.features == [*(f"day={level}" for level in levels), "price"] and made.d == 4
    X = [[float(day == level) for level in levels] + [price] for day, price in zip(WEEK, columns["price"], strict=True)]
    assert rows_of(made) == rows_of([from_arrays(X, columns["sold"], columns["shop"])])
    assert all(map(right, made))


def test_levels_of_a_dictionary_column_and_of_numbers(tmp_path: Path) -> None:
    columns = {
        "shop": list("ababa"),
        "day": pa.array(WEEK).dictionary_encode(),
        "code": [3, 1, 3, 1, 1],
        "sold": [0.0] * 5,
    }
    for writer in (as_parquet, as_ipc):
        made = stream(writer(columns, tmp_path), categories={"day": "observe", "code": [1, 3]}, rows=2)
        assert made.features == ["day=tue", "day=mon", "day=wed", "code=1", "code=3"]
        assert next(iter(made)).X.tolist() == [[1, 0, 0, 0, 1], [0, 1, 0, 1, 0]]


def test_a_value_that_is_no_level(tmp_path: Path) -> None:
    columns = {"shop": list("ababa"), "day": [*WEEK[:4], None], "sold": [0.0] * 5}
    for writer, place in ((as_parquet, "row 3"), (as_csv, "line 5")):
        path = writer(columns, tmp_path)
        given = {"day": ["mon", "tue"]}
        with pytest.raises(ValueError, match=rf"{place}, column 'day' \(task 'b'\): 'wed' is none of the levels"):
            list(stream(path, categories=given))
        made = stream(path, categories=given, missing="skip")
        assert sum(block.n for block in made) == 3
        assert dict(made.skipped) == {"day: not a level": 1, "day: missing": 1}
        made = stream(path, categories=given, missing=7.0)
        (block,) = made
        assert block.X[3:].tolist() == [[0, 0], [0, 0]]
        assert dict(made.filled) == {"day: not a level": 1, "day: missing": 1}


def test_categories_that_are_none(tmp_path: Path) -> None:
    n = 1001
    columns = {"shop": ["a"] * n, "name": [f"n{k}" for k in range(n)], "price": [1.0] * n, "sold": [0.0] * n}
    path = as_parquet(columns, tmp_path, 100)
    with pytest.raises(TypeError, match=r"column 'name' is of type string.*categories={'name': 'observe'}"):
        stream(path)
    with pytest.raises(ValueError, match="more than 1,000 levels"):
        stream(path, categories={"name": "observe"}).prepare()
    for categories in (
        {"name": ["n0"], "nome": ["a"]},
        {"name": []},
        {"name": ["a", "a"]},
        {"name": "a"},
        {"name": [None]},
    ):
        with pytest.raises(ValueError, match="categories"):
            stream(path, categories=categories)


# ----------------------------------------------------------------------------------------------- resuming, counting


@every_format
@pytest.mark.parametrize("ends", ["last", "change", "never"])
def test_a_stream_begins_at_any_block(form: str, ends: str, tmp_path: Path) -> None:
    columns = sales(contiguous=True)
    path = WRITERS[form](columns, tmp_path)
    blocks = list(stream(path, rows=4, ends=ends))
    positions = []
    made = stream(path, rows=4, ends=ends)
    for _ in made:
        positions.append(made.position)
    assert positions == [4, 8, 12, 16, 20, 23]
    for k, start in enumerate([0, *positions]):
        assert rows_of(stream(path, rows=4, ends=ends).from_position(start)) == rows_of(blocks[k:])
        assert rows_of(made.from_position(start)) == rows_of(blocks[k:])


@every_format
def test_a_position_between_blocks_is_refused(form: str, tmp_path: Path) -> None:
    path = WRITERS[form](sales(), tmp_path)
    for position in (5, 24, 40, -4, 1.5, True):
        with pytest.raises(ValueError, match=r"position is|has 23 rows"):
            list(stream(path, rows=4).from_position(position))
        with pytest.raises(ValueError, match=r"position is|has 23 rows"):
            list(stream(path, rows=4, ends="never").from_position(position))


def test_two_iterations_are_independent(tmp_path: Path) -> None:
    made = stream(as_parquet(sales(), tmp_path), rows=4)
    pairs = list(zip(made, made, strict=True))
    assert rows_of(a for a, _ in pairs) == rows_of(b for _, b in pairs) == rows_of([whole(sales())])


@every_format
def test_a_stream_that_is_left_early_leaves_nothing_open(form: str, tmp_path: Path) -> None:
    made = stream(WRITERS[form](sales(300), tmp_path), rows=7)
    for k in range(20):
        blocks = iter(made)
        for _ in range(k):
            next(blocks)
        del blocks
    assert not any("ThreadPool" in each.name for each in threading.enumerate())
    assert rows_of(made) == rows_of([whole(sales(300))])


@every_format
def test_progress_grows_to_the_size(form: str, tmp_path: Path) -> None:
    made = stream(WRITERS[form](sales(300), tmp_path), rows=40)
    seen: list[tuple[int, int]] = []
    made.prepare(lambda read, size: seen.append((read, size)))
    assert seen and all(0 < read <= size == made.size for read, size in seen)
    reads = [made.bytes_read for _ in made]
    assert reads == sorted(reads) and 0 < reads[0] <= reads[-1] <= made.size == made.bytes_read


@every_format
def test_identity_tells_files_and_options_apart(form: str, tmp_path: Path) -> None:
    path = WRITERS[form](sales(), tmp_path)
    made = stream(path, rows=4)
    identity = made.identity()
    assert json.loads(json.dumps(identity)) == identity == stream(path, rows=4).identity()
    assert identity["size"] == made.size and identity["rows"] == 4 and identity["ends"] == "last"
    others = [stream(path, rows=5), stream(path, rows=4, missing="skip"), stream(path, rows=4, ends="never")]
    others.append(stream(WRITERS[form](sales(seed=1), tmp_path), rows=4))
    assert all(other.identity() != identity for other in others)


class Alive:
    """How many blocks of a stream are in memory, at most."""

    def __init__(self, blocks: FileStream) -> None:
        self._blocks, self.most = blocks, 0

    def __iter__(self) -> Iterator[Block]:
        arrays: list[weakref.ref[Any]] = []
        for block in self._blocks:
            arrays.append(weakref.ref(block.X))
            self.most = max(self.most, sum(ref() is not None for ref in arrays))
            yield block


@every_format
@pytest.mark.parametrize("ends", ["last", "change"])
def test_few_blocks_are_in_memory_and_the_ledger_is_the_same(form: str, ends: str, tmp_path: Path) -> None:
    columns = sales(300, 20, contiguous=ends == "change")
    alive = Alive(stream(WRITERS[form](columns, tmp_path, 50), rows=16, ends=ends))
    block = whole(columns)
    learner, other = (owo.OnlineWithinOnline(owo.Absolute()) for _ in range(2))
    ledger, expected = learner.run(alive), other.run(block)
    assert alive.most <= 3
    assert list(ledger.keys) == list(expected.keys)
    assert np.array_equal(ledger.losses, expected.losses) and np.array_equal(learner.bias, other.bias)


def test_a_learner_goes_on_where_it_was(tmp_path: Path) -> None:
    columns = sales(100, 9)
    made = stream(as_parquet(columns, tmp_path, 30), rows=16)
    whole, parts = owo.OnlineWithinOnline(owo.Absolute()), owo.OnlineWithinOnline(owo.Absolute())
    expected = whole.run(made)
    for _ in (parts.run([block]) for block in made):
        if made.position == 48:
            break
    ledger = parts.run(stream(as_parquet(columns, tmp_path, 30), rows=16).from_position(made.position))
    assert np.array_equal(ledger.losses, expected.losses) and np.array_equal(parts.bias, whole.bias)


def test_times_of_csv_are_numbers_or_text_by_the_first_block(tmp_path: Path) -> None:
    columns = {"shop": ["a"] * 4, "price": [1.0] * 4, "day": ["9", "10", "x", ""], "sold": [0.0] * 4}
    path = as_csv(columns, tmp_path)
    made = stream(path, time="day", rows=2, missing="skip")
    assert sum(block.n for block in made) == 2
    assert made.skipped == {"day: not a number": 1, "day: missing": 1}
    with pytest.raises(ValueError, match=r"line 4, column 'day' \(task 'a'\): 'x' is not a finite number"):
        list(stream(path, time="day", rows=2))
    with pytest.raises(ValueError, match=r"line 3, column 'day' \(task 'a'\): 10 comes after 9"):
        list(stream(path, time="day", rows=4, missing="skip"))  # 'x' in the first block: all are text


# ------------------------------------------------------------------------------------------------------------ damage


@every_format
def test_a_column_that_is_not_there(form: str, tmp_path: Path) -> None:
    path = WRITERS[form](sales(), tmp_path)
    if form != "npy":
        with pytest.raises(ValueError, match=r"no column 'shops'.*Did you mean 'shop'"):
            from_file(path, "shops", "sold")
        with pytest.raises(ValueError, match="no column 'days'"):
            stream(path, time="days")
    with pytest.raises(ValueError, match="no column 'cost'"):
        stream(path, features=["cost"])
    with pytest.raises((ValueError, FileNotFoundError), match="both 'shop'"):
        from_file(path, "shop", "shop")


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.parquet"):
        stream(tmp_path / "none.parquet")
    (tmp_path / "t.txt").write_text("a,b")
    with pytest.raises(ValueError, match=r"'\.txt'; needed \.parquet"):
        stream(tmp_path / "t.txt")
    with pytest.raises(FileNotFoundError, match=r"shop\.npy|X\.npy"):
        stream(tmp_path)
    for name in ("t.parquet", "t.arrow", "t.csv"):
        for content in (b"", b"nonsense", b"PAR1", b"ARROW1\0\0"):
            (tmp_path / name).write_bytes(content)
            with pytest.raises(ValueError, match=name):
                list(stream(tmp_path / name))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"shop,price,sold\na,1,2\na,1\n", "line 3: 2 fields"),
        (b"shop,price,sold\na,1,2\n\na,1,2,3\n", "line 4: 4 fields"),
        (b"shop,price,sold\na,1,2\n\xff,1,2\n", "line 3: not UTF-8"),
        (b'shop,price,sold\na,1,2\n"a,1,2\n', "line 3: not valid CSV"),
        (b"shop,price,sold\n", "has no rows"),
        (b"shop;price;sold\na;1;2\n", "is ',' the right delimiter"),
        (b"\x1f\x8b123456", "compressed"),
        (b"shop,price,sold\na,1,2\nb,,2\n", r"line 3, column 'price' \(task 'b'\): nothing stands there"),
    ],
)
@pytest.mark.parametrize("ends", ["last", "never"])
def test_a_damaged_csv_file_is_placed(text: bytes, words: str, ends: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(text)
    with pytest.raises(ValueError, match=words):
        list(stream(tmp_path / "t.csv", ends=ends))


def test_options_that_are_none(tmp_path: Path) -> None:
    path = as_parquet(sales(), tmp_path)
    for options in ({"ends": "first"}, {"rows": 0}, {"rows": 2.5}, {"rows": True}):
        with pytest.raises(ValueError, match=next(iter(options))):
            stream(path, **options)


def test_lists_are_no_columns(tmp_path: Path) -> None:
    columns = {"shop": [[1], [2]], "price": [1.0, 2.0], "sold": [0.0, 1.0], "pair": [{"a": 1}, {"a": 2}]}
    with pytest.raises(TypeError, match="column 'pair' is of type struct"):
        stream(as_parquet(columns, tmp_path))
    with pytest.raises(TypeError, match="column 'shop' is of type list"):
        stream(as_parquet(columns, tmp_path), features=["price"])
    columns["shop"] = [1, 2]
    with pytest.raises(TypeError, match="column 'pair' is of type struct"):
        stream(as_parquet(columns, tmp_path), time="pair")


def test_damage_of_any_kind_is_refused_or_read(tmp_path: Path) -> None:
    """In a process of its own, because a reader of damaged files could end it."""
    seconds = float(os.environ.get("OWO_FUZZ_SECONDS", "4"))
    seed = secrets.randbits(30) if "OWO_FUZZ_SECONDS" in os.environ else 1
    program = Path(__file__).with_name("fuzz_files.py")
    root = str(Path(owo.__file__).parents[1])
    run = subprocess.run(
        [sys.executable, "-X", "faulthandler", str(program), str(tmp_path), str(seed), str(seconds)],
        env={**os.environ, "PYTHONPATH": root},
        capture_output=True,
        text=True,
        timeout=seconds + 120,
    )
    assert run.returncode == 0, f"seed {seed}, the file is in {tmp_path}\n{run.stderr[-3000:]}"
    files, refused, grown = map(float, run.stdout.split())
    assert 0 < refused < files and grown < 50.0


def test_an_encoded_stream_is_taken_up_and_one_without_a_position_is_not(tmp_path: Path) -> None:
    plain = stream(as_parquet(sales(200), tmp_path), rows=50, missing="skip")
    encoding = plain.fit_encoding()
    assert encoding.points == 20 and not encoding.whole
    encoded = plain.encoded(encoding)
    assert encoded.d == plain.d + 1 and plain.encoded(plain.fit_encoding(classification=True)).d == encoded.d
    for raw, block in zip(plain, encoded, strict=True):
        np.testing.assert_array_equal(encoding.transform(raw.X), block.X)
    one, whole = (owo.OnlineWithinOnline(owo.Absolute()) for _ in range(2))
    whole.run(encoded)
    with pytest.raises(ZeroDivisionError):
        one.run(encoded, progress=lambda points, _: points < 100 or 1 / 0)
    one.run(one.rest_of(encoded))
    np.testing.assert_array_equal(one.bias, whole.bias)
    with pytest.raises(ValueError, match="into another stream: encoding was"):
        one.rest_of(plain)
    lost = owo.OnlineWithinOnline(owo.Absolute())
    lost.run(encoding.block(block) for block in plain)
    with pytest.raises(ValueError, match="the learner has met 200 points, and does not know where in a file"):
        lost.rest_of(plain)
    with pytest.raises(ValueError, match="the time column 'price' is among the features"):
        stream(tmp_path / "t.parquet", features=["price"], time="price")
    with pytest.raises(FileNotFoundError, match="there is no such folder; make it first"):
        lost.run(plain, autosave=tmp_path / "nowhere" / "x.owo")


def test_what_was_skipped_before_counts_when_a_stream_is_taken_up(tmp_path: Path) -> None:
    columns = sales(200)
    columns["price"][3::20] = [None] * len(columns["price"][3::20])
    one = owo.OnlineWithinOnline(owo.Absolute())
    part = stream(as_parquet(columns, tmp_path), rows=50, missing="skip")
    with pytest.raises(ZeroDivisionError):
        one.run(part, progress=lambda points, _: points < 90 or 1 / 0)
    rest = one.rest_of(part)
    one.run(rest)
    assert rest.skipped == {"price: missing": 10} and one.points_met == 190


def test_a_stream_that_is_at_its_end_teaches_nothing_more(tmp_path: Path) -> None:
    whole = stream(as_parquet(sales(), tmp_path))
    one = owo.OnlineWithinOnline(owo.Absolute())
    before = len(one.run(whole))
    assert len(one.run(one.rest_of(whole))) == before
    fresh = owo.OnlineWithinOnline(owo.Hinge())
    with pytest.raises(ValueError, match="no point of the stream could be learned"):
        fresh.run(whole, bad="skip")
    with pytest.raises(ValueError, match="no point of the stream could be learned"):
        owo.OnlineWithinOnline(owo.Absolute()).run(whole.from_position(whole.rows or 0))
