r"""The best metrics in hindsight: what a run that learns a metric is held against.

Around a bias theta' tasks with weights u_t and n_t points pay for their spread

    sum_t n_t <u_t - theta', M^+ (u_t - theta')>  =  <A, M^+>,      A = sum_t n_t (u_t - theta')(u_t - theta')^T

(infinite where one of them leaves the range of M). Among all psd M of trace at most r it is least at

    M* = r A^{1/2} / tr A^{1/2},       with the value (tr A^{1/2})^2 / r

because ``(tr A^{1/2})^2 <= <A, M^+> tr M`` (Cauchy-Schwarz for ``A^{1/2} M^{-1/2}`` and ``M^{1/2}``). Among diagonal M
the same holds with the diagonal of A in place of A. Denevi et al. ("Online-Within-Online Meta-Learning", NeurIPS 2019)
have theta' = 0, r = 1 and tasks of one length: their ``B^{1/2} / tr(B^{1/2})``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from owo.doors import as_vector, positive
from owo.hindsight import Comparator

Array = NDArray[np.float64]

__all__ = ["best_diagonal", "best_map"]


def best_map(comparator: Comparator, lengths: ArrayLike, radius: float = 1.0) -> Comparator:
    """The comparator with the metric of trace ``radius`` in which its tasks spread least around its bias.

    ``argmin { sum_t n_t |u_t - theta'|^2_{1/M} : M psd, trace M <= radius } = radius A^{1/2} / tr A^{1/2}``

    It is singular where the tasks lie in fewer directions than d. If no task is away from the bias, any M is best; it
    is then ``radius / d`` times the identity.

    Parameters
    ----------
    comparator : from ``owo.hindsight``, or any with a bias (d,) and weights (T, d), or (1, d) for all tasks alike
    lengths : points n_t of each task, (T,), in the order of the weights: ``block.grouped().lengths``
    radius : r > 0, in units of |u|^2 over the inner strength, as that of the run's ``FeatureMap``

    Returns
    -------
    Comparator
        With ``metric`` (d, d), all else as it was; for ``Ledger.certificate`` and ``Ledger.check``.

    Raises
    ------
    TypeError
        Lengths that are not real numbers.
    ValueError
        Lengths of another number than there are tasks, or not above 0; a radius out of range; weights that are not
        finite.

    Examples
    --------
    >>> import numpy as np, owo
    >>> tasks = owo.hindsight.Comparator("two", np.zeros(2), np.diag([3.0, 1.0]), np.zeros(2))
    >>> best_map(tasks, lengths=[1, 1]).metric.round(6).tolist()
    [[0.75, 0.0], [0.0, 0.25]]
    """
    apart, radius = _weighted(comparator, lengths), positive(radius, "radius")
    # singular values of the rows sqrt(n_t) (u_t - theta') are the eigenvalues of A^{1/2}, without squares of them
    _, values, rows = np.linalg.svd(apart, full_matrices=False)
    d = apart.shape[1]
    metric = (rows.T * _shares(values, radius)) @ rows if values.any() else np.eye(d) * (radius / d)
    return comparator._replace(name=f"{comparator.name}, best map", metric=0.5 * (metric + metric.T))


def best_diagonal(comparator: Comparator, lengths: ArrayLike, radius: float = 1.0) -> Comparator:
    """The comparator with the diagonal metric of trace ``radius`` in which its tasks spread least around its bias.

    ``m_k = radius sqrt(A_kk) / sum_j sqrt(A_jj)``, ``A_kk = sum_t n_t (u_tk - theta'_k)^2``; all else as ``best_map``.

    Returns
    -------
    Comparator
        With ``metric`` (d,). It also lies in the set of a ``FeatureMap``; for a ``Diagonal``, clip it to
        [low, high].

    Raises
    ------
    TypeError, ValueError
        As ``best_map``.

    Examples
    --------
    >>> import numpy as np, owo
    >>> tasks = owo.hindsight.Comparator("two", np.zeros(2), np.array([[3.0, 1.0]]), np.zeros(2))
    >>> best_diagonal(tasks, lengths=[4, 1], radius=2.0).metric.round(6).tolist()
    [1.5, 0.5]
    """
    apart = _weighted(comparator, lengths)
    sizes = np.linalg.norm(apart, axis=0)
    shares = _shares(sizes if sizes.any() else np.ones_like(sizes), positive(radius, "radius"))
    return comparator._replace(name=f"{comparator.name}, best diagonal", metric=shares)


def _shares(sizes: Array, radius: float) -> Array:
    scaled = sizes / sizes.max()
    shares: Array = scaled * (radius / scaled.sum())
    return shares


def _weighted(comparator: Comparator, lengths: ArrayLike) -> Array:
    """Rows ``sqrt(n_t) (u_t - theta')``, (T, d), or (1, d) where all tasks are alike."""
    counts = as_vector(lengths, "lengths")
    apart = np.atleast_2d(np.asarray(comparator.weights, dtype=np.float64)) - comparator.bias
    if len(apart) not in (1, len(counts)) or counts.min() <= 0.0:
        raise ValueError(
            f"lengths has {len(counts)} entries, the least {counts.min():g}, for weights of {len(apart)} tasks; needed "
            "the number of points of each task, above 0: take block.grouped().lengths"
        )
    if not np.isfinite(apart).all():
        raise ValueError("comparator has weights or a bias that are not finite; the best metric is that of finite ones")
    return apart * np.sqrt(counts if len(apart) == len(counts) else counts.sum())[..., None]
