"""The networks of Appendix E.2, layer by layer, and where dropout is."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from sampled.errors import InputError
from sampled.rlhf.networks import ActorCritic, RewardNetwork, actor_critic, reward_network
from sampled.rlhf.settings import Architecture, Networks

ATARI = Networks(architecture=Architecture.ATARI)
MINATAR = Networks(architecture=Architecture.MINATAR)
FRAME, DEPTH, ACTIONS = (1, 84, 84), 4, 18


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def atari() -> tuple[ActorCritic, RewardNetwork]:
    outcomes = (1, ACTIONS)
    return (
        actor_critic(ATARI, FRAME, DEPTH, outcomes, generator()),
        reward_network(ATARI, FRAME, DEPTH, outcomes, 0.5, generator()),
    )


def layers(network: nn.Module) -> list[tuple[object, ...]]:
    """Convolutions as (in, filters, size, stride), others as (in, out)."""
    found: list[tuple[object, ...]] = []
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            assert module.padding == (0, 0)
            found.append(
                (module.in_channels, module.out_channels, module.kernel_size[0], module.stride[0])
            )
        elif isinstance(module, nn.Linear):
            found.append((module.in_features, module.out_features))
    return found


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_the_papers_actor_critic() -> None:
    """Sides 84, 20, 8, 5, 2: 32 x 2 x 2 = 128 features before the layer of 256."""
    network, _ = atari()
    convolutions = [(4, 16, 8, 4), (16, 32, 5, 2), (32, 32, 4, 1), (32, 32, 4, 1)]
    assert layers(network) == [*convolutions, (128, 256), (256, ACTIONS), (256, 1)]
    by_hand = (4 * 64 + 1) * 16 + (16 * 25 + 1) * 32 + 2 * (32 * 16 + 1) * 32
    by_hand += (128 + 1) * 256 + (256 + 1) * (ACTIONS + 1)
    assert count(network) == by_hand == 87_683
    stack = torch.randint(0, 256, (3, DEPTH, *FRAME), dtype=torch.uint8)
    logits, value = network(stack)
    assert (logits.shape, value.shape) == ((3, ACTIONS), (3,))
    assert sum(isinstance(module, nn.ReLU) for module in network.modules()) == 5


def test_the_papers_reward_predictor() -> None:
    """Sides 84, 26, 11, 9, 7: 16 x 7 x 7 = 784 features before the layer of 64."""
    _, network = atari()
    convolutions = [(4, 16, 7, 3), (16, 16, 5, 2), (16, 16, 3, 1), (16, 16, 3, 1)]
    assert layers(network) == [*convolutions, (784, 64), (64, ACTIONS)]
    by_hand = (4 * 49 + 1) * 16 + (16 * 25 + 1) * 16 + 2 * (16 * 9 + 1) * 16
    by_hand += (784 + 1) * 64 + (64 + 1) * ACTIONS
    assert count(network) == by_hand == 65_618
    stack = torch.randint(0, 256, (3, DEPTH, *FRAME), dtype=torch.uint8)
    assert network(stack).shape == (3, ACTIONS)
    assert sum(isinstance(module, nn.ReLU) for module in network.modules()) == 5


def test_padding_if_it_is_asked_for() -> None:
    """Sides 84, 22, 11, 12, 13 and 84, 28, 14, 14, 14; the layers and their strides are the same."""
    padded, outcomes = replace(ATARI, padding=True), (1, ACTIONS)
    actor = actor_critic(padded, FRAME, DEPTH, outcomes, generator())
    reward = reward_network(padded, FRAME, DEPTH, outcomes, 0.5, generator())
    for network, plain, side, before in zip((actor, reward), atari(), (13, 14), (128, 784), strict=True):
        convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
        assert all(m.padding == (m.kernel_size[0] // 2,) * 2 for m in convolutions)
        first = next(m for m in network.modules() if isinstance(m, nn.Linear))
        after = convolutions[-1].out_channels * side**2
        assert first.in_features == after
        assert count(network) - count(plain) == (after - before) * first.out_features
    stack = torch.randint(0, 256, (2, DEPTH, *FRAME), dtype=torch.uint8)
    assert actor(stack)[0].shape == reward(stack).shape == (2, ACTIONS)


def test_pixels_are_scaled_once() -> None:
    network, _ = atari()
    other = actor_critic(replace(ATARI, pixel_scale=1.0), FRAME, DEPTH, (1, ACTIONS), generator())
    bright = torch.full((1, DEPTH, *FRAME), 255, dtype=torch.uint8)
    torch.testing.assert_close(network(bright), other(torch.ones_like(bright)))


def test_dropout_is_before_the_rewards_head_and_only_when_asked_for() -> None:
    actor, reward = atari()
    stack = torch.randint(0, 256, (5, DEPTH, *FRAME), dtype=torch.uint8)
    assert torch.equal(reward(stack), reward(stack))
    assert torch.equal(reward.train()(stack), reward.eval()(stack))
    assert torch.equal(actor.train()(stack)[0], actor.eval()(stack)[0])
    assert not any(isinstance(module, nn.Dropout) for net in (actor, reward) for module in net.modules())
    features = reward.body(stack)
    kept = torch.empty_like(features).bernoulli_(0.5, generator=generator(3))
    wanted = reward.head(features * kept / 0.5)
    assert torch.equal(reward(stack, generator(3)), wanted)
    mean = torch.stack([reward(stack, generator(seed)) for seed in range(400)]).mean(0)
    spread = torch.stack([reward(stack, generator(seed)) for seed in range(400)]).std(0)
    assert ((mean - reward(stack)).abs() < 5.0 * spread / 20.0).all()


def test_no_global_generator_is_used() -> None:
    before = torch.random.get_rng_state()
    first, second = atari()[0].state_dict(), atari()[0].state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    other = actor_critic(ATARI, FRAME, DEPTH, (1, ACTIONS), generator(1)).state_dict()
    assert not torch.equal(first["body.1.weight"], other["body.1.weight"])
    atari()[1](torch.zeros((1, DEPTH, *FRAME), dtype=torch.uint8), generator())
    assert torch.equal(before, torch.random.get_rng_state())


def test_initial_parameters() -> None:
    network, _ = atari()
    weight = network.get_parameter("body.1.weight").flatten(1)
    torch.testing.assert_close(weight @ weight.T, 2.0 * torch.eye(16), atol=1e-5, rtol=0)
    assert network.get_parameter("policy.weight").abs().max() < 0.01
    default = actor_critic(replace(ATARI, orthogonal=False), FRAME, DEPTH, (1, ACTIONS), generator())
    bound = (4 * 64) ** -0.5
    drawn = default.get_parameter("body.1.weight").abs().max()
    assert 0.9 * bound < drawn <= bound
    assert 0.0 < default.get_parameter("body.1.bias").abs().max() <= bound


def test_smaller_networks() -> None:
    network = actor_critic(MINATAR, (6, 10, 10), 1, (1, 4), generator())
    assert layers(network) == [(6, 16, 3, 1), (1024, 128), (128, 4), (128, 1)]
    reward = reward_network(MINATAR, (6, 10, 10), 1, (1, 4), 0.5, generator())
    assert layers(reward) == [(6, 16, 3, 1), (1024, 64), (64, 4)]
    mlp = actor_critic(Networks(architecture=Architecture.MLP, hidden=7), (), 1, (5, 3), generator())
    assert layers(mlp) == [(5, 7), (7, 7), (7, 3), (7, 1)]
    logits, value = mlp(torch.tensor([[0], [4]]))
    assert (logits.shape, value.shape) == ((2, 3), (2,))


def test_a_table_is_its_parameters() -> None:
    table = Networks(architecture=Architecture.TABLE)
    network = actor_critic(table, (), 1, (5, 3), generator(), torch.float64)
    assert count(network) == 5 * 3 + 5
    assert all((parameter == 0.0).all() for parameter in network.parameters())
    reward = reward_network(table, (), 1, (5, 3), 0.5, generator(), torch.float64)
    assert count(reward) == 5 * 3
    weight = reward.get_parameter("head.weight")
    with torch.no_grad():
        weight.copy_(torch.arange(15.0).view(3, 5))
    assert torch.equal(reward(torch.tensor([[2]]), generator()), weight[:, 2][None])


@pytest.mark.parametrize(
    ("architecture", "frame", "message"),
    [
        (Architecture.ATARI, (), "which takes images; the game's frames have shape"),
        (Architecture.TABLE, (1, 84, 84), "which takes numbered states"),
        (Architecture.MLP, (6, 10, 10), "which takes numbered states"),
        (Architecture.ATARI, (1, 10, 10), "too small for the layers"),
    ],
)
def test_networks_that_do_not_fit(
    architecture: Architecture, frame: tuple[int, ...], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        actor_critic(Networks(architecture=architecture), frame, 1, (5, 3), generator())
