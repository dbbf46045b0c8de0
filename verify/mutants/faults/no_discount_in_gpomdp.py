"""Rewards to go are not discounted."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="rewards to go are not discounted",
    module="sampled.estimators.gpomdp",
    old="process, process.gamma, self.baseline",
    new="process, 1.0, self.baseline",
    suspects=("estimators.gpomdp_no_baseline",),
)
