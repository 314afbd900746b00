r"""Online linear learners, each with the bound on its regret in closed form.

In a ``Game`` a learner plays z_1, .., z_n, meets gradients with ``|g_i| <= G`` and is compared with a z' at distance D
from z_1. Each module has, in units of loss,

    sum_i <g_i, z_i - z'>  <=  within  +  comparator

where ``within`` is what the learner pays against z_1 itself. By convexity the same bounds ``sum_i l_i(w_i) - l_i(u)``
inside a task; across tasks the gradients are those of the bias.

**Many games.** Every bound here is a concave function of D^2 (linear, but for ``coin_betting`` and ``frozen``). So over
T games of one size with distances D_t the sum of the bounds is at most T times that at the root mean square of the
D_t, which for tasks is ``sqrt(2 V)`` (Jensen; derivations/learners.md, inequality J1).
"""

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

__all__ = [
    "adaptive_norm",
    "coin_betting",
    "constant",
    "dual_averaging",
    "frozen",
    "growing",
    "implicit",
    "inverse_sqrt",
]
