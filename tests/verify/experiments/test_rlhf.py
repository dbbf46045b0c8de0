"""Learning from preferences by the command: small runs, going on, and what is refused."""

import base64
import io
import json
import re
import shutil
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reference.errors import InputError
from sampled.rlhf.settings import Begin, Companion, Method, Span, Tabular, preset
from sampled.rlhf.testbeds.tabular import Exact
from verify import cli
from verify.experiments import carry_out, documents, rlhf, rlhf_runs, under_way
from verify.experiments.contract import Choice, Curve, Job, Series
from verify.experiments.drawing import points
from verify.page.figures import inline

SMOKE = ("--budget", "smoke", "--jobs", 1)
LAKE = ("--game", "frozen_lake", "--method", "drlhf", *SMOKE)


def code(*words: object) -> int:
    with pytest.raises(SystemExit) as raised:
        cli.main(["reproduce", "rlhf", *map(str, words)])
    return int(raised.value.code or 0)


def contents(directory: Path) -> dict[str, str]:
    found = {p.name: p.read_text() for p in directory.iterdir() if p.is_file()}
    manifest = json.loads(found.pop(documents.MANIFEST))
    for name in ("cpu_seconds", "measured", "origin"):
        manifest.pop(name, None)
    return {**found, "manifest": json.dumps(manifest)}


def task(method: str, **changed: Any) -> rlhf_runs.Task:
    budget = rlhf.BEDS["tabular"].budgets["smoke"]
    (found,) = rlhf.tasks(
        "tabular", replace(budget, games=("random_mdp",), methods=(method,), seeds=1), 2, "cpu"
    )
    return replace(found, **changed)


def extremes(game: Tabular, gamma: float) -> tuple[float, float]:
    """Values of the uniform and of the optimal policy, by plain value iteration."""
    exact = Exact.of(game)
    P_sat, r_sa, rho_s = exact.P_sat.numpy(), exact.r_sa.numpy(), exact.rho_s.numpy()
    low_s, high_s = np.zeros(len(rho_s)), np.zeros(len(rho_s))
    for _ in range(4000):  # 0.99^4000 < 1e-17
        low_s = np.where(exact.terminal_s, 0.0, (r_sa + gamma * P_sat @ low_s).mean(axis=1))
        high_s = np.where(exact.terminal_s, 0.0, (r_sa + gamma * P_sat @ high_s).max(axis=1))
    return float(rho_s @ low_s), float(rho_s @ high_s)


def test_values_are_scaled_from_uniform_to_optimal() -> None:
    for game in (Tabular("frozen_lake"), Tabular("random_mdp", 3)):
        low, high = extremes(game, 0.99)
        found = rlhf_runs.scaled(game, 0.99, np.array([[low], [high], [0.25 * low + 0.75 * high]]))
        np.testing.assert_allclose(found, [[0.0], [1.0], [0.75]], rtol=0, atol=1e-9)


# Small runs.


def test_all_of_it_on_tables(tmp_path: Path) -> None:
    out = tmp_path / "a"
    assert code(*SMOKE, "--out", out) == 0
    data = documents.read_data(out)
    assert set(data) == {
        f"{game}/sampled/{method}"
        for game in ("frozen_lake", "random_mdp", "together")
        for method in ("a2c", "drlhf", "printed", "derived", "derived-1000")
    }
    for key, series in data.items():
        together = key.startswith("together")
        assert series.iterations == (4, 8)
        assert series.seeds == ((0, 1) * (2 if together else 1))
        assert set(series.values) == {"share" if together else "value"}
    found = documents.read(out / documents.FINDINGS)["findings"]
    methods = set(rlhf.BEDS["tabular"].budgets["smoke"].methods)
    assert len(found) == 3 * sum({upper, lower} <= methods for _, upper, lower in rlhf.PAIRS) == 18
    claims = rlhf.EXPERIMENT.plan("smoke", 0).claims
    assert found == carry_out.judged(claims, data)["findings"]  # of what is stored
    manifest = documents.read(out / documents.MANIFEST)
    assert manifest["command"].endswith("reproduce rlhf --testbed tabular --budget smoke --seed 0")
    assert {f["file"] for f in manifest["figures"]} == {p.name for p in out.glob("*.svg")}
    # Of one seed the curve is what the run's own metrics say.
    (room,) = (out / "runs").glob("random_mdp_sampled_drlhf_1.*/")
    lines = [json.loads(line) for line in (room / "metrics.jsonl").read_text().splitlines()]
    values = np.array([line["value"] for line in lines if "value" in line])
    low, high = extremes(Tabular("random_mdp", 1), preset("tabular_random_mdp").a2c.gamma)
    expected = (values - low) / (high - low)
    np.testing.assert_allclose(
        data["random_mdp/sampled/drlhf"].values["value"][:, 1], expected, rtol=1e-5
    )
    assert not list(out.rglob("*.pt"))


def test_a_killed_run_goes_on_to_the_same_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert code(*LAKE, "--out", tmp_path / "a") == 0
    out, ticks = tmp_path / "b", 0
    counted = rlhf_runs.Rates.__call__

    def stops(self: rlhf_runs.Rates, now: Any, rate: float) -> None:
        nonlocal ticks
        ticks += 1
        counted(self, now, rate)
        if now.phase == "training" and now.done == 7:
            raise KeyboardInterrupt

    monkeypatch.setattr(rlhf_runs.Rates, "__call__", stops)
    assert code(*LAKE, "--out", out) == 130
    assert "--resume" in capsys.readouterr().err
    (room,) = (path.parent for path in out.rglob("checkpoint.pt"))
    before = ticks
    assert code(*LAKE, "--out", out, "--resume") == 130  # it went on, and was killed there again
    assert ticks - before < before
    monkeypatch.setattr(rlhf_runs.Rates, "__call__", counted)
    # A checkpoint of other settings is not taken over, and nothing is lost.
    kept = shutil.copytree(room, tmp_path / "kept")
    other = tmp_path / "other"
    changed = rlhf.settings(task("a2c"))
    from sampled.rlhf.run import run

    run(changed, other)
    shutil.copy(other / "checkpoint.pt", room)
    assert code(*LAKE, "--out", out, "--resume") == 2
    assert "is of another configuration" in capsys.readouterr().err
    shutil.copy(kept / "checkpoint.pt", room)
    # Nor is a directory of another length.
    assert code(*LAKE, "--steps", 400, "--out", out, "--resume") == 2
    assert "was made with another choice" in capsys.readouterr().err
    assert code(*LAKE, "--out", out, "--resume") == 0
    assert contents(tmp_path / "a") == contents(out)


def test_progress_within_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps per second and a part of the work that grows, while not one run has finished."""
    monkeypatch.setattr(under_way, "EVERY", 0.001)
    seen: list[tuple[str, float, float]] = []
    plan = rlhf.chosen(Choice("tabular", ("frozen_lake",), ("drlhf",))).plan("smoke", 0)
    store = carry_out.Store(tmp_path, {})
    carry_out.carry_out(plan, store, watch=lambda *told: seen.append(told))
    ended = next(i for i, told in enumerate(seen) if told[0].startswith("frozen_lake/sampled/drlhf/1"))
    words = (
        r"frozen_lake/sampled/drlhf/\d: (collecting|warming up|training) \d+ of \d+, [1-9][\d,]* steps/s"
    )
    first = [told for told in seen[:ended] if re.fullmatch(words, told[0])]
    assert len({done for _, done, _ in first}) > 3
    done = [told[1] for told in seen]
    assert done == sorted(done)
    assert done[-1] == pytest.approx(seen[-1][2])
    # Who has not spoken since another call began is not at work, but what it did counts.
    other = carry_out.Store(tmp_path / "other", {})
    key = next(iter(store.rooms([job.key for job in plan.stages[0]({})])))
    job = Job(key, 2.0, rlhf_runs.Task)  # type: ignore[arg-type] # it is not run
    kept = under_way.UnderWay(0.25, 7.0, "training", moment=0.0)
    under_way.teller(other.room(key))(kept)
    told: list[tuple[str, float, float]] = []
    tally = carry_out._Tally(other, lambda *some: told.append(some))
    tally.begin([job], {})
    tally.look()
    assert told == [("", 0.5, 2.0)]


@pytest.mark.parametrize("method", ["a2c", "drlhf", "derived-10"])
def test_the_share_of_a_run_that_is_done(method: str, tmp_path: Path) -> None:
    from sampled.rlhf.run import run

    settings, shares = rlhf.settings(task(method)), []
    run(settings, tmp_path, watch=lambda now, _: shares.append(rlhf_runs.share(settings, now)))
    assert shares == sorted(shares)
    assert 0.0 < shares[0] < 0.2
    assert shares[-1] == 1.0


def test_several_runs_at_work() -> None:
    some = {k: under_way.UnderWay(0.5, rate, "training") for k, rate in (("a", 1200.4), ("b", 34.0))}
    assert under_way.spoken(some) == "2 runs at work, 1,234 steps/s"
    assert under_way.spoken({}) == ""


def test_tensorboard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert code(*LAKE, "--out", tmp_path / "plain") == 0
    assert not list(tmp_path.rglob("events.*"))
    assert code(*LAKE, "--tensorboard", "--out", tmp_path / "a") == 0
    rooms = {path.parent.parent for path in tmp_path.rglob("tensorboard/events.*")}
    assert rooms == {path for path in (tmp_path / "a" / "runs").iterdir() if path.is_dir()}
    plain, with_board = (documents.read_data(tmp_path / name) for name in ("plain", "a"))
    key = "frozen_lake/sampled/drlhf"
    np.testing.assert_array_equal(plain[key].values["value"], with_board[key].values["value"])
    manifest = documents.read(tmp_path / "a" / documents.MANIFEST)
    assert " --tensorboard " in manifest["command"]
    assert documents.choice(manifest).tensorboard
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    assert code(*LAKE, "--tensorboard", "--out", tmp_path / "b") == 2
    assert "TensorBoard is not installed" in capsys.readouterr().err
    assert not (tmp_path / "b").exists()


def test_check_repeats_what_was_chosen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = tmp_path / "kept"
    chosen = ("--game", "random_mdp", "--method", "a2c", "--seeds", 3, "--seed", 4)
    assert code(*chosen, *SMOKE, "--out", kept) == 0
    assert documents.read_data(kept)["random_mdp/sampled/a2c"].seeds == (4000, 4001, 4002)
    assert code("--check", kept, "--out", tmp_path / "b", "--jobs", 1) == 0
    assert "All series and findings are as in" in capsys.readouterr().out
    assert code("--check", kept, "--method", "drlhf", "--out", tmp_path / "c") == 2
    assert "leave --method drlhf out" in capsys.readouterr().err


def test_minatar_with_pictures_and_costs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "a"
    assert code("--testbed", "minatar", "--method", "drlhf", *SMOKE, "--out", out) == 0
    assert "hours of one core like this one, of which the games alone" in capsys.readouterr().out
    manifest = documents.read(out / documents.MANIFEST)
    assert {f["file"] for f in manifest["figures"]} == {p.name for p in out.glob("*.svg")}
    assert "cost of breakout, drlhf" in manifest["measured"]
    picture = out / "pairs_breakout.svg"
    assert "preferred: " in picture.read_text()
    assert "data:image/png;base64," in inline(picture, "pairs")  # the page takes it


DOCS = Path(__file__).parents[3] / "docs"
COMMITTED = sorted(path.name for path in (DOCS / "results" / "rlhf").iterdir())


@pytest.mark.parametrize("testbed", COMMITTED)
def test_what_is_committed_follows_from_the_data(testbed: str) -> None:
    folder = DOCS / "results" / "rlhf" / testbed
    manifest = documents.read(folder / documents.MANIFEST)
    assert {f["file"] for f in manifest["figures"]} == {p.name for p in folder.glob("*.svg")}
    experiment = rlhf.chosen(documents.choice(manifest))
    plan = experiment.plan(manifest["budget"], manifest["seed"])
    products = carry_out.products(plan, documents.read_data(folder))
    for name, text in products.items():
        assert (folder / name).read_text(encoding="utf-8") == text, name
    page = (DOCS / "rlhf.md").read_text(encoding="utf-8")
    assert manifest["command"] in page
    shown = page.partition(f"<!-- {testbed} -->")[2].partition(f"<!-- end of {testbed} -->")[0]
    assert shown.strip() == products[documents.TABLES].strip()


@pytest.mark.parametrize(
    ("testbed", "budget"), [(t, b) for t, bed in rlhf.BEDS.items() for b in bed.budgets]
)
def test_curves_that_are_no_result_say_so(testbed: str, budget: str) -> None:
    work = rlhf.BEDS[testbed].budgets[budget]
    assert work.result == (work.cut is None and "no result" not in work.purpose)
    for figure in rlhf.figures(rlhf.BEDS[testbed], work):
        assert ("Pipeline check, no result" in figure.caption) != work.result
        assert all(("a pipeline check" in panel.title) != work.result for panel in figure.panels)


# What is refused.


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ("--testbed", "chess"),
            "there is no testbed 'chess' of rlhf; use one of tabular, minatar, atari",
        ),
        (("--game", "taxi"), "tabular has no game 'taxi'; use one of frozen_lake, random_mdp"),
        (("--testbed", "minatar", "--game", "pong"), "minatar has no game 'pong'; use one of asterix"),
        (
            ("--method", "ppo"),
            "there is no method 'ppo'; use a2c, drlhf, printed, derived, derived-LAMBDA such as",
        ),
        (("--method", "derived-0"), "there is no method 'derived-0'"),
        (("--method", "a2c", "--method", "a2c"), "name each once"),
        (("--seeds", 1), "--seeds is 1; a paired test needs two or more"),
        (("--steps", 10), "evaluations need"),
        (
            ("--testbed", "atari", "--budget", "full"),
            "there is no budget 'full' of rlhf; use one of smoke",
        ),
    ],
)
def test_wrong_usage(
    words: tuple[object, ...], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert code(*words, "--out", tmp_path / "a") == 2
    assert sentence in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "a").exists()


def test_options_of_other_experiments(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        cli.main(["reproduce", "stackelberg", "--testbed", "minatar"])
    assert raised.value.code == 2
    assert "stackelberg has no options --testbed minatar" in capsys.readouterr().err


def test_a_missing_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "minatar", None)
    monkeypatch.setitem(sys.modules, "minatar.environment", None)
    assert code("--testbed", "minatar", *SMOKE, "--out", tmp_path / "a") == 2
    assert 'pip install -c constraints.txt -e ".[rlhf]"' in capsys.readouterr().err


# Parts.


def test_settings_of_the_methods() -> None:
    given = preset("tabular_random_mdp")
    printed, derived = (rlhf.settings(task(m)) for m in ("printed", "derived-40"))
    assert (printed.run.method, derived.run.method) == (Method.PBRL, Method.PBRL)
    assert (printed.pbrl.companion, derived.pbrl.companion) == (Companion.CURRENT, Companion.SEPARATE)
    assert printed.pbrl.upper_weight == given.pbrl.upper_weight
    assert derived.pbrl.penalty_weight * derived.pbrl.upper_weight == 1.0
    assert (derived.pbrl.penalty_weight, derived.pbrl.span) == (40.0, Span.HISTORY)
    assert derived.preferences.begin is Begin.RESET
    chosen, there = rlhf.settings(task("derived")), preset(task("derived").preset)
    assert chosen.pbrl.penalty_weight == there.pbrl.penalty_weight < 1.0
    assert chosen.pbrl.upper_weight == there.pbrl.upper_weight
    long = rlhf.settings(task("a2c", cut=None, updates=0))
    expected = replace(
        given.run, method=Method.A2C, seed=2000, log_every=1000, evaluate_every=1000, episodes=2
    )
    assert (long.run, long.a2c) == (expected, given.a2c)
    assert isinstance(long.game, Tabular)
    assert (long.game.instance, long.game.states) == (2000, 10)


def test_controls_differ_from_what_they_control_in_one_thing() -> None:
    drlhf, starts, derived, without = (
        rlhf.settings(task(m, preset="minatar_breakout"))
        for m in ("drlhf", "drlhf-starts", "derived", "unpenalised")
    )
    # DRLHF does not read what stands in [pbrl].
    assert replace(starts, pbrl=drlhf.pbrl) == replace(drlhf, preferences=derived.preferences)
    assert derived.preferences != drlhf.preferences
    assert without.pbrl == replace(derived.pbrl, companion=Companion.CURRENT, penalty_gradient=False)
    assert replace(without, pbrl=derived.pbrl) == derived


def test_the_full_minatar_runs_are_as_long_as_they_say() -> None:
    budget = rlhf.BEDS["minatar"].budgets["full"]
    found = list(rlhf.tasks("minatar", budget, 0, "cpu"))
    assert len(found) == 2 * 6 * 5
    for one in found:
        chosen = rlhf.settings(one)
        assert chosen.run.updates * chosen.a2c.workers * chosen.a2c.steps == 2_000_000
        whole = preset(one.preset)
        assert (chosen.preferences.initial_pairs, chosen.reward) == (576, whole.reward)


def test_shares_of_the_oracle() -> None:
    budget = replace(
        rlhf.BEDS["tabular"].budgets["smoke"], games=("g", "h"), methods=("a2c", "drlhf"), seeds=2
    )
    data = {}
    for game, oracle, own in (("g", 4.0, 1.0), ("h", 8.0, 6.0)):
        for method, level in (("a2c", oracle), ("drlhf", own)):
            for i in range(2):
                rows = np.array([[0.0], [level + i - 0.5]])
                key = f"{game}/sampled/{method}/{i}"
                data[key] = Series(key, {}, (i,), (1, 5), (10 + i, 50), {"value": rows})
    found = rlhf.gathered("value", budget, data)
    np.testing.assert_array_equal(found["h/sampled/drlhf"].values["value"], [[0, 0], [5.5, 6.5]])
    assert found["g/sampled/a2c"].steps == (10, 50)  # 10.5 to even
    share = found["together/sampled/drlhf"].tail("share")
    np.testing.assert_allclose(share, [0.5 / 4, 1.5 / 4, 5.5 / 8, 6.5 / 8], rtol=1e-15)
    without = rlhf.gathered("value", replace(budget, methods=("drlhf",)), data)
    assert set(without) == {"g/sampled/drlhf", "h/sampled/drlhf"}


def test_cost_by_hand() -> None:
    """4000 updates of the double size, and everything else in the proportions of the formula."""
    had = rlhf.settings(task("drlhf"))
    wanted = replace(
        had,
        run=replace(had.run, updates=4000),
        a2c=replace(had.a2c, workers=8),
        preferences=replace(
            had.preferences, initial_pairs=256, pairs_per_epoch=8, window=100, capacity=1000
        ),
        reward=replace(had.reward, warmup_epochs=10, epoch_every=100),
    )
    rates = [
        {"kind": "collecting", "ticks": 2, "cpu_seconds": 1.0},
        {"kind": "warming up", "ticks": 1, "cpu_seconds": 2.0},
        {"kind": "update", "ticks": 1, "cpu_seconds": 0.05},
        {"kind": "update", "ticks": 3, "cpu_seconds": 0.35},
        {"kind": "epoch", "ticks": 1, "cpu_seconds": 1.1},
        {"kind": "games alone", "ticks": 10, "cpu_seconds": 0.1},
    ]
    # Epochs after updates 3 and 6, of 144 and 160 pairs.
    # Of the wanted ones 39, of 264, 272, ..., 568 pairs.
    rest = 32 * 1 * 0.5 + 10 * 2 * 2.0 + 4000 * 2 * 0.1
    hours = (rest + 39 * (416 / 152) * 1.0) / 3600
    found = rlhf_runs.estimated(wanted, had, rates)
    assert found.hours == pytest.approx(hours, rel=1e-12)
    assert found.games == pytest.approx(4000 * 2 * 0.01 / 3600, rel=1e-12)
    without = rlhf_runs.estimated(wanted, had, [r for r in rates if r["kind"] != "epoch"])
    assert without.hours == pytest.approx((rest + 39 * (416 / 128 * 2.0 + 0.5)) / 3600, rel=1e-12)
    with pytest.raises(InputError, match="no update was measured"):
        rlhf_runs.estimated(wanted, had, rates[:2])
    # A companion takes 2 steps for each update since the last epoch: 6 in what was measured, 200 wanted.
    derived = replace(rlhf.settings(task("derived")).pbrl, inner_steps=2)
    had, wanted = (
        replace(s, run=replace(s.run, method=Method.PBRL), pbrl=derived) for s in (had, wanted)
    )
    rest += 39 * 200 * 2 * 0.1
    hours = (rest + 39 * (416 / 152) * (1.1 - 7 * 0.1)) / 3600
    assert rlhf_runs.estimated(wanted, had, rates).hours == pytest.approx(hours, rel=1e-12)


def test_compared_segments_are_drawn_as_they_are() -> None:
    from matplotlib.image import imread

    strips = [np.full((4, 9, 3), shade, dtype=np.uint8) for shade in (40, 200)]
    shown = [
        {
            "strips": [{"png": rlhf_runs._png(s), "size": [9, 4]} for s in strips],
            "text": "preferred: the second (true returns 1 < 2)",
            "label": 0.0,
        }
    ]
    root = ET.fromstring(rlhf_runs.pairs_svg(shown, rlhf.NO_RESULT))
    assert [e.text for e in root if e.tag.endswith("text")] == [rlhf.NO_RESULT, shown[0]["text"]]
    images = [e for e in root if e.tag.endswith("image")]
    for element, strip in zip(images, strips, strict=True):
        data = element.attrib["href"].removeprefix("data:image/png;base64,")
        pixels = imread(io.BytesIO(base64.b64decode(data)))[..., :3]
        np.testing.assert_array_equal(np.round(255 * pixels), strip)
    (frame,) = (e for e in root if e.tag.endswith("rect"))
    assert float(frame.attrib["y"]) == pytest.approx(float(images[1].attrib["y"]) - 2)
    assert Choice().words == ""


def test_bands_are_intervals_of_the_t_distribution() -> None:
    rows = np.array([[1.0, 2.0, 6.0], [0.0, 0.0, 3.0]])
    data = {"g/sampled/m": Series("g/sampled/m", {}, (0, 1, 2), (1, 2), (5, 10), {"v": rows})}
    curve = Curve("m", "v", ("g/sampled/m",), "steps", 0)
    _, means, errors = points(replace(curve, interval=True), data)
    assert means == [3.0, 1.0]
    # t(0.975, 2) = 4.302653; variances 7 and 3 of three numbers.
    np.testing.assert_allclose(errors, 4.302653 * np.sqrt([7 / 3, 1.0]), rtol=1e-6)
    np.testing.assert_allclose(points(curve, data)[2], np.sqrt([7 / 3, 1.0]), rtol=1e-14)
    for figure in rlhf.figures(rlhf.BEDS["minatar"], rlhf.BEDS["minatar"].budgets["full"]):
        assert all(c.interval for panel in figure.panels for c in panel.curves)
