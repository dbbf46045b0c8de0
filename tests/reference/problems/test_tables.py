"""Gymnasium's tables and (P, R) pairs become the MDPs that they describe."""

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from reference.errors import InputError
from reference.evaluation import evaluate
from reference.optimality import value_iteration
from reference.penalties.contract import start_everywhere
from reference.problems.general_position import general_distributions, general_mdp
from reference.problems.mdp import Mdp
from reference.problems.tables import Layout, from_arrays, from_gymnasium, spread_start
from reference.regularizers import NegativeEntropy
from reference.validation import Array

UNIT = float(np.finfo(np.float64).eps)
H = NegativeEntropy()
Table = Mapping[int, Mapping[int, list[tuple[float, int, float, bool]]]]


def environments() -> dict[str, Any]:
    make = gymnasium.make
    return {
        f"lake {name} {'slippery' if slips else 'firm'}": make(
            "FrozenLake-v1", map_name=name, is_slippery=slips
        )
        for name in ("4x4", "8x8")
        for slips in (True, False)
    } | {
        "cliff": make("CliffWalking-v1"),
        "slippery cliff": make("CliffWalking-v1", is_slippery=True),
        "taxi": make("Taxi-v4"),
        "taxi in the rain": make("Taxi-v4", is_rainy=True),
    }


ENVIRONMENTS = environments()
ABSORBING = {"lake 4x4": 5, "lake 8x8": 11, "cliff": 1, "slippery": 1, "taxi": 1}
"""Holes and goals; the goal; the extra state of Taxi, whose goal can also be passed through."""


def from_env(name: str, gamma: float = 0.95, tau: float = 0.0) -> Mdp:
    return from_gymnasium(ENVIRONMENTS[name], gamma=gamma, tau=tau, regularizer=H)


def absorbing_states(mdp: Mdp) -> list[int]:
    """States that every action keeps, without reward."""
    stays = np.einsum("sas->sa", mdp.P_sat) == 1.0
    return [int(s) for s in np.flatnonzero(stays.all(axis=1) & (mdp.r_sa == 0.0).all(axis=1))]


def simulated(env: Any, pi: Array, gamma: float, horizon: int) -> Array:
    """Value of a policy from each state by backward induction on the environment's own table.

    An episode that has terminated earns nothing more: that is all that is known of terminal states.
    """
    table: Table = env.unwrapped.P
    v = np.zeros(len(table))
    for _ in range(horizon):
        v = np.array(
            [
                sum(
                    pi[s, a] * p * (r + gamma * v[t] * (not end))
                    for a, row in table[s].items()
                    for p, t, r, end in row
                )
                for s in table
            ]
        )
    return v


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_values_are_those_of_the_environment(name: str) -> None:
    """From every state in which an episode can begin or go on, for an uneven policy."""
    gamma, horizon, mdp = 0.5, 12, from_env(name, gamma=0.5)
    n_states, n_actions = len(ENVIRONMENTS[name].unwrapped.P), mdp.n_actions
    pi = general_distributions(np.random.default_rng(1), (mdp.n_states, n_actions))
    v = evaluate(mdp, pi).v_s
    truncated = simulated(ENVIRONMENTS[name], pi[:n_states], gamma, horizon)
    largest = float(np.abs(mdp.r_sa).max())
    tail = gamma**horizon * largest / (1.0 - gamma)
    going_on = np.setdiff1d(np.arange(n_states), absorbing_states(mdp))
    assert np.abs(v[going_on] - truncated[going_on]).max() <= tail * (1.0 + 1e-9)
    assert not v[absorbing_states(mdp)].any()
    assert tail < 0.1 * np.abs(v).max()


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_the_chain(name: str) -> None:
    mdp, env = from_env(name), ENVIRONMENTS[name].unwrapped
    assert len(absorbing_states(mdp)) == next(n for key, n in ABSORBING.items() if name.startswith(key))
    assert mdp.n_states == len(env.P) + name.startswith("taxi")
    assert mdp.n_actions == env.action_space.n
    np.testing.assert_array_equal(mdp.rho_s[: len(env.P)], env.initial_state_distrib)
    assert not mdp.rho_s[len(env.P) :].any()
    # Nothing is repaired: rows are the table's numbers, summed.
    assert np.abs(mdp.P_sat.sum(axis=-1) - 1.0).max() <= 4.0 * UNIT


@pytest.mark.parametrize(
    ("name", "steps", "per_step", "last"),
    [
        ("lake 4x4 firm", 6, 0.0, 1.0),
        ("lake 8x8 firm", 14, 0.0, 1.0),
        ("cliff", 13, -1.0, -1.0),
    ],
)
def test_shortest_paths(name: str, steps: int, per_step: float, last: float) -> None:
    """The goal is so many steps away that the value is a sum that can be done by hand."""
    gamma = 0.9
    mdp = from_env(name, gamma=gamma)
    value = value_iteration(mdp)
    expected = sum(gamma**n * per_step for n in range(steps - 1)) + gamma ** (steps - 1) * last
    assert abs(float(value.value) - expected) <= float(value.error)


def test_the_published_value_of_the_slippery_lake() -> None:
    """0.5420 at gamma = 0.99, as value iteration on this lake is reported all over the literature."""
    value = value_iteration(from_env("lake 4x4 slippery", gamma=0.99), tolerance=1e-6)
    assert round(float(value.value), 4) == 0.5420


def test_ids_and_wrappers() -> None:
    by_id = from_gymnasium("CliffWalking-v1", gamma=0.9, tau=0.1, regularizer=H)
    wrapped = gymnasium.wrappers.RecordEpisodeStatistics(gymnasium.make("CliffWalking-v1"))
    through = from_gymnasium(wrapped, gamma=0.9, tau=0.1, regularizer=H)
    np.testing.assert_array_equal(by_id.P_sat, through.P_sat)
    np.testing.assert_array_equal(by_id.r_sa, through.r_sa)


def test_start_distributions() -> None:
    mdp = from_env("lake 4x4 slippery")
    with pytest.raises(InputError, match="mix rho_s with the uniform"):
        start_everywhere(mdp.rho_s)
    np.testing.assert_array_equal(spread_start(mdp).rho_s, np.full(16, 1.0 / 16.0))
    mixed = spread_start(mdp, 0.25)
    start_everywhere(mixed.rho_s)
    assert mixed.rho_s[0] == 0.75 + 0.25 / 16.0
    np.testing.assert_array_equal(mixed.P_sat, mdp.P_sat)
    rho = general_distributions(np.random.default_rng(2), (16,))
    given = from_gymnasium(
        ENVIRONMENTS["lake 4x4 slippery"], gamma=0.9, tau=0.1, regularizer=H, rho_s=rho
    )
    np.testing.assert_array_equal(given.rho_s, rho)


class Tabular(gymnasium.Env[np.int64, np.int64]):
    """An environment that is nothing but its table."""

    def __init__(self, table: object, start: object = None, n_actions: int = 1) -> None:
        self.P = table
        self.action_space = spaces.Discrete(n_actions)
        if start is not None:
            self.initial_state_distrib = start


def of_table(table: object, start: object = None) -> Mdp:
    return from_gymnasium(Tabular(table, start), gamma=0.9, tau=0.1, regularizer=H)


def test_duplicated_next_states_are_summed() -> None:
    mdp = of_table({0: {0: [(0.25, 0, 4.0, False), (0.5, 1, 1.0, False), (0.25, 0, 8.0, False)]},
                    1: {0: [(1.0, 0, 0.0, False)]}}, [0.5, 0.5])  # fmt: skip
    np.testing.assert_array_equal(mdp.P_sat[:, 0], [[0.5, 0.5], [1.0, 0.0]])
    np.testing.assert_array_equal(mdp.r_sa[:, 0], [0.25 * 4 + 0.5 + 0.25 * 8, 0.0])


def test_a_terminal_state_is_absorbing_whatever_its_rows_say() -> None:
    mdp = of_table({0: {0: [(1.0, 1, 5.0, True)]}, 1: {0: [(1.0, 0, 9.0, False)]}}, [1.0, 0.0])
    np.testing.assert_array_equal(mdp.P_sat[:, 0], [[0.0, 1.0], [0.0, 1.0]])
    np.testing.assert_array_equal(mdp.r_sa[:, 0], [5.0, 0.0])


def test_a_state_entered_both_ways_gets_a_companion() -> None:
    """The middle state can be passed, and can also be the end."""
    mdp = of_table(
        {
            0: {0: [(0.5, 1, 1.0, True), (0.5, 1, 2.0, False)]},
            1: {0: [(1.0, 0, 3.0, False)]},
        },
        [1.0, 0.0],
    )
    np.testing.assert_array_equal(mdp.P_sat[:, 0], [[0.0, 0.5, 0.5], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    np.testing.assert_array_equal(mdp.r_sa[:, 0], [1.5, 3.0, 0.0])
    np.testing.assert_array_equal(mdp.rho_s, [1.0, 0.0, 0.0])


def test_starting_in_a_terminal_state_counts_as_entering_it() -> None:
    mdp = of_table({0: {0: [(1.0, 1, 1.0, True)]}, 1: {0: [(1.0, 0, 3.0, False)]}}, [0.5, 0.5])
    np.testing.assert_array_equal(mdp.P_sat[:, 0], [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])


def test_rows_of_terminal_states_do_not_enter_others() -> None:
    """State 2 is entered without termination by state 1 only, which no episode leaves."""
    mdp = of_table(
        {
            0: {0: [(0.5, 1, 0.0, True), (0.5, 2, 0.0, True)]},
            1: {0: [(1.0, 2, 7.0, False)]},
            2: {0: [(1.0, 0, 7.0, False)]},
        },
        [1.0, 0.0, 0.0],
    )
    assert mdp.n_states == 3
    assert absorbing_states(mdp) == [1, 2]


def test_going_on_spreads() -> None:
    """States 1 and 2 end some episodes, but a start in 1 goes on through 2."""
    mdp = of_table(
        {
            0: {0: [(0.5, 1, 0.0, True), (0.5, 2, 0.0, True)]},
            1: {0: [(1.0, 2, 7.0, False)]},
            2: {0: [(1.0, 0, 8.0, False)]},
        },
        [0.5, 0.5, 0.0],
    )
    assert mdp.n_states == 4
    assert absorbing_states(mdp) == [3]
    np.testing.assert_array_equal(mdp.P_sat[0, 0], [0.0, 0.0, 0.0, 1.0])
    np.testing.assert_array_equal(mdp.r_sa[:, 0], [0.0, 7.0, 8.0, 0.0])


ROW = {0: [(1.0, 0, 0.0, False)]}


@pytest.mark.parametrize(
    ("table", "start", "message"),
    [
        (None, [1.0], r"no table of transitions P: only tabular .* from_arrays"),
        ({}, [1.0], r"no table of transitions"),
        ({1: ROW}, [1.0], r"is not a table"),
        ({0: ROW, 2: ROW}, [1.0, 0.0], r"is not a table"),
        ({0: {0: [(1.0, 0)]}}, [1.0], r"is not a table"),
        ({0: {0: 3}}, [1.0], r"is not a table"),
        ({0: ROW, 1: {0: ROW[0], 1: ROW[0]}}, [1.0, 0.0], r"different actions"),
        ({0: {0: [(1.0, 4, 0.0, False)]}}, [1.0], r"next states outside 0, \.\.\., 0"),
        ({0: {0: [(1.0, -1, 0.0, False)]}}, [1.0], r"next states outside"),
        ({0: {0: [(0.75, 0, 0.0, False)]}}, [1.0], r"P_sat\[0, 0\] sums to 0.75"),
        ({0: {0: [(1.5, 0, 0.0, False), (-0.5, 1, 0.0, False)]}, 1: ROW}, [1.0, 0.0], r"never negative"),
        ({0: {0: [(1.0, 0, np.nan, False)]}}, [1.0], r"r_sa\[0, 0\] is nan"),
        ({0: ROW}, None, r"no initial_state_distrib: give rho_s"),
        ({0: ROW}, [0.5, 0.5], r"initial_state_distrib has shape \(2,\)"),
        ({0: ROW}, [0.5], r"rho_s sums to 0.5"),
    ],
)
def test_wrong_tables_are_refused(table: object, start: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        of_table(table, start)


def test_an_environment_that_its_table_does_not_describe() -> None:
    env = gymnasium.make("Taxi-v4", fickle_passenger=True)
    with pytest.raises(InputError, match=r"fickle_passenger=False"):
        from_gymnasium(env, gamma=0.9, tau=0.1, regularizer=H)


# Pairs (P, R).


@pytest.mark.parametrize("layout", Layout)
def test_layouts(layout: Layout) -> None:
    """Every form of R in every order of axes; S = A, so that the shapes do not give the order away."""
    rng = np.random.default_rng(3)
    mdp = general_mdp(rng, n_states=3, n_actions=3)
    P = mdp.P_sat.transpose(layout.value)  # each permutation is its own inverse
    R_sat = rng.standard_normal((3, 3, 3))

    def built(R: Array) -> Mdp:
        return from_arrays(P, R, layout=layout, gamma=0.9, rho_s=mdp.rho_s, tau=0.1, regularizer=H)

    np.testing.assert_array_equal(built(mdp.r_sa).P_sat, mdp.P_sat)
    assert built(mdp.r_sa).P_sat.flags.c_contiguous
    np.testing.assert_array_equal(built(mdp.r_sa).r_sa, mdp.r_sa)
    np.testing.assert_array_equal(built(mdp.r_sa[:, 0]).r_sa, mdp.r_sa[:, [0, 0, 0]])
    expected = np.einsum("sat,sat->sa", mdp.P_sat, R_sat)
    actual = built(R_sat.transpose(layout.value)).r_sa
    np.testing.assert_allclose(actual, expected, rtol=0.0, atol=16.0 * UNIT)


def test_different_numbers_of_states_and_actions() -> None:
    mdp = general_mdp(np.random.default_rng(4))
    built = from_arrays(
        mdp.P_sat.transpose(1, 0, 2),
        mdp.r_sa,
        layout=Layout.ACTION_STATE_NEXT,
        gamma=mdp.gamma,
        rho_s=mdp.rho_s,
        tau=mdp.tau,
        regularizer=mdp.regularizer,
    )
    for name in ("P_sat", "r_sa", "rho_s"):
        np.testing.assert_array_equal(getattr(built, name), getattr(mdp, name))
    assert (built.gamma, built.tau, built.regularizer) == (mdp.gamma, mdp.tau, mdp.regularizer)
