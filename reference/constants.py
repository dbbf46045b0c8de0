r"""Lipschitz and smoothness constants, as proved: what the paper's proofs leave to be specified.

A problem enters through bounds that hold on all of X, for every state and action and every unit
direction D, D' of x, and for every unit direction of a player's parameters at every policy::

    beta    half the range of the one-step rewards r - tau h
    |D r| <= G_r,   |D'D r| <= H_r,   sum_t |D P(t)| <= G_P,   sum_t |D'D P(t)| <= H_P
    sum_a |D pi(a)| <= b,   sum_a |D'D pi(a)| <= b',   |D h| <= B,   |D'D h| <= L_h,   h m-convex

For direct policies D runs through directions u with sum_a u(a) = 0, so b' = 0 and b is the largest
|u|_1 of unit vectors, 2 sqrt(floor(A/2) ceil(A/2) / A) <= sqrt A; gradients in the policy are gradients
along the simplices, which is all that steps inside them see.

**One identity.**  With V = (I - gamma P_pi)^{-1} c_pi =: M c, differentiated twice::

    DV   = M ( Dc + gamma DP V )
    D'DV = M ( D'Dc + gamma D'DP V + gamma D'P DV + gamma DP D'V )

M has absolute row sums 1 / (1 - gamma); V and Q have ranges of at most 2 beta / (1 - gamma); and rows of
DP and D'DP sum to zero, as do Dpi and D'Dpi, so they see only half the range of what they act on.  Hence
with one entry for x and one for each player i::

    p   = ( G_P,   b_i )                                              sum_t |DP|
    k   = ( G_r + gamma G_P beta/(1-gamma),   b_i beta/(1-gamma) + tau B_i )   |Dc + gamma DP V|
    K   = k_xx = H_r + gamma H_P beta/(1-gamma),   k_xi = b_i k_x,             |D'Dc + gamma D'DP V|
          k_ii = b'_i beta/(1-gamma) + tau L_h,    k_ij = b_i b_j beta/(1-gamma)

    |DV| <= k / (1-gamma),    |D'DV| <= L := ( K + gamma (p k' + k p') / (1-gamma) ) / (1-gamma)

L are the *block constants* of V(s) and of V(rho): how fast the gradient in one block changes with
another.  L_ii is the L_vy of (C.22), L_xi the constant L_xpi of (C.30).

**From blocks to one constant.**  |grad V - grad V'| in block i is at most sum_j L_ij |dz_j|, and L is
symmetric and nonnegative, so V is smooth with its largest eigenvalue, L_v (Lemmas 20 and 21).

**Solutions.**  The maximiser of <p, q> - tau h is 1/(tau m)-Lipschitz in q (add its two optimality
inequalities), and sees q up to constants.  |D Q*| <= k/(1-gamma) for any parameters of the player's MDP,
so the optimal policy and the best responses are Lipschitz (Lemma 17) with

    L_pi = sqrt(S) b |k_others| / ( (1-gamma) tau m ),       k_others: x and the other player.

**Penalties**, for direct policies, in the blocks (x, policy); pi* is the optimal policy::

    value     grad_x p = grad_x V(pi*) - grad_x V(pi),   grad_pi p = -grad_pi V              (Lemma 10)
              L_p = lambda_max [[ 2 L_xx + L_xpi L_pi,  L_xpi ], [ L_xpi,  L_pipi ]]
    Bellman   grad_x p = E_rho <pi* - pi, grad_x Q(pi*)>,   grad_pi p = rho (tau grad h - Q*)
              L_p = lambda_max [[ 2 L_xx + (L_xpi + L_Q) L_pi,  l ], [ l,  tau L_h max rho ]]
              with  l = |rho|_2 b k_x/(1-gamma),   L_Q = L_xpi - b k_x/(1-gamma)
    game      L_psi = 2 L_v sqrt(1 + L_pi^2)                                            (D.9, Lemma 15)

**Inexact companions.**  With pi^ in place of pi*, at the distance delta (the sum of the distances of
both players), the penalty's gradient errs by at most (C.30, C.7, D.10)::

    value     L_xpi delta
    Bellman   ( 2 L_Q + |rho|_2 b k_x/(1-gamma) ) delta     in x
              gamma |rho|_2 sqrt(A) k_pi/(1-gamma) delta    in the policy, with pi^ throughout
    game      L_v delta                                     along the simplices

For the Bellman penalty the part in x is E_rho <pi^ - pi, grad_x Q^pi^ - grad_x Q*> plus
E_rho <pi^ - pi*, grad_x Q*>; in the policy 0 <= Q* - Q^pi^ <= gamma max (V* - V^pi^) in every entry.

For the Bellman penalty: Q differentiates to gamma (DP D'V + P D'DV), so L_Q bounds its mixed derivative
and L_xx again its second one in x; and v(x) = -V*(rho), so its gradient is that of V at pi*.  For the
game, the parts of the difference of gradients that belong to V(pi_1, pi_2*) and to V(pi_1*, pi_2) are at
most L_v sqrt(1 + L_pi^2) times the moves of (x, pi_1) and of (x, pi_2), and both have a part in x.
"""

import math
from dataclasses import dataclass

import numpy as np

from reference.domains import Ball, Box, Domain, Simplices, some_point
from reference.errors import InputError
from reference.policies import SmoothMap
from reference.problems.mdp import Mdp, MdpFamily
from reference.problems.parametrizations import (
    BoundedIncentive,
    FixedKernel,
    FixedReward,
    Kernel,
    LinearReward,
    PotentialShaping,
    SoftmaxKernel,
    TabularReward,
)
from reference.problems.zero_sum_game import GameFamily
from reference.regularizers import Quadratic, Regularizer, Weighted
from reference.validation import Array, real_array


@dataclass(frozen=True)
class Player:
    """Bounds of one player's parametrisation and regulariser, along unit vectors of the parameters.

    Attributes
    ----------
    n_actions : int
    move, bend : float
        b and b': largest sum_a |D pi(a|s)| and sum_a |D'D pi(a|s)|.
    h_slope, h_curvature : float
        B and L_h: largest |D h| and |D'D h|, without tau.
    h_modulus : float
        m: h is m-strongly convex in the policy.
    """

    n_actions: int
    move: float
    bend: float
    h_slope: float
    h_curvature: float
    h_modulus: float


@dataclass(frozen=True)
class Bounds:
    """What the constants are made of.

    Attributes
    ----------
    n_states : int
    gamma, tau : float
    start, start_norm : float
        Largest entry and Euclidean norm of rho.
    half_range : float
        beta: half the range of one-step rewards with regularisation, at any x.
    reward_slope, reward_curvature : float
        G_r, H_r.
    kernel_slope, kernel_curvature : float
        G_P, H_P.
    players : tuple of Player
        One for an MDP, two for a game.
    """

    n_states: int
    gamma: float
    tau: float
    start: float
    start_norm: float
    half_range: float
    reward_slope: float
    reward_curvature: float
    kernel_slope: float
    kernel_curvature: float
    players: tuple[Player, ...]

    @property
    def horizon(self) -> float:
        """1 / (1 - gamma)."""
        return 1.0 / (1.0 - self.gamma)

    @property
    def moves(self) -> Array:
        """P: how much the transitions change along x and each player's parameters, shape (1 + N,)."""
        return np.array([self.kernel_slope, *(player.move for player in self.players)])

    @property
    def slopes(self) -> Array:
        """k: how much one backup changes along x and each player's parameters, shape (1 + N,)."""
        beta = self.horizon * self.half_range
        own = (player.move * beta + self.tau * player.h_slope for player in self.players)
        return np.array([self.reward_slope + self.gamma * self.kernel_slope * beta, *own])


# From data.


def bounds(family: MdpFamily | GameFamily) -> Bounds:
    """Bounds of a family with direct policies, a smooth regulariser and known maps of x.

    Raises
    ------
    InputError
        If the family is a batch, rewards are unbounded on X, a map is the user's own, or a regulariser
        is not smooth up to the boundary of the simplex: then give :class:`Bounds` yourself.
    """
    rewards = real_array("the reward", family.reward(some_point(family.domain)))
    axes = 2 if isinstance(family, MdpFamily) else 3
    kernel = family.kernel(some_point(family.domain))
    if rewards.ndim != axes or family.rho_s.ndim != 1 or kernel.ndim != 3:
        raise InputError("the family is a batch of problems; ask for the bounds of one at a time")
    low, high, reward_slope, reward_curvature = _reward(family.reward)
    if isinstance(family, MdpFamily):
        regularizers: tuple[Regularizer, ...] = (family.regularizer,)
    else:
        regularizers = family.regularizer_1, family.regularizer_2
    if family.tau == 0.0:
        # It counts for nothing.
        regularizers = tuple(Quadratic() for _ in regularizers)
    n_states, *actions = rewards.shape
    h_ranges, players = zip(*map(_player, regularizers, actions), strict=True)
    kernel_slope = _kernel_slope(family.kernel)
    return Bounds(
        n_states=n_states,
        gamma=family.gamma,
        tau=family.tau,
        start=float(family.rho_s.max()),
        start_norm=float(np.sqrt((family.rho_s**2).sum(axis=-1)).max()),
        half_range=0.5 * (float(high.max() - low.min()) + family.tau * sum(h_ranges)),
        reward_slope=reward_slope,
        reward_curvature=reward_curvature,
        kernel_slope=kernel_slope,
        # Covariances of features whose range is twice the slope, and the products they are means of.
        kernel_curvature=2.0 * kernel_slope**2,
        players=players,
    )


def policy_spread(n_actions: int) -> float:
    """Largest |u|_1 of unit vectors u with sum_a u(a) = 0: 0, sqrt 2, sqrt(8/3), 2, ... <= sqrt A."""
    return 2.0 * math.sqrt((n_actions // 2) * ((n_actions + 1) // 2) / n_actions)


def _player(regularizer: Regularizer, n_actions: int) -> tuple[float, Player]:
    """Range of h, and a player with direct policies."""
    h_range, slope = _smooth(regularizer, n_actions)
    modulus, curvature = regularizer.strong_convexity, regularizer.smoothness
    return h_range, Player(n_actions, policy_spread(n_actions), 0.0, slope, curvature, modulus)


def _smooth(regularizer: Regularizer, n_actions: int) -> tuple[float, float]:
    """Range of h and largest norm of its gradient along the simplex."""
    match regularizer:
        case Quadratic():
            return 0.5 * (1.0 - 1.0 / n_actions), math.sqrt(1.0 - 1.0 / n_actions)
        case Weighted(base=Quadratic(), weight_s=weight_s):
            low, high = float(weight_s.min()), float(weight_s.max())
            return 0.5 * (high - low / n_actions), high * math.sqrt(1.0 - 1.0 / n_actions)
    raise InputError(
        f"the gradient of {type(regularizer).__name__} has no bound on the simplex, so no penalty is "
        "smooth with direct policies: use the quadratic regulariser, or give Bounds for your class"
    )


def _reward(reward: SmoothMap) -> tuple[Array, Array, float, float]:
    """Smallest and largest rewards over X, G_r and H_r."""
    match reward:
        case FixedReward(r_sa=r):
            return r, r, 0.0, 0.0
        case TabularReward(domain=domain):
            n = math.prod(domain.shape)
            low, high = _extremes(domain, np.eye(n).reshape(*domain.shape, *domain.shape))
            return low, high, 1.0, 0.0
        case LinearReward(features_isa=features, offset_sa=offset, domain=domain):
            return *_linear(domain, features, offset), 0.0
        case PotentialShaping(r_sa=r, P_sat=P_sat, gamma=gamma, domain=domain):
            features = np.moveaxis(gamma * P_sat - np.eye(P_sat.shape[-1])[:, None, :], -1, 0)
            return *_linear(domain, features, r), 0.0
        case BoundedIncentive(r_sa=r, scale=scale):
            # The sigmoid's derivative is at most 1/4, its second one at most 1 / (6 sqrt 3).
            size = abs(scale)
            return r + min(scale, 0.0), r + max(scale, 0.0), size / 4.0, size / (6.0 * math.sqrt(3.0))
    raise InputError(
        f"rewards given by {type(reward).__name__} have no known bounds: give Bounds yourself"
    )


def _linear(domain: Domain, features: Array, offset: Array) -> tuple[Array, Array, float]:
    low, high = _extremes(domain, features)
    axes = tuple(range(len(domain.shape)))
    return offset + low, offset + high, float(np.sqrt((features**2).sum(axis=axes)).max())


def _extremes(domain: Domain, features: Array) -> tuple[Array, Array]:
    """Smallest and largest sum_i x(i) f_i over a compact domain; i has the axes of x."""
    axes = len(domain.shape)
    match domain:
        case Box(low=low, high=high):
            centre = np.tensordot(0.5 * (low + high), features, axes=axes)
            reach = np.tensordot(0.5 * (high - low), np.abs(features), axes=axes)
        case Ball(centre=middle, radius=radius):
            centre = np.tensordot(middle, features, axes=axes)
            reach = radius * np.sqrt((features**2).sum(axis=tuple(range(axes))))
        case Simplices():
            rows = tuple(range(axes - 1))
            return features.min(axis=axes - 1).sum(axis=rows), features.max(axis=axes - 1).sum(axis=rows)
        case _:
            raise InputError(
                f"rewards are unbounded on {domain}, and so are the constants: use a box or a ball"
            )
    return centre - reach, centre + reach


def _kernel_slope(kernel: Kernel) -> float:
    """G_P.

    Along a unit vector a softmax changes by P (f - E f), whose absolute sum, a mean absolute deviation,
    is at most half the range of f over the possible next states.
    """
    match kernel:
        case FixedKernel():
            return 0.0
        case SoftmaxKernel(logits_sat=logits, features_isat=features, domain=domain):
            flat = features.reshape(math.prod(domain.shape), *features.shape[len(domain.shape) :])
            apart = flat[..., :, None] - flat[..., None, :]
            distance = np.sqrt((apart**2).sum(axis=0))
            possible = np.isfinite(logits)
            return 0.5 * float(distance[possible[..., :, None] & possible[..., None, :]].max())
    raise InputError(
        f"transitions given by {type(kernel).__name__} have no known bounds: give Bounds yourself"
    )


# Constants.


def gradient_dominance(mdp: Mdp) -> float:
    """mu of Lemma 2: max <grad_pi V, pi' - pi> >= mu (max V - V), for product classes.

    With m = min rho it is (1-gamma) m / (gamma + (1-gamma) m): the occupancies d*, d of the optimal
    and of the given policy have d*(s) <= (1-gamma) rho(s) + gamma and d(s) >= (1-gamma) rho(s), and the
    gap is at most the largest quotient d*/d times the left side.  It is attained.
    """
    rare = (1.0 - mdp.gamma) * float(mdp.rho_s.min())
    return rare / (mdp.gamma + rare)


def value_blocks(given: Bounds) -> Array:
    """Block constants L of V(s) and V(rho), for x and each player; shape (1 + N, 1 + N)."""
    beta, k, p = given.horizon * given.half_range, given.slopes, given.moves
    K = np.outer(p, p) * beta
    K[0, 1:] = K[1:, 0] = p[1:] * k[0]
    K[0, 0] = given.reward_curvature + given.gamma * given.kernel_curvature * beta
    for i, player in enumerate(given.players, start=1):
        K[i, i] = player.bend * beta + given.tau * player.h_curvature
    mixed = np.outer(p, k)
    return np.asarray(given.horizon * (K + given.gamma * given.horizon * (mixed + mixed.T)))


def largest_eigenvalue(blocks: Array) -> float:
    """Smoothness from symmetric block constants."""
    return float(np.linalg.eigvalsh(blocks)[-1])


def value_smoothness(given: Bounds) -> float:
    """L_v: of V(s) and V(rho) in x and all policies together (Lemmas 20 and 21)."""
    return largest_eigenvalue(value_blocks(given))


def gradient_in_policy(given: Bounds) -> float:
    """L_xpi: |grad_x V^pi - grad_x V^pi'| <= L_xpi |pi - pi'|, and so the estimation error in (C.30)."""
    return float(value_blocks(given)[0, 1])


def response_slope(given: Bounds, player: int = 0) -> float:
    """L_pi: of the optimal policy in x (Lemma 17), or of a best response in x and the other's policy.

    Raises
    ------
    InputError
        At tau = 0: then optimal policies jump.
    """
    if given.tau == 0.0:
        raise InputError("at tau = 0 optimal policies jump, and no constant exists: use tau > 0")
    own = given.players[player]
    others = float(np.linalg.norm(np.delete(given.slopes, 1 + player)))
    slope = math.sqrt(given.n_states) * policy_spread(own.n_actions) * given.horizon * others
    return slope / (given.tau * own.h_modulus)


def value_penalty_smoothness(given: Bounds) -> float:
    """L_p of the value penalty, for direct policies."""
    L = value_blocks(given)
    along_x = 2.0 * L[0, 0] + L[0, 1] * response_slope(given)
    return largest_eigenvalue(np.array([[along_x, L[0, 1]], [L[0, 1], L[1, 1]]]))


def bellman_penalty_smoothness(given: Bounds) -> float:
    """L_p of the Bellman penalty, for direct policies."""
    L, (player,) = value_blocks(given), given.players
    q_slope = player.move * given.horizon * float(given.slopes[0])
    along_x = 2.0 * L[0, 0] + (2.0 * L[0, 1] - q_slope) * response_slope(given)
    mixed = given.start_norm * q_slope
    along_pi = given.tau * player.h_curvature * given.start
    return largest_eigenvalue(np.array([[along_x, mixed], [mixed, along_pi]]))


def nikaido_isoda_smoothness(given: Bounds) -> float:
    """L_psi of the Nikaido-Isoda function, for direct policies."""
    slope = max(response_slope(given, player) for player in range(len(given.players)))
    return 2.0 * value_smoothness(given) * math.sqrt(1.0 + slope**2)


def bellman_companion_errors(given: Bounds) -> tuple[float, float]:
    """Errors of grad_x p and grad_pi p of the Bellman penalty per distance of the companion."""
    L, (player,) = value_blocks(given), given.players
    q_slope = player.move * given.horizon * float(given.slopes[0])
    along_x = 2.0 * (float(L[0, 1]) - q_slope) + given.start_norm * q_slope
    value_slope = given.horizon * float(given.slopes[1])
    along_pi = given.gamma * given.start_norm * math.sqrt(player.n_actions) * value_slope
    return along_x, along_pi
