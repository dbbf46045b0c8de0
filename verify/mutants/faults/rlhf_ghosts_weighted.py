"""Ghosts count in the actor-critic's average."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="ghosts count in the actor-critic's average",
    module="sampled.rlhf.a2c",
    old="alive_nh = track.alive_nh.to(dtype)\n    weight",
    new="alive_nh = torch.ones_like(track.alive_nh).to(dtype)\n    weight",
    suspects=("networks.lower_level",),
)
