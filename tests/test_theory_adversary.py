"""Whoever chooses the data, the order and the comparators, regret stays below its certificate; and gets close to it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from processes import once

import owo
from owo.hindsight import Comparator
from theory import adversary
from theory.adversary import Config
from theory.targets import GEOMETRIES, INNER, OUTER, Moves, Shape, Target, as_block, length, play, start

MANY = Shape(10, 5, 2)


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    return once(tmp_path_factory, "adversary", lambda _: adversary.run(Config.quick()))[0]


def test_the_quick_search_attacks_every_law_and_geometry_with_both_updates(quick):
    for part, wanted in (("inner", INNER), ("outer", OUTER), ("geometry", GEOMETRIES)):
        for update in ("task", "point"):
            assert set(wanted) <= {getattr(target, part) for target in quick.targets if target.update == update}
    for law in INNER:
        assert len({target.loss for target in quick.targets if target.inner == law}) >= 2


def test_no_certificate_breaks(quick):
    assert not quick.broken.any()
    assert (quick.ratios <= 1.0).all()  # of certificate and rounding
    assert (quick.ratios > 0.3).all()  # the search is at work everywhere


def test_what_was_found_can_be_played_again(quick):
    for i in (0, 5, len(quick.targets) - 1):
        again = play(quick.targets[i], quick.shapes[0], quick.moves[i][0])
        assert (again.ratio, again.regret) == (quick.ratios[i, 0], quick.regrets[i, 0])


@pytest.mark.parametrize("inner", [owo.GrowingFTRL(1.0), owo.DualAveraging(0.5)])
@pytest.mark.parametrize("update", ["task", "point"])
def test_fifty_points_of_ten_tasks_come_near_the_certificate(inner, update):
    outer = owo.GrowingFTRL(2.0) if isinstance(inner, owo.GrowingFTRL) else owo.DualAveraging(0.1)
    config = Config(restarts=3, evaluations=600)
    found = adversary.attack(Target(owo.Absolute(), inner, outer, update), MANY, config, np.random.default_rng(1))
    assert 0.9 < found.outcome.ratio <= 1.0 and not found.outcome.broken


def test_a_search_that_starts_where_nothing_is_claimed_goes_on():
    """Comparators outside the ball have an infinite certificate, and the ratio of all such data is 0."""
    target = Target(owo.Absolute(), owo.Ball(owo.DualAveraging(0.5), 1e-3), owo.Frozen())
    found = adversary.attack(target, MANY, Config(restarts=1, evaluations=20), np.random.default_rng(0))
    assert len(found.moves) == length(MANY) and not found.outcome.broken


def linear(gradients):
    """Tasks (T, n, d) whose absolute losses are linear with these gradients wherever a learner may be."""
    return owo.Block(
        gradients.reshape(-1, gradients.shape[2]),
        np.full(gradients.shape[0] * gradients.shape[1], -1e6),
        np.repeat(np.arange(gradients.shape[0]), gradients.shape[1]),
    )


def held_against(ledger, block, bias, weights):
    predictions = np.einsum("tnd,td->tn", block.X.reshape(len(weights), -1, block.d), weights)
    losses = np.abs(predictions - block.y.reshape(predictions.shape)).sum(axis=1)
    comparator = Comparator("where the learners would go next", bias, weights, losses)
    return ledger.regret(comparator)[-1], ledger.certificate(comparator).total[-1], ledger.rounding(comparator)[-1]


def test_dual_averaging_meets_its_certificate_whatever_the_data():
    g = np.random.default_rng(0).normal(size=(12, 7, 3))
    block, step, outer = linear(g), 0.3, 0.02
    ledger = owo.OnlineWithinOnline(owo.Absolute(), owo.DualAveraging(step), owo.DualAveraging(outer), "task").run(
        block
    )
    q = g.sum(axis=1)
    bias = -outer * q.sum(axis=0)
    regret, certificate, rounding = held_against(ledger, block, bias, bias - step * q)
    assert abs(regret - certificate) <= rounding and certificate > 1e3 * rounding


@pytest.mark.parametrize("inner", [owo.GrowingFTRL(1.5), owo.InverseSqrt(0.4), owo.DualAveraging(0.5)])
def test_what_a_certificate_gives_away_is_the_slowing_down(inner):
    """The identity of the module's docstring, task by task, against comparators anywhere."""
    rng = np.random.default_rng(1)
    g, bias = rng.normal(size=(12, 7, 3)), np.zeros(3)
    block = linear(g)
    ledger = owo.OnlineWithinOnline(owo.Absolute(), inner, owo.Frozen(), "task").run(block)
    states = [inner.start()]
    for _ in range(6):
        states.append(inner.observe(states[-1], 0.0, 1.0))
    c = np.array([inner.scale(state) for state in states])
    G = np.cumsum(g, axis=1)
    weights = rng.normal(size=(12, 3))
    regret, certificate, rounding = held_against(ledger, block, bias, weights)
    gap = np.sum((weights + c[-1] * G[:, -1]) ** 2) / (2 * c[-1])
    gap += 0.5 * np.sum((c[:-1] - c[1:]) * np.sum(G[:, :-1] ** 2, axis=2))
    assert abs(certificate - regret - gap) <= 2 * rounding and gap > 1e3 * rounding


# --------------------------------------------------------------------------------------- certificates that are wrong


@owo.law
class Halved(NamedTuple):
    """Dual averaging that claims half of its bound."""

    step: float = 0.5

    def start(self):
        return (0.0,)

    def scale(self, state):
        return self.step

    def observe(self, state, along, norm2):
        return state

    def bound(self, account, distance):
        return 0.5 * (distance * distance / (2.0 * self.step) + account.slack)


@owo.law
class OffByOne(NamedTuple):
    """The growing regulariser that counts its slack with the next round's scale, ``|g|^2 / (2 (i + 1))``."""

    strength: float = 1.0

    def start(self):
        return (1.0,)

    def scale(self, state):
        return 1.0 / (self.strength * state[0])

    def observe(self, state, along, norm2):
        return (state[0] + 1.0,)

    def slack(self, state, norm2):
        return 0.5 * norm2 / (self.strength * (state[0] + 1.0))


@pytest.mark.parametrize("law", [Halved(), OffByOne()])
def test_a_certificate_that_claims_too_little_is_caught(law):
    target = Target(owo.Absolute(), law, owo.DualAveraging(0.1))
    found = adversary.attack(target, MANY, Config(restarts=4, evaluations=400), np.random.default_rng(2))
    assert found.outcome.broken and found.outcome.regret > found.outcome.certificate + found.outcome.rounding


# ------------------------------------------------------------------------------------------------ the adversary's moves


def test_unit_rows_have_norm_one_and_tasks_may_be_mixed():
    shape = Shape(4, 3, 2, unit=True)
    target = Target(owo.Absolute(), owo.DualAveraging(0.5), owo.DualAveraging(0.1), "point")
    rng = np.random.default_rng(3)
    flat = start(rng, shape, 3)
    block = as_block(target, shape, Moves.of(flat, shape))
    assert np.allclose(np.linalg.norm(block.X, axis=1), 1.0) and not block.contiguous and len(flat) == length(shape)
    assert sorted(block.task.tolist()) == sorted([0, 1, 2, 3] * 3)


def test_labels_of_classes_are_signs():
    assert Target(owo.Logistic(), owo.DualAveraging(), owo.Frozen()).classifies
    assert not Target(owo.Huber(), owo.DualAveraging(), owo.Frozen()).classifies
