"""Tests of the laws that a loss or a learner must obey, for your own classes as for ours.

``check_loss(MyLoss())`` and ``check_law(MyLaw())`` return ``None`` or raise ``ContractError`` with the property that
fails and the numbers at which it fails.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from owo import laws
from owo._record import is_record, kernel
from owo.laws import Account
from owo.losses import Absolute, Logistic, Squared, default_prox_slope

Array = NDArray[np.float64]

ROUNDING = 1e-12
"""Relative to the numbers compared: some thousand units in the last place, for a handful of operations."""


class ContractError(AssertionError):
    """A loss or a law breaks a property that certificates rest on."""


def _demand(holds: bool, who: Any, property_: str, **numbers: Any) -> None:
    if not holds:
        at = ", ".join(f"{name}={value!r}" for name, value in numbers.items())
        raise ContractError(f"{who!r} breaks: {property_}; at {at}")


# ------------------------------------------------------------------------------------------------------- losses


def check_loss(loss: Any, *, labels: Any = None, seed: int = 0) -> None:
    """Check that a loss's functions belong together, in Python and compiled.

    Checked on random, extreme and tied predictions: subgradient inequality, Fenchel-Young equality and inequality,
    optimality of ``prox``, agreement of ``prox_slope``, the Lipschitz constant, no NaN up to ``|p| = 1e300``, bit
    equality of compiled and plain results, and the cvxpy ``expression``, if there is one and cvxpy is installed.

    Parameters
    ----------
    loss : an instance of a class made with ``@owo.loss``
    labels : labels to try, all acceptable to the loss; by default -1 and 1 if it takes no other numbers, else several
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
    if not is_record(loss) or not hasattr(loss, "conjugate"):
        raise TypeError(
            f"{loss!r} is not an instance of a class made with @owo.loss; decorate the class and pass MyLoss()"
        )
    if labels is None:
        labels = [-1.0, 1.0] if not loss.accepts(0.5) else [-3.0, -1.0, 0.0, 0.25, 1.0, 7.5]
    rng = np.random.default_rng(seed)
    for y in map(float, labels):
        _demand(bool(loss.accepts(y)), loss, "accepts(y) for a label under test", y=y)
        near = np.concatenate(
            [[y, 0.0, 1.0, -1.0, np.nextafter(y, 9e9)], y + rng.normal(size=12) * 10.0 ** rng.integers(-6, 4, 12)]
        )
        _check_slopes(loss, y, near.tolist())
        _check_prox(loss, y, near.tolist())
        _check_extremes(loss, y)
        _check_compiled(loss, y, near)
    _check_expression(loss, [float(y) for y in labels])


def _check_slopes(loss: Any, y: float, points: list[float]) -> None:
    slopes = [loss.subgradient(p, y) for p in points]
    for p, s in zip(points, slopes, strict=True):
        value, dual = loss.value(p, y), loss.conjugate(s, y)
        size = 1.0 + abs(value) + abs(s * p) + abs(s * y)
        _demand(abs(s) <= loss.lipschitz * (1.0 + ROUNDING), loss, "|subgradient| <= lipschitz", p=p, y=y, s=s)
        _demand(math.isfinite(dual), loss, "conjugate is finite at a subgradient", p=p, y=y, s=s, conjugate=dual)
        gap = value + dual - s * p
        _demand(
            abs(gap) <= ROUNDING * size,
            loss,
            "value + conjugate = s p at a subgradient (Fenchel-Young)",
            p=p,
            y=y,
            s=s,
            gap=gap,
        )
        for z, other in zip(points, slopes, strict=True):
            short = value + s * (z - p) - loss.value(z, y)
            scale = size + abs(s * z) + abs(loss.value(z, y))
            _demand(
                short <= ROUNDING * scale, loss, "value(z) >= value(p) + s (z - p)", p=p, z=z, y=y, s=s, short=short
            )
            short = other * p - value - loss.conjugate(other, y)
            scale = size + abs(other * p) + abs(other * y)
            _demand(
                short <= ROUNDING * scale, loss, "value + conjugate >= s p (Fenchel)", p=p, y=y, s=other, short=short
            )


def _check_prox(loss: Any, y: float, points: list[float]) -> None:
    for p in points:
        for step in (0.0, 1e-9, 1e-3, 0.3, 1.0, 7.0, 1e6):
            z, s = loss.prox(p, y, step), loss.prox_slope(p, y, step)
            where = {"p": p, "y": y, "step": step, "prox": z, "prox_slope": s}
            size = 1.0 + abs(p) + abs(z) + abs(y)
            _demand(abs(p - step * s - z) <= ROUNDING * size, loss, "prox = p - step prox_slope", **where)
            at_z = loss.subgradient(z, y)
            blur = 4e-16 * size / step if step > 0.0 and type(loss).prox_slope is default_prox_slope else 0.0
            s += min(max(at_z - s, -blur), blur)
            gap = loss.value(z, y) + loss.conjugate(s, y) - s * z
            # an error e in z makes one of at most (|s| + |slope at z|) e here; one in s, of |z - y| at most
            allowed = 10 * ROUNDING * size * (abs(s) + abs(at_z) + 1.0) + blur * size
            _demand(gap <= allowed, loss, "prox_slope is a subgradient at prox", **where, gap=gap)


def _check_extremes(loss: Any, y: float) -> None:
    for p in (1e300, -1e300, 1e155, -1e155, 1e16, -1e16, 5e-324, 0.0):
        results = {
            "value": loss.value(p, y),
            "subgradient": loss.subgradient(p, y),
            "prox": loss.prox(p, y, 1.0),
            "prox_slope": loss.prox_slope(p, y, 1.0),
            "conjugate": loss.conjugate(loss.subgradient(p, y), y),
        }
        for name, result in results.items():
            _demand(not math.isnan(result), loss, f"{name} is not NaN", p=p, y=y)
    edge = min(loss.lipschitz, 1e150)
    for s in (0.0, edge, -edge, 2.0 * edge, -2.0 * edge):
        _demand(not math.isnan(loss.conjugate(s, y)), loss, "conjugate is not NaN on and beyond its domain", s=s, y=y)


@kernel
def _evaluate(loss, points, y, step, out):  # type: ignore[no-untyped-def]
    for k in range(points.shape[0]):
        p = points[k]
        s = loss.subgradient(p, y)
        out[k, 0] = loss.value(p, y)
        out[k, 1] = s
        out[k, 2] = loss.conjugate(s, y)
        out[k, 3] = loss.prox(p, y, step)
        out[k, 4] = loss.prox_slope(p, y, step)


def _check_compiled(loss: Any, y: float, points: Array) -> None:
    compiled = np.empty((len(points), 5))
    _evaluate(loss, points, y, 0.7, compiled)
    for p, row in zip(points.tolist(), compiled.tolist(), strict=True):
        s = loss.subgradient(p, y)
        plain = [loss.value(p, y), s, loss.conjugate(s, y), loss.prox(p, y, 0.7), loss.prox_slope(p, y, 0.7)]
        for name, a, b in zip(("value", "subgradient", "conjugate", "prox", "prox_slope"), plain, row, strict=True):
            _demand(a == b, loss, f"{name} is the same compiled and plain", p=p, y=y, plain=a, compiled=b)


def _check_expression(loss: Any, labels: list[float]) -> None:
    if not hasattr(loss, "expression"):
        return
    try:
        import cvxpy
    except ImportError:
        return
    for y in labels:
        for p in (-2.0, -0.3, 0.0, 0.5, 1.0, 4.0):
            twin = loss.expression(cvxpy.Constant(np.array([p])), np.array([y]))
            _demand(bool(twin.is_convex()), loss, "expression is convex", y=y)
            a, b = float(np.sum(twin.value)), float(loss.value(p, y))
            _demand(
                abs(a - b) <= 1e-9 * (1.0 + abs(b)), loss, "expression equals value", p=p, y=y, expression=a, value=b
            )


# --------------------------------------------------------------------------------------------------------- laws


def check_law(law: Any, *, d: int = 3, rounds: int = 60, seed: int = 0) -> None:
    """Check that a law is a law and that its certificate holds, in Python and compiled.

    The law plays against random, constant, alternating, vanishing, exploding and adversarial gradients, and its
    regret against many comparators is held against ``bound``; an inner-only law (one that defines ``slope``)
    plays against losses. Checked besides: ``scale >= 0``, and never growing unless the law has a ``bound`` of its own;
    ``shrink`` and ``clip`` in (0, 1]; states that are tuples of floats of one length; no hidden memory; bit equality of
    compiled and plain results.

    Parameters
    ----------
    law : an instance of a class made with ``@owo.law``
    d : dimension of the games
    rounds : their length
    seed : of the gradients

    Raises
    ------
    ContractError
        Naming the property and the game in which it fails.
    TypeError
        ``law`` is not an instance of a class made with ``@owo.law``.

    Examples
    --------
    >>> import owo
    >>> owo.checks.check_law(owo.InverseSqrt(0.3))
    """
    if not is_record(law) or not hasattr(law, "observe"):
        raise TypeError(
            f"{law!r} is not an instance of a class made with @owo.law; decorate the class and pass MyLaw()"
        )
    _check_state(law, law.start(), law.start())
    rng = np.random.default_rng(seed)
    if laws.acts_across(law):
        for name, game in _games(rng, d, rounds):
            _play(law, name, game, rng, d, rounds)
    else:
        for loss in (Absolute(), Squared(), Logistic()):
            _play_losses(law, loss, rng, d, rounds)
    _check_law_compiled(law, rng)


def _games(rng: np.random.Generator, d: int, n: int) -> Iterator[tuple[str, Any]]:
    """Names and functions (round, current play) -> gradient (d,), norms at most about 1 unless they explode."""
    unit = rng.normal(size=d) / math.sqrt(d)
    noise = rng.normal(size=(n, d)) / math.sqrt(d)
    yield "random", lambda t, z: noise[t]
    yield "constant", lambda t, z: unit
    yield "alternating", lambda t, z: unit if t % 2 else -unit
    yield "away from the play", lambda t, z: z / (np.linalg.norm(z) + 1e-9) if z.any() else unit
    yield "towards the play", lambda t, z: -z / (np.linalg.norm(z) + 1e-9) if z.any() else unit
    yield "vanishing", lambda t, z: noise[t] / (1.0 + t) ** 2
    yield "exploding", lambda t, z: noise[t] * 1.5**t
    yield "one spike", lambda t, z: noise[t] * (1e6 if t == n // 2 else 1e-3)
    yield "mostly zero", lambda t, z: noise[t] * (t % 7 == 6)
    yield "tiny", lambda t, z: noise[t] * 1e-9


def _check_state(law: Any, state: Any, like: Any) -> None:
    plain = isinstance(state, tuple) and all(isinstance(v, float) for v in state) and len(state) == len(like)
    _demand(plain, law, "a state is a tuple of floats of one length", state=state, start=like)


def _play(law: Any, name: str, game: Any, rng: np.random.Generator, d: int, rounds: int) -> None:
    """Play a linear game with explicit vectors; hold the regret against the certificate after every round."""
    tally = _Tally(law, d)
    for t in range(rounds):
        z = tally.play()
        g = np.asarray(game(t, z), dtype=np.float64)
        along, norm2 = float(g @ tally.total), float(g @ g)
        tally.take(g, along, norm2, law.slack(tally.state, norm2), float(g @ z))
        for size in (0.0, 0.1, 1.0, 30.0):
            direction = rng.normal(size=len(g)) if t % 2 else -tally.true_total
            u = size * direction / (np.linalg.norm(direction) + 1e-300)
            _hold(law, name, t, tally, u, tally.linear - float(tally.true_total @ u))


def _play_losses(law: Any, loss: Any, rng: np.random.Generator, d: int, rounds: int) -> None:
    tally = _Tally(law, d)
    u = rng.normal(size=d)
    suffered = 0.0
    for t in range(rounds):
        x = rng.normal(size=d) * 3.0 ** rng.integers(-2, 3)
        y = float(np.sign(x @ u)) if isinstance(loss, Logistic) else float(x @ u + rng.normal())
        w, x2 = tally.play(), float(x @ x)
        p, step = float(x @ w), law.scale(tally.state) * law.shrink(tally.state) * x2
        s = law.slope(loss, p, y, step)
        suffered += loss.value(p, y) - loss.value(float(x @ u), y)
        slack = law.slack(tally.state, s * s * x2) + law.lag(loss, p, y, s, step)
        _demand(slack >= -ROUNDING * (1.0 + s * s * x2), law, "slack + lag >= 0", loss=loss, t=t, slack=slack)
        tally.take(s * x, s * float(x @ tally.total), s * s * x2, slack, s * p)
        _hold(law, f"losses of {loss!r}", t, tally, u, suffered)


class _Tally:
    """A law's play, state and account, kept with explicit vectors."""

    def __init__(self, law: Any, d: int) -> None:
        self.law, self.state, self.total, self.true_total = law, law.start(), np.zeros(d), np.zeros(d)
        self.linear = self.slack = self.excess = self.squares = 0.0
        self.rounds, self.scale = 0, math.inf

    def play(self) -> Array:
        scale, shrink = self.law.scale(self.state), self.law.shrink(self.state)
        _demand(0.0 <= scale < math.inf, self.law, "scale is finite and >= 0", state=self.state, scale=scale)
        _demand(0.0 < shrink <= 1.0, self.law, "shrink is in (0, 1]", state=self.state, shrink=shrink)
        if type(self.law).bound is laws.default_bound and self.rounds > 1 and self.scale > 0.0:
            fine = scale <= self.scale * (1.0 + ROUNDING)
            _demand(fine, self.law, "scale never grows (or the law has its own bound)", before=self.scale, after=scale)
        _demand(scale == self.law.scale(self.state), self.law, "scale has no hidden memory", state=self.state)
        played: Array = -scale * shrink * self.total
        return played

    def take(self, g: Array, along: float, norm2: float, slack: float, margin: float) -> None:
        kept, new = self.law.clip(self.state, norm2), self.law.observe(self.state, along, norm2)
        _demand(0.0 < kept <= 1.0, self.law, "clip is in (0, 1]", state=self.state, norm2=norm2, clip=kept)
        _demand(slack >= -ROUNDING * (1.0 + norm2), self.law, "slack >= 0", state=self.state, slack=slack)
        _check_state(self.law, new, self.state)
        self.scale = self.law.scale(self.state)
        self.state, self.rounds = new, self.rounds + 1
        self.total, self.true_total = self.total + kept * g, self.true_total + g
        self.linear, self.slack, self.squares = self.linear + margin, self.slack + slack, self.squares + norm2
        self.excess += (1.0 - kept) * math.sqrt(norm2)

    def account(self) -> Account:
        pull = float(np.linalg.norm(self.total))
        return Account(self.rounds, self.scale, self.slack, self.linear, pull, self.excess, self.squares)


def _hold(law: Any, name: str, t: int, tally: _Tally, u: Array, regret: float) -> None:
    account, distance = tally.account(), float(np.linalg.norm(u))
    bound = float(law.bound(account, distance))
    size = abs(tally.linear) + account.slack + (distance + 1.0) * math.sqrt(tally.rounds * tally.squares)
    holds = regret <= bound + ROUNDING * size
    _demand(holds, law, "regret <= bound", game=name, round=t, distance=distance, regret=regret, bound=bound)


@kernel
def _follow(law, alongs, norms, out):  # type: ignore[no-untyped-def]
    state = law.start()
    for k in range(alongs.shape[0]):
        out[k, 0] = law.scale(state)
        out[k, 1] = law.shrink(state)
        out[k, 2] = law.clip(state, norms[k])
        out[k, 3] = law.slack(state, norms[k])
        state = law.observe(state, alongs[k], norms[k])


def _check_law_compiled(law: Any, rng: np.random.Generator) -> None:
    norms = rng.exponential(size=40)
    alongs = rng.uniform(-0.5, 0.5, size=40) * norms
    compiled = np.empty((40, 4))
    _follow(law, alongs, norms, compiled)
    state = law.start()
    for t, (along, norm2) in enumerate(zip(alongs.tolist(), norms.tolist(), strict=True)):
        plain = [law.scale(state), law.shrink(state), law.clip(state, norm2), law.slack(state, norm2)]
        for name, a, b in zip(("scale", "shrink", "clip", "slack"), plain, compiled[t].tolist(), strict=True):
            _demand(a == b, law, f"{name} is the same compiled and plain", round=t, plain=a, compiled=b)
        state = law.observe(state, along, norm2)
