"""``check_law``: that a law is a law, and that its certificate holds."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from owo import laws
from owo._record import kernel
from owo.checks.contract import ROUNDING, Array, ContractError, check_stream, demand, demand_all, plainly
from owo.doors import as_law
from owo.laws import Account
from owo.losses import Absolute, Logistic, Squared


def check_law(law: Any, *, d: int = 3, rounds: int = 60, seed: int = 0) -> None:
    """Check that a law is a law and that its certificate holds, in Python and compiled.

    The law plays against random, constant, alternating, vanishing, exploding and adversarial gradients, and its
    regret against many comparators is held against ``bound``; an inner-only law (one that defines ``slope``)
    plays against losses. Checked besides: ``scale >= 0``, and never growing unless the law has a ``bound`` of its own;
    ``shrink`` and ``clip`` in (0, 1]; states that are tuples of floats of one length; no hidden memory; a ``bound``
    that takes arrays; all of it again in a game of a hundred thousand rounds. Compiled results must be bit for bit
    those of plain Python, and a tiny stream must come out as the definition of a learner says.

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
    as_law(law, "law")
    _check_state(law, law.start(), law.start())
    rng = np.random.default_rng(seed)
    across = laws.acts_across(law)
    if across:
        for name, game in _games(rng, d, rounds):
            _play(law, name, game, rng, d, rounds)
    else:
        for loss in (Absolute(), Squared(), Logistic()):
            _play_losses(law, loss, rng, d, rounds)
    _check_compiled(law, rng)
    _check_long(law, rng)
    check_stream(law, Absolute(), law, law if across else laws.Frozen(), [1.0, -0.5, 2.0])


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
    demand(plain, law, "a state is a tuple of floats of one length", state=state, start=like)


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
        demand(slack >= -ROUNDING * (1.0 + s * s * x2), law, "slack + lag >= 0", loss=loss, t=t, slack=slack)
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
        demand(0.0 <= scale < math.inf, self.law, "scale is finite and >= 0", state=self.state, scale=scale)
        demand(0.0 < shrink <= 1.0, self.law, "shrink is in (0, 1]", state=self.state, shrink=shrink)
        if type(self.law).bound is laws.default_bound and self.rounds > 1 and self.scale > 0.0:
            fine = scale <= self.scale * (1.0 + ROUNDING)
            demand(fine, self.law, "scale never grows (or the law has its own bound)", before=self.scale, after=scale)
        demand(scale == self.law.scale(self.state), self.law, "scale has no hidden memory", state=self.state)
        played: Array = -scale * shrink * self.total
        return played

    def take(self, g: Array, along: float, norm2: float, slack: float, margin: float) -> None:
        kept, new = self.law.clip(self.state, norm2), self.law.observe(self.state, along, norm2)
        demand(0.0 < kept <= 1.0, self.law, "clip is in (0, 1]", state=self.state, norm2=norm2, clip=kept)
        demand(slack >= -ROUNDING * (1.0 + norm2), self.law, "slack >= 0", state=self.state, slack=slack)
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
    demand(holds, law, "regret <= bound", game=name, round=t, distance=distance, regret=regret, bound=bound)


@kernel
def _follow(law, loss, gradients, out):  # type: ignore[no-untyped-def]
    """A game in one dimension: what a law answers in each round, and the sum of gradients before it."""
    state, total = law.start(), 0.0
    for t in range(gradients.shape[0]):
        g = gradients[t]
        along, norm2, scale = g * total, g * g, law.scale(state)
        kept, s = law.clip(state, norm2), law.slope(loss, total, g, scale)
        out[0, t], out[1, t], out[2, t] = scale, law.shrink(state), kept
        out[3, t], out[4, t] = law.slack(state, norm2), total
        out[5, t], out[6, t] = s, law.lag(loss, total, g, s, scale)
        state = law.observe(state, along, norm2)
        total += kept * g


def _check_compiled(law: Any, rng: np.random.Generator) -> None:
    for loss in (Absolute(), Squared()):
        gradients = rng.normal(size=80)
        compiled = np.empty((7, len(gradients)))
        _follow(law, loss, gradients, compiled)
        state, total = law.start(), 0.0
        for t, g in enumerate(gradients.tolist()):
            along, norm2, scale = g * total, g * g, plainly(law, "scale", state)
            kept, s = plainly(law, "clip", state, norm2), plainly(law, "slope", loss, total, g, scale)
            plain = {
                "scale": scale,
                "shrink": plainly(law, "shrink", state),
                "clip": kept,
                "slack": plainly(law, "slack", state, norm2),
                "observe": total,
                "slope": s,
                "lag": plainly(law, "lag", loss, total, g, s, scale),
            }
            for (name, a), b in zip(plain.items(), compiled[:, t].tolist(), strict=True):
                demand(a == b, law, f"{name} is the same compiled and plain", round=t, plain=a, compiled=b)
            state = plainly(law, "observe", state, along, norm2)
            total += kept * g


def _check_long(law: Any, rng: np.random.Generator, rounds: int = 100_000) -> None:
    """What only many rounds show: a scale that grows late, a certificate that fails late or takes no arrays."""
    g = rng.normal(size=rounds)
    out = np.empty((7, rounds))
    _follow(law, Absolute(), g, out)
    scale, shrink, kept, slack, total = out[:5]
    t = np.arange(rounds)
    demand_all((scale >= 0.0) & (scale < math.inf), law, "scale is finite and >= 0", round=t, scale=scale)
    demand_all((shrink > 0.0) & (shrink <= 1.0), law, "shrink is in (0, 1]", round=t, shrink=shrink)
    demand_all((kept > 0.0) & (kept <= 1.0), law, "clip is in (0, 1]", round=t, clip=kept)
    if type(law).bound is laws.default_bound:
        before, after = scale[1:-1], scale[2:]
        fine = (after <= before * (1.0 + ROUNDING)) | (before == 0.0)
        what = "scale never grows (or the law has its own bound)"
        demand_all(fine, law, what, round=t[2:], before=before, after=after)
    if not laws.acts_across(law):
        return  # its certificate is for the gradients that it chooses
    demand_all(slack >= -ROUNDING * (1.0 + g * g), law, "slack >= 0", round=t, slack=slack)
    linear, pull = np.cumsum(-scale * shrink * total * g), np.cumsum(kept * g)
    account = Account(
        t + 1.0, scale, np.cumsum(slack), linear, np.abs(pull), np.cumsum((1.0 - kept) * np.abs(g)), np.cumsum(g * g)
    )
    size = np.cumsum(np.abs(scale * shrink * total * g)) + account.slack
    for u in (0.0, 0.1, -1.0, 30.0):
        regret, distance = linear - u * np.cumsum(g), np.full(rounds, abs(u))
        bound = _bounds(law, account, distance)
        # sums of a hundred thousand terms: each rounds by half a unit in the last place of the sum so far
        allowed = rounds * 1.2e-16 * (size + abs(u) * np.cumsum(np.abs(g)) + np.abs(account.slack) + 1.0)
        demand_all(
            regret <= bound + allowed, law, "regret <= bound", round=t, distance=abs(u), regret=regret, bound=bound
        )


def _bounds(law: Any, account: Account, distance: Array) -> Array:
    try:
        found = np.asarray(law.bound(account, distance), dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ContractError(f"{law!r} breaks: bound takes arrays, an entry a task; {error!r}") from error
    demand(found.shape == distance.shape, law, "bound has an entry for each task", came=found.shape)
    return found
