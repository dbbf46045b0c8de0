"""PBRL: descent with its certificate, records by their definitions, oracles, constraints, batches."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from reference.algorithms.bilevel import Bilevel
from reference.algorithms.contract import Constant, Power, State, run
from reference.algorithms.oracles import Exact, MirrorDescent, Oracle, PolicyGradient
from reference.algorithms.pbrl import (
    Estimator,
    Pbrl,
    PbrlRecord,
    exact_in_policies,
    oracle_accuracy,
    plug_in,
)
from reference.errors import InputError, NotDifferentiableError
from reference.evaluated import Evaluated
from reference.penalties import bellman, nikaido_isoda, value
from reference.policies import SoftmaxPolicy
from reference.problems.structure import stack
from reference.validation import Array
from tests.reference.algorithms import instances

EPS = float(np.finfo(np.float64).eps)

# Each kind of problem with each penalty and policy map that it allows.
CASES: dict[str, tuple[Any, Any]] = {
    "stackelberg-value-softmax": (lambda: instances.stackelberg(1), value.PENALTY),
    "stackelberg-bellman-softmax": (lambda: instances.stackelberg(2), bellman.PENALTY),
    "stackelberg-value-direct": (lambda: instances.stackelberg(1, direct=True), value.PENALTY),
    "shaping-value-softmax": (lambda: instances.shaping(3), value.PENALTY),
    "shaping-bellman-direct": (lambda: instances.shaping(3, direct=True), bellman.PENALTY),
    "preferences-value-softmax": (lambda: instances.preferences(4), value.PENALTY),
    "incentive-softmax": (lambda: instances.incentive(5), nikaido_isoda.PENALTY),
    "incentive-direct": (lambda: instances.incentive(5, direct=True), nikaido_isoda.PENALTY),
}


def exact_pbrl(case: str, step: float, strength: float = 3.0) -> Pbrl[Any]:
    make, penalty = CASES[case]
    bilevel = make()
    oracles = tuple(Exact() for _ in bilevel.policy_maps)
    return Pbrl(bilevel, penalty, oracles, Constant(step), Constant(strength))


def first_state(pbrl: Pbrl[Any], seed: int = 0) -> State:
    """Somewhere inside Z, away from the uniform policies."""
    g = np.random.default_rng(seed)
    bilevel = pbrl.bilevel
    x, y = bilevel.start(bilevel.problem.domain.project(np.zeros(bilevel.problem.domain.shape)), None)
    x = bilevel.problem.domain.project(x + 0.2 * g.normal(size=x.shape))
    moved = tuple(part + 0.2 * g.normal(size=part.shape) for part in y)
    # Halfway back, so that direct policies stay inside of the simplex.
    y = tuple(0.5 * (a + b) for a, b in zip(y, bilevel.projected_y(moved), strict=True))
    return pbrl.start(x, y)


@pytest.mark.parametrize("case", CASES)
def test_descent_with_exact_gradients(case: str) -> None:
    """For alpha <= 1 / L a projected step gains at least alpha / 2 |G|^2: a wrong gradient does not."""
    pbrl = exact_pbrl(case, 2e-3)
    records = run(pbrl, first_state(pbrl), 25, record_every=1).records
    penalized = np.array([r.penalized for r in records])
    norms = np.array([r.projected_gradient for r in records])
    gain, promised = penalized[:-1] - penalized[1:], 2e-3 * norms[:-1] ** 2
    rounding = instances.rounding(3.0)
    assert (gain >= 0.5 * promised - rounding).all()
    assert promised.min() > 100.0 * rounding
    if pbrl.bilevel.problem.domain.diameter == np.inf and case.endswith("softmax"):
        # Without constraints the gain is alpha |G|^2 up to alpha L / 2.
        assert (gain <= 1.5 * promised + rounding).all()


@pytest.mark.parametrize(
    ("case", "iterations"), [("stackelberg-value-direct", 1000), ("shaping-bellman-direct", 500)]
)
def test_projected_gradient_vanishes(case: str, iterations: int) -> None:
    pbrl = exact_pbrl(case, 0.05)
    found = run(pbrl, first_state(pbrl), iterations + 1, record_every=iterations).records
    norms = [float(r.projected_gradient) for r in found]
    assert norms[0] > 0.1
    assert norms[-1] <= instances.rounding(3.0) + 64 * EPS / 0.05
    # There the iterates stand still: (4.5) is their displacement over the step.
    assert float(found[-1].movement) ** 0.5 <= instances.rounding(3.0) + 64 * EPS / 0.05


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("estimator", [plug_in, exact_in_policies])
def test_records_are_their_definitions(case: str, estimator: Estimator) -> None:
    make, penalty = CASES[case]
    bilevel: Bilevel[Any] = make()
    oracles: tuple[Oracle, ...] = tuple(MirrorDescent(0.5, 1) for _ in bilevel.policy_maps)
    alpha, strength = Power(0.02, -0.5), Power(2.0, 0.3)
    pbrl = Pbrl(bilevel, penalty, oracles, alpha, strength, estimator)
    state = run(pbrl, first_state(pbrl), 2).state
    following = pbrl.step(state)
    record = pbrl.record(state, following)

    problem, x, y = bilevel.problem, state.x, state.y
    policies = tuple(m(part) for m, part in zip(bilevel.policy_maps, y, strict=True))
    f = bilevel.objective.evaluate(problem, x, policies)
    p = penalty.exact(problem, x, policies)
    lam, step = 2.0 * 3.0**0.3, 0.02 / np.sqrt(3.0)

    def gradient(e: Evaluated) -> Array:
        pulled = (
            m.pullback(a, g) for m, a, g in zip(bilevel.policy_maps, y, e.grad_policies, strict=True)
        )
        return np.concatenate([e.grad_x.ravel(), *(part.ravel() for part in pulled)])

    def flat(x_part: Array, y_parts: tuple[Array, ...]) -> Array:
        return np.concatenate([x_part.ravel(), *(part.ravel() for part in y_parts)])

    def projected(z: Array) -> Array:
        sizes = np.cumsum([x.size, *(part.size for part in y)])[:-1]
        first, *rest = np.split(z, sizes)
        parts = [
            m.domain.project(r.reshape(a.shape))
            for m, r, a in zip(bilevel.policy_maps, rest, y, strict=True)
        ]
        return flat(problem.domain.project(first.reshape(x.shape)), tuple(parts))

    z = flat(x, y)
    exact_gradient = gradient(f) + lam * gradient(p)
    tolerance = instances.rounding(lam)
    expected = np.linalg.norm(z - projected(z - step * exact_gradient)) / step
    assert record.k == 2
    assert record.f == f.value
    assert record.penalty == p.value
    assert abs(record.penalized - (f.value + lam * p.value)) <= 8 * EPS * (abs(f.value) + lam * p.value)
    last_digits = 64 * EPS * (1.0 + np.abs(z).max())
    assert abs(record.projected_gradient - expected) <= tolerance + last_digits / step
    moved = np.linalg.norm(flat(following.x, following.y) - z) ** 2
    assert abs(record.movement - moved / step**2) <= 64 * EPS * moved / step**2
    assert (
        abs(record.error_term - 20.0 * lam**2 * record.oracle_error**2) <= 64 * EPS * record.error_term
    )
    companions = tuple(
        o.policy(mdp, part)
        for o, mdp, part in zip(
            oracles, instances.player_mdps(bilevel, x, policies), following.oracle, strict=True
        )
    )
    estimate = gradient(estimator(penalty, problem, x, policies, companions))
    error = np.linalg.norm(estimate - gradient(p))
    assert error > 1e-6
    assert abs(record.oracle_error - error) <= tolerance
    used = projected(z - step * (gradient(f) + lam * estimate))
    reached = flat(following.x, following.y)
    assert np.abs(reached - used).max() <= step * tolerance + last_digits


def test_recording_changes_nothing() -> None:
    pbrl = exact_pbrl("incentive-softmax", 0.02)
    start = first_state(pbrl)
    plain, recorded = run(pbrl, start, 5).state, run(pbrl, start, 5, record_every=1).state
    assert np.array_equal(plain.x, recorded.x)
    assert all(np.array_equal(a, b) for a, b in zip(plain.y, recorded.y, strict=True))


def test_bellman_estimators_differ_in_the_policy_only() -> None:
    """C.7 keeps Q* in the policy's gradient; an algorithm only has the companion's."""
    problem = instances.stackelberg_game(0)
    g = np.random.default_rng(1)
    x = g.normal(size=(3, 2))
    pi, rough = g.dirichlet(np.ones(3), 3), g.dirichlet(np.ones(3), 3)
    practical = plug_in(bellman.PENALTY, problem, x, (pi,), (rough,))
    printed = exact_in_policies(bellman.PENALTY, problem, x, (pi,), (rough,))
    exact = bellman.PENALTY.exact(problem, x, (pi,))
    assert np.array_equal(practical.grad_x, printed.grad_x)
    assert np.array_equal(printed.grad_policies[0], exact.grad_policies[0])
    assert np.abs(practical.grad_policies[0] - exact.grad_policies[0]).max() > 1e-2
    # For the value penalty the two are the same.
    one = plug_in(value.PENALTY, problem, x, (pi,), (rough,))
    other = exact_in_policies(value.PENALTY, problem, x, (pi,), (rough,))
    assert np.abs(one.grad_policies[0] - other.grad_policies[0]).max() <= instances.rounding(1.0)


@pytest.mark.parametrize("case", ["stackelberg-bellman-softmax", "incentive-softmax"])
def test_many_inner_steps_tend_to_the_exact_oracle(case: str) -> None:
    make, penalty = CASES[case]
    bilevel = make()
    players = len(bilevel.policy_maps)
    exact = exact_pbrl(case, 0.02)
    start = first_state(exact)
    reference = run(exact, start, 4).state
    errors, distances = [], []
    for steps in (1, 4, 16, 400):
        oracles = tuple(MirrorDescent(2.0, steps) for _ in range(players))
        pbrl = Pbrl(bilevel, penalty, oracles, Constant(0.02), Constant(3.0))
        found = run(pbrl, pbrl.start(start.x, start.y), 4, record_every=1)
        errors.append(max(float(r.oracle_error) for r in found.records))
        apart = tuple(a - b for a, b in zip(found.state.y, reference.y, strict=True))
        distances.append(float(bilevel.norm(found.state.x - reference.x, apart)))
    assert errors == sorted(errors, reverse=True)
    assert distances == sorted(distances, reverse=True)
    # 400 steps shrink the error by (1 - (1 - gamma) eta tau / (1 + eta tau))^400 = 0.85^400 < 1e-28.
    assert errors[-1] <= instances.rounding(1.0)
    assert distances[-1] <= 4 * (0.02 * instances.rounding(3.0) + 16 * EPS)


def test_warm_start_lets_single_steps_catch_up() -> None:
    """One inner step per outer iteration follows the companion; from a fresh start it never would."""
    oracle = PolicyGradient(SoftmaxPolicy((3, 3)), 0.5, 1)
    pbrl = Pbrl(instances.stackelberg(1), value.PENALTY, (oracle,), Constant(0.002), Constant(2.0))
    start = first_state(pbrl)
    state = run(pbrl, start, 300).state
    warm = pbrl.record(state, pbrl.step(state))
    fresh = State(state.k, state.x, state.y, start.oracle)
    cold = pbrl.record(fresh, pbrl.step(fresh))
    assert float(warm.oracle_error) < 0.05 * float(cold.oracle_error)


def test_first_iteration_uses_an_improved_oracle() -> None:
    """pi^_k is solved for at x_k, before the update (Algorithm 1, line 3)."""
    pbrl = exact_pbrl("stackelberg-value-softmax", 0.02)
    start = first_state(pbrl)
    record = run(pbrl, start, 1, record_every=1).records[0]
    assert float(record.oracle_error) <= instances.rounding(1.0)
    exact = value.PENALTY.companions(pbrl.bilevel.problem, start.x, pbrl.bilevel.policies(start.y))
    following = pbrl.step(start)
    assert np.abs(following.oracle[0] - exact[0]).max() <= instances.rounding(1.0)


@pytest.mark.parametrize(
    "case", [name for name in CASES if name.endswith("direct") or "incentive" in name]
)
def test_constraints_are_kept(case: str) -> None:
    """Even with steps that are far too long."""
    pbrl = exact_pbrl(case, 5.0)
    state = first_state(pbrl)
    # Projecting twice is projecting once, up to the rounding of sums of at most three entries.
    bound = 16 * EPS
    for _ in range(5):
        state = pbrl.step(state)
        bilevel = pbrl.bilevel
        assert np.abs(bilevel.problem.domain.project(state.x) - state.x).max() <= bound
        for policy_map, part in zip(bilevel.policy_maps, state.y, strict=True):
            assert np.abs(policy_map.domain.project(part) - part).max() <= bound


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("case", ["value", "bellman", "nikaido-isoda"])
def test_batch_is_the_loop(case: str, exact: bool) -> None:
    make = instances.incentive if case == "nikaido-isoda" else instances.stackelberg
    penalty: Any = {"value": value, "bellman": bellman, "nikaido-isoda": nikaido_isoda}[case].PENALTY

    def pbrl(bilevel: Bilevel[Any]) -> Pbrl[Any]:
        oracle: Oracle = Exact() if exact else MirrorDescent(0.5, 2)
        oracles = tuple(oracle for _ in bilevel.policy_maps)
        return Pbrl(bilevel, penalty, oracles, Constant(0.05), Constant(2.0))

    alone = [pbrl(make(10 + i)) for i in range(3)]
    starts = [first_state(a, seed=i) for i, a in enumerate(alone)]
    together = pbrl(make(10, batch=3))
    x = np.stack([s.x for s in starts])
    y = tuple(np.stack(parts) for parts in zip(*(s.y for s in starts), strict=True))
    batch = run(together, together.start(x, y), 5, record_every=1)
    for i, (one, start) in enumerate(zip(alone, starts, strict=True)):
        single = run(one, start, 5, record_every=1)
        tolerance = 5 * (0.05 * instances.rounding(2.0) + 16 * EPS)
        assert np.abs(batch.state.x[i] - single.state.x).max() <= tolerance
        for a, b in zip(batch.state.y, single.state.y, strict=True):
            assert np.abs(a[i] - b).max() <= tolerance
        for many, few in zip(batch.records, single.records, strict=True):
            for field in dataclasses.fields(PbrlRecord)[1:]:
                a, b = getattr(many, field.name), getattr(few, field.name)
                assert a.shape == (3,)
                assert abs(a[i] - b) <= 100.0 * instances.rounding(2.0) * (1.0 + abs(b))


def test_batches_of_problems_share_one_x_shape() -> None:
    """Ten games at once, as in the paper's first experiment, advance as one array."""
    games = stack([instances.stackelberg_game(i) for i in range(10)])
    bilevel = Bilevel(games, instances.stackelberg(0).objective, (SoftmaxPolicy((3, 3)),))
    oracle = PolicyGradient(SoftmaxPolicy((3, 3)), 0.1, 1)
    pbrl = Pbrl(bilevel, value.PENALTY, (oracle,), Constant(0.1), Constant(2.0))
    found = run(pbrl, pbrl.start(np.zeros((10, 3, 2))), 3, record_every=1)
    assert found.state.x.shape == (10, 3, 2)
    assert found.records[0].penalty.shape == (10,)
    assert (found.records[0].penalty > 0.0).all()


def test_running_averages_of_the_oracle_assumption() -> None:
    pbrl = Pbrl(
        instances.stackelberg(1), value.PENALTY, (MirrorDescent(0.2, 1),), Constant(0.01), Constant(2.0)
    )
    records = run(pbrl, first_state(pbrl), 6, record_every=1).records
    error, movement = oracle_accuracy(records)
    for k in range(6):
        expected = sum(float(r.error_term) for r in records[: k + 1]) / (k + 1)
        assert abs(error[k] - expected) <= 16 * EPS * expected
        expected = sum(float(r.movement) for r in records[: k + 1]) / (k + 1)
        assert abs(movement[k] - expected) <= 16 * EPS * expected
    with pytest.raises(InputError, match="consecutive"):
        oracle_accuracy(records[::2])
    with pytest.raises(InputError, match="consecutive"):
        oracle_accuracy(())


def test_boundary_with_an_entropy_is_refused() -> None:
    bilevel = instances.stackelberg(0)
    wrong = Bilevel(bilevel.problem, bilevel.objective, instances.maps(3, direct=True))
    pbrl = Pbrl(wrong, value.PENALTY, (Exact(),), Constant(0.1), Constant(1.0))
    corner = np.tile([1.0, 0.0, 0.0], (3, 1))
    with pytest.raises(NotDifferentiableError, match="boundary of the simplex"):
        pbrl.step(pbrl.start(np.zeros((3, 2)), (corner,)))


def test_divergence_is_reported() -> None:
    pbrl = exact_pbrl("preferences-value-softmax", 1.7e308)
    with np.errstate(all="ignore"), pytest.raises(InputError, match="every entry must be finite"):
        run(pbrl, first_state(pbrl), 3)


def test_bad_settings() -> None:
    bilevel = instances.incentive(0)
    with pytest.raises(InputError, match="oracles has 1 oracles and there are 2 players"):
        Pbrl(bilevel, nikaido_isoda.PENALTY, (Exact(),), Constant(0.1), Constant(1.0))
    with pytest.raises(InputError, match=r"oracles\[1\] is float"):
        Pbrl(bilevel, nikaido_isoda.PENALTY, (Exact(), 1.0), Constant(0.1), Constant(1.0))  # type: ignore[arg-type]  # wrong on purpose
    for bad in (0.0, -2.0):
        for name in ("step_size", "strength"):
            settings: dict[str, Any] = {"step_size": Constant(0.1), "strength": Constant(1.0)}
            settings[name] = lambda _, bad=bad: bad
            pbrl = Pbrl(bilevel, nikaido_isoda.PENALTY, (Exact(), Exact()), **settings)
            with pytest.raises(InputError, match=rf"{name}\(0\) is {bad}"):
                pbrl.step(pbrl.start(np.zeros(2)))
