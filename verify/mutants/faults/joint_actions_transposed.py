"""The joint action is numbered with the first player fastest."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the joint action is numbered with the first player fastest",
    module="sampled.simulator",
    old="torch.add(player.draw(row_m, words.pop()), action_m, alpha=player.outcomes)",
    new="torch.add(action_m, player.draw(row_m, words.pop()), alpha=chosen[0].outcomes)",
    suspects=("simulation.alias",),
)
