r"""What Stable-Baselines3's and TorchRL's losses estimate, in numbers.

On a tabular problem without regulariser, with H = 2 steps and a critic that is half the exact values,
against the exact gradient of V(rho) in the logits:

* without normalisation a loss is a sum over steps and trajectories, so that its expectation is that over
  every trajectory, one at a time through the library's own code: exact up to its float32.  It is held to
  what the library would estimate with weights gamma^h and with weights 1 (:mod:`reference.truncated`);
* with normalised advantages, a function of the whole batch, it is a mean over calls through the
  Gymnasium environment, with its standard error;
* an environment that truncates after H steps inside rollouts of 2 H: the critic's value of the last
  state counts if truncation is told from termination; the gradient is then twice that of H steps.
  Taken for a termination, it would be twice that of H steps without a critic; not seen at all, that of
  2 H steps.  All three are exact; the mean over calls is held to each.

Run ``python -m verify.audit.examples`` for the table; it is written to docs/results/audit/examples.json.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from reference.evaluation import evaluate, parameter_policy_gradient
from reference.policies import SoftmaxPolicy
from reference.truncated import Truncation, truncated_value
from reference.validation import Array
from sampled.conversion import tensors
from sampled.enumeration import every_trajectory
from sampled.simulator import Dynamics
from verify.audit.engine import generator_of
from verify.audit.given import Given
from verify.audit.problems import Setting, default_problems

STEPS = 2
CRITIC = 0.5
"""The critic's values in units of the exact ones."""
BATCH = 16


class Library(Protocol):
    """An adapter of a library's loss."""

    def __call__(
        self, problem: Given, parameters: Tensor, batch: int, generator: torch.Generator
    ) -> Tensor:
        """One estimate."""
        ...

    def of_trajectory(self, problem: Given, parameters: Tensor, states: Array, actions: Array) -> Array:
        """The estimate from one trajectory."""
        ...


Make = Callable[..., Library]


@dataclass(frozen=True, eq=False)
class Scene:
    """The problem, its exact gradient and its critic."""

    setting: Setting
    given: Given
    logits: Tensor
    pi_sa: Array
    exact: Array
    critic_s: Array

    @classmethod
    def default(cls) -> "Scene":
        """The problem named plain."""
        setting = default_problems()["plain"]
        (y,) = setting.logits
        soft = SoftmaxPolicy((y.shape[0], y.shape[1]))
        own = evaluate(setting.problem.at(setting.x), soft(y))
        exact = parameter_policy_gradient(own, soft, y)
        given = Given(setting.problem, setting.x)
        return cls(setting, given, torch.from_numpy(y.copy()), own.pi_sa, exact, CRITIC * own.v_s)

    def declared(
        self, steps: int, *, discounted: bool, trace: float = 1.0, ended: bool = False
    ) -> Array:
        """Gradient of so many steps with the critic, in the logits; without it if all ends then."""
        kept = Truncation(steps, discounted, trace, None if ended else self.critic_s)
        found = truncated_value(self.setting.problem, self.setting.x, self.pi_sa, kept)
        soft = SoftmaxPolicy((self.pi_sa.shape[0], self.pi_sa.shape[1]))
        return soft.pullback(self.setting.logits[0], found.grad_policies[0])


def libraries() -> Mapping[str, Make]:
    """The losses by name, as functions of (steps, critic_s, trace, normalised, max_steps).

    Raises
    ------
    ImportError
        If the optional extra ``audit`` is not installed.
    """
    from verify.audit.examples.stable_baselines3 import A2cGradient
    from verify.audit.examples.torchrl import TorchRlGradient, a2c, reinforce

    return {
        "Stable-Baselines3 A2C": A2cGradient,
        "TorchRL REINFORCE": partial(TorchRlGradient, reinforce),
        "TorchRL A2C": partial(TorchRlGradient, a2c),
    }


def enumerated(scene: Scene, library: Library, steps: int = STEPS) -> Array:
    """Expectation of the gradient over every trajectory, one at a time."""
    mdp = scene.given.mdp
    dynamics: Dynamics = tensors(mdp).dynamics
    every = every_trajectory(dynamics, steps)
    total = np.zeros_like(scene.exact)
    for states, actions in zip(every.states_pnh[0].numpy(), every.actions_pnh[0].numpy(), strict=True):
        chance = mdp.rho_s[states[0]]
        for h, a in enumerate(actions):
            chance = chance * scene.pi_sa[states[h], a] * mdp.P_sat[states[h], a, states[h + 1]]
        total += chance * library.of_trajectory(scene.given, scene.logits, states, actions)
    return total


@dataclass(frozen=True, eq=False)
class Mean:
    """Mean of so many estimates, with the standard error of its component along a direction."""

    mean: Array
    error: Array
    calls: int


def averaged(scene: Scene, library: Library, calls: int, seed: int = 0) -> Mean:
    """Mean over calls through the environment."""
    drawn = np.stack(
        [
            library(scene.given, scene.logits, BATCH, generator_of(seed, "examples", k)).numpy()
            for k in range(calls)
        ]
    )
    return Mean(drawn.mean(0), drawn.std(0, ddof=1) / np.sqrt(calls), calls)


def compared(found: Array, exact: Array) -> dict[str, float]:
    """Length in units of the exact gradient, and cosine of the angle with it."""
    sizes = float(np.linalg.norm(found)), float(np.linalg.norm(exact))
    return {
        "length": sizes[0] / sizes[1],
        "cosine": float((found * exact).sum()) / (sizes[0] * sizes[1]),
    }


def findings(calls: int) -> dict[str, Any]:
    """All numbers, by library; ``calls`` estimates of each mean."""
    scene = Scene.default()
    found: dict[str, Any] = {
        "problem": "plain",
        "gamma": scene.given.mdp.gamma,
        "steps": STEPS,
        "batch": BATCH,
        "calls": calls,
        "libraries": {},
    }
    for name, make in libraries().items():
        one = enumerated(scene, make(STEPS, scene.critic_s))
        with_weights, without = (scene.declared(STEPS, discounted=d) for d in (True, False))
        size = float(np.linalg.norm(without))
        normal = averaged(scene, make(STEPS, scene.critic_s, normalised=True), calls)
        cut = averaged(scene, make(2 * STEPS, scene.critic_s, max_steps=STEPS), calls)
        # The three things that a rollout of 2 H steps could be the gradient of, exactly.
        twice, ended = 2.0 * without, 2.0 * scene.declared(STEPS, discounted=False, ended=True)
        whole = scene.declared(2 * STEPS, discounted=False)
        found["libraries"][name] = {
            "off from weights gamma^h": float(np.linalg.norm(one - with_weights)) / size,
            "off from weights 1": float(np.linalg.norm(one - without)) / size,
            "plain": compared(one, scene.exact),
            "weights gamma^h would be": compared(with_weights, scene.exact),
            "normalised": compared(normal.mean, scene.exact)
            | {"length over plain": float(np.linalg.norm(normal.mean)) / size}
            | {"standard error": float(np.linalg.norm(normal.error)) / size},
            "truncated": {
                "off from a bootstrap, in standard errors": _worst(cut, twice),
                "off from no truncation, in standard errors": _worst(cut, whole),
                "off from a termination, in standard errors": _worst(cut, ended),
                **compared(cut.mean, scene.exact),
            },
            "a bootstrap is": compared(twice, scene.exact),
            "a termination would be": compared(ended, scene.exact),
            "no truncation would be": compared(whole, scene.exact),
        }
    return found


def _worst(found: Mean, other: Array) -> float:
    """Largest deviation of an entry, in standard errors."""
    return float((np.abs(found.mean - other) / np.maximum(found.error, 1e-12)).max())
