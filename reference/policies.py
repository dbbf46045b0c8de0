r"""Policies as smooth maps of their parameters: direct and softmax.

::

    direct    pi_y(a|s) = y(s, a)                   Y = product of simplices
    softmax   pi_y(a|s) = exp y(s, a) / sum_c ...   Y = R^(S x A)

A map is given by its value and its pullback (vector-Jacobian product): the pullback of a gradient
g in pi is the gradient in y.  For softmax it is ``pi * (g - <pi, g>)``.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from scipy.special import softmax

from reference.domains import Domain, Euclidean, Simplices, located
from reference.errors import NotDifferentiableError
from reference.validation import Array, entry, extents, first, positive, reals, shaped


@runtime_checkable
class SmoothMap(Protocol):
    """A differentiable map from a domain to arrays, with its vector-Jacobian product."""

    @property
    def domain(self) -> Domain:
        """Where the parameters live."""
        ...

    def __call__(self, x: Array) -> Array:
        """Value at x.

        Raises
        ------
        InputError
            If x has another shape than the points of the domain, or an entry that is not finite.
        """
        ...

    def pullback(self, x: Array, gradient: Array) -> Array:
        """Gradient in x of a function whose gradient in the value at x is ``gradient``.

        Raises
        ------
        InputError
            As the value, and if the gradient has another shape than it.
        """
        ...


@runtime_checkable
class PolicyMap(SmoothMap, Protocol):
    """A smooth map onto policies, with a parameter for a given policy."""

    def inverse(self, pi_sa: Array) -> Array:
        """Return a parameter y with pi_y = pi."""
        ...


def _gradient(gradient: Array, shape: tuple[int, int]) -> Array:
    """In the policy, infinite where an entropy has none."""
    gradient = reals("gradient", gradient, finite=False)
    return shaped("gradient", gradient, "(state, action)", shape)


@dataclass(frozen=True)
class DirectPolicy:
    """y is the policy itself; ``shape`` is (S, A).

    Raises
    ------
    InputError
        If the shape is not a pair of positive whole numbers.
    """

    shape: tuple[int, int]

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", extents("shape", self.shape, axes=2))

    @property
    def domain(self) -> Simplices:
        """One simplex per state."""
        return Simplices(self.shape)

    def __call__(self, x: Array) -> Array:
        """Return y itself."""
        return located("x", x, self.domain)

    def pullback(self, x: Array, gradient: Array) -> Array:
        """Return the gradient itself.

        Raises
        ------
        NotDifferentiableError
            If it is infinite: negative entropy and KL have no gradient where the policy is zero.
        """
        x, gradient = located("x", x, self.domain), _gradient(gradient, self.shape)
        if not np.isfinite(gradient).all():
            where = first(~np.isfinite(gradient))
            probability = np.broadcast_to(x, gradient.shape)[where]
            raise NotDifferentiableError(
                f"the gradient is {gradient[where]} at {entry('pi_sa', where)} = "
                f"{probability:g}: an entropy has no gradient on the boundary of the simplex; "
                "use the softmax parameterisation or the quadratic regulariser"
            )
        return gradient

    def inverse(self, pi_sa: Array) -> Array:
        """Return the policy itself."""
        return located("pi_sa", pi_sa, self.domain)


@dataclass(frozen=True)
class SoftmaxPolicy:
    """y holds logits; ``shape`` is (S, A).

    Raises
    ------
    InputError
        If the shape is not a pair of positive whole numbers.
    """

    shape: tuple[int, int]

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", extents("shape", self.shape, axes=2))

    @property
    def domain(self) -> Euclidean:
        """All logits."""
        return Euclidean(self.shape)

    def __call__(self, x: Array) -> Array:
        """softmax(y) over the actions."""
        return np.asarray(softmax(located("x", x, self.domain), axis=-1))

    def pullback(self, x: Array, gradient: Array) -> Array:
        """pi * (g - <pi, g>); entries whose probability underflows to zero contribute zero.

        The convention is the limit: p log p and its derivative in the logit vanish with p.
        """
        pi_sa, gradient = self(x), _gradient(gradient, self.shape)
        weighted: Array = pi_sa * np.where(pi_sa > 0.0, gradient, 0.0)
        mean: Array = weighted.sum(axis=-1, keepdims=True)
        return weighted - pi_sa * mean

    def inverse(self, pi_sa: Array) -> Array:
        """Return log pi.

        Raises
        ------
        InputError
            If a probability is zero: no finite logit gives it; or the shape is another.
        """
        pi_sa = located("pi_sa", pi_sa, self.domain)
        positive("pi_sa", pi_sa, "no finite logit gives it", "mix the policy with the uniform one")
        return np.asarray(np.log(pi_sa))
