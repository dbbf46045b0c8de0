"""The experiments: pure functions of their parameters, each of which gives one JSON document.

bound        both sides of every bound at each K, oracles exact, lagging, biased and adversarial
iterations   iterations until the average squared projected gradient is at most eps
inner        steps of mirror descent until the oracle is accurate enough
step         how much longer than 1 / (L_f + lambda L_p) a step may be: an observation
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from reference.algorithms.oracles import Exact, MirrorDescent, Oracle
from reference.algorithms.players import views
from reference.constants import bounds
from reference.evaluation import evaluate
from reference.optimality import MirrorState, mirror_start, mirror_step, policy_iteration
from reference.problems.mdp import Mdp
from reference.validation import Array
from verify.contract import Level
from verify.converge.bounds import (
    FORMS,
    PRINTED,
    PROVED,
    Course,
    Form,
    as_said,
    as_used,
    findings,
    first_failure,
    without_accuracy,
)
from verify.converge.findings import Finding, number
from verify.converge.fits import least_squares, mean, spaced, tail_exponent
from verify.converge.kinds import KINDS, NIKAIDO_ISODA, VALUE, Kind
from verify.converge.oracles import Biased
from verify.converge.problems import Recipe, Setup, flips
from verify.converge.runs import moved, observed, recorded

SHARES = (0.0, 2.0 / 7.0, 0.5, 0.8, 0.9, 0.95, 1.0)
"""Of the flips."""

POINTS = 24
"""Of a curve that is drawn."""


class Unit(Protocol):
    """An experiment."""

    @property
    def name(self) -> str:
        """Unique, dotted, of words."""
        ...

    @property
    def title(self) -> str:
        """In a few words."""
        ...

    def run(self, folder: Path | None = None) -> dict[str, Any]:
        """Make it, with checkpoints in a folder of its own; ``findings`` are what was proved."""
        ...


@dataclass(frozen=True, eq=False)
class Bound:
    """A run held to every bound.

    Attributes
    ----------
    word : str
    title : str
    setup : callable
    oracle : str
        Its oracles, in words.
    iterations : int
    alike : bool
        Whether the members are draws of one kind, so that a mean over them says something.
    """

    word: str
    title: str
    setup: Callable[[], Setup]
    oracle: str
    iterations: int
    alike: bool = True

    @property
    def name(self) -> str:
        """With the section in front."""
        return f"bound.{self.word}"

    def course(self, folder: Path | None = None) -> Course:
        """Run."""
        setup = self.setup()
        rows, _ = observed(setup.algorithm, setup.state, self.iterations, recorded, folder)
        return Course.of(setup, rows)

    def run(self, folder: Path | None = None) -> dict[str, Any]:
        """Both sides at each K; curves of the first member, or of the tightest if they are not alike."""
        course = self.course(folder)
        found = list(findings(course))
        setup, counts = course.setup, course.counts
        lhs, rhs, _ = PROVED.sides(course)
        ratio = np.where(rhs > 0.0, lhs / np.where(rhs > 0.0, rhs, 1.0), 0.0)
        member = 0 if self.alike else int(ratio.max(axis=0).argmax())
        chosen = spaced(self.iterations, POINTS) - 1
        curve = {
            "K": [int(k) + 1 for k in chosen],
            "average": _drawn(lhs[chosen, member]),
            "eps_as_said": _drawn((as_said(course) / counts)[chosen, member]),
            "eps_as_used": _drawn((as_used(course) / counts)[chosen, member]),
        }
        for form in FORMS:
            curve[form.key] = _drawn(form.sides(course)[1][chosen, member])
        free_lhs, free_rhs, _ = without_accuracy(PROVED).sides(course)
        return {
            **_described(setup),
            "oracle": self.oracle,
            "iterations": self.iterations,
            "gap": number(float(course.F[0, member] - setup.lowest[member])),
            "lowest_seen": number(float(course.F[:, member].min())),
            "member": member,
            "curve": curve,
            "tightest_by_K": _drawn(ratio[chosen].max(axis=1)),
            "largest_eps_as_said": number(float((as_said(course) / counts).max())),
            "largest_eps_as_used": number(float((as_used(course) / counts).max())),
            "without_eps": number(float((free_lhs / free_rhs).max())),
            "exponents": _exponents(course, alike=self.alike),
            "findings": [finding.document() for finding in found],
        }


def _exponents(course: Course, *, alike: bool = True) -> dict[str, Any]:
    """Slopes over the last decade of K, per member: of the average, and of the least so far.

    K times the average does not decrease, so its exponent is at least -1; the bound with exact oracles
    says that in the end it is at most -1.
    """
    average = course.G / course.counts
    best = np.minimum.accumulate(course.g**2, axis=0)
    members = range(average.shape[1])
    slopes = [tail_exponent(average[:, i]) for i in members]
    found: dict[str, Any] = {
        "range": list(slopes[0][1]),
        "average": [slope.document() for slope, _ in slopes],
        "best": [
            tail_exponent(best[:, i])[0].document() if best[-1, i] > 0.0 else None for i in members
        ],
    }
    if alike and len(members) > 1:
        found["mean_of_average"] = mean(np.array([slope.value for slope, _ in slopes])).document()
    return found


@dataclass(frozen=True, eq=False)
class Iterations:
    """Iterations to reach eps, from one kind of start and for one lambda, with exact oracles.

    Attributes
    ----------
    recipe : Recipe
    warm : bool
        Whether the start solves the lower level, so that the penalty is zero there.
    eps : tuple of float
        Decreasing.
    most : int
        Iterations after which it is given up.
    """

    recipe: Recipe
    warm: bool
    eps: tuple[float, ...]
    most: int

    @property
    def start(self) -> str:
        """In a word."""
        return "warm" if self.warm else "fixed"

    @property
    def name(self) -> str:
        """With the section in front."""
        return f"iterations.{self.recipe.kind.key}.{self.start}.lambda_{self.recipe.strength:g}"

    @property
    def title(self) -> str:
        """In words."""
        return f"{self.recipe.kind.title}, {self.start} start, lambda = {self.recipe.strength:g}"

    def run(self, folder: Path | None = None) -> dict[str, Any]:
        """Count, and hold the counts to what is proved."""
        setup = self.recipe.setup(warm=self.warm)

        def reached(rows: Array) -> bool:
            return bool(((rows[:, 0] ** 2).sum(axis=0) <= self.eps[-1] * len(rows)).all())

        rows, _ = observed(setup.algorithm, setup.state, self.most, moved, folder, until=reached)
        course = exact_course(setup, rows[:, 0])
        average, best = course.G / course.counts, np.minimum.accumulate(course.g**2, axis=0)
        counted: list[dict[str, Any]] = []
        for eps in self.eps:
            proved = PROVED.c1 * course.D / eps
            counted.append(
                {
                    "eps": eps,
                    "iterations": [_first(average[:, i] <= eps) for i in range(average.shape[1])],
                    "best": [_first(best[:, i] <= eps) for i in range(best.shape[1])],
                    "proved": [math.ceil(k) for k in proved],
                    "needed": [max(1, math.ceil(k)) for k in course.g[0] ** 2 / eps],
                }
            )
        return {
            **_described(setup),
            "start": self.start,
            "penalty_at_start": _numbers((course.F[0] - _upper_value(setup)) / setup.strength),
            "made": len(rows),
            "counts": counted,
            "exponents": _exponents(course),
            "findings": [finding.document() for finding in self._held(course, counted)],
        }

    def _held(self, course: Course, counted: list[dict[str, Any]]) -> Iterator[Finding]:
        """The counts against the proved ones, and the bound at each K."""
        late = len(course.g) + 1  # at least that many are needed where a count is missing
        enough = [
            (late if K is None else K, proved, entry["eps"], i)
            for entry in counted
            for i, (K, proved) in enumerate(zip(entry["iterations"], entry["proved"], strict=True))
        ]
        needed = [
            (least, K, entry["eps"], i)
            for entry in counted
            for i, (K, least) in enumerate(zip(entry["iterations"], entry["needed"], strict=True))
            if K is not None
        ]
        for key, words, pairs in (
            ("enough", "iterations until the average is at most eps <= (9/4) D / eps", enough),
            ("needed", "|G_1|^2 / eps <= iterations until the average is at most eps", needed),
        ):
            if pairs:
                lhs, rhs, eps, member = max(pairs, key=lambda pair: pair[0] / max(pair[1], 1))
                where = f"{self.title}, eps = {eps:g}, member {member}"
                # The rounding of the average can move a count by one.
                yield Finding(key, words, float(lhs), float(max(rhs, 1)), 1.0, where, len(pairs))
        yield next(finding for finding in findings(course) if finding.key == PROVED.key)


def exact_course(setup: Setup, g: Array) -> Course:
    """Course of a run with exact oracles, of which only the steps are known; F at the start only."""
    policies = setup.algorithm.bilevel.policies(setup.state.y)
    penalty = setup.kind.penalty.exact(setup.algorithm.bilevel.problem, setup.state.x, policies)
    F = _upper_value(setup) + setup.strength * penalty.value
    return Course(setup, np.broadcast_to(F, g.shape), g, np.zeros_like(g), g)


def _upper_value(setup: Setup) -> Array:
    return setup.algorithm.bilevel.evaluate(setup.state.x, setup.state.y).value


def _first(holds: npt.NDArray[np.bool_]) -> int | None:
    """The first K at which it holds."""
    return int(holds.argmax()) + 1 if holds.any() else None


@dataclass(frozen=True, eq=False)
class Inner:
    """Steps of mirror descent from a fresh start until 20 lambda^2 error^2 <= eps_orac.

    The errors depend on lambda not at all, so one run tells the steps for every lambda^2 / eps_orac.

    Attributes
    ----------
    recipe : Recipe
    step : float
        eta.
    most : int
        Steps.
    quotients : tuple of float
        lambda^2 / eps_orac.
    """

    recipe: Recipe
    step: float
    most: int
    quotients: tuple[float, ...]

    @property
    def name(self) -> str:
        """With the section in front."""
        return f"inner.{self.recipe.kind.key}"

    @property
    def title(self) -> str:
        """In words."""
        return f"{self.recipe.kind.title}, gamma = {self.recipe.gamma:g}, eta = {self.step:g}"

    def run(self, folder: Path | None = None) -> dict[str, Any]:  # noqa: ARG002 - it is short
        """Count, fit, and hold the errors to what is proved.

        With a = 1 / (1 + eta tau) and q = a + (1 - a) gamma the distance of a player's policy after T
        steps is at most ( sqrt(S A) / tau ) ( q^T b + (q^T - a^T) c ), b = max |Q* - tau xi^0| and
        c = max (tau xi^0 - Q^0)_+, and C times the sum of the distances bounds the error.
        """
        setup = self.recipe.setup()
        problem, kind = setup.algorithm.bilevel.problem, setup.kind
        x, y = setup.state.x, _spread(self.recipe)
        mdps = views(problem.at(x), y)
        exact = kind.penalty.evaluate(problem, x, y, kind.penalty.companions(problem, x, y))
        paths = [list(_path(mdp, self.step, self.most)) for mdp in mdps]
        C = np.array([kind.companion_error(bounds(family)) for family in self.recipe.families()])
        a = 1.0 / (1.0 + self.step * self.recipe.tau)
        q = rate(self.step, self.recipe.tau, self.recipe.gamma)
        starts = [_distances(mdp) for mdp in mdps]
        errors, along, proved = [], [], []
        for T in range(self.most + 1):
            estimate = kind.penalty.evaluate(problem, x, y, tuple(path[T] for path in paths))
            parts = [
                new - old for new, old in zip(estimate.grad_policies, exact.grad_policies, strict=True)
            ]
            off_x = ((estimate.grad_x - exact.grad_x) ** 2).sum(axis=-1)
            errors.append(np.sqrt(off_x + sum((part**2).sum(axis=(-2, -1)) for part in parts)))
            tangent = [part - part.mean(axis=-1, keepdims=True) for part in parts]
            along.append(np.sqrt(off_x + sum((part**2).sum(axis=(-2, -1)) for part in tangent)))
            proved.append(C * sum(scale * (q**T * b + (q**T - a**T) * c) for scale, b, c in starts))
        steps = [self._steps(np.stack(errors), r) for r in self.quotients]
        promised = [self._steps(np.stack(proved), r) for r in self.quotients]
        logs = np.log(np.array(self.quotients))
        slopes = [
            least_squares(logs[:, None], np.array([row[i] for row in steps], dtype=float))[0]
            for i in range(len(C))
            if all(row[i] is not None for row in steps)
        ]
        return {
            **_described(setup),
            "eta": self.step,
            "rate": q,
            "quotients": list(self.quotients),
            "steps": steps,
            "proved": promised,
            "slope": mean(np.array([slope.value for slope in slopes])).document(),
            "proved_slope": 0.5 / math.log(1.0 / q),
            "findings": [self._held(setup, np.stack(along), np.stack(proved)).document()],
        }

    def _steps(self, errors: Array, quotient: float) -> list[int | None]:
        """The least T from which on 20 lambda^2 error^2 <= eps_orac; none if that is too late."""
        above = 20.0 * quotient * errors**2 > 1.0
        late = len(errors) - above[::-1].argmax(axis=0)
        after = np.where(above.any(axis=0), late, 0)
        return [int(T) if len(errors) > T else None for T in after]

    def _held(self, setup: Setup, along: Array, proved: Array) -> Finding:
        tolerance = 2.0 * setup.gradient_rounding / setup.strength
        ratio = along / (proved + tolerance)
        T, member = np.unravel_index(int(ratio.argmax()), ratio.shape)
        return Finding(
            "companion",
            "error of the gradient after T steps, along the simplices <= C times the distance by (C.32)",
            float(along[T, member]),
            float(proved[T, member]),
            tolerance,
            f"{self.title}, member {member}, T = {T}",
            along.shape[1],
        )


def rate(step: float, tau: float, gamma: float) -> float:
    """q of (C.32): a + (1 - a) gamma, with a = 1 / (1 + eta tau)."""
    return (1.0 + step * tau * gamma) / (1.0 + step * tau)


def _spread(recipe: Recipe) -> tuple[Array, ...]:
    """Policies in general position."""
    draws = recipe.generator("policies")
    return tuple(
        draws.dirichlet(np.ones(n), size=(recipe.members, recipe.n_states)) for n in recipe.kind.actions
    )


def _path(mdp: Mdp, step: float, most: int) -> Iterator[Array]:
    """Policies of mirror descent after 0, 1, ... steps from the dual point 0."""
    state = MirrorState(np.zeros_like(mirror_start(mdp).xi_sa), mirror_start(mdp).pi_sa)
    for _ in range(most + 1):
        yield state.pi_sa
        state = mirror_step(mdp, state, step)


def _distances(mdp: Mdp) -> tuple[float, Array, Array]:
    """Factor, b and c of the rate of mirror descent from the dual point 0."""
    first = evaluate(mdp, mirror_start(mdp).pi_sa)
    b = np.abs(policy_iteration(mdp).q_sa).max(axis=(-2, -1))
    c = np.maximum(-first.q_sa, 0.0).max(axis=(-2, -1))
    return math.sqrt(mdp.n_states * mdp.n_actions) / mdp.tau, b, c


@dataclass(frozen=True, eq=False)
class Step:
    """The largest multiple of the step with which a bound holds: an observation, not a claim.

    It is quadrupled until the bound fails at some K, and the last quadrupling is bisected.  A longer
    step may hold again, as on a compact Z no step is longer than its diameter.

    Attributes
    ----------
    word : str
    title : str
    setup : callable
        Of a multiple; with exact oracles.
    iterations : int
    most : int
        Quadruplings.
    """

    word: str
    title: str
    setup: Callable[[float], Setup]
    iterations: int
    most: int

    @property
    def name(self) -> str:
        """With the section in front."""
        return f"step.{self.word}"

    def run(self, folder: Path | None = None) -> dict[str, Any]:  # noqa: ARG002 - each run is short
        """Search for each form."""
        course = lru_cache(maxsize=None)(self._course)
        first = course(1.0)
        return {
            **_described(first.setup),
            "title": self.title,
            "iterations": self.iterations,
            "largest": {form.key: self._largest(form, course) for form in (PRINTED, PROVED)},
            "findings": [f.document() for f in findings(first) if f.key in {PRINTED.key, PROVED.key}],
        }

    def _course(self, multiple: float) -> Course:
        setup = self.setup(multiple)
        rows, _ = observed(setup.algorithm, setup.state, self.iterations, moved)
        return exact_course(setup, rows[:, 0])

    def _largest(self, form: Form, course: Callable[[float], Course]) -> dict[str, Any]:
        holds, fails, at = 1.0, None, None
        for power in range(1, self.most + 1):
            failure = first_failure(form, course(4.0**power))
            if failure is not None:
                fails, at = 4.0**power, failure
                break
            holds = 4.0**power
        while fails is not None and fails / holds > 1.01:
            middle = math.sqrt(fails * holds)
            failure = first_failure(form, course(middle))
            if failure is None:
                holds = middle
            else:
                fails, at = middle, failure
        return {"holds": holds, "fails": fails, "fails_at_K": at}


def _described(setup: Setup) -> dict[str, Any]:
    """What is known of a run before it is made."""
    return {
        "problem": setup.title,
        "kind": setup.kind.key,
        "theorem": setup.kind.theorem,
        "members": len(setup.lowest),
        "gamma": setup.gamma,
        "tau": setup.tau,
        "lambda": setup.strength,
        "L_f": setup.upper,
        "L_p": setup.lower,
        "alpha": setup.alpha,
        "lowest": _numbers(setup.lowest),
    }


def _numbers(values: Array) -> list[float | None]:
    return [number(float(value)) for value in values]


def _drawn(values: Array) -> list[float | None]:
    """Six digits."""
    return [number(float(f"{value:.5e}")) for value in values]


# What is done at each level.


@dataclass(frozen=True)
class Size:
    """How much of everything."""

    members: int
    iterations: int
    flips: int
    strengths: tuple[float, ...]
    accuracies: int
    most: int
    inner: int
    points: int
    steps: int
    step_gammas: tuple[float, ...]


SIZES = {
    Level.QUICK: Size(4, 30, 40, (2.0, 4.0, 8.0), 3, 160, 4, 7, 16, (0.1,)),
    Level.STANDARD: Size(6, 400, 60, (4.0, 8.0, 16.0, 32.0, 64.0), 3, 4000, 8, 16, 100, (0.1, 0.9)),
    Level.DEEP: Size(
        16, 4000, 400, (4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0), 4, 60000, 32, 31, 400, (0.1, 0.9)
    ),
}

ORACLES: tuple[tuple[str, str, Oracle], ...] = (
    ("exact", "exact", Exact()),
    ("mirror", "one step of mirror descent from the last policy", MirrorDescent(1.0, 1)),
    ("biased", "the optimal policy mixed with the first action, half and half", Biased(0.5)),
)

GAMMAS = (0.5, 0.9)
"""Beside 0.1: with larger ones the proved constants grow."""


def scaled(kind: Kind, recipe: Recipe) -> Recipe:
    """Games get smaller rewards, as their constants are larger."""
    return replace(recipe, scale=0.1, n_states=2) if kind is NIKAIDO_ISODA else recipe


def bound_units(size: Size, seed: int, kinds: tuple[Kind, ...] = KINDS) -> Iterator[Bound]:
    """Every penalty with every oracle, then with larger gamma, then the tight family."""
    for kind in kinds:
        recipe = scaled(kind, Recipe(kind, f"bound {kind.key}", seed, size.members))
        for word, words, oracle in ORACLES:
            title = f"{kind.title}, {word} oracle"
            yield Bound(f"{kind.key}.{word}", title, _Made(recipe, oracle), words, size.iterations)
        for gamma in GAMMAS:
            wider = replace(recipe, gamma=gamma)
            word, title = f"gamma_{round(100 * gamma)}", f"{kind.title}, gamma = {gamma:g}"
            yield Bound(f"{kind.key}.{word}", title, _Made(wider, Exact()), "exact", size.iterations)
        yield flip_unit(kind, size.flips)


def flip_unit(kind: Kind, iterations: int) -> Bound:
    """The tight family."""
    words = "errors that are shares of the gradient, 0 to 1"
    title = f"{kind.title}, tight family"
    return Bound(f"{kind.key}.flips", title, _Flips(kind), words, iterations, alike=False)


@dataclass(frozen=True, eq=False)
class _Made:
    recipe: Recipe
    oracle: Oracle

    def __call__(self) -> Setup:
        return self.recipe.setup(self.oracle)


@dataclass(frozen=True, eq=False)
class _Flips:
    kind: Kind

    def __call__(self) -> Setup:
        return flips(self.kind, SHARES)


@dataclass(frozen=True, eq=False)
class _Longer:
    recipe: Recipe

    def __call__(self, multiple: float) -> Setup:
        return self.recipe.setup(multiple=multiple)


@dataclass(frozen=True, eq=False)
class _Bowl:
    kind: Kind

    def __call__(self, multiple: float) -> Setup:
        return flips(self.kind, (0.0,), multiple=multiple)


def iteration_units(size: Size, seed: int) -> Iterator[Iterations]:
    """Every penalty, start and lambda."""
    for kind in KINDS:
        for warm in (False, True):
            top = {False: 10.0, True: 0.2}[warm] * (3.0 if kind is NIKAIDO_ISODA else 1.0)
            eps = tuple(top * 10.0 ** (-0.5 * i) for i in range(size.accuracies))
            for strength in size.strengths[::-1]:
                recipe = Recipe(
                    kind, f"iterations {kind.key}", seed, size.members, strength=strength, n_states=2
                )
                yield Iterations(scaled(kind, recipe), warm, eps, size.most)


def inner_units(size: Size, seed: int) -> Iterator[Inner]:
    """Every penalty, at gamma = 0.3 and eta tau = 1."""
    for kind in KINDS:
        recipe = Recipe(kind, f"inner {kind.key}", seed, size.inner, gamma=0.3)
        yield Inner(recipe, 1.0, 80, tuple(np.geomspace(1e2, 1e12, size.points).tolist()))


def step_units(size: Size, seed: int) -> Iterator[Step]:
    """A parabola, where theory tells the answer, and every penalty with small and large gamma."""
    yield Step("parabola", "parabola: f = x^2 / 2 alone", _Bowl(VALUE), size.steps, 10)
    for kind in KINDS:
        for gamma in size.step_gammas:
            recipe = Recipe(kind, f"step {kind.key}", seed, size.members, gamma=gamma)
            word, title = f"gamma_{round(100 * gamma)}", f"{kind.title}, gamma = {gamma:g}"
            made = _Longer(scaled(kind, recipe))
            yield Step(f"{kind.key}.{word}", title, made, size.steps, 20)


def units(level: Level, seed: int) -> tuple[Unit, ...]:
    """All experiments of a level, the longest ones first in each section."""
    size = SIZES[level]
    return (
        *iteration_units(size, seed),
        *bound_units(size, seed),
        *step_units(size, seed),
        *inner_units(size, seed),
    )
