"""The value penalty adds the gradient at the policy instead of subtracting it."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the value penalty adds the gradient at the policy instead of subtracting it",
    module="reference.penalties.value",
    old="-own.visits_s[..., None] * own.pi_sa",
    new="own.visits_s[..., None] * own.pi_sa",
    suspects=("value_penalty.grad_x",),
    statements=("assumption_05", "theorem_11"),
)
