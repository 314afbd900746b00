"""river's own checks; dicts, tasks from a field, features that appear and vanish."""

import copy
import pickle

import numpy as np
import pytest

import owo

pytest.importorskip("river")

from river import checks, compose, evaluate, metrics, preprocessing, stream

from owo.river import OWOClassifier, OWORegressor, mirrored

MODELS = [
    OWORegressor(), OWORegressor(loss=owo.Huber(1.0), inner=owo.GrowingFTRL(1.0), outer=owo.DualAveraging(0.1)),
    OWOClassifier(), OWOClassifier(inner=owo.GrowingFTRL(1.0), outer=owo.DualAveraging(0.1)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("model", "check"), [(model, check) for model in MODELS for check in checks.yield_checks(model)],
    ids=lambda each: getattr(each, "__name__", None) or repr(type(each).__name__),
)  # fmt: skip
def test_it_is_an_estimator(model, check):
    check(model.clone())


def points(seed=0, n=400, d=4, tasks=20):
    """Dicts with a field for the task, and labels."""
    rng = np.random.default_rng(seed)
    w = np.arange(1.0, d + 1.0) + 0.3 * rng.normal(size=(tasks, d))
    X, task = rng.normal(size=(n, d)), rng.integers(tasks, size=n)
    y = np.einsum("ij,ij->i", X, w[task]) + 0.1 * rng.normal(size=n)
    return (
        X,
        [f"shop {k}" for k in task],
        y.tolist(),
        [
            {**{f"x{j}": v for j, v in enumerate(row)}, "shop": f"shop {k}"}
            for row, k in zip(X.tolist(), task, strict=True)
        ],
    )


def test_dicts_are_the_points_of_the_learner():
    X, tasks, y, dicts = points()
    model, learner = OWORegressor(task="shop"), owo.OnlineWithinOnline(owo.Absolute())
    for x, row, label, task in zip(dicts, X, y, tasks, strict=True):
        before = model.predict_one(x)
        after = learner.learn_one(np.concatenate([[1.0], row]), label, task)
        assert before == pytest.approx(after, rel=1e-12, abs=1e-12)
        model.learn_one(x, label)
    np.testing.assert_array_equal(model.learner.bias, learner.bias)
    assert model.learner.ledger is not None and set(model.learner.open_tasks) == set(tasks)


def test_the_order_of_fields_does_not_matter():
    _, _, y, dicts = points()
    one, other = OWORegressor(task="shop"), OWORegressor(task="shop")
    for x, label in zip(dicts, y, strict=True):
        turned = dict(reversed(x.items()))
        assert other.predict_one(turned) == pytest.approx(one.predict_one(x), rel=1e-12, abs=1e-12)
        one.learn_one(x, label)
        other.learn_one(turned, label)


def test_a_feature_that_appears_was_zero_before():
    _, _, y, dicts = points(n=300)
    late = [{k: v for k, v in x.items() if r > 150 or k != "x3"} for r, x in enumerate(dicts)]
    zero = [x if r > 150 else {**x, "x3": 0.0} for r, x in enumerate(dicts)]
    one, other = OWORegressor(task="shop"), OWORegressor(task="shop")
    for some, whole, label in zip(late, zero, y, strict=True):
        assert one.predict_one(some) == pytest.approx(other.predict_one(whole), rel=1e-12, abs=1e-12)
        one.learn_one(some, label)
        other.learn_one(whole, label)
    assert other.predict_one({"x0": 1.0, "unheard of": 5.0, "shop": "shop 3"}) == other.predict_one(
        {"x0": 1.0, "shop": "shop 3"}
    )


def test_a_point_without_a_task_is_predicted_by_the_bias_and_not_learned():
    _, _, y, dicts = points()
    model = OWORegressor(task="shop")
    for x, label in zip(dicts, y, strict=True):
        model.learn_one(x, label)
    bias, x = model.learner.bias, {"x0": 1.0, "x1": 2.0, "x2": 3.0, "x3": 4.0}
    assert model.predict_one(x) == pytest.approx(float(bias @ [1.0, 1.0, 2.0, 3.0, 4.0]))
    assert model.predict_one({**x, "shop": "a new one"}) == model.predict_one(x)
    model.learn_one(x, 5.0)
    np.testing.assert_array_equal(model.learner.bias, bias)


def test_it_works_in_pipelines_and_progressive_evaluation():
    _, _, y, dicts = points(n=2000)
    scaled = compose.Discard("shop") | preprocessing.StandardScaler()
    model = (scaled + compose.Select("shop")) | OWORegressor(task="shop")
    error = evaluate.progressive_val_score(zip(dicts, y, strict=True), model, metrics.MAE()).get()
    alone = (scaled.clone() + compose.Select("shop")) | OWORegressor(task="shop", outer=owo.Frozen())
    assert error < 0.7 * evaluate.progressive_val_score(zip(dicts, y, strict=True), alone, metrics.MAE()).get()


def test_probabilities_of_two_and_of_more_classes():
    rng = np.random.default_rng(0)
    two, three = OWOClassifier(), OWOClassifier()
    for _ in range(2000):
        x = {"a": float(rng.normal()), "b": float(rng.normal())}
        two.learn_one(x, x["a"] > 0.0)
        three.learn_one(x, "low" if x["a"] < -0.4 else "high" if x["a"] > 0.4 else "middle")
    for model, classes in ((two, {False, True}), (three, {"low", "middle", "high"})):
        chances = model.predict_proba_one({"a": 3.0, "b": 0.0})
        assert sum(chances.values()) == pytest.approx(1.0) and set(chances) == classes
    assert two.predict_one({"a": 3.0}) is True and two.predict_one({"a": -3.0}) is False
    assert three.predict_one({"a": 3.0}) == "high" and three.predict_one({"a": -3.0}) == "low"


def test_the_first_class_mirrors_the_second_until_there_are_three():
    rng = np.random.default_rng(1)
    model, turned = OWOClassifier(), OWOClassifier()
    for r in range(300):
        x = {"a": float(rng.normal()), "b": float(rng.normal())}
        y = "no" if r == 0 else "yes" if r == 1 else ("yes" if x["a"] > 0.0 else "no")
        for each, label in ((model, y), (turned, "yes" if y == "no" else "no")):
            each.learn_one(x, label)
    np.testing.assert_array_equal(mirrored(model.learner).bias, -model.learner.bias)
    model.learn_one({"a": 5.0, "b": 5.0}, "perhaps")
    chances = model.predict_proba_one({"a": 2.0, "b": 0.0})
    assert list(chances) == ["no", "yes", "perhaps"] and chances["yes"] > chances["no"]


def test_copies_go_on_by_themselves():
    _, _, y, dicts = points()
    model = OWORegressor(task="shop")
    for x, label in zip(dicts[:200], y, strict=False):
        model.learn_one(x, label)
    before = model.predict_one(dicts[300])
    for copied in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert copied.predict_one(dicts[300]) == before
        for x, label in zip(dicts[200:], y[200:], strict=True):
            copied.learn_one({**x, "more": 1.0}, label)
        assert model.predict_one(dicts[300]) == before != copied.predict_one(dicts[300])
    model.forget("shop 1")
    with pytest.raises(KeyError, match="not open"):
        model.forget("shop 1")


@pytest.mark.parametrize(
    ("run", "error", "words"),
    [
        (lambda: OWORegressor().learn_one({"a": "much"}, 1.0), ValueError, "much"),
        (lambda: OWORegressor().learn_one({"a": float("nan")}, 1.0), ValueError, "NaN"),
        (lambda: OWORegressor().learn_one({"a": 1.0}, float("inf")), ValueError, "inf"),
    ],
)
def test_bad_input_is_told(run, error, words):
    with pytest.raises(error, match=words):
        run()


def test_data_of_river_are_learned():
    rows = stream.iter_array(np.random.default_rng(0).normal(size=(300, 3)), np.arange(300.0) / 100.0)
    assert evaluate.progressive_val_score(rows, OWORegressor(), metrics.MAE()).get() < 1.5
