r"""What a claim of the paper is, and how a verdict on it comes about.

A claim has a printed form and, where that differs, one as meant and one as proved.  A form says in
our words and in a formula what is claimed, and holds what can be said about it by machine::

    refutations   exact counterexamples, verified in rational arithmetic on each run
    proofs        steps checked symbolically or in exact arithmetic; all together prove the claim
    trials        both sides of the inequality on instances that meet the premises

    REFUTED       every refutation verifies
    PROVED        every step is checked by a machine, and no trial violates the claim
    SURVIVED      no trial violates it; with the tightest ratio that was seen
    VIOLATED      a trial violates it and there is no exact counterexample: always a deviation
    VACUOUS       no instance met the premises, or one that must meet them does not
    UNTESTABLE    the statement names no constant; with what would make it testable

Textbook facts need no machine: they are named in the form (`textbook`), and are no more than a reader
finds in an index.  A step that has only its derivation in the docstring is named, too (`by_hand`), and
then the verdict is SURVIVED, whatever else has been checked.

How strong a search was is measured by planting: the right side is made smaller by 1%, 10% and 50%,
and the same trials must notice, as far as they claim to.  A margin whose tolerance would hide even the
smallest of these errors says nothing, and is not counted.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from verify.contract import Context

PLANTED = (0.01, 0.1, 0.5)
"""Shares by which a right side is made too small, to see what the search would have noticed."""

RESOLVED = 0.1 * PLANTED[0]
"""Tolerance of a margin, relative to its larger side, above which it says nothing."""


class Verdict(StrEnum):
    """What is known of one form of a claim."""

    PROVED = "PROVED"
    SURVIVED = "SURVIVED"
    REFUTED = "REFUTED"
    VIOLATED = "VIOLATED"
    VACUOUS = "VACUOUS"
    UNTESTABLE = "UNTESTABLE"


@dataclass(frozen=True)
class Margin:
    """Both sides of ``lhs <= rhs`` on one instance.

    An equality is a pair of margins or one with ``lhs = |difference|`` and ``rhs = 0``; a claim
    ``lhs >= rhs`` is given with its sides exchanged.

    Attributes
    ----------
    lhs, rhs : float
    tolerance : float
        Bound on the rounding of lhs - rhs, derived.
    where : str
        The instance, named or in numbers.
    """

    lhs: float
    rhs: float
    tolerance: float
    where: str

    @property
    def violated(self) -> bool:
        """Whether the claim fails beyond rounding; a side that is not a number fails it too."""
        return not self.lhs <= self.rhs + self.tolerance

    @property
    def informative(self) -> bool:
        """Whether rounding leaves something to see; a violation always does."""
        return self.violated or self.tolerance <= RESOLVED * max(abs(self.lhs), abs(self.rhs))

    @property
    def ratio(self) -> float:
        """lhs / rhs: 1 is attained; 0 where both sides are within rounding of zero."""
        if self.lhs <= self.tolerance:
            return 0.0
        return self.lhs / self.rhs if self.rhs > 0.0 else float("inf")

    def planted(self, share: float) -> bool:
        """Whether the instance would notice a right side that is too small by ``share`` of it."""
        return not self.lhs <= (1.0 - share) * self.rhs + self.tolerance


Trials = Callable[[Context], Iterator[Margin]]
"""Yields one margin for each instance that meets the premises; all randomness from the seed."""


@dataclass(frozen=True)
class Refutation:
    """An exact counterexample.

    Attributes
    ----------
    certificate : str
        Name of a file of exact rationals in ``verify/claims/certificates``, without ``.json``.
    verify : certificate's content -> None
        Recomputes both sides from the instance in exact arithmetic, checks the premises and that
        the sides are the recorded ones, and raises :class:`CertificateError` if anything fails.
    """

    certificate: str
    verify: Callable[[dict[str, object]], None]


@dataclass(frozen=True)
class Proof:
    """A step that a machine has checked.

    Attributes
    ----------
    step : str
        What it establishes.
    verify : () -> None
        Raises :class:`CertificateError` if the step does not hold.
    """

    step: str
    verify: Callable[[], None]


class CertificateError(Exception):
    """A certificate or a proof step does not verify; the message says which quantity is off."""


class PremiseError(Exception):
    """An instance does not meet a premise that it was made to meet; the message says which and where.

    Trials leave out drawn instances that miss a premise.  Where an instance is built so that it meets
    one, and the statement relies on that, a miss is no reason to leave it out: it ends the trials.
    """


@dataclass(frozen=True)
class Form:
    """A claim as printed, or as proved.

    Attributes
    ----------
    words : str
        The statement in our words.
    formula : str
        The same in LaTeX, without dollar signs.
    trials : Trials or None
    refutations : tuple of Refutation
    proofs : tuple of Proof
    textbook : tuple of str
        Facts that the proof takes from textbooks.
    by_hand : str
        The step that no machine has checked; empty if there is none.
    untestable : str
        Why nothing can be tested, and what would make it testable; empty if something can.
    """

    words: str
    formula: str
    trials: Trials | None = None
    refutations: tuple[Refutation, ...] = ()
    proofs: tuple[Proof, ...] = ()
    textbook: tuple[str, ...] = ()
    by_hand: str = ""
    untestable: str = ""


@dataclass(frozen=True)
class Fault:
    """A wrong version of the claim or of what it is about, which its own trials must notice.

    Attributes
    ----------
    name : str
        A word that can be part of a dotted name.
    wrong : str
        What is wrong, in a few words.
    trials : Trials
        At least one margin must be violated, or a premise be found to fail.
    """

    name: str
    wrong: str
    trials: Trials


@dataclass(frozen=True)
class Claim:
    """One numbered statement of the paper.

    Attributes
    ----------
    number : str
        As the paper has it: ``Lemma 2``, ``(C.20)``.
    title : str
        In a few words.
    premise : str
        What is assumed, in our words, with the assumptions' numbers.
    printed : Form
        Taken at its word: every set and function that the text allows.
    meant : Form or None
        The printed constants with evident slips read as intended and policy classes that are
        products over the states, where that reading has another verdict.
    proved : Form or None
        The best correct statement, where it differs from the one meant.
    faults : tuple of Fault
    inherits : tuple of str
        Numbers of the statements that its proof uses.
    remark : str
        On the proof: which step does not follow and how it is mended; or why nothing is wrong.
    tried : str
        How it was tried to break what stands, and to clear what is refuted, taking the text at its word.
    """

    number: str
    title: str
    premise: str
    printed: Form
    meant: Form | None = None
    proved: Form | None = None
    faults: tuple[Fault, ...] = ()
    inherits: tuple[str, ...] = ()
    remark: str = ""
    tried: str = ""
