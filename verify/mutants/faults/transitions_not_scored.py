"""Transitions that depend on x are not scored."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="transitions that depend on x are not scored",
    module="sampled.processes",
    old="chance_pnh * trajectories.at_transitions(self.P_psjt)",
    new="chance_pnh * trajectories.at_transitions(self.P_psjt.detach())",
    suspects=("twins.value_penalty_b",),
)
