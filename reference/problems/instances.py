r"""The random problems of the paper's experiments, drawn from a generator.

Section 6.1, Stackelberg games, and Section 6.3, incentive design.  The paper states the sizes, how
rewards and transitions are drawn and that policies are softmax.  It states neither the discount, the
strength and kind of the regularisers, nor the start distribution: these are arguments, with
gamma = 0.9, tau = 0.1, negative entropy and the uniform distribution as assumptions.
"""

import numpy as np

from reference.domains import Euclidean
from reference.policies import SoftmaxPolicy
from reference.problems.incentive_design import IncentiveDesign
from reference.problems.parametrizations import BoundedIncentive, FixedKernel
from reference.problems.stackelberg import StackelbergGame
from reference.problems.zero_sum_game import GameFamily
from reference.regularizers import NegativeEntropy, Regularizer
from reference.validation import Array, extents, scalar, source


def random_stackelberg(
    generator: np.random.Generator,
    *,
    n_states: int = 100,
    n_leader: int = 5,
    n_follower: int = 5,
    sparsity: float = 0.7,
    gamma: float = 0.9,
    tau: float = 0.1,
    regularizer: Regularizer | None = None,
    rho_s: Array | None = None,
) -> StackelbergGame:
    """Draw a Stackelberg game of Section 6.1.

    Transitions are uniform numbers, normalised; rewards are uniform numbers of [0, 1], those below
    ``sparsity`` replaced by zero.  The leader has softmax policies and no regulariser.

    Parameters
    ----------
    generator : Generator
        Draws transitions, leader's rewards and follower's rewards, in this order.
    n_states, n_leader, n_follower : int
    sparsity : float in [0, 1]
    gamma, tau, regularizer, rho_s
        Assumed: 0.9, 0.1, negative entropy, uniform.

    Raises
    ------
    InputError
        If a number is out of range; as :class:`StackelbergGame`.
    """
    shape = extents("(n_states, n_leader, n_follower)", (n_states, n_leader, n_follower))
    scalar("sparsity", sparsity, low=0.0, high=1.0)
    source(generator)
    P_sabt = _random_transitions(generator, shape)
    r_leader, r_follower = (_sparse(generator.random(shape), sparsity) for _ in range(2))
    return StackelbergGame(
        P_sabt,
        r_leader,
        r_follower,
        gamma,
        np.full(n_states, 1.0 / n_states) if rho_s is None else rho_s,
        tau,
        NegativeEntropy() if regularizer is None else regularizer,
        SoftmaxPolicy((n_states, n_leader)),
        0.0,
        NegativeEntropy(),
    )


def random_incentive_design(
    generator: np.random.Generator,
    *,
    n_states: int = 10,
    n_first: int = 5,
    n_second: int = 5,
    scale: float = 0.2,
    gamma: float = 0.9,
    tau: float = 0.1,
    regularizer: Regularizer | None = None,
    rho_s: Array | None = None,
) -> IncentiveDesign:
    """Draw an incentive problem of Section 6.3: players earn r + scale sigmoid(x), at no cost.

    Transitions of the players and of the designer are uniform numbers, normalised (assumed: the
    paper calls them random); both rewards are uniform on [0, 1].

    Parameters
    ----------
    generator : Generator
        Draws the players' transitions and rewards, then the designer's.
    n_states, n_first, n_second : int
    scale : float
        The largest incentive.
    gamma, tau, regularizer, rho_s
        Assumed: 0.9, 0.1, negative entropy for both players, uniform.

    Raises
    ------
    InputError
        If a number is out of range; as :class:`IncentiveDesign`.
    """
    shape = extents("(n_states, n_first, n_second)", (n_states, n_first, n_second))
    source(generator)
    P_sabt, r_sab = _random_transitions(generator, shape), generator.random(shape)
    P_design_sabt, r_design_sab = _random_transitions(generator, shape), generator.random(shape)
    h = NegativeEntropy() if regularizer is None else regularizer
    game = GameFamily(
        BoundedIncentive(r_sab, scale, Euclidean(shape)),
        FixedKernel(P_sabt.reshape(n_states, n_first * n_second, n_states)),
        gamma,
        np.full(n_states, 1.0 / n_states) if rho_s is None else rho_s,
        tau,
        h,
        h,
    )
    return IncentiveDesign(game, P_design_sabt, r_design_sab, np.zeros(n_states))


def _random_transitions(generator: np.random.Generator, shape: tuple[int, ...]) -> Array:
    weights = generator.random((*shape, shape[0]))
    return np.asarray(weights / weights.sum(axis=-1, keepdims=True))


def _sparse(rewards: Array, threshold: float) -> Array:
    return np.where(rewards < threshold, 0.0, rewards)
