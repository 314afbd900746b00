"""Arrays with a column of task ids, and tasks that come one by one."""

import itertools
import tracemalloc
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from blocks import COLUMNS, IDS, SIGNATURE, X, Y, same, signature
from hypothesis import given
from hypothesis import strategies as st

from owo.streams import Task, as_blocks, from_arrays, from_tasks

# ----------------------------------------------------------------------------------------------- a column of task ids

IDENTIFIERS = {
    "int": [3, 1, 3, 2],
    "negative": np.array([-3, 1, -3, 2], np.int8),
    "big-endian": np.array([3, 1, 3, 2], ">i8"),
    "bool": np.array([True, False, True, False]),
    "float": np.array([0.5, 1.5, 0.5, 2.0]),
    "str": ["x", "y", "x", "z"],
    "str array": np.array(["x", "y", "x", "z"]),
    "StringDType": np.array(["x", "y", "x", "z"], dtype=np.dtypes.StringDType()),
    "bytes": np.array([b"x", b"y", b"x", b"z"]),
    "datetime64": np.array(["2020-01-01", "2019-01-01", "2020-01-01", "2021-01-01"], "M8[ns]"),
    "date": [date(2020, 1, 1), date(2019, 1, 1), date(2020, 1, 1), date(2021, 1, 1)],
    "tuple": [("x", 1), ("y", 1), ("x", 1), ("x", 2)],
    "mixed": [1, "1", 1, (1,)],
    "object": np.array(["x", 1, "x", None.__class__], dtype=object),
    "pandas": pd.Series(["x", "y", "x", "z"]),
    "category": pd.Series(["x", "y", "x", "z"], dtype="category"),
    "polars": pl.Series(["x", "y", "x", "z"]),
    "arrow": pa.array(["x", "y", "x", "z"]),
    "records": np.array([(1, 2), (1, 3), (1, 2), (2, 2)], dtype="i4,i4"),
}


@pytest.mark.parametrize("kind", IDENTIFIERS)
def test_ids_of_any_kind_number_tasks_in_order_of_appearance(kind: str) -> None:
    ids = IDENTIFIERS[kind]
    block = from_arrays(X, Y, ids)
    assert [block.keys[code] for code in block.task.tolist()] == list(ids.tolist() if isinstance(ids, np.ndarray) and
        ids.dtype.kind not in "M" else ids.to_pylist() if isinstance(ids, pa.Array) else ids)  # fmt: skip
    assert block.task[0] == 0 and np.all(np.diff(np.maximum.accumulate(block.task)) <= 1)
    assert all(hash(key) is not None for key in block.keys)


def test_plain_ids_come_back_as_plain_python() -> None:
    assert [type(key) for key in from_arrays(X, Y, np.array([3, 1, 3, 2])).keys] == [int] * 3
    assert [type(key) for key in from_arrays(X, Y, np.array(["x", "y", "x", "z"])).keys] == [str] * 3


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=40))
def test_arrays_and_lists_of_ids_agree(ids: list[int]) -> None:
    rows, labels = np.zeros((len(ids), 1)), np.zeros(len(ids))
    assert same(from_arrays(rows, labels, ids), from_arrays(rows, labels, np.array(ids)))


@pytest.mark.parametrize(
    ("ids", "error", "message"),
    [
        (IDS[:3], ValueError, r"shape \(3,\); needed one id a row, \(4,\)"),
        (np.array([IDS]), ValueError, r"shape \(1, 4\)"),
        (np.array([1.0, 1.0, np.nan, 2.0]), ValueError, r"missing \(nan\) at row 2"),
        (["a", None, "b", "b"], ValueError, r"missing \(None\) at row 1"),
        (["a", float("nan"), "b", "b"], ValueError, r"missing \(nan\) at row 1"),
        (["a", "a", "b", pd.NA], ValueError, r"missing \(<NA>\) at row 3"),
        (np.array(["2020-01-01", "NaT", "NaT", "NaT"], "M8[D]"), ValueError, "missing .* at row 1"),
        (np.ma.masked_equal([1, 2, 3, 4], 3), ValueError, "masked"),
        (["a", "a", ["b"], "b"], TypeError, "row 2 is a list, which cannot be hashed"),
        ("user", TypeError, "the string 'user'.*from_frame"),
        (7, TypeError, "task is a int; needed one id a row"),
    ],
)
def test_bad_ids_are_refused(ids: object, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        from_arrays(X, Y, ids)


def test_contiguous_can_be_demanded() -> None:
    assert from_arrays(X, Y, IDS, contiguous=True).contiguous
    assert not from_arrays(X, Y, ["a", "b", "a", "b"]).contiguous
    with pytest.raises(ValueError, match=r"task 'a' comes back at row 3 after rows of others.*argsort"):
        from_arrays(X, Y, ["a", "b", "b", "a"], contiguous=True)


# ------------------------------------------------------------------------------------------------------ task by task


@given(st.lists(st.integers(1, 5), min_size=1, max_size=20), st.integers(1, 12))
def test_gathering_keeps_every_task_whole_and_in_order(lengths: list[int], rows: int) -> None:
    rng = np.random.default_rng(0)
    tasks = [Task(rng.normal(size=(n, 2)), rng.normal(size=n), f"t{k}") for k, n in enumerate(lengths)]
    stream = from_tasks(tasks, rows=rows)
    gathered = list(stream)
    assert [task.key for block in gathered for task in block.tasks()] == [task.key for task in tasks]
    for task, other in zip(tasks, (t for block in gathered for t in block.tasks()), strict=True):
        assert np.array_equal(task.X, other.X) and np.array_equal(task.y, other.y)
    assert all(block.contiguous and block.n < rows + 5 and signature(block) == SIGNATURE for block in gathered)
    assert all(block.n >= rows for block in gathered[:-1])
    assert all(same(a, b) for a, b in zip(gathered, stream, strict=True))  # again


def test_gathering_is_lazy() -> None:
    taken = []

    def endless():
        for k in itertools.count():
            taken.append(k)
            yield X, Y

    stream = iter(from_tasks(endless(), rows=20))
    assert taken == []
    assert next(stream).keys == (0, 1, 2, 3, 4)
    assert len(taken) == 5


def test_gathering_needs_bounded_memory() -> None:
    def tasks():
        for _ in range(500):
            yield np.zeros((100, 20)), np.zeros(100)

    tracemalloc.start()
    total = sum(block.n for block in from_tasks(tasks(), rows=2000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total == 50_000
    assert peak < 8 * 20 * 2000 * 4  # of 50,000 rows, the tasks of a block, the block, and a spare one of each


def test_tasks_pairs_and_blocks_mix() -> None:
    whole = from_arrays(X, Y, IDS)
    gathered = list(as_blocks([(X, Y), Task(X, Y), (X, Y, "c"), whole, (X, Y, None)]))
    assert [block.keys for block in gathered] == [(0, 1, "c"), ("a", "b"), (4,)]
    assert gathered[1] is whole


def test_a_key_that_comes_again_is_a_new_task_in_a_new_block() -> None:
    gathered = list(from_tasks([(X, Y, "a"), (X, Y, "b"), (X, Y, "a"), (X, Y, "c")]))
    assert [block.keys for block in gathered] == [("a", "b"), ("a", "c")]


def test_anything_that_can_be_streamed() -> None:
    block = from_arrays(X, Y, IDS)
    assert list(as_blocks(block)) == [block]
    assert [b.keys for b in as_blocks(Task(X, Y, "k"))] == [("k",)]
    assert [b.keys for b in as_blocks(Task(X, Y))] == [(0,)]
    assert [b.n for b in as_blocks((Task(X, Y, 1), Task(X, Y, 2)))] == [8]
    assert [b.n for b in as_blocks(zip([X], [Y], strict=True))] == [4]
    assert list(as_blocks([])) == []


@pytest.mark.parametrize(
    ("stream", "message"),
    [
        (X, r"array of shape \(4, 2\).*from_arrays"),
        ((X, Y), r"bare tuple; pass \[\(X, y\)\]"),
        ((X, Y, IDS), "bare tuple.*from_arrays"),
        ("sales.csv", "from_csv"),
        (Path("sales.csv"), "from_csv"),
        (pd.DataFrame(COLUMNS), "from_frame"),
        (pl.DataFrame(COLUMNS), "from_frame"),
        (pl.LazyFrame(COLUMNS), "from_frame"),
        (COLUMNS, "from_frame"),
        (pd.DataFrame(COLUMNS).groupby("shop"), "a key and a DataFrame, one group of a frame; .*from_frame"),
        (pl.DataFrame(COLUMNS).group_by("shop", maintain_order=True), "a key and a DataFrame, one group.*from_frame"),
        (None, "NoneType; needed a Block, a Task, or an iterable"),
        (3, "int; needed a Block"),
        ([X], r"entry 0 of the stream is a ndarray; needed a Block, a Task"),
        ([(X, Y), [X, Y]], "entry 1 of the stream is a list"),
        ([(X,)], "entry 0 of the stream is a tuple"),
    ],
)
def test_what_cannot_be_streamed_is_told_its_road(stream: object, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        list(as_blocks(stream))


def test_one_d_for_a_whole_stream() -> None:
    with pytest.raises(ValueError, match="task 'b' has d = 1 features, those before it 2"):
        list(from_tasks([(X, Y, "a"), (X[:, :1], Y, "b")]))
    with pytest.raises(ValueError, match="block 1 has d = 1 features, those before it 2"):
        list(as_blocks([from_arrays(X, Y, IDS), from_arrays(X[:, :1], Y, IDS)]))
    with pytest.raises(ValueError, match="rows is 0"):
        from_tasks([], rows=0)
