"""The losses obey the laws that certificates rest on, and a loss that does not is caught."""

from __future__ import annotations

import enum
import math
import types
from typing import NamedTuple

import cvxpy
import numba
import numpy as np
import pytest
from games import LOSSES, name
from scipy.optimize import minimize_scalar

import owo
from owo import _record
from owo._fingerprint import edition, fingerprint
from owo.checks import ContractError, check_loss


@pytest.mark.parametrize("loss", [*LOSSES, owo.EpsilonInsensitive(0.0), owo.Pinball(0.99), owo.Huber(1e-3)], ids=repr)
def test_every_loss_keeps_the_contract(loss):
    check_loss(loss)
    check_loss(loss, seed=1)


@pytest.mark.parametrize("loss", LOSSES, ids=name)
@pytest.mark.parametrize("step", [0.1, 1.0, 20.0])
def test_prox_is_the_minimiser_found_by_search(loss, step):
    for y in (-1.0, 1.0):
        for p in (-3.0, -0.5, 0.9, 1.0, 4.0):
            objective = lambda z, p=p, y=y: loss.value(z, y) + (z - p) ** 2 / (2 * step)  # noqa: E731
            found = minimize_scalar(objective, bounds=(p - 40, p + 40), method="bounded", options={"xatol": 1e-10})
            z = loss.prox(p, y, step)
            assert objective(z) <= found.fun + 1e-12 * (1 + abs(found.fun))
            assert abs(z - found.x) < 1e-4 * (1 + step)  # the search sees only the objective: half its digits


@pytest.mark.parametrize("loss", LOSSES, ids=name)
def test_conjugate_is_the_supremum_over_a_grid(loss):
    grid = np.linspace(-60, 60, 240001)
    for y in (-1.0, 1.0):
        values = np.array([loss.value(p, y) for p in grid.tolist()])
        for s in (-0.69, -0.25, 0.0, 0.25, 0.69):
            dual = loss.conjugate(s, y)
            supremum = float(np.max(s * grid - values))
            if math.isinf(dual):
                assert supremum > 5  # grows without end as the grid does
            else:
                assert supremum <= dual + 1e-12 * (1 + abs(dual))
                assert supremum >= dual - 1e-6  # the grid's spacing squared, times the curvature


@pytest.mark.parametrize("loss", LOSSES, ids=name)
def test_expression_minimises_to_the_same_value(loss):
    rng = np.random.default_rng(3)
    y = np.where(rng.normal(size=9) > 0, 1.0, -1.0)
    p = cvxpy.Variable(9)
    target = rng.normal(size=9)
    problem = cvxpy.Problem(cvxpy.Minimize(cvxpy.sum(loss.expression(p, y)) + 0.5 * cvxpy.sum_squares(p - target)))
    problem.solve(solver=cvxpy.CLARABEL)
    ours = [loss.prox(t, label, 1.0) for t, label in zip(target.tolist(), y.tolist(), strict=True)]
    assert np.allclose(p.value, ours, atol=1e-4)  # the solver's own tolerance


def test_known_values():
    assert owo.Absolute().value(2.0, 5.0) == 3.0
    assert owo.Pinball(0.9).value(0.0, 1.0) == pytest.approx(0.9)
    assert owo.Pinball(0.9).value(1.0, 0.0) == pytest.approx(0.1)
    assert owo.Hinge().value(0.0, 1.0) == 1.0
    assert owo.Logistic().value(0.0, -1.0) == pytest.approx(math.log(2))
    assert owo.Huber(2.0).value(5.0, 0.0) == pytest.approx(8.0)
    assert owo.Logistic().value(1e300, -1.0) == 1e300
    assert owo.Logistic().value(1e300, 1.0) == 0.0


def test_logistic_prox_from_one_end_of_the_range_to_the_other():
    loss = owo.Logistic()
    for step in 10.0 ** np.arange(-12, 13, 3):
        for p in [0.0, *(sign * 10.0**k for sign in (-1, 1) for k in range(-6, 9, 2))]:
            z = loss.prox(p, 1.0, float(step))
            residual = z - p + step * loss.subgradient(z, 1.0)
            assert abs(residual) <= 4e-16 * (abs(z) + abs(p) + 4 * step)  # a few roundings of the terms


@owo.loss
class Minimal(NamedTuple):
    """Right, with the four required methods only."""

    weight: float = 2.0

    def value(self, p, y):
        return self.weight * abs(p - y)

    def subgradient(self, p, y):
        return self.weight if p > y else -self.weight if p < y else 0.0

    def conjugate(self, s, y):
        return s * y if abs(s) <= self.weight else math.inf

    def prox(self, p, y, step):
        a = step * self.weight
        return p - a if p - y > a else p + a if p - y < -a else y


def test_a_loss_of_four_methods_is_enough():
    check_loss(Minimal())
    check_loss(Minimal(0.1), labels=[1e3, -7.0])


@owo.loss
class WrongSlope(Minimal):
    def subgradient(self, p, y):
        return 0.5 if p > y else -0.5


@owo.loss
class WrongConjugate(Minimal):
    def conjugate(self, s, y):
        return s * y + s * s if abs(s) <= self.weight else math.inf


@owo.loss
class WrongInside(Minimal):
    """Its conjugate is right at every subgradient, too small in a part of the range between them."""

    def conjugate(self, s, y):
        return s * y - (0.01 if 0.2 < s < 0.5 else 0.0) if abs(s) <= self.weight else math.inf


@owo.loss
class LargeInside(Minimal):
    def conjugate(self, s, y):
        return s * y + (0.01 if -0.5 < s < -0.2 else 0.0) if abs(s) <= self.weight else math.inf


@owo.loss
class NoDomain(Minimal):
    """Slopes that no prediction has cost infinitely much, which this conjugate does not say."""

    def conjugate(self, s, y):
        return s * y


@owo.loss
class Bumpy(Minimal):
    """Convex but for a bump away from where losses turn."""

    def value(self, p, y):
        return self.weight * abs(p - y) + max(0.1 - abs(p - y - 5.37), 0.0)


@owo.loss
class WrongProx(Minimal):
    def prox(self, p, y, step):
        return y + (p - y) / (1.0 + 2.0 * step)


@owo.loss
class WrongProxWithSlope(owo.Squared):
    def prox(self, p, y, step):
        return (p + step * y) / (1.0 + 2.0 * step)


@owo.loss
class WrongProxSlope(owo.Squared):
    def prox_slope(self, p, y, step):
        return (p - y) / (1.0 + 2.0 * step)


@owo.loss
class WrongLipschitz(Minimal):
    lipschitz = 0.5


@owo.loss
class WrongDegree(Minimal):
    degree = 2


@owo.loss
class TakesNothing(Minimal):
    def accepts(self, y):
        return y != y


@owo.loss
class Overflows(NamedTuple):
    def value(self, p, y):
        return math.exp(p) - y * p

    def subgradient(self, p, y):
        return math.exp(p) - y

    def conjugate(self, s, y):
        a = s + y
        return math.inf if a < 0.0 else a * math.log(a) - a if a > 0.0 else 0.0

    def prox(self, p, y, step):
        return p


@owo.loss
class ConcaveExpression(NamedTuple):
    """A twin that cvxpy could not solve with, though it has the right values."""

    def value(self, p, y):
        return abs(p - y)

    def subgradient(self, p, y):
        return 1.0 if p > y else -1.0 if p < y else 0.0

    def conjugate(self, s, y):
        return s * y if abs(s) <= 1.0 else math.inf

    def prox(self, p, y, step):
        return min(max(y, p - step), p + step)

    def expression(self, p, y):
        return 2.0 * cvxpy.maximum(p - y, y - p) - cvxpy.abs(p - y)


@pytest.mark.parametrize(
    ("loss", "property_"),
    [
        (ConcaveExpression(), "expression is convex"),
        (WrongSlope(), r"Fenchel|value\(z\)"),
        (WrongConjugate(), "Fenchel-Young"),
        (WrongInside(), r"value \+ conjugate >= s p"),
        (LargeInside(), "conjugate is convex between subgradients"),
        (NoDomain(), r"value \+ conjugate >= s p"),
        (Bumpy(), "Fenchel-Young"),
        (WrongProx(), "breaks: prox minimises"),
        (WrongProxWithSlope(), "breaks: prox minimises"),
        (WrongProxSlope(), "breaks: prox_slope = "),
        (WrongLipschitz(), "lipschitz"),
        (WrongDegree(), r"c\^degree"),
        (TakesNothing(), "accepts"),
        (Overflows(), "is a number, also in Python"),
    ],
    ids=name,
)
def test_a_wrong_loss_is_caught_and_the_broken_property_named(loss, property_):
    with pytest.raises(ContractError, match=property_):
        check_loss(loss)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (Minimal, "loss is the class Minimal; pass an instance"),
        (owo.Frozen(), r"loss is Frozen\(\), which has no method value"),
        ((1.0,), "which has no method value"),
    ],
)
def test_only_losses_are_checked(value, message):
    with pytest.raises(TypeError, match=message):
        check_loss(value)


def test_the_degree_is_how_a_loss_scales_with_its_labels():
    assert [loss.degree for loss in LOSSES] == [1, 0, 1, 0, 2, 0, 0, 0]
    assert Minimal().degree == 0 and Minimal().lipschitz == math.inf


def test_an_incomplete_loss_is_refused_when_it_is_defined():
    with pytest.raises(TypeError, match="prox"):

        @owo.loss
        class Incomplete(NamedTuple):
            def value(self, p, y):
                return 0.0

            def subgradient(self, p, y):
                return 0.0

            def conjugate(self, s, y):
                return 0.0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: owo.Huber(0.0), "threshold must be finite and above 0"),
        (lambda: owo.Huber(math.nan), "threshold must be a real number"),
        (lambda: owo.Huber("1"), "threshold must be a real number"),
        (lambda: owo.Huber(True), "threshold must be a real number"),
        (lambda: owo.Huber(np.True_), "threshold must be a real number"),
        (lambda: owo.Pinball(1.0), "quantile must be strictly between 0 and 1"),
        (lambda: owo.EpsilonInsensitive(-0.1), "width must be finite and at least 0"),
        (lambda: owo.Huber(1.0)._replace(threshold=-1.0), "threshold must be finite and above 0"),
    ],
)
def test_bad_parameters_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_records_are_values():
    assert owo.Huber(1) == owo.Huber(1.0) and hash(owo.Huber(1)) == hash(owo.Huber(1.0))
    assert isinstance(owo.Huber(1).threshold, float)
    assert owo.Absolute() != owo.Hinge() and owo.Absolute() != () and bool(owo.Absolute())
    assert repr(owo.Huber(0.5)) == "Huber(threshold=0.5)"


# ---------------------------------------------------------------------------------------- what records are compiled to


def undecorated(p):
    return p


@owo.loss
class Foreign(Minimal):
    """Its value needs a function that numba cannot see into."""

    def value(self, p, y):
        return undecorated(abs(p - y))


@owo.loss
class Wordy(Minimal):
    def subgradient(self, p, y):
        return "up" if p > y else -1.0


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (Foreign(), r"^Foreign\.value cannot be compiled: .*'undecorated'.*\. Methods may use numbers, tuples, math"),
        (Wordy(), r"^Wordy\.subgradient cannot be compiled: Cannot unify"),
    ],
    ids=name,
)
def test_what_cannot_be_compiled_is_named_in_a_line_before_numbas_pages(loss, message):
    with pytest.raises(TypeError, match=message) as caught:
        owo.OnlineWithinOnline(loss, owo.Frozen(), owo.Frozen()).run([(np.eye(2), [1.0, 2.0])])
    assert len(str(caught.value)) < 500
    assert isinstance(caught.value.__cause__, numba.core.errors.NumbaError)


def made(fields, body, **names):
    """A class of a record with one method, from its source."""
    scope = {"NamedTuple": NamedTuple, **names}
    source = "".join(f"    {field}: float = 1.0\n" for field in fields)
    exec(f"class Made(NamedTuple):\n{source}    def value(self, p, y):\n        return {body}\n", scope)
    return scope["Made"]


def test_a_fingerprint_sees_whatever_changes_the_compiled_code():
    plain = fingerprint(made("ab", "self.a * p + CONSTANT", CONSTANT=1.0))
    assert fingerprint(made("ab", "self.a * p + CONSTANT", CONSTANT=1.0)) == plain
    assert fingerprint(made("ba", "self.a * p + CONSTANT", CONSTANT=1.0)) != plain  # numba knows fields by place
    assert fingerprint(made("ab", "self.b * p + CONSTANT", CONSTANT=1.0)) != plain
    assert fingerprint(made("ab", "self.a * p + CONSTANT", CONSTANT=2.0)) != plain

    def double(p):
        return 2.0 * p

    seen = {
        fingerprint(made("a", "help(p)", help=numba.njit(error_model=model, fastmath=flags)(double)))
        for model in ("numpy", "python")
        for flags in (False, True, {"nnan"}, {"nsz", "nnan"})
    }
    assert len(seen) == 8


def test_an_edition_follows_the_calls_of_a_kernel():
    def editions(factor):
        part = numba.njit(lambda x: factor * x)
        between = numba.njit(lambda x: part(x) + 1.0)
        return edition(lambda x: between(x))

    assert editions(2.0) == editions(2.0) != editions(3.0)


def test_an_edition_follows_modules_inside_modules_and_enums():
    def editions(factor, colour):
        package, inner = types.ModuleType("package"), types.ModuleType("package.inner")
        package.inner, inner.package = inner, package
        inner.weigh = numba.njit(lambda x: factor * x)
        colours = enum.Enum("Colours", {"red": colour})
        return edition(lambda x: package.inner.weigh(x) + colours.red.value)

    assert len({editions(*each) for each in ((2.0, 1), (3.0, 1), (2.0, 2)) for _ in range(2)}) == 3


class Squares(NamedTuple):
    """A loss with methods whose names other records have for methods of other arguments."""

    def square(self, r, scale=1.0):
        return scale * r * r

    def value(self, p, y):
        return self.square(p - y, scale=0.5)

    def subgradient(self, p, y):
        return p - y

    def conjugate(self, s, y):
        return self.square(s, scale=0.5) + s * y

    def prox(self, p, y, step):
        return (p + step * y) / (1.0 + step)

    def move(self):
        return 0.0

    def accepts(self, y):
        return self.move() == 0.0


def test_a_method_may_have_the_name_of_another_records_method_and_other_arguments():
    rng = np.random.default_rng(0)
    block = owo.Block(rng.normal(size=(40, 3)), rng.normal(size=40), np.repeat(range(4), 10))
    laws = owo.GrowingFTRL(1.0), owo.DualAveraging(0.01)
    for geometry in (None, owo.geometry.Diagonal()):
        mine, owos = (
            owo.OnlineWithinOnline(loss, *laws, geometry=geometry).run(block).losses
            for loss in (owo.loss(Squares)(), owo.Squared())
        )
        np.testing.assert_allclose(mine, owos, rtol=1e-12)


def test_an_edition_sees_how_the_parts_of_a_kernel_are_compiled():
    def edition_with(kind):
        made = kind(lambda x: x * x + 1.0)
        return edition(lambda x: made(x))

    kinds = _record.part, _record.fast_part, _record.fused_part, _record.called_part, _record.helper
    assert len({edition_with(each) for each in kinds for _ in range(2)}) == len(kinds)


@pytest.mark.parametrize("step", [10.0, 1e5, 1e45, 1e90, 1e300])
@pytest.mark.parametrize("m", [-1e300, -1e17, -1e6, -3.0, 0.0, 2.0, 300.0])
def test_the_prox_of_the_logistic_loss_solves_its_equation_at_any_step(m, step):
    """ln(u - m) + ln(1 + e^u) = ln(step), or u = m as far as numbers tell."""
    u = owo.Logistic().prox(m, 1.0, step)
    if u > m:
        excess = math.log(u - m) + np.logaddexp(0.0, u) - math.log(step)
        # one unit in the last place of u, or of m where u comes from a difference with it
        assert abs(excess) <= 1e-15 * (1.0 + (abs(u) + abs(m)) * (1.0 / (u - m) + 1.0))
    else:
        assert step / (1.0 + math.exp(min(m, 700.0))) <= 1e-15 * abs(m)


def test_a_certificate_of_implicit_steps_holds_at_enormous_steps():
    learner = owo.OnlineWithinOnline(owo.Logistic(), owo.Implicit(1.0), owo.Frozen(), "task")
    for size in (1e20, 1e43, 1e45, 1e60):
        ledger = learner.run([([[size]], [1.0])])
        here = [math.log(2.0)] * len(ledger)
        ledger.check(owo.hindsight.Comparator("zero", np.zeros(1), np.zeros((1, 1)), np.array(here)))
