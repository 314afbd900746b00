"""What all checks share: the error that they raise, and one tiny stream through the one loop over points."""

from __future__ import annotations

import importlib.util
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
    except (ArithmeticError, ValueError, IndexError) as error:
        where = ", ".join(map(repr, arguments))
        raise ContractError(
            f"{who!r} breaks: {name} is a number, also in Python; {name}({where}): {error!r}"
        ) from error


def expressed(loss: Any, points: Array, y: Array) -> Array | None:
    """What a loss's twin in cvxpy comes to; None if it has none, or without cvxpy."""
    if not hasattr(loss, "expression") or importlib.util.find_spec("cvxpy") is None:
        return None
    import cvxpy

    p = cvxpy.Variable(points.shape)  # of a constant everything is convex
    twin = loss.expression(p, y)
    demand(bool(twin.is_convex()), loss, "expression is convex", y=y.tolist())
    p.value = points
    return np.asarray(twin.value)


def check_stream(who: Any, loss: Any, inner: Any, outer: Any, labels: list[float]) -> None:
    """One tiny task through the kernel that learns, held against the definition of a learner in plain Python."""
    from owo.online import OnlineWithinOnline

    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(7, 2)), np.resize(np.array(labels), 7)
    learner = OnlineWithinOnline(loss, inner, outer, update="task")
    points = learner.run([(X, y)], points=True).points[0]
    state, q = inner.start(), np.zeros((2, *points["prediction"].shape[1:]))
    total = q.copy()
    for t in range(len(y)):
        x2, label = float(X[t] @ X[t]), float(y[t])
        scale = inner.scale(state) * inner.shrink(state)
        p = -scale * (X[t] @ q)
        s = _slope(loss, inner, p, label, scale * x2)
        _same(who, "prediction", t, points["prediction"][t], p)
        _same(who, "loss", t, points["loss"][t], loss.value(p if p.ndim else float(p), label))
        norm2, along = float(np.sum(s * s)) * x2, float(np.sum(s * (X[t] @ q)))
        kept, g = inner.clip(state, norm2), np.multiply.outer(X[t], s)
        state = inner.observe(state, along, norm2)
        q, total = q + kept * g, total + g
    norm2 = float(np.sum(total * total))
    kept, meta = outer.clip(outer.start(), norm2), outer.observe(outer.start(), 0.0, norm2)
    _same(who, "bias", len(y), learner.bias, -outer.scale(meta) * outer.shrink(meta) * kept * total)


def _slope(loss: Any, inner: Any, p: Array, label: float, step: float) -> Array:
    """The slope () that the learner inside a task takes, or the slopes (k,) of a loss of k scores."""
    if not p.ndim:
        return np.asarray(inner.slope(loss, float(p), label, step))
    s = np.empty_like(p)
    loss.slopes(p, label, s)
    return s


def _same(who: Any, what: str, t: int, streamed: Any, plain: Any) -> None:
    # dot products are summed in another order, and seven rounds add to what that rounds differently
    near = np.allclose(streamed, plain, rtol=1e-9, atol=1e-9)
    numbers = {"streamed": np.asarray(streamed).tolist(), "plain": np.asarray(plain).tolist()}
    demand(near, who, f"{what} is the same streamed and by definition", round=t, **numbers)
