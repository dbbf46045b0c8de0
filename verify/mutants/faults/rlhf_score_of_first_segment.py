"""Only the first history of a pair is scored."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="only the first history of a pair is scored",
    module="sampled.rlhf.bilevel",
    old="return total_n[:half] + total_n[half:]",
    new="return total_n[:half]",
    suspects=("networks.upper_level",),
)
