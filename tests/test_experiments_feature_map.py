"""The feature-map study, in a small form."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import owo
from experiments.methods import Numbers
from experiments.own import NOTHING
from experiments.studies import feature_map
from experiments.studies.feature_map import Config

SMALL = Config(tasks=250, validation=10, test=100, strengths=(0.02,), steps=(3.0,))


@pytest.fixture(scope="module")
def found():
    return feature_map.run(SMALL, 0, NOTHING)


def by_name(found):
    return dict(zip(found["method"].tolist(), found["error"][:, -1], strict=True))


def test_a_learned_map_goes_from_the_untrained_one_to_the_oracle(found):
    error = by_name(found)
    for name in ("OWO map", "OWO map, entropic", "exact subgradients"):
        assert error["oracle map"] < error[name] < 0.8 * error["M = I / d"]
    assert error["oracle map, batch"] < error["exact subgradients, batch"] < 0.75 * error["M = I / d, batch"]
    assert error["OWO map"] < error["OWO map, last"]  # the last map keeps moving


def test_independent_learning_is_the_untrained_map_at_another_strength(found):
    error = by_name(found)
    assert error["independent"] == pytest.approx(error["M = I / d"], rel=1e-10)
    strengths = dict(zip(found["method"].tolist(), found["numbers"][:, 0], strict=True))
    assert strengths["independent"] == pytest.approx(20.0 * strengths["M = I / d"])


def test_curves_fall_as_tasks_are_seen(found):
    rows = dict(zip(found["method"].tolist(), found["error"], strict=True))
    assert rows["OWO map"][-1] < 0.85 * rows["OWO map"][0] and np.ptp(rows["oracle map"]) == 0.0


def test_the_map_is_the_mean_of_its_path_however_it_was_cut():
    trial = feature_map.draw(replace(SMALL, tasks=30), 1, NOTHING)
    [method] = [each for each in feature_map.methods(SMALL, NOTHING) if each.name == "OWO map"]
    whole, parts = (method.learner(trial.loss, Numbers(0.02, 3.0), trial.known) for _ in range(2))
    whole.run(trial.training)
    middle = int(trial.training.offsets[11])
    parts.run(trial.training.rows(0, middle)), parts.run(trial.training.rows(middle, trial.training.n))
    rule = owo.geometry.FeatureMap(owo.DualAveraging(3.0 / 40), 1.0, owo.geometry.Projected(), owo.geometry.Paper())
    plain = owo.OnlineWithinOnline(owo.Absolute(), owo.GrowingFTRL(0.02), owo.Frozen(), "task", geometry=rule)
    mean = plain.run(trial.training, path_every=1).metric_path.mean(axis=0)
    np.testing.assert_allclose(whole.sum / whole.seen, mean, atol=1e-12)
    np.testing.assert_allclose(parts.sum / parts.seen, mean, atol=1e-12)


def test_tasks_share_their_coordinates_and_labels_to_predict_are_clean():
    halves = feature_map.tasks(SMALL, 20, np.random.default_rng(0))
    for task in halves.predicted.tasks():
        w = np.linalg.lstsq(task.X, task.y, rcond=None)[0]
        assert np.linalg.norm(w) == pytest.approx(1.0) and np.abs(w[4:]).max() < 1e-12
    left = halves.learned.y - [np.linalg.lstsq(t.X, t.y, rcond=None)[0] @ x for t in halves.predicted.tasks()
                               for x in halves.learned.X[halves.learned.task == int(t.key)]]  # fmt: skip
    assert np.std(left) == pytest.approx(0.2, rel=0.1)


def test_more_shared_coordinates_than_there_are_is_refused():
    with pytest.raises(ValueError, match="shared is 21; needed 1 to d = 20 coordinates"):
        replace(SMALL, shared=21)
