r"""Beyond the bias: the metric in which the learners inside the tasks move, fixed or learned across tasks.

With a positive semidefinite M a learner inside a task plays ``w = theta - c M q`` instead of ``theta - c q``: M says
how far, and in which directions, tasks lie from the bias. A geometry is a record that says what M may be:

=============== ================================================================
``Identity``     ``M = I``: the bias alone is learned
``Scalar``       ``M = m I``: the step size inside tasks is learned
``Diagonal``     ``M = diag(m)``: a step size for every coordinate
``FeatureMap``   M in { psd, trace <= radius }: which directions tasks share
``Full``         M with eigenvalues in [low, high]
=============== ================================================================

**What M learns from.** Let a task's learner have played ``w_i = theta - c_i M q_{i-1}`` and met the subgradients
g_i. Its linear loss beyond the bias's is linear in M,

    sum_i <g_i, w_i - theta>  =  <H, M>,      H = - sum_i c_i sym(g_i q_{i-1}^T)

so H is the gradient that the learner of M gets when the task ends. While c never grows, for every other M'

    <H, M'>  <=  <B, M'> - c_n/2 <q, M' q>,   B = 1/2 sum_i c_i g_i g_i^T

(the potential argument behind (L) of ``owo.laws``), and ``-<q, u - theta'> - c_n/2 <q, M' q>`` is at most
``|u - theta'|^2 / (2 c_n)`` in the norm of the inverse of M' (Fenchel-Young). So against comparators u_t, theta', M'
the regret over all tasks is at most

    sum_t [ <B_t, M'> + |u_t - theta'|^2_{1/M'} / (2 c_{t,n}) ]  +  Reg_bias(theta')  +  Reg_metric(M')

Denevi et al. (NeurIPS 2019) take ``-c_n/2 q q^T`` for the gradient, and bound B. With the exact H the learner of M
follows the loss itself, not a bound on it, at the same certificate.

**How it is learned.** Coordinate k of M is played by a scalar law on the gradients ``h_k``, through a mirror:
``m_k = min(max(mirror.play(initial, c G_k), low), high)``. With ``psi`` the mirror's divergence from ``initial`` the
regret is ``psi(m') / c_n + sum_t slack_t``, and ``slack_t = max_m h_t (m_t - m) - divergence(m, m_t) / c_t`` over
[low, high] is worked out as the run goes (follow the regularised leader, strong form; Orabona, arXiv 1912.13213,
Lemma 7.8).
"""

from owo.geometry.coordinates import Diagonal, Scalar
from owo.geometry.identity import Identity, geometry
from owo.geometry.matrices import Complete, Exact, FeatureMap, Fixed, Full, Paper, Spectrum, Trace
from owo.geometry.mirrors import Exponentiated, Projected

__all__ = [
    "Complete",
    "Diagonal",
    "Exact",
    "Exponentiated",
    "FeatureMap",
    "Fixed",
    "Full",
    "Identity",
    "Paper",
    "Projected",
    "Scalar",
    "Spectrum",
    "Trace",
    "geometry",
]
