"""Closed forms: their best parameters against a numerical search, their terms against ledgers, what they refuse."""

from __future__ import annotations

import ast
import math
import pathlib
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from scipy.optimize import minimize

import owo
from theory import (
    AssumptionError,
    Problem,
    aggressive,
    bias,
    delayed,
    drifting,
    entropic_map,
    experts,
    frobenius_map,
    independent,
    joint,
    lower,
    meta,
    online_to_batch,
    opponents,
    parameter_free,
)
from theory.data import Data, compared
from theory.learners import (
    adaptive_norm,
    coin_betting,
    constant,
    dual_averaging,
    frozen,
    growing,
    implicit,
    inverse_sqrt,
)
from theory.problem import ASSUMPTIONS, Game
from theory.runs import levels_of, run_of

ROOT = pathlib.Path(__file__).resolve().parent.parent

LEARNERS = (growing, constant, dual_averaging, inverse_sqrt, implicit)


def problem(seed: int) -> Problem:
    rng = np.random.default_rng(seed)
    n, tasks, d = (int(v) for v in rng.integers((2, 2, 2), (200, 2000, 10)))
    L, R, V, far = np.exp(rng.normal(size=4))
    root = math.sqrt(2 * V * rng.uniform(1.0, min(d, tasks)))
    return Problem(L, R, n, tasks, d, V, far, root)


def eager_bound(p: Problem, *, strength: float, step: float):
    return aggressive.bound(p, partial(constant.bound, strength=strength), partial(dual_averaging.bound, step=step))


def tuned_cases():
    """Name, the bound of the parameters (in order), the formula for the best ones, and for the value there."""
    for learner in LEARNERS:
        name = "strength" if learner in (growing, constant) else "step"
        yield (
            learner.__name__,
            lambda p, x, learner=learner, name=name: learner.bound(p.inside, **{name: x}),
            lambda p, learner=learner: (learner.tuned(p.inside),),
            lambda p, learner=learner: learner.optimum(p.inside),
        )
    yield (
        "adaptive norm",
        lambda p, x: adaptive_norm.bound(p.inside, diameter=x, first=0.01 * p.gradient),
        lambda p: (adaptive_norm.tuned(p.inside, first=0.01 * p.gradient),),
        lambda p: adaptive_norm.optimum(p.inside, first=0.01 * p.gradient),
    )
    for centred in (True, False):
        yield (
            f"independent, centred={centred}",
            lambda p, x, c=centred: independent.bound(p, strength=x, centred=c),
            lambda p, c=centred: (independent.tuned(p, centred=c),),
            lambda p, c=centred: independent.optimum(p, centred=c),
        )
    for module, bound, more in (
        (bias, bias.bound, {}),
        (aggressive, eager_bound, {}),
        (frobenius_map, frobenius_map.bound, {"trace": 2.0}),
        (frobenius_map, frobenius_map.bound, {"apart": 0.1}),
        (entropic_map, entropic_map.bound, {"trace": 2.0}),
        (entropic_map, entropic_map.bound, {"reach": 0.1, "divergence": 0.2}),
        (joint, joint.bound, {"trace": 0.5}),
        (delayed, delayed.bound, {"delay": 3.5}),
        (drifting, drifting.bound, {"path": 3.0, "diameter": 2.0}),
        (online_to_batch, online_to_batch.bound, {}),
        (online_to_batch, online_to_batch.bound, {"average": True}),
    ):
        also = {} if module is aggressive else more
        yield (
            f"{module.__name__} {more}",
            lambda p, *x, m=module, b=bound, a=more: b(p, **dict(zip(m.Tuned._fields, x, strict=True)), **a),
            lambda p, m=module, a=also: m.tuned(p, **a),
            lambda p, m=module, a=also: m.optimum(p, **a),
        )


CASES = list(tuned_cases())


@pytest.mark.parametrize(("name", "bound", "tuned", "optimum"), CASES, ids=[case[0] for case in CASES])
def test_best_parameters_are_where_a_numerical_search_finds_them(name, bound, tuned, optimum):
    """Within 1 %, from a start that knows nothing of the formula; a bound is convex in the logarithms."""
    for seed in range(5):
        p = problem(seed)
        best = tuned(p)
        found = minimize(
            lambda logs, p=p: math.log(bound(p, *np.exp(np.clip(logs, -200, 200)).tolist()).total),
            np.zeros(len(best)), method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-14, "maxiter": 5000},
        )  # fmt: skip
        assert found.success
        assert np.abs(np.exp(found.x) / np.array(best) - 1.0).max() < 0.01
        assert math.exp(found.fun) == pytest.approx(optimum(p), rel=1e-8)  # flat there: the search has half the digits
        assert bound(p, *best).total == pytest.approx(optimum(p), rel=1e-12)  # rounding


def test_best_rate_of_hedge_is_where_a_grid_finds_it():
    for seed in range(5):
        rng = np.random.default_rng(seed)
        panel = experts.Panel(int(rng.integers(2, 1000)), int(rng.integers(2, 50)), float(rng.exponential()))
        rates = np.geomspace(1e-4, 1e4, 20_000)  # 0.1 % apart
        totals = [experts.bound(panel, rate=rate).total for rate in rates.tolist()]
        assert experts.tuned(panel) == pytest.approx(rates[np.argmin(totals)], rel=0.01)
        assert experts.optimum(panel) == pytest.approx(min(totals), rel=1e-6)


# --------------------------------------------------------------------------- terms against what ledgers measure


def steep(tasks: int, n: int, d: int = 5, radius: float = 0.7, seed: int = 0):
    """Gradients of length L R at every point: inputs of one length, labels that are never reached."""
    p = Problem(1.0, radius, n, tasks, d, variance=0.3, distance=1.2)
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(tasks, n, d))
    X *= radius / np.linalg.norm(X, axis=2, keepdims=True)
    apart = rng.normal(size=(tasks, d))
    apart *= p.inside.distance / np.linalg.norm(apart, axis=1, keepdims=True)
    at = p.distance * np.eye(d)[0]
    data = Data(owo.Absolute(), X, np.full((tasks, n), 1e4), apart + at, "random")
    return p, data, compared(data, "truth", data.weights, at)


@pytest.mark.parametrize("n", [1, 10, 200])
def test_terms_are_those_of_the_ledger_where_gradients_are_as_long_as_they_may_be(n):
    """What theorem and certificate differ in is then a sum over points: 1/i against 1 + ln n, and so on."""
    p, data, comparator = steep(6, n)
    harmonic, roots = np.sum(1 / np.arange(1, n + 1)), np.sum(1 / np.sqrt(np.arange(1, n + 1)))
    cases = (
        (owo.GrowingFTRL(0.4), growing.bound(p.inside, strength=0.4), (1 + math.log(n)) / harmonic),
        (owo.DualAveraging(0.4 / n), constant.bound(p.inside, strength=2.5), 1.0),
        (owo.DualAveraging(0.4), dual_averaging.bound(p.inside, step=0.4), 1.0),
        (owo.InverseSqrt(0.4), inverse_sqrt.bound(p.inside, step=0.4), (2 * math.sqrt(n) - 1) / roots),
        (owo.Implicit(0.4), implicit.bound(p.inside, step=0.4), 1.0),
    )
    for law, terms, within in cases:
        run = run_of(data, law, owo.DualAveraging(0.01))
        closed = terms.times(p.tasks)._replace(across=dual_averaging.bound(p.across, step=0.01).total)
        levels = levels_of(run, data, comparator, closed).check()
        assert levels.ratios.within == pytest.approx(within, rel=1e-9)
        assert levels.ratios.comparator == pytest.approx(1.0, rel=1e-9)
        assert levels.ratios.across >= 1.0 - 1e-9  # task sums are shorter than n G where signs cancel


def test_across_term_is_the_ledgers_where_all_points_of_a_task_agree():
    p = Problem(1.0, 0.7, 8, 30, 5, variance=0.0, distance=1.2)
    step = dual_averaging.tuned(p.across)
    learner = owo.OnlineWithinOnline(
        owo.Absolute(), owo.DualAveraging(1e-6), owo.DualAveraging(step), "task", bias=np.zeros(5)
    )
    _, comparator, _ = opponents.signs(learner, p, np.random.default_rng(0), whole_tasks=True)
    certificate = learner.ledger.certificate(comparator).across[-1]
    assert certificate == pytest.approx(dual_averaging.optimum(p.across), rel=1e-9)


def test_learning_the_bias_pays_where_variance_is_small_against_the_second_moment():
    for seed in range(20):
        p = problem(seed)
        gained = independent.gain(p)
        assert gained == pytest.approx(independent.optimum(p) / bias.optimum(p))
        many = replace(p, tasks=10**12)  # the price of finding the bias is gone
        moments = math.sqrt((p.variance + p.distance**2 / 2) / p.variance)
        assert independent.gain(many) == pytest.approx(moments, rel=1e-3)


def test_aggressive_updates_gain_a_root_of_n_across_tasks():
    for seed in range(10):
        p = problem(seed)
        lazy = bias.optimum(p) - p.tasks * growing.optimum(p.inside)
        eager = aggressive.optimum(p) - p.tasks * constant.optimum(p.inside)
        assert lazy / eager == pytest.approx(math.sqrt(p.points))


def test_a_map_is_no_worse_than_a_bias_alone_once_it_is_learned():
    """With T beyond all bounds only tau is left, against sqrt(2 V): the same if tasks differ along one direction."""
    p = Problem(1.0, 1.0, 20, 10**14, 8, variance=0.5, distance=0.0, root_trace=1.0)
    assert frobenius_map.optimum(p) == pytest.approx(p.tasks * growing.optimum(p.inside), rel=1e-3)
    full = replace(p, root_trace=None)
    assert frobenius_map.optimum(full) == pytest.approx(math.sqrt(8) * frobenius_map.optimum(p), rel=1e-9)


def test_nothing_to_learn_costs_nothing():
    p = problem(0)
    step = {"strength": 0.3, "step": 0.01}
    assert delayed.bound(p, **step, delay=0.0) == bias.bound(p, **step)
    assert drifting.bound(p, **step, path=0.0, diameter=1.0) == bias.bound(p, **step)
    same = joint.bound(p, **step, metric_step=0.1)._replace(across=0.0)
    assert same == frobenius_map.bound(p, strength=0.3, metric_step=0.1)
    assert coin_betting.bound(Game(10, 1.0, 0.0), initial=0.1).total == 0.1


def test_betting_costs_logarithms_only():
    """Beside learners whose parameters are the best: at most the root of the logarithm, whatever the wealth."""
    for seed in range(20):
        p = problem(seed)
        initial = p.inside.distance * p.gradient
        bet = parameter_free.bound(p, initial=initial, initial_across=p.distance * p.gradient).total
        odds = 24.0 * p.rounds**2
        assert bet <= aggressive.optimum(p) * (math.sqrt(math.log1p(odds)) + 1.0)


# ----------------------------------------------------------------------------------------------- lower bounds


def forced(name: str, draws: int) -> tuple[Problem, np.ndarray]:
    """Regrets of owo against random signs, one number a draw."""
    p, regrets = Problem(1.0, 0.7, 4, 9, 3, variance=0.3, distance=1.2), []
    if name == "lazy":
        p = replace(p, variance=0.0)
    for seed in range(draws):
        rng = np.random.default_rng(seed)
        if name == "lazy":
            inner, outer, update = owo.Frozen(), owo.DualAveraging(dual_averaging.tuned(p.across)), "task"
        else:
            strength, step = aggressive.tuned(p)
            inner, outer = owo.DualAveraging(1 / (strength * p.points)), owo.DualAveraging(step)
            update = "point"
        learner = owo.OnlineWithinOnline(owo.Absolute(), inner, outer, update, bias=np.zeros(3))
        _, comparator, _ = opponents.signs(learner, p, rng, whole_tasks=name == "lazy")
        learner.ledger.check(comparator)
        regrets.append(float(learner.ledger.regret(comparator)[-1]))
    return p, np.array(regrets)


@pytest.mark.parametrize("name", ["lazy", "aggressive"])
def test_random_signs_force_what_the_lower_bound_says(name):
    """The measured constant lies between the lower bound's and the upper's: sqrt(1/2) <= 0.80 <= 1."""
    p, regrets = forced(name, 200)
    bound = lower.lazy(p).total if name == "lazy" else lower.bound(p, signs=True).total
    upper = dual_averaging.optimum(p.across) if name == "lazy" else aggressive.optimum(p)
    error = regrets.std() / math.sqrt(len(regrets))
    assert abs(regrets.mean() - bound) < 4 * error  # equality in expectation: no play earns anything
    assert math.sqrt(0.5) <= bound / upper <= 1.0
    assert math.sqrt(0.5) * upper - 4 * error < regrets.mean() < upper
    assert regrets.max() <= upper * (1 + 1e-12)  # rounding


def test_no_learner_of_ours_escapes_the_orthogonal_opponent():
    p = Problem(1.0, 0.7, 5, 7, 6, variance=0.3, distance=1.2)
    strength, step = aggressive.tuned(p)
    for inner, outer, update in (
        (owo.DualAveraging(1 / (strength * p.points)), owo.DualAveraging(step), "point"),
        (owo.CoinBetting(1.0, p.gradient), owo.CoinBetting(1.0, p.across.gradient), "task"),
        (owo.AdaptiveNorm(1.0), owo.Frozen(), "task"),
    ):
        learner = owo.OnlineWithinOnline(owo.Absolute(), inner, outer, update, bias=np.zeros(6))
        _, comparator, _ = opponents.orthogonal(learner, p, np.random.default_rng(0))
        learner.ledger.check(comparator)
        regret = learner.ledger.regret(comparator)[-1]
        assert regret == pytest.approx(lower.bound(p).total, rel=1e-9)
        assert regret == pytest.approx(aggressive.optimum(p), rel=1e-9)  # the upper bound is the lower one


def test_adaptive_steps_need_the_first_gradient():
    """``AdaptiveNorm``'s certificate is not of order sqrt(n) G D without it: tiny gradients first, then large ones."""
    X = np.array([[1e-4], *[[1.0]] * 20])
    y = np.full(21, 1e3)
    data = Data(owo.Absolute(), X[None], y[None], np.ones((1, 1)), "growing")
    run = run_of(data, owo.AdaptiveNorm(1.0), owo.Frozen())
    comparator = compared(data, "one", np.ones((1, 1)), np.zeros(1))
    game = Game(21, 1.0, 1.0)
    closed = meta.bound(
        Problem(1.0, 1.0, 21, 1, 1, 0.5, 0.0), partial(adaptive_norm.bound, diameter=1.0, first=1e-4), frozen.bound
    )
    levels = levels_of(run, data, comparator, closed).check()
    assert levels.certificate.total > 100 * adaptive_norm.bound(game, diameter=1.0, first=1.0).total
    assert levels.looseness < 1.01


# -------------------------------------------------------------------------------------------------- bad input

GOOD = dict(lipschitz=1.0, radius=1.0, points=3, tasks=4, dimension=2, variance=0.5, distance=1.0)

BAD = (
    ("points", 0, "tasks of n >= 1 points"), ("points", 2.5, "tasks of n >= 1 points"),
    ("points", True, "tasks of n >= 1 points"), ("tasks", 2.5, "T >= 1 tasks"), ("tasks", 0, "T >= 1 tasks"),
    ("tasks", "4", "T >= 1 tasks"), ("variance", -0.1, "finite variance of the tasks"),
    ("variance", math.nan, "finite variance of the tasks"), ("radius", math.inf, "bounded inputs"),
    ("radius", 0.0, "bounded inputs"), ("lipschitz", owo.Squared().lipschitz, "Lipschitz loss"),
    ("dimension", -1, "finite dimension"), ("distance", math.inf, "bounded comparator"),
    ("root_trace", 0.5, "trace of the root"), ("root_trace", 1.5, "trace of the root"),
    ("root_trace", -1.0, "trace of the root"),
)  # fmt: skip


@pytest.mark.parametrize(("field", "value", "assumption"), BAD)
def test_a_problem_that_no_bound_is_about_is_refused_by_the_assumption(field, value, assumption):
    with pytest.raises(AssumptionError, match=f"assumption '{assumption}' fails: {field} is .*; needed"):
        Problem(**(GOOD | {field: value}))


P = Problem(**GOOD)
REFUSED = (
    (partial(growing.bound, P.inside, strength=0.0), "positive strength"),
    (partial(bias.bound, P, strength=math.inf, step=1.0), "positive strength"),
    (partial(bias.bound, P, strength=1.0, step=-1.0), "positive step"),
    (partial(bias.tuned, replace(P, variance=0.0)), "comparator away from the start"),
    (partial(bias.tuned, replace(P, distance=0.0)), "comparator away from the start"),
    (partial(adaptive_norm.bound, P.inside, diameter=1.0, first=2.0), "bounded gradients"),
    (partial(adaptive_norm.bound, P.inside, diameter=1.0, first=0.0), "first gradient away from 0"),
    (partial(coin_betting.bound, P.inside, initial=1.0, limit=0.5), "gradients within the limit"),
    (partial(coin_betting.bound, P.inside, initial=0.0), "positive initial wealth"),
    (partial(frobenius_map.bound, P, strength=1.0, metric_step=0.0), "positive step of the metric"),
    (partial(frobenius_map.bound, P, strength=1.0, metric_step=1.0, trace=-1.0), "bounded trace"),
    (partial(entropic_map.bound, P, strength=1.0, metric_step=1.0, reach=math.nan), "inputs bounded in the metric"),
    (partial(entropic_map.tuned, replace(P, dimension=1)), "comparator away from the start"),
    (partial(delayed.bound, P, strength=1.0, step=1.0, delay=-1.0), "bounded delay"),
    (partial(drifting.bound, P, strength=1.0, step=1.0, path=math.inf, diameter=1.0), "bounded path length"),
    (partial(lower.bound, replace(P, dimension=3)), "room for orthogonal points"),
    (partial(experts.Panel, 10, 0, 1.0), "at least one expert"),
    (partial(Game, 0, 1.0, 1.0), "n >= 1 rounds"),
)


@pytest.mark.parametrize(("call", "assumption"), REFUSED, ids=[f"{i}-{each[1]}" for i, each in enumerate(REFUSED)])
def test_bounds_refuse_what_they_do_not_hold_for(call, assumption):
    with pytest.raises(AssumptionError, match=f"assumption '{assumption}' fails"):
        call()


def test_every_assumption_has_a_name_of_its_own():
    assert len({each.name for each in ASSUMPTIONS.values()}) == len(ASSUMPTIONS)


def test_whole_numbers_of_numpy_are_whole_numbers():
    assert Problem(**(GOOD | {"points": np.int64(3), "tasks": 4.0})).rounds == 12


def test_owo_never_imports_theory():
    for path in (ROOT / "owo").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not any(name.split(".")[0] == "theory" for name in names), path
