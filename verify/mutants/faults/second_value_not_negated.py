"""Player 2's value is taken for player 1's in the equilibrium's certificate."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="player 2's value is taken for player 1's in the equilibrium's certificate",
    module="reference.equilibrium",
    old="high_s, low_s = first.v_s, -second.v_s",
    new="high_s, low_s = first.v_s, second.v_s",
    suspects=("equilibrium.most",),
)
