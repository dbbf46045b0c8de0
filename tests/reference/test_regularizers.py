"""Gradients, maximisers, conjugates and moduli, each against a route of its own."""

import itertools

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from reference.regularizers import (
    KLDivergence,
    NegativeEntropy,
    Quadratic,
    Regularizer,
    Weighted,
    fitting,
)
from reference.validation import Array
from tests import strategies
from tests.derivatives import derivative

UNIT = float(np.finfo(np.float64).eps)
S, A = 2, 3
PLAIN: list[Regularizer] = [
    NegativeEntropy(),
    Quadratic(),
    KLDivergence(np.array([[0.2, 0.3, 0.5], [0.6, 0.3, 0.1]])),
]
WEIGHTS = np.array([0.5, 2.0])
ALL: list[Regularizer] = [*PLAIN, *(Weighted(h, WEIGHTS) for h in PLAIN)]

interior = strategies.policies(S, A, interior=True)
any_policy = strategies.policies(S, A)
values = strategies.tables((S, A))
regularizers = st.sampled_from(ALL)


def weight(h: Regularizer) -> Array:
    return h.weight_s if isinstance(h, Weighted) else np.ones(S)


def objective(h: Regularizer, p_sa: Array, q_sa: Array, tau: float) -> Array:
    return np.asarray((p_sa * q_sa).sum(axis=-1) - tau * h.value(p_sa))


def rounding(h: Regularizer, q_sa: Array, tau: float) -> float:
    """Of an objective: some dozens of operations on numbers of the size of q and tau h."""
    return 64.0 * UNIT * (float(np.abs(q_sa).max()) + tau * (h.bound(A) + 2.0 * float(weight(h).max())))


@given(regularizers, interior, interior)
@settings(max_examples=100, deadline=None, derandomize=True)
def test_gradient_is_the_derivative(h: Regularizer, p_sa: Array, z_sa: Array) -> None:
    """Along segments inside the positive orthant, also such as change the sums of the rows."""
    u_sa = p_sa * (z_sa + 0.25)

    def along(step: float) -> float:
        return float(h.value(p_sa + step * u_sa).sum())

    size = float(np.abs(h.value(p_sa)).sum()) + 10.0 * float(weight(h).sum())
    slope, tolerance = derivative(along, size=size)
    assert abs(slope - float((h.gradient(p_sa) * u_sa).sum())) <= tolerance


@pytest.mark.parametrize("h", ALL)
def test_gradient_at_the_boundary(h: Regularizer) -> None:
    g_sa = h.gradient(np.array([[1.0, 0.0, 0.0], [0.0, 0.5, 0.5]]))
    smooth = h.smoothness < np.inf
    assert np.isfinite(g_sa).all() == smooth
    assert smooth or np.isneginf(g_sa[0, 1])


@given(regularizers, values, strategies.temperatures)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_argmax_is_stationary(h: Regularizer, q_sa: Array, tau: float) -> None:
    """<q - tau grad h(p), z - p> <= 0 for all z: the multipliers are equal where p is positive."""
    p_sa = h.argmax(q_sa, tau)
    np.testing.assert_allclose(p_sa.sum(axis=-1), 1.0, rtol=0.0, atol=A * UNIT * 4.0)
    assert p_sa.min() >= 0.0
    # An entropy's entry that underflows to zero has no gradient; it is off by less than 1e-300.
    known = (p_sa > 0.0) | (h.smoothness < np.inf)
    slope_sa = np.where(known, q_sa - tau * h.gradient(np.where(known, p_sa, 1.0)), -np.inf)
    mean_s = (np.where(known, slope_sa, 0.0) * p_sa).sum(axis=-1)
    assert (slope_sa.max(axis=-1) - mean_s <= rounding(h, q_sa, tau)).all()


@given(regularizers, values, strategies.temperatures, any_policy)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_fenchel_young(h: Regularizer, q_sa: Array, tau: float, z_sa: Array) -> None:
    """The conjugate exceeds the objective at every policy, and equals it at the maximiser."""
    conjugate = h.conjugate(q_sa, tau)
    slack = rounding(h, q_sa, tau)
    assert (objective(h, z_sa, q_sa, tau) <= conjugate + slack).all()
    np.testing.assert_allclose(
        objective(h, h.argmax(q_sa, tau), q_sa, tau), conjugate, rtol=0.0, atol=slack
    )


@pytest.mark.parametrize("h", ALL)
@pytest.mark.parametrize("tau", [0.5, 3.0])
def test_conjugate_against_a_grid(h: Regularizer, tau: float) -> None:
    """Some point of a grid of spacing 1/n comes as near as the curvature allows.

    Some z of the grid has the zeros of the maximiser p and is within 1/n of it in each entry.  The
    objective loses tau w D(z, p) there, and the divergence D of every h here is at most
    sum (z - p)^2 / p.
    """
    q_sa = np.array([[0.5, -0.25, 0.125], [0.0, 0.75, -0.5]])
    n = 60
    grid = np.array([z for z in itertools.product(range(n + 1), repeat=A) if sum(z) == n]) / n
    on_grid = objective(h, grid[:, None, :].repeat(S, axis=1), q_sa, tau).max(axis=0)
    conjugate = h.conjugate(q_sa, tau)
    p_sa = h.argmax(q_sa, tau)
    smallest = np.where(p_sa > 0.0, p_sa, 1.0).min(axis=-1)
    loss = tau * weight(h) * A / n**2 / smallest
    assert (loss < 0.1).all()
    slack = rounding(h, q_sa, tau)
    assert (on_grid <= conjugate + slack).all()
    assert (conjugate <= on_grid + loss + slack).all()


@given(regularizers, interior, interior)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_moduli_hold(h: Regularizer, p_sa: Array, z_sa: Array) -> None:
    """m |p - z|^2 <= <grad h(p) - grad h(z), p - z> <= L |p - z|^2 for states with a weight."""
    u_sa = p_sa - z_sa
    squared = (u_sa * u_sa).sum(axis=-1)
    assume(squared.min() > 1e-6)
    monotone = ((h.gradient(p_sa) - h.gradient(z_sa)) * u_sa).sum(axis=-1)
    slack = 64.0 * UNIT * weight(h) * (1.0 + np.abs(np.log(p_sa)).max())
    assert (monotone >= h.strong_convexity * squared - slack).all()
    assert (monotone <= h.smoothness * squared + slack).all()


@pytest.mark.parametrize("h", ALL)
def test_moduli_are_attained(h: Regularizer) -> None:
    """Across the middle of an edge, in the state of least weight; for smoothness, of largest."""
    middle, step = np.array([0.5, 0.5, 0.0]), 1e-3 * np.array([1.0, -1.0, 0.0])
    p_sa, z_sa = np.tile(middle + step, (S, 1)), np.tile(middle - step, (S, 1))
    with np.errstate(invalid="ignore"):  # -inf - -inf at the third action, which does not move
        change = h.gradient(p_sa) - h.gradient(z_sa)
    ratio = (np.where(p_sa == z_sa, 0.0, change) * (p_sa - z_sa)).sum(axis=-1) / (
        (p_sa - z_sa) ** 2
    ).sum(axis=-1)
    # 2 atanh(2e) / (2e) = 2 (1 + 4e^2/3 + ...) for the entropies.
    assert h.strong_convexity <= ratio.min() <= h.strong_convexity * (1.0 + 2e-6)
    if h.smoothness < np.inf:
        np.testing.assert_allclose(ratio.max(), h.smoothness, rtol=1e-12)


@pytest.mark.parametrize("h", [h for h in ALL if h.smoothness == np.inf])
def test_entropies_are_not_smooth(h: Regularizer) -> None:
    p_sa, z_sa = (np.tile([e, 0.5, 0.5 - e], (S, 1)) for e in (1e-8, 2e-8))
    steepness = np.abs(h.gradient(p_sa) - h.gradient(z_sa)).max() / np.abs(p_sa - z_sa).max()
    assert steepness > 1e6


@given(regularizers, any_policy)
@settings(max_examples=100, deadline=None, derandomize=True)
def test_bound_holds(h: Regularizer, p_sa: Array) -> None:
    assert np.abs(h.value(p_sa)).max() <= h.bound(A) * (1.0 + 8.0 * UNIT)


@pytest.mark.parametrize(
    "h", [*PLAIN, Weighted(NegativeEntropy(), WEIGHTS), Weighted(Quadratic(), WEIGHTS)]
)
def test_bound_is_attained(h: Regularizer) -> None:
    """At a vertex or the centre; only weighted KL, whose parts both vary, need not attain it."""
    corners = [np.tile(vertex, (S, 1)) for vertex in np.eye(A)]
    sizes = [np.abs(h.value(p_sa)).max() for p_sa in [*corners, np.full((S, A), 1.0 / A)]]
    np.testing.assert_allclose(max(sizes), h.bound(A), rtol=8.0 * UNIT)


@given(st.sampled_from(PLAIN), any_policy, values, strategies.temperatures)
@settings(max_examples=50, deadline=None, derandomize=True)
def test_weights_scale_the_temperature(h: Regularizer, p_sa: Array, q_sa: Array, tau: float) -> None:
    """A weighted regulariser, state by state, is the plain one at its own temperature."""
    weighted = Weighted(h, WEIGHTS)
    for s, w in enumerate(WEIGHTS):
        np.testing.assert_array_equal(weighted.value(p_sa)[s], w * h.value(p_sa)[s])
        np.testing.assert_array_equal(weighted.argmax(q_sa, tau)[s], h.argmax(q_sa, tau * w)[s])
        np.testing.assert_array_equal(weighted.conjugate(q_sa, tau)[s], h.conjugate(q_sa, tau * w)[s])


def test_kl_to_the_uniform_policy_is_the_entropy() -> None:
    rng = np.random.default_rng(5)
    p_sa, q_sa = rng.dirichlet(np.ones(A), S), rng.standard_normal((S, A))
    kl, entropy = KLDivergence(np.full((S, A), 1.0 / A)), NegativeEntropy()
    np.testing.assert_allclose(kl.value(p_sa), entropy.value(p_sa) + np.log(A), rtol=1e-14)
    np.testing.assert_allclose(kl.argmax(q_sa, 0.5), entropy.argmax(q_sa, 0.5), rtol=1e-14)


@pytest.mark.parametrize("h", ALL)
def test_batches(h: Regularizer) -> None:
    """Leading axes of policies and values pass through, and so does a temperature per state."""
    rng = np.random.default_rng(6)
    p, q = rng.dirichlet(np.ones(A), (4, S)), rng.standard_normal((4, S, A))
    tau = np.array([0.5, 2.0])
    for i in range(4):
        np.testing.assert_array_equal(h.value(p)[i], h.value(p[i]))
        np.testing.assert_array_equal(h.gradient(p)[i], h.gradient(p[i]))
        np.testing.assert_array_equal(h.argmax(q, tau)[i], h.argmax(q[i], tau))
        np.testing.assert_array_equal(h.conjugate(q, tau)[i], h.conjugate(q[i], tau))


def test_fitting_finds_batch_axes() -> None:
    stacked = Weighted(NegativeEntropy(), np.ones((5, S)))
    assert fitting("h", stacked, S, A) == (5,)
    assert fitting("h", NegativeEntropy(), S, A) == ()


@pytest.mark.parametrize("tau", [1e-6, 1e3])
@pytest.mark.parametrize("h", ALL)
def test_extreme_temperatures(h: Regularizer, tau: float) -> None:
    """Cold: the best vertex, and conjugate the maximum.  Hot: the minimiser of h."""
    q_sa = np.array([[0.5, -0.25, 0.125], [0.0, 0.75, -0.5]])
    p_sa, conjugate = h.argmax(q_sa, tau), h.conjugate(q_sa, tau)
    if tau < 1.0:
        np.testing.assert_array_equal(p_sa, np.eye(A)[q_sa.argmax(axis=-1)])
        distance = tau * weight(h) * h.bound(A)
        assert (np.abs(conjugate - q_sa.max(axis=-1)) <= distance + 8.0 * UNIT).all()
    else:
        centre = h.argmax(np.zeros((S, A)), 1.0)
        # The maximiser is Lipschitz with constant 1 / (tau m).
        moved = np.linalg.norm(q_sa, axis=-1) / (tau * h.strong_convexity)
        assert (np.linalg.norm(p_sa - centre, axis=-1) <= moved + 8.0 * UNIT).all()
