"""Many configurations in one pass: the numbers of separate runs, whatever the laws, losses and tasks."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import scipy.sparse
from games import name, stream, tried

import owo
from owo.configurations import Configuration
from owo.grid import Grid

STRENGTHS, STEPS = (0.1, 1.0, 3.0), (0.01, 0.3)
INNER = {
    "FTRL": [owo.GrowingFTRL(s) for s in STRENGTHS],
    "averaging": [owo.DualAveraging(s) for s in STEPS],
    "coins": [owo.CoinBetting(1.0, limit) for limit in (1.0, 0.2)],
    "implicit": [owo.Implicit(s) for s in (0.2, 2.0)],
    "ball": [owo.Ball(owo.AdaptiveNorm(2.0), radius) for radius in (0.3, 1.0)],
    "frozen": [owo.Frozen()],
}
OUTER = {
    "averaging": [owo.DualAveraging(s) for s in STEPS],
    "coins": [owo.CoinBetting(2.0, limit) for limit in (1.0, 0.3)],
    "sqrt": [owo.InverseSqrt(0.5), owo.InverseSqrt(0.1)],
    "frozen": [owo.Frozen()],
}


def tasks(seed=0, lengths=(1, 9, 70, 4, 150, 12, 2, 64, 65), d=5, loss=None):
    """Tasks that fit into a piece, fill it, and are longer than two."""
    return stream(np.random.default_rng(seed), loss or owo.Absolute(), list(lengths), d, 1.0, "random")


def agree(ledger, alone, rtol=1e-12):
    """All that certificates are made of; entries that nearly cancel are held against the largest of their kind."""
    for table in ("accounts", "tallies", "tasks"):
        ours, theirs = ledger.tables[table].filled, alone.tables[table].filled
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=rtol * np.abs(theirs).max(initial=1.0))


METRICS = {
    "number": 0.3,
    "diagonal": [0.5, 2.0, 0.0, 1.0, 0.1],
    "matrix": (lambda A: A @ A.T / 3)(np.random.default_rng(8).normal(size=(5, 3))),
}


@pytest.mark.parametrize(
    ("inner", "outer", "metric"),
    [
        pytest.param(inner, outer, METRICS[metric], id=f"{inner}-{outer}-{metric}")
        for i, metric in enumerate(METRICS)
        for j, (inner, outer) in enumerate((("FTRL", "averaging"), ("coins", "coins"), ("ball", "sqrt")))
        if tried(i, j)
    ],
)
def test_a_grid_in_a_metric_has_the_numbers_of_separate_runs_in_it(inner, outer, metric):
    block = tasks()
    grid = Grid(owo.Absolute(), INNER[inner], OUTER[outer], ["task", "point"], metric=metric)
    ledger = grid.run(block)
    assert not ledger.failed.any()
    own = {"geometry": owo.geometry.Fixed(), "metric": metric, "bias": np.zeros(5)}
    for number, configuration in enumerate(grid.configurations):
        learner = owo.OnlineWithinOnline(owo.Absolute(), *configuration, **own)
        alone = learner.run(block)
        agree(ledger[number], alone, 1e-10)
        comparator = owo.hindsight.given_bias(owo.Absolute(), block, 1.0, np.ones(5))
        np.testing.assert_allclose(
            ledger[number].certificate(comparator).total, alone.certificate(comparator).total, rtol=1e-9
        )
        more = tasks(1, [7, 3])
        ours = grid.learner(number)
        ours.run(more)
        learner.run(more)
        np.testing.assert_allclose(ours.bias, learner.bias, rtol=1e-9, atol=1e-10)


def test_learning_without_tuning_in_a_metric():
    block, configurations = tasks(), [(one, other) for one in INNER["FTRL"] for other in OUTER["averaging"]]
    learner = owo.TuningFree(owo.Absolute(), configurations, metric=METRICS["matrix"])
    learner.run(block)
    theirs = sum(w * learner.grid.learner(c).adapt_each(block) for c, w in enumerate(learner.weights))
    np.testing.assert_allclose(learner.adapt_each(block), theirs, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("metric", [-1.0, np.ones(3), [[1.0, 2.0], [0.0, 1.0]], np.diag([1.0, 1, 1, 1, -1]), "long"])
def test_a_metric_that_is_none_is_refused_and_leaves_no_trace(metric):
    with pytest.raises((TypeError, ValueError), match="metric"):
        grid = Grid(owo.Absolute(), owo.GrowingFTRL(1.0), owo.Frozen(), metric=metric)
        try:
            grid.run(tasks())
        finally:
            assert grid.d is None


GAMES = [
    (owo.Absolute(), "coins", "coins"), (owo.Absolute(), "ball", "sqrt"), (owo.Absolute(), "implicit", "averaging"),
    (owo.EpsilonInsensitive(0.2), "frozen", "coins"), (owo.Huber(0.7), "averaging", "coins"),
    (owo.Pinball(0.3), "FTRL", "averaging"), (owo.Squared(), "FTRL", "averaging"), (owo.Hinge(), "FTRL", "frozen"),
    (owo.SquaredHinge(), "FTRL", "averaging"), (owo.Logistic(), "FTRL", "frozen"),
]  # fmt: skip
"""Every loss, every inner law and every outer one. Each is a kernel that takes long to compile; all but three of them
other tests need, too."""


@pytest.mark.parametrize(
    ("loss", "inner", "outer"), GAMES, ids=[f"{name(loss)}-{one}-{two}" for loss, one, two in GAMES]
)
def test_a_grid_has_the_numbers_of_separate_runs(loss, inner, outer):
    block = tasks(loss=loss)
    grid = Grid(loss, INNER[inner], OUTER[outer], ["task", "point"])
    ledger = grid.run(block, points=True)
    rtol = 1e-7 if inner == "implicit" else 1e-12  # its slopes are differences over step |x|^2, point after point
    for number, (one, other, update) in enumerate(grid.configurations):
        learner = owo.OnlineWithinOnline(loss, one, other, update)
        alone = learner.run(block, points=True)
        agree(ledger[number], alone, rtol)
        for kept in ("loss", "prediction"):
            theirs = alone.points[0][kept]
            np.testing.assert_allclose(ledger.points[0][kept][:, number], theirs, rtol=rtol, atol=rtol)
        np.testing.assert_allclose(grid.learner(number).bias, learner.bias, rtol=rtol, atol=rtol)


def test_many_lanes_many_blocks_and_threads_give_the_same_bits():
    block = tasks(2, [7] * 40, 6)
    laws = [owo.GrowingFTRL(s) for s in np.geomspace(0.05, 5.0, 30)], [owo.DualAveraging(s) for s in (0.01, 0.1, 1.0)]
    one, two, pieces = (Grid(owo.Absolute(), *laws, ["task", "point"]) for _ in range(3))
    one.run(block)
    two.run(block, threads=2)
    for start in range(0, 40, 8):
        pieces.run(block.rows(7 * start, 7 * (start + 8)))
    assert len(one) == 180
    for other in (two, pieces):
        assert np.array_equal(one.ledger.losses, other.ledger.losses)
        for number in (0, 63, 64, 89, 179):
            assert np.array_equal(one.learner(number).bias, other.learner(number).bias)
            for table in ("accounts", "tallies"):
                ours, theirs = one.ledger[number].tables[table].filled, other.ledger[number].tables[table].filled
                assert np.array_equal(ours, theirs)
    for number in (0, 63, 64, 89, 179):
        agree(one.ledger[number], owo.OnlineWithinOnline(owo.Absolute(), *one.configurations[number]).run(block))


def test_a_learner_taken_from_a_grid_goes_on_as_if_it_had_run_alone():
    block, more = tasks(3, [6] * 20, 4), tasks(4, [5] * 10, 4)
    grid = Grid(
        owo.Absolute(), [owo.DualAveraging(0.3), owo.GrowingFTRL(0.7)], OUTER["averaging"][0], ["point", "task"]
    )
    grid.run(block)
    for number, configuration in enumerate(grid.configurations):
        alone = owo.OnlineWithinOnline(owo.Absolute(), *configuration)
        alone.run(block)
        taken = grid.learner(number)
        renamed = owo.Block(more.X, more.y, more.task, keys=tuple(f"more {key}" for key in more.keys))
        agree(taken.run(renamed), alone.run(renamed), rtol=1e-11)
        np.testing.assert_allclose(taken.adapt(more.X[:3], more.y[:3]), alone.adapt(more.X[:3], more.y[:3]), rtol=1e-11)


def test_every_configuration_is_certified():
    block = tasks(5, [12] * 60, 5)
    grid = Grid(owo.Absolute(), INNER["FTRL"], OUTER["averaging"], ["task", "point"])
    ledger, best = grid.run(block), owo.hindsight.best_bias(owo.Absolute(), block, 1.0)
    regret, certificate = ledger.regret(best), ledger.certificate(best)
    assert regret.shape == (60, len(grid)) == certificate.shape
    assert (regret <= certificate + 1e-9 * np.abs(certificate)).all()
    for number in range(len(grid)):
        ledger[number].check(best)
    np.testing.assert_allclose(ledger.average_loss()[-1], ledger.losses.sum(axis=0) / block.n)
    assert ledger.best == int(np.argmin(ledger.losses.sum(axis=0)))


def test_a_configuration_that_overflows_is_lost_alone():
    block = owo.Block(np.full((40, 1), 1e100), np.ones(40), np.repeat(np.arange(4), 10))
    grid = Grid(owo.Squared(), [owo.DualAveraging(1e200), owo.DualAveraging(1e-210)], owo.Frozen())
    ledger = grid.run(block)
    assert ledger.failed.tolist() == [True, False] and np.isinf(ledger.losses[:, 0]).all() and ledger.best == 1
    agree(ledger[1], owo.OnlineWithinOnline(owo.Squared(), owo.DualAveraging(1e-210), owo.Frozen()).run(block))
    with pytest.raises(FloatingPointError, match="configuration 0 overflowed"):
        ledger[0]
    with pytest.raises(FloatingPointError, match="take smaller steps"):
        grid.learner(0)
    nothing = owo.hindsight.Comparator("0", np.zeros(1), np.zeros((1, 1)), np.full(4, 5.0))
    for of in ("regret", "certificate"):
        found = getattr(ledger, of)(nothing)
        assert np.isinf(found[:, 0]).all() and np.isfinite(found[:, 1]).all()
    for number in (2, -3, "best", slice(0, 1)):
        with pytest.raises(IndexError, match="there are 2"):
            ledger[number]


def test_losses_alone_take_less_and_have_no_ledgers():
    block = tasks(6, [6] * 20, 4)
    clipping = [(owo.CoinBetting(1.0, limit), owo.DualAveraging(0.1), "task") for limit in (0.1, 3.0)]
    lost = (owo.GrowingFTRL(3e-309), owo.DualAveraging(1.0), "point")
    usual = [*itertools.product(INNER["FTRL"], OUTER["averaging"], ["point"]), lost, *clipping]
    full, lean = (Grid.of(owo.Absolute(), usual, certificates=kept) for kept in (True, False))
    for each in (full, lean):
        each.run(block, points=True)
    assert full.ledger.failed.tolist() == lean.ledger.failed.tolist() == [each == lost for each in usual]
    assert np.array_equal(full.ledger.losses, lean.ledger.losses) and np.isinf(lean.ledger.losses[:, -3]).all()
    assert np.array_equal(full.ledger.points[0]["prediction"], lean.ledger.points[0]["prediction"], equal_nan=True)
    assert np.array_equal(full.biases, lean.biases, equal_nan=True)
    with pytest.raises(ValueError, match="keeps losses only"):
        lean.ledger[0]


def test_configurations_of_ones_own_come_in_their_order():
    block = tasks(7, [5] * 10, 3)
    pairs = [(owo.CoinBetting(), owo.CoinBetting()), (owo.GrowingFTRL(1.0), owo.DualAveraging(0.1), "task"),
             (owo.CoinBetting(2.0), owo.CoinBetting())]  # fmt: skip
    grid = Grid.of(owo.Absolute(), pairs, bias=[1.0, 0.0, -1.0])
    assert grid.configurations[1] == Configuration(owo.GrowingFTRL(1.0), owo.DualAveraging(0.1), "task")
    ledger = grid.run(block)
    for number, configuration in enumerate(grid.configurations):
        alone = owo.OnlineWithinOnline(owo.Absolute(), *configuration, bias=[1.0, 0.0, -1.0]).run(block)
        agree(ledger[number], alone)
    assert ledger.keys == alone.keys and np.array_equal(ledger.rounds, alone.rounds)
    assert ledger[-1].description == ledger[2].description and len(ledger) == 3
    with pytest.raises(IndexError):
        ledger[3]


def test_bad_input_is_told_and_leaves_no_trace():
    block = tasks(8, [5] * 6, 3)
    grid = Grid(owo.Absolute(), INNER["FTRL"], owo.Frozen())
    with pytest.raises(ValueError, match="the ledger has no dimension before any data"):
        _ = grid.ledger
    before = grid.run(block).losses.copy()
    mixed = np.random.default_rng(0).permutation(block.n)
    for wrong, said in (
        (owo.Block(block.X[mixed], block.y[mixed], block.task[mixed]), "tasks are mixed"),
        (owo.Block(block.X[:2], block.y[:2], [0, 0], [False, False]), "goes on after its block; a grid needs"),
        (owo.Block(np.ones((2, 4)), [0.0, 1.0], [0, 0]), "points have 4 features; this grid has 3"),
        ([], "the stream is empty"),
    ):
        with pytest.raises(ValueError, match=said):
            grid.run(wrong)
    with pytest.raises(TypeError, match="X is sparse"):
        grid.run(owo.streams.from_arrays(scipy.sparse.csr_array(block.X), block.y, block.task))
    with pytest.raises(ValueError, match="threads is 0"):
        grid.run(block, threads=0)
    assert np.array_equal(grid.ledger.losses, before)
    with pytest.raises(ValueError, match="Hinge does not take the label"):
        Grid(owo.Hinge(), owo.CoinBetting()).run(block)
    with pytest.raises(ValueError, match="there is no configuration"):
        Grid(owo.Absolute(), [], owo.Frozen())
    with pytest.raises(TypeError, match="a loss of 3 scores"):
        Grid(owo.Softmax(3))
    with pytest.raises(TypeError, match="works inside tasks only"):
        Grid(owo.Absolute(), owo.CoinBetting(), owo.Implicit(1.0))
    with pytest.raises(ValueError, match="update is 'never'"):
        Grid(owo.Absolute(), update="never")
