"""Only the regularisation of a policy is differentiated, not its choices."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="only the regularisation of a policy is differentiated, not its choices",
    module="sampled.processes",
    old="Decision(own, -task.tau * charged_ps)",
    new="Decision(tuple(pi.detach() for pi in own), -task.tau * charged_ps)",
    suspects=("estimators.gpomdp_no_baseline",),
)
