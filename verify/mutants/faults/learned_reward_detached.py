"""Rewards along the trajectories have no derivative in x."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="rewards along the trajectories have no derivative in x",
    module="sampled.processes",
    old="Process(task.dynamics, task.r_psa, task.gamma, decision, start, P_psjt)",
    new="Process(task.dynamics, task.r_psa.detach(), task.gamma, decision, start, P_psjt)",
    suspects=("twins.value_penalty_a",),
)
