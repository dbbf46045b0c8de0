r"""Values, occupancies and their gradients for a given policy, from one factorisation.

With P_pi(t|s) = sum_a pi(a|s) P(t|s,a), c_pi(s) = sum_a pi(a|s) r(s,a) - tau h_s(pi(s)) and the
resolvent M = (I - gamma P_pi)^{-1}::

    V       = M c_pi                                                            (2.1)
    Q(s,a)  = r(s,a) + gamma sum_t P(t|s,a) V(t)                                (2.2)
    A(s,a)  = Q(s,a) - tau h_s(pi(s)) - V(s)                                    advantage
    d_mu    = (1 - gamma) M' mu       discounted occupancy of a start measure mu, of any sign
    grad_pi V(rho)  = d_rho(s) ( Q(s,.) - tau grad h_s(pi(s)) ) / (1 - gamma)   (B.10)
    grad_x  V(rho)  = pullback of the weights d_rho(s) pi(a|s) / (1 - gamma) at V
    sum_sa w(s,a) grad_x Q(s,a) = pullback of w + d_mu pi / (1 - gamma) at V,
                                  where mu(t) = gamma sum_sa w(s,a) P(t|s,a)

The paper states the last two as expectations over trajectories (Lemmas 7 and 9); here they are sums.
Everything takes leading batch axes.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from scipy.linalg import lu_factor, lu_solve

from reference.contractions import arrivals, joint_actions, next_values, policy_chain
from reference.errors import InputError
from reference.policies import SmoothMap
from reference.problems.mdp import Mdp, ParametricMdp
from reference.problems.zero_sum_game import ZeroSumGame
from reference.validation import Array, policy


class Resolvent(Protocol):
    """(I - gamma P)^{-1} of a chain, applied from either side."""

    def solve(self, c_s: Array) -> Array:
        """V with v = c + gamma P v."""
        ...

    def solve_adjoint(self, mu_s: Array) -> Array:
        """U with u = mu + gamma P' u."""
        ...


@dataclass(frozen=True, eq=False)
class _Factorized:
    """LU factors of the transpose of I - gamma P (LAPACK reads rows as columns: no copy)."""

    lu: tuple[Array, np.ndarray]

    def solve(self, c_s: Array) -> Array:
        return np.asarray(lu_solve(self.lu, c_s, trans=1, check_finite=False))

    def solve_adjoint(self, mu_s: Array) -> Array:
        return np.asarray(lu_solve(self.lu, mu_s, trans=0, check_finite=False))


@dataclass(frozen=True, eq=False)
class _Inverted:
    """Explicit inverses, for batches: NumPy has no batched factorisation to reuse."""

    inverse_st: Array

    def solve(self, c_s: Array) -> Array:
        return np.asarray((self.inverse_st @ c_s[..., None])[..., 0])

    def solve_adjoint(self, mu_s: Array) -> Array:
        return np.asarray((mu_s[..., None, :] @ self.inverse_st)[..., 0, :])


def resolvent(P_st: Array, gamma: float) -> Resolvent:
    """Factorise I - gamma P once, for a chain (S, S) or a batch of chains (..., S, S)."""
    system = -gamma * P_st
    diagonal = np.arange(P_st.shape[-1])
    system[..., diagonal, diagonal] += 1.0
    if system.ndim == 2:
        return _Factorized(lu_factor(system.T, overwrite_a=True, check_finite=False))
    return _Inverted(np.asarray(np.linalg.inv(system), dtype=np.float64))


@dataclass(frozen=True, eq=False)
class PolicyEvaluation:
    """What is known of one policy in one MDP.

    Attributes
    ----------
    mdp : Mdp
    pi_sa : (..., S, A)
    v_s : (..., S)
    chain : Resolvent
    """

    mdp: Mdp
    pi_sa: Array
    v_s: Array
    chain: Resolvent

    @cached_property
    def q_sa(self) -> Array:
        """Q(s, a), shape (..., S, A); computed when first asked for, since it reads all of P."""
        return backup(self.mdp, self.v_s)

    @property
    def value(self) -> Array:
        """V(rho)."""
        return np.asarray((self.mdp.rho_s * self.v_s).sum(axis=-1))

    @property
    def advantage_sa(self) -> Array:
        """A(s, a); its mean under the policy is zero."""
        bonus_s = self.mdp.tau * self.mdp.regularizer.value(self.pi_sa)
        return self.q_sa - (bonus_s + self.v_s)[..., None]

    def visits(self, mu_s: Array) -> Array:
        """Expected discounted visits M' mu of a start measure, which may be signed."""
        return self.chain.solve_adjoint(mu_s)

    def occupancy(self, mu_s: Array) -> Array:
        """Discounted occupancy (1 - gamma) M' mu; it has the mass of mu."""
        return (1.0 - self.mdp.gamma) * self.visits(mu_s)


def evaluate(mdp: Mdp, pi_sa: Array) -> PolicyEvaluation:
    """Evaluate a policy exactly.

    Parameters
    ----------
    mdp : Mdp
    pi_sa : (..., S, A)

    Raises
    ------
    InputError
        If ``pi_sa`` is not a policy of that shape.
    """
    pi_sa = policy("pi_sa", pi_sa, (mdp.n_states, mdp.n_actions))
    c_s = (pi_sa * mdp.r_sa).sum(axis=-1) - mdp.tau * mdp.regularizer.value(pi_sa)
    chain = resolvent(policy_chain(mdp.P_sat, pi_sa), mdp.gamma)
    return PolicyEvaluation(mdp, pi_sa, chain.solve(c_s), chain)


def backup(mdp: Mdp, v_s: Array) -> Array:
    """r(s,a) + gamma sum_t P(t|s,a) v(t), shape (..., S, A)."""
    return mdp.r_sa + mdp.gamma * next_values(mdp.P_sat, v_s[..., None, :])[..., 0, :, :]


def policy_gradient(evaluation: PolicyEvaluation) -> Array:
    """Gradient of V(rho) in the entries of the policy (B.10), shape (..., S, A).

    Infinite where an entropy meets a zero probability; a policy map's pullback decides whether
    that is an error (direct) or a limit (softmax).
    """
    mdp = evaluation.mdp
    slope_sa = evaluation.q_sa - mdp.tau * mdp.regularizer.gradient(evaluation.pi_sa)
    return evaluation.visits(mdp.rho_s)[..., None] * slope_sa


def parameter_policy_gradient(evaluation: PolicyEvaluation, policy_map: SmoothMap, y: Array) -> Array:
    """Gradient of V(rho) in the parameters y of the policy."""
    return policy_map.pullback(y, policy_gradient(evaluation))


def value_gradient_x(family: ParametricMdp, x: Array, evaluation: PolicyEvaluation) -> Array:
    """Gradient of V(rho) in x at a fixed policy, shape of x."""
    weights_sa = evaluation.visits(evaluation.mdp.rho_s)[..., None] * evaluation.pi_sa
    return family.pullback(x, weights_sa[..., None, :, :], evaluation.v_s[..., None, :])


def q_gradient_x(family: ParametricMdp, x: Array, evaluation: PolicyEvaluation, w_sa: Array) -> Array:
    """sum_sa w(s,a) grad_x Q(s,a) at a fixed policy, for weights of any sign; shape of x.

    Raises
    ------
    InputError
        If the weights have another shape than Q.
    """
    if w_sa.shape[-2:] != evaluation.q_sa.shape[-2:]:
        raise InputError(
            f"w_sa has shape {w_sa.shape}; its last axes must be (state, action) = "
            f"{evaluation.q_sa.shape[-2:]}"
        )
    mdp = evaluation.mdp
    arrivals_s = mdp.gamma * arrivals(mdp.P_sat, w_sa)
    total_sa = w_sa + evaluation.visits(arrivals_s)[..., None] * evaluation.pi_sa
    return family.pullback(x, total_sa[..., None, :, :], evaluation.v_s[..., None, :])


@dataclass(frozen=True, eq=False)
class JointEvaluation:
    """What is known of one pair of policies in one zero-sum game.

    Attributes
    ----------
    game : ZeroSumGame
    pi_sa, pi_sb : (..., S, A) and (..., S, B)
    v_s : (..., S)
        Player 1's value (5.1).
    chain : Resolvent
    """

    game: ZeroSumGame
    pi_sa: Array
    pi_sb: Array
    v_s: Array
    chain: Resolvent

    @cached_property
    def q_sab(self) -> Array:
        """Q(s, a, b) of (5.2), shape (..., S, A, B); computed when first asked for."""
        return joint_backup(self.game, self.v_s[..., None, :])[..., 0, :, :, :]

    @property
    def joint_sab(self) -> Array:
        """Probability of each pair of actions, shape (..., S, A, B)."""
        return self.pi_sa[..., :, None] * self.pi_sb[..., None, :]

    @property
    def value(self) -> Array:
        """V(rho)."""
        return np.asarray((self.game.rho_s * self.v_s).sum(axis=-1))

    def visits(self, mu_s: Array) -> Array:
        """Expected discounted visits M' mu of a start measure, which may be signed."""
        return self.chain.solve_adjoint(mu_s)

    def occupancy(self, mu_s: Array) -> Array:
        """Discounted occupancy (1 - gamma) M' mu; it has the mass of mu."""
        return (1.0 - self.game.gamma) * self.visits(mu_s)


def evaluate_joint(game: ZeroSumGame, pi_sa: Array, pi_sb: Array) -> JointEvaluation:
    """Evaluate a pair of policies exactly.

    Raises
    ------
    InputError
        If an array is not a policy of the game's shape.
    """
    n_first, n_second = game.n_actions
    pi_sa = policy("pi_sa", pi_sa, (game.n_states, n_first))
    pi_sb = policy("pi_sb", pi_sb, (game.n_states, n_second))
    joint_sj = joint_actions(pi_sa[..., :, None] * pi_sb[..., None, :], trailing=0)
    chain = resolvent(policy_chain(joint_actions(game.P_sabt, trailing=1), joint_sj), game.gamma)
    c_s = (
        (joint_sj * joint_actions(game.r_sab, trailing=0)).sum(axis=-1)
        - game.tau * game.regularizer_1.value(pi_sa)
        + game.tau * game.regularizer_2.value(pi_sb)
    )
    return JointEvaluation(game, pi_sa, pi_sb, chain.solve(c_s), chain)


def joint_backup(game: ZeroSumGame, v_kt: Array) -> Array:
    """r(s,a,b) + gamma sum_t P(t|s,a,b) v_k(t) for a list of values, shape (..., K, S, A, B)."""
    flat_ksj = next_values(joint_actions(game.P_sabt, trailing=1), v_kt)
    next_ksab = flat_ksj.reshape(*flat_ksj.shape[:-1], *game.n_actions)
    return np.asarray(game.r_sab[..., None, :, :, :] + game.gamma * next_ksab)


def joint_policy_gradients(evaluation: JointEvaluation, q_sab: Array) -> tuple[Array, Array]:
    """Gradients of V(rho) in the entries of both policies, given Q; (..., S, A) and (..., S, B)."""
    game = evaluation.game
    visits_s = evaluation.visits(game.rho_s)[..., None]
    slope_sa = np.einsum("...sab,...sb->...sa", q_sab, evaluation.pi_sb)
    slope_sb = np.einsum("...sab,...sa->...sb", q_sab, evaluation.pi_sa)
    return (
        visits_s * (slope_sa - game.tau * game.regularizer_1.gradient(evaluation.pi_sa)),
        visits_s * (slope_sb + game.tau * game.regularizer_2.gradient(evaluation.pi_sb)),
    )
