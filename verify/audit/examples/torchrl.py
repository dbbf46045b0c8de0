"""The gradients that TorchRL's REINFORCE and A2C losses compute, as estimators to audit.

``GymWrapper`` steps the Gymnasium environment of the problem, the actor samples, and the loss module
computes advantages, by generalised advantage estimation of its own, and the loss, whose gradient is
taken.  The actor is one linear layer on one-hot states, whose weights are the logits; the critic's are
given values.  The loss is a mean over steps and trajectories: times the number of steps it is
comparable to a sum over the steps of a trajectory.  Needs the optional extra ``audit``.
"""

import warnings
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from reference.validation import Array
from verify.audit.given import Given

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of optional packages that are not installed
    from tensordict import TensorDict  # type: ignore[import-untyped]  # ships no types
    from tensordict.nn import (  # type: ignore[import-untyped]  # ships no types
        InteractionType,
        TensorDictModule,
    )
    from torchrl.envs import GymWrapper  # type: ignore[import-untyped]  # ships no types
    from torchrl.modules import (  # type: ignore[import-untyped]  # ships no types
        OneHotCategorical,
        ProbabilisticActor,
        ValueOperator,
    )
    from torchrl.objectives import (  # type: ignore[import-untyped]  # ships no types
        A2CLoss,
        ReinforceLoss,
        ValueEstimators,
    )


class Loss(Protocol):
    """A loss class of TorchRL, and the key of its part for the actor."""

    def __call__(self, actor: Any, critic: Any) -> tuple[Any, str]:
        """Loss module and key."""
        ...


def reinforce(actor: Any, critic: Any) -> tuple[Any, str]:
    """``ReinforceLoss``."""
    return ReinforceLoss(actor, critic), "loss_actor"


def a2c(actor: Any, critic: Any) -> tuple[Any, str]:
    """``A2CLoss`` without its entropy bonus, which is no part of the target."""
    return A2CLoss(actor, critic, entropy_bonus=False), "loss_objective"


class Table(torch.nn.Module):
    """A linear layer without bias on one-hot states."""

    def __init__(self, table: Tensor) -> None:
        super().__init__()
        self.table = torch.nn.Parameter(table.detach().clone().to(torch.float64))

    def forward(self, observed: Tensor) -> Tensor:
        """Rows of the states."""
        return observed.to(torch.float64) @ self.table


@dataclass(frozen=True, eq=False)
class TorchRlGradient:
    """Ascent direction of a loss in the logits, times the number of steps.

    Attributes
    ----------
    loss : Loss
        :func:`reinforce` or :func:`a2c`.
    steps : int
        Of a trajectory.
    critic_s : (S,)
        The critic's values.
    trace : float
        lambda of generalised advantages.
    normalised : bool
        Whether advantages are normalised over the batch (``average_gae``).
    max_steps : int, optional
        Steps after which the environment truncates an episode.
    """

    loss: Loss
    steps: int
    critic_s: Array
    trace: float = 1.0
    normalised: bool = False
    max_steps: int | None = None

    def __call__(
        self,
        problem: Given,
        parameters: Tensor | tuple[Tensor, ...],
        batch: int,
        generator: torch.Generator,
    ) -> Tensor:
        """One estimate from so many trajectories."""
        assert isinstance(parameters, Tensor)
        env = GymWrapper(problem.env(self.max_steps))
        actor, critic = self._networks(parameters)
        seed = int(torch.randint(1 << 31, (), generator=generator))
        with torch.random.fork_rng(), torch.no_grad():
            torch.manual_seed(seed)
            env.set_seed(seed)
            rolled = [env.rollout(self.steps, actor, break_when_any_done=False) for _ in range(batch)]
        return self._gradient(problem, actor, critic, torch.stack(rolled))

    def of_trajectory(self, problem: Given, parameters: Tensor, states: Array, actions: Array) -> Array:
        """The gradient from one given trajectory; (S, A)."""
        actor, critic = self._networks(parameters)
        mdp, steps = problem.mdp, len(actions)
        one_s, one_a = torch.eye(mdp.n_states), torch.eye(mdp.n_actions)
        rewards = torch.tensor([[float(mdp.r_sa[s, a])] for s, a in zip(states, actions, strict=False)])
        never = torch.zeros(steps, 1, dtype=torch.bool)
        after = {
            "observation": one_s[torch.as_tensor(states[1:]).long()],
            "reward": rewards,
            "done": never,
            "terminated": never,
        }
        rolled = TensorDict(
            {
                "observation": one_s[torch.as_tensor(states[:-1]).long()],
                "action": one_a[torch.as_tensor(actions).long()],
                "next": TensorDict(after, [steps]),
            },
            [steps],
        )
        found: Array = self._gradient(problem, actor, critic, rolled[None]).numpy()
        return found

    def _networks(self, parameters: Tensor) -> tuple[Any, Any]:
        logits = TensorDictModule(Table(parameters), in_keys=["observation"], out_keys=["logits"])
        # Unless it is told otherwise, an actor takes the likeliest action outside a collector.
        actor = ProbabilisticActor(
            logits,
            in_keys=["logits"],
            distribution_class=OneHotCategorical,
            return_log_prob=False,
            default_interaction_type=InteractionType.RANDOM,
        )
        critic = Table(torch.from_numpy(np.array(self.critic_s))[:, None])
        return actor, ValueOperator(critic, in_keys=["observation"])

    def _gradient(self, problem: Given, actor: Any, critic: Any, rolled: Any) -> Tensor:
        module, key = self.loss(actor, critic)
        module.make_value_estimator(
            ValueEstimators.GAE,
            gamma=problem.mdp.gamma,
            lmbda=self.trace,
            average_gae=self.normalised,
        )
        total = module(rolled)[key]
        (slope,) = torch.autograd.grad(total, list(module.actor_network_params.values(True, True)))
        return -self.steps * slope.detach().to(torch.float64)
