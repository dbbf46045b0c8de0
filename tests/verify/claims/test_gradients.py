"""The claims on gradients: verdicts, certificates that refuse, faults, and the tools of their trials."""

import copy
import importlib
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest
from flint import fmpq
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse.csgraph import connected_components

from reference.domains import Euclidean
from reference.optimality import policy_iteration
from reference.problems.mdp import MdpFamily
from reference.problems.parametrizations import FixedKernel, LinearReward
from reference.regularizers import NegativeEntropy, Quadratic
from reference.validation import Array
from verify.claims import assumption_02, assumption_06, exact, lemma_06
from verify.claims.contract import CertificateError, Claim, Form, Margin, Verdict
from verify.claims.exact.bellman import SharedPolicies, best_of_two, net, one_sided_slope, quadratic
from verify.claims.exact.games import AffineLeader, ExactGame, affine_slope
from verify.claims.exact.operators import operators, vanishes
from verify.claims.judge import judge, noticed
from verify.claims.trials.gradients import (
    Site,
    agreeing,
    equal,
    exact_slope,
    fine_slope,
    game_sites,
    policy_sites,
    sites,
    slope,
    value,
    value_penalty,
)
from verify.claims.trials.premises import assumption_2b, differentiable, irreducible
from verify.claims.trials.scores import scores_of_drawn, slopes_of_policy
from verify.contract import Context, Level
from verify.oracles.arithmetic import eliminate
from verify.oracles.rational import Dual

QUICK = Context(Level.QUICK, 0)

VERDICTS = {
    "assumption_01": {"printed": "REFUTED", "proved": "SURVIVED"},
    "assumption_02": {"printed": "REFUTED", "meant": "SURVIVED", "proved": "SURVIVED"},
    "assumption_06": {"printed": "SURVIVED", "proved": "SURVIVED"},
    "eq_5_5": {"printed": "REFUTED", "proved": "SURVIVED"},
    "eq_b08": {"printed": "REFUTED", "proved": "PROVED"},
    "eq_b10": {"printed": "PROVED"},
    "eq_c05": {"printed": "REFUTED", "meant": "PROVED", "proved": "PROVED"},
    "eq_c14": {"printed": "REFUTED", "meant": "PROVED", "proved": "PROVED"},
    "lemma_06": {"printed": "REFUTED", "meant": "SURVIVED"},
    "lemma_07a": {"printed": "REFUTED", "meant": "SURVIVED"},
    "lemma_07b": {"printed": "REFUTED", "meant": "SURVIVED", "proved": "SURVIVED"},
    "lemma_08": {"printed": "REFUTED", "meant": "SURVIVED", "proved": "SURVIVED"},
    "lemma_09a": {"printed": "REFUTED", "meant": "SURVIVED", "proved": "SURVIVED"},
    "lemma_09b": {"printed": "REFUTED", "meant": "SURVIVED", "proved": "SURVIVED"},
    "lemma_18": {"printed": "REFUTED", "proved": "PROVED"},
    "lemma_19": {"printed": "SURVIVED"},
}

FORMS = [(file, name) for file, forms in VERDICTS.items() for name in forms]


def claim_of(file: str) -> Claim:
    claim: Claim = importlib.import_module(f"verify.claims.{file}").CLAIM
    return claim


def form_of(file: str, name: str) -> Form:
    form: Form = getattr(claim_of(file), name)
    return form


@pytest.mark.parametrize("file", VERDICTS)
def test_no_form_is_left_out(file: str) -> None:
    claim = claim_of(file)
    assert {name for name in ("printed", "meant", "proved") if getattr(claim, name)} == {*VERDICTS[file]}


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(("file", "name"), FORMS)
def test_verdicts(file: str, name: str, seed: int) -> None:
    """Equalities and attained bounds come close to 1, and a share of 1% would be noticed."""
    found = judge(form_of(file, name), Context(Level.QUICK, seed))
    assert found.verdict == VERDICTS[file][name]
    if found.verdict is not Verdict.REFUTED:
        assert 0.99 <= found.ratio <= 1.0 + 1e-3
        assert found.instances >= 30
    if found.verdict is Verdict.SURVIVED:
        assert found.detail == "notices a constant wrong by 1%, 10%, 50%"


FAULTS = [(file, fault) for file in VERDICTS for fault in claim_of(file).faults]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("file", "fault"), FAULTS, ids=lambda part: getattr(part, "name", part))
def test_faults_are_noticed(file: str, fault: Any, seed: int) -> None:  # noqa: ARG001 - names the test
    assert noticed(fault.trials, Context(Level.QUICK, seed))[0]


# Certificates.

CERTIFICATES = [
    (refutation.certificate, refutation.verify)
    for file in VERDICTS
    for refutation in claim_of(file).printed.refutations
] + [
    ("A02_tau", assumption_02.verify_tau),
    ("A02_reward", assumption_02.verify_rewards),
    ("A06_entropy", assumption_06.verify_entropy),
]

DATA: dict[str, list[tuple[tuple[str | int, ...], object]]] = {
    "A01_class": [(("mdp", "r", 1, 1), "5"), (("reward_slope", 1, 1), "0"), (("tau",), "0")],
    "A02_myopic": [
        (("mdp", "gamma"), "1/2"),
        (("tau",), "0"),
        (("pi",), [["1/2", "1/2"]]),
        (("optimal",), [["1", "0"]]),
    ],
    "A02_tau": [(("reward_slope", 1), "1"), (("tau",), "1")],
    "A02_reward": [(("policy",), ["1/2", "1/2"]), (("tau",), "0")],
    "A06_entropy": [(("k",), 2000)],
    "E55_diverges": [(("cost",), "2"), (("reward",), "1")],
    "B08_gamma": [(("mdp", "gamma"), "1/3"), (("mdp", "r", 0, 1), "1")],
    "C05_zero": [(("x",), "1/2"), (("game", "gamma"), "1/2"), (("game", "r_follower", 0, 1, 1), "1")],
    "C14_zero": [(("x",), "1/2"), (("action",), 0), (("leader", "interval", 1), "2")],
    "L06_jump": [
        (("feature", 0), "3"),
        (("offset", 2), "1"),
        (("at_zero",), ["0", "0", "1", "0"]),
        (("pieces", 0, "policy", 3, 0), "1"),
        (("pieces", 0, "policy"), [["0", "1/4"], ["0"], ["0"], ["1", "-1/4"]]),
        (("pieces", 0, "attained"), True),
        (("pieces", 1, "y", 1), "3/2"),
        (("pieces", 1, "policy", 2), ["1/4", "-1/4", "1/8"]),
        (("X",), ["-1", "1/2"]),
        (("Y",), ["-2", "3"]),
    ],
    "L07b_start": [
        (("follower", 0), ["0", "1"]),
        (("rhs_other_state",), "1"),
        (("game", "rho", 0), "1"),
    ],
    "L07b_zero": [(("x",), "1/2"), (("best",), [["1", "0"]]), (("game", "r_follower", 0, 0, 1), "0")],
    "L08_class": [
        (("mdp", "rho"), ["3/4", "1/4"]),
        (("tau",), "0"),
        (("mdp", "P", 0, 0), ["1/4", "3/4"]),
        (("mdp", "r", 1, 1), "5"),
        (("reach",), "3"),
    ],
    "L09_tau0": [(("reward_slope", 1), "1"), (("tau",), "1")],
    "L09b_zero": [(("x",), "1/2"), (("game", "tau"), "0"), (("follower",), [["1", "0"]])],
    "L09b_tau0": [
        (("game", "tau"), "1"),
        (("leader", "interval", 1), "1/2"),
        (("leader", "slope", 0), ["1/2", "-1/2"]),
        (("game", "r_follower", 0, 0, 0), "0"),
    ],
    "L18_reward": [(("game", "r_follower", 0, 0, 0), "0"), (("game", "r_leader", 0, 0, 0), "1")],
}


def test_every_certificate_is_altered() -> None:
    assert {name for name, _ in CERTIFICATES} == {*DATA}


@pytest.mark.parametrize(("name", "verify"), CERTIFICATES)
def test_altered_certificates_are_refused(name: str, verify: Callable[[dict[str, Any]], None]) -> None:
    content = exact.load(name)
    verify(content)
    sides: list[tuple[tuple[str | int, ...], object]] = [(("lhs",), "7/5"), (("rhs",), "7/5")]
    for path, changed in sides + DATA[name]:
        altered = copy.deepcopy(content)
        place: Any = altered
        for step in path[:-1]:
            place = place[step]
        assert place[path[-1]] != changed
        place[path[-1]] = changed
        with pytest.raises(CertificateError):
            verify(altered)


@pytest.mark.parametrize("name", sorted(DATA))
def test_certificates_can_be_read_alone(name: str) -> None:
    content = exact.load(name)
    assert content["id"] == name
    assert len(content["instance"]) > 100


# Exact games.


def random_game(seed: int) -> tuple[ExactGame, AffineLeader, exact.Rationals]:
    generator = np.random.default_rng(seed)

    def rows(*shape: int) -> Any:
        counts = generator.integers(1, 5, shape)
        return np.vectorize(lambda k, n: f"{k}/{n}")(counts, counts.sum(axis=-1, keepdims=True)).tolist()

    game = {
        "P": rows(2, 2, 3, 2),
        "r_follower": generator.integers(-3, 4, (2, 2, 3)).tolist(),
        "gamma": "2/3",
        "rho": rows(2),
        "tau": "1/2",
    }
    slope_sa = [["1/3", "-1/3"], ["-1/5", "1/5"]]
    leader = {"at_zero": [["1/2", "1/2"]] * 2, "slope": slope_sa, "interval": ["-1", "1"]}
    return ExactGame.parse(game), AffineLeader.parse(leader), exact.fractions(rows(2, 3))


@given(st.integers(0, 10_000))
@settings(max_examples=15, deadline=None, derandomize=True)
def test_score_sums_are_derivatives(seed: int) -> None:
    """Against dual numbers through the definition of V_f; values against the follower's own MDP."""
    game, leader, follower = random_game(seed)
    x = fmpq(1, 4)
    assert list(game.values(leader(x), follower)) == list(game.follower_mdp(leader(x)).values(follower))

    def lift(array: exact.Rationals) -> Any:
        return np.array([Dual(fmpq(k), fmpq(0)) for k in array.flat], dtype=object).reshape(array.shape)

    moving = np.array(
        [Dual(p, q) for p, q in zip(leader(x).flat, leader.slope_sa.flat, strict=True)], dtype=object
    ).reshape(2, 2)
    chain = np.einsum("sa,sb,sabt->st", moving, lift(follower), lift(game.P_sabt))
    c_s = np.einsum("sa,sb,sab->s", moving, lift(follower), lift(game.r_sab))
    c_s = c_s - lift(game.tau * (follower * follower).sum(axis=1) / 2)
    identity, gamma = lift(exact.identity(2)), Dual(game.gamma, fmpq(0))
    slopes = eliminate(identity - gamma * chain, c_s)
    for s in (0, 1):
        start_s = exact.fractions([int(t == s) for t in (0, 1)])
        assert game.score_sum(leader(x), leader.slope_sa, follower, start_s) == slopes[s].b


def test_a_curved_function_is_not_affine() -> None:
    assert affine_slope(lambda x: 3 * x - 1, fmpq(0), fmpq(2)) == 3
    with pytest.raises(CertificateError, match="affine"):
        affine_slope(lambda x: x * x, fmpq(0), fmpq(1))
    with pytest.raises(CertificateError, match="quadratic"):
        quadratic(lambda x: x**3)


def test_leaders_stay_in_the_simplex() -> None:
    with pytest.raises(CertificateError, match="distribution"):
        AffineLeader.parse({"at_zero": [["1", "0"]], "slope": [["-1", "1"]], "interval": ["0", "3/2"]})


@given(st.fractions(-3, 3, max_denominator=20), st.fractions(-3, 3, max_denominator=20))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_best_of_two_is_largest(first: Any, second: Any) -> None:
    r_a = np.array([fmpq(r.numerator, r.denominator) for r in (first, second)])
    for tau in (fmpq(0), fmpq(3, 2)):
        grid = [fmpq(k, 12) for k in range(13)]
        tried = [net(np.array([p, 1 - p]), r_a, tau) for p in grid]
        best = best_of_two(r_a, tau)
        assert best >= max(tried)
        # Off by half a step of the grid at most.
        assert best - max(tried) <= (tau + abs(r_a[0] - r_a[1])) / 24


def test_one_sided_slopes_of_a_kink() -> None:
    for side, expected in ((1, 3), (-1, 1)):
        assert one_sided_slope(lambda x: abs(x) + 2 * x + x * x, side, fmpq(1, 2)) == expected


def test_shared_policies_refuse_what_they_cannot_decide() -> None:
    content = exact.load("L08_class")
    content["mdp"]["P"][0][0] = ["1", "0"]
    with pytest.raises(CertificateError, match="probability zero"):
        SharedPolicies.parse(content)


# Operators.


def test_operators_do_not_commute() -> None:
    with pytest.raises(CertificateError, match="left over"):
        vanishes("X Y - Y X", operators("X Y - Y X"))
    vanishes("X - X", operators("X - X"))


def test_rules_and_the_product_rule() -> None:
    resolvent = operators("M - M X G")
    vanishes("M (1 - X G) - 1", resolvent.replaced("M X G", operators("M - 1")) - operators("1"))
    slope_of = operators("X Y X - 1").derivative({"X": "T"})
    vanishes("derivative", slope_of - operators("T Y X + X Y T"))
    square = operators("X + Y") * operators("X - Y")
    vanishes("square", square - operators("X X - X Y + Y X - Y Y"))


def test_a_wrong_step_is_refused() -> None:
    """The policy gradient without its resolvent does not solve the differentiated equation."""
    equation = operators("X R + X G V - N")
    residual = operators("W") - equation.derivative({"X": "T", "V": "W", "N": "K"})
    with pytest.raises(CertificateError, match="left over"):
        vanishes("no resolvent", residual.replaced("W", operators("T R + T G V - K")))


# Premises.


@given(st.integers(0, 10_000))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_irreducible_under_every_policy(seed: int) -> None:
    """Against the strong components of the graph of each deterministic policy."""
    generator = np.random.default_rng(seed)
    n, n_actions = int(generator.integers(1, 5)), int(generator.integers(1, 4))
    P_sat = generator.random((n, n_actions, n)) * (generator.random((n, n_actions, n)) < 0.7)
    P_sat[..., 0] += 1e-3
    every = True
    for choice in product(range(n_actions), repeat=n):
        graph = P_sat[np.arange(n), list(choice)] > 0.0
        every &= int(connected_components(graph, connection="strong")[0]) == 1
    assert irreducible(P_sat) == every


def test_premises_are_met_and_missed() -> None:
    """The trials see irreducible chains and others, and policies at which an entropy has no slope."""
    corners = list(sites(QUICK, "lemma_08"))
    assert {assumption_2b(site.mdp) for site in corners} == {True, False}
    mdp = next(site.mdp for site in corners if isinstance(site.mdp.regularizer, NegativeEntropy))
    vertex = np.eye(mdp.n_actions)[np.zeros(mdp.n_states, dtype=int)]
    assert not differentiable(mdp, vertex)
    assert differentiable(mdp, np.full(mdp.r_sa.shape, 1.0 / mdp.n_actions))


def two_rewards(first: float, second: float) -> Site[MdpFamily]:
    features = np.array([[[first, second]]])
    reward = LinearReward(features, np.zeros((1, 2)), Euclidean((1,)))
    family = MdpFamily(reward, FixedKernel(np.ones((1, 2, 1))), 0.5, np.ones(1), 0.0, Quadratic())
    return Site("two rewards", family, np.zeros(1), np.full((1, 2), 0.5), np.ones(1), True)


def test_one_gradient_of_ties() -> None:
    """Tied actions agree if their rewards move alike."""
    for second, expected in ((2.0, True), (1.0, False)):
        site = two_rewards(2.0, second)
        assert agreeing(site, policy_iteration(site.mdp)) is expected
    assert all(agreeing(site, policy_iteration(site.mdp)) for site in lemma_06.twins(QUICK))


def test_leaders_on_the_boundary() -> None:
    """Where all actions are drawn scores are slopes; at the boundary they are not."""
    inside = list(game_sites(QUICK, "x"))
    for site in inside:
        np.testing.assert_allclose(scores_of_drawn(site), slopes_of_policy(site), rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(slopes_of_policy(site).sum(axis=1), 0.0, atol=1e-14)
    outside = list(game_sites(QUICK, "x", boundary=True))
    lost = [np.abs(scores_of_drawn(site) - slopes_of_policy(site)).max() for site in outside]
    assert sum(loss > 0.01 for loss in lost) >= 10


# Derivatives.


def test_three_routes_agree() -> None:
    """On a problem by hand: V = x (p - q) 2 at gamma = 1/2, and max V = 2 |x|."""
    site = two_rewards(1.0, -1.0)
    policy = np.array([[0.75, 0.25]])
    x = np.array([0.5])
    for route in (slope, exact_slope, fine_slope):
        own = route(value(site, policy), x, site.u)
        best = route(value_penalty(site), x, site.u)
        assert float(own) == pytest.approx(1.0, rel=1e-15)
        assert float(best) == pytest.approx(2.0, rel=1e-15)


def test_second_opinions_from_standard_on() -> None:
    asked = [site.thorough for site in sites(Context(Level.STANDARD, 0), "lemma_06", every=5)]
    assert sum(asked) >= 20
    margins = lemma_06.trials_with(lemma_06.printed_slope)(Context(Level.STANDARD, 0))
    first = [next(margins).where for _ in range(120)]
    assert any("80 digits" in where for where in first)


def test_policy_sites_stay_in_the_simplex() -> None:
    for site in policy_sites(QUICK, "x"):
        moved = site.pi_sa + site.u_sa
        assert moved.min() > 0.0
        np.testing.assert_allclose(moved.sum(axis=1), 1.0, atol=1e-14)


@pytest.mark.parametrize(
    ("claimed", "found", "violated", "ratio"),
    [
        (2.0, 2.0, False, 1.0),
        (-2.0, -2.0, False, 1.0),
        (2.0, -2.0, True, float("inf")),
        (2.1, 2.0, True, 2.0 / 1.9),
        (1.9, 2.0, True, 2.0 / 1.9),
        (0.0, 0.0, False, 0.0),
        (1.0, 0.0, True, 0.0),
        (float("nan"), 1.0, True, float("nan")),
    ],
)
def test_equalities_as_margins(claimed: float, found: float, violated: bool, ratio: float) -> None:
    margin: Margin = equal(claimed, found, 1e-9, "")
    assert margin.violated is violated
    if not np.isnan(claimed):
        assert margin.ratio == pytest.approx(ratio)
        assert violated or margin.planted(0.01) is (found != 0.0)


def test_adding_up_by_hand() -> None:
    """One state, two actions, gamma = 1/2: the penalty's slope is that of the best reward, doubled."""
    site = two_rewards(3.0, 1.0)
    moved = Site("by hand", site.problem, np.array([1.0]), site.pi_sa, site.u, False)
    optimum = policy_iteration(moved.mdp)
    claimed: Array = lemma_06.printed_slope(moved, optimum)
    assert float(claimed) == pytest.approx(2.0 * (3.0 - 2.0))
