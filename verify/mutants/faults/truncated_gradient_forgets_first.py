"""The closed form of a truncated gradient forgets the first step."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the closed form of a truncated gradient forgets the first step",
    module="reference.truncated",
    old="grads = (grad_later + grad_first,)",
    new="grads = (grad_later,)",
    suspects=("twins.value_penalty_a",),
)
