"""MDPs and games that are hard for a solver, and their optimal values to 60 digits."""

from typing import Any

import numpy as np
import numpy.typing as npt
from flint import arb, arb_mat, ctx

from reference.problems.mdp import Mdp
from reference.problems.zero_sum_game import ZeroSumGame
from reference.regularizers import KLDivergence, NegativeEntropy, Quadratic, Regularizer, Weighted
from reference.validation import Array

KINDS = ("dense", "slow", "deterministic", "corridor", "ties")


def kernel(kind: str, generator: np.random.Generator, n_states: int, n_actions: int) -> Array:
    """Transitions (S, A, S).

    ``dense`` mixes in one step; ``slow`` stays where it is but for one step in ten thousand;
    ``corridor`` moves by one state; ``ties`` enters, from a state that nothing reaches, one of several
    copies of one closed chain, so that the actions differ by rounding only.
    """
    here = np.arange(n_states)
    shape = (n_states, n_actions)
    match kind:
        case "dense":
            P = generator.random((*shape, n_states))
        case "slow":
            P = 1e-4 * generator.random((*shape, n_states)) + np.eye(n_states)[:, None, :]
        case "deterministic":
            P = np.eye(n_states)[generator.integers(0, n_states, shape)]
        case "corridor":
            move = np.where(np.arange(n_actions) % 2 == 0, -1, 1)
            P = np.eye(n_states)[np.clip(here[:, None] + move, 0, n_states - 1)]
        case "ties":
            size = max(1, (n_states - 1) // 2)
            copy = generator.random((size, n_actions, size))
            P = np.zeros((*shape, n_states))
            for start in range(1, n_states - size + 1, size):
                P[start : start + size, :, start : start + size] = copy
            P[P.sum(axis=(-2, -1)) == 0.0, :, -1] = 1.0
            P[0] = np.eye(n_states)[np.minimum(1 + size * np.arange(n_actions), n_states - 1)]
        case _:
            raise AssertionError(kind)
    return np.asarray(P / P.sum(axis=-1, keepdims=True))


def regularizers(generator: np.random.Generator, n_states: int, n_actions: int) -> list[Regularizer]:
    """One of every kind, with uneven references and weights."""
    reference = generator.dirichlet(np.full(n_actions, 0.3), n_states) * 0.999 + 0.001 / n_actions
    return [
        NegativeEntropy(),
        Quadratic(),
        KLDivergence(reference),
        Weighted(Quadratic(), 0.1 + generator.random(n_states)),
        Weighted(NegativeEntropy(), 0.1 + generator.random(n_states)),
    ]


def mdp(
    kind: str,
    generator: np.random.Generator,
    n_states: int,
    n_actions: int,
    gamma: float,
    tau: float,
    regularizer: Regularizer,
) -> Mdp:
    """An MDP with transitions of a kind; rewards of few values or in general position."""
    reward = (
        generator.choice([0.0, 0.3, 1.0], (n_states, n_actions))
        if kind in ("ties", "corridor")
        else generator.standard_normal((n_states, n_actions))
    )
    if kind == "ties":
        size = max(1, (n_states - 1) // 2)
        copies = 1 + (np.arange(n_states) - 1) % size
        reward = reward[np.minimum(copies, n_states - 1)]
    P_sat = kernel(kind, generator, n_states, n_actions)
    return Mdp(P_sat, reward, gamma, generator.dirichlet(np.ones(n_states)), tau, regularizer)


def game(
    generator: np.random.Generator,
    sizes: tuple[int, int, int],
    gamma: float,
    tau: float,
    regularizer_1: Regularizer,
    regularizer_2: Regularizer,
    *,
    kind: str = "dense",
) -> ZeroSumGame:
    """A zero-sum game in general position."""
    n_states, n_first, n_second = sizes
    P = kernel(kind, generator, n_states, n_first * n_second)
    return ZeroSumGame(
        P.reshape(n_states, n_first, n_second, n_states),
        generator.standard_normal(sizes),
        gamma,
        generator.dirichlet(np.ones(n_states)),
        tau,
        regularizer_1,
        regularizer_2,
    )


Numbers = npt.NDArray[Any]


def regularization(regularizer: Regularizer, pi: Numbers) -> Numbers:
    """h_s(pi(s)), analytic in pi where pi > 0."""
    match regularizer:
        case Weighted():
            return regularizer.weight_s * regularization(regularizer.base, pi)
        case Quadratic():
            return np.asarray(0.5 * (pi * pi).sum(axis=-1))
        case KLDivergence():
            return np.asarray((pi * np.log(pi / regularizer.reference_sa)).sum(axis=-1))
        case NegativeEntropy():
            return np.asarray((pi * np.log(pi)).sum(axis=-1))
        case _:
            raise AssertionError(regularizer)


# Sixty digits.


def lifted(array: Array) -> Numbers:
    """The floats of an array as numbers of many digits, exactly."""
    return np.array([arb(float(x)) for x in array.flat], dtype=object).reshape(array.shape)


def _centres(numbers: Numbers) -> Numbers:
    # Newton's method corrects itself, while the radii of the balls would only grow.
    return np.array([x.mid() for x in numbers.flat], dtype=object).reshape(numbers.shape)


def _size(numbers: Numbers) -> float:
    return max(abs(float(x)) for x in numbers.flat)


def largest_error(array: Array, exact: Numbers) -> float:
    """Largest difference of floats from numbers of many digits."""
    return _size(lifted(array) - exact)


def _maximum(regularizer: Regularizer, q: Numbers, tau: arb, state: int) -> tuple[Numbers, arb]:
    """Maximiser and maximum of <p, q> - tau h(p), from the definitions."""
    top = max(q)
    if tau == 0:
        p = np.array([arb(0)] * len(q), dtype=object)
        p[list(q).index(top)] = arb(1)
        return p, top
    match regularizer:
        case Weighted():
            return _maximum(regularizer.base, q, tau * arb(float(regularizer.weight_s[state])), state)
        case Quadratic():
            x = sorted(q / tau, reverse=True)
            levels = [(sum(x[:k], arb(0)) - 1) / k for k in range(1, len(x) + 1)]
            level = [c for c, last in zip(levels, x, strict=True) if last > c][-1]
            p = np.array([max(a / tau - level, arb(0)) for a in q], dtype=object)
            return p, (p * q).sum() - tau * (p * p).sum() / 2
        case KLDivergence():
            weights = lifted(regularizer.reference_sa[state])
        case _:
            weights = np.array([arb(1)] * len(q), dtype=object)
    weights = weights * np.array([((a - top) / tau).exp() for a in q], dtype=object)
    return weights / weights.sum(), top + tau * weights.sum().log()


def exact_optimum(problem: Mdp) -> tuple[Numbers, Numbers, Numbers]:
    """V*, Q* and pi* in 60 digits, of the very floats of an MDP."""
    with ctx.workdps(60):
        P, r = lifted(problem.P_sat), lifted(problem.r_sa)
        return _newton(P, r, problem.gamma, problem.tau, problem.regularizer)


def exact_response_1(problem: ZeroSumGame, pi_sb: Array) -> Numbers:
    """Player 1's best value against a policy, in 60 digits; both regularisers by their definition."""
    with ctx.workdps(60):
        q = lifted(pi_sb)
        bonus = arb(problem.tau) * _exact_value(problem.regularizer_2, q)
        r = (lifted(problem.r_sab) * q[:, None, :]).sum(axis=-1) + bonus[:, None]
        P = (lifted(problem.P_sabt) * q[:, None, :, None]).sum(axis=2)
        return _newton(P, r, problem.gamma, problem.tau, problem.regularizer_1)[0]


def mirrored(problem: ZeroSumGame) -> ZeroSumGame:
    """The same game with the players' names exchanged: its values are the negatives."""
    return ZeroSumGame(
        np.swapaxes(problem.P_sabt, -3, -2),
        -np.swapaxes(problem.r_sab, -2, -1),
        problem.gamma,
        problem.rho_s,
        problem.tau,
        problem.regularizer_2,
        problem.regularizer_1,
    )


def _exact_value(regularizer: Regularizer, p: Numbers) -> Numbers:
    match regularizer:
        case Weighted():
            return np.asarray(lifted(regularizer.weight_s) * _exact_value(regularizer.base, p))
        case Quadratic():
            return np.asarray((p * p).sum(axis=-1) / 2)
        case KLDivergence():
            prior = lifted(regularizer.reference_sa)
        case _:
            prior = lifted(np.ones(p.shape))
    terms = [a * (a / m).log() if a > 0 else arb(0) for a, m in zip(p.flat, prior.flat, strict=True)]
    return np.asarray(np.array(terms, dtype=object).reshape(p.shape).sum(axis=-1))


def _newton(
    P: Numbers, r: Numbers, discount: float, temperature: float, regularizer: Regularizer
) -> tuple[Numbers, Numbers, Numbers]:
    n, gamma, tau = len(r), arb(discount), arb(temperature)
    v = lifted(np.zeros(n))
    for _ in range(400):
        q = _centres(r + gamma * (P @ v))
        best = [_maximum(regularizer, q[s], tau, s) for s in range(n)]
        pi = _centres(np.array([p for p, _ in best], dtype=object))
        residual = _centres(np.array([value for _, value in best], dtype=object) - v)
        if _size(residual) <= 1e-45 * (1.0 + _size(v)):
            return v, q, pi
        chain = (pi[:, :, None] * P).sum(axis=1)
        system = lifted(np.eye(n)) - gamma * chain
        step = arb_mat(n, n, list(system.flat)).solve(arb_mat(n, 1, list(residual)))
        v = _centres(v + np.array(step.entries(), dtype=object))
    raise AssertionError("the oracle did not converge")
