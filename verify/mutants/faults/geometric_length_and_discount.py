"""A random horizon that stands for the discount is discounted again."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="a random horizon that stands for the discount is discounted again",
    module="sampled.estimators.random_horizon",
    old="process.gamma / self.continuation if",
    new="process.gamma if",
    suspects=("estimators.random_horizon_no_baseline",),
)
