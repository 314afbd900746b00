"""The same recursion elsewhere, and what others do with the same points.

The recursion is the paper's bias instance: absolute loss, ``w = theta - q / (strength i)`` inside a task, ``theta -=
step q`` when it ends. NumPy, C, JAX and torch compute it; river, scikit-learn and Vowpal Wabbit learn one linear model
by stochastic gradient descent, which is less work, so that only their throughput compares.
"""

from __future__ import annotations

import ctypes
import itertools
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.timing import compiled_c, installed
from owo.streams import Block

STRENGTH, STEP = 1.0, 0.001


def some_points(block: Block, points: int) -> tuple[Any, Any, Any]:
    """X, y and offsets of the first whole tasks of about so many points."""
    offsets = block.offsets
    short = offsets[: max(2, int(np.searchsorted(offsets, points, side="right")))]
    return block.X[: short[-1]], block.y[: short[-1]], short


def in_numpy(X: Any, y: Any, offsets: Any) -> Any:
    """The plain loop of research code."""
    theta, losses = np.zeros(X.shape[1]), np.empty(len(y))
    for start, stop in itertools.pairwise(offsets):
        q = np.zeros(X.shape[1])
        for i, r in enumerate(range(start, stop), start=1):
            p = X[r] @ (theta - q / (STRENGTH * i))
            losses[r] = abs(p - y[r])
            q += np.sign(p - y[r]) * X[r]
        theta -= STEP * q
    return losses


def in_c(folder: pathlib.Path) -> Callable[[Any, Any, Any], Any] | None:
    """A loop in C, if there is a compiler."""
    function = compiled_c("stream", folder)
    if function is None:
        return None
    floats, longs = np.ctypeslib.ndpointer(np.float64), np.ctypeslib.ndpointer(np.int64)
    function.argtypes = [floats, floats, longs, *(ctypes.c_long,) * 2, *(ctypes.c_double,) * 2, *(floats,) * 3]
    room: dict[int, Any] = {}

    def stream(X: Any, y: Any, offsets: Any) -> Any:
        if len(y) not in room:
            room[len(y)] = np.zeros(len(y))
        losses = room[len(y)]
        d = X.shape[1]
        function(X, y, offsets, len(offsets) - 1, d, STRENGTH, STEP, np.zeros(d), np.zeros(d), losses)
        return losses

    return stream


def in_jax() -> Callable[[Any, Any, Any], Any] | None:
    """``lax.scan`` over points, compiled before it is timed."""
    if installed("jax") is None:
        return None
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)

    def point(state: Any, row: Any) -> Any:
        theta, q, i = state
        x, y, last = row
        error = x @ (theta - q / (STRENGTH * i)) - y
        q = q + jnp.sign(error) * x
        theta = jnp.where(last, theta - STEP * q, theta)
        return (theta, jnp.where(last, 0.0, 1.0) * q, jnp.where(last, 1.0, i + 1.0)), jnp.abs(error)

    scan = jax.jit(lambda theta, X, y, last: jax.lax.scan(point, (theta, 0.0 * theta, 1.0), (X, y, last))[1])

    def stream(X: Any, y: Any, offsets: Any) -> Any:
        last = np.zeros(len(y), dtype=bool)
        last[offsets[1:] - 1] = True
        return np.asarray(scan(np.zeros(X.shape[1]), X, y, last))

    return stream


def in_torch() -> Callable[[Any, Any, Any], Any] | None:
    """The same loop on tensors."""
    torch = installed("torch")
    if torch is None:
        return None

    def stream(X: Any, y: Any, offsets: Any) -> Any:
        rows, labels = torch.from_numpy(X), y.tolist()
        theta, losses = torch.zeros(X.shape[1], dtype=torch.float64), np.empty(len(y))
        for start, stop in itertools.pairwise(offsets.tolist()):
            q = torch.zeros_like(theta)
            for i, r in enumerate(range(start, stop), start=1):
                error = torch.dot(rows[r], theta - q / (STRENGTH * i)) - labels[r]
                losses[r] = abs(error.item())
                q += torch.sign(error) * rows[r]
            theta -= STEP * q
        return losses

    return stream


# ------------------------------------------------------------------------------- other work: throughput only


def by_river() -> Callable[[Any, Any, Any], Any] | None:
    """``predict_one`` and ``learn_one`` of a linear model, on dicts made before."""
    if installed("river") is None:
        return None
    from river import linear_model, optim

    def stream(X: Any, y: Any, offsets: Any) -> Any:
        rows = _once(X, "dicts", lambda: [dict(enumerate(row)) for row in X.tolist()])
        model = linear_model.LinearRegression(optim.SGD(0.01), optim.losses.Absolute())
        for row, label in zip(rows, y.tolist(), strict=True):
            model.predict_one(row)
            model.learn_one(row, label)

    return stream


def by_sklearn() -> Callable[[Any, Any, Any], Any] | None:
    """``partial_fit`` of all points of a task at once."""
    if installed("sklearn") is None:
        return None
    from sklearn.linear_model import SGDRegressor

    def stream(X: Any, y: Any, offsets: Any) -> Any:
        model = SGDRegressor(loss="epsilon_insensitive", epsilon=0.0, alpha=0.0, learning_rate="constant", eta0=0.01)
        for start, stop in itertools.pairwise(offsets):
            model.partial_fit(X[start:stop], y[start:stop])

    return stream


def by_vw() -> Callable[[Any, Any, Any], Any] | None:
    """``learn`` on examples that were parsed before."""
    if installed("vowpalwabbit") is None:
        return None
    from vowpalwabbit import Workspace

    def stream(X: Any, y: Any, offsets: Any) -> Any:
        def parsed() -> Any:
            model = Workspace("--loss_function quantile --quiet")
            return model, [model.parse(line) for line in _lines(X, y)]

        model, examples = _once(X, "parsed", parsed)
        for example in examples:
            model.learn(example)

    return stream


def by_vw_file() -> Callable[[Any, Any, Any], Any] | None:
    """All of a text file in one call, parsing included."""
    if installed("vowpalwabbit") is None:
        return None
    import tempfile

    from vowpalwabbit import Workspace

    def stream(X: Any, y: Any, offsets: Any) -> Any:
        def written() -> Any:
            file = tempfile.NamedTemporaryFile("w", suffix=".vw")
            file.writelines(line + "\n" for line in _lines(X, y))
            file.flush()
            return file

        Workspace(f"--loss_function quantile --quiet -d {_once(X, 'file', written).name}").finish()

    return stream


def _lines(X: Any, y: Any) -> list[str]:
    """Points as Vowpal Wabbit reads them."""
    pairs = zip(X.tolist(), y.tolist(), strict=True)
    return [f"{label} | " + " ".join(f"{k}:{v}" for k, v in enumerate(row)) for row, label in pairs]


_PREPARED: dict[str, tuple[Any, Any]] = {}


def _once(X: Any, form: str, make: Callable[[], Any]) -> Any:
    """Points in another form, made when they first come, and kept as long as no others do."""
    points, made = _PREPARED.get(form, (None, None))
    if points is not X:
        made = make()
        _PREPARED[form] = X, made
    return made
