"""The three penalties of the paper, each with its constants as proved in :mod:`reference.constants`."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from reference.constants import (
    Bounds,
    bellman_companion_errors,
    bellman_penalty_smoothness,
    gradient_in_policy,
    nikaido_isoda_smoothness,
    value_penalty_smoothness,
    value_smoothness,
)
from reference.penalties import bellman, nikaido_isoda, value
from reference.penalties.contract import Penalty


@dataclass(frozen=True, eq=False)
class Kind:
    """A penalty.

    Attributes
    ----------
    key : str
        A word for names of files and checks.
    title : str
    penalty : Penalty
    smoothness : callable
        L_p, or L_psi.
    companion_error : callable
        The gradient's error per distance of the companions, along the simplices.
    actions : tuple of int
        Numbers of actions of the players in the random problems.
    theorem : str
    """

    key: str
    title: str
    penalty: Penalty[Any]
    smoothness: Callable[[Bounds], float]
    companion_error: Callable[[Bounds], float]
    actions: tuple[int, ...]
    theorem: str


def _bellman_companion_error(given: Bounds) -> float:
    return math.hypot(*bellman_companion_errors(given))


VALUE = Kind(
    "value_penalty",
    "value penalty",
    value.PENALTY,
    value_penalty_smoothness,
    gradient_in_policy,
    (2,),
    "Theorem 11",
)
BELLMAN = Kind(
    "bellman_penalty",
    "Bellman penalty",
    bellman.PENALTY,
    bellman_penalty_smoothness,
    _bellman_companion_error,
    (2,),
    "Theorem 11",
)
NIKAIDO_ISODA = Kind(
    "nikaido_isoda",
    "Nikaido-Isoda function",
    nikaido_isoda.PENALTY,
    nikaido_isoda_smoothness,
    value_smoothness,
    (2, 3),
    "Theorem 16",
)
KINDS = (VALUE, BELLMAN, NIKAIDO_ISODA)
