"""Labels come from clipped rewards."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="labels come from clipped rewards",
    module="sampled.rlhf.tracks",
    old="(self.true_nh.gather(1, step_nl) * counted_nl).sum(1)",
    new="(self.true_nh.gather(1, step_nl).sign() * counted_nl).sum(1)",
    suspects=("networks.upper_level",),
)
