r"""Actor-critic and reward predictor (Appendix E.2), and smaller ones for smaller games.

Layers, without padding unless it is asked for; ``fc`` is fully connected, every layer but a head ends in
a ReLU::

    atari      84 x 84 x K   actor-critic  conv 8x8/4 16, 5x5/2 32, 4x4/1 32, 4x4/1 32, fc 256
                             reward        conv 7x7/3 16, 5x5/2 16, 3x3/1 16, 3x3/1 16, fc 64
    minatar    10 x 10 x C   actor-critic  conv 3x3/1 16, fc 128        (Young and Tian 2019)
                             reward        conv 3x3/1 16, fc 64
    mlp        a state       both          one-hot, fc, fc
    table      a state       both          one-hot

Heads: one number for each action as logits, and one as the value, of the actor-critic; one number for
each action as rewards r_x(s, .).  Dropout, before the reward's head alone, happens when and only when a
generator for it is passed: there is no mode to forget.

With 'table' the parameters *are* the tables, so gradients can be held to closed forms.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import prod, sqrt

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from sampled.errors import InputError
from sampled.rlhf.settings import Architecture, Networks


class OneHot(nn.Module):
    """Features of a numbered state."""

    def __init__(self, states: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.states, self.dtype = states, dtype

    def forward(self, stack: Tensor) -> Tensor:
        """(I, 1) int64 -> (I, S)."""
        return one_hot(stack[:, 0], self.states).to(self.dtype)


class Pixels(nn.Module):
    """Bytes as numbers, stacked images as channels, in the layout that convolutions like best."""

    def __init__(self, scale: float, layout: torch.memory_format, dtype: torch.dtype) -> None:
        super().__init__()
        self.scale, self.layout, self.dtype = scale, layout, dtype

    def forward(self, stack: Tensor) -> Tensor:
        """(I, K, C, height, width) -> (I, K C, height, width)."""
        flat = stack.flatten(1, 2).contiguous(memory_format=self.layout).to(self.dtype)
        return flat if self.scale == 1.0 else flat / self.scale


class ActorCritic(nn.Module):
    """Policy and critic on shared features."""

    def __init__(self, body: nn.Module, policy: nn.Module, value: nn.Module) -> None:
        super().__init__()
        self.body, self.policy, self.value = body, policy, value

    def forward(self, stack: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (I, A) and values (I,) of stacks (I, K, *frame)."""
        features = self.body(stack)
        return self.policy(features), self.value(features).squeeze(-1)


class RewardNetwork(nn.Module):
    """r_x(s, .)."""

    def __init__(self, body: nn.Module, head: nn.Module, dropout: float) -> None:
        super().__init__()
        self.body, self.head, self.dropout = body, head, dropout

    def forward(self, stack: Tensor, dropout: torch.Generator | None = None) -> Tensor:
        """Rewards (I, A) of stacks (I, K, *frame); a random subnetwork's, if a generator is given."""
        features = self.body(stack)
        if dropout is not None and self.dropout > 0.0:
            kept = torch.empty_like(features, requires_grad=False)
            kept = kept.bernoulli_(1.0 - self.dropout, generator=dropout)
            features = features * kept / (1.0 - self.dropout)
        return self.head(features)  # type: ignore[no-any-return] # a module's call is untyped


def actor_critic(
    networks: Networks,
    frame: tuple[int, ...],
    depth: int,
    outcomes: tuple[int, int],
    generator: torch.Generator,
    dtype: torch.dtype = torch.float32,
) -> ActorCritic:
    """Build the policy and the critic, on the CPU.

    Parameters
    ----------
    networks : Networks
    frame : tuple of int
        Shape of a frame: (C, height, width), or () for a numbered state.
    depth : int
        K.
    outcomes : (int, int)
        Numbers of states, where they are numbered, and of actions.
    generator : torch.Generator
        Of the initial parameters.
    dtype : torch.dtype

    Raises
    ------
    InputError
        If the architecture does not fit the frames.
    """
    body, width = _body(networks, frame, depth, outcomes[0], _ACTOR, dtype)
    table = networks.architecture is Architecture.TABLE
    policy = _linear(width, outcomes[1], dtype, bias=not table)
    value = _linear(width, 1, dtype, bias=not table)
    network = ActorCritic(body, policy, value)
    _initialise(network, networks, generator, {policy: 0.01, value: 1.0})
    return network


def reward_network(
    networks: Networks,
    frame: tuple[int, ...],
    depth: int,
    outcomes: tuple[int, int],
    dropout: float,
    generator: torch.Generator,
    dtype: torch.dtype = torch.float32,
) -> RewardNetwork:
    """Build a reward predictor, on the CPU; parameters as :func:`actor_critic`."""
    body, width = _body(networks, frame, depth, outcomes[0], _REWARD, dtype)
    table = networks.architecture is Architecture.TABLE
    head = _linear(width, outcomes[1], dtype, bias=not table)
    # A one-hot feature is the state itself: nothing of it is dropped.
    network = RewardNetwork(body, head, 0.0 if table else dropout)
    _initialise(network, networks, generator, {head: 1.0})
    return network


Convolution = tuple[int, int, int]
"""Filters, size, stride."""

_ACTOR: dict[Architecture, tuple[Sequence[Convolution], int]] = {
    Architecture.ATARI: (((16, 8, 4), (32, 5, 2), (32, 4, 1), (32, 4, 1)), 256),
    Architecture.MINATAR: (((16, 3, 1),), 128),
}
_REWARD: dict[Architecture, tuple[Sequence[Convolution], int]] = {
    Architecture.ATARI: (((16, 7, 3), (16, 5, 2), (16, 3, 1), (16, 3, 1)), 64),
    Architecture.MINATAR: (((16, 3, 1),), 64),
}


def _body(
    networks: Networks,
    frame: tuple[int, ...],
    depth: int,
    states: int,
    layers: dict[Architecture, tuple[Sequence[Convolution], int]],
    dtype: torch.dtype,
) -> tuple[nn.Module, int]:
    """Features and their number."""
    architecture = networks.architecture
    if architecture in layers:
        return _convolutions(*layers[architecture], networks, frame, depth, dtype)
    if frame != ():
        raise InputError(
            f"networks.architecture is '{architecture}', which takes numbered states; the game shows "
            f"frames of shape {frame}: use 'minatar' or 'atari'"
        )
    if architecture is Architecture.TABLE:
        return OneHot(states, dtype), states
    hidden = networks.hidden
    widths = (states, hidden, hidden)
    parts: list[nn.Module] = [OneHot(states, dtype)]
    for before, after in pairwise(widths):
        parts += [_linear(before, after, dtype), nn.ReLU()]
    return nn.Sequential(*parts), hidden


def _convolutions(
    convolutions: Sequence[Convolution],
    width: int,
    networks: Networks,
    frame: tuple[int, ...],
    depth: int,
    dtype: torch.dtype,
) -> tuple[nn.Module, int]:
    if len(frame) != 3:
        raise InputError(
            f"networks.architecture is '{networks.architecture}', which takes images; the game's frames "
            f"have shape {frame}: use 'mlp' or 'table'"
        )
    channels, size = depth * frame[0], tuple(frame[1:])
    scale = networks.pixel_scale if networks.architecture is Architecture.ATARI else 1.0
    layout = torch.channels_last if networks.channels_last else torch.contiguous_format
    parts: list[nn.Module] = [Pixels(scale, layout, dtype)]
    for filters, edge, stride in convolutions:
        around = edge // 2 if networks.padding else 0
        size = tuple((n + 2 * around - edge) // stride + 1 for n in size)
        if min(size) < 1:
            raise InputError(
                f"frames of {frame[1:]} are too small for the layers of '{networks.architecture}'"
            )
        layer = nn.Conv2d(channels, filters, edge, stride, around, dtype=dtype, device="meta")
        parts += [layer.to_empty(device="cpu"), nn.ReLU()]
        channels = filters
    parts += [nn.Flatten(), _linear(channels * prod(size), width, dtype), nn.ReLU()]
    return nn.Sequential(*parts), width


def _linear(inputs: int, outputs: int, dtype: torch.dtype, *, bias: bool = True) -> nn.Module:
    # On no device at first, so that no parameter is drawn from the global generator.
    return nn.Linear(inputs, outputs, bias, dtype=dtype, device="meta").to_empty(device="cpu")


def _initialise(
    network: nn.Module, networks: Networks, generator: torch.Generator, heads: dict[nn.Module, float]
) -> None:
    """Draw the parameters from the generator alone; tables begin with zeros."""
    fill: Callable[[nn.Module, float], None]
    if networks.architecture is Architecture.TABLE:
        fill = _zeros
    elif networks.orthogonal:
        fill = _orthogonal(generator)
    else:
        fill = _default(generator)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.Linear | nn.Conv2d):
                fill(module, heads.get(module, sqrt(2.0)))
            if isinstance(module, nn.Conv2d) and networks.channels_last:
                module.weight.data = module.weight.contiguous(memory_format=torch.channels_last)


def _zeros(module: nn.Module, _gain: float) -> None:
    for parameter in module.parameters():
        parameter.zero_()


def _orthogonal(generator: torch.Generator) -> Callable[[nn.Module, float], None]:
    def fill(module: nn.Module, gain: float) -> None:
        assert isinstance(module, nn.Linear | nn.Conv2d)
        nn.init.orthogonal_(module.weight, gain, generator=generator)
        if module.bias is not None:
            module.bias.zero_()

    return fill


def _default(generator: torch.Generator) -> Callable[[nn.Module, float], None]:
    """PyTorch's: uniform within 1 / sqrt(inputs)."""

    def fill(module: nn.Module, _gain: float) -> None:
        assert isinstance(module, nn.Linear | nn.Conv2d)
        bound = 1.0 / sqrt(module.weight[0].numel())
        for parameter in module.parameters():
            parameter.uniform_(-bound, bound, generator=generator)

    return fill


def clipped(parameters: Sequence[Tensor], limit: float) -> float:
    """Scale gradients down to a total norm, and return the norm before."""
    return float(nn.utils.clip_grad_norm_(parameters, limit))
