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
# # Bias, map, or both: when does what help?
#
# Inside a task the weights are $w = \theta - c\, M q$, with q the sum of the task's gradients so far. Tasks may share a
# *mean*, which a bias $\theta$ learns; they may differ along few *directions* only, which a metric M learns; or both.
# For `owo` bias and metric are one online linear problem, so they are learned together, under one certificate
# (`owo.geometry`; the feature map is the second instance of Denevi et al., NeurIPS 2019).

# %%
import matplotlib.pyplot as plt
import numpy as np

import owo
from owo.geometry import Diagonal, Full, Identity, Scalar

T, N, D, SHARED = 400, 40, 20, 4
SEEDS = range(10)


def stream(kind, seed):
    """Tasks that share a mean, or four directions of twenty, or both; rows of length 1, noise .2."""
    rng = np.random.default_rng(seed)
    w = np.full((T, D), 4.0 if kind in ("mean", "both") else 0.0)
    apart = rng.normal(size=(T, D))
    if kind != "mean":
        apart[:, SHARED:] = 0.0
    w += (0.5 if kind == "mean" else 2.0) * apart / np.linalg.norm(apart, axis=1, keepdims=True)
    X = rng.normal(size=(T * N, D))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    task = np.repeat(np.arange(T), N)
    return owo.Block(X, np.sum(X * w[task], axis=1) + 0.2 * rng.normal(size=T * N), task)


# %% [markdown]
# Everything that is learned has the same starting point and laws; the learners differ in what moves. Where M is left
# alone, the step inside tasks is still learned, as a single number (`Scalar`), so that tuning holds nobody back.

# %%
bias, no_bias = owo.DualAveraging(0.1), owo.Frozen()
learners = {
    "independent": (no_bias, Identity()),
    "step": (no_bias, Scalar()),
    "bias": (bias, Scalar()),
    "map": (no_bias, Full()),
    "bias and map": (bias, Full()),
    "bias and diagonal": (bias, Diagonal()),
}
kinds = {"mean": "shared mean", "directions": "shared directions", "both": "both"}
errors = np.empty((len(kinds), len(learners), len(SEEDS)))
curves = {}
for k, kind in enumerate(kinds):
    for s in SEEDS:
        block = stream(kind, s)
        for m, (name, (outer, geometry)) in enumerate(learners.items()):
            run = owo.OnlineWithinOnline(owo.Absolute(), owo.GrowingFTRL(1.0), outer, "task", geometry=geometry).run(
                block
            )
            errors[k, m, s] = run.cumulative_loss()[-1] / block.n
            curves.setdefault((kind, name), []).append(run.losses / run.rounds)


# %%
def interval(values):
    """Mean and half of the 95 % interval over ten seeds."""
    return values.mean(-1), 2.262 * values.std(-1, ddof=1) / np.sqrt(values.shape[-1])  # t of 9 degrees of freedom


print(f"{'mean error a point':20s}" + "".join(f"{label:>20s}" for label in kinds.values()))
for m, name in enumerate(learners):
    cells = [f"{mean:.3f} ± {half:.3f}" for mean, half in zip(*interval(errors[:, m]), strict=True)]
    print(f"{name:20s}" + "".join(f"{cell:>20s}" for cell in cells))

# %%
colours = ("#4d4d4d", "#56b4e9", "#d55e00", "#009e73", "#0072b2", "#cc79a7")
hatches = ("", "..", "//", "xx", "", "\\\\")
figure, ax = plt.subplots(figsize=(8.5, 3.4), layout="constrained")
for m, name in enumerate(learners):
    mean, half = interval(errors[:, m])
    look = {"color": colours[m], "hatch": hatches[m], "edgecolor": "white", "linewidth": 0}
    ax.bar(np.arange(len(kinds)) + 0.13 * (m - 2.5), mean, 0.12, yerr=half, label=name, **look)
ax.set_xticks(range(len(kinds)), [f"tasks share: {label.removeprefix('shared ')}" for label in kinds.values()])
ax.set_xlabel("stream")
ax.set_ylabel("mean error (units of y)")
ax.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()

# %% [markdown]
# Where tasks share a mean, nearly all of the gain is the bias's; where they share directions around zero, it is the
# map's and a bias only gets in the way; where both, each alone is left behind by the two together. The difference to
# the better of the two, paired by seed:

# %%
names = list(learners)
better = np.minimum(errors[2, names.index("bias")], errors[2, names.index("map")])
for name in ("bias and map", "bias and diagonal"):
    mean, half = interval(better - errors[2, names.index(name)])
    print(f"{name}: {mean:.4f} ± {half:.4f} less than the better of bias and map")

# %% [markdown]
# ## How fast
#
# The stream that shares both, task by task: the mean is found within tens of tasks, the directions take longer.

# %%
figure, ax = plt.subplots(figsize=(6.8, 3.4), layout="constrained")
width = 20
for m, name in enumerate(learners):
    path = np.array(curves["both", name]).reshape(len(SEEDS), T // width, width).mean(axis=2).T
    mean, half = interval(path)
    at = width * (np.arange(T // width) + 0.5)
    look = {"linestyle": ["-", "--", "-.", ":", "-", "--"][m], "marker": "os^vD<"[m], "color": colours[m]}
    ax.plot(at, mean, markersize=3.5, markevery=2, label=name, **look)
    ax.fill_between(at, mean - half, mean + half, color=colours[m], alpha=0.15, linewidth=0)
ax.set(xlabel="tasks seen", ylabel="error of the task (units of y)", yscale="log")
ax.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()

# %% [markdown]
# ## What was learned
#
# The metric after the stream that shares both: its diagonal, in and outside of the four directions.

# %%
block = stream("both", 0)
learner = owo.OnlineWithinOnline(owo.Absolute(), owo.GrowingFTRL(1.0), bias, "task", geometry=Full())
learner.run(block)
diagonal = np.diag(learner.metric)
print(f"step along shared directions {diagonal[:SHARED].mean():.2f}, along the others {diagonal[SHARED:].mean():.2f}")
print("bias", learner.bias.round(1))
