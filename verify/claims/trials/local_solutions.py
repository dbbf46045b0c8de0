r"""Upper objectives that make a given policy a local solution, proven to be one.

F = <c, y> + P(y) on a product of simplices, P continuously differentiable there.  The slopes c are
chosen for the policy, not the policy for the slopes, so nothing rests on what an optimiser returned.

**A vertex**, deterministic, taking a(s) in state s.  It is a strict local solution if F increases along
every edge at it:

    c(s,b) - c(s,a(s)) + dP(s,b) - dP(s,a(s)) > 0    for all s and b != a(s),

since every feasible direction is a combination of edges.  The least slopes that do this are taken; what
is known of dP up to an error is taken at its worst.

**An interior point** of the value penalty, with c = -grad P.  Let d = y - y0, v the visits from rho, D
the Bregman divergence of h (at least m |d|^2 / 2), and slope = Q - tau grad h at y0.  The performance
difference identity and c = lambda v0 slope, up to constants, give

    F(y) - F(y0) = lambda sum_s (v0(s) - v(s)) <slope(s), d(s)> + tau v(s) D(s).

As |v - v0|_1 <= gamma sqrt(A) / (1 - gamma)^2 max |d(s)| and v >= rho, it is a global solution if

    gamma sqrt(A) / (1 - gamma)^2 max_s |slope(s)|  <  tau m min rho / 2,

with |slope(s)| taken along the simplex.
"""

import numpy as np

from reference.evaluation import PolicyEvaluation
from reference.validation import Array


def holding_slopes(gradient_sa: Array, error_sa: Array, vertex_sa: Array) -> Array:
    """Least slopes c >= 0 that make a vertex a strict local solution, given dP and its error."""
    own_s1 = (vertex_sa * (gradient_sa + error_sa)).sum(axis=-1, keepdims=True)
    fall_sa = own_s1 - gradient_sa + error_sa
    return np.where(vertex_sa == 1.0, 0.0, np.maximum(fall_sa, 0.0))


def is_interior_solution(own: PolicyEvaluation) -> bool:
    """Whether the condition above proves the policy a solution for c = -grad of the value penalty."""
    mdp = own.mdp
    slope_sa = own.q_sa - mdp.tau * mdp.regularizer.gradient(own.pi_sa)
    along_sa = slope_sa - slope_sa.mean(axis=-1, keepdims=True)
    steepest = float(np.linalg.norm(along_sa, axis=-1).max())
    drift = mdp.gamma * np.sqrt(mdp.n_actions) / (1.0 - mdp.gamma) ** 2 * steepest
    curvature = 0.5 * mdp.tau * mdp.regularizer.strong_convexity * float(mdp.rho_s.min())
    # A percent covers the rounding of both sides.
    return bool(drift < 0.99 * curvature)


def some_vertex(generator: np.random.Generator, n_states: int, n_actions: int) -> Array:
    """Draw a deterministic policy."""
    return np.asarray(np.eye(n_actions)[generator.integers(0, n_actions, n_states)])
