"""``check_vector_loss``: that the functions of a loss of k scores belong together."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from owo._record import kernel
from owo.checks.contract import ROUNDING, Array, check_stream, demand, expressed, plainly
from owo.doors import as_vector_loss
from owo.laws import DualAveraging, GrowingFTRL
from owo.losses.decorator import default_prox_slopes

STEPS = (1e-6, 0.3, 1.0, 7.0, 1e4)


def check_vector_loss(loss: Any, *, labels: Any = None, seed: int = 0) -> None:
    """Check that the functions of a loss of k scores belong together, in Python and compiled.

    Checked at scores of many sizes, tied, and extreme ones, for every label: the subgradient inequality of ``slopes``,
    and that they fill all of ``out`` and nothing else; Fenchel-Young equality at slopes, and that the conjugate between
    and beyond them is the supremum; the Lipschitz constant; ``prox_slopes``, if there are; no NaN up to 1e300; that
    ``accepts`` takes nothing that cannot be learned from; the cvxpy ``expression``, if there is one and cvxpy is
    installed. Compiled results must be those of plain Python, and a tiny stream must come out as the definition of a
    learner says.

    Parameters
    ----------
    loss : an instance of a class made with ``@owo.losses.vector_loss``; with about 3 classes that is quick
    labels : labels to try, all acceptable to the loss; by default those of -1, 1/2, 0 .. k that it accepts
    seed : of the random scores

    Raises
    ------
    ContractError
        Naming the property and where it fails.
    TypeError
        ``loss`` is not an instance of a class made with ``@owo.losses.vector_loss``.

    Examples
    --------
    >>> import owo
    >>> owo.checks.check_vector_loss(owo.Softmax(3))
    """
    as_vector_loss(loss)
    tried = _labels(loss, labels)
    rng = np.random.default_rng(seed)
    P = scores(loss.classes, rng)
    for y in tried:
        _check_writing(loss, y, P[0])
        at = _tabulate(loss, y, P)
        _check_compiled(loss, y, at)
        _check_slopes(loss, y, at)
        _check_conjugate(loss, y, at, rng)
        _check_prox(loss, y, at)
        _check_extremes(loss, y)
    _check_expression(loss, tried, P)
    check_stream(loss, loss, GrowingFTRL(1.0), DualAveraging(0.1), tried)


def _labels(loss: Any, labels: Any) -> list[float]:
    for y in (math.nan, math.inf, -math.inf):
        demand(not loss.accepts(y), loss, "accepts finite labels only", y=y)
    if labels is None:
        tried = [y for y in (-1.0, 0.5, *map(float, range(loss.classes + 1))) if loss.accepts(y)]
        demand(bool(tried), loss, "accepts(y) for one label at least; pass labels= that it takes")
        return tried
    for y in map(float, labels):
        demand(bool(loss.accepts(y)), loss, "accepts(y) for a label under test", y=y)
    return [float(y) for y in labels]


def scores(k: int, rng: np.random.Generator, n: int = 60) -> Array:
    """Scores (2 n + 1, k) of many sizes, tied ones at which losses turn, and zero."""
    sizes = 10.0 ** rng.integers(-6, 4, size=(n, 1))
    return np.concatenate([rng.normal(size=(n, k)) * sizes, rng.integers(-1, 2, size=(n, k)), np.zeros((1, k))])


class _Table(NamedTuple):
    """A loss at scores P (m, k): values (m,), slopes (m, k), and the conjugate of these (m,)."""

    points: Array
    values: Array
    slopes: Array
    duals: Array


@kernel
def _evaluate(loss, points, y, values, slopes, duals):  # type: ignore[no-untyped-def]
    for j in range(points.shape[0]):
        loss.slopes(points[j], y, slopes[j])
        values[j] = loss.value(points[j], y)
        duals[j] = loss.conjugate(slopes[j], y)


def _tabulate(loss: Any, y: float, points: Array) -> _Table:
    m = len(points)
    table = _Table(points, np.empty(m), np.full(points.shape, np.nan), np.empty(m))
    _evaluate(loss, points, y, *table[1:])
    return table


def _demand_rows(holds: Any, loss: Any, property_: str, y: float, **rows: Any) -> None:
    """As ``demand``, for arrays with a row a place: reports the first where the property does not hold."""
    if not np.all(holds):
        first = int(np.argmin(holds))
        demand(False, loss, property_, y=y, **{name: np.asarray(value)[first].tolist() for name, value in rows.items()})


def _slopes(loss: Any, p: Array, y: float, fill: float = math.nan) -> Array:
    out = np.full(len(p), fill)
    plainly(loss, "slopes", p, y, out)
    return out


def _check_writing(loss: Any, y: float, p: Array) -> None:
    """Slopes come back in ``out``, all of them, and nothing else is written to."""
    given = p.copy()
    first, second = _slopes(loss, given, y, 3.0), _slopes(loss, given, y, -5.0)
    filled = np.array_equal(first, second)
    demand(
        filled, loss, "slopes fills all of out", p=p.tolist(), y=y, out_of_3=first.tolist(), out_of_5=second.tolist()
    )
    plainly(loss, "value", given, y)
    slopes = first.copy()
    plainly(loss, "conjugate", slopes, y)
    demand(np.array_equal(given, p), loss, "p is not written to", p=p.tolist(), y=y, after=given.tolist())
    demand(np.array_equal(slopes, first), loss, "conjugate does not write to s", s=first.tolist(), y=y)


def _check_compiled(loss: Any, y: float, at: _Table) -> None:
    for p, value, slopes, dual in zip(*at, strict=True):
        s = _slopes(loss, p, y)
        pairs = {
            "value": (plainly(loss, "value", p, y), value),
            "slopes": (s, slopes),
            "conjugate": (plainly(loss, "conjugate", s, y), dual),
        }
        for name, (a, b) in pairs.items():  # sums of k numbers may be taken in another order
            same = np.allclose(a, b, rtol=ROUNDING, atol=ROUNDING * (1.0 + float(np.abs(p).max())), equal_nan=True)
            shown = {"plain": np.asarray(a).tolist(), "compiled": np.asarray(b).tolist()}
            demand(same, loss, f"{name} is the same compiled and plain", p=p.tolist(), y=y, **shown)


def _check_slopes(loss: Any, y: float, at: _Table) -> None:
    """Fenchel-Young at every point; the subgradient inequality from each to all."""
    p, v, s, dual = at
    _demand_rows(np.isfinite(v), loss, "value is finite", y, p=p, value=v)
    _demand_rows(np.isfinite(s).all(axis=1), loss, "slopes are finite", y, p=p, s=s)
    norms = np.linalg.norm(s, axis=1)
    _demand_rows(norms <= loss.lipschitz * (1.0 + ROUNDING), loss, "|slopes| <= lipschitz", y, p=p, s=s, norm=norms)
    _demand_rows(np.isfinite(dual), loss, "conjugate is finite at slopes", y, p=p, s=s, conjugate=dual)
    met = np.sum(s * p, axis=1)
    size = 1.0 + np.abs(v) + np.sum(np.abs(s * p), axis=1) + np.abs(p).max(axis=1)
    what = "value + conjugate = <s, p> at slopes (Fenchel-Young)"
    _demand_rows(np.abs(v + dual - met) <= ROUNDING * size, loss, what, y, p=p, s=s, gap=v + dual - met)
    for z, value in zip(p, v.tolist(), strict=True):
        short = v + s @ z - met - value
        near = short <= ROUNDING * (size + np.abs(s) @ np.abs(z) + abs(value))
        what = "value(z) >= value(p) + <s, z - p>"
        _demand_rows(near, loss, what, y, p=p, s=s, z=np.broadcast_to(z, p.shape), short=short)


def _check_conjugate(loss: Any, y: float, at: _Table, rng: np.random.Generator) -> None:
    """Between slopes it is the supremum, from both sides; beyond them it is none too small.

    A conjugate is convex, so at a mixture of slopes it is at most that mixture of theirs; and at least
    ``<s, p> - value(p)`` for any p, such as the best that was found by climbing.
    """
    for _ in range(12):
        chosen, parts = rng.integers(0, len(at.points), 3), rng.dirichlet(np.ones(3))
        mixed, chord = at.slopes[chosen], float(parts @ at.duals[chosen])
        s = np.clip(parts @ mixed, mixed.min(axis=0), mixed.max(axis=0))  # rounding must not leave the domain
        dual = float(plainly(loss, "conjugate", s, y))
        size = 1.0 + float(np.abs(at.duals[chosen]).max()) + float(np.abs(mixed).max())
        what = "conjugate is convex between slopes"
        demand(dual <= chord + ROUNDING * size, loss, what, s=s.tolist(), y=y, conjugate=dual, chord=chord)
        _check_fenchel(loss, y, np.vstack([at.points, _climbed(loss, y, s, at.points[chosen[0]])]), s, dual)
    far = min(loss.lipschitz, 1e3)
    for s in (*(far * rng.normal(size=(6, loss.classes))), *(3.0 * far * np.eye(loss.classes)), at.slopes[0] + 0.1):
        dual = float(plainly(loss, "conjugate", s, y))
        demand(not math.isnan(dual), loss, "conjugate is not NaN beyond its domain", s=s.tolist(), y=y)
        _check_fenchel(loss, y, np.vstack([at.points, 1e6 * s]), s, dual)


def _climbed(loss: Any, y: float, s: Array, start: Array) -> Array:
    """Scores at which ``<s, p> - value(p)`` is large."""
    from scipy.optimize import minimize

    def below(p: Array) -> tuple[float, Array]:
        return float(loss.value(p, y)) - float(s @ p), _slopes(loss, p, y) - s

    found: Array = minimize(below, start, jac=True, method="L-BFGS-B", options={"maxiter": 50}).x
    return found if np.isfinite(found).all() else start


def _check_fenchel(loss: Any, y: float, points: Array, s: Array, dual: float) -> None:
    values = np.array([plainly(loss, "value", p, y) for p in points])
    short = points @ s - values - dual
    size = 1.0 + np.abs(points) @ np.abs(s) + np.abs(values) + np.abs(points).max(axis=1)
    what = "value + conjugate >= <s, p> (Fenchel)"
    holds = (short <= ROUNDING * size) | (dual == math.inf)
    where = {"s": np.broadcast_to(s, points.shape), "conjugate": np.full(len(points), dual)}
    _demand_rows(holds, loss, what, y, p=points, **where, short=short)


def _check_prox(loss: Any, y: float, at: _Table) -> None:
    """With ``s = prox_slopes(p)`` the proximal point is ``z = p - step s``, and s must be a subgradient there."""
    if type(loss).prox_slopes is default_prox_slopes:
        return
    for step in STEPS:
        for p in at.points:
            s = np.full(len(p), math.nan)
            plainly(loss, "prox_slopes", p, y, step, s)
            z = p - step * s
            gap = float(plainly(loss, "value", z, y)) + float(plainly(loss, "conjugate", s, y)) - float(s @ z)
            allowed = ROUNDING * (1.0 + float(np.abs(p).max()) + step) * (1.0 + float(np.abs(s).sum()))
            what = "prox_slopes are a subgradient at p - step prox_slopes"
            demand(abs(gap) <= allowed, loss, what, p=p.tolist(), y=y, step=step, s=s.tolist(), gap=gap)


def _check_extremes(loss: Any, y: float) -> None:
    with np.errstate(over="ignore"):  # infinity is an answer
        _check_far(loss, y)


def _check_far(loss: Any, y: float) -> None:
    for size in (1e300, 1e155, 1e16, 5e-324):
        for pattern in ((1.0, -1.0), (1.0, 1.0), (-1.0, 1.0), (0.0, 1.0)):
            p = size * np.resize(np.array(pattern), loss.classes)
            s = _slopes(loss, p, y)
            where = {"p": p.tolist(), "y": y}
            demand(not math.isnan(plainly(loss, "value", p, y)), loss, "value is not NaN", **where)
            demand(not np.isnan(s).any(), loss, "slopes are not NaN", **where)
            demand(not math.isnan(plainly(loss, "conjugate", s, y)), loss, "conjugate is not NaN", **where)
            short = np.linalg.norm(s) <= loss.lipschitz * (1.0 + ROUNDING)
            demand(bool(short), loss, "|slopes| <= lipschitz", **where, s=s.tolist())


def _check_expression(loss: Any, labels: list[float], points: Array) -> None:
    y = np.resize(np.array(labels), len(points))
    twin = expressed(loss, points, y)
    if twin is None:
        return
    demand(twin.shape == y.shape, loss, "expression has one entry for each row of scores", came=twin.shape)
    for p, label, a in zip(points, y.tolist(), twin.tolist(), strict=True):
        b = float(loss.value(p, label))
        same = abs(a - b) <= 1e-9 * (1.0 + abs(b))  # cvxpy works some of its functions out by others
        demand(same, loss, "expression equals value", p=p.tolist(), y=label, expression=a, value=b)
