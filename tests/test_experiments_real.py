"""Real data in random orders: encoded from their beginning, with numbers chosen elsewhere, beside reference numbers."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest

import owo
from experiments.own import NOTHING, Own
from experiments.studies import real
from experiments.studies.real import Config

FEW = {"strengths": (0.316, 1.0), "steps": (0.1, 0.316)}
needs_data = pytest.mark.skipif("OWO_DATA" not in os.environ, reason="needs the files that OWO_DATA names")


def by_name(found, of):
    return dict(zip(found["method"].tolist(), found[of], strict=True))


def test_the_bias_gains_on_wages_as_the_reference_says():
    runs = [real.run(Config(**FEW), seed, NOTHING) for seed in range(3)]
    held = {name: np.mean([by_name(run, "hindsight")[name] for run in runs]) for name in by_name(runs[0], "hindsight")}
    reference = real.REFERENCE["wagepan", "regression"]
    assert held["independent"] == pytest.approx(reference[0], rel=0.04)
    assert held["OWO per task"] == pytest.approx(reference[1], rel=0.04)
    assert held["OWO per point"] < held["OWO per task"] < 0.94 * held["independent"]
    for run in runs:
        assert (run["regret"] <= run["certificate"]).all() and (run["error"][:, -1] > 0.2).all()


def test_orders_are_of_the_seed_and_encodings_of_their_beginning():
    first, again, other = (real.draw(Config(), seed)[0] for seed in (0, 0, 1))
    assert np.array_equal(first.X, again.X) and not np.array_equal(first.X, other.X)
    raw = real.ordered(Config(), 0)
    spoiled = owo.Block(raw.X, np.where(raw.task > 200, 1e6, raw.y), raw.task)
    before = owo.streams.Encoding.fit(raw.X, raw.y, raw.task, 0.1)
    after = owo.streams.Encoding.fit(spoiled.X, spoiled.y, spoiled.task, 0.1)
    assert before.to_dict() == after.to_dict()


def test_errors_of_signs_count_no_prediction_as_half():
    block = owo.Block([[1.0], [1.0]], [1.0, -1.0], [0, 0])
    alone = owo.OnlineWithinOnline(owo.Hinge(), owo.DualAveraging(1.0), owo.Frozen(), "task")
    assert real.suffered(alone, owo.Hinge(), block) == 0.75  # 0 at first, then wrong


def test_a_sample_of_tasks_and_tables_of_every_kind():
    for kind in ("regression", "classification"):
        config = Config(kind=kind, tasks=60, **FEW)
        stacked = stack(real.run(config, 0, NOTHING))
        contest, hindsight = real.tables(config, stacked)
        assert len(contest.rows) == len(hindsight.rows) == 9
        assert len(real.tables(replace(config, tasks=0), stacked)) == 3  # reference numbers are of all tasks
        [figure] = real.figures(config, stacked).values()
        assert figure.axes[0].get_ylabel().startswith("test error")


def stack(held):
    return {name: np.stack([array] * 2) for name, array in held.items()}


def test_a_stream_and_a_loss_of_ones_own_take_the_place_of_data_and_loss():
    def tasks(rng):
        return [(rng.normal(size=(6, 2)), 10.0 * rng.normal(size=6)) for _ in range(40)]

    absolute = real.run(Config(**FEW), 0, Own(stream=tasks))
    squared = real.run(Config(**FEW), 0, Own(stream=tasks, loss=owo.Squared()))
    block, unit = real.draw(Config(**FEW), 0, Own(stream=tasks))
    assert block.n_tasks == 40 and block.d == 3 and unit == pytest.approx(1.0, abs=0.5)
    found = by_name(squared, "online")["independent"][-1]
    training = block.rows(0, int(block.offsets[32]))
    numbers = dict(zip(squared["method"].tolist(), squared["online_numbers"].tolist(), strict=True))["independent"]
    alone = owo.OnlineWithinOnline(owo.Squared(), owo.GrowingFTRL(numbers[0]), owo.Frozen(), "task")
    assert found == pytest.approx(alone.run(training).average_loss()[-1] * unit**2, rel=1e-12)  # squares of sd of y
    titles = [table.title for table in real.tables(Config(**FEW), stack(squared))]
    assert len(titles) == 2 and all(title.startswith("tasks of a file") for title in titles)
    assert "(squares of sd of y)" in real.tables(Config(**FEW), stack(squared))[1].header[1]
    assert "(sd of y)" in real.tables(Config(**FEW), stack(absolute))[1].header[1]
    with pytest.raises(ValueError, match="needed --set kind=classification"):
        real.run(Config(**FEW), 0, Own(loss=owo.Logistic()))
    with pytest.raises(ValueError, match="there are 3 tasks of two points or more; needed at least 20"):
        real.run(Config(**FEW), 0, Own(stream=lambda rng: tasks(rng)[:3]))


def test_oracles_are_told_biases_of_the_tasks_that_are_streamed_alone():
    """Labels of the last fifth may be anything: training, and what is known, stay the same."""
    loss, block = owo.Absolute(), real.draw(Config(tasks=50), 0)[0]
    spoiled = owo.Block(block.X, np.where(block.task < 40, block.y, 99.0), block.task)
    first, second = (real.told(loss, each.rows(0, int(each.offsets[40])), 1.0)[0] for each in (block, spoiled))
    assert np.array_equal(first.bias, second.bias) and np.array_equal(first.mean, second.mean)
    assert not np.allclose(first.bias, first.mean)


@needs_data
def test_items_are_kept_sparse_and_their_medians_known():
    config = Config(data="jester3", tasks=200, **FEW)
    block, _ = real.draw(config, 0)
    assert not isinstance(block.X, np.ndarray) and block.n_tasks == 200
    bias = real.medians(block)
    table = real.ordered(config, 0)
    item = int(np.bincount(table.X.parts.columns[::2]).argmax())
    mine = table.X.parts.columns[::2] == item
    row = np.zeros(block.d)
    row[[item, -1]] = np.sqrt(0.5)
    assert row @ bias == pytest.approx(np.median(block.y[mine]))
    found = by_name(real.run(config, 0, NOTHING), "online")
    assert found[real.MEDIANS][-1] < found["OWO per point"][-1] < found["independent"][-1]


def test_settings_that_make_no_sense_and_absent_data_are_told(monkeypatch):
    with pytest.raises(ValueError, match="data is 'wages'; there are wagepan"):
        Config(data="wages")
    with pytest.raises(ValueError, match="needed at least 20, or 0 for all"):
        Config(tasks=5)
    with pytest.raises(ValueError, match="signs are of y about its median, of data with features"):
        Config(data="sushi", kind="classification")
    with pytest.raises(ValueError, match="leave centred true"):
        Config(kind="classification", centred=False)
    monkeypatch.delenv("OWO_DATA", raising=False)
    with pytest.raises(FileNotFoundError, match=r"data set lenk needs the file lenk\.npz"):
        real.run(Config(data="lenk"), 0, NOTHING)
