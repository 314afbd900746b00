"""Sums of products in vector registers, beside the same sums in exact arithmetic."""

import math

import numpy as np
import pytest

from owo._record import kernel
from owo.pairs import BLOCK, inner_products
from owo.vectors import add, dot, dots

LENGTHS = [*range(20), 31, 32, 100]
UNIT = 2.0**-52


@kernel
def all_pairs(X, Z, start, n, width, K, first):
    inner_products(X, Z, start, n, width, K, first)


@kernel
def sums(x, a, b, total, scale):
    add(scale, x, total)
    return *dots(x, a, b), dot(a, b)


def exact(a, b):
    """``<a, b>`` and how far a sum in doubles may be from it."""
    terms = [float(x) * float(y) for x, y in zip(a, b, strict=True)]
    return math.fsum(terms), len(terms) * UNIT * math.fsum(map(abs, terms))


@pytest.mark.parametrize("d", LENGTHS)
def test_sums_and_steps_of_every_length(d):
    x, a, b, total = np.random.default_rng(d).normal(size=(4, d))
    before = total.copy()
    found = sums(x, a, b, total, 0.7)
    for value, (first, second) in zip(found, ((x, a), (x, b), (x, x), (a, b)), strict=True):
        wanted, error = exact(first, second)
        assert abs(value - wanted) <= error
    np.testing.assert_allclose(total, before + 0.7 * x, rtol=4 * UNIT, atol=2 * UNIT)


@pytest.mark.parametrize("d", LENGTHS)
@pytest.mark.parametrize("n", [1, 3, 4, 7, 12])
def test_inner_products_of_all_points_with_those_before_them(n, d):
    X, Z = np.random.default_rng([n, d]).normal(size=(2, n + 5, d))
    K = np.full((n + 3, 16), np.nan)
    all_pairs(X, Z, 4, n, d, K, 2)
    for i in range(n):
        for j in range(i + 1):
            wanted, error = exact(X[4 + i], Z[4 + j])
            assert abs(K[2 + i, j] - wanted) <= error
    assert np.isnan(K[:2]).all() and np.isnan(K[2 + n :]).all()
    assert np.isnan(K[:, -(-n // BLOCK) * BLOCK :]).all()


def test_an_inner_product_has_the_same_bits_wherever_it_lies():
    X = np.random.default_rng(0).normal(size=(14, 21))
    whole, part = np.empty((2, 16, 16))
    all_pairs(X, X, 0, 14, 21, whole, 0)
    for start in range(1, 6):
        all_pairs(X, X, start, 14 - start, 21, part, 0)
        for i in range(start, 14):
            np.testing.assert_array_equal(part[i - start, : i - start + 1], whole[i, start : i + 1])


def test_only_the_first_numbers_of_a_row_count():
    X = np.random.default_rng(0).normal(size=(4, 13))
    hidden, plain = X.copy(), np.empty((2, 4, 4))
    hidden[:, 9:] = np.nan
    all_pairs(hidden, hidden, 0, 4, 9, plain[0], 0)
    all_pairs(X, X, 0, 4, 9, plain[1], 0)
    np.testing.assert_array_equal(np.tril(plain[0]), np.tril(plain[1]))
