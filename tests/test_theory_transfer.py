"""Excess risks on new tasks: estimates that cover what is known, and below their bounds."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import gamma

import owo
from theory import transfer
from theory.problem import AssumptionError
from theory.transfer import Config


@pytest.fixture(scope="module")
def quick():
    return transfer.run(Config.quick())


def test_no_interval_lies_above_its_bound(quick):
    assert quick.violations == 0
    bounded = np.isfinite(quick.bounds)
    assert bounded[[0, 1, 3, 4], 0].all() and not bounded[2].any() and not bounded[:, 1].any()
    assert (quick.excess > 0.0).all()


def test_a_bound_too_small_is_caught(quick):
    """Risks here are a fifth of their bounds at most, so that it takes more than half of one to tell."""
    bounded = np.isfinite(quick.bounds)
    nearest = np.max((quick.excess / quick.bounds)[bounded])
    assert quick._replace(bounds=0.9 * nearest * quick.bounds).violations > 0
    assert quick._replace(excess=np.full_like(quick.excess, np.nan)).violations == bounded.sum()


def test_a_learned_bias_goes_from_independent_learning_to_the_best_bias(quick):
    drawn, mean, last, alone, best = quick.excess[:, 0]
    for learned in (drawn, mean, last):
        assert (np.diff(learned) < 0.0).all() and (best < learned).all() and (learned < alone).all()
    assert (last < mean).all() and (mean <= drawn).all()  # here the path goes straight to the mean of the tasks
    assert np.abs(alone - alone.mean()).max() < 0.02 > np.abs(best - best.mean()).max()  # of no matter how many tasks


def test_the_risk_of_given_weights_is_the_known_one():
    """Without noise ``E |<x, w - u>| = |w - u| E|x_1|``, x uniform on the sphere of 5 dimensions."""
    config = Config(d=5, noise=0.0, tasks=(1,))
    rng = np.random.default_rng(0)
    known = gamma(2.5) / (math.sqrt(math.pi) * gamma(3.0))
    found = []
    for _ in range(30):
        _, weights = transfer.sample(config, np.zeros(5), 40, 1, rng)
        unseen, _ = transfer.sample(config, np.zeros(5), 40, 50, rng, weights)
        apart = rng.normal(size=weights.shape)
        apart *= 0.7 / np.linalg.norm(apart, axis=1, keepdims=True)
        found.append(transfer.excess_risk(weights + apart, weights, unseen))
    half = 3.7 * np.std(found, ddof=1) / math.sqrt(30)  # t of 29 degrees of freedom, 99.9 %
    assert abs(np.mean(found) - 0.7 * known) < half < 0.02


def test_learning_around_a_bias_is_learning_what_it_leaves():
    rng, law = np.random.default_rng(1), owo.GrowingFTRL(0.7)
    block, weights = transfer.sample(Config(d=3), np.ones(3), 6, 8, rng)
    biases = rng.normal(size=weights.shape)
    found = transfer.adapted(law, block, biases, True)
    for task, bias, row in zip(block.tasks(), biases, found, strict=True):
        alone = owo.OnlineWithinOnline(owo.Absolute(), law, owo.Frozen(), "task", bias=bias)
        np.testing.assert_allclose(row, alone.adapt(task.X, task.y, average=True), rtol=1e-10)


def test_points_that_risks_are_taken_over_are_fresh_ones_of_the_same_tasks():
    config, rng = Config(d=4, noise=0.0), np.random.default_rng(2)
    new, weights = transfer.sample(config, np.zeros(4), 5, 3, rng)
    unseen, same = transfer.sample(config, np.zeros(4), 5, 9, rng, weights)
    assert same is weights and not set(new.y.tolist()) & set(unseen.y.tolist())
    np.testing.assert_allclose(unseen.y, np.einsum("ij,ij->i", unseen.X, weights[unseen.task]))


def test_seeds_decide_everything():
    few = {"tasks": (5,), "repeats": 2, "fresh": 10}
    first, again, other = (transfer.run(Config(seed=seed, **few)) for seed in (1, 1, 2))
    assert np.array_equal(first.excess, again.excess) and not np.array_equal(first.excess, other.excess)


@pytest.mark.parametrize(
    ("settings", "assumption"),
    [
        ({"tasks": (0,)}, "T >= 1 tasks"),
        ({"points": 0}, "tasks of n >= 1 points"),
        ({"distance": math.inf}, "bounded comparator"),
        ({"spread": -1.0}, "finite variance of the tasks"),
        ({"repeats": 1}, "intervals over runs"),
        ({"d": 2.5}, "finite dimension"),
        ({"fresh": 0}, "new tasks and points"),
        ({"noise": -1.0}, "finite noise"),
        ({"spread": 0.0}, "comparator away from the start"),
    ],
)
def test_bad_numbers_name_the_assumption(settings, assumption):
    with pytest.raises(AssumptionError, match=assumption):
        Config(**settings)
