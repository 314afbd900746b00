r"""Online linear learners as scalar laws: one record serves inside a task and across tasks.

A lazy learner that has seen gradients ``g_1 .. g_{t-1}`` with sum ``G`` plays

    z_t = centre - c_t M G

with a scalar ``c_t``, so all that tells one learner from another is the law of ``c_t``. A law is a record with

=================================== ==========================================================================
``start()``                          the state before any gradient: a tuple of floats
``scale(state)``                     ``c_t >= 0`` for the next play
``observe(state, along, norm2)``     the state after gradient g; ``along = <g, M G>``, ``norm2 = <g, M g>``
=================================== ==========================================================================

and, filled in by ``@owo.law`` where a class does not say otherwise,

=================================== ==========================================================================
``shrink(state)``                    factor on the play, 1 unless a constraint binds (``Ball``)
``clip(state, norm2)``               factor in (0, 1] on the gradient before it enters G (``CoinBetting``)
``slack(state, norm2)``              what this round adds to the certificate: ``c_t |g|_M^2 / 2``
``slope(loss, p, y, step)``          the subgradient of the round: at ``p``, or at the prox point (``Implicit``)
``lag(loss, p, y, s, step)``         what ``slope`` at another point than ``p`` leaves out of the linear regret
``late(state, cost)``                the state after hearing that a gradient was met at plays which cost ``cost`` more
                                     than the play it was delivered at (tasks that overlap; ``CoinBetting``)
``bound(account, distance)``         the certificate, plain Python
=================================== ==========================================================================

The certificate that comes with a law whose ``c_t`` never grows, for every comparator z' (Orabona, "A Modern
Introduction to Online Learning", arXiv 1912.13213, chapter 7):

    (L)  sum_t <g_t, z_t - z'>  <=  |z' - centre|^2 / (2 c_n) + sum_t c_t |g_t|_M^2 / 2

with distances in the norm of M's inverse. A ``bound`` may use the ``Account`` that the run kept.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from owo._record import Class, is_record, record, require
from owo.doors import LAW, as_law

State = tuple[float, ...]


class Account(NamedTuple):
    """What a run keeps of one learner; each entry a number or an array (one entry a task)."""

    rounds: Any
    """gradients seen, n"""
    scale: Any
    """``c_n``, the scale of the last play (before ``shrink``)"""
    slack: Any
    """``sum_t slack_t + lag_t``"""
    margin: Any
    """``sum_t <g_t, z_t - centre>``: the linear loss beyond the centre's"""
    pull: Any
    """``|G|_M``, the norm of the gradients' sum (after clipping)"""
    excess: Any
    """``sum_t |g_t - clipped g_t|_M``"""
    squares: Any
    """``sum_t |g_t|^2``"""


def law(cls: Class) -> Class:
    """Make a ``NamedTuple`` class a law; the class must define ``start``, ``scale`` and ``observe``.

    Its certificate is (L) above unless it defines ``bound``, so ``scale`` must then never grow.
    ``owo.checks.check_law`` tests all of this in one line.
    """
    for name in LAW:
        if not callable(getattr(cls, name, None)):
            raise TypeError(f"a law needs a method {name}(...); {cls.__name__} has none. See owo.laws for the list.")
    for name, default in _DEFAULTS.items():
        if not hasattr(cls, name):
            setattr(cls, name, default)
    return record(cls)


def _shrink(self: Any, state: State) -> float:
    return 1.0


def never_clips(self: Any, state: State, norm2: float) -> float:
    """The ``clip`` of a law that takes gradients as they come."""
    return 1.0


def may_clip(kind: Any) -> bool:
    """Whether laws of a class may take a part of a gradient only."""
    return kind.clip is not never_clips


def _slack(self: Any, state: State, norm2: float) -> float:
    return float(0.5 * self.scale(state) * norm2)


def _slope(self: Any, loss: Any, p: float, y: float, step: float) -> float:
    return float(loss.subgradient(p, y))


def _lag(self: Any, loss: Any, p: float, y: float, s: float, step: float) -> float:
    return 0.0


def _late(self: Any, state: State, cost: float) -> State:
    return state


def default_bound(self: Any, account: Account, distance: Any) -> Any:
    """(L); a learner that never left its centre has exactly ``-<G, z' - centre>``, at most distance times pull."""
    moves = np.asarray(account.scale) > 0.0
    apart = distance * distance / (2.0 * np.where(moves, account.scale, 1.0))
    return np.where(moves, apart, distance * account.pull) + account.slack


_DEFAULTS = {
    "shrink": _shrink,
    "clip": never_clips,
    "slack": _slack,
    "slope": _slope,
    "lag": _lag,
    "late": _late,
    "bound": default_bound,
}


def acts_across(learner: Any) -> bool:
    """Whether a law can move the meta-parameter: not if its gradients depend on the loss, as in ``Implicit``."""
    return getattr(type(learner), "slope", None) is _slope


def keeps_to_potential(learner: Any) -> bool:
    """Whether a law's certificate is (L) as it stands, for explicit subgradients: then it also holds for M learned."""
    kind = type(learner)
    own = ("bound", "slope", "lag", "clip", "shrink")
    return is_record(learner) and all(getattr(kind, name, None) is _DEFAULTS[name] for name in own)


def _require_wealth(bettor: Any) -> None:
    """Refuse a bettor whose wealth or limit is none, or whose first bets would not be finite."""
    require(0.0 < bettor.initial < math.inf, bettor, "initial", "finite and above 0")
    require(0.0 < bettor.limit < math.inf, bettor, "limit", "finite and above 0")
    large_enough = bettor.initial / bettor.limit < bettor.limit * 1e300
    require(large_enough, bettor, "limit", "so large that initial / limit^2 is finite")


# ------------------------------------------------------------------------------------------------------- laws


@law
class Frozen(NamedTuple):
    """Never moves: ``z_t = centre``. Across tasks this is independent task learning.

    Its certificate against z' is ``|z' - centre| |G|``, which is 0 for the centre itself.
    """

    def start(self) -> State:
        return (0.0,)

    def scale(self, state: State) -> float:
        return 0.0

    def observe(self, state: State, along: float, norm2: float) -> State:
        return state


@law
class DualAveraging(NamedTuple):
    """``c_t = step``: online gradient descent, in lazy form.

    ``step > 0`` has units of |z|^2 over loss. Regret at most ``|z'-centre|^2 / (2 step) + step / 2 sum |g|^2``.
    """

    step: float = 1.0

    def check(self) -> None:
        require(0.0 < self.step < math.inf, self, "step", "finite and above 0")

    def start(self) -> State:
        return (0.0,)

    def scale(self, state: State) -> float:
        return self.step

    def observe(self, state: State, along: float, norm2: float) -> State:
        return state


@law
class GrowingFTRL(NamedTuple):
    """``c_t = 1 / (strength t)``: follow the regularised leader with a regulariser that grows by one each round.

    ``w_i = theta - q_{i-1} / (strength i)``, the inner algorithm of Denevi et al. (NeurIPS 2019, Algorithm 1);
    ``strength > 0`` is their lambda, in units of loss over |w|^2. With n rounds the comparator pays
    ``strength n / 2 |w - theta|^2``, and the rest is ``sum_i |g_i|^2 / (2 strength i)``, of order ``ln n``.
    """

    strength: float = 1.0

    def check(self) -> None:
        require(0.0 < self.strength < math.inf, self, "strength", "finite and above 0")

    def start(self) -> State:
        return (1.0,)

    def scale(self, state: State) -> float:
        return 1.0 / (self.strength * state[0])

    def observe(self, state: State, along: float, norm2: float) -> State:
        return (state[0] + 1.0,)


@law
class InverseSqrt(NamedTuple):
    """``c_t = step / sqrt(t)``: no horizon needed; ``step > 0`` in units of |z|^2 over loss."""

    step: float = 1.0

    def check(self) -> None:
        require(0.0 < self.step < math.inf, self, "step", "finite and above 0")

    def start(self) -> State:
        return (1.0,)

    def scale(self, state: State) -> float:
        return self.step / math.sqrt(state[0])

    def observe(self, state: State, along: float, norm2: float) -> State:
        return (state[0] + 1.0,)


@law
class AdaptiveNorm(NamedTuple):
    """``c_t = diameter / sqrt(sum_{s<t} |g_s|^2)``: adapts to the gradients and is free of their scale.

    ``diameter > 0`` is a guess of ``|z' - centre|``. Before the first non-zero gradient G is 0, so any c plays the
    centre; the certificate takes ``c_1 = c_2`` there, which (L) allows.
    """

    diameter: float = 1.0

    def check(self) -> None:
        require(0.0 < self.diameter < math.inf, self, "diameter", "finite and above 0")

    def start(self) -> State:
        return (0.0,)

    def scale(self, state: State) -> float:
        return self.diameter / math.sqrt(state[0]) if state[0] > 0.0 else 0.0

    def observe(self, state: State, along: float, norm2: float) -> State:
        return (state[0] + norm2,)

    def slack(self, state: State, norm2: float) -> float:
        seen = state[0] if state[0] > 0.0 else norm2
        return 0.5 * self.diameter * norm2 / math.sqrt(seen) if seen > 0.0 else 0.0


@law
class CoinBetting(NamedTuple):
    """Parameter-free: bets the fraction ``-G / (limit t)`` of its wealth (Krichevsky-Trofimov), no step size.

    ``c_t = wealth_t / (limit^2 t)``. ``initial > 0`` is the wealth at the start, in units of loss (regret to the
    centre never exceeds it while no gradient is clipped); ``limit > 0`` bounds the gradients' norms. A gradient
    beyond the limit is clipped to it and raises the limit from the next round on (Cutkosky 2019), and the wealth
    by what a start with so much more limit would have had, so a wrong limit costs regret but never correctness.

    Certificate, from the run, with ``u = z' - centre``: ``sum <g_t, z_t - centre> + |u| |G|`` plus what was clipped;
    the sum is what a start with the limit that was reached would have had, less the wealth. While nothing is clipped
    at most ``|u| limit sqrt(n ln(1 + 24 n^2 |u|^2 limit^2 / initial^2)) + initial`` (Orabona and Pal 2016).
    """

    initial: float = 1.0
    limit: float = 1.0

    def check(self) -> None:
        _require_wealth(self)

    def start(self) -> State:
        return (self.initial, 1.0, self.limit)

    def scale(self, state: State) -> float:
        wealth, t, limit = state
        return wealth / t / limit / limit

    def clip(self, state: State, norm2: float) -> float:
        return min(1.0, state[2] / math.sqrt(norm2)) if norm2 > 0.0 else 1.0

    def observe(self, state: State, along: float, norm2: float) -> State:
        wealth, t, limit = state
        gained, raised = self.scale(state) * self.clip(state, norm2) * along, max(limit, math.sqrt(norm2))
        return (wealth + gained + self.initial * ((raised - limit) / self.limit), t + 1.0, raised)

    def late(self, state: State, cost: float) -> State:
        wealth, t, limit = state
        return (max(wealth - cost, 0.5 * wealth), t, limit)

    def slack(self, state: State, norm2: float) -> float:
        return 0.0

    def bound(self, account: Account, distance: Any) -> Any:
        return account.margin + account.slack + distance * (account.pull + account.excess)


@law
class MagnitudeDirection(NamedTuple):
    """Parameter-free: a coin bettor says how far, an adaptive learner in the unit ball says where.

    ``z_t = centre + v_t u_t``. The direction is ``u_t = -G / max(sqrt(sum |g|^2), |G|)``, which is ``AdaptiveNorm(1)``
    kept within the unit ball; the magnitude bets on ``s_t = <g_t, u_t>`` as ``CoinBetting`` does on gradients,
    ``v_t = max(0, -sum s / (limit^2 t)) wealth`` (Cutkosky and Orabona, "Black-box reductions for parameter-free online
    learning in Banach spaces", COLT 2018). ``initial`` and ``limit`` as there; a gradient beyond the limit likewise.

    Its regret is that of coin betting with one number at ``|u|``, ``u = z' - centre``, and ``|u|`` times that of the
    direction. The certificate is from the run itself: ``sum <g_t, z_t - centre> + |u| |G|``, plus what was clipped.
    """

    initial: float = 1.0
    limit: float = 1.0

    def check(self) -> None:
        _require_wealth(self)

    def start(self) -> State:
        return (self.initial, 1.0, 0.0, self.limit, 0.0, 0.0)

    def scale(self, state: State) -> float:
        wealth, t, drift, limit, squares, pull2 = state
        far = max(squares, pull2)
        return wealth * max(drift, 0.0) / t / limit / limit / math.sqrt(far) if far > 0.0 else 0.0

    def clip(self, state: State, norm2: float) -> float:
        return min(1.0, state[3] / math.sqrt(norm2)) if norm2 > 0.0 else 1.0

    def observe(self, state: State, along: float, norm2: float) -> State:
        wealth, t, drift, limit, squares, pull2 = state
        kept, far = self.clip(state, norm2), max(squares, pull2)
        s = -kept * along / math.sqrt(far) if far > 0.0 else 0.0
        gained = -s * wealth * max(drift, 0.0) / t / limit / limit
        if drift >= 0.0 or s < 0.0:  # below 0 the magnitude stays 0, and is told only of what would raise it
            drift -= s
        pull2 = max(pull2 + kept * (2.0 * along + kept * norm2), 0.0)
        return (wealth + gained, t + 1.0, drift, max(limit, math.sqrt(norm2)), squares + kept * kept * norm2, pull2)

    def late(self, state: State, cost: float) -> State:
        return (max(state[0] - cost, 0.5 * state[0]), *state[1:])

    def slack(self, state: State, norm2: float) -> float:
        return 0.0

    def bound(self, account: Account, distance: Any) -> Any:
        return account.margin + account.slack + distance * (account.pull + account.excess)


@law
class Implicit(NamedTuple):
    """Proximal steps on the loss itself: ``w_{i+1} = argmin_w loss_i(w) + |w - w_i|^2 / (2 step)``. Inside tasks only.

    The gradient is taken at ``w_{i+1}``, so that a step never overshoots its point, however large ``step > 0``.
    Regret at most ``|u - theta|^2 / (2 step) + sum_i [loss_i(w_i) - loss_i(w_{i+1}) - |w_{i+1} - w_i|^2 / (2 step)]``
    (Kulis and Bartlett 2010).
    """

    step: float = 1.0

    def check(self) -> None:
        require(0.0 < self.step < math.inf, self, "step", "finite and above 0")

    def start(self) -> State:
        return (0.0,)

    def scale(self, state: State) -> float:
        return self.step

    def observe(self, state: State, along: float, norm2: float) -> State:
        return state

    def slope(self, loss: Any, p: float, y: float, step: float) -> float:
        return float(loss.prox_slope(p, y, step))

    def lag(self, loss: Any, p: float, y: float, s: float, step: float) -> float:
        return float(loss.value(p, y) - loss.value(p - step * s, y) - step * s * s)


@law
class Ball(NamedTuple):
    """Any other law kept within ``radius`` of its centre: the play is projected, the sum of gradients is not.

    The certificate is the inner law's, for comparators inside the ball; outside it there is none (``inf``).
    """

    law: Any
    radius: float = 1.0

    def check(self) -> None:
        require(0.0 < self.radius < math.inf, self, "radius", "finite and above 0")
        as_law(self.law, "Ball's law")
        require(acts_across(self.law), self, "law", "a law with explicit subgradients (Implicit cannot be projected)")
        require(not isinstance(self.law, Ball), self, "law", "a law that is not a Ball itself")

    def start(self) -> State:
        return (*self.law.start(), 0.0)

    def scale(self, state: State) -> float:
        return float(self.law.scale(state[:-1]))

    def shrink(self, state: State) -> float:
        reach = self.law.scale(state[:-1]) * math.sqrt(state[-1])
        return self.radius / reach if reach > self.radius else 1.0

    def clip(self, state: State, norm2: float) -> float:
        return float(self.law.clip(state[:-1], norm2))

    def late(self, state: State, cost: float) -> State:
        return (*self.law.late(state[:-1], cost), state[-1])

    def slack(self, state: State, norm2: float) -> float:
        return float(self.law.slack(state[:-1], norm2))

    def observe(self, state: State, along: float, norm2: float) -> State:
        kept = self.law.clip(state[:-1], norm2)
        pull2 = state[-1] + kept * (2.0 * along + kept * norm2)
        return (*self.law.observe(state[:-1], along, norm2), max(pull2, 0.0))

    def bound(self, account: Account, distance: Any) -> Any:
        inside = np.asarray(distance) <= self.radius * (1.0 + 1e-12)
        return np.where(inside, self.law.bound(account, distance), np.inf)
