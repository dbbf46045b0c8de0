"""A bilevel problem as the algorithms see it: problem, upper objective and policy maps, together."""

from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from reference.algorithms.contract import Record, State
from reference.algorithms.players import Problem, sizes
from reference.domains import member, some_point
from reference.errors import InputError
from reference.evaluated import Evaluated
from reference.objectives.contract import Objective
from reference.penalties.contract import Penalty
from reference.policies import PolicyMap
from reference.validation import Array, provides

ProblemT = TypeVar("ProblemT", bound=Problem)


@dataclass(frozen=True, eq=False)
class Bilevel(Generic[ProblemT]):
    """Minimise f(x, pi_y) over x, with the policies pi_y solving the lower level at x.

    Parameters
    ----------
    problem : Problem
        Gives X and the lower level: a parametric MDP or a parametric zero-sum game.
    objective : Objective
    policy_maps : one PolicyMap per player

    Raises
    ------
    InputError
        If the number of maps is not that of the players.
    """

    problem: ProblemT
    objective: Objective[ProblemT]
    policy_maps: tuple[PolicyMap, ...]

    def __post_init__(self) -> None:
        provides("problem", self.problem, Problem)
        players = len(sizes(self.problem.at(some_point(self.problem.domain))))
        if len(self.policy_maps) != players:
            raise InputError(
                f"policy_maps has {len(self.policy_maps)} maps and the lower level {players} players: "
                "give one map per player"
            )
        for i, policy_map in enumerate(self.policy_maps):
            provides(f"policy_maps[{i}]", policy_map, PolicyMap)

    def policies(self, y: tuple[Array, ...]) -> tuple[Array, ...]:
        """Policy of each player."""
        return tuple(m(part) for m, part in zip(self.policy_maps, y, strict=True))

    def pulled_to_y(self, y: tuple[Array, ...], gradients: tuple[Array, ...]) -> tuple[Array, ...]:
        """Gradients in the parameters from gradients in the entries of the policies."""
        return tuple(
            m.pullback(part, g) for m, part, g in zip(self.policy_maps, y, gradients, strict=True)
        )

    def projected_y(self, y: tuple[Array, ...]) -> tuple[Array, ...]:
        """Nearest point of Y."""
        return tuple(m.domain.project(part) for m, part in zip(self.policy_maps, y, strict=True))

    def projected(self, x: Array, y: tuple[Array, ...]) -> tuple[Array, tuple[Array, ...]]:
        """Nearest point of Z = X x Y."""
        return self.problem.domain.project(x), self.projected_y(y)

    def norm(self, x: Array, y: tuple[Array, ...]) -> Array:
        """Euclidean norm of a vector (x, y), per problem of a batch."""
        domains = (self.problem.domain, *(m.domain for m in self.policy_maps))
        total = sum(
            (part * part).sum(axis=tuple(range(-len(domain.shape), 0)))
            for part, domain in zip((x, *y), domains, strict=True)
        )
        return np.asarray(np.sqrt(total))

    def evaluate(self, x: Array, y: tuple[Array, ...]) -> Evaluated:
        """The upper objective with gradients in x and in the entries of the policies."""
        return self.objective.evaluate(self.problem, x, self.policies(y))

    def start(self, x: Array, y: tuple[Array, ...] | None) -> tuple[Array, tuple[Array, ...]]:
        """Check a first point; without y, the policies begin uniform.

        Raises
        ------
        InputError
            If a point is outside its domain, the batch axes of x, of each y and of the problem are
            not the same, or a policy has another shape than the problem.
        """
        x = member("x", x, self.problem.domain)
        batch = x.shape[: x.ndim - len(self.problem.domain.shape)]
        if y is None:
            shapes = sizes(self.problem.at(x))
            uniform = (np.full((*batch, s, a), 1.0 / a) for s, a in shapes)
            y = tuple(m.inverse(pi) for m, pi in zip(self.policy_maps, uniform, strict=True))
        if len(y) != len(self.policy_maps):
            raise InputError(
                f"y has {len(y)} arrays and there are {len(self.policy_maps)} policies: give one "
                "array of parameters per policy"
            )
        domains = tuple(m.domain for m in self.policy_maps)
        y = tuple(member(f"y[{i}]", part, d) for i, (part, d) in enumerate(zip(y, domains, strict=True)))
        for i, (part, domain) in enumerate(zip(y, domains, strict=True)):
            if part.shape[: part.ndim - len(domain.shape)] != batch:
                raise InputError(
                    f"y[{i}] has shape {part.shape} and x {x.shape}: give both the same batch axes"
                )
        value = self.evaluate(x, y).value
        if value.shape != batch:
            raise InputError(
                f"x has the batch axes {batch} and the problem at x {value.shape}: repeat x and y for "
                "each problem of the batch"
            )
        return x, y

    def record(self, penalty: Penalty[ProblemT], state: State) -> Record:
        """Upper objective and exact penalty at a state."""
        policies = self.policies(state.y)
        companions = penalty.companions(self.problem, state.x, policies)
        exact = penalty.evaluate(self.problem, state.x, policies, companions)
        return Record(state.k, self.evaluate(state.x, state.y).value, exact.value)
