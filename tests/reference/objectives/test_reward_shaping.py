"""The shaping loss is judged by the original task alone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference.domains import Euclidean
from reference.errors import InputError
from reference.objectives import reward_shaping
from reference.problems.mdp import Mdp, MdpFamily
from reference.problems.parametrizations import FixedKernel, TabularReward
from reference.problems.reward_shaping import RewardShaping
from reference.regularizers import NegativeEntropy
from reference.validation import Array
from tests.reference.derivative import slope

S, A = 4, 3
EPS = float(np.finfo(np.float64).eps)


def problem(seed: int) -> RewardShaping:
    g = np.random.default_rng(seed)
    P = g.dirichlet(np.full(S, 0.5), (S, A))
    rho = g.dirichlet(np.ones(S))
    original = Mdp(P, g.normal(size=(S, A)), 0.8, rho, 0.3, NegativeEntropy())
    shaped = MdpFamily(
        TabularReward(Euclidean((S, A))), FixedKernel(P), 0.8, rho, 0.3, NegativeEntropy()
    )
    return RewardShaping(original, shaped)


def plain_loss(mdp: Mdp, pi: Array) -> float:
    P = np.einsum("sa,sat->st", pi, mdp.P_sat)
    c = (pi * (mdp.r_sa - mdp.tau * np.log(pi))).sum(axis=1)
    return -float(mdp.rho_s @ np.linalg.solve(np.eye(S) - mdp.gamma * P, c))


@settings(max_examples=10, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1))
def test_loss_is_minus_the_original_value(seed: int) -> None:
    p = problem(seed)
    g = np.random.default_rng(seed)
    x, pi = g.normal(size=(S, A)), 0.1 / A + 0.9 * g.dirichlet(np.ones(A), S)
    found = reward_shaping.OBJECTIVE.evaluate(p, x, (pi,))
    gamma = p.original.gamma
    size = (float(np.abs(p.original.r_sa).max()) + p.original.tau * np.log(A)) / (1.0 - gamma)
    assert abs(float(found.value) - plain_loss(p.original, pi)) <= 8.0 * EPS * (S**2 + S * A) * size / (
        1.0 - gamma
    )
    assert np.array_equal(found.grad_x, np.zeros((S, A)))


def test_gradient() -> None:
    p = problem(3)
    g = np.random.default_rng(4)
    x, pi = g.normal(size=(S, A)), 0.2 / A + 0.8 * g.dirichlet(np.ones(A), S)
    (grad,) = reward_shaping.original_loss(p, x, pi).grad_policies
    for u in np.eye(S * A).reshape(-1, S, A):
        estimate, error = slope(lambda policy: plain_loss(p.original, policy), pi, u, 200.0)
        assert abs((grad * u).sum() - estimate) <= error


def test_x_has_the_shape_of_its_domain() -> None:
    p = problem(0)
    with pytest.raises(InputError, match="x has shape"):
        reward_shaping.original_loss(p, np.zeros(S), np.full((S, A), 1.0 / A))
    batch = reward_shaping.original_loss(p, np.ones((2, S, A)), np.full((2, S, A), 1.0 / A))
    assert batch.value.shape == (2,)
    assert batch.grad_x.shape == (2, S, A)
