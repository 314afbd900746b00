"""Points as kernels meet them: row r of a dense table, of a sparse one, or of a Gram matrix.

``meet``, ``product`` and ``join``, and with matrices (d, k), kept as vectors (d k,), ``products`` and ``join_all``, are
compiled for the kind of table they get. They take the table and the row's number because a row of a sparse table, or of
a Gram matrix, is no array.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from numba.core import types

from owo._record import fast_part, overload_part, part
from owo.prefetching import prefetch_next
from owo.vectors import add, dot, dots


class Sparse(NamedTuple):
    """Rows (n, d) of which only some entries are not zero (compressed sparse rows)."""

    values: Any
    """the entries (m,)"""
    columns: Any
    """their columns (m,), int64, rising inside each row"""
    starts: Any
    """where rows begin, (n + 1,), int64"""


class Gram(NamedTuple):
    """Points known by their inner products with N others, that themselves are among.

    A vector is then its N coefficients: row r times them is an inner product, and to join row r is to add to its own.
    """

    products: Any
    """(n, N)"""
    first: Any
    """row 0 is point ``first`` of the N"""


def is_sparse(X: Any) -> bool:
    """Whether a table, or its numba type, is sparse."""
    return _kind(X) is Sparse


def _kind(X: Any) -> Any:
    """``Sparse``, ``Gram``, or None for a dense table; or of its numba type."""
    return X.instance_class if isinstance(X, types.BaseNamedTuple) else type(X) if isinstance(X, tuple) else None


# --------------------------------------------------------------------------------------------------- of sparse rows


@fast_part
def _sparse_dots(X, r, a, b):
    xa = xb = xx = 0.0
    for k in range(X.starts[r], X.starts[r + 1]):
        value, column = X.values[k], X.columns[k]
        xa += value * a[column]
        xb += value * b[column]
        xx += value * value
    return xa, xb, xx


@fast_part
def _sparse_dot(X, r, a):
    xa = 0.0
    for k in range(X.starts[r], X.starts[r + 1]):
        xa += X.values[k] * a[X.columns[k]]
    return xa


@part
def _sparse_add(scale, X, r, total):
    for k in range(X.starts[r], X.starts[r + 1]):
        total[X.columns[k]] += scale * X.values[k]


# ---------------------------------------------------------------------------------------- of rows of a Gram matrix


@fast_part
def _gram_dots(X, r, a, b):
    xa = xb = 0.0
    for k in range(X.products.shape[1]):
        xa += X.products[r, k] * a[k]
        xb += X.products[r, k] * b[k]
    return xa, xb, X.products[r, X.first + r]


@fast_part
def _gram_dot(X, r, a):
    xa = 0.0
    for k in range(X.products.shape[1]):
        xa += X.products[r, k] * a[k]
    return xa


@part
def _gram_add(scale, X, r, total):
    total[X.first + r] += scale


# ------------------------------------------------------------------------------------------------------ of any table


def bring_near(X, r):
    """Ask for row r of a dense table ahead of its use."""


@overload_part(bring_near)
def _bring_near(X, r):
    return (lambda X, r: prefetch_next(X, r)) if _kind(X) is None else (lambda X, r: None)


def meet(X: Any, r: int, a: Any, b: Any) -> Any:
    """``<x, a>, <x, b>, <x, x>`` for row x."""
    return _meet(X, r, a, b)(X, r, a, b)


@overload_part(meet)
def _meet(X, r, a, b):
    if _kind(X) is Sparse:
        return lambda X, r, a, b: _sparse_dots(X, r, a, b)
    if _kind(X) is Gram:
        return lambda X, r, a, b: _gram_dots(X, r, a, b)
    return lambda X, r, a, b: dots(X[r], a, b)


def product(X, r, a):
    """``<x, a>`` for row x."""
    return _product(X, r, a)(X, r, a)


@overload_part(product)
def _product(X, r, a):
    if _kind(X) is Sparse:
        return lambda X, r, a: _sparse_dot(X, r, a)
    if _kind(X) is Gram:
        return lambda X, r, a: _gram_dot(X, r, a)
    return lambda X, r, a: dot(X[r], a)


def join(scale, X, r, total):
    """``total += scale x`` for row x."""
    _join(scale, X, r, total)(scale, X, r, total)


@overload_part(join)
def _join(scale, X, r, total):
    if _kind(X) is Sparse:
        return lambda scale, X, r, total: _sparse_add(scale, X, r, total)
    if _kind(X) is Gram:
        return lambda scale, X, r, total: _gram_add(scale, X, r, total)
    return lambda scale, X, r, total: add(scale, X[r], total)


# ----------------------------------------------------------------------------------------- matrices, kept as vectors


@fast_part
def _dense_scores(x, a, out):
    k = out.shape[0]
    for c in range(k):
        met = 0.0
        for i in range(x.shape[0]):
            met += x[i] * a[i * k + c]
        out[c] = met


@fast_part
def _sparse_scores(X, r, a, out):
    for c in range(out.shape[0]):
        out[c] = 0.0
    for k in range(X.starts[r], X.starts[r + 1]):
        at = X.columns[k] * out.shape[0]
        for c in range(out.shape[0]):
            out[c] += X.values[k] * a[at + c]


@part
def _dense_outer(scale, x, s, total):
    k = s.shape[0]
    for c in range(k):
        step = scale * s[c]
        if step != 0.0:  # of a hinge, all slopes but two are
            for i in range(x.shape[0]):
                total[i * k + c] += step * x[i]


@part
def _sparse_outer(scale, X, r, s, total):
    for k in range(X.starts[r], X.starts[r + 1]):
        at = X.columns[k] * s.shape[0]
        for c in range(s.shape[0]):
            total[at + c] += (scale * s[c]) * X.values[k]


@fast_part
def _sparse_square(X, r):
    xx = 0.0
    for k in range(X.starts[r], X.starts[r + 1]):
        xx += X.values[k] * X.values[k]
    return xx


def square(X, r):
    """``<x, x>`` for row x."""
    return _sparse_square(X, r) if is_sparse(X) else dot(X[r], X[r])


@overload_part(square)
def _square(X, r):
    return (lambda X, r: _sparse_square(X, r)) if is_sparse(X) else (lambda X, r: dot(X[r], X[r]))


def products(X, r, a, out):
    """``out = A^T x`` (k,) for row x, with A (d, k) kept as ``a`` (d k,)."""
    if is_sparse(X):
        _sparse_scores(X, r, a, out)
    else:
        _dense_scores(X[r], a, out)


@overload_part(products)
def _products(X, r, a, out):
    if is_sparse(X):
        return lambda X, r, a, out: _sparse_scores(X, r, a, out)
    return lambda X, r, a, out: _dense_scores(X[r], a, out)


def join_all(scale, X, r, s, total):
    """``total += scale x s^T`` for row x, with the total (d, k) kept as a vector (d k,)."""
    if is_sparse(X):
        _sparse_outer(scale, X, r, s, total)
    else:
        _dense_outer(scale, X[r], s, total)


@overload_part(join_all)
def _join_all(scale, X, r, s, total):
    if is_sparse(X):
        return lambda scale, X, r, s, total: _sparse_outer(scale, X, r, s, total)
    return lambda scale, X, r, s, total: _dense_outer(scale, X[r], s, total)
