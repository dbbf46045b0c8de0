"""The mean of the control variate is not differentiated in the policy."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the mean of the control variate is not differentiated in the policy",
    module="sampled.controls",
    old="bonus_ps=decision.bonus_ps + v)",
    new="bonus_ps=decision.bonus_ps + v.detach())",
    suspects=("estimators.control_variate_rewards",),
)
