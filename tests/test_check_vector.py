"""``check_vector_loss``: what obeys passes, and of what does not the broken property is named."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pytest
from games import name
from scores import Brier

import owo
from owo.checks import ContractError, check_vector_loss


class Plain(NamedTuple):
    """``sum_c |p_c - [c = y]|``: a loss that is right, for the wrong ones to spoil."""

    classes: int = 3

    @property
    def lipschitz(self):
        return math.sqrt(self.classes)

    def value(self, p, y):
        total = 0.0
        for c in range(p.shape[0]):
            total += abs(p[c] - (1.0 if c == int(y) else 0.0))
        return float(total)

    def slopes(self, p, y, out):
        for c in range(p.shape[0]):
            r = p[c] - (1.0 if c == int(y) else 0.0)
            out[c] = 1.0 if r > 0.0 else -1.0 if r < 0.0 else 0.0

    def conjugate(self, s, y):
        for c in range(s.shape[0]):
            if abs(s[c]) > 1.0:
                return math.inf
        return float(s[int(y)])


@owo.losses.vector_loss
class Right(Plain):
    """With all that is optional."""

    def prox_slopes(self, p, y, step, out):
        for c in range(p.shape[0]):
            out[c] = min(max((p[c] - (1.0 if c == int(y) else 0.0)) / step, -1.0), 1.0)

    def expression(self, p, y):
        import cvxpy

        return cvxpy.norm1(p - np.eye(self.classes)[np.asarray(y).astype(int)], axis=1)


@owo.losses.vector_loss
class ForgetsOne(Plain):
    def slopes(self, p, y, out):
        out[0] = 1.0 if p[0] > 0.0 else 0.0


@owo.losses.vector_loss
class WrongSlopes(Plain):
    def slopes(self, p, y, out):
        for c in range(p.shape[0]):
            out[c] = 1.0 if p[c] > 0.5 else -1.0


@owo.losses.vector_loss
class Bumpy(Plain):
    """Not convex: the slopes are right wherever there are any."""

    def value(self, p, y):
        total = 0.0
        for c in range(p.shape[0]):
            total += min(abs(p[c] - (1.0 if c == int(y) else 0.0)), 1.0)
        return float(total)

    def slopes(self, p, y, out):
        for c in range(p.shape[0]):
            r = p[c] - (1.0 if c == int(y) else 0.0)
            out[c] = 1.0 if 0.0 < r < 1.0 else -1.0 if -1.0 < r < 0.0 else 0.0


@owo.losses.vector_loss
class WrongConjugate(Plain):
    def conjugate(self, s, y):
        return float(s[int(y)]) + 0.5


@owo.losses.vector_loss
class NarrowDomain(Plain):
    def conjugate(self, s, y):
        return math.inf if abs(s[0]) >= 1.0 else float(s[int(y)])


@owo.losses.vector_loss
class NoDomain(Plain):
    def conjugate(self, s, y):
        return float(s[int(y)])


@owo.losses.vector_loss
class SmallInside(Plain):
    def conjugate(self, s, y):
        for c in range(s.shape[0]):
            if abs(s[c]) > 1.0:
                return math.inf
        return float(s[int(y)]) - 0.1 * abs(s[0]) * (1.0 - abs(s[0]))


@owo.losses.vector_loss
class LargeInside(Plain):
    def conjugate(self, s, y):
        for c in range(s.shape[0]):
            if abs(s[c]) > 1.0:
                return math.inf
        return float(s[int(y)]) + 0.1 * abs(s[0]) * (1.0 - abs(s[0]))


@owo.losses.vector_loss
class WrongLipschitz(Plain):
    @property
    def lipschitz(self):
        return 1.0


@owo.losses.vector_loss
class TakesNothing(Plain):
    def accepts(self, y):
        return False


@owo.losses.vector_loss
class TakesInfinity(Plain):
    def accepts(self, y):
        return y >= 0.0


@owo.losses.vector_loss
class TakesTooMany(NamedTuple):
    """``|p_y - 1|`` of classes 0, 1, 2, also for label 3."""

    classes: int = 3

    def accepts(self, y):
        return 0.0 <= y <= self.classes and y == math.floor(y)

    def value(self, p, y):
        return float(abs(p[int(y)] - 1.0))

    def slopes(self, p, y, out):
        for c in range(p.shape[0]):
            out[c] = 0.0
        out[int(y)] = 1.0 if p[int(y)] > 1.0 else -1.0

    def conjugate(self, s, y):
        for c in range(s.shape[0]):
            if abs(s[c]) > (1.0 if c == int(y) else 0.0):
                return math.inf
        return float(s[int(y)])


@owo.losses.vector_loss
class Overflows(NamedTuple):
    """The logarithm of a sum of exponentials, taken as it is written."""

    classes: int = 3

    def value(self, p, y):
        total = 0.0
        for c in range(p.shape[0]):
            total += math.exp(p[c])
        return float(math.log(total) - p[int(y)])

    def slopes(self, p, y, out):
        total = 0.0
        for c in range(p.shape[0]):
            total += math.exp(p[c])
        for c in range(p.shape[0]):
            out[c] = math.exp(p[c]) / total - (1.0 if c == int(y) else 0.0)

    def conjugate(self, s, y):
        return 0.0


@owo.losses.vector_loss
class WritesToScores(Plain):
    def value(self, p, y):
        p[int(y)] -= 1.0
        total = 0.0
        for c in range(p.shape[0]):
            total += abs(p[c])
        return float(total)


@owo.losses.vector_loss
class WrongProx(Plain):
    def prox_slopes(self, p, y, step, out):
        for c in range(p.shape[0]):
            out[c] = min(max(p[c] / step, -1.0), 1.0)


@owo.losses.vector_loss
class WrongExpression(Plain):
    def expression(self, p, y):
        import cvxpy

        return cvxpy.norm1(p, axis=1)


@owo.losses.vector_loss
class ConcaveExpression(Plain):
    def expression(self, p, y):
        import cvxpy

        return -cvxpy.norm1(p, axis=1)


def test_losses_that_are_right_pass():
    for loss in (Right(3), Right(5), Brier(3)):
        check_vector_loss(loss)
    check_vector_loss(Right(4), labels=[3])


@pytest.mark.parametrize(
    ("loss", "property_"),
    [
        (ForgetsOne(), "slopes fills all of out"),
        (WrongSlopes(), "Fenchel-Young"),
        (Bumpy(), "Fenchel-Young"),
        (WrongConjugate(), "Fenchel-Young"),
        (NarrowDomain(), "conjugate is finite at slopes"),
        (NoDomain(), r"value \+ conjugate >= <s, p>"),
        (SmallInside(), r"value \+ conjugate >= <s, p>"),
        (LargeInside(), "conjugate is convex between slopes"),
        (WrongLipschitz(), r"\|slopes\| <= lipschitz"),
        (TakesNothing(), r"accepts\(y\) for one label"),
        (TakesInfinity(), "accepts finite labels only"),
        (TakesTooMany(), "is a number, also in Python.*IndexError"),
        (Overflows(), "is a number, also in Python"),
        (WritesToScores(), "p is not written to"),
        (WrongProx(), "prox_slopes are a subgradient"),
        (WrongExpression(), "expression equals value"),
        (ConcaveExpression(), "expression is convex"),
    ],
    ids=name,
)
def test_a_wrong_loss_is_caught_and_the_broken_property_named(loss, property_):
    with pytest.raises(ContractError, match=f"{type(loss).__qualname__}.* breaks: .*{property_}"):
        check_vector_loss(loss)


def test_only_the_subgradient_inequality_finds_a_conjugate_made_to_fit():
    """A loss that bends down, whose conjugate is what Fenchel-Young asks for at every slope that was seen."""

    @owo.losses.vector_loss
    class Concave(NamedTuple):
        classes: int = 2

        def value(self, p, y):
            return float(-0.5 * (p[0] * p[0] + p[1] * p[1]))

        def slopes(self, p, y, out):
            out[0], out[1] = -p[0], -p[1]

        def conjugate(self, s, y):
            return float(-0.5 * (s[0] * s[0] + s[1] * s[1]))

    with pytest.raises(ContractError, match=r"value\(z\) >= value\(p\) \+ <s, z - p>"):
        check_vector_loss(Concave())


def test_a_loss_that_makes_arrays_in_the_loop_over_points_is_told_so():
    @owo.losses.vector_loss
    class Slices(Plain):
        def slopes(self, p, y, out):
            out[:] = np.sign(p)
            out[int(y)] = 1.0 if p[int(y)] > 1.0 else -1.0

    with pytest.raises(TypeError, match=r"Slices.*\.slopes cannot be compiled.*no slices, no new arrays"):
        check_vector_loss(Slices())


@pytest.mark.parametrize("other", [owo.Softmax, 3, owo.Hinge(), owo.CoinBetting(), Plain(3)], ids=repr)
def test_what_is_no_loss_of_scores_is_refused(other):
    with pytest.raises(TypeError, match=r"Softmax|vector_loss"):
        check_vector_loss(other)


def test_labels_under_test_must_be_accepted():
    with pytest.raises(ContractError, match=r"accepts\(y\) for a label under test; at y=3.0"):
        check_vector_loss(Right(3), labels=[0, 3])
