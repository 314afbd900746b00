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
from owo.doors import as_law, is_law_class
from owo.laws import Account, default_bound

MORE = (
    owo.DualAveraging(30.0),
    owo.GrowingFTRL(1e-3),
    owo.AdaptiveNorm(5.0),
    owo.CoinBetting(0.1, 1e-3),
    owo.CoinBetting(1.0, 1e4),
    owo.MagnitudeDirection(),
    owo.MagnitudeDirection(0.1, 1e-3),
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
    # thirty additions of numbers below 10, in another order: each rounds by 1e-15 at most
    np.testing.assert_allclose(played(owo.DualAveraging(0.3), gradients), plays, rtol=0.0, atol=3e-14)


def test_magnitude_and_direction_are_two_learners():
    """A coin bettor with one number, never below 0, and AdaptiveNorm(1) projected on the unit ball, written apart."""
    rng, initial, limit = np.random.default_rng(2), 2.0, 5.0
    gradients = rng.normal([0.7, 0.0, -0.4], size=(400, 3))
    wealth, bets, total, squares, plays = initial, 0.0, np.zeros(3), 0.0, []
    for t, g in enumerate(gradients, start=1):
        far = max(math.sqrt(squares), float(np.linalg.norm(total)))
        u = -total / far if far > 0.0 else np.zeros(3)
        v = -bets / (limit**2 * t) * wealth
        plays.append(max(v, 0.0) * u)
        s = float(g @ u)
        wealth -= s * max(v, 0.0)
        bets += s if v >= 0.0 or s < 0.0 else 0.0
        total, squares = total + g, squares + float(g @ g)
    assert np.abs(plays[-1]).max() > 0.5
    np.testing.assert_allclose(played(owo.MagnitudeDirection(initial, limit), gradients), plays, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("update", ["task", "point"])
def test_runs_of_magnitude_and_direction_are_certified(update):
    for seed in range(8):
        block = owo.streams.Synthetic(tasks=40, points=6, d=4, mean=3.0, spread=1.0, seed=seed, rows=240).block(0)
        block = block.interleaved(seed) if seed % 2 else block
        inner, outer = owo.MagnitudeDirection(0.5, 10.0 ** (seed - 4)), owo.MagnitudeDirection(1.0, 10.0 ** (4 - seed))
        for one, other in ((inner, outer), (owo.GrowingFTRL(1.0), outer), (inner, owo.DualAveraging(0.1))):
            ledger = owo.OnlineWithinOnline(owo.Absolute(), one, other, update).run(block)
            ledger.check(owo.hindsight.best_bias(owo.Absolute(), block, 0.5))
            assert np.isfinite(ledger.losses).all()


def test_growing_ftrl_minimises_the_growing_regulariser():
    """w_i minimises <q_{i-1}, w> + i strength/2 |w|^2, with i and not i - 1: the paper's index."""
    gradients = np.random.default_rng(1).normal(size=(12, 3))
    plays = played(owo.GrowingFTRL(0.5), gradients)
    for i, w in enumerate(plays, start=1):
        q = gradients[: i - 1].sum(axis=0)
        np.testing.assert_allclose(q + i * 0.5 * w, 0.0, atol=2e-14)  # a dozen roundings of numbers below 10


def test_coin_betting_is_krichevsky_trofimov():
    """In one dimension with coins g = -1/+1: bets the fraction (sum of coins)/t of wealth, in closed form."""
    coins = np.where(np.random.default_rng(2).random(40) < 0.7, 1.0, -1.0)
    plays = played(owo.CoinBetting(1.0, 1.0), -coins[:, None])[:, 0]
    wealth, total = 1.0, 0.0
    for t, (coin, play) in enumerate(zip(coins, plays, strict=True), start=1):
        bet = total / t * wealth
        # wealth is a product of up to 40 factors, each rounded a few times in either
        assert play == pytest.approx(bet, rel=1e-13, abs=1e-15)
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
    assert math.log(wealth) == pytest.approx(log_kt, abs=1e-12)  # terms of size 100, each within 1e-14


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
    # a power of two only moves exponents, so not a bit may change
    assert np.array_equal(played(owo.AdaptiveNorm(2.0), gradients), played(owo.AdaptiveNorm(2.0), 2.0**30 * gradients))


def test_a_ball_keeps_every_play_inside_by_projecting_it():
    gradients = np.random.default_rng(5).normal(size=(200, 3)) + 0.3
    free, kept = played(owo.DualAveraging(0.5), gradients), played(owo.Ball(owo.DualAveraging(0.5), 0.7), gradients)
    norms = np.linalg.norm(free, axis=1, keepdims=True)
    # the law keeps |G|^2 by adding up: two hundred roundings of 1e-16, relative
    np.testing.assert_allclose(kept, free * np.minimum(1.0, 0.7 / np.maximum(norms, 1e-300)), rtol=1e-13, atol=1e-15)
    assert (np.linalg.norm(kept, axis=1) <= 0.7 * (1 + 1e-13)).all() and (norms > 0.7).any()


def test_a_ball_has_no_certificate_outside():
    account = Account(3, 0.5, 1.0, -0.2, 1.0, 0.0, 3.0)
    law = owo.Ball(owo.DualAveraging(0.5), 1.0)
    assert law.bound(account, 2.0) == math.inf and law.bound(account, 1.0) == pytest.approx(2.0)


def test_clipping_raises_the_limit_and_is_charged():
    law = owo.CoinBetting(1.0, 1.0)
    state = law.start()
    assert law.clip(state, 25.0) == pytest.approx(0.2)
    assert law.observe(state, 0.0, 25.0)[2] == pytest.approx(5.0)


def test_a_limit_that_was_far_too_low_costs_no_more_than_the_rounds_until_it_is_right():
    """Wealth grows with the limit; if it did not, a bettor that began with a limit of 1 would hardly bet here."""
    gradients = np.random.default_rng(6).normal([30.0, 0.0], 10.0, size=(300, 2))
    told, learned = (played(owo.CoinBetting(limit, limit), gradients) for limit in (60.0, 1.0))
    assert np.linalg.norm(learned[-1]) > 0.3 * np.linalg.norm(told[-1]) > 0.0
    state = owo.CoinBetting(2.0, 0.5).start()
    assert owo.CoinBetting(2.0, 0.5).observe(state, 0.0, 25.0) == pytest.approx((20.0, 2.0, 5.0))


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


class Undecorated(NamedTuple):
    def start(self):
        return (0.0,)

    scale = observe = start


@owo.law
class LateGrowing(NamedTuple):
    """A scale that grows after more rounds than any short game has."""

    def start(self):
        return (1.0,)

    def scale(self, state):
        return 0.1 if state[0] < 5000.0 else 0.2

    def observe(self, state, along, norm2):
        return (state[0] + 1.0,)


@owo.law
class LateBoastful(LateGrowing):
    """Its own bound holds for a thousand rounds."""

    def scale(self, state):
        return 0.1

    def bound(self, account, distance):
        return np.where(account.rounds < 1000, default_bound(self, account, distance), 0.0 * distance)


@owo.law
class Scalar(LateGrowing):
    def scale(self, state):
        return 0.1

    def bound(self, account, distance):
        return math.pow(distance, 2.0) / 0.2 + account.slack


@owo.law
class TwoFaced(owo.Implicit):
    """Its whole numbers wrap around when compiled, so that its slopes turn there."""

    def slope(self, loss, p, y, step):
        large = 1 << 62
        return loss.prox_slope(p, y, step) * (1.0 if large + large > 0 else -1.0)


@pytest.mark.parametrize(
    ("law", "property_"),
    [
        (Growing(), "never grows"),
        (Boastful(), "regret <= bound"),
        (Shifty(), "tuple of floats"),
        (LateGrowing(), "never grows"),
        (LateBoastful(), "regret <= bound"),
        (Scalar(), "bound takes arrays"),
        (TwoFaced(), "slope is the same compiled and plain"),
    ],
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
    ],
)
def test_bad_parameters_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("other", ["law", owo.DualAveraging, owo.Absolute()], ids=str)
def test_a_ball_is_of_a_law(other):
    with pytest.raises(TypeError, match=r"^Ball.s law is (.law.|the class DualAveraging|Absolute\(\))"):
        owo.Ball(other, 1.0)


@pytest.mark.parametrize(
    ("value", "role", "message"),
    [
        (owo.DualAveraging, "inner", r"^inner is the class DualAveraging; pass an instance such as owo\.GrowingFTRL"),
        (owo.Absolute(), "law", r"^law is Absolute\(\), which has no method start; pass a law such as"),
        (Undecorated(), "outer", r"^outer is Undecorated\(\), whose class was not made with @owo\.law; decorate"),
    ],
)
def test_what_is_no_law_is_refused_with_the_reason(value, role, message):
    with pytest.raises(TypeError, match=message):
        as_law(value, role)


def test_classes_of_laws_are_told_from_others():
    assert is_law_class(owo.Ball) and is_law_class(Boastful)
    assert not any(map(is_law_class, (owo.Absolute, owo.Frozen(), Undecorated, Account, "law", None)))


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
