"""The move is drawn with the word of the action."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the move is drawn with the word of the action",
    module="sampled.simulator",
    old="action_m = chosen[0].draw(row_m, words.pop())",
    new="action_m = chosen[0].draw(row_m, words[-1])",
    suspects=("simulation.alias",),
)
