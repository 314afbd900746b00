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
# # Nothing to tune
#
# A learner inside tasks has a strength, one across tasks a step. Which are good depends on how far tasks lie apart, how
# many points they have and how noisy they are, so nobody knows before the stream has passed. `owo.Grid` runs many of
# them in one pass, to look at; `owo.TuningFree` weighs their predictions online, so that none has to be chosen.

# %%
import time

import matplotlib.pyplot as plt
import numpy as np

import owo
from owo import hindsight
from owo.streams import Synthetic

STRENGTHS, STEPS = np.geomspace(0.03, 30.0, 12), np.geomspace(1e-3, 3.0, 12)
INNER = [owo.GrowingFTRL(strength) for strength in STRENGTHS]
OUTER = [owo.DualAveraging(step) for step in STEPS]


def stream(spread, mean=4.0, tasks=300, points=10, seed=0):
    """Tasks whose weights lie at ``spread`` around a mean at distance ``mean`` from zero."""
    return Synthetic(tasks=tasks, points=points, d=30, mean=mean, spread=spread, seed=seed, rows=tasks * points).block(
        0
    )


# %% [markdown]
# ## 144 configurations, one pass
#
# What a configuration needs of a point, beside its bias, is a row of the task's Gram matrix times its own slopes: all
# configurations meet the data once, side by side.

# %%
blocks = {spread: stream(spread) for spread in (0.3, 3.0)}
owo.Grid(owo.Absolute(), INNER, OUTER).run(blocks[0.3])  # compiles
began = time.perf_counter()
grids = {spread: owo.Grid(owo.Absolute(), INNER, OUTER).run(block) for spread, block in blocks.items()}
print(f"{2 * 144} runs over {blocks[0.3].n} points: {time.perf_counter() - began:.2f} s")

# %%
figure, axes = plt.subplots(1, 2, figsize=(8.5, 3.4), layout="constrained", sharey=True)
for ax, (spread, ledger) in zip(axes, grids.items(), strict=True):
    mean = ledger.average_loss()[-1].reshape(12, 12)
    drawn = ax.pcolormesh(STEPS, STRENGTHS, np.log2(mean / mean.min()), cmap="cividis", vmax=2.0, shading="nearest")
    best = ledger.configurations[ledger.best]
    ax.plot(best.outer.step, best.inner.strength, "*", color="#d55e00", markersize=14, markeredgecolor="white")
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlabel("step across tasks (|w|² / loss)")
    ax.set_title(f"spread {spread:g}: best {mean.min():.2f}", loc="left")
axes[0].set_ylabel("strength inside tasks (loss / |w|²)")
bar = figure.colorbar(drawn, ax=axes, label="mean loss / best")
bar.ax.set_xlabel("powers of 2")
plt.show()

# %% [markdown]
# Where tasks lie close together a large strength is best, and tasks hardly leave the bias; where they lie apart a small
# one. Wrong numbers cost several times as much, and which are wrong cannot be seen in advance.
#
# ## Weighing them online
#
# `TuningFree` runs 192 configurations, independent learning among them, and predicts their weighed mean. The weights
# fall exponentially with what a configuration has lost (AdaHedge), and a thousandth of all weight is dealt out anew
# after every point (fixed share), so that another can take the lead.

# %%
free = {spread: owo.TuningFree(owo.Absolute()) for spread in blocks}
for spread, learner in free.items():
    learner.run(blocks[spread], weights=True)
    ours, best = learner.ledger.average_loss()[-1], grids[spread].average_loss()[-1].min()
    alone = owo.Grid(owo.Absolute(), INNER, owo.Frozen()).run(blocks[spread]).average_loss()[-1].min()
    print(f"spread {spread:g}: {ours:.3f}; best of 144 in hindsight {best:.3f}; best independent {alone:.3f}")
    assert ours <= 1.01 * best and ours <= 1.01 * alone

# %% [markdown]
# It is often *better* than the best configuration: a large step is best while the bias is far off, a small one later.
# Whom it follows, by the step across tasks:

# %%
figure, axes = plt.subplots(1, 2, figsize=(8.5, 3.2), layout="constrained", sharey=True)
for ax, (spread, learner) in zip(axes, free.items(), strict=True):
    steps = np.array([getattr(each.outer, "step", 0.0) for each in learner.configurations])
    kinds = np.unique(steps)
    shares = np.stack([learner.ledger.weights[:, steps == step].sum(axis=1) for step in kinds])
    colours = plt.get_cmap("cividis")(np.linspace(0.0, 1.0, len(kinds)))
    ax.stackplot(np.arange(1, shares.shape[1] + 1), shares, colors=colours)
    ax.set_xlabel("tasks seen")
    ax.set_xscale("log")
    ax.set_title(f"spread {spread:g}", loc="left")
axes[0].set_ylabel("weight, by step across tasks\n(dark: small)")
plt.show()

# %%
for carried in free[3.0].ledger.leaders(4):
    print(f"{100 * carried.weight:4.1f} %  {carried.configuration.inner}, {carried.configuration.outer}")

# %% [markdown]
# ## What it can lose is bounded
#
# Against the best configuration by the sum of mixability gaps, which the run measures; against weights of the tasks and
# any bias by the certificate of whichever configuration serves it best, and what the mixture lost beyond that one.

# %%
block, ledger = blocks[0.3], free[0.3].ledger
comparator = hindsight.best_bias(owo.Absolute(), block, strength=1.0)
ledger.check(comparator)
points = np.cumsum(ledger.rounds)
beyond = ledger.cumulative_loss() - ledger.configurations.cumulative_loss().min(axis=1)
figure, axes = plt.subplots(1, 2, figsize=(8.5, 3.2), layout="constrained")
axes[0].plot(points, beyond / points, color="#0072b2", label="lost beyond the best of 192")
axes[0].plot(points, ledger.bound / points, color="#0072b2", linestyle="--", label="at most")
axes[1].plot(points, ledger.regret(comparator) / points, color="#d55e00", label="regret, best bias")
axes[1].plot(
    points, ledger.certificate(comparator).total / points, color="#d55e00", linestyle="--", label="certificate"
)
for ax in axes:
    ax.axhline(0.0, color="black", linewidth=0.8)
    ax.set_xlabel("points seen")
    ax.set_xscale("log")
    ax.set_ylabel("a point (units of y)")
    ax.legend(frameon=False)
plt.show()

# %% [markdown]
# ## Where tasks have nothing in common
#
# Learning across tasks can only hurt there. Independent learners are among the 192, so it costs next to nothing.

# %%
unrelated = stream(1.0, mean=0.0)
alone = owo.Grid(owo.Absolute(), INNER, owo.Frozen()).run(unrelated).average_loss()[-1].min()
ours = owo.TuningFree(owo.Absolute()).run(unrelated).average_loss()[-1]
print(f"best independent {alone:.3f}, tuning-free {ours:.3f}: {100 * (ours / alone - 1):+.1f} %")
assert ours <= 1.01 * alone

# %% [markdown]
# A new task begins at the weighed bias; `adapt` gives its weights after some points of it.

# %%
new = stream(0.3, tasks=1, points=5, seed=1)
weights = free[0.3].adapt(new.X, new.y)
print(f"mean error on the five points: {np.abs(new.X @ weights - new.y).mean():.2f}")
