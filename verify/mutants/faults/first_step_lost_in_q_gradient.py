"""The gradient of Q in x forgets the first step."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the gradient of Q in x forgets the first step",
    module="reference.evaluation",
    old="total_sa = w_sa + evaluation.visits",
    new="total_sa = evaluation.visits",
    suspects=("policy.q_grad_x",),
    statements=("theorem_11",),
)
