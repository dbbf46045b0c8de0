"""The common part: starts, projections, norms."""

import numpy as np
import pytest

from reference.algorithms.bilevel import Bilevel
from reference.algorithms.players import pulled, sizes, views
from reference.errors import InputError
from reference.evaluation import evaluate, evaluate_joint
from reference.objectives import stackelberg
from reference.policies import SoftmaxPolicy
from reference.problems.mdp import Mdp
from reference.validation import Array
from tests.reference.algorithms import instances
from tests.reference.derivative import slope

EPS = float(np.finfo(np.float64).eps)


def test_start_is_uniform_unless_given() -> None:
    bilevel = instances.stackelberg(0)
    x, (y,) = bilevel.start(np.zeros((3, 2)), None)
    (pi,) = bilevel.policies((y,))
    assert np.abs(pi - 1.0 / 3.0).max() <= 4 * EPS
    given = np.random.default_rng(0).normal(size=(3, 3))
    assert np.array_equal(bilevel.start(x, (given,))[1][0], given)


def test_start_refuses_wrong_points() -> None:
    bilevel = instances.shaping(0, direct=True)
    x, y = np.zeros((3, 2)), np.full((3, 2), 0.5)
    with pytest.raises(InputError, match=r"x has shape \(2, 3\)"):
        bilevel.start(x.T, None)
    with pytest.raises(InputError, match="outside"):
        bilevel.start(x + 1.0, None)
    with pytest.raises(InputError, match=r"y\[0\].* outside"):
        bilevel.start(x, (2.0 * y,))
    with pytest.raises(InputError, match="y has the length 2"):
        bilevel.start(x, (y, y))
    with pytest.raises(InputError, match="same batch axes"):
        bilevel.start(x, (np.stack([y, y]),))
    wrong = Bilevel(instances.stackelberg_game(0), stackelberg.OBJECTIVE, (SoftmaxPolicy((3, 2)),))
    with pytest.raises(InputError, match="pi_sb has shape"):
        wrong.start(np.zeros((3, 2)), (np.zeros((3, 2)),))


def test_batch_axes_are_those_of_the_problem() -> None:
    bilevel = instances.stackelberg(0, batch=2)
    with pytest.raises(InputError, match="repeat x and y for each problem"):
        bilevel.start(np.zeros((3, 2)), (np.zeros((3, 3)),))
    x, (y,) = bilevel.start(np.zeros((2, 3, 2)), None)
    assert y.shape == (2, 3, 3)
    assert bilevel.norm(x + 2.0, (y,)).shape == (2,)


def test_as_many_maps_as_players() -> None:
    incentive, game = instances.incentive(0), instances.stackelberg_game(0)
    with pytest.raises(InputError, match="1 maps and the lower level 2 players"):
        Bilevel(incentive.problem, incentive.objective, incentive.policy_maps[:1])
    with pytest.raises(InputError, match="2 maps and the lower level 1 players"):
        Bilevel(game, stackelberg.OBJECTIVE, (SoftmaxPolicy((3, 3)), SoftmaxPolicy((3, 3))))
    with pytest.raises(InputError, match=r"policy_maps\[0\] is"):
        Bilevel(game, stackelberg.OBJECTIVE, (1,))  # type: ignore[arg-type]  # the point


def test_norm_is_euclidean_over_all_parts() -> None:
    bilevel = instances.incentive(0)
    g = np.random.default_rng(1)
    x, y = g.normal(size=2), (g.normal(size=(3, 2)), g.normal(size=(3, 3)))
    flat = np.concatenate([x, y[0].ravel(), y[1].ravel()])
    assert abs(float(bilevel.norm(x, y)) - np.linalg.norm(flat)) <= 16 * EPS * flat.size


def test_views_have_the_values_of_the_game() -> None:
    problem = instances.incentive_problem(3)
    game = problem.at(np.array([0.2, -0.7]))
    g = np.random.default_rng(2)
    pi_a, pi_b = g.dirichlet(np.ones(2), 3), g.dirichlet(np.ones(3), 3)
    joint = evaluate_joint(game, pi_a, pi_b)
    first, second = views(game, (pi_a, pi_b))
    tolerance = 64 * EPS * 18 * float(np.abs(joint.v_s).max() + 1.0) / (1.0 - game.gamma) ** 2
    assert np.abs(evaluate(first, pi_a).v_s - joint.v_s).max() <= tolerance
    assert np.abs(evaluate(second, pi_b).v_s + joint.v_s).max() <= tolerance
    assert sizes(game) == ((3, 2), (3, 3))
    assert views(first, (pi_a,)) == (first,)


def test_pulled_is_the_gradient_of_both_backups() -> None:
    problem = instances.incentive_problem(4)
    g = np.random.default_rng(5)
    x = np.array([0.3, -0.4])
    policies = g.dirichlet(np.ones(2), 3), g.dirichlet(np.ones(3), 3)
    terms = tuple((g.normal(size=(2, 3, n)), g.normal(size=(2, 3))) for n in (2, 3))

    def backups(point: Array) -> float:
        total = 0.0
        for mdp, (w_ksa, v_kt) in zip(views(problem.at(point), policies), terms, strict=True):
            for w_sa, v_t in zip(w_ksa, v_kt, strict=True):
                total += float((w_sa * (mdp.r_sa + mdp.gamma * (mdp.P_sat @ v_t))).sum())
        return total

    gradient = pulled(problem, x, policies, terms)
    for u in np.eye(2):
        estimate, error = slope(backups, x, u, 200.0)
        assert abs(gradient @ u - estimate) <= error


def test_a_single_player_is_the_problem_itself() -> None:
    problem = instances.shaping(0).problem
    lower = problem.at(np.zeros((3, 2)))
    assert isinstance(lower, Mdp)
    pi = np.full((3, 2), 0.5)
    assert views(lower, (pi,)) == (lower,)
    w, v = np.ones((1, 3, 2)), np.zeros((1, 3))
    direct = problem.pullback(np.zeros((3, 2)), w, v)
    assert np.array_equal(pulled(problem, np.zeros((3, 2)), (pi,), ((w, v),)), direct)
