r"""Discounted earnings along trajectories, with all that depends on a parameter kept differentiable.

Index legend: p problem, n trajectory, h step, s state, j joint action, t next state.  A process is the
law and the earnings of one kind of trajectory::

    a_h ~ pi(s_h),  s_{h+1} ~ P(s_h, a_h),     c(s, a) = r(s, a) + bonus(s),     J = E sum_h gamma^h c_h

where each of pi, P, r and bonus may depend on parameters; the bonus is what the players' regularisation
earns, such as -tau h_s(pi(s)).  The derivative of the law comes in by scores, that of c by itself::

    grad J = E sum_h [ gamma^h grad c(s_h, a_h)
                       + grad log( pi(a_h|s_h) P(s_{h+1}|s_h, a_h) ) sum_{k >= h} gamma^k c_k ]

which at fixed r and P is the regularised policy gradient (B.9).  The score of step h is multiplied by
c_h as a whole.  The parts of c_h that are decided before what is scored have mean zero there: the bonus
for the action, c_h for the next state.

That mean is zero because probabilities sum to one for all parameters.  If a policy's entries are
themselves the parameters, gradients are thus right along the simplex, and in each state an unknown
constant off it, which a projection onto the simplex does not see.

In the Bellman penalty the first action follows another policy than all later ones: ``first``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sampled.errors import InputError
from sampled.problems import Family, IncentiveDesign, RewardShaping, Rlhf, StackelbergGame, Task
from sampled.simulator import Dynamics
from sampled.trajectories import Trajectories
from sampled.validation import floating, one_device, one_dtype, shaped

Lower = Family | Rlhf | RewardShaping | StackelbergGame | IncentiveDesign
"""Problems with a lower level; of two players if it is a zero-sum game."""


@dataclass(frozen=True, eq=False)
class Decision:
    """How the players choose, independently of each other, and what their regularisation earns.

    Attributes
    ----------
    policies : tuple of (P, S, A)
        Each player's.
    bonus_ps : (P, S)
    """

    policies: tuple[Tensor, ...]
    bonus_ps: Tensor

    def chosen(self, trajectories: Trajectories) -> Tensor:
        """Probability of the actions that were taken, (P, N, H)."""
        chance_pnh = trajectories.at_own_actions(0, self.policies[0])
        for i, pi in enumerate(self.policies[1:], start=1):
            chance_pnh = chance_pnh * trajectories.at_own_actions(i, pi)
        return chance_pnh

    def paid(self, trajectories: Trajectories) -> Tensor:
        """The bonus of the states that were acted in, (P, N, H)."""
        return trajectories.at_decisions(self.bonus_ps)


@dataclass(frozen=True, eq=False)
class Process:
    """Law and earnings of trajectories of many problems.

    Attributes
    ----------
    dynamics : Dynamics
        That trajectories follow.
    r_psj : (P, S, A) or (P, S, A, B)
    gamma : float
    decision : Decision
    first : Decision
        Of the first step.
    P_psjt : (P, S, A, S) or (P, S, A, B, S), optional
        The transitions again, as a function of the parameters; none if they do not depend on any.

    Raises
    ------
    InputError
        If shapes, dtypes or devices do not fit each other.
    """

    dynamics: Dynamics
    r_psj: Tensor
    gamma: float
    decision: Decision
    first: Decision
    P_psjt: Tensor | None = None

    def __post_init__(self) -> None:
        if self._fits():
            return
        problems, n_states, n_actions = self.dynamics.problems, self.dynamics.n_states, self.n_actions
        parts = {"r_psj": self.r_psj}
        shaped("r_psj", self.r_psj, "(problem, state, actions)", (problems, n_states, *n_actions))
        for name, decision in (("decision", self.decision), ("first", self.first)):
            fitting(self.dynamics, decision.policies, f"{name}.policies")
            parts |= {f"{name}.policies[{i}]": pi for i, pi in enumerate(decision.policies)}
            parts[label := f"{name}.bonus_ps"] = decision.bonus_ps
            shaped(label, decision.bonus_ps, "(problem, state)", (problems, n_states))
        if self.P_psjt is not None:
            parts["P_psjt"] = self.P_psjt
            full = (problems, n_states, *n_actions, n_states)
            shaped("P_psjt", self.P_psjt, "(problem, state, actions, next state)", full)
        one_device(dynamics=self.dynamics.P_psjt, **parts)
        one_dtype(dynamics=self.dynamics.P_psjt, **parts)

    def _fits(self) -> bool:
        """Whether nothing is wrong; if something is, the checks that follow say what."""
        like, lead, n_actions = self.dynamics.P_psjt, self.r_psj.shape[:2], self.n_actions
        tables = [self.r_psj, *self.decision.policies, self.decision.bonus_ps]
        shapes = [(*lead, *n_actions), *((*lead, n) for n in n_actions), lead]
        if self.first is not self.decision:
            tables += [*self.first.policies, self.first.bonus_ps]
            shapes += shapes[1:]
        if self.P_psjt is not None:
            tables.append(self.P_psjt)
            shapes.append((*lead, *n_actions, lead[1]))
        return (
            lead == like.shape[:2]
            and len(tables) == len(shapes)
            and all(
                table.shape == shape and table.dtype == like.dtype and table.device == like.device
                for table, shape in zip(tables, shapes, strict=True)
            )
        )

    @property
    def n_actions(self) -> tuple[int, ...]:
        """Number of each player's actions."""
        return self.dynamics.n_actions

    def earned(self, trajectories: Trajectories) -> Tensor:
        """c(s_h, a_h), shape (P, N, H); padding included."""
        bonus_pnh = self._read(trajectories, Decision.paid)
        return trajectories.at_actions(self.r_psj) + bonus_pnh

    def ratio(self, trajectories: Trajectories) -> Tensor:
        """One, with the derivatives of pi(a_h|s_h) P(s_{h+1}|s_h, a_h) over itself; (P, N, H)."""
        chance_pnh = self._read(trajectories, Decision.chosen)
        if self.P_psjt is not None:
            chance_pnh = chance_pnh * trajectories.at_transitions(self.P_psjt)
        # What is impossible is enumerated, but never drawn: nothing may become infinite there.
        tiny = torch.finfo(chance_pnh.dtype).tiny
        return chance_pnh / chance_pnh.detach().clamp(min=tiny)

    def score(self, trajectories: Trajectories) -> Tensor:
        """Zero, with the gradient of log( pi(a_h|s_h) P(s_{h+1}|s_h, a_h) ); shape (P, N, H)."""
        return self.ratio(trajectories) - 1.0

    def _read(
        self, trajectories: Trajectories, read: Callable[[Decision, Trajectories], Tensor]
    ) -> Tensor:
        """Read a decision along the steps, another one in the first."""
        if self.first is self.decision:
            return read(self.decision, trajectories)
        head_pnh = read(self.first, _part(trajectories, slice(0, 1)))
        tail_pnh = read(self.decision, _part(trajectories, slice(1, None)))
        return torch.cat((head_pnh, tail_pnh), -1)


def fitting(dynamics: Dynamics, policies: Sequence[Tensor], name: str) -> tuple[Tensor, ...]:
    """Return policies, one of each player, whose shapes, dtype and device fit the dynamics.

    Raises
    ------
    InputError
        If they do not.
    """
    if len(policies) != len(dynamics.n_actions):
        raise InputError(
            f"{name} has {len(policies)} policies; it must have one of each player, "
            f"{len(dynamics.n_actions)}"
        )
    for i, (pi, n) in enumerate(zip(policies, dynamics.n_actions, strict=True)):
        label, shape = f"{name}[{i}]", (dynamics.problems, dynamics.n_states, n)
        shaped(label, floating(label, pi), "(problem, state, action)", shape)
        if (pi.device, pi.dtype) != (dynamics.P_psjt.device, dynamics.P_psjt.dtype):
            one_device(**{label: pi, "dynamics": dynamics.P_psjt})
            one_dtype(**{label: pi, "dynamics": dynamics.P_psjt})
    return tuple(policies)


def _part(trajectories: Trajectories, steps: slice) -> Trajectories:
    """Some of the steps.  No state is read after the last action, so lengths do not matter."""
    after = slice(steps.start, None if steps.stop is None else steps.stop + 1)
    return replace(
        trajectories,
        states_pnh=trajectories.states_pnh[..., after],
        actions_pnh=trajectories.actions_pnh[..., steps],
    )


# Processes of problems.


def lower_process(
    problem: Lower, x: Tensor, policies: Sequence[Tensor], first: Sequence[Tensor] | None = None
) -> Process:
    """Return the regularised lower level at x, differentiable in x and in the policies.

    In a Stackelberg game that is the follower's, with the leader's policy pi_x beside it.

    Parameters
    ----------
    problem : Lower
    x : (P, *shape) or (1, *shape)
    policies : one of (P, S, A), or one of each player of a zero-sum game
        The follower's alone in a Stackelberg game.
    first : the same, optional
        In the first step, if others.

    Raises
    ------
    InputError
        If x or the policies do not fit the problem.
    """
    if isinstance(problem, StackelbergGame):
        return _follower(problem, x, policies, first)
    task, family = _lower_task(problem, x)
    decision = _regularised(task, policies, "policies")
    start = decision if first is None else _regularised(task, first, "first")
    P_psjt = None
    if family.fixed is None:
        n_states = task.dynamics.n_states
        joint = family.kernel(x).expand(task.dynamics.problems, -1, -1, -1)
        P_psjt = joint.reshape(-1, n_states, *family.n_actions, n_states)
    return Process(task.dynamics, task.r_psa, task.gamma, decision, start, P_psjt)


def task_process(task: Task, policies: Sequence[Tensor]) -> Process:
    """Return a regularised task without parameters, differentiable in the policies.

    Raises
    ------
    InputError
        If the policies do not fit the task.
    """
    decision = _regularised(task, policies, "policies")
    return Process(task.dynamics, task.r_psa, task.gamma, decision, decision)


def leader_process(game: StackelbergGame, x: Tensor, policies: Sequence[Tensor]) -> Process:
    """Return what the leader earns when the follower plays the one policy given.

    Raises
    ------
    InputError
        If x or the policy do not fit the game.
    """
    pi_psa = leader_policy(game, x)
    both = fitting(game.dynamics, (pi_psa, *policies), "(pi_x, follower)")
    decision = Decision(both, -game.tau_leader * game.regularizer_leader.value(pi_psa))
    return Process(game.dynamics, game.r_leader_psab, game.gamma, decision, decision)


def designer_process(problem: IncentiveDesign, policies: Sequence[Tensor]) -> Process:
    """Return what the designer earns, under its own transitions, when the players play.

    Raises
    ------
    InputError
        If the policies do not fit the game.
    """
    both = fitting(problem.designer, policies, "policies")
    decision = Decision(both, torch.zeros_like(problem.cost_ps))
    return Process(problem.designer, problem.net_reward_psab, problem.game.gamma, decision, decision)


def leader_policy(game: StackelbergGame, x: Tensor) -> Tensor:
    """pi_x of each problem, (P, S, A).

    Raises
    ------
    InputError
        If x has another shape.
    """
    floating("x", x)
    if x.shape[0] not in (1, game.dynamics.problems) or tuple(x.shape[1:]) != game.shape:
        raise InputError(
            f"x has shape {tuple(x.shape)}; it must be {(game.dynamics.problems, *game.shape)}, or "
            f"{(1, *game.shape)} for all problems"
        )
    return game.leader(x).expand(game.dynamics.problems, -1, -1)


def _follower(
    game: StackelbergGame, x: Tensor, policies: Sequence[Tensor], first: Sequence[Tensor] | None
) -> Process:
    pi_psa = leader_policy(game, x)

    def decide(own: Sequence[Tensor], name: str) -> Decision:
        both = fitting(game.dynamics, (pi_psa, *own), f"(pi_x, {name})")
        return Decision(both, -game.tau * game.regularizer.value(both[1]))

    decision = decide(policies, "policies")
    start = decision if first is None else decide(first, "first")
    return Process(game.dynamics, game.r_follower_psab, game.gamma, decision, start)


def _lower_task(
    problem: Family | Rlhf | RewardShaping | IncentiveDesign, x: Tensor
) -> tuple[Task, Family]:
    """The lower level at x, and the family that it is a member of."""
    match problem:
        case Rlhf():
            return problem.at(x), problem.lower
        case RewardShaping():
            return problem.at(x), problem.shaped
        case IncentiveDesign():
            return problem.game.at(x), problem.game
        case Family():
            return problem.at(x), problem


def _regularised(task: Task, policies: Sequence[Tensor], name: str) -> Decision:
    """Player 1 pays for its own regularisation, and is paid for that of player 2."""
    own = fitting(task.dynamics, policies, name)
    h_kps = [rule.value(pi) for rule, pi in zip(task.regularizers, own, strict=True)]
    charged_ps = h_kps[0] - sum(h_kps[1:], torch.zeros_like(h_kps[0]))
    return Decision(own, -task.tau * charged_ps)
