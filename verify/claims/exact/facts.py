"""Facts that proofs take from textbooks: named by the forms that use them, not checked here."""

MAXIMUM = "a continuous function attains its maximum on a compact set"

NORM = "a vector is as long as its largest inner product with unit vectors (Cauchy-Schwarz)"

MEAN_VALUE = (
    "a map whose derivative is at most L is L-Lipschitz on a convex set; Lipschitz gradients have "
    "derivatives almost everywhere, and are their integrals"
)

SMOOTH = "f(z') <= f(z) + <grad f(z), z' - z> + L |z' - z|^2 / 2, and >= with -L, for L-smooth f"

PROJECTION = (
    "the residual of a projection on a convex set has no positive inner product with directions into it"
)

RESOLVENT = (
    "(I - gamma P)^{-1} = sum_k gamma^k P^k exists, has no negative entry, and is differentiable in P"
)

DUALITY = "the l1 norm of a vector is its largest inner product with vectors of entries in [-1, 1]"

OPTIMALITY = (
    "over a product of compact convex sets one policy attains the largest value in all states: the "
    "optimality equation, a contraction (Banach)"
)

EIGENVALUE = "the norm of a symmetric matrix without negative entries is its largest eigenvalue (Perron)"

MINKOWSKI = "the norm of a sum is at most the sum of the norms"

EXPECTATION = "an expected discounted sum along a trajectory is the sum over visits"
