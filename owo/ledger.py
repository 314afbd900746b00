"""What a run suffered, what was possible, and the bound its regret cannot exceed.

For tasks 1..t, a comparator with weights ``u_1 .. u_t`` and a bias ``theta'`` they are measured from:

    regret_t       =  sum_{s<=t} [ loss of the run on task s  -  loss of u_s on task s ]
    certificate_t  =  sum_{s<=t} B_s(|u_s - theta'|)  +  B_across(|theta' - centre|)  +  lateness_t

where ``B_s`` and ``B_across`` are the certificates of the learners inside task s and across tasks, as their laws
compute them from the run's own numbers (``owo.laws``). The sum is a bound because, by convexity, every loss is at
most ``<g, w - u>`` above the comparator's, and ``w - u = (theta - theta') + (v - (u - theta'))`` splits that between
the two learners, both fed with the same gradients. It holds for every data sequence, so ``regret > certificate`` is
a bug, never bad luck. Sources: Denevi et al. (NeurIPS 2019), Theorem 2, for lazy updates; translation of the
comparator for updates after every point.
"""

from __future__ import annotations

import json
import os
import zipfile
import zlib
from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from owo import kernels, laws
from owo.laws import Account

Array = NDArray[np.float64]


class Certificate(NamedTuple):
    """A bound on regret at every task boundary, split into named terms; arrays (T,), in units of summed loss."""

    within: Array
    """learning inside the tasks, were the comparator's tasks all at its bias"""
    spread: Array
    """the distances ``|u_s - theta'|`` of the comparator's tasks from its bias"""
    across: Array
    """learning the bias: from the centre to ``theta'``"""
    lateness: Array
    """other tasks ended while one was open, so its gradients reached the bias late; 0 unless interleaved"""

    @property
    def total(self) -> Array:
        """The certificate: the sum of all terms."""
        return self.within + self.spread + self.across + self.lateness


class CertificateViolation(AssertionError):
    """A measured regret above its certificate: the run, a loss or a law is wrong."""


class Rows:
    """A table of numbers that grows at the end, without copying long pieces until it is read."""

    def __init__(self, columns: int) -> None:
        self._pieces: list[Array] = []
        self._room = np.empty((16, columns))
        self._n = 0

    def append(self, rows: Array) -> None:
        """Add rows (n, columns)."""
        if len(rows) > 1000:
            self._flush()
            self._pieces.append(rows)
            return
        n = self._n + len(rows)
        if n > len(self._room):
            room = np.empty((2 * n, self._room.shape[1]))
            room[: self._n] = self._room[: self._n]
            self._room = room
        self._room[self._n : n] = rows
        self._n = n

    def _flush(self) -> None:
        if self._n:
            self._pieces.append(self._room[: self._n])
            self._room, self._n = np.empty((16, self._room.shape[1])), 0

    @property
    def filled(self) -> Array:
        """The rows so far, (n, columns), read-only."""
        if self._pieces:
            self._flush()
            if len(self._pieces) > 1:
                self._pieces = [np.concatenate(self._pieces)]
            view = self._pieces[0].view()
        else:
            view = self._room[: self._n]
        view.flags.writeable = False
        return view


class Ledger:
    """An append-only record of a learner's run: a row for each task that ended, in the order of their ending.

    Attributes
    ----------
    inner, outer : the laws inside and across tasks
    update : ``"task"`` or ``"point"``
    centre : array (d,), where the bias began
    description : the learner, in words
    points : list of dicts of arrays (loss, prediction, label, task), one for each block, if points were kept
    """

    def __init__(self, inner: Any, outer: Any, update: str, centre: Array, description: str) -> None:
        self.inner, self.outer, self.update, self.centre, self.description = inner, outer, update, centre, description
        self.points: list[dict[str, Any]] = []
        width = len(kernels.ACCOUNT)
        self._accounts, self._tasks, self._tallies = Rows(width), Rows(3), Rows(width)
        self._path, self._path_tasks = Rows(len(centre)), Rows(1)
        self._keys: list[tuple[Sequence[Hashable], Any]] = []

    def append(self, keys: Sequence[Hashable], codes: Any, written: kernels.Written, at: Array) -> None:
        """Add the tasks that ended in a run: ``keys[c] for c in codes``, with the kernel's rows of them.

        ``at`` (p, 1) holds the numbers of tasks after which ``written.path`` (p, d) was taken.
        """
        if len(codes):
            self._keys.append((keys, codes))
        self._accounts.append(written.accounts)
        self._tasks.append(written.tasks)
        self._tallies.append(written.tallies)
        self._path.append(written.path)
        self._path_tasks.append(at)

    def add_points(self, losses: Array, predictions: Array, labels: Array, keys: list[Hashable]) -> None:
        """Keep what happened at every point of a block, in the order of its rows."""
        self.points.append({"loss": losses, "prediction": predictions, "label": labels.copy(), "task": keys})

    # ---------------------------------------------------------------------------------------------- what happened

    def __len__(self) -> int:
        """Return the number of tasks that ended."""
        return len(self._tasks.filled)

    def __repr__(self) -> str:
        if not len(self):
            return f"<Ledger of {self.description}: no task has ended>"
        mean = self.average_loss()[-1]
        return (
            f"<Ledger of {self.description}: {len(self)} tasks, {int(self.rounds.sum())} points, mean loss {mean:.6g}>"
        )

    @property
    def keys(self) -> list[Hashable]:
        """Keys of the tasks, in the order they ended."""
        if len(self._keys) > 1 or (self._keys and self._keys[0][1] is not None):
            flat: list[Hashable] = []
            for keys, codes in self._keys:
                flat.extend(keys if codes is None else [keys[code] for code in codes])
            self._keys = [(flat, None)]
        return list(self._keys[0][0]) if self._keys else []

    @property
    def account(self) -> Account:
        """What the learners inside the tasks kept; each entry an array (T,)."""
        return Account(*self._accounts.filled.T)

    @property
    def tally(self) -> Account:
        """What the learner across tasks kept, as it stood after each task; each entry an array (T,)."""
        return Account(*self._tallies.filled.T)

    @property
    def losses(self) -> Array:
        """Summed loss of each task, (T,)."""
        return self._tasks.filled[:, 0]

    @property
    def rounds(self) -> Array:
        """Points of each task, (T,)."""
        return self._accounts.filled[:, kernels.ROUNDS]

    @property
    def lateness(self) -> Array:
        """``sum_i <g_i, theta_i - theta_end>`` of each task, (T,): 0 unless other tasks ended while it was open."""
        return self._tasks.filled[:, 1]

    @property
    def open(self) -> Array:
        """How many tasks were open after each task ended, (T,)."""
        return self._tasks.filled[:, 2]

    @property
    def path(self) -> Array:
        """The bias after the tasks numbered ``path_tasks``, (P, d)."""
        return self._path.filled

    @property
    def path_tasks(self) -> Array:
        """Numbers of tasks that had ended at the rows of ``path``, (P,)."""
        return self._path_tasks.filled[:, 0]

    def cumulative_loss(self) -> Array:
        """Loss summed over all tasks so far, (T,)."""
        return _running(self.losses)

    def average_loss(self) -> Array:
        """Cumulative loss over points so far, (T,)."""
        return self.cumulative_loss() / np.cumsum(self.rounds)

    # -------------------------------------------------------------------------------- against what was possible

    def regret(self, comparator: Any) -> Array:
        """Cumulative loss beyond the comparator's, (T,), at every task boundary.

        ``comparator`` is a ``hindsight.Comparator``, another ``Ledger`` over the same tasks (independent learning, a
        pooled learner), or an array (T,) of summed losses in this ledger's order. Comparators and ledgers are
        matched by task key.
        """
        theirs = self._losses_of(comparator)
        return _running(self.losses - theirs)

    def certificate(self, comparator: Any) -> Certificate:
        """The bound that ``regret(comparator)`` cannot exceed, at every task boundary, by terms.

        ``comparator`` is a ``hindsight.Comparator``: any ``bias`` (d,) and ``weights`` (T, d) or (1, d) make one.
        Where the bias moved after every point while tasks were still open, the boundary has no certificate of
        its own and the terms are NaN; the next boundary without open tasks counts them all.
        """
        if not hasattr(comparator, "weights"):
            raise TypeError(f"a certificate is against weights; {type(comparator).__name__} has none. "
                            "Take a comparator from owo.hindsight, e.g. best_bias(loss, block, strength)")  # fmt: skip
        order = self._order_of(comparator)
        bias = np.asarray(comparator.bias, dtype=np.float64)
        weights = np.atleast_2d(np.asarray(comparator.weights, dtype=np.float64))
        if bias.shape != self.centre.shape or weights.shape[1:] != self.centre.shape:
            raise ValueError(
                f"comparator has bias {bias.shape} and weights {weights.shape}; this run has d={len(self.centre)}"
            )
        distance = np.linalg.norm(weights - bias, axis=1)
        distance = np.broadcast_to(distance, len(self)) if len(distance) == 1 else distance[order]
        if len(distance) != len(self):
            raise ValueError(
                f"comparator has weights of {len(distance)} tasks; this ledger has {len(self)}: give each or one"
            )
        at_bias = np.asarray(self.inner.bound(self.account, np.zeros(len(self))))
        at_task = np.asarray(self.inner.bound(self.account, distance))
        across = np.asarray(self.outer.bound(self.tally, np.linalg.norm(bias - self.centre)))
        if self.update == "point":
            across = np.where(self.open > 0, np.nan, across)
        return Certificate(_running(at_bias), _running(at_task - at_bias), across, _running(self.lateness))

    def check(self, comparator: Any) -> None:
        """Raise ``CertificateViolation`` if regret exceeds its certificate, beyond rounding, at any task boundary."""
        regret, certificate = self.regret(comparator), self.certificate(comparator)
        over = regret - certificate.total - self.rounding(comparator)
        waiting = (self.open > 0) if self.update == "point" else np.zeros(len(self), bool)
        bad = np.flatnonzero(~(over <= 0) & ~waiting)  # NaN is no certificate
        if len(bad):
            t = int(bad[0])
            raise CertificateViolation(
                f"after task {t + 1} of {len(self)} the regret {regret[t]:.6g} exceeds its certificate "
                f"{certificate.total[t]:.6g}; {self.description} against {getattr(comparator, 'name', comparator)}. "
                "If the loss or a law is your own, run owo.checks on it; else please report this run."
            )

    def rounding(self, comparator: Any) -> Array:
        """How far floating-point arithmetic alone may push regret over its certificate, (T,).

        Every term is a sum over points of products ``<g, z>``, each known to a few units in the last place of
        ``|g| |z|``; by Cauchy-Schwarz the sum of these is at most ``sqrt(sum |g|^2) sqrt(n) max |z|``.
        """
        weights = np.atleast_2d(np.asarray(comparator.weights, dtype=np.float64))
        far = (
            np.linalg.norm(weights, axis=1).max(initial=0.0)
            + np.linalg.norm(comparator.bias)
            + np.linalg.norm(self.centre)
        )
        squares, rounds = np.cumsum(self.account.squares), np.cumsum(self.rounds)
        losses = np.cumsum(np.abs(self.losses) + np.abs(self._losses_of(comparator)))
        terms = (
            np.cumsum(np.abs(self.account.margin) + self.account.slack) + np.abs(self.tally.margin) + self.tally.slack
        )
        scale = np.sqrt(squares * rounds) * far + losses + terms
        allowance: Array = 8 * np.finfo(float).eps * (len(self.centre) + rounds.max(initial=1.0)) * scale
        underflow = 2 * np.sqrt(np.finfo(float).tiny) * rounds * (1.0 + far)  # |g|^2 may be 0 where g is not
        allowance += underflow
        return allowance

    def _losses_of(self, comparator: Any) -> Array:
        theirs = np.asarray(getattr(comparator, "losses", comparator), dtype=np.float64)
        if hasattr(comparator, "losses"):
            order = self._order_of(comparator)
            theirs = theirs[order]
        if theirs.shape != (len(self),):
            raise ValueError(
                f"comparator has {theirs.shape} losses; this ledger has {len(self)} tasks: give one for each"
            )
        return theirs

    def _order_of(self, comparator: Any) -> Any:
        """Rows of the comparator in this ledger's order of tasks."""
        theirs, ours = list(getattr(comparator, "keys", ())), self.keys
        if not theirs or theirs == ours:
            return slice(None)
        place = {key: i for i, key in enumerate(theirs)}
        for keys, whose in ((theirs, "the comparator"), (ours, "this ledger")):
            if len(set(keys)) < len(keys):
                twice = next(key for i, key in enumerate(keys) if key in keys[:i])
                raise ValueError(f"{whose} has task {twice!r} twice, so tasks cannot be matched by key; "
                                 "give a comparator without keys, in the ledger's order")  # fmt: skip
        missing = [key for key in ours if key not in place]
        if missing:
            raise ValueError(
                f"task {missing[0]!r} of this ledger is not in the comparator; build it from the same tasks"
            )
        return np.array([place[key] for key in ours], dtype=np.int64)

    # ---------------------------------------------------------------------------------------------------- export

    def to_dict(self) -> dict[str, Any]:
        """Columns (T,) by name, ready for ``pandas.DataFrame(ledger.to_dict())``."""
        columns: dict[str, Any] = {"task": _plain(self.keys), "loss": self.losses.copy()}
        columns |= {name: np.array(column) for name, column in self.account._asdict().items()}
        columns |= {"lateness": self.lateness.copy(), "open": self.open.copy()}
        columns |= {f"across_{name}": np.array(column) for name, column in self.tally._asdict().items()}
        return columns

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything but ``points`` to a file (.npz is added if missing): plain arrays and JSON, no pickle.

        Task keys that are numbers, strings, None or tuples of these come back as they were, others as their ``repr``.
        """
        header = {
            "format": 1,
            "inner": _described(self.inner),
            "outer": _described(self.outer),
            "update": self.update,
            "description": self.description,
            "keys": [_written(key) for key in self.keys],
        }
        np.savez_compressed(
            path, header=np.array(json.dumps(header)), centre=self.centre, path=self.path, path_tasks=self.path_tasks,
            accounts=self._accounts.filled, tasks=self._tasks.filled, tallies=self._tallies.filled,
        )  # fmt: skip

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, inner: Any = None, outer: Any = None) -> Ledger:
        """Read what ``save`` wrote. A law of your own is not in ``owo``: pass it again as ``inner`` or ``outer``.

        Raises ``ValueError`` for a file that is damaged or is not a ledger.
        """
        name = os.fspath(path)
        name = name if os.path.exists(name) or name.endswith(".npz") else f"{name}.npz"
        with open(name, "rb") as raw:
            try:
                with np.load(raw, allow_pickle=False) as file:
                    arrays = {key: file[key] for key in file.files}
                return cls._of(json.loads(str(arrays.pop("header"))), arrays, inner, outer)
            except (ValueError, KeyError, TypeError, EOFError, OSError, zipfile.BadZipFile, zlib.error) as error:
                raise ValueError(f"{name} is damaged or not a ledger that this version reads: {error}") from error

    @classmethod
    def _of(cls, header: dict[str, Any], arrays: dict[str, Any], inner: Any, outer: Any) -> Ledger:
        if header.get("format") != 1:
            raise ValueError(f"it has ledger format {header.get('format')!r}, needed 1")
        inner = _revived(header["inner"]) if inner is None else inner
        outer = _revived(header["outer"]) if outer is None else outer
        keys = [_read(key) for key in header["keys"]]
        if not len(keys) == len(arrays["accounts"]) == len(arrays["tasks"]) == len(arrays["tallies"]):
            raise ValueError(f"it names {len(keys)} tasks, and has rows of {len(arrays['tasks'])}")
        ledger = cls(inner, outer, header["update"], arrays["centre"], header["description"])
        none = np.empty(0)
        rows = kernels.Written(none, none, arrays["accounts"], arrays["tasks"], arrays["tallies"], arrays["path"])
        ledger.append(keys, range(len(keys)), rows, arrays["path_tasks"][:, None])
        return ledger


def _running(values: Any) -> Array:
    """Running sums of (T,) values, with rounding errors carried along; ``inf`` stays ``inf`` from there on."""
    values = np.array(values, dtype=np.float64)
    sums: Array = kernels.cumulative(values) if np.isfinite(values).all() else np.cumsum(values)
    return sums


def _plain(keys: Sequence[Hashable]) -> NDArray[Any]:
    """Task keys as an array of numbers or strings; anything else by its ``repr``."""
    for kinds in ((int, np.integer), (str, np.str_), (float, np.floating)):
        if all(isinstance(key, kinds) and not isinstance(key, bool) for key in keys):
            array = np.array(keys)
            return array if array.dtype.kind in "iuUf" else np.array([str(key) for key in keys])
    return np.array([repr(key) for key in keys])


def _written(key: Any) -> Any:
    """A task key in JSON."""
    if isinstance(key, tuple):
        return {"tuple": [_written(part) for part in key]}
    if isinstance(key, np.generic):
        key = key.item()
    return key if isinstance(key, (int, float, str, type(None))) else {"repr": repr(key)}


def _read(key: Any) -> Any:
    if isinstance(key, dict):
        return tuple(_read(part) for part in key["tuple"]) if "tuple" in key else key["repr"]
    return key


def _described(law: Any) -> dict[str, Any]:
    fields = {
        k: _described(v) if hasattr(v, "_asdict") else getattr(v, "item", lambda v=v: v)()
        for k, v in law._asdict().items()
    }
    return {"law": type(law).__name__, "ours": type(law) is getattr(laws, type(law).__name__, None), "fields": fields}


def _revived(description: dict[str, Any]) -> Any:
    kind: Any = getattr(laws, description["law"], None)
    if not description["ours"] or not _is_law(kind):
        raise ValueError(f"law {description['law']} is not one of owo's; pass it to Ledger.load as inner= or outer=")
    fields = {k: _revived(v) if isinstance(v, dict) else v for k, v in description["fields"].items()}
    return kind(**fields)


def _is_law(kind: Any) -> bool:
    """Whether this is one of the classes of laws that ``owo.laws`` defines."""
    return isinstance(kind, type) and hasattr(kind, "observe") and hasattr(kind, "_fields")
