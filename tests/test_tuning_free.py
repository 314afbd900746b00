"""The aggregation of a grid: its numbers, its bound on any losses, and what it loses beside the best configuration."""

import math
from typing import NamedTuple

import numba
import numpy as np
import pytest

import owo
from owo import aggregate, hindsight
from owo.aggregate import Mixed, Mixture
from owo.growing import Growing
from owo.streams import Encoding, Synthetic, datasets
from owo.tuning_free import configurations_for
from owo.tuning_free_ledger import TuningFreeLedger


def mixed_plainly(losses, predictions, share):
    """AdaHedge as its definition says, with eta renewed when it is 1/32 too large; predictions and bounds."""
    n, K = losses.shape
    w, gaps, eta, dealt = np.full(K, 1.0 / K), 0.0, math.inf, 0.0
    L, found, bounds = np.zeros(K), [], []
    for row in range(n):
        found.append(w @ predictions[row])
        h, least = w @ losses[row], losses[row].min()
        L += losses[row]
        mix = least if eta == math.inf else least - math.log(w @ np.exp(-eta * (losses[row] - least))) / eta
        gaps += max(h - mix, 0.0)
        renewed = math.log(K) / gaps if gaps > 0.0 else math.inf
        last, eta = eta, renewed if renewed < eta * (1 - 1 / 32) else eta
        if eta == math.inf:
            bounds.append(0.0)
            continue
        if share == 0.0:
            far = eta * L
        else:  # to the power of eta / last, by logarithms: weights may be below the smallest number in between
            far = eta * (losses[row] - (np.log(w) / last if last < math.inf else 0.0))
        w = np.exp(far.min() - far)
        w = (1.0 - share) * w / w.sum() + share / K
        dealt -= math.log1p(-share) / eta
        bounds.append(gaps + math.log(K) / eta + dealt)
    return np.array(found), np.array(bounds)


def mixed(losses, predictions, y, share=0.0, lost_at=None, loss=owo.Absolute(), within=aggregate.ANYTHING):
    """The same by the compiled code, a task a point; its ``Mixed`` and ``Mixture``."""
    n, K = losses.shape
    state = Mixture.begun(K)
    noted = Mixed(*np.empty((2, n)), np.empty((n, 4)), np.empty((n, K)))
    losses, predictions = losses.copy(), predictions.copy()
    for c, row in enumerate(() if lost_at is None else lost_at):
        losses[row:, c], predictions[row:, c] = math.inf, math.nan
    done = aggregate.mix(loss, share, within, losses, predictions, y, np.arange(n + 1), state, noted)
    return done, noted, state


def games(count):
    """Losses of experts at which aggregations go wrong: jumps in scale, late leaders, ties, experts far off."""
    for seed in range(count):
        rng = np.random.default_rng(seed)
        n, K = int(rng.integers(2, 400)), int(rng.integers(1, 20))
        y = rng.normal(size=n) * 10.0 ** rng.integers(-6, 7)
        predictions = rng.normal(size=(n, K)) * 10.0 ** rng.integers(-6, 7, size=K)
        if seed % 3 == 0:
            predictions[: n // 2, 0] += 1e6  # the best later on
            predictions[n // 2 :, 0] = y[n // 2 :]
        if seed % 3 == 1:
            predictions *= 10.0 ** rng.uniform(-8, 8, size=(n, 1))
        if seed % 4 == 0:
            predictions[:, -1] = predictions[:, 0]
        yield np.abs(predictions - y[:, None]), predictions, y


def test_the_exponential_is_right_to_two_units_in_the_last_place():
    exp_minus = numba.vectorize(lambda x: aggregate.exp_minus(x))
    x = np.concatenate([[0.0, 1e-300], np.geomspace(1e-12, 699.0, 2000)])
    np.testing.assert_allclose(exp_minus(x), [math.exp(-each) for each in x], rtol=2 * np.finfo(float).eps)
    assert exp_minus(701.0) == exp_minus(math.inf) == 0.0


@pytest.mark.parametrize("share", [0.0, 0.01])
def test_predictions_are_those_of_the_definition(share):
    rng = np.random.default_rng(3)
    y, predictions = rng.normal(size=300), rng.normal(size=(300, 7)) + np.arange(7) / 10
    losses = np.abs(predictions - y[:, None])
    _, noted, _ = mixed(losses, predictions, y, share)
    found, bounds = mixed_plainly(losses, predictions, share)
    np.testing.assert_allclose(noted.predictions, found, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(noted.tasks[:, 1] + noted.tasks[:, 2], bounds, rtol=1e-9)


@pytest.mark.parametrize("share", [0.0, 1e-3, 0.3])
def test_the_mixture_keeps_its_bound_on_any_losses(share):
    for losses, predictions, y in games(300):
        done, noted, _ = mixed(losses, predictions, y, share)
        assert done == len(y)
        ours, best = np.cumsum(noted.tasks[:, 0]), np.cumsum(losses, axis=0)
        bound = best.min(axis=1) + noted.tasks[:, 1] + noted.tasks[:, 2]
        rounding = 1e-13 * len(y) * np.cumsum(losses.max(axis=1))
        assert np.all(ours <= bound + rounding)
        np.testing.assert_allclose(noted.tasks[:, 3], best.min(axis=1), atol=rounding[-1] + 1e-300)


@pytest.mark.parametrize("share", [0.0, 0.01])
def test_weights_sum_to_one_whatever_the_losses(share):
    for losses, predictions, y in games(100):
        _, noted, state = mixed(losses, predictions, y, share)
        np.testing.assert_allclose(noted.weights.sum(axis=1), 1.0, rtol=1e-12)
        np.testing.assert_allclose(state.carried.sum(), len(y), rtol=1e-9)


def test_a_leader_whose_weight_had_vanished_comes_back():
    y, predictions = np.zeros(4000), np.zeros((4000, 2))
    predictions[:1000, 1], predictions[1000:, 0] = 1.0, 2000.0
    _, noted, _ = mixed(np.abs(predictions), predictions, y)
    assert noted.weights[999, 1] < 1e-300 and noted.weights[-1, 1] > 0.999


def test_lost_experts_have_no_weight_and_the_others_share_all():
    rng = np.random.default_rng(0)
    y, predictions = rng.normal(size=50), rng.normal(size=(50, 4))
    losses = np.abs(predictions - y[:, None])
    for share in (0.0, 0.1):
        _, noted, state = mixed(losses, predictions, y, share, np.array([50, 20, 50, 0]))
        assert not noted.weights[20:, 1].any() and not noted.weights[:, 3].any() and noted.weights[19, 1] > 0.0
        assert state.normalised().sum() == pytest.approx(1.0)
        done, _, _ = mixed(losses, predictions, y, share, np.array([10, 20, 5, 0]))
        assert done == 20


# ------------------------------------------------------------------------------------------------- the learner

SOME = [
    (owo.GrowingFTRL(s), owo.DualAveraging(e), u) for s in (0.1, 1.0) for e in (0.01, 0.3) for u in ("point", "task")
]


def stream(seed=0, tasks=60, points=8, d=5, spread=0.5):
    return Synthetic(tasks=tasks, points=points, d=d, mean=2.0, spread=spread, seed=seed, rows=tasks * points).block(0)


def signs(block):
    return owo.Block(block.X, np.where(block.y > np.median(block.y), 1.0, -1.0), block.task, keys=block.keys)


@pytest.mark.parametrize("share", [0.0, 1e-3])
@pytest.mark.parametrize(
    "loss",
    [owo.Absolute(), owo.Squared(), owo.Hinge(), owo.Logistic(), owo.SquaredHinge()],
    ids=lambda each: type(each).__name__,
)
def test_regret_stays_below_its_certificate(loss, share):
    for seed in range(4):
        block = stream(seed)
        block = signs(block) if not loss.accepts(0.5) else block
        learner = owo.TuningFree(loss, SOME if seed % 2 else None, share=share)
        learner.run(block)
        ledger = learner.ledger
        for comparator in (hindsight.best_bias(loss, block, 0.3), hindsight.pooled(loss, block, 1e-3)):
            ledger.check(comparator)
            certificate = ledger.certificate(comparator)
            assert np.isfinite(certificate.total).all()
            chosen = [ledger.configurations[int(c)] for c in certificate.configuration[[0, -1]]]
            for t, theirs in zip((0, -1), chosen, strict=True):
                mixing = ledger.cumulative_loss()[t] - theirs.cumulative_loss()[t]
                assert certificate.total[t] == pytest.approx(theirs.certificate(comparator).total[t] + mixing)


def test_a_broken_certificate_is_told():
    block = stream()
    learner = owo.TuningFree(owo.Absolute(), SOME)
    learner.run(block)
    comparator = hindsight.best_bias(owo.Absolute(), block, 0.3)
    learner.ledger.check(comparator)
    learner.ledger._tasks.filled.base[: len(learner.ledger), 0] += 1e6  # a mixture that lost more than it may
    with pytest.raises(owo.CertificateViolation, match="beyond the best configuration"):
        learner.ledger.check(comparator)


@pytest.mark.parametrize("name", ["wagepan", "airfare", "countymurders", "gapminder", "schools", "lenk"])
def test_real_streams_lose_no_more_than_the_best_of_144_and_a_hundredth(name):
    try:
        block = datasets.load(name).block()
    except FileNotFoundError as error:
        pytest.skip(str(error))
    for loss in (owo.Absolute(), owo.Squared()):
        compare(loss, Encoding.fit(block.X, block.y, block.task).block(block))


@pytest.mark.parametrize(
    "mean, spread, d, points", [(4, 0.3, 30, 10), (4, 1, 30, 10), (4, 3, 30, 10), (0, 1, 30, 10), (2, 0.5, 10, 40)]
)
def test_synthetic_streams_too_also_where_tasks_have_nothing_in_common(mean, spread, d, points):
    block = Synthetic(tasks=300, points=points, d=d, mean=float(mean), spread=spread, rows=300 * points).block(0)
    compare(owo.Absolute(), block)


@pytest.mark.parametrize("mean, spread", [(4, 0.3), (0, 1)])
def test_losses_whose_slopes_have_no_bound_too(mean, spread):
    block = Synthetic(tasks=300, points=10, d=10, mean=float(mean), spread=spread, rows=3000).block(0)
    compare(owo.Squared(), block)


def compare(loss, block):
    """Mean loss within 1 % of the best of 12 x 12 configurations, and of the best independent learner."""
    block = block.shuffled(0)
    strengths, steps = np.geomspace(0.03, 30.0, 12), np.geomspace(1e-3, 3.0, 12)
    inner, outer = [owo.GrowingFTRL(each) for each in strengths], [owo.DualAveraging(each) for each in steps]
    losses = owo.Grid(loss, inner, [*outer, owo.Frozen()], certificates=False).run(block).losses.sum(axis=0)
    together, alone = losses.reshape(12, 13)[:, :12].min(), losses.reshape(12, 13)[:, 12].min()
    ours = owo.TuningFree(loss, certificates=False).run(block).losses.sum()
    assert ours <= 1.01 * together and ours <= 1.01 * alone


def test_an_expert_that_strayed_once_is_forgiven_to_the_last_bit():
    """Numbers next to 0 take a processor long, and multiplied by less than 1 the least of them stay."""
    n = 9000
    y = np.tile([0.0, 1.0], n // 2)
    predictions = np.full((n, 3), 0.5)
    predictions[10, 1] = predictions[5:, 2] = 50.0
    losses = np.abs(predictions - y[:, None])
    _, _, state = mixed(losses, predictions, y, share=1e-3, within=aggregate.LABELS)
    assert state.strayed[1] == 0.0 and state.strayed[2] > 0.9
    assert state.trusted()[1] > 0.0 and state.trusted()[2] == 0.0


def test_neither_threads_nor_blocks_nor_parts_change_a_number(monkeypatch):
    block = stream(tasks=40)
    learners = [owo.TuningFree(owo.Absolute()) for _ in range(4)]
    learners[0].run(block)
    learners[1].run(block, threads=2)
    learners[2].run([block.rows(0, 80), block.rows(80, block.n)])
    monkeypatch.setattr("owo.tuning_free.ROWS", 20)
    learners[3].run(block)
    for each in learners[1:]:
        np.testing.assert_array_equal(each.ledger.losses, learners[0].ledger.losses)
        np.testing.assert_array_equal(each.weights, learners[0].weights)
        np.testing.assert_array_equal(each.ledger.carried, learners[0].ledger.carried)


def test_what_is_kept_of_points_and_weights_fits_the_rest():
    block = stream()
    ledger = owo.TuningFree(owo.Absolute(), SOME).run(block, points=True, weights=True)
    loss, prediction, label = (
        np.concatenate([each[name] for each in ledger.points]) for name in ("loss", "prediction", "label")
    )
    np.testing.assert_allclose(np.abs(prediction - label), loss, rtol=1e-12)
    np.testing.assert_allclose(np.add.reduceat(loss, block.offsets[:-1]), ledger.losses, rtol=1e-12)
    assert ledger.weights.shape == (60, 10) and ledger.keys == list(block.keys) and ledger.rounds.tolist() == [8.0] * 60
    assert "60 tasks, 480 points" in repr(ledger)


def test_leaders_are_those_that_carried_the_weight():
    ledger = owo.TuningFree(owo.Absolute(), SOME).run(stream())
    leaders = ledger.leaders(3)
    assert [each.weight for each in leaders] == sorted(ledger.carried, reverse=True)[:3]
    assert ledger.carried.sum() == pytest.approx(1.0)
    assert leaders[0].configuration == ledger._grid.configurations[int(ledger.carried.argmax())]


def test_independent_learning_is_always_among_the_experts():
    learner = owo.TuningFree(owo.Absolute(), SOME)
    alone = [each.inner for each in learner.configurations if each.outer == owo.Frozen()]
    assert alone == [owo.GrowingFTRL(0.1), owo.GrowingFTRL(1.0)] and len(learner.configurations) == len(SOME) + 2
    assert sum(each.outer == owo.Frozen() for each in configurations_for(owo.Absolute())) == 12


def test_new_tasks_are_met_by_the_weighed_configurations():
    block, new = stream(), stream(7, tasks=3)
    learner = owo.TuningFree(owo.Absolute(), SOME)
    learner.run(block)
    weights, learners = learner.weights, [learner.grid.learner(c) for c in range(len(learner.configurations))]
    np.testing.assert_allclose(
        learner.bias, sum(w * each.bias for w, each in zip(weights, learners, strict=True)), rtol=1e-9
    )
    for average in (False, True):
        theirs = sum(w * each.adapt_each(new, average=average) for w, each in zip(weights, learners, strict=True))
        np.testing.assert_allclose(learner.adapt_each(new, average=average), theirs, rtol=1e-8)
    first = next(iter(new.tasks()))
    np.testing.assert_allclose(learner.adapt(first.X, first.y), learner.adapt_each(new)[0], rtol=1e-12)
    np.testing.assert_allclose(learner.predict(new.X, weights=learner.bias), new.X @ learner.bias, rtol=1e-12)
    wide = 100.0 * new.X
    low, high = min(block.y.min(), 0.0), max(block.y.max(), 0.0)  # the first prediction was 0
    each = np.array([wide @ one.bias for one in learners]).clip(2.0 * low - high, 2.0 * high - low)
    np.testing.assert_allclose(learner.predict(wide), weights @ each, rtol=1e-9)
    assert owo.TuningFree(owo.Absolute(), SOME).adapt_each(new).shape == (3, 5)


def test_a_share_follows_a_change_that_adahedge_follows_late():
    """Steps across tasks that are best while the bias is far off are too large later on."""
    block = stream(tasks=400, spread=0.3)
    plain, shared = (owo.TuningFree(owo.Absolute(), share=share).run(block).losses.sum() for share in (0.0, 1e-3))
    assert shared < 0.99 * plain


def test_configurations_that_overflow_are_left_out():
    wild = [(owo.DualAveraging(1e200), owo.DualAveraging(1e200), "point")]
    for share in (0.0, 0.01):
        with_it = owo.TuningFree(owo.Squared(), [*SOME, *wild], share=share)
        ledger = with_it.run(stream())
        failed = ledger.configurations.failed
        assert failed[len(SOME)] and np.isfinite(ledger.losses).all() and with_it.weights[len(SOME)] == 0.0
        ledger.check(hindsight.best_bias(owo.Squared(), stream(), 0.3))
        assert np.isfinite(with_it.bias).all()


def test_without_a_configuration_left_nothing_of_the_block_is_learned():
    wild = [(owo.DualAveraging(1e200), owo.DualAveraging(1e200), "point")]
    learner, twin = (owo.TuningFree(owo.Squared(), wild) for _ in range(2))
    gentle, block = (
        owo.Block([[0.0]], [1.0], [0], keys=["first"]),
        owo.Block(np.full((20, 1), 1e9), np.ones(20), [1] * 20 if False else np.repeat([0, 1], 10), keys=["a", "b"]),
    )
    learner.run(gentle)
    twin.run(gentle)
    with pytest.raises(FloatingPointError, match="no configuration is left"):
        learner.run(block)
    assert learner.ledger.keys == ["first"]
    learner.run(owo.Block([[1.0]], [1.0], [0], keys=["c"]))
    twin.run(owo.Block([[1.0]], [1.0], [0], keys=["c"]))
    np.testing.assert_array_equal(learner.ledger.losses, twin.ledger.losses)


@pytest.mark.parametrize(
    "options, error, words",
    [
        ({"share": 1.0}, ValueError, "share is 1.0"),
        ({"share": -0.1}, ValueError, "share"),
        ({"share": math.nan}, ValueError, "share"),
        ({"share": "much"}, ValueError, "share"),
        ({"share": 5e-324}, ValueError, "share"),
        ({"unit": 0.0}, ValueError, "unit"),
        ({"configurations": []}, ValueError, "no configuration"),
        ({"configurations": [(owo.Absolute(), owo.Frozen())]}, TypeError, "law"),
        ({"configurations": owo.DualAveraging(0.1)}, TypeError, "configuration 0 is 0.1; needed"),
        ({"configurations": (owo.CoinBetting(), owo.Frozen())}, TypeError, "configuration 0 is CoinBetting"),
        ({"configurations": [(owo.Frozen(),)]}, TypeError, "configuration 0"),
        ({"configurations": 3}, TypeError, "configurations is 3"),
        ({"metric": "long"}, TypeError, "metric"),
    ],
)
def test_bad_settings_are_refused(options, error, words):
    with pytest.raises(error, match=words):
        owo.TuningFree(owo.Absolute(), **options)


def test_bad_data_are_refused_and_leave_no_trace():
    learner = owo.TuningFree(owo.Hinge(), SOME)
    block = signs(stream())
    with pytest.raises(ValueError, match="label"):
        learner.run(stream())
    with pytest.raises(ValueError, match="empty"):
        learner.run([])
    assert len(learner.ledger) == 0 and learner.ledger.keys == [] and learner.grid.d is None
    learner.run(block)
    before = learner.weights
    with pytest.raises(ValueError, match="features"):
        learner.run(owo.Block(np.ones((2, 3)), [1.0, -1.0], [0, 0]))
    with pytest.raises(ValueError, match="mixed"):
        learner.run(block.interleaved(0))
    for weights in (None, np.ones(5), "ab", [1.0, np.nan]):
        with pytest.raises((TypeError, ValueError), match=r"3 features|weights"):
            learner.predict(np.ones((2, 3)), weights=weights)
    np.testing.assert_array_equal(learner.weights, before)
    assert len(learner.ledger) == 60


@pytest.mark.parametrize(
    "loss", [owo.Squared(), owo.SquaredHinge(), owo.Absolute()], ids=lambda loss: type(loss).__name__
)
@pytest.mark.parametrize("d", [2, 5])
def test_experts_that_diverge_cost_nothing_while_their_losses_are_still_finite(loss, d):
    for seed in range(3):
        rng = np.random.default_rng(seed)
        X, y = 10.0 ** rng.integers(0, 3) * rng.normal(size=(200, d)), rng.normal(size=200)
        block = owo.Block(X, np.sign(y) if loss == owo.SquaredHinge() else y, np.repeat(np.arange(10), 20))
        learner = owo.TuningFree(loss)
        ledger = learner.run(block)
        # unclipped it was 1e293; 100 is what the first points may cost, before there is a range to keep within
        assert ledger.losses.sum() < 1.5 * ledger.configurations.losses.sum(axis=0).min() + 100.0
        ledger.check(hindsight.best_bias(loss, block, 0.5))


@pytest.mark.parametrize("share", [0.0, 0.01])
@pytest.mark.parametrize("grow", [2.0, 29.0, 299.0])
def test_an_expert_on_its_way_to_overflow_counts_as_one_that_stays_within_the_range(grow, share):
    rng, loss = np.random.default_rng(0), owo.Squared()
    far = int(np.log(1e154) / np.log(grow))  # points until its square is no number: a loss of 1e300 and more is one
    y = rng.normal(size=far)
    raw = y[:, None] + rng.normal(size=(far, 3)) * [0.1, 1.0, 0.0]
    raw[:, 2] = (-grow) ** np.arange(far)
    seen = np.concatenate([[raw[0].mean()], y])  # the range begins at what was said first
    kept = raw.copy()
    for row in range(1, far):
        low, high = seen[: row + 1].min(), seen[: row + 1].max()
        kept[row] = raw[row].clip(2 * low - high, 2 * high - low)
    lost, least = (np.array([[loss.value(p, y[row]) for p in P[row]] for row in range(far)]) for P in (raw, kept))
    assert aggregate.OUT < lost.max() < math.inf
    done, found, state = mixed(lost, raw, y, share, loss=loss, within=aggregate.LABELS)
    _, wanted, other = mixed(least, kept, y, share, loss=loss)
    assert done == far
    for mine, its in zip((*found, state.weights, state.carried), (*wanted, other.weights, other.carried), strict=True):
        np.testing.assert_allclose(mine, its, rtol=1e-11)  # losses are rounded otherwise in compiled code


@pytest.mark.parametrize("loss", [owo.Squared(), owo.SquaredHinge(), owo.Absolute(), owo.Logistic()], ids=repr)
@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_new_tasks_are_met_as_well_as_those_of_the_stream(loss, scale):
    """Some of the default configurations diverge, and sharing gives them weight whatever they lost."""
    rng = np.random.default_rng(1)
    X, task = rng.normal(size=(640, 3)), np.repeat(np.arange(32), 20)
    y = X @ [1.0, -0.5, 0.2] + 0.1 * rng.normal(size=640)
    whole = owo.Block(scale * X, y if loss.accepts(0.5) else np.sign(y), task)
    old, new = whole.rows(0, 600), whole.rows(600, 640)
    learner = owo.TuningFree(loss)
    online = learner.run(old).losses[-5:].sum() / 100
    by_bias, by_mixture = (
        np.mean([loss.value(*pair) for pair in zip(found, new.y, strict=True)])
        for found in (new.X @ learner.bias, learner.predict(new.X))
    )
    adapted = learner.adapt_each(new)
    by_task = np.mean([loss.value(adapted[t - 30] @ x, y) for x, y, t in zip(new.X, new.y, task[600:], strict=True)])
    for offline in (by_bias, by_mixture, by_task):  # the mean over two tasks, beside that over five others
        assert offline < 2.0 * online + 0.1


def test_the_first_point_of_a_new_task_is_predicted_as_predict_says():
    learner, block = owo.TuningFree(owo.Squared()), stream()
    learner.run(block)
    more = stream(7, tasks=3)
    for row in (0, 8, 16):
        said = learner.predict(more.X[row : row + 1])
        ledger = learner.run(more.rows(row, row + 8), points=True)
        np.testing.assert_allclose(ledger.points[-1]["prediction"][0], said[0], rtol=1e-9)


def hard_streams():
    """Streams whose labels or predictions leave the range that those before suggest."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(400, 2)), rng.normal(size=400)
    task, grown = np.repeat(np.arange(40), 10), np.where(np.arange(400) < 390, 1.0, 1e4)
    yield owo.Absolute(), [(owo.GrowingFTRL(1.0), owo.Frozen())], owo.Block([[1.0], [100.0]], [1.0, 100.0], [0, 0])
    yield owo.Logistic(), None, owo.Block(np.full((400, 1), 100.0), np.ones(400), task)
    yield owo.Logistic(), None, owo.Block(X, np.where(task % 2, 1.0, -1.0), task)
    for loss in (owo.Absolute(), owo.Squared()):
        yield loss, None, owo.Block(X * grown[:, None], X @ [1.0, 2.0] * grown, task)
        yield loss, None, owo.Block(X, y, task)


@pytest.mark.parametrize("number", range(7))
def test_the_bound_is_beside_what_the_configurations_lost_as_they_ran(number):
    loss, configurations, block = list(hard_streams())[number]
    ledger = owo.TuningFree(loss, configurations, bias=np.ones(block.d)).run(block)
    beyond = ledger.cumulative_loss() - ledger.configurations.cumulative_loss().min(axis=1)
    assert (beyond <= ledger.bound + 1e-9 * ledger.cumulative_loss()).all()
    ledger.check(hindsight.best_bias(loss, block, 0.5))


def test_a_block_in_which_the_sums_of_all_configurations_overflow_leaves_no_trace():
    learner = owo.TuningFree(owo.Absolute())
    with pytest.raises(FloatingPointError, match="all configurations overflowed"):
        learner.run(owo.Block([[1.0], [1e160]], [1.0, 1.0], [0, 1]))
    assert len(learner.ledger) == 0 and learner.grid.d is None
    assert len(learner.run(owo.Block([[1.0]], [1.0], [0]))) == 1


@pytest.mark.parametrize(
    ("made", "call"),  # tables of losses and lengths, and of the mixture and its weights
    [*((owo.Grid.of, call) for call in range(2)), *((owo.TuningFree, call) for call in range(4))],
    ids=lambda each: getattr(each, "__qualname__", str(each)),
)
def test_an_interruption_while_a_block_is_written_down_leaves_no_trace_of_it(made, call, monkeypatch):
    first, second = stream(tasks=3), stream(7, tasks=4)
    second = owo.Block(second.X, second.y, second.task, keys="abcd")
    learner, twin = made(owo.Absolute(), SOME), made(owo.Absolute(), SOME)
    learner.run(first, points=True)
    twin.run(first, points=True)
    count, plain = iter(range(1000)), Growing.append

    def interrupted(self, rows):
        if next(count) == call:
            raise KeyboardInterrupt
        plain(self, rows)

    with monkeypatch.context() as patch:
        patch.setattr(Growing, "append", interrupted)
        with pytest.raises(KeyboardInterrupt):
            learner.run(second, points=True)
    assert len(learner.ledger.points) == 1 and len(learner.ledger.losses) == 3
    mine, its = learner.run(second, points=True), twin.run(second, points=True)
    assert mine.keys == its.keys
    np.testing.assert_array_equal(mine.losses, its.losses)
    np.testing.assert_array_equal(mine.points[1]["prediction"], its.points[1]["prediction"])
    X, y = (np.concatenate([getattr(each, name) for each in (first, second)]) for name in "Xy")
    both = owo.Block(X, y, np.repeat(range(7), 8), keys=[*first.keys, *second.keys])
    comparator = hindsight.best_bias(owo.Absolute(), both, 0.5)
    for certificate in ("certificate", "regret"):
        np.testing.assert_array_equal(*(getattr(_of_grid(each), certificate)(comparator) for each in (mine, its)))


def _of_grid(ledger):
    return ledger.configurations if isinstance(ledger, TuningFreeLedger) else ledger


class Deviance(NamedTuple):
    """Poisson deviance of exp(p), least at p = ln y."""

    def value(self, p, y):
        return math.exp(min(p, 50.0)) - y * p

    def subgradient(self, p, y):
        return math.exp(min(p, 50.0)) - y

    def conjugate(self, s, y):
        return (s + y) * math.log(s + y) - (s + y) if s + y > 0.0 else (0.0 if s + y == 0.0 else math.inf)

    def prox(self, p, y, step):
        return p

    def accepts(self, y):
        return y >= 0.0


def test_a_loss_whose_predictions_have_no_known_range_is_mixed_without_a_share():
    assert owo.TuningFree(owo.loss(Deviance)()).share == 0.0
    assert owo.TuningFree(owo.Logistic()).share == owo.TuningFree(owo.Pinball(0.2)).share == 1e-3
    assert owo.TuningFree(owo.Absolute(), share=0.25).share == 0.25


def test_a_first_block_that_fails_fixes_no_dimension():
    learner = owo.TuningFree(owo.Squared(), [(owo.DualAveraging(1e5), owo.DualAveraging(1e5))])
    with pytest.raises(FloatingPointError, match="nothing of this block"):
        learner.run(owo.Block(np.full((4, 2), 1e80), np.full(4, 1e150), [0, 0, 1, 1]))
    assert learner.grid.d is None
    assert len(learner.run(owo.Block(np.ones((2, 3)), [1.0, 2.0], [0, 0]))) == 1


@pytest.mark.parametrize("metric", [0.25, [0.25, 1.0], [[1.0, 0.5], [0.5, 1.0]]])
def test_before_any_data_new_tasks_are_met_in_the_metric(metric):
    data = [[1.0, 1.0], [1.0, 2.0]], [3.0, 4.0]
    configurations = [(owo.GrowingFTRL(1.0), owo.Frozen())]
    plain, told = (
        owo.TuningFree(owo.Absolute(), configurations, metric=metric, bias=bias) for bias in (None, [0.0, 0.0])
    )
    fixed = owo.OnlineWithinOnline(owo.Absolute(), *configurations[0], geometry=owo.geometry.Fixed(), metric=metric)
    for learner in (plain, told):
        np.testing.assert_allclose(learner.adapt(*data), fixed.adapt(*data))
    np.testing.assert_array_equal(plain.predict(data[0]), [0.0, 0.0])
    assert plain.ledger.bound.shape == told.ledger.bound.shape == (0,)
    with pytest.raises(ValueError, match="before any data"):
        _ = plain.bias
    with pytest.raises(ValueError, match="no task"):
        told.ledger.check(hindsight.Comparator("0", np.zeros(2), np.zeros((1, 2)), np.zeros(0)))


@pytest.mark.parametrize(
    ("loss", "scale"), [(owo.SquaredHinge(), 1e9), (owo.SquaredHinge(), 1e10), (owo.Absolute(), 1e50)]
)
def test_certificates_know_what_rounding_hides_in_them(loss, scale):
    for seed in range(5):
        rng = np.random.default_rng(seed)
        X, y = scale * rng.normal(size=(60, 1)), np.sign(rng.normal(size=60))
        learner = owo.TuningFree(loss)
        learner.run(owo.Block(X, y, np.repeat(np.arange(4), 15)))
        nothing = hindsight.Comparator(
            "0", np.zeros(1), np.zeros((1, 1)), np.add.reduceat([loss.value(0.0, v) for v in y], [0, 15, 30, 45])
        )
        learner.ledger.check(nothing)
