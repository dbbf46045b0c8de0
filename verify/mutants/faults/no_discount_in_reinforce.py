"""The whole return is not discounted."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the whole return is not discounted",
    module="sampled.estimators.reinforce",
    old="process, process.gamma)",
    new="process, 1.0)",
    suspects=("estimators.reinforce_no_baseline",),
)
