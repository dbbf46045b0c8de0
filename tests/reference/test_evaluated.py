"""Values are arrays, whichever sum they came from."""

import numpy as np

from reference.evaluated import Evaluated
from reference.penalties import bellman, nikaido_isoda, value
from reference.problems.general_position import (
    general_distributions,
    general_game,
    general_game_family,
    general_mdp,
    general_point,
    linear_family,
)


def test_a_sum_over_all_axes_is_an_array() -> None:
    found = Evaluated(np.ones(3).sum(), np.zeros(2), ())
    assert isinstance(found.value, np.ndarray)
    assert isinstance((2.0 * found + found).value, np.ndarray)
    assert float((2.0 * found + found).value) == 9.0


def test_every_penaltys_value_is_an_array() -> None:
    generator = np.random.default_rng(0)
    family = linear_family(generator, general_mdp(generator))
    x = general_point(generator, family.domain)
    pi_sa = general_distributions(generator, family.at(x).r_sa.shape)
    for penalty in (value.PENALTY, bellman.PENALTY):
        assert isinstance(penalty.exact(family, x, (pi_sa,)).value, np.ndarray)
    games = general_game_family(generator, general_game(generator))
    x = general_point(generator, games.domain)
    policies = tuple(
        general_distributions(generator, (games.at(x).n_states, n)) for n in games.at(x).n_actions
    )
    assert isinstance(nikaido_isoda.PENALTY.exact(games, x, policies).value, np.ndarray)
