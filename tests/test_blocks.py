"""Blocks and tasks: good data of any form gives one, bad data an error that says what to do."""

import copy
import itertools
import math
import pickle
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
from blocks import IDS, SIGNATURE, X, Y, blocks, points_of, same, signature
from hypothesis import given
from hypothesis import strategies as st

from owo.streams import Block, Task, as_blocks, from_arrays, from_tasks

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
        with pytest.raises(ValueError, match=r"together.*grouped\(\)\.offsets"):
            _ = block.offsets
    assert np.array_equal(np.diff(block.grouped().offsets), block.lengths)


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


def test_rows_of_an_open_task_have_offsets_too() -> None:
    part = from_arrays(X, Y, IDS).rows(0, 3)
    assert not part.contiguous and part.offsets.tolist() == [0, 2, 3]
    assert part.grouped() is part and [task.n for task in part.tasks()] == [2, 1]


def test_representations() -> None:
    assert repr(from_arrays(X, Y, IDS)) == "Block(4 points of 2 tasks, d = 2)"
    assert repr(from_arrays(X, Y, ["a", "b", "a", "b"])) == "Block(4 points of 2 tasks, d = 2, mixed or open)"
    assert repr(Task(X[:1], Y[:1])) == "Task(None, 1 point, d = 2)"


def test_no_warning_escapes() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Block(np.full((5000, 3), 1e308), np.full(5000, -1e308), np.zeros(5000, int))
        with pytest.raises(ValueError, match="NaN"):
            Block(np.array([[np.inf], [-np.inf], [np.nan]])[::-1], np.zeros(3), np.zeros(3, int))
