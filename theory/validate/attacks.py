"""Whoever chooses the data, regret stays below the certificate of the run; and how near to it an adversary gets."""

from __future__ import annotations

import numpy as np

from theory import adversary
from theory.adversary import Config
from theory.targets import Shape, Target
from theory.validate import figures
from theory.validate.part import Arrays, Part, Picture, Summary, Table, Violation

NEAR = 0.9
"""A search that does not get so near to the certificates of ``SHARP`` is too weak to say anything of the others."""

SHARP = ("GrowingFTRL", "DualAveraging")
"""Laws whose certificates data can reach: see ``theory.adversary``."""


def units(config: Config) -> dict[str, float]:
    """A unit for each learner that is attacked, by its number.

    >>> list(units(Config.quick()))[:2]
    ['00', '01']
    """
    games = len(config.shapes) * config.restarts * config.evaluations
    return {f"{i:02d}": games * (2.5e-3 if learns_much(target) else 1e-3) for i, target in enumerate(config.targets)}


def learns_much(target: Target) -> bool:
    """Whether a metric with all its entries is learned, which takes longer."""
    return type(target.geometry).__name__ in ("FeatureMap", "Full")


def measure(config: Config, unit: str) -> Arrays:
    """The worst that was found for S shapes; arrays (S,), and the moves by which it can be played again."""
    found = adversary.attacks(config, int(unit))
    moves = {f"moves_{j}": one.moves for j, one in enumerate(found)}
    return moves | {
        "ratio": np.array([one.outcome.ratio for one in found]),
        "regret": np.array([one.outcome.regret for one in found]),
        "certificate": np.array([one.outcome.certificate for one in found]),
        "rounding": np.array([one.outcome.rounding for one in found]),
        "broken": np.array([one.outcome.broken for one in found]),
        "played": np.array([one.played for one in found]),
    }


def judge(config: Config, unit: str, found: Arrays) -> list[Violation]:
    """A violation for each shape at which data were found that break the certificate."""
    return [
        Violation(
            f"adversary, seed [{config.seed}, {int(unit)}, {j}]: at some task the regret exceeds the certificate of "
            f"the run, at the end {found['regret'][j]:.9g} against {found['certificate'][j]:.9g}; "
            f"{_told(config.targets[int(unit)])}, {_shape(shape)}",
            unit,
        )
        for j, shape in enumerate(config.shapes)
        if found["broken"][j]
    ]  # fmt: skip


def summary(config: Config, found: dict[str, Arrays]) -> Summary:
    """A row for each law and geometry; arrays (targets, shapes) of what was found."""
    targets = [config.targets[int(unit)] for unit in found]
    arrays = {key: np.array([each[key] for each in found.values()]) for key in ("ratio", "regret", "certificate",
              "rounding", "broken", "played")}  # fmt: skip
    arrays |= {
        "learner": np.array([_learner(target) for target in targets]),
        "loss": np.array([_name(target.loss) for target in targets]),
        "outer": np.array([_name(target.outer) for target in targets]),
        "update": np.array([target.update for target in targets]),
        "points": np.array([shape.tasks * shape.points for shape in config.shapes]),
        "shape": np.array([_shape(shape) for shape in config.shapes]),
    }
    return Summary(int(arrays["played"].sum()), _table(arrays), arrays, _shortfalls(arrays))


def _table(arrays: Arrays) -> Table:
    """The nearest over updates and outer learners, by learner and loss in the largest games, by learner in others."""
    losses, largest = list(dict.fromkeys(arrays["loss"].tolist())), figures.largest(arrays)
    smaller = np.flatnonzero(arrays["points"] < arrays["points"].max())
    rows = []
    for learner in dict.fromkeys(arrays["learner"].tolist()):
        mine = arrays["learner"] == learner
        near = [f"{arrays['ratio'][mine, j].max():.4f}" for j in smaller]
        for loss in losses:
            ratios = arrays["ratio"][np.ix_(mine & (arrays["loss"] == loss), largest)]
            near.append(f"{ratios.max():.4f}" if ratios.size else "-")
        counts = (int(arrays[name][mine].sum()) for name in ("played", "broken"))
        rows.append((learner, *map(str, counts), *near))
    heads = (f"{arrays['points'][j]} points" for j in smaller)
    return Table(("learner", "games", "violations", *heads, *losses), tuple(rows))


def _shortfalls(arrays: Arrays) -> tuple[str, ...]:
    ratios = arrays["ratio"][:, figures.largest(arrays)]
    best = {law: ratios[arrays["learner"] == law].max(initial=0.0) for law in SHARP}
    return tuple(
        f"adversary: the regret of {law} got to {ratio:.3f} of its certificate only, needed {NEAR}: the search is too "
        "weak, so that certificates hold says little"
        for law, ratio in best.items()
        if ratio <= NEAR
    )


# --------------------------------------------------------------------------------------------------------- in words


def _name(record: object) -> str:
    """The class, and what it wraps.

    >>> import owo
    >>> _name(owo.Ball(owo.DualAveraging(0.5), 2.0)), _name(owo.Absolute())
    ('Ball of DualAveraging', 'Absolute')
    """
    wrapped = getattr(record, "law", None) if hasattr(record, "radius") and hasattr(record, "start") else None
    return type(record).__name__ + (f" of {type(wrapped).__name__}" if wrapped is not None else "")


def _learner(target: Target) -> str:
    """The law inside tasks; or the geometry, around which this does not vary."""
    return _name(target.inner) if target.geometry is None else f"{_name(target.geometry)} metric"


def _told(target: Target) -> str:
    metric = "" if target.geometry is None else f", {_name(target.geometry)} metric"
    return f"{target.loss}, {target.inner} inside tasks, {target.outer} after every {target.update}{metric}"


def _shape(shape: Shape) -> str:
    rows = ", |x| = 1" if shape.unit else ""
    tasks = f"{shape.tasks} task{'s' if shape.tasks > 1 else ''}"
    return f"{tasks} of {shape.points} points, d = {shape.d}{rows}"


PART = Part(
    "adversary",
    "The adversary",
    """For every law, loss, update and geometry a search for the points, labels, order of arrival and comparators that
    bring regret nearest to the run's certificate. The table has the largest ratio of regret to certificate that was
    found, over all outer learners and both updates: above 1 a certificate would be wrong; near 1 it cannot be made
    smaller. Under the losses stand games of 50 points in 10 tasks; smaller games are easier to win and have columns of
    their own, over all losses. Geometries are attacked with the growing regulariser and the absolute loss.""",
    lambda quick: Config.quick() if quick else Config(),
    units,
    measure,
    judge,
    summary,
    (
        Picture(
            "adversary",
            "How near an adversary gets",
            """The largest regret that was found in games of 50 points, as a part of the certificate: a mark for each
            loss, over all outer learners and both updates. To the right of 1 a certificate would be broken. Where rows
            have length 1 the adversary has less to choose, as the closed forms suppose; and most losses leave it less
            than the absolute loss does.""",
            figures.draw_adversary,
        ),
    ),
)
