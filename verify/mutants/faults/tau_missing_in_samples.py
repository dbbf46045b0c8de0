"""Samples are regularised with temperature one."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="samples are regularised with temperature one",
    module="sampled.processes",
    old="-task.tau * charged_ps",
    new="-charged_ps",
    suspects=("twins.value_penalty_a",),
)
