"""The leader's loss against loops over the definition."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference.errors import InputError, NotDifferentiableError
from reference.objectives import stackelberg
from reference.objectives.contract import Objective
from reference.policies import DirectPolicy, PolicyMap, SoftmaxPolicy
from reference.problems.stackelberg import StackelbergGame
from reference.regularizers import NegativeEntropy, Quadratic, Regularizer
from reference.validation import Array
from tests.reference.derivative import slope

S, A, B = 4, 2, 3
EPS = float(np.finfo(np.float64).eps)
LEADERS: list[PolicyMap] = [SoftmaxPolicy((S, A)), DirectPolicy((S, A))]
REGULARIZERS: list[Regularizer] = [NegativeEntropy(), Quadratic()]


def game(
    seed: int,
    leader: PolicyMap,
    *,
    tau_leader: float = 0.3,
    regularizer_leader: Regularizer | None = None,
    gamma: float = 0.8,
    batch: tuple[int, ...] = (),
) -> StackelbergGame:
    g = np.random.default_rng(seed)
    return StackelbergGame(
        P_sabt=g.dirichlet(np.full(S, 0.5), (*batch, S, A, B)),
        r_leader_sab=g.normal(size=(*batch, S, A, B)),
        r_follower_sab=g.normal(size=(*batch, S, A, B)),
        gamma=gamma,
        rho_s=g.dirichlet(np.ones(S)),
        tau=0.2,
        regularizer=NegativeEntropy(),
        leader=leader,
        tau_leader=tau_leader,
        regularizer_leader=regularizer_leader or NegativeEntropy(),
    )


def leader_policy(leader: PolicyMap, x: Array) -> Array:
    if isinstance(leader, DirectPolicy):
        return x
    weights = np.exp(x)
    return np.asarray(weights / weights.sum(axis=-1, keepdims=True))


def plain_loss(g: StackelbergGame, x: Array, pi_b: Array) -> float:
    """Rows of (I - gamma P_pi) V = c written out entry by entry."""
    pi_a = leader_policy(g.leader, x)
    system, c = np.eye(S), np.zeros(S)
    for s in range(S):
        h = (
            (pi_a[s] * np.log(pi_a[s])).sum()
            if isinstance(g.regularizer_leader, NegativeEntropy)
            else 0.5 * (pi_a[s] ** 2).sum()
        )
        c[s] -= g.tau_leader * h
        for a in range(A):
            for b in range(B):
                c[s] += pi_a[s, a] * pi_b[s, b] * g.r_leader_sab[s, a, b]
                for t in range(S):
                    system[s, t] -= g.gamma * pi_a[s, a] * pi_b[s, b] * g.P_sabt[s, a, b, t]
    return -float(g.rho_s @ np.linalg.solve(system, c))


@settings(max_examples=12, deadline=None, derandomize=True)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from(LEADERS),
    st.sampled_from(REGULARIZERS),
    st.sampled_from([0.0, 0.3]),
    st.sampled_from([0.0, 0.5, 0.97]),
)
def test_loss_is_minus_the_leaders_value(
    seed: int, leader: PolicyMap, regularizer: Regularizer, tau: float, gamma: float
) -> None:
    p = game(seed, leader, tau_leader=tau, regularizer_leader=regularizer, gamma=gamma)
    g = np.random.default_rng(seed)
    x, pi_b = g.dirichlet(np.ones(A), S), g.dirichlet(np.ones(B), S)
    found = stackelberg.leader_loss(p, x, pi_b)
    # Two backward stable solves, each with a residual of S**2 + A B roundings on numbers of this size.
    size = (float(np.abs(p.r_leader_sab).max()) + tau) / (1.0 - gamma)
    tolerance = 8.0 * EPS * (S**2 + S * A * B) * size / (1.0 - gamma)
    assert abs(float(found.value) - plain_loss(p, x, pi_b)) <= tolerance


@pytest.mark.parametrize("leader", LEADERS, ids=["softmax", "direct"])
@pytest.mark.parametrize("regularizer", REGULARIZERS, ids=["entropy", "quadratic"])
def test_gradients(leader: PolicyMap, regularizer: Regularizer) -> None:
    p = game(7, leader, regularizer_leader=regularizer)
    g = np.random.default_rng(8)
    x, pi_b = 0.1 + 0.8 * g.dirichlet(np.ones(A), S), g.dirichlet(np.ones(B), S)
    found = stackelberg.leader_loss(p, x, pi_b)
    scale = 10.0 * (float(np.abs(p.r_leader_sab).max()) + 1.0) / (1.0 - p.gamma) ** 2
    for u in np.eye(S * A).reshape(-1, S, A):
        estimate, error = slope(lambda point: plain_loss(p, point, pi_b), x, u, scale)
        assert abs((found.grad_x * u).sum() - estimate) <= error
    for u in np.eye(S * B).reshape(-1, S, B):
        estimate, error = slope(lambda pi: plain_loss(p, x, pi), pi_b, u, scale)
        assert abs((found.grad_policies[0] * u).sum() - estimate) <= error


def test_batch_is_the_loop() -> None:
    leader = SoftmaxPolicy((S, A))
    p = game(1, leader, batch=(3,))
    g = np.random.default_rng(2)
    x, pi_b = g.normal(size=(3, S, A)), g.dirichlet(np.ones(B), (3, S))
    found = stackelberg.leader_loss(p, x, pi_b)
    size = 10.0 / (1.0 - p.gamma) ** 2
    for i in range(3):
        alone = stackelberg.leader_loss(
            StackelbergGame(
                p.P_sabt[i], p.r_leader_sab[i], p.r_follower_sab[i], p.gamma, p.rho_s, p.tau,
                p.regularizer, leader, p.tau_leader, p.regularizer_leader,
            ),
            x[i],
            pi_b[i],
        )  # fmt: skip
        tolerance = 8.0 * EPS * (S**2 + S * A * B) * size / (1.0 - p.gamma)
        assert abs(found.value[i] - alone.value) <= tolerance
        assert np.abs(found.grad_x[i] - alone.grad_x).max() <= tolerance
        assert np.abs(found.grad_policies[0][i] - alone.grad_policies[0]).max() <= tolerance


def test_deterministic_leader() -> None:
    """An unused entropy does not disturb the boundary; a used one has no gradient there."""
    x = np.tile([1.0, 0.0], (S, 1))
    pi_b = np.full((S, B), 1.0 / B)
    free = stackelberg.leader_loss(game(0, DirectPolicy((S, A)), tau_leader=0.0), x, pi_b)
    assert np.isfinite(free.grad_x).all()
    with pytest.raises(NotDifferentiableError, match="boundary of the simplex"):
        stackelberg.leader_loss(game(0, DirectPolicy((S, A)), tau_leader=0.1), x, pi_b)


def test_state_without_visits() -> None:
    """Where the game never goes, the leader's entropy has no say, not even on the boundary."""
    g = np.random.default_rng(0)
    P = np.zeros((S, A, B, S))
    P[..., :3] = g.dirichlet(np.ones(3), (S, A, B))
    rho = np.array([0.2, 0.3, 0.5, 0.0])
    p = dataclasses.replace(game(0, DirectPolicy((S, A))), P_sabt=P, rho_s=rho)
    x, pi_b = np.full((S, A), 1.0 / A), np.full((S, B), 1.0 / B)
    x[3] = (1.0, 0.0)
    found = stackelberg.leader_loss(p, x, pi_b)
    assert np.array_equal(found.grad_x[3], np.zeros(A))
    assert np.array_equal(found.grad_policies[0][3], np.zeros(B))


def test_bad_input() -> None:
    p = game(0, DirectPolicy((S, A)))
    x, pi_b = np.full((S, A), 1.0 / A), np.full((S, B), 1.0 / B)
    with pytest.raises(InputError, match="outside"):
        stackelberg.leader_loss(p, 2.0 * x, pi_b)
    with pytest.raises(InputError, match="pi_sb has shape"):
        stackelberg.leader_loss(p, x, np.full((S, A), 1.0 / A))


def test_objective_is_exported() -> None:
    p = game(0, SoftmaxPolicy((S, A)))
    x, pi_b = np.zeros((S, A)), np.full((S, B), 1.0 / B)
    assert isinstance(stackelberg.OBJECTIVE, Objective)
    found = stackelberg.OBJECTIVE.evaluate(p, x, (pi_b,))
    assert found.value == stackelberg.leader_loss(p, x, pi_b).value
