"""Real data, their tasks in random orders: what learning a bias gains on learning every task on its own.

A seed is an order of the tasks. The last fifth of it is not streamed: half of that is for validation, on which numbers
are chosen, and half for test. Columns and labels are encoded from the first tenth of the tasks alone, as in
``owo.compare``; errors are told in standard deviations of y (MovieLens: in stars). Classification asks whether y is
above its median, by the hinge loss.

Beside it stands what the best numbers of the same coarse grid, chosen in hindsight on the stream itself, give on all
tasks: that is how the reference numbers were measured, and nobody could have chosen so.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

import owo
from experiments import trials
from experiments.figures import learning_curves
from experiments.methods import INDEPENDENT, ORACLE, PER_TASK, POOLED, Known, Method, around_a_bias
from experiments.own import Own
from experiments.store import Arrays
from experiments.study import Study
from experiments.tables import Table, contest_table, gain, number, shown
from experiments.trials import Trial
from owo.contenders import STEPS, STRENGTHS
from owo.streams import Encoding, datasets
from owo.streams.sparse import SparseRows

Array = NDArray[np.float64]

BEST, MEDIANS = "best bias in hindsight", "medians of the items"
REFERENCE = {
    ("wagepan", "regression"): (0.599, 0.523, 0.508, 0.597),
    ("wagepan", "classification"): (0.247, 0.209, 0.197, 0.258),
    ("airfare", "regression"): (0.606, 0.477, 0.461, 0.635),
    ("airfare", "classification"): (0.201, 0.157, 0.156, 0.255),
    ("countymurders", "regression"): (0.510, 0.410, 0.401, 0.448),
    ("countymurders", "classification"): (0.208, 0.179, 0.178, 0.188),
    ("schools", "regression"): (0.766, 0.656, 0.630, 0.639),
    ("schools", "classification"): (0.387, 0.301, 0.285, 0.292),
    ("lenk", "regression"): (0.822, 0.693, 0.678, 0.704),
    ("lenk", "classification"): (0.403, 0.271, 0.264, 0.272),
    ("ml100k", "regression"): (0.872, 0.825, 0.819, 0.830),
}
"""Independent, OWO per task, oracle and pooled, measured with other code; numbers of a coarse grid in hindsight."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """One data set."""

    data: str = "wagepan"
    kind: Literal["regression", "classification"] = "regression"
    one_hot: bool = False
    """whether rows are an item and an intercept, kept sparse"""
    centred: bool = True
    """whether the mean of the first tenth of the tasks is taken off y"""
    tasks: int = 0
    """that take part, drawn at random; 0 for all"""
    strengths: tuple[float, ...] = STRENGTHS
    steps: tuple[float, ...] = STEPS

    def __post_init__(self) -> None:
        if self.kind not in ("regression", "classification"):
            raise ValueError(f"kind is {self.kind!r}; it must be 'regression' or 'classification'")
        if self.data not in datasets.names():
            raise ValueError(f"data is {self.data!r}; there are {', '.join(datasets.names())}")
        if self.tasks and self.tasks < 20:
            raise ValueError(f"tasks is {self.tasks}; needed at least 20, or 0 for all")


def draw(config: Config, seed: int) -> tuple[owo.Block, float]:
    """All tasks in the order of a seed, encoded; and what a loss of 1 is in the unit of the tables."""
    block = ordered(config, seed)
    classifies = config.kind == "classification"
    tenth = block.rows(0, int(block.offsets[max(10, -(-block.n_tasks // 10))]))
    if config.one_hot:
        centre, width = (float(np.mean(tenth.y)), float(np.std(tenth.y))) if config.centred else (0.0, 1.0)
        assert isinstance(block.X, SparseRows)
        parts = block.X.parts
        values = parts.values / np.sqrt(2.0)  # an item and the intercept: every row has norm 1
        rows = SparseRows(parts._replace(values=values), block.d)
        encoded = owo.Block(rows, (block.y - centre) / width, block.task)
    else:
        encoding = Encoding.fit(block.X, block.y, block.task, 0.1, classification=classifies)
        if not config.centred:
            encoding = replace(encoding, centre=0.0)
        encoded, width = encoding.block(block), encoding.width
    if classifies:
        return encoded, 1.0
    return encoded, width if stars(config) else width / float(np.std(block.y))


def ordered(config: Config, seed: int) -> owo.Block:
    """The tasks of at least two points, as they are, in the order of a seed."""
    table = datasets.load(config.data)
    if config.one_hot and not isinstance(table.X, datasets.OneHot):
        table = table._replace(X=items(config.data))
    lengths = np.bincount(table.task)
    rng = np.random.default_rng([seed, 0])
    rank = np.full(len(lengths), -1)
    several = rng.permutation(np.flatnonzero(lengths > 1))[: config.tasks or None]
    rank[several] = np.arange(len(several))
    kept = np.flatnonzero(rank[table.task] >= 0)
    rows = kept[np.argsort(rank[table.task[kept]], kind="stable")]
    if isinstance(table.X, datasets.OneHot) and config.one_hot:
        return owo.Block(
            datasets.OneHot(table.X.item[rows], table.X.items).sparse(), table.y[rows], rank[table.task[rows]]
        )
    return owo.Block(table.X[rows], table.y[rows], rank[table.task[rows]])


def items(name: str) -> datasets.OneHot:
    """The items that were rated, of a data set whose table has features of items instead."""
    read = datasets._ARCHIVES[name][1]
    item = read.whole(read.arrays(name, item="iu")["item"], "item", 0, 1681)
    return datasets.OneHot(item, 1682)


def methods(config: Config, own: Own) -> tuple[Method, ...]:
    """Who takes part; the oracle is told the best bias in hindsight, of one-hot data the items' medians."""
    found = around_a_bias(config.strengths, config.steps)
    oracle = MEDIANS if config.one_hot else BEST
    return (*(each._replace(name=oracle) if each.name == ORACLE else each for each in found), *own.methods)


def run(config: Config, seed: int, own: Own) -> Arrays:
    """One order."""
    loss = own.loss or (owo.Absolute() if config.kind == "regression" else owo.Hinge())
    strength = 1.0 if config.kind == "regression" else 0.316
    block, unit = draw(config, seed)
    held = max(block.n_tasks // 10, 1)
    ends = block.offsets[[block.n_tasks - 2 * held, block.n_tasks - held]].tolist()
    training = block.rows(0, ends[0])
    comparator = None if config.one_hot else owo.hindsight.best_bias(loss, training, strength, 1e-4)
    known = Known(medians(training) if comparator is None else comparator.bias)
    halves = [trials.halved(block.rows(*part)) for part in ((ends[0], ends[1]), (ends[1], block.n))]
    trial = Trial(loss, training, halves[0], halves[1], known, comparator)
    who = methods(config, own)
    found = trials.contest(trial, who, trials.spaced(training.n_tasks))
    for name in ("error", "online", "regret", "certificate"):
        found[name] = found[name] * unit
    return found | in_hindsight(who, loss, block, known, unit)


def medians(block: owo.Block) -> Array:
    """The bias (d,) that predicts the median label of each item, of all labels for one that nobody rated.

    A certified best bias of thousands of items takes too long; with the absolute loss and no learning inside tasks this
    is it.
    """
    assert isinstance(block.X, SparseRows)
    item, overall = block.X.parts.columns[::2], float(np.median(block.y))
    order = np.argsort(item, kind="stable")
    rated, starts = np.unique(item[order], return_index=True)
    bias = np.zeros(block.d)
    bias[rated] = [np.median(each) - overall for each in np.split(block.y[order], starts[1:])]
    bias[-1] = overall
    return np.sqrt(2.0) * bias  # of rows (1, 1) / sqrt(2)


def in_hindsight(who: tuple[Method, ...], loss: Any, block: owo.Block, known: Known, unit: float) -> Arrays:
    """The least mean error (M,) of the whole stream, over each method's grid, and the numbers of it (M, 2)."""
    least, best = [], []
    for method in who:
        errors = [suffered(method.learner(loss, numbers, known), loss, block) for numbers in method.grid]
        least.append(min(errors) * unit)
        best.append(method.grid[int(np.argmin(errors))])
    return {"hindsight": np.array(least), "numbers": np.array(best)}


def suffered(learner: Any, loss: Any, block: owo.Block) -> float:
    """Loss a point; for signs, errors a point, a prediction of 0 counted half."""
    try:
        if loss.accepts(0.5):
            return float(learner.run(block).cumulative_loss()[-1]) / block.n
        points: NDArray[Any] = learner.run(block, points=True).points[0]
    except FloatingPointError:
        return float("inf")
    agree = points["prediction"] * points["label"]
    return float(np.mean(np.where(agree == 0.0, 0.5, agree < 0.0)))


def tables(config: Config, arrays: Arrays) -> list[Table]:
    """The comparison; the stream with numbers of hindsight; the reference numbers, where there are some."""
    note = "Regret beyond, and certificate against, the best bias in hindsight of the tasks that were streamed."
    found = [
        contest_table(f"{config.data}, {config.kind}", arrays, unit(config), note),
        hindsight_table(config, arrays),
    ]
    usual = not config.one_hot and config.centred and not config.tasks
    if usual and (config.data, config.kind) in REFERENCE:
        found.append(reference_table(config, arrays))
    return found


def hindsight_table(config: Config, arrays: Arrays) -> Table:
    """What every method suffers with the best numbers of the grid."""
    names, held = arrays["method"][0].tolist(), arrays["hindsight"]
    base = names.index(INDEPENDENT)
    rows = []
    for m, name in enumerate(names):
        numbers = [f"{value:.3g}" for value in np.median(arrays["numbers"][:, m], axis=0)]
        rows.append((name, shown(held[:, m]), "-" if m == base else gain(held[:, base], held[:, m]), *numbers))
    return Table(
        f"{config.data}, {config.kind}: all tasks streamed, numbers chosen in hindsight", 
        ("method", f"online error ({unit(config)})", "gain %", "strength", "step"), tuple(rows),
        "The numbers are the best of the grid for this very stream; nobody could have known them.",
    )  # fmt: skip


def reference_table(config: Config, arrays: Arrays) -> Table:
    """Reference numbers, ours, and the difference."""
    names, rows = arrays["method"][0].tolist(), []
    for name, there in zip((INDEPENDENT, PER_TASK, BEST, POOLED), REFERENCE[config.data, config.kind], strict=True):
        ours = arrays["hindsight"][:, names.index(name)]
        rows.append((name, number(there), shown(ours), f"{float(ours.mean()) - there:+.3f}"))
    return Table(
        f"{config.data}, {config.kind}: reference numbers", ("method", "reference", "ours", "difference"), tuple(rows),
        f"In {unit(config)}; the reference's {ORACLE} stands against the {BEST}.",
    )  # fmt: skip


def figures(config: Config, arrays: Arrays) -> dict[str, Any]:
    """Test error against training tasks seen."""
    return {"learning_curves": learning_curves(arrays, f"test error ({unit(config)})")}


def stars(config: Config) -> bool:
    """Whether errors are in units of y."""
    return config.data == "ml100k"


def unit(config: Config) -> str:
    """Of errors."""
    if config.kind == "classification":
        return "share of wrong signs"
    return "stars" if stars(config) else "sd of y"


def _variants() -> dict[str, Config]:
    plain = "schools lenk wagepan airfare countymurders gapminder chem97 star hsb82 verbagg".split()
    found = {name: Config(data=name) for name in plain}
    found["lenk-raw"] = Config(data="lenk", centred=False)
    found["ml100k-genres"] = Config(data="ml100k")
    found["ml100k-items"] = Config(data="ml100k", one_hot=True)
    found["jester3"] = Config(data="jester3", one_hot=True, tasks=2000)
    for name in ("schools", "lenk", "wagepan", "airfare", "countymurders"):
        found[f"{name}-signs"] = Config(data=name, kind="classification")
    return found


STUDY = Study("real", "real data, tasks in random orders", _variants(), run, tables, figures)
