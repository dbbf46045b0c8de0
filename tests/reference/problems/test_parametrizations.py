"""Every map and kernel against its formula written out, and against its own derivative."""

from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference.domains import Euclidean
from reference.errors import InputError
from reference.policies import SmoothMap
from reference.problems.parametrizations import (
    BoundedIncentive,
    FixedKernel,
    FixedReward,
    Kernel,
    LinearReward,
    PotentialShaping,
    SoftmaxKernel,
    TabularReward,
    UserKernel,
    UserMap,
    check_gradient,
    check_kernel_pullback,
    check_pullback,
)
from reference.validation import Array
from tests import strategies

S, A, B, D = 3, 2, 4, 2
UNIT = float(np.finfo(np.float64).eps)


def rng() -> np.random.Generator:
    return np.random.default_rng(11)


def equal(actual: Array, expected: Array) -> None:
    """Up to the rounding of sums of some dozens of numbers of order one."""
    np.testing.assert_allclose(actual, expected, rtol=0.0, atol=256.0 * UNIT)


# Values: the formula, entry by entry.


def test_tabular_reward() -> None:
    x = rng().standard_normal((S, A))
    np.testing.assert_array_equal(TabularReward(Euclidean((S, A)))(x), x)


def test_fixed_reward() -> None:
    r = rng().standard_normal((S, A))
    reward = FixedReward(r, Euclidean((D,)))
    np.testing.assert_array_equal(reward(np.ones(D)), r)
    np.testing.assert_array_equal(reward.pullback(np.ones(D), r), np.zeros(D))


@pytest.mark.parametrize("event", [(S, A), (S, A, B)])
@pytest.mark.parametrize("axes", [(), (D,), (D, 3)])
def test_linear_reward(event: tuple[int, ...], axes: tuple[int, ...]) -> None:
    generator = rng()
    f, offset = generator.standard_normal((*axes, *event)), generator.standard_normal(event)
    x = generator.standard_normal(axes)
    expected = offset.copy()
    for i in np.ndindex(axes):
        expected += x[i] * f[i]
    reward = LinearReward(f, offset, Euclidean(axes))
    np.testing.assert_allclose(reward(x), expected, rtol=0.0, atol=64.0 * UNIT)


def test_bounded_incentive() -> None:
    generator = rng()
    r, x = generator.standard_normal((2, S, A))
    reward = BoundedIncentive(r, 0.2, Euclidean((S, A)))
    np.testing.assert_allclose(reward(x), r + 0.2 / (1.0 + np.exp(-x)), rtol=0.0, atol=8.0 * UNIT)
    far = np.full((S, A), 800.0)
    np.testing.assert_array_equal(reward(-far), r)
    np.testing.assert_array_equal(reward(far), r + 0.2)
    assert not reward.pullback(far, np.ones((S, A))).any()
    # In the tail the slope is e^-x, far below the spacing of numbers around one.
    slope = reward.pullback(np.full((S, A), 40.0), np.ones((S, A)))
    np.testing.assert_allclose(slope, 0.2 * np.exp(-40.0), rtol=64.0 * UNIT)


def test_potential_shaping() -> None:
    generator = rng()
    P = generator.dirichlet(np.ones(S), (S, A))
    r, x = generator.standard_normal((S, A)), generator.standard_normal(S)
    shaped = PotentialShaping(r, P, 0.7, Euclidean((S,)))(x)
    for s, a in product(range(S), range(A)):
        expected = r[s, a] + 0.7 * sum(P[s, a, t] * x[t] for t in range(S)) - x[s]
        assert abs(shaped[s, a] - expected) <= 32.0 * UNIT


@pytest.mark.parametrize("axes", [(), (D,), (D, 3)])
def test_softmax_kernel(axes: tuple[int, ...]) -> None:
    generator = rng()
    logits = generator.standard_normal((S, A, S))
    logits[0, 1, 2] = -np.inf
    f, x = generator.standard_normal((*axes, S, A, S)), generator.standard_normal(axes)
    P = SoftmaxKernel(logits, f, Euclidean(axes))(x)
    for s, a in product(range(S), range(A)):
        weights = [
            np.exp(logits[s, a, t] + sum(x[i] * f[(*i, s, a, t)] for i in np.ndindex(axes)))
            for t in range(S)
        ]
        np.testing.assert_allclose(P[s, a], np.array(weights) / sum(weights), rtol=64.0 * UNIT)
    assert P[0, 1, 2] == 0.0


# Pullbacks: the maps' own derivatives.


@given(st.data())
@settings(max_examples=60, deadline=None, derandomize=True)
def test_reward_pullbacks(data: st.DataObject) -> None:
    mdp = data.draw(strategies.mdps())
    reward = data.draw(st.one_of(strategies.rewards(mdp.r_sa), strategies.potentials(mdp)))
    x = data.draw(strategies.interior_points(reward.domain))
    # Steps of check_pullback may leave a flat or curved domain; these maps are smooth beyond it.
    check_pullback(reward, x, rng(), directions=2)


@given(st.data())
@settings(max_examples=60, deadline=None, derandomize=True)
def test_kernel_pullbacks(data: st.DataObject) -> None:
    domain = data.draw(strategies.domains((2,)))
    n_states, n_actions = data.draw(strategies.sizes), data.draw(strategies.sizes)
    kernel = data.draw(strategies.kernels(domain, n_states, n_actions))
    x = data.draw(strategies.interior_points(domain))
    check_kernel_pullback(kernel, x, rng(), directions=2)


def test_kernel_pullback_sums_over_the_list() -> None:
    """A list of weights and values pulls back to the sum of what its members do."""
    generator = rng()
    kernel = SoftmaxKernel(
        generator.standard_normal((S, A, S)),
        generator.standard_normal((D, S, A, S)),
        Euclidean((D,)),
    )
    x, w, v = (generator.standard_normal(n) for n in (D, (3, S, A), (3, S)))
    each = [kernel.pullback(x, w[k : k + 1], v[k : k + 1]) for k in range(3)]
    np.testing.assert_allclose(kernel.pullback(x, w, v), sum(each), rtol=0.0, atol=1e3 * UNIT)
    # Values are felt up to a constant, since rows sum to one.
    np.testing.assert_allclose(
        kernel.pullback(x, w, v + 7.0), kernel.pullback(x, w, v), rtol=0.0, atol=1e4 * UNIT
    )


# What users give.

FEATURES = np.random.default_rng(3).standard_normal((D, S, A))


def quadratic(x: Array) -> Array:
    return np.asarray(np.tensordot(x * x, FEATURES, 1))


def quadratic_pullback(x: Array, g: Array) -> Array:
    return np.asarray(2.0 * x * np.tensordot(FEATURES, g, 2))


LOGITS = np.random.default_rng(4).standard_normal((S, A, S))


def tilted(x: Array) -> Array:
    weights = np.exp(LOGITS * np.sin(x))
    return np.asarray(weights / weights.sum(axis=-1, keepdims=True))


def tilted_pullback(x: Array, g: Array) -> Array:
    P = tilted(x)
    return np.asarray((P * (g - (P * g).sum(axis=-1, keepdims=True)) * LOGITS).sum() * np.cos(x))


X = np.array([0.4, -1.1])


def test_right_user_maps_pass() -> None:
    check_pullback(UserMap(quadratic, quadratic_pullback, Euclidean((D,))), X, rng())
    check_kernel_pullback(UserKernel(tilted, tilted_pullback, Euclidean(())), np.array(0.3), rng())


@pytest.mark.parametrize(
    "vjp",
    [
        pytest.param(lambda x, g: 1.001 * quadratic_pullback(x, g), id="one per mille off"),
        pytest.param(lambda x, g: -quadratic_pullback(x, g), id="sign"),
        pytest.param(lambda x, g: quadratic_pullback(x, g)[::-1], id="order"),
        pytest.param(lambda x, g: quadratic_pullback(np.ones_like(x), g), id="point"),
        pytest.param(lambda x, g: quadratic_pullback(x, g) * [1, 0], id="missing"),
        pytest.param(lambda x, g: quadratic_pullback(x, g) + 1e-4, id="offset"),
        pytest.param(lambda x, _: np.zeros_like(x), id="zero"),
    ],
)
def test_wrong_user_maps_are_caught(vjp: Callable[[Array, Array], Array]) -> None:
    with pytest.raises(InputError, match=r"slope .* correct the pullback"):
        check_pullback(UserMap(quadratic, vjp, Euclidean((D,))), X, rng())


@pytest.mark.parametrize(
    "vjp",
    [
        pytest.param(lambda x, g: 1.001 * tilted_pullback(x, g), id="one per mille off"),
        pytest.param(lambda x, g: tilted_pullback(x, g) * np.cos(x), id="chain rule twice"),
        pytest.param(lambda x, g: tilted_pullback(x, np.abs(g)), id="sign of the weights"),
        pytest.param(
            lambda x, g: np.asarray((tilted(x) * g * LOGITS).sum() * np.cos(x)), id="normalisation"
        ),
    ],
)
def test_wrong_user_kernels_are_caught(vjp: Callable[[Array, Array], Array]) -> None:
    with pytest.raises(InputError, match=r"slope .* correct the pullback"):
        check_kernel_pullback(UserKernel(tilted, vjp, Euclidean(())), np.array(0.3), rng())


def test_a_kernel_that_hides_its_dependence_is_caught() -> None:
    class Hiding(UserKernel):
        def pullback(self, x: Array, w_ksa: Array, v_kt: Array) -> Array:
            return np.zeros_like(super().pullback(x, w_ksa, v_kt))

    with pytest.raises(InputError, match="slope"):
        check_kernel_pullback(Hiding(tilted, tilted_pullback, Euclidean(())), np.array(0.3), rng())


@pytest.mark.parametrize(
    ("value", "vjp", "message"),
    [
        (lambda x: quadratic(x) * np.inf, quadratic_pullback, "the user's map at x.* finite"),
        (lambda x: quadratic(x) + 0j, quadratic_pullback, "the user's map at x has dtype complex"),
        (quadratic, lambda x, g: quadratic_pullback(x, g)[:1], "the user's pullback has shape"),
        (quadratic, lambda x, g: quadratic_pullback(x, g) * np.nan, "the user's pullback.* finite"),
    ],
)
def test_what_a_user_map_returns_is_checked(
    value: Callable[[Array], Array], vjp: Callable[[Array, Array], Array], message: str
) -> None:
    with np.errstate(invalid="ignore"), pytest.raises(InputError, match=message):
        check_pullback(UserMap(value, vjp, Euclidean((D,))), X, rng())


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (lambda x: tilted(x) * 1.01, "the user's P_sat.* sums to 1.01"),
        (lambda x: tilted(x)[0], "the user's P_sat has shape"),
    ],
)
def test_what_a_user_kernel_returns_is_checked(value: Callable[[Array], Array], message: str) -> None:
    with pytest.raises(InputError, match=message):
        UserKernel(value, tilted_pullback, Euclidean(()))(np.array(0.3))


def test_the_tolerance_of_check_gradient_is_tight() -> None:
    """A step h leaves an error of the order h^2; without curvature, nothing but rounding."""
    x, slope = np.array([0.3, 1.0, -2.0]), np.array([1.0, -0.5, 0.25])

    def curved(x: Array) -> float:
        return float(np.sin(x).sum())

    def straight(x: Array) -> float:
        return float((slope * x).sum())

    assert check_gradient(curved, x, np.cos(x), rng(), size=3.0) < 1e-9
    assert check_gradient(straight, x, slope, rng(), size=3.0) < 1e-11
    for function, gradient, off in ((curved, np.cos(x), 1e-5), (straight, slope, 3e-10)):
        with pytest.raises(InputError, match="slope"):
            check_gradient(function, x, gradient + off, rng(), size=3.0, directions=20)


# Batches.


def batched_rewards() -> list[tuple[SmoothMap, list[SmoothMap]]]:
    g, n = rng(), 4
    f, offset = g.standard_normal((n, D, S, A)), g.standard_normal((n, S, A))
    P = g.dirichlet(np.ones(S), (n, S, A))
    box, line, states = Euclidean((S, A)), Euclidean((D,)), Euclidean((S,))
    return [
        (
            LinearReward(f, offset, line, batch_axes=1),
            [LinearReward(f[i], offset[i], line) for i in range(n)],
        ),
        (
            BoundedIncentive(offset, 0.3, box),
            [BoundedIncentive(offset[i], 0.3, box) for i in range(n)],
        ),
        (
            PotentialShaping(offset, P, 0.6, states),
            [PotentialShaping(offset[i], P[i], 0.6, states) for i in range(n)],
        ),
        (FixedReward(offset, line), [FixedReward(offset[i], line) for i in range(n)]),
        (TabularReward(box), [TabularReward(box)] * n),
    ]


@pytest.mark.parametrize("index", range(len(batched_rewards())))
def test_batched_rewards_equal_the_loop(index: int) -> None:
    """At a point per problem, and at one point that all share."""
    together, each = batched_rewards()[index]
    generator = rng()
    x = generator.standard_normal((len(each), *together.domain.shape))
    g = generator.standard_normal((len(each), S, A))
    pulled, shared = together.pullback(x, g), together.pullback(x[0], g)
    for i, reward in enumerate(each):
        equal(together(x)[i], reward(x[i]))
        equal(pulled[i], reward.pullback(x[i], g[i]))
        equal(np.broadcast_to(shared, pulled.shape)[i], reward.pullback(x[0], g[i]))


def test_batched_kernels_equal_the_loop() -> None:
    generator, n, domain = rng(), 4, Euclidean((D,))
    logits, f = generator.standard_normal((n, S, A, S)), generator.standard_normal((n, D, S, A, S))
    x = generator.standard_normal((n, D))
    w, v = generator.standard_normal((n, 2, S, A)), generator.standard_normal((n, 2, S))
    pairs: list[tuple[Kernel, list[Kernel]]] = [
        (
            SoftmaxKernel(logits, f, domain),
            [SoftmaxKernel(logits[i], f[i], domain) for i in range(n)],
        ),
        (SoftmaxKernel(logits[0], f[0], domain), [SoftmaxKernel(logits[0], f[0], domain)] * n),
        (SoftmaxKernel(logits, f[0], domain), [SoftmaxKernel(p, f[0], domain) for p in logits]),
    ]
    for together, each in pairs:
        pulled, shared = together.pullback(x, w, v), together.pullback(x[0], w, v)
        assert pulled is not None
        assert shared is not None
        for i, kernel in enumerate(each):
            equal(together(x)[i], kernel(x[i]))
            one, other = kernel.pullback(x[i], w[i], v[i]), kernel.pullback(x[0], w[i], v[i])
            assert one is not None
            assert other is not None
            equal(pulled[i], one)
            equal(shared[i], other)
    fixed = FixedKernel(np.full((n, S, A, S), 1.0 / S))
    assert fixed(x).shape == (n, S, A, S)
    nothing: Kernel = FixedKernel(np.full((S, A, S), 1.0 / S))
    assert nothing.pullback(x, w, v) is None
