r"""The leader's loss in a Stackelberg Markov game (2.4).

With pi = pi_x the leader's policy, P_pi(t|s) = sum_ab pi(a|s) pi(b|s) P(t|s,a,b) and its resolvent
M = (I - gamma P_pi)^{-1}::

    f        = -V(rho),   V = M c,   c(s) = sum_ab pi(a|s) pi(b|s) r_l(s,a,b) - tau_l h_l(pi_x(s))
    Q(s,a,b) = r_l(s,a,b) + gamma sum_t P(t|s,a,b) V(t)
    grad of f in pi(a|s) = -d(s) ( sum_b pi(b|s) Q(s,a,b) - tau_l grad h_l(pi_x(s))(a) ),  d = M' rho
    grad of f in pi(b|s) = -d(s) sum_a pi(a|s) Q(s,a,b)
    grad of f in x       = pullback of the first through the leader's policy map

One factorisation gives V and d.
"""

import numpy as np

from reference.contractions import joint_actions, next_values, policy_chain
from reference.domains import member
from reference.evaluated import Evaluated
from reference.evaluation import resolvent
from reference.objectives.contract import Objective
from reference.problems.stackelberg import StackelbergGame
from reference.validation import Array, policy


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
    x = member("x", x, game.domain)
    pi_sa = game.leader(x)
    pi_sb = policy("pi_sb", pi_sb, (game.P_sabt.shape[-1], game.n_actions[1]))
    joint_sab = pi_sa[..., :, None] * pi_sb[..., None, :]
    P_sjt = joint_actions(game.P_sabt, trailing=1)
    chain = resolvent(policy_chain(P_sjt, joint_actions(joint_sab, trailing=0)), game.gamma)
    bonus_s = game.tau_leader * game.regularizer_leader.value(pi_sa)
    v_s = chain.solve((joint_sab * game.r_leader_sab).sum(axis=(-2, -1)) - bonus_s)
    visits_s = chain.solve_adjoint(game.rho_s)
    next_sj = next_values(P_sjt, v_s[..., None, :])[..., 0, :, :]
    q_sab = game.r_leader_sab + game.gamma * next_sj.reshape(*next_sj.shape[:-1], *game.n_actions)
    slope_sa = np.einsum("...sab,...sb->...sa", q_sab, pi_sb)
    # Without the guard an unused entropy would turn the boundary of the simplex into 0 * inf.
    if game.tau_leader > 0.0:
        slope_sa = slope_sa - game.tau_leader * game.regularizer_leader.gradient(pi_sa)
    slope_sb = np.einsum("...sab,...sa->...sb", q_sab, pi_sa)
    return Evaluated(
        -np.asarray((game.rho_s * v_s).sum(axis=-1)),
        game.leader.pullback(x, -visits_s[..., None] * slope_sa),
        (-visits_s[..., None] * slope_sb,),
    )


def _evaluate(problem: StackelbergGame, x: Array, policies: tuple[Array, ...]) -> Evaluated:
    (pi_sb,) = policies
    return leader_loss(problem, x, pi_sb)


OBJECTIVE = Objective[StackelbergGame]("stackelberg", "(2.4)", _evaluate)
