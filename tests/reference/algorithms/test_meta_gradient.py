"""The meta-gradient against differences of the composed map x -> f(x, y'(x))."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference.algorithms.bilevel import Bilevel
from reference.algorithms.contract import Constant, run
from reference.algorithms.independent_gradient import IndependentGradient
from reference.algorithms.meta_gradient import (
    MetaGradient,
    look_ahead,
    pushforward,
    through_projection,
)
from reference.domains import Ball, Euclidean, Simplices, project_to_simplex
from reference.errors import InputError
from reference.evaluation import evaluate_joint, joint_policy_gradients
from reference.penalties import nikaido_isoda, value
from reference.policies import DirectPolicy, SoftmaxPolicy
from reference.problems.mdp import Mdp
from reference.validation import Array
from tests.reference.algorithms import instances
from tests.reference.derivative import slope

EPS = float(np.finfo(np.float64).eps)


def softmax(y: Array) -> Array:
    return np.asarray(np.exp(y) / np.exp(y).sum(axis=-1, keepdims=True))


def ascended(y: Array, gradient_pi: Array, beta: float, *, direct: bool) -> Array:
    """One step of gradient ascent in the parameters, given the gradient in the policy."""
    if direct:
        return project_to_simplex(y + beta * gradient_pi)
    pi = softmax(y)
    mean: Array = (pi * gradient_pi).sum(axis=-1, keepdims=True)
    return y + beta * pi * (gradient_pi - mean)


def composed(
    bilevel: Bilevel[Any], x: Array, y: tuple[Array, ...], beta: float, *, direct: bool
) -> tuple[float, tuple[Array, ...]]:
    """f(x, y'(x)), with the values' gradients from the joint evaluation or plain solves."""
    lower = bilevel.problem.at(x)
    policies = tuple(part if direct else softmax(part) for part in y)
    if isinstance(lower, Mdp):
        (pi,) = policies
        chain = np.eye(lower.n_states) - lower.gamma * np.einsum("sa,sat->st", pi, lower.P_sat)
        c = (pi * lower.r_sa).sum(axis=1) - lower.tau * lower.regularizer.value(pi)
        q = lower.r_sa + lower.gamma * lower.P_sat @ np.linalg.solve(chain, c)
        visits = np.linalg.solve(chain.T, lower.rho_s)
        own: tuple[Array, ...] = (visits[:, None] * (q - lower.tau * lower.regularizer.gradient(pi)),)
    else:
        joint = evaluate_joint(lower, *policies)
        first, second = joint_policy_gradients(joint, joint.q_sab)
        own = first, -second
    ahead = tuple(ascended(a, g, beta, direct=direct) for a, g in zip(y, own, strict=True))
    reached = tuple(part if direct else softmax(part) for part in ahead)
    return float(bilevel.objective.evaluate(bilevel.problem, x, reached).value), ahead


CASES: dict[str, Callable[[int, bool], Bilevel[Any]]] = {
    "stackelberg": lambda seed, direct: instances.stackelberg(seed, direct=direct),
    "shaping": lambda seed, direct: instances.shaping(seed, direct=direct),
    "preferences": lambda seed, _: instances.preferences(seed),
    "incentive": lambda seed, direct: instances.incentive(seed, direct=direct),
}


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    st.integers(0, 1000),
    st.sampled_from(sorted(CASES)),
    st.booleans(),
    st.sampled_from([0.03, 0.3]),
)
def test_gradient_through_the_step(seed: int, case: str, direct: bool, beta: float) -> None:
    direct = direct and case != "preferences"
    bilevel: Bilevel[Any] = CASES[case](seed, direct)
    g = np.random.default_rng(seed)
    domain = bilevel.problem.domain
    # Inside of X, and for direct policies inside of Y: 0.2 of the way to the uniform ones.
    x = 0.3 * g.normal(size=domain.shape)
    x = np.clip(x, -0.4, 0.4) if not isinstance(domain, Simplices) else g.dirichlet(np.full(2, 5.0), 3)
    shapes = [m.domain.shape for m in bilevel.policy_maps]
    y = tuple(
        0.2 / s[1] + 0.8 * g.dirichlet(np.full(s[1], 3.0), s[0]) if direct else g.normal(size=s)
        for s in shapes
    )
    # Steps that end at a corner are tested apart: the differences would straddle the kink.
    beta = 0.01 * beta if direct else beta
    gradient, ahead = look_ahead(bilevel, x, y, beta)
    _, expected = composed(bilevel, x, y, beta, direct=direct)
    for found, plain in zip(ahead, expected, strict=True):
        assert np.abs(found - plain).max() <= beta * instances.rounding(1.0) + 16 * EPS
        assert found.min() > 0.0 or not direct
    for _ in range(3):
        u = g.normal(size=domain.shape)
        u = u / np.abs(u).max()
        if isinstance(domain, Simplices):
            u = 0.5 * (u - u.mean(axis=-1, keepdims=True))
        estimate, error = slope(
            lambda point: composed(bilevel, point, y, beta, direct=direct)[0], x, u, 1000.0
        )
        assert abs((gradient * u).sum() - estimate) <= error


def test_the_step_counts() -> None:
    """The mixed term is what distinguishes the method: without it x would not move at all here."""
    bilevel = instances.incentive(1)
    g = np.random.default_rng(1)
    y = g.normal(size=(3, 2)), g.normal(size=(3, 3))
    x = np.array([0.1, 0.2])
    small, _ = look_ahead(bilevel, x, y, 1e-3)
    large, _ = look_ahead(bilevel, x, y, 1e-1)
    assert np.abs(large).min() > 1e-3
    assert (np.abs(small) < 0.02 * np.abs(large)).all()


def test_projection_that_reaches_the_boundary() -> None:
    """A step that ends on a face moves along the face only; the differences agree away from kinks."""
    bilevel = instances.stackelberg(3, direct=True)
    g = np.random.default_rng(3)
    x = 0.2 + 0.6 * g.dirichlet(np.full(2, 5.0), 3)
    y = (g.dirichlet(np.ones(3), 3),)
    beta = 0.6
    gradient, (ahead,) = look_ahead(bilevel, x, y, beta)
    zeros = (ahead == 0.0).sum(axis=1)
    assert 0 < zeros.sum() < 6
    u = g.normal(size=(3, 2))
    u = 0.3 * (u - u.mean(axis=1, keepdims=True))
    # The same face throughout the range of the differences.
    for h in (-1e-2, 1e-2):
        assert np.array_equal(look_ahead(bilevel, x + h * u, y, beta)[1][0] == 0.0, ahead == 0.0)
    estimate, error = slope(lambda p: composed(bilevel, p, y, beta, direct=True)[0], x, u, 1000.0)
    assert abs((gradient * u).sum() - estimate) <= error
    assert abs(estimate) > 100.0 * error


def test_derivative_of_the_projection() -> None:
    g = np.random.default_rng(0)
    w, u, v = g.normal(size=(3, 50, 4))
    point = project_to_simplex(w)
    # Only where a small step keeps the support is there a derivative.
    h = 1e-6
    kept = ((project_to_simplex(w + h * v) > 0) == (point > 0)).all(axis=1)
    slope_uv = (u * (project_to_simplex(w + h * v) - point)).sum(axis=1) / h
    found = (through_projection(Simplices((50, 4)), point, u) * v).sum(axis=1)
    assert kept.sum() >= 45
    # The projection is piecewise affine: the difference is exact up to rounding over the step.
    assert np.abs(found - slope_uv)[kept].max() <= 64 * EPS * 16.0 / h
    assert np.array_equal(through_projection(Euclidean((50, 4)), w, u), u)
    with pytest.raises(InputError, match="onto Ball is not differentiated"):
        through_projection(Ball(np.zeros(4), 1.0), point, u)


def test_pushforward_is_the_derivative_of_the_policy() -> None:
    g = np.random.default_rng(1)
    y, u, w = g.normal(size=(3, 4, 3))
    softmax_map = SoftmaxPolicy((4, 3))
    estimate, error = slope(lambda p: float((w * softmax(p)).sum()), y, u, 30.0)
    assert abs((w * pushforward(softmax_map, y, u)).sum() - estimate) <= error
    pi = softmax(y)
    assert np.array_equal(pushforward(DirectPolicy((4, 3)), pi, u), u)

    class Doubled:
        domain = Euclidean((4, 3))

        def __call__(self, x: Array) -> Array:
            return softmax(2.0 * x)

        def pullback(self, x: Array, gradient: Array) -> Array:
            return 2.0 * SoftmaxPolicy((4, 3)).pullback(2.0 * x, gradient)

        def inverse(self, pi_sa: Array) -> Array:
            return np.asarray(np.log(pi_sa) / 2.0)

    with pytest.raises(InputError, match="not Doubled"):
        pushforward(Doubled(), y, u)


def test_probabilities_that_underflow_are_the_limit() -> None:
    """Where a softmax policy is zero in float64 the entropy's infinite slope does not enter."""
    bilevel = instances.incentive(1)
    x = np.array([0.1, 0.2])
    found = []
    for depth in (45.0, 900.0):
        y = np.zeros((3, 2)), np.zeros((3, 3))
        y[0][0, 1] = y[1][2, 0] = -depth
        found.append(look_ahead(bilevel, x, y, 0.1)[0])
    # exp(-45) < 3e-20, times its logarithm in the entropy's slope, is below rounding.
    assert np.abs(found[0] - found[1]).max() <= instances.rounding(1.0)
    assert np.abs(found[0]).min() > 1e-3


def test_step_uses_the_look_ahead() -> None:
    bilevel = instances.incentive(2)
    algorithm = MetaGradient(bilevel, nikaido_isoda.PENALTY, Constant(0.4), Constant(0.2))
    state = algorithm.start(np.array([0.9, -0.9]))
    gradient, ahead = look_ahead(bilevel, state.x, state.y, 0.2)
    found = algorithm.step(state)
    assert np.array_equal(found.x, np.clip(state.x - 0.4 * gradient, -1.0, 1.0))
    assert all(np.array_equal(a, b) for a, b in zip(found.y, ahead, strict=True))
    record = algorithm.record(state, found)
    exact = nikaido_isoda.PENALTY.exact(bilevel.problem, state.x, bilevel.policies(state.y))
    assert record.penalty == exact.value
    moves = [np.linalg.norm(found.x - state.x) / 0.4]
    moves += [np.linalg.norm(a - b) / 0.2 for a, b in zip(found.y, state.y, strict=True)]
    followed = float(np.linalg.norm(moves))
    assert abs(record.projected_gradient - followed) <= 16 * EPS * followed


def test_designer_gains_while_the_players_settle() -> None:
    """f falls below what the players reach when x stays, and they are close to an equilibrium."""
    bilevel = instances.incentive(7)
    algorithm = MetaGradient(bilevel, nikaido_isoda.PENALTY, Constant(0.1), Constant(0.5))
    idle = IndependentGradient(bilevel, nikaido_isoda.PENALTY, None, Constant(0.5))
    found = run(algorithm, algorithm.start(np.zeros(2)), 151, record_every=150).records
    without = run(idle, idle.start(np.zeros(2)), 151, record_every=150).records
    assert float(found[-1].f) < float(without[-1].f) - 0.5
    assert float(found[-1].penalty) < 0.01 * float(found[0].penalty)


def test_batch_is_the_loop() -> None:
    def build(bilevel: Bilevel[Any], penalty: Any) -> MetaGradient[Any]:
        return MetaGradient(bilevel, penalty, Constant(0.1), Constant(0.1))

    g = np.random.default_rng(0)
    for make, penalty, shape, sizes in (
        (instances.stackelberg, value.PENALTY, (3, 2), (3,)),
        (instances.incentive, nikaido_isoda.PENALTY, (2,), (2, 3)),
    ):
        x = 0.1 * g.normal(size=(3, *shape))
        y = tuple(g.normal(size=(3, 3, n)) for n in sizes)
        together = build(make(10, batch=3), penalty)
        batch = run(together, together.start(x, y), 4).state
        for i in range(3):
            alone = build(make(10 + i), penalty)
            single = run(alone, alone.start(x[i], tuple(part[i] for part in y)), 4).state
            tolerance = 4 * (0.1 * instances.rounding(1.0) + 16 * EPS)
            assert np.abs(batch.x[i] - single.x).max() <= tolerance
            for a, b in zip(batch.y, single.y, strict=True):
                assert np.abs(a[i] - b).max() <= tolerance
