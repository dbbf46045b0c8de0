"""The gradient of a weighted regulariser forgets the weights."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the gradient of a weighted regulariser forgets the weights",
    module="reference.regularizers",
    old="return self.weight_s[..., None] * self.base.gradient(pi_sa)",
    new="return self.base.gradient(pi_sa)",
    suspects=("policy.grad_pi",),
    statements=("eq_b08", "eq_b10"),
)
