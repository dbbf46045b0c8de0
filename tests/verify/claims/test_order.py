"""Bounds of recursions as exact combinations: right ones pass, wrong ones do not."""

from collections.abc import Callable

import numpy as np
import pytest

from verify.claims.contract import CertificateError
from verify.claims.exact import dominance, order, smoothness
from verify.claims.exact.operators import operators
from verify.claims.exact.order import STOCHASTIC, Order

STEPS = (
    order.values,
    order.centred_values,
    order.slope_recursion,
    order.second_slope_recursion,
    order.through_the_policy,
    order.through_the_transitions,
    order.through_both,
    order.through_both_players,
    order.rows_of_slopes,
    order.next_values,
    dominance.one_step,
    dominance.performance_difference,
    dominance.occupancies,
    dominance.of_solutions,
    dominance.of_relaxed,
    dominance.of_penalties,
    dominance.growth,
    dominance.weighted_growth,
    dominance.loss_in_a_state,
    dominance.values_within,
    smoothness.gradient_of_maximum,
    smoothness.minima,
)


@pytest.mark.parametrize("step", STEPS, ids=lambda step: str(step.__name__))
def test_steps(step: Callable[[], None]) -> None:
    step()


@pytest.mark.parametrize("step", STEPS[:10], ids=lambda step: str(step.__name__))
def test_bounds_that_are_too_small_are_refused(
    step: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of E in the conclusion leaves something over, whatever the step."""
    whole = Order.follows

    def halved(self: Order, what: str, conclusion: str, known: list[tuple[str, str]]) -> None:
        first, _, rest = conclusion.partition(" E ")
        whole(self, what, f"{rest.lstrip('+ ')}" if first else conclusion, known)

    monkeypatch.setattr(Order, "follows", halved)
    with pytest.raises(CertificateError):
        step()


@pytest.mark.parametrize("step", [smoothness.gradient_of_maximum, smoothness.minima])
def test_shares_of_a_bound_are_refused(step: Callable[..., None]) -> None:
    with pytest.raises(CertificateError):
        step(smoothness.ONE * 99 / 100)


def test_multipliers_must_be_nonnegative() -> None:
    rules = Order("b", "X", STOCHASTIC)
    rules.follows("a mean", "b E - X R", [("X", "b E - R")])
    for multiplier in ("- X", "Y", "X R"):
        with pytest.raises(CertificateError, match="may be negative"):
            rules.follows("a mean", "b E - X R", [(multiplier, "b E - R")])
    with pytest.raises(CertificateError, match="left over"):
        rules.follows("a mean", "b E - X R - X R", [("X", "b E - R")])


def test_numbers_of_any_sign_are_no_multipliers() -> None:
    with pytest.raises(CertificateError, match="may be negative"):
        Order("", "X", {}, signed="c").follows("", "c E - c R", [("c", "E - R")])


def test_rules_hold_for_matrices() -> None:
    """What the letters stand for: averages, chains, and slopes of averages."""
    generator = np.random.default_rng(0)
    n_states, n_actions = 3, 2
    pi_sa, other_sa = generator.dirichlet(np.ones(n_actions), (2, n_states))
    average = np.zeros((n_states, n_states * n_actions))
    slope = np.zeros_like(average)
    lifted = np.zeros((n_states * n_actions, n_states))
    for s in range(n_states):
        here = slice(s * n_actions, (s + 1) * n_actions)
        average[s, here], slope[s, here] = pi_sa[s], other_sa[s] - pi_sa[s]
        lifted[here, s] = 1.0
    np.testing.assert_allclose(average @ lifted, np.eye(n_states), atol=1e-15)
    np.testing.assert_allclose(slope @ lifted, 0.0, atol=1e-15)
    parts = np.maximum(slope, 0.0), np.maximum(-slope, 0.0)
    np.testing.assert_allclose(parts[0] @ lifted, parts[1] @ lifted, atol=1e-15)


def test_numbers_move_to_the_front() -> None:
    assert operators("X g E b").with_in_front({"g", "b"}).terms == operators("b g X E").terms
