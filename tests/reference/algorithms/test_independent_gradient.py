"""Independent policy gradient: the simultaneous update, written out by differences of the values."""

from typing import Any

import numpy as np
import pytest

from reference.algorithms.bilevel import Bilevel
from reference.algorithms.contract import Constant, run
from reference.algorithms.independent_gradient import IndependentGradient
from reference.evaluation import evaluate
from reference.penalties import nikaido_isoda, value
from reference.validation import Array
from tests.reference.algorithms import instances
from tests.reference.derivative import slope

EPS = float(np.finfo(np.float64).eps)


def softmax(y: Array) -> Array:
    return np.asarray(np.exp(y) / np.exp(y).sum(axis=-1, keepdims=True))


def units(shape: tuple[int, ...]) -> Array:
    size = int(np.prod(shape))
    return np.eye(size).reshape(size, *shape)


def test_leader_descends_and_follower_ascends_at_once() -> None:
    bilevel = instances.stackelberg(1)
    problem = bilevel.problem
    g = np.random.default_rng(2)
    x, y = g.normal(size=(3, 2)), g.normal(size=(3, 3))
    alpha, beta = 0.3, 0.7
    algorithm = IndependentGradient(bilevel, value.PENALTY, Constant(alpha), Constant(beta))
    found = algorithm.step(algorithm.start(x, (y,)))

    def leader(point: Array) -> float:
        return float(bilevel.objective.evaluate(problem, point, (softmax(y),)).value)

    def follower(point: Array) -> float:
        return float(evaluate(problem.at(x), softmax(point)).value)

    for u in units((3, 2)):
        estimate, error = slope(leader, x, u, 500.0)
        assert abs(((found.x - x) * u).sum() + alpha * estimate) <= alpha * error
    for u in units((3, 3)):
        estimate, error = slope(follower, y, u, 500.0)
        assert abs(((found.y[0] - y) * u).sum() - beta * estimate) <= beta * error
    assert found.k == 1
    record = algorithm.record(algorithm.start(x, (y,)), found)
    followed = np.hypot(np.linalg.norm(found.x - x) / alpha, np.linalg.norm(found.y[0] - y) / beta)
    assert abs(record.projected_gradient - followed) <= 16 * EPS * followed
    held = IndependentGradient(bilevel, value.PENALTY, None, Constant(beta))
    record = held.record(held.start(x, (y,)), found)
    assert abs(record.projected_gradient - np.linalg.norm(found.y[0] - y) / beta) <= 16 * EPS * followed


def test_players_of_a_game_climb_their_own_values() -> None:
    bilevel = instances.incentive(3)
    g = np.random.default_rng(4)
    x, y = np.array([0.3, -0.2]), (g.normal(size=(3, 2)), g.normal(size=(3, 3)))
    algorithm = IndependentGradient(bilevel, nikaido_isoda.PENALTY, Constant(0.5), Constant(0.5))
    found = algorithm.step(algorithm.start(x, y))
    game = bilevel.problem.at(x)

    def first(point: Array) -> float:
        return float(evaluate(game.for_player_1(softmax(y[1])), softmax(point)).value)

    def second(point: Array) -> float:
        return float(evaluate(game.for_player_2(softmax(y[0])), softmax(point)).value)

    for own, before, after in ((first, y[0], found.y[0]), (second, y[1], found.y[1])):
        for u in units(before.shape):
            estimate, error = slope(own, before, u, 500.0)
            assert abs(((after - before) * u).sum() - 0.5 * estimate) <= 0.5 * error
    # The designer's objective depends on x through the players only.
    assert np.array_equal(found.x, x)


@pytest.mark.parametrize("direct", [False, True])
def test_without_incentive_the_players_find_an_equilibrium(direct: bool) -> None:
    """With tau > 0 independent ascent closes the Nikaido-Isoda gap; x is held where it is."""
    bilevel = instances.incentive(5, direct=direct)
    step = Constant(0.02 if direct else 0.5)
    algorithm = IndependentGradient(bilevel, nikaido_isoda.PENALTY, None, step)
    x = bilevel.problem.domain.project(np.full(bilevel.problem.domain.shape, 0.25))
    found = run(algorithm, algorithm.start(x), 601, record_every=600)
    first, last = found.records
    assert np.array_equal(found.state.x, x)
    assert float(last.penalty) < 1e-3 * float(first.penalty)
    assert first.f.shape == ()


def test_fixed_x_is_not_even_projected() -> None:
    """Holding x fixed and having no gradient in x are the same up to the projection's rounding."""
    bilevel = instances.shaping(0)
    step = Constant(0.1)
    held = IndependentGradient(bilevel, value.PENALTY, None, step)
    free = IndependentGradient(bilevel, value.PENALTY, step, step)
    x = np.full((3, 2), 0.1)
    one, other = run(held, held.start(x), 5).state, run(free, free.start(x), 5).state
    assert np.array_equal(one.x, x)
    assert np.array_equal(one.y[0], other.y[0])
    assert np.abs(one.x - other.x).max() <= 8 * EPS


def test_batch_is_the_loop() -> None:
    def build(bilevel: Bilevel[Any]) -> IndependentGradient[Any]:
        return IndependentGradient(bilevel, value.PENALTY, Constant(0.1), Constant(0.1))

    g = np.random.default_rng(0)
    x, y = g.normal(size=(3, 3, 2)), g.normal(size=(3, 3, 3))
    together = build(instances.stackelberg(10, batch=3))
    batch = run(together, together.start(x, (y,)), 4, record_every=1)
    for i in range(3):
        alone = build(instances.stackelberg(10 + i))
        single = run(alone, alone.start(x[i], (y[i],)), 4, record_every=1)
        tolerance = 4 * (0.1 * instances.rounding(0.0) + 16 * EPS)
        assert np.abs(batch.state.x[i] - single.state.x).max() <= tolerance
        assert np.abs(batch.state.y[0][i] - single.state.y[0]).max() <= tolerance
        for many, one in zip(batch.records, single.records, strict=True):
            assert abs(many.f[i] - one.f) <= instances.rounding(0.0)
            assert abs(many.penalty[i] - one.penalty) <= instances.rounding(0.0)
            gap = abs(many.projected_gradient[i] - one.projected_gradient)
            assert gap <= instances.rounding(0.0) + 2 * tolerance / 0.1
