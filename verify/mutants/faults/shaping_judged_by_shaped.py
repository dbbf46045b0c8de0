"""The shaped task judges the policy."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the shaped task judges the policy",
    module="reference.objectives.reward_shaping",
    old="problem.original",
    new="problem.at(x)",
    suspects=("shaping_loss.value",),
)
