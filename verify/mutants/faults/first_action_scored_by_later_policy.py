"""The first action is scored by the policy of later ones."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the first action is scored by the policy of later ones",
    module="sampled.processes",
    old="self._read(trajectories, Decision.chosen)",
    new="self.decision.chosen(trajectories)",
    suspects=("twins.bellman_penalty_a",),
)
