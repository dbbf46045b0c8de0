"""The divergence from a reference policy forgets it."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the divergence from a reference policy forgets it",
    module="sampled.regularizers",
    old=" - pi_psa * self.log_reference_psa",
    new="",
    suspects=("twins.leader_loss",),
)
