"""Stable-Baselines3's A2C from the command line, on an MDP without regulariser.

Its critic is zero, so that it declares two steps, and nothing after them; with weights 1 or gamma^h::

    E="--estimator verify.audit.examples.a2c:two_steps --problem plain --target value.y --steps 2"
    python -m verify audit $E --undiscounted --epsilon 0.3
    python -m verify audit $E --epsilon 0.1

Needs the optional extra ``audit``.
"""

from functools import cache

import numpy as np
import torch
from torch import Tensor

from verify.audit.examples.stable_baselines3 import A2cGradient
from verify.audit.given import Given


@cache  # a model costs as much as a rollout
def _without_critic(n_states: int) -> A2cGradient:
    return A2cGradient(2, np.zeros(n_states))


def two_steps(problem: Given, parameters: Tensor, batch: int, generator: torch.Generator) -> Tensor:
    """One estimate from as many environments as the batch."""
    return _without_critic(problem.mdp.n_states)(problem, parameters, batch, generator)
