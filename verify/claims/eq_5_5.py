r"""(5.5): the incentive designer's objective, with the cost discounted or not.

::

    printed   f(pi) = -E[ sum_t ( gamma^t r_id(s_t, a_t) - c(s_t) ) ]
    proved    f(pi) = -E[ sum_t gamma^t ( r_id(s_t, a_t) - c(s_t) ) ]

This is a definition, and the claim is that it defines something.  Printed without the discount, the
costs add up for ever: with rewards at most B_r and costs at least c > 0 the first T terms sum to at most
B_r / (1 - gamma) - c T.  Section 6.3 drops the cost.

Derivation of the proved form.  A sum of T terms is off by what is missing, and

    | sum_{t>=T} gamma^t E[r_id - c] |  <=  gamma^T max|r_id - c| / (1 - gamma),

with equality where r_id - c is one constant.  At T = 0 this bounds f itself.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from flint import fmpq

from reference.validation import Array
from verify.claims import exact
from verify.claims.contract import Claim, Fault, Form, Margin, Refutation
from verify.claims.trials.instances import DRAWS, generator_of, sparse
from verify.contract import Context
from verify.crosscheck.tolerances import UNIT

Earned = Callable[[float, int, Array, Array], Array]
"""(gamma, t, reward, cost) -> earnings in each state at time t."""


def discounted(gamma: float, t: int, reward_s: Array, cost_s: Array) -> Array:
    """gamma^t (r - c)."""
    return np.asarray(gamma**t * (reward_s - cost_s))


def undiscounted_cost(gamma: float, t: int, reward_s: Array, cost_s: Array) -> Array:
    """gamma^t r - c, as printed."""
    return np.asarray(gamma**t * reward_s - cost_s)


def trials_with(earned: Earned) -> Callable[[Context], Iterator[Margin]]:
    """Sums from T on, until terms are below rounding, against the bound of what is missing after T."""

    def trials(context: Context) -> Iterator[Margin]:
        generator = generator_of(context, "eq_5_5")
        for i in range(DRAWS[context.level]):
            n = int(generator.integers(1, 5))
            P_st = sparse(generator, (n, n), float(10.0 ** generator.uniform(-2.0, 0.0)))
            gamma = float(generator.choice([0.0, 0.3, 0.5, 0.9]))
            reward_s, cost_s = generator.standard_normal((2, n))
            if i % 4 == 0:
                # The bound is attained.
                reward_s = cost_s + float(generator.uniform(0.5, 2.0))
            first, last = int(generator.integers(0, 9)), 600
            reached_s = np.linalg.matrix_power(P_st, first)[0]
            terms = []
            for t in range(first, last):
                terms.append(float(reached_s @ earned(gamma, t, reward_s, cost_s)))
                reached_s = reached_s @ P_st
            missing = math.fsum(terms)
            bound = gamma**first * float(np.abs(reward_s - cost_s).max()) / (1.0 - gamma)
            # A state's probability at time t is off by (n + 2) t roundings; their mean over the terms is
            # at most that at time first + 1 / (1 - gamma).
            rounding = UNIT * (n + 4) * (first + 1.0 / (1.0 - gamma) + 4.0)
            yield Margin(
                abs(missing), bound, rounding * bound, f"{n} states, gamma = {gamma:g}, T = {first}"
            )

    return trials


def refute_convergence(content: dict[str, Any]) -> None:
    """With one state, no reward and cost 1 the terms are -1 for ever; a convergent sum's vanish."""
    gamma, reward, cost = (exact.fraction(content[field]) for field in ("gamma", "reward", "cost"))
    exact.require(0 <= gamma < 1, "gamma is outside [0, 1)")
    exact.require(reward == 0, "the terms are constant only without reward")
    terms = {str(gamma**t * reward - cost) for t in range(100)}
    exact.require(len(terms) == 1, "the terms are not constant")
    limit = fmpq(0) - cost
    exact.same("the limit of the terms", limit, content["lhs"])
    exact.same("the limit of the terms of a convergent sum", fmpq(0), content["rhs"])
    exact.require(limit != 0, "the terms vanish")


CLAIM = Claim(
    number="(5.5)",
    title="the designer's objective exists",
    premise="bounded rewards r_id and costs c, gamma < 1",
    printed=Form(
        words="The designer's loss is minus the expected sum of discounted rewards less costs that are "
        "not discounted.",
        formula=r"f(\pi)=-\mathbb E_{\pi,\mathcal P_{id}}\Bigl[\sum_{t=0}^\infty"
        r"\gamma^tr_{id}(s_t,a_t)-c(s_t)\Bigr]\ \text{is a number}",
        refutations=(Refutation("E55_diverges", refute_convergence),),
    ),
    proved=Form(
        words="With the cost discounted as well the sum converges; what is missing after T terms is at "
        "most gamma^T times the largest |r_id - c|, over 1 - gamma.",
        formula=r"\Bigl|\sum_{t\ge T}\gamma^t\mathbb E[r_{id}(s_t,a_t)-c(s_t)]\Bigr|\le"
        r"\frac{\gamma^T\max|r_{id}-c|}{1-\gamma}",
        trials=trials_with(discounted),
    ),
    faults=(Fault("undiscounted_cost", "the cost as printed", trials_with(undiscounted_cost)),),
    remark="A slip of notation rather than a step of a proof: nothing else in the paper uses the cost, "
    "and (6.2) drops it.",
    tried="Costs that are not discounted make the sum diverge; an evident slip in the placing of a "
    "bracket, but the printed formula has no value.",
)
