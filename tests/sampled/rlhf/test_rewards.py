"""The reward predictor: loss by hand, dropout, ensembles, standardisation, and what can be learned."""

from collections.abc import Callable
from dataclasses import replace
from math import exp, log

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from reference.problems.general_position import general_mdp
from reference.problems.mdp import Mdp
from sampled.errors import InputError
from sampled.rlhf.preferences import Buffer, Pairs, pair_up
from sampled.rlhf.rewards import Chosen, RewardModel, preference_losses, preferred, segment_sums
from sampled.rlhf.settings import Boundary, Labels, Preferences, Reward
from tests.sampled.rlhf.exact import episodic, everything, gradient, normal, table_reward

S, A = 4, 2


@given(st.floats(-40, 40), st.sampled_from([0.0, 0.5, 1.0, 0.3]), st.sampled_from([0.0, 0.1]))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_cross_entropy(difference: float, label: float, uniform: float) -> None:
    p = (1 - uniform) / (1 + exp(-difference)) + uniform / 2
    q = (1 - uniform) / (1 + exp(difference)) + uniform / 2
    wanted = -label * log(p) - (1 - label) * log(q)
    d, l_0 = torch.tensor([[difference], [label]], dtype=torch.float64)
    assert float(preference_losses(d, l_0, uniform)) == pytest.approx(wanted, rel=1e-12, abs=1e-15)


def test_predictions_of_undecided_pairs_do_not_count() -> None:
    d, label = torch.tensor([1.0, -1.0, 1.0, 0.0, -2.0]), torch.tensor([1.0, 1.0, 0.5, 1.0, 0.0])
    assert preferred(d, label) == (2, 4)


# Pairs of tables.


def mdp_pairs(mdp: Mdp, count: int, length: int, chosen: Preferences, seed: int = 0) -> Pairs:
    """Pairs drawn from all trajectories of the uniform policy."""
    found = everything(mdp, torch.full((mdp.r_sa.shape[0], A), 1 / A).double(), length)
    g = torch.Generator().manual_seed(seed)
    index = torch.multinomial(found.weight_n, 2 * count, replacement=True, generator=g)
    track = found.lanes(index)
    track = replace(track, ghost_nh=torch.zeros_like(track.ghost_nh))
    return pair_up(track, torch.zeros(2 * count, dtype=torch.int64), chosen, 0).pairs


CHOSEN = Preferences(
    segment_length=2, window=2, labels=Labels.BRADLEY_TERRY, boundary=Boundary.PADDED, temperature=1.0
)


def model(*tables: Tensor, **changed: object) -> RewardModel:
    base = Reward(dropout=0.0, standardize=False, learning_rate=0.05, batch_size=1000, micro_batch=1000)
    chosen = replace(base, members=len(tables), **changed)  # type: ignore[arg-type] # by name
    g = torch.Generator().manual_seed(0)
    return RewardModel([table_reward(x) for x in tables], chosen, g, torch.Generator().manual_seed(1))


def filled(pairs: Pairs, members: int = 1, validation: float = 0.0) -> Buffer:
    buffer = Buffer(pairs.count, members, validation, torch.Generator().manual_seed(2))
    buffer.add(pairs)
    return buffer


def by_hand(x: Tensor, pairs: Pairs) -> Tensor:
    """D of each pair, by loops."""
    sums = []
    for side in (pairs.first, pairs.second):
        total = torch.zeros(side.count).double()
        for n in range(side.count):
            for h in range(side.length):
                if side.counted_nl[n, h]:
                    total[n] = total[n] + x[side.frame_nf[n, h], side.action_nl[n, h]]
        sums.append(total)
    return sums[0] - sums[1]


def test_sums_are_undiscounted_over_what_counts() -> None:
    pairs, x = mdp_pairs(episodic(), 30, 2, CHOSEN), normal(1, S, A)
    found = model(x)
    torch.testing.assert_close(found.differences(pairs).detach(), by_hand(x, pairs), rtol=0, atol=1e-14)
    assert not pairs.first.counted_nl.all()
    ones = torch.ones(pairs.first.count * pairs.first.length)
    assert torch.equal(segment_sums(ones, pairs.first), pairs.first.counted_nl.sum(1).float())


@pytest.mark.parametrize("micro_batch", [1000, 7])
def test_an_epochs_gradient_is_that_of_the_mean_loss(micro_batch: int) -> None:
    """One batch, in parts of whatever size."""
    pairs, x = mdp_pairs(episodic(), 40, 2, CHOSEN), normal(1, S, A)
    buffer, found = filled(pairs), model(x, micro_batch=micro_batch)
    records = found.epoch(buffer)
    free = x.clone().requires_grad_()
    loss = preference_losses(by_hand(free, pairs), pairs.label_m).mean()
    (wanted,) = torch.autograd.grad(loss, free)
    got = found.networks[0].get_parameter("head.weight").grad
    assert got is not None
    torch.testing.assert_close(got.T, wanted, rtol=0, atol=1e-13)
    assert records["reward_loss"] == pytest.approx(float(loss.detach()), rel=1e-12)
    assert found.epochs == 1


def test_the_penalty_is_added_in_each_batch() -> None:
    pairs, x = mdp_pairs(episodic(), 40, 2, CHOSEN), normal(1, S, A)
    weight_sa = normal(4, S, A)

    def penalty(chosen: Chosen) -> Tensor:
        state = torch.arange(S).repeat_interleave(A)[:, None]
        return (weight_sa.flatten() * chosen(state, torch.arange(A).repeat(S))).sum()

    alone, both = model(x), model(x)
    alone.epoch(filled(pairs))
    records = both.epoch(filled(pairs), penalty)
    first, second = (m.networks[0].get_parameter("head.weight").grad for m in (alone, both))
    assert first is not None
    assert second is not None
    torch.testing.assert_close((second - first).T, weight_sa, rtol=0, atol=1e-13)
    assert records["penalty_loss"] == pytest.approx(float((weight_sa * x).sum()), rel=1e-12)


def test_batches_go_through_each_pair_once() -> None:
    pairs = mdp_pairs(episodic(), 40, 2, CHOSEN)
    found = model(normal(1, S, A), batch_size=16, learning_rate=1e-12)
    records = found.epoch(filled(pairs))
    losses = found.losses(pairs)
    assert records["reward_loss"] == pytest.approx(float(losses.mean()), rel=1e-9)


def test_no_decided_pair() -> None:
    pairs = mdp_pairs(episodic(), 4, 2, CHOSEN)
    undecided = replace(pairs, label_m=torch.full((4,), 0.5).double())
    with pytest.raises(InputError, match="none of the 4 pairs in the buffer is decided"):
        model(normal(1, S, A)).epoch(filled(undecided))


# Standardisation.


def test_rewards_are_standardised_over_the_buffer() -> None:
    pairs = mdp_pairs(episodic(), 200, 2, CHOSEN)
    tables = [normal(seed, S, A) * 3 + 5 for seed in (1, 2)]
    found = model(*tables, standardize=True, spread=0.25, micro_batch=33)
    found.standardise(filled(pairs, 2))
    both = []
    for b in range(2):
        values = torch.cat(
            [
                found._standardised(b)(side.states(), side.actions())[side.counted_nl.flatten()]
                for side in (pairs.first, pairs.second)
            ]
        ).detach()
        both.append(values)
        # Sums of 800 squares of numbers of size 8 in float64.
        assert float(values.mean()) == pytest.approx(0.0, abs=1e-11)
        assert float(values.std(correction=0)) == pytest.approx(0.25, rel=1e-10)
    state, action = torch.tensor([[0], [2]]), torch.tensor([1, 0])
    mean = torch.stack([found._standardised(b)(state, action) for b in range(2)]).mean(0)
    torch.testing.assert_close(found.reward(state, action), mean, rtol=1e-14, atol=0)
    torch.testing.assert_close(
        found.raw(state, action).detach(), (tables[0] + tables[1])[[0, 2], [1, 0]] / 2
    )


def test_a_reward_without_spread_stays_finite() -> None:
    pairs = mdp_pairs(episodic(), 20, 2, CHOSEN)
    found = model(torch.full((S, A), 0.1).double(), standardize=True)
    found.standardise(filled(pairs))
    assert float(found.scale_b[0]) == 1.0
    before = model(normal(1, S, A))
    before.standardise(filled(pairs))
    assert (float(before.offset_b[0]), float(before.scale_b[0])) == (0.0, 1.0)


# Dropout.


class Coin(torch.nn.Module):
    """Features that are ones, so that dropout shows."""

    def forward(self, stack: Tensor) -> Tensor:
        return torch.ones((stack.shape[0], 8), dtype=torch.float64)


def dropping(**changed: object) -> RewardModel:
    from sampled.rlhf.networks import RewardNetwork

    head = torch.nn.Linear(8, A, dtype=torch.float64)
    chosen = replace(Reward(), **changed)  # type: ignore[arg-type] # by name
    networks = [RewardNetwork(Coin(), head, 0.5)]
    return RewardModel(networks, chosen, torch.Generator(), torch.Generator().manual_seed(0))


USES: dict[str, Callable[[RewardModel, Pairs], Tensor]] = {
    "reward": lambda m, p: m.reward(p.first.states(), p.first.actions()),
    "raw": lambda m, p: m.raw(p.first.states(), p.first.actions()),
    "losses": lambda m, p: m.losses(p),
    "disagreement": lambda m, p: m.disagreement(p),
}


@pytest.mark.parametrize("name", USES)
def test_scores_are_without_dropout_unless_it_is_asked_for(name: str) -> None:
    pairs, use = mdp_pairs(episodic(), 8, 2, CHOSEN), USES[name]
    still = dropping()
    assert torch.equal(use(still, pairs), use(still, pairs))
    if name != "disagreement":  # a single member agrees with itself
        moving = dropping(dropout_when_scoring=True)
        assert not torch.equal(use(moving, pairs), use(moving, pairs))


def test_training_is_with_dropout() -> None:
    pairs = mdp_pairs(episodic(), 8, 2, CHOSEN)
    buffer, found = filled(pairs), dropping(learning_rate=1e-30)
    assert found.epoch(buffer)["reward_loss"] != found.epoch(buffer)["reward_loss"]


# Ensembles.


def test_members_learn_from_their_own_pairs() -> None:
    """A member weighs each pair by how often it is in its resample, and held-out ones by 0."""
    pairs, x = mdp_pairs(episodic(), 40, 2, CHOSEN), normal(1, S, A)
    buffer, found = filled(pairs, 2, 0.3), model(x, x, validation=0.3)
    found.epoch(buffer)
    for b in range(2):
        free = x.clone().requires_grad_()
        times = buffer.times_mb[:40, b] * ~buffer.held_mb[:40, b]
        losses = preference_losses(by_hand(free, pairs), pairs.label_m)
        (wanted,) = torch.autograd.grad((losses * times).sum() / times.sum(), free)
        got = found.networks[b].get_parameter("head.weight").grad
        assert got is not None
        torch.testing.assert_close(got.T, wanted, rtol=0, atol=1e-13)


def test_weight_decay_is_adapted_by_held_out_pairs() -> None:
    pairs = mdp_pairs(episodic(), 60, 2, CHOSEN)
    x = normal(1, S, A) * 4
    for wrong_held, direction in ((True, 1.1), (False, 1 / 1.1)):
        buffer = filled(pairs, 1, 0.5)
        held = buffer.held_mb[:60, 0]
        # Held-out pairs that say the opposite are fitted much worse; or trained ones are.
        buffer = Buffer(60, 1, 0.5, torch.Generator().manual_seed(2))
        good = (by_hand(x, pairs) > 0).double()
        buffer.add(replace(pairs, label_m=torch.where(held == wrong_held, 1.0 - good, good)))
        found = model(x, validation=0.5, weight_decay=0.01, learning_rate=1e-9)
        found.epoch(buffer)
        assert found.decay_b[0] == pytest.approx(0.01 * direction)


def test_weight_decay_adds_its_gradient() -> None:
    pairs, x = mdp_pairs(episodic(), 40, 2, CHOSEN), normal(1, S, A)
    alone, both = model(x), model(x, weight_decay=0.25)
    alone.epoch(filled(pairs))
    both.epoch(filled(pairs))
    first, second = (m.networks[0].get_parameter("head.weight").grad for m in (alone, both))
    assert first is not None
    assert second is not None
    torch.testing.assert_close((second - first).T, 0.5 * x, rtol=0, atol=1e-13)


def test_disagreement_is_the_variance_of_predictions() -> None:
    pairs = mdp_pairs(episodic(), 9, 2, CHOSEN)
    tables = [normal(seed, S, A) for seed in (1, 2, 3)]
    wanted = torch.stack([by_hand(x, pairs).sigmoid() for x in tables]).numpy().var(0)
    np.testing.assert_allclose(model(*tables).disagreement(pairs), wanted, rtol=1e-12)


def test_a_snapshot_goes_on_bit_by_bit() -> None:
    pairs = mdp_pairs(episodic(), 20, 2, CHOSEN)
    first, second = (model(normal(1, S, A), normal(2, S, A), standardize=True) for _ in range(2))
    first.epoch(filled(pairs, 2))
    first.standardise(filled(pairs, 2))
    second.restore(first.snapshot())
    second._shuffle.set_state(first._shuffle.get_state())
    for m in (first, second):
        m.epoch(filled(pairs, 2))
    for a, b in zip(first.parameters[1], second.parameters[1], strict=True):
        assert torch.equal(a, b)
    assert torch.equal(first.scale_b, second.scale_b)
    assert second.epochs == 2


# What preferences identify.


def visits(pairs_of_all: Pairs, states: int) -> Tensor:
    """Difference of visit counts of each pair, (M, S A)."""
    rows = []
    for side in (pairs_of_all.first, pairs_of_all.second):
        counts = torch.zeros(side.count, states * A).double()
        index = side.frame_nf[:, : side.length] * A + side.action_nl
        counts.scatter_add_(1, index, side.counted_nl.double())
        rows.append(counts)
    return rows[0] - rows[1]


@pytest.mark.parametrize("kind", ["endless", "episodic"])
def test_the_reward_is_learned_up_to_what_preferences_can_identify(kind: str) -> None:
    """With logistic labels of the true reward the expected loss is least exactly at the rewards whose
    differences of sums are the true ones: r_x - r is orthogonal to all differences of visit counts.
    In an endless MDP that is a constant, among others; where segments may be shorter it need not be.
    """
    if kind == "endless":
        mdp = general_mdp(np.random.default_rng(3), n_states=2, n_actions=2, gamma=0.7)
    else:
        mdp = episodic()
    states = mdp.r_sa.shape[0]
    chosen = replace(CHOSEN, boundary=Boundary.PADDED if kind == "episodic" else Boundary.ACROSS)
    found = everything(mdp, torch.full((states, A), 0.5).double(), 2)
    n = torch.arange(found.count)
    i, j = torch.cartesian_prod(n, n).unbind(-1)
    track = found.lanes(torch.cat((i, j)))
    track = replace(track, ghost_nh=torch.zeros_like(track.ghost_nh))
    pairs = pair_up(track, torch.zeros(track.lanes, dtype=torch.int64), chosen, 0).pairs
    weight = found.weight_n[i] * found.weight_n[j]
    x = normal(8, states, A)
    learned = model(x)
    head = learned.networks[0].get_parameter("head.weight")
    optimiser = torch.optim.LBFGS(
        [head], 1.0, 300, tolerance_grad=1e-14, tolerance_change=1e-16, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = (weight * preference_losses(learned.differences(pairs), pairs.label_m)).sum()
        torch.autograd.backward(loss)
        return loss

    optimiser.step(closure)  # type: ignore[no-untyped-call] # torch's
    after = head.detach().T
    by_x = gradient((weight * preference_losses(learned.differences(pairs), pairs.label_m)).sum(), head)
    D = visits(pairs, states)
    seen = torch.linalg.pinv(D) @ D  # onto what differences of counts span
    error = (after - torch.tensor(mdp.r_sa)).flatten()
    # The loss is strongly convex there: the error is at most |gradient| / modulus, with the modulus at
    # the least curvature met between both ends, which the largest difference bounds.
    ends = torch.stack((D @ after.flatten(), D @ torch.tensor(mdp.r_sa).flatten()))
    curvature = 0.25 / np.cosh(float(ends.abs().max()) / 2) ** 2
    eigenvalues = torch.linalg.eigvalsh(D.T @ (weight[:, None] * D))
    modulus = float(eigenvalues[eigenvalues > 1e-12].min())
    bound = float(by_x.norm()) / (curvature * modulus) + 1e-12
    assert float((seen @ error).norm()) <= bound < 1e-3
    # What is not seen has not moved, and is not the true one.
    unseen = torch.eye(states * A).double() - seen
    torch.testing.assert_close(unseen @ after.flatten(), unseen @ x.flatten(), rtol=0, atol=1e-10)
    assert float((unseen @ error).norm()) > 0.1
    constant = torch.ones(states * A).double()
    if kind == "endless":
        assert float((seen @ constant).norm()) < 1e-12
    else:
        assert float((seen @ constant).norm()) > 0.1
