"""Studies are rerun from one command: stored seed by seed, the same numbers however they came about, faults told."""

from __future__ import annotations

import errno
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass

import numpy as np
import pytest

import owo
from experiments import own, runner, settings, store, tables, trials
from experiments.__main__ import main
from experiments.settings import SettingsError
from experiments.store import Folder
from experiments.studies import STUDIES, bias

ROOT = pathlib.Path(__file__).parent.parent
SMALL = ["tasks=12", "validation=4", "test=4", "predicted=5", "d=3", "strengths=[0.1, 1]", "steps=[0.1]"]
SET = [word for each in SMALL for word in ("--set", each)]


def command(out, *words, seeds=2, workers=1):
    return ["run", "bias/regression", *SET, "--seeds", str(seeds), "--workers", str(workers), "--out", str(out), *words]


def arrays(out):
    [folder] = (out / "bias").iterdir()
    found = {}
    for path in sorted(folder.glob("seed-*.npz")):
        with np.load(path, allow_pickle=False) as held:
            found[path.name] = {name: held[name] for name in held.files if name != store.META}
    return found


def same(first, second):
    assert first.keys() == second.keys()
    for name, held in first.items():
        assert held.keys() == second[name].keys()
        for key, values in held.items():
            np.testing.assert_array_equal(values, second[name][key])


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    out = tmp_path_factory.mktemp("whole")
    assert main(command(out, seeds=3)) == 0
    return out


# ----------------------------------------------------------------------------------------------- the same numbers


def test_one_worker_or_two_give_the_same_arrays(whole, tmp_path):
    assert main(command(tmp_path, seeds=3, workers=2)) == 0
    assert len(arrays(whole)) == 3
    same(arrays(whole), arrays(tmp_path))


def test_a_run_that_was_killed_goes_on_and_gives_the_same_arrays(whole, tmp_path):
    words = [sys.executable, "-m", "experiments", *command(tmp_path, seeds=3, workers=1)]
    killed = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(1200):
        if list(tmp_path.glob("bias/*/seed-*.npz")) or killed.poll() is not None:
            break
        time.sleep(0.05)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    stored = {path: path.stat().st_mtime_ns for path in tmp_path.glob("bias/*/seed-*.npz")}
    assert stored
    assert main(command(tmp_path, seeds=3)) == 0
    assert all(path.stat().st_mtime_ns == when for path, when in stored.items())  # not run again
    same(arrays(whole), arrays(tmp_path))


def test_what_is_stored_is_not_run_again_and_what_is_damaged_is(whole, tmp_path, capsys):
    assert main(command(tmp_path)) == 0
    [folder] = (tmp_path / "bias").iterdir()
    first, second = folder / "seed-0000.npz", folder / "seed-0001.npz"
    kept = first.stat().st_mtime_ns
    second.write_bytes(second.read_bytes()[:-100])
    capsys.readouterr()
    assert main(command(tmp_path, seeds=3)) == 0
    assert "2 seeds to run, 1 stored already" in capsys.readouterr().err
    assert first.stat().st_mtime_ns == kept
    same(arrays(whole), arrays(tmp_path))


def test_results_of_other_sources_are_made_again(tmp_path, monkeypatch):
    folder = Folder(tmp_path)
    folder.save(0, {"a": np.arange(3.0)}, 1.0)
    assert folder.missing(2) == [1]
    monkeypatch.setattr(store, "sources", lambda: "other")
    assert folder.missing(2) == [0, 1]


def test_a_result_says_how_it_came_about(whole):
    [folder] = (whole / "bias").iterdir()
    about = json.loads((folder / "config.json").read_text())
    assert (about["study"], about["variant"], about["config"]["tasks"]) == ("bias", "regression", 12)
    held, meta = Folder(folder).load(0)
    assert meta["versions"]["numpy"] == np.__version__ and meta["seconds"] > 0.0 and meta["commit"]
    assert store.META not in held and held["error"].shape == (8, len(trials.spaced(12)))
    for name in ("tables.md", "tables.html", "learning_curves.png", "learning_curves.svg"):
        assert (folder / name).stat().st_size > 200


# ---------------------------------------------------------------------------------------------------- what is measured


def test_the_contest_measures_new_tasks_and_what_was_suffered():
    config = bias.Config(tasks=40, validation=4, test=6, predicted=7, d=3, strengths=(1.0,), steps=(0.1,))
    trial = bias.draw(config, 3, own.NOTHING)
    [method] = [each for each in bias.methods(config, own.NOTHING) if each.name == "OWO per task"]
    found = trials.contest(trial, [method], (10, 40))
    learner = owo.OnlineWithinOnline(owo.Absolute(), owo.GrowingFTRL(1.0), owo.DualAveraging(0.1), "task")
    ledger = learner.run(trial.training)
    assert found["online"][0, 1] == pytest.approx(ledger.average_loss()[-1], rel=1e-12)
    errors = []
    for task, new in zip(trial.test.learned.tasks(), trial.test.predicted.tasks(), strict=True):
        errors.append(np.abs(new.X @ learner.adapt(task.X, task.y, average=True) - new.y).mean())
    assert found["error"][0, 1] == pytest.approx(np.mean(errors), rel=1e-12)
    assert found["regret"][0] <= found["certificate"][0]


def test_numbers_are_chosen_on_validation_tasks_alone():
    config = bias.Config(tasks=30, validation=6, test=6, predicted=7, d=3, strengths=(1.0,), steps=(1e-6, 0.1))
    trial = bias.draw(config, 0, own.NOTHING)
    method = bias.methods(config, own.NOTHING)[2]
    choice = trials.chosen(method, trial)
    assert trials.chosen(method, trial._replace(test=trial.validation)) == choice
    predicted, learned = trial.validation.predicted, trial.validation.learned
    wrong = owo.Block(predicted.X, -100.0 * predicted.y, predicted.task)
    other = trials.chosen(method, trial._replace(validation=trial.validation._replace(predicted=wrong)))
    assert other.new != choice.new and other.online == choice.online
    streamed = trial._replace(streamed=owo.Block(learned.X, -100.0 * learned.y, learned.task))
    other = trials.chosen(method, streamed)
    assert other.new == choice.new and other.online != choice.online


def test_what_is_suffered_and_what_new_tasks_get_have_numbers_of_their_own():
    """A step that is best for the stream may be the worst for new tasks, and is not lent to them."""
    config = bias.Config(tasks=30, validation=6, test=6, predicted=7, d=3, strengths=(1.0,), steps=(1e-6, 0.1))
    trial = bias.draw(config, 0, own.NOTHING)
    learned = trial.validation.learned
    trial = trial._replace(streamed=owo.Block(learned.X, -100.0 * learned.y, learned.task))
    method = bias.methods(config, own.NOTHING)[2]
    found = trials.contest(trial, [method], (30,))
    assert found["numbers"].tolist() == [[1.0, 0.1]] and found["online_numbers"].tolist() == [[1.0, 1e-6]]
    for step, of in ((0.1, "error"), (1e-6, "online")):
        learner = owo.OnlineWithinOnline(owo.Absolute(), owo.GrowingFTRL(1.0), owo.DualAveraging(step), "task")
        ledger = learner.run(trial.training)
        expected = trials.error(learner, method, trial.test, trial) if of == "error" else ledger.average_loss()[-1]
        assert found[of][0, 0] == pytest.approx(expected, rel=1e-12)


def test_the_bias_is_worth_its_name():
    """200 tasks: the learned bias is much nearer to the oracle than to learning every task on its own."""
    config = bias.Config(tasks=200, strengths=(0.1, 1.0), steps=(0.1, 1.0))
    found = bias.run(config, 0, own.NOTHING)
    error = dict(zip(found["method"].tolist(), found["error"][:, -1], strict=True))
    assert error["oracle mean"] < error["OWO per task"] < 1.2 * error["oracle mean"] < 0.6 * error["independent"]


def test_points_as_published_come_from_the_same_task():
    block = bias.draw(bias.Config(tasks=5, validation=2, test=2, d=2), 0, own.NOTHING).training
    again = bias.with_replacement(block, np.random.default_rng(0))
    for before, after in zip(block.tasks(), again.tasks(), strict=True):
        assert {*map(tuple, after.X)} < {*map(tuple, before.X)} and len(after.y) == len(before.y)


def test_the_law_as_published_takes_steps_of_one_over_lambda_k():
    learner = owo.OnlineWithinOnline(owo.Absolute(), bias.StronglyConvex(0.5), owo.Frozen(), "task", bias=[0.0])
    weights = [learner.adapt([[1.0]] * k, [9.0] * k)[0] for k in (1, 2, 3)]
    assert weights == [2.0, 2.0, 2.0]  # the sum of k gradients -1, times 1 / (0.5 k)


def test_intervals_are_students():
    values = np.random.default_rng(0).normal(size=(8, 3))
    mean, half = tables.interval(values)
    np.testing.assert_allclose(mean, values.mean(axis=0))
    np.testing.assert_allclose(half, 2.3646242510 * values.std(axis=0, ddof=1) / np.sqrt(8))  # t, 7 degrees of freedom


# ------------------------------------------------------------------------------------------------ settings, own files


@dataclass(frozen=True)
class Config:
    tasks: int = 10
    noise: float = 1.0
    steps: tuple[float, ...] = (0.1,)
    unit: bool = True


def test_settings_keep_their_types():
    found = settings.overridden(Config(), settings.parsed(["noise=2", "steps=[1, 2]", "unit=false"]))
    assert found == Config(10, 2.0, (1.0, 2.0), False) and isinstance(found.noise, float)
    assert settings.overridden(Config(), {"steps": 3}).steps == (3.0,)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["taks=3"], "there is no setting 'taks'; did you mean 'tasks'"),
        (["tasks=2.5"], "tasks is 2.5; needed a whole number"),
        (["tasks=many"], "tasks is 'many'; needed a whole number"),
        (["unit=1"], "unit is 1; needed true or false"),
        (["steps=['a']"], "steps is 'a'; needed a number"),
        (["tasks"], "--set 'tasks' is no setting; write --set key=value"),
    ],
)
def test_settings_that_there_are_not_or_of_another_type_are_refused(words, message):
    with pytest.raises(SettingsError) as caught:
        settings.overridden(Config(), settings.parsed(words))
    assert message in str(caught.value)


def test_a_file_of_settings_is_overridden_by_the_command_line(tmp_path, capsys):
    file = tmp_path / "mine.toml"
    file.write_text("tasks = 14\nd = 2\n")
    words = [*command(tmp_path / "out", seeds=1), "--config", str(file), "--set", "d=3"]
    assert main(words) == 0
    [folder] = (tmp_path / "out" / "bias").iterdir()
    config = json.loads((folder / "config.json").read_text())["config"]
    assert (config["tasks"], config["d"]) == (12, 3)
    file.write_text("tasks = \n")
    assert main(words) == 2 and "is not TOML" in capsys.readouterr().err


MINE = """
from typing import NamedTuple
import numpy as np
import owo
from experiments import Method

@owo.law
class Halving(NamedTuple):
    step: float = 1.0
    def start(self): return (1.0,)
    def scale(self, state): return self.step / state[0]
    def observe(self, state, along, norm2): return (state[0] + 1.0,)

methods = [Method("mine", lambda loss, at, known: owo.OnlineWithinOnline(loss, Halving(), owo.CoinBetting()))]
loss = owo.Squared()

def stream(rng):
    for _ in range(20):
        X = rng.normal(size=(6, 2))
        yield X, X @ (3.0 + rng.normal(size=2))
"""


@pytest.fixture(scope="module")
def mine(tmp_path_factory):
    """One file for all tests: what it defines is compiled once."""
    path = tmp_path_factory.mktemp("mine") / "mine.py"
    path.write_text(MINE)
    return path


@pytest.mark.parametrize("workers", [1, 2])
def test_a_users_law_loss_and_stream_take_part_in_a_study(mine, tmp_path, workers, capsys):
    assert main(command(tmp_path / "out", "--with", str(mine), workers=workers)) == 0
    assert "| mine |" in capsys.readouterr().out
    [held, _] = arrays(tmp_path / "out").values()
    assert held["method"][-1] == "mine" and np.isfinite(held["error"][-1]).all() and held["seen"][-1] == 12
    assert held["regret"][-1] <= held["certificate"][-1]


def test_a_users_file_without_anything_to_use_is_refused(tmp_path, capsys):
    file = tmp_path / "mine.py"
    for text, message in (
        ("x = 1", "it defines none of methods, loss, stream"),
        ("methods = [1]", "needed a list of experiments.Method"),
        ("stream = 3", "needed a function of a random generator"),
        ("1 / 0", "ZeroDivisionError"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("loss = 3", "loss is 3, which has no method value"),
        ("from experiments import Method; methods = [Method(7, print)]", "a method has the name 7; needed some text"),
        ("from experiments import Method; methods = [Method('a', print)] * 2", "needed each name once"),
        (
            "from experiments import Method; methods = [Method('a', print, strengths=())]",
            "has strengths (); needed some",
        ),
    ):
        file.write_text(text)
        assert main(command(tmp_path / "out", "--with", str(file))) == 2 and message in capsys.readouterr().err
    assert main(command(tmp_path / "out", "--with", "nowhere.py")) == 2
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def stream(rng): raise KeyError('price')", r"FAILED: KeyError in seed 0: 'price' \(mine.py:1\)"),
        ("def stream(rng): open('typo.csv')", r"FAILED: FileNotFoundError in seed 0: .*typo.csv.*mine.py:1"),
        ("def stream(rng): return None", "stream returned None; needed a list of tasks, pairs"),
        ("def stream(rng): return []", "stream returned no tasks"),
        ("def stream(rng): return [1]", "a task 0 that is no pair of numbers"),
        ("def stream(rng): return [([[1.0]], [1.0]), ([[1.0]], [1.0, 2.0])]", r"task 1 .* X \(1, 1\) and y \(2,\)"),
        ("def stream(rng): return [([[1.0]], [1.0]), ([[1.0, 2.0]], [1.0])]", "has 2 features, task 0 has 1"),
        ("def stream(rng): return [([[1.0]], [1.0])] * 20", "has 1 point; needed two, one to learn from and one to"),
        ("from experiments import Method\nmethods = [Method('mine', lambda *_: 3)]",
         "method 'mine' makes a int, which has no run"),
        ("from experiments import Method\nmethods = [Method('pooled', lambda *_: 3)]",
         "two methods have the name 'pooled'; give yours another one"),
    ],
)  # fmt: skip
def test_what_goes_wrong_in_a_users_file_is_told_with_its_line(text, said, tmp_path, capsys):
    file = tmp_path / "mine.py"
    file.write_text(text)
    assert main(command(tmp_path / "out", "--with", str(file), seeds=1)) == 1
    err = capsys.readouterr().err
    assert re.search(said, err) and "Traceback" not in err


def test_studies_that_make_their_own_tasks_refuse_a_stream(tmp_path, capsys):
    file = tmp_path / "mine.py"
    file.write_text("def stream(rng): return []")
    for study in ("drift", "orders", "ablations"):
        assert main(["run", study, "--with", str(file), "--out", str(tmp_path / "out")]) == 2
        assert f"{study} makes its own tasks and takes no stream; feature_map, bias" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "setting", "said"),
    [
        ("bias/regression", "validation=0", "validation is 0; needed 1, 2, 3 ..."),
        ("bias/regression", "steps=[]", "steps is []; needed at least one number"),
        ("bias/regression", "steps=1,2", "steps is '1,2'; needed numbers, as in [1, 10]"),
        ("bias/regression", "strengths=[nan]", "strengths is [nan]; needed finite numbers above 0"),
        ("feature_map", "noise=-1", "noise is -1.0; needed a finite number of at least 0"),
        ("parameter_free/synthetic", "points=1", "points is 1; needed 2, 3, 4 ..."),
        ("real/wagepan", "fraction=0", "fraction is 0.0; needed a part of the tasks"),
        ("real/wagepan", "steps=[0]", "steps is [0.0]; needed finite numbers above 0"),
        ("ablations/flips", "values=[2]", "values is [2.0]; needed 0 to .5, of share of labels flipped"),
        ("ablations/points", "values=[2.4]", "needed 1, 2, 3 ..., of points a task"),
        ("drift/drift", "values=[0.1,0.1]", "values is [0.1, 0.1]; needed each number once"),
        ("orders/wagepan", "tasks=0", "tasks is 0; needed 1, 2, 3 ..."),
    ],
)
def test_settings_out_of_range_are_refused_before_anything_runs(name, setting, said, tmp_path, capsys):
    assert main(["run", name, "--set", setting, "--out", str(tmp_path / "out")]) == 2
    assert said in capsys.readouterr().err and not (tmp_path / "out").exists()


# -------------------------------------------------------------------------------------------------------------- faults


def test_a_study_that_fails_is_told_and_the_others_go_on(tmp_path, monkeypatch, capsys):
    def absent(*_):
        monkeypatch.delenv("OWO_DATA", raising=False)
        owo.streams.datasets.load("lenk")

    def broken(*_):
        raise ValueError("lenk.npz has 12 columns, needed 14")

    good = STUDIES["bias"]
    config = settings.overridden(good.variants["regression"], settings.parsed(SMALL))
    few = good._replace(variants={"regression": config}, seeds=1)
    studies = {
        "bias": few,
        "absent": few._replace(name="absent", run=absent),
        "broken": few._replace(name="broken", run=broken),
    }
    for module in ("experiments.runner", "experiments.__main__"):
        monkeypatch.setattr(f"{module}.STUDIES", studies)
    assert main(["all", "--workers", "1", "--out", str(tmp_path)]) == 1
    said = capsys.readouterr()
    assert "absent/regression: skipped: data set lenk needs the file lenk.npz" in said.err
    assert "broken/regression: FAILED: ValueError in seed 0: lenk.npz has 12 columns" in said.err
    assert "**Learning a bias, regression**" in said.out
    del studies["broken"]
    assert main(["all", "--workers", "1", "--out", str(tmp_path)]) == 0  # absent data are no failure
    capsys.readouterr()
    assert main(["run", "absent", "--workers", "1", "--out", str(tmp_path)]) == 1  # but nothing came out here


def test_a_full_disk_is_told_and_harms_nothing_that_is_stored(tmp_path, monkeypatch, capsys):
    assert main(command(tmp_path, seeds=1)) == 0
    before = arrays(tmp_path)

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(store.os, "fsync", full)
        assert main(command(tmp_path, seeds=2)) == 1
    assert "could not be stored in" in (said := capsys.readouterr().err) and "No space left on device" in said
    [folder] = (tmp_path / "bias").iterdir()
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]
    same(before, arrays(tmp_path))
    assert main(command(tmp_path, seeds=2)) == 0


def test_unknown_names_are_refused_with_the_nearest(capsys):
    assert main(["run", "biass"]) == 2
    assert "there is no study 'biass'; did you mean 'bias'?" in capsys.readouterr().err
    assert main(["run", "bias/regresion"]) == 2
    assert "did you mean 'bias/regression'" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["run", "bias", "--seeds", "0"])


def test_the_list_names_every_study_and_its_settings(capsys):
    assert main(["list"]) == 0
    said = capsys.readouterr().out
    for study in STUDIES.values():
        assert f"{study.name}: {study.about}" in said
        assert all(f"{study.name}/{variant}: Config(" in said for variant in study.variants)


def test_progress_tells_the_time_that_is_left():
    import io

    clock = iter([0.0, 0.0, 30.0, 30.0, 61.0, 61.0])
    stream = io.StringIO()
    tell = runner.Progress(stream, lambda: next(clock))
    tell.begin(["bias/regression"] * 2 + ["real/lenk"] * 2 + ["drift/moving"] * 3, 1, 2)
    tell.step("bias/regression", 12.0)
    assert "7 seeds to run, 1 stored already" in stream.getvalue()
    assert "1/7 seeds, 0:30 gone: bias/regression 12.0 s" in stream.getvalue()  # of lenk nobody knows yet
    tell.give_up("drift/moving")
    tell.step("real/lenk", 4.0)
    assert "2/4 seeds, 1:01 gone, about 0:08 left: real/lenk 4.0 s" in stream.getvalue()


# ------------------------------------------------------------------------------------------------------------- reports


def test_the_report_holds_tables_figures_settings_and_commits(whole, tmp_path, capsys):
    assert main(["report", "--out", str(whole), "--docs", str(tmp_path)]) == 0
    page, text = (whole / "report.html").read_text(), (tmp_path / "results.md").read_text()
    for said in (page, text):
        assert "bias/regression" in said and "3 seeds" in said and "tasks=12" in said and "oracle mean" in said
        assert "Task weights are" in said  # the protocol
    assert "data:image/svg+xml;base64," in page and "http://" not in page.replace("http://www.w3.org", "")
    [picture] = (tmp_path / "figures" / "results").iterdir()
    assert f"](figures/results/{picture.name})" in text
    assert main(["report", "--out", str(tmp_path / "nothing")]) == 2
    assert "run python -m experiments all first" in capsys.readouterr().err


def test_the_report_tells_what_each_table_was_made_of(tmp_path, capsys):
    out, docs, file = tmp_path / "out", tmp_path / "docs", tmp_path / "mine.py"
    file.write_text("loss = __import__('owo').Huber(1.0)")
    assert main(command(out, seeds=2)) == 0 == main(command(out, seeds=1))  # the table is of one seed now
    assert main(command(out, "--with", str(file), seeds=2)) == 0
    spoiled = out / "bias" / "000000000000"
    spoiled.mkdir()
    (spoiled / "tables.json").write_text("{")
    capsys.readouterr()
    assert main(["report", "--out", str(out), "--docs", str(docs)]) == 0
    assert "000000000000 is left out" in capsys.readouterr().err
    text = (docs / "results.md").read_text()
    assert "1 seed, " in text and "### bias/regression, with mine.py" in text and "--with mine.py --seeds 2`" in text
    assert len(list((docs / "figures" / "results").iterdir())) == 2  # none over another's
    for made in (out / "bias").glob("*/tables.json"):
        if made.parent != spoiled:
            made.write_text(made.read_text().replace(store.sources(), "another"))
    assert main(["report", "--out", str(out), "--docs", str(docs)]) == 0
    assert (docs / "results.md").read_text().count("by other sources than these") == 2
    assert main(["report", "--out", str(out), "--docs", str(file)]) == 1
    assert f"cannot write {file}" in capsys.readouterr().err


def test_the_same_settings_by_two_names_are_run_once(tmp_path, capsys):
    assert main(["run", "bias/regression", "bias/regression", *SET, "--seeds", "1", "--out", str(tmp_path)]) == 0
    assert "1 seeds to run" not in capsys.readouterr().err.replace("1 seed to run", "")
