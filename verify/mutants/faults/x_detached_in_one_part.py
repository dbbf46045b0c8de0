"""The current policy's part of the x-gradient is missing."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the current policy's part of the x-gradient is missing",
    module="sampled.penalties.value",
    old="own = lower_process(lower, x,",
    new="own = lower_process(lower, x.detach(),",
    suspects=("twins.value_penalty_a",),
)
