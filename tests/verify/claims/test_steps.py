"""The lines between a certificate's data and its two sides: exact, complete, refused if altered."""

import re
from typing import Any

import pytest

from verify.claims import exact
from verify.claims.contract import CertificateError
from verify.claims.exact.steps import RELATIONS, working

CERTIFICATES = sorted(path.stem for path in exact.FOLDER.glob("*.json"))
PLAIN: dict[str, Any] = {"gamma": "1/2", "r": [["1", "2"]], "lambda": "3", "lhs": "4", "rhs": "2"}


def worked(*chains: str, **changes: Any) -> dict[str, Any]:
    return PLAIN | {"steps": [["words", chain] for chain in chains]} | changes


@pytest.mark.parametrize("name", CERTIFICATES)
def test_every_certificate_is_worked_in_numbers(name: str) -> None:
    content = exact.load(name)
    steps = working(content)
    assert len(steps) >= 2
    assert steps[0].words
    assert steps[-1].words
    # The last step decides: the sides differ, unless the certificate is one of equality.
    equal = exact.fraction(content["lhs"]) == exact.fraction(content["rhs"])
    assert equal or set(steps[-1].relations) & {"<", ">"}


@pytest.mark.parametrize("name", CERTIFICATES)
def test_no_side_of_an_equation_can_be_altered(name: str) -> None:
    content = exact.load(name)
    for place, (words, chain) in enumerate(content["steps"]):
        parts = RELATIONS.split(chain)
        defines = re.fullmatch(r"[a-zA-Z]\w*(\[.*\])?", parts[0].strip()) is not None
        for side in range(2 * defines, len(parts), 2):
            related = {"="} & {*parts[max(side - 1, 0) : side + 2]}
            if not related or (defines and parts.count("=") == 1):
                continue  # nothing else in the line says what it is
            changed = [*parts]
            changed[side] = f"({changed[side].strip()}) + 1/1000"
            steps = [*content["steps"]]
            steps[place] = [words, "".join(changed)]
            with pytest.raises(CertificateError):
                working(content | {"steps": steps})


@pytest.mark.parametrize("side", ["lhs", "rhs"])
@pytest.mark.parametrize("name", CERTIFICATES)
def test_the_last_step_compares_the_recorded_sides(name: str, side: str) -> None:
    content = exact.load(name)
    other = str(exact.fraction(content[side]) + exact.fraction("1/1000003"))
    with pytest.raises(CertificateError, match="the last step"):
        working(content | {side: other})


def test_names_stand_for_data_and_for_earlier_lines() -> None:
    steps = working(worked("V[u] = r[1, 2] / (1 - gamma) = 4", "V[u] = 4 > lambda - 1 = 2"))
    assert [step.relations for step in steps] == [("=", "="), ("=", ">", "=")]
    assert working(PLAIN) == ()


@pytest.mark.parametrize(
    ("chain", "message"),
    [
        ("4 > 3 = 2", "does not hold"),
        ("2 >= 4 > 2", "does not hold"),
        ("4 > unknown", "nothing defines unknown"),
        ("4 > r[1, 3]", r"nothing defines r\[1, 3\]"),
        ("a = 4", "where the number comes from"),
        ("a > 2", "does not define a"),
        ("4", "relates nothing"),
        ("4 > (2", "no chain of expressions"),
        ("4 > 2.0", "no rational expression"),
        ("4 > 1 / (2 * gamma - 1)", "divides by 0"),
        ("4^(1/2) = 2", "is a root"),
        ("4 > __import__(2)", "no rational expression"),
        ("4 > 3 > 2.5 - 1", "no rational expression"),
        ("4 > 3", "does not compare 4 and 2"),
    ],
)
def test_what_is_no_step_is_refused(chain: str, message: str) -> None:
    with pytest.raises(CertificateError, match=message):
        working(worked(chain))


@pytest.mark.parametrize("pair", ["4 > 2", ["4 > 2"], ["words", 4], [None, "4 > 2"]])
def test_a_step_is_a_pair_of_words_and_a_chain(pair: object) -> None:
    with pytest.raises(CertificateError, match="no pair"):
        working(PLAIN | {"steps": [pair]})
