"""Audits: exact parts against other routes, planted faults found, interrupted runs resumed."""

import io
import itertools
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

from reference.errors import InputError
from reference.evaluated import Evaluated
from reference.evaluation import evaluate, parameter_policy_gradient, value_gradient_x
from reference.policies import SoftmaxPolicy
from reference.problems.general_position import general_game, general_mdp
from reference.problems.storage import save
from reference.truncated import (
    FOREVER,
    Truncation,
    truncated_bellman_penalty,
    truncated_designer_loss,
    truncated_leader_loss,
    truncated_nikaido_isoda,
    truncated_original_loss,
    truncated_value_penalty,
)
from sampled.baselines import LeaveOneOut, StateValues
from sampled.conversion import tensors
from sampled.critics import Tabular
from sampled.enumeration import every_trajectory
from sampled.estimators.actor_critic import ActorCritic
from sampled.estimators.contract import Estimator
from sampled.estimators.gpomdp import Gpomdp
from sampled.estimators.random_horizon import RandomHorizon
from sampled.estimators.reinforce import Reinforce
from verify.audit import builtin, session
from verify.audit.contract import Demand, Norm, Subject, Verdict, flat
from verify.audit.document import entry, outcome
from verify.audit.engine import Progress, run
from verify.audit.plot import svg
from verify.audit.problems import at_point, default_problems, find
from verify.audit.quantities import QUANTITIES
from verify.audit.ranges import estimate_range
from verify.audit.tables import plain, report
from verify.audit.walks import Walks
from verify.contract import Status

EPS = float(np.finfo(np.float64).eps)
SVG = "{http://www.w3.org/2000/svg}"
LISTED = {audit.name: audit for audit in builtin.listed()}
FEW = (
    "gpomdp.no_baseline.tiny",
    "actor_critic.undiscounted_weights.tiny",
    "value_penalty.slow.approximate",
    "bellman_penalty.general",
    "nikaido_isoda.game.approximate",
    "leader_loss.stackelberg",
    "preference_loss.preferences",
)


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> None:
    torch.set_num_threads(1)


# The decomposition.


@pytest.mark.parametrize("name", LISTED)
def test_the_terms_add_up(name: str) -> None:
    made = LISTED[name].build()
    split = made.decomposition
    total = flat(split.wanted, made.shapes)
    size = np.abs(total)
    for term in split.terms:
        total = total + flat(term.blocks, made.shapes)
        size = size + np.abs(flat(term.blocks, made.shapes))
    assert (np.abs(total - made.declared) <= (len(split.terms) + 2) * EPS * size + 1e-300).all()


DIRECT: dict[str, Callable[..., Evaluated]] = {
    "value_penalty.general.approximate": truncated_value_penalty,
    "bellman_penalty.slow.approximate": truncated_bellman_penalty,
    "bellman_penalty.stackelberg": truncated_bellman_penalty,
    "nikaido_isoda.game.approximate": lambda p, x, *pairs: truncated_nikaido_isoda(
        p, x, pairs[:2], pairs[2:4], pairs[4]
    ),
    "leader_loss.stackelberg": truncated_leader_loss,
    "original_loss.shaping": truncated_original_loss,
    "designer_loss.design": truncated_designer_loss,
}


@pytest.mark.parametrize("name", DIRECT)
def test_what_is_declared_is_the_truncated_quantity(name: str) -> None:
    """Walk by walk, with the exact values of each, against the quantity's own closed form."""
    made = LISTED[name].build()
    quantity, setting = (
        QUANTITIES[name.split(".", maxsplit=1)[0]],
        default_problems()[name.split(".")[1]],
    )
    exact, near = builtin.companions_of(quantity, setting)
    used = near if name.endswith("approximate") else exact
    maps = [SoftmaxPolicy((y.shape[0], y.shape[1])) for y in setting.logits]
    policies = [soft(y) for soft, y in zip(maps, setting.logits, strict=True)]
    found = DIRECT[name](setting.problem, setting.x, *policies, *used, Truncation(builtin.STEPS))
    parts = [found.grad_x] if quantity.moves_x else []
    parts += [
        soft.pullback(y, g) for soft, y, g in zip(maps, setting.logits, found.grad_policies, strict=True)
    ]
    for block, part in zip(made.shapes, parts, strict=True):
        scale = float(np.abs(made.decomposition.wanted[block]).max()) + 1.0
        assert np.abs(made.decomposition.declared[block] - part).max() <= 1e4 * EPS * scale
        assert np.abs(made.decomposition.wanted[block] - part).max() > 1e-4 * np.abs(part).max()


def test_the_wanted_gradient_is_the_closed_form() -> None:
    made = LISTED["gpomdp.no_baseline.slow"].build()
    setting = default_problems()["slow"]
    (y,) = setting.logits
    soft = SoftmaxPolicy((y.shape[0], y.shape[1]))
    own = evaluate(setting.problem.at(setting.x), soft(y))
    wanted = made.decomposition.wanted
    assert np.allclose(wanted["x"], value_gradient_x(setting.problem, setting.x, own), rtol=1e-9)
    assert np.allclose(wanted["y"], parameter_policy_gradient(own, soft, y), rtol=1e-9, atol=1e-9)


def test_terms_vanish_where_they_must() -> None:
    """Exact companions, an exact critic, no truncation, and baselines along the simplex."""
    setting = default_problems()["general"]
    mdp = setting.problem.at(setting.x)
    own = evaluate(mdp, SoftmaxPolicy((4, 3))(setting.logits[0]))
    values = torch.from_numpy(own.v_s.copy())

    def terms(make: Callable[[int], Estimator]) -> dict[str, float]:
        made = builtin.subject("s", "s", QUANTITIES["value"], setting, make)
        return {
            t.name: float(np.abs(flat(t.blocks, made.shapes)).max()) for t in made.decomposition.terms
        }

    exact_critic = terms(lambda n: ActorCritic(5, Tabular(values.expand(n, -1)), trace=0.6))
    assert exact_critic["critic bias"] < 1e-12
    assert exact_critic["unseen steps"] > 0.01
    with_baseline = terms(lambda n: Gpomdp(5, StateValues(values.expand(n, -1))))
    assert with_baseline["baseline bias"] < 1e-12
    assert with_baseline["lost tail"] > 0.01
    assert terms(lambda _: RandomHorizon(0.9)) == {"baseline bias": 0.0}
    penalty = builtin.subject(
        "p", "p", QUANTITIES["value_penalty"], setting, lambda _: RandomHorizon(0.9)
    )
    (oracle,) = penalty.decomposition.terms
    assert oracle.name == "oracle bias"
    assert not flat(oracle.blocks, penalty.shapes).any()


def test_slow_mixing_shows_what_direction_hides() -> None:
    """Five steps of a chain that moves once in a thousand: the direction is right, the length is not."""
    made = LISTED["gpomdp.no_baseline.slow"].build()
    found = entry(run(made, Demand(limit=1), 0), place=1)
    block = next(b for b in found["blocks"] if b["name"] == "y")
    assert block["cosine"] > 0.99
    assert block["length_ratio"] < 0.1


# The range.


@pytest.mark.parametrize(
    "estimator",
    [
        Gpomdp(2),
        Reinforce(2),
        Gpomdp(2, StateValues(torch.tensor([[0.4, -1.0]], dtype=torch.float64))),
        Reinforce(2, StateValues(torch.tensor([[0.4, -1.0]], dtype=torch.float64))),
        Gpomdp(2, LeaveOneOut()),
        ActorCritic(2, Tabular(torch.tensor([[0.4, -1.0]], dtype=torch.float64)), trace=0.6),
        ActorCritic(
            2, Tabular(torch.tensor([[0.4, -1.0]], dtype=torch.float64)), trace=1.0, discounted=False
        ),
    ],
)
def test_no_trajectory_leaves_the_range(estimator: Estimator) -> None:
    """Every one of them; and the range is at most some times too wide."""
    setting = default_problems()["tiny"]
    walks = Walks.of(
        QUANTITIES["value"],
        tensors(setting.problem),
        (setting.x, setting.logits, ()),
        lambda n: _copies(estimator, n),
        estimator.batch,
    )
    (walk,) = walks.walks
    every = every_trajectory(walk.process.dynamics, 2)
    if estimator.batch == 2:
        pairs = torch.tensor(list(itertools.product(range(every.n), repeat=2))).flatten()
        every = replace(
            every,
            states_pnh=every.states_pnh[:, pairs],
            actions_pnh=every.actions_pnh[:, pairs],
            lengths_pn=every.lengths_pn[:, pairs],
        )
    rows = every.n // estimator.batch
    found = walk.of(every, _copies(estimator, rows), rows, estimator.batch).numpy()
    assert (found >= walks.low).all()
    assert (found <= walks.high).all()
    width = walks.high - walks.low
    assert (found.max(0) - found.min(0) >= 0.15 * width).all()
    assert (np.abs(found) <= walks.size).all()


def _copies(estimator: Estimator, n: int) -> Estimator:
    match estimator:
        case ActorCritic(steps=steps, trace=trace, discounted=discounted):
            return ActorCritic(steps, Tabular(estimator.critic_ps.expand(n, -1)), trace, discounted)
        case Gpomdp(baseline=StateValues(values)) | Reinforce(baseline=StateValues(values)):
            return replace(estimator, baseline=StateValues(values.expand(n, -1)))
    return estimator


def test_random_lengths_stay_in_the_range() -> None:
    made = LISTED["random_horizon.constant.tiny"].build()
    x = made.draw(4096, torch.Generator().manual_seed(0))
    assert ((x >= made.low) & (x <= made.high)).all()


def test_pairs_of_segments_stay_in_the_range() -> None:
    made = LISTED["preference_loss.preferences"].build()
    x = made.draw(2048, torch.Generator().manual_seed(0))
    assert ((x >= made.low) & (x <= made.high)).all()
    assert (np.ptp(x, axis=0) > 0.05 * (made.high - made.low)).all()  # it is a bound, not a guess


def test_lengths_without_discount_have_no_range() -> None:
    setting = default_problems()["tiny"]
    with pytest.raises(InputError, match="audit it at a larger continuation"):
        builtin.subject("s", "s", QUANTITIES["value"], setting, lambda _: RandomHorizon(0.7))


# Rows.


@pytest.mark.parametrize("name", [name for name in FEW if LISTED[name].build().anchored])
def test_rows_are_what_everyone_gets(name: str) -> None:
    made = LISTED[name].build()
    assert made.anchored is not None
    rows, called = made.anchored(3)
    scale = float(np.abs(np.r_[made.low, made.high]).max())
    assert np.abs(rows - called).max() <= 1e-12 * scale
    assert np.abs(called).max() > 1e-3


COUPLED = "random_horizon.leave_one_out.tiny"
"""Pairs of trajectories of random length are too many to list."""


def test_all_but_one_of_the_tiny_have_a_gate() -> None:
    assert LISTED[COUPLED].build().exact is None


@pytest.mark.parametrize("name", [n for n in LISTED if n.endswith(".tiny") and n != COUPLED])
def test_the_gate_is_passed(name: str) -> None:
    made = LISTED[name].build()
    assert made.exact is not None
    error, rounding = made.exact()
    assert (np.abs(error) <= rounding).all()
    assert (rounding < 1e-6 * (1.0 + np.abs(made.declared))).all()  # it says something


def test_estimates_of_a_row_depend_on_its_generator_alone() -> None:
    made = LISTED["nikaido_isoda.game"].build()
    one, same, other = (made.draw(16, torch.Generator().manual_seed(s)) for s in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_common_trajectories_leave_the_difference_of_two_estimators() -> None:
    """The reference is subtracted where it is the same estimator: nothing is left to vary."""
    setting, value = default_problems()["tiny"], QUANTITIES["value"]

    def make(_: int) -> Estimator:
        return Gpomdp(3)

    paired = builtin.subject("s", "s", value, setting, make, reference=make)
    assert paired.given_law
    fine = run(paired, Demand(epsilon=0.02), 0)
    assert fine.certified
    coarse = run(builtin.subject("s", "s", value, setting, make), Demand(epsilon=0.04), 0)
    assert fine.progress.count < coarse.progress.count  # half of the bias, from fewer estimates


# Verdicts.


@pytest.mark.parametrize("name", FEW)
def test_right_ones_are_certified(name: str) -> None:
    result = run(LISTED[name].build(), Demand(epsilon=0.3, alarm=1e-7), 1)
    assert result.verdict is Verdict.CERTIFIED, result.reason


@pytest.mark.parametrize("factor", [0.8, 1.2])
@pytest.mark.parametrize("name", FEW)
def test_planted_factors_are_found(name: str, factor: float) -> None:
    made = session.biased(LISTED[name].build(), factor, "off")
    result = run(made, Demand(epsilon=0.001, limit=1 << 20), 1)
    assert result.verdict is Verdict.BIASED, result.reason


def test_measuring_goes_on_until_the_bias_is_known() -> None:
    made = session.biased(LISTED["gpomdp.no_baseline.tiny"].build(), 1.2, "off")
    found = entry(run(made, Demand(epsilon=0.1, measure=True), 1), place=1)
    for block in found["blocks"]:
        planted = 0.2 * block["declared"]["euclidean"]
        assert block["bias_low"]["euclidean"] <= planted <= block["bias_bound"]["euclidean"]
        assert block["bias_bound"]["euclidean"] < 2.1 * planted


def test_undecided_says_how_many_more_it_takes() -> None:
    made = LISTED["gpomdp.no_baseline.tiny"].build()
    short = run(made, Demand(epsilon=0.05, limit=20_000), 0)
    assert short.verdict is Verdict.UNDECIDED
    more = entry(short, place=1)["forecast_more"]
    full = run(made, Demand(epsilon=0.05), 0)
    assert full.certified
    assert 0.6 < (short.progress.count + more) / full.progress.count < 1.7
    assert outcome(entry(short, place=1), "audits.x").status is Status.DEVIATION


def test_absolute_and_maximum_norms() -> None:
    made = LISTED["gpomdp.no_baseline.tiny"].build()
    demand = Demand(epsilon=0.05, relative=False, norm=Norm.MAXIMUM)
    result = run(made, demand, 0)
    assert result.certified
    for block in entry(result, place=1)["blocks"]:
        assert block["bias_bound"]["maximum"] <= 0.05 <= block["bias_bound"]["euclidean"] + 0.05


def test_an_estimate_outside_its_range_is_a_failure() -> None:
    made = LISTED["gpomdp.no_baseline.tiny"].build()
    narrow = replace(made, low=0.2 * made.low, high=0.2 * made.high)
    result = run(narrow, Demand(), 0)
    assert result.verdict is Verdict.BIASED
    assert "outside its computed range" in result.reason


# Resumption.


def test_threads_change_nothing() -> None:
    made = LISTED["value_penalty.general"].build()
    one, two = (run(made, Demand(epsilon=0.2), 5, threads=t) for t in (1, 2))
    assert one.progress.calls == two.progress.calls
    assert np.array_equal(one.progress.interval.weighted, two.progress.interval.weighted)
    assert one.progress.alarm.log_capital == two.progress.alarm.log_capital


@pytest.mark.parametrize("stop", [1, 3, 4])
def test_an_interrupted_run_ends_with_the_same_result(tmp_path: Path, stop: int) -> None:
    made, demand = LISTED["gpomdp.no_baseline.tiny"].build(), Demand(epsilon=0.1)
    whole = run(made, demand, 2)
    calls = 0

    def interrupted(rows: int, generator: torch.Generator) -> np.ndarray:
        nonlocal calls
        calls += 1
        if calls > stop:
            raise KeyboardInterrupt
        return made.draw(rows, generator)

    broken = replace(made, draw=interrupted)
    with pytest.raises(KeyboardInterrupt):
        session.resumable(broken, demand, 2, tmp_path, {"a": 1})
    state = json.loads((tmp_path / f"{made.name}.state.json").read_text())
    assert json.loads(state["progress"])["calls"] == stop
    again = session.resumable(made, demand, 2, tmp_path, {"a": 1})
    assert again.progress.count == whole.progress.count
    assert np.array_equal(again.progress.interval.weighted, whole.progress.interval.weighted)
    assert again.progress.alarm.log_capital == whole.progress.alarm.log_capital
    other = session.resumable(broken, demand, 2, tmp_path, {"a": 2}) if stop > 90 else None
    assert other is None


def test_a_damaged_state_is_named() -> None:
    made = LISTED["gpomdp.no_baseline.tiny"].build()
    with pytest.raises(InputError, match="cannot be read"):
        Progress.begin(made, Demand()).loads("{}")


# What is shown.


def test_the_plot_is_deterministic_and_complete() -> None:
    made = LISTED["nikaido_isoda.game"].build()
    found = entry(run(made, Demand(epsilon=0.4), 0), place=1)
    text = svg(found)
    assert text == svg(json.loads(json.dumps(found)))
    for block in ("block x", "block y_1", "block y_2", "CERTIFIED"):
        assert block in text


def test_the_legend_covers_no_line() -> None:
    """It is below the panels, and names every line of theirs."""
    found = entry(run(session.built(session.CONTROL), Demand(epsilon=0.1, measure=True), 0), place=1)
    figure = ElementTree.fromstring(svg(found)).find(f"{SVG}g[@id='figure_1']")
    assert figure is not None

    def heights(group: ElementTree.Element) -> list[float]:
        """Vertical coordinates, downwards, of the frame of a group."""
        outline = group.find(f".//{SVG}g[@id]/{SVG}path")
        assert outline is not None
        return [float(y) for y in re.findall(r"-?[\d.]+", outline.attrib["d"])[1::2]]

    groups = {group.attrib.get("id", ""): group for group in figure}
    panels = [group for name, group in groups.items() if name.startswith("axes")]
    assert len(panels) == 2 * len(found["blocks"])
    assert min(heights(groups["legend_1"])) > max(y for panel in panels for y in heights(panel))
    words = {text.text for text in groups["legend_1"].iter(f"{SVG}text")}
    assert words == {"bound", "seen", "at least", "epsilon"}


def test_tables_hold_terms_and_verdicts() -> None:
    from rich.console import Console

    made = LISTED["bellman_penalty.general.approximate"].build()
    found = entry(run(made, Demand(epsilon=0.4), 0), place=1)
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(report([found]))
    text = console.export_text()
    for word in ("oracle", "unseen", "tail", "CERTIFIED", "1 of 1 audits as expected"):
        assert word in text
    assert "bias at least" in plain(found)


# Bad input.


def test_demands_are_checked() -> None:
    with pytest.raises(InputError, match="epsilon"):
        Demand(epsilon=0.0)
    with pytest.raises(InputError, match="alpha"):
        Demand(alpha=1.0)
    with pytest.raises(InputError, match="alarm"):
        Demand(alarm=0.0)
    with pytest.raises(InputError, match="limit"):
        Demand(limit=0)


def test_a_saved_mdp_or_game_is_audited_at_its_own_rewards(tmp_path: Path) -> None:
    generator = np.random.default_rng(3)
    mdp, game = general_mdp(generator), general_game(generator)
    save(tmp_path / "mdp.npz", mdp)
    save(tmp_path / "game.npz", game)
    own, both = (find(str(tmp_path / f"{name}.npz")) for name in ("mdp", "game"))
    assert np.array_equal(own.problem.at(own.x).r_sa, mdp.r_sa)
    assert np.array_equal(both.problem.at(both.x).r_sab, game.r_sab)


def test_unknown_problems_and_audits_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no problem 'nowhere'.*tiny, general"):
        find("nowhere")
    with pytest.raises(InputError, match=r"missing\.npz"):
        find(str(tmp_path / "missing.npz"))
    with pytest.raises(InputError, match=r"there is no audit 'no_baseline': did you mean"):
        session.select(["no_baseline"])
    with pytest.raises(InputError, match="it must be an MDP"):
        at_point("odd", object())


def test_a_missing_quantity_is_named() -> None:
    with pytest.raises(InputError, match=r"problem general has no nikaido_isoda.*value, value_penalty"):
        builtin.subject(
            "s", "s", QUANTITIES["nikaido_isoda"], default_problems()["general"], lambda _: Gpomdp(5)
        )


def test_unknown_estimators_have_no_range() -> None:
    made: Subject = LISTED["gpomdp.no_baseline.tiny"].build()
    assert made.exact is not None

    class Odd:
        pass

    setting = default_problems()["tiny"]
    walks = Walks.of(
        QUANTITIES["value"],
        tensors(setting.problem),
        (setting.x, setting.logits, ()),
        lambda _: Gpomdp(2),
        1,
    )
    with pytest.raises(InputError, match="no range is known for Odd"):
        estimate_range(Odd(), walks.walks[0].process, ())


def test_truncations_of_all_is_the_exact_gradient() -> None:
    """What the terms start from: nothing cut off is the limit of many steps."""
    setting, quantity = default_problems()["general"], QUANTITIES["value_penalty"]
    exact, _ = builtin.companions_of(quantity, setting)
    args = setting.problem, setting.x, setting.logits, exact
    forever = quantity.gradient(*args, lambda _: FOREVER)
    long = quantity.gradient(*args, lambda _: Truncation(400))
    for block, values in forever.items():
        assert np.allclose(values, long[block], atol=1e-9)
