"""Every estimator's expectation is its declared target: every trajectory, and every batch of two."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from torch import Tensor

from reference.evaluation import evaluate, parameter_policy_gradient, value_gradient_x
from reference.policies import SoftmaxPolicy
from reference.problems.general_position import general_mdp, linear_family
from reference.problems.mdp import MdpFamily
from reference.problems.structure import stack
from reference.regularizers import Quadratic
from sampled import estimators
from sampled.baselines import Constant, LeaveOneOut, NoBaseline, StateValues
from sampled.conversion import tensors
from sampled.critics import Critic, Linear, Tabular
from sampled.enumeration import Everything, every_trajectory, probability
from sampled.errors import InputError
from sampled.estimators.actor_critic import ActorCritic
from sampled.estimators.contract import Estimator, EstimatorKind, Target
from sampled.estimators.gpomdp import Gpomdp
from sampled.estimators.random_horizon import RandomHorizon
from sampled.estimators.reinforce import Reinforce
from sampled.expectations import MonteCarlo, draw
from sampled.horizons import Fixed, Geometric
from sampled.laws import Alias
from sampled.processes import Decision, Process, lower_process
from sampled.simulator import Dynamics, rollout
from sampled.sources import Independent
from sampled.trajectories import Trajectories
from tests.sampled.exact import (
    Chain,
    chances,
    claimed,
    gradients,
    mdp_chain,
    rounding,
    value,
)
from tests.sampled.words import Kept, Replay
from verify.leaves import leaves

KINDS = leaves(estimators.__name__, "ESTIMATOR", EstimatorKind)
GAMMA = 0.6


def settings(steps: int, values_ps: Tensor) -> Mapping[str, Estimator]:
    return {
        f"{name}, {setting}": estimator
        for name, kind in KINDS.items()
        for setting, estimator in kind.variants(steps, values_ps).items()
    }


NAMES = list(settings(3, torch.zeros(1, 2)))


@dataclass(frozen=True, eq=False)
class Case:
    """Families that share maps' shapes, at one point and policy each."""

    families: list[MdpFamily]
    x: Tensor
    y: Tensor
    first: Tensor
    values_ps: Tensor
    steps: int

    @classmethod
    def draw(
        cls, problems: int, n_states: int, n_actions: int, steps: int, gamma: float = GAMMA
    ) -> "Case":
        families = []
        for seed in range(problems):
            generator = np.random.default_rng(10 + seed)
            rule = Quadratic() if problems > 1 else None
            mdp = general_mdp(
                generator, n_states=n_states, n_actions=n_actions, gamma=gamma, regularizer=rule
            )
            families.append(linear_family(generator, mdp))
        g = torch.Generator().manual_seed(3)
        shape = (problems, n_states, n_actions)
        return cls(
            families,
            (0.3 * torch.randn(problems, 2, generator=g, dtype=torch.float64)).requires_grad_(),
            torch.randn(shape, generator=g, dtype=torch.float64).requires_grad_(),
            torch.randn(shape, generator=g, dtype=torch.float64).requires_grad_(),
            torch.randn(shape[:2], generator=g, dtype=torch.float64),
            steps,
        )

    @property
    def parameters(self) -> tuple[Tensor, ...]:
        return self.x, self.y, self.first

    def process(self, dtype: torch.dtype = torch.float64) -> Process:
        exact = stack(self.families) if len(self.families) > 1 else self.families[0]
        x, pi, first = self.x.to(dtype), self.y.to(dtype).softmax(-1), self.first.to(dtype).softmax(-1)
        return lower_process(tensors(exact, dtype=dtype), x, (pi,), (first,))

    def chain(self, p: int) -> Chain:
        pi, first = self.y[p].softmax(-1), self.first[p].softmax(-1)
        return mdp_chain(self.families[p], self.x[p], pi, first)

    def claimed(self, target: Target) -> Tensor:
        totals = [claimed(self.chain(p), target, self.steps, p) for p in range(len(self.families))]
        return torch.stack(totals).sum()

    def tolerance(self, count: int, dtype: torch.dtype = torch.float64) -> float:
        earned = [self.chain(p).c_sj.detach().abs().max() for p in range(len(self.families))]
        largest = float(max(earned)) + float(self.values_ps.abs().max()) + 1.0
        features = max(
            max(np.abs(f.reward.features_isa).max(), np.abs(f.kernel.features_isat).max())  # type: ignore[attr-defined] # linear_family's maps
            for f in self.families
        )
        return rounding(largest, 2.0 + 2.0 * float(features), count, self.steps, dtype)


TWO = Case.draw(2, 3, 2, 3)
ONE = Case.draw(1, 2, 2, 2, gamma=0.4)
"""Small enough for every batch of two; with a weighted entropy."""


def case_of(estimator: Estimator) -> Case:
    return ONE if estimator.batch > 1 else TWO


@pytest.mark.parametrize("name", NAMES)
def test_the_expectation_is_the_declared_target(name: str) -> None:
    estimator = settings(3, TWO.values_ps)[name]
    case = case_of(estimator)
    if case is ONE:
        estimator = settings(case.steps, case.values_ps)[name]
    target, everything = estimator.target, Everything(estimator, case.steps)
    assert target.steps in (None, case.steps)
    process = case.process()
    total_p = everything.value(process)
    count = every_trajectory(process.dynamics, case.steps).n ** estimator.batch * case.steps
    tolerance = case.tolerance(count)
    got = gradients(total_p.sum(), case.parameters)
    wanted = gradients(
        sum(
            (claimed(case.chain(p), target, case.steps, p) for p in range(len(case.families))),
            torch.zeros(()),
        ),
        case.parameters,
    )
    for have, want in zip(got, wanted, strict=True):
        assert float(want.abs().min()) > 1e3 * tolerance  # every entry is at stake
        torch.testing.assert_close(have, want, rtol=0.0, atol=tolerance)
    if target.discounted and target.trace == 1.0:
        for p, have in enumerate(total_p):
            chain = case.chain(p)
            want = value(chain, case.steps)
            if target.critic_ps is not None:
                want = want + _tail(chain, target.critic_ps[p], case.steps)
            torch.testing.assert_close(have, want, rtol=0.0, atol=tolerance)


def _tail(chain: Chain, v_s: Tensor, steps: int) -> Tensor:
    """gamma^H E v(s_H), as what a reward v would add in step H."""
    later = replace(
        chain, c_sj=v_s[:, None].expand_as(chain.c_sj), first_c_sj=torch.zeros_like(chain.c_sj)
    )
    return value(later, steps + 1) - value(later, steps)


def test_a_full_trace_has_the_gradient_of_a_function() -> None:
    """The definition of targets, against the plain discounted sum."""
    for p in range(2):
        chain = TWO.chain(p)
        step_wise = gradients(claimed(chain, Target(5), 5, p), TWO.parameters)
        plain = gradients(value(chain, 5), TWO.parameters)
        for have, want in zip(step_wise, plain, strict=True):
            torch.testing.assert_close(have, want, rtol=0.0, atol=TWO.tolerance(64))


def test_the_truncated_gradient_tends_to_the_exact_one() -> None:
    """The dynamic programme at 200 steps, 0.6^200 < 1e-44, against the closed form."""
    case = Case.draw(1, 3, 2, 1)
    (family,) = case.families
    x, y = case.x.detach()[0].numpy(), case.y.detach()[0].numpy()
    own = evaluate(family.at(x), SoftmaxPolicy((3, 2))(y))
    chain = mdp_chain(family, case.x[0], case.y[0].softmax(-1))
    got = gradients(value(chain, 200), (case.x, case.y))
    wanted = value_gradient_x(family, x, own), parameter_policy_gradient(own, SoftmaxPolicy((3, 2)), y)
    for have, want in zip(got, wanted, strict=True):
        torch.testing.assert_close(have[0], torch.tensor(want), rtol=0.0, atol=case.tolerance(1000))


def test_a_random_horizon_is_within_its_tail_of_the_infinite_one() -> None:
    """Cut off after K steps, what is missing from the gradient in logits is at most

        sum_{k >= K} gamma^k ( (k + 1) C + D ),

    since a logit's score is at most 1 in each of k + 1 steps, |c| <= C and |dc| <= D.
    """
    gamma, K = 0.3, 7
    generator = np.random.default_rng(0)
    family = linear_family(generator, general_mdp(generator, n_states=2, n_actions=2, gamma=gamma))
    exact, x = tensors(family), np.array([0.2, -0.1])
    y = torch.tensor([[[0.3, -0.4], [1.0, 0.2]]], dtype=torch.float64, requires_grad=True)
    process = lower_process(exact, torch.tensor(x)[None], (y.softmax(-1),))
    (got,) = gradients(Everything(RandomHorizon(0.5), K).value(process).sum(), (y,))
    soft = SoftmaxPolicy((2, 2))
    own = evaluate(family.at(x), soft(y.detach()[0].numpy()))
    missing = torch.tensor(parameter_policy_gradient(own, soft, y.detach()[0].numpy())) - got[0]

    bonus_ps = process.decision.bonus_ps
    C = float((process.r_psj + bonus_ps[..., None]).detach().abs().max())
    D = float(gradients(bonus_ps.sum(), (y,))[0].abs().max())
    tail = gamma**K * (C * ((K + 1) / (1 - gamma) + gamma / (1 - gamma) ** 2) + D / (1 - gamma))
    assert float(missing.abs().max()) <= tail
    assert tail < 0.1 * float(got.abs().max())  # it says something


def test_direct_policies_are_right_along_the_simplex() -> None:
    case = Case.draw(1, 3, 2, 3)
    pi = case.y.detach().softmax(-1).requires_grad_()
    process = lower_process(tensors(case.families[0]), case.x, (pi,))
    estimator = Gpomdp(3, StateValues(case.values_ps))
    (got,) = gradients(Everything(estimator, 3).value(process).sum(), (pi,))
    (want,) = gradients(value(mdp_chain(case.families[0], case.x[0], pi[0]), 3), (pi,))
    along = (got - got.mean(-1, keepdim=True)) - (want - want.mean(-1, keepdim=True))
    assert float(along.abs().max()) <= case.tolerance(2000) / float(pi.detach().min())
    assert float((got - want).abs().max()) > 0.01


@pytest.mark.parametrize("name", NAMES)
def test_float32(name: str) -> None:
    estimator = settings(3, TWO.values_ps.float())[name]
    case = case_of(estimator)
    if case is ONE:
        estimator = settings(case.steps, case.values_ps.float())[name]
    total_p = Everything(estimator, case.steps).value(case.process(torch.float32))
    assert total_p.dtype == torch.float32
    got = gradients(total_p.sum(), case.parameters)
    double = settings(case.steps, case.values_ps)[name].target
    wanted = gradients(case.claimed(double), case.parameters)
    # Pairwise sums: the logarithm of the number of trajectories counts.
    for have, want in zip(got, wanted, strict=True):
        torch.testing.assert_close(have, want, rtol=0.0, atol=case.tolerance(1, torch.float32))


def test_the_probabilities_are_those_of_the_enumeration() -> None:
    process = TWO.process()
    plain = replace(process, first=process.decision)
    trajectories = every_trajectory(plain.dynamics, 2)
    want = probability(trajectories, plain.dynamics, plain.decision.policies[0])
    torch.testing.assert_close(chances(plain, trajectories), want, rtol=1e-14, atol=0.0)
    total = chances(process, trajectories).sum(-1)
    torch.testing.assert_close(total, torch.ones(2, dtype=torch.float64), rtol=0.0, atol=1e-13)


# The critic.


FEATURES = torch.tensor([[[1.0, 0.3, -0.4], [0.2, -1.0, 0.7]]], dtype=torch.float64)
WEIGHTS = torch.tensor([[0.5, -0.8, 0.3]], dtype=torch.float64)


@pytest.mark.parametrize("make", [Tabular, lambda _: Linear(FEATURES, WEIGHTS)], ids=["table", "linear"])
def test_the_critic_learns_what_it_should(make: Callable[[Tensor], Critic]) -> None:
    """The mean change is (1/H) sum_h Pr(s_h = s) (v_h - v)(s), of a weight that times its feature."""
    case = ONE
    estimator = ActorCritic(2, make(case.values_ps), trace=0.6)
    process = case.process()
    trajectories = every_trajectory(process.dynamics, 2)
    weight_n = chances(process, trajectories)[0]
    one = [replace_batch(trajectories, n) for n in range(trajectories.n)]
    learned = [estimator.learned(t, process, 0.5) for t in one]
    changes = [some.critic_ps - estimator.critic_ps for some in learned]
    got = (weight_n[:, None] * torch.cat(changes)).sum(0)
    assert {(some.steps, some.trace) for some in learned} == {(2, 0.6)}

    chain, v = case.chain(0), estimator.critic_ps[0]
    P, (pi_1, c_1), (pi_0, c_0) = chain.P_sjt, chain.step(1), chain.step(0)
    v_1 = (pi_1 * (c_1 + chain.gamma * P @ v)).sum(-1)
    v_0 = (pi_0 * (c_0 + chain.gamma * P @ (0.4 * v + 0.6 * v_1))).sum(-1)
    mu_1 = torch.einsum("s,sj,sjt->t", chain.rho_s, pi_0, P)
    want = 0.5 / 2 * (chain.rho_s * (v_0 - v) + mu_1 * (v_1 - v))
    if isinstance(estimator.critic, Linear):
        want = FEATURES[0] @ (want @ FEATURES[0])
    torch.testing.assert_close(got, want.detach(), rtol=0.0, atol=case.tolerance(64))


def replace_batch(trajectories: Trajectories, n: int) -> Trajectories:
    return replace(
        trajectories,
        states_pnh=trajectories.states_pnh[:, n : n + 1],
        actions_pnh=trajectories.actions_pnh[:, n : n + 1],
        lengths_pn=trajectories.lengths_pn[:, n : n + 1],
    )


def test_the_true_values_leave_no_advantage_on_average() -> None:
    case = Case.draw(1, 3, 2, 3)
    (family,) = case.families
    x = case.x.detach()[0].numpy()
    own = evaluate(family.at(x), case.y.detach()[0].softmax(-1).numpy())
    process = lower_process(tensors(family), case.x, (case.y.softmax(-1),))
    trajectories = every_trajectory(process.dynamics, 3)
    estimator = ActorCritic(3, Tabular(torch.tensor(own.v_s)[None]), trace=0.7)
    mean_h = (
        chances(process, trajectories)[..., None] * estimator.advantages(trajectories, process)
    ).sum(1)
    assert float(mean_h.abs().max()) <= case.tolerance(trajectories.n)


# Sampling.


def test_a_mean_is_that_of_its_trajectories() -> None:
    process = TWO.process()
    estimator = Gpomdp(3, LeaveOneOut())
    mean = MonteCarlo(estimator, 5, Independent(torch.Generator().manual_seed(1)))
    batch = draw(process, Fixed(3), 5, Independent(torch.Generator().manual_seed(1)))
    assert torch.equal(mean.value(process), estimator.surrogate(batch, process).mean(-1))
    plain = replace(process, first=process.decision)
    again = draw(plain, Fixed(3), 5, Independent(torch.Generator().manual_seed(1)))
    own = [Alias.of(plain.decision.policies[0])]
    direct = rollout(plain.dynamics, own, Fixed(3), 5, Independent(torch.Generator().manual_seed(1)))
    assert torch.equal(again.states_pnh, direct.states_pnh)


@pytest.mark.parametrize("setting", ["no baseline", "constant", "state values", "leave one out"])
def test_padding_does_not_count(setting: str) -> None:
    process = TWO.process()
    batch = draw(process, Geometric(0.7), 8, Independent(torch.Generator().manual_seed(2)))
    other = draw(process, Fixed(batch.horizon), 8, Independent(torch.Generator().manual_seed(3)))
    reached = torch.cat((torch.ones_like(batch.mask_pnh[..., :1]), batch.mask_pnh), -1)
    assert not batch.mask_pnh.all()
    padded = replace(
        batch,
        states_pnh=torch.where(reached, batch.states_pnh, other.states_pnh),
        actions_pnh=torch.where(batch.mask_pnh, batch.actions_pnh, other.actions_pnh),
    )
    estimator = settings(4, TWO.values_ps)[f"random_horizon, {setting}"]
    have, want = (estimator.surrogate(some, process) for some in (padded, batch))
    assert torch.equal(have, want)
    for a, b in zip(
        gradients(have.sum(), TWO.parameters), gradients(want.sum(), TWO.parameters), strict=True
    ):
        # The same terms, and zeros, are summed in another order.
        torch.testing.assert_close(a, b, rtol=0.0, atol=TWO.tolerance(8 * batch.horizon))


def test_pairs_are_two_draws_one_after_the_other() -> None:
    process = TWO.process()
    pairs = MonteCarlo(Gpomdp(3), 6, Kept(1)).pairs(process, 3)
    source = Kept(1)
    for have in (pairs.first, pairs.second):
        want = draw(process, Fixed(3), 6, source)
        assert torch.equal(have.states_pnh, want.states_pnh)
        assert torch.equal(have.actions_pnh, want.actions_pnh)
    assert torch.equal(pairs.weight_pn, torch.full((2, 6), 1.0 / 6.0, dtype=torch.float64))


@pytest.mark.parametrize("horizon", [Fixed(1), Fixed(4), Geometric(0.7)])
def test_the_first_step_follows_the_first_decision(horizon: Fixed | Geometric) -> None:
    """Policies without choice: the first always takes action 0, the later ones 1."""
    process = TWO.process()
    never, always = (torch.zeros(2, 3, 2, dtype=torch.float64) for _ in range(2))
    never[..., 0] = always[..., 1] = 1.0
    bonus = process.decision.bonus_ps
    process = replace(process, first=Decision((never,), bonus), decision=Decision((always,), bonus))
    kept = Kept(5)
    batch = draw(process, horizon, 40, kept)
    assert (batch.actions_pnh[..., 0] == 0).all()
    assert (batch.actions_pnh[..., 1:] == 1).all()
    again = draw(process, horizon, 40, Replay(kept.given))
    assert torch.equal(batch.states_pnh, again.states_pnh)
    wanted, steps = horizon.lengths(Kept(5), (2, 40))
    assert torch.equal(batch.lengths_pn, wanted)
    assert batch.horizon == steps
    # The state in the middle is the one that the first piece ended in, for all of these words.
    lengths_only = horizon.lengths(source := Kept(5), (2, 40))
    assert lengths_only[1] == steps
    head = rollout(process.dynamics, [Alias.of(never)], Fixed(1), 40, source)
    assert torch.equal(batch.states_pnh[..., :2], head.states_pnh)


def test_nothing_is_read_on_the_host() -> None:
    """On a device without data every read would fail."""
    process = TWO.process()
    assert process.P_psjt is not None
    pi, bonus, r, moves = (
        table.detach().to("meta").requires_grad_()
        for table in (
            process.decision.policies[0],
            process.decision.bonus_ps,
            process.r_psj,
            process.P_psjt,
        )
    )
    decision = Decision((pi,), bonus)
    meta = Process(_to_meta(process), r, GAMMA, decision, decision, moves)
    batch = draw(process, Fixed(3), 4, Independent(torch.Generator().manual_seed(0)))
    away = Trajectories(
        batch.states_pnh.to("meta"),
        batch.actions_pnh.to("meta"),
        batch.lengths_pn.to("meta"),
        batch.terminal_ps.to("meta"),
        batch.n_actions,
    )
    for estimator in settings(3, TWO.values_ps.to("meta")).values():
        lengths_vary = not isinstance(estimator.horizon, Fixed)
        surrogate = estimator.surrogate(replace(away, cut=lengths_vary), meta)
        assert surrogate.device.type == "meta"
        torch.autograd.grad(surrogate.sum(), [pi, bonus, r, moves])


def _to_meta(process: Process) -> Dynamics:
    some = process.dynamics
    return replace(
        some,
        P_psjt=some.P_psjt.to("meta"),
        rho_ps=some.rho_ps.to("meta"),
        terminal_ps=some.terminal_ps.to("meta"),
    )


# Bad input.


def test_bad_input() -> None:
    process = TWO.process()
    batch = draw(process, Fixed(2), 1, Independent(torch.Generator().manual_seed(0)))
    for estimator in (Gpomdp(3), Reinforce(3), ActorCritic(3, Tabular(TWO.values_ps))):
        with pytest.raises(InputError, match="have 2 steps; the estimator's target has 3"):
            estimator.surrogate(batch, process)
    with pytest.raises(InputError, match="a batch of 1 trajectory"):
        Gpomdp(2, LeaveOneOut()).surrogate(batch, process)
    with pytest.raises(InputError, match="n is 1; the estimator needs 2"):
        MonteCarlo(Gpomdp(2, LeaveOneOut()), 1, Independent(torch.Generator()))
    with pytest.raises(InputError, match=r"continuation is 0.5 and gamma 0.6"):
        RandomHorizon(0.5).surrogate(batch, process)
    with pytest.raises(
        InputError, match="have 2 steps each; the estimator's target is the infinite sum"
    ):
        RandomHorizon(0.9).surrogate(batch, process)
    ragged = draw(process, Geometric(0.6), 1, Independent(torch.Generator().manual_seed(0)))
    for estimator in (Gpomdp(ragged.horizon), ActorCritic(ragged.horizon, Tabular(TWO.values_ps))):
        with pytest.raises(InputError, match=r"may end before the .* steps of the estimator's target"):
            estimator.surrogate(ragged, process)
    with pytest.raises(InputError, match=r"trace is 1\.5; it must be >= 0 and <= 1"):
        ActorCritic(3, Tabular(TWO.values_ps), trace=1.5)
    with pytest.raises(InputError, match="critic is Tensor; it must be a Critic"):
        ActorCritic(3, TWO.values_ps)  # type: ignore[arg-type] # what is checked
    with pytest.raises(InputError, match=r"table_ps has shape \(3,\); it must have 2 axes"):
        Tabular(TWO.values_ps[0])
    with pytest.raises(InputError, match=r"features_psk has shape \(1, 2, 3\) and weights_pk \(1, 2\)"):
        Linear(FEATURES, WEIGHTS[:, :2])
    with pytest.raises(InputError, match="several dtypes"):
        Linear(FEATURES, WEIGHTS.float())
    for make in (Gpomdp, Reinforce):
        with pytest.raises(InputError, match="steps is 0"):
            make(0)
    with pytest.raises(InputError, match=r"table_ps has shape \(2, 2\)"):
        Gpomdp(2, StateValues(TWO.values_ps[:, :2])).surrogate(batch, process)
    lower, pi = tensors(TWO.families[0]), TWO.y[:1].softmax(-1)
    with pytest.raises(InputError, match=r"policies\[0\] has shape \(1, 3, 1\)"):
        lower_process(lower, TWO.x[:1], (pi[..., :1],))
    with pytest.raises(InputError, match="policies has 2 policies; it must have one of each player, 1"):
        lower_process(lower, TWO.x[:1], (pi, pi))
    with pytest.raises(InputError, match="several dtypes"):
        lower_process(lower, TWO.x[:1], (pi.float(),))
    nan = pi.detach().clone()
    nan[0, 1, 0] = torch.nan
    with pytest.raises(InputError, match=r"policies\[0\]\[0, 1, 0\] is nan"):
        draw(lower_process(lower, TWO.x[:1], (nan,)), Fixed(2), 1, Independent(torch.Generator()))


def test_targets_say_what_they_leave_out() -> None:
    assert RandomHorizon(0.9).target.truncates == "nothing"
    assert Gpomdp(5).target.truncates == "all that is earned from step 5 on"
    critic = ActorCritic(5, Tabular(torch.zeros(1, 2)), discounted=False).target.truncates
    assert critic.split("; ") == [
        "scores and derivatives of earnings from step 5 on",
        "the error of the critic",
        "the discount of later steps' weights",
    ]
    assert {Constant(1.0).batch, NoBaseline().batch} == {1}
