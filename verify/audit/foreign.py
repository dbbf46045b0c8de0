r"""Anyone's estimator as the subject of an audit: found, asked for estimates, and screened.

An audit's guarantee holds for independent estimates with one law.  Before any statistics the estimator
is therefore called a few times in ways that would show that it has no such law (:func:`screen`):

    the same generator twice, with another call between     equal results: no state, no call order
    the same generator, other global random states          equal results: no other randomness
    another generator                                       other results, or at least not zeros
    estimates of one call                                   not copies, and uncorrelated
    batches of n and of 2 n                                 the same mean

Every comparison but the last two is exact.  Those are bets at the level of the alarm, on means that
vanish if all is well: of sign(a_1 - b_1) sign(a_2 - b_2) for estimates 1, 2 of calls a and b, and of
the difference of the two batch sizes.  They are placed on few calls, so only gross faults show here; the
last is placed again on as many calls as the audit made if that ends in an alarm, to tell an estimator
that is wrong from one whose meaning depends on the batch.
"""

import contextlib
import importlib
import os
import random
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reference.errors import InputError
from reference.truncated import Truncation
from reference.validation import Array
from sampled.conversion import tensors
from sampled.errors import InputError as SampledInputError
from sampled.estimators.contract import Estimator
from verify.audit import builtin
from verify.audit.contract import GradientEstimator, Subject
from verify.audit.decomposition import Blocks, Cut, Policies, decompose
from verify.audit.engine import generator_of
from verify.audit.given import Given
from verify.audit.problems import Setting
from verify.audit.quantities import QUANTITIES, Quantity
from verify.audit.ranges import Stated, estimate_range
from verify.audit.statistics.alarm import Alarm
from verify.audit.statistics.budget import FALSE_ALARM
from verify.audit.walks import Notes, leaf

PAIRS = 64
"""Pairs of calls that the screen bets on."""


@dataclass(frozen=True, eq=False)
class Claim:
    """What an estimator is said to estimate.

    Attributes
    ----------
    quantity : Quantity
    blocks : tuple of str
    setting : Setting
    truncation : Truncation
    """

    quantity: Quantity
    blocks: tuple[str, ...]
    setting: Setting
    truncation: Truncation


def claim(target: str, setting: Setting, truncation: Truncation) -> Claim:
    """Read a target such as ``value``, ``value.y`` or ``nikaido_isoda.y_1``.

    Raises
    ------
    InputError
        If there is no such quantity or block, or the problem lacks it.
    """
    if not isinstance(target, str):
        raise InputError(f"target is {target!r}; name one of {', '.join(QUANTITIES)}")
    name, _, block = target.partition(".")
    if name not in QUANTITIES:
        raise InputError(f"there is no target {name!r}: name one of {', '.join(QUANTITIES)}")
    quantity = QUANTITIES[name]
    builtin.require(quantity, setting)
    if block and block not in quantity.blocks:
        raise InputError(
            f"the target {name} has no block {block!r}: its blocks are {', '.join(quantity.blocks)}"
        )
    return Claim(quantity, (block,) if block else quantity.blocks, setting, truncation)


def find(spelled: str) -> Any:
    """Import what ``package.module:name`` names.

    Raises
    ------
    InputError
        If it cannot be imported, or is no estimator.
    """
    module_name, _, name = spelled.partition(":")
    if not module_name or not name:
        raise InputError(f"the estimator {spelled!r} must be spelled package.module:name")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:
        hint = ": leave out .py" if module_name.endswith(".py") else ""
        raise InputError(
            f"the module {module_name} cannot be imported: {type(error).__name__}: {error}{hint}"
        ) from error
    if not hasattr(module, name):
        raise InputError(f"the module {module_name} has no {name}: spell package.module:name")
    return checked(spelled, getattr(module, name))


def checked(name: str, estimator: Any) -> Any:
    """Return what can be audited.

    Raises
    ------
    InputError
        If it is no estimator.
    """
    if not callable(estimator) and not isinstance(estimator, Estimator):
        raise InputError(
            f"{name} is {type(estimator).__name__}; it must be a function (problem, parameters, batch, "
            "generator) -> gradients, or an estimator of sampled.estimators"
        )
    return estimator


def subject(
    name: str,
    estimator: Any,
    claimed: Claim,
    *,
    batch: int,
    reach: float | None = None,
) -> Subject:
    """Return anyone's estimator as the subject of an audit.

    Parameters
    ----------
    name : str
    estimator : GradientEstimator, or Estimator of ``sampled``
        The latter is audited row by row, with enumeration where the problem is small.
    claimed : Claim
    batch : int >= 1
    reach : float, optional
        Largest absolute value of an estimate's entry, if it is not to be computed: for estimators
        that multiply scores by something else than returns within their own range.

    Raises
    ------
    InputError
        If a range is needed and cannot be computed, or the estimator declares another target.
    """
    if batch < 1:
        raise InputError(f"the batch is {batch}; an estimate needs at least one trajectory")
    if isinstance(estimator, Estimator):
        declared = builtin.truncation(estimator.target)
        made = builtin.subject(
            name, name, claimed.quantity, claimed.setting, lambda _: estimator, batch=batch
        )
        if declared.steps != claimed.truncation.steps:
            raise InputError(
                f"the estimator declares {declared.steps} steps and the audit asks for "
                f"{claimed.truncation.steps}: leave --steps out, or give the same"
            )
        return made
    return _called(name, estimator, claimed, batch, reach)


def _called(
    name: str, estimator: GradientEstimator, claimed: Claim, batch: int, reach: float | None
) -> Subject:
    setting, quantity = claimed.setting, claimed.quantity
    exact, _ = builtin.companions_of(quantity, setting)

    def gradient(companions: Policies, cut: Cut) -> Blocks:
        found = quantity.gradient(setting.problem, setting.x, setting.logits, companions, cut)
        return {block: found[block] for block in claimed.blocks}

    split = decompose(gradient, exact, exact, claimed.truncation)
    shapes = {block: split.declared[block].shape for block in claimed.blocks}
    low, high = computed_range(claimed, exact) if reach is None else _symmetric(shapes, reach)
    call = Call(estimator, setting, shapes)
    return Subject(
        name,
        f"{name}: {quantity.title} on {setting.name}",
        shapes,
        split,
        low,
        high,
        lambda _, generator: call(batch, generator),
        batch=batch,
        most_rows=256,
    )


def _symmetric(shapes: Mapping[str, tuple[int, ...]], reach: float) -> tuple[Array, Array]:
    if not 0.0 < reach < np.inf:
        raise InputError(f"the range is {reach!r}; it must be a positive number")
    one = np.concatenate([np.full(shape, reach).reshape(-1) for shape in shapes.values()])
    return -one, one


def computed_range(claimed: Claim, companions: Policies) -> tuple[Array, Array]:
    """Range of estimates whose scores multiply returns, less anything within the returns' range.

    Raises
    ------
    InputError
        If the target has infinitely many steps: so has then the estimate.
    """
    kept, quantity, setting = claimed.truncation, claimed.quantity, claimed.setting
    if kept.steps is None:
        raise InputError(
            "an estimate of the infinite sum has no range that could be computed: give the steps of the "
            "estimator's trajectories with --steps, or the range of its entries with --range"
        )
    x, logits = leaf(setting.x), tuple(map(leaf, setting.logits))
    others = tuple(torch.from_numpy(np.array(pi)).unsqueeze(0) for pi in companions)
    notes = Notes()
    policies = tuple(y.softmax(-1) for y in logits)
    total = quantity.estimate(tensors(setting.problem), x, policies, others, notes)
    multiples = torch.autograd.grad(total.sum(), notes.zeros)
    parameters = ((x,) if quantity.moves_x else ()) + logits
    critic_s = np.zeros(1) if kept.critic_s is None else np.asarray(kept.critic_s)
    stated = Stated(kept.steps, kept.discounted, float(np.ptp(critic_s) + np.abs(critic_s).max()))
    low, high = np.zeros(1), np.zeros(1)
    for process, multiple in zip(notes.processes, multiples, strict=True):
        ends = [float(multiple) * end for end in estimate_range(stated, process, parameters)[:2]]
        low, high = low + np.minimum(*ends), high + np.maximum(*ends)
    sizes = np.cumsum([0, *(p.numel() for p in parameters)])
    wanted = [quantity.blocks.index(block) for block in claimed.blocks]
    parts = [slice(sizes[i], sizes[i + 1]) for i in wanted]
    return np.concatenate([low[p] for p in parts]), np.concatenate([high[p] for p in parts])


@dataclass(frozen=True, eq=False)
class Call:
    """Calls an estimator, and checks what comes back."""

    estimator: GradientEstimator
    setting: Setting
    shapes: Mapping[str, tuple[int, ...]]

    def __call__(self, batch: int, generator: torch.Generator) -> Array:
        """Estimates of one call, (K, I).

        Raises
        ------
        InputError
            If the estimator fails, or returns something else than finite gradients.
        """
        given = Given(self.setting.problem, self.setting.x)
        logits = tuple(torch.from_numpy(np.array(y)) for y in self.setting.logits)
        try:
            found: Any = self.estimator(
                given, logits[0] if len(logits) == 1 else logits, batch, generator
            )
        except MemoryError as error:
            raise InputError(_out_of_memory(batch)) from error
        except (InputError, SampledInputError) as error:
            raise InputError(f"the estimator refuses: {error}") from error
        except RuntimeError as error:
            if "memory" in str(error).lower():
                raise InputError(_out_of_memory(batch)) from error
            raise InputError(_failed(error)) from error
        except (Exception, SystemExit) as error:
            # An exit of its own would end the audit with a code that says something else.
            raise InputError(_failed(error)) from error
        return self._checked(found)

    def _checked(self, found: Any) -> Array:
        if len(self.shapes) == 1 and not isinstance(found, Mapping):
            found = {next(iter(self.shapes)): found}
        if not isinstance(found, Mapping) or set(found) != set(self.shapes):
            what = sorted(found) if isinstance(found, Mapping) else type(found).__name__
            raise InputError(
                f"the estimator returns {what}; it must return a mapping with the blocks "
                f"{', '.join(self.shapes)}"
            )
        parts = [self._block(name, found[name], shape) for name, shape in self.shapes.items()]
        counts = {len(part) for part in parts}
        if len(counts) > 1:
            raise InputError(
                f"the blocks have {sorted(counts)} estimates; there must be as many of each"
            )
        return np.concatenate(parts, axis=1)

    def _block(self, name: str, value: Any, shape: tuple[int, ...]) -> Array:
        try:
            array = value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)
            if np.iscomplexobj(array):
                raise TypeError("its entries are complex")
            array = np.asarray(array, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise InputError(f"the estimate of {name} is no array of real numbers: {error}") from error
        if array.shape == shape:
            array = array[None]
        if array.shape[1:] != shape or array.shape[0] == 0:
            raise InputError(
                f"the estimate of {name} has shape {array.shape}; it must be {shape}, or (batches, "
                f"{', '.join(map(str, shape))}) with at least one batch"
            )
        if not np.isfinite(array).all():
            where = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
            raise InputError(f"the estimate of {name} is {array[where]} at {where}: it must be finite")
        return array.reshape(len(array), -1)


def _failed(error: BaseException) -> str:
    """What was raised, and where: the last line outside of installed packages."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)[1:]
        if "site-packages" not in frame.filename and not frame.filename.startswith("<")
    ]
    where = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    return f"the estimator fails with {type(error).__name__}{where}: {error}"


def _out_of_memory(batch: int) -> str:
    return (
        f"the estimator needs more memory than there is for a batch of {batch}: give a smaller --batch"
    )


def _numpy_state() -> Any:
    return np.random.get_state()  # noqa: NPY002 - the legacy state is what is under suspicion


@contextlib.contextmanager
def global_states(seed: int) -> Iterator[None]:
    """Seed the global random states of Python, NumPy and PyTorch, and restore them at the end."""
    before = random.getstate(), _numpy_state(), torch.get_rng_state()
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - the legacy state is what is under suspicion
    torch.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])  # noqa: NPY002 - as above
        torch.set_rng_state(before[2])


def screen(
    estimator: GradientEstimator, claimed: Claim, seed: int, *, batch: int, made: Subject, coupled: bool
) -> None:
    """Call an estimator in ways that show whether it keeps its contract; see the module.

    Parameters
    ----------
    estimator : GradientEstimator
    claimed : Claim
    seed : int
    batch : int
    made : Subject
        Its own.
    coupled : bool
        Whether it is known that its expectation depends on the batch, so that this is no fault.

    Raises
    ------
    InputError
        If it does not: the message says how.
    """
    call = Call(estimator, claimed.setting, made.shapes)

    def at(number: int, state: int) -> Array:
        with global_states(state):
            return call(batch, generator_of(seed, f"{made.name} screen", number))

    first, other, again, elsewhere = at(0, 1), at(1, 1), at(0, 1), at(0, 2)
    if not np.array_equal(first, again):
        raise InputError(
            "the same generator gives another result after another call: the estimator keeps a state or "
            "draws from elsewhere; its results must not depend on the order of calls"
        )
    if not np.array_equal(first, elsewhere):
        raise InputError(
            "the same generator gives another result under other global random states: the estimator "
            "draws from random, numpy.random or torch's global generator; draw from the one given alone"
        )
    if not first.any() and not other.any() and made.declared.any():
        raise InputError("the estimator returns zeros, and its target is not zero: it estimates nothing")
    if len(first) > 1 and (first == first[0]).all() and not np.array_equal(first, other):
        raise InputError(
            f"the {len(first)} estimates of one call are copies of each other: each must come from a "
            "batch of its own"
        )
    if len(first) > 1:
        _uncorrelated(lambda k: at(k, 1), made)
    if not coupled:
        of_batch(call, made, seed, batch, PAIRS)


def _uncorrelated(at: Callable[[int], Array], made: Subject) -> None:
    one = np.ones(1)
    alarm = Alarm.of(0.0 * one, -one, one)
    live = made.high > made.low
    for k in range(PAIRS):
        a, b = at(2 + 2 * k)[:2, live], at(3 + 2 * k)[:2, live]
        sign = np.sign(a - b)  # of differences of equal laws: symmetric, whatever the law
        alarm = alarm.after(np.array([[float((sign[0] * sign[1]).mean())]]))
    if alarm.raised(FALSE_ALARM):
        raise InputError(
            "the estimates of one call are correlated: each must come from a batch of its own; return "
            "their mean as one estimate"
        )


def of_batch(call: Call, made: Subject, seed: int, batch: int, pairs: int) -> None:
    """Bet on a difference of the means at batches of n and of 2 n.

    Raises
    ------
    InputError
        If the bet is won.
    """
    reach = made.high - made.low
    zero = np.zeros_like(reach)
    alarm = Alarm.of(zero, -reach, reach)
    sums = [zero, zero]
    for k in range(pairs):
        small = call(batch, generator_of(seed, f"{made.name} small", k))
        large = call(2 * batch, generator_of(seed, f"{made.name} large", k))
        rows = min(len(small), len(large))
        small, large = small[:rows], large[:rows]
        outside = np.abs(small - large) > reach
        if outside.any():
            return  # the audit itself names what is out of range
        sums = [sums[0] + small.mean(axis=0), sums[1] + large.mean(axis=0)]
        alarm = alarm.after(small - large)
        if alarm.raised(FALSE_ALARM):
            sizes = [float(np.linalg.norm(total)) / (k + 1) for total in sums]
            raise InputError(
                f"the expectation depends on the batch: the mean has norm {sizes[0]:.4g} at {batch} "
                f"trajectories and {sizes[1]:.4g} at {2 * batch}; an estimate must mean the same for "
                "every batch (a mean over trajectories, not a sum; no normalisation by the batch)"
            )


__all__ = ["Claim", "claim", "find", "screen", "subject"]
