"""The meta-gradient takes the gradient of f before the players' step."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the meta-gradient takes the gradient of f before the players' step",
    module="sampled.algorithms.meta_gradient",
    old="met = leaves(ahead)",
    new="met = leaves(state.y)",
    suspects=("algorithms.meta_gradient",),
)
