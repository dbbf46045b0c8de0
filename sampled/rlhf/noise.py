r"""The penalty's gradient beside that of the preferences in the predictor, measured before training.

In the predictor's update the gradient is g_f + lambda g_p, both from samples, with

    sigma_f   standard deviation of g_f over batches of pairs
    sigma_p   standard deviation of g_p, made of ``pbrl.penalty_lanes`` trajectories each

as norms over all parameters.  As the companion and the policy come close, grad_x p vanishes and sigma_p
does not: what lambda multiplies is then noise, and the same in all batches of an epoch.  The weight at
which it is no louder than the preferences' own is

    lambda = sigma_f / sigma_p.

Both are measured at the first epoch after the warm-up, without a look at any return::

    python -m sampled.rlhf.noise minatar_breakout minatar_space_invaders --seeds 100 101 102
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

import torch
from torch import Tensor

from sampled.rlhf import bilevel
from sampled.rlhf.experiment import Experiment
from sampled.rlhf.rewards import preference_losses
from sampled.rlhf.settings import Settings, as_derived, preset

GROUPS = 8
"""Of lanes, whose means are compared."""


@dataclass(frozen=True)
class Noise:
    """Norms of gradients in the predictor's parameters, and of their standard deviations.

    Attributes
    ----------
    f, sigma_f : float
        Of the preference loss: over the buffer, and of a batch.
    p, sigma_p : float
        Of the penalty, unweighted: of all lanes.
    """

    f: float
    sigma_f: float
    p: float
    sigma_p: float

    @property
    def weight(self) -> float:
        """Lambda at which both are equally noisy."""
        return self.sigma_f / self.sigma_p


def measure(settings: Settings) -> Noise:
    """Measure at the first epoch of a run as derived.

    Parameters
    ----------
    settings : Settings
        Of any reading; the upper level's coefficient is set to zero.
    """
    settings = as_derived(settings)
    settings = replace(settings, pbrl=replace(settings.pbrl, upper_weight=0.0))
    experiment = Experiment(settings)
    while experiment.agent.updates < settings.reward.epoch_every:
        experiment.tick()
    experiment.improve_companion(due=True)
    own, companion = experiment.penalty_tracks()
    model, buffer = experiment.model, experiment.buffer
    parameters = model.parameters[0]

    def gradient(loss: Tensor) -> Tensor:
        return torch.cat([g.reshape(-1) for g in torch.autograd.grad(loss, parameters)])

    batches = torch.split(torch.arange(len(buffer)), settings.reward.batch_size)
    g_f = []
    for part in batches:
        pairs = buffer.pairs(part).to(experiment.device)
        difference_m = model.differences(pairs)
        g_f.append(gradient(preference_losses(difference_m, pairs.label_m).mean()))
    g_p = []
    for group in torch.arange(own.lanes).chunk(GROUPS):
        weight_n = torch.zeros(own.lanes, dtype=experiment.dtype)
        weight_n[group] = 1.0 / group.numel()
        weights = (weight_n, weight_n)
        gamma = settings.a2c.gamma
        g_p.append(
            gradient(bilevel.penalty_surrogate(model.reward, own, companion, gamma, weights=weights))
        )
    f, sigma_f = _spread(g_f)
    p, sigma_group = _spread(g_p)
    return Noise(f, sigma_f, p, sigma_group / len(g_p) ** 0.5)


def _spread(gradients: Sequence[Tensor]) -> tuple[float, float]:
    """Norms of the mean and of the standard deviation."""
    g = torch.stack(list(gradients))
    return float(g.mean(0).norm()), float(g.var(0).sum().sqrt())


def main() -> None:
    """Write a line for each preset and seed, and the median weight of each preset."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("presets", nargs="+")
    parser.add_argument("--seeds", nargs="+", type=int, default=[100, 101, 102, 103, 104])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for name in arguments.presets:
        found = []
        for seed in arguments.seeds:
            settings = preset(name)
            one = measure(replace(settings, run=replace(settings.run, seed=seed)))
            found.append(one.weight)
            _tell(
                f"{name} seed {seed}: f {one.f:.3g} +- {one.sigma_f:.3g}, p {one.p:.3g} +- "
                f"{one.sigma_p:.3g}, lambda {one.weight:.3g}"
            )
        _tell(f"{name}: lambda {median(found):.3g}")


def _tell(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
