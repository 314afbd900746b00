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
# # Regret curves and their certificates
#
# Denevi, Stamos, Ciliberto and Pontil, *Online-Within-Online Meta-Learning* (NeurIPS 2019), bound what a learner inside
# tasks and a learner across them lose together: against weights $u_t$ of the tasks and any bias $\theta'$, with
# $V = \frac{1}{T} \sum_t \frac{1}{2} |u_t - \theta'|^2$,
#
# $$ \frac{\text{regret}}{n T} \;\le\;
#    G \sqrt{\frac{2 V (1 + \ln n)}{n}} + \frac{G\, |\theta' - \theta_1|}{\sqrt{T}}. $$
#
# The first term is the price of tasks that differ, the second that of not knowing where they lie. `owo` works out a
# sharper bound, the *certificate*, from each run's own numbers.

# %%
import matplotlib.pyplot as plt
import numpy as np

import owo
from owo import hindsight, plotting

T, N, D = 10_000, 10, 10
SEEDS = range(5)


def stream(seed):
    """Tasks around a mean at distance 3 of the start, labels with a little noise, rows of length 1."""
    rng = np.random.default_rng(seed)
    mean = np.zeros(D)
    mean[0] = 3.0
    w = mean + 0.1 * rng.normal(size=(T, D))
    X = rng.normal(size=(T * N, D))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    task = np.repeat(np.arange(T), N)
    return owo.Block(X, np.sum(X * w[task], axis=1) + 0.1 * rng.normal(size=T * N), task), w


variance = 0.5 * D * 0.1**2
strength = np.sqrt((1 + np.log(N)) / (2 * N * variance))  # the best for these n and V
step = 3.0 / (N * np.sqrt(T))  # the best for this distance and T
print(f"strength {strength:.2f}, step {step:.4f}")

# %% [markdown]
# ## One run, three comparators
#
# Regret is always *against* something. Against the mean that the tasks were drawn around; against the best bias in
# hindsight, which knows the data; and against no bias at all, zero, from which every task is learned on its own: there
# the run is ahead after a while, its regret negative, and a logarithmic axis has no place for it.

# %%
block, w = stream(0)
learner = owo.OnlineWithinOnline(owo.Absolute(), owo.GrowingFTRL(strength), owo.DualAveraging(step), "task")
ledger = learner.run(block)
comparators = {
    "true mean": hindsight.given_bias(owo.Absolute(), block, strength, w.mean(axis=0)),
    "best bias in hindsight": hindsight.best_bias(owo.Absolute(), block, strength),
    "no bias": hindsight.given_bias(owo.Absolute(), block, strength, np.zeros(D)),
}
figure, axes = plt.subplots(1, 3, figsize=(9.5, 3.2), sharey=True, layout="constrained")
for ax, (name, comparator) in zip(axes, comparators.items(), strict=True):
    ledger.check(comparator)
    plotting.regret(ledger, comparator, ax)
    ax.set_title(name, fontsize="medium")
    total, bound = ledger.regret(comparator)[-1], ledger.certificate(comparator).total[-1]
    print(f"{name}: regret {total / block.n:.4f} a point, certificate {bound / block.n:.4f}")
for ax in axes[1:]:
    ax.set_ylabel("")
plotting.legend(axes[2], "center left", beside=True, others=axes[:2])
plt.show()

# %% [markdown]
# ## What the certificate is made of
#
# *Within*: learning inside the tasks. *Spread*: how far the tasks lie from one bias. *Across*: finding that bias; this
# is the term that fades as tasks go by. What is left is what tasks of this spread cost any learner of this kind.

# %%
figure, ax = plt.subplots(figsize=(6.5, 3.6), layout="constrained")
plotting.regret(ledger, comparators["best bias in hindsight"], ax, terms=True)
plt.show()

# %% [markdown]
# ## Finding the bias: $T^{-1/2}$ against $(n T)^{-1/2}$
#
# Tasks that do not differ leave the last term alone. If the bias moves when a task ends, the price of finding it falls
# like $1/\sqrt{T}$; if it moves after every point, like $1/\sqrt{n T}$. Each run is made for its own T, as the bound
# asks; lines are means over seeds, bars 95 % intervals. Labels are random signs far away: no learner does better there.

# %%
LENGTHS = np.geomspace(100, T, 5).round().astype(int)
regrets = {"task": [], "point": []}
for tasks in LENGTHS:
    found = {"task": [], "point": []}
    for seed in SEEDS:
        rng = np.random.default_rng([seed, tasks])
        for update in found:
            drawn = tasks if update == "task" else tasks * N  # a direction and a sign a task, or a point
            X = rng.normal(size=(drawn, D))
            X = np.repeat(X / np.linalg.norm(X, axis=1, keepdims=True), tasks * N // drawn, axis=0)
            signs = np.repeat(rng.choice([-1.0, 1.0], drawn), tasks * N // drawn)
            rate = 1 / (N * np.sqrt(tasks)) if update == "task" else 1 / np.sqrt(N * tasks)
            run = owo.OnlineWithinOnline(owo.Absolute(), owo.Frozen(), owo.DualAveraging(rate), update)
            data = owo.Block(X, 1e3 * signs, np.repeat(np.arange(tasks), N))
            lost = run.run(data).cumulative_loss()[-1]
            best = 1e3 * tasks * N - np.linalg.norm(signs @ X)  # of the best bias of length 1
            found[update].append((lost - best) / (tasks * N))
    for update, values in found.items():
        regrets[update].append(values)

# %%
figure, ax = plt.subplots(figsize=(5.2, 3.6), layout="constrained")
looks = {
    "task": ("s--", "#0072b2", "bias moves when a task ends"),
    "point": ("^:", "#d55e00", "bias moves after every point"),
}
for update, (line, colour, label) in looks.items():
    values = np.array(regrets[update])
    half = 2.776 * values.std(axis=1, ddof=1) / np.sqrt(len(SEEDS))  # t of 4 degrees of freedom
    ax.errorbar(LENGTHS, values.mean(axis=1), half, fmt=line, color=colour, capsize=3, label=label)
    slope = np.polyfit(np.log(LENGTHS), np.log(values.mean(axis=1)), 1)[0]
    print(f"{label}: slope {slope:.3f}")
ax.plot(LENGTHS, 0.35 / np.sqrt(N * LENGTHS), color="grey", linewidth=1)
ax.text(LENGTHS[1], 0.2 / np.sqrt(N * LENGTHS[1]), "slope $-1/2$", color="grey")
ax.set(xscale="log", yscale="log", xlabel="tasks $T$", ylabel="average regret (loss a point)")
ax.legend(frameon=False)
plt.show()
ratio = np.mean(regrets["task"], axis=1) / np.mean(regrets["point"], axis=1)
print(f"apart by {ratio.mean():.2f}; the root of n is {np.sqrt(N):.2f}")

# %% [markdown]
# `theory.rates` does the same for every learner, against tasks, points, dimension and variance:
# [docs/theory.md](../docs/theory.md), `make validate`.
