"""Trajectories are drawn from a stale policy, the uniform one."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="trajectories are drawn from a stale policy, the uniform one",
    module="sampled.expectations",
    old="(decision.policies for decision in decisions)",
    new="([torch.full_like(pi, 1.0 / pi.shape[-1]) for pi in d.policies] for d in decisions)",
    suspects=("simulation.one_policy",),
)
