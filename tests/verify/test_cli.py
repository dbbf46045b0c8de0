import json
import os
import re
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # ships no types
from junitparser import JUnitXml

from reference.errors import InputError
from verify import cli, collect
from verify.contract import Check, Group, Level
from verify.report import document

ROOT = Path(__file__).parents[2]

FAKES = """
import os, time
from functools import partial
from pathlib import Path
from verify.cli import main
from verify.contract import Check, Group, Outcome, Status


def outcome(context, name, status=Status.AS_EXPECTED, detail=""):
    import numpy as np

    margin = float(np.random.default_rng([context.seed, context.level, len(name)]).random())
    threads = os.environ["OMP_NUM_THREADS"] + " thread, " + context.level.name
    return Outcome(name, "left against right", status, margin, threads, 2, 0.0, detail)


def good(name, context):
    return outcome(context, f"{name}.x"), outcome(context, f"{name}.yy")


def bad(name, context):
    return (outcome(context, name, Status.DEVIATION, "differs"),)


def buggy(name, context):
    raise ValueError("a bug")


def waiting(name, context):  # until the file GO is there
    while not Path(os.environ["GO"]).exists():
        time.sleep(0.01)
    return (outcome(context, name),)


def process(name, context):
    return (outcome(context, name, detail=str(os.getpid())),)


def checks(group, **runs):
    return tuple(
        Check(f"{group}.{name}", group, f"Title of {name}", partial(run, f"{group}.{name}"))
        for name, run in runs.items()
    )


GROUPS = (
    Group("routes", "Routes", lambda: checks("routes", value=good, grad_x=good, grad_y=good)),
    Group("process", "Where", lambda: checks("process", a=process, b=process)),
    Group("broken", "What fails", lambda: checks("broken", bad=bad, buggy=buggy)),
    Group("slow", "What waits", lambda: checks("slow", a=good, b=good, c=waiting, d=waiting, e=good)),
)

if __name__ == "__main__":
    main(groups=lambda: GROUPS, packages=["verify.report"])
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A command line over checks that are as expected, deviate, raise, or wait for the file GO."""
    path = tmp_path_factory.mktemp("fakes") / "fakes.py"
    path.write_text(FAKES)
    return path


@pytest.fixture(autouse=True)
def _environment(tmp_path: Path) -> Iterator[None]:
    removed = ("COLUMNS", "FORCE_COLOR", "TTY_COMPATIBLE")
    kept = {key: value for key, value in os.environ.items() if key not in removed}
    own = {"GO": str(tmp_path / "GO"), "OMP_NUM_THREADS": "7"}
    with mock.patch.dict(os.environ, kept | own, clear=True):
        yield


Verify = Callable[..., SimpleNamespace]


@pytest.fixture
def verify(script: Path, capsys: pytest.CaptureFixture[str]) -> Verify:
    """Run the command line over the fakes in this process."""
    groups = runpy.run_path(str(script), run_name="fakes")["GROUPS"]

    def call(*arguments: object) -> SimpleNamespace:
        with pytest.raises(SystemExit) as ended:
            cli.main([str(a) for a in arguments], groups=lambda: groups, packages=["verify.report"])
        out, err = capsys.readouterr()
        return SimpleNamespace(code=ended.value.code, out=out, err=err)

    return call


def read(path: Path) -> dict[str, Any]:
    """Read a document that conforms to the schema."""
    content: dict[str, Any] = json.loads(path.read_text())
    Draft202012Validator(document.schema()).validate(content)
    return content


def timeless(path: Path) -> dict[str, Any]:
    content = read(path)
    for entry in content["outcomes"]:
        del entry["seconds"]
    return {key: value for key, value in content.items() if key not in {"started", "seconds"}}


def names(path: Path) -> list[str]:
    return [entry["name"] for entry in read(path)["outcomes"]]


# Collecting


def checks_of(*dotted: str, group: str = "g") -> Group:
    return Group(group, "", lambda: tuple(Check(name, group, "", lambda _: ()) for name in dotted))


def test_groups_are_found_in_the_order_of_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("audit", "claims", "crosscheck", "mutants", "aardvark")
    for name in names:
        folder = tmp_path / "found" / name
        folder.mkdir(parents=True)
        (folder / "__init__.py").touch()
        group = f"Group('{name}', '', lambda: ())"
        (folder / "group.py").write_text(f"from verify.contract import Group\nGROUP = {group}")
    (tmp_path / "found" / "shared").mkdir()
    (tmp_path / "found" / "shared" / "__init__.py").touch()
    (tmp_path / "found" / "other.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    found = [group.name for group in collect.groups("found")]
    assert found == ["claims", "crosscheck", "mutants", "aardvark", "audit"]
    (tmp_path / "found" / "shared" / "group.py").write_text("GROUP = 3")
    with pytest.raises(TypeError, match=r"found\.shared\.group\.GROUP is 3; it must be a Group"):
        collect.groups("found")


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ((checks_of("g.a", "g.a"),), "'g.a' and 'g.a' clash"),
        ((checks_of("g.a.b", "g.a-b", "g.a"),), "'g.a-b' cannot name"),
        ((checks_of("g.a.b", "g.ab", "g.a"),), "'g.a' and 'g.a.b' clash"),
        ((checks_of("a"), checks_of("a", group="h")), "'a' and 'a' clash"),
        ((checks_of("list"),), "'list' cannot name a check"),
        ((checks_of("a", group="all"),), "'all' cannot name a check or a group"),
        (
            (Group("g", "", lambda: (Check("h.a", "h", "", lambda _: ()),)),),
            "says group 'h', but 'g' lists",
        ),
    ],
)
def test_ill_named_checks_are_refused(groups: tuple[Group, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        collect.checks(groups)


NAMED = collect.checks(
    (checks_of("g.a.b", "g.a.c", "g.ab"), checks_of("lemma_1", "lemma_10", group="h"))
)


@pytest.mark.parametrize(
    ("asked", "pattern", "chosen"),
    [
        ((), "", "g.a.b g.a.c g.ab lemma_1 lemma_10"),
        (("lemma_1",), "", "lemma_1"),
        (("g.a",), "", "g.a.b g.a.c"),
        (("lemma_10", "g.a.c", "g.a.c"), "", "g.a.c lemma_10"),
        (("h",), "", "lemma_1 lemma_10"),
        ((), "LEMMA", "lemma_1 lemma_10"),
        ((), "h", "lemma_1 lemma_10"),
        ((), "g.a.", "g.a.b g.a.c"),
        ((), "not (a.b or lemma) and g", "g.a.c g.ab"),
        (("g",), "a.b or ab", "g.a.b g.ab"),
    ],
)
def test_selection_is_in_the_order_of_the_report(
    asked: tuple[str, ...], pattern: str, chosen: str
) -> None:
    assert " ".join(check.name for check in collect.select(NAMED, asked, pattern)) == chosen


@pytest.mark.parametrize(
    ("asked", "pattern", "message"),
    [
        (("lema_1",), "", r"there is no check or group 'lema_1': did you mean lemma_1 or lemma_10"),
        (("g.a.b.autodiff",), "", r"'g\.a\.b\.autodiff': did you mean g\.a\.b\?$"),
        (("g.", "zzz"), "", r"no check or group 'g\.': did you mean g\.a\.b or"),
        (("zzz",), "", r"'zzz': the list command shows what there is"),
        (("",), "", r"'': the list command"),
        (("h",), "g.a", r"no check matches -k 'g\.a'"),
    ],
)
def test_selection_of_what_there_is_not(asked: tuple[str, ...], pattern: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        collect.select(NAMED, asked, pattern)


@pytest.mark.parametrize("pattern", ["and", "a and", "not", "(a", "a)", "a b", "()", " ", "a or or b"])
def test_unreadable_pattern(pattern: str) -> None:
    with pytest.raises(InputError, match=r"cannot read the pattern .* at "):
        collect.matcher(pattern)


EXPRESSIONS = st.recursive(
    st.sampled_from("abcd"),
    lambda inner: st.one_of(
        inner.map("not {}".format),
        inner.map("({})".format),
        st.tuples(inner, st.sampled_from(("and", "or")), inner).map(" ".join),
    ),
    max_leaves=8,
)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(EXPRESSIONS, st.sets(st.sampled_from("abcd")))
def test_pattern_means_what_python_means(expression: str, present: set[str]) -> None:
    truth = {letter: letter in present for letter in "abcd"}
    assert collect.matcher(expression)("".join(present)) is eval(expression, truth)


# Running


def test_all_as_expected_exits_0(verify: Verify) -> None:
    ran = verify("routes", "--jobs", 1)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines()[-1].startswith("6 as expected, 0 deviations, 0 errors in ")


def test_deviations_and_errors_exit_1_and_are_reported(verify: Verify, tmp_path: Path) -> None:
    paths = tmp_path / "out.json", tmp_path / "out.xml"
    ran = verify("all", "-k", "routes or broken", "--jobs", 1, "--json", paths[0], "--junit", paths[1])
    assert (ran.code, ran.err) == (1, "")
    assert ran.out.splitlines()[-1].startswith("6 as expected, 1 deviation, 1 error in ")
    assert "Traceback" not in ran.out
    content = read(paths[0])
    assert content["complete"] is True
    assert content["checks"][-2:] == ["broken.bad", "broken.buggy"]
    assert [entry["status"] for entry in content["outcomes"]][-2:] == ["deviation", "error"]
    assert "ValueError: a bug" in content["outcomes"][-1]["traceback"]
    xml = JUnitXml.fromfile(str(paths[1]))
    assert (xml.tests, xml.failures, xml.errors) == (8, 1, 1)
    for name in ("broken.bad", "broken.buggy"):
        assert verify(name, "--jobs", 1).code == 1


def test_document_does_not_depend_on_the_number_of_jobs(verify: Verify, tmp_path: Path) -> None:
    documents = []
    for jobs in (1, 2):
        path = tmp_path / f"{jobs}.json"
        assert verify("check", "routes", "broken", "--jobs", jobs, "--json", path).code == 1
        documents.append(timeless(path))
    assert documents[0] == documents[1]
    assert {e["instance"] for e in documents[0]["outcomes"] if e["instance"]} == {"1 thread, STANDARD"}


def test_jobs_are_processes(verify: Verify, tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    for jobs, here in ((1, True), (2, False)):
        assert verify("process", "--jobs", jobs, "--json", path).code == 0
        found = {int(entry["detail"]) for entry in read(path)["outcomes"]}
        assert (found == {os.getpid()}) is here
        assert (os.getpid() in found) is here


def test_level_and_seed_reach_the_checks(verify: Verify, tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    margins = set()
    for options in ((), ("--seed", 0, "--level", "standard"), ("--seed", 1), ("--level", "deep")):
        assert verify("routes.value", "--jobs", 1, "--json", path, *options).code == 0
        margins.add(tuple(entry["margin"] for entry in read(path)["outcomes"]))
    assert len(margins) == 3
    assert read(path)["level"] == "deep"


@pytest.mark.parametrize("word", ["check", None])
def test_one_check_by_name(verify: Verify, tmp_path: Path, word: str | None) -> None:
    path = tmp_path / "out.json"
    words = [word] if word else []
    assert verify(*words, "routes.grad_x", "--jobs", 1, "--json", path).code == 0
    assert names(path) == ["routes.grad_x.x", "routes.grad_x.yy"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("route.value",), "there is no check or group 'route.value': did you mean routes.value"),
        (("lisst",), "did you mean list?"),
        (("check",), "Missing argument"),
        (("all", "-k", "zzz"), "no check matches -k 'zzz'"),
        (("all", "-k", "a and"), "cannot read the pattern"),
        (("list", "-k", "zzz"), "no check matches -k 'zzz'"),
        (("list", "zzz"), "there is no check or group 'zzz'"),
        (("all", "--jobs", "0"), "--jobs"),
        (("all", "--jobs", "two"), "--jobs"),
        (("all", "--seed", "-1"), "--seed"),
        (("all", "--level", "thorough"), "--level"),
        (("all", "--jsn", "x"), "--jsn"),
        (("--seed", "1", "all"), "--seed"),
        (("all", "--json", "{}"), "cannot write {}: it is a directory"),
        (("all", "--junit", "{}/none/x"), "cannot write {}/none/x: there is no directory"),
        (("all", "--json", "{}/x", "--junit", "{}/x"), "--json and --junit both name"),
        (("all", "--resume", "{}/none"), "cannot read {}/none"),
    ],
)
def test_wrong_usage_exits_2_before_anything_is_done(
    verify: Verify, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    ran = verify(*(argument.format(tmp_path) for argument in arguments))
    assert (ran.code, ran.out) == (2, "")
    assert message.format(tmp_path) in ran.err
    assert "Traceback" not in ran.err
    assert list(tmp_path.iterdir()) == []


def test_no_arguments_show_the_help(verify: Verify) -> None:
    ran = verify()
    assert ran.code in {0, 2}  # 2 since Click 8.2
    assert "Usage: python -m verify" in ran.out + ran.err


def examples(text: str) -> list[str]:
    return re.findall(r"^ +python -m verify (.*?)(?:  +.*)?$", text, re.MULTILINE)


@pytest.mark.parametrize("command", [(), ("all",), ("check",), ("list",)])
def test_help_has_an_example_of_each_use(verify: Verify, command: tuple[str, ...]) -> None:
    ran = verify(*command, "--help")
    assert ran.code == 0
    shown = " ".join(examples(ran.out))
    options = set(re.findall(r"^  (-[-a-z]+)", ran.out, re.MULTILINE)) - {"--help"}
    assert all(option in shown for option in options)
    assert len(options) == {(): 0, ("list",): 1}.get(command, 7)
    if not command:
        assert {line.split()[0] for line in examples(ran.out)} >= {"all", "list", "check", "crosscheck"}


def test_levels_are_those_of_the_contract(verify: Verify) -> None:
    assert "|".join(level.name.lower() for level in Level) in verify("all", "--help").out


def test_full_disk_ends_the_run_with_what_was_found(
    verify: Verify, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    ran = verify("routes", "--jobs", 1, "--json", tmp_path / "out.json")
    assert ran.code == 2
    assert "No space left on device" in ran.err
    assert ran.out.startswith("interrupted after 0 checks of 3")


# Interrupting and resuming


def start(script: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(script), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=dict(os.environ),  # not the one of C, in which readline sets COLUMNS
        start_new_session=True,
    )


@pytest.mark.parametrize(
    ("jobs", "number", "to_all"), [("1", signal.SIGTERM, False), ("2", signal.SIGINT, True)]
)
def test_resumed_run_equals_the_uninterrupted_one(
    verify: Verify, script: Path, tmp_path: Path, jobs: str, number: signal.Signals, to_all: bool
) -> None:
    path, whole = tmp_path / "out.json", tmp_path / "whole.json"
    xml = tmp_path / "out.xml"
    process = start(script, "slow", "--jobs", jobs, "--json", str(path), "--junit", str(xml))
    deadline = time.monotonic() + 60
    while not (path.exists() and len(read(path)["outcomes"]) >= 4):  # valid whenever it is read
        assert time.monotonic() < deadline
        time.sleep(0.01)
    if to_all:
        os.killpg(process.pid, number)  # as a terminal does
    else:
        process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == f"Go on with the same command and --resume {path}\n"
    assert out.splitlines()[-1].startswith("interrupted after 2 checks of 5: 4 as expected")
    assert "slow.b.yy" in out
    assert read(path)["complete"] is False
    assert names(path) == ["slow.a.x", "slow.a.yy", "slow.b.x", "slow.b.yy"]
    assert JUnitXml.fromfile(str(xml)).tests == 4

    refused = verify("slow", "--resume", path, "--seed", 1)
    assert (refused.code, refused.out) == (2, "")
    assert "its seed is 0, that of this run is 1" in refused.err
    assert read(path)["complete"] is False

    (tmp_path / "GO").touch()
    assert verify("slow", "--jobs", 1, "--json", whole).code == 0
    content = read(path)
    path.write_text(json.dumps(content | {"seconds": 1000}))
    assert verify("slow", "--jobs", 1, "--resume", path).code == 0
    assert timeless(path) == timeless(whole)
    assert read(path)["started"] == content["started"]
    assert 1000 < read(path)["seconds"] < 1100


def test_finished_checks_are_not_run_again(verify: Verify, tmp_path: Path) -> None:
    path, other = tmp_path / "out.json", tmp_path / "other.json"
    assert verify("routes", "--jobs", 1, "--json", path).code == 0
    content = read(path)
    content["outcomes"][0]["margin"] = 0.125  # a mark that only the file can have left
    path.write_text(json.dumps(content))
    before = path.read_text()
    assert verify("routes", "--resume", path, "--json", other).code == 0
    assert read(other) == content
    assert path.read_text() == before
    refused = verify("routes.value", "--resume", path)
    assert refused.code == 2
    assert "checks that were not asked for, such as routes.grad_x" in refused.err


# The real thing


def completed(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = dict(os.environ)  # not the one of C, in which readline sets COLUMNS
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment,
        check=False,
    )


HEAVY = {"numpy", "scipy", "torch", "flint", "joblib", "junitparser", "jsonschema", "gymnasium"}
IMPORTED = """
import sys
from verify.cli import main
try:
    main(sys.argv[1:])
finally:
    print(*sys.modules, file=sys.stderr)
"""


@pytest.mark.parametrize("arguments", [("list",), ("--help",), ("all", "--help")])
def test_listing_and_help_import_nothing_heavy(arguments: tuple[str, ...]) -> None:
    ran = completed("-c", IMPORTED, *arguments)
    assert ran.returncode == 0
    assert not HEAVY & set(ran.stderr.split())
    if arguments == ("list",):
        listed = re.findall(r"^  (\S+)", ran.stdout, re.MULTILINE)
        assert listed == [check.name for check in collect.checks(collect.groups())]


def test_module_runs_as_a_program(script: Path) -> None:
    assert completed("-m", "verify", "list").returncode == 0
    assert completed("-m", "verify", "no.such.check").returncode == 2
    assert completed(str(script), "broken.bad").returncode == 1
