r"""How one level of false alarms is shared out among audits, however many there will be.

Each audit k = 1, 2, ... has a fixed place in the list, and its alarm is an e-process E_k: a nonnegative
process with E_k(0) = 1 whose expectation at any stopping time is at most 1 if the audited estimator is
right.  By Ville's inequality P(sup_t E_k(t) >= 1 / a) <= a.  With the shares

    a_k = a 6 / (pi^2 k^2),        sum_k a_k = a,

the probability that any audit of right estimators ever raises an alarm is at most a, by a union bound:
whatever the number of audits, whenever each of them stops, and however they depend on each other.
"""

import math

from reference.errors import InputError

FALSE_ALARM = 1e-6
"""Level of all alarms of one ``verify all`` together, and of those of one ``verify audit``."""


def share(place: int, total: float = FALSE_ALARM) -> float:
    """Level of the audit in a place.

    Parameters
    ----------
    place : int >= 1
        k, fixed before any data are seen.
    total : float in (0, 1)

    Raises
    ------
    InputError
        If the place is below 1, or the level outside (0, 1).
    """
    if place < 1:
        raise InputError(f"place is {place}; audits are numbered from 1")
    if not 0.0 < total < 1.0:
        raise InputError(f"the level is {total!r}; it must be between 0 and 1")
    return total * 6.0 / (math.pi * place) ** 2
