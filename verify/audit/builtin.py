"""The built-in estimators, penalties and objectives as subjects of audits."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from math import ceil, log
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reference.errors import InputError
from reference.policies import SoftmaxPolicy
from reference.truncated import Truncation
from reference.validation import Array
from sampled import estimators
from sampled.baselines import LeaveOneOut, StateValues
from sampled.controls import Lookahead
from sampled.conversion import tensors
from sampled.enumeration import MOST, Everything
from sampled.estimators.contract import Estimator, EstimatorKind, Target
from sampled.estimators.control_variate import ControlVariate
from sampled.estimators.gpomdp import Gpomdp
from sampled.estimators.random_horizon import RandomHorizon
from verify.audit import preferences
from verify.audit.contract import Subject, flat
from verify.audit.decomposition import Blocks, Cut, Policies, baseline_bias, decompose
from verify.audit.problems import Setting, default_problems
from verify.audit.quantities import QUANTITIES, Quantity
from verify.audit.ranges import Bounds, bounded_gains
from verify.audit.walks import Make, Walks
from verify.leaves import leaves

STEPS = 5
"""Steps of truncated estimators: the paper's."""

ENUMERATED_STEPS = 3
ENUMERATED_WALK = 6
"""Steps of a random horizon that are enumerated."""

TRAJECTORIES = 1 << 18
"""More trajectories, or pairs of them, than this are not enumerated."""


def truncation(target: Target) -> Truncation:
    """The exact twin of one problem's target."""
    critic_s = None if target.critic_ps is None else target.critic_ps[0].detach().numpy()
    return Truncation(target.steps, target.discounted, target.trace, critic_s)


def companions_of(quantity: Quantity, setting: Setting) -> tuple[Policies, Policies]:
    """Exact companions, and approximate ones: the exact ones mixed with the policy at hand.

    Raises
    ------
    InputError
        If the problem has no such quantity.
    """
    require(quantity, setting)
    if quantity.companions is None:
        return (), ()
    policies = tuple(SoftmaxPolicy((y.shape[0], y.shape[1]))(y) for y in setting.logits)
    exact = quantity.companions(setting.problem, setting.x, policies)
    return exact, tuple(0.8 * best + 0.2 * own for best, own in zip(exact, policies, strict=True))


def require(quantity: Quantity, setting: Setting) -> None:
    """Raise ``InputError`` if the problem lacks the quantity."""
    players = len(setting.logits)
    if isinstance(setting.problem, quantity.kind) and players == quantity.players:
        return
    has = [
        q.name
        for q in QUANTITIES.values()
        if isinstance(setting.problem, q.kind) and players == q.players
    ]
    raise InputError(
        f"problem {setting.name} has no {quantity.name}: it is a "
        f"{type(setting.problem).__name__} of {players} player(s), whose targets are "
        f"{', '.join(has) or 'none'}"
    )


def subject(
    name: str,
    title: str,
    quantity: Quantity,
    setting: Setting,
    make: Make,
    *,
    batch: int | None = None,
    approximate: bool = False,
    as_called: bool = False,
    reference: Make | None = None,
) -> Subject:
    """Return an estimator of :mod:`sampled` as the subject of an audit.

    Parameters
    ----------
    name, title : str
    quantity : Quantity
    setting : Setting
    make : callable
        From a number of copies of the problem to the estimator.
    batch : int, optional
        Trajectories of one estimate, per process; as few as it needs if not given.
    approximate : bool
        Whether companions are approximate.
    as_called : bool
        Whether trajectories are drawn for all processes at once, as everyone draws them, and not with
        common random numbers.
    reference : callable, optional
        Another estimator with the same declared expectation, which is subtracted on the same
        trajectories: far fewer samples, but the simulator's law is taken for granted.

    Raises
    ------
    InputError
        If the problem lacks the quantity, or the batch is too small.
    """
    exact, near = companions_of(quantity, setting)
    used = near if approximate else exact
    one = make(1)
    n = one.batch if batch is None else batch
    if n < one.batch:
        raise InputError(f"the batch is {n}; the estimator needs {one.batch} trajectories")
    problem = tensors(setting.problem)
    point = (setting.x, setting.logits, used)
    walks = Walks.of(quantity, problem, point, make, n)
    target = truncation(one.target)

    def gradient(companions: Policies, cut: Cut) -> Blocks:
        return quantity.gradient(setting.problem, setting.x, setting.logits, companions, cut)

    lowered = _baseline(quantity, setting, one)
    split = decompose(gradient, exact, used, target, lowered)
    shapes = {block: array.shape for block, array in split.declared.items()}
    made = Subject(
        name,
        title,
        shapes,
        split,
        walks.low,
        walks.high,
        walks.draw_as_called if as_called else walks.draw,
        batch=n,
        most_rows=_rows(one, n),
        exact=_gate(walks, one, partial(gradient, used), shapes, target),
        anchored=partial(walks.anchored, 64),
    )
    return made if reference is None else _paired(made, quantity, problem, point, reference)


def _rows(estimator: Estimator, batch: int) -> int:
    """Rows of a call: so many that its trajectories fit the caches."""
    steps = estimator.target.steps
    if steps is None:
        continuation = getattr(estimator, "continuation", 0.9)
        steps = ceil(10.0 / (1.0 - continuation))
    return 1 << max(6, min(13, int(log(1 << 18, 2) - log(steps * batch, 2))))


def _baseline(quantity: Quantity, setting: Setting, estimator: Estimator) -> Blocks | None:
    """The baseline's term of a value, step by step; None of penalties, whose walks have several."""
    baseline = getattr(estimator, "baseline", None)
    if quantity.name != "value" or baseline is None:
        return None
    mdp = setting.problem.at(setting.x)
    steps = estimator.target.steps
    count = steps if steps is not None else ceil(log(1e-17) / log(max(mdp.gamma, 1e-17)))
    one_s = np.ones(mdp.n_states)
    values = getattr(baseline, "values_ps", None)
    level = getattr(baseline, "level", 0.0)
    b_s = values[0].numpy() if isinstance(values, Tensor) else level * one_s
    b_hs = np.tile(b_s, (count, 1))
    if isinstance(baseline, LeaveOneOut):
        # The mean of the others' rewards to go, the same whatever this trajectory does.
        means = _rewards_to_go(setting, count)
        b_hs = means[:, None] * one_s
    return baseline_bias(setting.problem, setting.x, setting.logits[0], mdp.gamma, b_hs)


def _rewards_to_go(setting: Setting, count: int) -> Array:
    """E sum_{k >= h} gamma^(k-h) c_k for h < H, (H,)."""
    mdp = setting.problem.at(setting.x)
    pi_sa = SoftmaxPolicy((mdp.n_states, mdp.n_actions))(setting.logits[0])
    c_s = (pi_sa * mdp.r_sa).sum(-1) - mdp.tau * mdp.regularizer.value(pi_sa)
    P_st = np.einsum("sa,sat->st", pi_sa, mdp.P_sat)
    mass_s, earned = mdp.rho_s, []
    for _ in range(count):
        earned.append(float(mass_s @ c_s))
        mass_s = mass_s @ P_st
    found, last = [], 0.0
    for c in reversed(earned):
        last = c + mdp.gamma * last
        found.append(last)
    return np.array(found[::-1])


def _gate(
    walks: Walks,
    estimator: Estimator,
    gradient: Callable[[Cut], Blocks],
    shapes: Mapping[str, tuple[int, ...]],
    target: Truncation,
) -> Callable[[], tuple[Array, Array]] | None:
    """Tier 0, where every trajectory can be enumerated: none otherwise."""
    steps = target.steps if target.steps is not None else ENUMERATED_WALK
    dynamics = [walk.process.dynamics for walk in walks.walks]
    counts = [d.n_states * (d.P_psjt.shape[2] * d.n_states) ** steps for d in dynamics]
    most = max(counts) ** estimator.batch * (1 if target.steps is not None else steps)
    if most > min(TRAJECTORIES, MOST):
        return None
    kept = target if target.steps is not None else replace(target, steps=steps)

    def exact() -> tuple[Array, Array]:
        found = walks.gradient(Everything(estimator, steps))
        error = found - flat(gradient(lambda _: kept), shapes)
        # A weighted mean of ``most`` terms, each a sum of products: some units per factor and term.
        units = float(np.finfo(np.float64).eps) * (most + 64.0 * steps)
        return error, units * np.maximum(walks.size, 1.0)

    return exact


def _paired(
    own: Subject,
    quantity: Quantity,
    problem: Any,
    point: tuple[Array, Policies, Policies],
    reference: Make,
) -> Subject:
    """Common random numbers: the reference on the same words is subtracted, its expectation added."""
    other = Walks.of(quantity, problem, point, reference, own.batch)
    declared = own.declared

    def draw(rows: int, generator: torch.Generator) -> Array:
        state = generator.get_state()
        mine = own.draw(rows, generator)
        return np.asarray(mine - other.draw(rows, generator.set_state(state)) + declared)

    return replace(
        own,
        title=f"{own.title}, against another estimator on the same trajectories",
        draw=draw,
        low=own.low - other.high + declared,
        high=own.high - other.low + declared,
        given_law=True,
    )


# The list.


@dataclass(frozen=True)
class Listed:
    """An audit by name; building it costs little, but some seconds for all."""

    name: str
    build: Callable[[], Subject]


def listed() -> tuple[Listed, ...]:
    """All built-in audits in order; an audit's place is that in this list, from 1."""
    return (*_estimators(), *_penalties(), *_objectives())


def _estimators() -> Iterator[Listed]:
    kinds = leaves(estimators.__name__, "ESTIMATOR", EstimatorKind)
    for problem in ("tiny", "general", "slow"):
        for file, kind in kinds.items():
            random = file == "random_horizon"
            if random and problem == "slow":
                continue  # the range of an estimate is thousands of times the gradient
            for setting in kind.variants(2, torch.zeros(1, 1)):
                name = f"{file}.{setting.replace(' ', '_')}.{problem}"
                yield Listed(name, partial(_estimator, name, file, setting, problem))


def _estimator(name: str, file: str, variant: str, problem: str) -> Subject:
    kind = leaves(estimators.__name__, "ESTIMATOR", EstimatorKind)[file]
    setting = default_problems()[problem]
    mdp = setting.problem.at(setting.x)
    # A critic and a baseline that are far from right: their terms must show.
    values_s = np.random.default_rng(1).normal(size=mdp.n_states)
    steps = ENUMERATED_STEPS if problem == "tiny" else STEPS
    if problem == "tiny" and "leave one out" in variant:
        steps = 2  # every pair of trajectories is enumerated
    if file == "random_horizon":
        steps = ceil(2.0 / (1.0 - mdp.gamma))
    values_ps = torch.from_numpy(values_s).unsqueeze(0)

    def make(copies: int) -> Estimator:
        return kind.variants(steps, values_ps.expand(copies, -1))[variant]

    title = f"{kind.name}, {variant}, on {problem}"
    return subject(name, title, QUANTITIES["value"], setting, make)


ON = {
    "value_penalty": ("general", "slow", "stackelberg"),
    "bellman_penalty": ("general", "slow", "stackelberg"),
    "nikaido_isoda": ("game", "design"),
    "leader_loss": ("stackelberg",),
    "original_loss": ("shaping",),
    "designer_loss": ("design",),
}


def _penalties() -> Iterator[Listed]:
    for quantity in ("value_penalty", "bellman_penalty", "nikaido_isoda"):
        for problem in ON[quantity]:
            for approximate in (False, True):
                tail = ".approximate" if approximate else ""
                name = f"{quantity}.{problem}{tail}"
                yield Listed(name, partial(_walking, name, quantity, problem, approximate))


def _objectives() -> Iterator[Listed]:
    for quantity in ("leader_loss", "original_loss", "designer_loss"):
        for problem in ON[quantity]:
            name = f"{quantity}.{problem}"
            yield Listed(name, partial(_walking, name, quantity, problem, False))
    for quantity, problem in (("value_penalty", "stackelberg"), ("nikaido_isoda", "design")):
        name = f"{quantity}.{problem}.as_called"
        yield Listed(name, partial(_walking, name, quantity, problem, False, as_called=True))
    for quantity in ("value_penalty", "bellman_penalty"):
        name = f"{quantity}.general.control_variate"
        yield Listed(name, partial(_walking, name, quantity, "general", False, controlled=True))
    yield Listed("preference_loss.preferences", _preference)
    yield Listed(
        "original_loss.shaping.random_horizon",
        partial(_endless, "original_loss.shaping.random_horizon", "original_loss", "shaping"),
    )


def _walking(
    name: str,
    quantity: str,
    problem: str,
    approximate: bool,
    *,
    controlled: bool = False,
    as_called: bool = False,
) -> Subject:
    kind = "a control variate" if controlled else "GPOMDP"
    title = f"{QUANTITIES[quantity].title} by {kind} on {problem}"
    if approximate:
        title += ", at approximate companions"
    if as_called:
        title += ", all walks drawn at once"
    setting = default_problems()[problem]
    baseline_s = _short_values(QUANTITIES[quantity], setting)

    def make(copies: int) -> Estimator:
        if baseline_s is None:
            return Gpomdp(STEPS)
        values_ps = torch.from_numpy(baseline_s).expand(copies, -1)
        if controlled:
            return ControlVariate(STEPS, Lookahead(values_ps))
        return Gpomdp(STEPS, StateValues(values_ps))

    found = QUANTITIES[quantity]
    return subject(name, title, found, setting, make, approximate=approximate, as_called=as_called)


def _short_values(quantity: Quantity, setting: Setting) -> Array | None:
    """Exact values of half the steps at the companion: a baseline that makes certificates cheaper."""
    exact, _ = companions_of(quantity, setting)
    if len(exact) != 1:
        return None
    mdp, (pi_sa,) = setting.problem.at(setting.x), exact
    c_s = (pi_sa * mdp.r_sa).sum(-1) - mdp.tau * mdp.regularizer.value(pi_sa)
    P_st = np.einsum("sa,sat->st", pi_sa, mdp.P_sat)
    v_s = np.zeros_like(c_s)
    for _ in range((STEPS + 1) // 2):
        v_s = c_s + mdp.gamma * P_st @ v_s
    return np.asarray(v_s)


def _preference() -> Subject:
    return preferences.subject("preference_loss.preferences", default_problems()["preferences"])


def _endless(name: str, quantity: str, problem: str) -> Subject:
    setting = default_problems()[problem]
    continuation = 0.5 * (1.0 + setting.problem.at(setting.x).gamma)
    title = f"{QUANTITIES[quantity].title} by random horizons on {problem}"
    make: Make = lambda _: RandomHorizon(continuation)  # noqa: E731 - the contract is a function
    return subject(name, title, QUANTITIES[quantity], setting, make)


__all__ = ["Bounds", "Listed", "bounded_gains", "listed", "subject"]
