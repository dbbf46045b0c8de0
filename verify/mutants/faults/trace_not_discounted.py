"""Later temporal differences count without discount."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="later temporal differences count without discount",
    module="sampled.estimators.actor_critic",
    old="_decay(gamma * self.trace,",
    new="_decay(self.trace,",
    suspects=("estimators.actor_critic_generalised",),
)
