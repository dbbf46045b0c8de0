r"""How policies, rewards and transitions depend on their parameters, differentiable by autograd.

The formulas of ``reference`` on tensors, always with an axis of problems: x is (P, *shape), or
(1, *shape) if all problems share it::

    policies     direct              pi_y = y
                 softmax             pi_y(a|s) = exp y(s, a) / sum_c exp y(s, c)
    rewards      tabular             r_x = x
                 fixed               r_x = r
                 linear features     r_x = r + sum_i x_i f_i
                 bounded incentive   r_x = r + c sigmoid(x)                        (Section 6.3)
                 potential shaping   r_x = r + gamma sum_t P(t|.) x(t) - x
    transitions  fixed               P_x = P
                 softmax             P_x(t|s,j) = softmax_t( l(s,j,t) + sum_i x_i f_i(s,j,t) )

Rewards have the axes (P, S, A) or (P, S, A, B), transitions (P, S, J, S) with joint actions j.
"""

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor


class DifferentiableMap(Protocol):
    """A map from parameters to a table of each problem."""

    def __call__(self, x: Tensor) -> Tensor:
        """Table (P, ...) at x (P, ...)."""
        ...


def _combined(x: Tensor, features: Tensor, parameter_axes: int) -> Tensor:
    """sum_i x(i) f_i for x (P or 1, *shape) and features (P, *shape, *table)."""
    event = features.shape[1 + parameter_axes :]
    flat_pik = features.reshape(features.shape[0], -1, event.numel())
    return (x.reshape(x.shape[0], 1, -1) @ flat_pik).reshape(-1, *event)


# Policies.


@dataclass(frozen=True)
class DirectPolicy:
    """y is the policy."""

    def __call__(self, x: Tensor) -> Tensor:
        """Return y itself."""
        return x


@dataclass(frozen=True)
class SoftmaxPolicy:
    """y holds logits."""

    def __call__(self, x: Tensor) -> Tensor:
        """softmax(y) over the actions."""
        return x.softmax(-1)


# Rewards.


@dataclass(frozen=True)
class TabularReward:
    """r_x = x."""

    def __call__(self, x: Tensor) -> Tensor:
        """Return x itself."""
        return x


@dataclass(frozen=True, eq=False)
class FixedReward:
    """A reward that does not depend on x.

    Attributes
    ----------
    r_psa : (P, S, A) or (P, S, A, B)
    """

    r_psa: Tensor

    def __call__(self, x: Tensor) -> Tensor:  # noqa: ARG002 - the contract's signature
        """Return the reward."""
        return self.r_psa


@dataclass(frozen=True, eq=False)
class LinearReward:
    """r_x = offset + sum_i x(i) features(i).

    Attributes
    ----------
    features_pisa : (P, *shape of x, S, A) or (P, *shape of x, S, A, B)
    offset_psa : (P, S, A) or (P, S, A, B)
    """

    features_pisa: Tensor
    offset_psa: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """Weighted sum of the features."""
        parameter_axes = self.features_pisa.ndim - self.offset_psa.ndim
        return self.offset_psa + _combined(x, self.features_pisa, parameter_axes)


@dataclass(frozen=True, eq=False)
class BoundedIncentive:
    """r_x = r + c sigmoid(x).

    Attributes
    ----------
    r_psa : (P, S, A) or (P, S, A, B)
    scale : float
        The bound c.
    """

    r_psa: Tensor
    scale: float

    def __call__(self, x: Tensor) -> Tensor:
        """r + c sigmoid(x)."""
        return self.r_psa + self.scale * x.sigmoid()


@dataclass(frozen=True, eq=False)
class PotentialShaping:
    """r_x(s, a) = r(s, a) + gamma sum_t P(t|s,a) x(t) - x(s).

    Attributes
    ----------
    r_psa : (P, S, A)
    P_psat : (P, S, A, S)
    gamma : float
    """

    r_psa: Tensor
    P_psat: Tensor
    gamma: float

    def __call__(self, x: Tensor) -> Tensor:
        """Shaped reward."""
        arrival = (self.P_psat @ x[:, None, :, None]).squeeze(-1)
        return self.r_psa + self.gamma * arrival - x.unsqueeze(-1)


# Transitions.


@dataclass(frozen=True, eq=False)
class FixedKernel:
    """Transitions that do not depend on x.

    Attributes
    ----------
    P_psjt : (P, S, J, S)
    """

    P_psjt: Tensor

    def __call__(self, x: Tensor) -> Tensor:  # noqa: ARG002 - the contract's signature
        """Return the kernel."""
        return self.P_psjt


@dataclass(frozen=True, eq=False)
class SoftmaxKernel:
    """P_x(t|s,j) = softmax over t of logits + sum_i x(i) features(i).

    Attributes
    ----------
    logits_psjt : (P, S, J, S)
        ``-inf`` makes a transition impossible for every x.
    features_pisjt : (P, *shape of x, S, J, S)
    """

    logits_psjt: Tensor
    features_pisjt: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """Softmax of the logits."""
        parameter_axes = self.features_pisjt.ndim - self.logits_psjt.ndim
        return (self.logits_psjt + _combined(x, self.features_pisjt, parameter_axes)).softmax(-1)
