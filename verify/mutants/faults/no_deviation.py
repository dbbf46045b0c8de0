"""In the Bellman penalty the first step follows the best response."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="in the Bellman penalty the first step follows the best response",
    module="sampled.penalties.bellman",
    old="first=policies)",
    new="first=companions)",
    suspects=("twins.bellman_penalty_a",),
)
