"""The mean of the control variate in the first step is that of the later policy."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the mean of the control variate in the first step is that of the later policy",
    module="sampled.controls",
    old="first = later if process.first is process.decision else expected(process.first)",
    new="first = later",
    suspects=("estimators.control_variate_rewards",),
)
