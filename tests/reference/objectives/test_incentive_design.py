"""The designer's loss against the truncated sum of its definition."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference.domains import Euclidean
from reference.errors import InputError
from reference.objectives import incentive_design
from reference.problems.incentive_design import IncentiveDesign
from reference.problems.parametrizations import BoundedIncentive, FixedKernel
from reference.problems.zero_sum_game import GameFamily
from reference.regularizers import NegativeEntropy
from reference.validation import Array
from tests.reference.derivative import slope

S, A, B = 3, 2, 4
EPS = float(np.finfo(np.float64).eps)


def problem(seed: int, gamma: float = 0.7, batch: tuple[int, ...] = ()) -> IncentiveDesign:
    """With a batch, the designer's arrays have one; the players' game is that without a batch."""
    g = np.random.default_rng(seed)
    family = GameFamily(
        BoundedIncentive(g.normal(size=(S, A, B)), 0.2, Euclidean((S, A, B))),
        FixedKernel(g.dirichlet(np.ones(S), (S, A * B))),
        gamma,
        g.dirichlet(np.ones(S)),
        0.1,
        NegativeEntropy(),
        NegativeEntropy(),
    )
    P_design = g.dirichlet(np.full(S, 0.3), (*batch, S, A, B))
    return IncentiveDesign(family, P_design, g.normal(size=(*batch, S, A, B)), g.normal(size=S))


def plain_loss(p: IncentiveDesign, pi_a: Array, pi_b: Array) -> tuple[float, float]:
    """The discounted sum, cut where its remainder is below rounding; and a bound on the remainder."""
    game = p.game.at(np.zeros((S, A, B)))
    mu, total, weight = game.rho_s, 0.0, 1.0
    # A step along one entry of a policy changes the mass by at most 2 percent.
    rate = game.gamma * 1.02
    while weight > EPS:
        joint = mu[:, None, None] * pi_a[:, :, None] * pi_b[:, None, :]
        total -= float((joint * (p.r_design_sab - p.cost_s[:, None, None])).sum())
        mu = game.gamma * np.einsum("sab,sabt->t", joint, p.P_design_sabt)
        weight *= rate
    size = float(np.abs(p.r_design_sab).max() + np.abs(p.cost_s).max())
    return total, weight * size / (1.0 - rate)


@settings(max_examples=10, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.7, 0.9]))
def test_loss_is_minus_the_designers_value(seed: int, gamma: float) -> None:
    p = problem(seed, gamma)
    g = np.random.default_rng(seed)
    pi_a, pi_b = g.dirichlet(np.ones(A), S), g.dirichlet(np.ones(B), S)
    x = g.normal(size=(S, A, B))
    found = incentive_design.OBJECTIVE.evaluate(p, x, (pi_a, pi_b))
    expected, cut = plain_loss(p, pi_a, pi_b)
    size = float(np.abs(p.r_design_sab).max() + np.abs(p.cost_s).max()) / (1.0 - gamma)
    tolerance = cut + 16.0 * EPS * (S**2 + S * A * B) * size / (1.0 - gamma)
    assert abs(float(found.value) - expected) <= tolerance
    assert np.array_equal(found.grad_x, np.zeros((S, A, B)))


def test_gradients() -> None:
    p = problem(5)
    g = np.random.default_rng(6)
    pi_a, pi_b = g.dirichlet(np.ones(A), S), g.dirichlet(np.ones(B), S)
    pi_b[0] = np.eye(B)[1]
    x = np.zeros((S, A, B))
    grad_a, grad_b = incentive_design.designer_loss(p, x, pi_a, pi_b).grad_policies
    for u in np.eye(S * A).reshape(-1, S, A):
        estimate, error = slope(lambda pi: plain_loss(p, pi, pi_b)[0], pi_a, u, 300.0)
        assert abs((grad_a * u).sum() - estimate) <= error
    for u in np.eye(S * B).reshape(-1, S, B):
        estimate, error = slope(lambda pi: plain_loss(p, pi_a, pi)[0], pi_b, u, 300.0)
        assert abs((grad_b * u).sum() - estimate) <= error


def test_batch_is_the_loop() -> None:
    p = problem(1, batch=(3,))
    g = np.random.default_rng(2)
    pi_a, pi_b = g.dirichlet(np.ones(A), (3, S)), g.dirichlet(np.ones(B), (3, S))
    x = np.zeros((3, S, A, B))
    found = incentive_design.designer_loss(p, x, pi_a, pi_b)
    size = float(np.abs(p.r_design_sab).max() + np.abs(p.cost_s).max()) / (1.0 - 0.7) ** 2
    tolerance = 16.0 * EPS * (S**2 + S * A * B) * size / (1.0 - 0.7)
    for i in range(3):
        single = IncentiveDesign(p.game, p.P_design_sabt[i], p.r_design_sab[i], p.cost_s)
        alone = incentive_design.designer_loss(single, x[i], pi_a[i], pi_b[i])
        assert abs(found.value[i] - alone.value) <= tolerance
        for batched, one in zip(found.grad_policies, alone.grad_policies, strict=True):
            assert np.abs(batched[i] - one).max() <= tolerance


def test_bad_input() -> None:
    p = problem(0)
    pi_a, pi_b = np.full((S, A), 1.0 / A), np.full((S, B), 1.0 / B)
    with pytest.raises(InputError, match="x has shape"):
        incentive_design.designer_loss(p, np.zeros((S, A)), pi_a, pi_b)
    with pytest.raises(InputError, match="pi_sa has shape"):
        incentive_design.designer_loss(p, np.zeros((S, A, B)), pi_b, pi_a)
