"""Random Fourier features: a kernel as inner products, and tasks that are not linear."""

from __future__ import annotations

import numpy as np
import pytest

import owo
from owo.streams import RandomFourier, from_arrays


def test_inner_products_are_near_the_kernel_at_the_rate_of_the_square_root():
    X = np.random.default_rng(0).normal(size=(30, 3))
    kernel = np.exp(-np.sum((X[:, None] - X[None]) ** 2, axis=2) / (2 * 1.5**2))
    errors = []
    for features in (100, 10_000):
        phi = RandomFourier(3, features, 1.5, seed=1).transform(X)
        errors.append(np.sqrt(np.mean((phi @ phi.T - kernel) ** 2)))
    assert errors[0] < 0.15 and 5.0 < errors[0] / errors[1] < 20.0  # ten times more exact with a hundred times as many


def test_tasks_around_a_common_curve_are_learned_where_lines_cannot_follow():
    rng = np.random.default_rng(2)
    x = rng.uniform(-3, 3, size=(200, 15))
    y = np.sin(2 * x) + 0.3 * rng.normal(size=(200, 1)) + 0.1 * rng.normal(size=x.shape)
    block = from_arrays(x.reshape(-1, 1), y.ravel(), np.repeat(np.arange(200), 15))
    phi = RandomFourier(1, 100, 0.7, seed=3)

    def late(stream, outer):
        learner = owo.OnlineWithinOnline(owo.Absolute(), owo.GrowingFTRL(1.0), outer, "point")
        return learner.run(stream).losses[100:].mean() / 15

    curved = late(phi.block(block), owo.DualAveraging(0.3))
    assert curved < 0.6 * late(block, owo.DualAveraging(0.3)) and curved < 0.6 * late(phi.block(block), owo.Frozen())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [((0, 5, 1.0, 0), "at least 1"), ((2, 0, 1.0, 0), "at least 1"), ((2, 5, 0.0, 0), "width"),
     ((2, 5, float("nan"), 0), "width")],
)  # fmt: skip
def test_features_that_cannot_be_are_refused(arguments, said):
    with pytest.raises(ValueError, match=said):
        RandomFourier(*arguments)


def test_points_of_another_dimension_are_refused():
    with pytest.raises(ValueError, match="made for d = 2"):
        RandomFourier(2, 5, 1.0, 0).transform(np.ones((3, 4)))
