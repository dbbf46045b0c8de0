"""The actor-critic: returns by hand, ghosts, both kinds of ends, optimisers, one source of reward."""

from dataclasses import replace

import pytest
import torch
from gymnasium.vector import AutoresetMode
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from sampled.rlhf.a2c import (
    Agent,
    actor_critic_loss,
    advantages,
    entropy,
    log_policy,
    step_weights,
)
from sampled.rlhf.lanes import Lanes
from sampled.rlhf.networks import actor_critic
from sampled.rlhf.settings import A2c, Architecture, Ends, Networks, Rule, StepWeights
from sampled.rlhf.tracks import Track
from tests.sampled.rlhf.exact import normal, table_actor
from tests.sampled.rlhf.games import Clock, zeros

CPU = torch.device("cpu")
LENGTHS = [[3, 2, 5], [1, 4], [9, 2, 1, 1]]


def played(mode: AutoresetMode, steps: int = 12) -> Track:
    return Lanes(Clock(LENGTHS, mode), 1, 0, CPU).play(zeros, steps)


def by_hand(track: Track, r: Tensor, v: Tensor, after: Tensor, gamma: float, trace: float) -> Tensor:
    """Lambda-returns of each episode by their definition as a mixture of n-step returns."""
    out = torch.zeros_like(r)
    for n in range(track.lanes):
        for h in range(track.steps):
            if track.ghost_nh[n, h]:
                continue
            # n-step returns up to the end of the episode or of the track.
            returns: list[Tensor] = []
            paid, k = torch.zeros(()).double(), h
            while True:
                paid = paid + gamma ** (k - h) * r[n, k]
                stop = 0.0 if track.terminated_nh[n, k] else after[n, k]
                returns.append(paid + gamma ** (k - h + 1) * stop)
                if track.over_nh[n, k] or k + 1 == track.steps:
                    break
                k += 1
            mixed = [(1 - trace) * trace**i * x for i, x in enumerate(returns[:-1])]
            out[n, h] = sum(mixed) + trace ** (len(returns) - 1) * returns[-1] - v[n, h]
    return out


@pytest.mark.parametrize("mode", [AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP])
@pytest.mark.parametrize(("gamma", "trace"), [(0.9, 1.0), (0.7, 0.6), (0.9, 0.0), (0.0, 1.0)])
def test_advantages_are_mixtures_of_returns(mode: AutoresetMode, gamma: float, trace: float) -> None:
    track = played(mode)
    r, v, after = (normal(seed, 3, 12) for seed in (1, 2, 3))
    # Inside an episode the value after a step is that before the next one.
    after[:, :-1] = torch.where(track.over_nh[:, :-1], after[:, :-1], v[:, 1:])
    got = advantages(track, r, v, after, gamma, trace)
    # A dozen steps of numbers of size 4, each with a few roundings.
    torch.testing.assert_close(got, by_hand(track, r, v, after, gamma, trace), rtol=0, atol=1e-13)
    assert (got[track.ghost_nh] == 0.0).all()


def numbered(track: Track) -> Track:
    return replace(
        track,
        frame_nf=track.frame_nf[:, :, 0, 0, 0].long(),
        cuts=None
        if track.cuts is None
        else replace(track.cuts, stack_i=track.cuts.stack_i[:, :, 0, 0, 0].long()),
    )


@pytest.mark.parametrize("mode", [AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP])
def test_values_are_taken_in_the_state_where_an_episode_was_cut(mode: AutoresetMode) -> None:
    """One-step targets, by a table of which state follows which, read off the game."""
    track = numbered(played(mode))
    values = normal(5, 64)
    network = table_actor(normal(4, 64, 2), values)
    r, gamma = normal(6, 3, 12), 0.9
    chosen = A2c(gamma=gamma, trace=0.0, entropy=0.0, value_weight=1.0)
    loss = actor_critic_loss(network, track, r, chosen)
    wanted, count = torch.zeros(()).double(), 0
    for n in range(3):
        for h in range(12):
            if track.ghost_nh[n, h]:
                continue
            here = int(track.frame_nf[n, h])
            # The game shows numbers in turn: what follows a frame is the next number, even if only
            # in the infos.
            after = 0.0 if track.terminated_nh[n, h] else gamma * values[here + 1]
            wanted += 0.5 * (r[n, h] + after - values[here]) ** 2
            count += 1
    torch.testing.assert_close(loss.critic.detach(), wanted / count, rtol=1e-12, atol=0)
    assert track.truncated_nh.any()
    assert track.terminated_nh.any()


@pytest.mark.parametrize("trace", [0.0, 0.6, 1.0])
@pytest.mark.parametrize("mode", [AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP])
def test_who_is_told_of_no_ends_sees_one_long_episode(mode: AutoresetMode, trace: float) -> None:
    """Each lane's steps, written one after the other as a game that never ends, have the same loss."""
    track = numbered(played(mode))
    network = table_actor(normal(4, 64, 2).requires_grad_(), normal(5, 64).requires_grad_())
    r = normal(6, 3, 12)
    hidden = A2c(gamma=0.9, trace=trace, entropy=0.1, ends=Ends.HIDDEN)
    told = replace(hidden, ends=Ends.TOLD)
    whole = actor_critic_loss(network, track, r, hidden)
    parts, steps = torch.zeros(()).double(), 0
    for n in range(3):
        taken = (~track.ghost_nh[n]).nonzero()[:, 0]
        shown = torch.cat((track.frame_nf[n, taken], track.frame_nf[n, -1:]))
        never = torch.zeros(1, len(taken), dtype=torch.bool)
        one = Track(
            shown[None],
            torch.arange(len(taken) + 1)[None],
            track.action_nh[n, taken][None],
            never,
            never,
            never,
            track.true_nh[n, taken][None],
            1,
        )
        parts = parts + len(taken) * actor_critic_loss(network, one, r[n, taken][None], told).total
        steps += len(taken)
    torch.testing.assert_close(whole.total, parts / steps, rtol=1e-12, atol=0)
    assert track.over_nh[:, :-1].any()
    assert not torch.allclose(whole.total, actor_critic_loss(network, track, r, told).total)


def test_ghosts_count_for_nothing() -> None:
    """Neither their rewards, actions and states nor their number."""
    track = numbered(played(AutoresetMode.NEXT_STEP))
    network = table_actor(normal(4, 64, 2), normal(5, 64))
    r = normal(6, 3, 12)
    chosen = A2c(entropy=0.1)
    other = replace(track, action_nh=torch.where(track.ghost_nh, 1 - track.action_nh, track.action_nh))
    changed = torch.where(track.ghost_nh, 1e6, r)
    first = actor_critic_loss(network, track, r, chosen)
    second = actor_critic_loss(network, other, changed, chosen)
    assert torch.equal(first.total, second.total)
    weight = step_weights(track, StepWeights.UNIFORM, 0.9, torch.float64)
    assert (weight[track.ghost_nh] == 0.0).all()
    torch.testing.assert_close(weight.sum(), torch.ones(()).double())
    assert track.ghost_nh.any()


def test_discounted_weights_count_from_the_episodes_start() -> None:
    track = played(AutoresetMode.SAME_STEP, 5)
    weight = step_weights(track, StepWeights.DISCOUNTED, 0.5, torch.float64)
    torch.testing.assert_close(weight, 0.5 ** track.age_nh[:, :-1].double() / 15, rtol=1e-15, atol=0)


@given(st.lists(st.floats(-30, 30), min_size=1, max_size=6), st.data())
@settings(max_examples=25, deadline=None, derandomize=True)
def test_log_policy_and_entropy(logits: list[float], data: st.DataObject) -> None:
    y = torch.tensor(logits, dtype=torch.float64)
    a = data.draw(st.integers(0, len(logits) - 1))
    pi = y.softmax(-1)
    torch.testing.assert_close(log_policy(y, torch.tensor(a)).exp(), pi[a], rtol=1e-13, atol=1e-300)
    wanted = torch.special.entr(pi).sum()
    torch.testing.assert_close(entropy(y), wanted, rtol=1e-12, atol=1e-12)


def agent(**changed: object) -> Agent:
    chosen = replace(A2c(), **changed)  # type: ignore[arg-type] # by name
    network = actor_critic(
        Networks(architecture=Architecture.MLP, hidden=8),
        (),
        1,
        (64, 2),
        torch.Generator().manual_seed(0),
    )
    return Agent(network, chosen)


def test_an_update_uses_the_given_rewards_only() -> None:
    """The true reward on the track may be anything."""
    track = numbered(played(AutoresetMode.SAME_STEP))
    leaky = replace(track, true_nh=1e3 * normal(9, 3, 12))
    r = normal(6, 3, 12)
    first, second = agent(), agent()
    assert first.update(track, r) == second.update(leaky, r)
    for a, b in zip(first.parameters, second.parameters, strict=True):
        assert torch.equal(a, b)
    assert first.updates == 1


def test_what_stands_beside_is_added_before_the_step() -> None:
    track, r = numbered(played(AutoresetMode.SAME_STEP)), normal(6, 3, 12)
    first, second = agent(max_gradient_norm=1e9), agent(max_gradient_norm=1e9)
    first.update(track, r)
    beside = 0.7 * second.parameters[0].square().sum()
    alone = torch.autograd.grad(beside, second.parameters[0], retain_graph=True)[0]
    second.update(track, r, beside)
    added = second.parameters[0].grad - first.parameters[0].grad  # type: ignore[operator] # both are there
    torch.testing.assert_close(added, alone, rtol=1e-4, atol=1e-6)


def test_gradients_are_scaled_down_to_their_limit() -> None:
    track, r = numbered(played(AutoresetMode.SAME_STEP)), 100 * normal(6, 3, 12)
    one = agent(max_gradient_norm=0.25)
    found = one.update(track, r)
    assert found["gradient_norm"] > 0.25
    total = torch.stack([p.grad.norm() for p in one.parameters if p.grad is not None]).norm()
    torch.testing.assert_close(total, torch.tensor(0.25), rtol=1e-4, atol=0)


@pytest.mark.parametrize("rule", Rule)
def test_both_optimisers_learn_which_action_pays(rule: Rule) -> None:
    one = agent(optimizer=rule, learning_rate=0.01, entropy=0.0)
    g = torch.Generator().manual_seed(1)
    lanes = Lanes(Clock([[5]] * 8), 1, 0, CPU)
    draw = one.sampler(g)

    def act(stack: Tensor) -> Tensor:
        return draw(torch.zeros((stack.shape[0], 1), dtype=torch.int64))

    for _ in range(100):
        track = lanes.play(act, 5)
        track = replace(
            track, frame_nf=torch.zeros_like(track.frame_nf[:, :, 0, 0, 0]).long(), cuts=None
        )
        one.update(track, track.true_nh)
    state = torch.zeros((1, 1), dtype=torch.int64)
    assert one.network(state)[0].softmax(-1)[0, 1] > 0.9
    assert one.greedy(state).tolist() == [1]


def test_a_snapshot_goes_on_bit_by_bit() -> None:
    track, r = numbered(played(AutoresetMode.SAME_STEP)), normal(6, 3, 12)
    first, second = agent(), agent()
    first.update(track, r)
    second.restore(first.snapshot())
    first.update(track, r)
    second.update(track, r)
    assert second.updates == 2
    for a, b in zip(first.parameters, second.parameters, strict=True):
        assert torch.equal(a, b)
