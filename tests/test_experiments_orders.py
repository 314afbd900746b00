"""Orders of the points: the same tasks, what is between their points, and whether the gain survives."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import owo
from experiments.own import NOTHING
from experiments.studies import orders
from experiments.studies.orders import ORDERS, Config

SMALL = Config(tasks=150, strengths=(0.1, 1.0), steps=(0.03, 0.1, 0.3))


def tasks(lengths=(4, 7, 1, 5, 3, 6, 9)):
    rng = np.random.default_rng(0)
    return owo.Block(
        rng.normal(size=(sum(lengths), 2)), np.arange(sum(lengths)), np.repeat(np.arange(len(lengths)), lengths)
    )


def most_open(block):
    begins = np.diff(np.maximum.accumulate(block.task), prepend=-1)
    return int(np.max(np.cumsum(begins) - np.cumsum(block.ends) + block.ends))


@pytest.mark.parametrize("order", ORDERS)
def test_tasks_keep_their_points_and_these_their_order(order):
    block = tasks()
    other = orders.ordered(block, order, np.random.default_rng(1))
    found = sorted((task.y.tolist() for task in other.tasks()), key=lambda y: y[0])
    assert found == [task.y.tolist() for task in block.tasks()]


def test_orders_differ_in_how_many_tasks_are_open():
    block = tasks((6,) * 60)
    ones = {order: most_open(orders.ordered(block, order, np.random.default_rng(1))) for order in ORDERS}
    assert ones["one after another"] == 1 and 8 <= ones["overlapping"] <= 10 and ones["round robin"] == 60
    assert 10 < ones["bursts"] <= ones["shuffled"] <= 60
    burst = orders.ordered(block, "bursts", np.random.default_rng(1)).task
    runs = np.diff(np.flatnonzero(np.diff(burst, prepend=-1, append=-1)))
    assert set(runs.tolist()) <= {3, 6}


def test_a_bias_that_moves_after_every_point_does_not_mind():
    found = orders.run(SMALL, 0, NOTHING)
    loss = dict(zip(found["method"].tolist(), found["loss"].T, strict=True))
    assert np.ptp(loss["independent"]) < 1e-9  # nobody else's points matter to it
    assert loss["OWO per point"].max() < 1.05 * loss["OWO per point"].min()
    assert loss["OWO per task"][ORDERS.index("round robin")] > 1.5 * loss["OWO per task"][0]
    assert (found["regret"] <= found["certificate"]).all()


@pytest.mark.parametrize("data", ["geometric", "wagepan"])
def test_other_tasks_are_streamed_whole_and_numbers_chosen_on_others(data):
    streams = orders.draw(replace(SMALL, data=data), 0, owo.Absolute())
    assert streams.choosing.contiguous and streams.streamed.contiguous
    lengths = np.diff(streams.streamed.offsets)
    if data == "wagepan":
        assert set(lengths.tolist()) == {8} and streams.choosing.n_tasks + streams.streamed.n_tasks == 545
        assert not set(streams.choosing.keys) & set(streams.streamed.keys)
    else:
        assert len(set(lengths.tolist())) > 10 and lengths.mean() == pytest.approx(10.0, rel=0.3)


def test_tables_and_the_figure_have_every_order():
    config = replace(SMALL, tasks=20)
    stacked = {name: np.stack([held, held]) for name, held in orders.run(config, 0, NOTHING).items()}
    losses, gains = orders.tables(config, stacked)
    assert losses.header == ("method", *ORDERS) and len(losses.rows) == 8 == len(gains.rows) + 1
    [figure] = orders.figures(config, stacked).values()
    assert [" ".join(label.get_text().split()) for label in figure.axes[0].get_xticklabels()] == list(ORDERS)
    with pytest.raises(ValueError, match="data is 'wages'; it must be one of synthetic, geometric, wagepan"):
        Config(data="wages")
