r"""(C.21): the change of the policy gradient, term by term.

With d, Q, pi at y and d', Q', pi' at y', from the start state s::

    printed   |grad V - grad V'| <= (1 - gamma)^{-1} times the sum of
                 2 sup |d - d'| sup |sum_a Q grad pi|,     sup |Q - Q'| sup sum_a |grad pi|,
                 E_d' sup_a |Q'| sum_a |grad pi - grad pi'|,
                 2 tau sup |d - d'| sup |grad h|,          tau E_d' |grad h - grad h'|
    proved    the same with |d - d'|_1 in place of 2 sup |d - d'|

Derivation.  Exchange d, then Q, then grad pi; and d, then grad h.  The first and the fourth differences
are sums over states of (d - d')(s) times a vector, at most |d - d'|_1 times the longest one.

2 sup |d - d'| is the l1 norm if there are at most three states: the entries of d - d' sum to zero, so on
one side of zero there is only one.  From four states on it is smaller, and the printed line fails: two
entries of the same size on either side, and gradients that point away from each other there.  With one
action earning and the other costing 1, one parameter y in every state, and a first step that decides
between two pairs of absorbing states, nothing else is lost (C21_states is easy to do by hand; C21_four
has the least number of states).

Tight as y' -> y -> 0 in the two states that one stays in or changes between.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from reference.problems.mdp import Mdp
from reference.regularizers import Quadratic
from reference.validation import Array
from verify.claims import exact
from verify.claims.contract import Claim, Fault, Form, Margin, Refutation, Trials
from verify.claims.trials.parametrized import (
    Derivatives,
    ParameterPair,
    Segment,
    parameter_pairs,
    swapped,
)
from verify.contract import Context
from verify.crosscheck.tolerances import UNIT

Size = Callable[[Array], Array]
"""Rows (S, S) of d - d' -> how large each is, shape (S,)."""


def l1(change: Array) -> Array:
    """|d - d'|_1."""
    return np.asarray(np.abs(change).sum(axis=1))


def twice_largest(change: Array) -> Array:
    """2 sup |d - d'|."""
    return np.asarray(2.0 * np.abs(change).max(axis=1))


def largest(change: Array) -> Array:
    """sup |d - d'|."""
    return np.asarray(np.abs(change).max(axis=1))


def margin(pair: ParameterPair, size: Size, *, exchange_q: bool = True) -> Margin:
    """Both sides from the worst start state."""
    first, second = pair.first, pair.second
    mdp = first.mdp
    tau, horizon = mdp.tau, first.scale.horizon
    jacobian, other = first.jacobian, second.jacobian
    moved = first.occupancies - second.occupancies
    pushes = np.einsum("sa,sad->sd", first.evaluation.q_sa, jacobian)
    lengths_s = np.linalg.norm(jacobian, axis=2).sum(axis=1)
    slope, other_slope = (
        np.einsum("sa,sad->sd", point.evaluation.pi_sa, point.jacobian) for point in (first, second)
    )
    d_st = second.occupancies.vector
    terms = [
        size(moved.vector) * np.linalg.norm(pushes, axis=1).max(),
        d_st
        @ (
            np.abs(second.evaluation.q_sa).max(axis=1)
            * np.linalg.norm(jacobian - other, axis=2).sum(axis=1)
        ),
        tau * size(moved.vector) * np.linalg.norm(slope, axis=1).max(),
        tau * d_st @ np.linalg.norm(slope - other_slope, axis=1),
    ]
    if exchange_q:
        apart = float(np.abs(first.evaluation.q_sa - second.evaluation.q_sa).max())
        terms.append(np.full(len(d_st), apart * lengths_s.max()))
    right_s = horizon * np.sum(terms, axis=0)
    change = first.values - second.values
    left_s = np.linalg.norm(change.vector, axis=1)
    worst = int((left_s - right_s).argmax())
    # Errors of d, Q and Q' on the right, and the rounding of its sums.
    sizes = float(np.abs(first.evaluation.q_sa).max()) + tau
    errors = moved.error * sizes + first.scale.q_error + second.scale.q_error
    rounding = horizon * (float(lengths_s.max()) + 1.0) * errors + change.error
    rounding += UNIT * (16.0 + d_st.size + mdp.n_actions) * float(right_s.max())
    return Margin(float(left_s[worst]), float(right_s[worst]), rounding, pair.name)


def forks(gamma: float, y: float, y_: float, *, pairs: bool) -> ParameterPair:
    """Certificates as numbers: a first step decides between good and bad states for ever.

    With ``pairs`` the two bad and the two good ones are four; otherwise one good one is the start.
    """
    n = 5 if pairs else 4
    P_sat = np.zeros((n, 2, n))
    P_sat[0, 0, [3, 4] if pairs else [0, 3]] = 0.5
    P_sat[0, 1, [1, 2]] = 0.5
    for s in range(1, n):
        P_sat[s, :, s] = 1.0
    sign = np.array([0.0, -1.0, -1.0, 1.0, 1.0] if pairs else [1.0, -1.0, -1.0, 1.0])
    mdp = Mdp(P_sat, np.outer(sign, [1.0, -1.0]), gamma, np.eye(n)[0], 0.0, Quadratic())
    first_sa, second_sa = (np.tile([1.0 - q, q], (n, 1)) for q in (0.0, 1.0))
    policies = Segment(first_sa, second_sa, "good or bad for ever")
    first, second = (Derivatives(mdp, policies, np.array([0.5 + 0.5 * one])) for one in (y, y_))
    return ParameterPair(first, second)


def drawn(context: Context) -> Iterator[ParameterPair]:
    """Tight instances, the certificates, and small MDPs with every parametrisation."""
    for gamma in (0.3, 0.9):
        yield swapped(gamma, 0.0, 1e-3 * (1.0 - gamma))
    yield forks(0.2, 1.0, -1.0, pairs=False)
    yield forks(0.2, 0.5, -0.5, pairs=True)
    yield from parameter_pairs(context, "eq_c21")


def trials_with(size: Size, *, exchange_q: bool = True) -> Trials:
    """The decomposition with one way to measure d - d'."""

    def trials(context: Context) -> Iterator[Margin]:
        for pair in drawn(context):
            yield margin(pair, size, exchange_q=exchange_q)

    return trials


def refute(content: dict[str, Any]) -> None:
    """Both sides at two parameters of pi_y = (1/2 - y/2, 1/2 + y/2) in every state, at tau = 0.

    |grad pi_y| = 1/2 for both actions, and grad pi does not change.
    """
    mdp = exact.ExactMdp.parse(content["mdp"])
    one = exact.fraction("1/2")
    ys = [exact.fraction(y) for y in content["y"]]
    exact.require(all(-1 <= y <= 1 for y in ys), "a parameter is outside of [-1, 1]")
    exact.require(not any(mdp.r_sa.sum(axis=1)), "the actions' rewards are not opposite")
    policies = [exact.shared(one + one * y, len(mdp.rho_s)) for y in ys]
    slopes = [(pi, mdp.policy_gradient(pi)) for pi in policies]
    gradients = [one * (exact.total(g[:, 1]) - exact.total(g[:, 0])) for _, g in slopes]
    change = abs(gradients[0] - gradients[1])
    occupancies = [(1 - mdp.gamma) * mdp.visits(pi) for pi in policies]
    q_sa, other_sa = (mdp.action_values(pi) for pi in policies)
    largest_move = max(abs(a - b) for a, b in zip(*occupancies, strict=True))
    longest_push = max(one * abs(row[1] - row[0]) for row in q_sa)
    q_move = max(abs(a - b) for a, b in zip(q_sa.flat, other_sa.flat, strict=True))
    bound = (2 * largest_move * longest_push + q_move * 2 * one) / (1 - mdp.gamma)
    exact.same("the change of the gradient", change, content["lhs"])
    exact.same("the printed bound", bound, content["rhs"])
    exact.greater("the change exceeds the bound", change, bound)


CLAIM = Claim(
    number="(C.21)",
    title="the change of the policy gradient, term by term",
    premise="Lemma 20's (a), (b)",
    printed=Form(
        words="The change of the gradient of V(s) in y is at most a sum of five terms; in two of them "
        "the change of the occupancy is measured by twice its largest entry.",
        formula=r"\|\nabla_yV-\nabla_yV'\|\le\frac{1}{1-\gamma}\Bigl("
        r"2\sup_s|d-d'|\,\sup_s\Bigl\|\sum_aQ\nabla\pi\Bigr\|+\dots\Bigr)",
        refutations=(Refutation("C21_states", refute), Refutation("C21_four", refute)),
    ),
    proved=Form(
        words="The same with the l1 norm of the change of the occupancy, which is the printed size for "
        "at most three states.",
        formula=r"\|\nabla_yV-\nabla_yV'\|\le\frac{1}{1-\gamma}\Bigl("
        r"\|d-d'\|_1\,\sup_s\Bigl\|\sum_aQ\nabla\pi\Bigr\|+\dots\Bigr)",
        trials=trials_with(l1),
    ),
    faults=(
        Fault("twice_largest", "the largest entry, twice, as printed", trials_with(twice_largest)),
        Fault("largest", "the largest entry, once", trials_with(largest)),
        Fault("without_q", "the change of Q is forgotten", trials_with(l1, exchange_q=False)),
    ),
    remark="The first step of the proof is an exchange of sums, which leaves the l1 norm.  Nothing is "
    "lost by it: (C.20) as proved bounds that norm.",
    tried="Four states break it, three cannot; both orders of exchange were tried for the proved form.",
)
