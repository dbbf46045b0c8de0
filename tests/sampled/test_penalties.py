"""Penalties and objectives: exact means of the torch code, dynamic programmes and closed forms."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from reference import objectives as exact_objectives
from reference import penalties as exact_penalties
from reference.objectives import incentive_design as exact_design
from reference.objectives import reward_shaping as exact_shaping
from reference.objectives import rlhf as exact_rlhf
from reference.objectives import stackelberg as exact_stackelberg
from reference.objectives.contract import Objective as ExactObjective
from reference.penalties import bellman as exact_bellman
from reference.penalties import nikaido_isoda as exact_ni
from reference.penalties import value as exact_value
from reference.penalties.contract import Penalty as ExactPenalty
from reference.policies import SoftmaxPolicy
from reference.problems.general_position import (
    general_game,
    general_game_family,
    general_incentive_design,
    general_mdp,
    general_rlhf,
    general_shaping,
    general_stackelberg,
    linear_family,
)
from reference.problems.instances import random_stackelberg
from reference.problems.rlhf import LabelByReturn, Rlhf
from reference.problems.structure import stack
from sampled import objectives, penalties
from sampled.baselines import NO_BASELINE, Baseline, Constant, LeaveOneOut, StateValues
from sampled.conversion import tensors
from sampled.enumeration import Everything
from sampled.errors import InputError
from sampled.estimators.contract import Estimator
from sampled.estimators.gpomdp import Gpomdp
from sampled.estimators.random_horizon import RandomHorizon
from sampled.expectations import Expectation, MonteCarlo, Pairs
from sampled.objectives.contract import Objective
from sampled.objectives.incentive_design import designer_loss
from sampled.objectives.reward_shaping import original_loss
from sampled.objectives.rlhf import PreferenceLoss
from sampled.objectives.stackelberg import leader_loss
from sampled.penalties.bellman import bellman_penalty
from sampled.penalties.contract import Penalty
from sampled.penalties.nikaido_isoda import nikaido_isoda
from sampled.penalties.value import value_penalty
from sampled.processes import Process
from sampled.sources import Independent
from sampled.trajectories import INDEX, Trajectories
from tests.sampled.exact import (
    designer_chain,
    fixed_chain,
    follower_chain,
    game_chain,
    gradients,
    leader_chain,
    mdp_chain,
    rounding,
    tensor,
    value,
)
from tests.sampled.words import Kept, Replay
from verify.leaves import leaves

S, A, B = 2, 3, 2
STEPS = 2
GAMMA = 0.7

Tables = Sequence[Tensor]


@dataclass(frozen=True, eq=False)
class Case:
    """A quantity: exact problem, its estimate, its truncated value, and its closed form.

    ``truncated`` and ``estimate`` take x, the policies and the companions of one problem, or with a
    first axis of length one; ``closed`` takes logits.
    """

    problem: Any
    sizes: tuple[int, ...]
    estimate: Callable[[Any, Tensor, Tables, Tables, Expectation], Tensor]
    truncated: Callable[[Any, Tensor, Tables, Tables, int], Tensor]
    closed: Callable[[Any, Any, Any, Any], Any]
    moves_x: bool = True


def _objective(loss: Any) -> Any:
    return lambda problem, x, policies, _, mean: loss(problem, x, policies, mean)


def _generator() -> np.random.Generator:
    return np.random.default_rng(1)


def _other() -> np.random.Generator:
    """Another stream: with the first one again, the designer's transitions would be the players'."""
    return np.random.default_rng(2)


def _mdp() -> Any:
    return general_mdp(_generator(), n_states=S, n_actions=A, gamma=GAMMA)


def _game() -> Any:
    return general_game(_generator(), n_states=S, n_first=A, n_second=B, gamma=GAMMA)


def _stackelberg() -> Any:
    return general_stackelberg(_generator(), n_states=S, n_leader=A, n_follower=B, gamma=GAMMA)


def _value_of_mdp(problem: Any, x: Tensor, pi: Tables, best: Tables, H: int) -> Tensor:
    family = getattr(problem, "lower", getattr(problem, "shaped", problem))
    return value(mdp_chain(family, x, best[0]), H) - value(mdp_chain(family, x, pi[0]), H)


def _bellman_of_mdp(problem: Any, x: Tensor, pi: Tables, best: Tables, H: int) -> Tensor:
    family = getattr(problem, "lower", getattr(problem, "shaped", problem))
    deviating = mdp_chain(family, x, best[0], first=pi[0])
    return value(mdp_chain(family, x, best[0]), H) - value(deviating, H)


def _value_of_follower(game: Any, x: Tensor, pi: Tables, best: Tables, H: int) -> Tensor:
    return value(follower_chain(game, x, best[0]), H) - value(follower_chain(game, x, pi[0]), H)


def _bellman_of_follower(game: Any, x: Tensor, pi: Tables, best: Tables, H: int) -> Tensor:
    deviating = follower_chain(game, x, best[0], first=pi[0])
    return value(follower_chain(game, x, best[0]), H) - value(deviating, H)


def _ni(problem: Any, x: Tensor, pi: Tables, best: Tables, H: int) -> Tensor:
    family = getattr(problem, "game", problem)
    first, second = game_chain(family, x, best[0], pi[1]), game_chain(family, x, pi[0], best[1])
    return value(first, H) - value(second, H)


def _closed_penalty(evaluate: Any) -> Any:
    return lambda problem, x, policies, companions: evaluate(problem, x, *policies, *companions)


def _closed_objective(evaluate: Any) -> Any:
    return lambda problem, x, policies, _: evaluate(problem, x, *policies)


VALUE, BELLMAN, NI = (
    _closed_penalty(f)
    for f in (exact_value.value_penalty, exact_bellman.bellman_penalty, exact_ni.nikaido_isoda)
)

CASES: Mapping[str, Case] = {
    "value, kernel": Case(linear_family(_other(), _mdp()), (A,), value_penalty, _value_of_mdp, VALUE),
    "value, preferences": Case(
        general_rlhf(_other(), _mdp()), (A,), value_penalty, _value_of_mdp, VALUE
    ),
    "value, shaping": Case(general_shaping(_other(), _mdp()), (A,), value_penalty, _value_of_mdp, VALUE),
    "value, Stackelberg": Case(_stackelberg(), (B,), value_penalty, _value_of_follower, VALUE),
    "bellman, kernel": Case(
        linear_family(_other(), _mdp()), (A,), bellman_penalty, _bellman_of_mdp, BELLMAN
    ),
    "bellman, preferences": Case(
        general_rlhf(_other(), _mdp()), (A,), bellman_penalty, _bellman_of_mdp, BELLMAN
    ),
    "bellman, shaping": Case(
        general_shaping(_other(), _mdp()), (A,), bellman_penalty, _bellman_of_mdp, BELLMAN
    ),
    "bellman, Stackelberg": Case(_stackelberg(), (B,), bellman_penalty, _bellman_of_follower, BELLMAN),
    "Nikaido-Isoda, kernel": Case(
        general_game_family(_other(), _game()), (A, B), nikaido_isoda, _ni, NI
    ),
    "Nikaido-Isoda, incentives": Case(
        general_incentive_design(_other(), _game()), (A, B), nikaido_isoda, _ni, NI
    ),
    "leader": Case(
        _stackelberg(),
        (B,),
        _objective(leader_loss),
        lambda game, x, pi, _, H: -value(leader_chain(game, x, pi[0]), H),
        _closed_objective(exact_stackelberg.leader_loss),
    ),
    "designer": Case(
        general_incentive_design(_other(), _game()),
        (A, B),
        _objective(designer_loss),
        lambda design, _x, pi, _best, H: -value(designer_chain(design, *pi), H),
        _closed_objective(exact_design.designer_loss),
        moves_x=False,
    ),
    "shaping": Case(
        general_shaping(_other(), _mdp()),
        (A,),
        _objective(original_loss),
        lambda problem, _x, pi, _best, H: -value(fixed_chain(problem.original, pi[0]), H),
        _closed_objective(exact_shaping.original_loss),
        moves_x=False,
    ),
}


@dataclass(frozen=True, eq=False)
class Point:
    """x and logits with derivatives, as parameters of one problem."""

    x: Tensor
    y: list[Tensor]
    z: list[Tensor]

    @classmethod
    def of(cls, case: Case) -> "Point":
        g = torch.Generator().manual_seed(7)

        def drawn(shape: tuple[int, ...], scale: float) -> Tensor:
            return (scale * torch.randn(shape, generator=g, dtype=torch.float64)).requires_grad_()

        return cls(
            drawn(tuple(case.problem.domain.shape), 0.3),
            [drawn((S, n), 1.0) for n in case.sizes],
            [drawn((S, n), 1.0) for n in case.sizes],
        )

    @property
    def parameters(self) -> list[Tensor]:
        return [self.x, *self.y, *self.z]

    def policies(self, lead: bool = False) -> tuple[list[Tensor], list[Tensor]]:
        both = [[y.softmax(-1) for y in some] for some in (self.y, self.z)]
        if lead:
            both = [[pi[None] for pi in some] for some in both]
        return both[0], both[1]


def estimated(case: Case, point: Point, mean: Expectation) -> Tensor:
    pi, best = point.policies(lead=True)
    return case.estimate(tensors(case.problem), point.x[None], pi, best, mean).sum()


def tolerance(case: Case, count: int, steps: int) -> float:
    """General instances are of order one: 8 bounds all earnings and features (asserted below)."""
    tables = [np.abs(array).max() for array in _arrays(case.problem)]
    assert max(tables) < 8.0
    return 2.0 * rounding(8.0, 16.0, count, steps)


def _arrays(problem: Any) -> list[Any]:
    """All finite tables of a problem."""
    found = []
    for part in vars(problem).values():
        if isinstance(part, np.ndarray):
            found.append(part[np.isfinite(part)])
        elif hasattr(part, "__dict__"):
            found += _arrays(part)
    return [array for array in found if array.size]


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("settings", ["to go", "state values", "random horizon"])
def test_the_expectation_is_the_truncated_quantity(name: str, settings: str) -> None:
    """Value, and gradients in x and in the policies; companions are constants."""
    case = CASES[name]
    v_ps = torch.tensor([[0.8, -1.1]], dtype=torch.float64)
    estimators: dict[str, Estimator] = {
        "to go": Gpomdp(STEPS),
        "state values": Gpomdp(STEPS, StateValues(v_ps)),
        "random horizon": RandomHorizon(0.75),
    }
    estimator = estimators[settings]
    point = Point.of(case)
    got = estimated(case, point, Everything(estimator, STEPS))
    pi, best = point.policies()
    want = case.truncated(case.problem, point.x, pi, [b.detach() for b in best], STEPS)
    within = tolerance(case, 2000, STEPS)
    torch.testing.assert_close(got, want, rtol=0.0, atol=within)
    for i, (have, wanted) in enumerate(
        zip(gradients(got, point.parameters), gradients(want, point.parameters), strict=True)
    ):
        torch.testing.assert_close(have, wanted, rtol=0.0, atol=within)
        at_stake = case.moves_x if i == 0 else i <= len(point.y)
        assert (float(wanted.abs().max()) > 0.01) == at_stake


@pytest.mark.parametrize("name", CASES)
def test_the_truncated_quantity_tends_to_the_closed_form(name: str) -> None:
    """At 150 steps, 0.7^150 < 1e-23, the dynamic programme is the quantity of ``reference``."""
    case, steps = CASES[name], 150
    point = Point.of(case)
    pi, best = point.policies()
    got = case.truncated(case.problem, point.x, pi, [b.detach() for b in best], steps)
    x = point.x.detach().numpy()
    exact = case.closed(
        case.problem, x, [p.detach().numpy() for p in pi], [b.detach().numpy() for b in best]
    )
    within = tolerance(case, 0, 8)  # 1 / (1 - gamma) < 4 steps count
    torch.testing.assert_close(got.detach(), tensor(exact.value), rtol=0.0, atol=within)
    grad_x, *grad_y = gradients(got, [point.x, *point.y])
    torch.testing.assert_close(grad_x, tensor(exact.grad_x), rtol=0.0, atol=within)
    for have, entries, y in zip(grad_y, exact.grad_policies, point.y, strict=True):
        logits = y.detach().numpy()
        wanted = SoftmaxPolicy(logits.shape).pullback(logits, entries)
        torch.testing.assert_close(have, tensor(wanted), rtol=0.0, atol=within)


# Preferences.


@dataclass(frozen=True, eq=False)
class BatchesOfTwo:
    """Every batch of two pairs of segments of one step, each batch as a problem of its own."""

    def value(self, process: Process) -> Tensor:
        raise NotImplementedError

    def values(self, processes: Sequence[Process]) -> list[Tensor]:
        raise NotImplementedError

    def pairs(self, process: Process, steps: int) -> Pairs:
        assert steps == 1
        joint_psa = process.dynamics.rho_ps[..., None] * process.decision.policies[0].detach()
        k = torch.arange(joint_psa[0].numel())
        pairs = torch.cartesian_prod(k, k)
        i = torch.arange(len(pairs))
        index_pnk = pairs[torch.cartesian_prod(i, i)]  # batch, its two pairs, a pair's two segments
        assert index_pnk.shape[0] == process.dynamics.problems
        chance_pnk = joint_psa[0].flatten()[index_pnk]
        weight_pn = chance_pnk.prod(-1).prod(-1, keepdim=True).expand(-1, 2) / 2

        def segments(which_pn: Tensor) -> Trajectories:
            state, action = torch.unravel_index(which_pn, joint_psa.shape[1:])
            states_pnh = torch.stack([state, torch.zeros_like(state)], -1).to(INDEX)
            return Trajectories(
                states_pnh,
                action.unsqueeze(-1).to(INDEX),
                torch.ones_like(which_pn),
                process.dynamics.terminal_ps,
                process.dynamics.n_actions,
            )

        first, second = (segments(which) for which in index_pnk.unbind(-1))
        return Pairs(first, second, weight_pn)


def preferences(segment_length: int, delay: int, labels: Any = None) -> Rlhf:
    mdp = general_mdp(_generator(), n_states=2, n_actions=2, gamma=GAMMA)
    return general_rlhf(_other(), mdp, segment_length=segment_length, delay=delay, labels=labels)


@pytest.mark.parametrize(("length", "delay"), [(1, 0), (2, 0), (2, 1)])
@pytest.mark.parametrize("labels", [None, LabelByReturn(0.3)])
@pytest.mark.parametrize(
    "baseline",
    [NO_BASELINE, Constant(0.7), StateValues(torch.tensor([[0.8, -1.1]], dtype=torch.float64))],
    ids=["none", "constant", "state values"],
)
def test_the_preference_loss_is_the_exact_one(
    length: int, delay: int, labels: Any, baseline: Baseline
) -> None:
    """Nothing is truncated: the closed form over classes of segments itself."""
    problem = preferences(length, delay, labels)
    g = torch.Generator().manual_seed(8)
    x = torch.randn(2, generator=g, dtype=torch.float64).requires_grad_()
    y = torch.randn(2, 2, generator=g, dtype=torch.float64).requires_grad_()
    mean = Everything(Gpomdp(1), 1)
    loss = PreferenceLoss(baseline)(tensors(problem), x[None], (y.softmax(-1)[None],), mean).sum()
    soft = SoftmaxPolicy((2, 2))
    logits = y.detach().numpy()
    exact = exact_rlhf.preference_loss(problem, x.detach().numpy(), soft(logits))
    steps = length + delay
    within = 4.0 * rounding(8.0, 16.0, (2 * 4**steps) ** 2, steps)
    torch.testing.assert_close(loss.detach(), tensor(exact.value), rtol=0.0, atol=within)
    grad_x, grad_y = gradients(loss, (x, y))
    torch.testing.assert_close(grad_x, tensor(exact.grad_x), rtol=0.0, atol=within)
    wanted = tensor(soft.pullback(logits, exact.grad_policies[0]))
    torch.testing.assert_close(grad_y, wanted, rtol=0.0, atol=within)
    assert float(wanted.abs().max()) > 1e-3
    assert float(grad_x.abs().max()) > 1e-3


def test_leaving_one_pair_out_does_not_bias() -> None:
    problem = preferences(1, 0)
    g = torch.Generator().manual_seed(8)
    x = torch.randn(1, 2, generator=g, dtype=torch.float64).requires_grad_()
    y = torch.randn(1, 2, 2, generator=g, dtype=torch.float64).requires_grad_()
    copies, pi = tensors(stack([problem] * 256)), y.softmax(-1).expand(256, -1, -1)
    loss = PreferenceLoss(LeaveOneOut())(copies, x, (pi,), BatchesOfTwo()).sum()
    plain = PreferenceLoss()(tensors(problem), x, (y.softmax(-1),), Everything(Gpomdp(1), 1)).sum()
    for have, want in zip(gradients(loss, (x, y)), gradients(plain, (x, y)), strict=True):
        torch.testing.assert_close(have, want, rtol=0.0, atol=4.0 * rounding(8.0, 16.0, 512, 1))


# The leaves.


def test_every_twin_is_there() -> None:
    own_p = leaves(penalties.__name__, "PENALTY", Penalty)
    twins_p = leaves(exact_penalties.__name__, "PENALTY", ExactPenalty)
    assert {n: leaf.name for n, leaf in own_p.items()} == {n: leaf.name for n, leaf in twins_p.items()}
    own_o = leaves(objectives.__name__, "OBJECTIVE", Objective)
    twins_o = leaves(exact_objectives.__name__, "OBJECTIVE", ExactObjective)
    assert {n: leaf.name for n, leaf in own_o.items()} == {n: leaf.name for n, leaf in twins_o.items()}


def test_many_problems_at_once_are_each_alone() -> None:
    """Two games in one batch, with the words of each."""
    games = [random_stackelberg(np.random.default_rng(s), n_states=4) for s in (0, 1)]
    g = torch.Generator().manual_seed(0)
    x, y, z = (torch.randn(2, 4, 5, generator=g, dtype=torch.float64).requires_grad_() for _ in range(3))

    def total(problem: Any, which: slice, source: Any) -> Tensor:
        mean = MonteCarlo(Gpomdp(5, LeaveOneOut()), 6, source)
        pi, best = y[which].softmax(-1), z[which].softmax(-1)
        p = bellman_penalty(problem, x[which], (pi,), (best,), mean)
        return p + leader_loss(problem, x[which], (pi,), mean)

    kept = Kept(3)
    both = total(tensors(stack(games)), slice(0, 2), kept)
    got = gradients(both.sum(), (x, y))
    for p, game in enumerate(games):
        words = [word.movedim(-2, 0)[p : p + 1].movedim(0, -2) for word in kept.given]
        one = total(tensors(game), slice(p, p + 1), Replay(words))
        torch.testing.assert_close(one[0], both[p], rtol=1e-12, atol=1e-12)
        for have, want in zip(got, gradients(one.sum(), (x, y)), strict=True):
            torch.testing.assert_close(have[p], want[p], rtol=1e-12, atol=1e-12)


def test_bad_input() -> None:
    source = Independent(torch.Generator().manual_seed(0))
    mean = MonteCarlo(Gpomdp(2), 2, source)
    game, g = tensors(_stackelberg()), torch.Generator().manual_seed(0)
    x = torch.randn(1, S, A, generator=g, dtype=torch.float64)
    pi = torch.full((1, S, B), 1.0 / B, dtype=torch.float64)
    with pytest.raises(InputError, match="companions has 2 entries; the penalty compares 1"):
        value_penalty(game, x, (pi,), (pi, pi), mean)
    with pytest.raises(InputError, match=r"x has shape \(1, 2, 2\); it must be \(1, 2, 3\)"):
        leader_loss(game, x[..., :2], (pi,), mean)
    design = tensors(general_incentive_design(_other(), _game()))
    with pytest.raises(InputError, match="policies has 1 entries"):
        nikaido_isoda(design, x, (pi,), (pi,), mean)
