r"""How policies, rewards and transitions depend on their parameters, differentiable by autograd.

The formulas of ``reference`` on tensors, always with an axis of problems: x is (P, *shape), or
(1, *shape) if all problems share it::

    policies     direct              pi_y = y                                    y in simplices
                 softmax             pi_y(a|s) = exp y(s, a) / sum_c exp y(s, c)  y in R^(S x A)
    rewards      tabular             r_x = x
                 fixed               r_x = r
                 linear features     r_x = r + sum_i x_i f_i
                 bounded incentive   r_x = r + c sigmoid(x)                        (Section 6.3)
                 potential shaping   r_x = r + gamma sum_t P(t|.) x(t) - x
    transitions  fixed               P_x = P
                 softmax             P_x(t|s,j) = softmax_t( l(s,j,t) + sum_i x_i f_i(s,j,t) )

Both may also be a user's own functions of NumPy arrays with their pullbacks.

Rewards have the axes (P, S, A) or (P, S, A, B), transitions (P, S, J, S) with joint actions j.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from sampled.domains import Domain, Euclidean, Simplices
from sampled.errors import InputError
from sampled.validation import (
    entry,
    finite,
    first,
    floating,
    fraction,
    number,
    one_device,
    one_dtype,
    shaped,
)

Array = npt.NDArray[np.float64]


@runtime_checkable
class DifferentiableMap(Protocol):
    """A map from parameters to a table of each problem."""

    def __call__(self, x: Tensor) -> Tensor:
        """Table (P, ...) at x (P, ...)."""
        ...


def _tables(**tables: Tensor) -> None:
    """Check tables of finite numbers, alike in dtype and device."""
    for name, table in tables.items():
        finite(name, floating(name, table))
    one_device(**tables)
    one_dtype(**tables)


def _same_end(name: str, features: Tensor, offset_name: str, offset: Tensor) -> None:
    """Check that features (P, *shape of x, *table) are of the tables (P, *table) of an offset."""
    axes = offset.ndim - 1
    if (
        features.shape[:1] != offset.shape[:1]
        or features.shape[features.ndim - axes :] != offset.shape[1:]
    ):
        raise InputError(
            f"{name} has shape {tuple(features.shape)} and {offset_name} {tuple(offset.shape)}; the "
            "first axis and the last ones must be the same: put those of x between"
        )
    one_device(**{name: features, offset_name: offset})
    one_dtype(**{name: features, offset_name: offset})


def _combined(x: Tensor, features: Tensor, parameter_axes: int) -> Tensor:
    """sum_i x(i) f_i for x (P or 1, *shape) and features (P, *shape, *table)."""
    event = features.shape[1 + parameter_axes :]
    flat_pik = features.reshape(features.shape[0], -1, event.numel())
    return (x.reshape(x.shape[0], 1, -1) @ flat_pik).reshape(-1, *event)


# Policies.


@runtime_checkable
class PolicyMap(DifferentiableMap, Protocol):
    """A map onto policies (P, S, A), with the set of its parameters."""

    @property
    def domain(self) -> Domain:
        """Where the parameters live."""
        ...

    def inverse(self, pi_psa: Tensor) -> Tensor:
        """Return a parameter y with pi_y = pi."""
        ...


@dataclass(frozen=True)
class DirectPolicy:
    """y is the policy."""

    @property
    def domain(self) -> Simplices:
        """One simplex per state."""
        return Simplices()

    def __call__(self, x: Tensor) -> Tensor:
        """Return y itself."""
        return x

    def inverse(self, pi_psa: Tensor) -> Tensor:
        """Return the policy itself."""
        return pi_psa


@dataclass(frozen=True)
class SoftmaxPolicy:
    """y holds logits."""

    @property
    def domain(self) -> Euclidean:
        """All logits."""
        return Euclidean()

    def __call__(self, x: Tensor) -> Tensor:
        """softmax(y) over the actions."""
        # Over a short last axis PyTorch's kernel is several times slower than over a long one.
        return x.movedim(-1, 0).softmax(0).movedim(0, -1).contiguous()

    def inverse(self, pi_psa: Tensor) -> Tensor:
        """Return log pi.

        Raises
        ------
        InputError
            If a probability is zero: no finite logit gives it.
        """
        if not (pi_psa > 0.0).all():
            where = first(~(pi_psa > 0.0))
            raise InputError(
                f"{entry('pi_psa', where)} is {float(pi_psa[where])}; no finite logit gives it: mix the "
                "policy with the uniform one"
            )
        return torch.log(pi_psa)


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

    Raises
    ------
    InputError
        If it is no table of finite numbers.
    """

    r_psa: Tensor

    def __post_init__(self) -> None:
        _tables(r_psa=self.r_psa)

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

    Raises
    ------
    InputError
        If the two are no tables of finite numbers that fit each other.
    """

    features_pisa: Tensor
    offset_psa: Tensor

    def __post_init__(self) -> None:
        _tables(features_pisa=self.features_pisa, offset_psa=self.offset_psa)
        _same_end("features_pisa", self.features_pisa, "offset_psa", self.offset_psa)

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

    Raises
    ------
    InputError
        If a number is not finite.
    """

    r_psa: Tensor
    scale: float

    def __post_init__(self) -> None:
        _tables(r_psa=self.r_psa)
        number("scale", self.scale)

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

    Raises
    ------
    InputError
        If the two are no tables of finite numbers that fit each other, or gamma is outside [0, 1).
    """

    r_psa: Tensor
    P_psat: Tensor
    gamma: float

    def __post_init__(self) -> None:
        _tables(r_psa=self.r_psa, P_psat=self.P_psat)
        full = (*self.r_psa.shape, *self.r_psa.shape[1:2])
        shaped("P_psat", self.P_psat, "(problem, state, action, next state)", full)
        fraction("gamma", self.gamma, "the shaping is discounted")

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

    Raises
    ------
    InputError
        If it is no table of finite numbers.
    """

    P_psjt: Tensor

    def __post_init__(self) -> None:
        _tables(P_psjt=self.P_psjt)

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

    Raises
    ------
    InputError
        If the two are no tables that fit each other, a feature is not finite, or a row of logits gives
        no distribution.
    """

    logits_psjt: Tensor
    features_pisjt: Tensor

    def __post_init__(self) -> None:
        floating("logits_psjt", self.logits_psjt)
        _tables(features_pisjt=self.features_pisjt)
        _same_end("features_pisjt", self.features_pisjt, "logits_psjt", self.logits_psjt)
        finite("the largest logits of logits_psjt", self.logits_psjt.amax(-1))

    def __call__(self, x: Tensor) -> Tensor:
        """Softmax of the logits."""
        parameter_axes = self.features_pisjt.ndim - self.logits_psjt.ndim
        return (self.logits_psjt + _combined(x, self.features_pisjt, parameter_axes)).softmax(-1)


# Either, by the user's own functions.

ArrayFunction = Callable[[Array], Array]
"""One problem's x -> its rewards (S, A) or (S, A, B), or its transitions (S, J, S)."""

Pullback = Callable[[Array, Array], Array]
"""(x, gradient in the value) -> gradient in x."""


@dataclass(frozen=True, eq=False)
class UserMap:
    """A map given by functions of NumPy arrays, on the host: a value and its pullback.

    Each problem's x goes through them by itself.  They are differentiated once.

    Attributes
    ----------
    value : x -> array
    vjp : (x, gradient in the value) -> gradient in x

    Raises
    ------
    InputError
        If one is no function.

    See Also
    --------
    reference.problems.parametrizations.check_pullback : holds the two to each other.
    """

    value: ArrayFunction
    vjp: Pullback

    def __post_init__(self) -> None:
        for name in ("value", "vjp"):
            if not callable(getattr(self, name)):
                raise InputError(f"{name} is {getattr(self, name)!r}; it must be a function of arrays")

    def __call__(self, x: Tensor) -> Tensor:
        """The user's value at each x.

        Raises
        ------
        InputError
            If it is not finite, or in the backward pass, if the pullback has another shape than x.
        """
        table: Tensor = _Pulled.apply(x, self)  # type: ignore[no-untyped-call] # in PyTorch
        return table


class _Pulled(torch.autograd.Function):
    """A user's map, whose derivative is the user's pullback."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, user: UserMap) -> Tensor:
        x_p = _on_host(x)
        ctx.user, ctx.x_p = user, x_p
        values = [np.asarray(user.value(x), dtype=np.float64) for x in x_p]
        return finite("the user's map at x", torch.from_numpy(np.stack(values))).to(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        pulled = []
        for x, g in zip(ctx.x_p, _on_host(gradient), strict=True):
            back = np.asarray(ctx.user.vjp(x, g), dtype=np.float64)
            if back.shape != x.shape:
                raise InputError(
                    f"the user's pullback has shape {back.shape}; it must be {x.shape}, that of x"
                )
            pulled.append(back)
        return torch.from_numpy(np.stack(pulled)).to(gradient), None


def _on_host(values: Tensor) -> Array:
    return np.asarray(values.detach().to("cpu", torch.float64).numpy())
