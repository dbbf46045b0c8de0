"""Sampled earnings reward the regulariser."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="sampled earnings reward the regulariser",
    module="sampled.processes",
    old="-task.tau * charged_ps",
    new="task.tau * charged_ps",
    suspects=("twins.value_penalty_a",),
)
