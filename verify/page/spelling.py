"""How verdicts and numbers are written on the page."""

import math

from verify.claims.contract import Verdict
from verify.page.mathematics import GREEK

NOT_RUN = "NOT RUN"
"""Stands for the verdict of what a run did not judge."""

VERDICTS = {
    Verdict.PROVED.value: ("✓", "checked symbolically or in exact arithmetic"),
    Verdict.SURVIVED.value: ("○", "no violation found, by a search whose strength is stated"),
    Verdict.REFUTED.value: ("✗", "an exact rational counterexample is given, worked in numbers"),
    Verdict.VIOLATED.value: ("!", "a violation was seen, without an exact counterexample"),
    Verdict.VACUOUS.value: ("∅", "no instance met the premises"),
    Verdict.UNTESTABLE.value: ("?", "names no constant that could be tested"),
    NOT_RUN: ("·", "not part of this run"),
}
"""Marks and meanings of the verdicts, in the order shown."""

RAISED = str.maketrans("0123456789-−", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁻")


def minus(text: object) -> str:
    """Return a number, or a text with numbers, with true minus signs."""
    return str(text).replace("-", "−")


def plural(number: int, noun: str) -> str:
    """Return a number with its noun: ``1 form``, ``2 forms``."""
    return f"{number} {noun}" + ("" if number == 1 else "s")


def sentence(text: str) -> str:
    """Return a text that begins with a capital letter, if it begins with a word."""
    word = text.partition(" ")[0]
    plain = word.islower() and word.isalpha() and len(word) > 1 and word not in GREEK
    return text[:1].upper() + text[1:] if plain or word == "a" else text


def short(number: float, digits: int) -> str:
    """Return a number with some significant digits, and a power of ten if it is large or small."""
    if not math.isfinite(number):
        return "–" if math.isnan(number) else minus("∞" if number > 0.0 else "-∞")
    mantissa, _, power = f"{number:.{digits - 1}e}".partition("e")
    if number == 0.0 or -4 < int(power) < max(digits, 4):
        decimals = max(digits - 1 - int(power), 0) if number else 0
        return minus(f"{number:.{decimals}f}")
    return f"{minus(mantissa)} · 10{str(int(power)).translate(RAISED)}"


def ratio(margin: float | str | None) -> str:
    """Return a ratio to four decimals, rounded down below 1: what is not attained is not shown as if."""
    number = float("nan" if margin is None else margin)
    if number == 0.0 or 1e-3 <= abs(number) < 1e4:
        return f"{math.floor(number * 1e4) / 1e4 if number < 1.0 else number:.4f}"
    return short(number, 2)


def seconds(time: float) -> str:
    """Return a time."""
    return f"{time:.1f} s" if time < 100.0 else f"{time / 60.0:.0f} min"


def decimal(fraction: str) -> str:
    """Return ``≈ 0.00125`` for a fraction whose value is hard to see, else nothing."""
    numerator, _, denominator = fraction.partition("/")
    if not denominator or int(denominator) <= 20:
        return ""
    return f" ≈ {minus(f'{int(numerator) / int(denominator):.4g}')}"
