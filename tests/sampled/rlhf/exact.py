"""Every trajectory of a small problem as a track, with its probability; tables as networks."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from reference.domains import Box
from reference.problems.general_position import general_distributions
from reference.problems.mdp import Mdp, MdpFamily
from reference.problems.parametrizations import FixedKernel, TabularReward
from reference.problems.rlhf import Rlhf
from reference.regularizers import NegativeEntropy
from sampled.conversion import tensors
from sampled.enumeration import every_trajectory
from sampled.rlhf.networks import ActorCritic, RewardNetwork, actor_critic, reward_network
from sampled.rlhf.settings import Architecture, Networks
from sampled.rlhf.tracks import Track

TABLE = Networks(architecture=Architecture.TABLE)


def episodic(seed: int = 0, gamma: float = 0.8, *, everywhere: bool = False) -> Mdp:
    """Every episode of this MDP ends within three steps: 0 -> 1 or 2 -> end, and 1 -> 2.

    ``everywhere`` gives each state some share of the starts, as penalties ask for.
    """
    g = np.random.default_rng(seed)
    P_sat = np.zeros((4, 2, 4))
    P_sat[0, :, 1:] = general_distributions(g, (2, 3))
    P_sat[1, :, 2:] = general_distributions(g, (2, 2))
    P_sat[2, :, 3] = P_sat[3, :, 3] = 1.0
    r_sa = g.normal(size=(4, 2))
    r_sa[3] = 0.0
    rho_s = np.zeros(4)
    rho_s[: 4 if everywhere else 3] = general_distributions(g, (4 if everywhere else 3,))
    return Mdp(P_sat, r_sa, gamma, rho_s, 0.0, NegativeEntropy())


def family(mdp: Mdp) -> MdpFamily:
    """Its rewards are the parameters."""
    bound = np.full_like(mdp.r_sa, 10.0)
    return MdpFamily(
        reward=TabularReward(Box(-bound, bound)),
        kernel=FixedKernel(mdp.P_sat),
        gamma=mdp.gamma,
        rho_s=mdp.rho_s,
        tau=mdp.tau,
        regularizer=mdp.regularizer,
    )


def preference_problem(mdp: Mdp, length: int, delay: int, labels: Any) -> Rlhf:
    return Rlhf(family(mdp), mdp.r_sa, length, labels, delay)


@dataclass(frozen=True, eq=False)
class Everything:
    """All possible trajectories of a policy, and how likely each is."""

    track: Track
    weight_n: Tensor

    @property
    def count(self) -> int:
        return self.track.lanes

    def lanes(self, index: Tensor) -> Track:
        t = self.track
        return Track(
            t.frame_nf[index],
            t.age_nh[index],
            t.action_nh[index],
            t.terminated_nh[index],
            t.truncated_nh[index],
            t.ghost_nh[index],
            t.true_nh[index],
            t.depth,
        )


def everything(mdp: Mdp, pi_sa: Tensor, steps: int) -> Everything:
    """Of so many steps, from each start that is no end; behind the end all is padding."""
    task = tensors(mdp)
    found = every_trajectory(task.dynamics, steps)
    s = found.states_pnh[0].long()
    a = found.actions_pnh[0].long()
    terminal = task.dynamics.terminal_ps[0]
    weight = torch.tensor(mdp.rho_s)[s[:, 0]] * (~terminal[s[:, 0]]).double()
    P = torch.tensor(mdp.P_sat)
    for h in range(steps):
        weight = weight * pi_sa[s[:, h], a[:, h]] * P[s[:, h], a[:, h], s[:, h + 1]]
    some = weight > 0.0
    s, a, weight = s[some], a[some], weight[some]
    ended = terminal[s]
    true = torch.tensor(mdp.r_sa)[s[:, :-1], a]
    track = Track(
        frame_nf=s,
        age_nh=torch.arange(steps + 1).expand(len(s), -1).contiguous(),
        action_nh=a,
        terminated_nh=ended[:, 1:] & ~ended[:, :-1],
        truncated_nh=torch.zeros_like(ended[:, 1:]),
        ghost_nh=ended[:, :-1],
        true_nh=true,
        depth=1,
    )
    return Everything(track, weight)


def _put(head: nn.Module, table: Tensor) -> None:
    assert isinstance(head, nn.Linear)
    with torch.no_grad():
        head.weight.copy_(table)


def table_actor(y_sa: Tensor, v_s: Tensor | None = None) -> ActorCritic:
    states, actions = y_sa.shape
    network = actor_critic(TABLE, (), 1, (states, actions), torch.Generator(), torch.float64)
    _put(network.policy, y_sa.T)
    if v_s is not None:
        _put(network.value, v_s[None])
    return network


def table_reward(x_sa: Tensor) -> RewardNetwork:
    states, actions = x_sa.shape
    network = reward_network(TABLE, (), 1, (states, actions), 0.0, torch.Generator(), torch.float64)
    _put(network.head, x_sa.T)
    return network


def gradient(total: Tensor, parameter: Any) -> Tensor:
    """Of a table's weights, as (S, A)."""
    (found,) = torch.autograd.grad(total, [parameter], retain_graph=True)
    return found.T


def normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
