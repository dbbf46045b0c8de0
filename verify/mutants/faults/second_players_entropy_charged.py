"""The second player's regularisation is charged to the first."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the second player's regularisation is charged to the first",
    module="sampled.processes",
    old="h_kps[0] - sum(",
    new="h_kps[0] + sum(",
    suspects=("twins.nikaido_isoda",),
)
