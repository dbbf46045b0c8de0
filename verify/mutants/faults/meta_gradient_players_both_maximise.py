"""Both players of the meta-gradient maximise the same value."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="both players of the meta-gradient maximise the same value",
    module="sampled.algorithms.meta_gradient",
    old="part + sign * beta * g",
    new="part + abs(sign) * beta * g",
    suspects=("algorithms.meta_gradient",),
)
