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

A computed V is off by at most its residual over the contraction of the backup,

    max_s |V - V^pi|  <=  max_s |c_pi + gamma P_pi V - V| / (1 - gamma sigma),

where sigma is the largest row sum of P_pi: 1 up to rounding, which counts once gamma is close to 1.
Iterative refinement is no help: in float64 the residual of the factors is one rounding already, and
beyond float64 the rounding of P_pi itself costs as much.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from reference.contractions import arrivals, joint_actions, next_values, policy_chains, row_sums
from reference.domains import member, point
from reference.errors import InputError, ShapeError
from reference.policies import SmoothMap
from reference.problems.mdp import Mdp, ParametricMdp
from reference.problems.zero_sum_game import ZeroSumGame
from reference.resolvents import UNIT, Resolvent, resolvent
from reference.validation import Array, instance, numbers, policy, provides, several, together


def contraction(P_rt: Array, gamma: float, *, mixed: int = 0) -> Array:
    """1 - gamma sigma, bounded from below, for rows (..., R, T) whose largest sum is sigma; shape (...).

    ``mixed`` is the number of rows that each given one was computed from.

    Raises
    ------
    InputError
        If it is not positive: then nothing ensures that there are values.
    """
    sums = row_sums(P_rt).max(axis=-1)
    modulus = np.asarray(1.0 - gamma * sums * (1.0 + (P_rt.shape[-1] + mixed + 4) * UNIT))
    if (modulus <= 0.0).any():
        raise InputError(
            f"gamma = {gamma!r} times the largest row sum of the transitions, {sums.max():.17g}, is not "
            "below 1 in float64, so values need not exist: lower gamma, or give rows that sum to 1"
        )
    return modulus


def rounding(terms: int, actions: int, value: Array, reward: Array, bonus: float) -> Array:
    """Bound on the rounding error of a one-step residual T v - v, for either backup T.

    With unit roundoff u and A actions: one backup r + gamma P v errs by (S + 3) |v| + 2 |r| units, the
    mixture by a policy by A (|v| + |r|) more, a maximum by a few.  tau h, or what it leaves of a
    conjugate, errs by at most (A + 4)^2 units of its bound; the square is the quadratic's, whose
    projection sums up to A entries for its threshold.

    Parameters
    ----------
    terms, actions : int
        Next states S in a sum, actions A in a mixture.
    value, reward : (...)
        Largest |v| and |r|.
    bonus : float
        Bound of tau |h|.
    """
    units = (terms + actions + 8) * value + (actions + 8) * reward + (actions + 4) ** 2 * bonus
    return np.asarray(1.01 * UNIT * units)


def residual_rounding(mdp: Mdp, v_s: Array) -> Array:
    """Bound on the rounding error of a computed residual of the backup, shape (...)."""
    return rounding(
        mdp.n_states,
        mdp.n_actions,
        np.abs(v_s).max(axis=-1),
        np.abs(mdp.r_sa).max(axis=(-2, -1)),
        mdp.tau * mdp.regularizer.bound(mdp.n_actions),
    )


def agree(lower: Mdp | ZeroSumGame, **batches: tuple[int, ...]) -> None:
    """Check that the leading axes of arrays agree with those of an MDP or a game.

    Raises
    ------
    InputError
        If they do not.
    """
    if isinstance(lower, Mdp):
        own = {"P_sat": lower.P_sat.shape[:-3], "r_sa": lower.r_sa.shape[:-2]}
    else:
        own = {"P_sabt": lower.P_sabt.shape[:-4], "r_sab": lower.r_sab.shape[:-3]}
    together(**own, rho_s=lower.rho_s.shape[:-1], **batches)


@dataclass(frozen=True, eq=False)
class PolicyEvaluation:
    """What is known of one policy in one MDP.

    Attributes
    ----------
    mdp : Mdp
    pi_sa : (..., S, A)
    v_s : (..., S)
    chain : Resolvent
    modulus : (...)
        1 - gamma sigma of its chain.
    """

    mdp: Mdp
    pi_sa: Array
    v_s: Array
    chain: Resolvent
    modulus: Array

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

    @property
    def error(self) -> Array:
        """Certified bound on max_s |v_s - V^pi|, rounding included; shape (...)."""
        mdp = self.mdp
        mean_s = (self.pi_sa * self.q_sa).sum(axis=-1) - mdp.tau * mdp.regularizer.value(self.pi_sa)
        residual = np.abs(mean_s - self.v_s).max(axis=-1)
        return np.asarray((residual + residual_rounding(mdp, self.v_s)) / self.modulus)

    def visits(self, mu_s: Array) -> Array:
        """Expected discounted visits M' mu of a start measure, which may be signed."""
        return self.chain.solve_adjoint(mu_s)

    @cached_property
    def visits_s(self) -> Array:
        """Expected discounted visits from rho, shape (..., S)."""
        return self.visits(self.mdp.rho_s)

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
        If ``pi_sa`` is not a policy of that shape, or gamma is within rounding of 1.
    """
    (evaluation,) = evaluate_all(mdp, [pi_sa])
    return evaluation


def evaluate_all(mdp: Mdp, policies: Sequence[Array]) -> tuple[PolicyEvaluation, ...]:
    """Evaluate several policies of one MDP, reading its transitions once.

    Raises
    ------
    InputError
        As :func:`evaluate`.
    """
    instance("mdp", mdp, Mdp)
    checked = [
        policy("pi_sa", pi_sa, (mdp.n_states, mdp.n_actions)) for pi_sa in _listed("policies", policies)
    ]
    agree(mdp, **{f"policies[{k}]": pi_sa.shape[:-2] for k, pi_sa in enumerate(checked)})
    chains_kst = policy_chains(mdp.P_sat, np.stack(np.broadcast_arrays(*checked), axis=-3))
    evaluations = []
    for k, pi_sa in enumerate(checked):
        c_s = (pi_sa * mdp.r_sa).sum(axis=-1) - mdp.tau * mdp.regularizer.value(pi_sa)
        P_st = chains_kst[..., k, :, :]
        modulus = contraction(P_st, mdp.gamma, mixed=mdp.n_actions)
        chain = resolvent(P_st, mdp.gamma, checked=True)
        evaluations.append(PolicyEvaluation(mdp, pi_sa, chain.solve(c_s), chain, modulus))
    return tuple(evaluations)


def _listed(name: str, values: object) -> tuple[Any, ...]:
    """A list of at least one entry; an array is a list of its first axis."""
    if isinstance(values, np.ndarray) and values.ndim:
        values = list(values)
    listed = several(name, values, None, "give a list, such as [pi_sa]")
    if not listed:
        raise InputError(f"{name} is empty: give at least one")
    return listed


def backup(mdp: Mdp, v_s: Array) -> Array:
    """r(s,a) + gamma sum_t P(t|s,a) v(t), shape (..., S, A).

    Raises
    ------
    InputError
        If ``v_s`` is not one finite number per state.
    """
    instance("mdp", mdp, Mdp)
    v_s = numbers("v_s", v_s, "(state,)", (mdp.n_states,))
    agree(mdp, v_s=v_s.shape[:-1])
    return mdp.r_sa + mdp.gamma * next_values(mdp.P_sat, v_s[..., None, :])[..., 0, :, :]


def policy_gradient(evaluation: PolicyEvaluation) -> Array:
    """Gradient of V(rho) in the entries of the policy (B.10), shape (..., S, A).

    Infinite where an entropy meets a zero probability in a state that is visited; a policy map's
    pullback decides whether that is an error (direct) or a limit (softmax).

    Raises
    ------
    InputError
        If it is not given an evaluation.
    """
    instance("evaluation", evaluation, PolicyEvaluation)
    mdp = evaluation.mdp
    slope_sa = evaluation.q_sa
    if mdp.tau > 0.0:
        slope_sa = slope_sa - mdp.tau * mdp.regularizer.gradient(evaluation.pi_sa)
    return _where_visited(evaluation.visits_s, slope_sa)


def _where_visited(visits_s: Array, slope_sa: Array) -> Array:
    """Visits times slope; zero in a state without visits, whose policy V(rho) does not depend on."""
    visits_s1 = visits_s[..., None]
    return np.asarray(visits_s1 * np.where(visits_s1 == 0.0, 0.0, slope_sa))


def parameter_policy_gradient(evaluation: PolicyEvaluation, policy_map: SmoothMap, y: Array) -> Array:
    """Gradient of V(rho) in the parameters y of the policy.

    Raises
    ------
    InputError
        If y has not the shape of the map's parameters, or its policy not that of the evaluated one.
    NotDifferentiableError
        As the map's pullback.
    """
    provides("policy_map", policy_map, SmoothMap)
    instance("evaluation", evaluation, PolicyEvaluation)
    y = point("y", y, policy_map.domain)
    shape = policy_map(y).shape
    if shape[-2:] != evaluation.pi_sa.shape[-2:]:
        raise InputError(
            f"the policy map gives a policy of shape {shape} and the evaluated one has "
            f"{evaluation.pi_sa.shape}: give the map of the policy that was evaluated"
        )
    together(y=shape[:-2], evaluation=evaluation.v_s.shape[:-1])
    return policy_map.pullback(y, policy_gradient(evaluation))


def value_gradient_x(family: ParametricMdp, x: Array, evaluation: PolicyEvaluation) -> Array:
    """Gradient of V(rho) in x at a fixed policy, shape of x.

    Raises
    ------
    InputError
        If x is outside its domain, or the evaluation belongs to a problem of another shape.
    """
    x = _parametric(family, x, evaluation)
    weights_sa = evaluation.visits_s[..., None] * evaluation.pi_sa
    return _pulled(family, x, weights_sa, evaluation)


def _parametric(family: ParametricMdp, x: Array, evaluation: PolicyEvaluation) -> Array:
    provides("family", family, ParametricMdp)
    instance("evaluation", evaluation, PolicyEvaluation)
    return member("x", x, family.domain)


def _pulled(family: ParametricMdp, x: Array, w_sa: Array, evaluation: PolicyEvaluation) -> Array:
    try:
        return family.pullback(x, w_sa[..., None, :, :], evaluation.v_s[..., None, :])
    except ValueError as error:
        if isinstance(error, InputError) and not isinstance(error, ShapeError):
            raise  # it says itself what is wrong
        raise InputError(
            f"the family at x of shape {x.shape} does not fit an evaluation of {w_sa.shape} states and "
            f"actions ({error}): evaluate a policy in family.at(x)"
        ) from error


def q_gradient_x(family: ParametricMdp, x: Array, evaluation: PolicyEvaluation, w_sa: Array) -> Array:
    """sum_sa w(s,a) grad_x Q(s,a) at a fixed policy, for weights of any sign; shape of x.

    Raises
    ------
    InputError
        If the weights have another shape than Q, x is outside its domain, or the evaluation belongs
        to a problem of another shape.
    """
    x = _parametric(family, x, evaluation)
    w_sa = numbers("w_sa", w_sa, "(state, action)", evaluation.pi_sa.shape[-2:])
    together(w_sa=w_sa.shape[:-2], evaluation=evaluation.v_s.shape[:-1])
    mdp = evaluation.mdp
    arrivals_s = mdp.gamma * arrivals(mdp.P_sat, w_sa)
    total_sa = w_sa + evaluation.visits(arrivals_s)[..., None] * evaluation.pi_sa
    return _pulled(family, x, total_sa, evaluation)


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
    modulus : (...)
        1 - gamma sigma of its chain.
    """

    game: ZeroSumGame
    pi_sa: Array
    pi_sb: Array
    v_s: Array
    chain: Resolvent
    modulus: Array

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

    @property
    def error(self) -> Array:
        """Certified bound on max_s |v_s - V|, rounding included; shape (...)."""
        game = self.game
        mean_s = (self.joint_sab * self.q_sab).sum(axis=(-2, -1)) + _bonus(game, self.pi_sa, self.pi_sb)
        residual = np.abs(mean_s - self.v_s).max(axis=-1)
        n_first, n_second = game.n_actions
        allowed = rounding(
            game.n_states,
            n_first * n_second,
            np.abs(self.v_s).max(axis=-1),
            np.abs(game.r_sab).max(axis=(-3, -2, -1)),
            game.tau * (game.regularizer_1.bound(n_first) + game.regularizer_2.bound(n_second)),
        )
        return np.asarray((residual + allowed) / self.modulus)

    def visits(self, mu_s: Array) -> Array:
        """Expected discounted visits M' mu of a start measure, which may be signed."""
        return self.chain.solve_adjoint(mu_s)

    @cached_property
    def visits_s(self) -> Array:
        """Expected discounted visits from rho, shape (..., S)."""
        return self.visits(self.game.rho_s)

    def occupancy(self, mu_s: Array) -> Array:
        """Discounted occupancy (1 - gamma) M' mu; it has the mass of mu."""
        return (1.0 - self.game.gamma) * self.visits(mu_s)


def _bonus(game: ZeroSumGame, pi_sa: Array, pi_sb: Array) -> Array:
    """Regularisation of both players' policies, as player 1 sees it; shape (..., S)."""
    first, second = game.regularizer_1.value(pi_sa), game.regularizer_2.value(pi_sb)
    return np.asarray(game.tau * (second - first))


def evaluate_joint(game: ZeroSumGame, pi_sa: Array, pi_sb: Array) -> JointEvaluation:
    """Evaluate a pair of policies exactly.

    Parameters
    ----------
    game : ZeroSumGame
    pi_sa, pi_sb : (..., S, A) and (..., S, B)

    Raises
    ------
    InputError
        If an array is not a policy of the game's shape, or gamma is within rounding of 1.
    """
    (evaluation,) = evaluate_pairs(game, [(pi_sa, pi_sb)])
    return evaluation


def evaluate_pairs(
    game: ZeroSumGame, pairs: Sequence[tuple[Array, Array]]
) -> tuple[JointEvaluation, ...]:
    """Evaluate several pairs of policies of one game, reading its transitions once.

    Raises
    ------
    InputError
        As :func:`evaluate_joint`.
    """
    instance("game", game, ZeroSumGame)
    n_first, n_second = game.n_actions
    two = "give one policy per player: (pi_sa, pi_sb)"
    checked = [
        (
            policy("pi_sa", pi_sa, (game.n_states, n_first)),
            policy("pi_sb", pi_sb, (game.n_states, n_second)),
        )
        for k, pair in enumerate(_listed("pairs", pairs))
        for pi_sa, pi_sb in [several(f"pairs[{k}]", pair, 2, two)]
    ]
    agree(
        game,
        **{f"pairs[{k}][0]": pi_sa.shape[:-2] for k, (pi_sa, _) in enumerate(checked)},
        **{f"pairs[{k}][1]": pi_sb.shape[:-2] for k, (_, pi_sb) in enumerate(checked)},
    )
    joints = [
        joint_actions(pi_sa[..., :, None] * pi_sb[..., None, :], trailing=0) for pi_sa, pi_sb in checked
    ]
    joint_ksj = np.stack(np.broadcast_arrays(*joints), axis=-3)
    chains_kst = policy_chains(joint_actions(game.P_sabt, trailing=1), joint_ksj)
    r_sj = joint_actions(game.r_sab, trailing=0)
    evaluations = []
    for k, ((pi_sa, pi_sb), joint_sj) in enumerate(zip(checked, joints, strict=True)):
        c_s = (joint_sj * r_sj).sum(axis=-1) + _bonus(game, pi_sa, pi_sb)
        P_st = chains_kst[..., k, :, :]
        modulus = contraction(P_st, game.gamma, mixed=n_first * n_second)
        chain = resolvent(P_st, game.gamma, checked=True)
        evaluations.append(JointEvaluation(game, pi_sa, pi_sb, chain.solve(c_s), chain, modulus))
    return tuple(evaluations)


def joint_backup(game: ZeroSumGame, v_kt: Array) -> Array:
    """r(s,a,b) + gamma sum_t P(t|s,a,b) v_k(t) for a list of values, shape (..., K, S, A, B).

    Raises
    ------
    InputError
        If ``v_kt`` (..., K, S) is not one finite number per state.
    """
    instance("game", game, ZeroSumGame)
    v_kt = numbers("v_kt", v_kt, "(state,)", (game.n_states,))
    if v_kt.ndim < 2:
        raise InputError(f"v_kt has shape {v_kt.shape}; it is a list of values: give v_kt[None]")
    agree(game, v_kt=v_kt.shape[:-2])
    flat_ksj = next_values(joint_actions(game.P_sabt, trailing=1), v_kt)
    next_ksab = flat_ksj.reshape(*flat_ksj.shape[:-1], *game.n_actions)
    return np.asarray(game.r_sab[..., None, :, :, :] + game.gamma * next_ksab)


def joint_policy_gradients(evaluation: JointEvaluation, q_sab: Array) -> tuple[Array, Array]:
    """Gradients of V(rho) in the entries of both policies, given Q; (..., S, A) and (..., S, B).

    Raises
    ------
    InputError
        If Q has another shape than the game's rewards.
    """
    instance("evaluation", evaluation, JointEvaluation)
    game = evaluation.game
    q_sab = numbers("q_sab", q_sab, "(s, a, b)", game.r_sab.shape[-3:])
    together(q_sab=q_sab.shape[:-3], evaluation=evaluation.v_s.shape[:-1])
    slope_sa = np.einsum("...sab,...sb->...sa", q_sab, evaluation.pi_sb)
    slope_sb = np.einsum("...sab,...sa->...sb", q_sab, evaluation.pi_sa)
    if game.tau > 0.0:
        slope_sa = slope_sa - game.tau * game.regularizer_1.gradient(evaluation.pi_sa)
        slope_sb = slope_sb + game.tau * game.regularizer_2.gradient(evaluation.pi_sb)
    visits_s = evaluation.visits_s
    return _where_visited(visits_s, slope_sa), _where_visited(visits_s, slope_sb)
