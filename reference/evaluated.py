"""A function of (x, policies) at one point: value and gradients, closed under sums and multiples.

Penalties and upper objectives both evaluate to this, so that F_lambda = f + lambda p is just that.
"""

from dataclasses import dataclass

import numpy as np

from reference.errors import InputError
from reference.validation import Array, instance, scalar


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

    def __post_init__(self) -> None:
        value: object = self.value
        if isinstance(value, np.generic):  # what a sum over all axes is, whatever its annotation
            object.__setattr__(self, "value", np.asarray(value))

    def __add__(self, other: "Evaluated") -> "Evaluated":
        """Sum of two functions of the same arguments.

        Raises
        ------
        InputError
            If the other is no :class:`Evaluated`, or one of other arguments.
        """
        instance("other", other, Evaluated)
        shapes = [
            [np.shape(part) for part in (e.value, e.grad_x, *e.grad_policies)] for e in (self, other)
        ]
        if shapes[0] != shapes[1]:
            raise InputError(
                f"value, grad_x and grad_policies have the shapes {shapes[0]} and {shapes[1]}: add "
                "functions of the same x and policies"
            )
        return Evaluated(
            self.value + other.value,
            self.grad_x + other.grad_x,
            tuple(a + b for a, b in zip(self.grad_policies, other.grad_policies, strict=True)),
        )

    def __rmul__(self, factor: float) -> "Evaluated":
        """Multiple of a function.

        Raises
        ------
        InputError
            If the factor is not a finite real number.
        """
        factor = scalar("factor", factor)
        return Evaluated(
            factor * self.value,
            factor * self.grad_x,
            tuple(factor * g for g in self.grad_policies),
        )
