"""The alias of a bucket is never taken."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the alias of a bucket is never taken",
    module="sampled.laws",
    old=".bitwise_and_(own).bitwise_xor_(bucket)",
    new=".bitwise_xor_(bucket)",
    suspects=("simulation.alias",),
)
