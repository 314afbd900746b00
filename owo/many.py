"""Many runs at once: seeds, orders of tasks, streams, each with a learner of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any

from owo.doors import whole

Job = tuple[Any, Any] | Callable[[], tuple[Any, Any]]

_TWICE = "a learner is in two jobs, and its runs would mix; give each job a learner of its own"
_LOCK = Lock()


def run_many(jobs: Iterable[Job], *, threads: int = 1, backend: str | None = None) -> list[Any]:
    """Run learners over their streams, several at a time; the learners, in the order of the jobs.

    Parameters
    ----------
    jobs : pairs ``(learner, stream)``, or functions of no arguments that make one. A function is called when its turn
        comes, so that no more streams are in memory than there are threads. Learners are ``OnlineWithinOnline``,
        ``Grid``, ``TuningFree`` or anything that has ``run(stream)``
    threads : how many run at the same time. A run is the same code in any thread, so no number depends on it; compiled
        code leaves Python to the others
    backend : of joblib, such as ``"loky"`` (processes) or ``"dask"``, instead of threads of this process. Jobs are
        then pickled, so functions have to be importable, and what comes back are copies of the learners

    Raises
    ------
    ValueError
        A learner in two jobs: its runs would mix.
    Exception
        Whatever a run raises, with a note that says which; the other jobs are finished first.

    Examples
    --------
    >>> import owo
    >>> block = owo.Block([[1.0], [2.0], [1.0]], [1.0, 2.0, 2.0], [0, 0, 1])
    >>> def in_order(seed):
    ...     return lambda: (owo.OnlineWithinOnline(owo.Absolute()), block.shuffled(seed))
    >>> learners = owo.run_many([in_order(seed) for seed in range(4)], threads=2)
    >>> [len(each.ledger) for each in learners]
    [2, 2, 2, 2]
    """
    if not isinstance(jobs, Iterable):
        raise TypeError(f"jobs is {jobs!r:.100}; needed a list of pairs (learner, stream), or functions that make one")
    threads, todo = whole(threads, "threads", 1), list(jobs)
    learners = [job[0] for job in todo if isinstance(job, tuple) and len(job) == 2]
    if len({id(each) for each in learners}) < len(learners):
        raise ValueError(_TWICE)
    if backend is None:
        with ThreadPoolExecutor(threads) as pool:
            busy: dict[int, Any] = {}
            outcomes = list(pool.map(lambda job: _outcome(job, busy), todo))
    else:
        import joblib

        outcomes = joblib.Parallel(n_jobs=threads, backend=backend)(joblib.delayed(_outcome)(job) for job in todo)
    for number, (_, error) in enumerate(outcomes):
        if error is not None:
            error.add_note(f"in job {number} of {len(todo)}: {todo[number]!r:.200}")
            raise error
    return [learner for learner, _ in outcomes]


def _outcome(job: Job, known: dict[int, Any] | None = None) -> tuple[Any, Exception | None]:
    """The learner after its run, or what went wrong; ``known`` are those that have run, by identity."""
    try:
        pair = job() if callable(job) else job
        if not isinstance(pair, tuple) or len(pair) != 2:
            raise TypeError(f"a job is {pair!r:.100}; needed a pair (learner, stream), or a function that makes one")
        learner, stream = pair
        if not callable(getattr(learner, "run", None)):
            raise TypeError(f"the learner is {learner!r:.100}, which has no run(stream); needed owo.OnlineWithinOnline")
        if known is not None:
            with _LOCK:
                if id(learner) in known:
                    raise ValueError(_TWICE)
                known[id(learner)] = learner
        learner.run(stream)
    except Exception as error:
        return None, error
    return learner, None
