"""The designer's value is taken under the players' transitions."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the designer's value is taken under the players' transitions",
    module="reference.objectives.incentive_design",
    old="        problem.P_design_sabt,\n",
    new="        game.P_sabt,\n",
    suspects=("design_loss.value",),
)
