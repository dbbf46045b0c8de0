r"""Problems as frozen tensors: the names and axes of ``reference``, with a first axis of problems.

Players' actions have one axis each; an MDP is the case of one player.  :mod:`sampled.conversion` builds
these from the problems of ``reference``.
"""

from copy import copy
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any, Self, TypeVar

from torch import Tensor

from sampled.errors import InputError
from sampled.labels import LabelRule
from sampled.laws import Sampler, SamplerKind, sampler_kind
from sampled.maps import DifferentiableMap
from sampled.regularizers import Regularizer
from sampled.simulator import Dynamics
from sampled.validation import (
    distributions,
    finite,
    floating,
    fraction,
    instance,
    number,
    one_device,
    one_dtype,
    provides,
    several,
    shaped,
    whole,
)

KnownT = TypeVar("KnownT")


def _table(name: str, table: Tensor, axes: str, shape: tuple[int, ...], like: Tensor) -> None:
    """Check a table of finite numbers beside others of its problem."""
    shaped(name, floating(name, table), axes, shape)
    one_device(**{name: table, "problem": like})
    one_dtype(**{name: table, "problem": like})
    finite(name, table)


def _numbers(gamma: float, tau: float, rules: object, players: int) -> None:
    """Check discount, temperature, and one regulariser for each player."""
    fraction("gamma", gamma, "the discounted sum has no end")
    number("tau", tau, low=0.0)
    remedy = "give one regularizer per player"
    for i, rule in enumerate(several("regularizers", rules, players, remedy)):
        provides(f"regularizers[{i}]", rule, Regularizer)


def _with(problem: KnownT, **known: Any) -> KnownT:
    """A copy in which parts are replaced by what was computed from them, which needs no new check."""
    settled = copy(problem)
    for name, part in known.items():
        object.__setattr__(settled, name, part)
    return settled


@dataclass(frozen=True, eq=False)
class Task:
    """MDPs or games whose rewards and transitions are given.

    Attributes
    ----------
    dynamics : Dynamics
        Its terminal states are the absorbing ones that earn nothing.
    r_psa : (P, S, A) or (P, S, A, B)
        Expected reward; player 1's of a zero-sum game.
    gamma, tau : float
    regularizers : tuple of Regularizer
        Each player's.

    Raises
    ------
    InputError
        If a part is of another kind, shape, dtype or device, or the reward is not finite.
    """

    dynamics: Dynamics
    r_psa: Tensor
    gamma: float
    tau: float
    regularizers: tuple[Regularizer, ...]

    def __post_init__(self) -> None:
        d = instance("dynamics", self.dynamics, Dynamics)
        shape = (d.problems, d.n_states, *d.n_actions)
        _table("r_psa", self.r_psa, "(problem, state, actions)", shape, d.P_psjt)
        _numbers(self.gamma, self.tau, self.regularizers, len(d.n_actions))


@dataclass(frozen=True, eq=False)
class _Known:
    """A map whose value at the x in question has been computed."""

    table: Tensor

    def __call__(self, x: Tensor) -> Tensor:  # noqa: ARG002 - the contract's signature
        return self.table


@dataclass(frozen=True, eq=False)
class Family:
    """A task for each x: a parametric MDP or zero-sum game.

    Attributes
    ----------
    reward : DifferentiableMap
        x -> (P, S, A) or (P, S, A, B).
    kernel : DifferentiableMap
        x -> (P, S, J, S).
    fixed : Dynamics or None
        Those of a kernel that does not depend on x.
    rho_ps : (P, S)
    n_actions : tuple of int
    shape : tuple of int
        Shape of one problem's x.
    gamma, tau : float
    regularizers : tuple of Regularizer
    sampler : SamplerKind
        Of transitions that depend on x.
    known : (x, task), optional
        What :meth:`at` has been computed to be: see :meth:`settled`.

    Raises
    ------
    InputError
        If a part is of another kind, or rho is no distribution.
    """

    reward: DifferentiableMap
    kernel: DifferentiableMap
    fixed: Dynamics | None
    rho_ps: Tensor
    n_actions: tuple[int, ...]
    shape: tuple[int, ...]
    gamma: float
    tau: float
    regularizers: tuple[Regularizer, ...]
    sampler: SamplerKind
    known: tuple[Tensor, Task] | None = None

    def __post_init__(self) -> None:
        provides("reward", self.reward, DifferentiableMap)
        provides("kernel", self.kernel, DifferentiableMap)
        if self.fixed is not None:
            instance("fixed", self.fixed, Dynamics)
        distributions("rho_ps", floating("rho_ps", self.rho_ps, axes=2))
        for name in ("n_actions", "shape"):
            for i, n in enumerate(several(name, getattr(self, name), None, "give whole numbers")):
                whole(f"{name}[{i}]", n, low=1)
        _numbers(self.gamma, self.tau, self.regularizers, len(self.n_actions))
        sampler_kind("sampler", self.sampler)

    def settled(self, x: Tensor, *counted: Tensor) -> Self:
        """Return the family with its task and kernel at x, computed once for all who ask.

        Parameters
        ----------
        x, *counted
            As in :meth:`at`.

        Raises
        ------
        InputError
            As :meth:`parameters`.
        """
        kernel = _Known(self.kernel(self.parameters(x)))
        return _with(self, kernel=kernel, known=(x, self._task(x, kernel, counted)))

    def parameters(self, x: Tensor) -> Tensor:
        """Return x, checked: (P, *shape), or (1, *shape) for all problems.

        Raises
        ------
        InputError
            If it has another shape, dtype or device, or is not finite.
        """
        problems = self.rho_ps.shape[0]
        floating("x", x)
        if x.shape[0] not in (1, problems) or tuple(x.shape[1:]) != self.shape:
            raise InputError(
                f"x has shape {tuple(x.shape)}; it must be {(problems, *self.shape)}, or "
                f"{(1, *self.shape)} for all problems"
            )
        if (x.dtype, x.device) != (self.rho_ps.dtype, self.rho_ps.device):
            raise InputError(
                f"x is {x.dtype} on {x.device} and the problem {self.rho_ps.dtype} on "
                f"{self.rho_ps.device}: convert x with .to(...)"
            )
        return finite("x", x)

    def at(self, x: Tensor, *counted: Tensor) -> Task:
        """Return the task at x; its reward is differentiable in x, its dynamics are not.

        For the gradient of transitions, differentiate the log-probabilities ``kernel(x).log()``.

        Parameters
        ----------
        x : (P, *shape) or (1, *shape)
        *counted : (P, S, A) or (P, S, A, B)
            Other rewards that an absorbing state must lack to be terminal.

        Raises
        ------
        InputError
            As :meth:`parameters`; also if the family is settled at another x.
        """
        if self.known is not None:
            if self.known[0] is not x:
                raise InputError("the family is settled at another x: use the one it was made from")
            return self.known[1]
        return self._task(self.parameters(x), self.kernel, counted)

    @cached_property
    def _start(self) -> Sampler:
        """Built once, whatever x."""
        return self.sampler.of(self.rho_ps, "rho_ps")

    def _task(self, x: Tensor, kernel: DifferentiableMap, counted: tuple[Tensor, ...]) -> Task:
        problems, n_states = self.rho_ps.shape
        r_psa = self.reward(x).expand(problems, n_states, *self.n_actions)
        dynamics = self.fixed
        if dynamics is None:
            shape = (problems, n_states, prod(self.n_actions), n_states)
            P_psjt = kernel(x.detach()).detach().expand(shape)
            split = P_psjt.reshape(problems, n_states, *self.n_actions, n_states)
            dynamics = Dynamics.of(split, self.rho_ps, sampler=self.sampler, start=self._start)
        ending = dynamics.ending(r_psa.detach(), *counted)
        return Task(ending, r_psa, self.gamma, self.tau, self.regularizers)


@dataclass(frozen=True, eq=False)
class StackelbergGame:
    """Stackelberg Markov games: leader a, follower b.

    Attributes
    ----------
    dynamics : Dynamics
        Of joint actions; terminal states earn neither player anything.
    r_leader_psab, r_follower_psab : (P, S, A, B)
    gamma : float
    tau, tau_leader : float
    regularizer, regularizer_leader : Regularizer
        The follower's and the leader's.
    leader : DifferentiableMap
        x -> pi_x (P, S, A).
    shape : (S, A)
        Shape of one problem's x.

    Raises
    ------
    InputError
        If a part is of another kind, shape, dtype or device, or a reward is not finite.
    """

    dynamics: Dynamics
    r_leader_psab: Tensor
    r_follower_psab: Tensor
    gamma: float
    tau: float
    regularizer: Regularizer
    leader: DifferentiableMap
    tau_leader: float
    regularizer_leader: Regularizer
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        d = instance("dynamics", self.dynamics, Dynamics)
        several("the dynamics' n_actions", d.n_actions, 2, "a leader and a follower act")
        for name in ("r_leader_psab", "r_follower_psab"):
            shape = (d.problems, d.n_states, *d.n_actions)
            _table(name, getattr(self, name), "(problem, state, leader, follower)", shape, d.P_psjt)
        _numbers(self.gamma, self.tau, (self.regularizer, self.regularizer_leader), 2)
        number("tau_leader", self.tau_leader, low=0.0)
        provides("leader", self.leader, DifferentiableMap)

    def settled(self, x: Tensor) -> Self:
        """Return the game with the leader's policy at x, computed once for all who ask."""
        return _with(self, leader=_Known(self.leader(x)))


@dataclass(frozen=True, eq=False)
class IncentiveDesign:
    """Incentive problems: the players' game, and the designer's transitions and reward.

    Attributes
    ----------
    game : Family
        The players'; trajectories for the penalty and its gradient follow its dynamics.
    designer : Dynamics
        The designer's kernel, under which the players' joint policy earns the designer's reward.
    r_design_psab : (P, S, A, B)
    cost_ps : (P, S)

    Raises
    ------
    InputError
        If a part is of another kind, shape, dtype or device, or a number is not finite.
    """

    game: Family
    designer: Dynamics
    r_design_psab: Tensor
    cost_ps: Tensor

    def __post_init__(self) -> None:
        game = instance("game", self.game, Family)
        several("the game's n_actions", game.n_actions, 2, "two players act")
        d = instance("designer", self.designer, Dynamics)
        shape = (*game.rho_ps.shape, *game.n_actions)
        if (d.problems, d.n_states, *d.n_actions) != shape:
            raise InputError(
                f"the designer's dynamics are of {(d.problems, d.n_states, *d.n_actions)} (problems, "
                f"states, actions) and the game of {shape}: give both the same"
            )
        _table("r_design_psab", self.r_design_psab, "(problem, state, actions)", shape, game.rho_ps)
        _table("cost_ps", self.cost_ps, "(problem, state)", shape[:2], game.rho_ps)
        one_device(designer=d.P_psjt, game=game.rho_ps)
        one_dtype(designer=d.P_psjt, game=game.rho_ps)

    def settled(self, x: Tensor) -> Self:
        """Return the problem with the players' game at x, computed once for all who ask."""
        return _with(self, game=self.game.settled(x))

    @property
    def net_reward_psab(self) -> Tensor:
        """r_design(s, a, b) - cost(s)."""
        return self.r_design_psab - self.cost_ps[..., None, None]


@dataclass(frozen=True, eq=False)
class Rlhf:
    """Preference problems: a learned reward, and the true one that labels segments.

    Attributes
    ----------
    lower : Family
        With the learned reward.
    r_true_psa : (P, S, A)
    segment_length : int
    labels : LabelRule
    delay : int

    Raises
    ------
    InputError
        If a part is of another kind, shape, dtype or device, or a number is out of range.
    """

    lower: Family
    r_true_psa: Tensor
    segment_length: int
    labels: LabelRule
    delay: int

    def __post_init__(self) -> None:
        lower = instance("lower", self.lower, Family)
        shape = (*lower.rho_ps.shape, *lower.n_actions)
        _table("r_true_psa", self.r_true_psa, "(problem, state, action)", shape, lower.rho_ps)
        whole("segment_length", self.segment_length, low=1)
        whole("delay", self.delay, low=0)
        provides("labels", self.labels, LabelRule)

    def at(self, x: Tensor) -> Task:
        """Return the task with the learned reward; terminal states lack the true reward, too."""
        return self.lower.at(x, self.r_true_psa)

    def settled(self, x: Tensor) -> Self:
        """Return the problem with its task at x, computed once for all who ask."""
        return _with(self, lower=self.lower.settled(x, self.r_true_psa))


@dataclass(frozen=True, eq=False)
class RewardShaping:
    """Shaping problems: policies are trained on the shaped reward and judged by the original one.

    Attributes
    ----------
    original : Task
    shaped : Family

    Raises
    ------
    InputError
        If a part is of another kind, or the two are not of the same states and actions.
    """

    original: Task
    shaped: Family

    def __post_init__(self) -> None:
        r_psa, family = instance("original", self.original, Task).r_psa, self.shaped
        instance("shaped", family, Family)
        shape = (*family.rho_ps.shape, *family.n_actions)
        _table("original.r_psa", r_psa, "(problem, state, action)", shape, family.rho_ps)

    def at(self, x: Tensor) -> Task:
        """Return the shaped task; terminal states lack the original reward, too."""
        return self.shaped.at(x, self.original.r_psa)

    def settled(self, x: Tensor) -> Self:
        """Return the problem with the shaped task at x, computed once for all who ask."""
        return _with(self, shaped=self.shaped.settled(x, self.original.r_psa))
