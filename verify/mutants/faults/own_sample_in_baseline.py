"""The baseline of a batch contains the trajectory that it serves."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the baseline of a batch contains the trajectory that it serves",
    module="sampled.baselines",
    old="(to_go_pnh.sum(1, keepdim=True) - to_go_pnh) / (n - 1)",
    new="to_go_pnh.mean(1, keepdim=True)",
    suspects=("estimators.gpomdp_leave_one_out",),
)
