"""A bucket of the alias table gives one word too many."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="a bucket of the alias table gives one word too many",
    module="sampled.laws",
    old="own = (word_m | last).sub_(bucket)",
    new="own = (word_m & ~last).sub_(bucket)",
    suspects=("simulation.alias",),
)
