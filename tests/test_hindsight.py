from __future__ import annotations

import math
import warnings
from typing import NamedTuple

import numpy as np
import pytest
from games import CLASSIFICATION, LOSSES, name

import owo
from owo import hindsight, reference
from owo.hindsight import ConvergenceWarning
from owo.streams import Block

D = 6
ROUNDING = 1e-12  # relative to the numbers summed: some thousand units in the last place, for at most 100 terms
CERTIFIED = 2e-8  # of (1 + value): our certificate's 1e-8, and as much again for the other solver, which aims at 1e-10
# Blocks differ in how BLAS sums <x, theta>; all else is the same arithmetic. A rounding there, carried through a few
# well-conditioned steps, moves weights and slopes (of size 1) by far less than this:
CARRIED = 1e-9


@owo.loss
class Steep(NamedTuple):
    """A user's own loss: |r|, and twice as steep beyond 1. Only what a loss must have, so ``prox_slope`` is derived.

    With an ``excess`` its conjugate is wrong by as much, so that nothing can be certified.
    """

    excess: float = 0.0

    def value(self, p: float, y: float) -> float:
        return max(abs(p - y), 2.0 * abs(p - y) - 1.0)

    def subgradient(self, p: float, y: float) -> float:
        r = p - y
        return 0.0 if r == 0.0 else math.copysign(2.0 if abs(r) > 1.0 else 1.0, r)

    def conjugate(self, s: float, y: float) -> float:
        return s * y + max(abs(s) - 1.0, 0.0) + self.excess if abs(s) <= 2.0 else math.inf

    def prox(self, p: float, y: float, step: float) -> float:
        r = abs(p - y)
        z = max(r - step, 0.0) if r <= 1.0 + step else max(1.0, r - 2.0 * step)
        return y + math.copysign(z, p - y)

    def expression(self, p, y):
        import cvxpy

        return cvxpy.maximum(cvxpy.abs(p - y), 2.0 * cvxpy.abs(p - y) - 1.0)


@owo.loss
class Untold(NamedTuple):
    """(p - y)^2 / 2 without an ``expression``, so without a twin in cvxpy."""

    def value(self, p: float, y: float) -> float:
        return 0.5 * (p - y) ** 2

    def subgradient(self, p: float, y: float) -> float:
        return p - y

    def conjugate(self, s: float, y: float) -> float:
        return s * y + 0.5 * s * s

    def prox(self, p: float, y: float, step: float) -> float:
        return (p + step * y) / (1.0 + step)


ALL = (*LOSSES, Steep())


def hostile(loss: object, seed: int = 0, d: int = D) -> Block:
    """Tasks with more and with fewer points than features, repeated points, tied labels, zero rows, one point ..."""
    rng = np.random.default_rng(seed)
    rows, labels = [], []
    kinds = {
        "plain": 3 * d, "short": d - 2, "repeated": 2 * d, "tied": 2 * d, "zero rows": d + 2, "one point": 1,
        "constant": d + 1, "only zeros": 3, "one direction": d, "equal columns": 2 * d, "nearly repeated": 2 * d,
    }  # fmt: skip
    for kind, n in kinds.items():
        X = rng.normal(size=(n, d))
        X /= np.linalg.norm(X, axis=1, keepdims=True)
        if kind == "repeated":
            X = X[rng.integers(0, 4, n)]
        if kind == "zero rows":
            X[::2] = 0.0
        if kind == "only zeros":
            X[:] = 0.0
        if kind == "one direction":
            X = np.outer(rng.normal(size=n), X[0])
        if kind == "equal columns":
            X[:, -1] = X[:, 0]
        if kind == "nearly repeated":
            X[n // 2 :] = X[: n - n // 2] * (1.0 + 1e-13)
        y = X @ rng.normal(size=d) * 2.0 + 0.3 * rng.normal(size=n)
        if kind == "tied":
            y = np.round(y)
        if kind == "constant":
            y[:] = 1.0
        rows.append(X)
        labels.append(np.where(y > 0.0, 1.0, -1.0) if loss in CLASSIFICATION else y)
    return Block(np.concatenate(rows), np.concatenate(labels), np.repeat(np.arange(len(rows)), [len(r) for r in rows]))


def bias_of(seed: int = 1, d: int = D) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=d)


def tight(loss: object) -> float:
    """A tolerance near what rounding allows; a derived slope is a difference of predictions, so it allows less."""
    return 1e-10 if isinstance(loss, Steep) else 1e-12


def size(found: hindsight.Optima) -> np.ndarray:
    return 1.0 + np.abs(found.values)


# --------------------------------------------------------------------------------------------------- one task, many


@pytest.mark.parametrize(("strength", "every"), ((0.3, 4), (0.01, 3), (0.0003, 1)))
@pytest.mark.parametrize("loss", ALL, ids=name)
def test_values_agree_with_cvxpy(loss, strength, every):
    block, bias = hostile(loss), bias_of()
    found = hindsight.optima(loss, block, strength, bias)
    assert found.certified.all()
    for task, value in list(zip(block.tasks(), found.values, strict=True))[::every]:
        exact = reference.task_optimum(loss, task.X, task.y, strength, bias)
        assert exact.status == "optimal"
        assert abs(value - exact.value) <= CERTIFIED * (1.0 + abs(exact.value))


@pytest.mark.parametrize("strength", (3.0, 0.03, 0.0003, 1e-5))
@pytest.mark.parametrize("loss", ALL, ids=name)
def test_every_hostile_task_is_certified(loss, strength):
    for seed in range(5):
        for d in (3, 8, 21):
            found = hindsight.optima(loss, hostile(loss, seed, d), strength, bias_of(seed, d))
            assert np.all(found.gaps <= 1e-8 * size(found))
            assert found.certified.all()


@pytest.mark.parametrize("loss", ALL, ids=name)
def test_what_is_reported_belongs_together(loss):
    block, bias, strength = hostile(loss), bias_of(), 0.003
    found = hindsight.optima(loss, block, strength, bias)
    for t, task in enumerate(block.tasks()):
        w, s = found.weights[t], found.slopes[block.offsets[t] : block.offsets[t + 1]]
        N, p = task.n * strength, task.X @ found.weights[t]
        lost = np.array([loss.value(*pair) for pair in zip(p, task.y, strict=True)])
        scale = 1.0 + np.abs(p).max() + abs(lost).sum()
        assert found.losses[t] == pytest.approx(lost.sum(), abs=ROUNDING * scale)
        assert found.values[t] == pytest.approx(lost.sum() + 0.5 * N * np.sum((w - bias) ** 2), abs=ROUNDING * scale)
        np.testing.assert_allclose(found.pulls[t], s @ task.X, atol=ROUNDING * scale)
        # optimality: every slope is a subgradient at its prediction (Fenchel-Young), and w = bias - q / N
        dual = np.array([loss.conjugate(*pair) for pair in zip(s, task.y, strict=True)])
        young = lost + dual - s * p
        assert young.min() >= -ROUNDING * scale * (1.0 + np.abs(s).max())
        away = np.sum((N * (w - bias) + found.pulls[t]) ** 2) / (2.0 * N)
        assert young.sum() + away == pytest.approx(found.gaps[t], abs=ROUNDING * scale * (1.0 + np.abs(s).max()))


@pytest.mark.parametrize("loss", ALL, ids=name)
def test_a_gap_bounds_how_far_any_answer_is_from_the_optimum(loss):
    block, strength = hostile(loss), 0.003
    best = hindsight.optima(loss, block, strength)
    for sweeps, steps in ((0, 0), (1, 0), (3, 0), (1, 3), (5, 9)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            rough = hindsight.optima(loss, block, strength, max_sweeps=sweeps, max_steps=steps)
        slack = ROUNDING * size(rough)
        assert np.all(rough.values - rough.gaps <= best.values + slack)
        assert np.all(rough.values >= best.values - best.gaps - slack)
        assert np.array_equal(rough.certified, rough.gaps <= 1e-8 * size(rough))


@pytest.mark.parametrize("loss", ALL, ids=name)
def test_pulls_are_the_gradient_by_the_bias(loss):
    block, bias, strength, h = hostile(loss), bias_of(), 0.1, 1e-5
    here = hindsight.optima(loss, block, strength, bias, tight(loss))
    for e in np.eye(D):
        up, down = (hindsight.optima(loss, block, strength, bias + t * e, tight(loss)).values for t in (h, -h))
        # L_t has an N-Lipschitz gradient, of which the pull is within sqrt(2 N gap); values are within their gaps
        N = block.lengths * strength
        error = 0.5 * N * h + np.sqrt(2.0 * N * here.gaps) + 1.01 * tight(loss) * size(here) / h
        assert np.all(np.abs((up - down) / (2.0 * h) - here.pulls @ e) <= error)


@pytest.mark.parametrize("loss", ALL, ids=name)
def test_many_tasks_are_solved_as_one_by_one(loss):
    block, bias, strength = hostile(loss), bias_of(), 0.01
    together = hindsight.optima(loss, block, strength, bias)
    for t, task in enumerate(block.tasks()):
        alone = hindsight.task_optimum(loss, task.X, task.y, strength, bias)
        assert alone.certified
        assert alone.value == pytest.approx(together.values[t], rel=ROUNDING)
        np.testing.assert_allclose(alone.weights, together.weights[t], rtol=0.0, atol=CARRIED)
        rows = slice(block.offsets[t], block.offsets[t + 1])
        np.testing.assert_allclose(alone.slopes, together.slopes[rows], rtol=0.0, atol=CARRIED)


@pytest.mark.parametrize("loss", [owo.Absolute(), owo.Logistic(), owo.Squared()], ids=lambda loss: type(loss).__name__)
def test_a_path_has_the_optima_of_every_strength_and_less_to_do(loss):
    rng = np.random.default_rng(5)
    X, task = rng.normal(size=(120, 3)), np.repeat(np.arange(8), 15)
    y = X @ [1.0, -2.0, 0.5] + rng.normal(size=120)
    block = owo.Block(X, np.sign(y) if loss == owo.Logistic() else y, task)
    strengths = np.geomspace(1.0, 1e-3, 25)
    found = hindsight.regularisation_path(loss, block, strengths, [0.5, 0.0, 0.0], threads=2)
    alone = [hindsight.optima(loss, block, strength, [0.5, 0.0, 0.0]) for strength in strengths]
    for mine, theirs in zip(found, alone, strict=True):
        assert mine.certified.all()
        np.testing.assert_allclose(
            mine.values, theirs.values, rtol=0.0, atol=2e-8 * (1.0 + np.abs(theirs.values)).max()
        )
    work = [sum(float(each.sweeps.sum() + 5 * each.steps.sum()) for each in all_) for all_ in (found, alone)]
    assert work[0] < work[1]
    with pytest.raises(ValueError, match="no strength"):
        hindsight.regularisation_path(loss, block, [])
    with pytest.raises(ValueError, match="strength"):
        hindsight.regularisation_path(loss, block, [1.0, -1.0])


@pytest.mark.parametrize("threads", [2, 3, 50])
def test_threads_change_no_optimum(threads):
    rng = np.random.default_rng(6)
    block = owo.Block(rng.normal(size=(90, 4)), rng.normal(size=90), np.sort(rng.integers(11, size=90)))
    for strength in (1.0, 1e-3):
        one, several = (hindsight.optima(owo.Absolute(), block, strength, threads=k) for k in (1, threads))
        np.testing.assert_array_equal(one.weights, several.weights)
        np.testing.assert_array_equal(one.gaps, several.gaps)


@pytest.mark.filterwarnings("ignore::owo.hindsight.ConvergenceWarning")
@pytest.mark.parametrize("loss", [owo.Huber(), owo.Squared(), *CLASSIFICATION], ids=name)
def test_short_tasks_are_solved_almost_exactly_in_few_sweeps(loss):
    rng = np.random.default_rng(7)
    X = rng.normal(size=(800, 8))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    y = X @ np.ones(8) + 0.3 * rng.normal(size=800)
    block = owo.Block(X, np.where(y > 0.0, 1.0, -1.0) if not loss.accepts(0.5) else y, np.repeat(np.arange(40), 20))
    found = hindsight.optima(loss, block, 0.03, tolerance=1e-12, max_sweeps=10, max_steps=0)
    assert found.certified.mean() >= 0.9  # without Newton steps none, but for the logistic loss


def test_rows_of_a_task_need_not_stand_together():
    block = hostile(owo.Absolute())
    mixed = block.interleaved(3)
    apart, together = hindsight.optima(owo.Absolute(), mixed, 0.01), hindsight.optima(owo.Absolute(), block, 0.01)
    order = [block.keys.index(key) for key in apart.keys]
    assert apart.keys == mixed.keys != block.keys
    np.testing.assert_allclose(apart.values, together.values[order], rtol=ROUNDING)
    np.testing.assert_allclose(apart.weights, together.weights[order], rtol=0.0, atol=CARRIED)


@pytest.mark.parametrize("loss", ALL, ids=name)
def test_columns_of_zeros_change_nothing(loss):
    """The same task with more points than features, and with fewer, which is the case that is rotated."""
    task = next(hostile(loss).tasks())
    wide = np.hstack([task.X, np.zeros((task.n, 3 * task.n))])
    plain = hindsight.task_optimum(loss, task.X, task.y, 0.01, tolerance=tight(loss))
    rotated = hindsight.task_optimum(loss, wide, task.y, 0.01, tolerance=tight(loss))
    off = tight(loss) * (1.0 + plain.value)
    assert rotated.value == pytest.approx(plain.value, abs=2.0 * off)
    np.testing.assert_allclose(rotated.weights[D:], 0.0, atol=ROUNDING)
    # strong convexity turns a gap into a distance
    assert np.linalg.norm(rotated.weights[:D] - plain.weights) <= 2.0 * math.sqrt(2.0 * off / (0.01 * task.n))


def test_labels_far_from_zero_and_points_of_any_scale():
    rng = np.random.default_rng(0)
    for scale in (1e-6, 1.0, 1e6):
        X = rng.normal(size=(30, 4)) * scale
        y = X @ rng.normal(size=4) / scale + rng.normal(size=30) + 1000.0
        assert hindsight.task_optimum(owo.Absolute(), X, y, 0.01 * scale**2).certified


# -------------------------------------------------------------------------------------------------------- best bias


@pytest.mark.parametrize("strength", (1.0, 0.01))
@pytest.mark.parametrize("loss", ALL, ids=name)
def test_best_bias_agrees_with_cvxpy(loss, strength):
    block = hostile(loss)
    best, exact = hindsight.bias_optimum(loss, block, strength), reference.best_bias(loss, block, strength)
    assert best.certified
    assert abs(best.value - exact.value) <= CERTIFIED * (1.0 + abs(exact.value))
    assert best.lower <= exact.value + CERTIFIED * (1.0 + abs(exact.value))


@pytest.mark.parametrize("loss", ALL, ids=name)
def test_no_bias_within_the_radius_is_better_than_certified(loss):
    block, strength = hostile(loss), 0.1
    best = hindsight.bias_optimum(loss, block, strength)
    assert best.value - best.lower <= 1e-8 * (1.0 + best.value)
    assert best.radius >= 1.0 + np.linalg.norm(best.bias)
    assert best.gradient_norm == pytest.approx(np.linalg.norm(best.optima.pulls.sum(axis=0)), abs=ROUNDING * block.n)
    assert best.value == pytest.approx(best.optima.values.sum(), rel=ROUNDING)
    rng = np.random.default_rng(5)
    for length in (1e-3, 0.1, 1.0, best.radius):
        away = rng.normal(size=D)
        away *= length / np.linalg.norm(away)
        other = hindsight.optima(loss, block, strength, best.bias + away)
        assert other.values.sum() >= best.lower
        assert other.values.sum() >= best.value - 1e-8 * (1.0 + best.value)


def test_best_bias_where_the_infimum_is_nowhere_attained():
    """Separable labels with logistic loss: longer biases are better for ever, but not by more than is certified."""
    X = np.array([[1.0, 0.2], [0.5, -1.0], [-1.0, 0.3], [-0.3, 0.8]])
    best = hindsight.bias_optimum(owo.Logistic(), Block(X, np.sign(X[:, 0]), np.arange(4)), 1.0)
    assert best.certified
    assert best.value < 1e-6


def test_a_bias_with_one_task_is_that_task_without_a_regulariser():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(40, 3)), rng.normal(size=40)
    best = hindsight.bias_optimum(owo.Squared(), Block(X, y, np.zeros(40, dtype=int)), 0.1)
    # L is mu-strongly convex, with mu from the least curvature of the squared loss: a gradient is that far from 0
    N, curvature = 40 * 0.1, np.linalg.eigvalsh(X.T @ X)[0]
    mu = N * curvature / (N + curvature)
    assert np.linalg.norm(best.bias - np.linalg.lstsq(X, y)[0]) <= best.gradient_norm / mu + ROUNDING


# ------------------------------------------------------------------------------------------------------- comparators


@pytest.mark.parametrize("loss", (owo.Absolute(), owo.Hinge(), owo.Logistic()), ids=name)
def test_comparators_lose_what_they_say(loss):
    block, strength = hostile(loss).interleaved(0), 0.05
    zero = np.zeros(D)
    for comparator in (
        hindsight.own_optimum(loss, block, strength),
        hindsight.given_bias(loss, block, strength, zero, name="independent learning"),
        hindsight.best_bias(loss, block, strength),
        hindsight.pooled(loss, block, strength),
    ):
        assert comparator.keys == block.keys
        assert comparator.bias.shape == (D,)
        weights = np.broadcast_to(comparator.weights, (block.n_tasks, D))
        for t, task in enumerate(block.tasks()):
            lost = sum(loss.value(p, y) for p, y in zip(task.X @ weights[t], task.y, strict=True))
            assert comparator.losses[t] == pytest.approx(lost, rel=ROUNDING, abs=ROUNDING)


def test_which_bias_and_weights_a_comparator_has():
    loss, strength = owo.Absolute(), 0.05
    block = hostile(loss)
    own, best = hindsight.own_optimum(loss, block, strength), hindsight.best_bias(loss, block, strength)
    np.testing.assert_allclose(own.bias, np.average(own.weights, axis=0, weights=block.lengths))
    # at the best bias the pulls cancel, so it is the mean of the weights too; a gap of 1e-13 within a task of n points
    # lets its weights be sqrt(2e-13 / (n strength)) off, which is 1e-6 for a task of four
    np.testing.assert_allclose(best.bias, np.average(best.weights, axis=0, weights=block.lengths), rtol=0.0, atol=1e-6)
    at = hindsight.given_bias(loss, block, strength, best.bias)
    np.testing.assert_allclose(at.weights, best.weights, atol=1e-3)  # 1e-8 in value is no more than this in weights
    assert (own.name, at.name, best.name) == ("own optimum", "given bias", "best bias")


@pytest.mark.parametrize("loss", ALL, ids=name)
def test_pooled_agrees_with_cvxpy(loss):
    block, strength = hostile(loss), 1e-4
    single, exact = hindsight.pooled(loss, block, strength), reference.pooled(loss, block, strength)
    value = single.losses.sum() + 0.5 * block.n * strength * np.sum(single.weights**2)
    assert abs(value - exact.value) <= CERTIFIED * (1.0 + abs(exact.value))
    assert single.weights.shape == (1, D)
    assert np.array_equal(single.weights[0], single.bias)


# ---------------------------------------------------------------------------------------------- what is not certified


def test_a_missed_tolerance_is_never_silent():
    loss, little = owo.Absolute(), {"max_sweeps": 1, "max_steps": 0}
    block = hostile(loss)
    with pytest.warns(ConvergenceWarning, match=r"of 11 optima are not certified; .* of task .* Raise max_steps"):
        found = hindsight.optima(loss, block, 0.001, **little)
    assert not found.certified.all()
    assert found.gaps.max() > 1e-8
    with pytest.warns(ConvergenceWarning, match="1 of 1 optima"):
        assert not hindsight.task_optimum(loss, block.X, block.y, 0.001, **little).certified
    with pytest.warns(ConvergenceWarning, match=r"best bias is not certified.* Raise max_solves"):
        assert not hindsight.bias_optimum(loss, block, 0.1, max_solves=2).certified


def test_a_loss_that_contradicts_itself_is_never_certified():
    with pytest.warns(ConvergenceWarning, match=r"owo\.checks"):
        found = hindsight.task_optimum(Steep(excess=1.0), np.eye(3), np.arange(3.0), 0.1)
    assert not found.certified
    assert found.gap >= 3.0 - 1e-9


def test_numbers_that_overflow_are_not_certified():
    with pytest.warns(ConvergenceWarning), np.errstate(all="ignore"):
        assert not hindsight.task_optimum(owo.Squared(), np.full((2, 1), 1e200), np.array([1e200, -1.0]), 1.0).certified


# ---------------------------------------------------------------------------------------------------------- bad input


X, Y = np.eye(3), np.array([1.0, -1.0, 1.0])


@pytest.mark.parametrize("strength", (0.0, -1.0, math.nan, math.inf, "1", None))
def test_a_bad_strength_is_refused(strength):
    with pytest.raises(ValueError, match=r"strength is .*; needed a finite number above 0"):
        hindsight.task_optimum(owo.Absolute(), X, Y, strength)
    with pytest.raises(ValueError, match="strength"):
        hindsight.bias_optimum(owo.Absolute(), Block(X, Y, np.arange(3)), strength)
    with pytest.raises(ValueError, match="strength"):
        reference.task_optimum(owo.Absolute(), X, Y, strength)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    (
        ({"X": np.full((3, 3), np.nan)}, ValueError, "X has NaN at row 0, column 0"),
        ({"y": np.array([1.0, np.inf, 0.0])}, ValueError, "y has inf at row 1"),
        ({"y": Y[:2]}, ValueError, "y has 2 labels and X 3 rows"),
        ({"X": np.empty((0, 3)), "y": np.empty(0)}, ValueError, "no points"),
        ({"bias": np.zeros(2)}, ValueError, r"bias has shape \(2,\); needed a finite vector \(3,\)"),
        ({"bias": np.array([0.0, np.nan, 0.0])}, ValueError, "bias has NaN at entry 1; needed a finite vector"),
        ({"bias": ["a", "b", "c"]}, TypeError, r"bias has dtype <U1 .*'a'\); needed real numbers"),
        ({"tolerance": 0.0}, ValueError, "tolerance is 0.0"),
        ({"tolerance": math.nan}, ValueError, "tolerance is nan"),
        ({"tolerance": True}, ValueError, "tolerance is True"),
        ({"max_sweeps": -3}, ValueError, "max_sweeps is -3; needed a whole number, 0 or more"),
        ({"max_steps": 2.7}, ValueError, r"max_steps is 2\.7; needed a whole number"),
        ({"max_steps": math.nan}, ValueError, "max_steps is nan"),
        ({"loss": owo.Absolute}, TypeError, r"loss is the class Absolute; pass an instance such as owo\.Absolute\(\)"),
        ({"loss": owo.Frozen()}, TypeError, r"loss is Frozen\(\), which has no method value; pass a loss such as"),
        (
            {"loss": owo.Hinge(), "y": np.array([0.0, 1.0, 1.0])},
            ValueError,
            r"Hinge does not take the label 0\.0 at row 0: labels must be -1 or \+1\. Recode y",
        ),
    ),
)
def test_bad_input_says_what_came_and_what_was_needed(arguments, error, message):
    given = {"loss": owo.Absolute(), "X": X, "y": Y, "strength": 1.0} | arguments
    with pytest.raises(error, match=message):
        hindsight.task_optimum(**given)


def test_only_blocks_are_streams_with_hindsight():
    with pytest.raises(TypeError, match=r"block is a list; needed an owo\.Block"):
        hindsight.optima(owo.Absolute(), [(X, Y)], 1.0)
    with pytest.raises(ValueError, match="bias has shape"):
        hindsight.given_bias(owo.Absolute(), Block(X, Y, np.arange(3)), 1.0, np.zeros(4))
    for road in (reference.best_bias, reference.pooled):
        with pytest.raises(TypeError, match=r"block is a list; needed an owo\.Block"):
            road(owo.Absolute(), [(X, Y)], 1.0)


@pytest.mark.parametrize(
    ("limits", "message"),
    (
        ({"radius": -1.0}, r"radius is -1\.0; needed a finite number above 0"),
        ({"tolerance": 0.0}, r"tolerance is 0\.0"),
        ({"max_solves": 1}, "max_solves is 1; needed a whole number, 2 or more"),
    ),
)
def test_bad_limits_are_refused_before_anything_is_solved(limits, message, monkeypatch):
    monkeypatch.setattr(hindsight.Tasks, "solve", lambda *_: pytest.fail("solved"))
    with pytest.raises(ValueError, match=message):
        hindsight.bias_optimum(owo.Absolute(), Block(X, Y, np.arange(3)), 1.0, **limits)


def test_a_reference_has_the_same_doors():
    block = Block(X, np.array([0.0, 1.0, 1.0]), np.arange(3))
    with pytest.raises(ValueError, match=r"Hinge does not take the label 0\.0 at row 0"):
        reference.task_optimum(owo.Hinge(), block.X, block.y, 1.0)
    with pytest.raises(ValueError, match=r"Hinge does not take the label 0\.0 at row 0"):
        reference.best_bias(owo.Hinge(), block, 1.0)
    with pytest.raises(TypeError, match="loss is the class Hinge"):
        reference.best_bias(owo.Hinge, block, 1.0)


def test_a_reference_is_optimal_or_an_error():
    with pytest.raises(TypeError, match=r"Untold has no method expression\(p, y\)"):
        reference.task_optimum(Untold(), X, Y, 1.0)
    with (
        warnings.catch_warnings(),
        pytest.raises(RuntimeError, match="CLARABEL ended with status 'user_limit'; needed 'optimal'"),
    ):
        warnings.simplefilter("ignore")
        reference.task_optimum(owo.Logistic(), X, Y, 1e-3, options={"max_iter": 2})


def test_a_gap_that_rounding_hides_is_told():
    """A bias of 1e10 that cancels in every prediction: no float64 solution can be certified to 1e-8 there."""
    rng = np.random.default_rng(0)
    bias = np.array([1e10, 1e10, -1e10])
    X = np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]]) + 1e-3 * rng.normal(size=(2, 3))
    y = X @ bias + rng.normal(size=2)
    with pytest.warns(owo.hindsight.ConvergenceWarning, match="not certified"):
        found = owo.hindsight.task_optimum(owo.Absolute(), X, y, 0.01, bias)
    assert not found.certified and found.gap > 1e-7
