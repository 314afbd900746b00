"""Real data in random orders: encoded from their beginning, with numbers chosen elsewhere, beside reference numbers."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest

import owo
from experiments.own import NOTHING
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
        stacked = {name: np.stack([held] * 2) for name, held in real.run(config, 0, NOTHING).items()}
        contest, hindsight = real.tables(config, stacked)
        assert len(contest.rows) == len(hindsight.rows) == 8
        assert len(real.tables(replace(config, tasks=0), stacked)) == 3  # reference numbers are of all tasks
        [figure] = real.figures(config, stacked).values()
        assert figure.axes[0].get_ylabel().startswith("test error")


@needs_data
def test_items_are_kept_sparse_and_their_medians_known():
    config = Config(data="jester3", one_hot=True, tasks=200, **FEW)
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
    monkeypatch.delenv("OWO_DATA", raising=False)
    with pytest.raises(FileNotFoundError, match=r"data set lenk needs the file lenk\.npz"):
        real.run(Config(data="lenk"), 0, NOTHING)
