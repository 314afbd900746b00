"""``owo run`` on files of any size: what it prints and writes, and that it goes on where it was stopped."""

import json
import os
import pathlib
import signal
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("pyarrow")

import pyarrow as pa
from pyarrow import parquet

import owo
from owo import cli, streaming
from tests.states import same

ROWS = 3000


def written(folder: pathlib.Path, n: int = 200_000, seed: int = 0, **columns: object) -> pathlib.Path:
    rng = np.random.default_rng(seed)
    X, user = rng.normal(size=(n, 3)), rng.integers(200, size=n)
    y = np.sum(X * (2.0 + 0.5 * rng.normal(size=(200, 3)))[user], axis=1) + 5.0
    table = {"user": user, "a": X[:, 0], "b": X[:, 1], "c": X[:, 2], "clicks": y, **columns}
    parquet.write_table(pa.table(table), folder / "log.parquet", row_group_size=20_000)
    return folder / "log.parquet"


def owo_run(*words: object) -> int:
    return cli.main(["run", *map(str, words)])


def test_a_parquet_file_is_learned_in_one_pass(tmp_path, capsys):
    path = written(tmp_path, 20_000)
    assert owo_run(path, "--task", "user", "--target", "clicks", "--out", tmp_path / "out") == 0
    shown = capsys.readouterr().out
    lines = {line.split("  ")[0]: line.split() for line in shown.splitlines()}
    gain = float(lines["OWO, per point"][-3])
    assert shown.startswith("log: 200 tasks, 20,000 points, d = 4\n") and gain > 30.0
    said = " ".join(shown.split())
    assert "no regret above its certificate" in said and "first 2,000 points" in said
    folder = tmp_path / "out" / "log"
    kept_files = ["curve.csv", "encoding.json", "features.json", "learner.owo", "report.txt", "run.owo"]
    assert sorted(os.listdir(folder)) == kept_files and (folder / "report.txt").read_text() in shown
    kept = owo.OnlineWithinOnline.load(folder / "learner.owo")
    assert json.loads((folder / "features.json").read_text()) == ["a", "b", "c"]
    encoding = owo.streams.Encoding.from_dict(json.loads((folder / "encoding.json").read_text()))
    assert (encoding.points, encoding.whole) == (2000, False) and "keep them open: --ends never" in said
    guess = encoding.original(kept.predict(encoding.transform([[1.0, 1.0, 1.0]])))
    assert guess[0] == pytest.approx(11.0, abs=1.5)
    curve = np.loadtxt(folder / "curve.csv", delimiter=",", skiprows=1, ndmin=2)
    assert curve[-1, 0] == 20_000 and (np.diff(curve, axis=0) >= 0.0).all()
    assert curve[-1, 2] == pytest.approx(kept.total_loss)


def test_the_same_numbers_as_from_memory(tmp_path):
    path = written(tmp_path, 20_000)
    owo_run(path, "--task", "user", "--target", "clicks", "--out", tmp_path)
    table = parquet.read_table(path)
    block = owo.streams.from_frame(table, task="user", target="clicks")
    encoding = owo.streams.Encoding.fit(block.X[:2000], block.y[:2000], block.task[:2000], 1.0)
    one = owo.OnlineWithinOnline(owo.Absolute(), history="spans", bias=np.zeros(4))
    one.run(encoding.block(block))
    kept = owo.OnlineWithinOnline.load(tmp_path / "log" / "learner.owo")
    np.testing.assert_array_equal(one.ledger.rows, kept.ledger.rows)
    np.testing.assert_array_equal(one.bias, kept.bias)


INTERRUPTED = """
import sys
from owo import cli
from owo.streams.files import stream

real, blocks = stream.FileStream.blocks, [0]

def blocks_of(self):
    for block in real(self):
        blocks[0] += 1
        if blocks[0] == 4:
            print("now", flush=True)
            sys.stdin.readline()
        yield block

stream.FileStream.blocks = blocks_of
sys.exit(cli.main(sys.argv[1:]))
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=["Ctrl-C", "kill -9"])
def test_a_run_that_was_stopped_is_taken_up_and_ends_with_the_same_bits(how, tmp_path, capsys):
    path = written(tmp_path, 400_000)
    words = [
        "run",
        str(path),
        "--task",
        "user",
        "--target",
        "clicks",
        "--every",
        "1e-9",
        "--out",
        str(tmp_path / "out"),
    ]
    run = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert run.stdout.readline() == b"now\n"
    run.send_signal(how)
    _, told = run.communicate(b"\n")
    if how == signal.SIGINT:
        assert run.returncode == 130 and b"stopped and saved to" in told and b"--resume goes on" in told
    saved = tmp_path / "out" / "log" / "run.owo"
    half = streaming.Run.load(saved)
    assert 0 < half.position["position"] < 400_000 and half.position["position"] % 32768 == 0 and not half.finished
    assert cli.main(words) == 2
    assert "is of a run that was stopped. Go on with it: --resume" in capsys.readouterr().err
    assert cli.main([*words, "--resume"]) == 0
    shown = capsys.readouterr().out
    again = streaming.Run.load(saved)
    whole = ["--out" if word == "--out" else word for word in words[:-1]] + [str(tmp_path / "whole")]
    assert cli.main(whole) == 0
    plain = capsys.readouterr().out
    assert shown.splitlines()[:7] == plain.splitlines()[:7]
    at_once = streaming.Run.load(tmp_path / "whole" / "log" / "run.owo")
    assert again.finished and again.position == at_once.position and again.points == 400_000
    for name, learner in again.learners.items():
        same(learner, at_once.learners[name])
    assert cli.main([*words, "--resume"]) == 0  # there is nothing left to learn, and it says the same
    assert capsys.readouterr().out.splitlines()[:7] == plain.splitlines()[:7]


def test_a_violated_certificate_is_said_and_ends_with_status_1(tmp_path, capsys, monkeypatch):
    path = written(tmp_path, 2000)
    monkeypatch.setattr(owo.CoinBetting, "bound", lambda self, account, distance: -1e9 + 0.0 * distance)
    assert owo_run(path, "--task", "user", "--target", "clicks", "--out", tmp_path) == 1
    assert "CERTIFICATE VIOLATED: after task" in capsys.readouterr().out


def test_another_file_is_not_taken_up(tmp_path, capsys, monkeypatch):
    path = written(tmp_path, 80_000)
    words = ["run", str(path), "--task", "user", "--target", "clicks", "--out", str(tmp_path)]
    assert cli.main(words) == 0
    written(tmp_path, 80_000, seed=1)
    assert cli.main([*words, "--resume"]) == 2
    assert "into another stream: size was" in capsys.readouterr().err.replace("head was", "size was")
    written(tmp_path, 80_000)
    assert cli.main([*words, "--resume", "--strength", "2"]) == 2
    assert "the run was begun with OnlineWithinOnline(" in capsys.readouterr().err
    (tmp_path / "log" / "run.owo").write_bytes(b"something else")
    assert cli.main([*words, "--resume"]) == 2
    assert "run.owo is damaged or not a checkpoint" in capsys.readouterr().err
    (tmp_path / "log" / "run.owo").unlink()
    assert cli.main([*words, "--resume"]) == 0
    assert "nothing was saved to" in capsys.readouterr().err


def test_bad_rows_are_refused_or_skipped_and_counted(tmp_path, capsys):
    rng = np.random.default_rng(0)
    holes = pa.array(rng.normal(size=5000), mask=np.arange(5000) % 500 == 7)
    day = pa.array(rng.choice(["mon", "tue"], 5000))
    path = written(tmp_path, 5000, holes=holes, day=day)
    words = ["run", str(path), "--task", "user", "--target", "clicks", "--out", str(tmp_path)]
    assert cli.main(words) == 2
    assert "column 'day' is of type string; needed numbers; take --categories day" in capsys.readouterr().err
    words += ["--categories", "day"]
    assert cli.main(words) == 2
    assert "row 7, column 'holes' (task" in capsys.readouterr().err
    assert cli.main([*words, "--missing", "skip"]) == 0
    shown = capsys.readouterr().out
    assert "rows left out: holes: missing 10." in shown and "4,990 points, d = 7" in shown


def test_options_that_do_not_go_together_are_refused(tmp_path, capsys):
    path = written(tmp_path, 100)
    for words, told in (
        ([path], "needs --task COLUMN and --target COLUMN"),
        (["wagepan", "--resume"], "wagepan is a data set, which is in memory as a whole"),
        ([path, "wagepan", "--task", "user", "--target", "clicks"], "wagepan is not read as a stream"),
        ([path, path, "--task", "user", "--target", "clicks"], "would be written to the same folder"),
        ([path, "--task", "usr", "--target", "clicks"], "Did you mean 'user'?"),
        ([path, "--task", "user", "--target", "clicks", "--orders", "3"], "--orders is for data in memory"),
        (["wagepan", "--missing", "skip"], "--missing is for files that are read block by block; add --stream"),
        (
            [path, "--task", "user", "--target", "clicks", "--every", "0"],
            "every is 0.0; needed a finite number above 0",
        ),
        ([path, "--task", "user", "--target", "clicks", "--strength", "-1"], "strength is -1.0"),
        (["none.parquet", "--task", "user", "--target", "clicks"], "no such file: none.parquet"),
    ):
        assert owo_run(*words, "--out", tmp_path) == 2
        assert told in capsys.readouterr().err
    path.write_bytes(path.read_bytes()[:-100])
    assert owo_run(path, "--task", "user", "--target", "clicks", "--out", tmp_path) == 2
    assert "not a Parquet file that can be read, or a damaged one" in capsys.readouterr().err


def test_a_csv_file_can_be_streamed_and_the_bar_shows_bytes(tmp_path, capsys, monkeypatch):
    rng = np.random.default_rng(0)
    rows = [f"s{rng.integers(5)},{a:.6f},{3 * a + 1:.6f}" for a in rng.normal(size=3000)]
    (tmp_path / "sales.csv").write_text("\n".join(["shop,price,sold", *rows]) + "\n")
    seen = []
    monkeypatch.setattr("owo.cli_streams.Bar.__call__", lambda self, part, doing: seen.append((part, doing)))
    words = (tmp_path / "sales.csv", "--task", "shop", "--target", "sold", "--stream", "--out", tmp_path)
    assert owo_run(*words, "--ends", "never") == 0
    assert "0 tasks ended, 5 tasks open" in capsys.readouterr().out.replace("\n  ", " ")
    assert owo_run(*words) == 0
    assert "sales: 5 tasks, 3,000 points, d = 2" in capsys.readouterr().out
    assert seen[-1] == (1.0, "3,000 points") and any(doing.startswith("first pass") for _, doing in seen)
