r"""The quantities of the paper by their definitions, over any arithmetic.

Section 2.1, 2.2 and 5.1 and nothing else: no gradient formula, no occupancy shortcut, no envelope
theorem.  Gradients come from the routes, which differentiate these functions.

::

    regularised MDP     v = c_pi + gamma P_pi v
    optimum             the fixed point of v = max_p <p, r + gamma P v> - tau h(p), by policy iteration
    value penalty       V*(rho) - V^pi(rho)
    Bellman penalty     E_rho[ V* - <pi, Q*> + tau h(pi) ]
    Nikaido-Isoda       max_pi1 V^{pi1, pi2}(rho) - min_pi2 V^{pi1, pi2}(rho)
"""

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from reference.policies import DirectPolicy, SoftmaxPolicy
from reference.problems.incentive_design import IncentiveDesign
from reference.problems.mdp import MdpFamily
from reference.problems.parametrizations import (
    BoundedIncentive,
    FixedKernel,
    FixedReward,
    LinearReward,
    PotentialShaping,
    SoftmaxKernel,
    TabularReward,
)
from reference.problems.reward_shaping import RewardShaping
from reference.problems.rlhf import BradleyTerryLabels, LabelByReturn, Rlhf
from reference.problems.stackelberg import StackelbergGame
from reference.problems.zero_sum_game import GameFamily
from reference.regularizers import KLDivergence, NegativeEntropy, Quadratic, Regularizer, Weighted
from verify.oracles.arithmetic import Arithmetic, Floats, Native

Single = MdpFamily | StackelbergGame | Rlhf | RewardShaping
Pair = GameFamily | IncentiveDesign


@dataclass(frozen=True)
class Model:
    """A regularised MDP in the numbers of some arithmetic."""

    P_sat: Native
    r_sa: Native
    gamma: Native
    rho_s: Native
    tau: Native
    regularizer: Regularizer
    unregularized: bool


@dataclass(frozen=True)
class GameModel:
    """A regularised zero-sum game in the numbers of some arithmetic."""

    P_sabt: Native
    r_sab: Native
    gamma: Native
    rho_s: Native
    tau: Native
    regularizer_1: Regularizer
    regularizer_2: Regularizer
    unregularized: bool


# How r and P depend on x.


def softmax(number: Arithmetic, z: Native) -> Native:
    """exp(z) / sum exp(z) over the last axis; a constant is subtracted to avoid overflow."""
    shift = number.lift(number.real(z).max(axis=-1, keepdims=True))
    powers = number.exp(z - shift)
    return powers / powers.sum(-1)[..., None]


def combined(number: Arithmetic, x: Native, features: Floats) -> Native:
    """sum_i x_i features_i, for x of any shape."""
    rest = features.shape[x.ndim :]
    flat = number.lift(features.reshape(-1, int(np.prod(rest))))
    return number.einsum("i,ij->j", x.reshape(-1), flat).reshape(rest)


def possible_softmax(number: Arithmetic, logits: Floats, moved: Native) -> Native:
    """softmax(logits + moved) where entries with logit -inf stay zero."""
    possible = np.isfinite(logits)
    total = number.lift(np.where(possible, logits, 0.0)) + moved
    shift = np.where(possible, number.real(total), -np.inf).max(axis=-1, keepdims=True)
    # Impossible entries are masked after the exponential; before it they are moved to its 1.
    mask = number.lift(possible.astype(float))
    powers = mask * number.exp(mask * (total - number.lift(shift)))
    return powers / powers.sum(-1)[..., None]


def reward(number: Arithmetic, given: Any, x: Native) -> Native:
    """r_x of each parametrisation."""
    match given:
        case TabularReward():
            return x
        case FixedReward():
            return number.lift(given.r_sa)
        case LinearReward():
            return number.lift(given.offset_sa) + combined(number, x, given.features_isa)
        case BoundedIncentive():
            one, scale = number.lift(1.0), number.lift(given.scale)
            return number.lift(given.r_sa) + scale / (one + number.exp(-x))
        case PotentialShaping():
            arrival = number.einsum("sat,t->sa", number.lift(given.P_sat), x)
            return number.lift(given.r_sa) + number.lift(given.gamma) * arrival - x[:, None]
    raise TypeError(f"no definition of the reward {type(given).__name__}")


def transitions(number: Arithmetic, given: Any, x: Native) -> Native:
    """P_x of each kernel."""
    match given:
        case FixedKernel():
            return number.lift(given.P_sat)
        case SoftmaxKernel():
            return possible_softmax(number, given.logits_sat, combined(number, x, given.features_isat))
    raise TypeError(f"no definition of the kernel {type(given).__name__}")


def leader_policy(number: Arithmetic, given: Any, x: Native) -> Native:
    """pi_x of the leader."""
    match given:
        case DirectPolicy():
            return x
        case SoftmaxPolicy():
            return softmax(number, x)
    raise TypeError(f"no definition of the policy map {type(given).__name__}")


def model(number: Arithmetic, problem: Single, x: Native) -> Model:
    """M_tau(x) of each single-agent problem."""
    match problem:
        case Rlhf():
            return model(number, problem.lower, x)  # type: ignore[arg-type]  # a family of these
        case RewardShaping():
            return model(number, problem.shaped, x)  # type: ignore[arg-type]  # a family of these
        case MdpFamily():
            P, r = transitions(number, problem.kernel, x), reward(number, problem.reward, x)
        case StackelbergGame():
            pi = leader_policy(number, problem.leader, x)
            P = number.einsum("sa,sabt->sbt", pi, number.lift(problem.P_sabt))
            r = number.einsum("sa,sab->sb", pi, number.lift(problem.r_follower_sab))
    return Model(
        P,
        r,
        number.lift(problem.gamma),
        number.lift(problem.rho_s),
        number.lift(problem.tau),
        problem.regularizer,
        problem.tau == 0.0,
    )


def game_model(number: Arithmetic, problem: Pair, x: Native) -> GameModel:
    """The zero-sum game at x."""
    family = problem.game if isinstance(problem, IncentiveDesign) else problem
    if not isinstance(family, GameFamily):
        raise TypeError(f"no definition of the game {type(family).__name__}")
    r = reward(number, family.reward, x)
    P = transitions(number, family.kernel, x).reshape(*r.shape, r.shape[0])
    return GameModel(
        P,
        r,
        number.lift(family.gamma),
        number.lift(family.rho_s),
        number.lift(family.tau),
        family.regularizer_1,
        family.regularizer_2,
        family.tau == 0.0,
    )


# Regularisers.


def bonus(number: Arithmetic, h: Regularizer, pi_sa: Native) -> Native:
    """h_s(pi(s))."""
    match h:
        case Weighted():
            return number.lift(h.weight_s) * bonus(number, h.base, pi_sa)
        case Quadratic():
            return number.lift(0.5) * (pi_sa * pi_sa).sum(-1)
        case NegativeEntropy():
            return _entropy_terms(number, pi_sa).sum(-1)
        case KLDivergence():
            logs = number.log(number.lift(h.reference_sa))
            return (_entropy_terms(number, pi_sa) - pi_sa * logs).sum(-1)
    raise TypeError(f"no definition of the regulariser {type(h).__name__}")


def _entropy_terms(number: Arithmetic, pi_sa: Native) -> Native:
    """p log p, with 0 log 0 = 0: entries that are zero are replaced by one, whose term is zero."""
    zero = number.lift((number.real(pi_sa) == 0.0).astype(float))
    positive = pi_sa + zero
    return positive * number.log(positive)


def best_row(number: Arithmetic, h: Regularizer, q_sa: Native, tau_s: Native) -> Native:
    """Maximiser of <p, q> - tau h(p) over the simplex; ``tau_s`` has shape (S,)."""
    match h:
        case Weighted():
            return best_row(number, h.base, q_sa, tau_s * number.lift(h.weight_s))
        case NegativeEntropy():
            return softmax(number, q_sa / tau_s[:, None])
        case KLDivergence():
            return softmax(number, q_sa / tau_s[:, None] + number.log(number.lift(h.reference_sa)))
        case Quadratic():
            return number.stack([_project(number, row) for row in q_sa / tau_s[:, None]])
    raise TypeError(f"no definition of the maximiser of {type(h).__name__}")


def _project(number: Arithmetic, row: Native) -> Native:
    """Projection onto the simplex: try supports of growing size until the threshold separates."""
    order = np.argsort(-number.real(row), kind="stable")
    row = row - row[int(order[0])]  # the projection ignores a constant, and rounding does not
    one = number.lift(1.0)
    for size in range(1, len(order) + 1):
        inside = np.zeros(len(order))
        inside[order[:size]] = 1.0
        mask = number.lift(inside)
        threshold = ((mask * row).sum(-1) - one) / number.lift(float(size))
        last = size == len(order)
        if last or number.real(row[int(order[size])] - threshold) <= 0.0:
            return mask * (row - threshold)
    raise AssertionError("the full support always separates")


# Values.


def charge(number: Arithmetic, m: Model, pi_sa: Native) -> Native:
    """tau h_s(pi(s)); zero at tau = 0, where h need not be computable (exact rationals)."""
    if m.unregularized:
        return number.lift(np.zeros(pi_sa.shape[0]))
    return m.tau * bonus(number, m.regularizer, pi_sa)


def evaluate(number: Arithmetic, m: Model, pi_sa: Native) -> Native:
    """V^pi."""
    P_st = number.einsum("sa,sat->st", pi_sa, m.P_sat)
    return number.solve(P_st, m.gamma, (pi_sa * m.r_sa).sum(-1) - charge(number, m, pi_sa))


def backup(number: Arithmetic, m: Model, v_s: Native) -> Native:
    """r + gamma P v."""
    return m.r_sa + m.gamma * number.einsum("sat,t->sa", m.P_sat, v_s)


def best_policy(number: Arithmetic, m: Model, q_sa: Native) -> Native:
    """The maximiser at q; at tau = 0 the first best action."""
    if m.unregularized:
        q = number.real(q_sa)
        return number.lift(np.eye(q.shape[1])[q.argmax(axis=1)])
    ones = number.lift(np.ones(q_sa.shape[0]))
    return best_row(number, m.regularizer, q_sa, m.tau * ones)


SETTLED = 3
"""Policy iterations after the values stand still, so that derivatives settle too."""


def optimal_values(number: Arithmetic, m: Model) -> Native:
    """V*, by policy iteration in the given arithmetic until the values stand still.

    An arithmetic that has its own way to the optimum (a linear program, value iteration) takes it.
    """
    own = getattr(number, "optimum", None)
    if own is not None:
        return own(m)
    v_s = evaluate(number, m, best_policy(number, m, m.r_sa))
    # A solve in float64 moves values by the condition number times a rounding; exact numbers do not.
    horizon = 1.0 / (1.0 - float(number.real(m.gamma))) if number.rounds else 1.0
    resolution = 8 * len(v_s) * float(np.finfo(np.float64).eps) * horizon
    one_step = np.abs(number.real(m.r_sa)).max()
    still = 0
    for _ in range(200):
        updated = evaluate(number, m, best_policy(number, m, backup(number, m, v_s)))
        change = np.abs(number.real(updated - v_s)).max()
        size = np.abs(number.real(updated)).max() + one_step
        still = still + 1 if change <= resolution * size else 0
        if still == SETTLED:
            return updated
        v_s = number.sharpen(updated)
    raise ArithmeticError("policy iteration did not settle in 200 iterations")


def optimal_policy(number: Arithmetic, m: Model) -> Native:
    """pi*."""
    return best_policy(number, m, backup(number, m, optimal_values(number, m)))


# Two players.


def against_second(number: Arithmetic, g: GameModel, pi_sb: Native) -> Model:
    """Player 1's MDP."""
    return Model(
        number.einsum("sabt,sb->sat", g.P_sabt, pi_sb),
        number.einsum("sab,sb->sa", g.r_sab, pi_sb)
        + (g.tau * bonus(number, g.regularizer_2, pi_sb))[:, None],
        g.gamma,
        g.rho_s,
        g.tau,
        g.regularizer_1,
        g.unregularized,
    )


def against_first(number: Arithmetic, g: GameModel, pi_sa: Native) -> Model:
    """Player 2's MDP, in which the value is -V."""
    return Model(
        number.einsum("sabt,sa->sbt", g.P_sabt, pi_sa),
        (g.tau * bonus(number, g.regularizer_1, pi_sa))[:, None]
        - number.einsum("sab,sa->sb", g.r_sab, pi_sa),
        g.gamma,
        g.rho_s,
        g.tau,
        g.regularizer_2,
        g.unregularized,
    )


def joint_value(number: Arithmetic, g: GameModel, pi_sa: Native, pi_sb: Native) -> Native:
    """V^{pi_1, pi_2} (5.1)."""
    P_st = number.einsum("sa,sb,sabt->st", pi_sa, pi_sb, g.P_sabt)
    c_s = (
        number.einsum("sa,sb,sab->s", pi_sa, pi_sb, g.r_sab)
        - g.tau * bonus(number, g.regularizer_1, pi_sa)
        + g.tau * bonus(number, g.regularizer_2, pi_sb)
    )
    return number.solve(P_st, g.gamma, c_s)


# Upper objectives.


def leader_loss(number: Arithmetic, problem: StackelbergGame, x: Native, pi_sb: Native) -> Native:
    """-V_l(rho) (2.4)."""
    pi_sa = leader_policy(number, problem.leader, x)
    P_st = number.einsum("sa,sb,sabt->st", pi_sa, pi_sb, number.lift(problem.P_sabt))
    c_s = number.einsum("sa,sb,sab->s", pi_sa, pi_sb, number.lift(problem.r_leader_sab))
    if problem.tau_leader > 0.0:
        tau = number.lift(problem.tau_leader)
        c_s = c_s - tau * bonus(number, problem.regularizer_leader, pi_sa)
    v_s = number.solve(P_st, number.lift(problem.gamma), c_s)
    return -(number.lift(problem.rho_s) * v_s).sum(-1)


def design_loss(number: Arithmetic, problem: IncentiveDesign, pi_sa: Native, pi_sb: Native) -> Native:
    """The designer's loss (5.5), with the cost discounted."""
    family = problem.game
    if not isinstance(family, GameFamily):
        raise TypeError(f"no definition of the game {type(family).__name__}")
    P = number.lift(problem.P_design_sabt)
    P_st = number.einsum("sa,sb,sabt->st", pi_sa, pi_sb, P)
    earned_sab = number.lift(problem.r_design_sab) - number.lift(problem.cost_s)[:, None, None]
    c_s = number.einsum("sa,sb,sab->s", pi_sa, pi_sb, earned_sab)
    v_s = number.solve(P_st, number.lift(family.gamma), c_s)
    return -(number.lift(family.rho_s) * v_s).sum(-1)


def shaping_loss(number: Arithmetic, problem: RewardShaping, pi_sa: Native) -> Native:
    """-V(rho) of the original task (2.6)."""
    given = problem.original
    m = Model(
        number.lift(given.P_sat),
        number.lift(given.r_sa),
        number.lift(given.gamma),
        number.lift(given.rho_s),
        number.lift(given.tau),
        given.regularizer,
        given.tau == 0.0,
    )
    return -(m.rho_s * evaluate(number, m, pi_sa)).sum(-1)


def preference_loss(number: Arithmetic, problem: Rlhf, x: Native, pi_sa: Native) -> Native:
    """The expected cross-entropy of Section 2.2, over every pair of segments one by one."""
    m = model(number, problem, x)
    start_s = m.rho_s
    for _ in range(problem.delay):
        start_s = number.einsum("s,sa,sat->t", start_s, pi_sa, m.P_sat)
    n_states, n_actions = m.r_sa.shape
    steps = list(product(range(n_states), range(n_actions)))
    segments = np.array(list(product(range(len(steps)), repeat=problem.segment_length)))
    states, actions = np.divmod(segments, n_actions)
    probability = start_s[states[:, 0]]
    learned = number.lift(np.zeros(len(segments)))
    for j in range(problem.segment_length):
        probability = probability * pi_sa[states[:, j], actions[:, j]]
        learned = learned + m.r_sa[states[:, j], actions[:, j]]
        if j:
            probability = probability * m.P_sat[states[:, j - 1], actions[:, j - 1], states[:, j]]
    true = problem.r_true_sa[states, actions].sum(axis=1)
    label = number.lift(_labels(problem, true[:, None] - true[None, :]))
    one = number.lift(1.0)
    margin = learned[:, None] - learned[None, :]
    first = -number.log(one + number.exp(-margin))
    second = -number.log(one + number.exp(margin))
    loss = -(label * first + (one - label) * second)
    return number.einsum("i,j,ij->", probability, probability, loss)


def _labels(problem: Rlhf, difference: np.ndarray) -> np.ndarray:
    """l_0 from the difference of the true returns."""
    match problem.labels:
        case LabelByReturn():
            tied = np.abs(difference) <= problem.labels.tolerance
            return np.where(tied, 0.5, np.where(difference > 0.0, 1.0, 0.0))
        case BradleyTerryLabels():
            return 1.0 / (1.0 + np.exp(-difference / problem.labels.temperature))
    raise TypeError(f"no definition of the labels {type(problem.labels).__name__}")


# What a route must know of a problem before it tries.


@dataclass(frozen=True)
class Traits:
    """Features of a problem that decide which routes apply."""

    gamma: float
    n_states: int
    transcendental: bool
    unregularized: bool


def traits(problem: Single | Pair) -> Traits:
    """Read the features off the data."""
    match problem:
        case Rlhf():
            inner = traits(problem.lower)  # type: ignore[arg-type]  # a family of these
        case RewardShaping():
            inner = traits(problem.shaped)  # type: ignore[arg-type]  # a family of these
        case IncentiveDesign():
            inner = traits(problem.game)  # type: ignore[arg-type]  # a family of these
        case StackelbergGame():
            curved = isinstance(problem.leader, SoftmaxPolicy) or _curved(problem.regularizer)
            curved = curved or (problem.tau_leader > 0.0 and _curved(problem.regularizer_leader))
            inner = Traits(problem.gamma, len(problem.rho_s), curved, problem.tau == 0.0)
        case MdpFamily():
            curved = _curved(problem.regularizer) and problem.tau > 0.0
            curved = curved or isinstance(problem.kernel, SoftmaxKernel)
            inner = Traits(problem.gamma, len(problem.rho_s), curved, problem.tau == 0.0)
        case GameFamily():
            curved = _curved(problem.regularizer_1) or _curved(problem.regularizer_2)
            curved = curved or isinstance(problem.kernel, SoftmaxKernel)
            curved = curved or isinstance(problem.reward, BoundedIncentive)
            inner = Traits(problem.gamma, len(problem.rho_s), curved, problem.tau == 0.0)
    return inner


def _curved(h: Regularizer) -> bool:
    return _curved(h.base) if isinstance(h, Weighted) else not isinstance(h, Quadratic)
