"""The command: ``python -m theory.validate``.

Exit status: 0 if all is as the theory says, 1 if something is not, 2 if the command cannot be used, 3 if a unit could
not be computed, 130 if interrupted.
"""

from __future__ import annotations

import argparse
import difflib
import os
import pathlib
import shlex
import sys
import textwrap
import time
from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import NoReturn

from owo.doctor import require_writable
from theory.validate import runner
from theory.validate.part import Arrays, Part, Table
from theory.validate.progress import Progress
from theory.validate.runner import PARTS, Done, Job
from theory.validate.section import SHOWN, Section, again, overview, told, verdict

ABOUT = """\
Hold everything that the theory claims against runs of owo. The tables are printed; figures, arrays and a page that
holds them all, report.html, go to the folder --out. The full mode takes minutes, --quick seconds. Interrupted, the same
command goes on where it stopped; what was computed with other sources, versions or settings is computed again."""

EXAMPLES = """\
examples:
  python -m theory.validate                           everything; to results/theory
  python -m theory.validate --quick                   the same with fewer runs; to results/theory-quick
  python -m theory.validate --parts levels,adversary  some parts only
  python -m theory.validate --unit levels/bias/17     one unit again, here the run of seed 17 of the setting 'bias'
"""


class Refused(Exception):
    """The command cannot be carried out; the message says what to do."""


class Parser(argparse.ArgumentParser):
    """Errors in one line."""

    def error(self, message: str) -> NoReturn:
        """Leave with status 2."""
        raise Refused(f"{message} (python -m theory.validate --help says more)")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    try:
        options = _parser().parse_args(argv)
        return _again(options) if options.unit else _validate(options)
    except Refused as refusal:
        print(f"theory.validate: {refusal}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # as in `... | head`: nobody reads on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print("\ntheory.validate: interrupted", file=sys.stderr)
        return 130


def _parser() -> Parser:
    parser = Parser("python -m theory.validate", description=ABOUT, epilog=EXAMPLES,
                    formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="seconds instead of minutes: fewer runs")
    out = "where results go (default: results/theory, with --quick results/theory-quick)"
    parser.add_argument("--out", type=pathlib.Path, metavar="FOLDER", help=out)
    parts = f"which parts to run, of {', '.join(PARTS)} (default: all)"
    parser.add_argument("--parts", type=_parts, default=tuple(PARTS.values()), metavar="A,B", help=parts)
    processes = "processes at work (default: one for each core, here %(default)s)"
    parser.add_argument("--processes", type=_count, default=_cores(), metavar="N", help=processes)
    parser.add_argument("--unit", metavar="PART/NAME", help="compute one unit, print it and what is wrong with it")
    return parser


def _parts(words: str) -> tuple[Part, ...]:
    return tuple(_part(name) for name in dict.fromkeys(words.split(",")))


def _part(name: str) -> Part:
    if name not in PARTS:
        near = difflib.get_close_matches(name, PARTS, n=1, cutoff=0.0)[0]
        raise argparse.ArgumentTypeError(f"no part {name!r}; there are {', '.join(PARTS)}. Did you mean {near!r}?")
    return PARTS[name]


def _count(words: str) -> int:
    if not words.isdecimal() or int(words) < 1:
        raise argparse.ArgumentTypeError(f"{words!r} is no number of processes; needed a whole number, 1 or more")
    return int(words)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


# --------------------------------------------------------------------------------------------------------- one unit


def _again(options: argparse.Namespace) -> int:
    name, _, unit = options.unit.partition("/")
    try:
        part = _part(name)
    except argparse.ArgumentTypeError as error:
        raise Refused(f"argument --unit: {error}") from None
    config = part.config(options.quick)
    try:
        found = part.measure(config, unit)
    except (ValueError, IndexError, KeyError) as error:
        some = ", ".join(f"{name}/{each}" for each in list(part.units(config))[:3])
        raise Refused(f"unit {options.unit!r} cannot be computed: {error}. Units are {some}, ...") from error
    for key, values in found.items():
        print(f"{key}: {values.tolist()}")
    violations = part.judge(config, unit, found)
    for violation in violations:
        print(f"VIOLATION  {violation.what}")
    print(f"{len(violations)} violations")
    return 1 if violations else 0


# ------------------------------------------------------------------------------------------------------- everything


def _validate(options: argparse.Namespace) -> int:
    began = time.monotonic()
    out = options.out or pathlib.Path("results") / f"theory{'-quick' if options.quick else ''}"
    try:
        require_writable(out)
    except OSError as error:
        raise Refused(f"cannot write to {out}: {error.strerror or error}. Name another folder with --out") from None
    jobs = {
        job: seconds
        for part in options.parts
        for job, seconds in runner.jobs_of(part, options.quick, out / "units").items()
    }
    try:
        finished, failed = _computed(jobs, options.processes, out)
    except KeyboardInterrupt:
        print(f"\ninterrupted; what was finished is kept. To go on: {_command(options)}", file=sys.stderr)
        return 130
    if failed:
        return _failed(failed, options)
    sections = tuple(_section(part, options.quick, jobs, finished) for part in options.parts)
    _written(sections, options, out)
    for section in sections:
        _print_section(section, options.quick)
    print("\n".join(as_lines(overview(sections))))
    taken = Progress.words(time.monotonic() - began)
    print(f"\n{verdict(sections)} {taken}. Figures and all of this on one page: {out / 'report.html'}")
    return 1 if any(section.wrong for section in sections) else 0


def _computed(jobs: dict[Job, float], processes: int, out: pathlib.Path) -> tuple[dict[Job, Arrays], list[Done]]:
    """What came of all jobs, computed now or kept from an earlier run; and those that failed."""
    finished = {done.job: done.found for done in runner.kept(list(jobs)) if done.found is not None}
    left = {job: seconds for job, seconds in jobs.items() if job not in finished}
    failed: list[Done] = []
    progress = Progress(sum(left.values()), len(left))
    kept = f", {len(finished) if left else 'all'} of them kept from an earlier run" if finished else ""
    progress.say(f"{len(jobs)} units{kept}{f'; {min(processes, len(left))} at a time' if left else ''}")

    def note(done: Done) -> None:
        if done.found is None:
            failed.append(done)
        else:
            finished[done.job] = done.found
            if PARTS[done.job.part].judge(PARTS[done.job.part].config(done.job.quick), done.job.unit, done.found):
                progress.say(f"violation in {done.job.part}/{done.job.unit}")
        progress(jobs[done.job], f"{done.job.part}/{done.job.unit}")

    try:
        if left:
            runner.run(left, processes, note)
    except BrokenPipeError:
        raise
    except OSError as error:
        cure = "Make room, or name another folder with --out; what was finished is kept"
        raise Refused(f"cannot write to {out}: {error.strerror or error}. {cure}") from None
    except BrokenProcessPool:
        cure = "what was finished is kept. Run it again to go on, with fewer --processes"
        raise Refused(f"a process was killed, perhaps because memory ran out; {cure}") from None
    finally:
        progress.clear()
    return finished, failed


def _failed(failed: Sequence[Done], options: argparse.Namespace) -> int:
    quick = options.quick
    for done in failed[:SHOWN]:
        print(f"{done.job.part}/{done.job.unit} could not be computed:\n{textwrap.indent(done.error.rstrip(), '  ')}")
        print(f"  again: {again(f'{done.job.part}/{done.job.unit}', quick)}")
    print(f"{len(failed)} units could not be computed, so nothing is shown; the others are kept")
    return 3


def _section(part: Part, quick: bool, jobs: dict[Job, float], finished: dict[Job, Arrays]) -> Section:
    config = part.config(quick)
    mine = {job.unit: finished[job] for job in jobs if job.part == part.name}
    violations = tuple(one for unit, found in mine.items() for one in part.judge(config, unit, found))
    return Section(part, part.summary(config, mine), violations)


def _written(sections: tuple[Section, ...], options: argparse.Namespace, out: pathlib.Path) -> None:
    from theory.validate import page  # matplotlib, which processes at work need not load

    try:
        page.write(sections, options.quick, _command(options), out)
    except OSError as error:
        raise Refused(f"cannot write to {out}: {error.strerror or error}. Name another folder with --out") from None


def _command(options: argparse.Namespace) -> str:
    words = ["--quick"] if options.quick else []
    words += ["--out", str(options.out)] if options.out else []
    if options.parts != tuple(PARTS.values()):
        words += ["--parts", ",".join(part.name for part in options.parts)]
    return shlex.join(["python", "-m", "theory.validate", *words])


# --------------------------------------------------------------------------------------------------------- in words


def _print_section(section: Section, quick: bool) -> None:
    print(f"{section.part.title} ({section.summary.runs:,} runs)")
    print("\n".join(as_lines(section.summary.table)))
    for line in told(section, quick):
        print(line if line.startswith("  ") else f"VIOLATION  {line}")
    print(flush=True)


def as_lines(table: Table) -> list[str]:
    """A table in columns: words to the left, numbers to the right; long headings in several lines.

    >>> as_lines(Table(("setting", "closed / certificate"), (("bias", "1.5"),)))
    ['            closed /', 'setting  certificate', '--------------------', 'bias             1.5']
    """
    columns = list(zip(*table.rows, strict=True))
    heads = [
        textwrap.wrap(head, max(8, *map(len, column)), break_long_words=False)
        for head, column in zip(table.header, columns, strict=True)
    ]
    deep = max(map(len, heads))
    stacked = [[""] * (deep - len(head)) + head for head in heads]
    widths = [max(map(len, (*head, *column))) for head, column in zip(stacked, columns, strict=True)]
    aligns = [str.ljust if words else str.rjust for words in table.words]
    lines = [
        "  ".join(align(cell, width) for align, cell, width in zip(aligns, row, widths, strict=True)).rstrip()
        for row in (*zip(*stacked, strict=True), *table.rows)
    ]
    return [*lines[:deep], "-" * (sum(widths) + 2 * (len(widths) - 1)), *lines[deep:]]
