r"""(C.19): the gradient of action values in the policy's parameters is bounded.

With B = B_r + tau B_h, as in (C.18)::

    |grad_y Q(s, a)|  <=  gamma ( B_pi B / (1 - gamma)^2 + tau B'_h / (1 - gamma) )

Derivation.  Q = r + gamma P V, and only V depends on y: gamma times a mean of what (C.18) bounds.

Attained at tau = 0 where (C.18) is, by the action that leads to the state of the longest gradient: in
the two states that one stays in or changes between, at y = 0, by "stay".
"""

from collections.abc import Callable, Iterator

from verify.claims import exact
from verify.claims.contract import Claim, Fault, Form, Margin, Proof, Trials
from verify.claims.exact import facts, order
from verify.claims.trials.parametrized import (
    Derivatives,
    longest_row,
    parameter_pairs,
    reward_bound,
    swapped,
)
from verify.contract import Context

Bound = Callable[[Derivatives], float]


def printed_bound(point: Derivatives) -> float:
    """gamma (B_pi B / (1 - gamma)^2 + tau B'_h / (1 - gamma))."""
    mdp, player = point.mdp, point.policies.player
    horizon = 1.0 / (1.0 - mdp.gamma)
    slope = player.move * horizon * reward_bound(mdp) + mdp.tau * player.h_slope
    return mdp.gamma * horizon * slope


def gamma_twice(point: Derivatives) -> float:
    """gamma^2 for gamma."""
    return point.mdp.gamma * printed_bound(point)


def slightly_small(point: Derivatives) -> float:
    """The bound, less one percent."""
    return 0.99 * printed_bound(point)


def margin(point: Derivatives, bound: Bound) -> Margin:
    """The longest gradient against the bound."""
    gradients = point.action_values
    return Margin(longest_row(gradients), bound(point), gradients.error, point.name)


def trials_with(bound: Bound) -> Trials:
    """Where it is attained, and small MDPs with every parametrisation."""

    def trials(context: Context) -> Iterator[Margin]:
        for gamma in (0.0, 0.5, 0.9, 0.99):
            yield margin(swapped(gamma, 0.0, 1.0).first, bound)
        for pair in parameter_pairs(context, "eq_c19"):
            for point in (pair.first, pair.second):
                yield margin(point, bound)

    return trials


def prove() -> None:
    """q' <= gamma v and (C.18), which bounds v; e is 1 - gamma."""
    e, gamma, b_pi, size, bend, v, q = exact.indeterminates(
        "e", "gamma", "B_pi", "B", "tau_B'_h", "v", "q"
    )
    exact.combination(
        gamma * (b_pi * size + e * bend) - e**2 * q,
        (e**2, gamma * v - q),
        (gamma, b_pi * size + e * bend - e**2 * v),
    )


CLAIM = Claim(
    number="(C.19)",
    title="the gradient of action values in the policy's parameters is bounded",
    premise="Lemma 20's (a), (b), (c)1, as for (C.18)",
    printed=Form(
        words="The gradient of Q(s, a) in y is at most gamma times the bound of (C.18); at tau = 0 no "
        "smaller bound will do.",
        formula=r"\|\nabla_yQ^{\pi_y}(s,a)\|\le\gamma\Bigl(B_\pi\frac{B_r+\tau B_h}{(1-\gamma)^2}"
        r"+\frac{\tau B_h'}{1-\gamma}\Bigr)",
        trials=trials_with(printed_bound),
        proofs=(
            Proof("slopes of Q are gamma times means of slopes of V", order.next_values),
            Proof("(C.18), times gamma", prove),
        ),
        textbook=(facts.NORM,),
    ),
    faults=(
        Fault("gamma_twice", "gamma is squared", trials_with(gamma_twice)),
        Fault("slightly_small", "the bound is 1% below the printed one", trials_with(slightly_small)),
    ),
    inherits=("(C.18)",),
    tried="As (C.18); the bound less 1% fails at once.",
)
