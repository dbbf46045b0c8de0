"""The checks of the group: small audits with the error budget of one ``verify all``.

Alarms have the level of their place in the list of built-in audits, tests of the law the places
reserved for them; all together raise a false alarm with probability at most 1e-6.  Certificates are to
a coarse epsilon here; ``python -m verify audit`` makes fine ones.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from verify.audit import builtin, faults, session
from verify.audit.contract import Demand, Verdict, flat
from verify.audit.document import entry, outcome
from verify.audit.engine import run
from verify.audit.statistics.budget import share
from verify.contract import Context, Level, Outcome, Status

EPSILON = {Level.QUICK: 0.25, Level.STANDARD: 0.1, Level.DEEP: 0.02}

ESTIMATORS = {
    Level.QUICK: ("gpomdp.no_baseline.tiny", "actor_critic.generalised.tiny"),
    Level.STANDARD: (
        "actor_critic.generalised.general",
        "gpomdp.leave_one_out.general",
        "gpomdp.no_baseline.slow",
        "reinforce.constant.general",
        "random_horizon.no_baseline.tiny",
    ),
}
PENALTIES = {
    Level.QUICK: ("value_penalty.general",),
    Level.STANDARD: (
        "value_penalty.slow",
        "bellman_penalty.general.approximate",
        "nikaido_isoda.game",
        "leader_loss.stackelberg",
        "original_loss.shaping",
        "designer_loss.design",
    ),
}


def _one_thread() -> None:
    torch.set_num_threads(1)


def gate(context: Context) -> tuple[Outcome, ...]:
    """Tier 0 of every audit that has it."""
    _one_thread()
    found = []
    for audit in builtin.listed():
        if not audit.name.endswith(".tiny") or (
            context.level is Level.QUICK and "leave_one_out" in audit.name
        ):
            continue
        begun = time.perf_counter()
        made = audit.build()
        if made.exact is None:
            continue
        error, rounding = made.exact()
        ratio = np.abs(error) / rounding
        worst = int(ratio.argmax())
        found.append(
            _outcome(
                f"gate.{audit.name}",
                made.title,
                bool(ratio.max() <= 1.0),
                float(ratio.max()),
                f"coordinate {worst}",
                begun,
                f"off by {error[worst]:.1e}, rounding {rounding[worst]:.1e}",
            )
        )
    return tuple(found)


def law(context: Context) -> tuple[Outcome, ...]:
    """Tier 1: exact tests of counts."""
    _one_thread()
    found = []
    for place, (name, test) in enumerate(faults.laws().items(), 1):
        begun = time.perf_counter()
        log_e, threshold = test(context.seed), -math.log(share(place))
        detail = f"log e-value {log_e:.2f}, alarm at {threshold:.2f}"
        good = log_e < threshold
        found.append(_outcome(name, name, good, max(log_e, 0.0) / threshold, "", begun, detail))
    return tuple(found)


def _outcome(
    name: str, title: str, good: bool, margin: float, instance: str, begun: float, detail: str
) -> Outcome:
    return Outcome(
        name=f"audits.{name}",
        title=title,
        status=Status.AS_EXPECTED if good else Status.DEVIATION,
        margin=margin,
        instance=instance,
        instances=1,
        seconds=time.perf_counter() - begun,
        detail=detail,
    )


def _names(lists: dict[Level, tuple[str, ...]], level: Level) -> Sequence[str]:
    return [name for upto, names in lists.items() for name in names if upto <= level]


def _audits(part: str, names: Sequence[str], context: Context) -> tuple[Outcome, ...]:
    _one_thread()
    found = []
    for name in names:
        place = session.place_of(name)
        demand = Demand(epsilon=EPSILON[context.level], alarm=share(place))
        result = run(replace(session.built(name), exact=None), demand, context.seed)
        expected = Verdict.BIASED if name == session.CONTROL else Verdict.CERTIFIED
        one = outcome(entry(result, place=place, expected=expected), f"audits.{part}.{name}")
        found.append(
            one if name != session.CONTROL else replace(one, name="audits.control", margin=math.nan)
        )
    return tuple(found)


def estimators(context: Context) -> tuple[Outcome, ...]:
    """Some estimators, certified."""
    return _audits("estimators", _names(ESTIMATORS, context.level), context)


def penalties(context: Context) -> tuple[Outcome, ...]:
    """Some penalties and objectives, certified."""
    return _audits("penalties", _names(PENALTIES, context.level), context)


def control(context: Context) -> tuple[Outcome, ...]:
    """The biased control, found."""
    return _audits("control", (session.CONTROL,), context)


def decomposition(context: Context) -> tuple[Outcome, ...]:
    """The terms of every built-in audit add up to what is declared."""
    _one_thread()
    begun, worst, where, count = time.perf_counter(), 0.0, "", 0
    for audit in builtin.listed():
        if context.level is Level.QUICK and ".tiny" not in audit.name:
            continue
        made = audit.build()
        split = made.decomposition
        total = flat(split.wanted, made.shapes)
        size = np.abs(total)
        for term in split.terms:
            vector = flat(term.blocks, made.shapes)
            total, size = total + vector, size + np.abs(vector)
        # One rounding per addition of so many terms, of partial sums no larger than ``size``.
        allowed = (len(split.terms) + 2) * float(np.finfo(np.float64).eps) * np.maximum(size, 1e-300)
        ratio = float((np.abs(total - made.declared) / allowed).max())
        count += 1
        if ratio >= worst:
            worst, where = ratio, audit.name
    detail = "wanted plus all terms is declared"
    one = _outcome("decomposition", "terms add up", worst <= 1.0, worst, where, begun, detail)
    return (replace(one, instances=count),)
