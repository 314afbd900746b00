"""Every bound that owo rests on: computed in closed form, derived step by step, and held against runs.

``problem`` holds the constants and checks the assumptions; every other module is one result, with

=============================== ======================================================================
``bound(problem, ...)``          the bound at any parameters, as ``Terms`` with names and a ``total``
``tuned(problem)``               the parameters that make it least, where there are such
``optimum(problem)``             the bound at these, written out
=============================== ======================================================================

``learners`` are the online learners, whose problem is one ``Game``; ``meta`` and ``aggressive`` put one inside the
tasks and one across them. ``settings`` generates runs of owo for each result and holds them to

    measured regret  <=  certificate of the run (owo's ledger)  <=  closed form (theory)

``adversary`` searches for the data that bring a run's regret nearest to its certificate; ``rates`` fits the slopes
with which regret falls, beside those of the bounds; ``phase`` draws where a bias stops paying; ``transfer`` measures
the risk on new tasks. ``python -m theory.validate`` runs all of these and reports. ``derivations`` proves each result
step by step; every inequality shown there is evaluated on data.

>>> from theory import Problem, bias
>>> problem = Problem(lipschitz=1.0, radius=1.0, points=10, tasks=400, dimension=5, variance=0.02, distance=4.0)
>>> bound = bias.bound(problem, **bias.tuned(problem)._asdict())
>>> round(bound.average(problem), 3), round(bias.optimum(problem) / problem.rounds, 3)
(0.315, 0.315)
"""

from theory.problem import AssumptionError, Game, Problem
from theory.terms import Terms

__all__ = ["AssumptionError", "Game", "Problem", "Terms"]
