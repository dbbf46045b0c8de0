import numpy as np
import pytest

from reference.validation import Array
from verify.experiments.contract import Above, Claim, Series, Vanishes
from verify.experiments.findings import finals, judge, table

G = np.random.default_rng(0)
N = 10


def series(key: str, last: Array, first: float = 1.0) -> Series:
    """Eleven points that reach their final values at half of the run."""
    points = np.linspace(0.0, 1.0, 11)[:, None]
    values = first + (last - first) * np.minimum(1.0, 2.0 * points)
    iterations = tuple(range(0, 110, 10))
    return Series(
        key, {"step": 0.1, "gamma": 0.9}, tuple(range(len(last))), iterations, iterations, {"v": values}
    )


def made(**last: Array) -> dict[str, Series]:
    return {key: series(key, values) for key, values in last.items()}


BASE = G.normal(5.0, 1.0, N)
NOISE = G.normal(0.0, 0.01, N)


def verdict(claim: Claim, data: dict[str, Series]) -> str:
    return judge([claim], data)[0].verdict


def test_verdicts_follow_the_data() -> None:
    data = made(a=BASE + 0.5 + NOISE, b=BASE, c=BASE + NOISE - NOISE.mean())
    assert verdict(Above("x", "p", "v", "a", "b"), data) == "holds"
    assert verdict(Above("x", "p", "v", "b", "a"), data) == "reversed"
    assert verdict(Above("x", "p", "v", "c", "b"), data) == "undecided"
    gaps = made(
        gone=0.01 + 0.001 * np.abs(NOISE),
        there=np.full(N, 0.4) + NOISE,
        edge=0.05 + NOISE - NOISE.mean(),
    )
    for key, expected in (("gone", "holds"), ("there", "stays"), ("edge", "undecided")):
        assert verdict(Vanishes("x", "p", "v", key), gaps) == expected


def test_pairs_matter() -> None:
    """A difference far below the spread of the seeds is seen in the pairs, and not without them."""
    shifted = BASE + 0.1 + NOISE
    assert verdict(Above("x", "p", "v", "a", "b"), made(a=shifted, b=BASE)) == "holds"
    assert verdict(Above("x", "p", "v", "a", "b"), made(a=np.roll(shifted, 3), b=BASE)) == "undecided"


def test_one_outlier_does_not_decide() -> None:
    """Both tests must reject: ranks do not see how far an outlier is, nor the mean how many agree."""
    d = np.array([20.0, *np.full(N - 1, 0.1)]) + NOISE
    (found,) = judge([Above("x", "p", "v", "a", "b")], made(a=BASE + d, b=BASE))
    assert found.p_rank < 0.05 < found.p_t
    assert found.verdict == "undecided"


def test_a_gap_that_grew_has_not_vanished() -> None:
    """It is compared with the largest that was recorded, not with the first."""
    rising = {"a": series("a", np.full(N, 0.4) + NOISE, first=0.0)}
    assert verdict(Vanishes("x", "p", "v", "a"), rising) == "stays"


def test_claims_of_a_place_are_corrected_together() -> None:
    data = made(a=BASE + 0.02 + NOISE, b=BASE)
    claim = Above("x", "p", "v", "a", "b")
    (alone,) = judge([claim], data)
    others = [Above(f"y{i}", "p", "v", "b", "b") for i in range(9)]
    elsewhere = [Above(f"y{i}", "q", "v", "b", "b") for i in range(9)]
    together, *_ = judge([claim, *others], data)
    apart, *_ = judge([claim, *elsewhere], data)
    assert together.p_t == pytest.approx(10.0 * alone.p_t)
    assert apart == alone


def test_final_values_are_those_of_the_last_fifth() -> None:
    values = np.arange(11.0)[:, None] * np.ones((11, 2))
    own = Series("s/exact/m", {}, (0, 1), tuple(range(0, 110, 10)), tuple(range(11)), {"v": values})
    assert own.tail("v") == pytest.approx([9.0, 9.0])  # iterations 80, 90 and 100
    assert own.drift("v") == pytest.approx((9.0 - 6.5) / 10.0)  # 60 and 70 before
    flat = series("f", BASE)
    assert flat.drift("v") == pytest.approx(0.0, abs=1e-12)


def test_tables() -> None:
    data = made(**{"s/exact/a": BASE + 0.5 + NOISE, "s/exact/b": BASE})
    claims: list[Claim] = [
        Above("a > b", "s/exact", "v", "s/exact/a", "s/exact/b"),
        Vanishes("gap", "s/exact", "v", "s/exact/a"),
    ]
    lines = table(judge(claims, data), ["s/exact"]).splitlines()
    assert lines[0] == "| setting | a > b | gap |"
    assert lines[2].startswith("| s | holds (+0.495) | stays (")
    rows = finals(data, ["v", "w"], "s").splitlines()
    assert len(rows) == 4
    assert rows[2].startswith("| exact/a | step 0.1 | 100 | 100 |")
    assert f"{data['s/exact/b'].tail('v').mean():.4g} ±" in rows[3]
    document = judge(claims, data)[0].document()
    assert document["kind"] == "above"
    assert document["test"]["n"] == N
    same = judge([Above("x", "p", "v", "a", "b")], made(a=BASE + 0.5, b=BASE))[0].document()
    assert same["test"]["effect"] is None or same["test"]["effect"] > 1e6
