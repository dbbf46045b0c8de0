"""Bounds of recursions as exact combinations: right ones pass, wrong ones do not."""

import inspect
from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest

from verify.claims.contract import CertificateError
from verify.claims.exact import dominance, horizon, order, smoothness
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


WRONG = [
    (dominance, "one_step", "h_o - h_p - bend", "h_o - h_p"),
    (dominance, "performance_difference", '"w - r"', '"w"'),
    (dominance, "occupancies", "rho - m", "rho"),
    (
        dominance,
        "of_solutions",
        "strength * mu * delta - lipschitz * width",
        "strength * delta - lipschitz * width",
    ),
    (dominance, "of_relaxed", "(strength, p - p_other)", "(strength**0, p - p_other)"),
    (dominance, "of_penalties", "1 - x", "2 - x"),
    (dominance, "growth", "o - between", "2 * o - between"),
    (dominance, "weighted_growth", "rho = rare + rest", "rho = rest"),
    (dominance, "loss_in_a_state", '"O - C - M O"', '"O - C"'),
    (dominance, "values_within", "lipschitz * D - (best - here)", "D - (best - here)"),
    (smoothness, "minima", "there - v", "there - 2 * v"),
    (horizon, "one_iteration", "behind = m * (19 * s - 1)", "behind = m * (20 * s - 1)"),
    (horizon, "limit", "fmpq(9, 8)", "fmpq(10, 8)"),
    (horizon, "sums", "20 * s * s", "19 * s * s"),
]


@pytest.mark.parametrize(("module", "step", "old", "new"), WRONG, ids=[wrong[1] for wrong in WRONG])
def test_wrong_steps_are_refused(module: ModuleType, step: str, old: str, new: str) -> None:
    source = inspect.getsource(module)
    body = inspect.getsource(getattr(module, step))
    assert old in body
    faulty = ModuleType("faulty")
    exec(source.replace(body, body.replace(old, new)), vars(faulty))
    with pytest.raises(CertificateError):
        getattr(faulty, "attained" if step == "sums" else step)()
