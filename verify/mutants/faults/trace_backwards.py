"""Temporal differences of the past count for an action."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="temporal differences of the past count for an action",
    module="sampled.estimators.actor_critic",
    old=".tril()",
    new=".tril().T",
    suspects=("estimators.actor_critic_generalised",),
)
