"""The second player pays for its regulariser like the first."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the second player pays for its regulariser like the first",
    module="reference.evaluation",
    old="return np.asarray(game.tau * (second - first))",
    new="return np.asarray(game.tau * (-second - first))",
    suspects=("joint_policy.v",),
    statements=("eq_d01", "lemma_12_gaps"),
)
