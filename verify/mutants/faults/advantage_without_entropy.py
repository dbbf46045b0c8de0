"""The advantage forgets the charge of the regulariser."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the advantage forgets the charge of the regulariser",
    module="reference.evaluation",
    old="return self.q_sa - (bonus_s + self.v_s)[..., None]",
    new="return self.q_sa - (0.0 * bonus_s + self.v_s)[..., None]",
    suspects=("policy.advantage",),
)
