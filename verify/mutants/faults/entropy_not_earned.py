"""Samples earn no regularisation."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="samples earn no regularisation",
    module="sampled.processes",
    old="-task.tau * charged_ps",
    new="-0.0 * charged_ps",
    suspects=("twins.value_penalty_a",),
)
