r"""Policy gradients of the leader, summed as they are printed: over states and pairs of actions.

Along a direction of x in which the leader's policy has the slope d pi_x::

    E[ sum_t gamma^t f(s_t, a_t, b_t) d log pi_x(a_t|s_t) | start, pi_x, pi ]
        = sum_s visits(s) sum_a w(s,a) sum_b pi(b|s) f(s,a,b),
    w(s,a) = pi_x(a|s) d log pi_x(a|s)

where actions with pi_x(a|s) = 0 are never drawn and their logarithm never taken.  Where pi_x > 0 the
weights are d pi_x, and these are right everywhere.
"""

from collections.abc import Callable

import numpy as np

from reference.evaluation import PolicyEvaluation
from reference.problems.stackelberg import StackelbergGame
from reference.validation import Array
from verify.claims.trials.gradients import Site, own_tolerance, slope
from verify.crosscheck.tolerances import UNIT, scale_of
from verify.oracles import definitions as primitive

Weights = Callable[[Site[StackelbergGame]], Array]
"""site -> w(s, a)."""


def slopes_of_policy(site: Site[StackelbergGame]) -> Array:
    """d pi_x(a|s): right for every policy of the leader."""
    return slope(
        lambda number, x: primitive.leader_policy(number, site.problem.leader, x), site.x, site.u
    )


def scores_of_drawn(site: Site[StackelbergGame]) -> Array:
    """pi_x(a|s) d log pi_x(a|s), over the actions that are drawn: the printed form."""
    leader_sa, slope_sa = site.problem.leader(site.x), slopes_of_policy(site)
    drawn = leader_sa > 0.0
    log_slope_sa = np.divide(slope_sa, leader_sa, out=np.zeros_like(slope_sa), where=drawn)
    return np.asarray(leader_sa * log_slope_sa)


def action_values(site: Site[StackelbergGame], own: PolicyEvaluation) -> Array:
    """Q_f(s, a, b) under pi_x and the evaluated policy of the follower."""
    game = site.problem
    return np.asarray(game.r_follower_sab + game.gamma * np.einsum("sabt,t->sab", game.P_sabt, own.v_s))


def charge(own: PolicyEvaluation) -> Array:
    """tau h_f(pi(s)) as a function of (s, a, b)."""
    return np.asarray((own.mdp.tau * own.mdp.regularizer.value(own.pi_sa))[:, None, None])


def scored(visits_s: Array, weights_sa: Array, pi_sb: Array, f_sab: Array) -> float:
    """sum_s visits sum_a w sum_b pi f."""
    return float(np.einsum("s,sa,sb,sab->", visits_s, weights_sa, pi_sb, f_sab))


def from_each_state(site: Site[StackelbergGame], own: PolicyEvaluation, weights_sa: Array) -> Array:
    """E[sum_t gamma^t (Q_f - tau h) d log pi_x | s_0 = s] for every state s."""
    f_sab = action_values(site, own) - charge(own)
    starts = np.eye(own.mdp.n_states)
    return np.array([scored(own.visits(start_s), weights_sa, own.pi_sa, f_sab) for start_s in starts])


def charge_rounding(own: PolicyEvaluation) -> float:
    """Rounding of a sum of scores against tau h, which is zero; twice, as all tolerances here."""
    scale = scale_of(own)
    size = own.mdp.tau * own.mdp.regularizer.bound(scale.n_actions)
    return 2.0 * UNIT * (scale.n_states + scale.n_actions + 8) * scale.horizon * size


def tolerance(site: Site[StackelbergGame], own: PolicyEvaluation) -> float:
    """Of a sum of scores with Q_f - tau h."""
    return own_tolerance(site, own) + charge_rounding(own) * float(np.abs(site.u).sum())
