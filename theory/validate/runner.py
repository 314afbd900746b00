"""Work off units in several processes: longest first, each kept as soon as it is done."""

from __future__ import annotations

import multiprocessing
import os
import pathlib
import signal
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from typing import NamedTuple

from theory.validate import attacks, growth, levels, transferring
from theory.validate.part import Arrays, Part
from theory.validate.store import Store, fingerprint

PARTS: dict[str, Part] = {
    part.name: part for part in (levels.PART, attacks.PART, growth.PART, transferring.PHASE, transferring.TRANSFER)
}
"""By the name that a user types."""


class Job(NamedTuple):
    """One unit to be computed; as text, so that it can go to another process."""

    part: str
    unit: str
    quick: bool
    folder: str
    """of the results of units"""
    key: str
    """what the result depends on, as of the start: sources may change while it is computed"""


class Done(NamedTuple):
    """What came of a job."""

    job: Job
    found: Arrays | None
    """None if it failed"""
    error: str = ""
    """how"""


Told = Callable[[Done], None]


def jobs_of(part: Part, quick: bool, folder: pathlib.Path) -> dict[Job, float]:
    """A job for each unit of a part, and about how many seconds it takes."""
    config = part.config(quick)
    return {
        Job(part.name, unit, quick, str(folder), fingerprint(part.name, config, unit)): seconds
        for unit, seconds in part.units(config).items()
    }


def kept(jobs: Sequence[Job]) -> list[Done]:
    """Those of the jobs that an earlier run has done."""
    loaded = ((job, Store(pathlib.Path(job.folder)).load(job.part, job.unit, job.key)) for job in jobs)
    return [Done(job, found) for job, found in loaded if found is not None]


def work(job: Job) -> Done:
    """Compute a unit and keep what came of it; whatever it raises comes back as text."""
    part = PARTS[job.part]
    try:
        found = part.measure(part.config(job.quick), job.unit)
    except Exception:
        return Done(job, None, traceback.format_exc())
    Store(pathlib.Path(job.folder)).save(job.part, job.unit, job.key, found)
    return Done(job, found)


def run(jobs: dict[Job, float], processes: int, told: Told) -> None:
    """Work off the jobs, the longest first, and tell what comes of each as it is done.

    With one process that is this one. Interrupted, it ends its processes at once; what they had finished is kept.

    Raises
    ------
    OSError
        A result cannot be written.
    concurrent.futures.process.BrokenProcessPool
        A process was killed.
    """
    ordered = sorted(jobs, key=jobs.__getitem__, reverse=True)
    processes = min(processes, len(jobs))
    if processes > 1:
        _share(ordered, processes, told)
        return
    for job in ordered:
        try:
            done = work(job)
        except BaseException:
            Store(pathlib.Path(job.folder)).forget([os.getpid()])
            raise
        told(done)


def _share(jobs: Sequence[Job], processes: int, told: Told) -> None:
    before = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), initializer=_leave_interrupts)
    try:
        open_: set[Future[Done]] = {pool.submit(work, job) for job in jobs}
        while open_:
            done, open_ = wait(open_, return_when=FIRST_COMPLETED)
            for future in done:
                told(future.result())
    except BaseException:
        children = set(multiprocessing.active_children()) - before
        pool.shutdown(wait=False, cancel_futures=True)
        for child in children:
            child.terminate()
        for child in children:
            child.join()
        Store(pathlib.Path(jobs[0].folder)).forget(child.pid for child in children if child.pid)
        raise
    pool.shutdown()


def _leave_interrupts() -> None:
    """Ctrl-C reaches every process of a terminal; the first one alone acts on it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
