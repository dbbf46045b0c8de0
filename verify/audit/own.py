"""Audits of anyone's estimator, from Python and for the command line."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from reference.errors import InputError
from reference.truncated import Truncation
from sampled.estimators.contract import Estimator
from verify.audit import builtin, foreign
from verify.audit.contract import Demand, Norm, Verdict
from verify.audit.document import Entry, dumps, entry
from verify.audit.engine import Result, run
from verify.audit.plot import svg
from verify.audit.problems import Setting, at_point, find
from verify.audit.session import resumable
from verify.audit.statistics.budget import share
from verify.audit.tables import plain
from verify.report import files


def audit(
    estimator: Any,
    problem: Any = "plain",
    target: str = "value.y",
    *,
    steps: int | None = None,
    discounted: bool = True,
    trace: float = 1.0,
    critic_s: Any = None,
    batch: int = 16,
    epsilon: float = 0.01,
    relative: bool = True,
    norm: str = "euclidean",
    alpha: float = 1e-3,
    seed: int = 0,
    limit: int = 1 << 16,
    reach: float | None = None,
    measure: bool = False,
    batch_dependent: bool = False,
    name: str = "own",
    place: int = 1,
    folder: Path | None = None,
    expected: Verdict = Verdict.CERTIFIED,
    told: Callable[[str], None] | None = None,
) -> "Audited":
    """Find out whether an estimator estimates what it says, and how far that is from the exact gradient.

    Parameters
    ----------
    estimator : callable or Estimator
        A function (problem, parameters, batch, generator) -> gradients, see
        :class:`verify.audit.contract.GradientEstimator`; or an estimator of ``sampled``.
    problem : str, Setting or problem of ``reference``
        A default problem's name, a ``.npz`` file's, or a problem, at a point in general position.
    target : str
        A quantity, or one of its blocks: ``value.y`` is the gradient of V(rho) in the logits.
    steps, discounted, trace, critic_s
        What the estimator declares: T steps (None: all), weights gamma^h or 1, lambda and v.
    batch : int
        Trajectories of one estimate.
    epsilon, relative, norm, alpha, limit, measure
        See :class:`verify.audit.contract.Demand`.
    seed : int
    reach : float, optional
        Largest absolute value of an estimate's entry; computed from the target if not given.
    batch_dependent : bool
        Whether the expectation is known to depend on the batch.
    name : str
    place : int
        k of the k-th audit of a session, if there are several.
    folder : Path, optional
        Where progress is kept, and entry and plot are written.
    expected : Verdict
        What is expected of it.
    told : callable, optional
        Told in one sentence what goes on after the verdict, if that takes long.

    Returns
    -------
    Audited

    Raises
    ------
    InputError
        If something is not what it must be: the problem lacks the target, or the estimator breaks its
        contract (:mod:`verify.audit.foreign`).
    """
    foreign.checked("estimator", estimator)
    if norm not in list(Norm):
        raise InputError(f"norm is {norm!r}; it must be one of {', '.join(Norm)}")
    setting = _setting(problem)
    if isinstance(estimator, Estimator) and steps is None:
        kept = builtin.truncation(estimator.target)
    else:
        critic = None if critic_s is None else np.asarray(critic_s, dtype=np.float64)
        kept = Truncation(steps, discounted, trace, critic)
    claimed = foreign.claim(target, setting, kept)
    demand = Demand(epsilon, relative, Norm(norm), alpha, share(place), limit, measure)
    made = foreign.subject(name, estimator, claimed, batch=batch, reach=reach)
    ours = isinstance(estimator, Estimator)
    if not ours:
        foreign.screen(estimator, claimed, seed, batch=batch, made=made, coupled=batch_dependent)
    if folder is None:
        result = run(made, demand, seed)
    else:
        asked = (setting.name, target, steps, discounted, trace, batch, reach)
        determinants = {"seed": seed, "demand": repr(demand), "target": repr(asked)}
        result = resumable(made, demand, seed, folder, determinants)
    found = entry(result, place=place, expected=expected)
    if folder is not None:
        files.write(folder / f"{name}.svg", svg(found))
        files.write(folder / f"{name}.json", dumps({"entry": found}))
        (folder / f"{name}.state.json").unlink(missing_ok=True)
    if result.verdict is Verdict.BIASED and not ours and not batch_dependent:
        call = foreign.Call(estimator, setting, made.shapes)
        if told is not None:
            told(f"{name} is biased; now it is tested whether its expectation depends on the batch ...")
        pairs = min(16 * result.progress.calls, 1 << 12)
        foreign.of_batch(call, made, seed, batch, pairs)
    return Audited(result, found)


def _setting(problem: Any) -> Setting:
    if isinstance(problem, Setting):
        return problem
    return find(problem) if isinstance(problem, str) else at_point("given", problem)


class Audited:
    """What an audit found.

    Attributes
    ----------
    result : Result
        With the instruments' state.
    entry : mapping
        The same as data, as in the JSON.
    """

    def __init__(self, result: Result, found: Entry) -> None:
        self.result = result
        self.entry = found

    @property
    def verdict(self) -> Verdict:
        """CERTIFIED, BIASED or UNDECIDED."""
        return self.result.verdict

    @property
    def reason(self) -> str:
        """Why, in one sentence."""
        return self.result.reason

    def __str__(self) -> str:
        """Verdict and evidence in a few lines."""
        return plain(self.entry)

    def svg(self) -> str:
        """The plot."""
        return svg(self.entry)
