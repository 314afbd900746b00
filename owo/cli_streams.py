"""``owo run`` on files that are read block by block."""

from __future__ import annotations

import argparse
import contextlib
import io
import pathlib
import re
import sys
from typing import Any

from owo import checkpoint, streaming
from owo.cli import Bar, Refused, delimiter_of, is_streamed, print_table, print_wrapped, require_writable, suffix_of
from owo.ledger import CertificateViolation
from owo.streams import from_file
from owo.streams.block import count


def run_streams(sources: list[str], options: argparse.Namespace) -> int:
    """Files that are read block by block."""
    others = [source for source in sources if not is_streamed(source, options)]
    if others:
        raise Refused(f"{others[0]} is not read as a stream, as others are; run them apart, or add --stream")
    if not (options.task and options.target):
        raise Refused(f"{sources[0]} needs --task COLUMN and --target COLUMN")
    for name, usual in (("orders", 10), ("seed", 0), ("fraction", 0.1)):
        if getattr(options, name) != usual:
            raise Refused(f"--{name} is for data in memory; a file that is read in one pass has one order, its own")
    folders = [
        pathlib.Path(options.out) / f"{pathlib.Path(source).stem}{suffix_of(options.loss)}" for source in sources
    ]
    if len(set(folders)) < len(folders):
        raise Refused("two of these would be written to the same folder; run them apart, each with its own --out")
    return max(_stream(source, folder, options) for source, folder in zip(sources, folders, strict=True))


def _stream(source: str, folder: pathlib.Path, options: argparse.Namespace) -> int:
    """Learn from one file, block by block; write and print what came of it. 1 if a certificate was violated."""
    categories = dict.fromkeys(_listed(options.categories) or (), "observe")
    name = pathlib.Path(source).stem
    bar, path, run = Bar(name), folder / streaming.CHECKPOINT, None
    try:
        ways = streaming.Ways(options.loss, options.strength, options.step, options.missing == "skip", options.every)
        ways.check()
        stream = from_file(
            source, options.task, options.target, _listed(options.features), time=options.time, missing=options.missing,
            categories=categories, ends=options.ends, delimiter=delimiter_of(source, options),
        )  # fmt: skip
        require_writable(folder)
        run = _taken_up(path, options.resume)
        stream.prepare(lambda read, size: bar(read / max(size, 1), "first pass: where tasks end"))
        if run is None:
            run = streaming.begun(stream, ways)
        run.learn(stream, ways, path, bar)
        run.write(folder)
    except KeyboardInterrupt:
        bar.clear()
        if run is not None and run.position is not None:
            print(f"owo: stopped and saved to {path}; the same command with --resume goes on", file=sys.stderr)
        raise
    except FileNotFoundError as error:
        raise Refused(str(error)) from None
    except (ArithmeticError, ValueError, TypeError, ImportError) as error:
        raise Refused(_as_options(str(error))) from None
    except OSError as error:
        raise Refused(f"{name}: {error.strerror or error}") from None
    finally:
        bar.clear()
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        status = _print(name, run, folder)
    print(shown.getvalue(), flush=True)
    with checkpoint.replacing(folder / streaming.REPORT) as file:
        file.write(shown.getvalue().encode())
    return status


def _print(name: str, run: streaming.Run, folder: pathlib.Path) -> int:
    """Table and remarks; 1 if a certificate was violated."""
    print(f"{name}: {count(run.tasks, 'task')}, {count(run.points, 'point')}, d = {run.encoding.d}\n")
    try:
        print_table(run.table())
    except CertificateViolation as violation:
        print_wrapped(f"CERTIFICATE VIOLATED: {violation}")
        return 1
    print()
    for line in run.remarks():
        print_wrapped(line)
    if not run.learners[streaming.OWO].open_tasks:
        print_wrapped(
            "All tasks have ended, so the learner knows what they had in common, and nothing of each. To predict for "
            "tasks of this file, keep them open: --ends never."
        )
    print_wrapped(
        f"{run.seconds:.1f} s. In {folder}: this page ({streaming.REPORT}), the learner ({streaming.LEARNER}), its "
        f"encoding of points ({streaming.ENCODING}) and the columns they have ({streaming.FEATURES}), the curve of "
        f"losses ({streaming.CURVE})"
    )
    return 0


def _taken_up(path: pathlib.Path, resume: bool) -> Any:
    """The run that was saved there, if it is to be taken up; nothing that is not finished is begun over."""
    if not path.exists():
        if resume:
            print(f"owo: nothing was saved to {path}; the run begins anew", file=sys.stderr)
        return None
    if resume:
        return streaming.Run.load(path)
    try:
        unfinished = not streaming.Run.load(path).finished
    except ValueError:
        unfinished = False
    if unfinished:
        raise Refused(f"{path} is of a run that was stopped. Go on with it: --resume. Or remove it, to begin anew")
    return None


def _as_options(words: str) -> str:
    """What to do about an error, as options of the command.

    >>> _as_options("encode it with categories={'plan': 'observe'}, or fill it in with missing={'a': ...}; time='day'")
    'take --categories plan; --time day'
    """
    words = re.sub(r"encode (?:it|categories) with categories=\{'(.+?)': 'observe'\}", r"take --categories \1", words)
    words = re.sub(r", or fill it in with missing=\{.+?\}", "", words)
    words = re.sub(r"missing='skip'", "--missing skip", words)
    return re.sub(r"time='(.+?)'", r"--time \1", words)


def _listed(words: str | None) -> list[str] | None:
    """Names of columns, separated by commas."""
    return [name.strip() for name in words.split(",")] if words else None
