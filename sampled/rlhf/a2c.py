r"""Advantage actor-critic (Mnih et al. 2016), once for all methods.

From a track, rewards of whatever source, and values v of its states, with T, E and G for a step that was
terminated, ended the episode in either way, or was none (a ghost)::

    v'_h  = v(state after step h), of the last state where an episode was truncated
    e_h   = r_h + (1 - T_h) gamma v'_h - v_h
    adv_h = e_h + (1 - E_h) gamma lambda adv_{h+1}                        0 at a ghost
    loss  = sum_h w_h ( - adv_h log pi(a_h|s_h) + c_v (adv_h + v_h - v)^2 / 2 - c_e H(pi(s_h)) )

where adv and the target adv_h + v_h are constants.  If ends are hidden, T and E are 0 throughout, and
what follows an episode is the first step of the next.  The weights w_h are those of an average over the
steps that were taken; discounted, gamma^h counted from the start of the episode, they make the expected
gradient that of the value (2.1), if the entropy is also part of the rewards::

    r_h + c_e H(pi(s_h))   in place of   r_h.

Learners never see a true reward unless it is passed as the reward.
"""

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from sampled.rlhf.lanes import Policy, Snapshot
from sampled.rlhf.networks import ActorCritic, clipped
from sampled.rlhf.settings import A2c, Ends, EntropyPlace, Rule, StepWeights
from sampled.rlhf.tracks import Track

Actor = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Logits (I, A) and values (I,) of stacks (I, K, *frame): an :class:`ActorCritic`, or a table."""


def log_policy(logits: Tensor, action: Tensor) -> Tensor:
    """log pi(a|s), (...,)."""
    return logits.log_softmax(-1).gather(-1, action.unsqueeze(-1)).squeeze(-1)


def entropy(logits: Tensor) -> Tensor:
    """H(pi(s)) = - sum_a pi log pi, (...,)."""
    log_pi = logits.log_softmax(-1)
    return -(log_pi.exp() * log_pi).sum(-1)


def advantages(
    track: Track, reward_nh: Tensor, value_nh: Tensor, after_nh: Tensor, gamma: float, trace: float
) -> Tensor:
    """Generalised advantage estimates (Schulman et al. 2016); n-step returns for lambda = 1.

    Parameters
    ----------
    track : Track
    reward_nh, value_nh, after_nh : (N, H)
        Reward, value before the step, and value after it.
    gamma, trace : float
        The discount and lambda.

    Returns
    -------
    (N, H)
    """
    bootstrap_nh = torch.where(track.terminated_nh, 0.0, after_nh)
    error_nh = reward_nh + gamma * bootstrap_nh - value_nh
    error_nh = torch.where(track.ghost_nh, 0.0, error_nh)
    onward_nh = gamma * trace * (~(track.over_nh | track.ghost_nh)).to(error_nh.dtype)
    ahead_n = torch.zeros_like(error_nh[:, 0])
    out_hn: list[Tensor] = []
    for h in reversed(range(track.steps)):
        found_n = error_nh[:, h] + onward_nh[:, h] * ahead_n
        out_hn.append(found_n)
        ahead_n = torch.where(track.ghost_nh[:, h], ahead_n, found_n)
    return torch.stack(out_hn[::-1], 1)


def endless(track: Track) -> Track:
    """Return the track as one who is told of no ends sees it."""
    never_nh = torch.zeros_like(track.terminated_nh)
    return replace(track, terminated_nh=never_nh, truncated_nh=never_nh, cuts=None)


def step_weights(track: Track, rule: StepWeights, gamma: float, dtype: torch.dtype) -> Tensor:
    """Weights w_h, (N, H), zero at ghosts."""
    alive_nh = track.alive_nh.to(dtype)
    weight_nh = alive_nh / alive_nh.sum()
    if rule is StepWeights.DISCOUNTED:
        weight_nh = weight_nh * gamma ** track.age_nh[:, :-1].to(dtype)
    return weight_nh


@dataclass(frozen=True, eq=False)
class Loss:
    """The loss and its parts.

    Attributes
    ----------
    policy, critic, entropy : ()
        Surrogate of the return, half the weighted squared error, weighted entropy.
    total : ()
    """

    policy: Tensor
    critic: Tensor
    entropy: Tensor
    total: Tensor


def actor_critic_loss(
    network: Actor,
    track: Track,
    reward_nh: Tensor,
    settings: A2c,
    weight_nh: Tensor | None = None,
) -> Loss:
    """Loss of a track under given rewards.

    Parameters
    ----------
    network : Actor
    track : Track
    reward_nh : (N, H)
        The true reward or a learned one; entropy is added here, if the settings say so.
    settings : A2c
    weight_nh : (N, H), optional
        Weights of the steps in place of :func:`step_weights`; zero at ghosts.
    """
    if settings.ends is Ends.HIDDEN:
        track = endless(track)
    shape = (track.lanes, track.steps)
    logits, value = network(track.states())
    logits_nha, value_nh = logits.view(*shape, -1), value.view(shape)
    log_pi_nh = log_policy(logits_nha, track.action_nh)
    entropy_nh = entropy(logits_nha)
    with torch.no_grad():
        after_nh = torch.cat((value_nh[:, 1:], network(track.last())[1].unsqueeze(1)), 1)
        if track.cuts is not None:
            cuts = track.cuts
            after_nh[cuts.lane_i, cuts.step_i] = network(cuts.stack_i)[1]
        if settings.ends is Ends.HIDDEN:  # what is shown after a ghost comes after the step before it
            before_nh = track.ghost_nh[:, 1:]
            after_nh[:, :-1] = torch.where(before_nh, after_nh[:, 1:], after_nh[:, :-1])
        paid_nh = reward_nh.detach().to(value_nh.dtype)
        if settings.entropy_place is EntropyPlace.RETURNS:
            paid_nh = paid_nh + settings.entropy * entropy_nh
        known_nh = value_nh.detach()
        gain_nh = advantages(track, paid_nh, known_nh, after_nh, settings.gamma, settings.trace)
    if weight_nh is None:
        weight_nh = step_weights(track, settings.step_weights, settings.gamma, value_nh.dtype)
    policy = -(weight_nh * gain_nh * log_pi_nh).sum()
    critic = 0.5 * (weight_nh * (gain_nh + known_nh - value_nh).square()).sum()
    bonus = (weight_nh * entropy_nh).sum()
    total = policy + settings.value_weight * critic - settings.entropy * bonus
    return Loss(policy, critic, bonus, total)


def optimizer(
    rule: Rule, parameters: Sequence[nn.Parameter], rate: float, epsilon: float
) -> torch.optim.Optimizer:
    """Build the optimiser of a rule."""
    if rule is Rule.ADAM:
        return torch.optim.Adam(parameters, rate, eps=epsilon)
    return torch.optim.RMSprop(parameters, rate, alpha=0.99, eps=epsilon)


class Agent:
    """An actor-critic with its optimiser; ``updates`` counts them and numbers the policies.

    Parameters
    ----------
    network : ActorCritic
        Where it is to be trained.
    settings : A2c
    """

    def __init__(self, network: ActorCritic, settings: A2c) -> None:
        self.network, self.settings = network, settings
        self.parameters = list(network.parameters())
        self.optimizer = optimizer(
            settings.optimizer, self.parameters, settings.learning_rate, settings.epsilon
        )
        self.updates = 0

    @property
    def rate(self) -> float:
        """Learning rate of the next update."""
        over = self.settings.anneal_updates
        left = max(1.0 - self.updates / over, 0.0) if over else 1.0
        return self.settings.learning_rate * left

    def sampler(self, generator: torch.Generator) -> Policy:
        """Return the policy that draws its actions from a generator on the network's device."""

        def draw(stack: Tensor) -> Tensor:
            with torch.no_grad():
                pi = self.network(stack)[0].softmax(-1)
            return torch.multinomial(pi, 1, generator=generator).squeeze(-1)

        return draw

    def greedy(self, stack: Tensor) -> Tensor:
        """Likeliest actions (I,)."""
        with torch.no_grad():
            return torch.argmax(self.network(stack)[0], -1)

    def update(self, track: Track, reward_nh: Tensor, beside: Tensor | None = None) -> dict[str, float]:
        """Take a step on a track under given rewards.

        Parameters
        ----------
        track : Track
        reward_nh : (N, H)
        beside : (), optional
            Another loss of this policy, already weighted, for the same step.

        Returns
        -------
        dict
            Parts of the loss and the norm of its gradient, for records.
        """
        loss = actor_critic_loss(self.network, track, reward_nh, self.settings)
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss.total if beside is None else loss.total + beside)
        norm = clipped(self.parameters, self.settings.max_gradient_norm)
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate
        self.optimizer.step()
        self.updates += 1
        return {
            "policy_loss": float(loss.policy.detach()),
            "critic_loss": float(loss.critic.detach()),
            "entropy": float(loss.entropy.detach()),
            "gradient_norm": norm,
        }

    def snapshot(self) -> Snapshot:
        """Parameters, optimiser and counter."""
        return {
            "network": deepcopy(self.network.state_dict()),
            "optimizer": deepcopy(self.optimizer.state_dict()),
            "updates": self.updates,
        }

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Go on from a snapshot."""
        self.network.load_state_dict(snapshot["network"])
        self.optimizer.load_state_dict(deepcopy(snapshot["optimizer"]))
        self.updates = snapshot["updates"]
