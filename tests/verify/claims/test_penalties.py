"""Lemmas 1, 3-5 and 12-14, strong convexity after (3.7), and how the penalties compare."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from flint import fmpq
from hypothesis import given, settings
from hypothesis import strategies as st

from reference.evaluation import evaluate, policy_gradient
from reference.optimality import policy_iteration
from reference.problems.mdp import Mdp
from reference.regularizers import Quadratic
from reference.validation import Array
from tests.verify.claims import certificates
from tests.verify.claims.certificates import refuses_alterations
from verify.claims import (
    eq_3_7,
    eq_b16,
    eq_d01,
    exact,
    extra_penalties,
    lemma_01,
    lemma_03,
    lemma_04_distance,
    lemma_04_optimum,
    lemma_05,
    lemma_12_equilibria,
    lemma_12_gaps,
    lemma_13a,
    lemma_13b,
    lemma_14,
)
from verify.claims.contract import CertificateError, Claim, Margin
from verify.claims.judge import judge, noticed
from verify.claims.trials.instances import corners, sparse
from verify.claims.trials.local_solutions import holding_slopes, is_interior_solution, some_vertex
from verify.claims.trials.measures import bellman_gap, dominance_constant, relative
from verify.claims.trials.penalized import cases, linear_solution
from verify.claims.trials.zero_sum import Play, gradients, plays
from verify.contract import Context, Level

CLAIMS: dict[str, Claim] = {
    "lemma_01": lemma_01.CLAIM,
    "eq_3_7": eq_3_7.CLAIM,
    "lemma_03": lemma_03.CLAIM,
    "lemma_04_optimum": lemma_04_optimum.CLAIM,
    "lemma_04_distance": lemma_04_distance.CLAIM,
    "lemma_05": lemma_05.CLAIM,
    "lemma_12_gaps": lemma_12_gaps.CLAIM,
    "lemma_12_equilibria": lemma_12_equilibria.CLAIM,
    "lemma_13a": lemma_13a.CLAIM,
    "lemma_13b": lemma_13b.CLAIM,
    "lemma_14": lemma_14.CLAIM,
    "eq_b16": eq_b16.CLAIM,
    "eq_d01": eq_d01.CLAIM,
    "extra_penalties": extra_penalties.CLAIM,
}

VERDICTS = {
    "lemma_01": {"printed": "PROVED"},
    "eq_3_7": {"printed": "REFUTED", "proved": "PROVED"},
    "lemma_03": {"printed": "REFUTED", "proved": "PROVED"},
    "lemma_04_optimum": {"printed": "REFUTED", "meant": "PROVED", "proved": "PROVED"},
    "lemma_04_distance": {"printed": "REFUTED", "proved": "PROVED"},
    "lemma_05": {"printed": "REFUTED", "proved": "PROVED"},
    "lemma_12_gaps": {"printed": "PROVED"},
    "lemma_12_equilibria": {"printed": "REFUTED", "meant": "SURVIVED"},
    "lemma_13a": {"printed": "REFUTED", "meant": "SURVIVED"},
    "lemma_13b": {"printed": "REFUTED", "meant": "SURVIVED", "proved": "SURVIVED"},
    "lemma_14": {"printed": "REFUTED", "proved": "SURVIVED"},
    "eq_b16": {"printed": "REFUTED", "meant": "REFUTED", "proved": "PROVED"},
    "eq_d01": {"printed": "REFUTED", "proved": "PROVED"},
    "extra_penalties": {"printed": "UNTESTABLE", "proved": "PROVED"},
}

TIGHTEST = 0.99
"""The bounds of all trials are attained, or approached by a family."""

QUICK = Context(Level.QUICK, 0)


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("name", sorted(CLAIMS))
def test_verdicts_and_tightness(name: str, seed: int) -> None:
    for form, verdict in VERDICTS[name].items():
        found = judge(getattr(CLAIMS[name], form), Context(Level.QUICK, seed))
        assert found.verdict == verdict, found
        if not np.isnan(found.ratio):
            assert found.ratio >= TIGHTEST, found


FAULTS = [(name, fault.name) for name, claim in CLAIMS.items() for fault in claim.faults]


@pytest.mark.parametrize(("name", "fault"), FAULTS)
def test_faults_are_noticed(name: str, fault: str) -> None:
    (found,) = (one for one in CLAIMS[name].faults if one.name == fault)
    for seed in range(5):
        assert noticed(found.trials, Context(Level.QUICK, seed))[0], seed


# Certificates.

CERTIFICATES = certificates.of(CLAIMS) | {
    "B16_constant": eq_b16.refute_constant,
    "L01_tight": lemma_01.verify_attained,
}


@pytest.mark.parametrize("name", sorted(CERTIFICATES))
def test_certificates_are_refused_when_any_number_is_altered(name: str) -> None:
    refuses_alterations(name, CERTIFICATES[name], (fmpq(1),))


@pytest.mark.parametrize("name", sorted(CERTIFICATES))
def test_certificates_can_be_redone_by_hand(name: str) -> None:
    """Words for a reader, and both sides in them."""
    content = exact.load(name)
    assert len(content["instance"]) > 100
    assert content["statement"]
    assert content["id"] == name


# Solutions are solutions.


def upper(c_sa: Array, pi_sa: Array) -> float:
    return float((c_sa * pi_sa).sum())


def neighbours(generator: np.random.Generator, pi_sa: Array, n: int) -> Iterator[Array]:
    """Policies at distances from 1e-4 to 1, and along the edges of a vertex."""
    for size in 10.0 ** generator.uniform(-4.0, 0.0, n):
        yield pi_sa + size * (sparse(generator, pi_sa.shape, 0.5) - pi_sa)
    for s in range(pi_sa.shape[0]):
        for a in range(pi_sa.shape[1]):
            edge_sa = pi_sa.copy()
            edge_sa[s] = 0.999 * pi_sa[s] + 0.001 * np.eye(pi_sa.shape[1])[a]
            yield edge_sa


def test_interior_solutions_are_global() -> None:
    """F is no smaller anywhere, although V is not concave."""
    generator, tried = np.random.default_rng(0), 0
    for instance in corners(QUICK, "interior"):
        mdp = instance.mdp
        if mdp.tau == 0.0 or mdp.rho_s.min() == 0.0 or mdp.gamma > 0.99:
            continue
        optimal_sa = policy_iteration(mdp).pi_sa
        own = evaluate(mdp, 0.9 * optimal_sa + 0.1 * sparse(generator, optimal_sa.shape, 1.0))
        if not is_interior_solution(own):
            continue
        tried += mdp.gamma > 0.0
        c_sa = policy_gradient(own)
        here = upper(c_sa, own.pi_sa) - float(own.value)
        for pi_sa in neighbours(generator, own.pi_sa, 5):
            there = upper(c_sa, pi_sa) - float(evaluate(mdp, pi_sa).value)
            assert there >= here - 1e-12 * (1.0 + abs(here))
    assert tried >= 5


def test_the_condition_on_interior_solutions_can_fail() -> None:
    """Far from the optimum with little regularisation nothing is proven."""
    mdp = replace(rare_state(), gamma=0.9, tau=1e-3)
    assert not is_interior_solution(evaluate(mdp, np.full((2, 2), 0.5)))


def rare_state() -> Mdp:
    """A rare state with a reward, which can be left and entered."""
    return lemma_03.tight(0.5, 0.3, 1.0).mdp


@pytest.mark.parametrize("seed", range(10))
def test_vertices_are_strict_local_solutions_with_the_least_slopes(seed: int) -> None:
    generator = np.random.default_rng(seed)
    random = lemma_03.decoded(generator.standard_normal(10)).mdp
    mdp = replace(random, gamma=0.7, tau=0.2)
    vertex_sa = some_vertex(generator, 2, 2)
    own = evaluate(mdp, vertex_sa)
    gradient_sa = -policy_gradient(own)
    c_sa = holding_slopes(gradient_sa, np.full((2, 2), 1e-9), vertex_sa)

    def rises(slopes_sa: Array) -> list[float]:
        here = upper(slopes_sa, vertex_sa) - float(own.value)
        return [
            upper(slopes_sa, pi_sa) - float(evaluate(mdp, pi_sa).value) - here
            for a in (0, 1)
            for s in (0, 1)
            if vertex_sa[s, a] == 0.0
            for pi_sa in [
                np.where(np.arange(2)[:, None] == s, 1e-5 * np.eye(2)[a], 0.0)
                + np.where(np.arange(2)[:, None] == s, 1.0 - 1e-5, 1.0) * vertex_sa
            ]
        ]

    assert min(rises(c_sa)) >= -1e-9
    if c_sa.max() > 0.0:
        assert min(rises(0.99 * c_sa)) < 0.0


def test_vertices_of_games_are_local_solutions() -> None:
    generator = np.random.default_rng(0)
    for play in plays(QUICK, "vertices", share=0.3):
        first, second = (some_vertex(generator, play.game.n_states, n) for n in play.game.n_actions)
        vertex = Play("", play.game, first, second)
        slopes = lemma_14.holding(vertex, 1.0)
        here = vertex.psi.value + upper(slopes[0], first) + upper(slopes[1], second)
        for size in (1e-3, 1e-5):
            moved = [pi + size * (sparse(generator, pi.shape, 0.5) - pi) for pi in (first, second)]
            psi = Play("", play.game, *moved).psi
            there = psi.value + upper(slopes[0], moved[0]) + upper(slopes[1], moved[1])
            # Of second order, where psi falls along an edge as fast as f rises.
            assert there >= here - 1e4 * size**2 * (1.0 + abs(here)) - 2.0 * psi.error


def test_the_gradients_of_psi_are_the_slopes_of_psi() -> None:
    generator = np.random.default_rng(1)
    for play in plays(QUICK, "gradients", taus=(0.3, 2.0), share=0.2):
        if play.game.gamma > 0.9:
            continue
        (first, _), (second, _) = gradients(play)
        d_sa = sparse(generator, play.pi_sa.shape, 1.0) - play.pi_sa
        d_sb = sparse(generator, play.pi_sb.shape, 1.0) - play.pi_sb
        here = play.psi.value
        moved = [
            Play("", play.game, play.pi_sa + t * d_sa, play.pi_sb + t * d_sb).psi.value
            for t in (1e-4, 2e-4)
        ]
        slope = (4.0 * moved[0] - moved[1] - 3.0 * here) / 2e-4
        assert slope == pytest.approx(upper(first, d_sa) + upper(second, d_sb), rel=1e-3, abs=1e-3)


def test_linear_solutions_are_global() -> None:
    generator = np.random.default_rng(0)
    for case in cases(QUICK, "solutions"):
        found = linear_solution(case.mdp, case.q_sa, case.c_sa, case.strength)

        def penalised(pi_sa: Array, case: Any = case) -> float:
            gap = bellman_gap(case.mdp, case.q_sa, pi_sa)
            return upper(case.c_sa, pi_sa) + float(case.strength * gap.value)

        allowed = case.strength * bellman_gap(case.mdp, case.q_sa, found.pi_sa).error
        here = penalised(found.pi_sa)
        for pi_sa in neighbours(generator, found.pi_sa, 3):
            assert penalised(pi_sa) >= here - 10.0 * (allowed + found.change)


def test_a_bistable_problem_has_a_local_solution_that_is_no_global_one() -> None:
    """f = -bend e^2 + tilt e and p = rare e^2 on [-1/2, 1/2]."""
    rare, bend, tilt = 0.1, 0.102, 0.001

    def penalised(e: float) -> float:
        return (rare - bend) * e * e + tilt * e

    assert penalised(0.5) < penalised(0.499) < penalised(0.49)
    assert penalised(-0.5) < penalised(0.5)
    solved = lemma_05.bistable(rare, bend, tilt)
    y_sa = np.array([[1.0, 0.0], [0.5, 0.5]])
    assert bellman_gap(solved.mdp, np.zeros((2, 2)), y_sa).value == pytest.approx(solved.p)


@given(st.integers(0, 10_000))
@settings(max_examples=30, derandomize=True, deadline=None)
def test_the_quick_route_to_local_solutions_agrees_with_the_general_one(seed: int) -> None:
    local = lemma_03.decoded(2.0 * np.random.default_rng(seed).standard_normal(10))
    vertex_sa = np.array([[0.0, 1.0], [0.0, 1.0]])
    checked = replace(local.mdp, regularizer=Quadratic())
    other = lemma_03.vertex("", checked, vertex_sa, 1.0)
    assert other.p.value == pytest.approx(local.p.value, abs=other.p.error + local.p.error)
    assert other.slope == pytest.approx(local.slope, rel=1e-9, abs=1e-9)
    assert other.width == local.width


# Tight families.


def ratio(margin: Margin) -> float:
    assert not margin.violated
    return margin.ratio


def test_tight_families_approach_one() -> None:
    found = [
        lemma_03.tight(gamma, 0.5, beta) for gamma, beta in ((0.9, 0.3), (0.999, 0.1), (0.99999, 0.02))
    ]
    ratios = [ratio(local.margin(dominance_constant(local.mdp))) for local in found]
    assert ratios == sorted(ratios)
    assert ratios[-1] > 0.999
    for local in found:
        m, gamma = 0.5, local.mdp.gamma
        beta = float(local.mdp.P_sat[1, 0, 0])
        top = m + (1.0 - m) * beta * gamma / (1.0 - gamma + gamma * beta)
        expected = top / ((gamma + (1.0 - gamma) * m) * np.sqrt(1.0 + beta**2))
        assert ratio(local.margin(dominance_constant(local.mdp))) == pytest.approx(expected, rel=2e-4)
    for tau in (1e-1, 1e-3):
        one = lemma_14.one_state(tau)
        assert ratio(one.margin(one.slope, one.width, 1.0)) == pytest.approx(1.0 / (1.0 + tau))
    far = lemma_14.restricted(0.999, 0.5, 0.1, 1e-9)
    assert ratio(far.margin(far.slope, far.width, dominance_constant(far.play.game))) > 0.98
    for gamma in (0.0, 0.5, 0.99):
        trap = extra_penalties.trap(gamma, 0.2)
        gap, value = extra_penalties.penalties(trap)
        margin = extra_penalties.upper(gap, value, dominance_constant(trap.mdp), "")
        assert ratio(margin) == pytest.approx(1.0)
        play = lemma_13b.tight(gamma, 0.3, 1e-6)
        assert ratio(lemma_13b.margin(play, dominance_constant(play.game))) > 0.999
    assert lemma_05.bistable(0.1, 0.1001, 1e-6).margin(0.1).ratio > 0.99


def test_one_state_needs_no_mu() -> None:
    """At gamma = 0 the printed lambda of Lemma 3 is right, and attained."""
    P_sat = np.broadcast_to(np.eye(3)[:, None, :], (3, 2, 3))
    mdp = replace(
        eq_3_7.decoded(np.zeros(5)).mdp,
        P_sat=P_sat,
        r_sa=np.tile([1.0, 0.0], (3, 1)),
        rho_s=np.full(3, 1.0 / 3.0),
        tau=0.0,
    )
    local = lemma_03.vertex("", mdp, np.tile([0.0, 1.0], (3, 1)), 2.0)
    assert ratio(local.margin(1.0)) == pytest.approx(1.0)


# Exact tools.


@given(st.integers(0, 10_000))
@settings(max_examples=20, derandomize=True, deadline=None)
def test_value_fractions_are_values(seed: int) -> None:
    """Polynomials in the policy, evaluated, against elimination at the point."""
    generator = np.random.default_rng(seed)
    rows = generator.integers(1, 9, (3, 2, 3))
    P = [[[f"{k}/{sum(row)}" for k in row.tolist()] for row in state] for state in rows]
    rewards = generator.integers(-5, 6, (3, 2)).tolist()
    content = {"P": P, "r": rewards, "gamma": "2/3", "rho": ["1/6", "1/3", "1/2"]}
    mdp = exact.ExactMdp.parse(content, "1/2")
    (t,) = exact.indeterminates("t")
    numerator_s, denominator = mdp.value_fractions(exact.shared(t, 3))
    at = fmpq(int(generator.integers(0, 8)), 7)
    values = [numerator(at) / denominator(at) for numerator in numerator_s]
    assert values == list(mdp.values(exact.shared(at, 3)))


def test_combinations_must_match_and_have_nonnegative_multipliers() -> None:
    a, b = exact.indeterminates("a", "b")
    exact.combination(a * a - 2 * a * b + b * b, (a**0, (a - b) ** 2))
    with pytest.raises(CertificateError, match="misses"):
        exact.combination(a * a, (a**0, (a - b) ** 2))
    with pytest.raises(CertificateError, match="negative"):
        exact.combination(-a, (-(a**0), a))


def test_signs_on_boxes() -> None:
    t, s = exact.indeterminates("t", "s")
    unit = (fmpq(0), fmpq(1))
    exact.nonnegative("a corner", t * (1 - s), unit, unit)
    exact.nonnegative("where it is", t - fmpq(1, 2) + 0 * s, (fmpq(1, 2), fmpq(1)), unit)
    with pytest.raises(CertificateError, match="somewhere"):
        exact.nonnegative("somewhere", t - fmpq(1, 1000) * s, unit, unit)


def test_policies_and_optima_are_checked() -> None:
    with pytest.raises(CertificateError, match="no distribution"):
        exact.policy([["1/2", "2/3"]])
    with pytest.raises(CertificateError, match="one row per state"):
        exact.policy(["1/2", "1/2"])
    content = {"P": [[["1"], ["1"]]], "r": [["1", "0"]], "gamma": "1/2", "rho": ["1"]}
    mdp = exact.ExactMdp.parse(content, "2")
    mdp.require_optimal(exact.policy([["3/4", "1/4"]]))
    with pytest.raises(CertificateError, match="not optimal"):
        mdp.require_optimal(exact.policy([["1", "0"]]))
    gap = mdp.bellman_penalty(exact.policy([["1", "0"]]), exact.policy([["3/4", "1/4"]]))
    assert gap == fmpq(1, 8)
    q_sa = relative(np.array([[1.0, 0.0]]))
    floats = replace(
        eq_3_7.decoded(np.zeros(5)).mdp, P_sat=np.ones((1, 2, 1)), r_sa=q_sa, rho_s=np.ones(1)
    )
    assert bellman_gap(replace(floats, tau=2.0), q_sa, np.array([[1.0, 0.0]])).value == pytest.approx(
        0.125
    )
