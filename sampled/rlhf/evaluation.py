"""Evaluation on the true return, in episodes of its own.

Each lane plays one episode from its start to its end: had every finished episode of a fixed number of
steps been counted, short ones would be too many.
"""

from collections.abc import Callable

import torch

from sampled.errors import InputError
from sampled.rlhf.lanes import Lanes, Policy

CHUNK = 64
"""Steps between two looks at whether all lanes are done."""


def true_returns(
    make: Callable[[], Lanes], policy: Policy, *, most_steps: int = 1_000_000
) -> list[float]:
    """Undiscounted true return of one episode of each lane.

    Parameters
    ----------
    make : callable
        Lanes at the start of an episode.
    policy : callable
    most_steps : int
        Limit on the steps of an episode.

    Raises
    ------
    InputError
        If an episode does not end within the limit.
    """
    lanes = make()
    total_n = torch.zeros(lanes.count, dtype=torch.float64)
    done_n = torch.zeros(lanes.count, dtype=torch.bool)
    steps = 0
    while not done_n.all():
        if steps >= most_steps:
            raise InputError(
                f"an episode has not ended after {steps} steps: give the game a limit of steps"
            )
        track = lanes.play(policy, CHUNK)
        counted_nh = track.first_nh.cpu() & ~done_n[:, None]
        total_n += (track.true_nh.cpu() * counted_nh).sum(1)
        done_n |= track.over_nh.cpu().any(1)
        steps += CHUNK
    return [float(total) for total in total_n]
