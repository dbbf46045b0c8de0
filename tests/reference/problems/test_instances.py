"""Drawn problems follow the paper's recipe, and those in general position are in it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from reference.domains import Ball, Box, Domain, Euclidean, Simplices, member
from reference.evaluation import evaluate
from reference.optimality import policy_iteration
from reference.policies import DirectPolicy, SoftmaxPolicy
from reference.problems.general_position import (
    general_distributions,
    general_game,
    general_game_family,
    general_incentive_design,
    general_mdp,
    general_point,
    general_regularizers,
    general_rlhf,
    general_shaping,
    general_stackelberg,
    linear_family,
    potential_family,
    tabular_family,
)
from reference.problems.hard_cases import (
    cold,
    far_sighted,
    hard_cases,
    hard_families,
    hard_games,
    hard_stackelberg_games,
    indifferent_game,
    leader_opens_the_door,
    matching_pennies,
    near_deterministic_cycle,
    powerless_follower,
    powerless_leader,
    reducible_chain,
    slow_mixing_chain,
    tied_actions,
    unreachable_state,
)
from reference.problems.instances import random_incentive_design, random_stackelberg
from reference.problems.mdp import Mdp
from reference.problems.parametrizations import BoundedIncentive
from reference.problems.structure import same
from reference.regularizers import NegativeEntropy, Weighted
from reference.validation import Array

UNIT = float(np.finfo(np.float64).eps)


def rng(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


# The paper's.


def test_section_6_1() -> None:
    game = random_stackelberg(rng())
    assert game.P_sabt.shape == (100, 5, 5, 100)
    for r in (game.r_leader_sab, game.r_follower_sab):
        assert set(np.unique(r[r < 0.7])) == {0.0}
        # 2500 uniform numbers: the share below 0.7 has a deviation of 0.009, the mean above of 0.003.
        assert abs((r == 0.0).mean() - 0.7) < 6 * 0.0092
        assert abs(r[r > 0.0].mean() - 0.85) < 6 * 0.0032
    assert not np.array_equal(game.r_leader_sab, game.r_follower_sab)
    # A uniform number over a sum of a hundred: mean 1/100, largest near 2/100.
    assert 0.01 < game.P_sabt.max() < 0.03
    assert game.P_sabt.min() > 0.0
    assert isinstance(game.leader, SoftmaxPolicy)
    assert (game.gamma, game.tau, game.tau_leader) == (0.9, 0.1, 0.0)
    assert isinstance(game.regularizer, NegativeEntropy)
    np.testing.assert_array_equal(game.rho_s, np.full(100, 0.01))


def test_section_6_3() -> None:
    design = random_incentive_design(rng())
    x = rng(2).standard_normal((10, 5, 5))
    game = design.at(x)
    assert game.P_sabt.shape == design.P_design_sabt.shape == (10, 5, 5, 10)
    assert not np.array_equal(game.P_sabt, design.P_design_sabt)
    base = design.at(np.full((10, 5, 5), -800.0)).r_sab
    for r in (base, design.r_design_sab):
        assert 0.0 <= r.min() < 0.05
        assert 0.95 < r.max() <= 1.0
    np.testing.assert_allclose(game.r_sab, base + 0.2 / (1.0 + np.exp(-x)), rtol=0.0, atol=8 * UNIT)
    assert not design.cost_s.any()
    assert isinstance(design.game, type(general_game_family(rng())))
    assert isinstance(design.game.reward, BoundedIncentive)
    assert (game.gamma, game.tau) == (0.9, 0.1)


MAKERS: dict[str, Callable[[np.random.Generator], Any]] = {
    "section 6.1": lambda g: random_stackelberg(g, n_states=6, n_leader=3, n_follower=2),
    "section 6.3": lambda g: random_incentive_design(g, n_states=4, n_first=3, n_second=2),
    "mdp": general_mdp,
    "game": general_game,
    "tabular": tabular_family,
    "linear": linear_family,
    "potential": potential_family,
    "stackelberg": general_stackelberg,
    "direct stackelberg": lambda g: general_stackelberg(g, leader=DirectPolicy),
    "rlhf": general_rlhf,
    "shaping": general_shaping,
    "game family": general_game_family,
    "incentive design": general_incentive_design,
}


@pytest.mark.parametrize("name", MAKERS)
def test_the_generator_alone_decides(name: str) -> None:
    make = MAKERS[name]
    assert same(make(rng(5)), make(rng(5)))
    assert not same(make(rng(5)), make(rng(6)))
    generator = rng(5)
    assert not same(make(generator), make(generator))


def test_parameters_arrive() -> None:
    rho, h = np.array([0.25, 0.75]), Weighted(NegativeEntropy(), np.ones(2))
    game = random_stackelberg(
        rng(),
        n_states=2,
        n_leader=3,
        n_follower=4,
        sparsity=0.0,
        gamma=0.5,
        tau=2.0,
        regularizer=h,
        rho_s=rho,
    )
    assert game.r_leader_sab.shape == (2, 3, 4)
    assert game.r_leader_sab.min() > 0.0
    assert (game.gamma, game.tau, game.regularizer) == (0.5, 2.0, h)
    np.testing.assert_array_equal(game.rho_s, rho)
    design = random_incentive_design(
        rng(), n_states=2, n_first=3, n_second=4, scale=0.5, gamma=0.5, tau=2.0, regularizer=h, rho_s=rho
    )
    players = design.at(np.zeros((2, 3, 4)))
    assert (players.gamma, players.tau) == (0.5, 2.0)
    assert players.regularizer_1 is players.regularizer_2 is h
    np.testing.assert_array_equal(players.rho_s, rho)
    assert players.r_sab.max() > 1.0


# In general position.


def uneven(array: Array) -> bool:
    return float(np.ptp(array)) > 0.05


def in_general_position(mdp: Mdp) -> bool:
    return (
        mdp.n_states != mdp.n_actions
        and mdp.rho_s.min() > 0.0
        and mdp.P_sat.min() > 0.0
        and all(uneven(array) for array in (mdp.rho_s, mdp.r_sa, *mdp.P_sat.reshape(-1, mdp.n_states)))
        and isinstance(mdp.regularizer, Weighted)
        and uneven(mdp.regularizer.weight_s)
        and 0.0 < mdp.gamma < 1.0
        and mdp.tau > 0.0
    )


def test_general_mdps() -> None:
    assert in_general_position(general_mdp(rng()))


@pytest.mark.parametrize("make", [tabular_family, linear_family])
def test_rewards_and_transitions_depend_on_x(make: Callable[..., Any]) -> None:
    mdp = general_mdp(rng(3), n_states=5, n_actions=2)
    family = make(rng(4), mdp)
    one, other = (family.at(general_point(rng(seed), family.domain)) for seed in (5, 6))
    assert np.abs(one.r_sa - other.r_sa).max() > 0.1
    assert np.abs(one.P_sat - other.P_sat).max() > 0.1
    origin = mdp.r_sa if make is tabular_family else np.zeros(2)
    at_origin = family.at(origin)
    np.testing.assert_allclose(at_origin.P_sat, mdp.P_sat, rtol=0.0, atol=64.0 * UNIT)
    np.testing.assert_array_equal(at_origin.r_sa, mdp.r_sa)


def test_potentials_move_no_transition() -> None:
    mdp = general_mdp(rng(3))
    family = potential_family(rng(4), mdp)
    np.testing.assert_array_equal(family.at(np.zeros(4)).r_sa, mdp.r_sa)
    np.testing.assert_array_equal(family.at(np.ones(4)).P_sat, mdp.P_sat)


def test_games_are_around_the_given_one() -> None:
    game = general_game(rng(3), n_states=3, n_first=2, n_second=4)
    family = general_game_family(rng(4), game, n_features=3)
    again = family.at(np.zeros(3))
    np.testing.assert_allclose(again.P_sabt, game.P_sabt, rtol=0.0, atol=64.0 * UNIT)
    np.testing.assert_array_equal(again.r_sab, game.r_sab)
    moved = family.at(general_point(rng(5), family.domain))
    assert np.abs(moved.P_sabt - game.P_sabt).max() > 0.05
    assert len({game.n_states, *game.n_actions}) == 3
    assert uneven(general_incentive_design(rng(), game).cost_s)


def test_sizes_and_regularizers_arrive() -> None:
    for name, h in general_regularizers(rng(), 5, 2).items():
        mdp = general_mdp(rng(), n_states=5, n_actions=2, gamma=0.3, tau=0.7, regularizer=h)
        assert mdp.regularizer is h, name
        assert (mdp.gamma, mdp.tau, mdp.r_sa.shape) == (0.3, 0.7, (5, 2))
    assert len(general_regularizers(rng(), 5, 2)) == 6


@pytest.mark.parametrize(
    "domain",
    [
        Euclidean((2, 3)),
        Simplices((2, 3)),
        Ball(np.array([3.0, -1.0]), 0.5),
        Box(np.array([10.0, -1.0]), np.array([11.0, 5.0])),
    ],
)
def test_general_points_are_well_inside(domain: Domain) -> None:
    """A tenth of the way to any other such point and beyond it, one is still inside."""
    points = [general_point(rng(seed), domain) for seed in range(20)]
    for x in points:
        for z in points:
            member("x", x + 0.03 * (x - z), domain)
    assert not np.array_equal(points[0], points[1])


def test_general_distributions() -> None:
    rows = general_distributions(rng(), (50, 4))
    np.testing.assert_allclose(rows.sum(axis=-1), 1.0, rtol=0.0, atol=8 * UNIT)
    assert rows.min() > 0.0
    assert np.ptp(rows, axis=-1).min() > 0.01


# Hard cases.


@pytest.mark.parametrize("name", hard_cases())
def test_hard_cases_can_be_evaluated(name: str) -> None:
    """They are hard, not ill-posed: an uneven policy has a finite value, and rho is positive."""
    mdp = hard_cases()[name]
    pi = general_distributions(rng(), (mdp.n_states, mdp.n_actions))
    evaluation = evaluate(mdp, pi)
    assert np.isfinite(evaluation.v_s).all()
    residual = np.abs((pi * evaluation.advantage_sa).sum(axis=-1)).max()
    size = mdp.reward_bound + np.abs(evaluation.v_s).max()
    assert residual <= 64.0 * mdp.n_states * UNIT * size / (1.0 - mdp.gamma)
    assert mdp.rho_s.min() > 0.0
    assert mdp.n_states == 1 or uneven(mdp.rho_s)


def second_eigenvalue(mdp: Mdp) -> float:
    moduli = np.abs(np.linalg.eigvals(mdp.P_sat.mean(axis=1)))
    return float(np.sort(moduli)[-2])


def test_slow_mixing() -> None:
    assert 1.0 - second_eigenvalue(slow_mixing_chain()) < 1e-3


def test_near_deterministic() -> None:
    mdp = near_deterministic_cycle()
    assert mdp.P_sat.max(axis=-1).min() > 1.0 - 1e-6
    eigenvalues = np.linalg.eigvals(mdp.P_sat[:, 0])
    assert np.abs(np.abs(eigenvalues) - 1.0).max() < 1e-5


def test_unreachable() -> None:
    mdp = unreachable_state()
    assert not mdp.P_sat[..., 2].any()
    pi = general_distributions(rng(), (3, 2))
    assert evaluate(mdp, pi).visits(mdp.rho_s)[2] == pytest.approx(mdp.rho_s[2], rel=8 * UNIT)


def test_reducible() -> None:
    """Two eigenvalues are one, whatever the policy."""
    mdp = reducible_chain()
    pi = general_distributions(rng(), (4, 3))
    moduli = np.sort(np.abs(np.linalg.eigvals(np.einsum("sa,sat->st", pi, mdp.P_sat))))
    np.testing.assert_allclose(moduli[-2:], 1.0, rtol=1e-12)


def test_extremes() -> None:
    assert policy_iteration(cold()).pi_sa.max(axis=-1).min() == 1.0
    assert np.abs(policy_iteration(far_sighted()).v_s).min() > 1e5
    cases = hard_cases()
    assert cases["myopic"].gamma == 0.0
    assert cases["hot"].tau == 1e3
    assert cases["one_state"].n_states == 1 < cases["one_state"].n_actions
    assert cases["one_action"].n_actions == 1 < cases["one_action"].n_states


def test_ties() -> None:
    mdp = tied_actions()
    q = policy_iteration(mdp).q_sa
    np.testing.assert_array_equal(q[:, 0], q[:, 1])
    assert (q[:, 2] < q[:, 0] - 1.0).all()
    assert mdp.tau == 0.0


def test_hard_families_are_hard_at_the_origin() -> None:
    cases, families = hard_cases(), hard_families()
    assert list(cases) == list(families)
    for name, family in families.items():
        mdp = family.at(np.zeros(2))
        np.testing.assert_allclose(mdp.P_sat, cases[name].P_sat, rtol=1e-12, atol=0.0)
        np.testing.assert_array_equal(mdp.r_sa, cases[name].r_sa)
        moved = family.at(np.array([0.5, 0.25]))
        np.testing.assert_array_equal(moved.P_sat == 0.0, cases[name].P_sat == 0.0)


def test_hard_stackelberg_games() -> None:
    assert set(hard_stackelberg_games()) >= {"leader_opens_the_door", "powerless_leader"}
    game = leader_opens_the_door()
    shut, opened = np.zeros((2, 3, 2))
    shut[:, 0] = opened[:, 1] = 30.0
    values = [float(policy_iteration(game.at(x)).v_s[0]) for x in (shut, opened)]
    assert values[0] < 1.0
    assert values[1] > 5.0
    assert powerless_follower().n_actions[1] == 1
    assert powerless_leader().n_actions[0] == 1


def test_hard_games() -> None:
    assert set(hard_games()) >= {"matching_pennies", "one_sided_game", "indifferent_game"}
    game = matching_pennies()
    # Without regularisation, each player's best response to a pure policy beats it by both roles.
    for a in range(2):
        against = game.for_player_2(np.tile(np.eye(2)[a], (2, 1)))
        best = policy_iteration(against).pi_sa.argmax(axis=-1)
        back = game.for_player_1(np.eye(2)[best])
        assert (policy_iteration(back).pi_sa.argmax(axis=-1) != a).all()
    assert not indifferent_game().r_sab.any()
    assert indifferent_game().tau == 0.0
