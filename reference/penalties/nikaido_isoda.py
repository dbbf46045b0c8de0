r"""The Nikaido-Isoda function (5.6) of a zero-sum game, its gradients (Lemma 13) and Section 5.3's.

With the best responses pi_1* to pi_2 and pi_2* to pi_1 as companions::

    psi(x, pi)   = V^{pi_1*, pi_2}(rho) - V^{pi_1, pi_2*}(rho)
    grad_x psi   = grad_x V^{pi_1*, pi_2}(rho) - grad_x V^{pi_1, pi_2*}(rho)
    grad_pi1 psi = -grad_pi1 V^{pi_1, pi_2*}(rho)
    grad_pi2 psi =  grad_pi2 V^{pi_1*, pi_2}(rho)

Each of the two joint policies is one Markov chain: one factorisation and two solves.  Approximate
companions give the estimator of Section 5.3.
"""

import numpy as np

from reference.evaluated import Evaluated
from reference.evaluation import agree, evaluate_pairs, joint_backup, joint_policy_gradients
from reference.optimality import policy_iteration
from reference.penalties.contract import Penalty, start_everywhere
from reference.problems.zero_sum_game import ParametricGame, ZeroSumGame
from reference.validation import Array, instance, policy, provides, several


def nikaido_isoda(
    lower: ParametricGame,
    x: Array,
    pi_sa: Array,
    pi_sb: Array,
    companion_sa: Array,
    companion_sb: Array,
) -> Evaluated:
    """Evaluate the Nikaido-Isoda function, given best responses or approximations of them.

    Parameters
    ----------
    lower : ParametricGame
    x : (..., *lower.domain.shape)
    pi_sa, pi_sb : (..., S, A) and (..., S, B)
        The players' policies.
    companion_sa : (..., S, A)
        Player 1's (approximate) best response to ``pi_sb``.
    companion_sb : (..., S, B)
        Player 2's (approximate) best response to ``pi_sa``.

    Raises
    ------
    InputError
        If rho has a zero, x is outside its domain, or a policy is not one.
    """
    game = _game(lower, x)
    best_1, best_2 = evaluate_pairs(game, [(companion_sa, pi_sb), (pi_sa, companion_sb)])
    v_ks = np.stack([best_1.v_s, best_2.v_s], axis=-2)
    q_ksab = joint_backup(game, v_ks)
    _, grad_2 = joint_policy_gradients(best_1, q_ksab[..., 0, :, :, :])
    grad_1, _ = joint_policy_gradients(best_2, q_ksab[..., 1, :, :, :])
    w_ksab = np.stack(
        [
            best_1.visits_s[..., None, None] * best_1.joint_sab,
            -best_2.visits_s[..., None, None] * best_2.joint_sab,
        ],
        axis=-4,
    )
    grad_x = lower.pullback(x, w_ksab, v_ks)
    return Evaluated(best_1.value - best_2.value, grad_x, (-grad_1, grad_2))


def _game(lower: ParametricGame, x: Array) -> ZeroSumGame:
    provides("lower", lower, ParametricGame)
    game = instance("lower.at(x)", lower.at(x), ZeroSumGame)
    start_everywhere(game.rho_s)
    return game


_TWO = "give one per player: (pi_sa, pi_sb)"


def _evaluate(
    lower: ParametricGame, x: Array, policies: tuple[Array, ...], companions: tuple[Array, ...]
) -> Evaluated:
    pi_sa, pi_sb = several("policies", policies, 2, _TWO)
    companion_sa, companion_sb = several("companions", companions, 2, _TWO)
    return nikaido_isoda(lower, x, pi_sa, pi_sb, companion_sa, companion_sb)


def _best_responses(lower: ParametricGame, x: Array, policies: tuple[Array, ...]) -> tuple[Array, ...]:
    game = _game(lower, x)
    pi_sa, pi_sb = (
        policy(name, pi, (game.n_states, n))
        for name, pi, n in zip(
            ("pi_sa", "pi_sb"), several("policies", policies, 2, _TWO), game.n_actions, strict=True
        )
    )
    agree(game, pi_sa=pi_sa.shape[:-2], pi_sb=pi_sb.shape[:-2])
    return (
        policy_iteration(game.for_player_1(pi_sb)).unique_policy(),
        policy_iteration(game.for_player_2(pi_sa)).unique_policy(),
    )


PENALTY = Penalty[ParametricGame]("nikaido-isoda", "(5.6)", _evaluate, _best_responses)
