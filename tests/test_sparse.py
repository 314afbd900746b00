"""Sparse points: the same numbers as dense ones, on every road, at the cost of their entries."""

from __future__ import annotations

import os
import pathlib

import numpy as np
import pytest
import scipy.sparse
from games import LOSSES, name, tried

import owo
from owo.geometry import Diagonal, Full, Identity, Scalar
from owo.streams import Task, from_arrays
from owo.streams.sparse import SparseRows
from owo.streams.table import OneHot


def problem(seed=0, n=300, d=12, tasks=25, labels="real"):
    """Dense rows with about a quarter of entries, some rows empty; labels; tasks."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) * (rng.random((n, d)) < 0.25)
    y = rng.normal(size=n) if labels == "real" else np.sign(rng.normal(size=n))
    return X, y, np.sort(rng.integers(0, tasks, n))


def make(loss=None, update="task", geometry=None):
    laws = owo.GrowingFTRL(0.5), owo.DualAveraging(0.1)
    return owo.OnlineWithinOnline(loss or owo.Absolute(), *laws, update, geometry=geometry)


@pytest.mark.parametrize("geometry", [Identity(), Scalar(), Diagonal()], ids=name)
@pytest.mark.parametrize("update", ["task", "point"])
@pytest.mark.parametrize("mixed", [False, True])
def test_sparse_points_give_the_numbers_of_dense_ones(geometry, update, mixed):
    X, y, task = problem()
    dense, sparse = from_arrays(X, y, task), from_arrays(scipy.sparse.csr_array(X), y, task)
    if mixed:
        dense, sparse = dense.interleaved(3), sparse.interleaved(3)
    assert isinstance(sparse.X, SparseRows) and np.array_equal(np.asarray(sparse.X), dense.X)
    a, b = make(update=update, geometry=geometry), make(update=update, geometry=geometry)
    ours, theirs = a.run(dense, points=True), b.run(sparse, points=True)
    pairs = [(a.bias, b.bias), (a.metric, b.metric), (ours.losses, theirs.losses)]
    pairs += list(zip(ours.account, theirs.account, strict=True))
    for one, other in pairs:
        assert np.allclose(one, other, rtol=1e-12, atol=1e-12)  # zeros are left out of sums, so these go otherwise
    comparator = owo.hindsight.given_bias(owo.Absolute(), sparse, 0.5, np.ones(12))
    theirs.check(comparator)
    assert np.allclose(comparator.weights, owo.hindsight.given_bias(owo.Absolute(), dense, 0.5, np.ones(12)).weights)


@pytest.mark.parametrize("loss", [loss for i, loss in enumerate(LOSSES) if tried(i, 0)], ids=name)
def test_every_loss_takes_sparse_points(loss):
    X, y, task = problem(labels="signs")
    dense, sparse = from_arrays(X, y, task), from_arrays(scipy.sparse.csr_array(X), y, task)
    ours, theirs = make(loss, "point").run(dense), make(loss, "point").run(sparse)
    assert np.allclose(ours.losses, theirs.losses, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("update", ["task", "point"])
def test_blocks_of_sparse_points_may_be_cut_anywhere(update):
    X, y, task = problem(1)
    block = from_arrays(scipy.sparse.csr_array(X), y, task).interleaved(5)
    whole, pieces, tasks = make(update=update), make(update=update), make(update=update)
    whole.run(block)
    for start in range(0, block.n, 7):
        pieces.run(block.rows(start, min(start + 7, block.n)))
    assert np.array_equal(whole.bias, pieces.bias) and np.array_equal(whole.ledger.losses, pieces.ledger.losses)
    grouped = make(update=update)
    grouped.run(block.grouped())
    tasks.run(list(block.grouped().tasks()))  # gathered into one block again
    assert np.array_equal(grouped.bias, tasks.bias)
    stacked = SparseRows.stacked([block.X[:10], block.X[10:]])
    assert np.array_equal(np.asarray(stacked), np.asarray(block.X))


def test_predicting_and_adapting_take_sparse_points_too():
    X, y, task = problem(2)
    learner = make()
    learner.run(from_arrays(scipy.sparse.coo_matrix(X), y, task))  # other formats are put in order
    rows = scipy.sparse.csr_matrix(X[:9])
    assert np.allclose(learner.predict(rows), learner.predict(X[:9]), atol=1e-14)
    for average in (False, True):
        sparse, dense = learner.adapt(rows, y[:9], average=average), learner.adapt(X[:9], y[:9], average=average)
        assert np.allclose(sparse, dense, atol=1e-14)
    assert learner.learn_one(X[0], y[0], "dense") == pytest.approx(learner.predict(X[:1])[0], rel=1e-12)


def test_one_hot_data_sets_need_not_be_dense():
    table = OneHot(np.array([2, 0, 1]), items=3)
    assert np.array_equal(np.asarray(table.sparse()), np.asarray(table))


def csr(values, columns, starts, d=4):
    return scipy.sparse.csr_matrix((np.array(values), np.array(columns), np.array(starts)), shape=(len(starts) - 1, d))


@pytest.mark.parametrize(
    ("X", "said"),
    [
        (csr([1.0, 2.0], [2, 0], [0, 2]), "column 0 after column 2 in row 0; needed columns that rise"),
        (csr([1.0, 2.0, 3.0], [0, 1, 1], [0, 1, 3]), "column 1 after column 1 in row 1"),
        (csr([1.0, np.nan], [0, 1], [0, 1, 2]), "NaN at row 1, column 1"),
        (csr([1.0, np.inf], [0, 3], [0, 2]), "inf at row 0, column 3"),
        (scipy.sparse.csr_matrix((0, 4)), "needed at least one row"),
    ],
    ids=str,
)
def test_sparse_matrices_that_cannot_be_used_are_refused(X, said):
    learner = make()
    learner.learn_one(np.ones(4), 1.0, "open")
    before = learner.bias
    with pytest.raises(ValueError, match=said):
        learner.run([Task(X, np.ones(X.shape[0]))])
    assert np.array_equal(learner.bias, before) and learner.open_tasks == ["open"]


def test_sparse_points_where_they_have_no_place_are_refused_in_words():
    X, y, task = problem(3)
    rows = scipy.sparse.csr_array(X)
    with pytest.raises(TypeError, match="needs dense points"):
        make(geometry=Full()).run(from_arrays(rows, y, task))
    with pytest.raises(TypeError, match="some tasks have sparse rows"):
        make().run([(rows[:5], y[:5]), (X[:5], y[:5])])
    with pytest.raises(ValueError, match="one label a row"):
        from_arrays(rows, y[:-1], task)
    with pytest.raises(TypeError, match="needed real numbers"):
        from_arrays(rows.astype(complex), y, task)


# ------------------------------------------------------------------------------------------------------- on ratings

FOLDER = os.environ.get("OWO_DATA", "")
needs_folder = pytest.mark.skipif(not FOLDER, reason="OWO_DATA does not name a folder with the data sets")


def ratings(name, rating):
    """Users as tasks, items one-hot beside an intercept, rows of norm 1; centred ratings."""
    with np.load(pathlib.Path(FOLDER) / name, allow_pickle=False) as file:
        user, item, y, items = file["user"], file["item"].astype(np.int64), rating(file), int(file["n_items"])
    columns = np.column_stack((item, np.full(len(item), items))).ravel()
    values, starts = np.full(2 * len(item), np.sqrt(0.5)), 2 * np.arange(len(item) + 1)
    return from_arrays(scipy.sparse.csr_array((values, columns, starts), shape=(len(item), items + 1)), y, user)


def mean_loss(block, inner, outer, update="point", **options):
    learner = owo.OnlineWithinOnline(owo.Absolute(), inner, outer, update, **options)
    return learner.run(block).losses.sum() / block.n


@needs_folder
def test_jokes_are_rated_better_by_who_knows_other_people():
    """Against independent learning with its best strength; the step inside tasks is learned."""
    block = ratings("jester3.npz", lambda file: file["rating_x100"] / 100.0 - np.mean(file["rating_x100"]) / 100.0)
    alone = min(mean_loss(block, owo.GrowingFTRL(s), owo.Frozen()) for s in 10.0 ** np.arange(-2, 1, 0.25))
    together = mean_loss(block, owo.GrowingFTRL(1.0), owo.AdaptiveNorm(10.0), geometry=Scalar())
    assert together < 0.93 * alone


@needs_folder
def test_films_are_rated_better_by_who_knows_other_people():
    """At the same strength; against the best strength for learning alone the gain is 8 %."""
    block = ratings("ml100k.npz", lambda file: file["rating"] - 3.0)
    strengths = 10.0 ** np.arange(-2, 1, 0.25)
    together = mean_loss(block, owo.GrowingFTRL(1.0), owo.DualAveraging(0.1))
    assert together < 0.85 * mean_loss(block, owo.GrowingFTRL(1.0), owo.Frozen())
    assert together < 0.93 * min(mean_loss(block, owo.GrowingFTRL(s), owo.Frozen()) for s in strengths)


@pytest.mark.parametrize("metric", [None, 0.7, np.linspace(0.0, 2.0, 12)], ids=["plain", "scalar", "diagonal"])
@pytest.mark.parametrize("average", [False, True])
@pytest.mark.parametrize("mixed", [False, True])
def test_new_tasks_of_sparse_points_get_the_weights_of_dense_ones(metric, average, mixed):
    """Task by task where points are dense, so that the two have no formula in common."""
    X, y, task = problem()
    task = np.random.default_rng(1).permutation(task) if mixed else task
    sparse = from_arrays(scipy.sparse.csr_array(X), y, task)
    geometry = None if metric is None else owo.geometry.Fixed()
    learner = owo.OnlineWithinOnline(
        owo.Absolute(), owo.GrowingFTRL(0.5), geometry=geometry, bias=np.linspace(-1.0, 1.0, 12), metric=metric
    )
    weights = learner.adapt_each(sparse, average=average)
    for row, key in enumerate(sparse.keys):
        alone = owo.OnlineWithinOnline(
            owo.Absolute(),
            owo.GrowingFTRL(0.5),
            owo.Frozen(),
            "task",
            geometry=geometry,
            bias=learner.bias,
            metric=metric,
        )
        iterates = []
        for x, label in zip(X[task == key], y[task == key], strict=True):
            iterates.append(alone.weights(0))
            alone.learn_one(x, label, 0)
        expected = np.mean(iterates, axis=0) if average else alone.weights(0)
        np.testing.assert_allclose(weights[row], expected, rtol=1e-11, atol=1e-13)
