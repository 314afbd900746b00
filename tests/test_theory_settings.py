"""Three levels on random runs: measured regret <= the run's certificate <= closed form; and that the check can fail."""

from __future__ import annotations

import importlib
import math

import numpy as np
import pytest

from theory.data import LOSSES
from theory.learners import growing
from theory.levels import BoundViolation
from theory.ratios import as_text, row_of
from theory.settings import SETTINGS, by_name
from theory.terms import Terms

SEEDS = 40


@pytest.mark.parametrize("setting", SETTINGS, ids=[setting.name for setting in SETTINGS])
def test_levels_are_in_order(setting):
    """On every run; and the closed form is of the certificate's order: at the median within a factor of 10."""
    found = [setting.run(seed).check() for seed in range(SEEDS)]
    assert all(math.isfinite(levels.certificate.total) for levels in found)
    assert sum(levels.regret > 0.0 for levels in found) >= SEEDS // 4  # the comparators are worth comparing with
    assert 1.0 - 1e-9 <= np.median([levels.looseness for levels in found]) < 10.0
    for levels in found:
        assert levels.closed.total == pytest.approx(math.fsum(levels.closed))
        assert levels.blame in (*Terms._fields, "none")


def test_every_result_and_every_loss_has_a_setting():
    for setting in SETTINGS:
        assert importlib.import_module(f"theory.{setting.theorem}").bound
    assert {index for setting in SETTINGS for index in setting.losses} == set(range(len(LOSSES)))
    assert len({setting.name for setting in SETTINGS}) == len(SETTINGS)


def test_a_seed_decides_everything():
    setting = by_name("bias")
    assert setting.run(3) == setting.run(3)
    assert setting.run(3) != setting.run(6)  # the same loss
    with pytest.raises(ValueError, match="no setting 'bais'; there are within: growing, "):
        by_name("bais")


# -------------------------------------------------------------------------------------- broken bounds are caught


def test_a_bound_without_its_logarithm_is_caught(monkeypatch):
    """The theorem of the constant regulariser, claimed for the growing one."""
    monkeypatch.setattr(growing, "logarithm", lambda rounds: 1.0)
    with pytest.raises(
        BoundViolation, match=r"within: growing, seed .*certificate of the run .* exceeds the closed form"
    ):
        for seed in range(SEEDS):
            by_name("within: growing").run(seed).check()


@pytest.mark.parametrize("term", ["comparator", "across"])
def test_a_bound_whose_term_is_a_hundredth_too_small_is_caught_where_it_is_tight(term):
    levels = by_name("lower bound").run(1)
    levels.check()
    closed = levels.closed._replace(**{term: 0.99 * getattr(levels.closed, term)})
    with pytest.raises(BoundViolation, match="closed form"):
        levels._replace(closed=closed).check()


def test_a_lower_bound_that_is_too_large_is_caught():
    levels = by_name("lower bound").run(2)
    with pytest.raises(BoundViolation, match=r"the lower bound .* exceeds the regret"):
        levels._replace(lower=levels.lower * 1.0001).check()


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_numbers_that_are_none_are_no_bound(value):
    levels = by_name("bias").run(0)
    with pytest.raises(BoundViolation, match="certificate of the run"):
        levels._replace(certificate=levels.certificate._replace(within=value)).check()
    with pytest.raises(BoundViolation):
        levels._replace(regret=math.nan).check()
    with pytest.raises(BoundViolation):
        levels._replace(closed=levels.closed._replace(within=math.nan)).check()


def test_ratios_blame_the_term_that_is_loose():
    levels = by_name("bias").run(0)
    certificate = Terms(within=2.0, comparator=1.0, across=4.0)
    levels = levels._replace(certificate=certificate, closed=Terms(within=3.0, comparator=5.0, across=4.0), regret=3.5)
    assert levels.ratios == Terms(within=1.5, comparator=5.0, across=1.0)
    assert levels.blame == "comparator"
    assert (levels.looseness, levels.slack) == (12 / 7, 2.0)
    assert by_name("lower bound").run(0).blame == "none"


def test_the_table_counts_violations_and_names_the_loose_term():
    found = [by_name("bias").run(seed) for seed in range(9)]
    broken = found[4]._replace(closed=Terms(0.0, 0.0))
    row = row_of([*found[:4], broken, *found[5:]])
    assert (row.setting, row.runs, row.violations) == ("bias", 9, 1)
    assert row_of(found).looseness == np.median([levels.looseness for levels in found])
    assert row.ratios.comparator == pytest.approx(1.0, rel=1e-9)  # the theorem's term is the certificate's
    assert row.blame in ("within", "across") and row.ratios.metric == 0.0
    head, rule, line = as_text([row]).splitlines()
    assert head.count("|") == rule.count("|") == line.count("|") == 12
