"""Independent players descend their own values."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="independent players descend their own values",
    module="sampled.algorithms.independent_gradient",
    old="tuple(-sign * g",
    new="tuple(sign * g",
    suspects=("algorithms.no_incentive",),
)
