"""Truncated values and gradients: programmes of their own differentiated by autograd, and the limit."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from reference.domains import Euclidean
from reference.errors import InputError
from reference.evaluated import Evaluated
from reference.evaluation import evaluate, policy_gradient, value_gradient_x
from reference.objectives import incentive_design, reward_shaping, stackelberg
from reference.penalties.bellman import bellman_penalty
from reference.penalties.nikaido_isoda import nikaido_isoda
from reference.penalties.value import value_penalty
from reference.policies import SoftmaxPolicy
from reference.problems.general_position import (
    general_distributions,
    general_game,
    general_game_family,
    general_incentive_design,
    general_mdp,
    general_shaping,
    general_stackelberg,
    linear_family,
)
from reference.problems.mdp import Mdp, MdpFamily
from reference.problems.parametrizations import FixedKernel, TabularReward
from reference.problems.structure import stack
from reference.regularizers import Quadratic
from reference.truncated import (
    FOREVER,
    Truncation,
    truncated_bellman_penalty,
    truncated_designer_loss,
    truncated_joint_value,
    truncated_leader_loss,
    truncated_nikaido_isoda,
    truncated_original_loss,
    truncated_value,
    truncated_value_penalty,
)
from reference.validation import Array
from sampled.estimators.contract import Target
from tests.sampled import exact

S, A, B = 4, 3, 2
ROUNDING = 1e-11
"""Far above the rounding of a few hundred operations on numbers below 100, far below all that counts."""

CRITIC = np.array([0.8, -1.1, 0.3, 2.0])
TRUNCATIONS = {
    "one step": Truncation(1),
    "five steps": Truncation(5),
    "a critic": Truncation(4, critic_s=CRITIC),
    "a trace": Truncation(4, trace=0.6, critic_s=CRITIC),
    "one-step advantages": Truncation(3, trace=0.0, critic_s=CRITIC),
    "undiscounted weights": Truncation(4, discounted=False, trace=0.6, critic_s=CRITIC),
}


def generator() -> np.random.Generator:
    return np.random.default_rng(5)


def policies(seed: int = 1) -> tuple[Array, Array, Array, Array]:
    g = np.random.default_rng(seed)
    return tuple(general_distributions(g, (S, n)) for n in (A, B, A, B))  # type: ignore[return-value] # four


PI, PI_B, BEST, BEST_B = policies()
FAMILY = linear_family(generator(), general_mdp(generator(), n_states=S, n_actions=A))
X = np.array([0.4, -0.7])
GAMES = general_game_family(generator(), general_game(generator(), n_states=S, n_first=A, n_second=B))
STACKELBERG = general_stackelberg(generator(), n_states=S, n_leader=A, n_follower=B)
DESIGN = general_incentive_design(np.random.default_rng(6), general_game(generator(), n_states=S))
SHAPING = general_shaping(generator(), general_mdp(generator(), n_states=S, n_actions=A))
X_LEADER = np.random.default_rng(2).normal(size=(S, A))


def along_simplex(gradient: Array) -> Array:
    return np.asarray(gradient - gradient.mean(axis=-1, keepdims=True))


@pytest.mark.parametrize("name", TRUNCATIONS)
@pytest.mark.parametrize("first", [None, BEST], ids=["one policy", "another first policy"])
def test_against_a_programme_that_autograd_differentiates(name: str, first: Array | None) -> None:
    truncation = TRUNCATIONS[name]
    steps = truncation.steps
    assert steps is not None
    found = truncated_value(FAMILY, X, PI, truncation, first)
    x, pi = torch.tensor(X).requires_grad_(), torch.tensor(PI).requires_grad_()
    start = pi if first is None else torch.tensor(first).requires_grad_()
    chain = exact.mdp_chain(FAMILY, x, pi, None if first is None else start)
    critic = None if truncation.critic_s is None else torch.tensor(truncation.critic_s)[None]
    target = Target(steps, truncation.discounted, truncation.trace, critic)
    total = exact.claimed(chain, target, steps, 0)
    parameters = (x, pi) if first is None else (x, pi, start)
    wanted = [g.numpy() for g in exact.gradients(total, parameters)]
    np.testing.assert_allclose(found.grad_x, wanted[0], rtol=0.0, atol=ROUNDING)
    for have, want in zip(found.grad_policies, wanted[1:], strict=True):
        # A constant of the state, the bonus, stands in Q there and not here.
        np.testing.assert_allclose(along_simplex(have), along_simplex(want), rtol=0.0, atol=ROUNDING)
    if truncation.discounted and truncation.trace == 1.0:
        plain = exact.value(chain, steps)
        if truncation.critic_s is not None:
            v = torch.tensor(truncation.critic_s)[:, None].expand(S, A)
            paid = replace(chain, c_sj=v, first_c_sj=v)
            plain = plain + exact.value(paid, steps + 1) - exact.value(paid, steps)
        np.testing.assert_allclose(found.value, plain.item(), rtol=0.0, atol=ROUNDING)


def far(loss: Callable[[Truncation], Evaluated]) -> Evaluated:
    """At 600 steps, 0.9^600 < 1e-27."""
    return loss(Truncation(600))


def agree(found: Evaluated, wanted: Evaluated) -> None:
    np.testing.assert_allclose(found.value, wanted.value, rtol=0.0, atol=ROUNDING)
    np.testing.assert_allclose(found.grad_x, wanted.grad_x, rtol=0.0, atol=ROUNDING)
    assert len(found.grad_policies) == len(wanted.grad_policies)
    for have, want in zip(found.grad_policies, wanted.grad_policies, strict=True):
        np.testing.assert_allclose(have, want, rtol=0.0, atol=ROUNDING)


CLOSED: dict[str, tuple[Callable[[Truncation], Evaluated], Callable[[], Evaluated]]] = {
    "value penalty": (
        lambda t: truncated_value_penalty(FAMILY, X, PI, BEST, t),
        lambda: value_penalty(FAMILY, X, PI, BEST),
    ),
    "value penalty of a follower": (
        lambda t: truncated_value_penalty(STACKELBERG, X_LEADER, PI_B, BEST_B, t),
        lambda: value_penalty(STACKELBERG, X_LEADER, PI_B, BEST_B),
    ),
    "Bellman penalty": (
        lambda t: truncated_bellman_penalty(FAMILY, X, PI, BEST, t),
        lambda: bellman_penalty(FAMILY, X, PI, BEST),
    ),
    "Nikaido-Isoda": (
        lambda t: truncated_nikaido_isoda(GAMES, X, (PI, PI_B), (BEST, BEST_B), t),
        lambda: nikaido_isoda(GAMES, X, PI, PI_B, BEST, BEST_B),
    ),
    "leader": (
        lambda t: truncated_leader_loss(STACKELBERG, X_LEADER, PI_B, t),
        lambda: stackelberg.leader_loss(STACKELBERG, X_LEADER, PI_B),
    ),
    "designer": (
        lambda t: truncated_designer_loss(DESIGN, np.full(DESIGN.domain.shape, 0.2), PI, PI_B, t),
        lambda: incentive_design.designer_loss(DESIGN, np.full(DESIGN.domain.shape, 0.2), PI, PI_B),
    ),
    "shaping": (
        lambda t: truncated_original_loss(SHAPING, np.zeros(2), PI, t),
        lambda: reward_shaping.original_loss(SHAPING, np.zeros(2), PI),
    ),
}


@pytest.mark.parametrize("name", CLOSED)
@pytest.mark.parametrize("steps", ["many", "infinitely many"])
def test_without_truncation_it_is_the_closed_form(name: str, steps: str) -> None:
    truncated, closed = CLOSED[name]
    agree(far(truncated) if steps == "many" else truncated(FOREVER), closed())


@pytest.mark.parametrize("name", CLOSED)
def test_few_steps_are_another_quantity(name: str) -> None:
    truncated, closed = CLOSED[name]
    assert abs(float(truncated(Truncation(2)).value - closed().value)) > 1e-3


def test_an_endless_trace_is_the_limit_of_long_ones() -> None:
    endless = truncated_value(FAMILY, X, PI, Truncation(None, True, 0.6, CRITIC), BEST)
    agree(truncated_value(FAMILY, X, PI, Truncation(600, True, 0.6, CRITIC), BEST), endless)
    assert np.abs(endless.grad_x - truncated_value(FAMILY, X, PI, FOREVER, BEST).grad_x).max() > 1e-3


def test_the_values_as_critic_leave_nothing_out_of_one_policys_gradient_but_later_scores() -> None:
    """With v = V every trace has the same targets z = V."""
    own = evaluate(FAMILY.at(X), PI)
    agree(
        truncated_value(FAMILY, X, PI, Truncation(3, True, 0.3, own.v_s)),
        truncated_value(FAMILY, X, PI, Truncation(3, True, 1.0, own.v_s)),
    )
    found = truncated_value(FAMILY, X, PI, Truncation(None, True, 0.3, own.v_s))
    agree(found, Evaluated(own.value, value_gradient_x(FAMILY, X, own), (policy_gradient(own),)))


def test_a_batch_is_its_problems() -> None:
    families = [
        linear_family(g, general_mdp(g, n_states=S, n_actions=A, regularizer=Quadratic()))
        for g in map(np.random.default_rng, (1, 2, 3))
    ]
    x_pi, pi_psa, first_psa = (
        np.stack(rows)
        for rows in zip(*((X + k, policies(k)[0], policies(k)[2]) for k in range(3)), strict=True)
    )
    truncation = Truncation(4, critic_s=CRITIC, trace=0.5)
    for given in (truncation, FOREVER):
        found = truncated_value(stack(families), x_pi, pi_psa, given, first_psa)
        for p, family in enumerate(families):
            one = truncated_value(family, x_pi[p], pi_psa[p], given, first_psa[p])
            agree(
                Evaluated(
                    found.value[p], found.grad_x[p], tuple(grad[p] for grad in found.grad_policies)
                ),
                one,
            )


def test_an_unvisited_state_has_no_gradient() -> None:
    mdp = general_mdp(generator(), n_states=S, n_actions=A)
    P = mdp.P_sat.copy()
    P[..., 3] = 0.0
    P /= P.sum(axis=-1, keepdims=True)
    rho = np.array([0.5, 0.3, 0.2, 0.0])
    mdp = replace(mdp, P_sat=P, rho_s=rho)
    pi = PI.copy()
    pi[3] = np.eye(A)[0]  # an entropy's slope is infinite here
    family = _tabular(mdp)
    (grad,) = truncated_value(family, mdp.r_sa, pi, Truncation(3)).grad_policies
    assert np.isfinite(grad).all()
    assert not grad[3].any()
    logits = np.log(np.where(pi > 0.0, pi, 1e-300))
    assert np.isfinite(SoftmaxPolicy((S, A)).pullback(logits, grad)).all()


def _tabular(mdp: Mdp) -> MdpFamily:
    reward, kernel = TabularReward(Euclidean(mdp.r_sa.shape)), FixedKernel(mdp.P_sat)
    return MdpFamily(reward, kernel, mdp.gamma, mdp.rho_s, mdp.tau, mdp.regularizer)


def test_bad_input() -> None:
    for bad in (0, -1, True, 2.5):
        with pytest.raises(InputError, match=rf"steps is {bad}; it must be a whole number >= 1"):
            Truncation(bad)  # type: ignore[arg-type] # what is checked
    with pytest.raises(InputError, match="does not converge; give a number of steps, or discount"):
        Truncation(None, discounted=False)
    with pytest.raises(InputError, match="discounted is str"):
        Truncation(1, discounted="no")  # type: ignore[arg-type] # what is checked
    for trace in (-0.1, 1.5, np.nan, "1"):
        with pytest.raises(InputError, match="trace is"):
            Truncation(1, trace=trace)  # type: ignore[arg-type] # what is checked
    five = Truncation(5)
    with pytest.raises(InputError, match="truncation is int; it must be of the class Truncation"):
        truncated_value(FAMILY, X, PI, 5)  # type: ignore[arg-type] # what is checked
    with pytest.raises(InputError, match=r"critic_s has shape \(3,\)"):
        truncated_value(FAMILY, X, PI, Truncation(5, critic_s=np.zeros(3)))
    with pytest.raises(InputError, match="lower is Mdp; it must be a ParametricMdp"):
        truncated_value(FAMILY.at(X), X, PI, five)  # type: ignore[arg-type] # what is checked
    with pytest.raises(InputError, match=r"x has shape"):
        truncated_value(FAMILY, X[:1], PI, five)
    with pytest.raises(InputError, match=r"first_sa has shape \(4, 2\)"):
        truncated_value(FAMILY, X, PI, five, PI_B)
    with pytest.raises(InputError, match=r"pi_sa\[0\] sums to 2"):
        truncated_value(FAMILY, X, 2.0 * PI, five)
    with pytest.raises(InputError, match=r"batch.*do not agree"):
        truncated_value(FAMILY, X, np.stack([PI] * 2), five, np.stack([PI] * 3))
    with pytest.raises(InputError, match=r"lower\.at\(x\) is Mdp"):
        truncated_joint_value(FAMILY, X, PI, PI_B, five)  # type: ignore[arg-type] # what is checked
    with pytest.raises(InputError, match=r"pi_sb has shape \(4, 3\)"):
        truncated_joint_value(GAMES, X, PI, PI, five)
    for loss in (truncated_leader_loss, truncated_original_loss):
        with pytest.raises(InputError, match="is MdpFamily; it must be of the class"):
            loss(FAMILY, X, PI, five)  # type: ignore[arg-type] # what is checked
    with pytest.raises(InputError, match="problem is MdpFamily; it must be of the class"):
        truncated_designer_loss(FAMILY, X, PI, PI_B, five)  # type: ignore[arg-type] # what is checked
