"""The control variate is subtracted, but its mean is not added."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the control variate is subtracted, but its mean is not added",
    module="sampled.controls",
    old="bonus_ps=decision.bonus_ps + v)",
    new="bonus_ps=decision.bonus_ps)",
    suspects=("estimators.control_variate_rewards",),
)
