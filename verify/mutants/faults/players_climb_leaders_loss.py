"""The independent follower climbs the leader's loss."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the independent follower climbs the leader's loss",
    module="sampled.algorithms.independent_gradient",
    old="ascent = gradients(value, y)",
    new="ascent = gradients(f, y)",
    suspects=("algorithms.independent_gradient",),
)
