r"""Actor-critic with generalised advantages (Schulman et al. 2016) and a tabular critic, regularised.

With a critic v that was made without the batch, and c_h = r_h - tau h_{s_h}(pi(s_h))::

    delta_h = c_h + gamma v(s_{h+1}) - v(s_h)
    A_h     = sum_{k=h}^{H-1} (gamma lambda)^{k-h} delta_k
    scores    w_h A_h grad log pi(a_h|s_h),      w_h = gamma^h, or 1 as is common in practice

The last state's value counts: after H steps a trajectory is cut off, it has not ended.  A terminal state
has a value, too, that of its regularisation.  The critic learns from the same numbers, v_h^lambda =
v(s_h) + A_h, for the next batch::

    v(s) <- v(s) + step / (N H) sum_{n,h} 1{s_h = s} A_h
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from sampled.errors import InputError
from sampled.estimators.contract import Estimator, EstimatorKind, Target, of_steps, powers
from sampled.horizons import Fixed
from sampled.processes import Process
from sampled.trajectories import Trajectories


@dataclass(frozen=True, eq=False)
class ActorCritic:
    """H steps, with a critic for what follows them.

    Attributes
    ----------
    steps : int
        H.
    critic_ps : (P, S)
        v.
    trace : float in [0, 1]
        lambda: 1 to measure all H steps, 0 to measure one.
    discounted : bool
        Whether the weight of step h is gamma^h.

    Raises
    ------
    InputError
        If H or lambda is outside its range.
    """

    steps: int
    critic_ps: Tensor
    trace: float = 0.95
    discounted: bool = True

    def __post_init__(self) -> None:
        Fixed(self.steps)
        if not 0.0 <= self.trace <= 1.0:
            raise InputError(f"trace is {self.trace!r}; lambda must be in [0, 1]")

    @property
    def target(self) -> Target:
        """H steps and the critic."""
        return Target(self.steps, self.discounted, self.trace, self.critic_ps.detach())

    @property
    def horizon(self) -> Fixed:
        """H steps."""
        return Fixed(self.steps)

    @property
    def batch(self) -> int:
        """One will do."""
        return 1

    def surrogate(self, trajectories: Trajectories, process: Process) -> Tensor:
        """Return the weighted sum, with the critic's value of the last state, and its scores."""
        of_steps(trajectories, self.steps)
        earned_pnh = process.earned(trajectories)
        gain_pnh = self._advantages(trajectories, earned_pnh, process.gamma)
        weight_h = powers(process.gamma if self.discounted else 1.0, earned_pnh)
        tail_pn = trajectories.at_states(self.critic_ps.detach())[..., -1]
        last = process.gamma**self.steps if self.discounted else 1.0
        scored_pnh = earned_pnh + gain_pnh * process.score(trajectories)
        return (weight_h * scored_pnh).sum(-1) + last * tail_pn

    def advantages(self, trajectories: Trajectories, process: Process) -> Tensor:
        """A_h, shape (P, N, H); without derivatives."""
        of_steps(trajectories, self.steps)
        return self._advantages(trajectories, process.earned(trajectories), process.gamma)

    def learned(self, trajectories: Trajectories, process: Process, step: float) -> Tensor:
        """Return the critic after one step on a batch, (P, S)."""
        gain_pnh = self.advantages(trajectories, process)
        critic_ps = self.critic_ps.detach().clone().requires_grad_()
        with torch.enable_grad():
            fit = (trajectories.at_states(critic_ps)[..., :-1] * gain_pnh).mean((1, 2)).sum()
        (change_ps,) = torch.autograd.grad(fit, critic_ps)
        return critic_ps.detach() + step * change_ps

    def _advantages(self, trajectories: Trajectories, earned_pnh: Tensor, gamma: float) -> Tensor:
        value_pnh = trajectories.at_states(self.critic_ps.detach())
        delta_pnh = earned_pnh.detach() + gamma * value_pnh[..., 1:] - value_pnh[..., :-1]
        decay_kh = _decay(gamma * self.trace, delta_pnh)
        return delta_pnh @ decay_kh


def _decay(rate: float, like_pnh: Tensor) -> Tensor:
    """rate^(k-h) for k >= h, else 0; (H, H)."""
    step_h = torch.arange(like_pnh.shape[-1], device=like_pnh.device)
    later_kh = step_h.unsqueeze(-1) - step_h
    return torch.pow(rate, later_kh.clamp(min=0).to(like_pnh.dtype)).tril()


def _variants(steps: int, values_ps: Tensor) -> Mapping[str, Estimator]:
    return {
        "measured": ActorCritic(steps, values_ps, trace=1.0),
        "generalised": ActorCritic(steps, values_ps, trace=0.6),
        "one step": ActorCritic(steps, values_ps, trace=0.0),
        "undiscounted weights": ActorCritic(steps, values_ps, trace=0.6, discounted=False),
        "zero critic": ActorCritic(steps, torch.zeros_like(values_ps), trace=0.6),
    }


ESTIMATOR = EstimatorKind("actor-critic", "Schulman et al. 2016", _variants)
