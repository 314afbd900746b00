# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # How tight are the certificates? The adversary at work
#
# A certificate holds for *every* sequence of data. So let an adversary choose the data: the points, their labels, the
# order in which tasks are mixed, and the comparators, to bring
#
# $$ \text{ratio} = \frac{\text{regret}}{\text{certificate}} $$
#
# as near to 1 as it can. Beyond 1 it would have found a mistake in the mathematics or in the code. The search is
# `theory.adversary`, which comes with the checkout of owo.

# %%
import pathlib
import sys

import matplotlib.pyplot as plt
import numpy as np

root = pathlib.Path.cwd()
sys.path.insert(0, str(root if (root / "theory").is_dir() else root.parent))  # from the checkout or from notebooks/

import owo
from theory import adversary
from theory.targets import Moves, Shape, Target, as_block

SHAPE = Shape(tasks=6, points=5, d=2)
CONFIG = adversary.Config(restarts=3, evaluations=400)

# %% [markdown]
# ## How near each learner can be brought

# %%
laws = {
    "DualAveraging": owo.DualAveraging(0.5),
    "GrowingFTRL": owo.GrowingFTRL(1.0),
    "InverseSqrt": owo.InverseSqrt(0.5),
    "AdaptiveNorm": owo.AdaptiveNorm(1.0),
    "CoinBetting": owo.CoinBetting(),
}
found = {}
for name, law in laws.items():
    target = Target(owo.Absolute(), law, owo.DualAveraging(0.1))
    found[name] = target, adversary.attack(target, SHAPE, CONFIG, np.random.default_rng(0))
    outcome = found[name][1].outcome
    print(f"{name:14s} ratio {outcome.ratio:.4f}: regret {outcome.regret:.4g}, certificate {outcome.certificate:.4g}")
assert not any(each.outcome.broken for _, each in found.values())

# %% [markdown]
# ## Chance does not come near
#
# The same games with data that nobody chose.

# %%
rng = np.random.default_rng(1)
chance = {name: [] for name in laws}
for name, (target, _) in found.items():
    for _ in range(200):
        moves = adversary.start(rng, SHAPE, 3)  # random points, labels and order
        chance[name].append(adversary.play(target, SHAPE, moves).ratio)

figure, ax = plt.subplots(figsize=(6.5, 2.9), layout="constrained")
for row, name in enumerate(laws):
    ax.plot(chance[name], np.full(200, row) + 0.12 * rng.uniform(-1, 1, 200), ".", color="#999999", markersize=3)
    ax.plot(found[name][1].outcome.ratio, row, "D", color="#d55e00", markersize=7)
ax.plot([], [], ".", color="#999999", label="200 random games")
ax.plot([], [], "D", color="#d55e00", linestyle="none", label="the adversary's")
ax.axvline(1.0, color="black", linewidth=1)
ax.set_yticks(range(len(laws)), laws)
ax.set_ylabel("law inside tasks")
ax.set_xlabel("regret / certificate (no unit)")
ax.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()

# %% [markdown]
# ## What the worst data look like
#
# For a law with a constant step any data will do, as long as the comparator lies where the learner would play next. A
# law that slows down gives something away whenever the sum of its gradients is not zero while it slows. The adversary
# finds the way out: make one gradient of a task count, and the others small or cancel. Where it stands in its task:

# %%
for name in ("DualAveraging", "GrowingFTRL"):
    target, worst = found[name]
    lengths = np.linalg.norm(Moves.of(worst.moves, SHAPE).X, axis=1).reshape(SHAPE.tasks, SHAPE.points)
    share = np.sort(lengths**2, axis=1)[:, -1] / np.sum(lengths**2, axis=1)
    print(f"{name}: the longest gradient of a task has {100 * np.median(share):.0f} % of the sum of squares (median),")
    print(f"    and is number {(1 + lengths.argmax(axis=1)).tolist()} of {SHAPE.points}")

# %% [markdown]
# The gradients themselves, with the sign of their label:

# %%
figure, axes = plt.subplots(1, 2, figsize=(8.0, 3.6), layout="constrained")
for ax, name in zip(axes, ("DualAveraging", "GrowingFTRL"), strict=True):
    target, worst = found[name]
    block = as_block(target, SHAPE, Moves.of(worst.moves, SHAPE))
    lengths = np.linalg.norm(block.X, axis=1)
    sign = np.sign(block.y)
    towards = (
        block.X
        * sign[:, None]
        / np.maximum(lengths, 1e-12)[:, None]
        * np.log10(1 + lengths / np.median(lengths))[:, None]
    )
    for task in range(block.n_tasks):
        own = block.task == task
        ax.plot(*towards[own].T, "os^vD<"[task], color=f"C{task}", markersize=5, label=f"task {task}")
    ax.plot(0, 0, "k+", markersize=10)
    ax.set_title(name, fontsize="medium")
    ax.set_aspect("equal", "datalim")
    ax.set_xlabel("gradient, first coordinate (log scale from 0)")
axes[0].set_ylabel("second coordinate")
axes[1].legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()

# %% [markdown]
# ## What the gap is made of
#
# With linear losses, gradients $g_i$ with sums $G_i$, and scales $c_i$ that never grow, against $z'$
#
# $$ \text{bound} - \text{regret} = \frac{|z' + c_n G_n|^2}{2 c_n}
#    + \frac{1}{2} \sum_{i<n} (c_i - c_{i+1}) |G_i|^2 . $$
#
# The first part is the comparator's: it vanishes where the learner would play next. The second is the price of slowing
# down, and `GrowingFTRL` slows down like $1/i$. With all gradients of length 1 in one direction, and with signs that
# alternate:

# %%
n = 40
c = 1.0 / np.arange(1, n + 1)
for title, signs in (("all the same way", np.ones(n)), ("alternating", np.resize([1.0, -1.0], n))):
    G = np.cumsum(signs)
    gap = 0.5 * np.sum((c[:-1] - c[1:]) * G[:-1] ** 2)
    block = owo.Block(signs[:, None], np.full(n, -1e6), np.zeros(n, int))
    ledger = owo.OnlineWithinOnline(owo.Absolute(), owo.GrowingFTRL(1.0), owo.Frozen(), "task").run(block)
    weights = np.array([[-c[-1] * G[-1]]])  # where the learner would play next, at its last scale
    losses = np.abs(block.X @ weights[0] - block.y).sum(keepdims=True)
    comparator = owo.hindsight.Comparator("next", np.zeros(1), weights, losses)
    regret, bound = ledger.regret(comparator)[-1], ledger.certificate(comparator).total[-1]
    print(f"{title}: regret {regret:.3f}, certificate {bound:.3f}, gap {bound - regret:.3f}; by the formula {gap:.3f}")

# %% [markdown]
# Every law, loss and geometry against the adversary: `make validate`, [docs/theory.md](../docs/theory.md).
