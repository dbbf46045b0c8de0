"""The derivative of the sigmoid lacks one factor."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the derivative of the sigmoid lacks one factor",
    module="reference.problems.parametrizations",
    old="expit(x) * expit(-x) * gradient",
    new="expit(x) * gradient",
    suspects=("nikaido_isoda.grad_x",),
)
