"""Random problems in general position: of every kind, with nothing that could hide a missing term.

Start distributions, transitions, rewards and weights of the states are uneven; the numbers of states
and of each player's actions differ; rewards and transitions depend on x, with offsets that do not
vanish.  All numbers are of order one.

The families are built around an MDP or a game, which they contain at one point of their domain; a
special one, such as a hard case, thus becomes parametric too.  A transition that is impossible there
is impossible for every x.
"""

import math
from collections.abc import Callable, Mapping

import numpy as np

from reference.domains import Ball, Box, Domain, Euclidean, Simplices
from reference.policies import PolicyMap, SoftmaxPolicy
from reference.problems.incentive_design import IncentiveDesign
from reference.problems.mdp import Mdp, MdpFamily
from reference.problems.parametrizations import (
    BoundedIncentive,
    FixedKernel,
    LinearReward,
    PotentialShaping,
    SoftmaxKernel,
    TabularReward,
)
from reference.problems.reward_shaping import RewardShaping
from reference.problems.rlhf import BradleyTerryLabels, LabelRule, Rlhf
from reference.problems.stackelberg import StackelbergGame
from reference.problems.zero_sum_game import GameFamily, ZeroSumGame
from reference.regularizers import KLDivergence, NegativeEntropy, Quadratic, Regularizer, Weighted
from reference.validation import Array, extents, instance, provides, source, whole

# Parts.


def general_distributions(generator: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Draw positive, uneven distributions over the last axis.

    Raises
    ------
    InputError
        If the generator or the shape is none.
    """
    weights = source(generator).standard_exponential(extents("shape", shape)) + 0.1
    return np.asarray(weights / weights.sum(axis=-1, keepdims=True))


def general_point(generator: np.random.Generator, domain: Domain) -> Array:
    """Draw a point well inside a domain; of another kind of domain, the projection of a normal one.

    Raises
    ------
    InputError
        If the generator or the domain is none.
    """
    source(generator)
    provides("domain", domain, Domain)
    match domain:
        case Simplices(shape):
            return general_distributions(generator, shape)
        case Box(low, high):
            return np.asarray(low + generator.uniform(0.2, 0.8, low.shape) * (high - low))
        case Ball(centre, radius):
            u = generator.standard_normal(centre.shape)
            return np.asarray(centre + 0.5 * radius * u / np.sqrt(1.0 + (u * u).sum()))
        case _:
            return domain.project(generator.standard_normal(domain.shape))


def general_regularizers(
    generator: np.random.Generator, n_states: int, n_actions: int
) -> Mapping[str, Regularizer]:
    """Draw every regulariser, plain and with uneven weights of the states, by name.

    Raises
    ------
    InputError
        If the generator or a size is none.
    """
    plain: dict[str, Regularizer] = {
        "entropy": NegativeEntropy(),
        "kl": KLDivergence(general_distributions(generator, (n_states, n_actions))),
        "quadratic": Quadratic(),
    }
    weight_s = generator.uniform(0.5, 2.0, n_states)
    return plain | {f"weighted {name}": Weighted(h, weight_s) for name, h in plain.items()}


def _weighted_entropy(generator: np.random.Generator, n_states: int) -> Regularizer:
    return Weighted(NegativeEntropy(), generator.uniform(0.5, 2.0, n_states))


def _kl(generator: np.random.Generator, n_states: int, n_actions: int) -> Regularizer:
    return KLDivergence(general_distributions(generator, (n_states, n_actions)))


# One problem.


def general_mdp(
    generator: np.random.Generator,
    *,
    n_states: int = 4,
    n_actions: int = 3,
    gamma: float = 0.8,
    tau: float = 0.3,
    regularizer: Regularizer | None = None,
) -> Mdp:
    """Draw an MDP; its regulariser is a weighted negative entropy if none is given.

    Raises
    ------
    InputError
        As :class:`Mdp`, or if the generator or a size is none.
    """
    shape = extents("(n_states, n_actions)", (n_states, n_actions))
    return Mdp(
        general_distributions(generator, (*shape, n_states)),
        generator.standard_normal(shape),
        gamma,
        general_distributions(generator, (n_states,)),
        tau,
        _weighted_entropy(generator, n_states) if regularizer is None else regularizer,
    )


def general_game(
    generator: np.random.Generator,
    *,
    n_states: int = 4,
    n_first: int = 3,
    n_second: int = 2,
    gamma: float = 0.8,
    tau: float = 0.3,
    regularizer_1: Regularizer | None = None,
    regularizer_2: Regularizer | None = None,
) -> ZeroSumGame:
    """Draw a zero-sum game; KL and weighted negative entropy if no regularisers are given.

    Raises
    ------
    InputError
        As :class:`ZeroSumGame`, or if the generator or a size is none.
    """
    shape = extents("(n_states, n_first, n_second)", (n_states, n_first, n_second))
    return ZeroSumGame(
        general_distributions(generator, (*shape, n_states)),
        generator.standard_normal(shape),
        gamma,
        general_distributions(generator, (n_states,)),
        tau,
        _kl(generator, n_states, n_first) if regularizer_1 is None else regularizer_1,
        _weighted_entropy(generator, n_states) if regularizer_2 is None else regularizer_2,
    )


# Families around one problem.


def _linear(generator: np.random.Generator, n_features: int, offset: Array) -> LinearReward:
    n = whole("n_features", n_features, low=1)
    # Not centred, but around the origin, where the reward is the offset.
    domain = Ball(np.arange(1, n + 1) / (2.0 * n), 1.0 + math.sqrt(n))
    return LinearReward(generator.standard_normal((n, *offset.shape)), offset, domain)


def _tilted(
    generator: np.random.Generator, P_sat: Array, domain: Domain, origin: Array
) -> SoftmaxKernel:
    """A softmax kernel that is ``P_sat`` at the point ``origin``."""
    features = 0.5 * generator.standard_normal((*domain.shape, *P_sat.shape))
    with np.errstate(divide="ignore"):
        logits = np.log(P_sat)
    return SoftmaxKernel(logits - np.tensordot(origin, features, axes=origin.ndim), features, domain)


def _mdp(generator: np.random.Generator, mdp: Mdp | None) -> Mdp:
    return general_mdp(generator) if mdp is None else instance("mdp", mdp, Mdp)


def _game(generator: np.random.Generator, game: ZeroSumGame | None) -> ZeroSumGame:
    return general_game(generator) if game is None else instance("game", game, ZeroSumGame)


def tabular_family(
    generator: np.random.Generator, mdp: Mdp | None = None, *, domain: Domain | None = None
) -> MdpFamily:
    """Draw a family whose x is the table of rewards and tilts the transitions too.

    Parameters
    ----------
    generator : Generator
    mdp : Mdp, optional
        The member at x = mdp.r_sa; drawn by :func:`general_mdp` if not given.
    domain : Domain, optional
        Of tables (S, A); an uneven box around mdp.r_sa if not given.

    Raises
    ------
    InputError
        If the generator, the MDP or the domain is none.
    """
    source(generator)
    mdp = _mdp(generator, mdp)
    if domain is None:
        room = generator.uniform(0.5, 2.0, (2, *mdp.r_sa.shape))
        domain = Box(mdp.r_sa - room[0], mdp.r_sa + room[1])
    reward = TabularReward(domain)
    kernel = _tilted(generator, mdp.P_sat, domain, mdp.r_sa)
    return MdpFamily(reward, kernel, mdp.gamma, mdp.rho_s, mdp.tau, mdp.regularizer)


def linear_family(
    generator: np.random.Generator, mdp: Mdp | None = None, *, n_features: int = 2
) -> MdpFamily:
    """Draw a family whose x, in a ball, weights features of the rewards and of the transitions.

    Parameters
    ----------
    generator : Generator
    mdp : Mdp, optional
        The member at x = 0; drawn by :func:`general_mdp` if not given.
    n_features : int

    Raises
    ------
    InputError
        If the generator, the MDP or the number is none.
    """
    source(generator)
    mdp = _mdp(generator, mdp)
    reward = _linear(generator, n_features, mdp.r_sa)
    kernel = _tilted(generator, mdp.P_sat, reward.domain, np.zeros(n_features))
    return MdpFamily(reward, kernel, mdp.gamma, mdp.rho_s, mdp.tau, mdp.regularizer)


def potential_family(generator: np.random.Generator, mdp: Mdp | None = None) -> MdpFamily:
    """Draw a family whose x is a shaping potential, unconstrained; the transitions are fixed.

    Parameters
    ----------
    generator : Generator
    mdp : Mdp, optional
        The member at x = 0; drawn by :func:`general_mdp` if not given.

    Raises
    ------
    InputError
        If the generator or the MDP is none.
    """
    source(generator)
    mdp = _mdp(generator, mdp)
    reward = PotentialShaping(mdp.r_sa, mdp.P_sat, mdp.gamma, Euclidean((mdp.n_states,)))
    return MdpFamily(reward, FixedKernel(mdp.P_sat), mdp.gamma, mdp.rho_s, mdp.tau, mdp.regularizer)


def general_game_family(
    generator: np.random.Generator, game: ZeroSumGame | None = None, *, n_features: int = 2
) -> GameFamily:
    """Draw a family of games whose x, in a ball, weights features of rewards and transitions.

    Parameters
    ----------
    generator : Generator
    game : ZeroSumGame, optional
        The member at x = 0; drawn by :func:`general_game` if not given.
    n_features : int

    Raises
    ------
    InputError
        If the generator, the game or the number is none.
    """
    source(generator)
    game = _game(generator, game)
    reward = _linear(generator, n_features, game.r_sab)
    P_sjt = game.P_sabt.reshape(game.n_states, -1, game.n_states)
    return GameFamily(
        reward,
        _tilted(generator, P_sjt, reward.domain, np.zeros(n_features)),
        game.gamma,
        game.rho_s,
        game.tau,
        game.regularizer_1,
        game.regularizer_2,
    )


# Applications.


def general_stackelberg(
    generator: np.random.Generator,
    *,
    leader: Callable[[tuple[int, int]], PolicyMap] = SoftmaxPolicy,
    n_states: int = 4,
    n_leader: int = 3,
    n_follower: int = 2,
    gamma: float = 0.8,
    tau: float = 0.3,
    regularizer: Regularizer | None = None,
    tau_leader: float = 0.1,
    regularizer_leader: Regularizer | None = None,
) -> StackelbergGame:
    """Draw a Stackelberg game; ``leader`` is its class of policies, Softmax- or DirectPolicy.

    Raises
    ------
    InputError
        As :class:`StackelbergGame`, or if the generator or a size is none.
    """
    shape = extents("(n_states, n_leader, n_follower)", (n_states, n_leader, n_follower))
    return StackelbergGame(
        general_distributions(generator, (*shape, n_states)),
        generator.standard_normal(shape),
        generator.standard_normal(shape),
        gamma,
        general_distributions(generator, (n_states,)),
        tau,
        _weighted_entropy(generator, n_states) if regularizer is None else regularizer,
        leader((n_states, n_leader)),
        tau_leader,
        _kl(generator, n_states, n_leader) if regularizer_leader is None else regularizer_leader,
    )


def general_rlhf(
    generator: np.random.Generator,
    mdp: Mdp | None = None,
    *,
    n_features: int = 2,
    segment_length: int = 2,
    delay: int = 1,
    labels: LabelRule | None = None,
) -> Rlhf:
    """Draw a preference problem with a linear model of the reward.

    Parameters
    ----------
    generator : Generator
    mdp : Mdp, optional
        The true task; drawn by :func:`general_mdp` if not given.
    n_features, segment_length, delay : int
    labels : LabelRule, optional
        Bradley-Terry at temperature 0.7 if not given.

    Raises
    ------
    InputError
        As :class:`Rlhf`, or if the generator, the MDP or a number is none.
    """
    source(generator)
    mdp = _mdp(generator, mdp)
    rule = BradleyTerryLabels(0.7) if labels is None else labels
    lower = _with_linear_reward(generator, mdp, n_features)
    return Rlhf(lower, mdp.r_sa, segment_length, rule, delay)


def general_shaping(
    generator: np.random.Generator, mdp: Mdp | None = None, *, n_features: int = 2
) -> RewardShaping:
    """Draw a shaping problem with features, which unlike a potential do change the best policy.

    Parameters
    ----------
    generator : Generator
    mdp : Mdp, optional
        The original task; drawn by :func:`general_mdp` if not given.
    n_features : int

    Raises
    ------
    InputError
        If the generator, the MDP or the number is none.
    """
    source(generator)
    mdp = _mdp(generator, mdp)
    return RewardShaping(mdp, _with_linear_reward(generator, mdp, n_features))


def general_incentive_design(
    generator: np.random.Generator, game: ZeroSumGame | None = None, *, scale: float = 0.7
) -> IncentiveDesign:
    """Draw an incentive problem with bounded incentives and a cost of the states.

    Parameters
    ----------
    generator : Generator
    game : ZeroSumGame, optional
        The players' game without incentives; drawn by :func:`general_game` if not given.
    scale : float
        The largest incentive.

    Raises
    ------
    InputError
        If the generator, the game or the scale is none.
    """
    source(generator)
    game = _game(generator, game)
    family = GameFamily(
        BoundedIncentive(game.r_sab, scale, Euclidean(game.r_sab.shape)),
        FixedKernel(game.P_sabt.reshape(game.n_states, -1, game.n_states)),
        game.gamma,
        game.rho_s,
        game.tau,
        game.regularizer_1,
        game.regularizer_2,
    )
    return IncentiveDesign(
        family,
        general_distributions(generator, game.P_sabt.shape),
        generator.standard_normal(game.r_sab.shape),
        generator.standard_normal(game.n_states),
    )


def _with_linear_reward(generator: np.random.Generator, mdp: Mdp, n_features: int) -> MdpFamily:
    """A linear model of the reward, far from the true one, with the true transitions."""
    offset = generator.standard_normal(mdp.r_sa.shape)
    reward = _linear(generator, n_features, offset)
    return MdpFamily(reward, FixedKernel(mdp.P_sat), mdp.gamma, mdp.rho_s, mdp.tau, mdp.regularizer)
