"""The policy itself is taken for the optimal one, so that the gradient in x vanishes."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the policy itself is taken for the optimal one, so that the gradient in x vanishes",
    module="reference.penalties.value",
    old="evaluate_all(mdp, [pi_sa, companion_sa])",
    new="evaluate_all(mdp, [pi_sa, pi_sa])",
    suspects=("value_penalty.value",),
    statements=("assumption_05", "theorem_11"),
)
