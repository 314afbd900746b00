"""One quantity varied: what each study of the kind must show, in a small form."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from experiments import sweep
from experiments.own import NOTHING
from experiments.studies import ablations, drift

FEW = {"strengths": (0.1, 1.0), "steps": (0.1, 1.0)}


def by_name(found, of="loss"):
    return dict(zip(found["method"].tolist(), found[of].T, strict=True))


@pytest.mark.parametrize("quantity", ablations.QUANTITIES)
def test_every_quantity_is_varied_in_its_streams(quantity):
    low, high = {"flips": (0.0, 0.4), "tail": (1.5, 30.0), "scaling": (0.0, 2.0)}.get(quantity, (2.0, 20.0))
    config = ablations.Config(quantity=quantity, values=(low, high), tasks=150)
    first, second = (ablations.draw(config, value, 0).streamed for value in (low, high))
    measure = {
        "points": lambda block: block.n / block.n_tasks,
        "spread": lambda block: np.std([np.linalg.lstsq(t.X, t.y, rcond=None)[0].mean() for t in block.tasks()]),
        "noise": lambda block: np.std(block.y),
        "d": lambda block: block.d,
        "flips": lambda block: -abs(np.mean(block.y * np.sign(block.X @ np.full(block.d, 4.0)))),
        "tail": lambda block: -np.max(np.abs(block.y)),
        "scaling": lambda block: np.ptp(np.log(np.linalg.norm(block.X, axis=0))),
    }[quantity]
    assert measure(second) > 1.5 * measure(first) or measure(first) < 0.6 * measure(second)
    choosing = ablations.draw(config, low, 0).choosing
    assert choosing.n == first.n and not np.array_equal(choosing.y, first.y)


def test_the_gain_falls_with_the_spread_of_the_tasks():
    found = by_name(
        ablations.run(ablations.Config(quantity="spread", values=(0.3, 10.0), tasks=150, **FEW), 0, NOTHING)
    )
    gains = 1.0 - found["OWO per point"] / found["independent"]
    assert gains[0] > 0.4 and gains[1] < 0.15


def test_scales_of_features_are_no_matter_to_the_oracle():
    """The oracle mean is scaled with them; learners are not told."""
    found = by_name(
        ablations.run(ablations.Config(quantity="scaling", values=(0.0, 2.0), tasks=100, **FEW), 0, NOTHING)
    )
    assert found["oracle mean"][1] < 1.1 * found["oracle mean"][0]
    assert found["OWO per task"][1] > 1.3 * found["OWO per task"][0]


def test_a_mean_that_moves_is_followed_and_no_single_bias_does_as_well():
    found = by_name(drift.run(drift.Config(values=(0.0, 0.3), tasks=400, **FEW), 0, NOTHING))
    still, moving = np.stack([found[name] for name in ("oracle mean", "OWO per point", drift.FOLLOWING)]).T
    assert still[0] == pytest.approx(still[2]) and still[1] > still[0]  # one mean: nothing to follow
    assert moving[2] < moving[1] < moving[0] < found["independent"][1]


def test_two_kinds_of_tasks_cost_every_single_bias():
    config = drift.Config(quantity="separation", values=(0.0, 8.0), tasks=300, **FEW)
    found = by_name(drift.run(config, 1, NOTHING))
    assert found["oracle mean"][1] > 2.0 * found["oracle mean"][0]
    assert found[drift.FOLLOWING][1] == pytest.approx(
        found[drift.FOLLOWING][0], rel=0.02
    )  # the same tasks but for means


def test_numbers_are_chosen_on_the_other_stream():
    config = ablations.Config(quantity="spread", values=(1.0,), tasks=60, **FEW)
    streams = ablations.draw(config, 1.0, 0)
    method = ablations.methods(config, NOTHING)[2]
    assert sweep.chosen(method, streams) == sweep.chosen(method, streams._replace(streamed=streams.choosing))


@pytest.mark.parametrize("study", [ablations, drift])
def test_an_unknown_quantity_is_refused(study):
    with pytest.raises(ValueError, match="quantity is 'mood'; it must be"):
        replace(study.Config(), quantity="mood")


@pytest.mark.parametrize("study", [ablations.STUDY, drift.STUDY])
def test_tables_and_figures_show_every_value_and_method(study):
    for config in study.variants.values():
        small = replace(config, values=config.values[:2], tasks=100, **FEW)
        found = study.run(small, 0, NOTHING)
        stacked = {
            name: np.stack([held, held + 0.01] if held.dtype.kind == "f" else [held, held])
            for name, held in found.items()
        }
        losses, gains = study.tables(small, stacked)
        assert losses.header[1:] == tuple(found["method"]) and len(losses.rows) == len(gains.rows) == 2
        [figure] = study.figures(small, stacked).values()
        left, right = figure.axes
        assert len(left.get_lines()) >= len(found["method"]) and left.get_xlabel() == right.get_xlabel() != ""
