"""Exact policy iteration at tau = 0: this project's against QuantEcon's DiscreteDP, side by side.

Run ``python benchmarks/policy_iteration.py`` after ``pip install -c constraints.txt -e ".[bench]"``.
Both solve the same dense MDP, given and checked beforehand; the runs alternate, each pair gives one
ratio of times, and the table shows medians.  A ratio below 1 means that this project is faster; it alone
returns an error bound.
"""

import argparse
from collections.abc import Callable
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
from quantecon.markov import DiscreteDP  # type: ignore[import-untyped]  # it ships no types

from reference.optimality import Optimum, policy_iteration
from reference.problems.mdp import Mdp
from reference.regularizers import Quadratic
from reference.validation import Array

SIZES = ((400, 5), (400, 25), (1000, 5), (1000, 25))


def dense(generator: np.random.Generator, n_states: int, n_actions: int) -> Array:
    """Random rows that reach every state in one step: mixes at once, few iterations."""
    P_sat = generator.random((n_states, n_actions, n_states))
    return np.asarray(P_sat / P_sat.sum(axis=-1, keepdims=True))


def local(generator: np.random.Generator, n_states: int, n_actions: int) -> Array:
    """Random moves by at most three states around a ring: mixes slowly, more iterations."""
    P_sat = np.zeros((n_states, n_actions, n_states))
    here = np.arange(n_states)
    for action in range(n_actions):
        for offset, weight in zip(range(-3, 4), generator.dirichlet(np.full(7, 0.3)), strict=True):
            P_sat[here, action, (here + offset) % n_states] += weight
    return P_sat


def seconds(run: Callable[[], Any]) -> tuple[float, Any]:
    """Time of one run, and its result."""
    start = perf_counter()
    result = run()
    return perf_counter() - start, result


def compare(mdp: Mdp, repeats: int) -> tuple[float, float, float, int, int]:
    """Median times of both, the median ratio, and the numbers of iterations."""
    theirs = DiscreteDP(mdp.r_sa, mdp.P_sat, mdp.gamma)
    own_times, their_times = [], []
    for i in range(repeats + 1):
        own_time, own = seconds(lambda: policy_iteration(mdp))
        their_time, their = seconds(lambda: theirs.solve(method="policy_iteration"))
        assert isinstance(own, Optimum)
        # QuantEcon's solution is of the same accuracy, so the two differ by at most two bounds.
        assert np.abs(own.v_s - their.v).max() <= 2.0 * own.error
        if i > 0:  # the first pair warms up
            own_times.append(own_time)
            their_times.append(their_time)
    ratios = [a / b for a, b in zip(own_times, their_times, strict=True)]
    return median(own_times), median(their_times), median(ratios), own.iterations, their.num_iter


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=9, help="pairs of runs per row")
    parser.add_argument("--gamma", type=float, default=0.95)
    arguments = parser.parse_args()
    header = f"{'ours / ms':>12}{'QuantEcon / ms':>16}{'ratio':>8}  iterations"
    print(f"{'transitions':<12}{'S':>6}{'A':>4}{header}")
    for kind in (dense, local):
        for n_states, n_actions in SIZES:
            generator = np.random.default_rng(0)
            mdp = Mdp(
                kind(generator, n_states, n_actions),
                generator.standard_normal((n_states, n_actions)),
                arguments.gamma,
                np.full(n_states, 1.0 / n_states),
                0.0,
                Quadratic(),
            )
            own, their, ratio, own_steps, their_steps = compare(mdp, arguments.repeats)
            print(
                f"{kind.__name__:<12}{n_states:>6}{n_actions:>4}{1e3 * own:>12.1f}{1e3 * their:>16.1f}"
                f"{ratio:>8.2f}  {own_steps} and {their_steps}"
            )


if __name__ == "__main__":
    main()
