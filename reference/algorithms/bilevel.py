"""A bilevel problem as the algorithms see it: problem, upper objective and policy maps, together."""

from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from reference.algorithms.contract import Record, State
from reference.algorithms.players import Problem, sizes
from reference.domains import member, point, some_point
from reference.errors import InputError
from reference.evaluated import Evaluated
from reference.objectives.contract import Objective
from reference.penalties.contract import Penalty
from reference.policies import PolicyMap
from reference.validation import Array, instance, provides, real_array, scalar, several

_ONE_PER_POLICY = "give one array of parameters per policy"

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
        If a part is of another kind, or the number of maps is not that of the players.
    """

    problem: ProblemT
    objective: Objective[ProblemT]
    policy_maps: tuple[PolicyMap, ...]

    def __post_init__(self) -> None:
        provides("problem", self.problem, Problem)
        instance("objective", self.objective, Objective)
        several("policy_maps", self.policy_maps, None, "give one map per player")
        players = len(sizes(self.problem.at(some_point(self.problem.domain))))
        if len(self.policy_maps) != players:
            raise InputError(
                f"policy_maps has {len(self.policy_maps)} maps and the lower level {players} players: "
                "give one map per player"
            )
        for i, policy_map in enumerate(self.policy_maps):
            provides(f"policy_maps[{i}]", policy_map, PolicyMap)

    def policies(self, y: tuple[Array, ...]) -> tuple[Array, ...]:
        """Policy of each player.

        Raises
        ------
        InputError
            If there is not one finite array of the right shape per policy.
        """
        return tuple(m(part) for m, part in zip(self.policy_maps, self._parameters(y), strict=True))

    def _parameters(self, y: tuple[Array, ...]) -> tuple[Array, ...]:
        parts = several("y", y, len(self.policy_maps), _ONE_PER_POLICY)
        domains = (m.domain for m in self.policy_maps)
        return tuple(
            point(f"y[{i}]", part, domain)
            for i, (part, domain) in enumerate(zip(parts, domains, strict=True))
        )

    def pulled_to_y(self, y: tuple[Array, ...], gradients: tuple[Array, ...]) -> tuple[Array, ...]:
        """Gradients in the parameters from gradients in the entries of the policies.

        Raises
        ------
        InputError
            If there is not one array of the right shape per policy, in either.
        NotDifferentiableError
            As the pullbacks of the maps.
        """
        gradients = several(
            "gradients", gradients, len(self.policy_maps), "give one gradient per policy"
        )
        # Not held to be finite: a policy map decides what an infinite gradient means.
        gradients = tuple(
            real_array(f"gradients[{i}]", g, finite=False) for i, g in enumerate(gradients)
        )
        y = self._parameters(y)
        for i, (m, part, g) in enumerate(zip(self.policy_maps, y, gradients, strict=True)):
            shape = m(part).shape
            if g.shape != shape:
                raise InputError(
                    f"gradients[{i}] has shape {g.shape} and the policy {shape}: give one gradient per "
                    "entry of the policy"
                )
        return tuple(
            m.pullback(part, g) for m, part, g in zip(self.policy_maps, y, gradients, strict=True)
        )

    def projected_y(self, y: tuple[Array, ...]) -> tuple[Array, ...]:
        """Nearest point of Y.

        Raises
        ------
        InputError
            If there is not one finite array of the right shape per policy.
        """
        parts = self._parameters(y)
        return tuple(m.domain.project(part) for m, part in zip(self.policy_maps, parts, strict=True))

    def projected(self, x: Array, y: tuple[Array, ...]) -> tuple[Array, tuple[Array, ...]]:
        """Nearest point of Z = X x Y.

        Raises
        ------
        InputError
            If a part is no finite array of the right shape.
        """
        return self.problem.domain.project(point("x", x, self.problem.domain)), self.projected_y(y)

    def norm(self, x: Array, y: tuple[Array, ...]) -> Array:
        """Euclidean norm of a vector (x, y), per problem of a batch.

        Raises
        ------
        InputError
            If a part is no finite array of the right shape.
        """
        x, y = point("x", x, self.problem.domain), self._parameters(y)
        domains = (self.problem.domain, *(m.domain for m in self.policy_maps))
        total = sum(
            (part * part).sum(axis=tuple(range(-len(domain.shape), 0)))
            for part, domain in zip((x, *y), domains, strict=True)
        )
        return np.asarray(np.sqrt(total))

    def evaluate(self, x: Array, y: tuple[Array, ...]) -> Evaluated:
        """The upper objective with gradients in x and in the entries of the policies.

        Raises
        ------
        InputError
            If x is outside its domain, there is not one array of the right shape per policy, or the
            objective gives something else than a value and as many gradients.
        """
        upper = self.objective.evaluate(self.problem, x, self.policies(y))
        instance("the value of the objective", upper, Evaluated)
        several("grad_policies", upper.grad_policies, len(self.policy_maps), "give one per policy")
        return upper

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
        y = several("y", y, len(self.policy_maps), _ONE_PER_POLICY)
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

    def record(
        self,
        penalty: Penalty[ProblemT],
        state: State,
        following: State,
        step_x: float | None,
        step_y: float | None,
    ) -> Record:
        """Upper objective and exact penalty at a state, and the projected gradients that led on from it.

        Parameters
        ----------
        penalty : Penalty
        state, following : State
        step_x, step_y : float or None
            Step sizes; None for what follows no gradient of its own.

        Raises
        ------
        InputError
            If a state or the penalty belongs to another problem, or a step is not a positive number.
        NotDifferentiableError
            If the penalty's companions are not unique, at tau = 0.
        """
        instance("penalty", penalty, Penalty)
        instance("state", state, State)
        instance("following", following, State)
        before_x, after_x = (point("x", z.x, self.problem.domain) for z in (state, following))
        moved_x = _over("step_x", after_x - before_x, step_x)
        pairs = zip(self._parameters(state.y), self._parameters(following.y), strict=True)
        moved_y = tuple(_over("step_y", after - before, step_y) for before, after in pairs)
        policies = self.policies(state.y)
        companions = penalty.companions(self.problem, state.x, policies)
        exact = penalty.evaluate(self.problem, state.x, policies, companions)
        f = self.evaluate(state.x, state.y).value
        return Record(state.k, f, exact.value, self.norm(moved_x, moved_y))


def _over(name: str, moved: Array, step: float | None) -> Array:
    if step is None:
        return np.zeros_like(moved)
    return moved / scalar(name, step, low=0.0, open_low=True)
