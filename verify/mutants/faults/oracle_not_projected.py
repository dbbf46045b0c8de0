"""The oracle does not project its parameters."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the oracle does not project its parameters",
    module="sampled.algorithms.oracles",
    old="z = bilevel.projected_y([part.detach() + eta * g for part, g in zip(z, ascent, strict=True)])",
    new="z = tuple([part.detach() + eta * g for part, g in zip(z, ascent, strict=True)])",
    suspects=("algorithms.pbrl_value",),
)
