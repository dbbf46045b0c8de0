r"""Best responses in a zero-sum Markov game, and its regularised Nash equilibrium with a certificate.

For tau > 0 the equilibrium is unique, and its value is the fixed point of Shapley's operator

    (T v)(s) = min_q max_p  p' M_s q - tau h1(p) + tau h2(q),     M = r + gamma P v  (S, A, B),

a contraction by gamma.  Fixing player 2's policy q leaves player 1 an MDP with the operator T_q >= T.

**Iteration over values** (Hoffman and Karp 1966).  With q_k the minimiser of the stage games at v_k::

    v_{k+1} = max over player 1's policies of V^{., q_k}        (policy iteration)

T v_k = T_{q_k} v_k and T_{q_k} >= T give v* <= v_{k+1} <= T v_k <= v_k from k = 1 on: it converges from
anywhere, at least as fast as v <- T v, and quadratically in the end, because q depends smoothly on v.

**Stage games.**  In units of tau let N = M / tau.  The maximisers are p = p(x) and q = q(y), where
x = N q and y = -N' p are the payoffs of the actions and p(x) maximises <p, x> - h1(p).  The solution of

    x - N q(y) = 0,     y + N' p(x) = 0     (up to constants, which do not change p and q)

is followed along N(t) = N_0 + t (N_1 - N_0) from games already solved, at first N_0 = 0, by steps along
the tangent and Newton's method.  Both have the matrix [[I, -N Q], [N' P, I]] with P and Q the
derivatives of p and q, symmetric and positive semidefinite.  Its determinant is that of I + N Q N' P,
whose eigenvalues are at least 1: it is never singular, so the solution is a Lipschitz function of t and
Newton's method converges near every point of the path.  For the entropies, which are smooth, one radius
serves all of the path, since it is compact: a step that fails is shortened, one that succeeds is
lengthened, and the end is reached after finitely many.  The quadratic's maximiser has kinks where an
action enters or leaves its support.  The determinants on both sides of one kink have the same sign, so
the zero of either side's continuation lies on the side of the true one: Newton's method takes one step
more, and the argument stands as long as the path meets kinks one by one.  Ties may make them coincide;
if a straight path is lost, one with a detour t (1 - t) E in general position is followed.

**Certificate** (5.6).  psi(pi_1, pi_2) = max V^{., pi_2}(rho) - min V^{pi_1, .}(rho) is zero at the
equilibrium only.  The reported gap is psi by policy iteration, plus the error bounds of both best
responses and the rounding of their MDPs: an upper bound of psi, which also encloses the value.

At tau = 0 equilibria need not be unique, and none is computed.
"""

from dataclasses import dataclass
from functools import singledispatch

import numpy as np

from reference.contractions import joint_actions
from reference.errors import ConvergenceError, InputError
from reference.evaluation import agree, contraction, joint_backup, residual_rounding, rounding
from reference.optimality import Optimum, policy_iteration
from reference.problems.zero_sum_game import ZeroSumGame
from reference.regularizers import KLDivergence, NegativeEntropy, Quadratic, Regularizer, Weighted
from reference.resolvents import UNIT
from reference.validation import Array, instance, numbers, policy, scalar, whole


@dataclass(frozen=True, eq=False)
class Equilibrium:
    """A pair of policies, and how far it can be from the equilibrium.

    Attributes
    ----------
    game : ZeroSumGame
    pi_sa, pi_sb : (..., S, A) and (..., S, B)
    v_s : (..., S)
        Player 1's value: the middle of what either player can secure against these policies.
    error : (...)
        Certified bound on max_s |v_s - V*|.
    ni_gap : (...)
        Certified upper bound on the Nikaido-Isoda function (5.6) of the pair, rounding included.
    attainable : (...)
        The gap at which float64 cannot tell the pair from the equilibrium.
    responses : Optimum of player 1 and Optimum of player 2
        Best responses to ``pi_sb`` and to ``pi_sa``; the values of the second are player 2's.
    iterations : int
    """

    game: ZeroSumGame
    pi_sa: Array
    pi_sb: Array
    v_s: Array
    error: Array
    ni_gap: Array
    attainable: Array
    responses: tuple[Optimum, Optimum]
    iterations: int

    @property
    def value(self) -> Array:
        """V(rho)."""
        return np.asarray((self.game.rho_s * self.v_s).sum(axis=-1))


# Best responses.


def best_response_1(game: ZeroSumGame, pi_sb: Array, *, start_s: Array | None = None) -> Optimum:
    """Player 1's best response to a policy (..., S, B) of player 2.

    Raises
    ------
    InputError
        If ``pi_sb`` is not a policy of player 2.
    """
    instance("game", game, ZeroSumGame)
    pi_sb = policy("pi_sb", pi_sb, (game.n_states, game.n_actions[1]))
    agree(game, pi_sb=pi_sb.shape[:-2])
    return policy_iteration(game.for_player_1(pi_sb), start_s=start_s)


def best_response_2(game: ZeroSumGame, pi_sa: Array, *, start_s: Array | None = None) -> Optimum:
    """Player 2's best response to a policy (..., S, A) of player 1; its values are player 2's, -V.

    Raises
    ------
    InputError
        If ``pi_sa`` is not a policy of player 1.
    """
    instance("game", game, ZeroSumGame)
    pi_sa = policy("pi_sa", pi_sa, (game.n_states, game.n_actions[0]))
    agree(game, pi_sa=pi_sa.shape[:-2])
    return policy_iteration(game.for_player_2(pi_sa), start_s=start_s)


def certified(
    game: ZeroSumGame,
    pi_sa: Array,
    pi_sb: Array,
    *,
    start_s: Array | None = None,
    iterations: int = 0,
) -> Equilibrium:
    """Attach the certificate to any pair of policies; tau = 0 is allowed.

    Parameters
    ----------
    game : ZeroSumGame
    pi_sa, pi_sb : (..., S, A) and (..., S, B)
    start_s : (..., S), optional
        An estimate of the value, to start from.
    iterations : int
        What to report as the work done.

    Raises
    ------
    InputError
        If an array is not a policy of the game's shape.
    """
    instance("game", game, ZeroSumGame)
    iterations = whole("iterations", iterations, low=0)
    n_first, n_second = game.n_actions
    pi_sa = policy("pi_sa", pi_sa, (game.n_states, n_first))
    pi_sb = policy("pi_sb", pi_sb, (game.n_states, n_second))
    agree(game, pi_sa=pi_sa.shape[:-2], pi_sb=pi_sb.shape[:-2])
    if start_s is not None:
        start_s = numbers("start_s", start_s, "(state,)", (game.n_states,))
    first = best_response_1(game, pi_sb, start_s=start_s)
    second = best_response_2(game, pi_sa, start_s=None if start_s is None else -start_s)
    rows = joint_actions(joint_actions(game.P_sabt, trailing=1), trailing=1)
    modulus = contraction(rows, game.gamma)
    mixing_1 = _mixing(game, first, game.regularizer_2, n_second)
    mixing_2 = _mixing(game, second, game.regularizer_1, n_first)
    error_1, error_2 = first.error + mixing_1 / modulus, second.error + mixing_2 / modulus
    least = 4.0 * sum(residual_rounding(best.mdp, best.v_s) for best in (first, second))
    high_s, low_s = first.v_s, -second.v_s
    return Equilibrium(
        game=game,
        pi_sa=pi_sa,
        pi_sb=pi_sb,
        v_s=0.5 * (high_s + low_s),
        error=0.5 * np.abs(high_s - low_s).max(axis=-1) + np.maximum(error_1, error_2),
        ni_gap=first.value + second.value + error_1 + error_2,
        attainable=np.asarray((least + mixing_1 + mixing_2) / modulus),
        responses=(first, second),
        iterations=iterations,
    )


def _mixing(game: ZeroSumGame, best: Optimum, opponent: Regularizer, n_actions: int) -> Array:
    """Rounding of one backup in the opponent's mixture of so many actions, and of the mean over rho.

    Twice the actions, because the rows of a computed policy are rounded as well.
    """
    return rounding(
        game.n_states,
        2 * n_actions,
        np.abs(best.v_s).max(axis=-1),
        np.abs(game.r_sab).max(axis=(-3, -2, -1)),
        game.tau * opponent.bound(n_actions),
    )


# Stage games.


@singledispatch
def _slope(regularizer: Regularizer, _pi_sa: Array) -> Array:
    """Inverse second derivative of a separable h, zero where the row stays on the boundary."""
    raise InputError(
        f"no second derivative is known of {type(regularizer).__name__}: use an entropy or the quadratic"
    )


@_slope.register
def _(_regularizer: NegativeEntropy | KLDivergence, pi_sa: Array) -> Array:
    return pi_sa


@_slope.register
def _(_regularizer: Quadratic, pi_sa: Array) -> Array:
    return np.where(pi_sa > 0.0, 1.0, 0.0)


@_slope.register
def _(regularizer: Weighted, pi_sa: Array) -> Array:
    return _slope(regularizer.base, pi_sa) / regularizer.weight_s[..., None]


def argmax_derivative(regularizer: Regularizer, pi_sa: Array) -> Array:
    """Derivative of argmax_p <p, q> - h(p) in q, symmetric, shape (..., S, A, A).

    It is diag(d) - d d' / sum(d) with d the inverse second derivatives of h, zero where the maximiser
    stays on the boundary.

    Parameters
    ----------
    regularizer : Regularizer
    pi_sa : (..., S, A)
        The maximiser.

    Raises
    ------
    InputError
        If the regulariser is of a kind whose second derivative is not known here.
    """
    d_sa = _slope(regularizer, pi_sa)
    share_sa = d_sa / d_sa.sum(axis=-1, keepdims=True)
    return np.asarray(d_sa[..., None] * (np.eye(d_sa.shape[-1]) - share_sa[..., None, :]))


def _from_top(x_sa: Array) -> Array:
    """Payoffs relative to the best action's: the constant does not matter, and rounding likes it."""
    return np.asarray(x_sa - x_sa.max(axis=-1, keepdims=True))


def _apply(matrix_sij: Array, x_sj: Array) -> Array:
    return np.asarray((matrix_sij @ x_sj[..., None])[..., 0])


@dataclass(frozen=True, eq=False)
class _Stage:
    """Solved stage games, in units of tau.

    Attributes
    ----------
    N_sab : (..., S, A, B)
    x_sa, y_sb : (..., S, A) and (..., S, B)
        Payoffs of the actions, from the best one down.
    """

    N_sab: Array
    x_sa: Array
    y_sb: Array


def _responses(game: ZeroSumGame, x_sa: Array, y_sb: Array) -> tuple[Array, Array]:
    return game.regularizer_1.argmax(x_sa, 1.0), game.regularizer_2.argmax(y_sb, 1.0)


def _direction(
    game: ZeroSumGame, N_sab: Array, policies: tuple[Array, Array], c_sa: Array, c_sb: Array
) -> tuple[Array, Array]:
    """Solve dx - N Q dy = c_1, dy + N' P dx = c_2."""
    p_sa, q_sb = policies
    n_first, n_second = game.n_actions
    n = n_first + n_second
    system = np.broadcast_to(np.eye(n), (*N_sab.shape[:-2], n, n)).copy()
    system[..., :n_first, n_first:] = -N_sab @ argmax_derivative(game.regularizer_2, q_sb)
    system[..., n_first:, :n_first] = N_sab.mT @ argmax_derivative(game.regularizer_1, p_sa)
    step = np.linalg.solve(system, np.concatenate([c_sa, c_sb], axis=-1)[..., None])[..., 0]
    return step[..., :n_first], step[..., n_first:]


def _newton(game: ZeroSumGame, N_sab: Array, x_sa: Array, y_sb: Array) -> tuple[Array, Array, Array]:
    """One step of Newton's method, and its size in each state."""
    p_sa, q_sb = _responses(game, x_sa, y_sb)
    error_sa = _from_top(_apply(N_sab, q_sb)) - x_sa
    error_sb = _from_top(-_apply(N_sab.mT, p_sa)) - y_sb
    step_sa, step_sb = _direction(game, N_sab, (p_sa, q_sb), error_sa, error_sb)
    moved_sa, moved_sb = _from_top(x_sa + step_sa), _from_top(y_sb + step_sb)
    size_s = np.maximum(np.abs(moved_sa - x_sa).max(axis=-1), np.abs(moved_sb - y_sb).max(axis=-1))
    return moved_sa, moved_sb, size_s


_NEAR = 1e-2
"""A Newton step this short, in logits, ends the correction at a point of the path."""
_CORRECTIONS = 8
"""Newton steps before a step along the path counts as failed."""
_LONGER, _SHORTER = 3.0, 0.25
"""Factors of the next step along the path after a success and after a failure."""
_STEPS = 3000
"""Steps along the path before it is given up: some hundreds suffice while rounding does not hide it."""
_BEND = 0.1
"""Size of the detour of a path, relative to the range of its change."""


def _follow(game: ZeroSumGame, solved: _Stage, N_sab: Array) -> _Stage:
    """Follow the solution from solved stage games to others.

    Raises
    ------
    ConvergenceError
        If every path is lost in rounding, which begins at payoffs of some 1e7 tau.
    """
    if np.abs(N_sab).max() * UNIT < _NEAR:
        # Solved games may stand where supports change, and straight paths meet several changes at once.
        flat = _flat(N_sab)
        for start, bend in ((solved, 0.0), (flat, 0.0), (flat, _BEND), (flat, -_BEND)):
            try:
                with np.errstate(over="ignore", invalid="ignore"):  # of a step that fails
                    return _polished(game, _followed(game, start, N_sab, bend))
            except (np.linalg.LinAlgError, _PathLostError):
                continue
    raise ConvergenceError(
        f"a stage game was not solved: its payoffs reach {np.abs(N_sab).max():.2g} tau, where rounding "
        "hides the solution: raise tau"
    )


class _PathLostError(Exception):
    """A path could not be followed to its end."""


def _flat(N_sab: Array) -> _Stage:
    """Stage games of payoff zero, solved by the policies that maximise -h."""
    shape = N_sab.shape[:-2]
    return _Stage(
        np.zeros_like(N_sab), np.zeros((*shape, N_sab.shape[-2])), np.zeros((*shape, N_sab.shape[-1]))
    )


def _followed(game: ZeroSumGame, start: _Stage, N_sab: Array, bend: float) -> _Stage:
    """The path from one stage to another, each state at its own pace t."""
    x_sa, y_sb = start.x_sa, start.y_sb
    change_sab = N_sab - start.N_sab
    range_s = np.ptp(change_sab, axis=(-2, -1))
    bend_sab = bend * range_s[..., None, None] * _generic(N_sab.shape[-2:])

    def point(t_s: Array) -> Array:
        t = t_s[..., None, None]
        return np.where(t == 1.0, N_sab, start.N_sab + t * (change_sab + (1.0 - t) * bend_sab))

    t_s: Array = np.zeros(N_sab.shape[:-2])
    # The maximisers are Lipschitz in the payoffs with constants of order 1, so changes by 1 are mild.
    first_s = 1.0 / np.maximum(1.0, range_s)
    step_s = first_s
    for _ in range(_STEPS):
        if (t_s == 1.0).all():
            return _Stage(N_sab, x_sa, y_sb)
        if (step_s <= UNIT * np.maximum(t_s, first_s)).any():
            break
        p_sa, q_sb = _responses(game, x_sa, y_sb)
        slope_sab = change_sab + (1.0 - 2.0 * t_s)[..., None, None] * bend_sab
        slopes = _apply(slope_sab, q_sb), -_apply(slope_sab.mT, p_sa)
        tangent_sa, tangent_sb = _direction(game, point(t_s), (p_sa, q_sb), *slopes)
        next_s = np.minimum(t_s + step_s, 1.0)
        ahead_s = (next_s - t_s)[..., None]
        new_sa, new_sb = _from_top(x_sa + ahead_s * tangent_sa), _from_top(y_sb + ahead_s * tangent_sb)
        there_sab = point(next_s)
        found_s = next_s == t_s
        for _ in range(_CORRECTIONS):
            moved_sa, moved_sb, size_s = _newton(game, there_sab, new_sa, new_sb)
            new_sa = np.where(found_s[..., None], new_sa, moved_sa)
            new_sb = np.where(found_s[..., None], new_sb, moved_sb)
            found_s = found_s | (size_s <= _NEAR)
            if found_s.all():
                break
        x_sa = np.where(found_s[..., None], new_sa, x_sa)
        y_sb = np.where(found_s[..., None], new_sb, y_sb)
        t_s = np.where(found_s, next_s, t_s)
        step_s = np.where(found_s, np.minimum(_LONGER * step_s, 1.0), _SHORTER * step_s)
    raise _PathLostError


def _generic(shape: tuple[int, ...]) -> Array:
    """Numbers between -1 and 1 in no special position: multiples of the golden ratio, modulo 1."""
    multiples = 0.5 * (1.0 + np.sqrt(5.0)) * np.arange(1, np.prod(shape) + 1)
    return np.asarray(2.0 * (multiples % 1.0) - 1.0).reshape(shape)


def _polished(game: ZeroSumGame, stage: _Stage) -> _Stage:
    """Newton's method until rounding stops it."""
    x_sa, y_sb = stage.x_sa, stage.y_sb
    last_s = np.full(x_sa.shape[:-1], np.inf)
    while True:
        moved_sa, moved_sb, size_s = _newton(game, stage.N_sab, x_sa, y_sb)
        better_s = size_s < 0.5 * last_s
        if not better_s.any():
            return _Stage(stage.N_sab, x_sa, y_sb)
        x_sa = np.where(better_s[..., None], moved_sa, x_sa)
        y_sb = np.where(better_s[..., None], moved_sb, y_sb)
        last_s = np.where(better_s, size_s, 0.0)


def _scaled(game: ZeroSumGame, v_s: Array) -> Array:
    """Payoffs of the stage games at v in units of tau, centred in each state."""
    M_sab = joint_backup(game, v_s[..., None, :])[..., 0, :, :, :]
    middle_s = 0.5 * (M_sab.max(axis=(-2, -1)) + M_sab.min(axis=(-2, -1)))
    with np.errstate(over="ignore"):  # refused by `_follow`
        return np.asarray((M_sab - middle_s[..., None, None]) / game.tau)


# The equilibrium.


def nash_equilibrium(
    game: ZeroSumGame,
    *,
    start_s: Array | None = None,
    tolerance: float | None = None,
    max_iterations: int = 1000,
) -> Equilibrium:
    """Regularised Nash equilibrium.

    Parameters
    ----------
    game : ZeroSumGame
        With tau > 0 and regularisers of :mod:`reference.regularizers`, of either player its own.
    start_s : (..., S), optional
        First values; zero if not given.
    tolerance : float, optional
        On the certified gap.  If not given, gap and policies are as exact as float64 attains.
    max_iterations : int

    Raises
    ------
    InputError
        If tau = 0, a regulariser is of an unknown kind, or ``start_s`` is not one number per state.
    ConvergenceError
        If the gap does not meet the tolerance, or a stage game is beyond float64.
    """
    instance("game", game, ZeroSumGame)
    if game.tau == 0.0:
        raise InputError(
            "tau is 0, where the equilibrium need not be unique: use tau > 0; for a given pair of "
            "policies at tau = 0, `certified` tells the gap"
        )
    tolerance = None if tolerance is None else scalar("tolerance", tolerance, low=0.0)
    max_iterations = whole("max_iterations", max_iterations, low=1)
    v_s: Array = np.zeros(game.n_states)
    if start_s is not None:
        v_s = numbers("start_s", start_s, "(state,)", (game.n_states,))
        agree(game, start_s=v_s.shape[:-1])
    stage = _flat(_scaled(game, v_s))
    for iteration in range(1, max_iterations + 1):
        stage = _follow(game, stage, _scaled(game, v_s))
        pi_sa, pi_sb = _responses(game, stage.x_sa, stage.y_sb)
        found = certified(game, pi_sa, pi_sb, start_s=v_s, iterations=iteration)
        goal = found.attainable if tolerance is None else tolerance
        high_s = found.responses[0].v_s
        open_ = found.ni_gap > goal
        if tolerance is None:
            # The gap is quadratic in the error of the policies: they are as exact as it only if the
            # values that they were found at are.
            open_ = open_ | (np.abs(high_s - v_s).max(axis=-1) > found.error)
        if not open_.any():
            return found
        # A member of a batch that meets the tolerance stays as it is.
        moved_s = np.where(open_[..., None], high_s, v_s)
        if (moved_s == v_s).all():
            break
        v_s = moved_s
    raise ConvergenceError(
        f"the iteration over values stopped after {iteration} iterations with a gap of at most "
        f"{found.ni_gap.max():.3g} for a tolerance of {np.min(goal):.3g} (float64 attains "
        f"{found.attainable.max():.3g} here): raise max_iterations, the tolerance or tau"
    )
