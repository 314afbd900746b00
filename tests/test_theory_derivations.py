"""Every inequality that a derivation displays, with numbers; and that a false one is noticed."""

from __future__ import annotations

import math

import numpy as np
import pytest

from theory import derivations
from theory.derivations import Sides, displayed, evaluate, inequalities, shown
from theory.learners import growing

DRAWS = 20


def test_each_displayed_inequality_has_its_numbers_and_each_number_its_text():
    assert sorted(shown()) == sorted(inequalities())
    assert len(shown()) == len(set(shown())) > 40


@pytest.mark.parametrize("name", shown())
def test_displayed_inequality_holds(name):
    for seed in range(DRAWS):
        sides = evaluate(name, seed)
        assert sides.holds, f"({name}), seed {seed}: {sides.left} against {sides.right}"


def test_a_false_inequality_is_noticed(monkeypatch):
    monkeypatch.setattr(growing, "logarithm", lambda rounds: 0.5 + math.log(rounds))
    monkeypatch.setattr("theory.derivations.within.logarithm", growing.logarithm)
    assert not evaluate("W6", 0).holds


def test_sides_know_a_difference_from_rounding():
    assert Sides(1.0 + 1e-13, 1.0).holds and Sides(1.0, 2.0).holds
    assert not Sides(1.0 + 1e-9, 1.0).holds and not Sides(1.0, 2.0, equal=True).holds
    assert not Sides([1.0, 3.0], [2.0, 2.0]).holds and not Sides(math.nan, 1.0).holds


def test_a_name_is_taken_once():
    with pytest.raises(ValueError, match="W1 is evaluated twice, by fenchel_young"):

        @displayed("W1")
        def other(rng: np.random.Generator) -> Sides:
            return Sides(0.0, 1.0)

    assert derivations.evaluate("W1", 0).holds
