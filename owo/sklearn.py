"""scikit-learn estimators: one model a task, learned online around what all tasks have in common.

Which task a row belongs to is said either by ``tasks=``, an array beside X (scikit-learn routes it if asked:
``set_fit_request(tasks=True)``), or by ``task_column``, a column of X, which needs no routing in pipelines and
searches. Rows are learned in the order in which they stand; tasks may be mixed and go on in a later ``partial_fit``. A
prediction uses the weights of its task as they stand, those of a new task (the bias) where the task was never seen.

Needs ``pip install scikit-learn``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import assert_all_finite, check_is_fitted, column_or_1d, validate_data

from owo.doors import whole
from owo.laws import CoinBetting
from owo.losses import Absolute, Hinge, Logistic, MulticlassHinge, Pinball, Softmax
from owo.online import OnlineWithinOnline
from owo.streams import Block

Array = NDArray[np.float64]

__all__ = ["OWOClassifier", "OWOQuantileRegressor", "OWORegressor"]

ONE = "all rows"
"""Key of the task that rows belong to if nobody says otherwise."""


class _Tasks(BaseEstimator):
    """What all three have in common: from tables to streams, from weights to predictions."""

    inner: Any
    outer: Any
    task_column: Any
    standardize: bool
    passes: int

    def _forget(self) -> None:
        """As before any data."""
        for name in ("learner_", "mean_", "scale_", "centre_", "width_"):
            if hasattr(self, name):
                delattr(self, name)

    def _apart(self, X: Any, tasks: Any, reset: bool) -> tuple[Array, list[Any] | None]:
        """Features (n, d) as numbers, and the keys of the tasks, if any."""
        if self.task_column is not None:
            if tasks is not None:
                raise ValueError("tasks is given and task_column is set; tasks can be told one way only")
            X, tasks = _taken(X, self.task_column)
        X = validate_data(self, X, reset=reset, dtype=np.float64)
        if tasks is None:
            return X, None
        keys = np.asarray(tasks)
        if keys.ndim != 1 or len(keys) != len(X):
            raise ValueError(f"tasks has shape {keys.shape}, and X has {len(X)} rows; give one task a row")
        return X, keys.tolist()

    def _learn(self, X: Array, y: Array, keys: list[Any] | None, loss: Any) -> None:
        """Go on with rows in their order; tasks stay open."""
        if not hasattr(self, "learner_"):
            self.mean_, self.scale_ = np.zeros(X.shape[1]), np.ones(X.shape[1])
            if self.standardize:
                self.mean_, self.scale_ = X.mean(axis=0), X.std(axis=0)
                self.scale_[~(self.scale_ > 1e-12 * np.abs(self.mean_))] = 1.0
            slope = loss.lipschitz if np.isfinite(loss.lipschitz) else 1.0  # bounds gradients, for rows of length 1
            bettor = CoinBetting(slope, slope)
            self.learner_ = OnlineWithinOnline(loss, self.inner or bettor, self.outer or bettor)
        names = [ONE] * len(X) if keys is None else keys
        found: dict[Any, int] = {}
        codes = np.array([found.setdefault(key, len(found)) for key in names], dtype=np.int64)
        block = Block(self._rows(X), y, codes, np.zeros(len(X), dtype=bool), list(found))
        for _ in range(whole(self.passes, "passes", 1)):
            self.learner_.run(block)

    def _rows(self, X: Array) -> Array:
        """Standardised columns and one of ones, divided by the root of their number: of length about 1."""
        rows = np.column_stack([(X - self.mean_) / self.scale_, np.ones(len(X))])
        scaled: Array = rows / np.sqrt(rows.shape[1])
        return scaled

    def _predicted(self, X: Any, tasks: Any) -> Array:
        """``<x, w>`` of every row, (n,) or (n, k), with the weights of its task."""
        check_is_fitted(self, "learner_")
        X, keys = self._apart(X, tasks, reset=False)
        rows = self._rows(X)
        if keys is None:
            return self.learner_.predict(rows, ONE)
        open_tasks = self.learner_._slots.keys
        groups: dict[Any, list[int]] = {}
        for row, key in enumerate(keys):
            groups.setdefault(key if key in open_tasks else None, []).append(row)
        parts = [(np.array(some), self.learner_.predict(rows[some], key)) for key, some in groups.items()]
        found = np.empty((len(rows), *parts[0][1].shape[1:]))
        for some, predictions in parts:
            found[some] = predictions
        return found

    @property
    def bias_(self) -> Array:
        """The weights of a new task, on standardised columns and the intercept."""
        check_is_fitted(self, "learner_")
        return self.learner_.bias

    @property
    def ledger_(self) -> Any:
        """What happened; ``learner_.ledger``."""
        check_is_fitted(self, "learner_")
        return self.learner_.ledger


class OWORegressor(RegressorMixin, _Tasks):
    """Online-within-online regression.

    Parameters
    ----------
    loss : a record of ``owo.losses``; default ``Absolute()``
    inner, outer : laws inside tasks and across them; default coin betting, which has no number to choose
    task_column : name or number of the column of X that says which task a row belongs to; it is no feature
    standardize : whether columns and labels are standardised, by the data of ``fit`` or of the first ``partial_fit``
    passes : how often the rows are gone through; more than once helps with little data

    Attributes
    ----------
    learner_ : ``OnlineWithinOnline``, with its ``ledger``
    bias_ : array (d + 1,)
    """

    def __init__(
        self, loss: Any = None, *, inner: Any = None, outer: Any = None, task_column: Any = None,
        standardize: bool = True, passes: int = 1,
    ) -> None:  # fmt: skip
        self.loss, self.inner, self.outer = loss, inner, outer
        self.task_column, self.standardize, self.passes = task_column, standardize, passes

    def _loss(self) -> Any:
        return Absolute() if self.loss is None else self.loss

    def fit(self, X: ArrayLike, y: ArrayLike, tasks: ArrayLike | None = None) -> OWORegressor:
        """Learn from rows (n, d), labels (n,) and, where there are any, tasks (n,); all before is forgotten."""
        self._forget()
        return self._go_on(X, y, tasks, reset=True)

    def partial_fit(self, X: ArrayLike, y: ArrayLike, tasks: ArrayLike | None = None) -> OWORegressor:
        """As ``fit``, going on from what was learned."""
        return self._go_on(X, y, tasks, reset=not hasattr(self, "learner_"))

    def _go_on(self, X: Any, y: Any, tasks: Any, reset: bool) -> OWORegressor:
        if y is None:
            raise ValueError("y is None; this estimator requires y to be passed, but the target y is None")
        X, keys = self._apart(X, tasks, reset)
        labels = np.asarray(column_or_1d(y, warn=True), dtype=np.float64)
        if len(labels) != len(X):
            raise ValueError(f"Found input variables with inconsistent numbers of samples: {[len(X), len(labels)]}")
        assert_all_finite(labels, input_name="y")
        if reset:
            self.centre_, self.width_ = 0.0, 1.0
            if self.standardize:
                self.centre_, self.width_ = float(labels.mean()), float(labels.std()) or 1.0
        self._learn(X, (labels - self.centre_) / self.width_, keys, self._loss())
        return self

    def predict(self, X: ArrayLike, tasks: ArrayLike | None = None) -> Array:
        """Predictions (n,) in units of y."""
        predicted = self._predicted(X, tasks)  # or an error, before any data
        in_units: Array = self.centre_ + self.width_ * predicted
        return in_units

    def score(
        self, X: ArrayLike, y: ArrayLike, tasks: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> float:
        """The coefficient of determination."""
        return float(r2_score(y, self.predict(X, tasks), sample_weight=sample_weight))


class OWOQuantileRegressor(OWORegressor):
    """Online-within-online regression of a quantile, by the pinball loss.

    Parameters
    ----------
    quantile : strictly between 0 and 1
    inner, outer, task_column, standardize, passes : as ``OWORegressor``
    """

    def __init__(
        self, quantile: float = 0.5, *, inner: Any = None, outer: Any = None, task_column: Any = None,
        standardize: bool = True, passes: int = 1,
    ) -> None:  # fmt: skip
        self.quantile, self.inner, self.outer = quantile, inner, outer
        self.task_column, self.standardize, self.passes = task_column, standardize, passes

    def _loss(self) -> Any:
        return Pinball(self.quantile)


def _has_probabilities(estimator: Any) -> bool:
    if estimator.loss != "logistic":
        raise AttributeError(f"probabilities come from the logistic loss only; loss is {estimator.loss!r}")
    return True


class OWOClassifier(ClassifierMixin, _Tasks):
    """Online-within-online classification, of two classes or more.

    Parameters
    ----------
    loss : ``"logistic"`` (of more than two classes ``owo.Softmax``) or ``"hinge"`` (``owo.MulticlassHinge``)
    inner, outer, task_column, standardize, passes : as ``OWORegressor``

    Attributes
    ----------
    classes_ : the labels
    learner_, bias_ : as there; of k > 2 classes the bias is (d + 1, k)
    """

    def __init__(
        self, loss: str = "logistic", *, inner: Any = None, outer: Any = None, task_column: Any = None,
        standardize: bool = True, passes: int = 1,
    ) -> None:  # fmt: skip
        self.loss, self.inner, self.outer = loss, inner, outer
        self.task_column, self.standardize, self.passes = task_column, standardize, passes

    def fit(self, X: ArrayLike, y: ArrayLike, tasks: ArrayLike | None = None) -> OWOClassifier:
        """Learn from rows (n, d), labels (n,) and, where there are any, tasks (n,); all before is forgotten."""
        self._forget()
        return self._go_on(X, y, tasks, None, reset=True)

    def partial_fit(
        self, X: ArrayLike, y: ArrayLike, tasks: ArrayLike | None = None, classes: ArrayLike | None = None
    ) -> OWOClassifier:
        """As ``fit``, going on from what was learned; the first call needs all ``classes``, or has them in y."""
        return self._go_on(X, y, tasks, classes, reset=not hasattr(self, "learner_"))

    def _go_on(self, X: Any, y: Any, tasks: Any, classes: Any, reset: bool) -> OWOClassifier:
        if y is None:
            raise ValueError("y is None; this estimator requires y to be passed, but the target y is None")
        X, keys = self._apart(X, tasks, reset)
        y = column_or_1d(y, warn=True)
        if len(y) != len(X):
            raise ValueError(f"Found input variables with inconsistent numbers of samples: {[len(X), len(y)]}")
        assert_all_finite(y, input_name="y")
        check_classification_targets(y)
        if reset:
            self.classes_ = np.unique(y if classes is None else classes)
            if len(self.classes_) < 2:
                raise ValueError(
                    f"y has one class only, {self.classes_.tolist()}; needed samples of at least 2 classes"
                )
        codes = np.searchsorted(self.classes_, y)
        known = self.classes_[np.minimum(codes, len(self.classes_) - 1)] == y
        if not np.all(known):
            raise ValueError(f"y has the label {np.asarray(y)[~known][0]!r}, which is none of {self.classes_.tolist()}")
        labels = np.where(codes == 1, 1.0, -1.0) if len(self.classes_) == 2 else codes.astype(np.float64)
        self._learn(X, labels, keys, self._loss())
        return self

    def _loss(self) -> Any:
        count = len(self.classes_)
        if self.loss == "logistic":
            return Logistic() if count == 2 else Softmax(count)
        if self.loss == "hinge":
            return Hinge() if count == 2 else MulticlassHinge(count)
        raise ValueError(f"loss is {self.loss!r}; it must be 'logistic' or 'hinge'")

    def decision_function(self, X: ArrayLike, tasks: ArrayLike | None = None) -> Array:
        """Scores: (n,) of two classes, above 0 for the second; else (n, k)."""
        return self._predicted(X, tasks)

    def predict(self, X: ArrayLike, tasks: ArrayLike | None = None) -> NDArray[Any]:
        """The most likely class of each row, (n,)."""
        scores = self.decision_function(X, tasks)
        best = (scores > 0.0).astype(int) if scores.ndim == 1 else scores.argmax(axis=1)
        labels: NDArray[Any] = self.classes_[best]
        return labels

    @available_if(_has_probabilities)
    def predict_proba(self, X: ArrayLike, tasks: ArrayLike | None = None) -> Array:
        """Probabilities (n, k) by the logistic or softmax link."""
        scores = self.decision_function(X, tasks)
        if scores.ndim == 1:
            scores = np.column_stack([np.zeros(len(scores)), scores])
        weights = np.exp(scores - scores.max(axis=1, keepdims=True))
        found: Array = weights / weights.sum(axis=1, keepdims=True)
        return found

    def score(
        self, X: ArrayLike, y: ArrayLike, tasks: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> float:
        """The share of rows whose class is right."""
        return float(accuracy_score(y, self.predict(X, tasks), sample_weight=sample_weight))


def _taken(X: Any, column: Any) -> tuple[Any, Any]:
    """A table without its column of tasks, and that column."""
    if hasattr(X, "columns"):
        names = list(X.columns)
        name = names[column] if isinstance(column, int) and column not in names else column
        if name not in names:
            raise ValueError(f"X has no column {column!r}; its columns are {names}")
        rest = [each for each in names if each != name]
        return X[rest], np.asarray(X[name])
    table = np.asarray(X)
    if table.ndim != 2 or not isinstance(column, int) or not -table.shape[1] <= column < table.shape[1]:
        raise ValueError(
            f"task_column is {column!r}; X has shape {table.shape} and no names, so give a column's number"
        )
    return np.delete(table, column, axis=1), table[:, column]
