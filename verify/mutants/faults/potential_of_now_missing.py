"""Shaping pays for the potential of arrival alone."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="shaping pays for the potential of arrival alone",
    module="sampled.maps",
    old="self.gamma * arrival - x.unsqueeze(-1)",
    new="self.gamma * arrival",
    suspects=("twins.value_penalty_a",),
)
