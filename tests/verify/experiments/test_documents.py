import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference.errors import InputError
from verify.experiments import documents
from verify.experiments.contract import Series
from verify.experiments.documents import DIGITS, QUANTUM, deviations, last_digit, rounded, stored

G = np.random.default_rng(1)


def made(key: str = "s/exact/m") -> Series:
    values = {"v": G.normal(size=(3, 2)), "w": G.normal(size=(3, 2)) * 1e3}
    return Series(key, {"gamma": 0.9, "inner": "exact"}, (0, 1), (0, 10, 20), (0, 800, 1600), values)


OWN = made()


def test_round_trip() -> None:
    again = stored(OWN)
    for name in ("key", "parameters", "seeds", "iterations", "steps"):
        assert getattr(again, name) == getattr(OWN, name)
    for name, rows in OWN.values.items():
        assert np.abs(again.values[name] - rows).max() <= 0.5 * last_digit(rows, rows).max()
    twice = stored(again)
    assert all(np.array_equal(twice.values[n], again.values[n]) for n in again.values)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.floats(-1e6, 1e6), st.floats(-1.0, 1.0))
def test_the_tolerance_covers_what_rounding_does(value: float, sign: float) -> None:
    """Numbers that agree to rounding are, once stored, within the tolerance, also across a digit."""
    other = value * (1.0 + 1e-14 * sign)
    a, b = np.array([rounded(value)]), np.array([rounded(other)])
    assert (np.abs(a - b) <= last_digit(a, b)).all()


def test_the_tolerance_is_no_wider() -> None:
    for value in (1.23456, 0.000123456, 98765.4):
        unit = 10.0 ** (np.floor(np.log10(value)) - DIGITS + 1)
        a, b = np.array([rounded(value)]), np.array([rounded(value + 2.0 * unit)])
        assert (np.abs(a - b) > last_digit(a, b)).all()
    assert rounded(0.4 * QUANTUM) == 0.0
    assert str(rounded(-0.4 * QUANTUM)) == "0.0"


def test_deviations_are_named() -> None:
    data = {OWN.key: stored(OWN)}
    assert deviations(data, data) == []
    moved = OWN.values["w"].copy()
    moved[1, 1] *= 1.001
    cases = {
        "is missing": {},
        "is new": {**data, "other": stored(made("other"))},
        "other parameters": {OWN.key: replace(data[OWN.key], parameters={"gamma": 0.8})},
        "other seeds": {OWN.key: replace(data[OWN.key], seeds=(0, 2))},
        "other steps": {OWN.key: replace(data[OWN.key], steps=(0, 1, 2))},
        "has the measures": {OWN.key: replace(data[OWN.key], values={"v": OWN.values["v"]})},
        "w after 10 iterations of seed 1 is": {
            OWN.key: stored(replace(OWN, values={**OWN.values, "w": moved}))
        },
    }
    for words, found in cases.items():
        (sentence,) = deviations(data, found)
        assert words in sentence


def test_bad_documents(tmp_path: Path) -> None:
    path = tmp_path / documents.CURVES
    with pytest.raises(InputError, match="cannot read"):
        documents.read_data(tmp_path)
    path.write_text("{")
    with pytest.raises(InputError, match="is not JSON"):
        documents.read_data(tmp_path)
    path.write_text('{"schema": "other"}')
    with pytest.raises(InputError, match="not of the schema"):
        documents.read_data(tmp_path)
    path.write_text(json.dumps({"schema": documents.SCHEMA}))
    with pytest.raises(InputError, match="lists no series"):
        documents.read_data(tmp_path)
    good = documents.dump_series(OWN)
    for broken in (
        {**good, "values": {}},
        {**good, "values": {"v": [[1.0, 2.0]]}},
        {**good, "steps": [0]},
        {**good, "seeds": None},
        {k: v for k, v in good.items() if k != "parameters"},
        7,
    ):
        path.write_text(json.dumps({"schema": documents.SCHEMA, "series": [broken]}))
        with pytest.raises(InputError, match="no series of an experiment"):
            documents.read_data(tmp_path)
    with pytest.raises(InputError, match="not finite"):
        documents.dump_series(replace(OWN, values={"v": np.full((3, 2), np.nan)}))


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=10,
    )
)
def test_spelling_is_json(value: object) -> None:
    assert json.loads(documents.dumps(value)) == value
