"""The two values of the Nikaido-Isoda function are added."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the two values of the Nikaido-Isoda function are added",
    module="sampled.penalties.nikaido_isoda",
    old="return (1.0, first), (-1.0, second)",
    new="return (1.0, first), (1.0, second)",
    suspects=("twins.nikaido_isoda",),
)
