"""Measured regret falls as the bounds say, stays below them, and the two across-task rates are apart by sqrt(n)."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from processes import once

from theory import contestants, rates
from theory.contestants import ALONE, BETTING_POINT, FREE, GIVEN, MAP, POINT, TASK
from theory.phase import sideways_target
from theory.problem import AssumptionError
from theory.rates import BASE, Axis, Config


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    return once(tmp_path_factory, "rates", lambda _: rates.run(Config.quick()))[0]


def one(curves, learner, vary, stream="far target"):
    [curve] = [each for each in curves if (each.learner, each.vary, each.stream) == (learner, vary, stream)]
    return curve


def test_no_regret_exceeds_its_bound(quick):
    for curve in quick:
        assert curve.violations == 0
        if not curve.beyond:
            assert (curve.regrets <= curve.bounds[:, None] * (1.0 + 1e-9)).all() and (curve.regrets > 0.0).all()


@pytest.mark.parametrize(
    ("learner", "vary", "stream", "slope"),
    [
        (TASK.name, "tasks", "far target", -0.5),
        (POINT.name, "tasks", "far target", -0.5),
        (POINT.name, "points", "far target", -0.5),
        (TASK.name, "points", "far target", 0.0),  # the term across tasks does not fall with n
        (TASK.name, "tasks", "signs of tasks", -0.5),
        (POINT.name, "tasks", "signs of points", -0.5),
        (POINT.name, "points", "signs of points", -0.5),
        (ALONE.name, "tasks", "far target", 0.0),
        (TASK.name, "dimension", "far target", 0.0),
        (POINT.name, "dimension", "far target", 0.0),
    ],
)
def test_slopes_are_those_of_the_theorems(quick, learner, vary, stream, slope):
    found = one(quick, learner, vary, stream).slope
    assert found.value == pytest.approx(slope, abs=0.02 + found.half_width)  # 5 values over 2.5 decades, 3 seeds
    assert found.theory == pytest.approx(slope, abs=1e-9)


def test_the_rates_of_lazy_and_aggressive_updates_are_apart_by_the_root_of_n(quick):
    lazy, eager = one(quick, TASK.name, "tasks"), one(quick, POINT.name, "tasks")
    apart = lazy.regrets.mean(axis=1) / eager.regrets.mean(axis=1)
    np.testing.assert_allclose(apart, math.sqrt(BASE.points), rtol=0.3)
    lazy = one(quick, TASK.name, "tasks", "signs of tasks")
    eager = one(quick, POINT.name, "tasks", "signs of points")
    apart = lazy.regrets.mean(axis=1) / eager.regrets.mean(axis=1)
    np.testing.assert_allclose(apart, math.sqrt(BASE.points), rtol=0.15)


def test_the_price_of_a_map_falls_with_the_root_of_the_tasks(quick):
    [curve] = [each for each in quick if each.beyond]
    assert curve.learner == MAP.name and abs(curve.slope.value + 0.5) < 0.1


def test_parameter_free_learning_pays_no_more_than_a_logarithm(quick):
    curve = one(quick, FREE.name, "tasks")
    assert -0.55 < curve.slope.value < -0.4


def test_a_bound_of_half_its_size_is_caught():
    half = POINT._replace(bound=lambda p: POINT.bound(p).times(0.5))
    [curve] = rates.follow(Axis(vary="tasks", values=(100.0, 1000.0), contestants=(half,), seeds=3), seed=0)
    assert curve.violations == 6  # this stream meets the bound


def test_parameters_of_another_rate_show_in_the_slope():
    slow = TASK._replace(learner=lambda p: TASK.learner(replace(p, tasks=p.tasks**2)))  # eta falls as 1 / T
    [curve] = rates.follow(Axis(vary="tasks", values=(100.0, 1000.0, 10000.0), contestants=(slow,), seeds=2), seed=0)
    assert abs(curve.slope.value + 0.5) > 0.2


def test_all_contestants_see_the_same_streams():
    axis = Axis(vary="tasks", values=(10.0, 20.0), contestants=(TASK, POINT, TASK), seeds=2)
    first, other, again = rates.follow(axis, seed=1)
    assert np.array_equal(first.regrets, again.regrets) and not np.array_equal(first.regrets, other.regrets)
    assert not np.array_equal(first.regrets, rates.follow(axis, seed=2)[0].regrets)


def test_streams_have_the_constants_that_they_are_said_to_have():
    problem = replace(BASE, tasks=7, points=5, variance=0.3, dimension=4)
    for draw in (rates.far_target, sideways_target, rates.signs_of_tasks, rates.signs_of_points):
        block = draw(problem, np.random.default_rng(0)).block
        np.testing.assert_allclose(np.linalg.norm(block.X, axis=1), 1.0)
    for draw in (rates.far_target, sideways_target):
        block = draw(replace(problem, points=40), np.random.default_rng(0)).block
        weights = np.array([np.linalg.lstsq(task.X, task.y, rcond=None)[0] for task in block.tasks()])
        mean = weights.mean(axis=0)
        np.testing.assert_allclose(mean, [1.0, 0.0, 0.0, 0.0], atol=1e-9)
        variance = 0.5 * np.mean(np.sum((weights - mean) ** 2, axis=1))
        assert variance == pytest.approx(0.3 * 6 / 7)  # one of seven tasks is at the bias


@pytest.mark.parametrize("draw", [rates.signs_of_tasks, rates.signs_of_points])
def test_what_is_possible_on_random_signs_is_what_the_best_bias_loses(draw):
    problem = replace(BASE, tasks=6, points=4, dimension=3, distance=2.0)
    stream = draw(problem, np.random.default_rng(1))
    pull = np.sign(stream.block.y) @ stream.block.X
    best = 2.0 * pull / np.linalg.norm(pull)
    lost = lambda w: np.abs(stream.block.X @ w - stream.block.y).sum()  # noqa: E731
    assert lost(best) == pytest.approx(stream.possible, rel=1e-12)
    others = np.random.default_rng(2).normal(size=(200, 3))
    assert all(lost(2.0 * w / np.linalg.norm(w)) >= stream.possible - 1e-8 for w in others)


def test_learners_of_one_strength_differ_by_the_map_alone():
    problem = replace(BASE, variance=0.2, tasks=50)
    learned, given = MAP.learner(problem), GIVEN.learner(problem)
    assert learned.inner == given.inner and MAP.bound(problem)._replace(metric=0.0) == GIVEN.bound(problem)


def test_a_bias_at_the_start_and_tasks_that_do_not_differ_need_no_parameters():
    for problem in (replace(BASE, distance=0.0, variance=0.1), replace(BASE, variance=0.0)):
        for each in (TASK, POINT):
            assert each.bound(problem).total > 0.0 and each.learner(problem) is not None
    assert BETTING_POINT.bound(replace(BASE, distance=0.0)).total == 1.0


def test_bad_numbers_name_the_assumption():
    with pytest.raises(AssumptionError, match="assumption 'T >= 1 tasks' fails: tasks is 0"):
        Axis(vary="tasks", values=(0.0,), contestants=(TASK,)).problems()
    with pytest.raises(AssumptionError, match="finite variance"):
        Axis(vary="variance", values=(-1.0,), contestants=(TASK,)).problems()
    with pytest.raises(AssumptionError, match="comparator away from the start"):
        contestants.ALONE.learner(replace(BASE, distance=0.0, variance=0.0))
