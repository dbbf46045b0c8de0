r"""Truncated values and gradients in closed form: what estimates from trajectories are the mean of.

A target (:class:`Truncation`) has T steps, weights w_h = gamma^h (or 1), a critic v and a trace
0 <= lambda <= 1.  With c_h = r - tau h_s(pi_h(s)), where pi_0 may be another policy than later ones::

    z_h     = (1 - lambda) v + lambda v_{h+1},      v_h = pi_h (c_h + gamma P z_h),      v_T = v
    mu_0    = rho,                                  mu_{h+1} = (pi_h P)' mu_h
    value   = sum_{h < T} w_h <mu_h, c_h> + w_T <mu_T, v>
    grad_x  = sum_{h < T} w_h  pullback of mu_h(s) pi_h(a|s) at z_h
    grad_pi = sum_{h < T} w_h mu_h(s) ( r(s,a) + gamma sum_t P(t|s,a) z_h(t) - tau grad h_s(pi_h(s)) )

Without a critic v = 0.  With lambda = 1 and w_h = gamma^h the gradients are those of the value, v held
fixed: (B.9), cut off.  With T infinite, too, all is that of :mod:`reference.evaluation`; then the steps
after the first have one z, and their sum of w_h mu_h is one adjoint solve.  For lambda < 1 and T
infinite, v_h is the fixed point of its recursion.

The penalties and objectives are differences of such values, of as many walks as their samples are.
Gradients in policies are taken in the entries, as everywhere; trajectories estimate them along the
simplex.  Everything takes leading batch axes.
"""

from dataclasses import dataclass

import numpy as np

from reference.contractions import joint_actions, next_values, policy_chain
from reference.domains import member
from reference.errors import InputError
from reference.evaluated import Evaluated
from reference.evaluation import contraction
from reference.problems.incentive_design import IncentiveDesign
from reference.problems.mdp import Mdp, ParametricMdp
from reference.problems.reward_shaping import RewardShaping
from reference.problems.stackelberg import StackelbergGame
from reference.problems.zero_sum_game import ParametricGame, ZeroSumGame
from reference.regularizers import Quadratic
from reference.resolvents import resolvent
from reference.validation import Array, instance, numbers, policy, provides, scalar, together, whole


@dataclass(frozen=True, eq=False)
class Truncation:
    """What of a value and its gradients is kept; see the module.

    Attributes
    ----------
    steps : int >= 1 or None
        T; None if infinite.
    discounted : bool
        Whether w_h is gamma^h, or else 1: the latter is no function's gradient in general.
    trace : float in [0, 1]
        lambda.
    critic_s : (..., S), optional
        v.

    Raises
    ------
    InputError
        If T is no whole number >= 1, lambda is outside [0, 1], or infinitely many steps have weight 1.
    """

    steps: int | None
    discounted: bool = True
    trace: float = 1.0
    critic_s: Array | None = None

    def __post_init__(self) -> None:
        instance("discounted", self.discounted, bool)
        if self.steps is not None:
            object.__setattr__(self, "steps", whole("steps", self.steps, low=1))
        elif not self.discounted:
            raise InputError(
                "steps is None and discounted False: a sum of infinitely many undiscounted steps does "
                "not converge; give a number of steps, or discount"
            )
        object.__setattr__(self, "trace", scalar("trace", self.trace, low=0.0, high=1.0))


FOREVER = Truncation(None)
"""Nothing is cut off."""


@dataclass(frozen=True, eq=False)
class _Walk:
    """Slices of a walk: the first step, and one slice of each later step or of all of them at once.

    Attributes
    ----------
    value : (...)
    mass_ks : (..., K, S)
        w_h mu_h.
    next_kt : (..., K, S)
        z_h.
    """

    value: Array
    mass_ks: Array
    next_kt: Array


def _walk(
    P_sjt: Array,
    rho_s: Array,
    gamma: float,
    steps: tuple[tuple[Array, Array], tuple[Array, Array]],
    truncation: Truncation,
) -> _Walk:
    """Walk from rho; ``steps`` are policy and earnings, (S, J) each, of the first step and of others."""
    instance("truncation", truncation, Truncation)
    n_states = P_sjt.shape[-1]
    chains = [policy_chain(P_sjt, pi_sj) for pi_sj, _ in steps]
    earned = [(pi_sj * c_sj).sum(axis=-1) for pi_sj, c_sj in steps]
    v_s = np.zeros(n_states)
    if truncation.critic_s is not None:
        v_s = numbers("critic_s", truncation.critic_s, "(state,)", (n_states,))
    together(
        P=chains[1].shape[:-2], first=chains[0].shape[:-2], rho_s=rho_s.shape[:-1], v=v_s.shape[:-1]
    )
    batch = np.broadcast_shapes(*(c_s.shape for c_s in earned), rho_s.shape, v_s.shape)
    rho_s, v_s = np.broadcast_to(rho_s, batch), np.broadcast_to(v_s, batch)
    earned = [np.broadcast_to(c_s, batch) for c_s in earned]
    if truncation.steps is None:
        return _endless(chains, earned, rho_s, v_s, gamma, truncation.trace)
    rate = gamma if truncation.discounted else 1.0
    trace, T = truncation.trace, truncation.steps
    follow_s, ahead = v_s, []
    for h in reversed(range(T)):
        ahead.append((1.0 - trace) * v_s + trace * follow_s)
        follow_s = earned[h > 0] + gamma * _after(chains[h > 0], ahead[-1])
    mass_s, masses, value = rho_s, [], np.zeros(batch[:-1])
    for h in range(T):
        masses.append(mass_s)
        value = value + (mass_s * earned[h > 0]).sum(axis=-1)
        mass_s = rate * _before(chains[h > 0], mass_s)
    value = value + (mass_s * v_s).sum(axis=-1)
    return _Walk(value, np.stack(masses, axis=-2), np.stack(ahead[::-1], axis=-2))


def _endless(
    chains: list[Array], earned: list[Array], rho_s: Array, v_s: Array, gamma: float, trace: float
) -> _Walk:
    contraction(chains[1], gamma)  # refuses a gamma that is 1 up to rounding
    onward = resolvent(chains[1], gamma)
    value_s = onward.solve(earned[1])
    follow_s = value_s
    if trace < 1.0:
        bootstrapped_s = earned[1] + gamma * (1.0 - trace) * _after(chains[1], v_s)
        follow_s = resolvent(chains[1], gamma * trace).solve(bootstrapped_s)
    z_s = (1.0 - trace) * v_s + trace * follow_s
    later_s = onward.solve_adjoint(gamma * _before(chains[0], rho_s))
    value = (rho_s * (earned[0] + gamma * _after(chains[0], value_s))).sum(axis=-1)
    return _Walk(value, np.stack([rho_s, later_s], axis=-2), np.stack([z_s, z_s], axis=-2))


def _after(P_st: Array, v_t: Array) -> Array:
    """sum_t P(t|s) v(t)."""
    return np.asarray((P_st @ v_t[..., None])[..., 0])


def _before(P_st: Array, mu_s: Array) -> Array:
    """sum_s mu(s) P(t|s)."""
    return np.asarray((mu_s[..., None, :] @ P_st)[..., 0, :])


def _visited(mass_ks: Array, slope_ksa: Array) -> Array:
    """Mass times slope, zero without mass: an infinite slope does not count there."""
    mass_ks1 = mass_ks[..., None]
    return np.asarray(mass_ks1 * np.where(mass_ks1 == 0.0, 0.0, slope_ksa))


# One player.


def _single(
    mdp: Mdp, pi_sa: Array, first_sa: Array, truncation: Truncation
) -> tuple[_Walk, Array, Array]:
    """The walk, and the gradients in the first policy and in the later one."""
    h, tau = mdp.regularizer, mdp.tau
    earned = [(own_sa, mdp.r_sa - tau * h.value(own_sa)[..., None]) for own_sa in (first_sa, pi_sa)]
    walk = _walk(mdp.P_sat, mdp.rho_s, mdp.gamma, (earned[0], earned[1]), truncation)
    slope_ksa = mdp.r_sa[..., None, :, :] + mdp.gamma * next_values(mdp.P_sat, walk.next_kt)
    if tau > 0.0:
        charge_ksa = _sliced(h.gradient(first_sa), h.gradient(pi_sa), walk)
        slope_ksa = slope_ksa - tau * charge_ksa
    grad_ksa = _visited(walk.mass_ks, slope_ksa)
    return walk, grad_ksa[..., 0, :, :], grad_ksa[..., 1:, :, :].sum(axis=-3)


def _sliced(first_sj: Array, later_sj: Array, walk: _Walk) -> Array:
    """One table of the first slice and another of all later ones, (..., K, S, J)."""
    first_sj, later_sj = np.broadcast_arrays(first_sj, later_sj)
    later = [later_sj] * (walk.mass_ks.shape[-2] - 1)
    return np.stack([first_sj, *later], axis=-3)


def truncated_value(
    lower: ParametricMdp,
    x: Array,
    pi_sa: Array,
    truncation: Truncation,
    first_sa: Array | None = None,
) -> Evaluated:
    """Evaluate the truncated value of a policy, with its gradients in x and in the policy.

    Parameters
    ----------
    lower : ParametricMdp
    x : (..., *lower.domain.shape)
    pi_sa : (..., S, A)
    truncation : Truncation
    first_sa : (..., S, A), optional
        The policy of the first step, which it is also regularised by, if another.

    Returns
    -------
    Evaluated
        With one gradient in policies, or two if both are given: in ``pi_sa`` and in ``first_sa``.

    Raises
    ------
    InputError
        If x is outside its domain, a policy is none, or the critic has another shape.
    """
    provides("lower", lower, ParametricMdp)
    x = member("x", x, lower.domain)
    mdp = instance("lower.at(x)", lower.at(x), Mdp)
    pi_sa = policy("pi_sa", pi_sa, (mdp.n_states, mdp.n_actions))
    start_sa = pi_sa if first_sa is None else policy("first_sa", first_sa, pi_sa.shape[-2:])
    walk, grad_first, grad_later = _single(mdp, pi_sa, start_sa, truncation)
    w_ksa = walk.mass_ks[..., None] * _sliced(start_sa, pi_sa, walk)
    grad_x = lower.pullback(x, w_ksa, walk.next_kt)
    grads = (grad_later + grad_first,) if first_sa is None else (grad_later, grad_first)
    return Evaluated(walk.value, grad_x, grads)


def truncated_value_penalty(
    lower: ParametricMdp, x: Array, pi_sa: Array, companion_sa: Array, truncation: Truncation
) -> Evaluated:
    """Evaluate the value penalty (3.2) between truncated values: companion's minus policy's.

    Raises
    ------
    InputError
        As :func:`truncated_value`.
    """
    best = truncated_value(lower, x, companion_sa, truncation)
    own = truncated_value(lower, x, pi_sa, truncation)
    return Evaluated(
        best.value - own.value, best.grad_x - own.grad_x, tuple(-g for g in own.grad_policies)
    )


def truncated_bellman_penalty(
    lower: ParametricMdp, x: Array, pi_sa: Array, companion_sa: Array, truncation: Truncation
) -> Evaluated:
    """Evaluate the Bellman penalty (3.5) between truncated values: the policy acts in the first step.

    Raises
    ------
    InputError
        As :func:`truncated_value`.
    """
    best = truncated_value(lower, x, companion_sa, truncation)
    deviating = truncated_value(lower, x, companion_sa, truncation, first_sa=pi_sa)
    _, grad_pi = deviating.grad_policies
    return Evaluated(best.value - deviating.value, best.grad_x - deviating.grad_x, (-grad_pi,))


def truncated_original_loss(
    problem: RewardShaping, x: Array, pi_sa: Array, truncation: Truncation
) -> Evaluated:
    """Evaluate minus the truncated value of a policy in the original task (2.6).

    Raises
    ------
    InputError
        As :func:`truncated_value`.
    """
    instance("problem", problem, RewardShaping)
    x, mdp = member("x", x, problem.domain), problem.original
    pi_sa = policy("pi_sa", pi_sa, (mdp.n_states, mdp.n_actions))
    walk, grad_first, grad_later = _single(mdp, pi_sa, pi_sa, truncation)
    return Evaluated(-walk.value, np.zeros_like(x), (-(grad_first + grad_later),))


# Two players.


def _joint(
    game: ZeroSumGame, pi_sa: Array, pi_sb: Array, truncation: Truncation, bonus_s: Array | float = 0.0
) -> tuple[_Walk, Array, Array, Array]:
    """The walk, its weights (..., K, S, A, B), and the gradients in both players' policies.

    A bonus is earned in addition, and is constant here.
    """
    n_states, (n_first, n_second) = game.n_states, game.n_actions
    pi_sa = policy("pi_sa", pi_sa, (n_states, n_first))
    pi_sb = policy("pi_sb", pi_sb, (n_states, n_second))
    joint_sab = pi_sa[..., :, None] * pi_sb[..., None, :]
    h_1, h_2, tau = game.regularizer_1, game.regularizer_2, game.tau
    bonus_s = bonus_s + tau * (h_2.value(pi_sb) - h_1.value(pi_sa))
    joint_sj, r_sj = (joint_actions(array, trailing=0) for array in (joint_sab, game.r_sab))
    step = (joint_sj, r_sj + bonus_s[..., None])
    P_sjt = joint_actions(game.P_sabt, trailing=1)
    walk = _walk(P_sjt, game.rho_s, game.gamma, (step, step), truncation)
    q_ksj = r_sj[..., None, :, :] + game.gamma * next_values(P_sjt, walk.next_kt)
    q_ksab = q_ksj.reshape(*q_ksj.shape[:-1], n_first, n_second)
    slope_ksa = np.einsum("...ksab,...sb->...ksa", q_ksab, pi_sb)
    slope_ksb = np.einsum("...ksab,...sa->...ksb", q_ksab, pi_sa)
    if tau > 0.0:
        slope_ksa = slope_ksa - tau * h_1.gradient(pi_sa)[..., None, :, :]
        slope_ksb = slope_ksb + tau * h_2.gradient(pi_sb)[..., None, :, :]
    w_ksab = walk.mass_ks[..., None, None] * joint_sab[..., None, :, :, :]
    grad_sa, grad_sb = (_visited(walk.mass_ks, slope).sum(axis=-3) for slope in (slope_ksa, slope_ksb))
    return walk, w_ksab, grad_sa, grad_sb


def truncated_joint_value(
    lower: ParametricGame, x: Array, pi_sa: Array, pi_sb: Array, truncation: Truncation
) -> Evaluated:
    """Evaluate player 1's truncated value (5.1) of a pair of policies, with its gradients.

    Parameters
    ----------
    lower : ParametricGame
    x : (..., *lower.domain.shape)
    pi_sa, pi_sb : (..., S, A) and (..., S, B)
    truncation : Truncation

    Raises
    ------
    InputError
        As :func:`truncated_value`.
    """
    provides("lower", lower, ParametricGame)
    x = member("x", x, lower.domain)
    game = instance("lower.at(x)", lower.at(x), ZeroSumGame)
    walk, w_ksab, grad_sa, grad_sb = _joint(game, pi_sa, pi_sb, truncation)
    return Evaluated(walk.value, lower.pullback(x, w_ksab, walk.next_kt), (grad_sa, grad_sb))


def truncated_nikaido_isoda(
    lower: ParametricGame,
    x: Array,
    policies: tuple[Array, Array],
    companions: tuple[Array, Array],
    truncation: Truncation,
) -> Evaluated:
    """Evaluate the Nikaido-Isoda function (5.6) between truncated values.

    Parameters
    ----------
    lower : ParametricGame
    x : (..., *lower.domain.shape)
    policies, companions : (..., S, A) and (..., S, B) each
    truncation : Truncation

    Raises
    ------
    InputError
        As :func:`truncated_value`.
    """
    first = truncated_joint_value(lower, x, companions[0], policies[1], truncation)
    second = truncated_joint_value(lower, x, policies[0], companions[1], truncation)
    return Evaluated(
        first.value - second.value,
        first.grad_x - second.grad_x,
        (-second.grad_policies[0], first.grad_policies[1]),
    )


def truncated_leader_loss(
    game: StackelbergGame, x: Array, pi_sb: Array, truncation: Truncation
) -> Evaluated:
    """Evaluate minus the leader's truncated value (2.4), with its gradients.

    Raises
    ------
    InputError
        As :func:`truncated_value`.
    """
    instance("game", game, StackelbergGame)
    x = member("x", x, game.domain)
    pi_sa, h, tau = game.leader(x), game.regularizer_leader, game.tau_leader
    leaders = _plain(game.P_sabt, game.r_leader_sab, game.gamma, game.rho_s)
    walk, _, grad_sa, grad_sb = _joint(leaders, pi_sa, pi_sb, truncation, -tau * h.value(pi_sa))
    if tau > 0.0:
        grad_sa = grad_sa - tau * _visited(walk.mass_ks.sum(axis=-2), h.gradient(pi_sa))
    return Evaluated(-walk.value, game.leader.pullback(x, -grad_sa), (-grad_sb,))


def truncated_designer_loss(
    problem: IncentiveDesign, x: Array, pi_sa: Array, pi_sb: Array, truncation: Truncation
) -> Evaluated:
    """Evaluate minus the designer's truncated value (5.5) under the designer's transitions.

    Raises
    ------
    InputError
        As :func:`truncated_value`.
    """
    instance("problem", problem, IncentiveDesign)
    x = member("x", x, problem.domain)
    game = problem.at(x)
    net_sab = problem.r_design_sab - problem.cost_s[..., None, None]
    designers = _plain(problem.P_design_sabt, net_sab, game.gamma, game.rho_s)
    walk, _, grad_sa, grad_sb = _joint(designers, pi_sa, pi_sb, truncation)
    return Evaluated(-walk.value, np.zeros_like(x), (-grad_sa, -grad_sb))


def _plain(P_sabt: Array, r_sab: Array, gamma: float, rho_s: Array) -> ZeroSumGame:
    """A joint process without regularisation of its own."""
    return ZeroSumGame.unchecked(P_sabt, r_sab, gamma, rho_s, 0.0, Quadratic(), Quadratic())
