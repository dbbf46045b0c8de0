"""Finds the groups of checks, and picks checks by name and by pattern.

A group is a subpackage of :mod:`verify` whose module ``group`` has a constant ``GROUP``, a
:class:`verify.contract.Group`.  Nothing else is imported to list its checks.
"""

import difflib
import importlib
import itertools
import pkgutil
import re
from collections.abc import Callable, Sequence

from reference.errors import InputError
from verify import leaves
from verify.contract import Check, Group, within

FIRST = ("claims", "crosscheck", "mutants")
"""The groups that open the report, in this order; the others follow by name."""


Matcher = Callable[[str], bool]


def commands() -> tuple[str, ...]:
    """Words of the command line, which name no group and no check."""
    return ("all", "list", "check", *leaves.defining("verify.commands", "COMMAND"))


def groups(package: str = "verify") -> tuple[Group, ...]:
    """Groups of a package, in the order of the report.

    Raises
    ------
    TypeError
        If a module ``group`` has no constant ``GROUP``, or it is not a :class:`Group`.
    """
    found: list[Group] = []
    for module in pkgutil.iter_modules(importlib.import_module(package).__path__):
        subpackage = f"{package}.{module.name}"
        if not module.ispkg or "group" not in leaves.names(subpackage):
            continue
        group = getattr(importlib.import_module(f"{subpackage}.group"), "GROUP", None)
        if not isinstance(group, Group):
            raise TypeError(f"{subpackage}.group.GROUP is {group!r}; it must be a Group")
        found.append(group)
    return tuple(sorted(found, key=_place))


def _place(group: Group) -> tuple[int, str]:
    return (FIRST.index(group.name) if group.name in FIRST else len(FIRST), group.name)


def checks(found: Sequence[Group]) -> tuple[Check, ...]:
    """All checks of the groups, in the order of the report.

    Raises
    ------
    ValueError
        If a check is filed under another group than its own, if a name is no dotted name, or if two
        names clash: equal, or one a dotted prefix of the other, whose outcomes could then not be told
        apart.
    """
    collected: list[Check] = []
    for group in found:
        for check in group.checks():
            if check.group != group.name:
                raise ValueError(f"{check.name} says group {check.group!r}, but {group.name!r} lists it")
            collected.append(check)
    names = sorted((check.name for check in collected), key=lambda name: name.split("."))
    for name in [group.name for group in found] + names:
        if not re.fullmatch(r"\w+(\.\w+)*", name) or name in commands():
            raise ValueError(f"{name!r} cannot name a check or a group: words joined by dots do")
    for earlier, later in itertools.pairwise(names):
        if within(later, earlier):
            raise ValueError(f"the checks {earlier!r} and {later!r} clash: no name may begin another")
    return tuple(collected)


def select(
    collected: Sequence[Check], names: Sequence[str] = (), pattern: str = ""
) -> tuple[Check, ...]:
    """Checks that were asked for, in the order of the report.

    Parameters
    ----------
    collected : sequence of Check
    names : sequence of str
        Of checks, of groups, or dotted beginnings of names of checks; none stands for all checks.
    pattern : str
        As :func:`matcher` reads it, against the check's name and its group; empty matches all.

    Raises
    ------
    InputError
        If a name is unknown, the pattern cannot be read, or nothing is left.
    """
    for name in names:
        if not any(_named(check, name) for check in collected):
            raise InputError(_unknown(name, collected))
    chosen = [check for check in collected if not names or any(_named(check, name) for name in names)]
    if pattern:
        matches = matcher(pattern)
        chosen = [check for check in chosen if matches(f"{check.group} {check.name}")]
    if not chosen:
        what = f"no check matches -k {pattern!r}" if pattern else "there are no checks"
        raise InputError(f"{what}; the list command shows what there is")
    return tuple(chosen)


def _named(check: Check, name: str) -> bool:
    return check.group == name or within(check.name, name)


def _unknown(name: str, collected: Sequence[Check]) -> str:
    known = list(
        dict.fromkeys([*commands(), *(c.group for c in collected), *(c.name for c in collected)])
    )
    owner = [check.name for check in collected if within(name, check.name)]
    inside = [candidate for candidate in known if name and name.lower() in candidate.lower()]
    near = owner or inside[:3] or difflib.get_close_matches(name, known, n=3)
    remedy = f"did you mean {' or '.join(near)}?" if near else "the list command shows what there is"
    return f"there is no check or group {name!r}: {remedy}"


def matcher(pattern: str) -> Matcher:
    """Read a pattern: words joined by ``and``, ``or``, ``not`` and parentheses.

    A word matches the texts that contain it, whatever the case; ``not`` binds tighter than ``and``, and
    ``and`` tighter than ``or``.

    Raises
    ------
    InputError
        If the pattern is empty or misses a word or a parenthesis.
    """
    tokens = re.findall(r"[()]|[^\s()]+", pattern)[::-1]  # a stack: the next one is last

    def fail(found: str) -> InputError:
        return InputError(
            f"cannot read the pattern {pattern!r} at {found}: give words joined by and, or, not and "
            "parentheses, such as 'value and not (grad_x or grad_y)'"
        )

    def take(word: str) -> bool:
        return bool(tokens) and tokens[-1] == word and tokens.pop() == word

    def either() -> Matcher:
        parts = [both()]
        while take("or"):
            parts.append(both())
        return lambda text: any(part(text) for part in parts)

    def both() -> Matcher:
        parts = [one()]
        while take("and"):
            parts.append(one())
        return lambda text: all(part(text) for part in parts)

    def one() -> Matcher:
        if take("not"):
            inner = one()
            return lambda text: not inner(text)
        if take("("):
            inner = either()
            if not take(")"):
                raise fail(repr(tokens[-1]) if tokens else "its end")
            return inner
        if not tokens or tokens[-1] in {"and", "or", ")"}:
            raise fail(repr(tokens[-1]) if tokens else "its end")
        word = tokens.pop().lower()
        return lambda text: word in text.lower()

    whole = either()
    if tokens:
        raise fail(repr(tokens[-1]))
    return whole
