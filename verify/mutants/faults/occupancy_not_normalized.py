"""The occupancy lacks its factor 1 - gamma."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the occupancy lacks its factor 1 - gamma",
    module="reference.evaluation",
    old="return (1.0 - self.mdp.gamma) * self.visits(mu_s)",
    new="return self.visits(mu_s)",
    suspects=("policy.occupancy",),
    statements=("eq_b10", "eq_c20"),
)
