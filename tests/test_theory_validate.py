"""The command that validates: all is well, what is wrong is named, and an interruption costs what was not finished."""

from __future__ import annotations

import csv
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from processes import once

import owo
from theory import bias, online_to_batch
from theory.learners import dual_averaging
from theory.settings import SETTINGS
from theory.validate import levels, runner
from theory.validate.command import main
from theory.validate.part import Table
from theory.validate.runner import PARTS
from theory.validate.store import KEY, Store, fingerprint

ROOT = pathlib.Path(__file__).parents[1]
LEVELS = ("--quick", "--parts", "levels", "--processes", "1")


def command(*words, path=ROOT, **options):
    """As a user types it, with the checkout's own theory or another."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, dict.fromkeys((path, ROOT))))}
    return [sys.executable, "-m", "theory.validate", *map(str, words)], {
        "cwd": path, "env": environment, "text": True, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options
    }  # fmt: skip


def ran(*words, **options):
    arguments, options = command(*words, **options)
    return subprocess.run(arguments, timeout=300, **options)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The quick mode, all of it."""
    return once(tmp_path_factory, "validation", lambda out: ran("--quick", "--processes", 2, "--out", out))


@pytest.fixture
def kept(whole, tmp_path):
    """A folder with the units of the quick mode."""
    shutil.copytree(whole[1] / "units", tmp_path / "units")
    return tmp_path


@pytest.fixture
def computed(monkeypatch):
    """The units that this process computes."""
    found, work = [], runner.work

    def noted(job):
        found.append(f"{job.part}/{job.unit}")
        return work(job)

    monkeypatch.setattr(runner, "work", noted)
    return found


@pytest.fixture
def few_seeds(monkeypatch):
    """The levels of this process, where what a run finds does not matter."""
    part = PARTS["levels"]._replace(config=lambda quick: levels.Config(seeds=6, together=6))
    monkeypatch.setitem(PARTS, "levels", part)


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


# ----------------------------------------------------------------------------------------------------- all is well


def test_the_quick_mode_finds_no_violation(whole):
    finished, out = whole
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert re.search(r"\n[\d,]+ runs of owo, not one violation\. ", finished.stdout)
    assert "VIOLATION" not in finished.stdout
    assert [row["setting"] for row in rows(out / "levels.csv")] == [setting.name for setting in SETTINGS]
    counts = {row["violations"] for part in ("levels", "adversary", "rates") for row in rows(out / f"{part}.csv")}
    assert counts == {"0"}
    slopes = {row["learner"]: float(row["slope"]) for row in rows(out / "rates.csv") if row["varied"] == "tasks"}
    assert abs(slopes["bias, after a task"] + 0.5) < 0.05 and abs(slopes["independent"]) < 0.05
    near = {row["learner"]: float(row["Absolute"]) for row in rows(out / "adversary.csv")}
    assert near["GrowingFTRL"] > 0.9 and near["DualAveraging"] > 0.9


def test_figures_and_a_page_that_needs_nothing_else(whole):
    _, out = whole
    pictures = [picture for part in PARTS.values() for picture in part.pictures]
    for picture in pictures:
        assert (out / f"{picture.name}.png").read_bytes().startswith(b"\x89PNG")
        assert (out / f"{picture.name}.pdf").read_bytes().startswith(b"%PDF")
    page = (out / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/svg+xml;base64,") == len(pictures)
    assert set(re.findall(r'(?:src|href)="(\w+):', page)) == {"data"}
    assert all(setting.name in page for setting in SETTINGS) and "not one violation." in page


def test_neither_processes_nor_their_number_change_a_number(whole, tmp_path):
    assert main([*LEVELS, "--out", str(tmp_path)]) == 0
    for name in ("levels.npz", "levels.csv", "levels.png"):
        assert (tmp_path / name).read_bytes() == (whole[1] / name).read_bytes()


def test_lines_instead_of_a_bar_where_nobody_watches(whole):
    lines = whole[0].stderr.splitlines()
    assert lines[0].endswith("units; 2 at a time") and lines[-1].endswith("units, done") and "\r" not in whole[0].stderr


# ---------------------------------------------------------------------------------------------- going on where it was


def test_only_what_is_missing_damaged_or_stale_is_computed_again(whole, kept, computed, capsys):
    units = sorted((kept / "units" / "levels").glob("*.npz"))
    missing, cut, garbled, stale = units[:4]
    missing.unlink()
    cut.write_bytes(cut.read_bytes()[:-200])
    content = bytearray(garbled.read_bytes())
    content[len(content) // 3] ^= 0xFF
    garbled.write_bytes(content)
    with np.load(stale) as file:
        other = {name: file[name] for name in file.files} | {KEY: np.array("of another version")}
    np.savez_compressed(stale, allow_pickle=False, **other)
    assert main([*LEVELS, "--out", str(kept)]) == 0
    store = Store(kept / "units")
    assert {store.path(*name.split("/", 1)) for name in computed} == {missing, cut, garbled, stale}
    said = capsys.readouterr()
    assert f"{len(units)} units, {len(units) - 4} of them kept" in said.err
    assert (kept / "levels.npz").read_bytes() == (whole[1] / "levels.npz").read_bytes()
    computed.clear()
    assert main([*LEVELS, "--out", str(kept)]) == 0 and not computed


def test_interrupted_in_the_middle_it_says_how_to_go_on(few_seeds, monkeypatch, computed, tmp_path, capsys):
    part, after = PARTS["levels"], 3

    def measure(config, unit):
        if len(computed) > after:
            raise KeyboardInterrupt
        return part.measure(config, unit)

    with monkeypatch.context() as patch:
        patch.setitem(PARTS, "levels", part._replace(measure=measure))
        words = ["--quick", "--parts", "levels", "--out", str(tmp_path), "--processes", "1"]
        assert main(words) == 130
    said = capsys.readouterr().err
    again = shlex.split(re.search(r"To go on: python -m theory.validate (.*)", said)[1])
    assert len(list(tmp_path.rglob("*.npz"))) == after and not list(tmp_path.rglob("*.partial"))
    done = computed[:after]
    computed.clear()
    assert main([*again, "--processes", "1"]) == 0
    assert len(computed) == len(SETTINGS) - after and not set(done) & set(computed)


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="needs groups of processes, as a terminal makes them")
def test_interrupted_at_the_terminal_no_process_stays_and_no_file_is_half(tmp_path):
    arguments, options = command("--quick", "--processes", 2, "--out", tmp_path, start_new_session=True)
    with subprocess.Popen(arguments, **options) as process:
        began = time.monotonic()
        while not list(tmp_path.rglob("*.npz")) and time.monotonic() - began < 120.0:
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=60)  # comes back when no process is left that could write there
    assert process.returncode == 130 and "To go on: python -m theory.validate --quick" in said
    assert "Traceback" not in said
    units = list(tmp_path.rglob("*.npz"))
    assert units and not list(tmp_path.rglob("*.partial"))
    for path in units:
        with np.load(path) as file:
            assert len([file[name] for name in file.files]) > 1


def test_a_fingerprint_depends_on_the_settings_but_not_on_addresses():
    quick, full = levels.Config.quick(), levels.Config()
    assert fingerprint("levels", quick, "bias/0-9") == fingerprint("levels", quick, "bias/0-9")
    found = {fingerprint(part, config, unit) for part in ("levels", "adversary") for config in (quick, full)
             for unit in ("bias/0-9", "bias/0-8")}  # fmt: skip
    assert len(found) == 8
    assert fingerprint("levels", ["<function f at 0x7f01>"], "u") == fingerprint(
        "levels", ["<function f at 0x8a>"], "u"
    )


def test_every_unit_has_a_file_of_its_own():
    for quick in (True, False):
        for part in PARTS.values():
            units = part.units(part.config(quick))
            assert len({Store(ROOT).path(part.name, unit) for unit in units}) == len(units)
            assert all(seconds > 0.0 for seconds in units.values())


def test_the_full_mode_makes_twenty_thousand_runs_and_more():
    config = PARTS["levels"].config(False)
    assert len(SETTINGS) * config.seeds >= 20_000


# ---------------------------------------------------------------------------------------------- what is wrong is caught


def halved(bound):
    return lambda *given, **named: bound(*given, **named).times(0.5)


def test_a_theorem_with_half_its_constant_is_named_and_can_be_repeated(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(bias, "bound", halved(bias.bound))
    assert main([*LEVELS, "--out", str(tmp_path)]) == 1
    said = capsys.readouterr().out
    wrong = re.findall(r"VIOLATION  (.*), seed \d+: the certificate of the run \S+ exceeds the closed form", said)
    assert "bias" in wrong and set(wrong) <= {"bias", "delayed", "drifting comparator"}  # which build on it
    assert "violations." in (tmp_path / "report.html").read_text(encoding="utf-8")
    first = re.search(r"VIOLATION  (bias, seed .*)\n +again: python -m theory.validate (.*)", said)
    assert main(shlex.split(first[2])) == 1
    assert f"VIOLATION  {first[1]}" in capsys.readouterr().out
    monkeypatch.undo()
    assert main(shlex.split(first[2])) == 0


def test_a_wrong_line_in_the_sources_is_caught_by_the_command(tmp_path):
    """In other processes, and although the results of the right sources are there."""
    shutil.copytree(ROOT / "theory", tmp_path / "theory", ignore=shutil.ignore_patterns("__pycache__"))
    source = tmp_path / "theory" / "learners" / "growing.py"
    right, wrong = "/ (2.0 * strength),", "/ (4.0 * strength),"
    assert source.read_text().count(right) == 1
    source.write_text(source.read_text().replace(right, wrong))
    finished = ran("--quick", "--parts", "levels", "--processes", 2, path=tmp_path)
    assert finished.returncode == 1, finished.stderr
    assert "VIOLATION  within: growing, seed " in finished.stdout
    assert (tmp_path / "results" / "theory-quick" / "report.html").exists()


def test_a_law_that_certifies_half_is_caught_by_the_adversary(monkeypatch, tmp_path, capsys):
    bound = owo.CoinBetting.bound
    monkeypatch.setattr(owo.CoinBetting, "bound", lambda *given: 0.5 * bound(*given))
    monkeypatch.setitem(PARTS, "adversary", few(PARTS["adversary"], ["08", "09"]))
    assert main(["--quick", "--parts", "adversary", "--processes", "1", "--out", str(tmp_path)]) == 1
    said = capsys.readouterr().out
    assert "VIOLATION  adversary, seed [0, 8, 0]: " in said and "CoinBetting(initial=1.0, limit=1.0) inside" in said
    assert "again: python -m theory.validate --quick --unit adversary/08" in said
    assert "the regret of GrowingFTRL got to 0.000 of its certificate only" in said  # it was not attacked


def test_a_bound_that_a_stream_meets_is_caught_with_half_its_constant_by_its_rates(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(dual_averaging, "bound", halved(dual_averaging.bound))
    monkeypatch.setitem(PARTS, "rates", few(PARTS["rates"], ["00"]))
    assert main(["--quick", "--parts", "rates", "--processes", "1", "--out", str(tmp_path)]) == 1
    said = capsys.readouterr().out
    assert re.search(
        r"VIOLATION  rates, bias, after a point on far target against tasks: 15 of 15 regrets exceed", said
    )
    assert re.search(r"the most at tasks = \d+, seed \[0, 0, \d, \d\]: \S+ against", said)
    assert "again: python -m theory.validate --quick --unit rates/00" in said


def test_a_bound_on_risk_that_is_far_too_small_is_caught_by_transfer(monkeypatch, tmp_path, capsys):
    bound = online_to_batch.bound
    monkeypatch.setattr(online_to_batch, "bound", lambda *given, **named: bound(*given, **named).times(0.01))
    assert main(["--quick", "--parts", "transfer", "--processes", "1", "--out", str(tmp_path)]) == 1
    said = capsys.readouterr().out
    assert re.search(r"VIOLATION  transfer, seed \[0, 0, \.\.\], bias: drawn from the path, 10 tasks: the excess", said)
    assert "again: python -m theory.validate --quick --unit transfer/all" in said


def test_a_risk_that_is_no_number_is_a_violation():
    part = PARTS["transfer"]
    risks = {"excess": [0.1, np.nan, 0.1, 0.1], "half_width": [0.0, 0.0, 0.2, 0.0], "bounds": [0.2, 0.2, 0.05, np.nan]}
    found = {name: np.reshape(values, (4, 1, 1)) for name, values in risks.items()}
    found |= {"ways": np.array(["well", "no number", "unclear", "no bound"]), "tasks": np.array([10.0])}
    [violation] = part.judge(part.config(True), "all", found)
    assert "bias: no number, 10 tasks" in violation.what


def few(part, names):
    return part._replace(units=lambda config: {name: 1.0 for name in names})


def test_a_unit_that_fails_is_named_and_the_others_are_kept(few_seeds, monkeypatch, tmp_path, capsys):
    def measure(config, unit):
        if unit.startswith("bias/"):
            raise ZeroDivisionError("no such luck")
        return part.measure(config, unit)

    part = PARTS["levels"]
    monkeypatch.setitem(PARTS, "levels", part._replace(measure=measure))
    assert main([*LEVELS, "--out", str(tmp_path)]) == 3
    said = capsys.readouterr().out
    assert "levels/bias/0-5 could not be computed" in said and "ZeroDivisionError: no such luck" in said
    assert len(list(tmp_path.rglob("*.npz"))) == len(SETTINGS) - 1 and not (tmp_path / "report.html").exists()


# ------------------------------------------------------------------------------------------------- what cannot be done


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--parts", "levles"], "no part 'levles'; there are levels, adversary.*Did you mean 'levels'?"),
        (["--processes", "0"], "'0' is no number of processes; needed a whole number, 1 or more"),
        (["--fast"], "unrecognized arguments: --fast"),
        (["--unit", "bias/3"], "argument --unit: no part 'bias'"),
        (
            ["--unit", "levels/bais/3"],
            "unit 'levels/bais/3' cannot be computed: no setting 'bais'.*Units are levels/with",
        ),
        (["--unit", "adversary/x"], "unit 'adversary/x' cannot be computed"),
        (["--unit", "transfer/some"], "unit 'transfer/some' cannot be computed: there is one unit, 'all'"),
        (["--unit", "rates/99"], "unit 'rates/99' cannot be computed"),
        (["--unit", "adversary/999"], "unit 'adversary/999' cannot be computed"),
    ],
)
def test_bad_arguments_are_refused_in_one_line(words, said, capsys):
    assert main(words) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and re.match(f"theory.validate: .*{said}", lines[0])


def test_a_run_that_fails_is_named_by_its_seed(few_seeds, monkeypatch, tmp_path, capsys):
    """Not only the unit, which has many seeds."""

    def failing(problem, **parameters):
        raise OverflowError("too large")

    monkeypatch.setattr(bias, "bound", failing)
    assert main([*LEVELS, "--out", str(tmp_path)]) == 3
    assert "OverflowError: too large\n  in the run of seed 0 of the setting 'bias'" in capsys.readouterr().out


def test_a_folder_that_cannot_be_written_is_refused(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["--quick", "--out", str(tmp_path / "file" / "results")]) == 2
    assert re.match(r"theory.validate: cannot write to .*Name another folder with --out", capsys.readouterr().err)


def test_a_disk_that_fills_up_is_no_traceback(monkeypatch, tmp_path, capsys):
    def full(*given):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Store, "save", full)
    assert main([*LEVELS, "--out", str(tmp_path)]) == 2
    assert "No space left on device. Make room, or" in capsys.readouterr().err


def test_the_table_of_a_part_has_a_cell_for_each_heading(whole):
    for part in PARTS.values():
        config = part.config(True)
        store = Store(whole[1] / "units")
        found = {unit: store.load(part.name, unit, fingerprint(part.name, config, unit)) for unit in part.units(config)}
        table = part.summary(config, found).table
        assert isinstance(table, Table) and all(len(row) == len(table.header) for row in table.rows)
