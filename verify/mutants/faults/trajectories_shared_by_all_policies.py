"""Two policies share the trajectories of one of them."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="two policies share the trajectories of one of them",
    module="sampled.expectations",
    old=", *(pi.data_ptr() for pi in policies)",
    new=", len(policies)",
    suspects=("simulation.mean",),
)
