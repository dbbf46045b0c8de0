"""The MDPs that players face, written out entry by entry; and what the classes hold fast to."""

from dataclasses import FrozenInstanceError, replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference.domains import Euclidean
from reference.problems.general_position import (
    general_distributions,
    general_game,
    general_mdp,
    general_rlhf,
    general_shaping,
    general_stackelberg,
)
from reference.problems.mdp import Mdp, MdpFamily
from reference.problems.parametrizations import FixedKernel, TabularReward
from reference.problems.rlhf import BradleyTerryLabels, LabelByReturn, LabelRule
from reference.problems.stackelberg import StackelbergGame
from reference.problems.zero_sum_game import GameFamily, ZeroSumGame
from reference.regularizers import NegativeEntropy
from reference.validation import Array
from tests import strategies

UNIT = float(np.finfo(np.float64).eps)


def equal(actual: Array, expected: Array) -> None:
    """Up to the rounding of sums of some numbers of order one to ten."""
    np.testing.assert_allclose(actual, expected, rtol=0.0, atol=256.0 * UNIT)


def test_arrays_are_copies_and_read_only() -> None:
    mdp = general_mdp(np.random.default_rng(1))
    r = mdp.r_sa.copy()
    again = replace(mdp, r_sa=r)
    r[0, 0] = 7.0
    assert again.r_sa[0, 0] == mdp.r_sa[0, 0]
    with pytest.raises(ValueError, match="read-only"):
        again.r_sa[0, 0] = 7.0
    with pytest.raises(FrozenInstanceError):
        again.gamma = 0.5  # type: ignore[misc]  # what is tested


def test_lists_and_whole_numbers_are_taken() -> None:
    """What means real numbers is accepted in any real dtype, and held in float64."""
    P = np.full((2, 1, 2), 0.5, dtype=np.float32)
    mdp = Mdp(P, np.array([[1], [2]]), 0, [0.5, 0.5], 1, NegativeEntropy())  # type: ignore[arg-type]  # a list
    assert {mdp.P_sat.dtype, mdp.r_sa.dtype} == {np.dtype(np.float64)}
    assert isinstance(mdp.gamma, float)
    assert isinstance(mdp.tau, float)


@given(strategies.stackelberg_games(), st.data())
@settings(max_examples=40, deadline=None, derandomize=True)
def test_the_followers_mdp(game: StackelbergGame, data: st.DataObject) -> None:
    x = data.draw(strategies.points(game.domain))
    pi, mdp = game.leader(x), game.at(x)
    n_states, n_leader, n_follower = game.r_leader_sab.shape
    for s, b in product(range(n_states), range(n_follower)):
        reward = sum(pi[s, a] * game.r_follower_sab[s, a, b] for a in range(n_leader))
        assert abs(mdp.r_sa[s, b] - reward) <= 64.0 * UNIT
        for t in range(n_states):
            probability = sum(pi[s, a] * game.P_sabt[s, a, b, t] for a in range(n_leader))
            assert abs(mdp.P_sat[s, b, t] - probability) <= 64.0 * UNIT
    assert (mdp.gamma, mdp.tau, mdp.regularizer) == (game.gamma, game.tau, game.regularizer)
    np.testing.assert_array_equal(mdp.rho_s, game.rho_s)
    # Assembled without checks, yet what a checked one would be.
    Mdp(mdp.P_sat, mdp.r_sa, mdp.gamma, mdp.rho_s, mdp.tau, mdp.regularizer)


@given(strategies.games(), st.data())
@settings(max_examples=40, deadline=None, derandomize=True)
def test_the_players_mdps(game: ZeroSumGame, data: st.DataObject) -> None:
    n_states, (n_first, n_second) = game.n_states, game.n_actions
    pi_1 = data.draw(strategies.policies(n_states, n_first))
    pi_2 = data.draw(strategies.policies(n_states, n_second))
    first, second = game.for_player_1(pi_2), game.for_player_2(pi_1)
    h_1, h_2 = game.tau * game.regularizer_1.value(pi_1), game.tau * game.regularizer_2.value(pi_2)
    bound = 64.0 * UNIT * (1.0 + game.tau)
    for s, a, b in product(range(n_states), range(n_first), range(n_second)):
        earned = sum(pi_2[s, c] * game.r_sab[s, a, c] for c in range(n_second)) + h_2[s]
        assert abs(first.r_sa[s, a] - earned) <= bound * (1.0 + abs(earned))
        lost = -sum(pi_1[s, c] * game.r_sab[s, c, b] for c in range(n_first)) + h_1[s]
        assert abs(second.r_sa[s, b] - lost) <= bound * (1.0 + abs(lost))
        for t in range(n_states):
            went = sum(pi_2[s, c] * game.P_sabt[s, a, c, t] for c in range(n_second))
            assert abs(first.P_sat[s, a, t] - went) <= 64.0 * UNIT
            went = sum(pi_1[s, c] * game.P_sabt[s, c, b, t] for c in range(n_first))
            assert abs(second.P_sat[s, b, t] - went) <= 64.0 * UNIT
    assert first.regularizer is game.regularizer_1
    assert second.regularizer is game.regularizer_2
    assert (first.gamma, first.tau) == (second.gamma, second.tau) == (game.gamma, game.tau)


def test_a_game_family_numbers_joint_actions_row_by_row() -> None:
    game = general_game(np.random.default_rng(2))
    family = GameFamily(
        TabularReward(Euclidean(game.r_sab.shape)),
        FixedKernel(game.P_sabt.reshape(game.n_states, -1, game.n_states)),
        game.gamma,
        game.rho_s,
        game.tau,
        game.regularizer_1,
        game.regularizer_2,
    )
    again = family.at(game.r_sab)
    np.testing.assert_array_equal(again.P_sabt, game.P_sabt)
    np.testing.assert_array_equal(again.r_sab, game.r_sab)
    assert again.regularizer_1 is game.regularizer_1
    assert again.regularizer_2 is game.regularizer_2


def test_families_pass_everything_on() -> None:
    mdp = general_mdp(np.random.default_rng(3), gamma=0.6, tau=0.2)
    family = MdpFamily(
        TabularReward(Euclidean(mdp.r_sa.shape)),
        FixedKernel(mdp.P_sat),
        mdp.gamma,
        mdp.rho_s,
        mdp.tau,
        mdp.regularizer,
    )
    again = family.at(mdp.r_sa)
    assert (again.gamma, again.tau, again.regularizer) == (0.6, 0.2, mdp.regularizer)
    for name in ("P_sat", "r_sa", "rho_s"):
        np.testing.assert_array_equal(getattr(again, name), getattr(mdp, name))


@given(strategies.mdps(), st.data())
@settings(max_examples=50, deadline=None, derandomize=True)
def test_reward_bound(mdp: Mdp, data: st.DataObject) -> None:
    pi = data.draw(strategies.policies(mdp.n_states, mdp.n_actions))
    reward_s = (pi * mdp.r_sa).sum(axis=-1) - mdp.tau * mdp.regularizer.value(pi)
    assert np.abs(reward_s).max() <= mdp.reward_bound * (1.0 + 16.0 * UNIT)


def test_applications_delegate_to_their_lower_level() -> None:
    rng = np.random.default_rng(4)
    rlhf, shaping = general_rlhf(rng), general_shaping(rng)
    x = np.array([0.1, -0.2])
    np.testing.assert_array_equal(rlhf.at(x).r_sa, rlhf.lower.at(x).r_sa)
    np.testing.assert_array_equal(shaping.at(x).r_sa, shaping.shaped.at(x).r_sa)
    assert rlhf.domain is rlhf.lower.domain
    assert shaping.domain is shaping.shaped.domain


@pytest.mark.parametrize("rule", [LabelByReturn(), BradleyTerryLabels(0.5)])
def test_labels_are_antisymmetric_and_increasing(rule: LabelRule) -> None:
    d = np.linspace(-3.0, 3.0, 25)
    labels = rule(d)
    equal(rule(-d), 1.0 - labels)
    assert (np.diff(labels) >= 0.0).all()
    assert labels[12] == 0.5


def test_labels() -> None:
    np.testing.assert_array_equal(LabelByReturn()(np.array([-1.0, 1e-12, 1.0])), [0.0, 0.5, 1.0])
    equal(
        BradleyTerryLabels(0.5)(np.array([-1.0, 1.0])),
        np.array([1.0 / (1.0 + np.exp(2.0)), 1.0 / (1.0 + np.exp(-2.0))]),
    )


def test_a_leader_with_one_row_per_state() -> None:
    """pi_x(a|s) weighs the leader's axis, not the follower's: sizes differ, so a swap cannot pass."""
    game = general_stackelberg(np.random.default_rng(5), n_states=3, n_leader=4, n_follower=2)
    pi = general_distributions(np.random.default_rng(6), (3, 4))
    mdp = game.at(np.log(pi))
    equal(mdp.P_sat, np.einsum("sa,sabt->sbt", pi, game.P_sabt))
    assert mdp.r_sa.shape == (3, 2)
