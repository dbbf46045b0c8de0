"""The derivative of the regulariser in the current policy is dropped."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the derivative of the regulariser in the current policy is dropped",
    module="sampled.processes",
    old="Decision(own, -task.tau * charged_ps)",
    new="Decision(own, -task.tau * charged_ps.detach())",
    suspects=("twins.value_penalty_a",),
)
