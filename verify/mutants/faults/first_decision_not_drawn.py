"""The first action is drawn from the later policy."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the first action is drawn from the later policy",
    module="sampled.expectations",
    old="[process.first for process in processes]",
    new="[process.decision for process in processes]",
    suspects=("simulation.first_policy",),
)
