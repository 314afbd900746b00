"""What the tests of streams share: small data, what makes two blocks the same, and blocks drawn at random."""

from __future__ import annotations

import numba
import numpy as np
from hypothesis import strategies as st

from owo.streams import Block, from_arrays

X = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0]])
Y = np.array([0.0, 1.0, 2.0, 3.0])
IDS = ["a", "a", "b", "b"]

SIGNATURE = [
    numba.types.Array(numba.float64, 2, "C"),
    numba.types.Array(numba.float64, 1, "C"),
    numba.types.Array(numba.int64, 1, "C"),
    numba.types.Array(numba.boolean, 1, "C"),
]


def signature(block: Block) -> list[numba.types.Array]:
    return [numba.typeof(array) for array in (block.X, block.y, block.task, block.ends)]


def points_of(block: Block) -> dict[object, list[tuple[float, ...]]]:
    """Each task's points in order, whatever stands between them."""
    points: dict[object, list[tuple[float, ...]]] = {}
    for x, y, code in zip(block.X.tolist(), block.y.tolist(), block.task.tolist(), strict=True):
        points.setdefault(block.keys[code], []).append((*x, y))
    return points


def same(a: Block, b: Block) -> bool:
    pairs = [(a.X, b.X), (a.y, b.y), (a.task, b.task), (a.ends, b.ends)]
    return a.keys == b.keys and all(np.array_equal(p, q) for p, q in pairs)


@st.composite
def blocks(draw: st.DrawFn) -> Block:
    """Mixed tasks with distinct rows, so that every row can be told from all others."""
    ids = draw(st.lists(st.integers(0, 5), min_size=1, max_size=30))
    n, d = len(ids), draw(st.integers(1, 3))
    rows = np.arange(n * d, dtype=float).reshape(n, d)
    return from_arrays(rows, -np.arange(n, dtype=float), [f"t{k}" for k in ids])


COLUMNS = {
    "shop": ["a", "b", "a"],
    "price": [1.5, 2.5, 3.5],
    "open": [True, False, True],
    "sold": [9, 8, 7],
}
"""A table with named columns."""
