"""``check_loss``: that a loss's functions belong together."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from owo._record import kernel
from owo.checks.contract import ROUNDING, Array, check_stream, demand, demand_all, expressed, plainly
from owo.doors import as_loss
from owo.laws import DualAveraging, GrowingFTRL
from owo.losses import default_prox_slope

LABELS = (-3.0, -1.0, 0.0, 0.25, 1.0, 2.0, 7.5)
"""Tried if the loss accepts them."""

STEPS = (0.0, 1e-9, 1e-3, 0.3, 1.0, 7.0, 1e6)


def check_loss(loss: Any, *, labels: Any = None, seed: int = 0) -> None:
    """Check that a loss's functions belong together, in Python and compiled.

    Checked on a fine grid around every label, and on random, extreme and tied predictions: convexity and the
    subgradient inequality; Fenchel-Young equality at subgradients, and that the conjugate between and beyond them is
    the supremum; optimality of ``prox``, agreement of ``prox_slope``; the Lipschitz constant and the degree; no NaN up
    to ``|p| = 1e300``; the cvxpy ``expression``, if there is one and cvxpy is installed. Compiled results must be bit
    for bit those of plain Python, and a tiny stream must come out as the definition of a learner says.

    Parameters
    ----------
    loss : an instance of a class made with ``@owo.loss``
    labels : labels to try, all acceptable to the loss; by default those of a few small numbers that it accepts
    seed : of the random predictions

    Raises
    ------
    ContractError
        Naming the property and where it fails.
    TypeError
        ``loss`` is not an instance of a class made with ``@owo.loss``.

    Examples
    --------
    >>> import owo
    >>> owo.checks.check_loss(owo.Huber(0.5))
    """
    as_loss(loss)
    tried = _labels(loss, labels)
    rng = np.random.default_rng(seed)
    for y in tried:
        near = _near(y, rng)
        at = _tabulate(loss, y, np.unique(np.concatenate([near, _grid(y)])))
        _check_compiled(loss, y, near[:60])
        _check_slopes(loss, y, at)
        _check_conjugate(loss, y, at)
        _check_prox(loss, y, at.points)
        _check_extremes(loss, y)
    _check_degree(loss, tried)
    _check_expression(loss, tried)
    check_stream(loss, loss, GrowingFTRL(1.0), DualAveraging(0.1), tried)


def _labels(loss: Any, labels: Any) -> list[float]:
    if labels is None:
        found = [y for y in LABELS if loss.accepts(y)]
        demand(bool(found), loss, "accepts(y) for one label at least; pass labels= that it takes", tried=LABELS)
        return found
    for y in map(float, labels):
        demand(bool(loss.accepts(y)), loss, "accepts(y) for a label under test", y=y)
    return [float(y) for y in labels]


def _near(y: float, rng: np.random.Generator) -> Array:
    """Predictions tied with the label and with what losses turn at, and random ones of many sizes."""
    ties = [y, 0.0, 1.0, -1.0, np.nextafter(y, 9e9), np.nextafter(y, -9e9)]
    return np.concatenate([ties, y + rng.normal(size=120) * 10.0 ** rng.integers(-6, 5, 120)])


def _grid(y: float) -> Array:
    """A fine grid where losses turn, a coarse one far out."""
    far = 10.0 ** np.linspace(-8.0, 8.0, 321)
    return np.concatenate([y + np.linspace(-12.0, 12.0, 1201), y + far, y - far])


class _Table(NamedTuple):
    """A loss at sorted predictions: values, slopes, and the conjugate of these."""

    points: Array
    values: Array
    slopes: Array
    duals: Array


@kernel
def _evaluate(loss, points, y, out):  # type: ignore[no-untyped-def]
    for k in range(points.shape[0]):
        s = loss.subgradient(points[k], y)
        out[0, k] = loss.value(points[k], y)
        out[1, k] = s
        out[2, k] = loss.conjugate(s, y)


@kernel
def _conjugates(loss, slopes, y, out):  # type: ignore[no-untyped-def]
    for k in range(slopes.shape[0]):
        out[k] = loss.conjugate(slopes[k], y)


@kernel
def _proxes(loss, points, y, step, out):  # type: ignore[no-untyped-def]
    for k in range(points.shape[0]):
        z, s = loss.prox(points[k], y, step), loss.prox_slope(points[k], y, step)
        out[0, k], out[1, k] = z, s
        out[2, k] = loss.value(z, y)
        out[3, k] = loss.subgradient(z, y)


@kernel
def _acceptance(loss, labels, out):  # type: ignore[no-untyped-def]
    for k in range(labels.shape[0]):
        out[k] = 1.0 if loss.accepts(labels[k]) else 0.0


def _tabulate(loss: Any, y: float, points: Array) -> _Table:
    out = np.empty((3, len(points)))
    _evaluate(loss, points, y, out)
    return _Table(points, *out)


def _check_compiled(loss: Any, y: float, points: Array) -> None:
    table, step = _tabulate(loss, y, points), 0.7
    proxes, accepted = np.empty((4, len(points))), np.empty(len(points))
    _proxes(loss, points, y, step, proxes)
    _acceptance(loss, points, accepted)
    for k, p in enumerate(points.tolist()):
        s = plainly(loss, "subgradient", p, y)
        pairs = {
            "value": (plainly(loss, "value", p, y), table.values[k]),
            "subgradient": (s, table.slopes[k]),
            "conjugate": (plainly(loss, "conjugate", s, y), table.duals[k]),
            "prox": (plainly(loss, "prox", p, y, step), proxes[0, k]),
            "prox_slope": (plainly(loss, "prox_slope", p, y, step), proxes[1, k]),
            "accepts": (bool(plainly(loss, "accepts", p)), bool(accepted[k])),
        }
        for name, (a, b) in pairs.items():
            demand(a == b, loss, f"{name} is the same compiled and plain", p=p, y=y, plain=a, compiled=float(b))


def _check_slopes(loss: Any, y: float, at: _Table) -> None:
    """Fenchel-Young at every point; the subgradient inequality between neighbours, and between all of a sample."""
    p, v, s, dual = at
    size = 1.0 + np.abs(v) + np.abs(s * p) + np.abs(s * y)
    demand_all(np.abs(s) <= loss.lipschitz * (1.0 + ROUNDING), loss, "|subgradient| <= lipschitz", p=p, y=y, s=s)
    demand_all(np.isfinite(dual), loss, "conjugate is finite at a subgradient", p=p, y=y, s=s, conjugate=dual)
    gap = v + dual - s * p
    what = "value + conjugate = s p at a subgradient (Fenchel-Young)"
    demand_all(np.abs(gap) <= ROUNDING * size, loss, what, p=p, y=y, s=s, gap=gap)
    rise = np.diff(s)
    demand_all(rise >= -ROUNDING * (1.0 + np.abs(s[1:])), loss, "subgradients never fall", p=p[1:], y=y, s=s[1:])
    some = np.unique(np.concatenate([np.arange(0, len(p), 12), np.flatnonzero(rise > 0.1)]))[:400]
    for a, b in ((slice(None, -1), slice(1, None)), (slice(1, None), slice(None, -1)), (some[:, None], some)):
        short = v[a] + s[a] * (p[b] - p[a]) - v[b]
        scale = size[a] + np.abs(s[a] * p[b]) + np.abs(v[b])
        what = "value(z) >= value(p) + s (z - p)"
        demand_all(short <= ROUNDING * scale, loss, what, p=p[a], z=p[b], y=y, s=s[a], short=short)


def _check_conjugate(loss: Any, y: float, at: _Table) -> None:
    """Between subgradients it is the supremum to within the grid, from both sides; beyond them it is none too small.

    A conjugate is convex, so between two slopes it is at most the chord; and at least ``s p - value(p)`` for any p.
    """
    slopes, first = np.unique(at.slopes, return_index=True)
    duals, gaps = at.duals[first], np.diff(slopes)
    wide = np.argsort(-gaps)[:12]  # kinks: whole ranges of slopes that no prediction has
    for part in np.linspace(0.025, 0.975, 39).tolist():
        s = slopes[wide] + part * gaps[wide]
        found = _conjugate(loss, s, y)
        chord = (1.0 - part) * duals[wide] + part * duals[wide + 1]
        size = 1.0 + np.abs(chord) + np.abs(s * y)
        what = "conjugate is convex between subgradients"
        demand_all(found <= chord + ROUNDING * size, loss, what, s=s, y=y, conjugate=found, chord=chord)
        _check_fenchel(loss, y, at, s, found)
    edge, far = 0.01 * (1.0 + np.abs(slopes[[0, -1]])), min(loss.lipschitz, 1e150)
    beyond = np.array([slopes[0] - edge[0], slopes[-1] + edge[1], 0.5 * far, -0.5 * far, 2.0 * far, -2.0 * far])
    _check_fenchel(loss, y, at, beyond, _conjugate(loss, beyond, y))
    _check_fenchel(loss, y, _tabulate(loss, y, np.array([-1e150, 1e150])), beyond, _conjugate(loss, beyond, y))


def _conjugate(loss: Any, slopes: Array, y: float) -> Array:
    out = np.empty(len(slopes))
    _conjugates(loss, slopes, y, out)
    return out


def _check_fenchel(loss: Any, y: float, at: _Table, s: Array, dual: Array) -> None:
    with np.errstate(over="ignore"):
        product = s[:, None] * at.points
        short = product - at.values - dual[:, None]
        scale = 1.0 + np.abs(product) + np.abs(at.values) + np.abs(s * y)[:, None]
    holds = (short <= ROUNDING * scale) | (dual[:, None] == math.inf) | (at.values == math.inf)
    what = "value + conjugate >= s p (Fenchel)"
    demand_all(holds, loss, what, p=at.points, y=y, s=s[:, None], conjugate=dual[:, None], short=short)


def _check_prox(loss: Any, y: float, points: Array) -> None:
    """The slope that leads from p to the prox point must be a subgradient there."""
    derived, out = type(loss).prox_slope is default_prox_slope, np.empty((4, len(points)))
    for step in STEPS:
        _proxes(loss, points, y, step, out)
        z, s, value, at_z = out
        where = {"p": points, "y": y, "step": step, "prox": z, "prox_slope": s}
        size = 1.0 + np.abs(points) + np.abs(z) + np.abs(y)
        apart = ~(np.abs(points - step * s - z) <= ROUNDING * size)
        if apart.any():
            _blame(loss, y, step, points[apart], z[apart], s[apart])
        blur = 4e-16 * size / step if step > 0.0 and derived else np.zeros_like(size)
        near = s + np.minimum(np.maximum(at_z - s, -blur), blur)
        gap = value + _conjugate(loss, near, y) - near * z
        # an error e in z makes one of at most (|s| + |slope at z|) e here; one in s, of |z - y| at most
        allowed = 10 * ROUNDING * size * (np.abs(near) + np.abs(at_z) + 1.0) + blur * size
        what = "prox minimises value(z) + (z - p)^2 / (2 step)" if derived else "prox_slope is a subgradient at prox"
        demand_all(gap <= allowed, loss, what, **where, gap=gap)


def _blame(loss: Any, y: float, step: float, p: Array, z: Array, s: Array) -> None:
    """``prox`` and ``prox_slope`` disagree: the one to blame is the one whose point is the worse minimiser."""
    at, other = float(z[0]), float(p[0] - step * s[0])
    a, b = ((loss.value(x, y) + (x - float(p[0])) ** 2 / (2.0 * step)) if step > 0.0 else 0.0 for x in (at, other))
    numbers = {"p": float(p[0]), "y": y, "step": step, "prox": at, "p - step prox_slope": other}
    if step == 0.0:
        demand(at == float(p[0]), loss, "prox = p for step 0", **numbers)
    demand(a <= b, loss, "prox minimises value(z) + (z - p)^2 / (2 step)", **numbers, there=a, better=b)
    demand(False, loss, "prox_slope = (p - prox) / step", **numbers)


def _check_extremes(loss: Any, y: float) -> None:
    for p in (1e300, -1e300, 1e155, -1e155, 1e16, -1e16, 5e-324, 0.0):
        s = plainly(loss, "subgradient", p, y)
        results = {
            "value": plainly(loss, "value", p, y),
            "subgradient": s,
            "prox": plainly(loss, "prox", p, y, 1.0),
            "prox_slope": plainly(loss, "prox_slope", p, y, 1.0),
            "conjugate": plainly(loss, "conjugate", s, y),
        }
        for name, result in results.items():
            demand(not math.isnan(result), loss, f"{name} is not NaN", p=p, y=y)
        demand(abs(s) <= loss.lipschitz * (1.0 + ROUNDING), loss, "|subgradient| <= lipschitz", p=p, y=y, s=s)
    edge = min(loss.lipschitz, 1e150)
    for s in (0.0, edge, -edge, 2.0 * edge, -2.0 * edge):
        dual = plainly(loss, "conjugate", s, y)
        demand(not math.isnan(dual), loss, "conjugate is not NaN on and beyond its domain", s=s, y=y)


def _check_degree(loss: Any, labels: list[float]) -> None:
    if not loss.degree:
        return
    for y in labels:
        for p in (-4.0, -0.3, 0.0, 1.0, 2.5):
            for c in (0.25, 8.0):
                a, b = loss.value(c * p, c * y), c**loss.degree * loss.value(p, y)
                same = abs(a - b) <= ROUNDING * (1.0 + abs(b))
                demand(same, loss, "value(c p, c y) = c^degree value(p, y)", p=p, y=y, c=c, scaled=a, expected=b)


def _check_expression(loss: Any, labels: list[float]) -> None:
    for y in labels:
        for p in (-2.0, -0.3, 0.0, 0.5, 1.0, 4.0):
            twin = expressed(loss, np.array([p]), np.array([y]))
            if twin is None:
                return
            a, b = float(np.sum(twin)), float(loss.value(p, y))
            same = abs(a - b) <= 1e-9 * (1.0 + abs(b))  # cvxpy works some of its functions out by others
            demand(same, loss, "expression equals value", p=p, y=y, expression=a, value=b)
