"""The penalty is differentiated through the best response."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the penalty is differentiated through the best response",
    module="sampled.penalties.contract",
    old="tuple(pi.detach() for pi in policies)",
    new="tuple(policies)",
    suspects=("twins.value_penalty_a",),
)
