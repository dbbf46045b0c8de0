"""Hypothesis looks for counterexamples among small rational MDPs, whatever trials make of them.

The instances that trials draw are replaced by one that Hypothesis chooses: at most three
states and actions, entries that are fractions of small numbers, vertices and uneven starts among them,
gamma = 0 included, the quadratic regulariser or none.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from unittest import mock

import numpy as np
import pytest
from hypothesis import Phase, find, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

from reference.problems.mdp import Mdp
from reference.regularizers import Quadratic
from reference.validation import Array
from verify.claims import lemma_02
from verify.claims.contract import Claim, Trials
from verify.claims.trials.instances import Instance
from verify.contract import Context, Level
from verify.leaves import leaves

EXAMPLES = 4
"""Per form; 60 were tried when the ledger was written."""

QUICK = Context(Level.QUICK, 0)

FORMS = {
    f"{name}.{form}": trials
    for name, claim in leaves("verify.claims", "CLAIM", Claim).items()
    for form in ("printed", "meant", "proved")
    if (stated := getattr(claim, form)) is not None
    and not stated.refutations
    and (trials := stated.trials) is not None
}


@st.composite
def distributions(draw: st.DrawFn, *shape: int) -> Array:
    """Rows of small fractions; vertices are among the simplest."""
    *lead, n = shape
    rows = np.zeros(shape)
    for index in np.ndindex(*lead):
        weights = draw(st.lists(st.integers(0, 4), min_size=n, max_size=n).filter(any))
        rows[index] = np.array(weights) / sum(weights)
    return rows


@st.composite
def instances(draw: st.DrawFn) -> Instance:
    """A small MDP with a policy."""
    n_states, n_actions = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    count = n_states * n_actions
    rewards = draw(st.lists(st.integers(-4, 4), min_size=count, max_size=count))
    start = draw(st.lists(st.sampled_from([1, 2, 20]), min_size=n_states, max_size=n_states))
    mdp = Mdp(
        draw(distributions(n_states, n_actions, n_states)),
        np.array(rewards, dtype=float).reshape(n_states, n_actions),
        draw(st.sampled_from([0.0, 0.5, 0.9])),
        np.array(start) / sum(start),
        draw(st.sampled_from([0.0, 0.25, 1.0, 4.0])),
        Quadratic(),
    )
    return Instance("found", mdp, draw(distributions(n_states, n_actions)))


@contextmanager
def drawn(instance: Instance) -> Iterator[list[Instance]]:
    """Trials draw the one instance wherever they draw small MDPs; a list of those that were drawn."""
    asked: list[Instance] = []

    def corner(generator: np.random.Generator) -> Instance:  # noqa: ARG001 - the contract's signature
        asked.append(instance)
        return instance

    def corners(context: Context, claim: str) -> Iterator[Instance]:  # noqa: ARG001 - the contract's signature
        asked.append(instance)
        yield instance

    replaced = {"corners": corners, "corner": corner, "CLIMBS": {Level.QUICK: 0}}
    with ExitStack() as stack:
        for name, module in list(sys.modules.items()):
            if name.startswith("verify.claims."):
                for key, value in replaced.items():
                    if hasattr(module, key):
                        stack.enter_context(mock.patch.object(module, key, value))
        yield asked


def violated(trials: Trials, instance: Instance) -> bool:
    """Whether a trial fails."""
    with drawn(instance):
        return any(margin.violated for margin in trials(QUICK))


def found(wrong: Callable[[Instance], bool], examples: int) -> Instance | None:
    """A counterexample, if there is one."""
    limits = settings(
        max_examples=examples,
        phases=[Phase.generate],
        derandomize=True,
        deadline=None,
        database=None,
    )
    try:
        return find(instances(), wrong, settings=limits)
    except NoSuchExample:
        return None


SIMPLE = Instance(
    "simple",
    Mdp(
        np.full((2, 2, 2), 0.5),
        np.array([[1.0, 0.0], [0.0, 2.0]]),
        0.5,
        np.array([0.25, 0.75]),
        0.25,
        Quadratic(),
    ),
    np.array([[0.25, 0.75], [0.5, 0.5]]),
)


def searched(trials: Trials) -> bool:
    """Whether the trials draw small MDPs from the common sources."""
    with drawn(SIMPLE) as asked:
        list(trials(QUICK))
    return bool(asked)


SLOW = ("appendix_c7.proved", "eq_c30.proved", "eq_c32.proved")
"""What else these do on every call takes a second."""

SEARCHED = {name: trials for name, trials in FORMS.items() if name not in SLOW and searched(trials)}


def test_most_forms_are_searched() -> None:
    """The others are about games and runs, which have generators and adversaries of their own."""
    assert len(SEARCHED) >= 35


@pytest.mark.parametrize("form", SEARCHED)
def test_no_small_rational_instance_violates(form: str) -> None:
    counterexample = found(lambda instance: violated(SEARCHED[form], instance), EXAMPLES)
    assert counterexample is None, f"{counterexample}"


def test_the_search_refutes_the_printed_lemma_2() -> None:
    def wrong(instance: Instance) -> bool:
        mdp = instance.mdp
        printed = 1.0 / ((1.0 - mdp.gamma) * float(mdp.rho_s.min()))
        return lemma_02.margin(instance, printed).violated

    assert found(wrong, 100) is not None
