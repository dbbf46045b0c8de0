r"""Critics: guesses of the states' values, which learn from batches for the batches that follow.

With the advantages A_h of :mod:`sampled.estimators.actor_critic`, v(s_h) + A_h is what the batch says of
s_h.  One step of the squared error's gradient, that number held fixed (a semi-gradient)::

    tabular    v(s) = theta(s)                theta(s) += step / (N H) sum_{n,h} 1{s_h = s} A_h
    linear     v(s) = sum_k phi_k(s) theta_k  theta_k  += step / (N H) sum_{n,h} phi_k(s_h) A_h
"""

from dataclasses import dataclass, replace
from typing import Protocol, Self, runtime_checkable

import torch
from torch import Tensor

from sampled.errors import InputError
from sampled.trajectories import Trajectories
from sampled.validation import floating, one_device, one_dtype


@runtime_checkable
class Critic(Protocol):
    """A guess of the value of every state."""

    @property
    def values_ps(self) -> Tensor:
        """v, (P, S); without derivatives."""
        ...

    def learned(self, trajectories: Trajectories, gain_pnh: Tensor, step: float) -> Self:
        """Return the critic after one step towards v(s_h) + A_h."""
        ...


@dataclass(frozen=True, eq=False)
class Tabular:
    """One number for each state.

    Attributes
    ----------
    table_ps : (P, S)

    Raises
    ------
    InputError
        If it is no table of real numbers.
    """

    table_ps: Tensor

    def __post_init__(self) -> None:
        floating("table_ps", self.table_ps, axes=2)

    @property
    def values_ps(self) -> Tensor:
        """The table."""
        return self.table_ps.detach()

    def learned(self, trajectories: Trajectories, gain_pnh: Tensor, step: float) -> Self:
        """Move the values of the states that were visited."""
        return replace(self, table_ps=self.values_ps + step * _pulled(trajectories, self, gain_pnh))


@dataclass(frozen=True, eq=False)
class Linear:
    """A weighted sum of features of the state.

    Attributes
    ----------
    features_psk : (P, S, K)
        phi.
    weights_pk : (P, K)
        theta.

    Raises
    ------
    InputError
        If the shapes do not fit each other, or dtypes or devices are mixed.
    """

    features_psk: Tensor
    weights_pk: Tensor

    def __post_init__(self) -> None:
        features, weights = self.features_psk, self.weights_pk
        floating("features_psk", features, axes=3)
        floating("weights_pk", weights, axes=2)
        if weights.shape != (features.shape[0], features.shape[2]):
            raise InputError(
                f"features_psk has shape {tuple(features.shape)} and weights_pk {tuple(weights.shape)}; "
                "they must be (problem, state, feature) and (problem, feature): check their order"
            )
        one_device(features_psk=features, weights_pk=weights)
        one_dtype(features_psk=features, weights_pk=weights)

    @property
    def values_ps(self) -> Tensor:
        """sum_k phi_k theta_k."""
        return (self.features_psk.detach() @ self.weights_pk.detach().unsqueeze(-1)).squeeze(-1)

    def learned(self, trajectories: Trajectories, gain_pnh: Tensor, step: float) -> Self:
        """Move the weights of the features that were seen."""
        pulled_ps = _pulled(trajectories, self, gain_pnh)
        change_pk = (pulled_ps.unsqueeze(1) @ self.features_psk.detach()).squeeze(1)
        return replace(self, weights_pk=self.weights_pk.detach() + step * change_pk)


def _pulled(trajectories: Trajectories, critic: Critic, gain_pnh: Tensor) -> Tensor:
    """1 / (N H) sum_{n,h} 1{s_h = s} A_h, (P, S): what reading the states pulls back."""
    read_ps = torch.zeros_like(critic.values_ps, requires_grad=True)
    with torch.enable_grad():
        fit = (trajectories.at_states(read_ps)[..., :-1] * gain_pnh.detach()).mean((1, 2)).sum()
    (pulled_ps,) = torch.autograd.grad(fit, read_ps)
    return pulled_ps
