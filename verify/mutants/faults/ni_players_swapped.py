"""Each player's best response is met by the wrong opponent."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="each player's best response is met by the wrong opponent",
    module="sampled.penalties.nikaido_isoda",
    old="first = lower_process(lower, x, (best_1, policies[1]))",
    new="first = lower_process(lower, x, (policies[0], best_2))",
    suspects=("twins.nikaido_isoda",),
)
