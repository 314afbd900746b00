"""Real data, their tasks in random orders: what learning a bias gains on learning every task on its own.

A seed is an order of the tasks. The last fifth of it is not streamed: half of that is for validation, on which numbers
are chosen, and half for test. Columns and labels are encoded from the first tenth of the tasks alone, as in
``owo.compare``; errors are told in standard deviations of y, of ratings in stars (jester3: in points of -10 to 10).
Classification asks whether y is above its median, by the hinge loss. One-hot rows are an item and an intercept; they
are kept sparse.

Two oracles are told what nobody can know: the best bias in hindsight, and the mean of the tasks' own optima, both of
the tasks that are streamed. Of one-hot rows there is one, the median rating of each item: a best bias of thousands of
items takes too long to certify, and with the absolute loss and no learning inside tasks the medians are it.

Beside it stands what the best numbers of the same coarse grid, chosen in hindsight on the stream itself, give on all
tasks: that is how the reference numbers were measured, and nobody could have chosen so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

import owo
from experiments import trials
from experiments.figures import learning_curves
from experiments.methods import INDEPENDENT, ORACLE, PER_TASK, POOLED, Known, Method, around_a_bias
from experiments.own import NOTHING, Own
from experiments.settings import require_positive
from experiments.store import Arrays
from experiments.study import Study
from experiments.tables import Table, contest_table, gain, middle, reference_table, shown
from experiments.trials import Trial
from owo.compare import Settings
from owo.contenders import STEPS, STRENGTHS
from owo.streams import Encoding, datasets
from owo.streams.sparse import SparseRows

Array = NDArray[np.float64]

BEST, MEDIANS = "best bias in hindsight", "medians of the items"
ITEMS = ("ml100k-items", "jester3", "sushi")
"""Data whose rows are an item and an intercept."""
RATINGS = {"ml100k": "stars", "ml100k-items": "stars", "sushi": "stars", "jester3": "points"}
"""Data whose errors are told in units of y."""
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
REMARKS = {
    ("ml100k", "regression"): "The reference had a coarser grid: with `--set strengths=[0.355] --set "
    "steps=[0.0056,0.0316]`, .316 in stars, we have .869, .819 and .829 for independent, OWO per task and pooled.",
    ("wagepan", "classification"): "Half of the difference is the grid, and labels split at the median of all tasks: "
    "with `--set fraction=1.0 --set strengths=[0.316,1.0] --set steps=[0.1,1.0]` we have .234, .205 and .253.",
    ("lenk", "classification"): "The reference split labels at the median of all tasks: with `--set fraction=1.0` we "
    "have .406, .266 and .273 for independent, OWO per task and pooled.",
}
"""What explains differences, as seen with the settings named."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """One data set."""

    data: str = "wagepan"
    kind: Literal["regression", "classification"] = "regression"
    centred: bool = True
    """whether the mean of the first tasks is taken off y"""
    fraction: float = 0.1
    """of the tasks that the encoding is taken from, the first ones; 1 looks ahead, as some reference numbers do"""
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
        require_positive(self, "strengths", "steps")
        if not 0.0 < self.fraction <= 1.0:
            raise ValueError(f"fraction is {self.fraction}; needed a part of the tasks, above 0 and at most 1")
        if self.kind == "classification" and not (self.centred and self.data not in ITEMS):
            raise ValueError(
                f"kind is 'classification', with data = {self.data!r} and centred = {str(self.centred).lower()}; signs "
                "are of y about its median, of data with features: leave centred true, and take other data"
            )


def draw(config: Config, seed: int, own: Own = NOTHING) -> tuple[owo.Block, float]:
    """All tasks in the order of a seed, encoded; and what an error of 1 is in the unit of the tables."""
    block = ordered(config, seed, own)
    classifies = config.kind == "classification"
    if isinstance(block.X, SparseRows):
        looked = min(max(10, math.ceil(config.fraction * block.n_tasks)), block.n_tasks)
        first = block.y[: int(block.offsets[looked])]
        centre, width = (float(np.mean(first)), float(np.std(first))) if config.centred else (0.0, 1.0)
        parts = block.X.parts
        values = parts.values / np.sqrt(2.0)  # an item and the intercept: every row has norm 1
        encoded = owo.Block(
            SparseRows(parts._replace(values=values), block.d), (block.y - centre) / width, block.task
        )  # fmt: skip
    else:
        encoding = Encoding.fit(block.X, block.y, block.task, config.fraction, classification=classifies)
        if not config.centred:
            encoding = replace(encoding, centre=0.0)
        encoded, width = encoding.block(block), encoding.width
    if classifies:
        return encoded, 1.0
    return encoded, width if config.data in RATINGS else width / float(np.std(block.y))


def ordered(config: Config, seed: int, own: Own = NOTHING) -> owo.Block:
    """The tasks of at least two points, as they are, in the order of a seed; a user's tasks, if there are some."""
    X: Any
    if own.stream is not None:
        X, y, task = trials.joined(own.stream(np.random.default_rng([seed, 1])))
    else:
        X, y, task = datasets.load(config.data)[1:4]
    lengths = np.bincount(task)
    rank = np.full(len(lengths), -1)
    several = np.random.default_rng([seed, 0]).permutation(np.flatnonzero(lengths > 1))[: config.tasks or None]
    if len(several) < 20:
        raise ValueError(f"there are {len(several)} tasks of two points or more; needed at least 20")
    rank[several] = np.arange(len(several))
    kept = np.flatnonzero(rank[task] >= 0)
    rows = kept[np.argsort(rank[task[kept]], kind="stable")]
    X = datasets.OneHot(X.item[rows], X.items).sparse() if isinstance(X, datasets.OneHot) else X[rows]
    return owo.Block(X, y[rows], rank[task[rows]])


def methods(config: Config, own: Own, items: bool) -> tuple[Method, ...]:
    """Who takes part."""
    *found, best = around_a_bias(config.strengths, config.steps)
    if items:
        return (*found, best._replace(name=MEDIANS), *own.methods)

    def from_the_mean(loss: Any, at: Any, known: Known) -> Any:
        assert known.mean is not None
        return best.learner(loss, at, Known(known.mean))

    return (*found, best._replace(name=BEST), best._replace(learner=from_the_mean), *own.methods)


def run(config: Config, seed: int, own: Own) -> Arrays:
    """One order."""
    classifies = config.kind == "classification"
    loss = own.loss or (owo.Hinge() if classifies else owo.Absolute())
    if Settings(loss).classification != classifies:
        needed = "classification" if not classifies else "regression"
        raise ValueError(f"the loss is {loss!r} and kind is {config.kind!r}; needed --set kind={needed}")
    block, unit = draw(config, seed, own)
    held = max(block.n_tasks // 10, 1)
    ends = block.offsets[[block.n_tasks - 2 * held, block.n_tasks - held]].tolist()
    training, *others = block.rows(0, ends[0]), block.rows(*ends), block.rows(ends[1], block.n)
    known, comparator = told(loss, training, strength_of(config))
    validation, test = (trials.halved(each) for each in others)
    trial = Trial(loss, training, validation, test, known, comparator, others[0], own.stream is not None)
    who = methods(config, own, comparator is None)
    found = trials.contest(trial, who, trials.spaced(training.n_tasks)) | in_hindsight(who, loss, block, known)
    degree = Settings(loss).degree
    for name in found.keys() & {"online", "regret", "certificate", "hindsight"}:
        found[name] = found[name] * unit**degree
    return found | {
        "error": found["error"] * unit,
        "degree": np.array(degree),
        "own_loss": np.array(own.loss is not None),
    }


def told(loss: Any, training: owo.Block, strength: float) -> tuple[Known, owo.hindsight.Comparator | None]:
    """What oracles know, and what regret is against: of one-hot rows the medians, and nothing."""
    if isinstance(training.X, SparseRows):
        return Known(medians(training)), None
    best = owo.hindsight.best_bias(loss, training, strength, 1e-4)
    return Known(best.bias, mean=owo.hindsight.own_optimum(loss, training, 0.01).bias), best


def medians(block: owo.Block) -> Array:
    """The bias (d,) that predicts the median label of each item, of all labels for one that nobody rated."""
    assert isinstance(block.X, SparseRows)
    item, overall = block.X.parts.columns[::2], float(np.median(block.y))
    order = np.argsort(item, kind="stable")
    rated, starts = np.unique(item[order], return_index=True)
    bias = np.zeros(block.d)
    bias[rated] = [np.median(each) - overall for each in np.split(block.y[order], starts[1:])]
    bias[-1] = overall
    return np.sqrt(2.0) * bias  # of rows (1, 1) / sqrt(2)


def in_hindsight(who: tuple[Method, ...], loss: Any, block: owo.Block, known: Known) -> Arrays:
    """The least mean error (M,) of the whole stream, over each method's grid, and the numbers of it (M, 2)."""
    least, best = [], []
    for method in who:
        errors = [suffered(method.begun(loss, numbers, known), loss, block) for numbers in method.grid]
        least.append(min(errors))
        best.append(method.grid[int(np.argmin(errors))])
    return {"hindsight": np.array(least), "hindsight_numbers": np.array(best)}


def suffered(learner: Any, loss: Any, block: owo.Block) -> float:
    """Loss a point; for signs, errors a point, a prediction of 0 counted half; infinite for what is not online."""
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
    items = config.data in ITEMS and not arrays["brought"].any()
    losses = "units of the loss" if config.kind == "classification" else loss_unit(config, arrays)
    note = "" if items else (
        f"Regret beyond, and certificate against, the {BEST} of the tasks that were streamed, which every task leaves "
        f"at strength {strength_of(config):g}; loss, regret and certificate in {losses}."
    )  # fmt: skip
    found = [contest_table(title(config, arrays), arrays, unit(config), note), hindsight_table(config, arrays)]
    case = config.data, config.kind
    as_there = config.centred != (config.data == "ml100k") and not config.tasks
    if as_there and case in REFERENCE and not (arrays["brought"].any() or arrays["own_loss"].any()):
        names = arrays["method"][0].tolist()
        there = zip((INDEPENDENT, PER_TASK, BEST, POOLED), REFERENCE[case], strict=True)
        rows = [(name, (value, value), arrays["hindsight"][:, names.index(name)]) for name, value in there]
        told = f"In {unit(config)}; the reference's {ORACLE} stands against the {BEST}."
        remark = f"{told} {REMARKS.get(case, '')}".strip()
        found.append(reference_table(f"{title(config, arrays)}: reference numbers", rows, remark))
    return found


def hindsight_table(config: Config, arrays: Arrays) -> Table:
    """What every method suffers with the best numbers of the grid."""
    names, held = arrays["method"][0].tolist(), arrays["hindsight"]
    base = names.index(INDEPENDENT)
    rows = [
        (name, shown(held[:, m]), "-" if m == base else gain(held[:, base], held[:, m]),
         middle(arrays["hindsight_numbers"][:, m]))
        for m, name in enumerate(names)
    ]  # fmt: skip
    return Table(
        f"{title(config, arrays)}: all tasks streamed, numbers chosen in hindsight",
        ("method", f"online error ({loss_unit(config, arrays)})", "gain %", "strength, step"), tuple(rows),
        "The numbers are the best of the grid for this very stream; nobody could have known them.",
    )  # fmt: skip


def figures(config: Config, arrays: Arrays) -> dict[str, Any]:
    """Test error against training tasks seen."""
    return {"learning_curves": learning_curves(arrays, unit(config))}


def title(config: Config, arrays: Arrays) -> str:
    """Of tables."""
    centred = "" if config.centred else ", y not centred"
    return f"{'tasks of a file' if arrays['brought'].any() else config.data}, {config.kind}{centred}"


def strength_of(config: Config) -> float:
    """At which tasks leave the best bias in hindsight."""
    return 0.316 if config.kind == "classification" else 1.0


def unit(config: Config) -> str:
    """Of errors."""
    if config.kind == "classification":
        return "share of wrong signs"
    return RATINGS.get(config.data, "sd of y")


def loss_unit(config: Config, arrays: Arrays) -> str:
    """Of losses: that of errors, its square, or none."""
    if config.kind == "classification":
        return unit(config)
    return ("units of the loss", unit(config), f"squares of {unit(config)}")[int(arrays["degree"].flat[0])]


def _variants() -> dict[str, Config]:
    plain = "schools lenk wagepan airfare countymurders gapminder chem97 star hsb82 population".split()
    found = {name: Config(data=name) for name in plain}
    found["lenk-raw"] = Config(data="lenk", centred=False)
    found["ml100k"] = Config(data="ml100k")
    found["ml100k-minus-3"] = Config(data="ml100k", centred=False)
    found |= {name: Config(data=name) for name in ITEMS}
    for name in ("schools", "lenk", "wagepan", "airfare", "countymurders"):
        found[f"{name}-signs"] = Config(data=name, kind="classification")
    return found | {"verbagg": Config(data="verbagg", kind="classification")}


STUDY = Study("real", "real data, tasks in random orders", _variants(), run, tables, figures)
