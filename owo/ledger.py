"""What a run suffered, what was possible, and the bound its regret cannot exceed.

For tasks 1..t, a comparator with weights ``u_1 .. u_t`` and a bias ``theta'`` they are measured from:

    regret_t       =  sum_{s<=t} [ loss of the run on task s  -  loss of u_s on task s ]
    certificate_t  =  sum_{s<=t} B_s(|u_s - theta'|)  +  B_across(|theta' - centre|)  +  overlap_t

where ``B_s`` and ``B_across`` are the certificates of the learners inside task s and across tasks, as their laws
compute them from the run's own numbers (``owo.laws``). The sum is a bound because, by convexity, every loss is at
most ``<g, w - u>`` above the comparator's, and ``w - u = (theta - theta') + (v - (u - theta'))`` splits that between
the two learners, both fed with the same gradients. It holds for every data sequence, so ``regret > certificate`` is
a bug, never bad luck. Sources: Denevi et al. (NeurIPS 2019), Theorem 2, for lazy updates; translation of the
comparator for updates after every point.
"""

from __future__ import annotations

import os
from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from owo import kernels, ledger_file
from owo.geometry.identity import Identity, Spent, norm
from owo.geometry.stages import Stages
from owo.growing import Growing
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
    metric: Array
    """learning M: from where it started to M'; 0 where the geometry is ``Identity``"""
    overlap: Array
    """tasks were open at the same time, so that the bias learned from gradients late, or early; 0 unless they were"""

    @property
    def total(self) -> Array:
        """The certificate: the sum of all terms."""
        return self.within + self.spread + self.across + self.metric + self.overlap


class CertificateViolation(AssertionError):
    """A measured regret above its certificate: the run, a loss or a law is wrong."""


class Ledger:
    """An append-only record of a learner's run: a row for each task that ended, in the order of their ending.

    Attributes
    ----------
    inner, outer : the laws inside and across tasks
    update : ``"task"`` or ``"point"``
    centre : array (d,), where the bias began
    description : the learner, in words
    points : list of dicts of arrays (loss, prediction, label, task), one for each block, if points were kept
    tables : the numbers themselves, rows a task; the properties below name them
    """

    def __init__(
        self, inner: Any, outer: Any, update: str, centre: Array, description: str, geometry: Any = None,
        metric: Any = (),
    ) -> None:  # fmt: skip
        self.geometry: Any = Identity() if geometry is None else geometry
        self.metric = np.array(metric, dtype=np.float64)
        self.stages = Stages(self.geometry.stage(len(self.metric)))
        self.inner, self.outer, self.update, self.centre, self.description = inner, outer, update, centre, description
        self.points: list[dict[str, Any]] = []
        width = len(kernels.ACCOUNT)
        self.tables = {
            "accounts": Growing(width),
            "tasks": Growing(kernels.PENDING + 1),
            "tallies": Growing(width),
            "path": Growing(len(centre) + (len(self.metric) if self.geometry.learns else 0)),
            "path_tasks": Growing(1),
            "moves": Growing(2),
        }
        self._keys: list[tuple[Sequence[Hashable], Any]] = []

    def widen(self, centre: Array) -> None:
        """Go on with a centre of more features; no path has been kept."""
        self.centre = centre
        self.tables["path"] = Growing(len(centre) + (len(self.metric) if self.geometry.learns else 0))

    def append(self, keys: Sequence[Hashable], codes: Any, written: kernels.Written, at: Array) -> None:
        """Add the tasks that ended in a run: ``keys[c] for c in codes``, with the kernel's rows of them.

        ``at`` (p, 1) holds the numbers of tasks after which ``written.path`` (p, d) was taken.
        """
        if len(codes):
            self._keys.append((keys, codes))
        if len(written.stages):
            self.note_stages(written, len(codes), len(self))
        rows = (written.accounts, written.tasks, written.tallies, written.path, at, written.moves)
        for table, more in zip(self.tables.values(), rows, strict=True):
            table.append(more)

    def adopt(self, keys: Sequence[Hashable]) -> None:
        """Take the keys of tasks whose rows were kept elsewhere."""
        self._keys.append((keys, None))

    def note_stages(self, written: kernels.Written, tasks: int, before: int) -> None:
        """Add the stages of M, of a run in which so many tasks ended, after so many ``before``."""
        pace = -(-tasks // len(written.stages))
        ended = np.minimum(np.arange(1, len(written.stages) + 1) * pace, tasks)
        self.stages.append(written.stages, before + ended)

    def add_points(self, losses: Array, predictions: Array, labels: Array, keys: list[Hashable]) -> None:
        """Keep what happened at every point of a block, in the order of its rows."""
        self.points.append({"loss": losses, "prediction": predictions, "label": labels.copy(), "task": keys})

    # ---------------------------------------------------------------------------------------------- what happened

    def __len__(self) -> int:
        """Return the number of tasks that ended."""
        return len(self.tables["tasks"])

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
        return Account(*self.tables["accounts"].filled.T)

    @property
    def tally(self) -> Account:
        """What the learner across tasks kept, as it stood after each task; each entry an array (T,)."""
        return Account(*self.tables["tallies"].filled.T)

    @property
    def losses(self) -> Array:
        """Summed loss of each task, (T,)."""
        return self.tables["tasks"].filled[:, kernels.LOSS]

    @property
    def rounds(self) -> Array:
        """Points of each task, (T,)."""
        return self.tables["accounts"].filled[:, kernels.ROUNDS]

    @property
    def overlap(self) -> Array:
        """What it cost, beyond the outer law's own regret, that tasks were open at the same time, (T,): 0 if none were.

        With ``update="task"`` gradients reach the bias late: ``sum <g_i, theta_i - theta_end>`` over the points of all
        tasks that ended so far. With ``"point"`` the bias has learned from tasks that have not ended: ``-sum <g_i,
        theta_i - centre>`` over their points so far, to which a certificate adds ``pending |theta' - centre|``. Beside
        these, what labels that came late have cost the tasks that ended: see ``owo.delayed``.
        """
        return self.tables["tasks"].filled[:, kernels.OVERLAP]

    @property
    def pending(self) -> Array:
        """Norm of the sum of the gradients that the bias has learned from tasks that are still open, (T,)."""
        return self.tables["tasks"].filled[:, kernels.PENDING]

    @property
    def path(self) -> Array:
        """The bias after the tasks numbered ``path_tasks``, (P, d)."""
        return self.tables["path"].filled[:, : len(self.centre)]

    @property
    def metric_path(self) -> Array:
        """M after the tasks numbered ``path_tasks``, (P, K) or (P, d, d); (P, 0) where it is not learned.

        The M that carries a statistical guarantee for new tasks is the mean over the path, or one drawn from it, not
        the last: regret bounds the sum of what all of them lost, and ``L_t`` is convex in M (Denevi et al., NeurIPS
        2019). Learn with ``path_every=1``, or every k-th for a path k times as short; then start a ``Fixed`` learner at
        the mean.

        >>> import owo
        >>> inner, outer, tasks = owo.GrowingFTRL(1.0), owo.Frozen(), [([[1.0, 0.0], [1.0, 1.0]], [2.0, 3.0])] * 5
        >>> learner = owo.OnlineWithinOnline(owo.Absolute(), inner, outer, "task", geometry=owo.geometry.Full())
        >>> mean = learner.run(tasks, path_every=1).metric_path.mean(axis=0)
        >>> fixed = owo.geometry.Fixed()
        >>> new = owo.OnlineWithinOnline(owo.Absolute(), inner, outer, "task", geometry=fixed, metric=mean)
        >>> mean.shape, new.adapt([[1.0, 0.0], [1.0, 1.0]], [2.0, 2.0], average=True).shape
        ((2, 2), (2,))
        """
        d, path = len(self.centre), self.tables["path"].filled[:, len(self.centre) :]
        matrices = path.shape[1] == d * d and (d > 1 or hasattr(self.geometry, "within"))  # of d = 1 by the geometry
        return path.reshape(-1, d, d) if matrices else path

    @property
    def path_tasks(self) -> Array:
        """Numbers of tasks that had ended at the rows of ``path``, (P,)."""
        return self.tables["path_tasks"].filled[:, 0]

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
        """
        bias, apart = self._apart(comparator)
        if not len(self):
            return Certificate(*np.empty((len(Certificate._fields), 0)))
        moved = float(norm(bias - self.centre))
        across = np.asarray(self.outer.bound(self.tally, moved))
        overlap = self.overlap + self.pending * moved
        if self.geometry.learns:
            within, spread, metric = self.geometry.bound(self._spent(), apart, getattr(comparator, "metric", None))
            return Certificate(within, _running(spread), across, metric, overlap + self._moves()[:, 1])
        distance = self.geometry.distances(apart, self.metric)
        at_bias = self._at_bias()
        if not apart.any():
            return Certificate(_running(at_bias), np.zeros(len(self)), across, np.zeros(len(self)), overlap)
        out = np.isinf(distance)  # of the range of M: nothing is proved there
        at_task = np.where(out, np.inf, self.inner.bound(self.account, np.where(out, 0.0, distance)))
        return Certificate(_running(at_bias), _running(at_task - at_bias), across, np.zeros(len(self)), overlap)

    def _apart(self, comparator: Any) -> tuple[Array, Array]:
        """The comparator's bias (d,), and its tasks' weights beyond that (T, d), in this ledger's order."""
        bias, weights = _positions(comparator)
        d = len(self.centre)
        if bias.shape != (d,) or weights.shape[1:] != (d,):
            flat = "; give matrices (d, k) flat, as W.ravel()" if bias.ndim > 1 else ""
            raise ValueError(f"comparator has bias {bias.shape} and weights {weights.shape}; this run has d={d}{flat}")
        order = self._order_of(comparator)
        if len(weights) not in (1, len(getattr(comparator, "keys", ())) or len(self)):
            raise ValueError(
                f"comparator has weights of {len(weights)} tasks; this ledger has {len(self)}: give each or one"
            )
        apart = weights - bias
        return bias, np.broadcast_to(apart, (len(self), d)) if len(apart) == 1 else apart[order]

    def _at_bias(self) -> Array:
        """B of each task at distance 0, (T,)."""
        return np.asarray(self.inner.bound(self.account, np.zeros(len(self))))

    def _moves(self) -> Array:
        """Slack of the learner of M so far, and what it cost that M moved while tasks were open, (T, 2)."""
        return self.tables["moves"].filled

    def _spent(self) -> Spent:
        return Spent(self.metric, self.stages, self._moves()[:, 0], self._scales())

    def _scales(self) -> Array:
        """The scale that each task's certificate stands on, (T,): of its last play, or of the next if that was 0."""
        scale, pull, slack = self.account.scale, self.account.pull, self.account.slack
        seen = np.where(pull > 0.0, pull**2, 1.0)
        return np.where(scale > 0.0, scale, np.where(pull > 0.0, 2.0 * slack / seen, np.inf))

    def check(self, comparator: Any) -> None:
        """Raise ``CertificateViolation`` if regret exceeds its certificate, beyond rounding, at any task boundary."""
        regret, certificate = self.regret(comparator), self.certificate(comparator)
        over = regret - certificate.total - self.rounding(comparator)
        bad = np.flatnonzero(~(over <= 0))  # NaN is no certificate
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
        bias, weights = _positions(comparator)
        far = norm(weights).max(initial=0.0) + norm(bias) + norm(self.centre)
        across = self.tally.squares * self.tally.rounds
        squares, rounds = np.cumsum(self.account.squares), np.cumsum(self.rounds)
        losses = np.cumsum(np.abs(self.losses) + np.abs(self._losses_of(comparator)))
        terms = np.cumsum(self._margins() + self.account.slack) + np.abs(self.tally.margin) + self.tally.slack
        scale = (np.sqrt(squares * rounds) + np.sqrt(across)) * far + losses + terms + np.abs(self.overlap)
        allowance: Array = 8 * np.finfo(float).eps * (len(self.centre) + rounds.max(initial=1.0)) * scale
        underflow = 2 * np.sqrt(np.finfo(float).tiny) * rounds * (1.0 + far)  # |g|^2 may be 0 where g is not
        allowance += underflow
        return allowance

    def _margins(self) -> Array:
        """``|margin|`` of each task, (T,)."""
        return np.asarray(np.abs(self.account.margin))

    def _losses_of(self, comparator: Any) -> Array:
        theirs = np.asarray(getattr(comparator, "losses", comparator), dtype=np.float64)
        keys = getattr(comparator, "keys", ())
        if keys and len(theirs) != len(keys):
            raise ValueError(f"comparator has {len(theirs)} losses for {len(keys)} keys: give one for each")
        if hasattr(comparator, "losses"):
            theirs = theirs[self._order_of(comparator)]
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
                seen: set[Hashable] = set()
                twice = next(key for key in keys if key in seen or seen.add(key))  # type: ignore[func-returns-value]
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
        columns |= {"overlap": self.overlap.copy(), "pending": self.pending.copy()}
        columns |= {f"across_{name}": np.array(column) for name, column in self.tally._asdict().items()}
        return columns

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything but ``points`` to a file (.npz is added if missing): plain arrays and JSON, no pickle.

        Task keys that are numbers, strings, dates of NumPy, None or tuples of these come back as they were, others as
        their ``repr``.
        """
        ledger_file.save(self, path)

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], *, inner: Any = None, outer: Any = None, geometry: Any = None
    ) -> Ledger:
        """Read what ``save`` wrote.

        A law of your own is not in ``owo``: pass it again as ``inner`` or ``outer``, or the whole ``geometry`` that it
        moves. Raises ``ValueError`` for a file that is damaged or is not a ledger.
        """
        return ledger_file.load(cls, path, {"inner": inner, "outer": outer, "geometry": geometry})


def _positions(comparator: Any) -> tuple[Array, Array]:
    """A comparator's bias (d,) and weights (T or 1, d), if they are numbers."""
    if not hasattr(comparator, "weights"):
        raise TypeError(f"a certificate is against weights; {type(comparator).__name__} has none. "
                        "Take a comparator from owo.hindsight, e.g. best_bias(loss, block, strength)")  # fmt: skip
    bias = np.asarray(comparator.bias, dtype=np.float64)
    weights = np.atleast_2d(np.asarray(comparator.weights, dtype=np.float64))
    for name, array in (("bias", bias), ("weights", weights)):
        if not np.isfinite(array).all():
            raise ValueError(f"comparator has {name} that are not finite; regret is measured against finite ones")
    return bias, weights


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
