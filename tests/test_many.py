"""Many runs at once are the runs one after another."""

import numpy as np
import pytest

import owo
from owo.streams import Synthetic

BLOCK = Synthetic(tasks=30, points=6, d=4, rows=180).block(0)


def job(seed):
    return lambda: (owo.OnlineWithinOnline(owo.Absolute()), BLOCK.shuffled(seed))


def made(seed=0):
    """Importable, for processes."""
    return owo.OnlineWithinOnline(owo.Absolute()), BLOCK.shuffled(seed)


def alone(seed):
    learner, stream = made(seed)
    learner.run(stream)
    return learner


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_threads_change_no_number(threads):
    for seed, learner in enumerate(owo.run_many([job(seed) for seed in range(7)], threads=threads)):
        np.testing.assert_array_equal(learner.ledger.losses, alone(seed).ledger.losses)
        np.testing.assert_array_equal(learner.bias, alone(seed).bias)


def test_pairs_and_all_kinds_of_learners_are_taken():
    learners = [owo.OnlineWithinOnline(owo.Absolute()), owo.Grid(owo.Absolute()), owo.TuningFree(owo.Absolute())]
    found = owo.run_many(((each, BLOCK) for each in learners), threads=2)
    assert found == learners and all(len(each.ledger.keys) == 30 for each in found)
    assert owo.run_many([]) == []


def test_processes_of_joblib_give_the_same_numbers():
    pytest.importorskip("joblib")
    (learner,) = owo.run_many([made], threads=2, backend="loky")
    np.testing.assert_array_equal(learner.ledger.losses, alone(0).ledger.losses)
    np.testing.assert_array_equal(learner.bias, alone(0).bias)


def test_what_goes_wrong_is_told_with_the_job_and_the_others_are_finished():
    others = [owo.OnlineWithinOnline(owo.Absolute()) for _ in range(2)]
    jobs = [(others[0], BLOCK), (owo.OnlineWithinOnline(owo.Hinge()), BLOCK), (others[1], BLOCK)]
    with pytest.raises(ValueError, match="label") as caught:
        owo.run_many(jobs, threads=2)
    assert "job 1 of 3" in caught.value.__notes__[0]
    assert [len(each.ledger) for each in others] == [30, 30]


def test_a_learner_in_two_jobs_is_refused():
    learner = owo.OnlineWithinOnline(owo.Absolute())
    with pytest.raises(ValueError, match="two jobs"):
        owo.run_many([(learner, BLOCK), (learner, BLOCK)])
    assert learner.d is None
    with pytest.raises(ValueError, match="threads"):
        owo.run_many([job(0)], threads=0)


def test_a_learner_that_two_functions_give_is_refused_the_second_time():
    learner = owo.OnlineWithinOnline(owo.Absolute())
    with pytest.raises(ValueError, match="two jobs"):
        owo.run_many([lambda: (learner, BLOCK), lambda: (learner, BLOCK)])
    assert len(learner.ledger) == 30


@pytest.mark.parametrize(
    "job", [owo.OnlineWithinOnline(owo.Absolute()), (owo.OnlineWithinOnline(owo.Absolute()),), lambda: 1]
)
def test_what_is_no_job_is_told(job):
    with pytest.raises(TypeError, match="pair"):
        owo.run_many([job])
    with pytest.raises(TypeError, match="jobs is None"):
        owo.run_many(None)
    with pytest.raises(TypeError, match="the learner is 3"):
        owo.run_many([(3, BLOCK)])
