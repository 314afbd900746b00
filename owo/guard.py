"""One thread at a time on a learner: any other is told so, before it can lose an update."""

from __future__ import annotations

import contextlib
import functools
import threading
from _thread import RLock
from collections.abc import Callable, Iterator
from typing import Any, TypeVar, cast

import numpy as np

Method = TypeVar("Method", bound=Callable[..., Any])


class Guard(RLock):  # type: ignore[misc]
    """A lock that never waits. A copy of its owner gets a new one.

    >>> guard = Guard()
    >>> with guard.held():
    ...     guard.free_for_reading()
    True
    """

    def __init__(self) -> None:
        super().__init__()
        self.busy = np.zeros(1, dtype=np.int64)
        """the thread that learns, for longer than one step of the interpreter; 0 if none does"""
        self.taken = np.zeros(1, dtype=np.int64)
        """how often it was taken and not given back; compiled code reads both"""

    def __reduce__(self) -> Any:
        return Guard, ()

    def take(self) -> None:
        """Have it, or raise ``RuntimeError``."""
        if not self.acquire(False):
            raise RuntimeError(
                "another thread is learning with this learner, so nothing was done. A learner serves one thread at a "
                "time: let threads take turns with a threading.Lock, or give each its own learner and see owo.merged"
            )
        self.taken += 1

    def give_back(self) -> None:
        """Undo ``take``."""
        self.taken -= 1
        self.release()

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Learning, for longer than one step of the interpreter: other threads can neither learn nor read."""
        self.take()
        before, self.busy[0] = self.busy[0], threading.get_ident()
        try:
            yield
        finally:
            self.busy[0] = before
            self.give_back()

    def free_for_reading(self) -> bool:
        """Raise ``RuntimeError`` while another thread learns, which would show numbers that never were."""
        if self.busy[0] not in (0, threading.get_ident()):
            raise RuntimeError(
                "another thread is learning with this learner, whose numbers are not settled before it is done; read "
                "them when it is, or read from a copy: copy.deepcopy(learner)"
            )
        return True


def alone(method: Method) -> Method:
    """A method that only one thread at a time may be in, of an object whose ``_guard`` is a ``Guard``."""

    @functools.wraps(method)
    def guarded(self: Any, *args: Any, **kwargs: Any) -> Any:
        with self._guard.held():
            return method(self, *args, **kwargs)

    return cast(Method, guarded)
