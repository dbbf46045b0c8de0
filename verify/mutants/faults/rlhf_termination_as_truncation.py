"""A value is taken where an episode was terminated."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="a value is taken where an episode was terminated",
    module="sampled.rlhf.a2c",
    old="bootstrap_nh = torch.where(track.terminated_nh, 0.0, after_nh)",
    new="bootstrap_nh = after_nh",
    suspects=("networks.lower_level",),
)
