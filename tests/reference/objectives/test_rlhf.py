"""The preference loss against the explicit enumeration of every trajectory."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference.domains import Euclidean
from reference.errors import InputError
from reference.objectives import rlhf
from reference.objectives.contract import Objective
from reference.problems.mdp import MdpFamily
from reference.problems.parametrizations import FixedKernel, LinearReward, UserKernel
from reference.problems.rlhf import BradleyTerryLabels, LabelByReturn, LabelRule, Rlhf
from reference.problems.structure import stack
from reference.regularizers import NegativeEntropy
from reference.validation import Array
from tests.reference.derivative import slope

S, A, D = 3, 2, 3
EPS = float(np.finfo(np.float64).eps)


class FirstOfATie:
    """A biased rule, so that the order of the two segments matters."""

    def __call__(self, return_difference: Array) -> Array:
        return np.where(return_difference > -1e-9, 1.0, 0.0)


LABELS: list[LabelRule] = [LabelByReturn(), BradleyTerryLabels(0.7), FirstOfATie()]
SHAPES = [(1, 0), (3, 0), (2, 2), (3, 1)]


def problem(seed: int, length: int, delay: int, labels: LabelRule, *, sparse: bool = False) -> Rlhf:
    """Integer true rewards, so that many returns tie; about half of the transitions impossible."""
    g = np.random.default_rng(seed)
    P = g.dirichlet(np.ones(S), (S, A))
    if sparse:
        P = np.where(np.median(P, axis=-1, keepdims=True) > P, 0.0, P)
        P = P / P.sum(axis=-1, keepdims=True)
    reward = LinearReward(g.normal(size=(D, S, A)), g.normal(size=(S, A)), Euclidean((D,)))
    rho = g.dirichlet(np.ones(S))
    lower = MdpFamily(reward, FixedKernel(P), 0.9, rho, 0.1, NegativeEntropy())
    return Rlhf(lower, g.integers(-1, 2, (S, A)).astype(float), length, labels, delay)


def plain_loss(p: Rlhf, x: Array, pi: Array) -> float:
    """The definition: all trajectories, their last pairs, all pairs of segments, one after another."""
    mdp = p.lower.at(x)
    steps, length = p.delay + p.segment_length, p.segment_length
    probability: dict[tuple[tuple[int, int], ...], float] = {}
    for path in itertools.product(itertools.product(range(S), range(A)), repeat=steps):
        chance = mdp.rho_s[path[0][0]]
        for i, (s, a) in enumerate(path):
            chance *= pi[s, a]
            if i + 1 < steps:
                chance *= mdp.P_sat[s, a, path[i + 1][0]]
        segment = path[steps - length :]
        probability[segment] = probability.get(segment, 0.0) + chance
    chance_d = np.array(list(probability.values()))
    model_d = np.array([sum(mdp.r_sa[pair] for pair in d) for d in probability])
    true_d = np.array([sum(p.r_true_sa[pair] for pair in d) for d in probability])
    prefers = 1.0 / (1.0 + np.exp(model_d - model_d[:, None]))
    l_0 = p.labels(true_d[:, None] - true_d)
    loss = -(l_0 * np.log(prefers) + (1.0 - l_0) * np.log(prefers.T))
    return float(chance_d @ loss @ chance_d)


def rounding(p: Rlhf, x: Array) -> float:
    """Bound on the rounding of either route, per unit of loss: positive terms, so relative."""
    size = 1.0 + 2.0 * p.segment_length * float(np.abs(p.lower.at(x).r_sa).max())
    steps = p.delay + p.segment_length
    segments = float((S * A) ** p.segment_length)
    return 4.0 * EPS * (segments + steps * (S + A + 2)) * size


@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from(SHAPES),
    st.sampled_from(LABELS),
    st.booleans(),
)
def test_loss_is_the_expectation_over_all_pairs_of_segments(
    seed: int, shape: tuple[int, int], labels: LabelRule, sparse: bool
) -> None:
    p = problem(seed, *shape, labels, sparse=sparse)
    g = np.random.default_rng(seed)
    x, pi = g.normal(size=D), g.dirichlet(np.ones(A), S)
    found = rlhf.preference_loss(p, x, pi)
    expected = plain_loss(p, x, pi)
    assert abs(float(found.value) - expected) <= rounding(p, x)
    bound = rlhf.objective(p).evaluate(p, x, (pi,))
    assert bound.value == found.value
    assert np.array_equal(bound.grad_x, found.grad_x)
    assert np.array_equal(bound.grad_policies[0], found.grad_policies[0])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("labels", LABELS, ids=["by-return", "bradley-terry", "biased"])
@pytest.mark.parametrize("boundary", [False, True])
def test_gradients(shape: tuple[int, int], labels: LabelRule, boundary: bool) -> None:
    p = problem(11, *shape, labels, sparse=True)
    g = np.random.default_rng(5)
    x, pi = g.normal(size=D), g.dirichlet(np.ones(A), S)
    if boundary:
        pi[0], pi[2] = (1.0, 0.0), (0.0, 1.0)
    found = rlhf.preference_loss(p, x, pi)
    (grad_pi,) = found.grad_policies
    scale = 10.0 * (S * A) ** shape[0]

    for direction in np.eye(D):
        estimate, error = slope(lambda point: plain_loss(p, point, pi), x, direction, scale)
        assert abs(found.grad_x @ direction - estimate) <= error

    # Every entry, off the simplex; and a direction along it.
    tangent = g.normal(size=(S, A))
    tangent -= tangent.mean(axis=1, keepdims=True)
    for direction in [*np.eye(S * A).reshape(-1, S, A), tangent]:
        estimate, error = slope(lambda policy: plain_loss(p, x, policy), pi, direction, scale)
        assert abs((grad_pi * direction).sum() - estimate) <= error


def test_gradient_reaches_actions_of_probability_zero() -> None:
    """Where the policy never goes the gradient still says what going there would change."""
    p = problem(3, 2, 0, BradleyTerryLabels(0.5))
    pi = np.tile([1.0, 0.0], (S, 1))
    (grad,) = rlhf.preference_loss(p, np.zeros(D), pi).grad_policies
    assert (np.abs(grad[:, 1]) > 1e-3).all()


@settings(max_examples=10, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.booleans())
def test_classes_are_all_reachable_multisets(seed: int, length: int, sparse: bool) -> None:
    p = problem(seed, length, 0, LabelByReturn(), sparse=sparse)
    classes = rlhf.segment_classes(p)
    P = p.lower.at(np.zeros(D)).P_sat
    expected = {
        tuple(sorted(s * A + a for s, a in path))
        for path in itertools.product(itertools.product(range(S), range(A)), repeat=length)
        if all(P[s, a, t] > 0.0 for (s, a), (t, _) in itertools.pairwise(path))
    }
    assert {tuple(map(int, row)) for row in classes.members_cl} == expected
    assert classes.count == len(expected)
    # Whatever the policy, the classes' probabilities add up to one from every first state.
    pi = np.random.default_rng(seed).dirichlet(np.ones(A), S)
    total = classes.to_first(pi.ravel()[classes.members_cl].prod(axis=1))
    assert np.abs(total - 1.0).max() <= EPS * length * (S * A + 2) * 4.0


@pytest.mark.parametrize("pairs", [1, 50, 130])
def test_blocks_do_not_matter(pairs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many classes are summed a few rows at a time; here 21 classes, 1, 2 and 6 at once."""
    p = problem(4, 2, 1, FirstOfATie())
    g = np.random.default_rng(0)
    x, pi = g.normal(size=D), g.dirichlet(np.ones(A), S)
    whole = rlhf.preference_loss(p, x, pi)
    monkeypatch.setattr(rlhf, "_PAIRS_AT_ONCE", pairs)
    found = rlhf.preference_loss(p, x, pi)
    # An entry of a gradient adds up each of 2 L pairs (s, a), times features below 4.
    tolerance = 2 * 2 * S * A * 4.0 * rounding(p, x)
    assert abs(float(found.value - whole.value)) <= tolerance
    assert np.abs(found.grad_x - whole.grad_x).max() <= tolerance
    assert np.abs(found.grad_policies[0] - whole.grad_policies[0]).max() <= tolerance


def test_large_rewards_neither_overflow_nor_lose_the_loss() -> None:
    p = problem(2, 2, 0, LabelByReturn())
    x = np.array([1e6, -1e6, 1e6])
    pi = np.full((S, A), 1.0 / A)
    found = rlhf.preference_loss(p, x, pi)
    assert np.isfinite(found.grad_x).all()
    assert float(found.value) > 1e5
    # log(1 + exp(z)) lies between max(z, 0) and log 2 more; the reward is linear up to its offset.
    doubled = rlhf.preference_loss(p, 2.0 * x, pi)
    offset = 2.0 * p.segment_length * float(np.abs(p.lower.at(np.zeros(D)).r_sa).max())
    assert abs(float(doubled.value - 2.0 * found.value)) <= 2.0 * np.log(2.0) + offset


def test_true_reward_scaled_up_is_the_best_reward() -> None:
    """With labels by return, r_x = c r makes untied pairs cost nothing; tied pairs cost log 2."""
    g = np.random.default_rng(0)
    P = g.dirichlet(np.ones(S), (S, A))
    r_true = g.integers(-1, 2, (S, A)).astype(float)
    reward = LinearReward(r_true[None], np.zeros((S, A)), Euclidean((1,)))
    lower = MdpFamily(reward, FixedKernel(P), 0.9, np.full(S, 1 / S), 0.1, NegativeEntropy())
    p = Rlhf(lower, r_true, 2, LabelByReturn())
    pi = np.full((S, A), 0.5)
    classes = rlhf.segment_classes(p)
    chance = classes.from_first(lower.rho_s) * pi.ravel()[classes.members_cl].prod(axis=1)
    true = r_true.ravel()[classes.members_cl].sum(axis=1)
    tied = float(chance @ (true[:, None] == true) @ chance)
    found = float(rlhf.preference_loss(p, np.array([800.0]), pi).value)
    assert abs(found - tied * np.log(2.0)) <= 64 * EPS * classes.count
    assert 0.0 < tied < 1.0


def test_objective_is_exported() -> None:
    assert isinstance(rlhf.OBJECTIVE, Objective)
    assert rlhf.OBJECTIVE.source == "(2.5)"


def test_refuses_transitions_that_depend_on_x() -> None:
    """A kernel that is the same at the points that the problem compares is still found out."""
    P = np.random.default_rng(1).dirichlet(np.ones(S), (S, A))

    def kernel(x: Array) -> Array:
        return P[:, ::-1] if x.max() > 5.0 else P

    domain = Euclidean((D,))
    reward = LinearReward(np.ones((D, S, A)), np.zeros((S, A)), domain)
    user = UserKernel(kernel, lambda x, g: np.zeros_like(x), domain)  # noqa: ARG005 - its contract
    lower = MdpFamily(reward, user, 0.9, np.full(S, 1 / S), 0.1, NegativeEntropy())
    p = Rlhf(lower, np.zeros((S, A)), 2, LabelByReturn())
    pi = np.full((S, A), 1.0 / A)
    rlhf.preference_loss(p, np.zeros(D), pi)
    with pytest.raises(InputError, match="only the reward may depend on x"):
        rlhf.preference_loss(p, np.full(D, 6.0), pi)


def test_limits_name_the_count_and_the_remedy() -> None:
    p = problem(0, 3, 0, LabelByReturn())
    count = rlhf.segment_classes(p).count
    with pytest.raises(InputError, match=rf"make {count} classes.*raise max_classes"):
        rlhf.segment_classes(p, max_classes=count - 1)
    assert rlhf.segment_classes(p, max_classes=count).count == count
    with pytest.raises(InputError, match="rows, over the limit of 20: shorten segment_length"):
        rlhf.segment_classes(p, max_rows=20)


def test_refuses_batches_and_strange_classes() -> None:
    p = problem(0, 2, 0, LabelByReturn())
    x, pi = np.zeros(D), np.full((S, A), 0.5)
    with pytest.raises(InputError, match=r"x has shape .* without batch axes"):
        rlhf.preference_loss(p, np.zeros((4, D)), pi)
    with pytest.raises(InputError, match=r"pi_sa has shape .* without batch axes"):
        rlhf.preference_loss(p, x, np.full((4, S, A), 0.5))
    with pytest.raises(InputError, match=r"pi_sa\[0\] sums to"):
        rlhf.preference_loss(p, x, np.ones((S, A)))
    with pytest.raises(InputError, match="hold segments of 3 pairs"):
        rlhf.preference_loss(p, x, pi, rlhf.segment_classes(problem(0, 3, 0, LabelByReturn())))
    with pytest.raises(InputError, match="not those for which the segments were enumerated"):
        rlhf.preference_loss(p, x, pi, rlhf.segment_classes(problem(1, 2, 0, LabelByReturn())))
    with pytest.raises(InputError, match=r"r_true_sa has shape .* without batch axes"):
        rlhf.preference_loss(Rlhf(p.lower, np.zeros((4, S, A)), 2, LabelByReturn()), x, pi)
    with pytest.raises(InputError, match=r"P_sat has shape .* without batch axes"):
        rlhf.segment_classes(stack([p, problem(1, 2, 0, LabelByReturn())]))
