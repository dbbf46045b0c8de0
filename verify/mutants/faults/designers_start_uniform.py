"""The designer's walk starts anywhere."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the designer's walk starts anywhere",
    module="sampled.conversion",
    old="designer = self.dynamics(problem.P_design_sabt, rho_s, 2)",
    new="designer = self.dynamics(problem.P_design_sabt, np.full_like(rho_s, 1.0 / rho_s.shape[-1]), 2)",
    suspects=("twins.design_loss",),
)
