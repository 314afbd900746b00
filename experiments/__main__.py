"""``python -m experiments``: see ``--help``."""

from __future__ import annotations

import argparse
import os
import pathlib
import sys
from collections.abc import Sequence

from experiments import prepare, report, runner
from experiments.settings import SettingsError, from_file, overridden, parsed
from experiments.studies import STUDIES

INTERRUPTED = 130


def main(words: Sequence[str] | None = None) -> int:
    """Run the command; the exit status."""
    asked = _parser().parse_args(words)
    try:
        return int(asked.do(asked))
    except SettingsError as error:
        print(f"experiments: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # whoever read has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        print(f"experiments: cannot write {error.filename or 'there'}: {error.strerror or error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped; what is stored stays, and the same command goes on from there", file=sys.stderr)
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m experiments", description="Rerun the papers' studies and real data."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    listed = commands.add_parser("list", help="the studies and their settings")
    listed.set_defaults(do=_list)
    one = commands.add_parser("run", help="run studies: bias, or one configuration: bias/regression")
    one.add_argument("names", nargs="+", metavar="NAME")
    one.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting, in TOML")
    one.add_argument("--config", type=pathlib.Path, metavar="FILE", help="settings from a TOML file")
    one.add_argument("--with", dest="brought", metavar="FILE", help="methods, a loss or a stream of your own")
    one.set_defaults(do=_run)
    everything = commands.add_parser("all", help="run all studies, then report")
    everything.set_defaults(do=_all)
    made = commands.add_parser("prepare", help="turn original public files into those that OWO_DATA holds")
    made.add_argument("name", choices=tuple(prepare.SETS))
    made.add_argument("source", type=pathlib.Path, help="the original file, or folder")
    made.add_argument("--out", type=pathlib.Path, required=True, metavar="FOLDER", help="what OWO_DATA will name")
    made.set_defaults(do=_prepare)
    told = commands.add_parser("report", help="a page, and Markdown, of all results that are stored")
    told.add_argument("--out", type=pathlib.Path, default=pathlib.Path("results"), metavar="FOLDER")
    told.add_argument("--docs", type=pathlib.Path, metavar="FOLDER", help="write results.md and its figures there, too")
    told.set_defaults(do=_report)
    for each in (one, everything):
        each.add_argument("--seeds", type=_count, metavar="N", help="default: what each study says, at least 10")
        each.add_argument("--workers", type=_count, default=min(2, os.cpu_count() or 1), metavar="N")
        each.add_argument("--out", type=pathlib.Path, default=pathlib.Path("results"), metavar="FOLDER")
    return parser


def _count(word: str) -> int:
    if not word.isdigit() or int(word) < 1:
        raise argparse.ArgumentTypeError(f"{word!r} is not 1, 2, 3 ...")
    return int(word)


def _list(_: argparse.Namespace) -> int:
    for study in STUDIES.values():
        print(f"{study.name}: {study.about}")
        for name, config in study.variants.items():
            print(f"  {study.name}/{name}: {config}")
    return 0


def _run(asked: argparse.Namespace) -> int:
    settings = (from_file(asked.config) if asked.config else {}) | parsed(asked.set)
    cases = []
    for study, variant in runner.chosen(asked.names):
        try:
            config = overridden(study.variants[variant], settings)
        except SettingsError as error:
            raise SettingsError(f"{study.name}/{variant}: {error}") from None
        cases.append(runner.case_of(study, variant, config, asked.seeds or study.seeds, asked.brought, asked.out))
    cases = runner.once(cases)
    return _told(cases, runner.run(cases, asked.workers, runner.Progress()))


def _all(asked: argparse.Namespace) -> int:
    cases = [
        runner.case_of(study, variant, config, asked.seeds or study.seeds, None, asked.out)
        for study in STUDIES.values()
        for variant, config in study.variants.items()
    ]
    status = _told(cases, runner.run(cases, asked.workers, runner.Progress()))
    return _report(asked) or status


def _prepare(asked: argparse.Namespace) -> int:
    print(prepare.prepare(asked.name, asked.source, asked.out))
    return 0


def _report(asked: argparse.Namespace) -> int:
    for path in report.make(asked.out, getattr(asked, "docs", None)):
        print(path)
    return 0


def _told(cases: Sequence[runner.Case], faults: Sequence[runner.Fault]) -> int:
    """Print what came out; 1 if anything failed for another reason than absent data, or nothing came out."""
    failed = {fault.case: fault for fault in faults}
    for case in cases:
        if case.name not in failed:
            print(
                f"\n{case.name}: {case.folder.path}\n\n{(case.folder.path / 'tables.md').read_text(encoding='utf-8')}"
            )
    for fault in faults:
        print(f"{fault.case}: {'skipped' if fault.absent else 'FAILED'}: {fault.message}", file=sys.stderr)
    return int(any(not fault.absent for fault in faults) or len(failed) == len(cases))


if __name__ == "__main__":
    sys.exit(main())
