r"""PBRL: projected gradient descent on f + lambda p with an approximate penalty gradient.

Algorithm 1 (value and Bellman penalty) and update (5.12) (Nikaido-Isoda function) are one algorithm.
With z = (x, y), Z = X x Y, and in iteration k one call of each player's oracle::

    pi^_k    the oracles' policies, for each player's MDP at x_k and the other's policy
    g^       = grad f(z_k) + lambda grad^ p(z_k; pi^_k)
    z_{k+1}  = Proj_Z( z_k - alpha g^ )                                                 (4.4), (5.12)

An *estimator* says what grad^ p is.  Recorded with exact companions::

    F_lambda = f + lambda p
    G_lambda = ( z_k - Proj_Z( z_k - alpha grad F_lambda(z_k) ) ) / alpha               (4.5), (5.13)
    error    = | grad^ p - grad p |

and the two sides of Assumptions 3 and 7, whose running averages are compared:
20 lambda^2 error^2 and |z_{k+1} - z_k|^2 / alpha^2.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol

import numpy as np

from reference.algorithms.bilevel import Bilevel, ProblemT
from reference.algorithms.contract import Schedule, State, scheduled
from reference.algorithms.oracles import Oracle
from reference.algorithms.players import views
from reference.errors import InputError
from reference.evaluated import Evaluated
from reference.penalties.contract import Penalty
from reference.problems.mdp import Mdp
from reference.validation import Array, function, instance, provides, several


class Estimator(Protocol):
    """An approximate penalty and its gradients from approximate companions."""

    def __call__(
        self,
        penalty: Penalty[ProblemT],
        problem: ProblemT,
        x: Array,
        policies: tuple[Array, ...],
        companions: tuple[Array, ...],
    ) -> Evaluated:
        """Value and gradients in x and in the policies."""
        ...


def plug_in(
    penalty: Penalty[ProblemT],
    problem: ProblemT,
    x: Array,
    policies: tuple[Array, ...],
    companions: tuple[Array, ...],
) -> Evaluated:
    """The companions in place of the exact ones, throughout: (C.29), Section 5.3.

    For the Bellman penalty the gradient in the policy then has the companion's Q, not Q*.

    Raises
    ------
    InputError
        As the penalty, for a wrong point or number of policies or companions.
    """
    instance("penalty", penalty, Penalty)
    return penalty.evaluate(problem, x, policies, companions)


def exact_in_policies(
    penalty: Penalty[ProblemT],
    problem: ProblemT,
    x: Array,
    policies: tuple[Array, ...],
    companions: tuple[Array, ...],
) -> Evaluated:
    """The companions in the gradient in x only, as (C.31) is printed: the other part is exact.

    For the Bellman penalty this needs Q*, so it solves the lower level exactly.  For the value
    penalty it is the same as :func:`plug_in`, whose gradient in the policy needs no companion.

    Raises
    ------
    InputError
        As the penalty, for a wrong point or number of policies or companions.
    """
    instance("penalty", penalty, Penalty)
    estimate = penalty.evaluate(problem, x, policies, companions)
    exact = penalty.evaluate(problem, x, policies, penalty.companions(problem, x, policies))
    return Evaluated(estimate.value, estimate.grad_x, exact.grad_policies)


@dataclass(frozen=True, eq=False)
class PbrlRecord:
    """One iteration, seen with exact companions; arrays have the batch shape.

    Attributes
    ----------
    k : int
    f, penalty, penalized : (...)
        f, p and F_lambda at z_k.
    projected_gradient : (...)
        Norm of G_lambda(z_k), of (4.5) or (5.13).
    oracle_error : (...)
        Norm of grad^ p - grad p at z_k, in (x, y).
    error_term : (...)
        20 lambda^2 oracle_error^2, the left-hand side of Assumptions 3 and 7 before averaging.
    movement : (...)
        |z_{k+1} - z_k|^2 / alpha^2, on their right-hand side.
    """

    k: int
    f: Array
    penalty: Array
    penalized: Array
    projected_gradient: Array
    oracle_error: Array
    error_term: Array
    movement: Array


@dataclass(frozen=True, eq=False)
class Pbrl(Generic[ProblemT]):
    """Penalty-based bilevel reinforcement learning.

    Parameters
    ----------
    bilevel : Bilevel
    penalty : Penalty
    oracles : one Oracle per player
    step_size : Schedule
        The step alpha.
    strength : Schedule
        The penalty constant lambda.
    estimator : Estimator

    Raises
    ------
    InputError
        If a part is of another kind, or the number of oracles is not that of the players.
    """

    bilevel: Bilevel[ProblemT]
    penalty: Penalty[ProblemT]
    oracles: tuple[Oracle, ...]
    step_size: Schedule
    strength: Schedule
    estimator: Estimator = plug_in

    def __post_init__(self) -> None:
        instance("bilevel", self.bilevel, Bilevel)
        instance("penalty", self.penalty, Penalty)
        provides("step_size", self.step_size, Schedule)
        provides("strength", self.strength, Schedule)
        function("estimator", self.estimator)
        several("oracles", self.oracles, None, "give one oracle per player")
        if len(self.oracles) != len(self.bilevel.policy_maps):
            raise InputError(
                f"oracles has {len(self.oracles)} oracles and there are "
                f"{len(self.bilevel.policy_maps)} players: give one oracle per player"
            )
        for i, oracle in enumerate(self.oracles):
            provides(f"oracles[{i}]", oracle, Oracle)

    def start(self, x: Array, y: tuple[Array, ...] | None = None) -> State:
        """First state; the policies begin uniform if not given, and the oracles at the policies.

        Raises
        ------
        InputError
            As :meth:`Bilevel.start`; also if an oracle cannot start at its policy.
        """
        x, y = self.bilevel.start(x, y)
        policies = self.bilevel.policies(y)
        mdps = views(self.bilevel.problem.at(x), policies)
        states = zip(self.oracles, mdps, policies, strict=True)
        return State(0, x, y, tuple(oracle.start(mdp, pi) for oracle, mdp, pi in states))

    def step(self, state: State) -> State:
        """One call of each oracle and one update (4.4), (5.12).

        Raises
        ------
        InputError
            If the state belongs to another problem or other oracles, or the next one is not finite.
        NotDifferentiableError
            If an entropy meets a zero of a directly parameterised policy.
        """
        self._checked(state)
        bilevel = self.bilevel
        policies = bilevel.policies(state.y)
        mdps = views(bilevel.problem.at(state.x), policies)
        improved = tuple(
            oracle.improve(mdp, part)
            for oracle, mdp, part in zip(self.oracles, mdps, state.oracle, strict=True)
        )
        estimate = self._estimate(state.x, policies, mdps, improved)
        strength = scheduled("strength", self.strength, state.k)
        total = bilevel.evaluate(state.x, state.y) + strength * estimate
        x, y = self._descended(state, total)
        return State(state.k + 1, x, y, improved)

    def record(self, state: State, following: State) -> PbrlRecord:
        """Exact quantities of the iteration between two states.

        Raises
        ------
        InputError
            If a state belongs to another problem or other oracles.
        NotDifferentiableError
            If the exact companions are not unique, at tau = 0.
        """
        self._checked(state)
        self._checked(following, "following")
        bilevel, x, y = self.bilevel, state.x, state.y
        policies = bilevel.policies(y)
        mdps = views(bilevel.problem.at(x), policies)
        strength = scheduled("strength", self.strength, state.k)
        alpha = scheduled("step_size", self.step_size, state.k)
        f = bilevel.evaluate(x, y)
        companions = self.penalty.companions(bilevel.problem, x, policies)
        exact = self.penalty.evaluate(bilevel.problem, x, policies, companions)
        estimate = self._estimate(x, policies, mdps, following.oracle)
        error = bilevel.norm(
            estimate.grad_x - exact.grad_x,
            _minus(
                bilevel.pulled_to_y(y, estimate.grad_policies),
                bilevel.pulled_to_y(y, exact.grad_policies),
            ),
        )
        penalized = f + strength * exact
        bar_x, bar_y = self._descended(state, penalized)
        moved = bilevel.norm(following.x - x, _minus(following.y, y))
        return PbrlRecord(
            state.k,
            f.value,
            exact.value,
            penalized.value,
            bilevel.norm(x - bar_x, _minus(y, bar_y)) / alpha,
            error,
            20.0 * strength**2 * error**2,
            moved**2 / alpha**2,
        )

    def _checked(self, state: State, name: str = "state") -> None:
        instance(name, state, State)
        several(
            f"{name}.oracle", state.oracle, len(self.oracles), "use a state of this algorithm's start"
        )

    def _estimate(
        self, x: Array, policies: tuple[Array, ...], mdps: tuple[Mdp, ...], oracle: tuple[Array, ...]
    ) -> Evaluated:
        companions = tuple(
            o.policy(mdp, part) for o, mdp, part in zip(self.oracles, mdps, oracle, strict=True)
        )
        return self.estimator(self.penalty, self.bilevel.problem, x, policies, companions)

    def _descended(self, state: State, total: Evaluated) -> tuple[Array, tuple[Array, ...]]:
        """Proj_Z(z - alpha gradient)."""
        alpha = scheduled("step_size", self.step_size, state.k)
        grad_y = self.bilevel.pulled_to_y(state.y, total.grad_policies)
        y = tuple(part - alpha * g for part, g in zip(state.y, grad_y, strict=True))
        return self.bilevel.projected(state.x - alpha * total.grad_x, y)


def _minus(a: tuple[Array, ...], b: tuple[Array, ...]) -> tuple[Array, ...]:
    return tuple(p - q for p, q in zip(a, b, strict=True))


def oracle_accuracy(records: Sequence[PbrlRecord]) -> tuple[Array, Array]:
    """Running averages of both sides of Assumption 3 (or 7) after 1, 2, ... iterations.

    Returns
    -------
    error_term, movement : (K, ...)
        The assumption holds after k iterations with accuracy max(0, error_term - movement).

    Raises
    ------
    InputError
        If the records are not those of consecutive iterations.
    """
    several("records", records, None, "give the records of a run")
    for i, record in enumerate(records):
        instance(f"records[{i}]", record, PbrlRecord)
    if not records or any(b.k != a.k + 1 for a, b in itertools.pairwise(records)):
        raise InputError(
            "running averages need the records of consecutive iterations: run with record_every=1"
        )
    counts = np.arange(1.0, len(records) + 1.0)

    def averages(values: list[Array]) -> Array:
        stacked = np.stack(values)
        total = np.cumsum(stacked, axis=0)
        return np.asarray(total / counts.reshape(-1, *[1] * (stacked.ndim - 1)))

    return averages([r.error_term for r in records]), averages([r.movement for r in records])
