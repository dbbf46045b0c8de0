"""A run as JUnit XML, which continuous integration displays: one case per outcome."""

import io
import re

from junitparser import Error, Failure, JUnitXml, TestCase, TestSuite

from verify.contract import Outcome, Status
from verify.report.run import Run

NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot hold, not even escaped."""


def dumps(run: Run) -> str:
    """Return a run as XML text: a suite per group, a case per outcome, named after its group and itself.

    A deviation is a failure, an error an error; a case with a verdict says it in its output.
    """
    suites: dict[str, TestSuite] = {}
    for check, outcome in run.finished:
        suite = suites.setdefault(check.group, TestSuite(check.group))
        suite.add_testcase(_case(check.group, outcome))
    xml = JUnitXml("pbrl-verify")
    for suite in suites.values():
        suite.add_property("level", run.context.level.name.lower())
        suite.add_property("seed", str(run.context.seed))
        suite.add_property("complete", str(run.complete).lower())
        xml.add_testsuite(suite)
    xml.update_statistics()  # type: ignore[no-untyped-call]  # the method ships without annotations
    buffer = io.BytesIO()
    xml.write(buffer)
    return buffer.getvalue().decode("utf-8") + "\n"


def _case(group: str, outcome: Outcome) -> TestCase:
    case = TestCase(_clean(outcome.name), group, outcome.seconds)
    if outcome.verdict:
        case.system_out = _clean(explanation(outcome))
    if outcome.status is not Status.AS_EXPECTED:
        kind = Error if outcome.status is Status.ERROR else Failure
        result = kind(_clean(outcome.detail or outcome.title), outcome.status.value)
        result.text = _clean(outcome.traceback or explanation(outcome))
        case.result = [result]
    return case


def explanation(outcome: Outcome) -> str:
    """Return what an outcome says, a line per field."""
    return "\n".join(
        f"{field}: {value}"
        for field, value in (
            ("title", outcome.title),
            ("verdict", outcome.verdict),
            ("detail", outcome.detail),
            ("margin", f"{outcome.margin:.6g} tolerances"),
            ("instance", outcome.instance),
        )
        if value
    )


def _clean(text: str) -> str:
    return NOT_XML.sub("\ufffd", text)
