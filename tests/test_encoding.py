"""The encoding: what it does, and that nothing later changes it."""

import dataclasses
import math

import numpy as np
import pytest
from blocks import SIGNATURE, blocks, signature
from hypothesis import given, settings
from hypothesis import strategies as st

from owo.streams import Block, Encoding, from_arrays


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
    # sums of 100 years in another order: the mean to a few roundings, the deviation loses three digits to the mean
    assert encoding.mean == pytest.approx((first.mean(), 0.0, 0.0, 7.0), rel=1e-14)
    assert encoding.scale == pytest.approx((first.std(), 1.0, 1.0, 1.0), rel=1e-12)
    raw = np.column_stack(((rows[:, 0] - first.mean()) / first.std(), rows[:, 1:3], np.zeros(200), np.ones(200)))
    expected = raw / np.linalg.norm(raw, axis=1)[:, None]
    assert np.allclose(encoding.transform(rows), expected, rtol=0, atol=1e-13)  # years lose three digits to their mean
    assert np.allclose(np.linalg.norm(encoding.transform(rows), axis=1), 1.0, rtol=0, atol=1e-15)  # four roundings
    expected = (y - y[:100].mean()) / y[:100].std()
    assert np.allclose(encoding.target(y), expected, rtol=0, atol=1e-13)  # mean and deviation, as above, of order 1
    assert np.allclose(encoding.original(encoding.target(y)), y, rtol=1e-14, atol=0)  # three operations there and back


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


@given(st.integers(0, 50), st.floats(0.01, 0.99), st.booleans())
@settings(max_examples=30)
def test_later_rows_change_nothing_where_tasks_are_mixed(seed: int, fraction: float, classification: bool) -> None:
    mixed = from_arrays(*table()).interleaved(seed)
    rows, y = mixed.X.copy(), mixed.y.copy()
    encoding = Encoding.fit(rows, y, mixed.task, fraction, classification=classification)
    assert encoding.points == max(10, math.ceil(200 * fraction)) and not encoding.whole
    rng = np.random.default_rng(seed)
    rows[encoding.points :] = rng.normal(scale=1e6, size=(200 - encoding.points, 4))
    y[encoding.points :] = rng.normal(scale=1e6, size=200 - encoding.points)
    task = np.where(np.arange(200) < encoding.points, mixed.task, rng.permutation(mixed.task))
    assert Encoding.fit(rows, y, task, fraction, classification=classification) == encoding


def test_first_tasks_are_those_that_come_first() -> None:
    rows, y, task = table()
    names = np.array([f"{97 * k % 40}" for k in range(40)])[task]
    assert Encoding.fit(rows, y, names) == Encoding.fit(rows, y, task)
    alone = Encoding.fit(rows[:50], y[:50], task[:50], 1.0)
    assert Encoding.fit(rows, y, task) == alone and alone.basis == "10 tasks"


def test_of_mixed_tasks_the_first_rows_are_looked_at() -> None:
    rows, y, _ = table()
    days = np.tile(np.arange(40), 5)  # every task goes on to the last day
    encoding = Encoding.fit(rows, y, days)
    alone = Encoding.fit(rows[:20], y[:20], days[:20], 1.0)
    assert encoding == dataclasses.replace(alone, whole=False)
    assert (encoding.basis, encoding.tasks, encoding.points) == ("20 points", 20, 20)


def test_labels_of_classes() -> None:
    rows, y, task = table()
    signs = Encoding.fit(rows, y, task, 1.0, classification=True)
    assert signs.centre == np.median(y) and np.array_equal(signs.target(y), np.where(y > np.median(y), 1.0, -1.0))
    for two in ((-1.0, 1.0), (0.0, 1.0), (1.0, 2.0)):
        labels = np.where(np.arange(len(y)) % 10 < 9, two[1], two[0])  # the median is the greater of the two
        encoding = Encoding.fit(rows, labels, task, classification=True)
        assert np.array_equal(encoding.target(labels) > 0, labels == two[1])
    for only, two in ((1.0, (0.0, 1.0)), (1.0, (-1.0, 1.0)), (0.0, (0.0, 1.0)), (-1.0, (-1.0, 1.0))):
        encoding = Encoding.fit(rows, np.full(len(y), only), task, classification=True)
        assert encoding.target(two).tolist() == [-1.0, 1.0]  # also if at first only one of the two was seen
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
    assert np.allclose(np.linalg.norm(encoding.transform(rows), axis=1), 1.0, rtol=0, atol=1e-15)  # four roundings
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
