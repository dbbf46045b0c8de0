"""The cost of the states is not paid."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the cost of the states is not paid",
    module="sampled.processes",
    old="problem.net_reward_psab",
    new="problem.r_design_psab",
    suspects=("twins.design_loss",),
)
