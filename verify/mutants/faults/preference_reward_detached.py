"""The preference loss is not differentiated through the learned reward."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the preference loss is not differentiated through the learned reward",
    module="sampled.objectives.rlhf",
    old="difference(process.r_psj)",
    new="difference(process.r_psj.detach())",
    suspects=("twins.preference_loss",),
)
