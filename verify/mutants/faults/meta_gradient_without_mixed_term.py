"""The meta-gradient forgets how the players' step depends on x."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the meta-gradient forgets how the players' step depends on x",
    module="sampled.algorithms.meta_gradient",
    old="(grad_x + mixed_x,)",
    new="(grad_x,)",
    suspects=("algorithms.meta_gradient",),
)
