"""The x-gradient of the best response has the wrong sign."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the x-gradient of the best response has the wrong sign",
    module="sampled.penalties.value",
    old="best = lower_process(lower, x,",
    new="best = lower_process(lower, 2.0 * x.detach() - x,",
    suspects=("twins.value_penalty_a",),
)
