r"""Batched tabular trajectories: many problems and many trajectories of each advance at once.

Index legend: p problem, n trajectory, h step, s state, j joint action, t next state, m = (p, n) a lane.

All lanes take a step by four operations on whole tensors: words from the source, each player's action by
the policy's sampler, the next state by the kernel's sampler, and the record of both.  A lane's state is
held as the row p S + s, its pair of state and action as (p S + s) J + j: these number the rows of the
policy's and of the kernel's tables, so one table serves all problems.

Nothing in the loop depends on a value, so nothing is transferred to the host; what has to be checked is
checked when dynamics and policies are built.  On a GPU, build all on it and run the same code::

    task = tensors(problem, device="cuda")
    source = Independent(torch.Generator("cuda").manual_seed(0))

On the CPU the operations use PyTorch's threads; where other programs compete for the cores, one thread
(``torch.set_num_threads(1)``) is faster, since every operation waits for its slowest thread.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Self

import torch
from torch import Tensor

from sampled.errors import InputError
from sampled.horizons import Fixed, Horizon
from sampled.laws import Alias, Sampler, SamplerKind, sampler_kind
from sampled.sources import Source
from sampled.trajectories import INDEX, Trajectories
from sampled.validation import finite, floating, one_device, one_dtype, shaped, whole

WORDS = 1 << 16
"""Words that are drawn at once, if they are not those of one step: few calls for small batches."""


@dataclass(frozen=True, eq=False)
class Dynamics:
    """Where P problems start and how they move, with the samplers of both.

    A problem has as many dynamics as it has transition kernels: a designer's is a second one.

    Attributes
    ----------
    P_psjt : (P, S, J, S)
        Transitions; j numbers the joint actions, the last player's fastest.
    rho_ps : (P, S)
    n_actions : tuple of int
        Number of each player's actions; J is their product.
    absorbing_ps, terminal_ps : (P, S) bool
        States that are never left; those among them that also earn nothing, see :meth:`ending`.
    start, kernel : Sampler
        With rows p, and rows (p S + s) J + j.
    absorbs : bool
        Whether any state is absorbing.
    """

    P_psjt: Tensor
    rho_ps: Tensor
    n_actions: tuple[int, ...]
    absorbing_ps: Tensor
    terminal_ps: Tensor
    start: Sampler
    kernel: Sampler
    absorbs: bool = True

    @classmethod
    def of(
        cls,
        P_psjt: Tensor,
        rho_ps: Tensor,
        *,
        dtype: torch.dtype | None = None,
        sampler: SamplerKind = Alias,
        start: Sampler | None = None,
    ) -> Self:
        """Build dynamics, without terminal states, from probabilities.

        Parameters
        ----------
        P_psjt : (P, S, A, S) or (P, S, A, B, S)
            One axis of actions per player.
        rho_ps : (P, S)
        dtype : torch.dtype, optional
            In which to keep the probabilities; the samplers are built from what is given.
        sampler : SamplerKind
            Of start and transitions.
        start : Sampler, optional
            That of rho, if it was built before.

        Raises
        ------
        InputError
            If a shape is another, a row is not a distribution, or dtypes or devices are mixed.
        """
        floating("P_psjt", P_psjt)
        sampler_kind("sampler", sampler)
        if P_psjt.ndim < 4 or P_psjt.shape[1] != P_psjt.shape[-1] or 0 in P_psjt.shape:
            raise InputError(
                f"P_psjt has shape {tuple(P_psjt.shape)}; its axes are (problem, state, actions of each "
                "player, next state), none of them empty, with as many states as next states: add the "
                "first to one problem's with P.unsqueeze(0)"
            )
        problems, n_states, *n_actions = P_psjt.shape[:-1]
        shaped("rho_ps", floating("rho_ps", rho_ps), "(problem, state)", (problems, n_states))
        one_device(P_psjt=P_psjt, rho_ps=rho_ps)
        one_dtype(P_psjt=P_psjt, rho_ps=rho_ps)
        kernel = sampler.of(P_psjt, "P_psjt")
        start = sampler.of(rho_ps, "rho_ps") if start is None else start
        joint = P_psjt.reshape(problems, n_states, prod(n_actions), n_states)
        stays = joint.diagonal(dim1=1, dim2=3) != 0.0  # (P, J, S)
        absorbing = (((joint != 0.0).sum(-1) == 1) & stays.transpose(1, 2)).all(-1)
        kept = P_psjt.dtype if dtype is None else dtype
        return cls(
            joint.to(kept),
            rho_ps.to(kept),
            tuple(n_actions),
            absorbing,
            torch.zeros_like(absorbing),
            start,
            kernel,
            bool(absorbing.any()),
        )

    @property
    def problems(self) -> int:
        """P."""
        return self.P_psjt.shape[0]

    @property
    def n_states(self) -> int:
        """S."""
        return self.P_psjt.shape[1]

    @property
    def device(self) -> torch.device:
        """Device of all tensors."""
        return self.P_psjt.device

    def ending(self, *rewards_psj: Tensor) -> Self:
        """Call the absorbing states terminal in which no reward is ever earned.

        Parameters
        ----------
        *rewards_psj : (P, S, A) or (P, S, A, B)
            All rewards that count; without any, every absorbing state is terminal.

        Raises
        ------
        InputError
            If a reward has another shape or device, or is not finite.
        """
        terminal = self.absorbing_ps
        for i, reward in enumerate(rewards_psj):
            shape = (self.problems, self.n_states, *self.n_actions)
            name = f"rewards_psj[{i}]"
            one_device(**{name: reward, "dynamics": self.P_psjt})
            finite(name, shaped(name, reward, "(problem, state, actions)", shape))
            if self.absorbs:
                terminal = terminal & (reward == 0.0).flatten(2).all(-1)
        return replace(self, terminal_ps=terminal) if self.absorbs else self


def joint_policy(pi_psa: Tensor, pi_psb: Tensor) -> Tensor:
    """Probability of each pair of actions of two players who choose independently.

    Parameters
    ----------
    pi_psa, pi_psb : (P, S, A) and (P, S, B)

    Returns
    -------
    (P, S, A, B)
        Flatten its last two axes for one sampler of both actions.

    Raises
    ------
    InputError
        If the two differ in dtype, device or their first two axes.
    """
    floating("pi_psa", pi_psa, axes=3)
    floating("pi_psb", pi_psb, axes=3)
    one_device(pi_psa=pi_psa, pi_psb=pi_psb)
    one_dtype(pi_psa=pi_psa, pi_psb=pi_psb)
    shape = (*pi_psa.shape[:2], pi_psb.shape[2])
    shaped("pi_psb", pi_psb, "(problem, state, action)", shape)
    return pi_psa.unsqueeze(-1) * pi_psb.unsqueeze(-2)


def rollout(
    dynamics: Dynamics,
    policy: Sequence[Sampler],
    horizon: Horizon,
    n: int,
    source: Source,
) -> Trajectories:
    """Draw N trajectories of each problem.

    A step costs one word per sampler and one for the next state, for each trajectory, in this order.

    Parameters
    ----------
    dynamics : Dynamics
    policy : sequence of samplers
        With rows p S + s.  Their outcomes together number the joint actions, the last sampler's
        fastest: one sampler per player, or one of all players' actions at once, which is faster for
        large batches and may correlate them.
    horizon : Horizon
    n : int >= 1
        N.
    source : Source
        Of the words; on the device of the dynamics.

    Raises
    ------
    InputError
        If the policy is for another number of states, problems or actions, or the parts are on
        several devices or of another kind.
    """
    return rollouts(dynamics, policy, horizon, n, source)[0]


def rollouts(
    dynamics: Dynamics,
    policy: Sequence[Sampler],
    horizon: Horizon,
    n: int,
    source: Source,
    *,
    first: Sequence[Sampler] | None = None,
    walks: int = 1,
) -> list[Trajectories]:
    """Draw N trajectories of each problem for each of several policies, all at once.

    Parameters
    ----------
    dynamics, horizon, n, source
        As in :func:`rollout`.
    policy : sequence of samplers
        With rows (w P + p) S + s.
    first : sequence of samplers, optional
        Of the first step, if others.
    walks : int >= 1
        Number of policies, w = 0, 1, ...

    Returns
    -------
    one batch of trajectories per policy

    Raises
    ------
    InputError
        As :func:`rollout`.
    """
    n = whole("n", n, low=1)
    _check_kinds(policy, horizon, source)
    start = policy if first is None else first
    _check_parts(dynamics, policy, source, walks)
    if first is not None:
        _check_parts(dynamics, first, source, walks)
    problems, n_states, joint = dynamics.problems, dynamics.n_states, prod(dynamics.n_actions)
    drawn = [horizon.lengths(source, (problems, n)) for _ in range(walks)]
    steps = max(longest for _, longest in drawn)
    lanes = walks * problems * n
    shape = (problems, n) if walks == 1 else (walks, problems, n)
    states_hm = torch.empty((steps + 1, lanes), dtype=INDEX, device=dynamics.device)
    actions_hm = torch.empty_like(states_hm[:-1])
    state_at, action_at = states_hm.unbind(), actions_hm.unbind()

    walk_m = torch.arange(walks * problems, device=dynamics.device).repeat_interleave(
        n, output_size=lanes
    )
    problem_m = walk_m if walks == 1 else walk_m % problems
    table_m, base_m = walk_m * n_states, problem_m * n_states
    per_step = len(policy) + 1
    block = max(1, WORDS // (per_step * lanes))
    words: list[Tensor] = []
    for h in range(steps):
        if h % block == 0:
            count = per_step * min(block, steps - h) + (h == 0)
            words = list(source.words((count, *shape)).flatten(1).unbind())[::-1]
        if h == 0:
            state_m = dynamics.start.draw(problem_m, words.pop())
            state_at[0].copy_(state_m)
        chosen = start if h == 0 else policy
        row_m = state_m + table_m
        action_m = chosen[0].draw(row_m, words.pop())
        for player in chosen[1:]:
            action_m = torch.add(player.draw(row_m, words.pop()), action_m, alpha=player.outcomes)
        action_at[h].copy_(action_m)
        if walks > 1:
            row_m = state_m + base_m
        state_m = dynamics.kernel.draw(torch.add(action_m, row_m, alpha=joint), words.pop())
        state_at[h + 1].copy_(state_m)
    return [
        Trajectories(
            states_pnh,
            actions_pnh,
            lengths_pn,
            dynamics.terminal_ps,
            dynamics.n_actions,
            cut=not isinstance(horizon, Fixed),
        )
        for states_pnh, actions_pnh, (lengths_pn, _) in zip(
            _per_problem(states_hm, walks, problems),
            _per_problem(actions_hm, walks, problems),
            drawn,
            strict=True,
        )
    ]


def _per_problem(steps_hm: Tensor, walks: int, problems: int) -> tuple[Tensor, ...]:
    """View (H, W P N) as W times (P, N, H)."""
    return steps_hm.view(steps_hm.shape[0], walks, problems, -1).permute(1, 2, 3, 0).unbind()


def _check_kinds(policy: object, horizon: object, source: object) -> None:
    """Refuse what is easily taken for the right thing."""
    if isinstance(policy, Tensor):
        raise InputError("policy is a tensor; it must be a list of samplers: [Alias.of(policy)]")
    if isinstance(horizon, int | float):
        raise InputError(f"horizon is {horizon!r}; it must be a Horizon: such as Fixed({horizon!r})")
    if isinstance(source, torch.Generator):
        raise InputError("source is a generator; it must be a Source: such as Independent(generator)")


def _check_parts(dynamics: Dynamics, policy: Sequence[Sampler], source: Source, walks: int = 1) -> None:
    rows = walks * dynamics.problems * dynamics.n_states
    for i, sampler in enumerate(policy):
        if sampler.rows != rows:
            raise InputError(
                f"policy[{i}] has {sampler.rows} rows; it must have one for each problem and state, "
                f"{rows // dynamics.n_states} x {dynamics.n_states} = {rows}: build it from "
                "probabilities (problem, state, action)"
            )
    outcomes, joint = tuple(sampler.outcomes for sampler in policy), prod(dynamics.n_actions)
    if outcomes not in (dynamics.n_actions, (joint,)):
        raise InputError(
            f"the policy's samplers have {outcomes} outcomes; they must have {dynamics.n_actions}, one "
            f"sampler per player, or {(joint,)}, one of all joint actions"
        )
    devices = {"dynamics": dynamics.device, "source": source.device}
    devices |= {f"policy[{i}]": sampler.device for i, sampler in enumerate(policy)}
    if len(set(devices.values())) > 1:
        spelled = ", ".join(f"{name} on {device}" for name, device in devices.items())
        raise InputError(f"the parts are on several devices: {spelled}; build all on one")
