"""Regret never exceeds its certificate: every loss, every law, hostile data, at every task boundary.

Pairs of a loss and an inner law are tried on ``RUNS`` generated streams each, with an outer law that rotates through
all of them: 22 pairs x 20 streams = 440 runs, each held against four comparators; all 64 with ``make thorough``.
"""

from __future__ import annotations

import numpy as np
import pytest
from games import LOSSES, ORDERS, PAIRS, WITHIN, beside, name, stream
from hypothesis import given, settings
from hypothesis import strategies as st

import owo
from owo import kernels
from owo.hindsight import Comparator

RUNS = 20


def scaled(law, factor):
    """The same law with its step made ``factor`` times larger, where it has one."""
    if isinstance(law, owo.Ball):
        return law._replace(law=scaled(law.law, factor))
    if isinstance(law, owo.GrowingFTRL):
        return law._replace(strength=law.strength / factor)
    if hasattr(law, "step"):
        return law._replace(step=law.step * factor)
    return law


def comparators(rng, loss, block, ledger, scale):
    """The truth, zero, a random far one, and the one that the run's own gradients point to."""
    d, tasks = block.d, list(block.tasks())
    order = {key: t for t, key in enumerate(block.keys)}
    pulls = np.zeros((len(tasks), d))
    points = ledger.points[0]
    for x, p, y, key in zip(block.X, points["prediction"], points["label"], points["task"], strict=True):
        pulls[order[key]] += loss.subgradient(p, y) * x
    far = rng.normal(size=d) * 10.0 / scale
    hostile = -pulls / (np.linalg.norm(pulls, axis=1, keepdims=True) + 1e-300) * rng.exponential(2.0) / scale
    sets = {
        "zero": (np.zeros(d), np.zeros((1, d))),
        "far": (far, far + rng.normal(size=(len(tasks), d)) / scale),
        "hostile": (hostile.mean(axis=0), hostile),
        "hostile around zero": (np.zeros(d), hostile),
    }
    for title, (bias, weights) in sets.items():
        each = np.broadcast_to(weights, (len(tasks), d))
        losses = [
            sum(loss.value(p, y) for p, y in zip((t.X @ w).tolist(), t.y.tolist(), strict=True))
            for t, w in zip(tasks, each, strict=True)
        ]
        yield Comparator(name=title, bias=bias, weights=weights, losses=np.array(losses), keys=block.keys)


@pytest.mark.parametrize(("i", "j"), PAIRS, ids=[f"{name(LOSSES[i])}-{name(WITHIN[j])}" for i, j in PAIRS])
@settings(max_examples=RUNS)
@given(
    seed=st.integers(0, 2**32 - 1),
    d=st.integers(1, 50),
    lengths=st.lists(st.integers(1, 200) | st.integers(1, 5), min_size=1, max_size=6),
    log_scale=st.integers(-6, 6),
    log_step=st.floats(-3, 2),
    order=st.sampled_from(ORDERS),
    update=st.sampled_from(("task", "point")),
    interleave=st.booleans(),
)
def test_regret_stays_below_its_certificate(i, j, seed, d, lengths, log_scale, log_step, order, update, interleave):
    rng = np.random.default_rng(seed)
    loss, scale = LOSSES[i], 10.0**log_scale
    factor = 10.0**log_step / scale**2
    inner, outer = scaled(WITHIN[j], factor), scaled(beside(i, j), factor)
    block = stream(rng, loss, lengths, d, scale, order)
    if interleave:
        block = block.interleaved(rng)
    learner = owo.OnlineWithinOnline(loss, inner, outer, update, bias=rng.normal(size=d) / scale)
    try:
        ledger = learner.run(block, points=True)
    except FloatingPointError:
        assert loss.lipschitz == np.inf  # only a loss with unbounded slopes can run away, and it must say so
        return
    assert len(ledger) == len(lengths) and ledger.rounds.sum() == sum(lengths)
    for comparator in comparators(rng, loss, block, ledger, scale):
        ledger.check(comparator)
        certificate = ledger.certificate(comparator)
        assert np.isfinite(certificate.total).all() or isinstance(inner, owo.Ball) or isinstance(outer, owo.Ball)
        if not interleave:
            assert (certificate.overlap == 0).all()


@pytest.mark.parametrize("loss", [owo.Absolute(), owo.Hinge()], ids=name)
def test_rounding_allowance_is_far_below_the_certificate(loss):
    rng = np.random.default_rng(0)
    block = stream(rng, loss, [50] * 40, 20, 1.0, "random")
    ledger = owo.OnlineWithinOnline(loss, owo.GrowingFTRL(1.0), owo.DualAveraging(0.1), "task").run(block, points=True)
    for comparator in comparators(rng, loss, block, ledger, 1.0):
        assert (ledger.rounding(comparator) < 1e-9 * ledger.certificate(comparator).total).all()


def test_a_broken_run_is_caught():
    """The check can fail: understate the slack that the run wrote down, and it does."""
    x = np.array([[1.0]] * 2)
    ledger = owo.OnlineWithinOnline(owo.Absolute(), owo.DualAveraging(1.0), owo.Frozen(), "task").run(
        [(x, np.array([1.0, -1.0]))] * 3
    )
    comparator = Comparator("zero", np.zeros(1), np.zeros((1, 1)), np.array([2.0] * 3))
    ledger.check(comparator)  # losses 1 + 2 against 1 + 1: regret 1 a task, certificate 1 a task
    assert np.allclose(ledger.regret(comparator), [1, 2, 3])
    assert np.allclose(ledger.certificate(comparator).total, [1, 2, 3])
    ledger.tables["accounts"]._room[:, kernels.SLACK] *= 0.99
    with pytest.raises(owo.CertificateViolation, match="after task 1 of 3"):
        ledger.check(comparator)


def test_the_paper_bound_holds_in_its_tuned_form():
    """Average regret <= L R sqrt(2 V (1 + ln n) / n) + L R |theta'| / sqrt(T), with the paper's lambda and eta."""
    rng = np.random.default_rng(5)
    T, n, d, spread = 400, 20, 8, 0.1
    theta = rng.normal(size=d)
    W = theta + spread * rng.normal(size=(T, d))
    X = rng.normal(size=(T, n, d))
    X /= np.linalg.norm(X, axis=2, keepdims=True)
    y = np.einsum("tnd,td->tn", X, W) + 0.1 * rng.normal(size=(T, n))
    V = 0.5 * np.mean(np.sum((W - theta) ** 2, axis=1))
    strength = np.sqrt((1 + np.log(n)) / (2 * n * V))
    step = np.linalg.norm(theta) / (n * np.sqrt(T))
    ledger = owo.OnlineWithinOnline(owo.Absolute(), owo.GrowingFTRL(strength), owo.DualAveraging(step), "task").run(
        zip(X, y, strict=True)
    )
    losses = np.abs(np.einsum("tnd,td->tn", X, W) - y).sum(axis=1)
    comparator = Comparator("truth", theta, W, losses)
    ledger.check(comparator)
    closed = np.sqrt(2 * V * (1 + np.log(n)) / n) + np.linalg.norm(theta) / np.sqrt(T)
    assert ledger.regret(comparator)[-1] / (T * n) <= ledger.certificate(comparator).total[-1] / (T * n) <= closed


def test_what_the_bias_learned_from_open_tasks_is_accounted_for():
    """By hand: at the end of the first task, the bias has learned from a point of the second one."""
    x, one = np.array([1.0]), owo.DualAveraging(1.0)
    learner = owo.OnlineWithinOnline(owo.Absolute(), owo.Frozen(), one, "point")
    learner.learn_one(x, 5.0, "a")  # predicts 0, slope -1, bias 0 -> 1
    learner.learn_one(x, 5.0, "b")  # predicts 1, slope -1, bias 1 -> 2: earned (-1) (1 - 0)
    learner.end_task("a")
    learner.learn_one(x, 5.0, "b")
    learner.end_task("b")
    assert learner.ledger.overlap.tolist() == [1.0, 0.0] and learner.ledger.pending.tolist() == [1.0, 0.0]
    comparator = Comparator("five", np.array([5.0]), np.array([[5.0]]), np.zeros(2), ("a", "b"))
    # task a lost 5; the certificate of its one point alone would be 25 / 2 + 1 / 2
    assert learner.ledger.regret(comparator)[0] == 5.0
    assert learner.ledger.certificate(comparator).total[0] == 25 / 2 + 2 * (1 / 2) + 1 + 5
    learner.ledger.check(comparator)
