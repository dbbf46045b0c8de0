r"""Lemma 12, first part: the Nikaido-Isoda function and approximate equilibria.

With gap_i what player i could gain by deviating (in V(rho)), psi = gap_1 + gap_2 (5.8)::

    printed    psi >= 0;   psi <= 2 eps on NE_eps;   psi <= eps  =>  NE_eps

They are right on every class, and both constants are the best.

Derivation.  A pair is in NE_eps if and only if gap_1 <= eps and gap_2 <= eps.  The gaps are nonnegative,
as each player may stay with the own policy.  So 2 eps - psi = (eps - gap_1) + (eps - gap_2), and
eps - gap_1 = (eps - psi) + gap_2, likewise for the other.

Attained: equal gaps in a game that is symmetric up to the sign; and one gap of zero, where a player
already responds best.
"""

from collections.abc import Iterator

import numpy as np

from reference.problems.hard_cases import hard_games
from reference.problems.zero_sum_game import ZeroSumGame
from reference.regularizers import Quadratic
from verify.claims import exact
from verify.claims.contract import Claim, Fault, Form, Margin, Proof
from verify.claims.trials.instances import generator_of, sparse
from verify.claims.trials.zero_sum import Play, plays
from verify.contract import Context


def symmetric() -> Play:
    """Both players lose the same by playing their second action: each has a gap of 1."""
    gain = np.array([1.0, 0.0])
    game = ZeroSumGame(
        np.ones((1, 2, 2, 1)),
        (gain[:, None] - gain)[None],
        0.0,
        np.ones(1),
        0.0,
        Quadratic(),
        Quadratic(),
    )
    second = np.array([[0.0, 1.0]])
    return Play("both play their second action", game, second, second)


def cases(context: Context) -> Iterator[Play]:
    """The attained cases, small games with and without regularisation, and the hard ones."""
    yield symmetric()
    for play in plays(context, "lemma_12", taus=(0.0, 0.01, 0.3, 2.0)):
        yield play
        responding_sa = play.responses[0].pi_sa
        yield Play(f"{play.name}, player 1 responds", play.game, responding_sa, play.pi_sb)
    generator = generator_of(context, "lemma_12 hard games")
    for name, game in hard_games().items():
        pi_sa, pi_sb = (sparse(generator, (game.n_states, n), 1.0) for n in game.n_actions)
        yield Play(name, game, pi_sa, pi_sb)


def margins(play: Play, upper: float, lower: float) -> Iterator[Margin]:
    """psi <= upper * larger gap, larger gap <= lower * psi, and 0 <= psi."""
    psi, gaps = play.psi, play.gaps
    larger = max(gap.value for gap in gaps)
    rounding = 3.0 * psi.error + sum(gap.error for gap in gaps)
    yield Margin(psi.value, upper * larger, rounding, play.name)
    yield Margin(larger, lower * psi.value, rounding, play.name)
    yield Margin(-psi.value, 0.0, psi.error, play.name)


def trials(context: Context) -> Iterator[Margin]:
    """All three, with the smallest eps of each pair."""
    for play in cases(context):
        yield from margins(play, 2.0, 1.0)


def upper_too_small(context: Context) -> Iterator[Margin]:
    """1.98 eps."""
    for play in cases(context):
        yield from margins(play, 1.98, 1.0)


def half(context: Context) -> Iterator[Margin]:
    """Psi <= 2 eps for psi <= eps in the last part."""
    for play in cases(context):
        yield from margins(play, 2.0, 0.5)


def prove_upper() -> None:
    """2 eps - psi as a sum of slacks."""
    gap_1, gap_2, eps = exact.indeterminates("gap_1", "gap_2", "eps")
    one = eps**0
    exact.combination(2 * eps - (gap_1 + gap_2), (one, eps - gap_1), (one, eps - gap_2))


def prove_lower() -> None:
    """eps - gap_1 as a sum of slacks; the players may be exchanged."""
    gap_1, gap_2, eps = exact.indeterminates("gap_1", "gap_2", "eps")
    one = eps**0
    exact.combination(eps - gap_1, (one, eps - (gap_1 + gap_2)), (one, gap_2))


CLAIM = Claim(
    number="Lemma 12",
    title="the Nikaido-Isoda function and approximate equilibria",
    premise="the maximum and the minimum in (5.6) exist",
    printed=Form(
        words="The Nikaido-Isoda function is nonnegative; it is at most 2 eps at an eps-equilibrium, "
        "and where it is at most eps there is an eps-equilibrium.",
        formula=r"\psi\ge0,\quad \pi\in NE_\epsilon\Rightarrow\psi(x,\pi)\le2\epsilon,\quad "
        r"\psi(x,\pi)\le\epsilon\Rightarrow\pi\in NE_\epsilon",
        trials=trials,
        proofs=(
            Proof("2 eps - psi is a sum of two slacks", prove_upper),
            Proof("eps - gap is a sum of two slacks", prove_lower),
        ),
    ),
    faults=(
        Fault("upper_too_small", "1.98 eps for 2 eps", upper_too_small),
        Fault("half", "psi <= 2 eps for psi <= eps in the last part", half),
    ),
    remark="The proof is right: (5.8) splits psi into the two gaps, which are nonnegative.",
    tried="Any class, either player best already, tau = 0: identities of two gaps.",
)
