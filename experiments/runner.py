"""Run what is missing of some studies, seed by seed, in processes; whatever stops it, what is stored stays.

A seed depends on its number and its configuration alone, so it makes no difference which process runs it, or when.
"""

from __future__ import annotations

import multiprocessing
import os
import pathlib
import signal
import statistics
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Any, NamedTuple, TextIO

import owo.streams
from experiments import own
from experiments.settings import SettingsError, digest
from experiments.store import Folder
from experiments.studies import STUDIES
from experiments.study import Study

DATA = pathlib.Path(owo.streams.__file__).parent
"""Whoever raises here that a file or a package is not there means data."""


class Case(NamedTuple):
    """A study in one of its configurations."""

    study: Study
    variant: str
    config: Any
    seeds: int
    brought: str | None
    """path of the user's file"""
    folder: Folder

    @property
    def name(self) -> str:
        """As on the command line."""
        return f"{self.study.name}/{self.variant}"


class Fault(NamedTuple):
    """Why a case came to nothing, or to less than was asked for."""

    case: str
    message: str
    absent: bool = False
    """whether all that is wrong is that data are not at hand"""


def case_of(study: Study, variant: str, config: Any, seeds: int, brought: str | None, out: pathlib.Path) -> Case:
    """A case, with the folder that its settings determine."""
    mine = own.load(brought)
    if mine.stream is not None and not study.streams:
        takers = ", ".join(name for name, each in STUDIES.items() if each.streams)
        raise SettingsError(f"--with {brought}: {study.name} makes its own tasks and takes no stream; {takers} do")
    mark = digest(study.name, config, mine.digest)
    return Case(study, variant, config, seeds, brought, Folder(out / study.name / mark))


def once(cases: Sequence[Case]) -> list[Case]:
    """Cases of the same settings, whatever their names, are one: the first."""
    return list({case.folder.path: case for case in reversed(cases)}.values())[::-1]


def run(cases: Sequence[Case], workers: int, tell: Progress) -> list[Fault]:
    """Run the seeds that are missing, then draw and tabulate every case that is whole.

    A case that fails is given up at its first failure; the others go on. With one worker all is run in this process.

    Raises
    ------
    KeyboardInterrupt
        As it came, after the workers have been ended.
    """
    faults: dict[str, Fault] = {}
    jobs = []
    for case in cases:
        try:
            case.folder.describe(case.study.name, case.variant, case.config, own.load(case.brought))
            jobs += [(case, seed) for seed in case.folder.missing(case.seeds)]
        except OSError as error:
            faults[case.name] = Fault(case.name, _stored_nothing(error, case))
    jobs.sort(key=lambda job: job[1])  # all cases have their first seed before any has its second
    tell.begin((case.name for case, _ in jobs), sum(case.seeds for case in cases) - len(jobs), workers)
    run_jobs = _in_turn if workers == 1 else _in_processes
    run_jobs(jobs, workers, faults, tell)
    for case in cases:
        if case.name not in faults:
            try:
                show(case)
            except OSError as error:
                faults[case.name] = Fault(case.name, _stored_nothing(error, case))
    tell.end()
    return list(faults.values())


def show(case: Case) -> None:
    """Write the tables and figures of a case whose seeds are all stored."""
    from experiments import pictures

    arrays = case.folder.stacked(case.seeds)
    pictures.write_all(
        case.folder.path, case.study.tables(case.config, arrays), case.study.figures(case.config, arrays)
    )
    case.folder.sum_up(case.seeds)


def work(study: str, config: Any, seed: int, brought: str | None, folder: Folder) -> Fault | float:
    """Run one seed and store it; the seconds it took, or what went wrong in words."""
    began = time.perf_counter()
    try:
        arrays = STUDIES[study].run(config, seed, own.load(brought))
    except (Exception, SystemExit) as error:
        frames = traceback.extract_tb(error.__traceback__)
        if (
            isinstance(error, FileNotFoundError | ModuleNotFoundError)
            and DATA in pathlib.Path(frames[-1].filename).parents
        ):
            return Fault(study, str(error), absent=True)
        mine = [frame for frame in frames if frame.filename == own.load(brought).file]
        where = (mine or frames)[-1]
        at = f"{os.path.basename(where.filename)}:{where.lineno}"
        return Fault(study, f"{type(error).__name__} in seed {seed}: {error} ({at})")
    seconds = time.perf_counter() - began
    try:
        folder.save(seed, arrays, seconds)
    except OSError as error:
        return Fault(study, f"seed {seed} could not be stored in {folder.path}: {error.strerror or error}")
    return seconds


Job = tuple[Case, int]


def _in_turn(jobs: Sequence[Job], _: int, faults: dict[str, Fault], tell: Progress) -> None:
    for case, seed in jobs:
        if case.name not in faults:
            _take(case, work(case.study.name, case.config, seed, case.brought, case.folder), faults, tell)


def _in_processes(jobs: Sequence[Job], workers: int, faults: dict[str, Fault], tell: Progress) -> None:
    """As ``_in_turn``, by several processes that have no thread of this one."""
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _follow_the_parent)
    waiting: dict[Future[Fault | float], Case] = {}
    try:
        for case, seed in jobs:
            waiting[pool.submit(work, case.study.name, case.config, seed, case.brought, case.folder)] = case
        for done in as_completed(waiting):
            case = waiting[done]
            if done.cancelled() or case.name in faults:
                continue
            try:
                _take(case, done.result(), faults, tell)
            except BrokenProcessPool:
                lost = "a worker was ended from outside (out of memory?); the same command goes on"
                _take(case, Fault(case.name, lost), faults, tell)
            if case.name in faults:
                for other, its in waiting.items():
                    if its is case:
                        other.cancel()
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for child in multiprocessing.active_children():
            child.terminate()
        raise
    pool.shutdown()


def _take(case: Case, result: Fault | float, faults: dict[str, Fault], tell: Progress) -> None:
    if isinstance(result, Fault):
        faults[case.name] = result._replace(case=case.name)
        tell.give_up(case.name)
    else:
        tell.step(case.name, result)


def _follow_the_parent() -> None:
    """In a worker: leave Ctrl-C to the parent, and end when the parent does, however it ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_after, args=(parent,), daemon=True).start()


def _end_after(parent: Any) -> None:
    parent.join()
    os._exit(1)


def _stored_nothing(error: OSError, case: Case) -> str:
    return f"results could not be stored in {case.folder.path}: {error.strerror or error}"


class Progress:
    """Says on a stream how far a run is: one line that changes, on a terminal; else a line now and then."""

    def __init__(self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.stream, self.clock = stream or sys.stderr, clock
        self.live = self.stream.isatty()
        self.todo: dict[str, int] = {}
        """seeds of each case that are still to be run"""
        self.took: dict[str, list[float]] = {}
        """seconds of those that were"""
        self.workers, self.began, self.told = 1, clock(), -1e9

    def begin(self, todo: Iterable[str], stored: int, workers: int) -> None:
        """These seeds are to be run, each told by the name of its case; so many are there."""
        self.todo, self.took = dict(Counter(todo)), {}
        self.workers, self.began = workers, self.clock()
        count = sum(self.todo.values())
        print(f"{count} seed{'' if count == 1 else 's'} to run, {stored} stored already", file=self.stream)

    def step(self, case: str, seconds: float) -> None:
        """A seed is stored."""
        self.todo[case] -= 1
        self.took.setdefault(case, []).append(seconds)
        open_ = sum(self.todo.values())
        if self.live or self.clock() - self.told >= 20.0 or not open_:
            self.told = self.clock()
            done = sum(map(len, self.took.values()))
            text = f"{done}/{done + open_} seeds, {_minutes(self.told - self.began)} gone"
            text += f"{self._left()}: {case} {seconds:.1f} s"
            print(f"\r{text:<100}" if self.live else text, end="" if self.live else "\n", file=self.stream, flush=True)

    def give_up(self, case: str) -> None:
        """A case failed; the rest of its seeds will not be run."""
        self.todo.pop(case, None)

    def end(self) -> None:
        """All is done that could be."""
        if self.live and self.took:
            print(file=self.stream)

    def _left(self) -> str:
        """In words, once a seed of every case has shown how long one takes."""
        if any(count and case not in self.took for case, count in self.todo.items()):
            return ""
        work = sum(count * statistics.median(self.took[case]) for case, count in self.todo.items() if count)
        return f", about {_minutes(work / self.workers)} left"


def _minutes(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def chosen(names: Sequence[str]) -> list[tuple[Study, str]]:
    """Studies and variants by name: ``bias`` is all variants of it, ``bias/regression`` one.

    Raises
    ------
    SettingsError
        There is no such study or variant; the nearest is named.
    """
    import difflib

    found = []
    for name in names:
        study, _, variant = name.partition("/")
        if study not in STUDIES or (variant and variant not in STUDIES[study].variants):
            known = [*STUDIES, *(f"{each}/{one}" for each in STUDIES for one in STUDIES[each].variants)]
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise SettingsError(f"there is no study {name!r}{hint} See python -m experiments list")
        found += [(STUDIES[study], one) for one in ([variant] if variant else STUDIES[study].variants)]
    return found
