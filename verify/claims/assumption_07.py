r"""Assumption 7: which companion policies of the two players are accurate enough.

With U_k = |z^{k+1} - z^k|^2 / alpha^2 and e_k = lambda (grad^ psi - grad psi), Assumption 7 is
(1/K) sum 20 |e_k|^2 <= eps_orac + (1/K) sum U_k, and (D.5)::

    printed   O( log(lambda^2 / eps_orac) ) updates of mirror descent per player guarantee it
    proved    20 lambda^2 L_v^2 ( |pi^_1 - pi_1*| + |pi^_2 - pi_2*| )^2 <= eps_orac for every k does;
              so do T updates of (C.32) per player, if

              sqrt(20) lambda L_v sum_i ( sqrt(S A_i) / (tau m) ) ( q^T b_i + (q^T - a^T) c_i )
                  <=  sqrt(eps_orac)

with a, q, b, c as in (C.32), for each player's MDP against the other's policy.

Derivation.  Let d_i = |pi^_i - pi_i*| and B = lambda L_v (d_1 + d_2).  |e_k| <= B is (D.10), with its
best constant, and

    eps - 20 |e|^2  =  [ eps - 20 B^2 ] + 20 ( B - |e| ) ( B + |e| ),

so every iteration has 20 |e_k|^2 <= eps_orac, and the average has it; the steps U_k are not needed.  The
second follows by (C.32), whose distance bound holds in each player's MDP: T grows with the logarithm of
lambda^2 / eps_orac, over 2 log(1/q).

Attained, but for tau: player 2 has one action, r_x = (x, -x) for player 1, and the errors undo the
gradient of f, so that nothing moves; |e| = lambda sqrt 2 d_1, and L_v -> sqrt 2 as tau -> 0.  The count
of updates is tried in games of one state, where q = a and the bound of (C.32) is attained.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from reference.algorithms.bilevel import Bilevel
from reference.algorithms.contract import Constant
from reference.algorithms.oracles import Exact, Oracle
from reference.algorithms.pbrl import Pbrl
from reference.domains import Box
from reference.optimality import MirrorState, mirror_step, policy_iteration
from reference.penalties.nikaido_isoda import PENALTY
from reference.policies import DirectPolicy
from reference.problems.mdp import Mdp
from reference.validation import Array
from verify.claims import exact
from verify.claims.contract import Claim, Fault, Form, Margin, Proof
from verify.claims.trials.courses import RUNS
from verify.claims.trials.erring import Leaning
from verify.claims.trials.instances import DRAWS, generator_of, sparse
from verify.claims.trials.lipschitz import Measured, smooth_with
from verify.claims.trials.one_state_games import gradient, one_state, smoothness
from verify.claims.trials.runs import Setup
from verify.claims.trials.separable import quadratic
from verify.contract import Context
from verify.crosscheck.tolerances import UNIT

ITERATIONS = 4

Case = tuple[Setup, Array]
"""A run, and L_v of each member of its batch."""

Companions = tuple[Oracle, Oracle]

Policies = tuple[Array, Array]


def case(
    generator: np.random.Generator, features: Array, offset: Array, tau: float, oracles: Companions
) -> Case:
    """Games of one state with f of any sign of curvature, from random points."""
    batch, d, n, m = features.shape
    box = Box(-np.ones(d), np.full(d, 0.5))
    weights = tuple(generator.normal(size=(batch, 1, k)) for k in (n, m))
    slopes = generator.normal(size=(batch, d))
    objective, lowest = quadratic(generator.normal(size=(batch, d)), slopes, weights, box)
    x = generator.uniform(box.low, box.high, (batch, d))
    policies = tuple(sparse(generator, (batch, 1, k), 0.5) for k in (n, m))
    maps = tuple(DirectPolicy((1, k)) for k in (n, m))
    bilevel = Bilevel[Any](one_state(features, offset, tau, box), objective, maps)
    strength = float(generator.choice([0.3, 1.0, 5.0]))
    alpha = float(10.0 ** generator.uniform(-3.0, 0.0))
    algorithm = Pbrl[Any](bilevel, PENALTY, oracles, Constant(alpha), Constant(strength))
    size = np.abs(features).max() * d * 2.0 + np.abs(offset).max() + tau
    rounding = 16.0 * UNIT * (features[0].size + offset[0].size) * size * (2.0 + size / tau) * strength
    name = f"one state, A = {n}, B = {m}, tau = {tau:.2g}"
    start = algorithm.start(x, policies)
    return Setup(name, algorithm, start, lowest, np.inf, rounding), smoothness(
        features, offset, tau, box
    )


def random_case(generator: np.random.Generator) -> Case:
    """Both oracles err towards random policies, or one of them is exact."""
    batch = 8
    d, n, m = (int(k) for k in generator.integers([1, 1, 1], [3, 5, 5]))
    features = generator.normal(size=(batch, d, n, m))
    offset = float(10.0 ** generator.uniform(-2.0, 1.0)) * generator.normal(size=(batch, n, m))
    tau, exact_one = float(10.0 ** generator.uniform(-1.0, 0.5)), int(generator.integers(3))
    first, second = (
        Exact()
        if exact_one == i
        else Leaning(generator.uniform(size=batch), sparse(generator, (batch, 1, k), 0.5))
        for i, k in enumerate((n, m))
    )
    return case(generator, features, offset, tau, (first, second))


def standstill(share: float, tau: float = 0.01) -> Case:
    """Errors undo the gradient of f = -share x from x = 0; player 2 has one action.

    As player 1's best response is uniform at x = 0, and player 2 cannot move, the second derivatives
    along the policies are sqrt 2 across and tau: L_v = (tau + sqrt(tau^2 + 8)) / 2.
    """
    features, one = np.array([1.0, -1.0]).reshape(1, 1, 2, 1), np.ones((1, 1, 1))
    box = Box(np.array([-1.0]), np.array([1.0]))
    none = (np.zeros((1, 2)), np.zeros((1, 1)))
    objective, lowest = quadratic(np.zeros(1), np.array([-share]), none, box)
    bilevel = Bilevel[Any](
        one_state(features, np.zeros((1, 2, 1)), tau, box),
        objective,
        (DirectPolicy((1, 2)), DirectPolicy((1, 1))),
    )
    oracle = Leaning(np.array([share]), np.array([[[1.0, 0.0]]]))
    algorithm = Pbrl[Any](bilevel, PENALTY, (oracle, Exact()), Constant(0.25), Constant(1.0))
    start = algorithm.start(np.zeros((1, 1)), (np.full((1, 1, 2), 0.5), one))
    name = f"errors that undo the gradient, share = {share:g}"
    setup = Setup(name, algorithm, start, np.broadcast_to(lowest, (1,)), np.inf, 64.0 * UNIT)
    return setup, np.array([(tau + np.sqrt(tau**2 + 8.0)) / 2.0])


def smooth(found: Case, x: Array, before: Policies, after: Policies) -> None:
    """Hold the change of grad V from one pair of policies to another to L_v: Assumption 8(a).

    Raises
    ------
    PremiseError
        If it changes by more.
    """
    setup, L_v = found
    family = setup.algorithm.bilevel.problem
    here, there = (gradient(family, x, *(pi[:, 0] for pi in both)) for both in (before, after))
    pairs = zip(before, after, strict=True)
    squares = np.sum([((a - b) ** 2).sum(axis=(1, 2)) for a, b in pairs], axis=0)
    for i, (constant, square) in enumerate(zip(L_v, squares, strict=True)):
        change = Measured(there[i] - here[i], 2.0 * setup.rounding)
        smooth_with(float(constant), change, float(np.sqrt(square)), f"{setup.name}, member {i}")


def margins(found: Case, factor: float) -> Iterator[Margin]:
    """Both sides of Assumption 7, with eps_orac = factor times what the worst distances need.

    Raises
    ------
    PremiseError
        As :func:`smooth`, between the companions and the best responses.
    """
    setup, L_v = found
    algorithm, state = setup.algorithm, setup.state
    strength, family = algorithm.strength(0), algorithm.bilevel.problem
    errors: list[Array] = []
    moves: list[Array] = []
    distances: list[Array] = []
    for _ in range(ITERATIONS):
        following = algorithm.step(state)
        record = algorithm.record(state, following)
        game, (pi_sa, pi_sb) = family.at(state.x), state.y
        apart = np.zeros(len(L_v))
        mdps = (game.for_player_1(pi_sb), game.for_player_2(pi_sa))
        near = [
            oracle.policy(mdp, own)
            for mdp, oracle, own in zip(mdps, algorithm.oracles, following.oracle, strict=True)
        ]
        best = [policy_iteration(mdp).unique_policy() for mdp in mdps]
        smooth(found, state.x, (near[0], pi_sb), (best[0], pi_sb))
        smooth(found, state.x, (pi_sa, near[1]), (pi_sa, best[1]))
        for pi, pi_best in zip(near, best, strict=True):
            apart += np.sqrt(((pi - pi_best) ** 2).sum(axis=(-2, -1)))
        errors.append(record.error_term)
        moves.append(record.movement)
        distances.append(apart)
        state = following
    needed = 20.0 * (strength * L_v * np.max(distances, axis=0)) ** 2
    lhs, rhs = np.mean(errors, axis=0), factor * needed + np.mean(moves, axis=0)
    size = np.sqrt(lhs) + np.sqrt(rhs) + setup.rounding
    tolerance = 80.0 * setup.rounding * size * (1.0 + 1.0 / setup.alpha)
    for i in range(len(lhs)):
        yield Margin(float(lhs[i]), float(rhs[i]), float(tolerance[i]), f"{setup.name}, member {i}")


def descended(mdp: Mdp, xi_sa: Array, step: float, updates: int) -> tuple[Array, float]:
    """The policy after T updates, and what (C.32) says of its distance; one state, gamma = 0."""
    state = MirrorState(xi_sa, mdp.regularizer.argmax(xi_sa, 1.0))
    for _ in range(updates):
        state = mirror_step(mdp, state, step)
    shrunk = (1.0 + step * mdp.tau) ** -updates
    furthest = float(np.abs(mdp.r_sa - mdp.tau * xi_sa).max())
    return state.pi_sa, float(np.sqrt(xi_sa.size)) * shrunk * furthest / mdp.tau


def matched(generator: np.random.Generator) -> tuple[Array, Array, Array]:
    """Features, rewards and a dual point of player 1 with which the bounds are attained for small tau.

    Player 1 faces tau h(pi_2) = tau / 2 for every action, which the dual point has too.
    """
    signs = np.array([1.0, -1.0])
    return (
        signs.reshape(1, 1, 2, 1),
        np.zeros((1, 2, 1)),
        0.5 + generator.uniform(0.1, 0.3) * signs[None, None],
    )


def updates(context: Context, less: int = 0) -> Iterator[Margin]:
    """sqrt(20) |e| / lambda after T updates of each player, against what T + less updates promise."""
    generator = generator_of(context, "assumption_07 updates")
    x, box = np.zeros((1, 1)), Box(np.array([-0.1]), np.array([0.1]))
    for i in range(DRAWS[context.level] // 2):
        n, m = (int(k) for k in generator.integers(1, 4, 2))
        tau, T = float(generator.choice([0.01, 0.3, 1.0])), int(generator.integers(0, 6))
        step = float(10.0 ** generator.uniform(-1.0, 1.0))
        if i == 0:  # for every seed: the bounds are attained, and an update counts by a tenth
            tau, T, step = 0.01, 3, 10.0
        features, offset = generator.normal(size=(1, 1, n, m)), generator.normal(size=(1, n, m))
        xi_sa = generator.normal(size=(1, 1, n))
        L_v = float(smoothness(features, offset, tau, box)[0])
        if i % 3 == 0:
            n, m, L_v = 2, 1, (tau + float(np.sqrt(tau**2 + 8.0))) / 2.0
            features, offset, xi_sa = matched(generator)
        family = one_state(features, offset, tau, box)
        game = family.at(x)
        policies = sparse(generator, (1, 1, n), 1.0), sparse(generator, (1, 1, m), 1.0)
        mdps = game.for_player_1(policies[1]), game.for_player_2(policies[0])
        # With one action there is nothing to find.
        duals = xi_sa, generator.normal(size=(1, 1, m)) if m > 1 else mdps[1].r_sa / tau
        pairs = [*zip(mdps, duals, strict=True)]
        best = tuple(policy_iteration(mdp).unique_policy() for mdp in mdps)
        near = tuple(descended(mdp, dual, step, T)[0] for mdp, dual in pairs)
        promised = sum(descended(mdp, dual, step, T + less)[1] for mdp, dual in pairs)
        truth, estimate = (PENALTY.evaluate(family, x, policies, both) for both in (best, near))
        parts = [estimate.grad_x - truth.grad_x]
        parts += [a - b for a, b in zip(estimate.grad_policies, truth.grad_policies, strict=True)]
        error = float(np.linalg.norm(np.concatenate([part.ravel() for part in parts])))
        size = float(np.abs(features).max() + np.abs(offset).max()) + tau
        rounding = 64.0 * UNIT * (n + 1) * (m + 1) * (T + 4) * size * (2.0 + size / tau)
        where = f"A = {n}, B = {m}, tau = {tau:g}, T = {T}"
        yield Margin(np.sqrt(20.0) * error, np.sqrt(20.0) * L_v * promised, rounding, where)


def setups(context: Context) -> Iterator[Case]:
    """Errors that undo the gradient, and random games with biased oracles."""
    yield standstill(0.5)
    generator = generator_of(context, "assumption_07")
    for _ in range(RUNS[context.level]):
        yield random_case(generator)


def proved_trials(context: Context) -> Iterator[Margin]:
    """Distances, and updates of mirror descent."""
    for found in setups(context):
        yield from margins(found, 1.0)
    yield from updates(context)


def slightly_larger(context: Context) -> Iterator[Margin]:
    """eps_orac is 2% smaller than the distances need."""
    for found in setups(context):
        yield from margins(found, 1.0 / 1.02)


def of_ten(context: Context) -> Iterator[Margin]:
    """10 in place of 20, as if each player had half of the error."""
    for found in setups(context):
        yield from margins(found, 0.5)


def said_smoother(context: Context) -> Iterator[Margin]:  # noqa: ARG001 - the contract's signature
    """The premise with 0.99 L_v, where the errors undo the gradient."""
    setup, L_v = standstill(0.5)
    yield from margins((setup, 0.99 * L_v), 1.0)


def one_update_less(context: Context) -> Iterator[Margin]:
    """What T + 1 updates promise, after T."""
    yield from updates(context, 1)


def prove_square() -> None:
    """eps - 20 |e|^2 from |e| <= B and 20 B^2 <= eps."""
    eps, error, bound = exact.indeterminates("eps", "e", "B")
    one = eps**0
    exact.combination(
        eps - 20 * error**2, (one, eps - 20 * bound**2), (20 * bound + 20 * error, bound - error)
    )


CLAIM = Claim(
    number="Assumption 7",
    title="a sufficient condition",
    premise="Assumption 8(a): V L_v-smooth in (x, pi_1, pi_2); companions near the best responses in "
    "every iteration; for updates, tau > 0 and h m-strongly convex",
    printed=Form(
        words="O(log(lambda^2 / eps_orac)) updates of mirror descent per player guarantee Assumption 7.",
        formula=r"T=\mathcal O\bigl(-\log(\epsilon_{orac}/\lambda^2)\bigr)",
        untestable="no constant is named; testable with L_v and the rate q of (C.32)",
    ),
    proved=Form(
        words="Assumption 7 holds if 20 times the square of lambda L_v times the sum of the players' "
        "distances is at most eps_orac; (C.32) bounds these distances after T updates.",
        formula=r"20\lambda^2L_v^2\bigl(\|\hat\pi_1^k-\pi_1^*\|+\|\hat\pi_2^k-\pi_2^*\|\bigr)^2\le"
        r"\epsilon_{orac}\ \forall k\ \Rightarrow\ \text{Assumption 7}",
        trials=proved_trials,
        proofs=(Proof("20 |e|^2 <= eps from (D.10)", prove_square),),
    ),
    faults=(
        Fault("slightly_larger", "eps_orac is 2% smaller", slightly_larger),
        Fault("of_ten", "20 is replaced by 10", of_ten),
        Fault("one_update_less", "one update less than needed", one_update_less),
        Fault("said_smoother", "Assumption 8(a) with L_v 1% too small", said_smoother),
    ),
    inherits=("(D.10)", "(C.32)"),
    remark="Stronger than Assumption 7, which asks for the average only, and counts the steps. What "
    "fails without the assumption is Theorem 16: see its faults.",
    tried="One companion exact, both biased, errors that undo the gradient of f, mirror descent from "
    "dual points that attain its rate; steps far too long, since the condition does not ask for them.",
)
