"""Certificates with their numbers altered, one at a time."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

import pytest
from flint import fmpq

from verify.claims import exact
from verify.claims.contract import CertificateError, Claim

Verify = Callable[[dict[str, Any]], None]


def of(claims: dict[str, Claim]) -> dict[str, Verify]:
    """Names of the certificates that refute printed forms, with what verifies them."""
    return {
        refutation.certificate: refutation.verify
        for claim in claims.values()
        for refutation in claim.printed.refutations
    }


def numbers(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where the rationals of a certificate stand."""
    if isinstance(node, dict | list):
        for key, child in node.items() if isinstance(node, dict) else enumerate(node):
            yield from numbers(child, (*path, key))
    else:
        try:
            exact.fraction(node)
        except CertificateError:
            return
        yield path


def altered(content: dict[str, Any], path: tuple[Any, ...], change: fmpq) -> dict[str, Any]:
    """A copy in which one number is changed."""
    changed = deepcopy(content)
    node: Any = changed
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = str(exact.fraction(node[path[-1]]) + change)
    return changed


def refuses_alterations(name: str, verify: Verify, changes: tuple[fmpq, ...]) -> None:
    """Assert that a certificate verifies, and none does with any of its numbers changed.

    The two sides are also changed by a thousandth.
    """
    content = exact.load(name)
    verify(content)
    places = list(numbers(content))
    sides = [("lhs",), ("rhs",)]
    assert {*sides} <= {*places}
    small = fmpq(1, 1000)
    tried = [(path, change) for path in places for change in changes]
    for path, change in [*tried, *((side, change) for side in sides for change in (small, -small))]:
        with pytest.raises(CertificateError):
            verify(altered(content, path, change))
