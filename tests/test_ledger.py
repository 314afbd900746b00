"""The ledger: sums, comparators matched by key, export without pickles."""

from __future__ import annotations

import json
import math
import zipfile
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from games import stream

import owo
from owo import ledger_file
from owo.hindsight import Comparator
from owo.ledger import Ledger


@pytest.fixture
def block():
    return stream(np.random.default_rng(0), owo.Absolute(), [4, 9, 2, 30], 5, 1.0, "random")


def learned(block, update="task", **options):
    return owo.OnlineWithinOnline(owo.Absolute(), owo.GrowingFTRL(1.0), owo.DualAveraging(0.1), update).run(
        block, **options
    )


def zero(block):
    losses = np.array([np.abs(task.y).sum() for task in block.tasks()])
    return Comparator("zero", np.zeros(block.d), np.zeros((1, block.d)), losses, block.keys)


def test_sums_over_tasks_are_sums_over_points(block):
    ledger = learned(block, points=True)
    points = ledger.points[0]
    assert ledger.cumulative_loss()[-1] == pytest.approx(points["loss"].sum(), rel=1e-14)
    assert np.allclose(points["loss"], np.abs(points["prediction"] - points["label"]), atol=1e-15)
    assert ledger.average_loss()[-1] == pytest.approx(points["loss"].mean(), rel=1e-14)
    assert ledger.rounds.tolist() == [4, 9, 2, 30] and len(ledger) == 4
    slopes = np.sign(points["prediction"] - points["label"])
    squares = np.add.reduceat(slopes**2 * (block.X**2).sum(axis=1), block.offsets[:-1])
    assert np.allclose(ledger.account.squares, squares, rtol=1e-13)
    pulls = np.array(
        [np.linalg.norm(block.X[a:b].T @ slopes[a:b]) for a, b in zip(block.offsets, block.offsets[1:], strict=False)]
    )
    assert np.allclose(ledger.account.pull, pulls, rtol=1e-12)


def test_path_holds_the_bias_after_every_so_many_tasks(block):
    ledger = learned(block, path_every=2)
    assert ledger.path_tasks.tolist() == [2, 4]
    stepwise = owo.OnlineWithinOnline(owo.Absolute(), owo.GrowingFTRL(1.0), owo.DualAveraging(0.1), "task")
    for t, task in enumerate(block.tasks(), start=1):
        stepwise.run([task], path_every=2)
        if t % 2 == 0:
            assert np.array_equal(ledger.path[t // 2 - 1], stepwise.bias)
    assert np.array_equal(stepwise.ledger.path, ledger.path)


def test_comparators_are_matched_by_task_key(block):
    mixed = block.interleaved(3)
    a, b = learned(block, "point"), learned(mixed, "point")
    assert a.keys != b.keys
    for ledger in (a, b):
        theirs = dict(zip(zero(block).keys, zero(block).losses, strict=True))
        expected = np.cumsum(ledger.losses - [theirs[key] for key in ledger.keys])
        assert np.allclose(ledger.regret(zero(block)), expected, rtol=1e-13)
    assert np.allclose(b.regret(a), np.cumsum(b.losses - [a.losses[a.keys.index(key)] for key in b.keys]))


def test_a_comparator_without_the_task_is_refused(block):
    ledger = learned(block)
    short = zero(block)._replace(keys=(0, 1, 2, "other"))
    with pytest.raises(ValueError, match="task 3 of this ledger is not in the comparator"):
        ledger.regret(short)
    with pytest.raises(ValueError, match="the comparator has task 2 twice"):
        ledger.regret(zero(block)._replace(keys=(0, 1, 2, 2)))
    with pytest.raises(ValueError, match="d=5"):
        ledger.certificate(zero(block)._replace(bias=np.zeros(4)))


def test_certificate_terms_add_up_and_mean_what_they_say(block):
    ledger = learned(block)
    bias = np.full(5, 0.3)
    at_bias = Comparator("bias", bias, bias[None, :], np.zeros(4))
    certificate = ledger.certificate(at_bias)
    assert (certificate.spread == 0).all() and (certificate.overlap == 0).all()
    assert np.allclose(certificate.within, np.cumsum(ledger.account.slack))
    # OGD across tasks: |bias - centre|^2 / (2 step) + step / 2 sum |q|^2
    assert np.allclose(certificate.across, 0.09 * 5 / 0.2 + 0.05 * np.cumsum(ledger.account.pull**2))
    apart = ledger.certificate(at_bias._replace(weights=bias + np.eye(5)[:4]))
    assert np.allclose(apart.spread, np.cumsum(0.5 * ledger.rounds))  # strength n / 2 |u - bias|^2


def test_columns_go_into_a_data_frame(block):
    frame = pd.DataFrame(learned(block).to_dict())
    assert len(frame) == 4 and frame["loss"].sum() > 0 and frame["task"].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("law", [owo.GrowingFTRL(0.7), owo.Ball(owo.CoinBetting(), 2.0), owo.Implicit(0.1)], ids=repr)
def test_a_saved_ledger_comes_back_without_pickles(block, law, tmp_path):
    ledger = owo.OnlineWithinOnline(owo.Absolute(), law, owo.InverseSqrt(0.2), "task").run(block, path_every=1)
    path = tmp_path / "ledger.npz"
    ledger.save(path)
    with zipfile.ZipFile(path) as archive:
        assert all(b"|O" not in archive.read(entry)[:200] for entry in archive.namelist())
    with np.load(path, allow_pickle=False) as file:
        assert json.loads(str(file["header"]))["format"] == ledger_file.FORMAT
    back = Ledger.load(path)
    assert back.inner == law and back.outer == owo.InverseSqrt(0.2) and back.keys == ledger.keys
    assert np.array_equal(back.losses, ledger.losses) and np.array_equal(back.path, ledger.path)
    for ours, theirs in zip(back.certificate(zero(block)), ledger.certificate(zero(block)), strict=True):
        assert np.array_equal(ours, theirs)


def test_keys_of_all_kinds_survive_saving(block, tmp_path):
    keys = ["shop", 2**70, ("a", np.datetime64("2020-01-01T00:00", "ns"), None), np.datetime64("2020-01")]
    ledger = learned([owo.Task(task.X, task.y, key) for task, key in zip(block.tasks(), keys, strict=True)])
    ledger.save(tmp_path / "a")
    assert Ledger.load(tmp_path / "a").keys == keys == Ledger.load(tmp_path / "a.npz").keys


def test_a_damaged_file_is_refused_with_its_name(block, tmp_path):
    path = tmp_path / "whole.npz"
    learned(block).save(path)
    content = path.read_bytes()
    for k in range(0, len(content), 97):
        for damaged in (content[:k], content[:k] + bytes([content[k] ^ 0xFF]) + content[k + 1 :]):
            (tmp_path / "cut.npz").write_bytes(damaged)
            try:
                back = Ledger.load(tmp_path / "cut.npz")
            except ValueError as error:
                assert "cut.npz is damaged or not a ledger" in str(error)
            else:  # the byte was one that archives have to spare
                assert np.array_equal(back.losses, learned(block).losses)


def test_a_law_of_ones_own_is_asked_for_on_loading(block, tmp_path):
    @owo.law
    class DualAveraging(NamedTuple):
        """Not ours, though its name is."""

        step: float = 0.1

        def start(self):
            return (0.0,)

        def scale(self, state):
            return 2.0 * self.step

        def observe(self, state, along, norm2):
            return state

    ledger = owo.OnlineWithinOnline(owo.Absolute(), owo.GrowingFTRL(1.0), DualAveraging(0.1), "task").run(block)
    ledger.save(tmp_path / "own.npz")
    with pytest.raises(ValueError, match=r"pass it to Ledger\.load"):
        Ledger.load(tmp_path / "own.npz")
    assert Ledger.load(tmp_path / "own.npz", outer=DualAveraging(0.1)).outer == DualAveraging(0.1)


def test_tasks_that_ended_twice_cannot_be_matched_by_key(block):
    tasks = list(block.tasks())
    ledger = learned([tasks[0], owo.Task(tasks[1].X, tasks[1].y, tasks[0].key)])
    with pytest.raises(ValueError, match="this ledger has task 0 twice"):
        ledger.regret(zero(block))
    assert np.array_equal(ledger.regret(ledger), [0.0, 0.0])


def test_weights_of_too_few_tasks_are_refused(block):
    with pytest.raises(ValueError, match="weights of 3 tasks"):
        learned(block).certificate(Comparator("three", np.zeros(5), np.zeros((3, 5)), np.zeros(4)))


def test_a_file_of_another_format_is_refused(block, tmp_path):
    np.savez(tmp_path / "b.npz", header=np.array(json.dumps({"format": 99})))
    with pytest.raises(ValueError, match="format 99"):
        Ledger.load(tmp_path / "b.npz")


def test_columns_cannot_be_written_to(block):
    ledger = learned(block)
    with pytest.raises(ValueError, match="read-only"):
        ledger.losses[0] = 0.0


@pytest.mark.parametrize("header", ["[]", '"x"', "{}", '{"format": 2, "update": "bogus"}', '{"format": 2' + "[" * 9999])
def test_a_header_that_says_nonsense_is_refused(block, header, tmp_path):
    learned(block).save(tmp_path / "good.npz")
    with np.load(tmp_path / "good.npz") as file:
        arrays = {**file, "header": np.array(header)}
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(ValueError, match=r"bad\.npz is damaged or not a ledger"):
        Ledger.load(tmp_path / "bad.npz")


@pytest.mark.parametrize(
    ("name", "array"),
    [("tasks", np.zeros((4, 2))), ("accounts", np.zeros((4, 9))), ("path_tasks", np.zeros(())),
     ("path", np.zeros((4, 3))), ("centre", np.zeros((5, 1))), ("tallies", np.zeros((5, 7))),
     ("tasks", np.zeros((4, 3), int))],
)  # fmt: skip
def test_tables_of_the_wrong_shape_are_refused(block, name, array, tmp_path):
    learned(block, path_every=1).save(tmp_path / "good.npz")
    with np.load(tmp_path / "good.npz") as file:
        arrays = {**file, name: array}
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(ValueError, match=r"bad\.npz is damaged or not a ledger"):
        Ledger.load(tmp_path / "bad.npz")


def test_a_name_without_its_ending_means_the_file_that_was_saved_under_it(block, tmp_path):
    (tmp_path / "w").write_text("something else")
    ledger = learned(block)
    ledger.save(tmp_path / "w")
    assert Ledger.load(tmp_path / "w").keys == ledger.keys


def test_comparators_that_are_no_numbers_are_refused_in_words(block):
    ledger = learned(block)
    with pytest.raises(ValueError, match="weights that are not finite"):
        ledger.check(zero(block)._replace(weights=np.full((1, 5), np.nan)))
    with pytest.raises(TypeError, match="Ledger has none"):
        ledger.check(ledger)
    with pytest.raises(ValueError, match="3 losses for 4 keys"):
        ledger.regret(zero(block)._replace(losses=np.zeros(3)))


def test_distances_too_small_to_be_squared_still_count():
    """|u| = 1e-170 and |G| = 1e140: the certificate of a learner that never moves is their product."""
    frozen = owo.OnlineWithinOnline(owo.Absolute(), owo.Frozen(), owo.Frozen(), "task")
    ledger = frozen.run(owo.Block([[1e140]], [1e-30], [0]))
    u = np.array([1e-170])
    comparator = Comparator("tiny", u, u[None], np.zeros(1), (0,))
    assert ledger.certificate(comparator).total[0] == pytest.approx(1e-30, rel=1e-12)  # a product of two square roots
    ledger.check(comparator)


@owo.law
class OwnStep(NamedTuple):
    """A law that owo does not know."""

    step: float = 0.5

    def start(self):
        return (1.0,)

    def scale(self, state):
        return self.step / math.sqrt(state[0])

    def observe(self, state, along, norm2):
        return (state[0] + 1.0,)


def test_a_law_of_ones_own_comes_back_in_its_part(tmp_path):
    """Inside tasks, across them, or inside a geometry: whoever loads passes the part, and is told which."""
    scalar = owo.geometry.Scalar(law=OwnStep())
    learners = {
        "inner": owo.OnlineWithinOnline(owo.Absolute(), OwnStep()),
        "outer": owo.OnlineWithinOnline(owo.Absolute(), outer=OwnStep()),
        "geometry": owo.OnlineWithinOnline(owo.Absolute(), owo.GrowingFTRL(1.0), geometry=scalar),
    }
    comparator = owo.hindsight.Comparator("zero", np.zeros(2), np.zeros((1, 2)), np.full(3, 4.0))
    for role, learner in learners.items():
        ledger = learner.run([(np.ones((4, 2)), np.ones(4))] * 3)
        ledger.save(tmp_path / role)
        with pytest.raises(ValueError, match=f"OwnStep is not one of owo's; .*{role}=learner.{role}"):
            owo.Ledger.load(tmp_path / role)
        again = owo.Ledger.load(tmp_path / role, **{role: getattr(learner, role)})
        assert np.array_equal(again.certificate(comparator).total, ledger.certificate(comparator).total)
