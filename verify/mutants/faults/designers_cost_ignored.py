"""The designer bears no cost."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the designer bears no cost",
    module="reference.objectives.incentive_design",
    old="problem.r_design_sab - problem.cost_s[..., None, None]",
    new="problem.r_design_sab - 0.0 * problem.cost_s[..., None, None]",
    suspects=("design_loss.value",),
)
