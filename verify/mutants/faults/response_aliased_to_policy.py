"""The best response is an alias of the current policy, so that the x-gradient vanishes."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the best response is an alias of the current policy, so that the x-gradient vanishes",
    module="sampled.penalties.value",
    old="best = lower_process(lower, x, constants(companions))",
    new="best = lower_process(lower, x, constants(policies))",
    suspects=("twins.value_penalty_a",),
)
