"""A function of (x, policies) at one point: value and gradients, closed under sums and multiples.

Penalties and upper objectives both evaluate to this, so that F_lambda = f + lambda p is just that.
"""

from dataclasses import dataclass

import numpy as np

from reference.validation import Array


@dataclass(frozen=True, eq=False)
class Evaluated:
    """Value and gradients at one point.

    Attributes
    ----------
    value : (...)
    grad_x : the shape of x
    grad_policies : one array per policy, each of the policy's shape
        Gradients in the entries of the policies; a policy map pulls them back to parameters.
    """

    value: Array
    grad_x: Array
    grad_policies: tuple[Array, ...]

    def __add__(self, other: "Evaluated") -> "Evaluated":
        """Sum of two functions of the same arguments."""
        return Evaluated(
            self.value + other.value,
            self.grad_x + other.grad_x,
            tuple(a + b for a, b in zip(self.grad_policies, other.grad_policies, strict=True)),
        )

    def __rmul__(self, factor: float) -> "Evaluated":
        """Multiple of a function."""
        return Evaluated(
            np.asarray(factor * self.value),
            factor * self.grad_x,
            tuple(factor * g for g in self.grad_policies),
        )
