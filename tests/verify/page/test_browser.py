"""What a reader does with the page, in a browser: filter, search, follow, read, go back, print."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.verify.page.conftest import ARGUMENTS
from verify.claims import judge

if TYPE_CHECKING:
    from selenium.webdriver import Chrome
    from selenium.webdriver.remote.webelement import WebElement

LEDGER = judge.expected()

CONTRASTS = """
const channel = (c) => (c /= 255) <= .03928 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4;
const numbers = (text) => text.match(/[\\d.]+/g).map(Number);
const light = ([r, g, b]) => .2126 * channel(r) + .7152 * channel(g) + .0722 * channel(b);
const behind = (element) => {
  for (; element; element = element.parentElement) {
    const colour = numbers(getComputedStyle(element).backgroundColor);
    if (colour.length < 4 || colour[3] === 1) return colour;
  }
  return [255, 255, 255];
};
const low = {};
for (const element of document.querySelectorAll("body *")) {
  const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
  if (!own || !element.checkVisibility() || element.closest("svg, script, style")) continue;
  const [a, b] = [light(numbers(getComputedStyle(element).color)), light(behind(element))];
  const contrast = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
  if (contrast < 4.5) low[element.tagName + "." + element.className] = contrast;
}
return low;
"""


def element(browser: "Chrome", selector: str) -> "WebElement":
    return browser.find_element("css selector", selector)


SHOWN = """[...document.querySelectorAll("table.ledger tr[data-printed]")]
    .filter((row) => row.checkVisibility()).map((row) => row.querySelector("a").hash.slice(1))"""


def shown(browser: "Chrome") -> set[str]:
    """Statements whose rows are seen."""
    asked = {"expression": SHOWN, "returnByValue": True}
    return set(browser.execute_cdp_cmd("Runtime.evaluate", asked)["result"]["value"])


def with_verdict(form: str, verdict: str) -> set[str]:
    """Statements with a verdict, by the ledger; the best form is the last."""
    return {
        name
        for name, forms in LEDGER.items()
        if (forms["printed"] if form == "printed" else list(forms.values())[-1]) == verdict
    }


def choose(browser: "Chrome", form: str, verdict: str) -> None:
    element(browser, f"label[for='{form}-{verdict}']").click()


@pytest.fixture(scope="session")
def desktop(opens: Callable[..., "Chrome"]) -> "Chrome":
    return opens()


@pytest.fixture
def browser(desktop: "Chrome", url: str) -> "Chrome":
    from selenium.webdriver.support.wait import WebDriverWait

    desktop.get("about:blank")
    desktop.get(url)
    # On a busy machine, what is evaluated at once may still be asked of the blank page.
    WebDriverWait(desktop, 30).until(shown)
    return desktop


def test_the_ledger_comes_first_and_shows_every_statement(browser: "Chrome") -> None:
    assert shown(browser) == set(LEDGER)
    assert element(browser, "main h2").text == "Ledger"
    assert element(browser, ".shown").text == f"{len(LEDGER)} statements"


@pytest.mark.parametrize("form", ["printed", "best"])
def test_filter_by_verdict(browser: "Chrome", form: str) -> None:
    for verdict in ("REFUTED", "PROVED", "SURVIVED", "UNTESTABLE"):
        expected = with_verdict(form, verdict)
        if expected:
            choose(browser, form, verdict.lower())
            assert shown(browser) == expected
            assert element(browser, ".shown").text == f"{len(expected)} of {len(LEDGER)} statements"
    choose(browser, form, "any")
    assert shown(browser) == set(LEDGER)


def test_filters_add_up(browser: "Chrome") -> None:
    choose(browser, "printed", "refuted")
    choose(browser, "best", "proved")
    element(browser, "#search").send_keys("lemma")
    expected = with_verdict("printed", "REFUTED") & with_verdict("best", "PROVED")
    assert shown(browser) == {name for name in expected if name.startswith("lemma")}
    headings = browser.find_elements("css selector", "tr.part")
    assert [heading.text for heading in headings if heading.is_displayed()] == ["Lemmas and theorems"]


def test_search_for_words(browser: "Chrome") -> None:
    search = element(browser, "#search")
    search.send_keys("lemma 2")
    assert "lemma_02" in shown(browser)
    assert "theorem_11" not in shown(browser)
    search.send_keys(" dominance")
    assert shown(browser) == {"lemma_02"}
    search.send_keys(" nowhere")
    assert shown(browser) == set()
    assert element(browser, ".empty").is_displayed()
    search.send_keys("\ue00c")  # Escape
    assert shown(browser) == set(LEDGER)
    assert not element(browser, ".empty").is_displayed()


def test_follow_a_link_read_a_counterexample_and_go_back(browser: "Chrome", url: str) -> None:
    choose(browser, "printed", "refuted")
    element(browser, "a[href='#lemma_02']").click()
    assert browser.current_url == f"{url}#lemma_02"
    statement = element(browser, "#lemma_02")
    assert "Gradient dominance" in statement.text
    place = "return arguments[0].getBoundingClientRect().top"
    wait_until(browser, lambda: abs(browser.execute_script(place, statement)) < 200)
    element(browser, "#lemma_02 a[href='#lemma_02-L02_constant']").click()
    certificate = element(browser, "#lemma_02-L02_constant")
    wait_until(browser, lambda: abs(browser.execute_script(place, certificate)) < 200)
    assert "One state" in certificate.text
    steps = certificate.find_elements("css selector", ".steps li")
    assert len(steps) == 5
    # dom = 2 < gap / ((1 - gamma) rho(1)) = ... = 4
    assert re.sub(r"\W+", "", steps[-1].text).endswith("4")
    assert "Left side 2" in certificate.text
    assert "Right side 4" in certificate.text
    browser.back()
    browser.back()
    assert browser.current_url == url
    assert shown(browser) == with_verdict("printed", "REFUTED")


def logged(browser: "Chrome", kind: str) -> list[dict[str, str]]:
    """What has been logged since it was asked last."""
    found: list[dict[str, str]] = browser.get_log(kind)  # type: ignore[no-untyped-call]  # not annotated
    return found


def wait_until(browser: "Chrome", condition: Callable[[], bool]) -> None:
    from selenium.webdriver.support.wait import WebDriverWait

    WebDriverWait(browser, 5.0).until(lambda _browser: condition())


def test_by_keyboard_alone(browser: "Chrome") -> None:
    from selenium.webdriver.common.keys import Keys

    element(browser, "body").send_keys(Keys.TAB)
    skip = browser.switch_to.active_element
    assert skip.text == "Skip to the ledger"
    assert skip.is_displayed()
    skip.send_keys(Keys.ENTER)
    for _ in range(3):  # to the first group of choices, past the links in the text
        browser.switch_to.active_element.send_keys(Keys.TAB)
        if browser.switch_to.active_element.get_dom_attribute("name") == "printed":
            break
    browser.switch_to.active_element.send_keys(Keys.ARROW_RIGHT)
    chosen = str(browser.switch_to.active_element.get_dom_attribute("id"))
    assert shown(browser) == with_verdict("printed", chosen.removeprefix("printed-").upper())


def test_nothing_is_fetched_and_nothing_goes_wrong(browser: "Chrome", url: str) -> None:
    logged(browser, "performance")
    browser.get(f"{url}?again")
    events = [json.loads(entry["message"])["message"] for entry in logged(browser, "performance")]
    asked = {
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    }
    assert asked - {f"{url}?again", "data:,"} == set()
    assert asked
    assert logged(browser, "browser") == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast(browser: "Chrome", scheme: str) -> None:
    scheme_of = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", scheme_of)
    try:
        paper = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
        assert (min(map(int, re.findall(r"\d+", paper))) > 200) == (scheme == "light")
        assert browser.execute_script(CONTRASTS) == {}
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


@pytest.mark.parametrize("width", [320, 360, 768, 1280])
def test_the_page_never_scrolls_sideways(desktop: "Chrome", url: str, width: int) -> None:
    size = {"width": width, "height": 740, "deviceScaleFactor": 2, "mobile": width < 500}
    desktop.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        desktop.get(url)
        asked = "const e = document.documentElement; return [innerWidth, e.scrollWidth - e.clientWidth]"
        assert desktop.execute_script(asked) == [width, 0]
        assert element(desktop, "a[href='#lemma_02']").is_displayed()
        # What is wider scrolls in its own place, and can be reached by keyboard.
        hidden = """return [...document.querySelectorAll("main *")].filter((e) =>
            e.scrollWidth > e.clientWidth + 1 && e.tabIndex < 0 && e.checkVisibility() &&
            ["auto", "scroll"].includes(getComputedStyle(e).overflowX)).map((e) => e.outerHTML)"""
        assert desktop.execute_script(hidden) == []
    finally:
        size |= {"width": 1280, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        desktop.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def test_it_prints(chromium: str, url: str, tmp_path: Path) -> None:
    made = tmp_path / "page.pdf"
    arguments = [*ARGUMENTS, f"--user-data-dir={tmp_path / 'profile'}", f"--print-to-pdf={made}", url]
    subprocess.run([chromium, *arguments], check=True, capture_output=True, timeout=300)
    pdf = made.read_bytes()
    assert pdf.startswith(b"%PDF-")
    assert len(re.findall(rb"/Type\s*/Page\b", pdf)) > 30


def test_print_leaves_out_what_paper_cannot_do(browser: "Chrome") -> None:
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        assert not element(browser, ".filter").is_displayed()
        assert not element(browser, "nav").is_displayed()
        assert shown(browser) == set(LEDGER)
        assert element(browser, "#lemma_02-L02_constant .steps").is_displayed()
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def test_without_scripts(opens: Callable[..., "Chrome"], url: str) -> None:
    browser = opens(360, 740, scripts=False)
    browser.get(url)
    assert shown(browser) == set(LEDGER)
    assert not element(browser, "#search").is_displayed()
    choose(browser, "printed", "untestable")
    assert shown(browser) == with_verdict("printed", "UNTESTABLE")
    element(browser, "a[href='#appendix_c7']").click()
    assert browser.current_url == f"{url}#appendix_c7"
    assert element(browser, "#lemma_02-L02_class .steps").is_displayed()
