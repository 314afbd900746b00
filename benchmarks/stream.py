"""One stream, inner and outer loop in one call, beside the same recursion elsewhere, and other learners."""

from __future__ import annotations

import pathlib
import tempfile
from typing import Any

import numpy as np

import owo
from benchmarks import peers
from benchmarks.timing import Entry, Race, Section, race
from owo import kernels
from owo.streams import Block

SHAPES = [(d, n) for d in (13, 30, 100, 1000) for n in (4, 40, 400)]
SLOW = 8_000
"""Points of which slow peers are given the first only: their time a point does not depend on how many follow."""

ABOUT = """The paper's bias instance (absolute loss, `GrowingFTRL` inside tasks, `DualAveraging` across, the bias
moved once a task) on the same arrays; whoever computes it is checked to suffer the same losses. **owo** is
`learner.run` with the ledger it returns, 17 numbers a task, for the certificate; **kernel** is its one
compiled call alone. Peers marked with * do other work, one linear model by stochastic gradient descent, so that only
throughput compares. Million points a second; "times" is by how much owo is faster, the median of ratios within a
repetition."""


def problem(points: int, d: int, n: int) -> Block:
    """Unit rows, tasks around a common mean."""
    rng = np.random.default_rng([d, n])
    X = rng.standard_normal((points // n * n, d))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    task = np.repeat(np.arange(points // n), n)
    w = rng.standard_normal(d) + 0.3 * rng.standard_normal((points // n, d))
    y = np.einsum("ij,ij->i", X, w[task]) + 0.1 * rng.standard_normal(len(X))
    return Block(X, y, task)


def laws() -> tuple[Any, Any]:
    return owo.GrowingFTRL(peers.STRENGTH), owo.DualAveraging(peers.STEP)


def kernel_of(block: Block, parts: Any = None, *, every_point: bool = False) -> Any:
    """The compiled call by itself, writing into memory that is there already."""
    inner, outer = parts or laws()
    update: Any = "point" if every_point else "task"
    learner = owo.OnlineWithinOnline(owo.Absolute(), inner, outer, update, bias=np.zeros(block.d))
    slots = learner._slots.assign(block).slots
    written = kernels.room(0, block.n_tasks, 0, block.d)
    records = learner.loss, inner, outer, learner.geometry
    arguments = *records, every_point, False, block.X, block.X, block.y, block.task, block.ends

    def run() -> Any:
        across, within, clock = learner._across(), learner._slots.arrays, np.zeros(3, dtype=np.int64)
        for array in (across.total, across.play, across.account):
            array[:] = 0.0
        across.state[:] = outer.start()
        kernels.run(*arguments, slots, across, within, clock, written, 0)
        return written.tasks[:, 0]

    return run


def compare(block: Block, folder: pathlib.Path, repetitions: int) -> tuple[Race, tuple[str, ...]]:
    """Everybody who is here, on one block."""
    whole = block.X, block.y, block.offsets
    short = peers.some_points(block, SLOW)
    missing = []

    def ours() -> Any:
        return owo.OnlineWithinOnline(owo.Absolute(), *laws(), "task").run(block).losses

    entries = [Entry("owo", block.n, ours), Entry("kernel", block.n, kernel_of(block))]
    rows = [
        ("C", peers.in_c(folder), whole, False), ("NumPy", peers.in_numpy, short, False),
        ("JAX", peers.in_jax(), whole, False), ("torch", peers.in_torch(), peers.some_points(block, 2000), False),
        ("river*", peers.by_river(), short, True), ("scikit-learn*", peers.by_sklearn(), short, True),
        ("VW, parsed*", peers.by_vw(), short, True), ("VW, file*", peers.by_vw_file(), short, True),
    ]  # fmt: skip
    for name, stream, data, other in rows:
        if stream is None:
            missing.append(name)
            continue
        entries.append(Entry(name, len(data[1]), lambda stream=stream, data=data: stream(*data), other))
    for each in entries:
        agree(each, ours(), block)
    return race(entries, repetitions), tuple(missing)


def agree(entry: Entry, ours: Any, block: Block) -> None:
    """Slopes are signs, so rounding can flip one only at an exact tie."""
    losses = entry.run()
    if entry.other or entry.name == "owo":
        return
    if entry.name != "kernel":
        losses = np.add.reduceat(losses, block.offsets[:-1][block.offsets[:-1] < len(losses)])
    if not np.allclose(losses, ours[: len(losses)], rtol=1e-9, atol=1e-9):
        raise SystemExit(f"{entry.name} and owo disagree on the losses: the comparison is void")


def section(scale: float, repetitions: int) -> Section:
    """All shapes, then all losses and laws at one."""
    rows, times, measured, missing = [], [], {}, ()
    with tempfile.TemporaryDirectory() as folder:
        for d, n in SHAPES:
            block = problem(int(scale * min(1e6, 3e7 / d)), d, n)
            found, missing = compare(block, pathlib.Path(folder), repetitions)
            names = [each.name for each in found.entries]
            low, high = found.spread("owo")
            own = f"{found.middle('owo') / 1e6:.1f} ({low / 1e6:.1f} to {high / 1e6:.1f})"
            rows.append([str(d), str(n), own, *(_rate(found.middle(name)) for name in names[1:])])
            times.append([str(d), str(n), *(_times(found.ratio("owo", name)) for name in names[1:])])
            measured[f"d = {d}, n = {n}"] = found.stored()
        parts = [("Million points a second", ["d", "n", *names], rows), ("Times", ["d", "n", *names[1:]], times)]
    records, more = _records(int(scale * 200_000), repetitions)
    profile, whole = _profile(int(scale * 1e6), repetitions)
    return Section("stream", "One stream", ABOUT, [*parts, *records, profile], measured | more | whole, missing)


def _profile(points: int, repetitions: int) -> tuple[Any, dict[str, Any]]:
    """Where the time of the default learner goes, from arrays to a ledger."""
    block = problem(points, 30, 40)
    X, y, task = block.X, block.y, block.task

    def arrays() -> Any:
        return owo.streams.from_arrays(X, y, task)

    def run() -> Any:
        return owo.OnlineWithinOnline(owo.Absolute()).run(block)

    default = owo.OnlineWithinOnline(owo.Absolute())
    kernel = kernel_of(block, (default.inner, default.outer), every_point=True)
    found = race([Entry("arrays", 1.0, arrays), Entry("run", 1.0, run), Entry("kernel", 1.0, kernel),
                  Entry("read", 1.0, lambda: X.sum())], repetitions)  # fmt: skip
    ms = {name: 1e3 / found.middle(name) for name in ("arrays", "run", "kernel", "read")}
    total = ms["arrays"] + ms["run"]
    rows = [
        ["checking arrays and finding tasks (`from_arrays`)", ms["arrays"]], ["the compiled loop", ms["kernel"]],
        ["ledger, all else of `run`", ms["run"] - ms["kernel"]], ["all", total],
        ["for comparison: reading X once (`X.sum()`)", ms["read"]],
    ]  # fmt: skip
    title = f"Where the time goes: the default learner, from arrays to a ledger, {points:,} points, d = 30, n = 40"
    shown = [[str(name), f"{each:.1f}", f"{100 * each / total:.0f}"] for name, each in rows]
    return (title, ["part", "ms", "%"], shown), {"profile": found.stored()}


def _records(points: int, repetitions: int) -> tuple[list[Any], dict[str, Any]]:
    """All losses under the same laws, and all laws under the same loss, at d = 30 and n = 40."""
    block = problem(points, 30, 40)
    signs = Block(block.X, np.where(block.y > 0.0, 1.0, -1.0), block.task)
    losses = [
        owo.Absolute(), owo.EpsilonInsensitive(0.1), owo.Pinball(0.9), owo.Huber(1.0), owo.Squared(), owo.Hinge(),
        owo.SquaredHinge(), owo.Logistic(),
    ]  # fmt: skip
    inner = [owo.GrowingFTRL(1.0), owo.DualAveraging(0.1), owo.InverseSqrt(0.1), owo.AdaptiveNorm(1.0),
             owo.CoinBetting(), owo.Implicit(0.1), owo.Ball(owo.DualAveraging(0.1), 1.0)]  # fmt: skip
    outer = [owo.DualAveraging(1e-3), owo.Frozen(), owo.InverseSqrt(1e-2), owo.AdaptiveNorm(1.0), owo.CoinBetting()]

    def entry(name: str, loss: Any, one: Any, other: Any, update: Any) -> Entry:
        data = block if loss.accepts(0.5) else signs
        return Entry(name, data.n, lambda: owo.OnlineWithinOnline(loss, one, other, update).run(data))

    by_loss = [
        entry(f"{type(loss).__name__}, per {update}", loss, owo.GrowingFTRL(1.0), owo.DualAveraging(1e-3), update)
        for loss in losses
        for update in ("task", "point")
    ]
    by_law = [
        entry(f"{type(one).__name__} / {type(other).__name__}", owo.Absolute(), one, other, "point")
        for one in inner
        for other in outer
    ]
    found_losses, found_laws = race(by_loss, repetitions), race(by_law, repetitions)
    loss_rows = [
        [name, *(_rate(found_losses.middle(f"{name}, per {update}")) for update in ("task", "point"))]
        for name in (type(each).__name__ for each in losses)
    ]
    law_rows = [
        [
            type(one).__name__,
            *(_rate(found_laws.middle(f"{type(one).__name__} / {type(other).__name__}")) for other in outer),
        ]
        for one in inner
    ]
    return [
        ("All losses, d = 30, n = 40, million points a second", ["loss", "per task", "per point"], loss_rows),
        (
            "All laws inside tasks (rows) and across them (columns), absolute loss, bias moved after every point",
            ["law", *(type(each).__name__ for each in outer)],
            law_rows,
        ),
    ], {"losses": found_losses.stored(), "laws": found_laws.stored()}


def _rate(rate: float) -> str:
    rate /= 1e6
    return f"{rate:.1f}" if rate >= 1.0 else f"{rate:.2f}" if rate >= 0.095 else f"{rate:.3f}"


def _times(ratio: float) -> str:
    return f"{ratio:.2f}" if ratio < 10.0 else f"{ratio:.0f}"
