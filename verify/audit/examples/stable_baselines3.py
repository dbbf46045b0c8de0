"""The gradient that Stable-Baselines3's A2C computes, as an estimator to audit.

Its own classes do the work: ``DummyVecEnv`` steps the Gymnasium environment of the problem, the policy
samples, ``collect_rollouts`` fills the rollout buffer, which computes advantages, and ``train`` computes
the loss and its gradient, which is read off the parameters.  The actor is one linear layer on one-hot
states, without hidden layers, so that its weights are the logits; the critic's weights are given values,
its learning rate is zero, the norm of gradients is not limited.  A rollout is started anew from the
start distribution; in training it goes on from where the last one ended.

The loss is a mean over steps and environments: times the number of steps it is comparable to a sum over
the steps of a trajectory.  Needs the optional extra ``audit``.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reference.validation import Array
from verify.audit.foreign import global_states
from verify.audit.given import Given

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of optional packages that are not installed
    from stable_baselines3 import A2C
    from stable_baselines3.common.callbacks import ConvertCallback
    from stable_baselines3.common.logger import Logger
    from stable_baselines3.common.vec_env import DummyVecEnv


@dataclass(frozen=True, eq=False)
class A2cGradient:
    """Ascent direction of A2C's loss in the logits, times the number of steps.

    Attributes
    ----------
    steps : int
        Of a rollout.
    critic_s : (S,)
        The critic's values.
    trace : float
        lambda of generalised advantages.
    normalised : bool
        Whether advantages are normalised over the batch (``normalize_advantage``).
    max_steps : int, optional
        Steps after which the environment truncates an episode.
    """

    steps: int
    critic_s: Array
    trace: float = 1.0
    normalised: bool = False
    max_steps: int | None = None
    models: dict[tuple[int, int], Any] = field(default_factory=dict)

    def __call__(
        self,
        problem: Given,
        parameters: Tensor | tuple[Tensor, ...],
        batch: int,
        generator: torch.Generator,
    ) -> Tensor:
        """One estimate from as many environments as the batch."""
        assert isinstance(parameters, Tensor)
        model = self._model(problem, batch)
        self._set(model, parameters)
        seed = int(torch.randint(1 << 31, (), generator=generator))
        # Actions come from PyTorch's global generator, the order within a batch from NumPy's.
        with global_states(seed):
            model.env.seed(seed)
            model._last_obs = model.env.reset()
            model._last_episode_starts = np.ones(batch, dtype=bool)
            callback = ConvertCallback(None)
            callback.init_callback(model)
            model.collect_rollouts(model.env, callback, model.rollout_buffer, self.steps)
            return self._trained(model)

    def of_trajectory(self, problem: Given, parameters: Tensor, states: Array, actions: Array) -> Array:
        """The gradient from one given trajectory, put into A2C's own buffer; (S, A)."""
        model, mdp = self._model(problem, 1), problem.mdp
        self._set(model, parameters)
        buffer = model.rollout_buffer
        buffer.reset()
        with torch.no_grad():
            for h, action in enumerate(actions):
                observed = torch.tensor([int(states[h])])
                value, log_prob, _ = model.policy.evaluate_actions(observed, torch.tensor([int(action)]))
                reward = np.array([mdp.r_sa[states[h], action]], dtype=np.float32)
                start = np.array([h == 0])
                buffer.add(observed.numpy(), np.array([[action]]), reward, start, value, log_prob)
            last = model.policy.predict_values(torch.tensor([int(states[-1])]))
        buffer.compute_returns_and_advantage(last_values=last, dones=np.zeros(1))
        found: Array = self._trained(model).numpy()
        return found

    def _model(self, problem: Given, batch: int) -> Any:
        key = id(problem.problem), batch
        if key not in self.models:
            env = DummyVecEnv([_maker(problem, self.max_steps)] * batch)
            model = A2C(
                "MlpPolicy",
                env,
                learning_rate=0.0,
                n_steps=self.steps,
                gamma=problem.mdp.gamma,
                gae_lambda=self.trace,
                max_grad_norm=float("inf"),
                normalize_advantage=self.normalised,
                policy_kwargs={"net_arch": []},
                device="cpu",
            )
            model.set_logger(Logger(None, []))
            model._setup_learn(total_timesteps=1)
            self.models[key] = model
        return self.models[key]

    def _set(self, model: Any, parameters: Tensor) -> None:
        policy = model.policy
        with torch.no_grad():
            policy.action_net.weight.copy_(parameters.T)
            policy.action_net.bias.zero_()
            policy.value_net.weight.copy_(torch.from_numpy(self.critic_s)[None])
            policy.value_net.bias.zero_()

    def _trained(self, model: Any) -> Tensor:
        model.train()
        slope: Tensor = model.policy.action_net.weight.grad
        return -self.steps * slope.T.detach().to(torch.float64)


def _maker(problem: Given, max_steps: int | None) -> Callable[[], Any]:
    return lambda: problem.env(max_steps)
