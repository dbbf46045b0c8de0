"""The policy gradient lacks the term of the regulariser."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the policy gradient lacks the term of the regulariser",
    module="reference.evaluation",
    old="slope_sa = slope_sa - mdp.tau * mdp.regularizer.gradient(evaluation.pi_sa)",
    new="slope_sa = slope_sa + 0.0 * mdp.tau",
    suspects=("policy.grad_pi",),
    statements=("lemma_02", "lemma_03", "lemma_13b", "lemma_14"),
)
