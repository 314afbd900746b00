"""The ledger of functions, which are known by their distances."""

from __future__ import annotations

from typing import Any

import numpy as np

from owo.ledger import Array, Ledger


class KernelLedger(Ledger):
    """A ``Ledger`` whose comparators have two coordinates: along the bias, and apart from it.

    ``Nystroem.distances`` makes them. Any other, such as weights on the features themselves, is refused: its norms are
    not those of the kernel's Hilbert space, so they would make a number that bounds nothing.
    """

    def _apart(self, comparator: Any) -> tuple[Array, Array]:
        if hasattr(comparator, "weights") and not _distances(comparator):
            raise ValueError(
                f"comparator has bias {np.shape(comparator.bias)}; the ledger of a kernel learner knows functions by "
                "their distances. Take basis = owo.rkhs.Nystroem(kernel, block.X), build the comparator for "
                "basis.block(block), and pass basis.distances(comparator)"
            )
        return super()._apart(comparator)


def _distances(comparator: Any) -> bool:
    bias, weights = np.asarray(comparator.bias), np.atleast_2d(comparator.weights)
    if bias.shape != (2,) or weights.shape[1:] != (2,):
        return False
    return bool(bias[1] == 0.0 and (weights[:, 0] == bias[0]).all() and not (weights < 0.0).any())
