"""Data frames of any library, and CSV files."""

import decimal
import math
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from blocks import COLUMNS, SIGNATURE, X, Y, blocks, same, signature
from hypothesis import given, settings

from owo.streams import Block, from_arrays, from_csv, from_frame

# ----------------------------------------------------------------------------------------------- frames of any library

LIBRARIES = {
    "pandas": pd.DataFrame,
    "pandas, nullable": lambda columns: pd.DataFrame(columns).convert_dtypes(),
    "pandas, Arrow": lambda columns: pd.DataFrame(columns).convert_dtypes(dtype_backend="pyarrow"),
    "polars": lambda columns: pl.DataFrame(columns, strict=False),
    "Arrow": pa.table,
    "Arrow batch": pa.record_batch,
    "mapping": dict,
}


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_frame_of_any_library_equals_its_arrays(library: str) -> None:
    frame = LIBRARIES[library](COLUMNS)
    block = from_frame(frame, task="shop", target="sold")
    rows = np.column_stack((COLUMNS["price"], COLUMNS["open"])).astype(float)
    assert same(block, from_arrays(rows, COLUMNS["sold"], COLUMNS["shop"]))
    assert signature(block) == SIGNATURE
    chosen = from_frame(frame, task="shop", target="price", features=["sold", "open"])
    assert chosen.X[:, 0].tolist() == [9.0, 8.0, 7.0] and chosen.y.tolist() == COLUMNS["price"]


BAD_CELLS = {
    "missing feature": ({"price": [1.5, None, 3.5]}, ValueError, "column 'price' has .*missing|has NaN at row 1"),
    "missing int": ({"sold": [9, None, 7]}, ValueError, "column 'sold' has .*missing|has NaN at row 1"),
    "missing task": ({"shop": ["a", None, "a"]}, ValueError, "column 'shop' has 1 missing values, the first at row 1"),
    "infinity": ({"price": [1.5, 2.5, math.inf]}, ValueError, r"column 'price' has inf at row 2 \(task 'a'\): fill or"),
    "text": ({"price": ["low", "high", "low"]}, TypeError, "column 'price' has dtype .*'low'.*0/1 columns"),
    "date": ({"price": [date(2020, 1, 1)] * 3}, TypeError, "column 'price' has dtype .*needed numbers"),
    "decimal": ({"price": [decimal.Decimal("1.5")] * 3}, TypeError, "column 'price' has dtype .*Cast"),
}


@pytest.mark.parametrize("library", [name for name in LIBRARIES if name != "mapping"])
@pytest.mark.parametrize("case", BAD_CELLS)
def test_bad_cells_name_their_column(library: str, case: str) -> None:
    changed, error, message = BAD_CELLS[case]
    frame = LIBRARIES[library]({**COLUMNS, **changed})
    if case == "decimal" and library == "pandas, nullable":
        frame["price"] = frame["price"].astype(object)
    with pytest.raises(error, match=message):
        from_frame(frame, task="shop", target="sold")


def test_missing_values_are_counted_and_placed() -> None:
    frame = pd.DataFrame({**COLUMNS, "price": [None, 2.0, None]})
    with pytest.raises(
        ValueError, match=r"column 'price' has 2 missing values, the first at row 0 \(task 'a'\): fill or"
    ):
        from_frame(frame, task="shop", target="sold")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"task": "shoop"}, ValueError, r"no column 'shoop'; it has 'shop', .*Did you mean 'shop'\?"),
        ({"target": "sol"}, ValueError, r"Did you mean 'sold'\?"),
        ({"features": ["prices"]}, ValueError, r"no column 'prices'.*Did you mean 'price'\?"),
        ({"features": "price"}, TypeError, r"features is the string 'price'; needed a list"),
        ({"features": []}, ValueError, "at least one feature"),
        ({"features": ["price", "price"]}, ValueError, "'price' is named 2 times"),
        ({"features": ["price", "sold"]}, ValueError, "target 'sold' is among the features"),
        ({"features": ["price", "shop"]}, ValueError, "task column 'shop' is among the features"),
        ({"target": "shop"}, ValueError, "task and target are both 'shop'"),
    ],
)
def test_wrong_names(arguments: dict[str, object], error: type, message: str, tmp_path: Path) -> None:
    names = {"task": "shop", "target": "sold", **arguments}
    path = tmp_path / "sales.csv"
    pd.DataFrame(COLUMNS).astype({"open": int}).to_csv(path, index=False)
    for frame in (pd.DataFrame(COLUMNS), pl.DataFrame(COLUMNS), pa.table(COLUMNS)):
        with pytest.raises(error, match=message):
            from_frame(frame, **names)
    with pytest.raises(error, match=message):
        from_csv(path, **names)


def test_other_faults_of_frames() -> None:
    doubled = pd.DataFrame([["a", 1, 2, 3]], columns=["shop", "price", "price", "sold"])
    with pytest.raises(ValueError, match="has 2 columns 'price'; needed one"):
        from_frame(doubled, task="shop", target="sold")
    with pytest.raises(TypeError, match="needed a pandas or polars DataFrame"):
        from_frame(X, task="shop", target="sold")
    with pytest.raises(TypeError, match=r"pass frame\.collect\(\)"):
        from_frame(pl.LazyFrame(COLUMNS), task="shop", target="sold")
    with pytest.raises(ValueError, match="needed equal lengths"):
        from_frame({**COLUMNS, "price": [1.0]}, task="shop", target="sold")
    with pytest.raises(ValueError, match=r"column 'price' has shape \(3, 2\); needed one number a row"):
        from_frame({**COLUMNS, "price": np.zeros((3, 2))}, task="shop", target="sold")
    with pytest.raises(ValueError, match="no points"):
        from_frame(pd.DataFrame(COLUMNS).astype({"price": float})[:0], task="shop", target="sold")


def test_columns_named_by_numbers() -> None:
    frame = pd.DataFrame(np.column_stack((X, Y, [5, 5, 6, 6])))
    block = from_frame(frame, task=3, target=2)
    assert np.array_equal(block.X, X) and block.keys == (5.0, 6.0)


# --------------------------------------------------------------------------------------------------------------- CSV


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "sales.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


SALES = "shop,price,sold\na,1.5,9\nb,2.5,8\na,3.5,7\n"
VARIANTS = {
    "plain": SALES,
    "BOM": "\ufeff" + SALES,
    "CRLF": SALES.replace("\n", "\r\n"),
    "CR": SALES.replace("\n", "\r"),
    "blank lines": "\n" + SALES.replace("b,", "\n\nb,") + "\n\n  \n",
    "empty fields": SALES + ",,\n",
    "no last newline": SALES.rstrip(),
    "quotes": SALES.replace("a,1.5", '"a","1.5"').replace("price", '"price"'),
    "spaces": SALES.replace(",", " , "),
    "exponents": SALES.replace("1.5", "+15e-1"),
    "saved row index": "\n".join(f"{'' if k == 0 else k},{line}" for k, line in enumerate(SALES.splitlines())),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_csv_file_equals_its_arrays(variant: str, tmp_path: Path) -> None:
    block = from_csv(written(tmp_path, VARIANTS[variant]), task="shop", target="sold")
    assert same(block, from_arrays([[1.5], [2.5], [3.5]], [9.0, 8.0, 7.0], ["a", "b", "a"]))
    assert signature(block) == SIGNATURE


def test_true_and_false_are_numbers_in_files_as_in_frames(tmp_path: Path) -> None:
    path = tmp_path / "open.csv"
    frame = pd.DataFrame(COLUMNS)
    frame.to_csv(path, index=False)
    assert same(from_csv(path, task="shop", target="sold"), from_frame(frame, task="shop", target="sold"))


def test_a_single_column_suggests_no_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"delimiter\?\) has no column 'shop'; it has 'shop;price;sold'$"):
        from_csv(written(tmp_path, SALES.replace(",", ";")), task="shop", target="sold")


def test_csv_ids_stay_text_and_may_hold_anything(tmp_path: Path) -> None:
    path = written(tmp_path, 'id;x;y\n007;1;2\n7;1;2\n"a;\nb";1;2\nZürich;1;2\n')
    assert from_csv(path, task="id", target="y", delimiter=";").keys == ("007", "7", "a;\nb", "Zürich")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty; needed a first line"),
        ("\n\n", "is empty"),
        ("shop,price,sold\n", "no rows below its first line"),
        (SALES.replace("2.5", "cheap"), r"sales\.csv, line 3, column 'price': 'cheap' is not a .*encode categories"),
        (SALES.replace("2.5", '"3,05"'), r"'3,05' is not a finite number; is the comma a decimal one\? Write 3\.05$"),
        (SALES.replace("2.5", '"-1.234,5"'), r"Write -1234\.5$"),
        (SALES.replace("2.5", ""), "line 3, column 'price': nothing stands there"),
        (SALES.replace("2.5", "nan"), "line 3, column 'price': 'nan' is not a finite"),
        (SALES.replace("2.5", "1e999"), "line 3, column 'price': '1e999' is not a finite"),
        (SALES.replace("2.5", "1_0"), "line 3, column 'price': '1_0' is not a finite"),
        (SALES.replace(",8", ",?"), r"line 3, column 'sold': '\?' is not"),
        (SALES.replace("b,", ","), "line 3: column 'shop' is empty"),
        (SALES.replace("b,2.5", "\n\nb,x"), "line 5, column 'price': 'x'"),
        (SALES.replace("b,2.5", '"b\n",x'), "line 4, column 'price': 'x'"),
        (SALES.replace(",8", ""), "line 3: 2 fields, but the first line names 3 columns"),
        (SALES.replace(",8", ",8,1"), "line 3: 4 fields, but the first line names 3 columns"),
        (SALES.replace(",", ";"), r"one column: is ',' the right delimiter\?"),
        (SALES.replace("shop,price,sold\n", ""), "no column 'shop'; it has 'a', '1.5', '9'"),
        (SALES.replace("b,", '"b,'), "not valid CSV"),
        (SALES.replace("b,", '"b"x,'), "line 3: not valid CSV"),
        (SALES.encode().replace(b"b,", b"\xff,"), "not UTF-8"),
        (SALES.encode("utf-16"), r"sales\.csv, line 1 or later: not UTF-8 .*pandas\.read_csv"),
        (b"PK\x03\x04 workbook", r"sales\.csv is compressed; decompress it"),
        (SALES.replace("price", "sold"), "has 2 columns 'sold'"),
    ],
)
def test_faults_of_csv_files_are_placed(text: str | bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        from_csv(written(tmp_path, text), task="shop", target="sold")


def test_csv_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.csv"):
        from_csv(tmp_path / "none.csv", task="shop", target="sold")


def test_csv_longer_than_one_reading(tmp_path: Path) -> None:
    n = 10_500
    body = "".join(f"t{k // 7},{k},{-k}\n" for k in range(n))
    block = from_csv(written(tmp_path, "t,x,y\n" + body), task="t", target="y")
    assert np.array_equal(block.X.ravel(), np.arange(n)) and np.array_equal(block.y, -np.arange(n))
    assert block.n_tasks == n // 7 and block.contiguous
    with pytest.raises(ValueError, match="line 10502, column 'x': 'z'"):
        from_csv(written(tmp_path, "t,x,y\n" + body + "a,z,1\n"), task="t", target="y")


@given(block=blocks())
@settings(max_examples=30)
def test_round_trips_through_frames_and_files(block: Block, tmp_path_factory: pytest.TempPathFactory) -> None:
    columns = {f"x{j}": block.X[:, j] for j in range(block.d)}
    columns |= {"y": block.y, "t": [block.keys[code] for code in block.task.tolist()]}
    frame = pd.DataFrame(columns)
    path = tmp_path_factory.mktemp("trip") / "table.csv"
    frame.to_csv(path, index=False)
    roads = [from_frame(f, task="t", target="y") for f in (frame, pl.from_pandas(frame), pa.Table.from_pandas(frame))]
    assert all(same(other, block) for other in [*roads, from_csv(path, task="t", target="y")])
