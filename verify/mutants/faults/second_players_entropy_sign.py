"""The slope of the second regulariser has the first one's sign."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the slope of the second regulariser has the first one's sign",
    module="reference.evaluation",
    old="slope_sb = slope_sb + game.tau",
    new="slope_sb = slope_sb - game.tau",
    suspects=("joint_policy.grad_pi2",),
    statements=("theorem_16",),
)
