"""Automatic differentiation in PyTorch, float64, through a plain linear solve.

The whole computation is differentiated, policy iterations and all: no envelope theorem is assumed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from verify.oracles.arithmetic import Floats, Native
from verify.oracles.route import Answer, Request


class _Tensors:
    """PyTorch's half of the arithmetic."""

    rounds = True

    def lift(self, values: npt.ArrayLike) -> Native:
        import torch

        return torch.tensor(np.asarray(values, dtype=np.float64))

    def einsum(self, spec: str, *operands: Native) -> Native:
        import torch

        return torch.einsum(spec, *operands)

    def stack(self, arrays: Sequence[Native]) -> Native:
        import torch

        return torch.stack(list(arrays))

    def exp(self, z: Native) -> Native:
        return z.exp()

    def log(self, z: Native) -> Native:
        return z.log()

    def real(self, z: Native) -> Floats:
        return np.asarray(z.detach().numpy(), dtype=np.float64)

    def sharpen(self, z: Native) -> Native:
        return z

    def solve(self, P_st: Native, gamma: Native, c_s: Native) -> Native:
        import torch

        return torch.linalg.solve(torch.eye(len(c_s), dtype=torch.float64) - gamma * P_st, c_s)


@dataclass(frozen=True)
class Autodiff:
    """Values and full gradients."""

    name: str = "autodiff"

    def applies(self, request: Request) -> bool:
        """Every definition."""
        return request.is_defined

    def answer(self, request: Request) -> Answer:
        """Run the definition on tensors and, if asked, go back through it."""
        number = _Tensors()
        point = request.point.lifted(number)
        if request.variable is None:
            return Answer(number.real(request.define(number, point)), 0.0)
        leaf = request.variable.get(point).requires_grad_()
        request.define(number, request.variable.put(point, leaf)).backward()
        gradient = np.zeros(leaf.shape) if leaf.grad is None else leaf.grad.numpy()
        return Answer(np.asarray(gradient, dtype=np.float64), 0.0)


ROUTE = Autodiff()
