r"""Problems as frozen tensors: the names and axes of ``reference``, with a first axis of problems.

Players' actions have one axis each; an MDP is the case of one player.  :mod:`sampled.conversion` builds
these from the problems of ``reference``.
"""

from dataclasses import dataclass, replace
from typing import Self

from torch import Tensor

from sampled.errors import InputError
from sampled.labels import LabelRule
from sampled.laws import SamplerKind
from sampled.maps import DifferentiableMap
from sampled.regularizers import Regularizer
from sampled.simulator import Dynamics
from sampled.validation import finite, floating


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
    """

    dynamics: Dynamics
    r_psa: Tensor
    gamma: float
    tau: float
    regularizers: tuple[Regularizer, ...]


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
        known = replace(self, kernel=_Known(self.kernel(x)))
        return replace(known, known=(x, known.at(x, *counted)))

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
        x = self.parameters(x)
        problems, n_states = self.rho_ps.shape
        r_psa = self.reward(x).expand(problems, n_states, *self.n_actions)
        dynamics = self.fixed
        if dynamics is None:
            P_psjt = self.kernel(x.detach()).detach().expand(problems, -1, -1, -1)
            split = P_psjt.reshape(problems, n_states, *self.n_actions, n_states)
            dynamics = Dynamics.of(split, self.rho_ps, sampler=self.sampler)
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

    def settled(self, x: Tensor) -> Self:
        """Return the game with the leader's policy at x, computed once for all who ask."""
        return replace(self, leader=_Known(self.leader(x)))


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
    """

    game: Family
    designer: Dynamics
    r_design_psab: Tensor
    cost_ps: Tensor

    def settled(self, x: Tensor) -> Self:
        """Return the problem with the players' game at x, computed once for all who ask."""
        return replace(self, game=self.game.settled(x))

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
    """

    lower: Family
    r_true_psa: Tensor
    segment_length: int
    labels: LabelRule
    delay: int

    def at(self, x: Tensor) -> Task:
        """Return the task with the learned reward; terminal states lack the true reward, too."""
        return self.lower.at(x, self.r_true_psa)

    def settled(self, x: Tensor) -> Self:
        """Return the problem with its task at x, computed once for all who ask."""
        return replace(self, lower=self.lower.settled(x, self.r_true_psa))


@dataclass(frozen=True, eq=False)
class RewardShaping:
    """Shaping problems: policies are trained on the shaped reward and judged by the original one.

    Attributes
    ----------
    original : Task
    shaped : Family
    """

    original: Task
    shaped: Family

    def at(self, x: Tensor) -> Task:
        """Return the shaped task; terminal states lack the original reward, too."""
        return self.shaped.at(x, self.original.r_psa)

    def settled(self, x: Tensor) -> Self:
        """Return the problem with the shaped task at x, computed once for all who ask."""
        return replace(self, shaped=self.shaped.settled(x, self.original.r_psa))
