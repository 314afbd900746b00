"""How good a step learned inside tasks is, on three real sets, beside every fixed one.

For a grid of fixed steps m: the mean loss, and the certificate a point against the best bias in hindsight. Beside
them what ``Scalar``, ``Diagonal`` and ``Full`` lose, started at the best step and 100 times below and above it. The
bias moves after every point, for each row with the best of a grid of steps across tasks, in hindsight.

Usage: python -m benchmarks.steps [--out results/bench]
"""

from __future__ import annotations

import argparse
import pathlib
from typing import Any

import numpy as np

import owo
from owo.geometry import Diagonal, Full, Scalar
from owo.streams import Block, Encoding, datasets

SETS = ("wagepan", "airfare", "countymurders")
GRID = 10.0 ** np.linspace(-3, 3, 25)
ACROSS = (0.003, 0.01, 0.03, 0.1, 0.3)


def problem(name: str) -> Block:
    """A set in random order, encoded from its first tenth."""
    block = datasets.load(name).block().shuffled(0)
    return Encoding.fit(block.X, block.y, block.task).block(block)


def best_run(block: Block, geometry: Any, metric: float) -> owo.Ledger:
    """The run of least loss over steps across tasks."""
    runs = [
        owo.OnlineWithinOnline(
            owo.Absolute(), owo.GrowingFTRL(1.0), owo.DualAveraging(step), "point", geometry=geometry, metric=metric
        ).run(block)
        for step in ACROSS
    ]
    return min(runs, key=lambda ledger: float(ledger.losses.sum()))


def measure(block: Block) -> dict[str, Any]:
    """Losses and certificates a point on the grid, and of the learned metrics, relative to the best of the grid."""
    against = owo.hindsight.best_bias(owo.Absolute(), block, 1.0)
    fixed = [best_run(block, Scalar(law=owo.Frozen()), m) for m in GRID]
    losses = np.array([ledger.losses.sum() for ledger in fixed]) / block.n
    bounds = np.array(
        [ledger.certificate(against._replace(metric=m)).total[-1] for ledger, m in zip(fixed, GRID, strict=True)]
    )
    best = float(GRID[np.argmin(losses)])
    learned = {}
    for title, geometry in (("Scalar", Scalar()), ("Diagonal", Diagonal()), ("Full", Full())):
        for far in (0.01, 1.0, 100.0):
            ledger = best_run(block, geometry, best * far)
            ledger.check(against)
            learned[title, far] = float(ledger.losses.sum()) / block.n / losses.min()
    return {"losses": losses, "bounds": bounds / block.n, "best": best, "learned": learned}


def draw(found: dict[str, dict[str, Any]], path: pathlib.Path) -> None:
    """Loss and certificate against the step, a panel a set."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(found), figsize=(12, 3.8), sharex=True, layout="constrained")
    for axis, (name, each) in zip(axes, found.items(), strict=True):
        axis.loglog(GRID, each["losses"], "-o", color="#0072b2", markersize=3, label="mean loss")
        axis.loglog(GRID, each["bounds"], "--", color="#333333", label="certificate a point")
        for values, colour in ((each["losses"], "#0072b2"), (each["bounds"], "#333333")):
            axis.axvline(GRID[np.argmin(values)], color=colour, linewidth=0.8, linestyle=":")
        level = each["learned"]["Scalar", 1.0] * each["losses"].min()
        axis.axhline(level, color="#d55e00", linewidth=1.2, linestyle="-.", label="step learned")
        axis.set_title(name)
        axis.set_xlabel("fixed step m inside tasks")
    axes[0].set_ylabel("standard deviations of y")
    axes[0].legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def main() -> None:
    """Measure, draw, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.steps")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("results/bench"))
    out = parser.parse_args().out
    found = {name: measure(problem(name)) for name in SETS}
    draw(found, out / "steps.png")
    print("loss over that of the best of 25 fixed steps, started 100 times below it / at it / 100 times above it\n")
    print("| set | best m by loss | by certificate | Scalar | Diagonal | Full |\n|---|--:|--:|--:|--:|--:|")
    for name, each in found.items():
        cells = [
            " / ".join(f"{each['learned'][title, far]:.3f}" for far in (0.01, 1.0, 100.0))
            for title in ("Scalar", "Diagonal", "Full")
        ]
        bound = GRID[np.argmin(each["bounds"])]
        print(f"| {name} | {each['best']:.3g} | {bound:.3g} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
