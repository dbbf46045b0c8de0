"""By which rule the presets' weights of the penalty were chosen, and what the weights do, on tables.

    python benchmarks/rlhf_weight.py [--seeds 100 101 ...] [--updates 300] [--jobs N]

lambda_0 is what ``python -m sampled.rlhf.noise`` measures; of lambda_0, lambda_0 / 10, ... the largest
is taken at which the preference loss ends within two standard errors of DRLHF's on both tables.  The
seeds are apart from those of ``python -m verify reproduce rlhf``.  Besides: no penalty, Appendix E.2's
weight, and the chosen one with an epsilon of the predictor's Adam that is large beside its gradients, so
that a parameter of which the preferences say nothing no longer moves as far as any other.

Printed are means over the last fifth of the runs, of the exact value (0 uniform, 1 optimal) and of the
preference loss, and the differences from DRLHF, paired by seed, with standard errors.
"""

import argparse
from dataclasses import dataclass, replace

import numpy as np
import torch
from joblib import Parallel, delayed  # type: ignore[import-untyped]  # joblib ships no types

from reference.validation import Array
from sampled.rlhf.experiment import Experiment
from sampled.rlhf.settings import Method, Settings, Tabular, as_derived, preset
from verify.experiments.rlhf_runs import scaled

PRESETS = ("tabular_frozen_lake", "tabular_random_mdp")


@dataclass(frozen=True)
class Variant:
    """A method; of the preset's weight a factor, or a weight of its own."""

    name: str
    factor: float = float("nan")
    weight: float = float("nan")
    epsilon: float = 1e-8

    def settings(self, name: str) -> Settings:
        """Of a preset."""
        found = preset(name)
        found = replace(found, reward=replace(found.reward, epsilon=self.epsilon))
        if self.name == "DRLHF":
            return replace(found, run=replace(found.run, method=Method.DRLHF))
        own = found.pbrl.penalty_weight * self.factor if np.isnan(self.weight) else self.weight
        return as_derived(replace(found, pbrl=replace(found.pbrl, penalty_weight=own)))


PLAIN = Variant("DRLHF")
COARSE = Variant("DRLHF", epsilon=1e-3)
VARIANTS = (
    (PLAIN, PLAIN),
    (Variant("no penalty", weight=0.0), PLAIN),
    (Variant("lambda_0 / 100", 0.1), PLAIN),
    (Variant("lambda_0 / 10", 1.0), PLAIN),
    (Variant("lambda_0", 10.0), PLAIN),
    (Variant("1000", weight=1000.0), PLAIN),
    (COARSE, COARSE),
    (Variant("lambda_0 / 10", 1.0, epsilon=1e-3), COARSE),
)
"""Each with what it is compared with."""


def final(variant: Variant, name: str, seed: int, updates: int) -> tuple[float, float]:
    """Value and preference loss of a run."""
    torch.set_num_threads(1)
    settings = variant.settings(name)
    assert isinstance(settings.game, Tabular)
    every = max(updates // 30, 1)
    run = replace(settings.run, seed=seed, updates=updates, evaluate_every=every)
    settings = replace(settings, run=run, game=replace(settings.game, instance=seed))
    experiment = Experiment(settings)
    values, losses = [], []
    while not experiment.finished:
        told, k = experiment.tick(), experiment.agent.updates
        if k <= 0.8 * updates:
            continue
        if "reward_loss" in told:
            losses.append(told["reward_loss"])
        if k % every == 0:
            values.append(experiment.evaluate()["value"])
    assert isinstance(settings.game, Tabular)
    value = scaled(settings.game, settings.a2c.gamma, np.mean(values, keepdims=True)[None])
    return float(value[0, 0]), float(np.mean(losses))


def told(some: Array) -> str:
    """Mean and standard error."""
    return f"{some.mean():+.4f} +- {some.std(ddof=1) / len(some) ** 0.5:.4f}"


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", nargs="+", type=int, default=list(range(100, 106)))
    parser.add_argument("--updates", type=int, default=300)
    parser.add_argument("--jobs", type=int, default=1)
    chosen = parser.parse_args()
    for name in PRESETS:
        kept: dict[Variant, Array] = {}
        for variant, beside in VARIANTS:
            runs = (delayed(final)(variant, name, seed, chosen.updates) for seed in chosen.seeds)
            kept[variant] = np.array(Parallel(chosen.jobs)(runs))
            value, loss = kept[variant].T
            more, worse = (kept[variant] - kept[beside]).T
            weight = variant.settings(name).pbrl.penalty_weight
            print(
                f"{name} {variant.name:14} weight {0.0 if variant.name == 'DRLHF' else weight:8.3g} "
                f"epsilon {variant.epsilon:g}: value {told(value)}, loss {told(loss)}; "
                f"over DRLHF: value {told(more)}, loss {told(worse)}",
                flush=True,
            )


if __name__ == "__main__":
    main()
