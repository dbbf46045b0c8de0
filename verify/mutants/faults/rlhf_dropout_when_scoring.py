"""Dropout is on when rewards are scored."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="dropout is on when rewards are scored",
    module="sampled.rlhf.rewards",
    old="return self._dropout if self.settings.dropout_when_scoring else None",
    new="return self._dropout",
    suspects=("networks.lower_level",),
)
