"""The parameter-free study, in a small form."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest

import owo
from experiments.own import NOTHING
from experiments.studies import parameter_free
from experiments.studies.parameter_free import Config

SMALL = Config(tasks=150, validation=30, test=30, strengths=(0.1, 1.0), steps=(0.03, 0.3))
needs_data = pytest.mark.skipif("OWO_DATA" not in os.environ, reason="needs the files that OWO_DATA names")


def by_name(found, of):
    return dict(zip(found["method"].tolist(), found[of][:, -1], strict=True))


def test_aggressive_is_no_worse_than_lazy_and_both_are_near_the_oracle():
    runs = [parameter_free.run(SMALL, seed, NOTHING) for seed in range(4)]
    online = {name: np.mean([by_name(run, "online")[name] for run in runs]) for name in by_name(runs[0], "online")}
    aggressive, lazy = online["parameter-free OWO per point"], online["parameter-free OWO per task"]
    assert aggressive < lazy < 0.85 * online["parameter-free independent"]
    assert aggressive < 1.05 * online["oracle mean"] and lazy < 1.1 * online["OWO per task"]
    error = np.mean(
        [by_name(run, "error")["parameter-free OWO per point"] / by_name(run, "error")["oracle mean"] for run in runs]
    )
    assert error < 1.05


def test_a_task_of_fifty_points_is_halved():
    trial = parameter_free.draw(SMALL, 0, NOTHING)
    assert trial.training.n == 150 * 25 and trial.test.learned.n == trial.test.predicted.n == 30 * 25
    noise = trial.training.y - trial.training.X @ trial.known.bias
    signal = np.sqrt(16.0 + 1.0)  # of <x, w>: |w|^2 / d, w of mean 4 and spread 1 in every coordinate
    assert np.std(noise) == pytest.approx(np.sqrt(signal**2 + 1.0), rel=0.06)


def test_points_are_shuffled_inside_their_tasks_alone():
    block = owo.Block(np.arange(12.0)[:, None], np.arange(12.0), np.repeat([0, 1, 2], 4))
    mixed = parameter_free.within_shuffled(block, np.random.default_rng(0))
    assert mixed.y.tolist() != block.y.tolist() and (mixed.X[:, 0] == mixed.y).all()
    for before, after in zip(block.tasks(), mixed.tasks(), strict=True):
        assert sorted(after.y) == before.y.tolist()


@needs_data
@pytest.mark.parametrize(("data", "learned"), [("lenk", 16), ("schools", None)])
def test_labels_of_real_tasks_are_as_they_are(data, learned):
    config = replace(SMALL, data=data, strengths=(0.1,), steps=(0.1,))
    trial = parameter_free.draw(config, 0, NOTHING)
    assert trial.training.y.min() >= 0.0 and trial.training.y.max() > 9.0
    assert trial.test.learned.n_tasks == trial.test.predicted.n_tasks == (36 if data == "lenk" else 27)
    if learned:
        assert (np.diff(trial.test.learned.offsets) == 16).all() and (np.diff(trial.test.predicted.offsets) == 4).all()
    found = by_name(parameter_free.run(config, 0, NOTHING), "online")
    assert found["parameter-free OWO per point"] < found["parameter-free OWO per task"] < found["independent"]


def test_data_that_are_absent_are_told(monkeypatch):
    monkeypatch.delenv("OWO_DATA", raising=False)
    with pytest.raises(FileNotFoundError, match=r"data set lenk needs the file lenk\.npz"):
        parameter_free.run(replace(SMALL, data="lenk"), 0, NOTHING)
    with pytest.raises(ValueError, match="data is 'lenc'; it must be one of synthetic, lenk, schools"):
        replace(SMALL, data="lenc")
