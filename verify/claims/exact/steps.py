"""A counterexample worked in numbers: the lines between its data and its two sides, verified exactly.

A certificate may have the field ``steps``, a list of pairs: what is done, in words, and a chain like::

    "gap = V_best - V = 2 - 0 = 2"

The sides of a chain are rational expressions; ``=``, ``<``, ``>``, ``<=`` and ``>=`` between them are
verified.  A name that is new and stands alone on the left is defined by the chain; every other one is
defined by an earlier line, or stands for the certificate's datum of that name: ``gamma``, ``r[1, 2]``
(the second action in the first state), ``pi[1, 1]``.  Brackets may hold words, as in ``V[u]``.  The last
line compares the two sides that the certificate records, which its own code recomputes from the data.
"""

import ast
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flint import fmpq

from verify.claims.contract import CertificateError
from verify.claims.exact.rationals import fraction, require

RELATIONS = re.compile(r"(<=|>=|=|<|>)")

LAMBDA = "lambda_"
"""Stands for lambda, which is a word of Python's."""

HOLDS: dict[str, Callable[[fmpq, fmpq], bool]] = {
    "=": lambda left, right: left == right,
    "<": lambda left, right: left < right,
    ">": lambda left, right: left > right,
    "<=": lambda left, right: left <= right,
    ">=": lambda left, right: left >= right,
}

OPERATORS: dict[type, Callable[[fmpq, fmpq], fmpq]] = {
    ast.Add: lambda left, right: left + right,
    ast.Sub: lambda left, right: left - right,
    ast.Mult: lambda left, right: left * right,
    ast.Div: lambda left, right: left / right,
    ast.Pow: lambda left, right: left ** int(right),
}

FUNCTIONS: dict[str, Callable[..., fmpq]] = {"max": max, "min": min, "abs": abs}


@dataclass(frozen=True)
class Step:
    """One line of the working.

    Attributes
    ----------
    words : str
        What is done.
    sides : tuple of ast.expr
        Expressions, in the order of the chain.
    relations : tuple of str
        Between them: ``=``, ``<``, ``>``, ``<=`` or ``>=``.
    names : mapping of str to rational
        What the names in it stand for.
    """

    words: str
    sides: tuple[ast.expr, ...]
    relations: tuple[str, ...]
    names: Mapping[str, fmpq]


def working(content: Mapping[str, Any]) -> tuple[Step, ...]:
    """Return the verified steps of a certificate; none if it has no such field.

    Raises
    ------
    CertificateError
        If a line cannot be read, has a name that nothing defines or a relation that does not hold, or if
        the last one does not compare the recorded sides.
    """
    if "steps" not in content:
        return ()
    names = dict(_data(content))
    made: list[Step] = []
    values: list[fmpq] = []
    for pair in content["steps"]:
        readable = isinstance(pair, list | tuple) and list(map(type, pair)) == [str, str]
        require(readable, f"{pair!r} is no pair of words and a chain")
        sides, relations = _parse(pair[1])
        values = _verify(sides, relations, pair[1], names)
        made.append(Step(pair[0], sides, relations, dict(names)))
    lhs, rhs = fraction(content["lhs"]), fraction(content["rhs"])
    require(lhs in values and rhs in values, f"the last step does not compare {lhs} and {rhs}")
    return tuple(made)


def _data(content: Mapping[str, Any]) -> Iterator[tuple[str, fmpq]]:
    """Names of all rationals of a certificate; those in objects have no prefix."""
    for key, datum in content.items():
        if isinstance(datum, dict):
            yield from _data(datum)
        elif key not in ("steps", "lhs", "rhs"):
            yield from _entries(LAMBDA if key == "lambda" else key, (), datum)


def _entries(name: str, index: tuple[int, ...], datum: object) -> Iterator[tuple[str, fmpq]]:
    if isinstance(datum, list):
        for place, entry in enumerate(datum, 1):
            yield from _entries(name, (*index, place), entry)
        return
    try:
        number = fraction(datum)
    except CertificateError:
        return  # words
    yield name + (str(list(index)) if index else ""), number


def _parse(chain: str) -> tuple[tuple[ast.expr, ...], tuple[str, ...]]:
    parts = RELATIONS.split(re.sub(r"\blambda\b", LAMBDA, chain.replace("^", "**")))
    try:
        sides = tuple(ast.parse(part.strip(), mode="eval").body for part in parts[::2])
    except SyntaxError as error:
        raise CertificateError(f"{chain!r} is no chain of expressions: {error}") from error
    require(len(sides) > 1, f"{chain!r} relates nothing to anything")
    return sides, tuple(parts[1::2])


def _verify(
    sides: Sequence[ast.expr], relations: Sequence[str], chain: str, names: dict[str, fmpq]
) -> list[fmpq]:
    """Return the sides' values, having added the name that the chain defines."""
    first, *others = sides
    new = name_of(first)
    if new is None or new in names:
        others = [first, *others]
    else:
        require(relations[0] == "=", f"{chain!r} does not define {new}")
        reckoned = len(others) > 1 or not isinstance(others[0], ast.Constant)
        require(reckoned, f"{chain!r} says nothing of where the number comes from")
        names[new] = value(others[0], names)
    values = [value(side, names) for side in sides]
    for left, relation, right in zip(values, relations, values[1:], strict=False):
        require(HOLDS[relation](left, right), f"{chain!r}: {left} {relation} {right} does not hold")
    return values


def name_of(node: ast.expr) -> str | None:
    """Return the name that an expression is, ``None`` if it is another one."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
        return f"{node.value.id}[{', '.join(index_of(node))}]"
    return None


def index_of(node: ast.Subscript) -> Sequence[str]:
    """Return what stands in the brackets of a name."""
    entries = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    return [ast.unparse(entry) for entry in entries]


def value(node: ast.expr, names: Mapping[str, fmpq]) -> fmpq:
    """Return the value of an expression.

    Raises
    ------
    CertificateError
        If it has a name that nothing defines, or is no rational expression.
    """
    name = name_of(node)
    if name is not None:
        require(name in names, f"nothing defines {name}")
        return names[name]
    if isinstance(node, ast.Constant) and isinstance(node.value, int):
        return fmpq(node.value)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -value(node.operand, names)
    if isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
        left, right = value(node.left, names), value(node.right, names)
        require(not (isinstance(node.op, ast.Div) and right == 0), f"{ast.unparse(node)} divides by 0")
        require(not isinstance(node.op, ast.Pow) or right.q == 1, f"{ast.unparse(node)} is a root")
        return OPERATORS[type(node.op)](left, right)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in FUNCTIONS:
        return FUNCTIONS[node.func.id](*(value(argument, names) for argument in node.args))
    raise CertificateError(f"{ast.unparse(node)} is no rational expression")
