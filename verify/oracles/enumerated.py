r"""Every trajectory through the code of `sampled`, weighted by its exact probability.

A mean over all trajectories leaves no randomness: with their probabilities p_n and surrogates J_n,

    E J = sum_n p_n J_n,

and its derivatives, by autograd with p_n held fixed, are those that the samples estimate.  An estimator
that couples the trajectories of a batch sees every batch of two.  The mean itself is
:class:`sampled.enumeration.Everything`; whoever asks puts it into the estimate.
"""

from dataclasses import dataclass

import numpy as np

from verify.oracles.route import Answer, Request


@dataclass(frozen=True)
class EveryTrajectory:
    """Exact expectations of estimates and of their derivatives."""

    name: str = "every trajectory"

    def applies(self, request: Request) -> bool:
        """Whatever has an estimate."""
        return request.estimate is not None

    def answer(self, request: Request) -> Answer:
        """Run the estimate on all trajectories and, if asked, go back through it."""
        import torch

        if request.estimate is None:
            raise ValueError("the request has no estimate")
        if request.variable is None:
            found, error = request.estimate(torch.tensor(request.point.x))
            return Answer(np.asarray(found.detach().numpy(), dtype=np.float64), error)
        leaf = torch.tensor(request.variable.get(request.point)).requires_grad_()
        total, error = request.estimate(leaf)
        (gradient,) = torch.autograd.grad(total, leaf, allow_unused=True, materialize_grads=True)
        return Answer(np.asarray(gradient.numpy(), dtype=np.float64), error)


ROUTE = EveryTrajectory()
