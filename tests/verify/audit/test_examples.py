"""Other libraries' losses, through their own code: exactly, and from the environment."""

import numpy as np
import pytest
import torch

from verify.audit import audit
from verify.audit.contract import Verdict
from verify.audit.engine import generator_of
from verify.audit.examples.findings import Scene, enumerated
from verify.audit.foreign import find

pytest.importorskip("stable_baselines3", reason="the optional extra audit is not installed")
pytest.importorskip("torchrl", reason="the optional extra audit is not installed")

from verify.audit.examples.findings import libraries

FLOAT32 = float(np.finfo(np.float32).eps)


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def scene() -> Scene:
    return Scene.default()


@pytest.mark.filterwarnings("ignore")  # of the libraries' own
@pytest.mark.parametrize("name", libraries())
@pytest.mark.parametrize("trace", [1.0, 0.6])
def test_no_loss_carries_the_discount(scene: Scene, name: str, trace: float) -> None:
    """Over every trajectory of one and of two steps: weights 1 to float32, and not gamma^h."""
    make = libraries()[name]
    for steps in (1, 2):
        found = enumerated(scene, make(steps, scene.critic_s, trace), steps)
        without, with_weights = (scene.declared(steps, discounted=d, trace=trace) for d in (False, True))
        size = float(np.abs(scene.critic_s).max() + np.abs(scene.given.mdp.r_sa).max())
        assert np.abs(found - without).max() <= 64 * FLOAT32 * steps * size
        if steps == 2:
            assert np.abs(found - with_weights).max() > 0.05 * np.abs(without).max()


@pytest.mark.filterwarnings("ignore")  # of the libraries' own
@pytest.mark.parametrize("name", libraries())
def test_they_keep_the_contract(scene: Scene, name: str) -> None:
    """Estimates through the environment are functions of the generator alone."""
    make = libraries()[name]
    library = make(2, scene.critic_s)
    one, same, other = (
        library(scene.given, scene.logits, 2, generator_of(0, "t", k)) for k in (1, 1, 2)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert one.shape == scene.logits.shape
    assert torch.allclose(one.sum(-1), torch.zeros(3, dtype=torch.float64), atol=1e-5)
    found = audit(
        library,
        scene.setting,
        "value.y",
        steps=2,
        discounted=False,
        critic_s=scene.critic_s,
        batch=2,
        limit=8,
        epsilon=0.5,
        batch_dependent=True,
    )
    assert found.verdict is Verdict.UNDECIDED  # of eight calls nothing follows, and it says so
    assert found.entry["forecast_more"] is not None


@pytest.mark.filterwarnings("ignore")  # of the libraries' own
def test_a2c_without_a_critic_is_an_estimator_of_the_command_line() -> None:
    """Its expectation has weights 1 and no critic: on the mean of a few large batches."""
    found = audit(
        find("verify.audit.examples.a2c:two_steps"),
        "plain",
        "value.y",
        steps=2,
        discounted=False,
        batch=256,
        limit=16,
        epsilon=0.3,
    )
    assert found.verdict is Verdict.UNDECIDED
    observed = found.entry["blocks"][0]
    # Sixteen estimates have a standard error of some per cent of the length.
    assert observed["deviation"]["euclidean"] < 0.25 * observed["declared"]["euclidean"]


@pytest.mark.filterwarnings("ignore")  # of the libraries' own
def test_normalised_advantages_have_another_length(scene: Scene) -> None:
    """Normalisation multiplies each batch by another number, and shifts it."""
    make = libraries()["Stable-Baselines3 A2C"]
    plain, normal = (make(2, scene.critic_s, normalised=n) for n in (False, True))
    ratios = []
    for k in range(4):
        a, b = (lib(scene.given, scene.logits, 8, generator_of(0, "n", k)) for lib in (plain, normal))
        ratios.append(float(b.norm() / a.norm()))
    assert max(ratios) / min(ratios) > 1.05  # not a factor: a function of the batch
