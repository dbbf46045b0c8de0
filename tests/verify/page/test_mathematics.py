"""Formulas, notation in plain text, docstrings and numbers as they stand on the page."""

import math
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verify.page.mathematics import aligned, letters, mathml, prose
from verify.page.prose import blocks
from verify.page.spelling import decimal, ratio, seconds, sentence, short


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("V^pi(rho) <= 2^-k", "V<sup>π</sup>(ρ) ≤ 2<sup>−k</sup>"),
        ("(1 - gamma)^{-1}", "(1 − γ)<sup>−1</sup>"),
        ("V^{pi_y}, max_{p in Pi_s} f", "V<sup>π<sub>y</sub></sup>, max<sub>p ∈ Π<sub>s</sub></sub> f"),
        (
            "near_deterministic_cycle: lambda_max",
            "<code>near_deterministic_cycle</code>: λ<sub>max</sub>",
        ),
        (
            "grad_pi V, sum_s, eps_orac, F_lambda",
            "∇<sub>π</sub> V, ∑<sub>s</sub>, ε<sub>orac</sub>, F<sub>λ</sub>",
        ),
        ("pi^_k - pi*", "π̂<sub>k</sub> − π*"),
        ("L_vx, lambda_max, r_x'", "L<sub>vx</sub>, λ<sub>max</sub>, r<sub>x'</sub>"),
        ("sum_s |d - d'|", "∑<sub>s</sub> |d − d'|"),
        ("sqrt(2) and grad p", "√(2) and ∇p"),
        ("(0, -1/2) => x >= -tau h", "(0, −1/2) ⇒ x ≥ −τ h"),
        ("the *first* one, V* and pi*", "the <em>first</em> one, V* and π*"),
        ("see :mod:`a.b_c` and `x_y`", "see <code>a.b_c</code> and <code>x_y</code>"),
        ("a < b & c", "a &lt; b &amp; c"),
        ("Lipschitz, spiral, taut, well-known", "Lipschitz, spiral, taut, well-known"),
        ("the  sum\nof eps_orac", "the sum of ε<sub>orac</sub>"),
    ],
)
def test_notation_in_plain_text(text: str, html: str) -> None:
    assert prose(text) == html


@given(st.text(alphabet="ab_^{}()*'`<>&-/ |π\n", max_size=30))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_any_text_gives_well_formed_html(text: str) -> None:
    ET.fromstring(f"<p>{prose(text)}</p>")
    ET.fromstring(f"<pre>{aligned(text)}</pre>")
    ET.fromstring(f"<div>{blocks('Title.' + chr(10) + chr(10) + text)}</div>")


def test_columns_stay_aligned() -> None:
    lines = aligned("printed   lambda >= L_x   first\nproved    mu >= M         second").split("\n")
    assert lines[0] == 'printed   λ ≥ L<sub>x</sub>   <i style="width:7.25ch"></i>first'
    assert lines[1] == 'proved    μ ≥ M         <i style="width:2ch"></i>second'
    # What follows at no other line's column needs no filling.
    assert aligned("lambda = 1,  mu = 2") == "λ = 1,  μ = 2"


def test_docstrings() -> None:
    docstring = """Title, which is not shown.

    With a::

        x <= y

        z

    Derivation.  It follows.

    * one item
      goes on
    * two
    """
    assert blocks(docstring) == (
        "<p>With a:</p>\n"
        '<pre class="formulas" tabindex="0">x ≤ y\n\nz</pre>\n'
        "<p><strong>Derivation.</strong> It follows.</p>\n"
        "<ul><li>one item goes on </li><li>two</li></ul>\n"
    )


@pytest.mark.parametrize(
    ("latex", "found"),
    [
        (r"\mathbb E[x]", "𝔼[x]"),
        (r"\mathcal O(1)", "𝒪(1)"),
        (r"\mathcal L", "ℒ"),
        (r"\mathbb R^n", "ℝn"),
        (r"\arg\min_y g", "argminyg"),
        (r"\Bigl\|x\Bigr\|", "‖x‖"),
        (r"\mathbf A", "𝐀"),
    ],
)
def test_letters_of_other_alphabets_are_characters(latex: str, found: str) -> None:
    formula = mathml(latex, block=True)
    assert "".join(ET.fromstring(formula).itertext()) == found
    assert "mathvariant" not in formula


def test_limits_stand_below_in_displayed_formulas_alone() -> None:
    assert "<munder>" in mathml(r"\max_a f", block=True)
    assert "<munder>" not in mathml(r"\max_a f")


@pytest.mark.parametrize("latex", [r"\nonsense x", r"\leL", r"x_1_2", r"\left( x"])
def test_what_cannot_be_read_is_refused(latex: str) -> None:
    with pytest.raises(ValueError, match="the formula"):
        mathml(latex)


def test_letters_leave_words_alone() -> None:
    assert letters("epsilon-net of pieces, delta-function") == "epsilon-net of pieces, δ-function"


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.0, "0"),
        (1.0, "1.00"),
        (12345.0, "1.23 · 10⁴"),
        (0.00123, "0.00123"),
        (-3.2e-7, "−3.20 · 10⁻⁷"),
        (999.6, "1000"),
        (math.nan, "–"),
        (-math.inf, "−∞"),
    ],
)
def test_numbers_with_three_digits(number: float, text: str) -> None:
    assert short(number, 3) == text


@pytest.mark.parametrize(
    ("margin", "text"),
    [
        (None, "–"),
        ("inf", "∞"),
        (0.99999, "0.9999"),
        (1.0, "1.0000"),
        (1.00001, "1.0000"),
        (0.0, "0.0000"),
        (1e-9, "1.0 · 10⁻⁹"),
    ],
)
def test_ratios_that_are_not_attained_do_not_look_so(margin: float | str | None, text: str) -> None:
    assert ratio(margin) == text


def test_words_and_times() -> None:
    assert sentence("gradient of p") == "Gradient of p"
    assert sentence("tau > 0") == "tau > 0"
    assert sentence("p is smooth") == "p is smooth"
    assert sentence("a sufficient condition") == "A sufficient condition"
    assert sentence("RLHF") == "RLHF"
    assert [seconds(time) for time in (0.04, 99.0, 600.0)] == ["0.0 s", "99.0 s", "10 min"]
    assert [decimal(text) for text in ("3", "1/4", "-1/400")] == ["", "", " ≈ −0.0025"]
