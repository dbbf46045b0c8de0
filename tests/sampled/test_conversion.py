"""Tensors of problems against the problems of the exact side: every map, gradient and companion."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from reference.domains import Domain, Euclidean
from reference.policies import DirectPolicy, SmoothMap
from reference.problems.general_position import (
    general_distributions,
    general_game,
    general_game_family,
    general_incentive_design,
    general_mdp,
    general_point,
    general_regularizers,
    general_rlhf,
    general_shaping,
    general_stackelberg,
    linear_family,
    potential_family,
    tabular_family,
)
from reference.problems.instances import random_incentive_design, random_stackelberg
from reference.problems.mdp import Mdp, MdpFamily
from reference.problems.parametrizations import (
    FixedKernel,
    FixedReward,
    SoftmaxKernel,
    TabularReward,
    UserKernel,
    UserMap,
)
from reference.problems.rlhf import LabelByReturn
from reference.problems.structure import stack
from reference.problems.tables import from_gymnasium
from reference.regularizers import NegativeEntropy
from reference.truncated import Truncation, truncated_value_penalty
from reference.validation import Array
from sampled import maps
from sampled.conversion import tensors
from sampled.enumeration import Everything
from sampled.errors import InputError
from sampled.estimators.gpomdp import Gpomdp
from sampled.laws import InverseCdf
from sampled.penalties.value import value_penalty
from sampled.problems import Family

EPS = float(np.finfo(np.float64).eps)


def tensor(array: Array) -> Tensor:
    return torch.tensor(np.asarray(array))


def close(actual: Tensor, expected: Array, terms: int = 64) -> None:
    """Equal but for the rounding of that many operations on numbers of the size of the largest."""
    size = float(np.abs(expected).max(initial=1.0))
    torch.testing.assert_close(actual, tensor(expected), rtol=0.0, atol=terms * EPS * size)


def fixed_family(generator: np.random.Generator) -> MdpFamily:
    mdp = general_mdp(generator)
    domain = tabular_family(generator, mdp).domain
    reward, kernel = FixedReward(mdp.r_sa, domain), FixedKernel(mdp.P_sat)
    return MdpFamily(reward, kernel, mdp.gamma, mdp.rho_s, mdp.tau, mdp.regularizer)


FAMILIES: dict[str, Callable[[np.random.Generator], Any]] = {
    "fixed": fixed_family,
    "tabular, softmax kernel": tabular_family,
    "linear, softmax kernel": linear_family,
    "potential": potential_family,
    "game, linear, softmax kernel": general_game_family,
    "incentive": lambda generator: general_incentive_design(generator).game,
}


@pytest.mark.parametrize("make", FAMILIES.values(), ids=FAMILIES)
@pytest.mark.parametrize("stacked", [False, True])
def test_families_have_the_rewards_kernels_and_gradients_of_the_exact_side(
    make: Callable[[np.random.Generator], Any], stacked: bool
) -> None:
    generators = [np.random.default_rng(seed) for seed in ((1, 2, 3) if stacked else (1,))]
    families = [_unconstrained(make(generator)) for generator in generators]
    shape = families[0].domain.shape
    xs = [generator.standard_normal(shape) for generator in generators]
    family = tensors(stack(families) if stacked else families[0])
    assert isinstance(family, Family)
    x = tensor(np.stack(xs)).requires_grad_()
    task = family.at(x)
    for p, (own, point) in enumerate(zip(families, xs, strict=True)):
        exact = own.at(point)
        P, r = (exact.P_sat, exact.r_sa) if isinstance(exact, Mdp) else (exact.P_sabt, exact.r_sab)
        close(task.r_psa[p].detach(), r)
        close(task.dynamics.P_psjt[p], P.reshape(task.dynamics.P_psjt[p].shape))
        close(task.dynamics.rho_ps[p], exact.rho_s)
        assert (task.gamma, task.tau) == (exact.gamma, exact.tau)
        # The pullback of weights w on r + gamma P v, by autograd.
        w, v = generators[p].standard_normal(r.shape), generators[p].standard_normal(exact.n_states)
        backup = task.r_psa[p].flatten() + exact.gamma * (family.kernel(x)[p] @ tensor(v)).flatten()
        gradient = torch.zeros_like(x[p])
        if backup.requires_grad:
            gradient = torch.autograd.grad(backup @ tensor(w).flatten(), x, retain_graph=True)[0][p]
        close(gradient, own.pullback(point, w[None], v[None]), terms=512)


def _unconstrained(family: Any) -> Any:
    """The same maps for all x: only problems with one domain can be stacked."""
    domain = Euclidean(family.domain.shape)
    parts = {name: getattr(family, name) for name in ("reward", "kernel")}
    free = {name: replace(part, domain=domain) for name, part in parts.items() if part.domain}
    return replace(family, **free)


def test_a_fixed_kernel_is_converted_once() -> None:
    generator = np.random.default_rng(0)
    family = tensors(potential_family(generator))
    x = torch.zeros(1, 4, dtype=torch.float64)
    assert family.fixed is not None
    assert family.at(x).dynamics.kernel is family.at(x + 1.0).dynamics.kernel is family.fixed.kernel
    assert tensors(linear_family(generator)).fixed is None


def test_one_point_serves_all_problems() -> None:
    designs = stack([random_incentive_design(np.random.default_rng(s), n_states=3) for s in (0, 1)])
    family = tensors(designs).game
    x = torch.randn(1, *family.shape, dtype=torch.float64)
    assert torch.equal(family.at(x).r_psa, family.at(x.expand(2, *family.shape)).r_psa)


def test_stackelberg_games() -> None:
    exact = general_stackelberg(np.random.default_rng(1))
    game = tensors(exact)
    close(game.dynamics.P_psjt[0], exact.P_sabt.reshape(4, 6, 4))
    close(game.r_leader_psab[0], exact.r_leader_sab)
    close(game.r_follower_psab[0], exact.r_follower_sab)
    x = np.random.default_rng(3).standard_normal((4, 3))
    close(game.leader(tensor(x)[None])[0], exact.leader(x))
    for rule, own, n in (
        (game.regularizer, exact.regularizer, 2),
        (game.regularizer_leader, exact.regularizer_leader, 3),
    ):
        pi = general_point(np.random.default_rng(4), DirectPolicy((4, n)).domain)
        close(rule.value(tensor(pi)[None])[0], own.value(pi))
    assert (game.gamma, game.tau, game.tau_leader) == (exact.gamma, exact.tau, exact.tau_leader)
    assert (game.shape, game.dynamics.n_actions) == ((4, 3), (3, 2))

    direct = tensors(general_stackelberg(np.random.default_rng(2), leader=DirectPolicy))
    point = general_point(np.random.default_rng(0), DirectPolicy((4, 3)).domain)
    close(direct.leader(tensor(point)[None])[0], point)
    many = tensors(stack([random_stackelberg(np.random.default_rng(s), n_states=6) for s in range(3)]))
    assert (many.dynamics.problems, many.r_leader_psab.shape) == (3, (3, 6, 5, 5))


def test_incentive_design_has_two_kernels() -> None:
    exact = general_incentive_design(np.random.default_rng(5))
    design = tensors(exact, sampler=InverseCdf)
    assert isinstance(design.designer.kernel, InverseCdf)
    assert design.game.fixed is not None
    close(design.designer.P_psjt[0], exact.P_design_sabt.reshape(4, 6, 4))
    assert not torch.equal(design.designer.P_psjt, design.game.fixed.P_psjt)
    assert torch.equal(design.designer.rho_ps, design.game.fixed.rho_ps)
    close(design.net_reward_psab[0], exact.r_design_sab - exact.cost_s[:, None, None])


@pytest.mark.parametrize("labels", [None, LabelByReturn(0.25)])
def test_preferences(labels: LabelByReturn | None) -> None:
    exact = general_rlhf(np.random.default_rng(6), labels=labels)
    problem = tensors(exact)
    close(problem.r_true_psa[0], exact.r_true_sa)
    assert (problem.segment_length, problem.delay) == (exact.segment_length, exact.delay)
    differences = np.array([-3.0, -0.25, -0.1, 0.0, 0.2, 0.25, 0.26, 5.0])
    close(problem.labels(tensor(differences)), exact.labels(differences))
    x = general_point(np.random.default_rng(0), exact.domain)
    close(problem.at(tensor(x)[None]).r_psa[0], exact.at(x).r_sa)


def test_shaping() -> None:
    exact = general_shaping(np.random.default_rng(7))
    problem = tensors(exact)
    x = general_point(np.random.default_rng(0), exact.domain)
    close(problem.original.r_psa[0], exact.original.r_sa)
    close(problem.at(tensor(x)[None]).r_psa[0], exact.at(x).r_sa)


@pytest.mark.parametrize("name", ["entropy", "kl", "quadratic", "weighted entropy", "weighted kl"])
def test_regularizers(name: str) -> None:
    rules = general_regularizers(np.random.default_rng(8), 4, 3)
    task = tensors(general_mdp(np.random.default_rng(9), regularizer=rules[name]))
    pi = general_point(np.random.default_rng(10), DirectPolicy((4, 3)).domain)
    y = tensor(pi)[None].requires_grad_()
    value = task.regularizers[0].value(y)
    close(value[0].detach(), rules[name].value(pi))
    (gradient,) = torch.autograd.grad(value.sum(), y)
    close(gradient[0], rules[name].gradient(pi))
    corner = np.eye(3)[[0, 1, 2, 0]]
    close(task.regularizers[0].value(tensor(corner)[None])[0], rules[name].value(corner))


def test_tasks_know_their_terminal_states() -> None:
    lake = from_gymnasium("FrozenLake-v1", gamma=0.9, tau=0.1, regularizer=NegativeEntropy())
    task = tensors(lake)
    assert torch.nonzero(task.dynamics.terminal_ps[0]).flatten().tolist() == [5, 7, 11, 12, 15]
    game = tensors(general_game(np.random.default_rng(0)))
    assert not game.dynamics.terminal_ps.any()
    assert len(game.regularizers) == 2
    # A learned or a shaped reward that pays in a hole makes it no end.
    assert (
        not tensors(_paid_holes(lake))
        .at(torch.ones(1, 16, 4, dtype=torch.float64))
        .dynamics.terminal_ps.any()
    )


def _paid_holes(lake: Mdp) -> MdpFamily:
    """The lake with a reward of x everywhere."""
    reward, kernel = TabularReward(Euclidean((16, 4))), FixedKernel(lake.P_sat)
    return MdpFamily(reward, kernel, lake.gamma, lake.rho_s, lake.tau, lake.regularizer)


def test_float32() -> None:
    exact = general_incentive_design(np.random.default_rng(11))
    single, double = tensors(exact, dtype=torch.float32), tensors(exact)
    assert single.r_design_psab.dtype == single.designer.P_psjt.dtype == torch.float32
    x = torch.randn(1, *single.game.shape)
    assert single.game.at(x).r_psa.dtype == torch.float32
    assert torch.equal(single.designer.kernel.bucket_i, double.designer.kernel.bucket_i)  # type: ignore[attr-defined] # alias tables by default
    with pytest.raises(InputError, match=r"x is torch.float64 on cpu and the problem torch.float32"):
        single.game.at(x.double())


@dataclass(frozen=True, eq=False)
class Unknown:
    """A map of a class that nobody knows."""

    domain: Domain
    base: SmoothMap

    def __call__(self, x: Array) -> Array:
        return self.base(x)

    def pullback(self, x: Array, gradient: Array) -> Array:
        return self.base.pullback(x, gradient)


def users_own(family: MdpFamily) -> MdpFamily:
    """The same family by functions of a user."""
    reward, kernel = family.reward, family.kernel
    assert isinstance(kernel, SoftmaxKernel)

    def kernel_pullback(x: Array, g_sat: Array) -> Array:
        every = np.eye(g_sat.shape[-1])
        return kernel.pullback(x, np.moveaxis(g_sat, -1, 0), every)

    return replace(
        family,
        reward=UserMap(reward, reward.pullback, reward.domain),
        kernel=UserKernel(kernel, kernel_pullback, kernel.domain),
    )


def test_a_users_own_maps_are_those_that_they_copy() -> None:
    """Value and derivatives of every entry, for two x at once, as autograd has them."""
    family = linear_family(np.random.default_rng(13))
    known, users = tensors(family), tensors(users_own(family))
    x = torch.randn(2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    x.requires_grad_()
    for one, other in ((known.reward, users.reward), (known.kernel, users.kernel)):
        have, want = other(x), one(x)
        torch.testing.assert_close(have, want, rtol=0.0, atol=1e-14)
        weight = torch.randn(have.shape, dtype=torch.float64)
        (got,) = torch.autograd.grad((weight * have).sum(), x)
        (wanted,) = torch.autograd.grad((weight * want).sum(), x)
        torch.testing.assert_close(got, wanted, rtol=0.0, atol=1e-12)


def test_a_users_own_maps_reach_the_penalties() -> None:
    """The expectation over every trajectory is the truncated penalty in closed form, (b) of Lemma 7."""
    g = np.random.default_rng(14)
    family = linear_family(g, general_mdp(g, n_states=2, n_actions=2))
    x = np.array([0.3, -0.5])
    pi, best = (general_distributions(g, (2, 2)) for _ in range(2))
    z = torch.tensor(x)[None].requires_grad_()
    found = value_penalty(
        tensors(users_own(family)),
        z,
        (torch.tensor(pi)[None],),
        (torch.tensor(best)[None],),
        Everything(Gpomdp(2), 2),
    )
    (grad_x,) = torch.autograd.grad(found.sum(), z)
    exact = truncated_value_penalty(family, x, pi, best, Truncation(2))
    np.testing.assert_allclose(found.detach()[0], exact.value, rtol=0.0, atol=1e-12)
    np.testing.assert_allclose(grad_x[0], exact.grad_x, rtol=0.0, atol=1e-12)


def test_bad_maps_of_a_user() -> None:
    x = torch.zeros(1, 2, requires_grad=True)
    with pytest.raises(InputError, match=r"the user's map at x\[0, 1\] is nan"):
        maps.UserMap(lambda x: x * [1.0, np.nan], lambda _, g: g)(x)
    table = maps.UserMap(lambda x: x, lambda _, g: g[:1])(x)
    assert table.dtype == torch.float32
    with pytest.raises(InputError, match=r"the user's pullback has shape \(1,\); it must be \(2,\)"):
        table.sum().backward()  # type: ignore[no-untyped-call] # in PyTorch


def test_bad_input() -> None:
    generator = np.random.default_rng(12)
    family = linear_family(generator)
    with pytest.raises(InputError, match="the problem is int"):
        tensors(3)  # type: ignore[call-overload] # what is checked
    with pytest.raises(InputError, match=r"dtype is torch.float16"):
        tensors(family, dtype=torch.float16)
    converted = tensors(family)
    with pytest.raises(InputError, match=r"x has shape \(1, 3\); it must be \(1, 2\)"):
        converted.at(torch.zeros(1, 3, dtype=torch.float64))
    with pytest.raises(InputError, match=r"x\[0, 1\] is nan"):
        converted.at(torch.tensor([[0.0, float("nan")]], dtype=torch.float64))
    domain = family.domain
    own = Unknown(domain, family.reward)
    user = MdpFamily(own, family.kernel, 0.9, family.rho_s, 0.1, family.regularizer)
    with pytest.raises(InputError, match="the reward is Unknown, which has no counterpart"):
        tensors(user)
    twice = stack(
        [stack([general_mdp(np.random.default_rng(s), regularizer=NegativeEntropy()) for s in (0, 1)])]
        * 2
    )
    with pytest.raises(InputError, match=r"batch axes \(2, 2\)"):
        tensors(twice)
