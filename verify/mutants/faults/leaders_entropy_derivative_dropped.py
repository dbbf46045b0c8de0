"""The derivative of the leader's own regulariser is dropped."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the derivative of the leader's own regulariser is dropped",
    module="sampled.processes",
    old="game.regularizer_leader.value(pi_psa))",
    new="game.regularizer_leader.value(pi_psa.detach()))",
    suspects=("twins.leader_loss",),
)
