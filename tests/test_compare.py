"""The comparison behind ``owo run``: its numbers come from the runs, and it is as online as it says."""

import dataclasses
import hashlib
import json
import re

import numpy as np
import pytest

import owo
from owo import compare, contenders, report, table
from owo.compare import Data, Settings
from owo.contenders import CONTENDERS, FREE, INDEPENDENT, ORACLE, PER_POINT, PER_TASK, POOLED
from owo.streams import Block

QUICK = Settings(orders=3, strength=1.0, step=0.1)


def similar_tasks(n_tasks: int = 24, points: int = 6, seed: int = 0, scale: float = 1.0) -> Data:
    """Tasks whose weights lie around a common mean."""
    rng = np.random.default_rng(seed)
    task = np.repeat(np.arange(n_tasks), points)
    X = rng.normal(size=(len(task), 2))
    w = np.array([2.0, -1.0]) + 0.3 * rng.normal(size=(n_tasks, 2))
    y = 5.0 + np.einsum("ij,ij->i", X, w[task]) + 0.1 * rng.normal(size=len(task))
    return Data("tasks", Block(X, scale * y, task), ("price", "age"), "made up")


@pytest.fixture(scope="module")
def compared():
    return compare.compare(similar_tasks(), QUICK)


# --------------------------------------------------------------------------------------------------- the numbers


def in_plain_python(X, y, task, strength):
    """Mean absolute loss of ``w_i = -q_{i-1} / (strength i)`` in each task on its own, without NumPy."""
    lost, sums = 0.0, {}
    for x, label, key in zip(X.tolist(), y.tolist(), task.tolist(), strict=True):
        q, i = sums.setdefault(key, ([0.0] * len(x), 1))
        prediction = sum(-a / (strength * i) * b for a, b in zip(q, x, strict=True))
        lost += abs(prediction - label)
        slope = (prediction > label) - (prediction < label)
        sums[key] = ([a + slope * b for a, b in zip(q, x, strict=True)], i + 1)
    return lost / len(y)


def test_the_row_of_independent_learning_is_what_plain_python_finds(compared):
    outcome = compared.outcome(INDEPENDENT)
    for order, loss in zip((None, 0, 1, 2), (outcome.own.loss, *outcome.losses), strict=True):
        block = compare.arena(compared.data, QUICK, order).block
        unit = compare.arena(compared.data, QUICK, order).unit
        expected = in_plain_python(block.X, block.y, block.task, 1.0) * unit
        assert loss == pytest.approx(expected, rel=1e-12)  # dot products are summed in another order
    row = next(row for row in table.table(compared).rows if row[0] == "independent")
    assert float(row[1]) == pytest.approx(outcome.losses.mean(), abs=5.1e-4)  # three decimals are shown
    assert float(row[3]) == pytest.approx(outcome.own.loss, abs=5.1e-4)


def test_regret_and_certificate_of_the_table_are_those_of_the_ledgers(compared):
    header, n = table.table(compared).header, compared.data.block.n
    for row, outcome in zip(table.table(compared).rows, compared.outcomes, strict=True):
        ledger, unit = outcome.own.ledger, compared.arena.unit
        regret = (ledger.losses.sum() - outcome.comparator.losses.sum()) / n * unit
        certificate = ledger.certificate(outcome.comparator).total[-1] / n * unit
        assert float(row[header.index("regret")]) == pytest.approx(regret, abs=5.1e-4)
        assert float(row[header.index("certificate")]) == pytest.approx(certificate, abs=5.1e-4)
        assert regret <= certificate


def test_the_unit_is_the_standard_deviation_of_y(compared):
    """A loss of 1 is one: predicting the mean of y always loses the mean absolute deviation of y, in these units."""
    where = compared.arena
    guess = (compared.data.block.y.mean() - where.encoding.centre) / where.encoding.width
    lost = np.abs(guess - where.block.y).mean() * where.unit
    y = compared.data.block.y
    assert lost == pytest.approx(np.abs(y - y.mean()).mean() / y.std(), rel=1e-12)  # sums in another order


def test_the_unit_of_y_does_not_matter(compared):
    far = compare.compare(similar_tasks(scale=1e4), QUICK)
    for ours, theirs in zip(compared.outcomes, far.outcomes, strict=True):
        assert theirs.losses == pytest.approx(ours.losses, rel=1e-9)  # encodings agree to rounding, runs follow


def test_the_interval_is_students_for_paired_differences():
    gain, half = compare.paired_gain(np.array([1.0, 2.0, 4.0, 5.0]), np.array([0.9, 1.6, 2.8, 4.0]))
    gains = [10.0, 20.0, 30.0, 20.0]
    variance = sum((g - 20.0) ** 2 for g in gains) / 3
    assert gain == pytest.approx(20.0, rel=1e-12)  # decimals like 0.9 are rounded
    assert half == pytest.approx(3.182446 * (variance / 4) ** 0.5, rel=1e-6)  # t quantile .975, 3 degrees of freedom


def test_one_order_has_no_interval():
    gain, half = compare.paired_gain(np.array([2.0]), np.array([1.0]))
    assert gain == 50.0 and np.isnan(half)


def test_learning_across_similar_tasks_pays(compared):
    """These tasks have nearly the same weights: everything that carries something over beats independent learning."""
    for contender in (PER_TASK, PER_POINT, FREE, POOLED, ORACLE):
        gain, half = compared.gain(compared.outcome(contender))
        assert gain > half > 0.0


def test_every_run_is_held_against_hindsight(compared):
    assert not compared.violations
    assert compared.checked == len(CONTENDERS) * (QUICK.orders + 1) + 1  # pooled learning against two comparators


def test_a_violated_certificate_is_told(monkeypatch):
    def violated(ledger, comparator):
        raise owo.CertificateViolation("regret 2 exceeds its certificate 1")

    monkeypatch.setattr(owo.Ledger, "check", violated)
    comparison = compare.compare(similar_tasks(12), dataclasses.replace(QUICK, orders=1))
    assert len(comparison.violations) == comparison.checked
    assert "VIOLATED" in table.verdict(comparison) and "exceeds" in table.verdict(comparison)


# ------------------------------------------------------------------------------------------------ as online as said


def test_later_data_change_nothing_earlier():
    """Encoding, learners and losses of the first tasks do not depend on any later task."""
    data = similar_tasks()
    late = data.block.task >= 20
    changed = Block(np.where(late[:, None], 100.0, data.block.X), np.where(late, -50.0, data.block.y), data.block.task)
    runs = [
        [
            compare.stream(each, contenders.Choice(1.0, 0.1), compare.arena(d, QUICK), QUICK).ledger
            for each in CONTENDERS
        ]
        for d in (data, data._replace(block=changed))
    ]
    for ours, theirs in zip(*runs, strict=True):
        assert np.array_equal(ours.losses[:20], theirs.losses[:20])
        assert not np.array_equal(ours.losses[20:], theirs.losses[20:])


def test_later_rows_change_nothing_earlier_where_tasks_are_mixed():
    mixed = similar_tasks().block.interleaved(0)
    late = np.arange(mixed.n) >= 100
    other = Block(np.where(late[:, None], 100.0, mixed.X), np.where(late, -50.0, mixed.y), mixed.task, keys=mixed.keys)
    runs = []
    for block in (mixed, other):
        where = compare.arena(Data("mixed", block, ("price", "age"), "made up"), QUICK)
        assert where.encoding.basis == "15 points"
        learner = PER_POINT.learner(QUICK.loss, contenders.Choice(1.0, 0.1))
        runs.append(learner.run(where.block, points=True).points[0]["prediction"])
    assert np.array_equal(runs[0][:100], runs[1][:100]) and not np.array_equal(runs[0], runs[1])


def test_orders_follow_from_seed_and_number_alone():
    data = similar_tasks()
    second = compare.arena(data, QUICK, 1).block.keys
    assert second == compare.arena(data, dataclasses.replace(QUICK, orders=7), 1).block.keys
    assert second != compare.arena(data, QUICK, 2).block.keys
    assert second != compare.arena(data, dataclasses.replace(QUICK, seed=1), 1).block.keys


def test_the_same_seed_gives_the_same_arrays(compared):
    again = report.arrays(compare.compare(similar_tasks(), QUICK))
    first = report.arrays(compared)
    assert first.keys() == again.keys()
    for name, values in first.items():
        assert np.array_equal(values, again[name], equal_nan=values.dtype.kind == "f"), name


# ---------------------------------------------------------------------------------------------- numbers to choose


def test_numbers_are_the_best_of_the_grid_on_the_first_order():
    settings = Settings(orders=1)
    comparison = compare.compare(similar_tasks(12), settings)
    where = compare.arena(comparison.data, settings, 0)
    for each in (INDEPENDENT, POOLED, PER_TASK, PER_POINT):
        tried = [compare.stream(each, choice, where, settings).loss for choice in each.choices(None, None)]
        assert comparison.outcome(each).losses[0] == min(tried)
    assert comparison.outcome(ORACLE).choice.strength == comparison.outcome(PER_TASK).choice.strength


def test_numbers_from_the_grid_are_marked_and_given_ones_are_not(compared):
    starred = {row[0]: row[-2:] for row in table.table(compared).rows}
    assert starred["OWO per task"] == ("1", "0.1")
    assert starred["pooled"][1].endswith("*")  # what is given for the others would not be fair to it
    assert starred["parameter-free OWO"] == ("-", "-")
    assert any("hindsight" in line and line.startswith("*") for line in table.notes(compared))


def test_a_learner_that_overflows_on_part_of_the_grid_is_not_chosen_there():
    data = similar_tasks(12)
    wild = Block(data.block.X, np.where(data.block.task == 11, 1e150, 1.0) * data.block.y, data.block.task)
    settings = Settings(owo.Squared(), orders=1)
    where = compare.arena(data._replace(block=wild), settings)
    study = compare._Study(data, settings, None)
    assert study._tried(POOLED, contenders.Choice(1.0, 1e3), where) == np.inf


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ({"orders": 0}, "at least 1 order"),
        ({"seed": -1}, "seed"),
        ({"strength": 0.0}, "strength is 0.0"),
        ({"step": np.inf}, "step is inf"),
        ({"step": np.nan}, "step is nan"),
        ({"fraction": 0.0}, "fraction is 0.0"),
        ({"fraction": 1.5}, "fraction is 1.5"),
    ],
)
def test_bad_settings_say_so(bad, said):
    with pytest.raises(ValueError, match=said):
        Settings(**bad)


# --------------------------------------------------------------------------------------------- other kinds of data


def test_classification_counts_a_prediction_of_zero_as_half_an_error():
    """One point a task: independent learning predicts 0 throughout, and is wrong half the time by definition."""
    rng = np.random.default_rng(0)
    data = Data("coins", Block(rng.normal(size=(30, 2)), rng.normal(size=30), np.arange(30)), ("a", "b"), "made up")
    settings = dataclasses.replace(QUICK, loss=owo.Hinge())
    where = compare.arena(data, settings)
    assert set(where.block.y.tolist()) == {-1.0, 1.0} and where.unit == 1.0
    assert compare.stream(INDEPENDENT, contenders.Choice(1.0, 1.0), where, settings).error == 0.5


def test_classification_has_columns_of_errors(compared):
    sorted_ = dataclasses.replace(compared, settings=dataclasses.replace(QUICK, loss=owo.Hinge()))
    cells = table.table(sorted_)
    assert cells.header.count("error") == 2
    assert sum(span for _, span in cells.groups) == len(cells.header) == len(cells.rows[0])
    assert any(line.startswith("error:") for line in table.notes(sorted_))
    assert table.unit(sorted_) == ""


@pytest.mark.parametrize(
    ("loss", "unit", "power"),
    [
        (owo.Absolute(), "standard deviations of y", 1),
        (owo.Pinball(0.9), "standard deviations of y", 1),
        (owo.Squared(), "variances of y", 2),
        (owo.Huber(), "units of the encoded y", 0),
    ],
)
def test_losses_have_the_unit_that_is_said(compared, loss, unit, power):
    settings = dataclasses.replace(QUICK, loss=loss)
    where = compare.arena(compared.data, settings, 0)
    assert where.unit == pytest.approx(
        (where.encoding.width / compared.data.block.y.std()) ** power, rel=1e-12
    )  # in another order
    assert table.unit(dataclasses.replace(compared, settings=settings)) == unit


def test_mixed_tasks_have_certificates_too():
    data = similar_tasks()
    mixed = data._replace(block=data.block.interleaved(0))
    comparison = compare.compare(mixed, dataclasses.replace(QUICK, orders=1))
    assert not comparison.violations
    assert all(np.isfinite(table.per_point(comparison, each)).all() for each in comparison.outcomes)
    told = " ".join(table.remarks(comparison))
    assert "the first 15 points of the data's own order and the first 10 tasks of each random one" in told
    assert "tasks are mixed" in told and "per point is the one to use" in told
    said = table.summary(comparison)
    assert said.startswith("In random orders of whole tasks, one after another, against independent learning, ")
    own = 100.0 * (1.0 - comparison.outcome(PER_POINT).own.loss / comparison.outcome(INDEPENDENT).own.loss)
    assert f"In the data's own order, which has tasks mixed, OWO per point lost {own:.1f} % less" in said


def test_an_interval_has_the_sign_of_its_words():
    assert table._lost("OWO", -0.65, 1.35) == "OWO lost 0.7 % more (95 % interval -0.7 to 2.0)"
    assert table._lost("OWO", 0.65, 1.35) == "OWO lost 0.7 % less (95 % interval -0.7 to 2.0)"


def test_few_tasks_have_few_orders_and_no_interval():
    comparison = compare.compare(similar_tasks(3), dataclasses.replace(QUICK, orders=10))
    assert comparison.distinct <= 6
    assert not any("±" in cell for row in table.table(comparison).rows for cell in row)
    assert "interval" not in table.summary(comparison)
    said = f"There are too few orders of 3 tasks for an interval: {comparison.distinct} among the 10 random ones."
    assert said in table.remarks(comparison)


def test_gains_that_do_not_depend_on_the_order_have_no_interval():
    gain, half = compare.paired_gain(np.array([1.0, 1.0 + 1e-15]), np.array([0.9, 0.9]))
    assert gain == pytest.approx(10.0) and np.isnan(half)


def test_one_task_is_a_task():
    comparison = compare.compare(similar_tasks(1), dataclasses.replace(QUICK, orders=2))
    assert table.size(comparison) == "1 task, 6 points, d = 3"
    assert "learning 1 task online" in report.page(comparison, {}, {})
    assert "There are too few orders of 1 task for an interval: 1 among the 2 random ones." in table.remarks(comparison)


@pytest.mark.parametrize(
    ("loss", "label", "remark"),
    [
        (owo.Absolute(), lambda y: 0.0 * y + 3.0, "y is 3 at every point: there is nothing to learn."),
        (owo.Absolute(), lambda y: y, None),
        (owo.Hinge(), lambda y: y, "The loss takes -1 and +1 only: y above"),
        (
            owo.Hinge(),
            lambda y: np.where(y > 5.0, 2.0, 1.0),
            "y has two values, which are the classes: 2 is +1, 1 is -1.",
        ),
        (owo.Hinge(), lambda y: np.where(np.arange(len(y)) > 60, y, 99.0), "All labels count as -1"),
    ],
)
def test_what_is_made_of_the_labels_is_told(loss, label, remark):
    data = similar_tasks()
    block = Block(data.block.X, label(data.block.y), data.block.task)
    comparison = compare.compare(data._replace(block=block), dataclasses.replace(QUICK, loss=loss, orders=1))
    told = table.remarks(comparison)[1]
    assert told.startswith(remark or "Held against hindsight")
    if len(np.unique(block.y)) == 1:
        assert table.summary(comparison) == "Independent learning lost nothing, so there is nothing to gain."


def test_progress_goes_from_nothing_to_everything():
    told = []
    compare.compare(similar_tasks(12), dataclasses.replace(QUICK, orders=2), lambda part, doing: told.append(part))
    assert told[0] == 0.0 and told == sorted(told)
    assert told[-1] == pytest.approx(1.0, abs=1.5 / len(told))  # the last call announces the last step


# ------------------------------------------------------------------------------------------------------- the files


def test_arrays_are_plain(compared, tmp_path):
    report.write(compared, tmp_path)
    with np.load(tmp_path / "arrays.npz", allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    assert all(values.dtype.kind in "fiuUb" for values in arrays.values())
    assert arrays["learner"].tolist() == [each.name for each in CONTENDERS]
    own = arrays["loss"].sum(axis=1) / arrays["points"].sum() * arrays["unit"]
    assert own == pytest.approx([each.own.loss for each in compared.outcomes], rel=1e-12)  # sums in another order
    total = sum(arrays[f"certificate_{term}"] for term in owo.Certificate._fields)
    assert np.all(arrays["regret"] <= total)
    assert arrays["path"].shape == (len(CONTENDERS), len(arrays["path_tasks"]), len(arrays["path_columns"]))


def test_table_csv_has_every_digit(compared, tmp_path):
    import csv

    third = dataclasses.replace(compared.outcome(PER_TASK), choice=contenders.Choice(1.0 / 3.0, 1e-5))
    table.write_csv(dataclasses.replace(compared, outcomes=(compared.outcomes[0], third)), tmp_path / "table.csv")
    with open(tmp_path / "table.csv", newline="") as file:
        rows = {row["learner"]: row for row in csv.DictReader(file)}
    assert (float(rows["OWO per task"]["strength"]), float(rows["OWO per task"]["step"])) == (1.0 / 3.0, 1e-5)
    assert rows["independent"]["step"] == ""
    for each in (compared.outcomes[0], third):
        assert float(rows[each.contender.name]["loss"]) == each.losses.mean()
        assert float(rows[each.contender.name]["own_loss"]) == each.own.loss


def test_the_configuration_says_how_to_repeat_it(compared, tmp_path):
    report.write(compared, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["seed"] == 0 and config["orders"] == 3 and config["loss"] == "Absolute()"
    assert {"owo", "python", "numpy", "numba"} <= set(config["versions"])
    block = compared.data.block
    bytes_ = block.X.tobytes() + block.y.tobytes() + block.task.tobytes()
    assert config["data"]["sha256"] == hashlib.sha256(bytes_).hexdigest()
    assert re.fullmatch(r"none|\S*[0-9a-f]{7,}(-dirty)?", config["commit"])
    encoding = owo.streams.Encoding.from_dict(config["encoding of the data's own order"])
    assert encoding == compared.arena.encoding
