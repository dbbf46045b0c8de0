"""Inverse CDF: the first word of an outcome goes to the one before."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="inverse CDF: the first word of an outcome goes to the one before",
    module="sampled.laws",
    old="right=True).squeeze(-1)",
    new="right=False).squeeze(-1)",
    suspects=("simulation.inverse_cdf",),
)
