"""The derivative of the follower's regulariser is dropped."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the derivative of the follower's regulariser is dropped",
    module="sampled.processes",
    old="game.regularizer.value(both[1])",
    new="game.regularizer.value(both[1]).detach()",
    suspects=("twins.value_penalty_b",),
)
