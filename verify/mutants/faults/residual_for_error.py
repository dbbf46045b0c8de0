"""The residual is reported as the error, without its factor 1 / (1 - gamma)."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the residual is reported as the error, without its factor 1 / (1 - gamma)",
    module="reference.optimality",
    old="axis=-1) + rounding) / modulus",
    new="axis=-1) + rounding) * 1.0",
    suspects=("optimum.v",),
)
