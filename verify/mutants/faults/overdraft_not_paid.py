"""What overdraws a heavy outcome is not paid by the next."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="what overdraws a heavy outcome is not paid by the next",
    module="sampled.laws",
    old="torch.where(overdrawn, n + E - D_taker, n)",
    new="torch.where(overdrawn, n, n)",
    suspects=("simulation.alias",),
)
