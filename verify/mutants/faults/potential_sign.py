"""The potential of the state that is left is added."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the potential of the state that is left is added",
    module="reference.problems.parametrizations",
    old="- gradient.sum(axis=-1)",
    new="+ gradient.sum(axis=-1)",
    suspects=("policy.grad_x",),
)
