r"""Every trajectory of a small problem with its probability, for exact expectations.

    Pr(s_0, a_0, ..., s_H) = rho(s_0) prod_{h < H} pi(a_h | s_h) P(s_{h+1} | s_h, a_h)

Whatever is computed from a batch of trajectories, weighted by these and summed over n, is an exact
expectation: no randomness is left.
"""

from math import prod

import torch
from torch import Tensor

from sampled.errors import InputError
from sampled.simulator import Dynamics
from sampled.trajectories import INDEX, Trajectories
from sampled.validation import whole

MOST = 1 << 24
"""More trajectories than this are not enumerated."""


def every_trajectory(dynamics: Dynamics, steps: int) -> Trajectories:
    """Return all S (J S)^H trajectories of H steps, the same ones for each problem.

    Impossible ones are among them; their probability is zero.

    Parameters
    ----------
    dynamics : Dynamics
    steps : int >= 1
        H.

    Raises
    ------
    InputError
        If there are more than ``MOST``.
    """
    steps = whole("steps", steps, low=1)
    n_states, joint = dynamics.n_states, prod(dynamics.n_actions)
    count = n_states * (joint * n_states) ** steps
    if count > MOST:
        raise InputError(
            f"there are {count} trajectories of {steps} steps; at most {MOST} are enumerated: use fewer "
            "steps, states or actions"
        )
    number = torch.arange(count, device=dynamics.device)
    digits = torch.stack(torch.unravel_index(number, (n_states, *(joint, n_states) * steps)), -1)
    states_nh, actions_nh = digits[:, 0::2].to(INDEX), digits[:, 1::2].to(INDEX)
    return Trajectories(
        states_nh.expand(dynamics.problems, -1, -1),
        actions_nh.expand(dynamics.problems, -1, -1),
        torch.full((dynamics.problems, count), steps, device=dynamics.device),
        dynamics.terminal_ps,
        dynamics.n_actions,
    )


def probability(trajectories: Trajectories, dynamics: Dynamics, policy_psa: Tensor) -> Tensor:
    """Probability of each trajectory's L steps, given L; differentiable in the policy.

    Parameters
    ----------
    trajectories : Trajectories
    dynamics : Dynamics
        Of the same problems.
    policy_psa : (P, S, A) or (P, S, A, B)
        Joint policy; see :func:`sampled.simulator.joint_policy`.

    Returns
    -------
    (P, N)

    Raises
    ------
    InputError
        If the shapes differ.
    """
    shape = (dynamics.problems, dynamics.n_states, *dynamics.n_actions, dynamics.n_states)
    moves_pnh = trajectories.at_transitions(dynamics.P_psjt.reshape(shape))
    steps_pnh = trajectories.at_actions(policy_psa) * moves_pnh
    taken_pnh = torch.where(trajectories.mask_pnh, steps_pnh, torch.ones_like(steps_pnh))
    return trajectories.at_states(dynamics.rho_ps)[..., 0] * taken_pnh.prod(-1)
