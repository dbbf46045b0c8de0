import xml.etree.ElementTree as ET

import numpy as np
import pytest

from verify.experiments.contract import Curve, Figure, Panel, Series
from verify.experiments.drawing import points, svg

G = np.random.default_rng(2)


def made(key: str, x: float) -> Series:
    values = {"v": 2.0 + G.random((6, 4))}
    return Series(
        key, {"lambda": x}, (0, 1, 2, 3), tuple(range(0, 60, 10)), tuple(range(0, 600, 100)), values
    )


DATA = {f"{i}/exact/m": made(f"{i}/exact/m", 2.0**i) for i in range(3)}
FIGURE = Figure(
    "f",
    "a caption",
    (
        Panel("over steps", "steps", "V <&>", (Curve("one", "v", ("0/exact/m",), "steps", 0),)),
        Panel(
            "over λ",
            "λ",
            "gap",
            (
                Curve("sweep", "v", tuple(DATA), "lambda", 1, True),
                Curve("line", "v", ("1/exact/m",), "level", 6, True),
            ),
            True,
            True,
        ),
    ),
)


def test_the_same_bytes() -> None:
    assert svg(FIGURE, DATA) == svg(FIGURE, DATA)
    other = {**DATA, "0/exact/m": made("0/exact/m", 1.0)}
    assert svg(FIGURE, other) != svg(FIGURE, DATA)


def test_text_stays_text() -> None:
    root = ET.fromstring(svg(FIGURE, DATA))
    words = {"".join(node.itertext()).strip() for node in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"over steps", "over λ", "V <&>", "gap", "one", "sweep", "line"} <= words


def test_points_are_means_with_standard_errors() -> None:
    rows = DATA["0/exact/m"].values["v"]
    xs, means, errors = points(FIGURE.panels[0].curves[0], DATA)
    assert xs == [0.0, 100.0, 200.0, 300.0, 400.0, 500.0]
    assert means == pytest.approx(rows.mean(axis=1))
    assert errors == pytest.approx(rows.std(axis=1, ddof=1) / 2.0)
    xs, means, _ = points(FIGURE.panels[1].curves[0], DATA)
    assert xs == [1.0, 2.0, 4.0]
    assert means == pytest.approx([s.values["v"][4:].mean() for s in DATA.values()])


def test_percent_above_a_baseline() -> None:
    curve = Curve("r", "v", ("1/exact/m",), "lambda", 0, False, ("0/exact/m",))
    ratio = DATA["1/exact/m"].tail("v") / DATA["0/exact/m"].tail("v")
    _, means, errors = points(curve, DATA)
    assert means == pytest.approx([100.0 * (ratio - 1.0).mean()])
    assert errors == pytest.approx([100.0 * ratio.std(ddof=1) / 2.0])
