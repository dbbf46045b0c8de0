r"""C.5, below Lemma 20: the constant in x where transitions do not depend on it.

In RLHF and reward shaping only the rewards depend on x.  If every r_x(s, a) is L_r-smooth::

    printed   V(rho) is L_vx-smooth in x, uniformly in the policy, with L_vx = L_r / (1 - gamma)

It is right, in every state, and the best possible: what Lemma 20 as proved here asks for, V(s) and not
V(rho), has the same constant.

Derivation.  Along a unit direction u let k(s, a) = <u, grad r_x(s, a) - grad r_x'(s, a)> at two points,
so |k| <= L_r |x - x'| = b.  The regulariser and the transitions do not move, so that the difference w of
the slopes of V at the two points is the value of the reward k:

    w = <pi, k> + gamma P_pi w,      hence      |w| <= b + gamma |w|,      (1 - gamma) |w| <= b.

Choose u along the difference of the gradients.  Attained where all rewards are the same function of x,
in every state, for every gamma and policy.

Where transitions depend on x, too, there are the terms of Lemma 20 in their slopes; rewards that do not
depend on x have L_r = 0, and V is not linear.
"""

from collections.abc import Iterator

import numpy as np

from reference.evaluation import evaluate
from reference.problems.mdp import Mdp
from reference.regularizers import Quadratic
from reference.validation import Array
from verify.claims import exact
from verify.claims.contract import Claim, Fault, Form, Margin, Proof, Trials
from verify.claims.exact import facts, order
from verify.claims.trials.instances import corners, generator_of
from verify.claims.trials.lipschitz import Measured
from verify.contract import Context
from verify.crosscheck.tolerances import UNIT, scale_of

Waves = tuple[Array, Array]
"""Weights w and phases c of the rewards r_x(s, a) = sum_i w_i sin(x_i + c_i), each (d, S, A)."""

Case = tuple[str, Mdp, Array, tuple[Array, Array], Waves]
"""A name, an MDP whose rewards do not count, a policy, two points and the rewards."""


def slopes(x: Array, waves: Waves) -> Array:
    """grad r_x, shape (d, S, A)."""
    weights_isa, phases_isa = waves
    return np.asarray(weights_isa * np.cos(x[:, None, None] + phases_isa))


def smoothness(waves: Waves) -> float:
    """L_r: second derivatives are diagonal, and at most |w_i|."""
    return float(np.abs(waves[0]).max())


def gradient(mdp: Mdp, pi_sa: Array, slopes_isa: Array) -> Measured:
    """grad_x V(s) for all s, (d, S): values of the slopes of the rewards, without a regulariser."""
    found, error = [], 0.0
    for slope_sa in slopes_isa:
        plain = Mdp(mdp.P_sat, slope_sa, mdp.gamma, mdp.rho_s, 0.0, Quadratic())
        evaluation = evaluate(plain, pi_sa)
        found.append(evaluation.v_s)
        error = max(error, scale_of(evaluation).value_error)
    return Measured(np.array(found), float(np.sqrt(len(found))) * error)


def margin(case: Case, horizon: float) -> Margin:
    """The largest change of grad_x V(s) over the states, against L_r times a horizon."""
    name, mdp, pi_sa, (x, x_), waves = case
    first, second = (gradient(mdp, pi_sa, slopes(end, waves)) for end in (x, x_))
    left = float(np.linalg.norm(first.vector - second.vector, axis=0).max())
    # Angles are rounded to their last digits, and so are slopes, which the horizon magnifies.
    angle = 4.0 + float(max(np.abs(x).max(), np.abs(x_).max()))
    lost = 8.0 * UNIT * len(x) * smoothness(waves) * angle / (1.0 - mdp.gamma)
    right = horizon * smoothness(waves) * float(np.linalg.norm(x - x_))
    return Margin(left, right, first.error + second.error + lost, name)


def alike(gamma: float) -> Case:
    """All rewards are the sine of x, tried where it bends most."""
    mdp = Mdp(np.full((2, 2, 2), 0.5), np.zeros((2, 2)), gamma, np.array([0.3, 0.7]), 1.0, Quadratic())
    ends = np.array([0.5 * np.pi - 0.01]), np.array([0.5 * np.pi + 0.01])
    waves = np.ones((1, 2, 2)), np.zeros((1, 2, 2))
    return f"all rewards are alike, gamma = {gamma:g}", mdp, np.full((2, 2), 0.5), ends, waves


def cases(context: Context) -> Iterator[Case]:
    """Where it is attained, and waves of any direction and phase over small MDPs near corners."""
    for gamma in (0.0, 0.5, 0.99):
        yield alike(gamma)
    generator = generator_of(context, "appendix_c5")
    for i, instance in enumerate(corners(context, "appendix_c5")):
        d, shape = int(generator.integers(1, 4)), instance.mdp.r_sa.shape
        waves = generator.normal(size=(d, *shape)), generator.uniform(-np.pi, np.pi, (d, *shape))
        x = generator.normal(size=d)
        ends = x, x + (1e-2, 1.0)[i % 2] * generator.normal(size=d)
        yield instance.name, instance.mdp, instance.pi_sa, ends, waves


def trials_with(factor: float, power: float = 1.0) -> Trials:
    """The constant times a factor, with another power of the horizon."""

    def trials(context: Context) -> Iterator[Margin]:
        for case in cases(context):
            yield margin(case, factor / (1.0 - case[1].gamma) ** power)

    return trials


def prove() -> None:
    """(1 - gamma) w <= b from w <= b + gamma w; e is 1 - gamma."""
    e, gamma, b, w = exact.indeterminates("e", "gamma", "b", "w")
    exact.combination(b - e * w, (b**0, b + gamma * w - (e + gamma) * w))


CLAIM = Claim(
    number="Appendix C.5",
    title="smoothness in x where only rewards depend on it",
    premise="transitions and the regulariser do not depend on x; every r_x(s, a) is L_r-smooth",
    printed=Form(
        words="In RLHF and reward shaping the value of any policy is smooth in x with L_r over "
        "(1 - gamma), from every start.",
        formula=r"\|\nabla_xV^\pi_{\mathcal M_\tau(x)}(s)-\nabla_xV^\pi_{\mathcal M_\tau(x')}(s)\|\le"
        r"\frac{L_r}{1-\gamma}\|x-x'\|",
        trials=trials_with(1.0),
        proofs=(
            Proof("the recursion for values, of the slopes' differences", order.values),
            Proof("what it gives for the largest", prove),
        ),
        textbook=(facts.NORM, facts.RESOLVENT),
    ),
    faults=(
        Fault("slightly_small", "the constant is 1% smaller", trials_with(0.99)),
        Fault("no_horizon", "L_r, without the horizon", trials_with(1.0, 0.0)),
        Fault("root_of_horizon", "the root of the horizon", trials_with(1.0, 0.5)),
    ),
    remark="(c) 2) of Lemma 20 is about V(rho); the constant serves V(s) as well, which is what the "
    "lemma as proved here needs.",
    tried="Rewards that bend most at the point, and all alike, attain it; waves of any phase over "
    "MDPs near corners stay below.",
)
