"""The value penalty holds the current policy constant."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the value penalty holds the current policy constant",
    module="sampled.penalties.value",
    old="own = lower_process(lower, x, policies)",
    new="own = lower_process(lower, x, constants(policies))",
    suspects=("twins.value_penalty_a",),
)
