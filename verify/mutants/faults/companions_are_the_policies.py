"""PBRL compares the policies with themselves."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="PBRL compares the policies with themselves",
    module="sampled.algorithms.pbrl",
    old="bilevel.policies(y), self.oracle.policies(bilevel, improved)",
    new="(bilevel.policies(y),) * 2",
    suspects=("algorithms.pbrl_value",),
)
