r"""The preference loss of reinforcement learning from human feedback (Section 2.2, (2.5)), exactly.

Two segments of L state-action pairs are generated independently by pi.  No r_x, and no sum of true
rewards, tells segments apart that visit each pair (s, a) equally often, so the loss is a sum over
pairs of *classes* c of equal visit counts n_c(s, a)::

    R_x(c) = sum_sa n_c(s,a) r_x(s,a),     Delta = R_x(c) - R_x(e),   l_0 = labels(R(c) - R(e))
    f      = sum_c sum_e p_c p_e ( l_0 log(1 + exp(-Delta)) + (1 - l_0) log(1 + exp(Delta)) )

With mu = rho P_pi^delay the distribution of the first state, and K(c, s) the sum of the products of
transition probabilities over all orders of c that begin in s,

    p_c = w_c sum_s K(c,s) mu(s),     w_c = prod_sa pi(a|s)^n_c(s,a).

K depends on the transitions alone.  It is enumerated once, by dynamic programming over (first state,
current state, counts); that needs transitions that do not depend on x.  Gradients::

    grad in p_c      sum_e p_e (l(c,e) + l(e,c))
    grad in R_x(c)   p_c sum_e p_e (l'(c,e) - l'(e,c)),  l' = (1 - l_0) sigma(Delta) - l_0 sigma(-Delta)
    grad of w_c      products that leave one factor out: exact where pi has zeros
    grad of mu       mu_{i+1} = mu_i P_pi, backwards

The gradient in x is the lower level's pullback of the one in r_x.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from reference.contractions import next_values, policy_chain
from reference.domains import member, some_point
from reference.errors import InputError
from reference.evaluated import Evaluated
from reference.objectives.contract import Objective
from reference.problems.rlhf import Rlhf
from reference.validation import Array, instance, numbers, policy, several, whole

MAX_CLASSES = 10_000
"""Default limit on classes: the loss sums over their square, here 1e8 pairs."""

MAX_ROWS = 2_000_000
"""Default limit on rows of the dynamic programme, each of ``segment_length`` integers."""

_PAIRS_AT_ONCE = 1 << 20
"""Pairs of classes held in memory at a time."""

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class SegmentClasses:
    """All classes of segments with equal visit counts that a kernel can generate.

    Attributes
    ----------
    P_sat : (S, A, S)
        The transitions that they were enumerated for.
    members_cl : (C, L)
        Each class as the sorted list of its pairs (s, a), numbered s * A + a.
    class_e, first_e, weight_e : (E,)
        The entries K(c, s) that are not zero: c, s and the sum over the orders of c from s.
    """

    P_sat: Array
    members_cl: Indices
    class_e: Indices
    first_e: Indices
    weight_e: Array

    @property
    def count(self) -> int:
        """C."""
        return int(self.members_cl.shape[0])

    @property
    def segment_length(self) -> int:
        """L."""
        return int(self.members_cl.shape[1])

    def from_first(self, mu_s: Array) -> Array:
        """sum_s K(c, s) mu(s), shape (C,); refuses what is not one number per state."""
        mu_s = numbers("mu_s", mu_s, "(state,)", self.P_sat.shape[:1])
        _alone("mu_s", mu_s, 1)
        return _total(self.class_e, self.weight_e * mu_s[self.first_e], self.count)

    def to_first(self, g_c: Array) -> Array:
        """sum_c K(c, s) g(c), shape (S,); refuses what is not one number per class."""
        g_c = numbers("g_c", g_c, "(class,)", (self.count,))
        _alone("g_c", g_c, 1)
        return _total(self.first_e, self.weight_e * g_c[self.class_e], self.P_sat.shape[0])


def segment_classes(
    problem: Rlhf, *, max_classes: int = MAX_CLASSES, max_rows: int = MAX_ROWS
) -> SegmentClasses:
    """Enumerate the classes of segments of a problem.

    Parameters
    ----------
    problem : Rlhf
    max_classes : int
        The loss costs time proportional to the square of the number of classes.
    max_rows : int
        Limit on the rows of the dynamic programme, which holds some of them several times.

    Raises
    ------
    InputError
        If the problem has batch axes, or a limit is exceeded or not a whole number.
    """
    instance("problem", problem, Rlhf)
    max_classes = whole("max_classes", max_classes, low=1)
    max_rows = whole("max_rows", max_rows, low=1)
    P_sat = problem.at(some_point(problem.domain)).P_sat
    _alone("P_sat", P_sat, 3)
    n_states, n_actions, _ = P_sat.shape
    actions = np.arange(n_actions)
    # A row is (first state, current state, pairs so far in sorted order).
    rows: Indices = np.stack([np.arange(n_states)] * 2, axis=1)
    weights = np.ones(n_states)
    for length in range(1, problem.segment_length + 1):
        _limit(rows.shape[0] * n_actions, max_rows, "rows", "max_rows", problem)
        pairs = (rows[:, 1, None] * n_actions + actions).ravel()
        rows = np.repeat(rows, n_actions, axis=0)
        rows = np.concatenate([rows[:, :1], np.sort(np.c_[rows[:, 2:], pairs], axis=1)], axis=1)
        weights = np.repeat(weights, n_actions)
        if length < problem.segment_length:
            row_e, state_e = _successors(P_sat, pairs, max_rows, problem)
            weights = weights[row_e] * P_sat.reshape(-1, n_states)[pairs[row_e], state_e]
            rows = np.insert(rows[row_e], 1, state_e, axis=1)
        rows, weights = _merge(rows, weights)
    members_cl, class_e = np.unique(rows[:, 1:], axis=0, return_inverse=True)
    count = members_cl.shape[0]
    _limit(count, max_classes, "classes", "max_classes", problem)
    classes = SegmentClasses(P_sat, members_cl, class_e.ravel(), rows[:, 0].copy(), weights)
    for array in (classes.members_cl, classes.class_e, classes.first_e, classes.weight_e):
        array.flags.writeable = False
    return classes


def _same_transitions(here: Array, enumerated: Array) -> None:
    if not np.array_equal(here, enumerated):
        raise InputError(
            "the transitions are not those for which the segments were enumerated: only the reward may "
            "depend on x; use a FixedKernel, and compute the classes from this very problem"
        )


def _alone(name: str, array: Array, axes: int) -> None:
    if array.ndim != axes:
        raise InputError(
            f"{name} has shape {array.shape}; the preference loss takes one problem at one point, "
            "without batch axes: call it for each"
        )


def _limit(count: int, limit: int, what: str, keyword: str, problem: Rlhf) -> None:
    if count > limit:
        raise InputError(
            f"segments of {problem.segment_length} pairs make {count} {what}, over the limit of "
            f"{limit}: shorten segment_length, reduce the states, actions or successors, or raise "
            f"{keyword} of segment_classes and bind its result with rlhf.objective"
        )


def _successors(P_sat: Array, pairs: Indices, max_rows: int, problem: Rlhf) -> tuple[Indices, Indices]:
    """Each row with each state that its pair can lead to: (row, next state)."""
    possible_jt = P_sat.reshape(-1, P_sat.shape[-1]) > 0.0
    _limit(int(possible_jt.sum(axis=1)[pairs].sum()), max_rows, "rows", "max_rows", problem)
    row_e, state_e = np.nonzero(possible_jt[pairs])
    return row_e, state_e


def _merge(rows: Indices, weights: Array) -> tuple[Indices, Array]:
    """Add up the weights of equal rows."""
    merged, which = np.unique(rows, axis=0, return_inverse=True)
    return merged, _total(which.ravel(), weights, merged.shape[0])


def _total(index: Indices, weights: Array, count: int) -> Array:
    """Sum of the weights of each index."""
    return np.asarray(np.bincount(index, weights, count), dtype=np.float64)


def preference_loss(
    problem: Rlhf, x: Array, pi_sa: Array, classes: SegmentClasses | None = None
) -> Evaluated:
    """Evaluate the expected preference loss, with gradients in x and in the policy.

    Parameters
    ----------
    problem : Rlhf
    x : domain.shape
    pi_sa : (S, A)
    classes : SegmentClasses, optional
        From :func:`segment_classes`; enumerated here if not given.

    Raises
    ------
    InputError
        If x is outside its domain, ``pi_sa`` is not a policy, something has batch axes, or the classes
        do not belong to this problem.
    """
    instance("problem", problem, Rlhf)
    if classes is not None:
        instance("classes", classes, SegmentClasses)
    x = member("x", x, problem.domain)
    mdp = problem.at(x)
    pi_sa = policy("pi_sa", pi_sa, (mdp.n_states, mdp.n_actions))
    for name, array, axes in (
        ("x", x, len(problem.domain.shape)),
        ("pi_sa", pi_sa, 2),
        ("r_true_sa", problem.r_true_sa, 2),
        ("r_sa", mdp.r_sa, 2),
        ("rho_s", mdp.rho_s, 1),
    ):
        _alone(name, array, axes)
    classes = segment_classes(problem) if classes is None else classes
    _same_transitions(mdp.P_sat, classes.P_sat)
    if classes.segment_length != problem.segment_length:
        raise InputError(
            f"the classes hold segments of {classes.segment_length} pairs and the problem has "
            f"segment_length {problem.segment_length}: compute them from this problem"
        )
    members_cl = classes.members_cl
    mu_ks = _first_states(mdp.rho_s, policy_chain(mdp.P_sat, pi_sa), problem.delay)
    reach_c = classes.from_first(mu_ks[-1])
    factors_cl = pi_sa.ravel()[members_cl]
    p_c = reach_c * factors_cl.prod(axis=1)
    value, grad_p, grad_return = _pair_sums(
        p_c,
        mdp.r_sa.ravel()[members_cl].sum(axis=1),
        problem.r_true_sa.ravel()[members_cl].sum(axis=1),
        problem,
    )
    grad_r_sa = _scatter(members_cl, np.broadcast_to(grad_return[:, None], members_cl.shape), pi_sa)
    grad_x = problem.pullback(x, grad_r_sa[None], np.zeros((1, mdp.n_states)))
    grad_pi = _scatter(members_cl, (grad_p * reach_c)[:, None] * _leave_one_out(factors_cl), pi_sa)
    grad_mu = classes.to_first(grad_p * factors_cl.prod(axis=1))
    grad_pi = grad_pi + _delay_gradient(mdp.P_sat, pi_sa, mu_ks, grad_mu)
    return Evaluated(value, grad_x, (grad_pi,))


def _pair_sums(p_c: Array, model_c: Array, true_c: Array, problem: Rlhf) -> tuple[Array, Array, Array]:
    """The loss and its gradients in the class probabilities and in the classes' model returns."""
    loss_from, loss_to = np.zeros_like(p_c), np.zeros_like(p_c)
    slope_from, slope_to = np.zeros_like(p_c), np.zeros_like(p_c)
    block = max(1, _PAIRS_AT_ONCE // p_c.size)
    for start in range(0, p_c.size, block):
        some = slice(start, start + block)
        delta = model_c[some, None] - model_c
        l_0 = problem.labels(true_c[some, None] - true_c)
        l_1 = 1.0 - l_0
        loss = np.log1p(np.exp(-np.abs(delta)))
        loss += l_0 * np.maximum(-delta, 0.0) + l_1 * np.maximum(delta, 0.0)
        slope = l_1 * expit(delta) - l_0 * expit(-delta)
        loss_from[some], slope_from[some] = loss @ p_c, slope @ p_c
        loss_to += p_c[some] @ loss
        slope_to += p_c[some] @ slope
    return np.asarray(p_c @ loss_from), loss_from + loss_to, p_c * (slope_from - slope_to)


def _leave_one_out(factors_cl: Array) -> Array:
    """Product of the other factors of each row, without a division."""
    ones = np.ones((factors_cl.shape[0], 1))
    before = np.cumprod(np.hstack([ones, factors_cl[:, :-1]]), axis=1)
    after = np.cumprod(np.hstack([ones, factors_cl[:, :0:-1]]), axis=1)[:, ::-1]
    return np.asarray(before * after)


def _scatter(members_cl: Indices, weights_cl: Array, like_sa: Array) -> Array:
    """Add up weights by the pair (s, a) that they belong to."""
    return _total(members_cl.ravel(), weights_cl.ravel(), like_sa.size).reshape(like_sa.shape)


def _first_states(rho_s: Array, P_st: Array, delay: int) -> list[Array]:
    """Distributions of the state after 0, 1, ..., delay steps."""
    mu_ks = [rho_s]
    for _ in range(delay):
        mu_ks.append(mu_ks[-1] @ P_st)
    return mu_ks


def _delay_gradient(P_sat: Array, pi_sa: Array, mu_ks: list[Array], u_s: Array) -> Array:
    """Gradient in the policy of <u, rho P_pi^delay>, by going back through the steps."""
    grad_sa = np.zeros_like(pi_sa)
    for mu_s in mu_ks[-2::-1]:
        ahead_sa = next_values(P_sat, u_s[None])[0]
        grad_sa += mu_s[:, None] * ahead_sa
        u_s = (pi_sa * ahead_sa).sum(axis=1)
    return grad_sa


@dataclass(frozen=True, eq=False)
class PreferenceLoss:
    """The evaluation of an objective, with or without enumerated classes.

    Raises
    ------
    InputError
        If the classes are something else.
    """

    classes: SegmentClasses | None = None

    def __post_init__(self) -> None:
        if self.classes is not None:
            instance("classes", self.classes, SegmentClasses)

    def __call__(self, problem: Rlhf, x: Array, policies: tuple[Array, ...]) -> Evaluated:
        """Evaluate :func:`preference_loss` at the one policy."""
        (pi_sa,) = several("policies", policies, 1, "give one policy: (pi_sa,)")
        return preference_loss(problem, x, pi_sa, self.classes)


def objective(problem: Rlhf, classes: SegmentClasses | None = None) -> Objective[Rlhf]:
    """Return the objective with the classes of a problem enumerated once and for all.

    Parameters
    ----------
    problem : Rlhf
    classes : SegmentClasses, optional
        From :func:`segment_classes` with other limits, say; enumerated here if not given.

    Raises
    ------
    InputError
        As :func:`segment_classes`.
    """
    instance("problem", problem, Rlhf)
    bound = segment_classes(problem) if classes is None else classes
    return Objective[Rlhf]("rlhf", "(2.5)", PreferenceLoss(bound))


OBJECTIVE = Objective[Rlhf]("rlhf", "(2.5)", PreferenceLoss())
