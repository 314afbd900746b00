"""Run pairs of a loss and an inner law on one small stream; print or save what came out.

Usage: python tests/pairs.py OUT.npz [once]: all pairs that are tried, or each loss and each law once. Run by
test_compiled.py in processes of its own.
"""

from __future__ import annotations

import json
import sys

import numpy as np
from games import LOSSES, PAIRS, WITHIN, beside, stream

import owo
from owo import kernels


def results(which: str = "all") -> dict[str, np.ndarray]:
    """Every number that the runs wrote down, by pair and update mode."""
    found = {}
    for i, j in [(i, j) for i, j in PAIRS if which == "all" or i == j]:
        rng = np.random.default_rng([i, j])
        block = stream(rng, LOSSES[i], [5, 1, 9], 11, 1.0, "random")
        for update, blk in (("task", block.interleaved(rng)), ("point", block)):
            learner = owo.OnlineWithinOnline(LOSSES[i], WITHIN[j], beside(i, j), update)
            ledger = learner.run(blk, points=True)
            columns = [*ledger.account, *ledger.tally, ledger.losses, ledger.overlap]
            points = [ledger.points[0][name] for name in ("loss", "prediction")]
            found[f"{i}-{j}-{update}"] = np.concatenate([np.ravel(c) for c in (*columns, *points, learner.bias)])
    return found


if __name__ == "__main__":
    np.savez(sys.argv[1], **results(*sys.argv[2:]))
    stats = getattr(kernels.run, "stats", None)
    hits, misses = (sum(stats.cache_hits.values()), sum(stats.cache_misses.values())) if stats else (0, 0)
    json.dump({"hits": hits, "misses": misses}, sys.stdout)
