"""A bilevel problem of tensors as the algorithms see it: problem, objective, policy maps and X."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, Self, TypeVar

import torch
from torch import Tensor

from sampled import conversion
from sampled.algorithms.contract import State
from sampled.domains import Domain
from sampled.errors import InputError
from sampled.expectations import Expectation, Term, combined
from sampled.laws import Alias, SamplerKind
from sampled.maps import PolicyMap, SoftmaxPolicy
from sampled.objectives import incentive_design, reward_shaping, rlhf, stackelberg
from sampled.objectives.contract import Objective
from sampled.problems import Family, IncentiveDesign, RewardShaping, Rlhf, StackelbergGame, Task
from sampled.processes import Lower, leader_policy
from sampled.validation import distributions, finite, floating, instance, provides, several

ProblemT = TypeVar("ProblemT", bound=Lower)


def leaves(parts: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """The same numbers, as what to differentiate in."""
    return tuple(part.detach().requires_grad_() for part in parts)


@dataclass(frozen=True, eq=False)
class Bilevel(Generic[ProblemT]):
    """Minimise f(x, pi_y) over x of X, with the policies pi_y solving the lower level at x.

    Parameters
    ----------
    problem : problem
        Of :mod:`sampled.problems`; P problems at once.
    objective : Objective
    policy_maps : one PolicyMap per player
    domain : Domain
        X.

    Raises
    ------
    InputError
        If a part is of another kind, or the number of maps is not that of the players.
    """

    problem: ProblemT
    objective: Objective[ProblemT]
    policy_maps: tuple[PolicyMap, ...]
    domain: Domain

    def __post_init__(self) -> None:
        instance("objective", self.objective, Objective)
        provides("domain", self.domain, Domain)
        several("policy_maps", self.policy_maps, len(self.sizes), "give one map per player")
        for i, policy_map in enumerate(self.policy_maps):
            provides(f"policy_maps[{i}]", policy_map, PolicyMap)

    @property
    def like_ps(self) -> Tensor:
        """A tensor (P, S) of the problem's dtype, on its device."""
        return _rho(self.problem)

    @property
    def sizes(self) -> tuple[tuple[int, int], ...]:
        """(states, actions) of each player's policy."""
        n_states = self.like_ps.shape[1]
        return tuple((n_states, n) for n in _actions(self.problem))

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one problem's x."""
        return _shape(self.problem)

    def policies(self, y: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Policy of each player."""
        return tuple(m(part) for m, part in zip(self.policy_maps, y, strict=True))

    def projected_y(self, y: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Nearest point of Y."""
        return tuple(m.domain.project(part) for m, part in zip(self.policy_maps, y, strict=True))

    def evaluate(
        self,
        x: Tensor,
        policies: Sequence[Tensor],
        lower: Sequence[Term],
        mean: Expectation,
    ) -> tuple[Tensor, Tensor]:
        """The objective, and a combination of other processes drawn together with it.

        Parameters
        ----------
        x : (P, *shape)
        policies : one (P, S, A) per player
        lower : sequence of terms
        mean : Expectation

        Returns
        -------
        two tensors ()
            Sums over the problems, so that derivatives are all problems' gradients.
        """
        problem = self.problem
        upper = () if self.objective.terms is None else self.objective.terms(problem, x, policies)
        values = mean.values([process for _, process in (*upper, *lower)])
        parts = [sign * v.sum() for (sign, _), v in zip((*upper, *lower), values, strict=True)]
        f, rest = _sum(parts[: len(upper)], x), _sum(parts[len(upper) :], x)
        if self.objective.terms is None:
            f = self.objective.estimate(problem, x, policies, mean).sum()
        return f, rest

    @property
    def signs(self) -> tuple[float, ...]:
        """What each player earns of the lower level's value: player 2 of a zero-sum game, minus it."""
        return (1.0, -1.0)[: len(self.policy_maps)]

    def at(self, x: Tensor) -> Self:
        """The same with the problem's maps evaluated at x, once for all processes; differentiable in x.

        Use it with this very x.
        """
        given: Any = self.problem
        return replace(self, problem=given.settled(x))

    def checked(self, state: State) -> State:
        """Return a state of this problem.

        Raises
        ------
        InputError
            If it is of another one, or in another dtype or on another device.
        """
        instance("state", state, State)
        problems = self.like_ps.shape[0]
        several("y", state.y, len(self.policy_maps), "use a state of this algorithm's start")
        wanted = {"x": (problems, *self.shape)}
        wanted |= {f"y[{i}]": (problems, *size) for i, size in enumerate(self.sizes)}
        for name, part in zip(wanted, (state.x, *state.y), strict=True):
            if tuple(part.shape) != wanted[name]:
                raise InputError(
                    f"{name} has shape {tuple(part.shape)} and the problem {wanted[name]}: use a state "
                    "of this algorithm's start"
                )
            _alike(name, part, self.like_ps)
        return state

    def admitted(self, state: State) -> State:
        """Return a state from which to go on: of this problem, with x and y in their domains.

        Iterations trust what they are given, so this is asked once, where a run begins.

        Raises
        ------
        InputError
            As :meth:`checked` and :meth:`start`.
        """
        self.start(state.key_p, self.checked(state).x, state.y)
        return state

    def start(self, key_p: Tensor, x: Tensor | None, y: tuple[Tensor, ...] | None) -> State:
        """First state, without oracles and memory.

        Raises
        ------
        InputError
            If a part has another shape, dtype or device than the problem, or lies outside its domain,
            or a policy is no distribution.
        """
        like_ps, problems = self.like_ps, self.like_ps.shape[0]
        if x is None:
            x = self.domain.project(like_ps.new_zeros((problems, *self.shape)))
        if y is None:
            uniform = (like_ps.new_full((problems, s, a), 1.0 / a) for s, a in self.sizes)
            y = tuple(m.inverse(pi) for m, pi in zip(self.policy_maps, uniform, strict=True))
        several("y", y, len(self.policy_maps), "give one tensor of parameters per player")
        x = _member("x", x, (problems, *self.shape), self.domain, like_ps)
        y = tuple(
            _member(f"y[{i}]", part, (problems, *size), m.domain, like_ps)
            for i, (part, size, m) in enumerate(zip(y, self.sizes, self.policy_maps, strict=True))
        )
        # The samplers of an iteration trust what they are given.
        for i, pi_psa in enumerate(self.policies(y)):
            distributions(f"policies[{i}]", pi_psa)
        if isinstance(self.problem, StackelbergGame):
            distributions("pi_x", leader_policy(self.problem, x))
        instance("key_p", key_p, Tensor)
        return State(0, x, y, (), (), key_p, torch.zeros_like(key_p))


def _member(name: str, value: Tensor, shape: tuple[int, ...], domain: Domain, like: Tensor) -> Tensor:
    floating(name, value)
    if tuple(value.shape) != shape:
        raise InputError(f"{name} has shape {tuple(value.shape)}; it must be {shape}: one per problem")
    _alike(name, value, like)
    value = finite(name, value.detach())
    allowed = 64 * torch.finfo(value.dtype).eps * (1.0 + value.abs())
    if ((domain.project(value) - value).abs() > allowed).any():
        raise InputError(f"{name} lies outside its domain {domain}: project it first")
    return value


def _alike(name: str, value: Tensor, like: Tensor) -> None:
    if (value.dtype, value.device) != (like.dtype, like.device):
        raise InputError(
            f"{name} is {value.dtype} on {value.device} and the problem {like.dtype} on {like.device}: "
            f"convert {name} with .to(...)"
        )


def _rho(problem: Lower) -> Tensor:
    match problem:
        case StackelbergGame():
            return problem.dynamics.rho_ps
        case IncentiveDesign():
            return problem.game.rho_ps
        case Rlhf():
            return problem.lower.rho_ps
        case RewardShaping():
            return problem.shaped.rho_ps
        case Family():
            return problem.rho_ps
    raise InputError(f"the problem is {type(problem).__name__}; it must be one of sampled.problems")


def _family(problem: Lower) -> Family:
    match problem:
        case IncentiveDesign():
            return problem.game
        case Rlhf():
            return problem.lower
        case RewardShaping():
            return problem.shaped
        case Family():
            return problem
    raise InputError(f"the problem is {type(problem).__name__}; it has no parametric lower level")


def _actions(problem: Lower) -> tuple[int, ...]:
    if isinstance(problem, StackelbergGame):
        return problem.dynamics.n_actions[1:]
    return _family(problem).n_actions


def _shape(problem: Lower) -> tuple[int, ...]:
    return problem.shape if isinstance(problem, StackelbergGame) else _family(problem).shape


def _sum(parts: Sequence[Tensor], like: Tensor) -> Tensor:
    return torch.stack(tuple(parts)).sum() if parts else like.new_zeros(())


def total(terms: Sequence[Term], mean: Expectation) -> Tensor:
    """Sum over the problems of the values of processes, each times its coefficient."""
    return combined(terms, mean).sum()


def gradients(total: Tensor, parameters: Sequence[Tensor], *, keep: bool = False) -> tuple[Tensor, ...]:
    """Gradients of a number; zero in what it does not depend on."""
    return torch.autograd.grad(
        total, parameters, retain_graph=keep, allow_unused=True, materialize_grads=True
    )


SOFTMAX = SoftmaxPolicy()


def bilevel(
    problem: conversion.ReferenceProblem,
    *,
    policy: PolicyMap = SOFTMAX,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float64,
    sampler: SamplerKind = Alias,
) -> Bilevel[Any]:
    """Return the bilevel problem of tensors of an application of ``reference``.

    Parameters
    ----------
    problem : StackelbergGame, IncentiveDesign, Rlhf or RewardShaping
        Stack several by ``reference.problems.structure.stack``.
    policy : PolicyMap
        Of all players.
    device, dtype, sampler
        See :func:`sampled.conversion.tensors`.

    Raises
    ------
    InputError
        If it is another problem, or a part has no counterpart in tensors.
    """
    own = conversion.tensors(problem, device=device, dtype=dtype, sampler=sampler)
    if isinstance(own, Task | Family):
        raise InputError(
            f"the problem is {type(problem).__name__}, which has no upper objective: build Bilevel from "
            "its tensors and an objective"
        )
    domain = conversion.domain(problem, device=device, dtype=dtype)
    match own:
        case StackelbergGame():
            return Bilevel(own, stackelberg.OBJECTIVE, (policy,), domain)
        case IncentiveDesign():
            return Bilevel(own, incentive_design.OBJECTIVE, (policy, policy), domain)
        case Rlhf():
            return Bilevel(own, rlhf.OBJECTIVE, (policy,), domain)
        case RewardShaping():
            return Bilevel(own, reward_shaping.OBJECTIVE, (policy,), domain)
