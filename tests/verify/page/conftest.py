"""A run made up from the ledger of expected verdicts, the page it gives, and a browser to read it in."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from math import nan
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from verify.claims import judge
from verify.claims.contract import Claim
from verify.contract import Check, Context, Level, Outcome, Status
from verify.leaves import leaves
from verify.page.contract import Material
from verify.page.page import page
from verify.report import document
from verify.report.run import Origin, Run

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

HOSTILE = '<script>alert(1)</script> & "quotes" <b'

ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--force-prefers-reduced-motion",
)


def check(name: str, group: str) -> Check:
    return Check(name, group, name, lambda _context: ())


def outcome(name: str, **fields: Any) -> Outcome:
    plain = Outcome(name, f"Title of {name}", Status.AS_EXPECTED, 0.5, "an instance", 3, 0.25, "detail")
    return replace(plain, **fields)


def results() -> dict[str, tuple[Outcome, ...]]:
    """Of every statement as the ledger expects it, with its faults; and of a few other checks."""
    ledger = judge.expected()
    found: dict[str, tuple[Outcome, ...]] = {}
    for name, claim in leaves("verify.claims", "CLAIM", Claim).items():
        forms = {"printed": claim.printed, "meant": claim.meant, "proved": claim.proved}
        judged = [
            outcome(
                f"{name}.{key}",
                verdict=ledger[name][key],
                margin=nan if form.refutations else 1.0,
                instance=", ".join(refutation.certificate for refutation in form.refutations)
                or "S = 2, gamma = 1/2",
            )
            for key, form in forms.items()
            if form is not None
        ]
        faults = [
            outcome(f"{name}.fault.{fault.name}", title=f"x: {fault.wrong}") for fault in claim.faults
        ]
        found[name] = (*judged, *faults)
    found["crosscheck.value"] = (
        outcome("crosscheck.value.grad_x.autodiff", margin=0.0123),
        outcome("crosscheck.value.grad_x.series", margin=2.5, status=Status.DEVIATION),
        outcome("crosscheck.value.v.an_own_route", margin=1e-6),
    )
    found["crosscheck.broken"] = (
        outcome(
            "crosscheck.broken", status=Status.ERROR, detail=HOSTILE, traceback=f"Traceback: {HOSTILE}"
        ),
    )
    found["mutants.sign"] = (outcome("mutants.sign", title=f"a sign {HOSTILE}"),)
    found["mutants.survivor"] = (outcome("mutants.survivor", status=Status.DEVIATION, margin=nan),)
    found["other.check"] = (outcome("other.check", margin=float("inf")),)
    return found


@pytest.fixture(scope="session")
def run() -> Run:
    found = results()
    groups = ("crosscheck", "mutants", "other")
    checks = tuple(
        check(name, group if (group := name.partition(".")[0]) in groups else "claims") for name in found
    )
    begun = Run.begin(Origin.here(), Context(Level.QUICK, 7), checks)
    return replace(begun, results=found, seconds=12.5)


@pytest.fixture(scope="session")
def material(run: Run) -> Material:
    return Material(document.document(run))


@pytest.fixture(scope="session")
def html(material: Material) -> str:
    return page(material)


@pytest.fixture(scope="session")
def url(html: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("page") / "index.html"
    path.write_text(html, encoding="utf-8")
    return path.as_uri()


Opens = Callable[..., "Chrome"]


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser; where it is not installed there is nothing to test."""
    found = shutil.which("chromium")
    if found is None or shutil.which("chromedriver") is None:
        pytest.skip("needs Debian's packages chromium and chromium-driver")
    return found


@pytest.fixture(scope="session")
def opens(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opens]:
    """Open a browser with a window of its own."""
    from selenium.webdriver import Chrome
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service

    with ExitStack() as stack:

        def open_(width: int = 1280, height: int = 900, *, scripts: bool = True) -> Chrome:
            options = Options()
            options.binary_location = chromium
            folder: Path = tmp_path_factory.mktemp("profile")
            for argument in (*ARGUMENTS, f"--user-data-dir={folder}", f"--window-size={width},{height}"):
                options.add_argument(argument)
            options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
            browser = Chrome(options=options, service=Service(shutil.which("chromedriver")))
            stack.callback(browser.quit)
            size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
            browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
            browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": not scripts})
            return browser

        yield open_
