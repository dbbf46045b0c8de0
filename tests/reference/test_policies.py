"""Policies as smooth maps: pullbacks, inverses and the boundary."""

import numpy as np
import pytest
from hypothesis import given, settings

from reference.errors import InputError, NotDifferentiableError
from reference.policies import DirectPolicy, PolicyMap, SoftmaxPolicy
from reference.problems.parametrizations import check_pullback
from reference.validation import Array
from tests import strategies

UNIT = float(np.finfo(np.float64).eps)
S, A = 2, 3
MAPS: list[PolicyMap] = [DirectPolicy((S, A)), SoftmaxPolicy((S, A))]


@given(strategies.policies(S, A, interior=True), strategies.tables((S, A)))
@settings(max_examples=30, deadline=None, derandomize=True)
def test_pullbacks(pi_sa: Array, logits_sa: Array) -> None:
    generator = np.random.default_rng(1)
    check_pullback(SoftmaxPolicy((S, A)), logits_sa, generator)
    check_pullback(DirectPolicy((S, A)), pi_sa, generator)


@given(strategies.policies(S, A, interior=True))
@settings(max_examples=50, deadline=None, derandomize=True)
def test_inverse(pi_sa: Array) -> None:
    for policy_map in MAPS:
        again = policy_map(policy_map.inverse(pi_sa))
        np.testing.assert_allclose(again, pi_sa, rtol=16.0 * UNIT)


@given(strategies.tables((S, A)), strategies.tables((S, A)))
@settings(max_examples=50, deadline=None, derandomize=True)
def test_softmax_does_not_feel_a_shift(y_sa: Array, g_sa: Array) -> None:
    """Its gradient is orthogonal to shifts of a row, and does not feel one of the gradient in pi."""
    softmax = SoftmaxPolicy((S, A))
    pulled = softmax.pullback(y_sa, g_sa)
    size = A * np.abs(g_sa).max(initial=1.0)
    np.testing.assert_allclose(pulled.sum(axis=-1), 0.0, atol=8.0 * UNIT * size)
    shifted = softmax.pullback(y_sa + 3.0, g_sa + 5.0)
    np.testing.assert_allclose(shifted, pulled, rtol=0.0, atol=32.0 * UNIT * (size + 5.0))


def test_softmax_takes_the_limit_where_a_probability_underflows() -> None:
    """pi log pi and its derivative in the logit vanish with pi, though log pi is infinite."""
    y_sa = np.array([[0.0, -800.0, 1.0]])
    softmax = SoftmaxPolicy((1, 3))
    pi_sa = softmax(y_sa)
    assert pi_sa[0, 1] == 0.0
    pulled = softmax.pullback(y_sa, np.array([[1.0, -np.inf, 2.0]]))
    two = SoftmaxPolicy((1, 2)).pullback(y_sa[:, [0, 2]], np.array([[1.0, 2.0]]))
    np.testing.assert_allclose(pulled, [[two[0, 0], 0.0, two[0, 1]]], rtol=8.0 * UNIT)


def test_direct_policies_have_no_limit_at_the_boundary() -> None:
    pi_sa = np.array([[[0.5, 0.5], [0.0, 1.0]]])
    infinite = np.array([[[1.0, 1.0], [-np.inf, 1.0]]]).repeat(2, axis=0)
    with pytest.raises(NotDifferentiableError, match=r"pi_sa\[0, 1, 0\] = 0: .* softmax"):
        DirectPolicy((2, 2)).pullback(pi_sa, infinite)


def test_no_logit_gives_a_zero() -> None:
    with pytest.raises(InputError, match=r"pi_sa\[0, 1\] is 0; .* uniform"):
        SoftmaxPolicy((1, 2)).inverse(np.array([[1.0, 0.0]]))


@pytest.mark.parametrize("policy_map", MAPS)
def test_batches(policy_map: PolicyMap) -> None:
    rng = np.random.default_rng(2)
    y, g = rng.dirichlet(np.ones(A), (4, S)), rng.standard_normal((4, S, A))
    for i in range(4):
        np.testing.assert_array_equal(policy_map(y)[i], policy_map(y[i]))
        np.testing.assert_array_equal(policy_map.pullback(y, g)[i], policy_map.pullback(y[i], g[i]))
