"""The second player's best response answers the uniform policy."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the second player's best response answers the uniform policy",
    module="reference.penalties.nikaido_isoda",
    old="policy_iteration(game.for_player_2(pi_sa)).unique_policy()",
    new="policy_iteration(game.for_player_2(0.0 * pi_sa + 1.0 / pi_sa.shape[-1])).unique_policy()",
    suspects=("nikaido_isoda.value",),
    statements=("theorem_16",),
)
