"""The policy of the first step draws all later actions."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the policy of the first step draws all later actions",
    module="sampled.simulator",
    old="chosen = start if h == 0 else policy",
    new="chosen = start",
    suspects=("simulation.first_policy",),
)
