"""river estimators: points are dicts that come one by one; features and tasks appear and vanish.

With ``task`` the name of a field, each of its values has a model of its own, around what all have in common; a value
that was never seen is predicted from there. A feature that a point does not name is 0. Scale the others, not the task:

    from river import compose, preprocessing
    scaled = compose.Discard("shop") | preprocessing.StandardScaler()
    model = (scaled + compose.Select("shop")) | OWORegressor(task="shop")

Needs ``pip install river``.
"""

from __future__ import annotations

import copy
import pickle
from math import exp, log1p
from operator import itemgetter
from struct import Struct, error
from typing import Any

import numpy as np
from river import base

from owo.losses import Absolute, Logistic
from owo.online import OnlineWithinOnline

__all__ = ["OWOClassifier", "OWORegressor"]

_INTERCEPT = 0
"""Number of the feature that is always 1."""


class _Points(base.Estimator):
    """Dicts as arrays: features have numbers in the order in which points first named them."""

    def _begin(self, loss: Any) -> None:
        self._learner = self._new(loss, 1)
        self._numbers: dict[Any, int] = {}
        self._count = -1
        """fields of a point that names every feature, and the task if there is one; -1 before any"""

    def _new(self, loss: Any, d: int) -> OnlineWithinOnline:
        return OnlineWithinOnline(loss, self.inner, self.outer, bias=np.zeros(d))

    def _learners(self) -> list[OnlineWithinOnline]:
        """All that meet the points."""
        return [self._learner]

    def _settle(self) -> None:
        """Be ready for points that name all features."""
        names = list(self._numbers)
        self._get = itemgetter(*names) if len(names) > 1 else lambda x: tuple(x[name] for name in names)
        self._room: Any = np.ones(len(names) + 1)
        self._values: Any = None
        """those in the room"""
        self._pack = Struct(f"{len(names)}d").pack_into
        self._count = len(names) + (self.task is not None)

    def _row(self, x: dict[Any, Any], learn: bool) -> Any:
        """The array of a point (d,); with ``learn`` new features get a number, else they are left out."""
        if len(x) == self._count:
            try:
                values = self._get(x)
                if values != self._values:  # most points are predicted and then learned
                    self._values = None
                    self._pack(self._room, 8, *values)
                    self._values = values
            except (KeyError, ValueError, error):
                pass
            else:
                return self._room
        return self._new_row(x, learn)

    def _new_row(self, x: dict[Any, Any], learn: bool) -> Any:
        """As ``_row``, for a point that does not name just the features that there are."""
        numbers = self._numbers
        features = [name for name in x if name != self.task]
        if learn:
            for name in sorted((name for name in features if name not in numbers), key=repr):
                numbers[name] = len(numbers) + 1  # in an order that does not depend on the dict's
            if len(numbers) + 1 > len(self._learner.bias):
                for learner in self._learners():
                    learner.widen(len(numbers) + 1)
                self._settle()
        row = np.zeros(len(self._learner.bias))
        row[_INTERCEPT] = 1.0
        for name in features:
            if name in numbers:
                row[numbers[name]] = x[name]
        return row

    def __getstate__(self) -> dict[str, Any]:
        """Without what is made anew."""
        return {k: v for k, v in self.__dict__.items() if k not in ("_get", "_room", "_pack", "_values")} | {
            "_count": -1
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        """As it was."""
        self.__dict__.update(state)
        if self._numbers:
            self._settle()

    def _task(self, x: dict[Any, Any]) -> Any:
        return "all" if self.task is None else x.get(self.task)

    def forget(self, task: Any) -> None:
        """End a task and forget its weights; ``KeyError`` if there is none."""
        for learner in self._learners():
            learner.end_task(task)

    @property
    def _raw_memory_usage(self) -> int:
        """Bytes of the estimator as it is pickled; river's own walk from object to object ends in compiled code."""
        return len(pickle.dumps(self))

    @property
    def learner(self) -> OnlineWithinOnline:
        """What learns, with its ledger."""
        return self._learner


class OWORegressor(base.Regressor, _Points):
    """Online-within-online regression.

    Parameters
    ----------
    task : name of the field that says which task a point belongs to; default: all are one
    loss : a record of ``owo.losses``; default ``Absolute()``
    inner, outer : laws inside tasks and across them; default coin betting, which has no number to choose
    """

    def __init__(self, task: Any = None, loss: Any = None, inner: Any = None, outer: Any = None) -> None:
        self.task, self.loss, self.inner, self.outer = task, loss, inner, outer
        self._begin(Absolute() if loss is None else loss)

    def learn_one(self, x: dict[Any, Any], y: float) -> None:
        """Learn from a point; without a value of the task's field it is of no task, and is not learned."""
        task = "all" if self.task is None else x.get(self.task)
        if task is not None:
            self._learner.learn_one(self._row(x, True), float(y), task)

    def predict_one(self, x: dict[Any, Any]) -> float:
        """The prediction for a point."""
        task = "all" if self.task is None else x.get(self.task)
        return float(self._learner.predict_one(self._row(x, False), task))


class OWOClassifier(base.Classifier, _Points):
    """Online-within-online classification by the logistic loss, of classes that need not be known at the start.

    Two classes have one model. From the third on each has its own, against all others, and the probabilities are in
    proportion to what these say.

    Parameters
    ----------
    task, inner, outer : as ``OWORegressor``
    """

    def __init__(self, task: Any = None, inner: Any = None, outer: Any = None) -> None:
        self.task, self.inner, self.outer = task, inner, outer
        self._begin(Logistic())
        self._seen: list[Any] = []
        self._others: dict[Any, OnlineWithinOnline] = {}

    @property
    def _multiclass(self) -> bool:
        return True

    def _learners(self) -> list[OnlineWithinOnline]:
        return [self._learner, *self._others.values()]

    def learn_one(self, x: dict[Any, Any], y: Any) -> None:
        """Learn from a point; without a value of the task's field it is of no task, and is not learned."""
        task = self._task(x)
        if task is None:
            return
        row = self._row(x, True)
        if y not in self._seen:
            self._add(y)
        if not self._others:
            self._learner.learn_one(row, -1.0 if y == self._seen[0] else 1.0, task)
            return
        for label, learner in zip(self._order(), self._learners(), strict=True):
            learner.learn_one(row, 1.0 if label == y else -1.0, task)

    def _order(self) -> list[Any]:
        """Labels in the order of ``_learners``, when there are more than two."""
        return [self._seen[1], *self._others]

    def _add(self, label: Any) -> None:
        """A class that is new: from the third on every class has a learner; that of the first mirrors the second's."""
        self._seen.append(label)
        if len(self._seen) == 3:
            self._others[self._seen[0]] = mirrored(self._learner)
        if len(self._seen) > 2:
            self._others[label] = self._new(Logistic(), len(self._learner.bias))

    def predict_proba_one(self, x: dict[Any, Any]) -> dict[Any, float]:
        """The probability of each class seen so far."""
        if len(self._seen) < 2:
            return dict.fromkeys(self._seen, 1.0)
        row, task = self._row(x, False), self._task(x)
        if not self._others:
            chance = exp(_log_logistic(self._learner.predict_one(row, task)))
            return {self._seen[0]: 1.0 - chance, self._seen[1]: chance}
        logs = [_log_logistic(each.predict_one(row, task)) for each in self._learners()]
        weights = [exp(each - max(logs)) for each in logs]
        found = dict(zip(self._order(), (each / sum(weights) for each in weights), strict=True))
        return {label: found[label] for label in self._seen}


def _log_logistic(score: float) -> float:
    """``ln 1 / (1 + exp(-score))``."""
    return -log1p(exp(-score)) if score > 0.0 else score - log1p(exp(score))


def mirrored(learner: OnlineWithinOnline) -> OnlineWithinOnline:
    """A learner that has seen every label with the other sign."""
    other = copy.deepcopy(learner)
    for array in (other._total, other._theta, other._pending[:-1], other._slots.arrays.sums, other._slots.arrays.lost):
        np.negative(array, out=array)
    return other
