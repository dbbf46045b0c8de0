"""Exact arithmetic of certificates and proofs; what most of them use is offered here."""

from verify.claims.exact.mdp import (
    ExactMdp,
    deterministic,
    gap_at_a_stuck_end,
    policy,
    quadratic,
    shared,
)
from verify.claims.exact.polynomials import combination, determinant, indeterminates, nonnegative
from verify.claims.exact.rationals import (
    FOLDER,
    Rationals,
    filled,
    fraction,
    fractions,
    greater,
    identity,
    load,
    require,
    require_distribution,
    same,
    total,
)

__all__ = [
    "FOLDER",
    "ExactMdp",
    "Rationals",
    "combination",
    "determinant",
    "deterministic",
    "filled",
    "fraction",
    "fractions",
    "gap_at_a_stuck_end",
    "greater",
    "identity",
    "indeterminates",
    "load",
    "nonnegative",
    "policy",
    "quadratic",
    "require",
    "require_distribution",
    "same",
    "shared",
    "total",
]
