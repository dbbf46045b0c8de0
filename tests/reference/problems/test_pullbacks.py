"""The pullback of every parametric problem is the derivative of its backup, taken from ``at``."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference.policies import DirectPolicy
from reference.problems.general_position import (
    general_game_family,
    general_incentive_design,
    general_point,
    general_rlhf,
    general_shaping,
    general_stackelberg,
    linear_family,
    potential_family,
    tabular_family,
)
from reference.problems.hard_cases import hard_families, hard_stackelberg_games
from reference.problems.mdp import Mdp, ParametricMdp
from reference.problems.zero_sum_game import ParametricGame, ZeroSumGame
from reference.validation import Array
from tests import strategies
from tests.derivatives import derivative

K = 2


def backups(problem: Mdp | ZeroSumGame, v_kt: Array) -> Array:
    """r + gamma P v for each v of a list, with any number of action axes."""
    if isinstance(problem, Mdp):
        expected = np.einsum("sat,kt->ksa", problem.P_sat, v_kt)
        return np.asarray(problem.r_sa + problem.gamma * expected)
    expected = np.einsum("sabt,kt->ksab", problem.P_sabt, v_kt)
    return np.asarray(problem.r_sab + problem.gamma * expected)


def hold(problem: ParametricMdp | ParametricGame, ends: tuple[Array, Array], w: Array, v: Array) -> None:
    """Compare along the segment between two points of the domain, at its middle.

    A segment stays inside, whatever the domain; ``at`` refuses points outside.
    """
    x, u = (ends[0] + ends[1]) / 2.0, (ends[0] - ends[1]) / 2.0

    def weighted(step: float) -> float:
        return float((w * backups(problem.at(x + step * u), v)).sum())

    # Terms of the sum, and of x and v inside them, whose own rounding is felt too.
    largest = np.abs(backups(problem.at(x), v)).max() + np.abs(v).max() + np.abs(x).max(initial=0.0)
    size = float(np.abs(w).sum() * largest)
    slope, tolerance = derivative(weighted, size=size)
    pulled = problem.pullback(x, w, v)
    assert pulled.shape == x.shape
    assert abs(float((pulled * u).sum()) - slope) <= tolerance


@given(st.data())
@settings(max_examples=120, deadline=None, derandomize=True)
def test_pullback_of_every_parametric_mdp(data: st.DataObject) -> None:
    problem = data.draw(strategies.parametric_mdps())
    ends = data.draw(strategies.points(problem.domain)), data.draw(strategies.points(problem.domain))
    mdp = problem.at(ends[0])
    w = data.draw(strategies.tables((K, mdp.n_states, mdp.n_actions)))
    hold(problem, ends, w, data.draw(strategies.tables((K, mdp.n_states))))


@given(st.data())
@settings(max_examples=80, deadline=None, derandomize=True)
def test_pullback_of_every_parametric_game(data: st.DataObject) -> None:
    problem = data.draw(strategies.parametric_games())
    ends = data.draw(strategies.points(problem.domain)), data.draw(strategies.points(problem.domain))
    game = problem.at(ends[0])
    w = data.draw(strategies.tables((K, game.n_states, *game.n_actions)))
    hold(problem, ends, w, data.draw(strategies.tables((K, game.n_states))))


def problems() -> dict[str, ParametricMdp | ParametricGame]:
    """One of every kind in general position, and the hard ones."""
    rng = np.random.default_rng(8)
    return {
        "tabular": tabular_family(rng),
        "linear": linear_family(rng),
        "potential": potential_family(rng),
        "softmax leader": general_stackelberg(rng),
        "direct leader": general_stackelberg(rng, leader=DirectPolicy),
        "rlhf": general_rlhf(rng),
        "shaping": general_shaping(rng),
        "game": general_game_family(rng),
        "incentive design": general_incentive_design(rng),
        **hard_families(),
        **hard_stackelberg_games(),
    }


PROBLEMS = problems()


@pytest.mark.parametrize("name", PROBLEMS)
def test_pullback_in_general_position(name: str) -> None:
    problem = PROBLEMS[name]
    rng = np.random.default_rng(9)
    ends = general_point(rng, problem.domain), general_point(rng, problem.domain)
    some = problem.at(ends[0])
    shape = some.r_sa.shape if isinstance(some, Mdp) else some.r_sab.shape
    hold(problem, ends, rng.standard_normal((K, *shape)), rng.standard_normal((K, shape[0])))
