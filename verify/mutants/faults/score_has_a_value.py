"""A score adds to the value, too."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="a score adds to the value, too",
    module="sampled.processes",
    old="return self.ratio(trajectories) - 1.0",
    new="return self.ratio(trajectories)",
    suspects=("estimators.gpomdp_no_baseline",),
)
