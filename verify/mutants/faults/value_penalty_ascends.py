"""The gradient in the policy has the sign of the value."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the gradient in the policy has the sign of the value",
    module="reference.penalties.value",
    old="(-policy_gradient(own),)",
    new="(policy_gradient(own),)",
    suspects=("value_penalty.grad_pi",),
    statements=("assumption_05", "theorem_11"),
)
