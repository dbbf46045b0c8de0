"""The two experiments: measures by other routes, settings as printed, and a small run of all of it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from reference.objectives.incentive_design import designer_loss
from reference.penalties import nikaido_isoda, value
from reference.problems.instances import random_stackelberg
from reference.problems.structure import stack
from reference.validation import Array
from sampled.baselines import LeaveOneOut
from sampled.estimators.gpomdp import Gpomdp
from verify.experiments import carry_out, documents, findings, incentive, stackelberg
from verify.experiments.contract import Experiment, Series
from verify.experiments.lineup import CENTRE, DEFAULT, REPORTED, TUNING, Setting, Task, trials
from verify.experiments.sampling import keys_of

G = np.random.default_rng(3)
SMALL = Setting("small", gamma=0.8, tau=0.3)


def softmax(y: Array) -> Array:
    return np.asarray(np.exp(y) / np.exp(y).sum(axis=-1, keepdims=True))


def value_by_iteration(P_st: Array, c_s: Array, gamma: float) -> Array:
    v_s = np.zeros(len(c_s))
    for _ in range(400):
        v_s = c_s + gamma * P_st @ v_s
    return v_s


def test_leader_and_follower_by_hand() -> None:
    """Plain value iterations of every game, and the penalty of its own module."""
    game = stackelberg.games(SMALL, 4, 0, REPORTED, 2)
    x, y, z = G.normal(size=(3, 2, 4, 5))
    pi_sb, other_sb = softmax(y), softmax(z)
    found = stackelberg.measuring(game, x, (pi_sb,), (other_sb,))
    for i in range(2):
        P, first, rho = game.P_sabt[i], softmax(x[i]), game.rho_s[i]
        r_follower = np.einsum("sa,sab->sb", first, game.r_follower_sab[i])
        P_follower = np.einsum("sa,sabt->sbt", first, P)
        v_s = np.zeros(4)
        for _ in range(400):
            q_sb = r_follower + SMALL.gamma * P_follower @ v_s
            v_s = SMALL.tau * np.log(np.exp(q_sb / SMALL.tau).sum(axis=1))
        best_sb = softmax(q_sb / SMALL.tau)

        def values(second: Array, r: Array, bonus: float, P: Array = P, first: Array = first) -> Array:
            joint = first[:, :, None] * second[:, None, :]
            c_s = (joint * r).sum(axis=(1, 2)) - bonus * (second * np.log(second)).sum(axis=1)
            return value_by_iteration(np.einsum("sab,sabt->st", joint, P), c_s, SMALL.gamma)

        own = rho @ values(pi_sb[i], game.r_follower_sab[i], SMALL.tau)
        expected = {
            "leader_value": rho @ values(pi_sb[i], game.r_leader_sab[i], 0.0),
            "leader_at_best_response": rho @ values(best_sb, game.r_leader_sab[i], 0.0),
            "follower_gap": rho @ v_s - own,
            "own_gap": rho @ values(other_sb[i], game.r_follower_sab[i], SMALL.tau) - own,
        }
        # 400 steps of a contraction by 0.8 leave less than 1e-38 of values below 10: rounding remains.
        assert {k: v[i] for k, v in found.items()} == pytest.approx(expected, abs=1e-12)
    assert found["follower_gap"] == pytest.approx(
        value.PENALTY.exact(game, x, (pi_sb,)).value, abs=1e-12
    )


def test_players_and_designer_by_other_routes() -> None:
    problem = incentive.problems(SMALL, 3, 0, REPORTED, 2)
    x = G.normal(size=(2, 3, 5, 5))
    policies = tuple(softmax(G.normal(size=(2, 3, 5))) for _ in range(2))
    others = tuple(softmax(G.normal(size=(2, 3, 5))) for _ in range(2))
    found = incentive.measuring(problem, x, policies, others)
    psi = nikaido_isoda.PENALTY
    assert found["ni_gap"] == pytest.approx(psi.exact(problem, x, policies).value, abs=1e-12)
    own = psi.evaluate(problem, x, policies, others).value
    assert found["own_gap"] == pytest.approx(own, abs=1e-12)
    assert (own < found["ni_gap"]).all()
    assert found["designer_value"] == pytest.approx(
        -designer_loss(problem, x, *policies).value, abs=1e-12
    )


def test_the_equilibrium_by_iteration() -> None:
    """With a strong regulariser, responding to each other and backing up the value converges."""
    strong = Setting("strong", gamma=0.5, tau=1.0)
    problem = incentive.problems(strong, 3, 0, REPORTED, 2)
    x = np.random.default_rng(5).normal(size=(2, 3, 5, 5))
    uniform = np.full((2, 3, 5), 0.2)
    found = incentive.measuring(problem, x, (uniform, uniform), None)
    assert "own_gap" not in found
    game = problem.at(x)
    v_s, p, q = np.zeros((2, 3)), uniform, uniform
    for _ in range(200):
        M = game.r_sab + strong.gamma * np.einsum("gsabt,gt->gsab", game.P_sabt, v_s)
        p, q = softmax(np.einsum("gsab,gsb->gsa", M, q)), softmax(-np.einsum("gsab,gsa->gsb", M, p))
        v_s = np.einsum("gsa,gsab,gsb->gs", p, M, q) - (p * np.log(p)).sum(-1) + (q * np.log(q)).sum(-1)
    for i in range(2):
        joint = p[i][:, :, None] * q[i][:, None, :]
        chain = np.einsum("sab,sabt->st", joint, problem.P_design_sabt[i])
        own = value_by_iteration(chain, (joint * problem.r_design_sab[i]).sum(axis=(1, 2)), strong.gamma)
        assert found["designer_at_equilibrium"][i] == pytest.approx(game.rho_s[i] @ own, abs=1e-12)
        assert abs(found["designer_value"][i] - game.rho_s[i] @ own) > 1e-3


def test_settings_are_those_of_appendix_e() -> None:
    from sampled.algorithms import appendix_e as printed

    for settings, name in ((printed.VALUE, "value"), (printed.BELLMAN, "bellman")):
        assert settings.batch == stackelberg.BATCH == 16
        assert settings.strength(0) == stackelberg.LAMBDA[name]
        assert settings.inner_steps == stackelberg.INNER[name]
        assert settings.steps == stackelberg.HORIZON
        assert settings.inner_rate(0) == stackelberg.STEP == 0.1
    assert printed.NIKAIDO_ISODA.batch == incentive.BATCH == 24
    assert printed.NIKAIDO_ISODA.strength(0) == incentive.LAMBDA
    assert printed.NIKAIDO_ISODA.steps == incentive.HORIZON


@pytest.mark.parametrize(
    ("make", "array"),
    [(stackelberg.games, "P_sabt"), (incentive.problems, "P_design_sabt")],
)
def test_settings_share_their_instances(make: Callable[..., Any], array: str) -> None:
    """Pairs across settings are pairs of the same game; those for tuning are others."""
    first = make(DEFAULT, 3, 0, REPORTED, 2)
    second = make(Setting("g", gamma=0.5, tau=1.0), 3, 0, REPORTED, 2)
    assert np.array_equal(getattr(first, array), getattr(second, array))
    apart = make(DEFAULT, 3, 0, TUNING, 2)
    for other in (apart, make(DEFAULT, 3, 1, REPORTED, 2)):
        assert np.abs(getattr(first, array) - getattr(other, array)).max() > 0.01
    assert np.abs(getattr(first, array)[0] - getattr(first, array)[1]).max() > 0.01


@pytest.mark.parametrize(
    ("leaf", "method"),
    [(stackelberg, "value"), (stackelberg, "independent"), (incentive, "pbrl"), (incentive, "meta")],
)
def test_strides_converge_to_the_flow(leaf: Any, method: str) -> None:
    """Twice the stride, twice the distance from the flow: the run at small strides is what is shown."""
    make = leaf.games if leaf is stackelberg else leaf.problems
    problem = make(DEFAULT, 3, 0, REPORTED, 2)
    x = np.zeros((2, *problem.domain.shape))
    ends = []
    for stride in (1, 2, 4):
        # Steps in x that are long enough to see: those of the meta-gradient are products of two.
        seen = replace(DEFAULT, upper_step=100.0) if method == "meta" else DEFAULT
        algorithm = leaf.exact_algorithm(method, seen, problem, stride)
        state = algorithm.start(x)
        for _ in range(32 // stride):
            state = algorithm.step(state)
        ends.append([state.x, *state.y])
    for near_end, middle, far_end in zip(*ends, strict=True):
        near, far = (float(np.linalg.norm(b - a)) for a, b in ((near_end, middle), (middle, far_end)))
        # With an error c s + O(s^2) the differences are c and 2 c.
        assert 1.5 < far / near < 2.7
        assert far < 0.1 * float(np.linalg.norm(near_end))


def test_strides_of_samples() -> None:
    """Every step and every batch is larger by the stride, and nothing else."""
    game = stackelberg.games(DEFAULT, 2, 0, REPORTED, 1)
    problem = incentive.problems(DEFAULT, 2, 0, REPORTED, 1)
    double = replace(DEFAULT, strength=2.0)
    for stride in (1, 20):
        step = stride * 0.1
        for method, strength in (("value", 4.0), ("bellman", 14.0), ("pbrl", 8.0)):
            leaf, own = (incentive, problem) if method == "pbrl" else (stackelberg, game)
            made: Any = leaf.sampled_algorithm(method, double, own, stride)
            assert (made.rule.size(0), made.oracle.size(0), made.strength(0)) == (step, step, strength)
            assert made.sampling.n == stride * leaf.BATCH
        tuned = replace(DEFAULT, upper_step=10.0, lower_step=4.0)
        apart: Any = stackelberg.sampled_algorithm("independent", tuned, game, stride)
        assert (apart.rule_x.size(0), apart.rule_y.size(0)) == (10.0 * step, 4.0 * step)
        meta: Any = incentive.sampled_algorithm("meta", tuned, problem, stride)
        assert (meta.rule_x.size(0), meta.size_y(0)) == (1.0, 4.0 * step)
        none: Any = incentive.sampled_algorithm("none", tuned, problem, stride)
        assert (none.rule_x, none.rule_y.size(0)) == (None, step)
        for sampled in (apart, meta, none):
            assert sampled.sampling.n == stride * (16 if sampled is apart else 24)


def test_stiff_settings_take_smaller_steps() -> None:
    budget = stackelberg.PAPER
    for setting, share in (
        (Setting("a", gamma=0.99), 0.1),
        (Setting("b", gamma=0.5), 1.0),
        (CENTRE, 1.0),
    ):
        task = Task("k", "value", setting, budget, 0, REPORTED, 1.0)
        stride, points = task.exact_points()
        assert stride == round(budget.sweep_exact_stride * share)
        assert stride * points[-1] == pytest.approx(share * budget.sweep_exact["value"], rel=0.01)
    stiff = Task("k", "value", CENTRE, budget, 0, REPORTED, 4.0)
    assert stiff.sampled_points[0] == budget.sweep_sampled_stride // 4
    assert stiff.sampled_points[0] * stiff.sampled_points[1][-1] == budget.sampled["value"]


@pytest.fixture(scope="module", params=["stackelberg", "incentive"])
def small(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    experiment: Experiment = {"stackelberg": stackelberg, "incentive": incentive}[
        request.param
    ].EXPERIMENT
    asked = carry_out.Request(request.param, experiment, "smoke", 0)
    plan = asked.plan()
    store = carry_out.Store(tmp_path_factory.mktemp("runs"), {})
    return (
        plan,
        carry_out.carry_out(plan, store),
        {"stackelberg": stackelberg, "incentive": incentive}[request.param],
    )


def test_all_of_it(small: Any) -> None:
    plan, results, leaf = small
    data: dict[str, Series] = dict(results.data)
    files = carry_out.products(plan, data)
    assert {f"{figure.name}.svg" for figure in plan.figures} <= set(files)
    judged = findings.judge(plan.claims, data)
    assert len(judged) == len(plan.claims) >= 20
    for series in data.values():
        assert series.iterations[0] == 0
        assert list(series.steps) == sorted(series.steps)
        for rows in series.values.values():
            assert np.isfinite(rows).all()
        # What begins at the same uniform policies begins at the same values.
        same = [s for s in data.values() if s.key.split("/")[0] == series.key.split("/")[0]]
        if "hypergradient" not in series.key:
            for other in same:
                if "hypergradient" not in other.key:
                    shown = leaf.LOOK.shown
                    assert other.values[shown][0] == pytest.approx(series.values[shown][0], rel=1e-5)
        assert (series.values[leaf.LOOK.gap] >= -1e-9).all()


def test_the_reference_is_at_the_solution_and_climbs(small: Any) -> None:
    _, results, leaf = small
    for key, series in results.data.items():
        if "hypergradient" in key:
            values = series.values
            assert values[leaf.LOOK.gap].max() <= documents.QUANTUM
            assert values[leaf.LOOK.shown] == pytest.approx(values[leaf.LOOK.decisive], rel=1e-5)
            assert (np.diff(values[leaf.LOOK.decisive], axis=0) >= -1e-5).all()


def test_tuned_steps_are_the_best_trial(small: Any) -> None:
    _, results, leaf = small
    for source in ("exact", "sampled"):
        tried = {
            key: series.tail(leaf.LINEUP.tuned_by).mean()
            for key, series in results.data.items()
            if key.startswith(f"tuning/{source}/")
        }
        assert len(tried) == len(trials(leaf.SMOKE))
        best = results.data[max(tried, key=lambda k: tried[k])]
        tuned = results.data[f"default/{source}/tuned"]
        steps = [k for k in tuned.parameters if k.endswith("_step")]
        assert len(steps) == 2
        assert [tuned.parameters[k] for k in steps] == [best.parameters[k] for k in steps]
        assert len(tuned.seeds) == leaf.SMOKE.problems != len(best.seeds)


def test_samples_move_as_exact_gradients_do() -> None:
    """The mean of many sampled runs is the exact one: the same steps, lambda and inner steps."""
    copies, strong = 128, Setting("strong", gamma=0.5, tau=0.3, strength=2.0)
    game = stackelberg.games(strong, 2, 0, REPORTED, 1)
    many = stack(
        [random_stackelberg(np.random.default_rng([0, REPORTED, 0]), n_states=2, gamma=0.5, tau=0.3)]
        * copies
    )
    for method in ("value", "bellman", "independent"):
        exact = stackelberg.exact_algorithm(method, strong, game, 16)
        state = exact.start(np.zeros((1, 2, 5)))
        sampled: Any = stackelberg.sampled_algorithm(method, strong, many, 16)
        # Trajectories of 16 steps leave out less than 1e-4 of the values.
        samples = replace(sampled.sampling, estimator=Gpomdp(16, LeaveOneOut()))
        sampled = replace(sampled, sampling=samples)
        own = sampled.start(keys_of(0, method, copies))
        for _ in range(2):
            state, own = exact.step(state), sampled.step(own)
        for found, expected, clear in ((own.x, state.x, 4.0), (own.y[0], state.y[0], 40.0)):
            error = found.numpy().std(axis=0, ddof=1) / np.sqrt(copies)
            off = np.abs(found.numpy().mean(axis=0) - expected[0]) / error
            # 20 numbers of three methods: one of 60 normal deviates is above 4 in one case of 250.
            assert off.max() < 4.0
            # What there is to see: y moves by 40 standard errors, so that a twentieth more would show.
            assert np.abs(expected[0] / error).max() > clear
