"""The pullback of a softmax kernel is not centred."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the pullback of a softmax kernel is not centred",
    module="reference.problems.parametrizations",
    old="P * (g_sat - (P * g_sat).sum(axis=-1, keepdims=True))",
    new="P * g_sat",
    suspects=("policy.grad_x",),
    statements=("lemma_20",),
)
