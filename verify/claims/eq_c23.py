r"""(C.23): from smoothness in x and in y to smoothness in (x, y).

Let grad_x V be L_vx-Lipschitz in x and grad_y V be L_vy-Lipschitz in y, each uniformly in the other::

    printed   |grad V(z) - grad V(z')|^2  =  |grad_y V(x, y) - grad_y V(x, y')|^2
                                           + |grad_x V(x, y') - grad_x V(x', y')|^2
                                         <=  max{ L_vx, L_vy }^2 |z - z'|^2
    proved    with L_xy, the Lipschitz constant of grad_x V in y:
              |grad V(z) - grad V(z')|  <=  lambda_max [[ L_vx, L_xy ], [ L_xy, L_vy ]] |z - z'|

Nothing printed bounds how grad_x V changes with y: V = x (y_1 - y_2) is linear in each and not smooth
with constant 0.  It is the value of one state at tau = gamma = 0 with rewards (x, -x).

Derivation.  |grad_x V - grad_x V'| <= L_vx |dx| + L_xy |dy|, through (x', y).  L_xy serves for the
change of grad_y V with x, too: along a direction w of y it is the limit of a mixed difference of V,

    [ V(x, y + t w) - V(x, y) - V(x', y + t w) + V(x', y) ] / t,

an integral over the segment from x' to x of grad_x V(., y + t w) - grad_x V(., y), over t.  So
|grad_y V - grad_y V'| <= L_xy |dx| + L_vy |dy|.  The matrix is symmetric and nonnegative; its largest
eigenvalue bounds it.

Attained by V = m x (y_1 - y_2) / sqrt 2 - tau (x^2 + |y|^2) / 2.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from reference.validation import Array
from verify.claims import exact
from verify.claims.contract import Claim, Fault, Form, Margin, Proof, Refutation, Trials
from verify.claims.exact import facts, smoothness
from verify.claims.trials.instances import DRAWS, adversary, generator_of
from verify.claims.trials.lipschitz import OneState, OneStatePair, lambda_max, one_state, tangential
from verify.contract import Context

Constant = Callable[[float, float, float], float]
"""(L_vx, L_xy, L_vy) -> a smoothness constant."""


def without_cross(along_x: float, cross: float, along_y: float) -> float:  # noqa: ARG001 - the contract's signature
    """max{ L_vx, L_vy }, as printed."""
    return max(along_x, along_y)


def with_half_cross(along_x: float, cross: float, along_y: float) -> float:
    """Half of L_xy."""
    return lambda_max(along_x, 0.5 * cross, along_y)


def slightly_small(along_x: float, cross: float, along_y: float) -> float:
    """The proved constant, less one percent."""
    return 0.99 * lambda_max(along_x, cross, along_y)


def margin(pair: OneStatePair, constant: Constant) -> Margin:
    """The change of grad V, with exact block constants: each is largest at an end or a vertex."""
    problem = pair.problem
    along_x = float(np.abs(problem.g_a).max())
    ends = (tangential(problem.f_a + x * problem.g_a) for x in (problem.low, problem.high))
    cross = max(float(np.linalg.norm(end)) for end in ends) / problem.stretch
    along_y = problem.tau / problem.stretch**2
    (x, x_), (pi, pi_) = pair.x, pair.pi
    change = problem.slope(x, pi) - problem.slope(x_, pi_)
    bound = constant(along_x, cross, along_y) * pair.apart
    return Margin(change.norm, bound, change.error, str(problem))


def attained(mixed: float, tau: float) -> OneStatePair:
    """Both diagonal blocks bend alike, and the move is along the eigenvector."""
    up = np.array([1.0, -1.0])
    problem = OneState(0.0 * up, mixed * up / np.sqrt(2.0), np.full(2, -tau), tau, -1.0, 1.0)
    half, move = np.full(2, 0.5), 0.25 * up
    distance = float(np.linalg.norm(move))
    return OneStatePair(problem, (0.0, -distance), (half, half + move))


def trials_with(constant: Constant) -> Trials:
    """Where it is attained, random problems of one state, and an adversary."""

    def trials(context: Context) -> Iterator[Margin]:
        for mixed in (0.0, 0.3, 3.0):
            for tau in (0.1, 1.0):
                yield margin(attained(mixed, tau), constant)
        generator = generator_of(context, "eq_c23")
        for _ in range(DRAWS[context.level]):
            yield margin(one_state(2.0 * generator.standard_normal(11)), constant)

        def climbed(z: Array) -> Margin:
            return margin(one_state(z), constant)

        yield from adversary(context, "eq_c23", 11, climbed)

    return trials


def refute(content: dict[str, Any]) -> None:
    """V = x (y_1 - y_2): the left side, the printed middle and the printed right side, all squared.

    Both constants are 0, exactly: V is linear in x and, at tau = 0, in y.
    """
    feature_a = exact.fractions(content["feature"])
    (x, y_a), (x_, other_a) = ((exact.fraction(x), exact.fractions(y)) for x, y in content["points"])
    for row in (y_a, other_a):
        exact.require_distribution(row)
    in_x = exact.total(feature_a * (y_a - other_a)) ** 2
    in_y = exact.total(((x - x_) * feature_a) ** 2)
    same_x = exact.total((x * feature_a - x * feature_a) ** 2)
    same_y = exact.total(feature_a * (other_a - other_a)) ** 2
    exact.same("the squared change of grad V", in_x + in_y, content["lhs"])
    exact.same("the printed middle", same_x + same_y, content["middle"])
    exact.same("the printed bound", 0 * exact.total((y_a - other_a) ** 2), content["rhs"])
    exact.greater("the change exceeds the bound", in_x + in_y, exact.fraction(content["rhs"]))


CLAIM = Claim(
    number="(C.23)",
    title="from smoothness in x and in y to smoothness in both",
    premise="grad_x V is L_vx-Lipschitz in x for every y, grad_y V is L_vy-Lipschitz in y for every x",
    printed=Form(
        words="V is smooth in (x, y) with the larger of its constants in x and in y.",
        formula=r"\|\nabla V(z)-\nabla V(z')\|^2\le\max\{L_{vy}^2,L_{vx}^2\}\,\|z-z'\|^2",
        refutations=(Refutation("C23_cross", refute),),
    ),
    proved=Form(
        words="With a third constant, of grad_x V in y, V is smooth with the largest eigenvalue of the "
        "matrix of the three.",
        formula=r"\|\nabla V(z)-\nabla V(z')\|\le\lambda_{\max}\begin{pmatrix}L_{vx}&L_{xy}\\"
        r"L_{xy}&L_{vy}\end{pmatrix}\|z-z'\|",
        trials=trials_with(lambda_max),
        proofs=(
            Proof("parts are bounded by blocks", smoothness.blocks),
            Proof("blocks by the largest eigenvalue", smoothness.largest_eigenvalue),
        ),
        textbook=(facts.MEAN_VALUE,),
    ),
    faults=(
        Fault("without_cross", "L_xy is dropped, as printed", trials_with(without_cross)),
        Fault("half_cross", "L_xy is halved", trials_with(with_half_cross)),
        Fault("slightly_small", "the constant is 1% below the proved one", trials_with(slightly_small)),
    ),
    remark="The printed equality takes the gradient in y at x for both points and the one in x at y' "
    "for both, and so loses the cross derivatives.",
    tried="Cross derivatives break it; 'uniformly in the other variable' does not bound them under "
    "any reading.",
)
