"""Learners of every kind with data for them, and whether two are in the same state."""

from __future__ import annotations

from typing import Any

import numpy as np

import owo
from owo import saved
from owo.streams import Block

GEOMETRY = owo.geometry
RANK_ONE = GEOMETRY.FeatureMap(owo.DualAveraging(0.1), mirror=GEOMETRY.Projected(), gradient=GEOMETRY.Paper())
LAWS = {"inner": owo.GrowingFTRL(1.0), "outer": owo.InverseSqrt(0.1)}
KINDS: dict[str, dict[str, Any]] = {
    "default": {},
    "spans": {"history": "spans"},
    "implicit, by task": {"inner": owo.Implicit(0.1), "outer": owo.DualAveraging(0.1), "update": "task"},
    "ball": {"inner": owo.Ball(owo.CoinBetting(), 2.0), "outer": owo.MagnitudeDirection()},
    "scalar": {**LAWS, "geometry": GEOMETRY.Scalar(), "metric": 0.3},
    "diagonal": {**LAWS, "geometry": GEOMETRY.Diagonal(), "history": "spans"},
    "fixed": {**LAWS, "geometry": GEOMETRY.Fixed(), "metric": 2.0 * np.eye(4) + 0.1},
    "full": {**LAWS, "geometry": GEOMETRY.Full()},
    "rank one": {**LAWS, "geometry": RANK_ONE},
    "scores": {**LAWS, "loss": owo.Softmax(3)},
}


def learner(kind: str, **others: Any) -> owo.OnlineWithinOnline:
    parts = {"loss": owo.Absolute(), **KINDS[kind], **others}
    return owo.OnlineWithinOnline(**parts)


def mixed(kind: str = "default", n: int = 1200, tasks: int = 40, d: int = 4, seed: int = 0) -> Block:
    """Points of tasks that are mixed, with names; every task ends."""
    rng = np.random.default_rng(seed)
    X, task = rng.normal(size=(n, d)), rng.integers(tasks, size=n)
    y = np.sum(X * (2.0 + rng.normal(size=(tasks, d)))[task], axis=1)
    labels = np.floor(np.abs(y)) % 3 if kind == "scores" else y
    return owo.streams.from_arrays(X, labels, [f"task {k}" for k in task])


def same(one: owo.OnlineWithinOnline, other: owo.OnlineWithinOnline) -> None:
    """Assert that all there is of two learners is the same, to the bit; open tasks may lie in other places."""
    (about, arrays), (others, theirs) = saved.packed(one), saved.packed(other)
    keys, places = one.open_tasks, {key: at for at, key in enumerate(other.open_tasks)}
    assert places.keys() == set(keys) and arrays.keys() == theirs.keys()
    order = np.array([places[key] for key in keys], dtype=np.int64)
    for name, mine in arrays.items():
        theirs_here = theirs[name]
        if name.startswith("open.") and name != "open.keys":
            theirs_here = theirs_here[order]
        if name != "open.keys":
            np.testing.assert_array_equal(mine, theirs_here, err_msg=name)
    for each in (about, others):
        each.pop("open.keys", None)
    assert about == others
