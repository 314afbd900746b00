"""The projection on { psd, trace <= r } against cvxpy, exact ties included."""

from __future__ import annotations

import cvxpy
import numpy as np

from owo.geometry import Projected
from owo.reference import OPTIONS, SOLVER


def ours(A, radius):
    values, vectors = np.linalg.eigh(A)
    return (vectors * Projected().within_trace(values, radius, np.ones(len(values)))) @ vectors.T


def test_projection_equals_the_solver_on_random_and_integer_matrices():
    """500 matrices. Compared by distance: an interior point comes near a face only as the square root of its gap."""
    rng = np.random.default_rng(0)
    for d in (1, 2, 3, 4, 5):
        A, M, radius = (
            cvxpy.Parameter((d, d), symmetric=True),
            cvxpy.Variable((d, d), PSD=True),
            cvxpy.Parameter(pos=True),
        )
        problem = cvxpy.Problem(cvxpy.Minimize(cvxpy.sum_squares(M - A)), [cvxpy.trace(M) <= radius])
        for k in range(100):
            if k % 2:
                A.value = np.diag(rng.integers(-2, 4, size=d)).astype(float)
            else:
                raw = rng.normal(size=(d, d))
                A.value = raw + raw.T
            radius.value = float(rng.integers(1, 4))
            problem.solve(solver=SOLVER, **OPTIONS)
            found = ours(A.value, radius.value)
            assert np.trace(found) <= radius.value + 1e-12 and np.linalg.eigvalsh(found)[0] >= -1e-12
            assert abs(np.sum((found - A.value) ** 2) - problem.value) <= 1e-8 * (1.0 + problem.value)


def test_ties_project_to_themselves():
    assert np.array_equal(ours(np.diag([1.0, 2.0]), 1.0), np.diag([0.0, 1.0]))
    assert np.array_equal(ours(np.eye(4), 1.0), np.eye(4) / 4)
    assert np.array_equal(ours(np.diag([-1.0, 0.0]), 1.0), np.zeros((2, 2)))
