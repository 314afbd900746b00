"""Intervals: what they are, that their coverage is bounded for any labels, and what it is on real streams."""

import math

import numpy as np
import pytest

import owo
from owo.intervals import Intervals
from owo.streams import Encoding, Synthetic, datasets


class Zero:
    """A learner that predicts 0, so that scores are labels."""

    def predict_one(self, x, task=None):
        return 0.0

    def learn_one(self, x, y, task):
        return 0.0


def fed(scores, coverage, rate):
    """Intervals after labels of these sizes, and which of them were missed."""
    intervals, missed = Intervals(Zero(), coverage, rate), []
    for score in scores:
        made = intervals.learn_one([0.0], score, "task")
        missed.append(not made.low <= score <= made.high)
    return intervals, missed


@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.9, 0.95])
@pytest.mark.parametrize("rate", [0.01, 0.1, 1.0])
def test_coverage_keeps_its_bound_on_any_labels(coverage, rate):
    for seed in range(40):
        rng = np.random.default_rng(seed)
        scores = np.abs(rng.normal(size=rng.integers(2, 600))) * 10.0 ** rng.uniform(-6, 6)
        if seed % 4 == 1:
            scores *= np.exp(rng.normal(size=len(scores)).cumsum() * 0.3)  # a scale that wanders
        if seed % 4 == 2:
            scores = np.sort(scores)[:: -1 if seed % 8 == 2 else 1]
        if seed % 4 == 3:
            scores[: len(scores) // 2] = 0.0
        intervals, missed = fed(scores.tolist(), coverage, rate)
        found = intervals.coverage_so_far()
        first = int(np.flatnonzero(scores > 0.0)[0])
        assert not any(missed[: first + 1]) and found.points == len(scores) - first - 1
        if found.points:
            assert found.inside == pytest.approx(1.0 - np.mean(missed[first + 1 :]))
            assert abs(found.inside - coverage) <= found.bound * (1.0 + 1e-9)


def test_an_adversary_who_always_lands_just_outside_cannot_break_it():
    intervals, inside = Intervals(Zero(), 0.9, 0.05), []
    for _ in range(5000):
        score = min(max(intervals.reach, 0.0) * 1.0001 + 1e-9, 1.0) if np.isfinite(intervals.reach) else 1.0
        made = intervals.learn_one([0.0], score, "task")
        inside.append(score <= made.high)
    found = intervals.coverage_so_far()
    assert abs(np.mean(inside[1:]) - 0.9) <= found.bound < 0.02


def test_steps_are_those_of_the_definition():
    intervals = Intervals(Zero(), 0.75, 0.1)
    reaches = []
    for score in (0.0, 2.0, 1.0, 3.0, 2.2):
        reaches.append(intervals.reach)
        intervals.learn_one([0.0], score, "task")
    # scale 2 from the second label on: steps .2; 1 is inside, 3 is not and raises the step to .3; 2.2 is not
    assert reaches == [np.inf, np.inf, 2.0, pytest.approx(1.95), pytest.approx(2.1)]
    assert intervals.reach == pytest.approx(2.1 + 0.3 * 0.75)


@pytest.mark.parametrize("coverage", [0.8, 0.9, 0.95])
@pytest.mark.parametrize("name", ["wagepan", "airfare", "countymurders"])
def test_coverage_on_the_shipped_sets(name, coverage):
    block = datasets.load(name).block().shuffled(0)
    block = Encoding.fit(block.X, block.y, block.task).block(block)
    intervals = Intervals(owo.OnlineWithinOnline(owo.Absolute()), coverage)
    low, high = intervals.run(block)
    found = intervals.coverage_so_far()
    assert found.inside == pytest.approx(coverage, abs=0.006) and found.width < 3.0
    assert np.mean((low <= block.y) & (block.y <= high)) == pytest.approx(found.inside, abs=1e-3)


def test_a_run_is_its_points_one_by_one():
    block = Synthetic(tasks=20, points=8, d=3, rows=160).block(0).interleaved(1)
    one, other = (Intervals(owo.OnlineWithinOnline(owo.Absolute()), 0.8) for _ in range(2))
    low, high = one.run([block.rows(0, 70), block.rows(70, 160)])
    keys = [block.keys[code] for code in block.task]
    for r in range(block.n):
        made = other.learn_one(block.X[r], float(block.y[r]), keys[r])
        assert (made.low, made.high) == (low[r], high[r])
        if block.ends[r]:
            other.learner.end_task(keys[r])
    assert one.coverage_so_far() == other.coverage_so_far() and one.learner.ledger.points == []
    made = one.predict_one(block.X[0])
    assert made.low < made.prediction < made.high


def test_what_was_learned_before_an_error_counts():
    block = Synthetic(tasks=20, points=8, d=3, rows=160).block(0)
    intervals = Intervals(owo.OnlineWithinOnline(owo.Absolute()))
    with pytest.raises(ValueError, match="features"):
        intervals.run([block, owo.Block([[1.0]], [1.0], [0], keys=["narrow"])])
    assert intervals.coverage_so_far().points == 159
    free = Intervals(owo.TuningFree(owo.Absolute()))
    low, _ = free.run(block)
    assert len(low) == 160 and free.coverage_so_far().points == 159


def test_before_any_data_nothing_is_claimed():
    intervals = Intervals(owo.OnlineWithinOnline(owo.Absolute()))
    assert intervals.coverage_so_far().points == 0 and intervals.coverage_so_far().bound == np.inf
    assert intervals.predict_one([1.0, 2.0]) == (-np.inf, 0.0, np.inf)


@pytest.mark.parametrize(
    ("options", "words"), [({"coverage": 1.0}, "coverage"), ({"coverage": 0.0}, "coverage"), ({"rate": 0.0}, "rate")]
)
def test_bad_settings_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        Intervals(Zero(), **options)


def test_intervals_are_saved_with_their_learner(tmp_path):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(300, 3)), rng.normal(size=300)
    one = owo.Intervals(owo.OnlineWithinOnline(owo.Absolute()), coverage=0.8, rate=0.05)
    one.save(tmp_path / "before.owo")
    assert owo.Intervals.load(tmp_path / "before.owo").reach == math.inf
    for x, label in zip(X[:200], y[:200].tolist(), strict=True):
        one.learn_one(x, label, "a")
    one.save(tmp_path / "intervals.owo")
    other = owo.Intervals.load(tmp_path / "intervals.owo")
    for x, label in zip(X[200:], y[200:].tolist(), strict=True):
        assert one.learn_one(x, label, "a") == other.learn_one(x, label, "a")
    assert one.coverage_so_far() == other.coverage_so_far() and other.coverage == 0.8
    with pytest.raises(
        ValueError, match=r"intervals\.owo is not a learner that this version of owo reads: it holds 'Interv"
    ):
        owo.OnlineWithinOnline.load(tmp_path / "intervals.owo")
    with pytest.raises(TypeError, match="the learner is a TuningFree; only an OnlineWithinOnline can be saved"):
        owo.Intervals(owo.TuningFree(owo.Absolute())).save(tmp_path / "x")
