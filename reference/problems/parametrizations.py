r"""How rewards and transitions depend on x: value and pullback.

Rewards are smooth maps (see :mod:`reference.policies`): x -> r_sa, with gradients g_sa pulled back::

    tabular              r_x = x
    linear features      r_x(s, a) = r(s, a) + sum_i x_i f_i(s, a)
    bounded incentive    r_x = r + c sigmoid(x)                                   (Section 6.3)
    potential shaping    r_x(s, a) = r(s, a) + gamma sum_t P(t|s,a) x(t) - x(s)

The arrays may have more axes than (s, a): for two players, r_x is indexed (s, a, b).

Transitions are kernels: x -> P_sat.  Every gradient in x contracts dP/dx with weights of rank one,
``w(s, a) v(t)``, so a kernel pulls back the factors and never sees their outer product::

    fixed                P_x = P
    softmax              P_x(t|s,a) = softmax_t( l(s,a,t) + sum_i x_i f_i(s,a,t) )
    user                 any callable with its pullback, held to each other by `check_pullback`
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.special import expit, softmax

from reference.domains import Domain, member
from reference.errors import InputError
from reference.policies import SmoothMap
from reference.validation import Array, distributions, real_array, scalar, shaped


class Kernel(Protocol):
    """Transition probabilities that depend smoothly on x."""

    @property
    def domain(self) -> Domain | None:
        """Where x lives; ``None`` if the kernel does not depend on x."""
        ...

    def __call__(self, x: Array) -> Array:
        """P_sat at x, shape (..., S, A, S)."""
        ...

    def pullback(self, x: Array, w_ksa: Array, v_kt: Array) -> Array | None:
        """Gradient in x of sum_k sum_sat w_k(s,a) P_x(t|s,a) v_k(t); ``None`` if P is fixed."""
        ...


def _same_shape(domain: Domain, shape: tuple[int, ...]) -> None:
    if domain.shape != shape:
        raise InputError(
            f"domain holds points of shape {domain.shape}, but here x has shape {shape}: "
            f"give a domain of that shape, such as Euclidean({shape})"
        )


# Rewards.


@dataclass(frozen=True, eq=False)
class TabularReward:
    """r_x = x, entry by entry, on a domain of reward arrays."""

    domain: Domain

    def __call__(self, x: Array) -> Array:
        """Return x itself."""
        return x

    def pullback(self, x: Array, gradient: Array) -> Array:  # noqa: ARG002 - the contract's signature
        """Return the gradient itself."""
        return gradient


@dataclass(frozen=True, eq=False)
class FixedReward:
    """A reward that does not depend on x."""

    r_sa: Array
    domain: Domain

    def __post_init__(self) -> None:
        object.__setattr__(self, "r_sa", real_array("r_sa", self.r_sa))

    def __call__(self, x: Array) -> Array:  # noqa: ARG002 - the contract's signature
        """Return the reward."""
        return self.r_sa

    def pullback(self, x: Array, gradient: Array) -> Array:  # noqa: ARG002 - the contract's signature
        """Return zero."""
        return np.zeros_like(x)


@dataclass(frozen=True, eq=False)
class LinearReward:
    """r_x(s, a) = offset(s, a) + sum_i features(i, s, a) x(i).

    Parameters
    ----------
    features_isa : (d, S, A) or (d, S, A, B)
    offset_sa : the same without the first axis
    domain : Domain of shape (d,)

    Raises
    ------
    InputError
        If the shapes do not fit each other.
    """

    features_isa: Array
    offset_sa: Array
    domain: Domain

    def __post_init__(self) -> None:
        features = real_array("features_isa", self.features_isa)
        if features.ndim < 3:
            raise InputError(
                f"features_isa has shape {features.shape}; it needs (feature, state, action) axes"
            )
        offset = real_array("offset_sa", self.offset_sa)
        shaped("offset_sa", offset, "(s, a)", features.shape[1:])
        object.__setattr__(self, "features_isa", features)
        object.__setattr__(self, "offset_sa", offset)
        _same_shape(self.domain, features.shape[:1])

    def __call__(self, x: Array) -> Array:
        """Weighted sum of the features."""
        return self.offset_sa + np.tensordot(x, self.features_isa, axes=1)

    def pullback(self, x: Array, gradient: Array) -> Array:
        """Inner product of the gradient with each feature."""
        flat = gradient.reshape(*x.shape[:-1], -1)
        return np.asarray(flat @ self.features_isa.reshape(self.features_isa.shape[0], -1).T)


@dataclass(frozen=True, eq=False)
class BoundedIncentive:
    """r_x = r + c sigmoid(x): an incentive between 0 and c on top of a given reward (Section 6.3)."""

    r_sa: Array
    scale: float
    domain: Domain

    def __post_init__(self) -> None:
        r = real_array("r_sa", self.r_sa)
        object.__setattr__(self, "r_sa", r)
        scalar("scale", self.scale)
        _same_shape(self.domain, r.shape)

    def __call__(self, x: Array) -> Array:
        """R + c sigmoid(x)."""
        return np.asarray(self.r_sa + self.scale * expit(x))

    def pullback(self, x: Array, gradient: Array) -> Array:
        """c sigmoid(x) sigmoid(-x) g; the product keeps its accuracy in both tails."""
        return np.asarray(self.scale * expit(x) * expit(-x) * gradient)


@dataclass(frozen=True, eq=False)
class PotentialShaping:
    """r_x(s, a) = r(s, a) + gamma sum_t P(t|s,a) x(t) - x(s), with a potential x of the states.

    Without regularisation it leaves every optimal policy unchanged (Ng, Harada and Russell 1999);
    with it too, since the advantage of every policy is unchanged.
    """

    r_sa: Array
    P_sat: Array
    gamma: float
    domain: Domain

    def __post_init__(self) -> None:
        r = real_array("r_sa", self.r_sa)
        P = real_array("P_sat", self.P_sat)
        shaped("P_sat", P, "(s, a, t)", (*r.shape, r.shape[0]))
        object.__setattr__(self, "r_sa", r)
        object.__setattr__(self, "P_sat", distributions("P_sat", P))
        scalar("gamma", self.gamma, low=0.0, high=1.0, open_high=True)
        _same_shape(self.domain, r.shape[:1])

    def __call__(self, x: Array) -> Array:
        """Shaped reward."""
        arrival = np.einsum("sat,...t->...sa", self.P_sat, x, optimize=True)
        return np.asarray(self.r_sa + self.gamma * arrival - x[..., None])

    def pullback(self, x: Array, gradient: Array) -> Array:  # noqa: ARG002 - the contract's signature
        """gamma P' g, minus the sums of g over the actions."""
        arrival = np.einsum("sat,...sa->...t", self.P_sat, gradient, optimize=True)
        return np.asarray(self.gamma * arrival - gradient.sum(axis=-1))


@dataclass(frozen=True, eq=False)
class UserMap:
    """A smooth map given by the user's own callable and pullback.

    Parameters
    ----------
    value : callable, x -> array
    vjp : callable, (x, gradient in the value) -> gradient in x
    domain : Domain of x

    See Also
    --------
    check_pullback : holds the two to each other by a directional derivative.
    """

    value: Callable[[Array], Array]
    vjp: Callable[[Array, Array], Array]
    domain: Domain

    def __call__(self, x: Array) -> Array:
        """Value of the callable, checked to be finite real numbers."""
        return real_array("the user's map at x", self.value(x))

    def pullback(self, x: Array, gradient: Array) -> Array:
        """Value of the user's pullback, checked for shape."""
        pulled = real_array("the user's pullback", self.vjp(x, gradient))
        return shaped("the user's pullback", pulled, "those of x", x.shape)


# Transitions.


@dataclass(frozen=True, eq=False)
class FixedKernel:
    """Transitions that do not depend on x."""

    P_sat: Array
    domain: None = None

    def __post_init__(self) -> None:
        P = distributions("P_sat", real_array("P_sat", self.P_sat))
        object.__setattr__(self, "P_sat", P)

    def __call__(self, x: Array) -> Array:  # noqa: ARG002 - the contract's signature
        """Return the kernel."""
        return self.P_sat

    def pullback(self, x: Array, w_ksa: Array, v_kt: Array) -> None:  # noqa: ARG002 - the contract
        """Nothing to pull back."""
        return


@dataclass(frozen=True, eq=False)
class SoftmaxKernel:
    """P_x(t|s,a) = softmax over t of ``logits(s,a,t) + sum_i x(i) features(i,s,a,t)``.

    A logit of ``-inf`` makes a transition impossible for every x.
    """

    logits_sat: Array
    features_isat: Array
    domain: Domain

    def __post_init__(self) -> None:
        logits = real_array("logits_sat", self.logits_sat, finite=False)
        if np.isnan(logits).any() or np.isposinf(logits).any() or np.isneginf(logits).all(-1).any():
            raise InputError(
                "logits_sat has a NaN, a +inf or a row of -inf; every (s, a) needs a finite logit"
            )
        features = real_array("features_isat", self.features_isat)
        shaped("features_isat", features, "(s, a, t)", logits.shape)
        object.__setattr__(self, "logits_sat", logits)
        object.__setattr__(self, "features_isat", features)
        _same_shape(self.domain, features.shape[:1])

    def __call__(self, x: Array) -> Array:
        """Softmax of the logits."""
        return np.asarray(softmax(self.logits_sat + np.tensordot(x, self.features_isat, 1), axis=-1))

    def pullback(self, x: Array, w_ksa: Array, v_kt: Array) -> Array:
        """Sum over (s, a, t) of P(t|s,a) sum_k w_k(s,a) (v_k(t) - (P v_k)(s,a)) f_i(s,a,t)."""
        P = self(x)
        weighted = np.einsum("...ksa,...kt->...sat", w_ksa, v_kt, optimize=True)
        centred = P * (weighted - (P * weighted).sum(axis=-1, keepdims=True))
        features = self.features_isat.reshape(self.features_isat.shape[0], -1)
        return np.asarray(centred.reshape(*x.shape[:-1], -1) @ features.T)


@dataclass(frozen=True, eq=False)
class UserKernel:
    """Transitions given by the user's own callable and pullback.

    ``vjp(x, g_sat)`` returns the gradient in x of ``sum g_sat P_x``; the rank-one weights are
    multiplied out for it.
    """

    value: Callable[[Array], Array]
    vjp: Callable[[Array, Array], Array]
    domain: Domain

    def __call__(self, x: Array) -> Array:
        """Value of the callable, checked to be probability distributions."""
        return distributions("the user's P_sat at x", real_array("the user's P_sat", self.value(x)))

    def pullback(self, x: Array, w_ksa: Array, v_kt: Array) -> Array:
        """Value of the user's pullback at the summed weights, checked for shape."""
        g_sat = np.einsum("...ksa,...kt->...sat", w_ksa, v_kt, optimize=True)
        pulled = real_array("the user's pullback", self.vjp(x, g_sat))
        return shaped("the user's pullback", pulled, "those of x", x.shape)


def check_pullback(
    map_: SmoothMap, x: Array, generator: np.random.Generator, *, directions: int = 5
) -> float:
    """Hold a map's pullback to its value by directional derivatives; return the worst error.

    Along a random direction u and for random weights g, the derivative of <g, map(x + h u)> at
    h = 0 is estimated by central differences at two steps and Richardson extrapolation, whose
    own disagreement is the tolerance.

    Raises
    ------
    InputError
        If a derivative differs from <pullback(x, g), u> by more than the tolerance.
    """
    x = member("x", x, map_.domain)
    value = map_(x)
    worst = 0.0
    for _ in range(directions):
        u = generator.standard_normal(x.shape)
        g = generator.standard_normal(value.shape)
        step = 1e-3 * (1.0 + float(np.abs(x).max(initial=0.0)))

        def slope(h: float, u: Array = u, g: Array = g) -> float:
            return float((g * (map_(x + h * u) - map_(x - h * u))).sum() / (2.0 * h))

        coarse, fine = slope(step), slope(step / 2.0)
        estimate = (4.0 * fine - coarse) / 3.0
        claimed = float((map_.pullback(x, g) * u).sum())
        scale = float(np.abs(g).sum() * np.abs(value).max(initial=0.0)) + abs(claimed)
        tolerance = abs(fine - coarse) + 64.0 * np.finfo(np.float64).eps * scale / step
        error = abs(estimate - claimed)
        if error > tolerance:
            raise InputError(
                f"the pullback gives the slope {claimed:.9g} in a direction in which the map itself "
                f"has {estimate:.9g} (tolerance {tolerance:.1e}): correct the pullback; it must return "
                "the gradient in x of sum(gradient * map(x))"
            )
        worst = max(worst, error)
    return worst
