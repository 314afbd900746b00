"""scikit-learn's own checks, and tasks: beside X, or as a column of it, in pipelines, searches and cross-validation."""

import numpy as np
import pytest

import owo

sklearn = pytest.importorskip("sklearn")

from sklearn.base import clone  # noqa: E402
from sklearn.datasets import load_iris  # noqa: E402
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import FunctionTransformer, StandardScaler  # noqa: E402
from sklearn.utils.estimator_checks import parametrize_with_checks  # noqa: E402

from owo.sklearn import ONE, OWOClassifier, OWOQuantileRegressor, OWORegressor  # noqa: E402

KINDS = [OWORegressor, OWOQuantileRegressor, OWOClassifier]


@parametrize_with_checks([*(kind() for kind in KINDS), OWOClassifier("hinge"), OWORegressor(owo.Huber(1.0), passes=2)])
def test_it_is_an_estimator(estimator, check):
    check(estimator)


def table(seed=0, tasks=60, points=12, d=4, *, signs=False):
    """X, y and tasks that have much in common, mixed."""
    rng = np.random.default_rng(seed)
    task = rng.permutation(np.repeat(np.arange(tasks), points))
    X = 10.0 + 3.0 * rng.normal(size=(len(task), d))
    w = np.arange(1.0, d + 1.0) + 0.5 * rng.normal(size=(tasks, d))
    y = np.einsum("ij,ij->i", X - 10.0, w[task]) + 0.3 * rng.normal(size=len(task)) + 100.0
    return X, np.where(y > 100.0, "up", "down") if signs else y, np.array([f"shop {k}" for k in task])


@pytest.mark.parametrize("kind", KINDS)
def test_tasks_beside_the_table_and_in_it_are_the_same(kind):
    X, y, tasks = table(signs=kind is OWOClassifier)
    codes = np.array([int(each.split()[1]) for each in tasks])
    beside = kind().fit(X, y, tasks=codes)
    within = kind(task_column=2).fit(np.insert(X, 2, codes, axis=1), y)
    np.testing.assert_array_equal(beside.bias_, within.bias_)
    np.testing.assert_array_equal(beside.predict(X, tasks=codes), within.predict(np.insert(X, 2, codes, axis=1)))
    assert beside.score(X, y, tasks=codes) == within.score(np.insert(X, 2, codes, axis=1), y) > 0.5


def test_columns_of_a_frame_have_names():
    pandas = pytest.importorskip("pandas")
    X, y, tasks = table()
    frame = pandas.DataFrame(X, columns=list("abcd")).assign(shop=tasks)
    model = OWORegressor(task_column="shop").fit(frame, y)
    assert model.feature_names_in_.tolist() == list("abcd") and set(model.learner_.open_tasks) == set(tasks)
    np.testing.assert_allclose(model.predict(frame), OWORegressor().fit(X, y, tasks).predict(X, tasks), rtol=1e-9)
    with pytest.raises(ValueError, match="no column 'shop'"):
        model.predict(frame.drop(columns="shop"))


def test_it_is_the_learner_of_this_library():
    X, y, tasks = table()
    model = OWORegressor(standardize=False).fit(X, y, tasks)
    rows = np.column_stack([X, np.ones(len(X))]) / np.sqrt(5.0)
    learner = owo.OnlineWithinOnline(owo.Absolute())
    for x, label, task in zip(rows, y.tolist(), tasks.tolist(), strict=True):
        learner.learn_one(x, label, task)
    np.testing.assert_allclose(model.bias_, learner.bias, rtol=1e-9)
    for task in ("shop 3", "shop 7"):
        rows_of = tasks == task
        expected = learner.predict(rows[rows_of], task)
        np.testing.assert_allclose(model.predict(X[rows_of], tasks=tasks[rows_of]), expected, rtol=1e-9)
    new = model.predict(X[:3], tasks=["nobody", "shop 3", "nobody"])
    np.testing.assert_allclose(new[[0, 2]], rows[[0, 2]] @ learner.bias, rtol=1e-9)
    assert new[1] == pytest.approx(float(learner.predict(rows[1:2], "shop 3")[0]))


@pytest.mark.parametrize("kind", KINDS)
def test_partial_fit_goes_on_where_it_was(kind):
    X, y, tasks = table(signs=kind is OWOClassifier)
    parts = [slice(0, 200), slice(200, 201), slice(201, None)]
    once = kind(standardize=False).fit(X, y, tasks)
    model = kind(standardize=False)
    for rows in parts:
        model.partial_fit(X[rows], y[rows], tasks[rows])
    np.testing.assert_allclose(model.bias_, once.bias_, rtol=1e-9)
    assert once.fit(X[:100], y[:100], tasks[:100]).learner_ is not model.learner_


def test_learning_across_tasks_pays_on_new_tasks():
    X, y, tasks = table(tasks=100, points=6)
    groups = np.unique(tasks, return_inverse=True)[1]
    with_tasks = np.column_stack([X, groups])
    scores = cross_val_score(OWORegressor(task_column=4), with_tasks, y, cv=GroupKFold(5), groups=groups)
    alone = cross_val_score(
        OWORegressor(task_column=4, outer=owo.Frozen()), with_tasks, y, cv=GroupKFold(5), groups=groups
    )
    assert scores.mean() > 0.8 > 0.1 > alone.mean()


def test_grid_search_and_pipelines_work_without_routing():
    X, y, tasks = table()
    codes = np.unique(tasks, return_inverse=True)[1]
    search = GridSearchCV(
        make_pipeline(FunctionTransformer(), OWORegressor(outer=owo.DualAveraging(0.1), task_column=-1)),
        {"oworegressor__inner": [owo.GrowingFTRL(s) for s in (0.1, 1.0)], "oworegressor__passes": [1, 2]}, cv=3,
    ).fit(np.column_stack([X, codes]), y)  # fmt: skip
    assert search.best_score_ > 0.8 and set(search.best_params_) == {"oworegressor__inner", "oworegressor__passes"}


def test_tasks_are_routed_through_pipelines_if_asked():
    X, y, tasks = table()
    with sklearn.config_context(enable_metadata_routing=True):
        model = OWORegressor().set_fit_request(tasks=True).set_predict_request(tasks=True).set_score_request(tasks=True)
        pipeline = make_pipeline(StandardScaler(), model).fit(X, y, tasks=tasks)
        assert set(pipeline[-1].learner_.open_tasks) == set(tasks)
        assert pipeline.score(X, y, tasks=tasks) > pipeline.score(X, y)
        np.testing.assert_allclose(pipeline.predict(X, tasks=tasks), OWORegressor().fit(X, y, tasks).predict(X, tasks))


@pytest.mark.parametrize("loss", ["logistic", "hinge"])
def test_more_than_two_classes(loss):
    X, y = load_iris(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(y))
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    model = OWOClassifier(loss, passes=20).fit(X[order], names[order])
    assert model.classes_.tolist() == sorted(set(names)) and model.score(X, names) > 0.9
    assert model.decision_function(X).shape == (150, 3) and model.bias_.shape == (5, 3)
    assert hasattr(model, "predict_proba") == (loss == "logistic")
    if loss == "logistic":
        chances = model.predict_proba(X)
        np.testing.assert_allclose(chances.sum(axis=1), 1.0)
        assert (model.classes_[chances.argmax(axis=1)] == model.predict(X)).all()


def test_a_quantile_is_kept():
    X, y, tasks = table(tasks=200)
    for quantile in (0.1, 0.9):
        model = OWOQuantileRegressor(quantile, passes=3).fit(X, y, tasks)
        assert np.mean(y < model.predict(X, tasks)) == pytest.approx(quantile, abs=0.06)


def test_parameters_survive_a_clone():
    model = OWORegressor(owo.Huber(0.5), inner=owo.GrowingFTRL(2.0), task_column="shop", passes=3)
    assert clone(model).get_params() == model.get_params()
    assert clone(OWOClassifier("hinge")).loss == "hinge" and clone(OWOQuantileRegressor(0.2)).quantile == 0.2


def test_rows_without_tasks_are_one_task():
    X, y, _ = table()
    model = OWORegressor().fit(X, y)
    assert model.learner_.open_tasks == [ONE]


@pytest.mark.parametrize(
    ("run", "words"),
    [
        (lambda X, y, tasks: OWORegressor().fit(X, y, tasks[:-1]), "one task a row"),
        (lambda X, y, tasks: OWORegressor().fit(X, y, tasks[:, None]), "one task a row"),
        (lambda X, y, tasks: OWORegressor(task_column=0).fit(X, y, tasks), "one way only"),
        (lambda X, y, tasks: OWORegressor(task_column=9).fit(X, y), "task_column is 9"),
        (lambda X, y, tasks: OWORegressor(task_column="shop").fit(X, y), "no names"),
        (lambda X, y, tasks: OWORegressor(passes=0).fit(X, y), "passes is 0"),
        (lambda X, y, tasks: OWOClassifier("squared").fit(X, y > 100), "'logistic' or 'hinge'"),
        (lambda X, y, tasks: OWOClassifier().partial_fit(X, y > 100).partial_fit(X, np.full(len(X), 2)), "none of"),
        (lambda X, y, tasks: OWOClassifier().fit(X, np.ones(len(X), int)), "one class only"),
    ],
)
def test_bad_input_is_told(run, words):
    X, y, tasks = table(tasks=5)
    with pytest.raises(ValueError, match=words):
        run(X, y, tasks)
