"""One learner from several that were trained on disjoint streams."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from owo.geometry import Identity
from owo.online import OnlineWithinOnline
from owo.streams.points import real


def merged(learners: Iterable[OnlineWithinOnline], weights: ArrayLike | None = None) -> OnlineWithinOnline:
    """A new learner whose bias begins at the mean of the learners' biases; they stay as they are.

    This is what can be said of it: the loss of a new task is convex in the bias that it begins at, for one task at a
    time and whatever the data, so at the mean bias it is expected to lose at most the mean of what it would lose at
    the learners' own (Jensen); and what has been proved of each stands, in its own ledger: the sum of their
    certificates bounds the sum of their regrets. The new learner's ledger and certificate begin anew, with the mean as
    their centre, and its laws begin as they were made: with steps for a bias that is still to be learned. It is not the
    learner that would have seen the streams one after another; that one would have learned the later ones from a better
    start.

    Parameters
    ----------
    learners : of one loss, one pair of laws, one ``update`` and the same features, that have met data; without a
        geometry, of which a mean would say nothing about steps
    weights : a number >= 0 for each; default the points that it has met

    Raises
    ------
    ValueError
        Learners that differ, or none; tasks that are open, whose weights are around biases that the new learner does
        not have: end or forget them first.

    Examples
    --------
    >>> import owo
    >>> learners = [owo.OnlineWithinOnline(owo.Absolute()) for _ in range(2)]
    >>> for learner, label in zip(learners, (2.0, 4.0)):
    ...     _ = learner.run([([[1.0], [1.0]], [label, label])] * 200)
    >>> biases = [float(learner.bias[0]) for learner in learners]
    >>> biases[0] < float(merged(learners).bias[0]) < biases[1]
    True
    """
    some = list(learners)
    _require_alike(some)
    shares = _shares(some, weights)
    bias = sum(share * learner.bias for share, learner in zip(shares.tolist(), some, strict=True))
    first = some[0]
    return OnlineWithinOnline(
        first.loss, first.inner, first.outer, first.update, bias=np.asarray(bias), history=first.history
    )


def _require_alike(learners: Sequence[OnlineWithinOnline]) -> None:
    """Raise the ``ValueError`` of what keeps learners from being merged."""
    if not learners:
        raise ValueError("there are no learners; needed at least one")
    first = learners[0]
    for number, learner in enumerate(learners):
        if not isinstance(learner, OnlineWithinOnline):
            raise TypeError(f"learner {number} is a {type(learner).__name__}; needed an owo.OnlineWithinOnline")
        if learner.d is None:
            raise ValueError(f"learner {number} has met no data; leave it out")
        for name in ("loss", "inner", "outer", "update", "d"):
            if getattr(learner, name) != getattr(first, name):
                raise ValueError(
                    f"learner {number} has {name}={getattr(learner, name)!r}, learner 0 {getattr(first, name)!r}; "
                    "needed learners that are alike"
                )
        if not isinstance(learner.geometry, Identity):
            raise ValueError(f"learner {number} has a geometry; only learners without one can be merged")
        if learner.open_tasks:
            raise ValueError(
                f"learner {number} has open tasks ({learner.open_tasks[0]!r} and {len(learner.open_tasks) - 1} more), "
                "whose weights are around its own bias: end or forget them first"
            )


def _shares(learners: Sequence[OnlineWithinOnline], weights: ArrayLike | None) -> np.ndarray:
    """The part of each, (m,); they sum to 1."""
    if weights is None:
        weights = [float(learner.ledger.rounds.sum()) for learner in learners]
    given = real(weights, "weights").astype(np.float64)
    if given.shape != (len(learners),) or not np.isfinite(given).all() or (given < 0.0).any() or not given.any():
        raise ValueError(f"weights are {given.tolist()}; needed {len(learners)} numbers of at least 0, not all 0")
    scaled = given / given.max()
    return np.asarray(scaled / scaled.sum())
