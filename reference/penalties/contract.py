"""What a penalty provides, and the shared premise on rho.

A penalty is evaluated at x, at the policies of the lower level and at *companions*: the optimal
policy for the value and Bellman penalties, each player's best response for the Nikaido-Isoda
function.  At exact companions the value and gradients are exact (Lemmas 6, 8 and 13); at
approximate ones they are the inexact quantities of Appendix C.7 and Section 5.3.
"""

from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from reference.evaluated import Evaluated
from reference.problems.mdp import Mdp, ParametricMdp
from reference.validation import Array, function, instance, positive, provides, real_array

LowerT_contra = TypeVar("LowerT_contra", contravariant=True)


class Evaluate(Protocol[LowerT_contra]):
    """Signature of a penalty's evaluation."""

    def __call__(
        self, lower: LowerT_contra, x: Array, policies: tuple[Array, ...], companions: tuple[Array, ...]
    ) -> Evaluated:
        """Value and gradients in x and in the policies."""
        ...


class Companions(Protocol[LowerT_contra]):
    """Signature of the exact solution that a penalty compares with."""

    def __call__(self, lower: LowerT_contra, x: Array, policies: tuple[Array, ...]) -> tuple[Array, ...]:
        """Return one companion per policy."""
        ...


@dataclass(frozen=True)
class Penalty(Generic[LowerT_contra]):
    """A penalty: name, source, evaluation and exact companions.

    Attributes
    ----------
    name : str
    source : str
        Number of the equation in the paper.
    evaluate : Evaluate
    companions : Companions

    Raises
    ------
    InputError
        If name or source is no text, or a part is no function.
    """

    name: str
    source: str
    evaluate: Evaluate[LowerT_contra]
    companions: Companions[LowerT_contra]

    def __post_init__(self) -> None:
        instance("name", self.name, str)
        instance("source", self.source, str)
        function("evaluate", self.evaluate)
        function("companions", self.companions)

    def exact(self, lower: LowerT_contra, x: Array, policies: tuple[Array, ...]) -> Evaluated:
        """Evaluate at the exact companions."""
        return self.evaluate(lower, x, policies, self.companions(lower, x, policies))


def start_everywhere(rho_s: Array) -> Array:
    """Return rho if every state has positive start probability, as (2.3) and (5.3) require.

    Raises
    ------
    InputError
        If rho has a zero: a zero penalty would not imply optimality there.
    """
    return positive(
        "rho_s",
        real_array("rho_s", rho_s),
        "a penalty vanishes only at optimal policies if every state has start probability",
        "mix rho_s with the uniform distribution, as reference.problems.tables.spread_start does",
    )


def lower_mdp(lower: ParametricMdp, x: Array) -> Mdp:
    """Return the MDP at x, by which a penalty is defined.

    Raises
    ------
    InputError
        If the lower level is no parametric MDP, x is outside its domain, or rho has a zero.
    """
    provides("lower", lower, ParametricMdp)
    mdp = instance("lower.at(x)", lower.at(x), Mdp)
    start_everywhere(mdp.rho_s)
    return mdp
