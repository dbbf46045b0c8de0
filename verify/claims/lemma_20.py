r"""Lemma 20: the value is smooth in (x, y), with which constant.

With L_vy as in (C.22), for every start state s::

    printed   V(rho) L_vx-smooth in x, uniformly in y
              =>  V(s) is smooth in (x, y) with max{ L_vx, L_vy },  L_vy = O( ... ) as in (C.22)
    proved    V(s) L_vx-smooth in x for every s, and grad_x V(s) L_xy-Lipschitz in y
              =>  V(s) is smooth with lambda_max [[ L_vx, L_xy ], [ L_xy, L_vy ]],  L_vy explicit;
              and L_vx, L_xy follow from bounds of the data

The printed lemma fails in two independent ways, for every constant in the O.

* What is assumed of V(rho) says nothing of V(s): one action, rewards (x^2, -x^2), rho uniform, have
  V(rho) = 0 and V(s) = x^2, while B_r = R^2 on [-R, R] is as small as you like.
* No cross derivative is assumed, (C.23): rewards (x, -x), one state, have V = x (y_1 - y_2), B_r = R.

Derivation.  The blocks are combined as in (C.23).  For L_vx and L_xy, let D, D' be slopes along unit
directions of x or y, with |Dr| <= G_r, |D'Dr| <= H_r, sum_t |DP| <= G_P, sum_t |D'DP| <= H_P along x,
and beta half the range of r - tau h.  Differentiate V = c + gamma P_pi V twice:

    D'DV = [ D'Dc + gamma D'DP V + gamma D'P DV + gamma DP D'V ] + gamma P_pi D'DV.

Rows of DP sum to zero and see half the range of V, beta / (1-gamma).  With

    k_x = G_r + gamma G_P beta/(1-gamma),     k_y = B_pi beta/(1-gamma) + tau B'_h,

|D_x V| <= k_x/(1-gamma), |D_y V| <= k_y/(1-gamma), and

    L_vx = [ H_r + gamma H_P beta/(1-gamma) + 2 gamma G_P k_x/(1-gamma) ] / (1-gamma)
    L_xy = [ B_pi k_x + gamma (B_pi k_x + G_P k_y)/(1-gamma) ] / (1-gamma)

Attained at gamma = 0 by V = x (y_1 - y_2), and where (C.22) is.  The text below the lemma, on the
constants of direct and softmax policies and on L_vx = L_r / (1-gamma) for fixed transitions, is right.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from reference.constants import Bounds, bounds, value_blocks
from reference.domains import Box
from reference.problems.general_position import general_point, linear_family, tabular_family
from reference.problems.mdp import MdpFamily
from reference.problems.parametrizations import FixedKernel, LinearReward, SoftmaxKernel
from reference.regularizers import Quadratic
from reference.validation import Array
from verify.claims.contract import Claim, Fault, Form, Margin, Proof, Refutation, Trials
from verify.claims.exact import facts, order, smoothness
from verify.claims.trials.instances import generator_of
from verify.claims.trials.lipschitz import Measured
from verify.claims.trials.parametrized import (
    STAY,
    Derivatives,
    ParameterPair,
    Segment,
    parameter_pairs,
    swap,
)
from verify.contract import Context
from verify.crosscheck.tolerances import x_gradient

Change = Callable[[Array], Array]
"""Block constants -> other block constants."""


def values_in_x(family: MdpFamily, x: Array, point: Derivatives) -> Measured:
    """grad_x V(s) at pi_y, shape (S, size of x); the error is that of each row."""
    evaluation, scale = point.evaluation, point.scale
    n_states = point.mdp.n_states
    visits_st = evaluation.visits(np.eye(n_states))
    weights = (visits_st[..., None] * evaluation.pi_sa)[:, None]
    rows = family.pullback(x, weights, evaluation.v_s[None]).reshape(n_states, -1)
    entry = x_gradient(
        family,
        scale,
        mass=scale.horizon,
        mass_error=scale.visits_error(1.0),
        value_error=scale.value_error,
    )
    return Measured(rows, float(np.sqrt(rows.shape[1])) * entry)


def margin(
    family: MdpFamily, x: Array, x_: Array, pair: ParameterPair, change: Change, factor: float = 1.0
) -> Margin:
    """The largest change of grad V(s) over the states, against the constant from the data."""
    first = replace(pair.first, mdp=family.at(x))
    second = replace(pair.second, mdp=family.at(x_))
    in_x = values_in_x(family, x, first) - values_in_x(family, x_, second)
    in_y = first.values - second.values
    left_s = np.hypot(np.linalg.norm(in_x.vector, axis=1), np.linalg.norm(in_y.vector, axis=1))
    apart = float(np.hypot(np.linalg.norm(x - x_), pair.apart))
    constant = float(np.linalg.eigvalsh(change(value_blocks(of(family, pair))))[-1])
    name = f"{pair.name}, |dx| = {np.linalg.norm(x - x_):.2g}"
    return Margin(
        float(left_s.max()), factor * constant * apart, float(np.hypot(in_x.error, in_y.error)), name
    )


def of(family: MdpFamily, pair: ParameterPair) -> Bounds:
    """Bounds of the family with the parametrisation's constants."""
    return replace(bounds(family), players=(pair.first.policies.player,))


def as_is(blocks: Array) -> Array:
    """No change."""
    return blocks


def diagonal(blocks: Array) -> Array:
    """max{ L_vx, L_vy }, as printed."""
    return np.asarray(np.diag(np.diag(blocks)))


def without_x(blocks: Array) -> Array:
    """L_vx = 0."""
    return np.asarray(blocks * np.array([[0.0, 1.0], [1.0, 1.0]]))


def bilinear() -> tuple[MdpFamily, ParameterPair]:
    """V = x (y_1 - y_2), at gamma = tau = 0."""
    reach = np.ones(1)
    reward = LinearReward(np.array([[[1.0, -1.0]]]), np.zeros((1, 2)), Box(-reach, reach))
    family = MdpFamily(reward, FixedKernel(np.ones((1, 2, 1))), 0.0, reach, 0.0, Quadratic())
    policies = Segment(np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]]), "(1 - y, y)")
    first, second = (Derivatives(family.at(reach), policies, np.array([y])) for y in (0.0, 0.5))
    return family, ParameterPair(first, second)


def swapping(gamma: float) -> tuple[MdpFamily, ParameterPair]:
    """The two states where L_vy is attained; no x."""
    mdp, policies = swap(gamma)
    nowhere = Box(np.zeros(1), np.zeros(1))
    reward = LinearReward(np.zeros((1, 2, 2)), mdp.r_sa, nowhere)
    family = MdpFamily(reward, FixedKernel(mdp.P_sat), gamma, mdp.rho_s, 0.0, Quadratic())
    ys = (0.0, 1e-3 * (1.0 - gamma))
    return family, ParameterPair(*(Derivatives(mdp, policies, np.array([y])) for y in ys))


def curved(reach: float, lift: float = 0.0) -> tuple[MdpFamily, ParameterPair]:
    """Transitions that depend on x, and one policy: only L_vx counts, and no constant in all rewards."""
    (mdp, _), box = swap(0.5), Box(np.full(1, -reach), np.full(1, reach))
    reward = LinearReward(np.zeros((1, 2, 2)), mdp.r_sa + lift, box)
    tilt = np.broadcast_to(np.array([1.0, -1.0]), (1, 2, 2, 2))
    kernel = SoftmaxKernel(np.zeros((2, 2, 2)), tilt, box)
    family = MdpFamily(reward, kernel, mdp.gamma, mdp.rho_s, 0.0, Quadratic())
    policies = Segment(STAY, STAY, "one policy")
    lifted = replace(mdp, r_sa=mdp.r_sa + lift)
    return family, ParameterPair(*(Derivatives(lifted, policies, np.zeros(1)) for _ in range(2)))


def trials_with(change: Change, factor: float = 1.0) -> Trials:
    """Where it is attained, and families around small MDPs with every parametrisation."""

    def trials(context: Context) -> Iterator[Margin]:
        family, pair = bilinear()
        still = ParameterPair(pair.first, pair.first)
        yield margin(family, np.ones(1), np.ones(1), pair, change, factor)
        yield margin(family, np.ones(1), np.zeros(1), still, change, factor)
        for gamma in (0.3, 0.9):
            family, pair = swapping(gamma)
            yield margin(family, np.zeros(1), np.zeros(1), pair, change, factor)
        for lift in (0.0, 100.0):
            family, pair = curved(1.0, lift)
            yield margin(family, np.array([1.0]), np.zeros(1), pair, change, factor)
        generator = generator_of(context, "lemma_20 families")
        for i, drawn in enumerate(parameter_pairs(context, "lemma_20")):
            mdp = drawn.first.mdp
            if i % 2:
                family = linear_family(generator, mdp)
            else:
                room = Box(mdp.r_sa - 1.0, mdp.r_sa + 2.0)
                family = tabular_family(generator, mdp, domain=room)
            x, far = (general_point(generator, family.domain) for _ in range(2))
            share = float(generator.choice([0.0, 1e-3, 1.0]))
            x_ = family.domain.project(x + share * (far - x))
            yield margin(family, x, x_, drawn, change, factor)

    return trials


CLAIM = Claim(
    number="Lemma 20",
    title="the value is smooth in (x, y)",
    premise="(a) B_pi and L_y of the policies; (b) B_h, B'_h and L_h of h; (c) |r| <= B_r, and V(rho) "
    "L_vx-smooth in x (proved form: V(s) for every s, and grad_x V(s) L_xy-Lipschitz in y)",
    printed=Form(
        words="V(s) is smooth in (x, y) with the larger of L_vx and a constant L_vy of a given order.",
        formula=r"\|\nabla V(s)-\nabla V'(s)\|\le\max\{L_{vx},L_{vy}\}\,\|(x,y)-(x',y')\|",
        refutations=(
            Refutation("L20_rho", smoothness.refute_from_rho),
            Refutation("L20_cross", smoothness.refute_without_cross_term),
        ),
    ),
    proved=Form(
        words="With L_vx for every start state, L_xy and the explicit L_vy of (C.22), V(s) is smooth "
        "with the largest eigenvalue of the matrix of the three, which follow from bounds of the data.",
        formula=r"\|\nabla V(s)-\nabla V'(s)\|\le\lambda_{\max}\begin{pmatrix}L_{vx}&L_{xy}\\"
        r"L_{xy}&L_{vy}\end{pmatrix}\|(x,y)-(x',y')\|",
        trials=trials_with(as_is),
        proofs=(
            Proof("only half the range of Q and V counts, in any dimension", order.centred_values),
            Proof("the recursion for slopes of V", order.slope_recursion),
            Proof("the recursion for second slopes", order.second_slope_recursion),
            Proof("parts through the policy", order.through_the_policy),
            Proof("parts through rewards and transitions", order.through_the_transitions),
            Proof("mixed parts", order.through_both),
            Proof("rows of slopes of the chain", order.rows_of_slopes),
            Proof("the two recursions, combined", smoothness.second_slopes),
            Proof("parts are bounded by blocks", smoothness.blocks),
            Proof("blocks by the largest eigenvalue", smoothness.largest_eigenvalue),
        ),
        textbook=(facts.NORM, facts.MEAN_VALUE, facts.RESOLVENT),
    ),
    faults=(
        Fault("without_cross", "L_xy is dropped, as printed", trials_with(diagonal)),
        Fault("without_x", "L_vx is dropped", trials_with(without_x)),
        Fault("slightly_small", "the constant is 1% below the proved one", trials_with(as_is, 0.99)),
    ),
    inherits=("(C.22)", "(C.23)"),
    remark="The proof bounds the change in y and the change in x, and forgets that each gradient also "
    "changes with the other variable; and it takes what (c)2 says of V(rho) for V(s).",
    tried="Two independent failures for every constant in the O; neither is a slip of notation.",
)
