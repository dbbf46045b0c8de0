"""A step of descent goes up."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="a step of descent goes up",
    module="sampled.algorithms.steps",
    old="torch.sub(part, g, alpha=alpha)",
    new="torch.add(part, g, alpha=alpha)",
    suspects=("algorithms.pbrl_value",),
)
