"""The first step is regularised by the policy of later ones."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the first step is regularised by the policy of later ones",
    module="sampled.processes",
    old="self._read(trajectories, Decision.paid)",
    new="self.decision.paid(trajectories)",
    suspects=("twins.bellman_penalty_a",),
)
