"""Does the gain survive other orders of the same points? Tasks one after another, overlapping, in bursts, all at once.

The tasks are those of the first study (500 of 10 points, d = 30, absolute loss), also with lengths that are
geometrically distributed around 10; or the 545 men of wagepan, of whom one half, drawn at random, is for choosing
numbers. The points of a task always come in their own order; what differs is what comes between them:

- one after another: nothing;
- overlapping: a task's points are spread over the time in which ten tasks begin;
- bursts: up to three points of a task follow one another, then others come;
- shuffled: any point of any task may be next;
- round robin: the first points of all tasks, then all second points, and so on: no task ends before all have begun.

A bias that moves when a task ends learns late where many are open; one that moves after every point does not wait.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

import owo
from experiments import sweep
from experiments.methods import INDEPENDENT, Known, Method, around_a_bias
from experiments.own import Own
from experiments.settings import require_counts, require_positive
from experiments.store import Arrays
from experiments.study import Study
from experiments.sweep import Streams
from experiments.tables import Table, gain, interval, shown
from owo.streams import Encoding, Synthetic, datasets

ORDERS = ("one after another", "overlapping", "bursts", "shuffled", "round robin")
DATA = ("synthetic", "geometric", "wagepan")


@dataclass(frozen=True, kw_only=True)
class Config:
    """Which tasks."""

    data: str = "synthetic"
    tasks: int = 500
    points: int = 10
    d: int = 30
    strengths: tuple[float, ...] = (0.03, 0.1, 0.3, 1.0, 3.0)
    steps: tuple[float, ...] = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)

    def __post_init__(self) -> None:
        if self.data not in DATA:
            raise ValueError(f"data is {self.data!r}; it must be one of {', '.join(DATA)}")
        require_counts(self, "tasks", "points", "d")
        require_positive(self, "strengths", "steps")


def ordered(block: owo.Block, order: str, rng: np.random.Generator) -> owo.Block:
    """The points of a block of whole tasks in another order, in which those of each task keep theirs."""
    lengths = np.diff(block.offsets)
    place = np.arange(block.n) - np.repeat(block.offsets[:-1], lengths)
    if order == "one after another":
        return block
    if order == "overlapping":
        when = block.task + 10.0 * place / np.repeat(lengths, lengths) + 1e-6 * rng.random(block.n)
    elif order == "bursts":
        first = place % 3 == 0
        drawn, owner = rng.random(int(first.sum())), block.task[first]
        when = drawn[np.lexsort((drawn, owner))][np.cumsum(first) - 1]  # those of a task one after another in time
    elif order == "shuffled":
        return block.interleaved(rng)
    else:
        when = place.astype(np.float64)
    rows = np.lexsort((place, block.task, when))
    return owo.Block(np.asarray(block.X)[rows], block.y[rows], block.task[rows])


def draw(config: Config, seed: int, loss: Any) -> Streams:
    """Two streams of whole tasks, one to choose numbers on."""
    if config.data == "wagepan":
        block = datasets.load("wagepan").block().shuffled(np.random.default_rng([seed, 1]))
        encoding = Encoding.fit(block.X, block.y, block.task)
        encoded, half = encoding.block(block), int(block.offsets[block.n_tasks // 2])
        blocks = [encoded.rows(0, half), encoded.rows(half, block.n)]
        known = [Known(owo.hindsight.best_bias(loss, each, 1.0).bias) for each in blocks]
        return Streams(loss, blocks[0], blocks[1], known[1], known[0])
    plain = Synthetic(d=config.d)
    streams = [
        Synthetic(tasks=config.tasks, points=config.points, d=config.d, geometric=config.data == "geometric",
                  noise=plain.signal / 10.0**0.5, rows=10**9, seed=number)
        for number in (seed + 2**20, seed)
    ]  # fmt: skip
    known = [Known(each.truth(0).means.mean(axis=0)) for each in streams]
    return Streams(loss, streams[0].block(0), streams[1].block(0), known[1], known[0])


def methods(config: Config, own: Own) -> tuple[Method, ...]:
    """Who takes part."""
    return (*around_a_bias(config.strengths, config.steps), *own.methods)


def run(config: Config, seed: int, own: Own) -> Arrays:
    """One seed; numbers are chosen in the order that they are used in."""
    streams = draw(config, seed, own.loss or owo.Absolute())

    def drawn(index: float) -> Streams:
        order, rng = ORDERS[int(index)], np.random.default_rng([seed, 3, int(index)])
        return streams._replace(
            choosing=ordered(streams.choosing, order, rng), streamed=ordered(streams.streamed, order, rng)
        )

    return sweep.sweep(range(len(ORDERS)), drawn, methods(config, own))


def tables(config: Config, arrays: Arrays) -> list[Table]:
    """Loss a point in every order, and the gain on independent learning, which no order matters to."""
    names, base = arrays["method"][0].tolist(), arrays["method"][0].tolist().index(INDEPENDENT)
    losses, gains = [], []
    for m, name in enumerate(names):
        losses.append((name, *(shown(arrays["loss"][:, v, m]) for v in range(len(ORDERS)))))
        if m != base:
            pairs = ((arrays["loss"][:, v, base], arrays["loss"][:, v, m]) for v in range(len(ORDERS)))
            gains.append((name, *(gain(*pair) for pair in pairs)))
    return [
        Table(f"Orders of the points, {config.data}: loss a point", ("method", *ORDERS), tuple(losses)),
        Table("Gain on independent learning, percent", ("method", *ORDERS), tuple(gains)),
    ]


def figures(config: Config, arrays: Arrays) -> dict[str, Any]:
    """The gain in every order, a group of bars for each."""
    from experiments.figures import COLOURS, beside, blank

    figure, ax = blank(8.0, 3.4)
    names = arrays["method"][0].tolist()
    base = names.index(INDEPENDENT)
    shown_ones = [m for m in range(len(names)) if m != base]
    gains = 100.0 * (1.0 - arrays["loss"] / arrays["loss"][:, :, [base]])
    hatches = ("", "//", "..", "xx", "\\\\", "", "//", "..", "xx")
    for k, m in enumerate(shown_ones):
        mean, half = interval(gains[:, :, m])
        x = np.arange(len(ORDERS)) + 0.8 * ((k + 0.5) / len(shown_ones) - 0.5)
        error = None if np.isnan(half).any() else half
        ax.bar(x, mean, 0.75 / len(shown_ones), yerr=error, color=COLOURS[m % len(COLOURS)], hatch=hatches[k % 9],
               edgecolor="white", linewidth=0.0, error_kw={"linewidth": 0.8}, label=names[m])  # fmt: skip
    ax.axhline(0.0, color="black", linewidth=0.8)
    ax.set_xticks(range(len(ORDERS)), [order.replace("after ", "after\n") for order in ORDERS])
    ax.set_xlabel("order of the points")
    ax.set_ylabel("gain on independent learning (%)")
    beside(ax)
    return {"gains": figure}


STUDY = Study(
    "orders",
    "tasks one after another, overlapping, in bursts, all at once: does the gain survive?",
    {each: Config(data=each) for each in DATA},
    run,
    tables,
    figures,
    streams=False,
)
