"""Policies are trained on the reward as the network has it."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="policies are trained on the reward as the network has it",
    module="sampled.rlhf.rewards",
    old=(
        "(self.member(b, stack, action, self._scoring()) - self.offset_b[b]) * self.scale"
        "_b[b]\n            for"
    ),
    new="self.member(b, stack, action, self._scoring())\n            for",
    suspects=("networks.lower_level",),
)
