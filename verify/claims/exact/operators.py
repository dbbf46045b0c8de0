r"""Polynomials in operators that do not commute: identities that hold in every dimension.

A letter is an operator or a vector, a word a product, read from the left.  Rules replace a word by a
polynomial, for instance ``X Y G M`` by ``M - 1`` for the resolvent M = (1 - X Y G)^{-1}, and are applied
until no word matches, which ends because each makes words shorter or removes a letter.

Derivatives are formal: the product rule on words, given the derivative of each letter.
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass
from fractions import Fraction

from verify.claims.contract import CertificateError

Word = tuple[str, ...]


@dataclass(frozen=True)
class Operators:
    """A polynomial: coefficients by word; words with coefficient zero are absent."""

    terms: Mapping[Word, Fraction]

    def __add__(self, other: "Operators") -> "Operators":
        """Sum."""
        return _collected([*self.terms.items(), *other.terms.items()])

    def __neg__(self) -> "Operators":
        """Opposite."""
        return Operators({word: -c for word, c in self.terms.items()})

    def __sub__(self, other: "Operators") -> "Operators":
        """Difference."""
        return self + -other

    def __mul__(self, other: "Operators") -> "Operators":
        """Product, in this order."""
        return _collected(
            [(v + w, c * d) for v, c in self.terms.items() for w, d in other.terms.items()]
        )

    def replaced(self, word: str, by: "Operators") -> "Operators":
        """Apply the rule ``word -> by`` until it matches nowhere."""
        pattern = tuple(word.split())
        result = self
        while (hit := _occurrence(result, pattern)) is not None:
            found, position = hit
            before, after = found[:position], found[position + len(pattern) :]
            coefficient = result.terms[found]
            whole = Operators({before: coefficient}) * by * Operators({after: Fraction(1)})
            result = result - Operators({found: coefficient}) + whole
        return result

    def with_in_front(self, numbers: Set[str]) -> "Operators":
        """Move letters that commute with all others to the front, in order."""
        return _collected(
            [
                (
                    (
                        *sorted(letter for letter in word if letter in numbers),
                        *(letter for letter in word if letter not in numbers),
                    ),
                    c,
                )
                for word, c in self.terms.items()
            ]
        )

    def derivative(self, slopes: Mapping[str, str]) -> "Operators":
        """Product rule; letters without a slope are constant."""
        return _collected(
            [
                ((*word[:i], slopes[letter], *word[i + 1 :]), c)
                for word, c in self.terms.items()
                for i, letter in enumerate(word)
                if letter in slopes
            ]
        )


def operators(text: str) -> Operators:
    """Parse a sum of words such as ``"X Y R + X Y G V - N"``; the word ``1`` is the identity."""
    pairs: list[tuple[Word, Fraction]] = []
    for summand in text.replace("- ", "+ -").split("+"):
        letters = summand.split()
        sign = Fraction(-1 if letters and letters[0].startswith("-") else 1)
        cleaned = [letter.removeprefix("-") for letter in letters]
        pairs.append((tuple(letter for letter in cleaned if letter not in ("1", "")), sign))
    return _collected(pairs)


ZERO = Operators({})


def vanishes(what: str, polynomial: Operators) -> None:
    """Require that a polynomial is zero.

    Raises
    ------
    CertificateError
        If a word is left.
    """
    if polynomial.terms:
        left = " + ".join(f"{c} {' '.join(word)}" for word, c in polynomial.terms.items())
        raise CertificateError(f"{what}: {left} is left over")


def _collected(pairs: list[tuple[Word, Fraction]]) -> Operators:
    terms: dict[Word, Fraction] = {}
    for word, coefficient in pairs:
        terms[word] = terms.get(word, Fraction(0)) + coefficient
    return Operators({word: c for word, c in terms.items() if c != 0})


def _occurrence(polynomial: Operators, pattern: Word) -> tuple[Word, int] | None:
    for word in polynomial.terms:
        for i in range(len(word) - len(pattern) + 1):
            if word[i : i + len(pattern)] == pattern:
                return word, i
    return None
