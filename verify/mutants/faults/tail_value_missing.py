"""The value of what follows the last step is missing."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the value of what follows the last step is missing",
    module="sampled.estimators.actor_critic",
    old=" + last * tail_pn",
    new="",
    suspects=("estimators.actor_critic_measured",),
)
