"""``owo run`` on a file of any size: learners side by side in one pass, saved on the way, taken up again.

Nothing is known of the file but what has been read. So there is no comparison with hindsight; the yardsticks learn, or
fail to, beside the learner: independent learning, and no learning at all, which always says the mean of the labels
that the encoding was fitted on. Against the latter the regret is held, at the ends of spans of tasks.
"""

from __future__ import annotations

import contextlib
import csv
import json
import math
import os
import pathlib
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

import owo
from owo import checkpoint, kernels, saved
from owo.doors import positive
from owo.hindsight import Comparator
from owo.laws import CoinBetting, DualAveraging, Frozen, GrowingFTRL
from owo.online import OnlineWithinOnline
from owo.resuming import position_of, rest_of
from owo.streams import Encoding
from owo.streams.block import count
from owo.streams.files.stream import FileStream
from owo.table import Table, loss_name, number

Progress = Callable[[float, str], None]

INDEPENDENT, OWO, CONSTANT = "independent", "OWO, per point", "no learning: the mean"
CHECKPOINT, LEARNER, ENCODING, FEATURES = "run.owo", "learner.owo", "encoding.json", "features.json"
CURVE, REPORT = "curve.csv", "report.txt"


class Ways(NamedTuple):
    """How a file is to be learned from."""

    loss: Any
    strength: float | None = None
    step: float | None = None
    skip: bool = False
    """whether points that cannot be learned are skipped, and counted"""
    every: float = 60.0
    """seconds between two saves"""

    def check(self) -> None:
        """Raise the ``ValueError`` of a number that is out of range."""
        for value, name in ((self.strength, "strength"), (self.step, "step"), (self.every, "every")):
            if value is not None:
                positive(value, name)

    def learners(self, d: int) -> dict[str, OnlineWithinOnline]:
        """The learners, by name, before any data."""
        inner = CoinBetting() if self.strength is None else GrowingFTRL(self.strength)
        outer = CoinBetting() if self.step is None else DualAveraging(self.step)
        pairs = {INDEPENDENT: (inner, Frozen()), OWO: (inner, outer), CONSTANT: (Frozen(), Frozen())}
        return {
            name: OnlineWithinOnline(self.loss, *pair, bias=np.zeros(d), history="spans")
            for name, pair in pairs.items()
        }


class Run:
    """Learners that have met the same points of a file, so far."""

    def __init__(self, learners: dict[str, OnlineWithinOnline], encoding: Encoding, names: list[str]) -> None:
        self.learners, self.encoding, self.names = learners, encoding, names
        self.position: dict[str, Any] | None = None
        self.curve: list[list[float]] = []
        """part of the file, points, and the losses of the learners so far"""
        self.seconds = 0.0
        self.finished = False

    # ------------------------------------------------------------------------------------------------- on the disk

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write all learners and the position to one file: whole, or not at all."""
        about: dict[str, Any] = {"kind": "owo run", "position": self.position, "names": self.names}
        about |= {
            "encoding": self.encoding.to_dict(),
            "curve": self.curve,
            "seconds": self.seconds,
            "learners": {},
            "finished": self.finished,
        }
        arrays: checkpoint.Arrays = {}
        for name, learner in self.learners.items():
            about["learners"][name], own = saved.packed(learner)
            arrays |= {f"{name}/{key}": array for key, array in own.items()}
        checkpoint.write(path, about, arrays)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Run:
        """What ``save`` wrote; raises ``FileNotFoundError``, or ``ValueError`` if it is none that can be read."""
        about, arrays = checkpoint.read(path)
        try:
            learners = {
                name: saved.unpacked(OnlineWithinOnline, own, _under(f"{name}/", arrays), {})
                for name, own in about["learners"].items()
            }
            run = cls(learners, Encoding.from_dict(about["encoding"]), list(about["names"]))
            run.position, run.seconds = about["position"], float(about["seconds"])
            run.curve = [[float(value) for value in row] for row in about["curve"]]
            run.finished = bool(about["finished"])
            for name in (INDEPENDENT, OWO, CONSTANT):
                learners[name]
        except Exception as error:  # whatever a file that owo did not write may say
            raise checkpoint.Damaged(
                f"{os.fspath(path)} is not a run that this version of owo reads: {error}"
            ) from error
        return run

    # ---------------------------------------------------------------------------------------------------- learning

    def learn(self, stream: FileStream, ways: Ways, path: pathlib.Path, progress: Progress) -> None:
        """Learn what is left of the stream; saved now and then, at the end, and between blocks when interrupted.

        Raises ``KeyboardInterrupt`` after such a save, and whatever the data give rise to; what was saved before stays.
        """
        self._require(ways)
        rest = rest_of(stream.encoded(self.encoding), self.position)
        where = position_of(rest)
        assert where is not None
        spent, began = self.seconds, time.monotonic()
        last = began
        with between_blocks() as interrupted:
            for block in rest:
                for learner in self.learners.values():
                    learner.run(block, bad="skip" if ways.skip else "raise")
                self.position = where()
                self._draw(rest.bytes_read / max(rest.size, 1))
                self.seconds = spent + time.monotonic() - began
                progress(rest.bytes_read / max(rest.size, 1), count(self.points, "point"))
                if interrupted():
                    self.save(path)
                    raise KeyboardInterrupt
                if time.monotonic() - last >= ways.every:
                    self._save_or_warn(path)
                    last = time.monotonic()
            self.position, self.finished = where(), True
            self._draw(math.inf)
            self.save(path)

    def _require(self, ways: Ways) -> None:
        """Raise the ``ValueError`` of ways that are not those of the run so far."""
        for name, learner in ways.learners(self.encoding.d).items():
            if repr(learner) != repr(self.learners[name]):
                raise ValueError(
                    f"the run was begun with {self.learners[name]!r}, and now it would be {learner!r}; give the same "
                    "loss, strength and step, or begin anew in another folder (--out)"
                )

    def _draw(self, part: float) -> None:
        """Add to the curve of losses, some 500 times in a file."""
        if not self.curve or (self.points > self.curve[-1][1] and part >= self.curve[-1][0] + 1 / 500):
            done = min(part, 1.0)
            self.curve.append([done, self.points, *(learner.total_loss for learner in self.learners.values())])

    def _save_or_warn(self, path: pathlib.Path) -> None:
        """Save; a failure is a warning."""
        try:
            self.save(path)
        except OSError as error:
            warnings.warn(f"{path} could not be saved, and the run goes on: {error.strerror or error}", stacklevel=2)

    # ------------------------------------------------------------------------------------------------ what came out

    @property
    def points(self) -> int:
        """Points that have been met."""
        return self.learners[OWO].points_met

    @property
    def tasks(self) -> int:
        """Tasks that have ended."""
        return int(self.learners[OWO]._clock[kernels.ENDED])

    def table(self) -> Table:
        """Losses a point, gains, and how regret against no learning keeps to its certificate."""
        means = {name: learner.total_loss / max(self.points, 1) for name, learner in self.learners.items()}
        rows = []
        for name, mean in means.items():
            gain = 100.0 * (1.0 - mean / means[INDEPENDENT]) if means[INDEPENDENT] > 0.0 else math.nan
            shown = "-" if name == INDEPENDENT or math.isnan(gain) else f"{gain:z.1f}"
            regret, certificate = (number(value) for value in self._held(name))
            against = ("-", "-") if name == CONSTANT else (regret, certificate)
            rows.append((name, number(mean), shown, *against))
        groups = (("", 1), ("a point", 2), ("against no learning", 2))
        return Table(groups, ("learner", "loss", "gain %", "regret", "certificate"), tuple(rows))

    def _held(self, name: str) -> tuple[float, float]:
        """Regret of tasks that ended against no learning, and its certificate, a point; raises if it is exceeded."""
        ledger, nothing = self.learners[name].ledger, self.learners[CONSTANT].ledger
        if not len(ledger):
            return math.nan, math.nan
        centre = ledger.centre
        comparator = Comparator("no learning", centre, centre[None], nothing.losses)
        ledger.check(comparator)
        regret, certificate = ledger.regret(comparator)[-1], ledger.certificate(comparator).total[-1]
        return float(regret / ledger.rounds.sum()), float(certificate / ledger.rounds.sum())

    def remarks(self) -> list[str]:
        """What has to be known of this run."""
        tasks = self.tasks
        lines = [
            f"Means and scales come from the first {self.encoding.points:,} points, and from nothing later. Losses are "
            f"{loss_name(self.learners[OWO].loss)}, in the units that the encoding gives to y.",
            "gain: how much less is lost than by independent learning, which like OWO is parameter-free here unless "
            "steps were given. Regret is loss beyond that of no learning; the certificate is the bound that the run "
            "proves on it.",
            f"{count(tasks, 'task')} ended, {count(len(self.learners[OWO].open_tasks), 'task')} open. "
            + (
                "Held against no learning at the ends of spans of tasks: no regret above its certificate."
                if tasks
                else "Regret is counted when tasks end."
            ),
        ]
        counts = self.position or {}
        found = {**counts.get("skipped", {}), **{f"cannot be learned ({k})": v for k, v in self._skipped().items()}}
        for what, some in (("rows left out", found), ("values filled in", counts.get("filled", {}))):
            if some:
                lines.append(f"{what}: " + ", ".join(f"{why} {times:,}" for why, times in some.items()) + ".")
        return lines

    def _skipped(self) -> dict[str, int]:
        return self.learners[OWO].skipped

    def write(self, folder: pathlib.Path) -> None:
        """The learner, the encoding, and the curve of losses, into a folder."""
        self.learners[OWO].save(folder / LEARNER)
        for name, content in ((ENCODING, self.encoding.to_dict()), (FEATURES, self.names)):
            with checkpoint.replacing(folder / name) as file:
                file.write((json.dumps(content, indent=2) + "\n").encode())
        with open(folder / CURVE, "w", newline="", encoding="utf-8") as text:
            writer = csv.writer(text)
            writer.writerow(["points", *(f"summed loss: {name}" for name in self.learners)])
            writer.writerows([int(points), *losses] for _, points, *losses in self.curve)


def begun(stream: FileStream, ways: Ways) -> Run:
    """A run before its first block, whose means and scales come from the beginning of the stream."""
    classification = isinstance(ways.loss, (owo.Hinge, owo.SquaredHinge, owo.Logistic))
    encoding = stream.fit_encoding(classification=classification)
    return Run(ways.learners(encoding.d), encoding, stream.features)


@contextlib.contextmanager
def between_blocks() -> Iterator[Callable[[], bool]]:
    """Keep interrupts (SIGINT, SIGTERM) until they are asked for, so that no block is left half learned."""
    came: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    kept = {
        each: signal.signal(each, lambda number, _: came.append(number)) for each in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield lambda: bool(came)
    finally:
        for each, handler in kept.items():
            signal.signal(each, handler)


def _under(prefix: str, arrays: checkpoint.Arrays) -> checkpoint.Arrays:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
