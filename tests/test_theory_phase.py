"""Where a learned bias pays: the measured border beside that of the bounds."""

from __future__ import annotations

import numpy as np
import pytest

from theory import phase
from theory.contestants import ALONE, TASK
from theory.phase import Config
from theory.problem import AssumptionError


@pytest.fixture(scope="module")
def found():
    return phase.run(Config.quick())


def test_away_from_the_frontier_the_measured_gain_has_the_sign_of_the_bounds(found):
    sure = np.abs(found.bound_gain) > 20.0
    assert sure.sum() >= 6 and (np.sign(found.gain) == np.sign(found.bound_gain))[sure].all()
    alike = found.shares == 1.0
    assert np.abs(found.gain[alike]).max() == 0.0  # no bias: the two are the same learner


def test_the_frontier_is_where_the_bounds_are_equal(found):
    for tasks, share in zip(found.tasks.tolist(), found.frontier.tolist(), strict=True):
        if share > 0.0:
            problem = phase.shared(share, int(tasks))
            assert TASK.bound(problem).total == pytest.approx(ALONE.bound(problem).total, rel=1e-9)
    assert (np.diff(found.frontier) > 0.0).all()  # more tasks, and a bias pays at a larger share of variance


def test_the_gain_grows_with_tasks_and_shrinks_with_the_share(found):
    assert (np.diff(found.gain[:-1], axis=1) > 0.0).all()
    assert (np.diff(found.gain[:, -1]) < 0.0).all()


def test_numbers_of_tasks_are_even():
    with pytest.raises(AssumptionError, match="half of the tasks on either side of the bias"):
        Config(tasks=(2, 3))
