"""Hindsight for losses of k scores: certified optima, equal to those of other solvers and of binary losses."""

from __future__ import annotations

import math
import warnings
from typing import NamedTuple

import numpy as np
import pytest
from scores import KINDS, Brier, stream
from test_check_vector import Plain, Right

import owo
from owo import hindsight, reference

LOSSES = (*(kind(3) for kind in KINDS), Brier(3))
PAIRS = [(owo.MulticlassHinge(2), owo.Hinge()), (owo.Softmax(2), owo.Logistic())]
each_loss = pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss).__name__)
each_strength = pytest.mark.parametrize("strength", [1.0, 0.01])


def tasks(seed=0, k=3, lengths=(12, 3, 8, 1, 10), d=4):
    rng = np.random.default_rng(seed)
    return stream(rng, k, list(lengths), d, 2.0, "random").interleaved(rng)


@each_strength
@each_loss
def test_the_best_bias_is_that_of_cvxpy_and_certified(loss, strength):
    block = tasks()
    best, other = hindsight.bias_optimum(loss, block, strength), reference.best_bias(loss, block, strength)
    assert best.certified and best.lower <= other.value
    assert math.isclose(best.value, other.value, rel_tol=1e-8, abs_tol=1e-8)  # of both the tolerance
    assert best.bias.shape == (12,) and best.optima.weights.shape == (5, 12)
    if not isinstance(loss, owo.MulticlassHinge):  # which may have many
        # a value so near leaves weights to the square root of that over the curvature, strength; all scores of a
        # feature may rise together
        apart = (best.bias - other.bias).reshape(4, 3)
        rising = apart.mean(axis=1, keepdims=True) if isinstance(loss, owo.Softmax) else 0.0
        assert np.abs(apart - rising).max() < 2e-4 / strength


@each_strength
@each_loss
def test_optima_of_tasks_are_those_of_cvxpy_and_certified(loss, strength):
    block, bias = tasks(1), np.random.default_rng(2).normal(size=(4, 3))
    found = hindsight.optima(loss, block, strength, bias)
    assert found.certified.all()
    together, first = block.grouped(), 0
    for t, task in enumerate(together.tasks()):
        other = reference.task_optimum(loss, task.X, task.y, strength, bias)
        assert found.values[t] - found.gaps[t] <= other.value + 1e-9 * (1 + other.value)
        assert math.isclose(found.values[t], other.value, rel_tol=2e-8, abs_tol=2e-8)
        pull = task.X.T @ found.slopes[first : first + len(task.y)]
        first += len(task.y)
        assert np.allclose(pull.ravel(), found.pulls[t], atol=1e-12)
        assert np.allclose(found.weights[t], (bias - pull / (len(task.y) * strength)).ravel(), rtol=1e-12, atol=1e-12)
    one = hindsight.task_optimum(loss, task.X, task.y, strength, bias)
    assert one.weights.shape == (4, 3) and one.certified
    assert math.isclose(one.value, found.values[-1], rel_tol=2e-8, abs_tol=2e-8)
    flat = hindsight.optima(loss, block, strength, bias.ravel())
    assert np.array_equal(flat.weights, found.weights)


@pytest.mark.parametrize("metric", [None, 0.5, (0.2, 1.0, 3.0, 0.0)], ids=str)
@each_strength
@pytest.mark.parametrize(("loss", "binary"), PAIRS, ids=["hinge", "logistic"])
def test_two_classes_have_the_optima_of_the_binary_loss(loss, binary, strength, metric):
    """With ``W = (-w, w) / 2``, for which ``|W|^2 = |w|^2 / 2``, in any metric."""
    block = tasks(3, k=2)
    signs = owo.Block(block.X, 2.0 * block.y - 1.0, block.task, block.ends, block.keys)
    two = hindsight.bias_optimum(loss, block, 2.0 * strength, metric=metric)
    one = hindsight.bias_optimum(binary, signs, strength, metric=metric)
    assert two.certified and one.certified
    assert math.isclose(two.value, one.value, rel_tol=2e-8, abs_tol=2e-8)
    apart = two.optima.weights.reshape(5, 4, 2) @ [-1.0, 1.0] - one.optima.weights
    assert np.abs(apart).max() < 5e-4 / strength  # as above


def test_the_best_bias_in_a_matrix_is_that_of_the_points_in_its_coordinates():
    """For ``M = A A^T`` of full rank: the plain problem on points ``A^T x``, whose weights are ``A^-1 W``."""
    block, rotation = tasks(4), np.linalg.qr(np.random.default_rng(5).normal(size=(4, 4)))[0]
    A = rotation * [0.5, 1.0, 1.5, 2.0]
    moved = owo.Block(block.X @ A, block.y, block.task, block.ends, block.keys)
    for loss in LOSSES:
        ours = hindsight.best_bias(loss, block, 0.5, metric=A @ A.T)
        other = hindsight.best_bias(loss, moved, 0.5)
        # the loss alone is known to the square root of the tolerance, of the sum with the spread
        assert np.allclose(ours.losses, other.losses, rtol=1e-4, atol=1e-4)
        assert np.allclose(ours.metric, A @ A.T)


@each_loss
def test_comparators_certify_runs(loss):
    block = tasks(6)
    ledgers = [
        owo.OnlineWithinOnline(loss, owo.GrowingFTRL(0.5), outer, update).run(block)
        for outer in (owo.CoinBetting(), owo.AdaptiveNorm(1.0))
        for update in ("task", "point")
    ]
    bias = np.random.default_rng(7).normal(size=(4, 3))
    for comparator in (
        hindsight.best_bias(loss, block, 0.5),
        hindsight.own_optimum(loss, block, 0.5),
        hindsight.given_bias(loss, block, 0.5, bias, "given"),
        hindsight.pooled(loss, block, 0.1),
    ):
        W = np.broadcast_to(comparator.weights, (5, 12)).reshape(5, 4, 3)
        for t, task in enumerate(block.grouped().tasks()):
            met = math.fsum(loss.value(x @ W[t], y) for x, y in zip(task.X, task.y.tolist(), strict=True))
            assert math.isclose(met, comparator.losses[t], rel_tol=1e-12, abs_tol=1e-12)
        for ledger in ledgers:
            ledger.check(comparator)


def test_pooled_is_that_of_cvxpy():
    block = tasks(8)
    for loss in LOSSES:
        ours, other = hindsight.pooled(loss, block, 0.1), reference.pooled(loss, block, 0.1)
        assert np.allclose(ours.weights[0], other.weights.ravel(), atol=2e-3)  # as above, strength 0.1


def test_a_loss_that_turns_is_certified_by_its_prox_slopes_also_without_an_expression():
    @owo.losses.vector_loss
    class Alone(Plain):
        prox_slopes = Right.prox_slopes

    block = tasks(9)
    ours, with_one = (hindsight.bias_optimum(loss, block, 0.5) for loss in (Alone(3), Right(3)))
    assert ours.certified and with_one.certified
    assert math.isclose(ours.value, with_one.value, rel_tol=2e-8)


def test_a_loss_that_turns_and_does_not_say_how_is_warned_about():
    @owo.losses.vector_loss
    class Silent(Plain):
        pass

    with pytest.warns(hindsight.ConvergenceWarning, match="not certified"):
        best = hindsight.bias_optimum(Silent(3), tasks(10), 0.5)
    least = hindsight.bias_optimum(Right(3), tasks(10), 0.5).value
    assert not best.certified and best.lower <= least <= best.value * (1 + 1e-9)  # the bound is none the less true


@each_loss
def test_far_and_empty_rows_and_large_strengths(loss):
    """Rows of zeros, one task, one point, and all of it at strengths at which nothing moves."""
    block = owo.Block([[0.0, 0.0], [1.0, 2.0], [0.0, 0.0]], [0, 2, 1], [0, 1, 0])
    for strength in (1e6, 1.0, 1e-3):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            best = hindsight.bias_optimum(loss, block, strength)
        assert best.certified
        assert math.isclose(best.value, reference.best_bias(loss, block, strength).value, rel_tol=1e-6, abs_tol=1e-6)


def test_bad_input_is_refused_in_words():
    block = tasks()
    with pytest.raises(ValueError, match=r"bias has shape \(5, 3\); needed \(4, 3\)"):
        hindsight.optima(owo.Softmax(3), block, 1.0, np.zeros((5, 3)))
    with pytest.raises(ValueError, match=r"bias has shape \(4, 2\); needed a finite matrix \(d, 3\)"):
        hindsight.given_bias(owo.Softmax(3), block, 1.0, np.zeros((4, 2)))
    with pytest.raises(ValueError, match=r"does not take the label 2\.0"):
        hindsight.best_bias(owo.Softmax(2), block, 1.0)
    with pytest.raises(ValueError, match=r"strength is 0"):
        hindsight.best_bias(owo.Softmax(3), block, 0)


class Undecorated(NamedTuple):
    classes: int = 3


def test_what_is_no_loss_is_refused():
    with pytest.raises(TypeError, match="no method value"):
        hindsight.best_bias(Undecorated(), tasks(), 1.0)
