"""The actor-critic discounts from the start of the track."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the actor-critic discounts from the start of the track",
    module="sampled.rlhf.a2c",
    old="gamma ** track.age_nh[:, :-1].to(dtype)",
    new="gamma ** torch.arange(track.steps).to(dtype)",
    suspects=("networks.lower_level",),
)
