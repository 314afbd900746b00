"""Metrics that are matrices: where they may be, what they learn from, feature maps and full metrics."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from owo import laws
from owo._record import record, require
from owo.geometry.coordinates import FixedDiagonal
from owo.geometry.identity import Begun, Metric, Spent, no_metric, norm
from owo.geometry.lowrank import LowRankMap
from owo.geometry.maps import Given, Map, OpenTask
from owo.geometry.mirrors import Exponentiated, Projected
from owo.laws import AdaptiveNorm
from owo.streams.points import real

Array = NDArray[np.float64]

RANK = 1e-12
"""Eigenvalues of M below this fraction of the largest are 0."""


# ------------------------------------------------------------------------------------------------- where M may be


@record
class Trace(NamedTuple):
    """``{ M psd, trace M <= radius }``."""

    radius: float = 1.0

    def check(self) -> None:
        require(0.0 < self.radius < math.inf, self, "radius", "finite and above 0")

    def fit(self, mirror: Any, dual: Array, counts: Array) -> Any:
        return mirror.within_trace(dual, self.radius, counts)

    @property
    def largest(self) -> float:
        return self.radius

    def middle(self, d: int) -> Array:
        return np.eye(d) * (self.radius / d)

    def like(self, M: Array) -> Any:
        """The matrix of the set that is proportional to M, at its edge."""
        return M * (self.radius / np.trace(M))

    def holds(self, eigenvalues: Array) -> bool:
        return bool(eigenvalues.min() >= -1e-12 * self.radius and eigenvalues.sum() <= self.radius * (1.0 + 1e-9))


@record
class Spectrum(NamedTuple):
    """``{ M symmetric, low <= eigenvalues <= high }``."""

    low: float = 1e-6
    high: float = 1e6

    def check(self) -> None:
        require(0.0 < self.low <= self.high < math.inf, self, "low", "above 0, at most high, and high finite")

    def fit(self, mirror: Any, dual: Array, counts: Array) -> Any:
        low, high = mirror.dual(np.array([self.low, self.high]))
        return np.clip(dual, low, high)

    @property
    def largest(self) -> float:
        return self.high

    def middle(self, d: int) -> Array:
        return np.eye(d) * min(max(1.0, self.low), self.high)

    def like(self, M: Array) -> Any:
        """The matrix of the set that is nearest to M in every eigenvalue."""
        values, vectors = np.linalg.eigh(M)
        return (vectors * np.clip(values, self.low, self.high)) @ vectors.T

    def holds(self, eigenvalues: Array) -> bool:
        """Up to rounding: writing a matrix down and its eigenvalues each move these by d units of the largest."""
        least, most = eigenvalues.min(), eigenvalues.max()
        rounding = 2.0 * len(eigenvalues) * np.finfo(float).eps * most
        return bool(least >= self.low * (1.0 - 1e-9) - rounding and most <= self.high * (1.0 + 1e-9))


# ------------------------------------------------------------------------------------------- what M learns from


@record
class Exact(NamedTuple):
    """``H = - sum_i c_i sym(g_i q_{i-1}^T)``: the gradient of the linear loss itself."""

    def of(self, task: OpenTask, c: float) -> Array:
        return task.H

    def spend(self, B: Array) -> Array:
        return B.ravel()

    def within(self, spent: Array, M: Array, largest: float) -> Any:
        return spent @ M.ravel()


@record
class Complete(NamedTuple):
    """``H = B - c_n/2 q q^T``: the gradient of a bound on the linear loss, ``<B, M> - c_n/2 <q, M q>``."""

    def of(self, task: OpenTask, c: float) -> Array:
        H = task.B - 0.5 * c * np.outer(task.q, task.q)
        H = 0.5 * (H + H.T)
        noise = np.abs(H).max() <= 1e-14 * np.abs(task.B).max()  # what a law free of scale would take for a gradient
        return np.zeros_like(H) if noise else H

    def spend(self, B: Array) -> Array:
        return B.ravel()

    def within(self, spent: Array, M: Array, largest: float) -> Any:
        return spent @ M.ravel()


@record
class Paper(NamedTuple):
    """``H = - c_n/2 q q^T``, of Denevi et al. (NeurIPS 2019).

    ``<B, M>`` is bounded by the trace of B times the largest eigenvalue that M may have. Their step for gradients
    ``q q^T / (2 lambda n^2)``, n points a task, is n times the step here.
    """

    def of(self, task: OpenTask, c: float) -> Array:
        return -0.5 * c * np.outer(task.q, task.q)

    def spend(self, B: Array) -> Array:
        return np.array([np.trace(B)])

    def within(self, spent: Array, M: Array, largest: float) -> Any:
        return largest * spent[..., 0]


# -------------------------------------------------------------------------------------------------------- geometries


@record
class Fixed(NamedTuple):
    """M as given by ``OnlineWithinOnline(metric=...)``: a number, a diagonal (d,) or a matrix (d, d), psd.

    Every law works inside tasks; distances in its certificate are in the norm of the inverse of M.
    """

    @property
    def learns(self) -> bool:
        return False

    def stage(self, width: int) -> int:
        return 0

    def begun(self, d: int, initial: Any) -> Begun:
        M = as_psd(1.0 if initial is None else initial, d, "metric")
        if np.ndim(initial) < 2:
            play = np.diag(M).copy()
            none = np.empty(0)
            return Begun(FixedDiagonal(), Metric(play, play, none, np.empty((0, 0)), none, none))
        zeros = np.zeros((d, d))
        return Begun(Given(), no_metric(), Map(self, M, M, M, M, zeros, zeros, (0.0,)))

    def distances(self, apart: Array, metric: Array) -> Array:
        d = apart.shape[1]
        values, vectors = np.linalg.eigh(np.diag(metric) if len(metric) == d else metric.reshape(d, d))
        return _distances(apart, values, vectors)


@record
class FeatureMap(NamedTuple):
    """``M in { psd, trace M <= radius }``: learns which directions tasks share (Denevi et al., NeurIPS 2019).

    Parameters
    ----------
    law : how M moves, in the Frobenius norm: a law whose scale never grows; the diameter of the default is a guess of
        the distance from the start to a good M, in logarithms for ``Exponentiated()``
    radius : of the trace; > 0
    mirror : ``Projected()`` (Frobenius) or ``Exponentiated()`` (matrix exponentiated gradient)
    gradient : ``Exact()``, ``Complete()`` or ``Paper()``: what M learns from

    Raises
    ------
    ValueError
        A radius that is not finite and above 0, a law whose scale may grow.

    Examples
    --------
    Tasks that differ in their first coordinate only:

    >>> import owo
    >>> rng = np.random.default_rng(0)
    >>> tasks = [(X := rng.normal(size=(20, 4)), X[:, 0] * rng.normal()) for _ in range(300)]
    >>> learner = owo.OnlineWithinOnline(owo.Absolute(), owo.GrowingFTRL(0.3), owo.Frozen(), geometry=FeatureMap())
    >>> _ = learner.run(tasks)
    >>> bool(learner.metric[0, 0] > 0.8 * np.trace(learner.metric))
    True
    """

    law: Any = AdaptiveNorm(3.0)
    radius: float = 1.0
    mirror: Any = Exponentiated()
    gradient: Any = Exact()

    def check(self) -> None:
        require(0.0 < self.radius < math.inf, self, "radius", "finite and above 0")
        _check(self)

    @property
    def learns(self) -> bool:
        return True

    @property
    def may_vanish(self) -> bool:
        """Whether ``<g, M g>`` may be 0 where g is not."""
        return True

    @property
    def within(self) -> Trace:
        return Trace(self.radius)

    def begun(self, d: int, initial: Any) -> Begun:
        return Begun(Given(), no_metric(), _learner(self, d, initial))

    def stage(self, width: int) -> int:
        return len(self.gradient.spend(np.zeros((math.isqrt(width),) * 2))) + 1

    def bound(self, spent: Spent, apart: Array, other: Any) -> tuple[Array, Array, Array]:
        return _bound(self, spent, apart, other)


@record
class Full(NamedTuple):
    """M with all eigenvalues in [low, high]: steps and directions at once; other parameters as of ``FeatureMap``."""

    law: Any = AdaptiveNorm(3.0)
    low: float = 1e-6
    high: float = 1e6
    mirror: Any = Exponentiated()
    gradient: Any = Exact()

    def check(self) -> None:
        require(0.0 < self.low <= self.high < math.inf, self, "low", "above 0, at most high, and high finite")
        _check(self)

    @property
    def learns(self) -> bool:
        return True

    @property
    def within(self) -> Spectrum:
        return Spectrum(self.low, self.high)

    def begun(self, d: int, initial: Any) -> Begun:
        return Begun(Given(), no_metric(), _learner(self, d, initial))

    def stage(self, width: int) -> int:
        return len(self.gradient.spend(np.zeros((math.isqrt(width),) * 2))) + 1

    def bound(self, spent: Spent, apart: Array, other: Any) -> tuple[Array, Array, Array]:
        return _bound(self, spent, apart, other)


def _check(rule: Any) -> None:
    require(laws.keeps_to_potential(rule.law), rule, "law", "a law whose scale never grows, such as AdaptiveNorm(1.0)")
    require(hasattr(rule.mirror, "within_trace"), rule, "mirror", "Exponentiated() or Projected()")
    require(hasattr(rule.gradient, "within"), rule, "gradient", "Exact(), Complete() or Paper()")


def _learner(rule: Any, d: int, initial: Any) -> Map | LowRankMap:
    """The learner of M, in the form that costs least."""
    play = rule.within.middle(d) if initial is None else as_metric(initial, d, rule, "metric")
    rank_one = isinstance(rule.gradient, Paper) and isinstance(rule.mirror, Projected)
    if rank_one and np.array_equal(play, play[0, 0] * np.eye(d)):
        return LowRankMap.begun(rule, d, float(play[0, 0]))
    return dense_map(rule, d, initial)


def dense_map(rule: Any, d: int, initial: Any) -> Map:
    """The learner of M whatever the gradients are."""
    play = rule.within.middle(d) if initial is None else as_metric(initial, d, rule, "metric")
    values, vectors = np.linalg.eigh(play)
    fitted = rule.mirror.dual(np.maximum(values, 0.0))
    if not np.isfinite(fitted).all():
        raise ValueError("metric is singular; with Exponentiated() M must start positive definite: take Projected()")
    dual = (vectors * fitted) @ vectors.T
    spent = rule.gradient.spend(np.zeros((d, d)))
    return Map(rule, play, dual, play, dual, np.zeros((d, d)), spent, rule.law.start())


def as_metric(values: Any, d: int, rule: Any, name: str) -> Array:
    """A matrix M (d, d) from outside (a number stands for a multiple of I, (d,) for a diagonal), checked."""
    found = as_psd(values, d, name)
    values = np.linalg.eigvalsh(found)
    if not rule.within.holds(values):
        raise ValueError(
            f"{name} has eigenvalues from {values[0]:.6g} to {values[-1]:.6g} that sum to {values.sum():.6g}; "
            f"needed M in {rule.within!r}"
        )
    return found


def as_psd(values: Any, d: int, name: str) -> Array:
    """A positive semidefinite matrix (d, d) from outside, as for ``as_metric``; (1,) is a number, too."""
    found = real(values, name).astype(np.float64)
    if found.shape == (1,):  # as ``Scalar`` has it
        found = found.reshape(())
    if found.ndim < 2:
        found = np.diag(np.broadcast_to(found, d)) if found.shape in ((), (d,)) else found
    if found.shape != (d, d):
        raise ValueError(f"{name} has shape {found.shape}; needed a number, {(d,)} or {(d, d)}")
    if not np.isfinite(found).all():
        raise ValueError(f"{name} has {found[~np.isfinite(found)][0]} in it; needed finite numbers")
    if not np.allclose(found, found.T, rtol=1e-10, atol=1e-10 * np.abs(found).max(initial=0.0)):
        raise ValueError(f"{name} is not symmetric; pass (M + M.T) / 2 if that is what you mean")
    found = 0.5 * (found + found.T)
    values = np.linalg.eigvalsh(found)
    if values[0] < -1e-12 * abs(values[-1]):
        raise ValueError(f"{name} has the eigenvalue {values[0]:.6g}; needed a positive semidefinite matrix")
    return found


def root_of(values: Any, d: int, name: str = "metric") -> Array:
    """A (d, r) with ``A A^T = M``, of a psd matrix M from outside of rank r; of M = 0 a column of zeros."""
    values, vectors = np.linalg.eigh(as_psd(values, d, name))
    there = values > RANK * values[-1] if values[-1] > 0.0 else np.arange(d) == 0
    found: Array = vectors[:, there] * np.sqrt(np.maximum(values[there], 0.0))
    return found


def _distances(apart: Array, values: Array, vectors: Array) -> Array:
    """Norms (T,) in the inverse of ``vectors diag(values) vectors^T``; infinite outside its range."""
    there = values > RANK * values[-1]
    along = apart @ vectors
    outside = norm(along[:, ~there]) > 1e-15 * len(values) * norm(apart)  # less than ``Ledger.rounding`` allows for
    return np.where(outside, np.inf, norm(along[:, there] / np.sqrt(values[there])))


def _bound(rule: Any, spent: Spent, apart: Array, given: Any) -> tuple[Array, Array, Array]:
    """Terms of a certificate against M' (d, d): within the tasks (T,), spread of each task (T,), learning M (T,)."""
    d, tasks = apart.shape[1], len(spent.scales)
    initial, stages = spent.initial.reshape(d, d), spent.stages
    B = stages.spent[:, :-1]
    scaled = apart / np.sqrt(2.0 * spent.scales)[:, None]
    other = _nearly_best(rule, scaled, B[-1]) if given is None else as_metric(given, d, rule, "comparator has metric")
    values, vectors = np.linalg.eigh(other)
    divergence = max(_divergence(rule.mirror, other, initial), 0.0)
    learning = divergence * stages.spent[:, -1] if divergence > 0.0 else np.zeros(len(B))
    within = rule.gradient.within(B, other, rule.within.largest)
    within, learned = (stages.by_task(each, tasks) for each in (within, learning))
    return within, _distances(scaled, values, vectors) ** 2, learned + spent.slack


def _divergence(mirror: Any, other: Array, m: Array) -> float:
    duals = []
    for matrix in (other, m):
        values, vectors = np.linalg.eigh(matrix)
        dual = mirror.dual(np.maximum(values, 0.0))
        duals.append((vectors * np.where(np.isfinite(dual), dual, 0.0)) @ vectors.T)  # 0 log 0 = 0
    return float(mirror.apart(other, duals[0], m, duals[1]))


def _nearly_best(rule: Any, scaled: Array, B: Array) -> Array:
    """The M' that makes spread least at its trace, ``A^{1/2}`` with ``A = sum apart apart^T / (2 c)``, scaled."""
    size = float(np.abs(scaled).max(initial=0.0))
    if not 0.0 < size < math.inf:
        return rule.within.middle(scaled.shape[1])
    values, vectors = np.linalg.eigh((scaled / size).T @ (scaled / size))
    values = np.sqrt(np.maximum(values, 0.0))
    paid = float(values[-1] * values.sum())
    root = (vectors * np.maximum(values / values[-1], 1e-9)) @ vectors.T
    met = float(rule.gradient.within(B, root, 1.0))
    with np.errstate(over="ignore"):
        best = root * (size * math.sqrt(paid / met)) if met > 0.0 else root
    return rule.within.like(best) if np.isfinite(best).all() and best.any() else rule.within.middle(len(values))
