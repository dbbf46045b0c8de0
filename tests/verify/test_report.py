import io
import json
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from math import inf, nan
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # ships no types
from junitparser import Error, Failure, JUnitXml
from rich.console import Console
from rich.table import Table

from reference.errors import InputError
from verify.audit import contract as audit
from verify.claims import contract as claims
from verify.contract import Check, Context, Group, Level, Outcome, Status
from verify.report import document, files, junit, tables
from verify.report.run import Origin, Run, fingerprint

ORIGIN = Origin(
    "1.2.3",
    "0a" * 32,
    dict.fromkeys(("python", "numpy", "scipy", "torch", "platform"), "9") | {"python-flint": None},
)


def check(name: str) -> Check:
    return Check(name, name.partition(".")[0], f"Title of {name}", lambda _context: ())


CHECKS = tuple(map(check, ("claims.one", "routes.value", "routes.grad")))
OUTCOMES = {
    "claims.one": (
        Outcome(
            "claims.one.a", "P[s, a] vs [bold]Q[/bold]", Status.AS_EXPECTED, 0.12345, "P[3, 1]", 7, 0.5
        ),
        Outcome("claims.one.b", "∇ against ∇", Status.AS_EXPECTED, nan, "", 0, 0.0),
    ),
    "routes.value": (
        Outcome("routes.value", "x", Status.DEVIATION, inf, "gamma = 0.9", 3, 1.25, "differs by 1e-3"),
    ),
    "routes.grad": (
        Outcome(
            "routes.grad", "y", Status.ERROR, nan, "", 0, 0.1, "ValueError: bad", "Traceback\n  bad\x1b"
        ),
    ),
}
GROUPS = (
    Group("claims", "The paper", lambda: CHECKS[:1]),
    Group("routes", "Others", lambda: CHECKS[1:]),
)


def run_of(*names: str) -> Run:
    """A run of which the named checks have finished, the last one first."""
    run = Run.begin(ORIGIN, Context(Level.STANDARD, 11), CHECKS)
    for number, finished in enumerate(reversed([check for check in CHECKS if check.name in names])):
        run = run.after(finished, OUTCOMES[finished.name], 1.5 * number)
    return run


WHOLE = run_of(*OUTCOMES)


def valid(run: Run) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(
        document.dumps(run), parse_constant=lambda name: pytest.fail(f"{name} is not JSON")
    )
    validator = Draft202012Validator(
        document.schema(), format_checker=Draft202012Validator.FORMAT_CHECKER
    )
    validator.validate(read)
    return read


def nodes(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield schema
    for child in [*schema.get("properties", {}).values(), *filter(None, [schema.get("items")])]:
        yield from nodes(child)


# The document


def test_schema_is_one_and_describes_every_field() -> None:
    schema = document.schema()
    Draft202012Validator.check_schema(schema)
    for node in nodes(schema):
        assert len(node["description"]) > 10
        if "properties" in node:
            assert set(node["required"]) == set(node["properties"])
            assert node["additionalProperties"] is False


def test_schema_knows_every_verdict() -> None:
    outcome = document.schema()["properties"]["outcomes"]["items"]["properties"]
    verdicts = [*map(str, claims.Verdict), *map(str, audit.Verdict)]
    assert outcome["verdict"]["enum"] == ["", *verdicts]
    for verdict in verdicts:
        judged = (replace(OUTCOMES["routes.value"][0], verdict=verdict),)
        valid(run_of().after(CHECKS[1], judged, 1.0))


@pytest.mark.parametrize("names", [(), ("routes.value",), tuple(OUTCOMES)])
def test_document_is_valid_at_any_moment(names: tuple[str, ...]) -> None:
    read = valid(run_of(*names))
    assert read["complete"] is (len(names) == 3)
    assert {entry["check"] for entry in read["outcomes"]} == set(names)
    assert (read["level"], read["seed"], read["package_version"]) == ("standard", 11, "1.2.3")


def test_document_is_in_the_order_of_the_report_and_encodes_what_json_lacks() -> None:
    read = valid(WHOLE)
    names = ["claims.one.a", "claims.one.b", "routes.value", "routes.grad"]
    assert [entry["name"] for entry in read["outcomes"]] == names
    assert [entry["margin"] for entry in read["outcomes"]] == [0.12345, None, "inf", None]
    assert [entry["group"] for entry in read["outcomes"]] == ["claims", "claims", "routes", "routes"]
    assert read["outcomes"][3]["traceback"] == "Traceback\n  bad\x1b"


def test_schema_refuses_what_is_no_document() -> None:
    validator = Draft202012Validator(document.schema())
    for path, value in (
        (("version",), 2),
        (("level",), "thorough"),
        (("seed",), -1),
        (("complete",), "yes"),
        (("outcomes", 0, "status"), "passed"),
        (("outcomes", 0, "margin"), "nan"),
        (("outcomes", 0, "instances"), 1.5),
        (("outcomes", 0, "surprise"), 1),
        (("environment", "jax"), "1"),
    ):
        read = valid(WHOLE)
        place: Any = read
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value
        assert not validator.is_valid(read), path


TEXT = st.text(
    st.characters(exclude_categories=()), max_size=30
)  # surrogates and control characters too


@settings(max_examples=50, deadline=None, derandomize=True)
@example(outcome=replace(OUTCOMES["claims.one"][0], detail="\ud800 \x00 \uffff ]]> \\ud800"))
@given(
    outcome=st.builds(
        Outcome,
        name=TEXT.map("claims.one.{}".format),
        title=TEXT,
        status=st.sampled_from(Status),
        margin=st.floats(),
        instance=TEXT,
        instances=st.integers(0),
        seconds=st.integers(0, 10**9).map(lambda n: n / 64),
        detail=TEXT,
        traceback=TEXT,
    )
)
def test_any_outcome_survives_both_formats(
    tmp_path_factory: pytest.TempPathFactory, outcome: Outcome
) -> None:
    run = run_of("routes.value").after(CHECKS[0], (outcome,), 3.0)
    valid(run)
    path = tmp_path_factory.getbasetemp() / "any outcome"
    files.write(path, document.dumps(run))
    again = document.resume(run_of(), path).results
    if outcome.status is Status.ERROR:
        assert set(again) == {"routes.value"}
    else:
        (back,) = again["claims.one"]
        assert repr(back) == repr(outcome)  # repr: nan is not itself
    files.write(path, junit.dumps(run))
    (case, _) = [case for suite in JUnitXml.fromfile(str(path)) for case in suite]
    assert len(case.result) == (outcome.status is not Status.AS_EXPECTED)


# Resuming


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "out.json"
    files.write(path, document.dumps(run_of("claims.one", "routes.grad")))
    return path


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_resumed_run_has_what_finished_but_errors_run_again(written: Path) -> None:
    earlier = run_of("claims.one", "routes.grad")
    run = document.resume(Run.begin(ORIGIN, Context(Level.STANDARD, 11), CHECKS), written)
    assert [check.name for check in run.left] == ["routes.value", "routes.grad"]
    assert repr(run.results["claims.one"]) == repr(OUTCOMES["claims.one"])
    assert (run.started, run.seconds) == (earlier.started, earlier.seconds)
    for finished in run.left:
        run = run.after(finished, OUTCOMES[finished.name], WHOLE.seconds)
    assert valid(run) == valid(WHOLE) | {"started": run.started}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"package_version": "1.2.2"}, r"its package_version is 1\.2\.2, that of this run is 1\.2\.3"),
        ({"fingerprint": "0b" * 32}, r"its fingerprint is 0b"),
        ({"level": "quick"}, r"its level is quick, that of this run is standard; give the same"),
        ({"seed": 12}, r"its seed is 12"),
        (
            {"environment": {**ORIGIN.environment, "numpy": "8"}},
            r"its numpy is 8, that of this run is 9",
        ),
        ({"checks": ["claims.zero"], "outcomes": []}, r"not asked for, such as claims\.zero"),
        ({"checks": ["routes.value"]}, r"it has an outcome 'claims\.one\.a' of no check"),
        ({"seed": "eleven"}, r"no report of version 1: at \$\.seed, 'eleven' is not of type 'integer'"),
        ({"version": 2}, r"no report of version 1: at \$\.version, 1 was expected"),
    ],
)
def test_resume_refuses_another_run(written: Path, changes: dict[str, Any], message: str) -> None:
    edit(written, **changes)
    with pytest.raises(InputError, match=message):
        document.resume(run_of(), written)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot read"),
        ("{", "is not JSON"),
        ("\udcff", "is not JSON"),
        ("[]", "at \\$, \\[\\] is not"),
    ],
)
def test_resume_refuses_another_file(tmp_path: Path, content: str | None, message: str) -> None:
    path = tmp_path / "file"
    if content is not None:
        path.write_text(content, errors="surrogateescape")
    with pytest.raises(InputError, match=f"{message}.*--resume takes a file of --json"):
        document.resume(run_of(), path)


# Where a run comes from


def test_origin_tells_code_and_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = Origin.here(["verify.report"]).environment
    assert set(environment) == set(ORIGIN.environment)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "origin").mkdir()
    (tmp_path / "origin" / "__init__.py").write_text("one")
    seen = [fingerprint(["origin"])]
    (tmp_path / "origin" / "__init__.py").write_text("two")
    seen.append(fingerprint(["origin"]))
    (tmp_path / "origin" / "data.json").write_text("")
    seen.append(fingerprint(["origin"]))
    (tmp_path / "origin" / "data.json").rename(tmp_path / "origin" / "other.json")
    seen.append(fingerprint(["origin"]))
    assert len(set(seen)) == 4
    (tmp_path / "origin" / "cache.pyc").write_text("")
    assert fingerprint(["origin"]) == seen[-1]
    with pytest.raises(ModuleNotFoundError, match="there is no package nowhere"):
        fingerprint(["nowhere"])


# Files


def test_write_replaces_at_one_stroke(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, link = tmp_path / "out", tmp_path / "link"
    link.symlink_to(path)
    files.write(link, "first")
    assert link.is_symlink()
    assert path.read_text() == "first"

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(InputError, match=r"cannot write .*No space left on device"):
        files.write(path, "second")
    assert path.read_text() == "first"
    assert sorted(tmp_path.iterdir()) == [link, path]


def test_writable_is_found_out_without_a_change(tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.write_text("kept")
    files.check_writable(old)
    files.check_writable(tmp_path / "new")
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
    assert old.read_text() == "kept"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "it is a directory"),
        ("none/out", "there is no directory .*none; make it"),
        ("old/out", "there is no directory"),
        ("pipe", "it is no file that may be written to"),
        ("long" * 100, "File name too long"),
    ],
)
def test_unwritable_is_told_why(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "old").write_text("")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match=f"cannot write .*{message}"):
        files.check_writable(tmp_path / name)


# JUnit


def test_junit_has_a_case_per_outcome(tmp_path: Path) -> None:
    path = tmp_path / "out.xml"
    files.write(path, junit.dumps(WHOLE))
    xml = JUnitXml.fromfile(str(path))
    assert (xml.tests, xml.failures, xml.errors) == (4, 1, 1)
    suites = {suite.name: list(suite) for suite in xml}
    assert {name: [case.name for case in cases] for name, cases in suites.items()} == {
        "claims": ["claims.one.a", "claims.one.b"],
        "routes": ["routes.value", "routes.grad"],
    }
    assert all(case.classname == name for name, cases in suites.items() for case in cases)
    assert [case.time for case in suites["routes"]] == [1.25, 0.1]
    ((failure,), (error,)) = (case.result for case in suites["routes"])
    assert isinstance(failure, Failure)
    assert failure.message == "differs by 1e-3"
    assert "margin: inf tolerances\ninstance: gamma = 0.9" in failure.text
    assert isinstance(error, Error)
    assert error.text == "Traceback\n  bad\ufffd"
    properties = [
        (entry.get("name"), entry.get("value")) for entry in ElementTree.parse(path).iter("property")
    ]
    assert properties == [("level", "standard"), ("seed", "11"), ("complete", "true")] * 2


# Tables


def shown(run: Run, groups: tuple[Group, ...] = GROUPS) -> str:
    stream = io.StringIO()
    tables.console(stream).print(tables.report(groups, run))
    return stream.getvalue()


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("COLUMNS", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)


def test_tables_have_a_line_per_outcome() -> None:
    lines = [re.split(r"\s{2,}", line.strip()) for line in shown(WHOLE).splitlines()]
    assert ["as expected", "claims.one.a", "0.123", "P[3, 1]", "7", "0.50"] in lines
    assert ["as expected", "claims.one.b", "-", "0", "0.00"] in lines
    assert ["deviation", "routes.value", "inf", "gamma = 0.9", "3", "1.25"] in lines
    assert ["error", "routes.grad", "-", "0", "0.10"] in lines
    assert lines.index(["claims: The paper"]) < lines.index(["routes: Others"])


def test_deviations_and_errors_are_told_in_full_after_the_tables() -> None:
    text = shown(WHOLE)
    tail = text[text.index("routes.grad") :]
    for line in (
        r"deviation +routes\.value",
        r"title +x",
        r"detail +differs by 1e-3",
        r"margin +inf tolerances",
        r"instance +gamma = 0\.9",
        r"again +python -m verify routes\.value --level standard --seed 11",
        r"detail +ValueError: bad",
    ):
        assert re.search(rf"^{line} *$", tail, re.MULTILINE), line
    assert "Traceback" not in text
    assert "claims.one" not in tail


def test_last_line_sums_up() -> None:
    assert shown(WHOLE).splitlines()[-1] == (
        "2 as expected, 1 deviation, 1 error in 3.0 s (level standard, seed 11)"
    )
    assert shown(run_of("claims.one")).splitlines()[-1] == (
        "interrupted after 1 check of 3: 2 as expected, 0 deviations, 0 errors in 0.0 s "
        "(level standard, seed 11)"
    )


def test_nothing_is_folded_or_read_as_markup_in_a_file() -> None:
    name = "claims.one." + "x" * 300
    long = replace(OUTCOMES["claims.one"][0], name=name, instance="[red]s[/red] :smile: " * 20)
    text = shown(run_of().after(CHECKS[0], (long,), 1.0))
    assert f"{name}  " in text
    assert long.instance.strip() in text
    assert "\x1b" not in text
    deviating = replace(long, status=Status.DEVIATION, title="[bold]Q[/bold]")
    assert "[bold]Q[/bold]" in shown(run_of().after(CHECKS[0], (deviating,), 1.0))


def test_narrow_console_folds_and_loses_nothing() -> None:
    stream = io.StringIO()
    console = Console(file=stream, width=60, markup=False)
    console.print(tables.report(GROUPS, WHOLE))
    lines = stream.getvalue().splitlines()
    assert max(map(len, lines)) <= 60
    assert "…" not in stream.getvalue()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_colour_on_a_terminal_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    red = "\x1b[1;31m"
    for no_color, coloured in (("", True), ("1", False)):
        monkeypatch.setenv("NO_COLOR", no_color)
        stream = Terminal()
        tables.console(stream).print(tables.report(GROUPS, WHOLE))
        assert (red in stream.getvalue()) is coloured


def test_group_may_draw_its_own_outcomes() -> None:
    seen: list[str] = []

    def render(outcomes: Any) -> Table:
        seen.extend(outcome.name for outcome in outcomes)
        table = Table("my own matrix")
        table.add_row("[3, 1]")
        return table

    groups = (GROUPS[0], replace(GROUPS[1], render=render))
    text = shown(WHOLE, groups)
    assert seen == ["routes.value", "routes.grad"]
    assert "my own matrix" in text
    assert "[3, 1]" in text
    assert text.count("worst instance") == 1
    seen.clear()
    shown(run_of("claims.one"), groups)
    assert seen == []


def test_listing_has_names_and_titles() -> None:
    stream = io.StringIO()
    tables.console(stream).print(tables.listing(GROUPS, CHECKS[:2]))
    assert [line.strip() for line in stream.getvalue().splitlines() if line.strip()] == [
        "claims: The paper",
        "claims.one  Title of claims.one",
        "routes: Others",
        "routes.value  Title of routes.value",
    ]


def test_margin_is_spelled_in_three_digits() -> None:
    assert [tables.spell_margin(m) for m in (nan, inf, 0.0, 1.23456, 3e-9)] == [
        "-",
        "inf",
        "0",
        "1.23",
        "3e-09",
    ]
