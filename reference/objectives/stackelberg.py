r"""The leader's loss in a Stackelberg Markov game (2.4).

With pi = pi_x the leader's policy, P_pi(t|s) = sum_ab pi(a|s) pi(b|s) P(t|s,a,b) and its resolvent
M = (I - gamma P_pi)^{-1}::

    f        = -V(rho),   V = M c,   c(s) = sum_ab pi(a|s) pi(b|s) r_l(s,a,b) - tau_l h_l(pi_x(s))
    Q(s,a,b) = r_l(s,a,b) + gamma sum_t P(t|s,a,b) V(t)
    grad of f in pi(a|s) = -d(s) ( sum_b pi(b|s) Q(s,a,b) - tau_l grad h_l(pi_x(s))(a) ),  d = M' rho
    grad of f in pi(b|s) = -d(s) sum_a pi(a|s) Q(s,a,b)
    grad of f in x       = pullback of the first through the leader's policy map

That is a joint evaluation with reward r_l - tau_l h_l(pi_x): one factorisation gives V and d.
"""

import numpy as np

from reference.domains import member
from reference.evaluated import Evaluated
from reference.evaluation import evaluate_joint, joint_policy_gradients
from reference.objectives.contract import Objective
from reference.problems.stackelberg import StackelbergGame
from reference.problems.zero_sum_game import ZeroSumGame
from reference.regularizers import Quadratic
from reference.validation import Array, instance, several


def leader_loss(game: StackelbergGame, x: Array, pi_sb: Array) -> Evaluated:
    """Evaluate minus the leader's value, with gradients in x and in the follower's policy.

    Parameters
    ----------
    game : StackelbergGame
    x : (..., *game.domain.shape)
    pi_sb : (..., S, B)
        The follower's policy.

    Raises
    ------
    InputError
        If x is outside its domain or ``pi_sb`` is not a policy of the game's shape.
    NotDifferentiableError
        If the leader's entropy meets a zero of a directly parameterised policy.
    """
    instance("game", game, StackelbergGame)
    x = member("x", x, game.domain)
    pi_sa = game.leader(x)
    h = game.regularizer_leader
    bonus_sab = game.tau_leader * h.value(pi_sa)[..., None, None]
    leaders = ZeroSumGame.unchecked(
        game.P_sabt,
        game.r_leader_sab - bonus_sab,
        game.gamma,
        game.rho_s,
        0.0,
        Quadratic(),
        Quadratic(),
    )
    own = evaluate_joint(leaders, pi_sa, pi_sb)
    grad_sa, grad_sb = joint_policy_gradients(own, own.q_sab + bonus_sab)
    # Without the guards an entropy that does not count would turn its infinite slope into 0 * inf.
    if game.tau_leader > 0.0:
        visits_s1 = own.visits_s[..., None]
        slope_sa = np.where(visits_s1 > 0.0, h.gradient(pi_sa), 0.0)
        grad_sa = grad_sa - game.tau_leader * visits_s1 * slope_sa
    return Evaluated(-own.value, game.leader.pullback(x, -grad_sa), (-grad_sb,))


def _evaluate(problem: StackelbergGame, x: Array, policies: tuple[Array, ...]) -> Evaluated:
    (pi_sb,) = several("policies", policies, 1, "give the follower's: (pi_sb,)")
    return leader_loss(problem, x, pi_sb)


OBJECTIVE = Objective[StackelbergGame]("stackelberg", "(2.4)", _evaluate)
