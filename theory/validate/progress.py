"""How far a run is: a bar where standard error is a terminal, a line now and then where it is not."""

from __future__ import annotations

import shutil
import sys
import time

EVERY = 30.0
"""Seconds between lines that go to a file."""


class Progress:
    """Told of finished units, by the seconds that each was supposed to take.

    >>> for seconds in (0.4, 5.0, 75.0, 3700.0):
    ...     Progress.words(seconds)
    '1 s'
    '5 s'
    '1 min 15 s'
    '61 min 40 s'
    """

    def __init__(self, seconds: float, count: int) -> None:
        self.seconds, self.count = max(seconds, 1e-9), count
        self.done, self.finished = 0.0, 0
        self.began = self.last = time.monotonic()
        self.terminal = sys.stderr.isatty()

    def __call__(self, seconds: float, doing: str) -> None:
        """One more unit is done."""
        self.done += seconds
        self.finished += 1
        now = time.monotonic()
        if now - self.last < (0.05 if self.terminal else EVERY) and self.finished < self.count:
            return
        self.last = now
        part = min(1.0, self.done / self.seconds)
        left = (now - self.began) * (1.0 - part) / part if part > 0.0 else 0.0
        rest = f"about {self.words(left)} left" if self.finished < self.count else "done"
        if self.terminal:
            self._bar(f"[{'#' * round(30 * part):30}] {part:4.0%} {rest}, {doing}")
        else:
            print(f"{self.finished} of {self.count} units, {rest}", file=sys.stderr, flush=True)

    def say(self, words: str) -> None:
        """A line of its own, above the bar."""
        self.clear()
        print(words, file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Leave an empty line."""
        if self.terminal:
            self._bar("")
            self._bar("")

    def _bar(self, line: str) -> None:
        room = shutil.get_terminal_size().columns - 1
        sys.stderr.write("\r" + line[:room].ljust(room) + ("" if line else "\r"))
        sys.stderr.flush()

    @staticmethod
    def words(seconds: float) -> str:
        """A time, for people."""
        whole = max(1, round(seconds))
        return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60} s"
