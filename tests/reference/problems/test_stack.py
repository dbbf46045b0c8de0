"""Problems stacked along a new axis advance together as they do one by one."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from reference.domains import Box
from reference.errors import InputError
from reference.evaluation import evaluate, evaluate_joint
from reference.optimality import policy_iteration
from reference.penalties.bellman import bellman_penalty
from reference.penalties.nikaido_isoda import nikaido_isoda
from reference.penalties.value import value_penalty
from reference.policies import DirectPolicy
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
from reference.problems.instances import random_stackelberg
from reference.problems.mdp import Mdp, ParametricMdp
from reference.problems.parametrizations import LinearReward
from reference.problems.structure import same, stack
from reference.problems.zero_sum_game import ParametricGame, ZeroSumGame
from reference.regularizers import KLDivergence, Regularizer, Weighted
from reference.validation import Array

N = 3
UNIT = float(np.finfo(np.float64).eps)


def equal(actual: Array, expected: Array, mdp: Mdp | ZeroSumGame) -> None:
    """Up to the rounding of solves with I - gamma P, of condition at most (1 + gamma)/(1 - gamma).

    Two of them follow each other in a gradient, each with some S A products per entry.
    """
    condition = ((1.0 + mdp.gamma) / (1.0 - mdp.gamma)) ** 2
    operations = 16.0 * mdp.n_states * int(np.prod(mdp.n_actions))
    size = 1.0 + float(np.abs(expected).max())
    np.testing.assert_allclose(actual, expected, rtol=0.0, atol=operations * condition * UNIT * size)


def mdps(rng: np.random.Generator, regularizer: str) -> list[Mdp]:
    return [general_mdp(rng, regularizer=general_regularizers(rng, 4, 3)[regularizer]) for _ in range(N)]


REGULARIZERS = list(general_regularizers(np.random.default_rng(0), 4, 3))


BOX = Box(np.full((4, 3), -9.0), np.full((4, 3), 9.0))
FAMILIES: dict[str, Callable[[np.random.Generator], list[Any]]] = {
    "tabular": lambda rng: [tabular_family(rng, domain=BOX) for _ in range(N)],
    "linear": lambda rng: [linear_family(rng) for _ in range(N)],
    "potential": lambda rng: [potential_family(rng) for _ in range(N)],
    "softmax leader": lambda rng: [general_stackelberg(rng) for _ in range(N)],
    "direct leader": lambda rng: [general_stackelberg(rng, leader=DirectPolicy) for _ in range(N)],
    "rlhf": lambda rng: [general_rlhf(rng) for _ in range(N)],
    "shaping": lambda rng: [general_shaping(rng) for _ in range(N)],
}
GAMES: dict[str, Callable[[np.random.Generator], list[Any]]] = {
    "linear": lambda rng: [general_game_family(rng) for _ in range(N)],
    "incentive design": lambda rng: [general_incentive_design(rng) for _ in range(N)],
}


@pytest.mark.parametrize("regularizer", REGULARIZERS)
def test_stacked_mdps(regularizer: str) -> None:
    rng = np.random.default_rng(1)
    each = mdps(rng, regularizer)
    together = stack(each)
    assert together.P_sat.shape == (N, 4, 3, 4)
    pi = general_distributions(rng, (N, 4, 3))
    evaluation, optimum = evaluate(together, pi), policy_iteration(together)
    for i, mdp in enumerate(each):
        alone, best = evaluate(mdp, pi[i]), policy_iteration(mdp)
        equal(evaluation.v_s[i], alone.v_s, mdp)
        equal(evaluation.q_sa[i], alone.q_sa, mdp)
        equal(evaluation.value[i], alone.value, mdp)
        equal(evaluation.advantage_sa[i], alone.advantage_sa, mdp)
        equal(evaluation.occupancy(together.rho_s)[i], alone.occupancy(mdp.rho_s), mdp)
        # Both optima carry bounds: they agree within the sum.
        assert np.abs(optimum.v_s[i] - best.v_s).max() <= optimum.error[i] + best.error
        apart = np.linalg.norm(optimum.pi_sa[i] - best.pi_sa, axis=-1).max()
        assert apart <= optimum.policy_error[i] + best.policy_error + 64.0 * UNIT


@pytest.mark.parametrize("share_x", [False, True])
@pytest.mark.parametrize("name", FAMILIES)
def test_stacked_families(name: str, share_x: bool) -> None:
    rng = np.random.default_rng(2)
    each: list[ParametricMdp] = FAMILIES[name](rng)
    together = stack(each)
    assert together.domain.shape == each[0].domain.shape
    x = np.stack([general_point(rng, problem.domain) for problem in each])
    x = np.broadcast_to(x[:1], x.shape) if share_x else x
    batch = together.at(x[0] if share_x else x)
    some = each[0].at(x[0])
    pi, companion = general_distributions(rng, (2, N, some.n_states, some.n_actions))
    value = value_penalty(together, x[0] if share_x else x, pi, companion)
    bellman = bellman_penalty(together, x[0] if share_x else x, pi, companion)
    for i, problem in enumerate(each):
        mdp = problem.at(x[i])
        equal(batch.P_sat[i], mdp.P_sat, mdp)
        # A table of rewards that all share has no batch axis.
        equal(np.broadcast_to(batch.r_sa, (N, *mdp.r_sa.shape))[i], mdp.r_sa, mdp)
        for batched, alone in (
            (value, value_penalty(problem, x[i], pi[i], companion[i])),
            (bellman, bellman_penalty(problem, x[i], pi[i], companion[i])),
        ):
            equal(batched.value[i], alone.value, mdp)
            equal(batched.grad_x[i], alone.grad_x, mdp)
            equal(batched.grad_policies[0][i], alone.grad_policies[0], mdp)


@pytest.mark.parametrize("name", GAMES)
def test_stacked_games(name: str) -> None:
    rng = np.random.default_rng(3)
    each: list[ParametricGame] = GAMES[name](rng)
    together = stack(each)
    x = np.stack([general_point(rng, problem.domain) for problem in each])
    batch, some = together.at(x), each[0].at(x[0])
    pi_1, best_1 = general_distributions(rng, (2, N, some.n_states, some.n_actions[0]))
    pi_2, best_2 = general_distributions(rng, (2, N, some.n_states, some.n_actions[1]))
    joint = evaluate_joint(batch, pi_1, pi_2)
    psi = nikaido_isoda(together, x, pi_1, pi_2, best_1, best_2)
    responses = policy_iteration(batch.for_player_1(pi_2)), policy_iteration(batch.for_player_2(pi_1))
    for i, problem in enumerate(each):
        game = problem.at(x[i])
        equal(batch.P_sabt[i], game.P_sabt, game)
        equal(batch.r_sab[i], game.r_sab, game)
        alone = evaluate_joint(game, pi_1[i], pi_2[i])
        equal(joint.v_s[i], alone.v_s, game)
        equal(joint.q_sab[i], alone.q_sab, game)
        exact = nikaido_isoda(problem, x[i], pi_1[i], pi_2[i], best_1[i], best_2[i])
        equal(psi.value[i], exact.value, game)
        equal(psi.grad_x[i], exact.grad_x, game)
        for batched, gradient in zip(psi.grad_policies, exact.grad_policies, strict=True):
            equal(batched[i], gradient, game)
        for batched_best, mdp in zip(
            responses, (game.for_player_1(pi_2[i]), game.for_player_2(pi_1[i])), strict=True
        ):
            best = policy_iteration(mdp)
            apart = np.abs(batched_best.v_s[i] - best.v_s).max()
            assert apart <= batched_best.error[i] + best.error


def test_the_ten_games_of_section_6_1_advance_together() -> None:
    rng = np.random.default_rng(4)
    each = [random_stackelberg(rng, n_states=20) for _ in range(10)]
    together = stack(each)
    x = rng.standard_normal((10, 20, 5))
    pi = general_distributions(rng, (10, 20, 5))
    best = policy_iteration(together.at(x)).pi_sa
    batched = value_penalty(together, x, pi, best)
    for i, game in enumerate(each):
        alone = value_penalty(game, x[i], pi[i], best[i])
        equal(batched.value[i], alone.value, game.at(x[i]))
        equal(batched.grad_x[i], alone.grad_x, game.at(x[i]))


def test_stacking_twice() -> None:
    rng = np.random.default_rng(5)
    rows = [mdps(rng, "weighted kl") for _ in range(2)]
    together = stack([stack(row) for row in rows])
    assert together.P_sat.shape == (2, N, 4, 3, 4)
    pi = general_distributions(rng, (2, N, 4, 3))
    equal(evaluate(together, pi).v_s[1, 2], evaluate(rows[1][2], pi[1, 2]).v_s, rows[1][2])
    lines = [linear_family(rng) for _ in range(4)]
    twice = stack([stack(lines[:2]), stack(lines[2:])])
    assert isinstance(twice.reward, LinearReward)
    assert twice.reward.batch_axes == 2
    x = general_point(rng, lines[0].domain)
    np.testing.assert_allclose(twice.at(x).r_sa[1, 0], lines[2].at(x).r_sa, rtol=0.0, atol=64 * UNIT)


def test_stack_of_one() -> None:
    mdp = general_mdp(np.random.default_rng(6))
    assert stack([mdp]).P_sat.shape == (1, 4, 3, 4)


def other_regularizer(mdp: Mdp) -> Regularizer:
    return KLDivergence(general_distributions(np.random.default_rng(7), (mdp.n_states, mdp.n_actions)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: replace(m, gamma=0.7), r"problems\[1\].gamma is 0.7 and problems\[0\].gamma 0.8"),
        (lambda m: replace(m, tau=0.7), r"problems\[1\].tau is 0.7"),
        (lambda m: replace(m, regularizer=other_regularizer(m)), r"\.regularizer is KLDivergence"),
        (
            lambda m: replace(m, regularizer=Weighted(other_regularizer(m), np.ones(m.n_states))),
            r"\.regularizer\.base is KLDivergence",
        ),
        (lambda _: general_mdp(np.random.default_rng(1), n_states=5), r"\.P_sat has shape \(5, 3, 5\)"),
        (lambda _: general_game(np.random.default_rng(1)), r"problems\[1\] is ZeroSumGame"),
    ],
)
def test_what_differs_cannot_be_stacked(change: Callable[[Mdp], Any], message: str) -> None:
    mdp = general_mdp(np.random.default_rng(1))
    with pytest.raises(InputError, match=message):
        stack([mdp, change(mdp)])


def test_domains_are_shared_not_stacked() -> None:
    rng = np.random.default_rng(2)
    with pytest.raises(InputError, match=r"\.reward\.domain is Box.* share all but the entries"):
        stack([tabular_family(rng), tabular_family(rng)])


def test_batches_that_do_not_fit_are_refused() -> None:
    mdp = stack(mdps(np.random.default_rng(1), "entropy"))
    with pytest.raises(InputError, match=r"batch.* P_sat \(3,\), r_sa \(2,\)"):
        replace(mdp, r_sa=mdp.r_sa[:2])


def test_same() -> None:
    one, other = (general_game(np.random.default_rng(seed)) for seed in (1, 2))
    assert same(one, replace(one))
    assert not same(one, other)
    assert not same(one, replace(one, gamma=0.5))
    assert not same(one, replace(one, regularizer_1=one.regularizer_2))
    assert not same((1, 2), (1, 2, 3))
    assert not same((1, 2), [1, 2])
    assert not same(np.zeros(2), np.zeros(2, dtype=np.float32))
