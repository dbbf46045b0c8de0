r"""Regularisers h of a policy: value, gradient, regularised argmax, conjugate, moduli.

For a row p of a policy, an action value q and a temperature tau > 0::

    conjugate   max_p <p, q> - tau h(p)             over the simplex
    argmax      its unique maximiser

    negative entropy   h(p) = sum_a p_a log p_a       argmax = softmax(q / tau)
    KL to a reference  h(p) = sum_a p_a log(p_a/m_a)  argmax ~ m exp(q / tau)
    quadratic          h(p) = |p|^2 / 2               argmax = projection of q / tau

Every h is strongly convex; only the quadratic is smooth up to the boundary, and it keeps rational
data rational.  ``Weighted`` multiplies any h by a positive weight of the state.

The two entropies have modulus 2 on the simplex, not only the 1 of Pinsker's inequality in the l1 norm:
along a direction u with sum_a u_a = 0 the second derivative is sum_a u_a^2 / p_a >= (sum_a |u_a|)^2
>= 2 |u|^2, with equality at p = (1/2, 1/2, 0, ...) along (1, -1, 0, ...).
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from scipy.special import logsumexp, softmax, xlogy

from reference.domains import project_to_simplex
from reference.errors import InputError
from reference.validation import (
    Array,
    distributions,
    nonnegative,
    positive,
    provides,
    real_array,
    reals,
    scalar,
    whole,
)


@runtime_checkable
class Regularizer(Protocol):
    """A strongly convex function h_s on the simplex, evaluated for all states at once.

    ``tau`` may be a number or an array that broadcasts against the states (..., S).  The rows of a
    policy need not sum to one: h is differentiated off the simplex, too.

    Those of this module raise :class:`InputError` for entries that are not finite real numbers, for
    negative probabilities under an entropy, for tau that is not positive, and for states or actions that
    are not those of a reference or of weights.
    """

    def value(self, pi_sa: Array) -> Array:
        """h_s(pi(s)), shape (..., S)."""
        ...

    def gradient(self, pi_sa: Array) -> Array:
        """Gradient in the ambient coordinates, shape (..., S, A); ``-inf`` where h has none."""
        ...

    def argmax(self, q_sa: Array, tau: float | Array) -> Array:
        """Unique maximiser of <p, q> - tau h_s(p) over the simplex, for tau > 0."""
        ...

    def conjugate(self, q_sa: Array, tau: float | Array) -> Array:
        """Maximum of <p, q> - tau h_s(p) over the simplex, for tau > 0; shape (..., S)."""
        ...

    @property
    def strong_convexity(self) -> float:
        """Largest m with h - m/2 |.|^2 convex on the simplex (of two actions or more)."""
        ...

    @property
    def smoothness(self) -> float:
        """Lipschitz constant of the gradient over the simplex; ``inf`` if it has none."""
        ...

    def bound(self, n_actions: int) -> float:
        """Upper bound of |h| over the simplex."""
        ...


def fitting(name: str, regularizer: Regularizer, n_states: int, n_actions: int) -> tuple[int, ...]:
    """Return the batch axes of a regulariser, after checking that it takes policies (S, A).

    Raises
    ------
    InputError
        If it is no regulariser, or its arrays belong to other numbers of states or actions.
    """
    provides(name, regularizer, Regularizer)
    uniform_sa = np.full((n_states, n_actions), 1.0 / n_actions)
    try:
        shape = regularizer.value(uniform_sa).shape
    except ValueError as error:
        raise InputError(
            f"{name} does not take policies of shape {uniform_sa.shape} ({error}): give its reference "
            "or weights the states and actions of the problem"
        ) from error
    if shape[-1:] != (n_states,):
        raise InputError(
            f"{name} gives values of shape {shape} for {n_states} states: give its reference or "
            "weights the states of the problem"
        )
    return shape[:-1]


def _table(name: str, array: Array) -> Array:
    """Finite real numbers with an axis of actions."""
    array = reals(name, array)
    if not array.ndim:
        raise InputError(f"{name} is one number; it needs axes (state, action)")
    return array


def _positive(tau: float | Array) -> float | Array:
    """A temperature of all states, or of each."""
    why, remedy = "the maximiser is unique for positive tau only", "use tau > 0"
    if isinstance(tau, np.ndarray) and tau.ndim:
        return positive("tau", reals("tau", tau), why, remedy)
    number = tau.item() if isinstance(tau, np.ndarray) else tau
    return scalar("tau", number, low=0.0, open_low=True, remedy=f"{why}: {remedy}")


def _broadcasting(name: str, shape: tuple[int, ...], own: str, own_shape: tuple[int, ...]) -> None:
    try:
        np.broadcast_shapes(shape, own_shape)
    except ValueError as error:
        raise InputError(
            f"{name} has shape {shape}, and {own} {own_shape}: give both the same states and actions"
        ) from error


def _rows(tau: float | Array) -> float | Array:
    """Let a temperature of the states broadcast over the actions."""
    return tau[..., None] if isinstance(tau, np.ndarray) and tau.ndim else tau


@dataclass(frozen=True)
class NegativeEntropy:
    """h(p) = sum p log p, with 0 log 0 = 0: 2-strongly convex, not smooth at the boundary."""

    def value(self, pi_sa: Array) -> Array:
        """Between -log A (uniform) and 0 (deterministic)."""
        pi_sa = nonnegative("pi_sa", _table("pi_sa", pi_sa))
        return np.asarray(xlogy(pi_sa, pi_sa).sum(axis=-1))

    def gradient(self, pi_sa: Array) -> Array:
        """1 + log p; ``-inf`` where p is zero."""
        pi_sa = nonnegative("pi_sa", _table("pi_sa", pi_sa))
        with np.errstate(divide="ignore"):
            return 1.0 + np.log(pi_sa)

    def argmax(self, q_sa: Array, tau: float | Array) -> Array:
        """softmax(q / tau)."""
        q_sa, tau = _table("q_sa", q_sa), _positive(tau)
        return np.asarray(softmax(q_sa / _rows(tau), axis=-1))

    def conjugate(self, q_sa: Array, tau: float | Array) -> Array:
        """tau times logsumexp(q / tau)."""
        q_sa, tau = _table("q_sa", q_sa), _positive(tau)
        return np.asarray(tau * logsumexp(q_sa / _rows(tau), axis=-1))

    @property
    def strong_convexity(self) -> float:
        """2: see the module's docstring."""
        return 2.0

    @property
    def smoothness(self) -> float:
        """Infinite: 1/p is unbounded."""
        return np.inf

    def bound(self, n_actions: int) -> float:
        """log A."""
        return float(np.log(whole("n_actions", n_actions, low=1)))


@dataclass(frozen=True, eq=False)
class KLDivergence:
    """h_s(p) = sum p log(p / m(s)): relative entropy to a reference policy m.

    Parameters
    ----------
    reference_sa : (..., S, A)
        The reference policy; every entry must be positive.

    Raises
    ------
    InputError
        If the reference has no axes (state, action), is not a policy, or has a zero.
    """

    reference_sa: Array

    def __post_init__(self) -> None:
        reference = real_array("reference_sa", self.reference_sa)
        if reference.ndim < 2:
            raise InputError(
                f"reference_sa has shape {reference.shape}; it needs axes (state, action): "
                "repeat the row for every state"
            )
        distributions("reference_sa", reference)
        positive(
            "reference_sa",
            reference,
            "the divergence is infinite for policies that use that action",
            "mix the reference with the uniform policy",
        )
        object.__setattr__(self, "reference_sa", reference)

    def _fitting(self, name: str, array: Array) -> Array:
        array = _table(name, array)
        _broadcasting(name, array.shape, "reference_sa", self.reference_sa.shape)
        return array

    def value(self, pi_sa: Array) -> Array:
        """Zero at the reference, positive elsewhere."""
        pi_sa = nonnegative("pi_sa", self._fitting("pi_sa", pi_sa))
        return np.asarray((xlogy(pi_sa, pi_sa) - pi_sa * np.log(self.reference_sa)).sum(axis=-1))

    def gradient(self, pi_sa: Array) -> Array:
        """1 + log(p / m); ``-inf`` where p is zero."""
        pi_sa = nonnegative("pi_sa", self._fitting("pi_sa", pi_sa))
        with np.errstate(divide="ignore"):
            return 1.0 + np.log(pi_sa) - np.log(self.reference_sa)

    def argmax(self, q_sa: Array, tau: float | Array) -> Array:
        """m exp(q / tau), normalised."""
        q_sa, tau = self._fitting("q_sa", q_sa), _positive(tau)
        return np.asarray(softmax(q_sa / _rows(tau) + np.log(self.reference_sa), axis=-1))

    def conjugate(self, q_sa: Array, tau: float | Array) -> Array:
        """tau times log sum m exp(q / tau)."""
        q_sa, tau = self._fitting("q_sa", q_sa), _positive(tau)
        return np.asarray(tau * logsumexp(q_sa / _rows(tau) + np.log(self.reference_sa), axis=-1))

    @property
    def strong_convexity(self) -> float:
        """2, as for the entropy: the two differ by a linear function."""
        return 2.0

    @property
    def smoothness(self) -> float:
        """Infinite."""
        return np.inf

    def bound(self, n_actions: int) -> float:
        """-log of the smallest reference probability, attained at that action."""
        whole("n_actions", n_actions, low=1)
        return float(-np.log(self.reference_sa.min()))


@dataclass(frozen=True)
class Quadratic:
    """h(p) = |p|^2 / 2: 1-strongly convex and 1-smooth everywhere, exact on rational data."""

    def value(self, pi_sa: Array) -> Array:
        """Between 1/(2A) and 1/2."""
        pi_sa = _table("pi_sa", pi_sa)
        return 0.5 * np.asarray((pi_sa * pi_sa).sum(axis=-1))

    def gradient(self, pi_sa: Array) -> Array:
        """p itself."""
        return _table("pi_sa", pi_sa)

    def argmax(self, q_sa: Array, tau: float | Array) -> Array:
        """Projection of q / tau onto the simplex."""
        q_sa, tau = _table("q_sa", q_sa), _positive(tau)
        return project_to_simplex(q_sa / _rows(tau))

    def conjugate(self, q_sa: Array, tau: float | Array) -> Array:
        """Value of the maximum at that projection."""
        q_sa, tau = _table("q_sa", q_sa), _positive(tau)
        p_sa = self.argmax(q_sa, tau)
        return np.asarray((p_sa * q_sa).sum(axis=-1) - tau * self.value(p_sa))

    @property
    def strong_convexity(self) -> float:
        """1."""
        return 1.0

    @property
    def smoothness(self) -> float:
        """1."""
        return 1.0

    def bound(self, n_actions: int) -> float:
        """1/2, at the vertices."""
        whole("n_actions", n_actions, low=1)
        return 0.5


@dataclass(frozen=True, eq=False)
class Weighted:
    """w(s) h_s(p): a regulariser with a positive weight of the state.

    Parameters
    ----------
    base : Regularizer
    weight_s : (..., S)

    Raises
    ------
    InputError
        If the base is no regulariser or a weight is not a positive number.
    """

    base: Regularizer
    weight_s: Array

    def __post_init__(self) -> None:
        provides("base", self.base, Regularizer)
        weight = real_array("weight_s", self.weight_s)
        if weight.ndim == 0:
            raise InputError("weight_s is one number; give one weight per state, or scale tau")
        positive("weight_s", weight, "h_s must be strongly convex", "give every state some weight")
        object.__setattr__(self, "weight_s", weight)

    def _fitting(self, name: str, array: Array) -> Array:
        array = _table(name, array)
        _broadcasting(f"the states of {name}", array.shape[:-1], "weight_s", self.weight_s.shape)
        return array

    def _at(self, tau: float | Array) -> float | Array:
        tau = _positive(tau)
        if isinstance(tau, np.ndarray):
            _broadcasting("tau", tau.shape, "weight_s", self.weight_s.shape)
        return tau

    def value(self, pi_sa: Array) -> Array:
        """w(s) h_s(p)."""
        pi_sa = self._fitting("pi_sa", pi_sa)
        return self.weight_s * self.base.value(pi_sa)

    def gradient(self, pi_sa: Array) -> Array:
        """w(s) times the gradient of h_s."""
        pi_sa = self._fitting("pi_sa", pi_sa)
        return self.weight_s[..., None] * self.base.gradient(pi_sa)

    def argmax(self, q_sa: Array, tau: float | Array) -> Array:
        """The base's, at temperature tau w(s)."""
        q_sa, tau = self._fitting("q_sa", q_sa), self._at(tau)
        return self.base.argmax(q_sa, tau * self.weight_s)

    def conjugate(self, q_sa: Array, tau: float | Array) -> Array:
        """The base's, at temperature tau w(s)."""
        q_sa, tau = self._fitting("q_sa", q_sa), self._at(tau)
        return self.base.conjugate(q_sa, tau * self.weight_s)

    @property
    def strong_convexity(self) -> float:
        """The base's, times the smallest weight."""
        return self.base.strong_convexity * float(self.weight_s.min())

    @property
    def smoothness(self) -> float:
        """The base's, times the largest weight."""
        return self.base.smoothness * float(self.weight_s.max())

    def bound(self, n_actions: int) -> float:
        """The base's, times the largest weight; not attained if both vary with the state."""
        return self.base.bound(n_actions) * float(self.weight_s.max())
