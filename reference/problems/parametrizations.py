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
    user                 any callable with its pullback, held to each other by `check_kernel_pullback`

The arrays of every map and kernel may have leading batch axes, one problem per entry; x then has the
same leading axes, or none if all problems share it.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from scipy.special import expit, softmax

from reference.contractions import arrivals, next_values
from reference.domains import Domain, located, member
from reference.errors import InputError
from reference.policies import SmoothMap
from reference.validation import (
    Array,
    distributions,
    provides,
    real_array,
    reals,
    scalar,
    shaped,
    together,
    weighted,
    whole,
)


@runtime_checkable
class Kernel(Protocol):
    """Transition probabilities that depend smoothly on x.

    A kernel answers for its rows: it returns distributions, by construction or after checking them.
    """

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


def _transitions(name: str, array: Array) -> Array:
    if array.ndim < 3 or array.shape[-1] != array.shape[-3]:
        raise InputError(
            f"{name} has shape {array.shape}; its last axes are (state, action, next state), so the "
            "third and the first of them must be equal: check the order of the axes"
        )
    if 0 in array.shape[-3:]:
        raise InputError(f"{name} has shape {array.shape}; there must be a state and an action")
    return array


def _gradient(gradient: Array, shape: tuple[int, ...]) -> Array:
    return shaped("gradient", reals("gradient", gradient), "those of the reward", shape)


def _combined(x: Array, features: Array, shape: tuple[int, ...], axes: int) -> Array:
    """sum_i x(i) f_i for x (..., *shape) and features (..., *shape, *event) with ``axes`` event axes."""
    split = features.ndim - axes
    flat = features.reshape(*features.shape[: split - len(shape)], math.prod(shape), -1)
    row = x.reshape(*x.shape[: x.ndim - len(shape)], 1, -1)
    total = (row @ flat)[..., 0, :]
    return total.reshape(*total.shape[:-1], *features.shape[split:])


def _projected(gradient: Array, features: Array, shape: tuple[int, ...], axes: int) -> Array:
    """<g, f_i> for every i, shape (..., *shape): the transpose of :func:`_combined`."""
    lead = features.shape[: features.ndim - axes - len(shape)]
    column = gradient.reshape(*gradient.shape[: gradient.ndim - axes], -1, 1)
    total = (features.reshape(*lead, math.prod(shape), -1) @ column)[..., 0]
    return total.reshape((*total.shape[:-1], *shape))


# Rewards.


@dataclass(frozen=True, eq=False)
class TabularReward:
    """r_x = x, entry by entry, on a domain of reward arrays.

    Raises
    ------
    InputError
        If points of the domain lack the axes (state, action).
    """

    domain: Domain

    def __post_init__(self) -> None:
        provides("domain", self.domain, Domain)
        if len(self.domain.shape) < 2:
            raise InputError(
                f"domain holds points of shape {self.domain.shape}; a table of rewards needs axes "
                "(state, action): give a domain of that shape, such as Euclidean((S, A))"
            )

    def __call__(self, x: Array) -> Array:
        """Return x itself."""
        return located("x", x, self.domain)

    def pullback(self, x: Array, gradient: Array) -> Array:
        """Return the gradient itself."""
        located("x", x, self.domain)
        return _gradient(gradient, self.domain.shape)


@dataclass(frozen=True, eq=False)
class FixedReward:
    """A reward that does not depend on x.

    Raises
    ------
    InputError
        If the reward lacks the axes (state, action) or is not finite.
    """

    r_sa: Array
    domain: Domain

    def __post_init__(self) -> None:
        provides("domain", self.domain, Domain)
        r = real_array("r_sa", self.r_sa)
        if r.ndim < 2:
            raise InputError(f"r_sa has shape {r.shape}; it needs axes (state, action)")
        object.__setattr__(self, "r_sa", r)

    def __call__(self, x: Array) -> Array:
        """Return the reward."""
        located("x", x, self.domain)
        return self.r_sa

    def pullback(self, x: Array, gradient: Array) -> Array:
        """Return zero."""
        _gradient(gradient, self.r_sa.shape[-2:])
        return np.zeros_like(located("x", x, self.domain))


@dataclass(frozen=True, eq=False)
class LinearReward:
    """r_x(s, a) = offset(s, a) + sum_i features(i, s, a) x(i).

    Parameters
    ----------
    features_isa : (..., d, S, A) or (..., d, S, A, B)
        The index i has the axes of x: d stands for all of ``domain.shape``.
    offset_sa : the same without the axes of x
    domain : Domain
    batch_axes : int >= 0
        How many leading axes of the arrays number a batch of problems; the shapes alone do not tell
        a batch of MDPs from one game.

    Raises
    ------
    InputError
        If the shapes do not fit each other.
    """

    features_isa: Array
    offset_sa: Array
    domain: Domain
    batch_axes: int = 0

    def __post_init__(self) -> None:
        features = real_array("features_isa", self.features_isa)
        batch = whole("batch_axes", self.batch_axes, low=0)
        provides("domain", self.domain, Domain)
        split = batch + len(self.domain.shape)
        if features.ndim < split + 2 or features.shape[batch:split] != self.domain.shape:
            raise InputError(
                f"features_isa has shape {features.shape}; it must have {batch} batch axes, the axes "
                f"{self.domain.shape} of the domain's points, and (state, action): give the domain "
                "the shape of the feature index"
            )
        offset = real_array("offset_sa", self.offset_sa)
        shape = features.shape[:batch] + features.shape[split:]
        if offset.shape != shape:
            raise InputError(
                f"offset_sa has shape {offset.shape}; it must be {shape}, that of one feature: give "
                "np.zeros of that shape for no offset"
            )
        object.__setattr__(self, "features_isa", features)
        object.__setattr__(self, "offset_sa", offset)

    @property
    def _event_axes(self) -> int:
        return self.offset_sa.ndim - self.batch_axes

    def __call__(self, x: Array) -> Array:
        """Weighted sum of the features."""
        x = located("x", x, self.domain)
        return self.offset_sa + _combined(x, self.features_isa, self.domain.shape, self._event_axes)

    def pullback(self, x: Array, gradient: Array) -> Array:
        """Inner product of the gradient with each feature."""
        located("x", x, self.domain)
        gradient = _gradient(gradient, self.offset_sa.shape[self.batch_axes :])
        return _projected(gradient, self.features_isa, self.domain.shape, self._event_axes)


@dataclass(frozen=True, eq=False)
class BoundedIncentive:
    """r_x = r + c sigmoid(x): an incentive between 0 and c on top of a given reward (Section 6.3).

    Parameters
    ----------
    r_sa : (..., S, A) or (..., S, A, B)
    scale : float
        The bound c.
    domain : Domain of shape (S, A) or (S, A, B)

    Raises
    ------
    InputError
        If the reward and the domain have different shapes.
    """

    r_sa: Array
    scale: float
    domain: Domain

    def __post_init__(self) -> None:
        r = real_array("r_sa", self.r_sa)
        object.__setattr__(self, "r_sa", r)
        object.__setattr__(self, "scale", scalar("scale", self.scale))
        provides("domain", self.domain, Domain)
        shaped("r_sa", r, "those of the domain's points", self.domain.shape)

    def __call__(self, x: Array) -> Array:
        """r + c sigmoid(x)."""
        return np.asarray(self.r_sa + self.scale * expit(located("x", x, self.domain)))

    def pullback(self, x: Array, gradient: Array) -> Array:
        """c sigmoid(x) sigmoid(-x) g; the product keeps its accuracy in both tails."""
        x, gradient = located("x", x, self.domain), _gradient(gradient, self.domain.shape)
        return np.asarray(self.scale * expit(x) * expit(-x) * gradient)


@dataclass(frozen=True, eq=False)
class PotentialShaping:
    """r_x(s, a) = r(s, a) + gamma sum_t P(t|s,a) x(t) - x(s), with a potential x of the states.

    Without regularisation it leaves every optimal policy unchanged (Ng, Harada and Russell 1999);
    with it too, since the advantage of every policy is unchanged.

    Parameters
    ----------
    r_sa : (..., S, A)
    P_sat : (..., S, A, S)
    gamma : float in [0, 1)
        Transitions and discount of the MDP that is shaped.
    domain : Domain of shape (S,)

    Raises
    ------
    InputError
        If the shapes do not fit each other or a row of transitions is not a distribution.
    """

    r_sa: Array
    P_sat: Array
    gamma: float
    domain: Domain

    def __post_init__(self) -> None:
        r = real_array("r_sa", self.r_sa)
        P = real_array("P_sat", self.P_sat)
        n_states, n_actions = _transitions("P_sat", P).shape[-3:-1]
        shaped("r_sa", r, "(s, a)", (n_states, n_actions))
        together(r_sa=r.shape[:-2], P_sat=P.shape[:-3])
        object.__setattr__(self, "r_sa", r)
        object.__setattr__(self, "P_sat", distributions("P_sat", P))
        gamma = scalar("gamma", self.gamma, low=0.0, high=1.0, open_high=True)
        object.__setattr__(self, "gamma", gamma)
        provides("domain", self.domain, Domain)
        if self.domain.shape != (n_states,):
            raise InputError(
                f"domain holds points of shape {self.domain.shape}; a potential has one number per "
                f"state: give a domain of shape {(n_states,)}, such as Euclidean({(n_states,)})"
            )

    def __call__(self, x: Array) -> Array:
        """Shaped reward."""
        x = located("x", x, self.domain)
        arrival = next_values(self.P_sat, x[..., None, :])[..., 0, :, :]
        return np.asarray(self.r_sa + self.gamma * arrival - x[..., None])

    def pullback(self, x: Array, gradient: Array) -> Array:
        """gamma P' g, minus the sums of g over the actions."""
        located("x", x, self.domain)
        gradient = _gradient(gradient, self.P_sat.shape[-3:-1])
        return np.asarray(self.gamma * arrivals(self.P_sat, gradient) - gradient.sum(axis=-1))


def _user_parts(value: object, vjp: object, domain: Domain) -> None:
    for name, part in (("value", value), ("vjp", vjp)):
        if not callable(part):
            raise InputError(f"{name} is {type(part).__name__}; it must be a callable")
    provides("domain", domain, Domain)


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
    check_pullback : holds the two to each other by directional derivatives.

    Raises
    ------
    InputError
        If a part is not callable, or returns something else than finite real arrays.
    """

    value: Callable[[Array], Array]
    vjp: Callable[[Array, Array], Array]
    domain: Domain

    def __post_init__(self) -> None:
        _user_parts(self.value, self.vjp, self.domain)

    def __call__(self, x: Array) -> Array:
        """Value of the callable, checked to be finite real numbers."""
        return real_array("the user's map at x", self.value(located("x", x, self.domain)))

    def pullback(self, x: Array, gradient: Array) -> Array:
        """Value of the user's pullback, checked for shape."""
        x, gradient = located("x", x, self.domain), reals("gradient", gradient)
        pulled = real_array("the user's pullback", self.vjp(x, gradient))
        return shaped("the user's pullback", pulled, "those of x", x.shape)


# Transitions.


@dataclass(frozen=True, eq=False)
class FixedKernel:
    """Transitions (..., S, A, S) that do not depend on x.

    Raises
    ------
    InputError
        If the shape is another, or a row is not a distribution.
    """

    P_sat: Array
    domain: None = None

    def __post_init__(self) -> None:
        P = distributions("P_sat", _transitions("P_sat", real_array("P_sat", self.P_sat)))
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

    Parameters
    ----------
    logits_sat : (..., S, A, S)
    features_isat : (..., d, S, A, S)
        The index i has the axes of x: d stands for all of ``domain.shape``.
    domain : Domain

    Raises
    ------
    InputError
        If the shapes do not fit each other, or a row of logits has no finite entry.
    """

    logits_sat: Array
    features_isat: Array
    domain: Domain

    def __post_init__(self) -> None:
        logits = real_array("logits_sat", self.logits_sat, finite=False)
        _transitions("logits_sat", logits)
        if np.isnan(logits).any() or np.isposinf(logits).any() or np.isneginf(logits).all(-1).any():
            raise InputError(
                "logits_sat has a NaN, a +inf or a row of -inf; every (s, a) needs a finite logit"
            )
        features = real_array("features_isat", self.features_isat)
        provides("domain", self.domain, Domain)
        axes = (*self.domain.shape, *logits.shape[-3:])
        shaped("features_isat", features, "those of the domain's points and (s, a, t)", axes)
        together(logits_sat=logits.shape[:-3], features_isat=features.shape[: features.ndim - len(axes)])
        object.__setattr__(self, "logits_sat", logits)
        object.__setattr__(self, "features_isat", features)

    def __call__(self, x: Array) -> Array:
        """Softmax of the logits."""
        x = located("x", x, self.domain)
        tilt = _combined(x, self.features_isat, self.domain.shape, 3)
        return np.asarray(softmax(self.logits_sat + tilt, axis=-1))

    def pullback(self, x: Array, w_ksa: Array, v_kt: Array) -> Array:
        """Sum over (s, a, t) of P(t|s,a) sum_k w_k(s,a) (v_k(t) - (P v_k)(s,a)) f_i(s,a,t)."""
        P, shape = self(x), self.logits_sat.shape[-3:-1]
        w_ksa, v_kt = weighted("w_ksa", w_ksa, v_kt, "(state, action)", shape)
        g_sat = np.einsum("...ksa,...kt->...sat", w_ksa, v_kt, optimize=True)
        centred = P * (g_sat - (P * g_sat).sum(axis=-1, keepdims=True))
        return _projected(centred, self.features_isat, self.domain.shape, 3)


@dataclass(frozen=True, eq=False)
class UserKernel:
    """Transitions given by the user's own callable and pullback.

    ``vjp(x, g_sat)`` returns the gradient in x of ``sum g_sat P_x``; the rank-one weights are
    multiplied out for it.

    Raises
    ------
    InputError
        If a part is not callable, or returns something else than transitions (..., S, A, S) and a
        finite gradient.

    See Also
    --------
    check_kernel_pullback : holds the two to each other by directional derivatives.
    """

    value: Callable[[Array], Array]
    vjp: Callable[[Array, Array], Array]
    domain: Domain

    def __post_init__(self) -> None:
        _user_parts(self.value, self.vjp, self.domain)

    def __call__(self, x: Array) -> Array:
        """Value of the callable, checked to be probability distributions."""
        P = real_array("the user's P_sat", self.value(located("x", x, self.domain)))
        _transitions("the user's P_sat", P)
        return distributions("the user's P_sat", P)

    def pullback(self, x: Array, w_ksa: Array, v_kt: Array) -> Array:
        """Value of the user's pullback at the summed weights, checked for shape."""
        x, w_ksa = located("x", x, self.domain), reals("w_ksa", w_ksa)
        if w_ksa.ndim < 3:
            raise InputError(f"w_ksa has shape {w_ksa.shape}; its last axes are (k, state, action)")
        w_ksa, v_kt = weighted("w_ksa", w_ksa, v_kt, "(state, action)", w_ksa.shape[-2:])
        g_sat = np.einsum("...ksa,...kt->...sat", w_ksa, v_kt, optimize=True)
        pulled = real_array("the user's pullback", self.vjp(x, g_sat))
        return shaped("the user's pullback", pulled, "those of x", x.shape)


def check_pullback(
    map_: SmoothMap, x: Array, generator: np.random.Generator, *, directions: int = 5
) -> float:
    """Hold a map's pullback to its value at an interior point x; return the worst error.

    For random weights g, the pullback must be the gradient of <g, map(x)>; see
    :func:`check_gradient`.

    Raises
    ------
    InputError
        If x is outside the domain, or a derivative differs by more than the tolerance.
    """
    provides("map_", map_, SmoothMap)
    x = member("x", x, map_.domain)
    g = generator.standard_normal(map_(x).shape)

    def summed(point: Array) -> float:
        return float((g * map_(point)).sum())

    size = float(np.abs(g * map_(x)).sum())
    return check_gradient(summed, x, map_.pullback(x, g), generator, size=size, directions=directions)


def check_kernel_pullback(
    kernel: Kernel, x: Array, generator: np.random.Generator, *, directions: int = 5
) -> float:
    """Hold a kernel's pullback to its value at an interior point x; return the worst error.

    For two random pairs of weights w(s,a), v(t), the pullback must be the gradient of
    sum_k <w_k, P_x v_k>; see :func:`check_gradient`.

    Raises
    ------
    InputError
        If x is outside the domain, or a derivative differs by more than the tolerance.
    """
    provides("kernel", kernel, Kernel)
    x = real_array("x", x) if kernel.domain is None else member("x", x, kernel.domain)
    n_states, n_actions = kernel(x).shape[-3:-1]
    w_ksa = generator.standard_normal((2, n_states, n_actions))
    v_kt = generator.standard_normal((2, n_states))

    def summed(point: Array) -> float:
        return float((w_ksa * next_values(kernel(point), v_kt)).sum())

    size = float(np.abs(w_ksa).sum() * np.abs(v_kt).max())
    pulled = kernel.pullback(x, w_ksa, v_kt)
    gradient = np.zeros_like(x) if pulled is None else pulled
    return check_gradient(summed, x, gradient, generator, size=size, directions=directions)


def check_gradient(
    function: Callable[[Array], float],
    x: Array,
    gradient: Array,
    generator: np.random.Generator,
    *,
    size: float,
    directions: int = 5,
) -> float:
    """Hold a claimed gradient to a function by directional derivatives; return the worst error.

    Along random directions u, the derivative of f(x + h u) at h = 0 is estimated by central
    differences at steps h and h / 2 and Richardson extrapolation.  Their disagreement, and the
    rounding of f over the step, are the tolerance.

    Parameters
    ----------
    function : callable, x -> float
    x : array
        A point with room for small steps in every direction.
    gradient : array of the shape of x
    generator : Generator
        Of the directions.
    size : float
        Sum of the absolute values of the terms that f adds up, by which its rounding is judged.
    directions : int >= 1

    Raises
    ------
    InputError
        If a derivative differs from <gradient, u> by more than the tolerance.
    """
    whole("directions", directions, low=1)
    shaped("gradient", gradient, "those of x", x.shape)
    step = 1e-3 * (1.0 + float(np.abs(x).max(initial=0.0)))
    # Of the values, and of the arguments that they are taken at.
    moved = float(np.abs(gradient).sum() * (1.0 + np.abs(x).max(initial=0.0)))
    rounding = 64.0 * float(np.finfo(np.float64).eps) * (size + moved)
    worst = 0.0
    for _ in range(directions):
        u = generator.standard_normal(x.shape)
        claimed = float((gradient * u).sum())

        def slope(h: float, u: Array = u) -> float:
            return (function(x + h * u) - function(x - h * u)) / (2.0 * h)

        coarse, fine = slope(step), slope(step / 2.0)
        estimate = (4.0 * fine - coarse) / 3.0
        tolerance = abs(fine - coarse) + rounding / step
        error = abs(estimate - claimed)
        if not error <= tolerance:
            raise InputError(
                f"the pullback gives the slope {claimed:.9g} in a direction in which the map itself "
                f"has {estimate:.9g} (tolerance {tolerance:.1e}): correct the pullback; it must "
                "return the gradient in x of the weighted sum of the map's entries"
            )
        worst = max(worst, error)
    return worst
