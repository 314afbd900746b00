"""Rates: slopes of measured regret beside those of the bounds, and no run above its bound."""

from __future__ import annotations

import math

import numpy as np
from scipy import stats

from theory import rates
from theory.rates import Array, Axis, Config
from theory.validate import rate_figures
from theory.validate.part import Arrays, Part, Picture, Summary, Table, Violation


def units(config: Config) -> dict[str, float]:
    """A unit for each axis, by its number: all learners on the same streams."""
    return {f"{i:02d}": _seconds(axis) for i, axis in enumerate(config.axes)}


def _seconds(axis: Axis) -> float:
    """About, for the longest have to come first."""
    numbers = sum(p.rounds * (30.0 + p.dimension) + 3e3 * p.tasks for p in axis.problems())
    return float(0.05 + 1e-8 * numbers * axis.seeds * (1 + len(axis.contestants)))


def measure(config: Config, unit: str) -> Arrays:
    """C curves over G values, with S seeds each; regrets and bounds are averages a point, in units of loss."""
    i = int(unit)
    curves = rates.follow(config.axes[i], config.seed, i)
    return {
        "learner": np.array([curve.learner for curve in curves]),
        "stream": np.array([curve.stream for curve in curves]),
        "vary": np.array([curve.vary for curve in curves]),
        "base": np.array([repr(curve.base) for curve in curves]),
        "values": np.array([curve.values for curve in curves]),
        "regrets": np.array([curve.regrets for curve in curves]),
        "bounds": np.array([curve.bounds for curve in curves]),
        "beyond": np.array([curve.beyond for curve in curves]),
        "slope": np.array([curve.slope for curve in curves]),
        "violations": np.array([curve.violations for curve in curves]),
    }


def judge(config: Config, unit: str, found: Arrays) -> list[Violation]:
    """A violation for each curve with regrets above its bound."""
    return [
        Violation(f"rates, {_named(found, c)}: {count} of {found['regrets'][c].size} regrets exceed their bound, "
                  f"{_first(config, unit, found, c)}", unit)
        for c, count in enumerate(found["violations"].tolist())
        if count
    ]  # fmt: skip


def _named(found: Arrays, c: int) -> str:
    return f"{found['learner'][c]} on {found['stream'][c]} against {found['vary'][c]}"


def _first(config: Config, unit: str, found: Arrays, c: int) -> str:
    excess = found["regrets"][c] / found["bounds"][c][:, None]
    g, k = np.unravel_index(int(np.argmax(excess)), excess.shape)
    return (
        f"the most at {found['vary'][c]} = {found['values'][c, g]:g}, seed [{config.seed}, {int(unit)}, {g}, {k}]: "
        f"{found['regrets'][c, g, k]:.9g} against {found['bounds'][c, g]:.9g} a point"
    )


def summary(config: Config, found: dict[str, Arrays]) -> Summary:
    """A row for each curve; arrays with an entry for each curve, and ``at_...`` with one for each of its values."""
    rows, columns, runs = [], dict[str, list[object]](), 0
    for unit in found.values():
        runs += unit["regrets"].size
        for c in range(len(unit["learner"])):
            rows.append(_row(unit, c))
            mean, half = _interval(unit["regrets"][c])
            number = len(rows) - 1
            kept: dict[str, object] = {key: unit[key][c] for key in ("learner", "stream", "vary", "base", "beyond")}
            kept |= dict(zip(("slope", "slope_half_width", "slope_of_bound"), unit["slope"][c], strict=True))
            for key, value in kept.items():
                columns.setdefault(key, []).append(value)
            for key, values in {"value": unit["values"][c], "regret": mean, "half_width": half,
                                "bound": unit["bounds"][c], "curve": np.full(len(mean), number)}.items():  # fmt: skip
                columns.setdefault(f"at_{key}", []).extend(values)
    heads = ("stream", "learner", "varied", "slope", "95 %", "of the bound", "regret / bound", "violations")
    return Summary(runs, Table(heads, tuple(rows)), {key: np.array(values) for key, values in columns.items()})


def _row(found: Arrays, c: int) -> tuple[str, ...]:
    slope, half, theory = found["slope"][c].tolist()
    beyond, ratio = bool(found["beyond"][c]), float((found["regrets"][c].mean(axis=1) / found["bounds"][c]).max())
    learner = f"{found['learner'][c]}{', beyond it given' if beyond else ''}"
    return (
        str(found["stream"][c]), learner, str(found["vary"][c]), f"{slope:z.3f}", f"± {half:.3f}", f"{theory:z.3f}",
        f"{ratio:.3f}", str(int(found["violations"][c])),
    )  # fmt: skip


def _interval(regrets: Array) -> tuple[Array, Array]:
    """Means over seeds of regrets (G, S), and half of Student's 95 % intervals."""
    seeds = regrets.shape[1]
    error = regrets.std(axis=1, ddof=1) / math.sqrt(seeds)
    return regrets.mean(axis=1), np.asarray(stats.t.ppf(0.975, seeds - 1) * error)


PART = Part(
    "rates",
    "Rates",
    """How average regret a point falls with the number of tasks and of points, and how it grows with the tasks'
    variance; in the bounds the dimension does not matter. On the far target every task can be learned without loss; on
    random signs nothing can be learned, so nobody has less regret. Slopes are fitted to logarithms, for each seed; the
    interval is Student's over seeds. Beside it stands the slope of the bound, fitted over the same grid, and the
    largest part of the bound that mean regret came to. The rate at which a feature map is found shows beyond the
    regret of one that was given, where no single regret has a bound to exceed.""",
    lambda quick: Config.quick() if quick else Config(),
    units,
    measure,
    judge,
    summary,
    (
        Picture(
            "rates",
            "Rates of learning the bias",
            """Average regret on the far target against the number of tasks, of their points, the variance of the tasks
            and the dimension, with 95 % intervals over seeds, most of them smaller than the marks; thin, in the same
            dashes, the bounds. Updates after every point use each of the n T points, updates after every task each of
            the T tasks: more points are no help to these. A step of the first kind meets its bound. Learning on its
            own is no faster for more tasks.""",
            rate_figures.draw_bias,
        ),
        Picture(
            "rates_map",
            "Rates of learning a feature map",
            """The same for a map that is learned and for one that was given; against the number of tasks, regret of
            the first beyond that of the second, and the term of the bound that only the first has. Towards many points
            the learned map does better than its bound says, because gradients of a task that was learned cancel.""",
            rate_figures.draw_map,
        ),
        Picture(
            "rates_signs",
            "Rates that nobody can beat",
            """Random signs, one for each task or one for each point, on which every learner has the same expected
            regret; against this, steps that know the length of the bias meet their bounds up to a few percent.
            Intervals are over seeds.""",
            rate_figures.draw_signs,
        ),
    ),
)
