"""Both segments of a pair are the same trajectory."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="both segments of a pair are the same trajectory",
    module="sampled.expectations",
    old="return Pairs(first, second, weight_pn)",
    new="return Pairs(first, first, weight_pn)",
    suspects=("simulation.pairs",),
)
