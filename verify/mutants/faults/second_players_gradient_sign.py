"""The gradient in the second policy has the first one's sign."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the gradient in the second policy has the first one's sign",
    module="reference.penalties.nikaido_isoda",
    old="(-grad_1, grad_2)",
    new="(-grad_1, -grad_2)",
    suspects=("nikaido_isoda.grad_pi2",),
    statements=("theorem_16",),
)
