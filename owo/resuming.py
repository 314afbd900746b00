"""How far a learner came in a stream that can be taken up again, and the saves on the way."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable
from typing import Any

from owo.doors import positive


def position_of(stream: Any) -> Callable[[], dict[str, Any]] | None:
    """A function that tells how far a stream has been handed out; None for one that cannot be taken up again."""
    if not (hasattr(stream, "position") and hasattr(stream, "identity")):
        return None
    identity = stream.identity()
    return lambda: {
        "position": int(stream.position), "identity": identity,
        **{name: dict(getattr(stream, name, {})) for name in ("skipped", "filled")},
    }  # fmt: skip


def rest_of(stream: Any, position: dict[str, Any] | None, points: int = 0) -> Any:
    """What is left of the stream after that position; see ``OnlineWithinOnline.rest_of``."""
    if position is None and points:
        raise ValueError(
            f"the learner has met {points:,} points, and does not know where in a file: they came from no stream of "
            "owo.streams.from_file itself. Pass run that stream (for encoded points stream.encoded(encoding)), not "
            "blocks made from it"
        )
    if position is None:
        return stream
    if not (hasattr(stream, "from_position") and hasattr(stream, "identity")):
        raise TypeError(f"{stream!r} cannot be taken up again; needed a stream of owo.streams.from_file")
    before, now = position["identity"], stream.identity()
    other = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    if other:
        raise ValueError(
            f"the learner was {position['position']:,} rows into another stream: {other[0]} was "
            f"{before.get(other[0])!r} and is {now.get(other[0])!r}. Give the same file and options, or begin anew"
        )
    counts = {name: position[name] for name in ("skipped", "filled") if position.get(name)}
    return stream.from_position(position["position"], **counts)


class Saves:
    """Saves a learner now and then, or never."""

    def __init__(self, learner: Any, path: str | os.PathLike[str] | None, every: float) -> None:
        self.learner, self.path, self.every = learner, path, positive(every, "every")
        if path is not None and not os.path.isdir(os.path.dirname(os.fspath(path)) or "."):
            raise FileNotFoundError(f"autosave is {os.fspath(path)!r}, and there is no such folder; make it first")
        self.last = time.monotonic()

    def now_and_then(self) -> None:
        """Save, if it is time; a failure is a warning, and the next time comes as usual."""
        if self.path is None or time.monotonic() - self.last < self.every:
            return
        try:
            self.learner.save(self.path)
        except OSError as error:
            warnings.warn(
                f"the learner could not be saved to {os.fspath(self.path)}, and goes on: {error.strerror or error}. "
                f"What was saved there before is whole; the next try is in {self.every:g} s",
                RuntimeWarning,
                stacklevel=5,
            )
        self.last = time.monotonic()

    def at_the_end(self) -> None:
        """Save."""
        if self.path is not None:
            self.learner.save(self.path)
