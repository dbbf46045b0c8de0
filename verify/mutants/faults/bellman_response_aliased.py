"""In the Bellman penalty the best response is an alias of the current policy."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="in the Bellman penalty the best response is an alias of the current policy",
    module="sampled.penalties.bellman",
    old="companions = constants(companions)",
    new="companions = constants(policies)",
    suspects=("twins.bellman_penalty_a",),
)
