"""Scores have the wrong sign."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="scores have the wrong sign",
    module="sampled.processes",
    old="return self.ratio(trajectories) - 1.0",
    new="return 1.0 - self.ratio(trajectories)",
    suspects=("estimators.gpomdp_no_baseline",),
)
