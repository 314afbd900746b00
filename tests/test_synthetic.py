"""Synthetic streams: chunks, moments, walks, labels."""

import math
import tracemalloc

import numpy as np
import pytest
from blocks import SIGNATURE, same, signature

from owo.streams import Synthetic

VARIETIES = [
    Synthetic(tasks=25, points=3, d=2, rows=12),
    Synthetic(tasks=25, points=3, d=2, rows=12, drift=0.5, seed=7),
    Synthetic(tasks=25, points=3, d=2, rows=12, clusters=3, separation=2.0, geometric=True),
    Synthetic(tasks=25, points=3, d=2, rows=12, tail=1.5, unit=False, mean=(1.0, -1.0), spread=(0.0, 2.0)),
    Synthetic(tasks=25, points=3, d=2, rows=12, kind="classification", drift=0.1),
    Synthetic(tasks=2, points=50, d=1, rows=1),
]


@pytest.mark.parametrize("stream", VARIETIES)
def test_each_chunk_alone_equals_the_stream(stream: Synthetic) -> None:
    streamed = list(stream)
    assert len(streamed) == stream.chunks and stream.chunks > 1
    assert all(same(block, stream.block(chunk)) for chunk, block in reversed(list(enumerate(streamed))))
    assert all(same(a, b) for a, b in zip(streamed, stream, strict=True))
    assert [key for block in streamed for key in block.keys] == list(range(stream.tasks))
    assert all(signature(block) == SIGNATURE for block in streamed)
    assert not same(streamed[0], next(iter(Synthetic(**{**vars(stream), "seed": 99}))))


@pytest.mark.parametrize("stream", VARIETIES)
def test_full_chunks_do_not_depend_on_the_number_of_tasks(stream: Synthetic) -> None:
    longer = Synthetic(**{**vars(stream), "tasks": 2 * stream.tasks})
    assert same(stream.block(0), longer.block(0))


@pytest.mark.parametrize("unit", [True, False])
@pytest.mark.parametrize("drift", [0.0, 0.3])
def test_labels_are_those_of_the_true_weights(unit: bool, drift: float) -> None:
    stream = Synthetic(tasks=40, points=5, d=3, rows=50, noise=0.0, unit=unit, drift=drift, clusters=2, separation=1.0)
    for chunk, block in enumerate(stream):
        weights = stream.truth(chunk).weights[block.task]
        assert np.allclose(block.y, np.sum(block.X * weights, axis=1), rtol=0, atol=1e-13)  # rounding of three terms
        if unit:
            assert np.allclose(np.linalg.norm(block.X, axis=1), 1.0, rtol=0, atol=1e-15)  # four roundings


def test_moments_are_those_asked_for() -> None:
    stream = Synthetic(
        tasks=20_000, points=2, d=3, mean=(4.0, 0.0, -1.0), spread=(1.0, 2.0, 0.5), noise=0.7, rows=10**6
    )
    [block], truth = list(stream), stream.truth(0)
    noise = block.y - np.sum(block.X * truth.weights[block.task], axis=1)
    # five standard errors of a mean, and of a standard deviation, of 20,000 or 40,000 draws
    assert np.all(np.abs(truth.weights.mean(axis=0) - stream.mean) < 5 * np.array(stream.spread) / 141)
    assert np.all(np.abs(truth.weights.std(axis=0) / stream.spread - 1.0) < 5 / 200)
    assert abs(noise.std() / 0.7 - 1.0) < 5 / 283
    assert abs((block.y - noise).std() / stream.signal - 1.0) < 5 / 200  # of 20,000: two points share their weights


def test_the_walk_of_the_mean_has_independent_steps_also_across_chunks() -> None:
    stream = Synthetic(tasks=4000, points=1, d=20, drift=0.5, rows=8, mean=0.0)
    walk = np.concatenate([stream.truth(chunk).means for chunk in range(20)])
    assert np.all(walk[0] == 0.0)
    steps = np.diff(walk, axis=0)  # 159 of 20 numbers each
    assert abs(steps.std() / 0.5 - 1.0) < 5 / math.sqrt(2 * steps.size)
    for lag in (1, 2, 8):
        assert abs(np.mean(steps[lag:] * steps[:-lag]) / 0.25) < 5 / math.sqrt(steps[lag:].size)
    between = steps[7::8]
    assert abs(between.std() / 0.5 - 1.0) < 5 / math.sqrt(2 * between.size)


def test_clusters_and_lengths() -> None:
    stream = Synthetic(tasks=3000, points=6, d=2, clusters=3, separation=5.0, spread=0.0, geometric=True, rows=10**6)
    block, truth = stream.block(0), stream.truth(0)
    assert len(np.unique(truth.weights, axis=0)) == len(np.unique(truth.clusters)) == 3
    # five standard deviations of a count, and of a mean of 3000 lengths whose variance is 6 (6 - 1)
    assert np.all(np.abs(np.bincount(truth.clusters) - 1000) < 5 * math.sqrt(1000))
    assert block.lengths.min() == 1 and abs(block.lengths.mean() - 6.0) < 5 * math.sqrt(30 / 3000)


def test_heavy_tails() -> None:
    errors = {}
    for tail in (math.inf, 2.0):
        stream = Synthetic(tasks=2000, points=10, d=1, tail=tail)
        block = stream.block(0)
        errors[tail] = np.abs(block.y - block.X[:, 0] * stream.truth(0).weights[block.task, 0])
    # of 20,000 normal errors one beyond 6 has probability 4e-5; of those with tail 2, 50 are expected beyond 20
    assert errors[math.inf].max() < 6 < 20 < errors[2.0].max()
    assert errors[2.0].mean() < 2.5 * errors[math.inf].mean()  # the means are 1.41 and 0.80: the tail, not the scale


def test_classification_has_clear_points_and_labels_of_a_logistic() -> None:
    stream = Synthetic(tasks=4000, points=10, d=5, kind="classification", mean=1.0, rows=10**6)
    block = stream.block(0)
    signal = np.sum(block.X * stream.truth(0).weights[block.task], axis=1)
    assert np.all(np.abs(signal) >= 0.5 - 1e-12) and set(block.y.tolist()) == {-1.0, 1.0}  # rounding of the sum
    likely = 1.0 / (1.0 + np.exp(-signal))
    assert abs(np.mean((block.y > 0) - likely)) < 5 * 0.5 / math.sqrt(block.n)
    clean = Synthetic(**{**vars(stream), "noise": 0.0}).block(0)
    assert np.array_equal(clean.y, np.sign(np.sum(clean.X * stream.truth(0).weights[clean.task], axis=1)))


def test_a_margin_out_of_reach_ends_with_a_reason() -> None:
    with pytest.raises(ValueError, match=r"margin=9\.0.*rows never got this far.*needed a smaller margin"):
        Synthetic(tasks=2, points=2, d=2, kind="classification", margin=9.0).block(0)


def test_a_long_stream_needs_the_memory_of_a_chunk() -> None:
    tracemalloc.start()
    tasks = sum(block.n_tasks for block in Synthetic(tasks=60_000, points=5, d=4, drift=0.01, rows=5000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert tasks == 60_000
    assert peak < 8 * 5000 * 4 * 10  # ten arrays of a chunk's rows; the stream's rows are 60 times a chunk's


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("tasks", 0), ("tasks", 2.0), ("points", -1), ("d", 0), ("rows", 0), ("clusters", 0), ("seed", -1),
        ("seed", 2**32), ("noise", -1.0), ("noise", math.nan), ("drift", math.inf), ("separation", -0.1),
        ("margin", -1.0), ("tail", 0.5), ("kind", "ranking"), ("spread", -1.0), ("mean", (1.0, 2.0)),
        ("mean", math.nan),
    ],
)  # fmt: skip
def test_bad_parameters_are_refused(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=rf"Synthetic\({field}=.*: {field} must be"):
        Synthetic(**{field: value})


def test_chunks_out_of_range_and_tails_of_labels() -> None:
    with pytest.raises(ValueError, match=r"chunk 1 of 1; needed 0 \.\. 0"):
        Synthetic(tasks=3).block(1)
    with pytest.raises(ValueError, match="tail must be inf for classification"):
        Synthetic(kind="classification", tail=3.0)
