"""Where a learned bias pays, and what it is worth on new tasks: measured gains and risks, beside their bounds."""

from __future__ import annotations

import numpy as np

from theory import phase, transfer
from theory.validate import rate_figures
from theory.validate.part import Arrays, Part, Picture, Summary, Table, Violation

ALL = "all"
"""The one unit of a part whose parts cannot be told apart."""


def _one(unit: str) -> None:
    if unit != ALL:
        raise ValueError(f"there is one unit, {ALL!r}")


# ------------------------------------------------------------------------------------------------ the phase diagram


def measure_phase(config: phase.Config, unit: str) -> Arrays:
    """The diagram: arrays of ``phase.Phase``."""
    _one(unit)
    return {name: np.asarray(value) for name, value in phase.run(config)._asdict().items()}


def phase_units(config: phase.Config) -> dict[str, float]:
    """One."""
    return {ALL: 2e-6 * sum(config.tasks) * len(config.shares) * config.seeds}


def no_violation(config: object, unit: str, found: Arrays) -> list[Violation]:
    """None: where one bound is below another, losses need not be."""
    return []


def phase_summary(config: phase.Config, found: dict[str, Arrays]) -> Summary:
    """A row for each share of the variance, the gain at each number of tasks; the last row is the theory's frontier."""
    arrays = found[ALL]
    heads = ("V / S", *(f"T = {tasks:,.0f}" for tasks in arrays["tasks"]))
    rows = [
        (f"{share:.2g}", *(f"{gain:z.1f}" for gain in gains))
        for share, gains in zip(arrays["shares"], arrays["gain"], strict=True)
    ]
    rows.append(("frontier", *(f"{share:.3f}" for share in arrays["frontier"])))
    shortfalls = []
    if not arrays["gain"][0, -1] > arrays["half_width"][0, -1]:
        shortfalls.append("phase: a learned bias does not gain where all tasks are alike and there are most of them")
    runs = 2 * arrays["gain"].size * config.seeds
    return Summary(runs, Table(heads, tuple(rows)), arrays, tuple(shortfalls))


PHASE = Part(
    "phase",
    "Where a learned bias pays",
    """Tasks whose second moment S = V + D^2 / 2 is the same, from all alike (V = 0) to no bias at all (V = S): how
    much less a learner of the bias loses than independent learning, in percent. In theory the gain is variance against
    second moment, less what it costs to find the bias; the last row is the share V / S up to which the bound with a
    learned bias is the lower one.""",
    lambda quick: phase.Config.quick() if quick else phase.Config(),
    phase_units,
    measure_phase,
    no_violation,
    phase_summary,
    (
        Picture(
            "phase",
            "Where a learned bias pays",
            """How much less is lost with a learned bias, in percent of what independent learning loses. Below the line
            the bound with a learned bias is the lower one, below the dashed line so is its loss. Crosses where the 95 %
            interval over seeds holds 0.""",
            rate_figures.draw_phase,
        ),
    ),
)

# ---------------------------------------------------------------------------------------------------------- transfer


def measure_transfer(config: transfer.Config, unit: str) -> Arrays:
    """Excess risks: arrays of ``transfer.Result``."""
    _one(unit)
    return {name: np.asarray(value) for name, value in transfer.run(config)._asdict().items()}


def transfer_units(config: transfer.Config) -> dict[str, float]:
    """One."""
    return {ALL: config.repeats * (2e-5 * sum(config.tasks) + 2e-2 * len(config.tasks))}


def judge_transfer(config: transfer.Config, unit: str, found: Arrays) -> list[Violation]:
    """A violation for each excess risk whose whole interval is above its bound."""
    low = found["excess"] - found["half_width"]
    return [
        Violation(
            f"transfer, seed [{config.seed}, {c}, ..], bias: {found['ways'][w]}, {found['tasks'][c]:g} tasks: the "
            f"excess risk {found['excess'][w, i, c]:.6g} exceeds the bound {found['bounds'][w, i, c]:.6g} by more "
            f"than half its interval, {found['half_width'][w, i, c]:.2g}",
            ALL,
        )
        for w, i, c in np.argwhere(np.isfinite(found["bounds"]) & ~(low <= found["bounds"])).tolist()  # NaN is no risk
    ]


def transfer_summary(config: transfer.Config, found: dict[str, Arrays]) -> Summary:
    """A row for each way and iterate, the excess risk at each number of tasks, and the largest part of its bound."""
    arrays = found[ALL]
    heads = ("bias of a new task", "iterate", *(f"T = {tasks:,.0f}" for tasks in arrays["tasks"]), "of the bound")
    rows = []
    for w, way in enumerate(arrays["ways"].tolist()):
        for i, iterate in enumerate(arrays["iterates"].tolist()):
            part = (arrays["excess"] / arrays["bounds"])[w, i].max()
            risks = (f"{risk:z.4f}" for risk in arrays["excess"][w, i])
            rows.append((way, iterate, *risks, "-" if np.isnan(part) else f"{part:.3f}"))
    runs = len(config.tasks) * config.repeats * (1 + len(transfer.WAYS) * len(transfer.ITERATES))
    return Summary(runs, Table(heads, tuple(rows)), arrays)


TRANSFER = Part(
    "transfer",
    "Transfer to new tasks",
    """Excess risk on new tasks, beyond that of their true weights and on points that nobody has learned from, after
    runs on T tasks: around a bias drawn from the path of the run, the mean of the path, the last bias; around 0, which
    is independent learning, and around theta', which nobody knows. Bounds are on the mean iterate, and hold in
    expectation: a violation is an interval over runs that lies above the bound as a whole.""",
    lambda quick: transfer.Config.quick() if quick else transfer.Config(),
    transfer_units,
    measure_transfer,
    judge_transfer,
    transfer_summary,
    (
        Picture(
            "transfer",
            "Transfer to new tasks",
            """Excess risk on new tasks against the number of tasks of the run, with 95 % intervals over runs; thin, in
            the same dashes, the bounds. To the left the mean iterate, which the bounds are about, to the right the
            last one.""",
            rate_figures.draw_transfer,
        ),
    ),
)
