"""The learners whose rates are measured: each made for a problem with its best parameters, beside its bound there.

Problems are those of the streams of ``theory.rates``: absolute loss and ``|x| = 1``, so G = 1; a bias theta' of
length D and tasks of variance V around it along one direction. All of it is known to all but the parameter-free
learners.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np

import owo
from theory import aggressive, frobenius_map, independent, meta, parameter_free
from theory.learners import coin_betting, dual_averaging, frozen, growing
from theory.problem import Game, Problem
from theory.terms import Learner, Terms


class Contestant(NamedTuple):
    """One line of a figure."""

    name: str
    learner: Callable[[Problem], owo.OnlineWithinOnline]
    bound: Callable[[Problem], Terms]
    """on its regret over all points, in units of loss"""


def _inside(p: Problem) -> tuple[Any, Learner]:
    """The law around a learned bias, and its bound; where tasks do not differ it stays at the bias."""
    if p.variance == 0.0:
        return owo.Frozen(), frozen.bound
    strength = growing.tuned(p.inside)
    return owo.GrowingFTRL(strength), partial(growing.bound, strength=strength)


def _across(game: Game) -> tuple[Any, Learner]:
    """The law of the bias in its own game, and its bound; one that has nowhere to go stays."""
    if game.distance == 0.0:
        return owo.Frozen(), frozen.bound
    step = dual_averaging.tuned(game)
    return owo.DualAveraging(step), partial(dual_averaging.bound, step=step)


def _alone(p: Problem) -> owo.OnlineWithinOnline:
    return _owo(owo.GrowingFTRL(independent.tuned(p)), owo.Frozen(), "task")


def _alone_bound(p: Problem) -> Terms:
    return independent.bound(p, strength=independent.tuned(p))


def _lazy(p: Problem) -> owo.OnlineWithinOnline:
    return _owo(_inside(p)[0], _across(p.across)[0], "task")


def _lazy_bound(p: Problem) -> Terms:
    return meta.bound(p, _inside(p)[1], _across(p.across)[1])


def _eager(p: Problem) -> owo.OnlineWithinOnline:
    return _owo(_inside(p)[0], _across(p.along)[0], "point")


def _eager_bound(p: Problem) -> Terms:
    return aggressive.bound(p, _inside(p)[1], _across(p.along)[1])


def _endowment(p: Problem) -> float:
    """What a bettor inside a task may lose: ``sqrt(n / T)``, so that all is no more than the term across tasks."""
    return math.sqrt(p.points / p.tasks)


def _free(p: Problem) -> owo.OnlineWithinOnline:
    return _owo(owo.CoinBetting(_endowment(p)), owo.CoinBetting(), "point")


def _free_bound(p: Problem) -> Terms:
    return parameter_free.bound(p, initial=_endowment(p), initial_across=1.0)


def _around_zero(p: Problem) -> Problem:
    """The same tasks as a learner of a map sees them: they differ from 0 along one direction."""
    moment = p.variance + p.distance**2 / 2.0
    return replace(p, variance=moment, distance=0.0, root_trace=math.sqrt(2.0 * moment))


def _map(p: Problem) -> owo.OnlineWithinOnline:
    strength, step = frobenius_map.tuned(_around_zero(p))
    rule = owo.geometry.FeatureMap(owo.DualAveraging(step), 1.0, owo.geometry.Projected(), owo.geometry.Paper())
    return _owo(owo.GrowingFTRL(strength), owo.Frozen(), "task", geometry=rule)


def _map_bound(p: Problem) -> Terms:
    strength, step = frobenius_map.tuned(_around_zero(p))
    return frobenius_map.bound(_around_zero(p), strength=strength, metric_step=step)


def _given(p: Problem) -> owo.OnlineWithinOnline:
    strength, _ = frobenius_map.tuned(_around_zero(p))
    best = np.eye(1, p.dimension)[0]
    return _owo(owo.GrowingFTRL(strength), owo.Frozen(), "task", geometry=owo.geometry.Fixed(), metric=best)


def _given_bound(p: Problem) -> Terms:
    return _map_bound(p)._replace(metric=0.0)


def _bets(update: str) -> Callable[[Problem], owo.OnlineWithinOnline]:
    def learner(p: Problem) -> owo.OnlineWithinOnline:
        limit = float(p.points) if update == "task" else 1.0
        return _owo(owo.Frozen(), owo.CoinBetting(1.0, limit), update)

    return learner


def _bets_bound(update: str) -> Callable[[Problem], Terms]:
    compose = meta.bound if update == "task" else aggressive.bound
    return lambda p: compose(p, frozen.bound, partial(coin_betting.bound, initial=1.0))


def _owo(inner: Any, outer: Any, update: Any, **more: Any) -> owo.OnlineWithinOnline:
    return owo.OnlineWithinOnline(owo.Absolute(), inner, outer, update, **more)


ALONE = Contestant("independent", _alone, _alone_bound)
TASK = Contestant("bias, after a task", _lazy, _lazy_bound)
POINT = Contestant("bias, after a point", _eager, _eager_bound)
FREE = Contestant("parameter-free", _free, _free_bound)
MAP = Contestant("feature map", _map, _map_bound)
GIVEN = Contestant("feature map, given", _given, _given_bound)
"""With the strength of ``MAP``, so that what it loses less is what learning the map costs."""
BETTING_TASK = Contestant("betting, after a task", _bets("task"), _bets_bound("task"))
BETTING_POINT = Contestant("betting, after a point", _bets("point"), _bets_bound("point"))
