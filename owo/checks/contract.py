"""What all checks share: the error that they raise, and one tiny stream through the one loop over points."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

ROUNDING = 1e-12
"""Relative to the numbers compared: some thousand units in the last place, for a handful of operations."""


class ContractError(AssertionError):
    """A loss or a law breaks a property that certificates rest on."""


def demand(holds: bool, who: Any, property_: str, **numbers: Any) -> None:
    """Raise the ``ContractError`` that names a property which does not hold, and where."""
    if not holds:
        at = ", ".join(f"{name}={value!r}" for name, value in numbers.items())
        raise ContractError(f"{who!r} breaks: {property_}; at {at}")


def demand_all(holds: Any, who: Any, property_: str, **numbers: Any) -> None:
    """As ``demand``, for arrays (broadcast together): reports the first place where the property does not hold."""
    if not np.all(holds):
        names, values = list(numbers), np.broadcast_arrays(holds, *numbers.values())
        first = tuple(np.argwhere(~values[0])[0])
        demand(
            False, who, property_, **{name: value[first].item() for name, value in zip(names, values[1:], strict=True)}
        )


def plainly(who: Any, name: str, *arguments: Any) -> Any:
    """Call a method as plain Python, where overflow is an exception and not an infinity."""
    method: Callable[..., Any] = getattr(who, name)
    try:
        return method(*arguments)
    except (ArithmeticError, ValueError) as error:
        where = ", ".join(map(repr, arguments))
        raise ContractError(
            f"{who!r} breaks: {name} is a number, also in Python; {name}({where}): {error!r}"
        ) from error


def check_stream(who: Any, loss: Any, inner: Any, outer: Any, labels: list[float]) -> None:
    """One tiny task through the kernel that learns, held against the definition of a learner in plain Python."""
    from owo.online import OnlineWithinOnline

    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(7, 2)), np.resize(np.array(labels), 7)
    learner = OnlineWithinOnline(loss, inner, outer, update="task")
    points = learner.run([(X, y)], points=True).points[0]
    state, q, total = inner.start(), np.zeros(2), np.zeros(2)
    for t in range(len(y)):
        x2, label = float(X[t] @ X[t]), float(y[t])
        scale = inner.scale(state) * inner.shrink(state)
        p = -scale * float(X[t] @ q)
        s = inner.slope(loss, p, label, scale * x2)
        _same(who, "prediction", t, points["prediction"][t], p)
        _same(who, "loss", t, points["loss"][t], loss.value(p, label))
        kept, along = inner.clip(state, s * s * x2), s * float(X[t] @ q)
        state = inner.observe(state, along, s * s * x2)
        q, total = q + kept * s * X[t], total + s * X[t]
    norm2 = float(total @ total)
    kept, meta = outer.clip(outer.start(), norm2), outer.observe(outer.start(), 0.0, norm2)
    bias = -outer.scale(meta) * outer.shrink(meta) * kept * total
    for found, expected in zip(learner.bias.tolist(), bias.tolist(), strict=True):
        _same(who, "bias", len(y), found, expected)


def _same(who: Any, what: str, t: int, streamed: float, plain: float) -> None:
    # dot products are summed in another order, and seven rounds add to what that rounds differently
    near = math.isclose(streamed, plain, rel_tol=1e-9, abs_tol=1e-9)
    demand(near, who, f"{what} is the same streamed and by definition", round=t, streamed=float(streamed), plain=plain)
