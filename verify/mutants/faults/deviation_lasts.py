"""In the Bellman penalty the deviating policy is kept after the first step."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="in the Bellman penalty the deviating policy is kept after the first step",
    module="sampled.penalties.bellman",
    old="x, companions, first=policies)",
    new="x, policies)",
    suspects=("twins.bellman_penalty_a",),
)
