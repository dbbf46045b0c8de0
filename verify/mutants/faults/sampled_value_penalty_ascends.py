"""The sampled value penalty ascends."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the sampled value penalty ascends",
    module="sampled.penalties.value",
    old="return (1.0, best), (-1.0, own)",
    new="return (-1.0, best), (1.0, own)",
    suspects=("twins.value_penalty_a",),
)
