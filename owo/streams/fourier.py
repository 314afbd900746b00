"""Random Fourier features: a Gaussian kernel as a linear stream of fixed dimension."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from owo.streams.block import Block
from owo.streams.points import Floats, as_rows


class RandomFourier:
    """Features whose inner products are nearly those of a Gaussian kernel (Rahimi and Recht 2007).

    ``phi(x)_k = sqrt(2 / features) cos(<w_k, x> + b_k)`` with ``w_k ~ N(0, I / width^2)`` and ``b_k`` uniform on
    [0, 2 pi], so that ``E <phi(x), phi(z)> = exp(-|x - z|^2 / (2 width^2))``; errors fall as ``1 / sqrt(features)``.

    Parameters
    ----------
    d : dimension of the points
    features : how many features, at least 1
    width : of the kernel, > 0, in the units of x
    seed : of w and b; the same seed gives the same features

    Raises
    ------
    ValueError
        Fewer than 1 dimension or feature, a width that is not finite and above 0.

    Examples
    --------
    >>> phi = RandomFourier(2, features=4000, width=1.0, seed=0)
    >>> x, z = phi.transform([[0.0, 0.0], [1.0, 0.0]])
    >>> round(float(x @ z), 1), round(float(np.exp(-0.5)), 1)
    (0.6, 0.6)
    """

    def __init__(self, d: int, features: int, width: float, seed: int) -> None:
        if d < 1 or features < 1:
            raise ValueError(f"d is {d} and features {features}; needed at least 1 of each")
        if not 0.0 < width < math.inf:
            raise ValueError(f"width is {width!r}; needed a finite number above 0, in the units of x")
        rng = np.random.default_rng(seed)
        self.directions = rng.normal(size=(d, features)) / width
        self.phases = rng.uniform(0.0, 2.0 * math.pi, features)

    def transform(self, X: ArrayLike) -> Floats:
        """Features (n, features) of points X (n, d); raises as ``as_rows``, and for another d."""
        rows = as_rows(X)
        d, features = self.directions.shape
        if rows.shape[1] != d:
            raise ValueError(f"X has {rows.shape[1]} columns; these features were made for d = {d}")
        angles = rows @ self.directions
        angles += self.phases
        found: Floats = np.cos(angles, out=angles)
        found *= math.sqrt(2.0 / features)
        return found

    def block(self, block: Block) -> Block:
        """The same tasks and labels with these features."""
        return Block(self.transform(np.asarray(block.X)), block.y, block.task, block.ends, block.keys)
