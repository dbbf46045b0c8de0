"""Named problems that are hard for some computation; each says what for.

``hard_cases``, ``hard_families``, ``hard_stackelberg_games`` and ``hard_games`` yield all of a kind by
name, for checks that run over them.  Start distributions are positive and uneven, as penalties need.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from reference.policies import SoftmaxPolicy
from reference.problems.general_position import (
    general_game,
    general_mdp,
    general_stackelberg,
    linear_family,
)
from reference.problems.mdp import Mdp, MdpFamily
from reference.problems.stackelberg import StackelbergGame
from reference.problems.zero_sum_game import ZeroSumGame
from reference.regularizers import NegativeEntropy, Quadratic
from reference.validation import Array

_SEED = 20240209


def _start(n_states: int) -> Array:
    """Uneven and positive: proportional to 1, 2, 3, ..."""
    return np.arange(1.0, n_states + 1.0) / (n_states * (n_states + 1) / 2)


# Markov decision processes.


def slow_mixing_chain() -> Mdp:
    """A walk on a line that moves once in a thousand steps, with its reward at the far end.

    Truncated sums and sampled trajectories see one state only; exact solves must not.
    """
    n, move = 6, 1e-3
    P_sat = np.zeros((n, 2, n))
    for s in range(n):
        for a, (left, right) in enumerate(((0.6, 0.4), (0.1, 0.9))):
            P_sat[s, a, s] += 1.0 - move
            P_sat[s, a, max(s - 1, 0)] += move * left
            P_sat[s, a, min(s + 1, n - 1)] += move * right
    r_sa = np.zeros((n, 2))
    r_sa[-1] = 1.0, 0.75
    r_sa[0] = 0.0, -0.25
    return Mdp(P_sat, r_sa, 0.99, _start(n), 0.01, NegativeEntropy())


def near_deterministic_cycle() -> Mdp:
    """A cycle that is left once in a million steps: nearly periodic, eigenvalues near the unit circle.

    Power-like iterations oscillate instead of decaying, and rows hold numbers of very different size.
    """
    n, slip = 5, 1e-6
    P_sat = np.full((n, 2, n), slip / n)
    for s in range(n):
        P_sat[s, 0, (s + 1) % n] += 1.0 - slip
        P_sat[s, 1, (s + 2) % n] += 1.0 - slip
    r_sa = np.array([[1.0, 0.0], [0.0, 0.5], [-1.0, 0.25], [0.0, 0.0], [0.5, -0.5]])
    return Mdp(P_sat, r_sa, 0.95, _start(n), 0.05, NegativeEntropy())


def unreachable_state() -> Mdp:
    """A state that no state leads to, itself included: visited only by starting there.

    Its visits are exactly rho, so whatever divides by occupancies or forgets rho goes wrong.
    """
    P_sat = np.zeros((3, 2, 3))
    P_sat[:, 0, :2] = [[0.3, 0.7], [0.6, 0.4], [0.9, 0.1]]
    P_sat[:, 1, :2] = [[0.8, 0.2], [0.1, 0.9], [0.5, 0.5]]
    r_sa = np.array([[1.0, 0.0], [0.0, 0.5], [2.0, -1.0]])
    return Mdp(P_sat, r_sa, 0.9, _start(3), 0.2, Quadratic())


def reducible_chain() -> Mdp:
    """Two closed classes and a transient state between them: no policy's chain is irreducible.

    Premises on ergodic chains fail, and the stationary distribution is not unique.
    """
    P_sat = np.zeros((4, 3, 4))
    P_sat[0, :, 0] = P_sat[3, :, 3] = 1.0
    P_sat[1] = [[0.9, 0.1, 0.0, 0.0], [0.0, 0.5, 0.5, 0.0], [0.2, 0.0, 0.8, 0.0]]
    P_sat[2] = [[0.0, 0.0, 0.1, 0.9], [0.0, 1.0, 0.0, 0.0], [0.0, 0.3, 0.3, 0.4]]
    r_sa = np.array([[0.0, 0.1, -0.1], [0.3, 0.0, 0.2], [0.0, 0.4, 0.1], [1.0, -1.0, 0.5]])
    return Mdp(P_sat, r_sa, 0.9, _start(4), 0.1, NegativeEntropy())


def _general(gamma: float = 0.8, tau: float = 0.3) -> Mdp:
    return general_mdp(np.random.default_rng(_SEED), gamma=gamma, tau=tau)


def myopic() -> Mdp:
    """gamma = 0: the future counts for nothing, and every term with gamma vanishes."""
    return _general(gamma=0.0)


def far_sighted() -> Mdp:
    """gamma = 1 - 1e-6: values of a million, horizons of millions, and a condition number to match."""
    return _general(gamma=1.0 - 1e-6)


def cold() -> Mdp:
    """tau = 1e-6: policies are deterministic to all digits, and exp(q / tau) overflows."""
    return _general(tau=1e-6)


def hot() -> Mdp:
    """tau = 1e3: the regulariser exceeds the reward a thousandfold, and differences cancel."""
    return _general(tau=1e3)


def one_state() -> Mdp:
    """One state: every policy has the same occupancy, and axes of length one are easily lost."""
    return general_mdp(np.random.default_rng(_SEED), n_states=1)


def one_action() -> Mdp:
    """One action: the only policy is optimal, and every penalty and gap must vanish."""
    return general_mdp(np.random.default_rng(_SEED), n_actions=1)


def tied_actions() -> Mdp:
    """tau = 0 with two optimal actions in every state: no unique optimal policy, no gradient.

    The first two actions are copies of each other, so they tie whatever the values are.
    """
    mdp = _general(tau=0.0)
    P_sat, r_sa = mdp.P_sat.copy(), mdp.r_sa.copy()
    P_sat[:, 1], r_sa[:, 1] = P_sat[:, 0], r_sa[:, 0]
    r_sa[:, 2] = r_sa[:, :2].min() - 10.0
    return replace(mdp, P_sat=P_sat, r_sa=r_sa)


_MDPS = (
    slow_mixing_chain,
    near_deterministic_cycle,
    unreachable_state,
    reducible_chain,
    myopic,
    far_sighted,
    cold,
    hot,
    one_state,
    one_action,
    tied_actions,
)


def hard_cases() -> Mapping[str, Mdp]:
    """All hard MDPs by name."""
    return {make.__name__: make() for make in _MDPS}


def hard_families() -> Mapping[str, MdpFamily]:
    """Each hard MDP at x = 0 of a family whose rewards and transitions depend on x, by name.

    Impossible transitions stay impossible, so an unreachable state or closed class stays one.
    """
    generator = np.random.default_rng(_SEED)
    return {name: linear_family(generator, mdp) for name, mdp in hard_cases().items()}


# Stackelberg games.


def leader_opens_the_door() -> StackelbergGame:
    """The leader alone decides whether the follower's only reward can be reached.

    The follower's gradient vanishes in the second state when the leader keeps the door shut, while
    the leader's gradient there is the product of two small numbers.
    """
    P_sabt = np.zeros((3, 2, 2, 3))
    P_sabt[0, 0, :, 0] = 1.0
    P_sabt[0, 1, 0], P_sabt[0, 1, 1] = [0.9, 0.1, 0.0], [0.1, 0.2, 0.7]
    P_sabt[1, :, :, 0] = P_sabt[2, :, :, 2] = 1.0
    r_leader_sab = np.zeros((3, 2, 2))
    r_leader_sab[0, 0], r_leader_sab[2] = 0.1, [[1.0, -2.0], [0.5, -1.0]]
    r_follower_sab = np.zeros((3, 2, 2))
    r_follower_sab[2] = [[0.0, 1.0], [0.25, 0.5]]
    h, leader = NegativeEntropy(), SoftmaxPolicy((3, 2))
    return StackelbergGame(
        P_sabt, r_leader_sab, r_follower_sab, 0.95, _start(3), 0.05, h, leader, 0.0, h
    )


def powerless_follower() -> StackelbergGame:
    """One action for the follower: every policy of it is optimal, and all penalties vanish for all x."""
    return general_stackelberg(np.random.default_rng(_SEED), n_follower=1)


def powerless_leader() -> StackelbergGame:
    """One action for the leader: nothing depends on x, and every gradient in x vanishes."""
    return general_stackelberg(np.random.default_rng(_SEED), n_leader=1)


def far_sighted_stackelberg() -> StackelbergGame:
    """gamma = 1 - 1e-6 with a direct effect of the leader on the transitions."""
    return general_stackelberg(np.random.default_rng(_SEED), gamma=1.0 - 1e-6)


_STACKELBERG = (
    leader_opens_the_door,
    powerless_follower,
    powerless_leader,
    far_sighted_stackelberg,
)


def hard_stackelberg_games() -> Mapping[str, StackelbergGame]:
    """All hard Stackelberg games by name."""
    return {make.__name__: make() for make in _STACKELBERG}


# Zero-sum games.


def matching_pennies() -> ZeroSumGame:
    """No equilibrium in pure policies: best responses chase each other around a cycle.

    Winning leads to the other state, where the stakes are tripled and the roles exchanged.
    """
    win = np.array([[1.0, -1.0], [-1.0, 1.0]])
    P_sabt = np.zeros((2, 2, 2, 2))
    P_sabt[0, ..., 1] = P_sabt[1, ..., 0] = 0.5 + 0.4 * win
    P_sabt[0, ..., 0] = P_sabt[1, ..., 1] = 0.5 - 0.4 * win
    h = NegativeEntropy()
    return ZeroSumGame(P_sabt, np.stack([win, -3.0 * win]), 0.9, _start(2), 0.01, h, h)


def one_sided_game() -> ZeroSumGame:
    """One action for the second player: an MDP in disguise, with axes of length one."""
    return general_game(np.random.default_rng(_SEED), n_second=1)


def myopic_game() -> ZeroSumGame:
    """gamma = 0: a matrix game in each state."""
    return general_game(np.random.default_rng(_SEED), gamma=0.0)


def far_sighted_game() -> ZeroSumGame:
    """gamma = 1 - 1e-6: values of a million whose differences matter."""
    return general_game(np.random.default_rng(_SEED), gamma=1.0 - 1e-6)


def indifferent_game() -> ZeroSumGame:
    """tau = 0 and no reward: every pair of policies is an equilibrium, every action ties."""
    game = general_game(np.random.default_rng(_SEED), tau=0.0)
    return replace(game, r_sab=np.zeros_like(game.r_sab))


_GAMES = (matching_pennies, one_sided_game, myopic_game, far_sighted_game, indifferent_game)


def hard_games() -> Mapping[str, ZeroSumGame]:
    """All hard zero-sum games by name."""
    return {make.__name__: make() for make in _GAMES}
