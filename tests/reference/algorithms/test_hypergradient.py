"""The hypergradient against differences of x -> f(x, pi*(x)), and against autodiff of the equations."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from reference.algorithms.bilevel import Bilevel
from reference.algorithms.contract import Constant, run
from reference.algorithms.hypergradient import Hypergradient, hypergradient, solved, through_solution
from reference.domains import Simplices
from reference.equilibrium import argmax_derivative
from reference.errors import InputError
from reference.penalties import nikaido_isoda, value
from reference.penalties.contract import Penalty
from reference.problems.mdp import Mdp
from reference.regularizers import KLDivergence, NegativeEntropy, Quadratic, Regularizer, Weighted
from reference.validation import Array
from tests.reference.algorithms import instances
from tests.reference.derivative import slope

CASES: dict[str, Callable[[int], Bilevel[Any]]] = {
    "stackelberg": instances.stackelberg,
    "stackelberg, quadratic": lambda seed: instances.stackelberg(seed, direct=True),
    "shaping": instances.shaping,
    "preferences": instances.preferences,
    "incentive": instances.incentive,
    "incentive, quadratic": lambda seed: instances.incentive(seed, direct=True),
}


def upper_value(bilevel: Bilevel[Any], x: Array) -> float:
    """F(x), by the solvers alone."""
    policies, _ = solved(bilevel.problem.at(x))
    return float(bilevel.objective.evaluate(bilevel.problem, x, policies).value)


def some_x(bilevel: Bilevel[Any], g: np.random.Generator) -> Array:
    domain = bilevel.problem.domain
    if isinstance(domain, Simplices):
        return 0.1 + 0.8 * g.dirichlet(np.full(2, 5.0), 3)
    return np.asarray(np.clip(0.3 * g.normal(size=domain.shape), -0.4, 0.4))


def along(bilevel: Bilevel[Any], g: np.random.Generator) -> Array:
    u = g.normal(size=bilevel.problem.domain.shape)
    u = u / np.abs(u).max()
    if isinstance(bilevel.problem.domain, Simplices):
        u = 0.5 * (u - u.mean(axis=-1, keepdims=True))
    return np.asarray(u)


@settings(max_examples=12, deadline=None, derandomize=True)
@given(st.integers(0, 1000), st.sampled_from([c for c in CASES if "quadratic" not in c]))
def test_slope_of_the_reduced_objective(seed: int, case: str) -> None:
    bilevel = CASES[case](seed)
    g = np.random.default_rng(seed)
    x = some_x(bilevel, g)
    gradient = hypergradient(bilevel, x, solved(bilevel.problem.at(x))[0])
    assert np.abs(gradient).max() > 1e-6
    for _ in range(2):
        u = along(bilevel, g)
        estimate, error = slope(lambda point: upper_value(bilevel, point), x, u, 1000.0)
        assert abs((gradient * u).sum() - estimate) <= error


@pytest.mark.parametrize("case", ["stackelberg, quadratic", "incentive, quadratic"])
def test_slope_on_a_face(case: str) -> None:
    """The quadratic's solutions lie on faces of the simplex; away from kinks they are smooth, too."""
    faces = 0
    for seed in range(6):
        bilevel = CASES[case](seed)
        g = np.random.default_rng(seed)
        x, u = some_x(bilevel, g), along(bilevel, g)

        def support(point: Array, bilevel: Bilevel[Any] = bilevel) -> list[npt.NDArray[np.bool_]]:
            return [pi > 0.0 for pi in solved(bilevel.problem.at(point))[0]]

        ends = [support(x + h * u) for h in (-1e-2, 0.0, 1e-2)]
        if not all(np.array_equal(a, b) for end in ends for a, b in zip(end, ends[1], strict=True)):
            continue
        faces += any(not part.all() for part in ends[1])
        gradient = hypergradient(bilevel, x, solved(bilevel.problem.at(x))[0])

        def reduced(point: Array, bilevel: Bilevel[Any] = bilevel) -> float:
            return upper_value(bilevel, point)

        estimate, error = slope(reduced, x, u, 1000.0)
        assert abs((gradient * u).sum() - estimate) <= error
    assert faces >= 2


def follower_equations(bilevel: Bilevel[Any]) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Residual of q = r_x + gamma P_x v(q), and the leader's loss, as functions of (x, q)."""
    p = bilevel.problem
    P, r_l, r_f, rho = (torch.tensor(a) for a in (p.P_sabt, p.r_leader_sab, p.r_follower_sab, p.rho_s))

    def equations(x: Tensor, q: Tensor) -> tuple[Tensor, Tensor]:
        first = torch.softmax(x, dim=-1)
        v = p.tau * torch.logsumexp(q / p.tau, dim=-1)
        backed = torch.einsum("sa,sab->sb", first, r_f + p.gamma * P @ v)
        second = torch.softmax(q / p.tau, dim=-1)
        joint = first[:, :, None] * second[:, None, :]
        chain = torch.einsum("sab,sabt->st", joint, P)
        bonus = p.tau_leader * (first * first.log()).sum(-1)
        earned = (joint * r_l).sum((1, 2)) - bonus
        own = torch.linalg.solve(torch.eye(len(rho), dtype=x.dtype) - p.gamma * chain, earned)
        return q - backed, -(rho * own).sum()

    return equations


def players_equations(bilevel: Bilevel[Any]) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Residual of the stage games and of their value, and the designer's loss, as functions of (x, u).

    u holds, per state, player 1's payoffs, player 2's and the value.
    """
    p = bilevel.problem
    family = p.game
    tensors = {
        name: torch.tensor(a)
        for name, a in {
            "base": family.reward.offset_sa,
            "features": family.reward.features_isa,
            "logits": family.kernel.logits_sat,
            "slopes": family.kernel.features_isat,
            "P": p.P_design_sabt,
            "r": p.r_design_sab,
            "c": p.cost_s,
            "rho": family.rho_s,
        }.items()
    }
    tau, gamma = family.tau, family.gamma

    def equations(x: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        n_first = tensors["r"].shape[1]
        x_sa, y_sb, v = u[:, :n_first], u[:, n_first:-1], u[:, -1]
        reward = tensors["base"] + torch.einsum("dsab,d->sab", tensors["features"], x)
        logits = tensors["logits"] + torch.einsum("dsjt,d->sjt", tensors["slopes"], x)
        P = torch.softmax(logits, dim=-1).reshape(*reward.shape, -1)
        M = reward + gamma * P @ v
        first, second = torch.softmax(x_sa / tau, dim=-1), torch.softmax(y_sb / tau, dim=-1)
        value = torch.einsum("sa,sab,sb->s", first, M, second)
        value = value - tau * (first * first.log()).sum(-1) + tau * (second * second.log()).sum(-1)
        residual = torch.cat(
            [
                x_sa - torch.einsum("sab,sb->sa", M, second),
                y_sb + torch.einsum("sab,sa->sb", M, first),
                (v - value)[:, None],
            ],
            dim=1,
        )
        joint = first[:, :, None] * second[:, None, :]
        chain = torch.einsum("sab,sabt->st", joint, tensors["P"])
        earned = (joint * tensors["r"]).sum((1, 2)) - tensors["c"]
        own = torch.linalg.solve(torch.eye(len(v), dtype=x.dtype) - gamma * chain, earned)
        return residual, -(tensors["rho"] * own).sum()

    return equations


def implicit(
    equations: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]], x: Array, u: Array
) -> tuple[Array, float, float]:
    """Gradient of the loss by the implicit function theorem, and sizes of residual and system."""
    x_t, u_t = torch.tensor(x), torch.tensor(u)
    R_x, R_u = torch.autograd.functional.jacobian(lambda a, b: equations(a, b)[0], (x_t, u_t))  # type: ignore[no-untyped-call]  # torch's
    L_x, L_u = torch.autograd.functional.jacobian(lambda a, b: equations(a, b)[1], (x_t, u_t))  # type: ignore[no-untyped-call]  # torch's
    system = R_u.reshape(u.size, u.size)
    adjoint = torch.linalg.solve(system.T, L_u.reshape(-1))
    gradient = L_x - (adjoint @ R_x.reshape(u.size, x.size)).reshape(x.shape)
    residual = float(equations(x_t, u_t)[0].abs().max())
    return gradient.numpy(), residual, float(torch.linalg.cond(system))


@pytest.mark.parametrize("case", ["stackelberg", "incentive"])
def test_autodiff_of_the_equations(case: str) -> None:
    for seed in range(3):
        bilevel = CASES[case](seed)
        x = some_x(bilevel, np.random.default_rng(seed))
        lower = bilevel.problem.at(x)
        policies, v_s = solved(lower)
        if isinstance(lower, Mdp):
            unknown = lower.r_sa + lower.gamma * lower.P_sat @ v_s
            equations = follower_equations(bilevel)
        else:
            M = lower.r_sab + lower.gamma * lower.P_sabt @ v_s
            first, second = (
                np.einsum("sab,sb->sa", M, policies[1]),
                np.einsum("sab,sa->sb", M, policies[0]),
            )
            unknown = np.concatenate([first, -second, v_s[:, None]], axis=1)
            equations = players_equations(bilevel)
        expected, residual, condition = implicit(equations, x, unknown)
        # The equations hold to rounding, and both routes lose what the system's condition takes.
        assert residual <= instances.rounding(1.0)
        found = hypergradient(bilevel, x, policies)
        assert (
            np.abs(found - expected).max()
            <= condition * instances.rounding(1.0) * np.abs(expected).max()
        )
        assert np.abs(expected).max() > 1e-3
        # Without the solution's own derivative it is far off.
        plain = bilevel.objective.evaluate(bilevel.problem, x, policies).grad_x
        assert np.abs(found - plain).max() > 1e-3


@pytest.mark.parametrize("case", [instances.stackelberg, instances.incentive])
def test_batches_are_their_members(case: Callable[..., Bilevel[Any]]) -> None:
    batch = case(4, batch=3)
    penalty: Any = nikaido_isoda.PENALTY if case is instances.incentive else value.PENALTY
    shape = batch.problem.domain.shape
    x = np.clip(0.3 * np.random.default_rng(4).normal(size=(3, *shape)), -0.4, 0.4)
    ended = run(
        Hypergradient(batch, penalty, Constant(0.1)),
        Hypergradient(batch, penalty, Constant(0.1)).start(x),
        5,
    )
    for i in range(3):
        alone = case(4 + i)
        method = Hypergradient(alone, penalty, Constant(0.1))
        state = run(method, method.start(x[i]), 5).state
        assert np.abs(state.x - ended.state.x[i]).max() <= 5 * instances.rounding(1.0)


CLOSED: tuple[tuple[Bilevel[Any], Penalty[Any]], ...] = (
    (instances.stackelberg(2), value.PENALTY),
    (instances.incentive(2), nikaido_isoda.PENALTY),
)


def test_descends_and_stays_solved() -> None:
    for bilevel, penalty in CLOSED:
        method = Hypergradient(bilevel, penalty, Constant(0.05))
        start = method.start(np.zeros(bilevel.problem.domain.shape))
        result = run(method, start, 40, record_every=1)
        f = np.array([record.f for record in result.records])
        assert (np.diff(f) <= instances.rounding(1.0)).all()
        assert f[-1] < f[0] - 0.01
        for record in result.records:
            assert abs(record.penalty) <= instances.rounding(1.0)
        (first, *_), after = result.records, method.step(start)
        assert first.projected_gradient == np.sqrt((((after.x - start.x) / 0.05) ** 2).sum())
        again = run(method, run(method, start, 17).state, 23).state
        assert np.array_equal(again.x, result.state.x)


def test_derivative_of_the_maximiser() -> None:
    g = np.random.default_rng(0)
    q, u = 0.1 * g.normal(size=(2, 4, 3))
    rules = (
        NegativeEntropy(),
        KLDivergence(g.dirichlet(np.full(3, 4.0), 4)),
        Quadratic(),
        Weighted(NegativeEntropy(), np.array([1.0, 0.5, 2.0, 3.0])),
    )
    for h in rules:
        pi = h.argmax(q, 1.0)
        assert pi.min() > 0.0
        moved = (argmax_derivative(h, pi) @ u[..., None])[..., 0]
        w = g.normal(size=(4, 3))

        def mean(point: Array, h: Regularizer = h, w: Array = w) -> float:
            return float((w * h.argmax(point, 1.0)).sum())

        estimate, error = slope(mean, q, 0.1 * u, 30.0)
        assert abs(0.1 * (w * moved).sum() - estimate) <= error


def test_bad_input() -> None:
    bilevel = instances.stackelberg(0)
    with pytest.raises(InputError, match="must be an Mdp or a ZeroSumGame"):
        solved(bilevel)  # type: ignore[arg-type]  # the point of the test
    mdp = bilevel.problem.at(np.zeros((3, 2)))
    flat = Mdp(mdp.P_sat, mdp.r_sa, mdp.gamma, mdp.rho_s, 0.0, mdp.regularizer)
    with pytest.raises(InputError, match="tau is 0"):
        solved(flat)
    pi = np.full((3, 3), 1.0 / 3.0)
    with pytest.raises(InputError, match="gradients has the length 0"):
        through_solution(bilevel.problem, np.zeros((3, 2)), (pi,), ())
    with pytest.raises(InputError, match=r"gradients\[0\]"):
        through_solution(bilevel.problem, np.zeros((3, 2)), (pi,), (pi[:2],))
    with pytest.raises(InputError, match="x"):
        hypergradient(bilevel, np.zeros((3, 5)), (pi,))
    with pytest.raises(InputError, match="step_x"):
        Hypergradient(bilevel, value.PENALTY, 0.1)  # type: ignore[arg-type]  # the point of the test
