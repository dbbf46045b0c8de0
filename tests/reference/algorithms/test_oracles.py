"""Oracles against the updates that they are named after, and against the optimal policy."""

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference.algorithms.oracles import Exact, MirrorDescent, Oracle, PolicyGradient
from reference.domains import project_to_simplex
from reference.errors import InputError, NotDifferentiableError
from reference.evaluation import evaluate
from reference.optimality import policy_iteration
from reference.policies import DirectPolicy, SoftmaxPolicy
from reference.problems.mdp import Mdp
from reference.regularizers import NegativeEntropy, Quadratic, Regularizer

S, A = 4, 3
EPS = float(np.finfo(np.float64).eps)


def mdp(seed: int, *, h: Regularizer | None = None, tau: float = 0.4, gamma: float = 0.8) -> Mdp:
    g = np.random.default_rng(seed)
    P = g.dirichlet(np.full(S, 0.4), (S, A))
    return Mdp(P, g.normal(size=(S, A)), gamma, g.dirichlet(np.ones(S)), tau, h or NegativeEntropy())


ORACLES: list[Oracle] = [
    Exact(),
    MirrorDescent(0.7, 1),
    MirrorDescent(0.7, 4),
    PolicyGradient(SoftmaxPolicy((S, A)), 0.3, 3),
    PolicyGradient(DirectPolicy((S, A)), 0.01, 3),
]


@pytest.mark.parametrize("oracle", ORACLES, ids=str)
@pytest.mark.parametrize("h", [NegativeEntropy(), Quadratic()], ids=["entropy", "quadratic"])
def test_every_call_brings_the_value_closer_to_the_best(oracle: Oracle, h: Regularizer) -> None:
    m = mdp(1, h=h)
    best = policy_iteration(m)
    start = np.random.default_rng(2).dirichlet(np.full(A, 4.0), S)
    state = oracle.start(m, start)
    assert np.abs(oracle.policy(m, state) - start).max() <= 8 * EPS
    gaps = [float(best.value - evaluate(m, start).value)]
    for _ in range(4):
        state = oracle.improve(m, state)
        gaps.append(float(best.value - evaluate(m, oracle.policy(m, state)).value))
    rounding = 4.0 * float(best.error)
    assert all(later <= max(earlier, rounding) for earlier, later in itertools.pairwise(gaps))
    assert gaps[-1] < 0.9 * gaps[0]


@settings(max_examples=10, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.4]))
def test_exact_is_optimal_from_any_start(seed: int, tau: float) -> None:
    m = mdp(seed, tau=tau)
    oracle = Exact()
    start = np.random.default_rng(seed).dirichlet(np.ones(A), S)
    found = oracle.policy(m, oracle.improve(m, oracle.start(m, start)))
    best = policy_iteration(m)
    if tau > 0.0:
        assert np.abs(found - best.pi_sa).max() <= 2.0 * float(best.policy_error)
    assert float(best.value - evaluate(m, found).value) <= 2.0 * float(best.error)


def test_exact_refuses_ties() -> None:
    P = np.full((2, 2, 2), 0.5)
    m = Mdp(P, np.zeros((2, 2)), 0.5, np.full(2, 0.5), 0.0, Quadratic())
    with pytest.raises(NotDifferentiableError, match="both optimal"):
        Exact().improve(m, np.full((2, 2), 0.5))


def test_mirror_descent_is_the_proximal_step() -> None:
    """With the negative entropy, (C.32) is pi' ~ pi^(1 / (1 + eta tau)) exp(eta Q / (1 + eta tau))."""
    m, eta = mdp(3), 0.6
    pi = np.random.default_rng(4).dirichlet(np.ones(A), S)
    oracle = MirrorDescent(eta, 2)
    found = oracle.policy(m, oracle.improve(m, oracle.start(m, pi)))
    for _ in range(2):
        q = evaluate(m, pi).q_sa
        weights = pi ** (1.0 / (1.0 + eta * m.tau)) * np.exp(eta * q / (1.0 + eta * m.tau))
        pi = weights / weights.sum(axis=1, keepdims=True)
    assert np.abs(found - pi).max() <= 64 * EPS * float(np.abs(q).max()) / (1.0 - m.gamma)


def test_mirror_descent_converges_linearly() -> None:
    """|Q* - Q^k| shrinks at least by 1 - (1 - gamma) eta tau / (1 + eta tau) (Zhan et al. 2023)."""
    m, eta, steps = mdp(5), 2.0, 60
    best = policy_iteration(m)
    oracle = MirrorDescent(eta, steps)
    pi = oracle.policy(m, oracle.improve(m, oracle.start(m, np.full((S, A), 1.0 / A))))
    rate = 1.0 - (1.0 - m.gamma) * eta * m.tau / (1.0 + eta * m.tau)
    # Their constant at the first iterate: |Q* - Q^0| + 2 / (1 + eta tau) |Q* - tau xi^0|, at most this.
    first = 6.0 * m.reward_bound / (1.0 - m.gamma)
    gap = float(np.abs(best.v_s - evaluate(m, pi).v_s).max())
    assert gap <= first * rate**steps + 4.0 * float(best.error)


@pytest.mark.parametrize("direct", [False, True])
def test_policy_gradient_is_projected_ascent(direct: bool) -> None:
    """Against the gradient of a plain solve, by one-sided formulas written out."""
    m, eta = mdp(6, h=Quadratic()), 0.2
    g = np.random.default_rng(7)
    pi = g.dirichlet(np.ones(A), S)
    own = evaluate(m, pi)
    visits = np.linalg.solve(np.eye(S) - m.gamma * np.einsum("sa,sat->ts", pi, m.P_sat), m.rho_s)
    slope = visits[:, None] * (own.q_sa - m.tau * pi)
    policy_map = DirectPolicy((S, A)) if direct else SoftmaxPolicy((S, A))
    oracle = PolicyGradient(policy_map, eta, 1)
    found = oracle.policy(m, oracle.improve(m, oracle.start(m, pi)))
    if direct:
        expected = project_to_simplex(pi + eta * slope)
    else:
        logits = np.log(pi) + eta * pi * (slope - (pi * slope).sum(axis=1, keepdims=True))
        expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    size = m.reward_bound / (1.0 - m.gamma) ** 2
    assert np.abs(found - expected).max() <= 64 * EPS * S * A * size


@pytest.mark.parametrize(
    "make", [MirrorDescent, lambda e, t: PolicyGradient(SoftmaxPolicy((S, A)), e, t)]
)
def test_many_steps_are_many_calls(make: Callable[[float, int], Oracle]) -> None:
    m = mdp(8)
    together, alone = make(0.5, 5), make(0.5, 1)
    start = alone.start(m, np.full((S, A), 1.0 / A))
    state = start
    for _ in range(5):
        state = alone.improve(m, state)
    assert np.array_equal(state, together.improve(m, start))


@pytest.mark.parametrize("step", [0.0, -1.0, np.nan])
def test_steps_are_positive(step: float) -> None:
    with pytest.raises(InputError, match="step is"):
        MirrorDescent(step, 1)
    with pytest.raises(InputError, match="step is"):
        PolicyGradient(SoftmaxPolicy((S, A)), step, 1)


@pytest.mark.parametrize("steps", [0, -3, 1.5, True])
def test_at_least_one_step(steps: int) -> None:
    with pytest.raises(InputError, match="steps is"):
        MirrorDescent(1.0, steps)
    with pytest.raises(InputError, match="steps is"):
        PolicyGradient(SoftmaxPolicy((S, A)), 1.0, steps)


def test_starts_are_checked() -> None:
    m = mdp(0)
    corner = np.tile(np.eye(A)[0], (S, 1))
    with pytest.raises(InputError, match="mirror descent"):
        MirrorDescent(1.0, 1).start(m, corner)
    with pytest.raises(InputError, match="no finite logit"):
        PolicyGradient(SoftmaxPolicy((S, A)), 1.0, 1).start(m, corner)
    for oracle in ORACLES:
        with pytest.raises(InputError, match="pi_sa has shape"):
            oracle.start(m, np.full((A, S), 1.0 / S))
    with pytest.raises(InputError, match="policy_map is"):
        PolicyGradient(Quadratic(), 1.0, 1)  # type: ignore[arg-type]  # the point
