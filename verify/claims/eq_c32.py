r"""(C.32): policy mirror descent in closed form, and how fast it finds the optimal policy.

With D_h(p, q; xi) = h(p) - h(q) - <xi, p - q>, a step eta > 0 and xi^k a subgradient of h at pi^k (on
the simplex: up to normals), one update in each state is

    pi^{k+1} = argmin_p  - <p, Q^k> + tau h(p) + D_h(p, pi^k; xi^k) / eta

and the claims are::

    printed    xi^{k+1} = (xi^k + eta Q^k) / (1 + eta tau)
    proved     |pi^k - pi*|  <=  ( sqrt(S A) / (tau m) ) ( q^k b + (q^k - a^k) c )

for h m-strongly convex, with a = 1 / (1 + eta tau), q = a + (1 - a) gamma = 1 - eta tau (1 - gamma) /
(1 + eta tau), b = max |Q* - tau xi^0| and c = max (tau xi^0 - Q^0)_+.  C.7 names only the order
O(log(1/eps)).

Derivation.  The objective is ((1 + eta tau) / eta) ( h(p) - <p, xi^{k+1}> ) plus a constant, so
pi^{k+1} is the maximiser of <p, xi^{k+1}> - h(p), and xi^{k+1} is a subgradient there, up to normals:
the printed recursion.

Write zeta = tau xi, so that zeta^{k+1} = a zeta^k + (1 - a) Q^k and pi^k maximises <p, zeta^k> - tau
h(p), with the maximum Om(zeta^k), which is non-expansive in the maximum norm.  V^k increases: pi^k is a
candidate in the update, where D_h vanishes, and D_h >= 0, so one backup of V^k with pi^{k+1} is at
least V^k.  Hence

    zeta^{k+1} - Q^{k+1}  <=  zeta^{k+1} - Q^k  =  a (zeta^k - Q^k),   so   zeta^k - Q^k <= a^k c
    V* - V^k  =  Om(Q*) - Om(zeta^k) + <pi^k, zeta^k - Q^k>  <=  b_k + a^k c
    b_{k+1}   <=  a b_k + (1 - a) max |Q* - Q^k|  <=  q b_k + (q - a) a^k c

with b_k = max |Q* - zeta^k|, for 0 <= Q* - Q^k <= gamma max (V* - V^k).  By induction
b_k <= q^k b + (q^k - a^k) c.  The maximiser is 1 / (tau m)-Lipschitz in zeta, in each state, and
sqrt(S A) passes from the maximum norm to the Euclidean one.

Attained at gamma = 0, where q = a and zeta^k - Q* = a^k (zeta^0 - Q*): with entries b and -b in equal
numbers, and policies inside the simplices.
"""

from collections.abc import Iterator

import numpy as np

from reference.evaluation import evaluate
from reference.optimality import MirrorState, mirror_step, policy_iteration
from reference.problems.general_position import general_mdp
from reference.problems.mdp import Mdp
from reference.regularizers import KLDivergence, NegativeEntropy, Quadratic
from reference.validation import Array
from verify.claims.contract import Claim, Fault, Form, Margin, Proof
from verify.claims.exact import facts
from verify.claims.exact.gram import Space, Terms, follows, identical
from verify.claims.trials.instances import DRAWS, corner, generator_of, sparse
from verify.contract import Context
from verify.crosscheck.tolerances import UNIT, at_optimum, scale_of

LABEL = "eq_c32"

STEPS = 12


def closed_form() -> None:
    """The objective of the update is a multiple of h(p) - <p, xi'>, but for a constant."""
    space = Space("p Q xi", "h eta tau")
    p, Q, xi = space.vectors
    h, eta, tau = space.numbers
    # Multiplied by eta; (1 + eta tau) xi' = xi + eta Q.  What does not depend on p is left out.
    objective = -eta * space.dot(p, Q) + eta * tau * h + h - space.dot(xi, p)
    identical("the objective", objective, (1 + eta * tau) * h - space.dot(p, xi + eta * Q))


def improvement() -> None:
    """One backup with the new policy is at least V^k: the new policy's objective, and D_h >= 0."""
    space = Space("", "new old divergence eta")
    new, old, divergence, eta = space.numbers
    # new, old: <p, Q^k> - tau h(p) at pi^{k+1} and pi^k.  All multiplied by eta.
    optimal = eta * new - divergence - eta * old
    follows("the improvement", eta * (new - old), [(1, optimal), (1, divergence)])


def distances_of_values() -> None:
    """The recursion of zeta - Q^k, and V* - V^k in terms of it."""
    space = Space("p zeta Q", "a tau_h best om")
    p, zeta, Q = space.vectors
    a, tau_h, best, om = space.numbers
    new = a * zeta + (1 - a) * Q
    for name, row in (("p", p), ("Q", Q)):
        identical(f"zeta' - Q along {name}", space.dot(new - Q, row), a * space.dot(zeta - Q, row))
    value, attained = space.dot(p, Q) - tau_h, om - space.dot(p, zeta) + tau_h
    identical("V* - V^k", best - value, best - om + space.dot(p, zeta - Q) + attained)


def induction() -> None:
    """q (q^k b + (q^k - a^k) c) + (q - a) a^k c is the bound at k + 1, with Q = q^k and A = a^k."""
    space = Space("", "q a Q A b c")
    q, a, Q, A, b, c = space.numbers
    found = q * (Q * b + (Q - A) * c) + (q - a) * A * c
    identical("the induction", found, q * Q * b + (q * Q - a * A) * c)


def lipschitz() -> None:
    """tau m |p - p'|^2 <= <z - z', p - p'> for the maximisers p, p' of <., z> - tau h, <., z'> - tau h.

    u and u' are their subgradients of h; both optimality conditions and strong convexity are added.
    """
    space = Space("p o u v z y", "tau m")
    p, o, u, v, z, y = space.vectors
    tau, m = space.numbers
    slack = space.dot(z - y, p - o) - tau * m * space.square(p - o)
    known: Terms = [
        (1, -space.dot(z - tau * u, o - p)),
        (1, -space.dot(y - tau * v, p - o)),
        (tau, space.dot(u - v, p - o) - m * space.square(p - o)),
    ]
    follows("the maximiser is Lipschitz", slack, known)


def update_margin(mdp: Mdp, xi_sa: Array, step: float, new_sa: Array, name: str) -> Margin:
    """<slope, p> <= min slope of the update's objective at the new policy: it is minimal there.

    Both sides are moved by the size of the slopes' terms, to compare the rounding with.
    """
    h = mdp.regularizer
    own = evaluate(mdp, h.argmax(xi_sa, 1.0))
    h_slope = h.gradient(new_sa)
    slope = -own.q_sa + mdp.tau * h_slope + (h_slope - xi_sa) / step
    gap_s = (slope * new_sa).sum(axis=-1) - slope.min(axis=-1)
    size = np.abs(own.q_sa) + mdp.tau * np.abs(h_slope) + (np.abs(h_slope) + np.abs(xi_sa)) / step
    rounding = 4.0 * UNIT * (mdp.n_actions + 8) * float(size.max()) + 2.0 * scale_of(own).q_error
    # A new policy is rounded relatively, where h has a logarithm, or to its last digits.
    curvature = (mdp.tau + 1.0 / step) * 8.0 * UNIT * (mdp.n_actions + float(np.abs(xi_sa).max()))
    whole = float(size.max())
    return Margin(whole + float(gap_s.max()), whole, rounding + 4.0 * curvature, name)


def mdps(context: Context) -> Iterator[tuple[str, Mdp]]:
    """Regularised MDPs: corners, and general position with every regulariser."""
    generator = generator_of(context, LABEL)
    for i in range(DRAWS[context.level]):
        if i % 3:
            mdp = corner(generator).mdp
        else:
            reference_sa = 0.9 * sparse(generator, (4, 3), 1.0) + 0.1 / 3.0
            h = (Quadratic(), NegativeEntropy(), KLDivergence(reference_sa))[i // 3 % 3]
            mdp = general_mdp(generator, gamma=float(generator.choice([0.3, 0.9])), regularizer=h)
        if mdp.tau > 0.0:
            name = f"S = {mdp.n_states}, A = {mdp.n_actions}, gamma = {mdp.gamma:g}, tau = {mdp.tau:g}"
            yield f"{name}, {type(mdp.regularizer).__name__}", mdp


def starts(context: Context) -> Iterator[tuple[str, Mdp, Array, float]]:
    """With a dual point and a step."""
    generator = generator_of(context, f"{LABEL} starts")
    for name, mdp in mdps(context):
        scale = 10.0 ** generator.uniform(-1.0, 1.0)
        xi_sa = scale * generator.normal(size=mdp.r_sa.shape)
        yield name, mdp, xi_sa, float(10.0 ** generator.uniform(-2.0, 3.0))


def printed_trials(context: Context) -> Iterator[Margin]:
    """The policy of the recursion minimises the objective of the update."""
    for name, mdp, xi_sa, step in starts(context):
        start = MirrorState(xi_sa, mdp.regularizer.argmax(xi_sa, 1.0))
        yield update_margin(mdp, xi_sa, step, mirror_step(mdp, start, step).pi_sa, name)


def whole_step(context: Context) -> Iterator[Margin]:
    """eta Q in place of eta Q / (1 + eta tau)."""
    for name, mdp, xi_sa, step in starts(context):
        q_sa = evaluate(mdp, mdp.regularizer.argmax(xi_sa, 1.0)).q_sa
        new_sa = mdp.regularizer.argmax(xi_sa / (1.0 + step * mdp.tau) + step * q_sa, 1.0)
        yield update_margin(mdp, xi_sa, step, new_sa, name)


def undamped(context: Context) -> Iterator[Margin]:
    """xi in place of xi / (1 + eta tau)."""
    for name, mdp, xi_sa, step in starts(context):
        q_sa = evaluate(mdp, mdp.regularizer.argmax(xi_sa, 1.0)).q_sa
        new_sa = mdp.regularizer.argmax(xi_sa + step * q_sa / (1.0 + step * mdp.tau), 1.0)
        yield update_margin(mdp, xi_sa, step, new_sa, name)


def rates(mdp: Mdp, step: float) -> tuple[float, float]:
    """a and q."""
    a = 1.0 / (1.0 + step * mdp.tau)
    return a, a + (1.0 - a) * mdp.gamma


def distance_margins(
    name: str, mdp: Mdp, xi_sa: Array, step: float, q: float, factor: float
) -> Iterator[Margin]:
    """Distance to the optimal policy after 0, 1, ... updates, and the bound; the tightest k."""
    optimum, a = policy_iteration(mdp), rates(mdp, step)[0]
    state = MirrorState(xi_sa, mdp.regularizer.argmax(xi_sa, 1.0))
    own = evaluate(mdp, state.pi_sa)
    b = float(np.abs(optimum.q_sa - mdp.tau * xi_sa).max())
    c = max(float((mdp.tau * xi_sa - own.q_sa).max()), 0.0)
    at, scale = at_optimum(optimum), scale_of(own)
    modulus = mdp.tau * mdp.regularizer.strong_convexity
    # Every update adds an error of Q, which later ones damp no better than the horizon.
    size = mdp.tau * float(np.abs(xi_sa).max()) + scale.reward + scale.value + abs(at.scale.value)
    one = scale.q_error + at.value + 8.0 * UNIT * size
    found = []
    for k in range(STEPS):
        lhs = float(np.linalg.norm(state.pi_sa - optimum.pi_sa))
        rhs = factor * (q**k * b + max(q**k - a**k, 0.0) * c) / modulus
        rounding = factor * 4.0 * (k + 1) * scale.horizon * one / modulus
        digits = (mdp.n_actions + 8) * UNIT + np.sqrt(mdp.n_states) * at.row
        found.append(Margin(lhs, rhs, rounding + digits, f"{name}, k = {k}"))
        state = mirror_step(mdp, state, step)
    yield max(found, key=lambda margin: (margin.violated, margin.ratio))


def alternating(n_states: int, n_actions: int) -> tuple[str, Mdp, Array, float]:
    """gamma = 0, no rewards, and a start whose entries alternate: the bound is attained."""
    mdp = Mdp(
        np.full((n_states, n_actions, n_states), 1.0 / n_states),
        np.zeros((n_states, n_actions)),
        0.0,
        np.full(n_states, 1.0 / n_states),
        0.5,
        Quadratic(),
    )
    signs = np.broadcast_to(np.where(np.arange(n_actions) % 2, 1.0, -1.0), mdp.r_sa.shape)
    return f"alternating start, A = {n_actions}", mdp, signs / (2.0 * n_actions), 0.7


def entropic() -> tuple[str, Mdp, Array, float]:
    """One state, gamma = 0 and an entropy at tau = 0.1: the best policy is far from that at tau = 1."""
    P_sat, r_sa = np.ones((1, 2, 1)), np.array([[0.25, 0.0]])
    mdp = Mdp(P_sat, r_sa, 0.0, np.ones(1), 0.1, NegativeEntropy())
    return "entropy, tau = 0.1", mdp, np.array([[0.25, -0.25]]), 10.0


def chained() -> tuple[str, Mdp, Array, float]:
    """A chain with a large reward at its right end, as for policy iteration.

    Going left earns a little, and each update turns one more state to the right.
    """
    n_states = 6
    P_sat, r_sa = np.zeros((n_states, 2, n_states)), np.zeros((n_states, 2))
    for s in range(n_states):
        P_sat[s, 0, max(s - 1, 0)] = P_sat[s, 1, min(s + 1, n_states - 1)] = 1.0
    r_sa[:, 0], r_sa[-1, 1] = 0.05, 1.0
    mdp = Mdp(P_sat, r_sa, 0.9, np.full(n_states, 1.0 / n_states), 0.01, Quadratic())
    return "chain, from the left", mdp, np.tile([1.0, -1.0], (n_states, 1)), 1e4


def distances(context: Context) -> Iterator[tuple[str, Mdp, Array, float]]:
    """Starts where the bound is attained, an entropy, a chain, and random ones."""
    yield alternating(1, 2)
    yield alternating(3, 4)
    yield entropic()
    yield chained()
    yield from starts(context)


def proved_trials(context: Context) -> Iterator[Margin]:
    """The bound."""
    for name, mdp, xi_sa, step in distances(context):
        q = rates(mdp, step)[1]
        yield from distance_margins(name, mdp, xi_sa, step, q, np.sqrt(xi_sa.size))


def without_gamma(context: Context) -> Iterator[Margin]:
    """The rate a in place of q."""
    for name, mdp, xi_sa, step in distances(context):
        a = rates(mdp, step)[0]
        yield from distance_margins(name, mdp, xi_sa, step, a, np.sqrt(xi_sa.size))


def without_states(context: Context) -> Iterator[Margin]:
    """sqrt(A) in place of sqrt(S A)."""
    for name, mdp, xi_sa, step in distances(context):
        q = rates(mdp, step)[1]
        yield from distance_margins(name, mdp, xi_sa, step, q, np.sqrt(mdp.n_actions))


def slightly_faster(context: Context) -> Iterator[Margin]:
    """A rate that is 1% smaller."""
    for name, mdp, xi_sa, step in distances(context):
        q = 0.99 * rates(mdp, step)[1]
        yield from distance_margins(name, mdp, xi_sa, step, q, np.sqrt(xi_sa.size))


CLAIM = Claim(
    number="(C.32)",
    title="policy mirror descent",
    premise="tau > 0; h strongly convex; xi^0 a subgradient of h at pi^0, up to normals of the simplex",
    printed=Form(
        words="The dual points of policy mirror descent are averages of the last one and Q, with "
        "weights 1 / (1 + eta tau) and eta / (1 + eta tau).",
        formula=r"\xi^{k+1}=\frac{1}{1+\eta\tau}\,\xi^k+\frac{\eta}{1+\eta\tau}\,Q^{\pi^k}",
        trials=printed_trials,
        proofs=(Proof("the objective of the update in terms of the new dual point", closed_form),),
        textbook=(
            facts.RESOLVENT,
            facts.OPTIMALITY,
        ),
    ),
    proved=Form(
        words="The distance to the optimal policy shrinks by q = 1 - eta tau (1 - gamma) / (1 + eta "
        "tau) per update, with constants that are explicit; attained at gamma = 0.",
        formula=r"\|\pi^k-\pi^*\|\le\frac{\sqrt{|\mathcal S||\mathcal A|}}{\tau m}"
        r"\bigl(q^kb+(q^k-a^k)c\bigr),\quad a=\tfrac1{1+\eta\tau},\ q=a+(1-a)\gamma",
        trials=proved_trials,
        proofs=(
            Proof("the new dual point is a subgradient at the new policy", closed_form),
            Proof("V^k increases, as (I - gamma P)^{-1} has no negative entry", improvement),
            Proof("V* - V^k in terms of zeta^k - Q^k, which shrinks by a", distances_of_values),
            Proof("the induction on max |Q* - zeta^k|, as maxima are non-expansive", induction),
            Proof("the maximiser is 1 / (tau m)-Lipschitz", lipschitz),
        ),
        textbook=(
            facts.RESOLVENT,
            facts.OPTIMALITY,
        ),
    ),
    faults=(
        Fault("whole_step", "eta in place of eta / (1 + eta tau)", whole_step),
        Fault("undamped", "xi in place of xi / (1 + eta tau)", undamped),
        Fault("without_gamma", "the rate 1 / (1 + eta tau), as if gamma were 0", without_gamma),
        Fault("without_states", "sqrt(A) in place of sqrt(S A)", without_states),
        Fault("slightly_faster", "the rate is 1% smaller", slightly_faster),
    ),
    remark="The argmin is over one state's simplex, not over Pi, and xi^0 must be a subgradient at "
    "pi^0, which is not said. The rate holds for every step, so larger steps are better; in the limit "
    "it is policy iteration.",
    tried="Steps from 1e-2 to 1e3, dual starts off the simplex by constants, every regulariser: the"
    " argmin agrees. The rate is attained at gamma = 0.",
)
