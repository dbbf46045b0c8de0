"""The projection onto the simplex takes one entry too few."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the projection onto the simplex takes one entry too few",
    module="reference.domains",
    old="support = (descending > thresholds).sum(axis=-1, keepdims=True)",
    new="support = np.maximum((descending > thresholds).sum(axis=-1, keepdims=True) - 1, 1)",
    suspects=("optimum.pi",),
    statements=("eq_c38",),
)
