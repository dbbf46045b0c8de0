"""One inequality that was held to a run, and how it came out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Finding:
    """The worst case of an inequality lhs <= rhs that is proved.

    Attributes
    ----------
    key : str
        A word.
    words : str
        What is claimed.
    lhs, rhs : float
    tolerance : float
        Bound on the rounding of both.
    where : str
    instances : int
        How many members of a batch it was held to.
    """

    key: str
    words: str
    lhs: float
    rhs: float
    tolerance: float
    where: str
    instances: int

    @property
    def holds(self) -> bool:
        """Whether it holds up to rounding; what is no number does not."""
        return self.lhs <= self.rhs + self.tolerance

    @property
    def ratio(self) -> float:
        """lhs over rhs plus rounding: at most 1 if it holds."""
        limit = self.rhs + self.tolerance
        if limit > 0.0:
            return self.lhs / limit
        return 0.0 if self.lhs <= limit else math.inf

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "key": self.key,
            "words": self.words,
            "lhs": number(self.lhs),
            "rhs": number(self.rhs),
            "tolerance": number(self.tolerance),
            "ratio": number(self.ratio),
            "holds": self.holds,
            "where": self.where,
            "instances": self.instances,
        }


def number(value: float) -> float | None:
    """Encode a float: JSON has neither NaN nor infinity."""
    return float(value) if math.isfinite(value) else None


def parse(entry: dict[str, Any]) -> Finding:
    """Read what :meth:`Finding.document` made."""
    lhs, rhs, tolerance = (
        math.nan if entry[key] is None else float(entry[key]) for key in ("lhs", "rhs", "tolerance")
    )
    return Finding(entry["key"], entry["words"], lhs, rhs, tolerance, entry["where"], entry["instances"])
