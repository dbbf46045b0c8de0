"""The incentive is linear in x instead of bounded."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the incentive is linear in x instead of bounded",
    module="sampled.maps",
    old="self.scale * x.sigmoid()",
    new="self.scale * x",
    suspects=("twins.nikaido_isoda",),
)
