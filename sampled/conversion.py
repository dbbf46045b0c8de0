r"""From a problem of ``reference`` to its counterpart of tensors, on one device and in one dtype.

A problem without a batch axis gets one of length one; several problems of one shape are stacked by
``reference.problems.structure.stack`` first.  Samplers are built from the float64 probabilities,
whatever the dtype of the rest.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import prod
from typing import Any, overload

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from reference.problems import incentive_design, mdp, parametrizations, reward_shaping, rlhf, stackelberg
from reference.problems import zero_sum_game as games
from sampled import domains, labels, maps
from sampled.domains import Domain
from sampled.errors import InputError
from sampled.labels import LabelRule
from sampled.laws import Alias, SamplerKind
from sampled.maps import DifferentiableMap
from sampled.problems import Family, IncentiveDesign, RewardShaping, Rlhf, StackelbergGame, Task
from sampled.regularizers import KLDivergence, NegativeEntropy, Quadratic, Regularizer, Weighted
from sampled.simulator import Dynamics
from sampled.validation import FLOATING

Array = npt.NDArray[np.float64]

ReferenceProblem = (
    mdp.Mdp
    | games.ZeroSumGame
    | mdp.MdpFamily
    | games.GameFamily
    | stackelberg.StackelbergGame
    | incentive_design.IncentiveDesign
    | rlhf.Rlhf
    | reward_shaping.RewardShaping
)
Problem = Task | Family | StackelbergGame | IncentiveDesign | Rlhf | RewardShaping


@overload
def tensors(
    problem: mdp.Mdp | games.ZeroSumGame,
    *,
    device: torch.device | str = ...,
    dtype: torch.dtype = ...,
    sampler: SamplerKind = ...,
) -> Task: ...
@overload
def tensors(
    problem: mdp.MdpFamily | games.GameFamily,
    *,
    device: torch.device | str = ...,
    dtype: torch.dtype = ...,
    sampler: SamplerKind = ...,
) -> Family: ...
@overload
def tensors(
    problem: stackelberg.StackelbergGame,
    *,
    device: torch.device | str = ...,
    dtype: torch.dtype = ...,
    sampler: SamplerKind = ...,
) -> StackelbergGame: ...
@overload
def tensors(
    problem: incentive_design.IncentiveDesign,
    *,
    device: torch.device | str = ...,
    dtype: torch.dtype = ...,
    sampler: SamplerKind = ...,
) -> IncentiveDesign: ...
@overload
def tensors(
    problem: rlhf.Rlhf,
    *,
    device: torch.device | str = ...,
    dtype: torch.dtype = ...,
    sampler: SamplerKind = ...,
) -> Rlhf: ...
@overload
def tensors(
    problem: reward_shaping.RewardShaping,
    *,
    device: torch.device | str = ...,
    dtype: torch.dtype = ...,
    sampler: SamplerKind = ...,
) -> RewardShaping: ...


def tensors(
    problem: ReferenceProblem,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float64,
    sampler: SamplerKind = Alias,
) -> Problem:
    """Return the torch counterpart of a problem of ``reference``.

    Parameters
    ----------
    problem : problem
        With no batch axis, or with one: stack problems of one shape by
        ``reference.problems.structure.stack``.
    device : torch.device or str
    dtype : torch.dtype
        float64 or float32.
    sampler : SamplerKind
        Of start and transitions.

    Returns
    -------
    Task, Family, StackelbergGame, IncentiveDesign, Rlhf or RewardShaping

    Raises
    ------
    InputError
        If the problem is of another kind, has more batch axes, or has a part without a counterpart, or
        there is no such device or dtype.
    """
    place = _Place(usable_device(device), _dtype(dtype), sampler, _problems(problem))
    match problem:
        case mdp.Mdp() | games.ZeroSumGame():
            return place.task(problem)
        case mdp.MdpFamily() | games.GameFamily():
            return place.family(problem)
        case stackelberg.StackelbergGame():
            return place.stackelberg(problem)
        case incentive_design.IncentiveDesign():
            return place.incentive_design(problem)
        case rlhf.Rlhf():
            return Rlhf(
                place.family(problem.lower),
                place.tensor(problem.r_true_sa, 2),
                problem.segment_length,
                _label_rule(problem.labels),
                problem.delay,
            )
        case reward_shaping.RewardShaping():
            return RewardShaping(place.task(problem.original), place.family(problem.shaped))


def domain(
    problem: ReferenceProblem,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float64,
) -> Domain:
    """Return the set X of a problem of ``reference``.

    Raises
    ------
    InputError
        If the problem has no x, or its domain has no counterpart, or there is no such device or dtype.
    """
    given: Any = getattr(problem, "domain", None)
    device, dtype = usable_device(device), _dtype(dtype)

    def tensor(array: Array) -> Tensor:
        return torch.tensor(array, dtype=dtype, device=device)

    match type(given).__name__:
        case "Euclidean":
            return domains.Euclidean()
        case "Box":
            return domains.Box(tensor(given.low), tensor(given.high))
        case "Ball":
            return domains.Ball(tensor(given.centre), given.radius)
        case "Simplices":
            return domains.Simplices()
    raise _no_counterpart("domain", given)


def usable_device(device: torch.device | str) -> torch.device:
    """Return a device that this PyTorch can put tensors on.

    Raises
    ------
    InputError
        If it has none of this name.
    """
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError, TypeError) as error:
        raise InputError(
            f"device is {device!r}, which this PyTorch cannot use ({str(error).splitlines()[0]}): "
            'name one that it has, such as "cpu"'
        ) from error


def _dtype(dtype: torch.dtype) -> torch.dtype:
    if dtype not in FLOATING:
        raise InputError(f"dtype is {dtype}; it must be float32 or float64: torch.float64")
    return dtype


@dataclass(frozen=True, eq=False)
class _Place:
    """Where tensors go, and how many problems they hold."""

    device: torch.device
    dtype: torch.dtype
    sampler: SamplerKind
    problems: int

    def precise(self, array: Array, axes: int) -> Tensor:
        """A float64 tensor (P, ...) of an array whose last ``axes`` are one problem's."""
        given = torch.tensor(array, dtype=torch.float64, device=self.device)
        return given.expand(self.problems, *given.shape[given.ndim - axes :])

    def tensor(self, array: Array, axes: int) -> Tensor:
        """The same in the chosen dtype."""
        return self.precise(array, axes).to(self.dtype)

    def dynamics(self, P_sabt: Array, rho_s: Array, players: int) -> Dynamics:
        """Dynamics of transitions (..., S, A, S) or (..., S, A, B, S)."""
        P_psabt, rho_ps = self.precise(P_sabt, players + 2), self.precise(rho_s, 1)
        return Dynamics.of(P_psabt, rho_ps, dtype=self.dtype, sampler=self.sampler)

    def task(self, problem: mdp.Mdp | games.ZeroSumGame) -> Task:
        """An MDP or game without parameters."""
        P, r, _, rules = _parts(problem)
        players = len(rules)
        reward = self.tensor(r, players + 1)
        return Task(
            self.dynamics(P, problem.rho_s, players).ending(reward),
            reward,
            problem.gamma,
            problem.tau,
            tuple(map(self.regularizer, rules)),
        )

    def family(self, family: object) -> Family:
        """A parametric MDP or game, from its reward map and its kernel."""
        if not isinstance(family, mdp.MdpFamily | games.GameFamily):
            raise InputError(
                f"the lower level is {type(family).__name__}; only an MdpFamily or a GameFamily can be "
                "converted: build a sampled.problems.Family of your own maps"
            )
        P, _, n_actions, rules = _parts(_some(family))
        players, shape = len(rules), family.domain.shape
        is_fixed = isinstance(family.kernel, parametrizations.FixedKernel)
        return Family(
            self.reward(family.reward, players, len(shape)),
            self.kernel(family.kernel, len(shape)),
            self.dynamics(P, family.rho_s, players) if is_fixed else None,
            self.tensor(family.rho_s, 1),
            n_actions,
            shape,
            family.gamma,
            family.tau,
            tuple(map(self.regularizer, rules)),
            self.sampler,
        )

    def stackelberg(self, game: stackelberg.StackelbergGame) -> StackelbergGame:
        """A Stackelberg game."""
        r_leader, r_follower = self.tensor(game.r_leader_sab, 3), self.tensor(game.r_follower_sab, 3)
        return StackelbergGame(
            self.dynamics(game.P_sabt, game.rho_s, 2).ending(r_leader, r_follower),
            r_leader,
            r_follower,
            game.gamma,
            game.tau,
            self.regularizer(game.regularizer),
            _policy_map(game.leader),
            game.tau_leader,
            self.regularizer(game.regularizer_leader),
            game.domain.shape,
        )

    def incentive_design(self, problem: incentive_design.IncentiveDesign) -> IncentiveDesign:
        """An incentive problem; the designer starts where the players do."""
        rho_s = _some(problem.game).rho_s
        r_design, cost = self.tensor(problem.r_design_sab, 3), self.tensor(problem.cost_s, 1)
        designer = self.dynamics(problem.P_design_sabt, rho_s, 2)
        net = r_design - cost[..., None, None]
        return IncentiveDesign(self.family(problem.game), designer.ending(net), r_design, cost)

    def reward(self, reward: object, players: int, parameter_axes: int) -> DifferentiableMap:
        """A map of rewards."""
        axes = players + 1
        match reward:
            case parametrizations.TabularReward():
                return maps.TabularReward()
            case parametrizations.FixedReward():
                return maps.FixedReward(self.tensor(reward.r_sa, axes))
            case parametrizations.LinearReward():
                features = self.tensor(reward.features_isa, parameter_axes + axes)
                return maps.LinearReward(features, self.tensor(reward.offset_sa, axes))
            case parametrizations.BoundedIncentive():
                return maps.BoundedIncentive(self.tensor(reward.r_sa, axes), reward.scale)
            case parametrizations.PotentialShaping():
                r_psa, P_psat = self.tensor(reward.r_sa, 2), self.tensor(reward.P_sat, 3)
                return maps.PotentialShaping(r_psa, P_psat, reward.gamma)
            case parametrizations.UserMap():
                return maps.UserMap(reward, reward.pullback)
        raise _no_counterpart("reward", reward)

    def kernel(self, kernel: object, parameter_axes: int) -> DifferentiableMap:
        """A map of transitions."""
        match kernel:
            case parametrizations.FixedKernel():
                return maps.FixedKernel(self.tensor(kernel.P_sat, 3))
            case parametrizations.SoftmaxKernel():
                features = self.tensor(kernel.features_isat, parameter_axes + 3)
                return maps.SoftmaxKernel(self.tensor(kernel.logits_sat, 3), features)
            case parametrizations.UserKernel():
                return maps.UserMap(kernel, kernel.vjp)
        raise _no_counterpart("kernel", kernel)

    def regularizer(self, rule: Any) -> Regularizer:
        """A regulariser; its class is told by name, since only problems are imported from reference."""
        match type(rule).__name__:
            case "NegativeEntropy":
                return NegativeEntropy()
            case "Quadratic":
                return Quadratic()
            case "KLDivergence":
                return KLDivergence(self.tensor(np.log(rule.reference_sa), 2))
            case "Weighted":
                return Weighted(self.regularizer(rule.base), self.tensor(rule.weight_s, 1))
        raise _no_counterpart("regulariser", rule)


def _policy_map(policy: object) -> DifferentiableMap:
    match type(policy).__name__:
        case "SoftmaxPolicy":
            return maps.SoftmaxPolicy()
        case "DirectPolicy":
            return maps.DirectPolicy()
    raise _no_counterpart("leader", policy)


def _label_rule(rule: object) -> LabelRule:
    match rule:
        case rlhf.LabelByReturn(tolerance):
            return labels.LabelByReturn(tolerance)
        case rlhf.BradleyTerryLabels(temperature):
            return labels.BradleyTerryLabels(temperature)
    raise _no_counterpart("rule of labels", rule)


def _no_counterpart(part: str, value: object) -> InputError:
    return InputError(
        f"the {part} is {type(value).__name__}, which has no counterpart in tensors: build the problem "
        "of sampled.problems with a map of your own"
    )


def _some(family: Any) -> Any:
    """A family's member at one point of its domain."""
    return family.at(family.domain.project(np.zeros(family.domain.shape)))


def _problems(problem: object) -> int:
    """Number of stacked problems, 1 without a batch axis.

    Raises
    ------
    InputError
        If the problem is of no known kind, or has more than one batch axis.
    """
    batch = np.broadcast_shapes(*_batches(problem))
    if len(batch) > 1:
        raise InputError(f"the problem has batch axes {batch}; stack problems along one axis only")
    return prod(batch)


def _batches(problem: Any) -> Iterable[tuple[int, ...]]:
    """Batch axes of the parts of a problem."""
    match problem:
        case mdp.Mdp() | games.ZeroSumGame():
            P, r, n_actions, rules = _parts(problem)
            players = len(rules)
            yield from _leading((P, players + 2), (r, players + 1), (problem.rho_s, 1))
            yield from _of_rules(rules, problem.rho_s.shape[-1], n_actions)
        case stackelberg.StackelbergGame():
            yield from _leading((problem.P_sabt, 4), (problem.rho_s, 1))
            yield from _leading((problem.r_leader_sab, 3), (problem.r_follower_sab, 3))
            pair = (problem.regularizer_leader, problem.regularizer)
            yield from _of_rules(pair, problem.rho_s.shape[-1], problem.n_actions)
        case mdp.MdpFamily() | games.GameFamily():
            yield from _batches(_some(problem))
        case incentive_design.IncentiveDesign():
            yield from _batches(problem.game)
            yield from _leading((problem.P_design_sabt, 4), (problem.r_design_sab, 3))
            yield from _leading((problem.cost_s, 1))
        case rlhf.Rlhf():
            yield from _batches(problem.lower)
            yield from _leading((problem.r_true_sa, 2))
        case reward_shaping.RewardShaping():
            yield from _batches(problem.original)
            yield from _batches(problem.shaped)
        case _:
            raise InputError(
                f"the problem is {type(problem).__name__}; it must be one of reference.problems: an MDP "
                "or a zero-sum game, an MdpFamily or a GameFamily, or an application"
            )


def _parts(
    problem: mdp.Mdp | games.ZeroSumGame,
) -> tuple[Array, Array, tuple[int, ...], tuple[Any, ...]]:
    """Transitions, rewards, and each player's number of actions and regulariser."""
    if isinstance(problem, mdp.Mdp):
        return problem.P_sat, problem.r_sa, (problem.n_actions,), (problem.regularizer,)
    rules = (problem.regularizer_1, problem.regularizer_2)
    return problem.P_sabt, problem.r_sab, problem.n_actions, rules


def _leading(*arrays_and_axes: tuple[Array, int]) -> Iterable[tuple[int, ...]]:
    for array, axes in arrays_and_axes:
        yield array.shape[: array.ndim - axes]


def _of_rules(
    rules: tuple[Any, ...], n_states: int, n_actions: tuple[int, ...]
) -> Iterable[tuple[int, ...]]:
    for rule, n in zip(rules, n_actions, strict=True):
        yield rule.value(np.full((n_states, n), 1.0 / n)).shape[:-1]
