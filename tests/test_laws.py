"""Every law keeps its contract; its certificate holds; and a law that lies is caught."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pytest
from games import WITHIN, name

import owo
from owo._record import as_state, keep, kernel
from owo.checks import ContractError, check_law
from owo.laws import Account

MORE = (
    owo.DualAveraging(30.0),
    owo.GrowingFTRL(1e-3),
    owo.AdaptiveNorm(5.0),
    owo.CoinBetting(0.1, 1e-3),
    owo.CoinBetting(1.0, 1e4),
    owo.Implicit(100.0),
    owo.Ball(owo.CoinBetting(), 2.0),
    owo.Ball(owo.AdaptiveNorm(), 0.3),
    owo.Ball(owo.Frozen(), 1.0),
)


@pytest.mark.parametrize("law", [*WITHIN, *MORE], ids=repr)
def test_every_law_keeps_the_contract(law):
    check_law(law)
    check_law(law, seed=7)


def played(law, gradients):
    """The plays of a law, by its definition."""
    state, total, plays = law.start(), np.zeros(gradients.shape[1]), []
    for g in gradients:
        plays.append(-law.scale(state) * law.shrink(state) * total)
        norm2 = float(g @ g)
        kept = law.clip(state, norm2)
        state = law.observe(state, float(g @ total), norm2)
        total = total + kept * g
    return np.array(plays)


def test_dual_averaging_is_gradient_descent():
    gradients = np.random.default_rng(0).normal(size=(30, 4))
    z, plays = np.zeros(4), []
    for g in gradients:
        plays.append(z)
        z = z - 0.3 * g
    assert np.allclose(played(owo.DualAveraging(0.3), gradients), plays, atol=1e-13)


def test_growing_ftrl_minimises_the_growing_regulariser():
    """w_i minimises <q_{i-1}, w> + i strength/2 |w|^2, with i and not i - 1: the paper's index."""
    gradients = np.random.default_rng(1).normal(size=(12, 3))
    plays = played(owo.GrowingFTRL(0.5), gradients)
    for i, w in enumerate(plays, start=1):
        q = gradients[: i - 1].sum(axis=0)
        assert np.allclose(q + i * 0.5 * w, 0.0, atol=1e-12)


def test_coin_betting_is_krichevsky_trofimov():
    """In one dimension with coins g = -1/+1: bets the fraction (sum of coins)/t of wealth, in closed form."""
    coins = np.where(np.random.default_rng(2).random(40) < 0.7, 1.0, -1.0)
    plays = played(owo.CoinBetting(1.0, 1.0), -coins[:, None])[:, 0]
    wealth, total = 1.0, 0.0
    for t, (coin, play) in enumerate(zip(coins, plays, strict=True), start=1):
        bet = total / t * wealth
        assert play == pytest.approx(bet, rel=1e-12)
        wealth += bet * coin
        total += coin
    heads = int((coins > 0).sum())
    tails = len(coins) - heads
    # the wealth of the KT bettor: 2^n times a ratio of Gamma functions
    log_kt = (
        len(coins) * math.log(2)
        + math.lgamma(heads + 0.5)
        + math.lgamma(tails + 0.5)
        - math.log(math.pi)
        - math.lgamma(len(coins) + 1)
    )
    assert math.log(wealth) == pytest.approx(log_kt, abs=1e-9)


def test_coin_betting_never_loses_more_than_its_wealth_and_beats_the_stated_order():
    rng = np.random.default_rng(3)
    for drift in (0.0, 0.2, 0.9):
        g = np.clip(rng.normal(drift, 0.3, size=(500, 1)), -1, 1)
        plays = played(owo.CoinBetting(1.0, 1.0), g)
        for u in (0.0, -1.0, -10.0):
            regret = float((g * (plays - u)).sum())
            stated = abs(u) * math.sqrt(500 * math.log(1 + 24 * 500**2 * u * u)) + 1.0
            assert regret <= stated


def test_adaptive_norm_is_free_of_scale():
    gradients = np.random.default_rng(4).normal(size=(25, 3))
    assert np.allclose(
        played(owo.AdaptiveNorm(2.0), gradients), played(owo.AdaptiveNorm(2.0), 2.0**30 * gradients), rtol=1e-13
    )


def test_a_ball_keeps_every_play_inside_by_projecting_it():
    gradients = np.random.default_rng(5).normal(size=(200, 3)) + 0.3
    free, kept = played(owo.DualAveraging(0.5), gradients), played(owo.Ball(owo.DualAveraging(0.5), 0.7), gradients)
    norms = np.linalg.norm(free, axis=1, keepdims=True)
    assert np.allclose(kept, free * np.minimum(1.0, 0.7 / np.maximum(norms, 1e-300)), atol=1e-12)
    assert (np.linalg.norm(kept, axis=1) <= 0.7 * (1 + 1e-12)).all() and (norms > 0.7).any()


def test_a_ball_has_no_certificate_outside():
    account = Account(3, 0.5, 1.0, -0.2, 1.0, 0.0, 3.0)
    law = owo.Ball(owo.DualAveraging(0.5), 1.0)
    assert law.bound(account, 2.0) == math.inf and law.bound(account, 1.0) == pytest.approx(2.0)


def test_clipping_raises_the_limit_and_is_charged():
    law = owo.CoinBetting(1.0, 1.0)
    state = law.start()
    assert law.clip(state, 25.0) == pytest.approx(0.2)
    assert law.observe(state, 0.0, 25.0)[2] == pytest.approx(5.0)


@owo.law
class Growing(NamedTuple):
    """A law whose scale grows has no right to the default certificate."""

    def start(self):
        return (1.0,)

    def scale(self, state):
        return 0.1 * state[0]

    def observe(self, state, along, norm2):
        return (state[0] + 1.0,)


@owo.law
class Boastful(NamedTuple):
    """Gradient descent that claims half its slack."""

    def start(self):
        return (0.0,)

    def scale(self, state):
        return 0.3

    def observe(self, state, along, norm2):
        return state

    def slack(self, state, norm2):
        return 0.5 * 0.5 * 0.3 * norm2


@owo.law
class Shifty(NamedTuple):
    def start(self):
        return (1.0,)

    def scale(self, state):
        return 0.1

    def observe(self, state, along, norm2):
        return (state[0], norm2)


@pytest.mark.parametrize(
    ("law", "property_"),
    [(Growing(), "never grows"), (Boastful(), "regret <= bound"), (Shifty(), "tuple of floats")],
    ids=name,
)
def test_a_wrong_law_is_caught(law, property_):
    with pytest.raises(ContractError, match=property_):
        check_law(law)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: owo.GrowingFTRL(-1.0), "strength must be finite and above 0"),
        (lambda: owo.GrowingFTRL(math.inf), "strength must be finite and above 0"),
        (lambda: owo.DualAveraging(0.0), "step must be finite and above 0"),
        (lambda: owo.CoinBetting(0.0), "initial must be finite and above 0"),
        (lambda: owo.Ball(owo.DualAveraging(1.0), -1.0), "radius must be finite and above 0"),
        (lambda: owo.Ball(owo.Implicit(1.0), 1.0), "explicit subgradients"),
        (lambda: owo.Ball(owo.Ball(owo.Frozen(), 1.0), 1.0), "not a Ball itself"),
        (lambda: owo.Ball("law", 1.0), "law"),
    ],
)
def test_bad_parameters_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@kernel
def there_and_back(values, row):
    keep(values, row)
    return as_state(values, row)


@pytest.mark.parametrize("values", [(), (0.5,), (1.0, -2.0, 3.0)], ids=len)
def test_a_state_of_any_length_survives_a_row(values):
    for function in (there_and_back, there_and_back.py_func):
        row = np.full(3, 7.0)
        assert function(values, row) == values
        assert row[len(values) :].tolist() == [7.0] * (3 - len(values))
