"""The ``owo`` command.

``owo run`` streams data sets through online-within-online learners and shows what was gained; ``owo doctor`` looks at
the installation. Exit status: 0 if all is well, 1 if a certificate was violated or the doctor found something, 2 if
the command or its data cannot be used, 130 if interrupted.
"""

from __future__ import annotations

import argparse
import difflib
import itertools
import os
import pathlib
import re
import shlex
import shutil
import sys
import textwrap
import time
from collections.abc import Sequence
from typing import Any, NoReturn

import owo
from owo import doctor, table
from owo.compare import Comparison, Data, Settings, compare
from owo.streams import datasets, from_csv
from owo.streams.columns import doubt, header

STREAMED = {"time": None, "missing": "raise", "categories": None, "ends": "last", "every": 60.0}
"""Options of files that are read block by block, and what they are where they are not given."""

SHIPPED = ("wagepan", "airfare", "countymurders")

LOSSES: dict[str, Any] = {
    "absolute": owo.Absolute,
    "epsilon-insensitive": owo.EpsilonInsensitive,
    "pinball": owo.Pinball,
    "huber": owo.Huber,
    "squared": owo.Squared,
    "hinge": owo.Hinge,
    "squared-hinge": owo.SquaredHinge,
    "logistic": owo.Logistic,
}

EXAMPLES = """\
examples:
  owo run                              the three data sets that come with owo[data]
  owo run wagepan --loss hinge         one of them, wages above or below the median
  owo run sales.csv --task store --target units
                                       a file of your own: a model for every store
  owo run sales.csv --task store --target units --features price,weekday --loss pinball:0.9
  owo run log.parquet --task user --target clicks --missing skip
                                       a file larger than memory, in one pass; Ctrl-C, then --resume
  owo doctor                           is this installation in order?
"""

RUN_EXAMPLES = """\
The table, figures, arrays and a page that holds them all, report.html, go to results/NAME/, or with another loss
than the default to results/NAME-LOSS/, as in results/airfare-hinge/. Of files of any size there are the learner, its
encoding of points, the curve of losses, and the page in report.txt.

data sets: {names}
losses:    {losses}
           a number after a colon sets the loss's own: pinball:0.9, huber:0.5, epsilon-insensitive:0.2
"""


class Refused(Exception):
    """The command, or what it was given, cannot be used: a message for the user, exit status 2."""


# ----------------------------------------------------------------------------------------------- the command line


class _Parser(argparse.ArgumentParser):
    """As usual, but a wrong word is answered with the nearest right one."""

    def error(self, message: str) -> NoReturn:
        wrong = re.search(r"(?:unrecognized arguments: |invalid choice: ')([^\s'=]+)", message)
        near = difflib.get_close_matches(wrong[1], _words(self), n=1) if wrong else []
        if wrong and (wrong[1] in datasets.names() or pathlib.Path(wrong[1]).is_file()):
            near = [f"{self.prog} run {wrong[1]}"]
        hint = f". Did you mean {near[0]}?" if near else ""
        self.exit(2, f"{self.prog}: {message.split(' (choose')[0]}{hint}\nSee: {self.prog} --help\n")


def _words(parser: argparse.ArgumentParser) -> list[str]:
    """All options and commands of a parser and of those below it."""
    below = [each for action in parser._actions if isinstance(action.choices, dict) for each in action.choices.items()]
    words = [*parser._option_string_actions, *(name for name, _ in below)]
    return words + [word for _, each in below for word in _words(each)]


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="owo", description="Online-within-online meta-learning.", epilog=EXAMPLES, allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--version", action="version", version=f"owo {owo.__version__}")
    commands = parser.add_subparsers(dest="command", metavar="command", title="commands")
    _add_run(commands)
    about = "look at versions, cache, compiler, solvers and data; say how to fix what is wrong"
    commands.add_parser("doctor", help=about, description=about.capitalize() + ".", allow_abbrev=False)
    return parser


def _add_run(commands: Any) -> None:
    run = commands.add_parser(
        "run", help="stream data sets through the learners and compare them", allow_abbrev=False,
        description="Stream data through learners with and without a memory across tasks, and compare them.",
        epilog=RUN_EXAMPLES.format(names=", ".join(datasets.names()), losses=", ".join(LOSSES)),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    run.add_argument("data", nargs="*", metavar="DATA", help=f"data sets or files (default: {' '.join(SHIPPED)})")
    run.add_argument("--task", metavar="COLUMN", help="column of a file that says which task a row belongs to")
    run.add_argument("--target", metavar="COLUMN", help="column to predict")
    run.add_argument("--features", metavar="A,B,...", help="columns to predict from (default: all others)")
    run.add_argument(
        "--delimiter", default=",", metavar="C", help="what separates the fields of a CSV file (default: ,)"
    )
    run.add_argument("--loss", default="absolute", type=_loss, metavar="NAME", help="default: absolute")
    run.add_argument("--orders", default=10, type=int, metavar="N", help="random orders of the tasks (default: 10)")
    run.add_argument("--seed", default=0, type=int, metavar="N", help="of these orders (default: 0)")
    run.add_argument(
        "--strength", type=float, metavar="S", help="of the learners inside tasks (default: best of a grid)"
    )
    run.add_argument("--step", type=float, metavar="E", help="of the learners across tasks (default: best of a grid)")
    run.add_argument("--fraction", default=0.1, type=float, metavar="F",
                     help="part of the tasks (mixed: of the points), the first, that scales are taken from "
                     "(default: 0.1)")  # fmt: skip
    run.add_argument("--out", default="results", metavar="FOLDER", help="default: results")
    about = (
        "Parquet, Arrow, folders of NumPy arrays; CSV with --stream or --resume. One pass, block by block, saved on "
        "the way. Learners are parameter-free where no strength or step is given; --orders, --seed and --fraction "
        "do nothing."
    )
    stream = run.add_argument_group("files of any size", "\n".join(textwrap.wrap(about, 104)))
    stream.add_argument("--stream", action="store_true", help="read CSV so, too")
    stream.add_argument(
        "--time", metavar="COLUMN", help="check that the rows of each task are in the order of this one"
    )
    left_out = "rows that lack a value or cannot be learned: an error (default), or left out and counted"
    stream.add_argument("--missing", default="raise", choices=("raise", "skip"), help=left_out)
    stream.add_argument("--categories", metavar="A,B,...", help="columns of text, each to be 0/1 columns of its values")
    stream.add_argument(
        "--ends",
        default="last",
        choices=("last", "change", "never"),
        help="where a task ends: at its last row (default), where another begins, never",
    )
    stream.add_argument("--every", default=60.0, type=float, metavar="SECONDS", help="between two saves (default: 60)")
    stream.add_argument("--resume", action="store_true", help="go on where a run that was stopped was saved last")


def _refuse_spaces(argv: list[str]) -> None:
    """Features are one word, separated by commas; what they look like with spaces is no mistake of argparse's."""
    at = next((i for i, word in enumerate(argv) if word.partition("=")[0] == "--features"), None)
    if at is None:
        return
    given = [argv[at].partition("=")[2], *itertools.takewhile(lambda word: not word.startswith("-"), argv[at + 1 :])]
    first, *others = [word for word in given if word] or [""]
    others = [word for word in others if word not in datasets.names() and not pathlib.Path(word).is_file()]
    others = [word for word in others if not re.search(r"[/\\]|\.[ct]sv$", word)]
    if others:
        names = ",".join(word.strip(",") for word in (first, *others) if word.strip(","))
        raise Refused(f"features are separated by commas, without spaces; type --features {shlex.quote(names)}")


def _loss(words: str) -> Any:
    name, colon, value = words.partition(":")
    if name not in LOSSES:
        near = difflib.get_close_matches(name, LOSSES, n=1, cutoff=0.0)[0]
        raise argparse.ArgumentTypeError(f"no loss {name!r}; there are {', '.join(LOSSES)}. Did you mean {near!r}?")
    kind = LOSSES[name]
    if colon and not kind._fields:
        raise argparse.ArgumentTypeError(f"{name} has no number to set; leave out {colon + value!r}")
    try:
        return kind(float(value)) if colon else kind()
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{words!r}: {error}") from None


def suffix_of(loss: Any) -> str:
    """What the name of a folder says of the loss: nothing of the default one.

    >>> suffix_of(owo.Absolute()), suffix_of(owo.SquaredHinge()), suffix_of(owo.Pinball(0.9))
    ('', '-squared-hinge', '-pinball-0.9')
    """
    name = next(name for name, kind in LOSSES.items() if type(loss) is kind)
    numbers = [f"{value:g}" for value in loss] if loss != LOSSES[name]() else []
    return "" if name == "absolute" else "-".join(["", name, *numbers])


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")  # a terminal that cannot show ± shows ?
    try:
        parser = _parser()
        _refuse_spaces(list(sys.argv[1:] if argv is None else argv))
        options = parser.parse_args(argv)
        if options.command is None:
            parser.print_help(sys.stderr)
            return 2
        return _doctor() if options.command == "doctor" else _run(options)
    except Refused as refusal:
        print(f"owo: {refusal}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nowo: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # as in `owo run | head`: nobody reads on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


# ----------------------------------------------------------------------------------------------------- owo doctor


def _doctor() -> int:
    ill = 0
    for finding in doctor.examine():
        ill += not finding.well
        print(f"{'OK     ' if finding.well else 'PROBLEM'}  {finding.what:14} {finding.found}", flush=True)
        if finding.cure:
            print(f"{'':9}{'':14} {'' if finding.well else 'fix: '}{finding.cure}", flush=True)
    print("All is well." if not ill else f"{ill} problem{'s' if ill > 1 else ''}; the fixes stand above.")
    return 1 if ill else 0


# -------------------------------------------------------------------------------------------------------- owo run


def _run(options: argparse.Namespace) -> int:
    try:
        settings = Settings(
            options.loss, options.orders, options.seed, options.strength, options.step, options.fraction
        )
    except ValueError as error:
        raise Refused(str(error)) from None
    sources = options.data or list(SHIPPED)
    if any(is_streamed(source, options) for source in sources):
        from owo.cli_streams import run_streams

        return run_streams(sources, options)
    given = [name for name, usual in STREAMED.items() if getattr(options, name) != usual]
    if given:
        raise Refused(f"--{given[0]} is for files that are read block by block; add --stream")
    folders = [
        pathlib.Path(options.out) / f"{pathlib.Path(source).stem}{suffix_of(options.loss)}" for source in sources
    ]
    if len(set(folders)) < len(folders):
        raise Refused("two of these would be written to the same folder; run them apart, each with its own --out")
    if (options.task or options.target or options.features) and set(sources) <= set(datasets.names()):
        raise Refused("--task, --target and --features are for files; data sets have columns of their own")
    loaded = [_load(source, options) for source in sources]
    for folder in folders:
        require_writable(folder)
    comparisons = [_compare(data, settings, folder) for data, folder in zip(loaded, folders, strict=True)]
    for line in table.notes(comparisons[0]):
        print_wrapped(line)
    return 1 if any(comparison.violations for comparison in comparisons) else 0


def is_streamed(source: str, options: argparse.Namespace) -> bool:
    """Whether a source is read block by block: asked for, or of a form that nothing else reads."""
    if source in datasets.names():
        if options.stream or options.resume:
            raise Refused(f"{source} is a data set, which is in memory as a whole; --stream and --resume are for files")
        return False
    whole = not re.search(r"\.(parquet|arrow|feather|ipc)$", source.lower()) and not pathlib.Path(source).is_dir()
    return bool(options.stream or options.resume or not whole)


def _load(source: str, options: argparse.Namespace) -> Data:
    """A data set by name, or a CSV file."""
    if source in datasets.names():
        try:
            found = datasets.load(source)
        except (ImportError, OSError, ValueError) as error:
            raise Refused(f"{error}") from None
        return Data(source, found.block(), found.columns, found.source)
    if not pathlib.Path(source).exists() and not re.search(r"[./\\]", source):
        near = difflib.get_close_matches(source, datasets.names(), n=1, cutoff=0.0)[0]
        raise Refused(f"no data set and no file {source!r}; data sets are {', '.join(datasets.names())}. "
                      f"Did you mean {near!r}?")  # fmt: skip
    try:
        return _load_csv(source, options)
    except FileNotFoundError:
        raise Refused(f"no such file: {source}") from None
    except OSError as error:
        raise Refused(f"{source} cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise Refused(str(error)) from None


def _load_csv(source: str, options: argparse.Namespace) -> Data:
    delimiter = delimiter_of(source, options)
    names = header(source, delimiter)
    if not (options.task and options.target):
        raise Refused(f"{source} needs --task COLUMN and --target COLUMN; its columns are {', '.join(names)}"
                      f"{doubt(names, delimiter)}")  # fmt: skip
    features = [name.strip() for name in options.features.split(",")] if options.features else None
    block = from_csv(source, task=options.task, target=options.target, features=features, delimiter=delimiter)
    columns = features or [name for name in names if name not in (options.task, options.target, "")]
    about = f"{options.target} of each {options.task}, from {pathlib.Path(source).name}"
    return Data(pathlib.Path(source).stem, block, tuple(columns), about)


def delimiter_of(source: str, options: argparse.Namespace) -> str:
    """What separates the fields of a file, or a refusal."""
    delimiter: str = options.delimiter.replace("\\t", "\t")
    if delimiter == "," and source.endswith(".tsv"):
        return "\t"
    if len(delimiter) != 1:
        raise Refused(f"--delimiter is {options.delimiter!r}; needed one character, as in --delimiter ';'")
    return delimiter


def require_writable(folder: pathlib.Path) -> None:
    """Make the folder, or refuse."""
    try:
        doctor.require_writable(folder)
    except OSError as error:
        raise Refused(f"cannot write to {folder}: {error.strerror or error}. Name another folder with --out") from None


def _compare(data: Data, settings: Settings, folder: pathlib.Path) -> Comparison:
    """Run, write and print one data set."""
    from owo import report

    began = time.perf_counter()
    bar = Bar(data.name)
    try:
        comparison = compare(data, settings, bar)
        bar(1.0, "figures")
        report.write(comparison, folder)
    except (ArithmeticError, ValueError, OSError) as error:
        raise Refused(f"{data.name}: {error}") from None
    finally:
        bar.clear()
    print(f"{data.name}: {table.size(comparison)}")
    print_wrapped(data.source)
    print()
    print_table(table.table(comparison))
    print()
    for line in table.remarks(comparison):
        print_wrapped(line)
    print(
        f"{time.perf_counter() - began:.1f} s. Figures and all of this on one page: {folder / 'report.html'}\n",
        flush=True,
    )
    return comparison


def print_wrapped(words: str) -> None:
    """Print a line, broken where it is too long."""
    print(textwrap.fill(words, 104, subsequent_indent="  "))


def print_table(cells: table.Table) -> None:
    """Columns apart by two spaces, the first to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(cells.header, *cells.rows, strict=True)]
    at, groups = 0, []
    for title, span in cells.groups:
        shown = f" {title} " if title else ""
        room = sum(widths[at : at + span]) + 2 * (span - 1)
        widths[at] += max(0, len(shown) - room)
        groups.append(shown.center(max(room, len(shown)), "-" if title else " "))
        at += span
    print("  ".join(groups).rstrip())
    for row in (cells.header, *cells.rows):
        first, *others = (cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join([row[0].ljust(len(first)), *others]).rstrip())


class Bar:
    """A progress bar on standard error, where that is a terminal; else nothing."""

    def __init__(self, name: str) -> None:
        self.name, self.shown, self.last = name, sys.stderr.isatty(), 0.0

    def __call__(self, part: float, doing: str) -> None:
        now = time.perf_counter()
        if not self.shown or (now - self.last < 0.05 and part < 1.0):
            return
        self.last = now
        room = shutil.get_terminal_size().columns - 1
        line = f"{self.name} [{'#' * round(30 * part):30}] {part:4.0%} {doing}"
        sys.stderr.write("\r" + line[:room].ljust(room))
        sys.stderr.flush()

    def clear(self) -> None:
        """Leave an empty line."""
        if self.shown:
            sys.stderr.write("\r" + " " * (shutil.get_terminal_size().columns - 1) + "\r")
            sys.stderr.flush()
