r"""Control variates: what is expected of a state in place of what its action was worth.

With a table q of action values, made without the batch, and v_pi(s) = sum_j pi(j|s) q(s, j)::

    c'_h = c_h + v_pi(s_h) - q(s_h, a_h)

has the mean of c_h given s_h, for every policy: whatever an estimator makes of earnings, it may make of
c' with the same expectation, as a function of all parameters.  v_pi is differentiated in the policy, q
is not.  Along a trajectory the sums telescope::

    sum_{k >= h} gamma^{k-h} c'_k = v_pi(s_h) - gamma^{H-h} v_pi(s_H)
        + sum_{k >= h} gamma^{k-h} ( c_k + gamma v_pi(s_{k+1}) - q(s_k, a_k) ),

so that with q(s, j) close to c(s, j) + gamma E v_pi(t) little but the moves is left to vary (Jiang and
Li 2016; Cheng et al. 2019; Huang and Jiang 2020).
"""

from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

from torch import Tensor

from sampled.errors import InputError
from sampled.processes import Decision, Process
from sampled.validation import floating, one_device, one_dtype, shaped


@runtime_checkable
class ActionValues(Protocol):
    """A guess of the value of every action."""

    def __call__(self, process: Process) -> Tensor:
        """q of the process' shape, (P, S, A) or (P, S, A, B)."""
        ...


@dataclass(frozen=True, eq=False)
class Table:
    """A guess that was made beforehand.

    Attributes
    ----------
    q_psj : (P, S, A) or (P, S, A, B)

    Raises
    ------
    InputError
        If it is no tensor of real numbers.
    """

    q_psj: Tensor

    def __post_init__(self) -> None:
        floating("q_psj", self.q_psj)

    def __call__(self, process: Process) -> Tensor:
        """Return the table.

        Raises
        ------
        InputError
            If it has another shape than the process' rewards.
        """
        return shaped("q_psj", self.q_psj, "(problem, state, actions)", tuple(process.r_psj.shape))


@dataclass(frozen=True, eq=False)
class Lookahead:
    """r + gamma P v, where rewards and transitions are known; for v = 0 the rewards themselves.

    Attributes
    ----------
    values_ps : (P, S), or (1, S) for all problems
        v.

    Raises
    ------
    InputError
        If it is no table of real numbers.
    """

    values_ps: Tensor

    def __post_init__(self) -> None:
        floating("values_ps", self.values_ps, axes=2)

    def __call__(self, process: Process) -> Tensor:
        """Look one step ahead.

        Raises
        ------
        InputError
            If v has another shape than the process' states, another dtype or device.
        """
        moves_psjt, v_ps = process.dynamics.P_psjt, self.values_ps
        one_device(values_ps=v_ps, dynamics=moves_psjt)
        one_dtype(values_ps=v_ps, dynamics=moves_psjt)
        problems, n_states = moves_psjt.shape[:2]
        if tuple(v_ps.shape) not in ((problems, n_states), (1, n_states)):
            raise InputError(
                f"values_ps has shape {tuple(v_ps.shape)}; it must be {(problems, n_states)}, or "
                f"{(1, n_states)} for all problems"
            )
        ahead_psj = (moves_psjt @ v_ps[:, None, :, None]).reshape(process.r_psj.shape)
        return process.r_psj + process.gamma * ahead_psj


def controlled(process: Process, q: ActionValues) -> Process:
    """Return the process with the earnings c' = (r - q) + (bonus + v_pi).

    Raises
    ------
    InputError
        If q has another shape, dtype or device.
    """
    q_psj = q(process).detach()
    one_device(q_psj=q_psj, r_psj=process.r_psj)
    one_dtype(q_psj=q_psj, r_psj=process.r_psj)

    def expected(decision: Decision) -> Decision:
        v = q_psj
        for pi in reversed(decision.policies):
            v = (v * pi.reshape(*pi.shape[:2], *(1,) * (v.ndim - 3), -1)).sum(-1)
        return replace(decision, bonus_ps=decision.bonus_ps + v)

    later = expected(process.decision)
    first = later if process.first is process.decision else expected(process.first)
    return replace(process, r_psj=process.r_psj - q_psj, decision=later, first=first)
