r"""The reward predictor: Bradley-Terry cross-entropy (2.5), ensembles, standardisation.

With R the sum of r_x along a segment, undiscounted, over the steps that count, and D = R(d_0) - R(d_1)::

    P    = (1 - e) / (1 + exp(-D)) + e / 2           e: share of labels taken for coin tosses
    loss = - l_0 log P - (1 - l_0) log(1 - P)

An ensemble (Christiano et al. 2017) has members that differ in their initial parameters and in the
resampled pairs that they see; the reward is the mean of the members, each standardised over the buffer::

    r(s, a) = mean_b spread (r_b(s, a) - mean_b) / deviation_b

Preferences cannot tell r_x from another reward whose sums along all segments that occur differ by the
same number: a constant among others.  The standardisation chooses one of them.

With a held-out share, the coefficient of the squared parameters is raised or lowered by a tenth after
each epoch, so that the loss on held-out pairs stays between 1.1 and 1.5 times that on the others.
"""

from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from sampled.errors import InputError
from sampled.rlhf.a2c import optimizer
from sampled.rlhf.lanes import Snapshot
from sampled.rlhf.networks import RewardNetwork
from sampled.rlhf.preferences import Buffer, Pairs
from sampled.rlhf.settings import Reward
from sampled.rlhf.tracks import Segments, Track


def segment_sums(reward: Tensor, segments: Segments) -> Tensor:
    """Sum of given rewards (N L,) over the steps that count, (N,)."""
    reward_nl = reward.view(segments.count, segments.length)
    return (reward_nl * segments.counted_nl.to(reward_nl.dtype)).sum(1)


def preference_losses(difference_m: Tensor, label_m: Tensor, uniform: float = 0.0) -> Tensor:
    """Cross-entropy of each pair, (M,).

    Parameters
    ----------
    difference_m : (M,)
        D.
    label_m : (M,)
        l_0 in [0, 1].
    uniform : float in [0, 1)
        e.
    """
    label_m = label_m.to(difference_m.dtype)
    if uniform == 0.0:
        return -label_m * logsigmoid(difference_m) - (1.0 - label_m) * logsigmoid(-difference_m)
    p_m = (1.0 - uniform) * difference_m.sigmoid() + 0.5 * uniform
    return -label_m * p_m.log() - (1.0 - label_m) * torch.log1p(-p_m)


def preferred(difference_m: Tensor, label_m: Tensor) -> tuple[int, int]:
    """How many decided pairs are predicted rightly, and how many there are."""
    decided_m = label_m != 0.5
    right_m = ((difference_m > 0.0) == (label_m > 0.5)) & decided_m & (difference_m != 0.0)
    return int(right_m.sum()), int(decided_m.sum())


Chosen = Callable[[Tensor, Tensor], Tensor]
"""r(s, a), (I,), of stacks and actions (I,)."""


class RewardModel:
    """The predictor, or an ensemble, with its training.

    Parameters
    ----------
    networks : sequence of RewardNetwork
        The members, where they are to be trained.
    settings : Reward
    shuffle, dropout : torch.Generator
        Of the order of pairs, on the CPU, and of dropout, on the networks' device.
    """

    def __init__(
        self,
        networks: Sequence[RewardNetwork],
        settings: Reward,
        shuffle: torch.Generator,
        dropout: torch.Generator,
    ) -> None:
        self.networks, self.settings = list(networks), settings
        self._shuffle, self._dropout = shuffle, dropout
        self.parameters = [list(network.parameters()) for network in self.networks]
        members = len(self.networks)
        some = self.parameters[0][0]
        self.device = some.device
        self.offset_b = torch.zeros(members, dtype=some.dtype, device=self.device)
        self.scale_b = torch.ones_like(self.offset_b)
        self.decay_b = [settings.weight_decay] * members
        self.epochs = 0

    @cached_property
    def optimizers(self) -> list[torch.optim.Optimizer]:
        """One of each member; made when they are first needed, since PyTorch takes a second for it."""
        settings = self.settings
        return [
            optimizer(settings.optimizer, some, settings.learning_rate, settings.epsilon)
            for some in self.parameters
        ]

    @property
    def members(self) -> int:
        """Number of networks."""
        return len(self.networks)

    def _scoring(self) -> torch.Generator | None:
        return self._dropout if self.settings.dropout_when_scoring else None

    def member(self, b: int, stack: Tensor, action: Tensor, dropout: torch.Generator | None) -> Tensor:
        """r_b(s, a) as the network has it, (I,)."""
        found: Tensor = self.networks[b](stack, dropout)
        return found.gather(-1, action.unsqueeze(-1)).squeeze(-1)

    def raw(self, stack: Tensor, action: Tensor) -> Tensor:
        """Mean of the members' rewards as the networks have them, (I,): r_x of the preference model."""
        each = [self.member(b, stack, action, self._scoring()) for b in range(self.members)]
        return torch.stack(each).mean(0)

    def reward(self, stack: Tensor, action: Tensor) -> Tensor:
        """The reward that policies are trained on, (I,); differentiable in the networks."""
        each = [
            (self.member(b, stack, action, self._scoring()) - self.offset_b[b]) * self.scale_b[b]
            for b in range(self.members)
        ]
        return torch.stack(each).mean(0)

    def of_track(self, track: Track) -> Tensor:
        """The reward of each step of a track, (N, H), zero at ghosts."""
        with torch.no_grad():
            reward = self.reward(track.states(), track.action_nh.reshape(-1))
        return reward.view(track.action_nh.shape) * track.alive_nh.to(reward.dtype)

    def differences(self, pairs: Pairs) -> Tensor:
        """D of each pair under :meth:`raw`, (M,)."""
        both = (
            segment_sums(self.raw(segments.states(), segments.actions()), segments)
            for segments in (pairs.first, pairs.second)
        )
        return next(both) - next(both)

    def disagreement(self, pairs: Pairs) -> Tensor:
        """Variance over the members of the predicted preference, (M,)."""
        with torch.no_grad():
            each = [self._difference(b, pairs, self._scoring()).sigmoid() for b in range(self.members)]
        return torch.stack(each).var(0, correction=0)

    def losses(self, pairs: Pairs) -> Tensor:
        """The preference loss of each pair as the upper level counts it, (M,); no derivative."""
        with torch.no_grad():
            return preference_losses(self.differences(pairs), pairs.label_m)

    def _difference(self, b: int, pairs: Pairs, dropout: torch.Generator | None) -> Tensor:
        """D of each pair under one member, (M,), all segments in one batch."""
        first, second = pairs.first, pairs.second
        stack = torch.cat((first.states(), second.states()))
        reward = self.member(b, stack, torch.cat((first.actions(), second.actions())), dropout)
        half = first.count * first.length
        return segment_sums(reward[:half], first) - segment_sums(reward[half:], second)

    def epoch(
        self, buffer: Buffer, penalty: Callable[[Chosen], Tensor] | None = None
    ) -> dict[str, float]:
        """Go once through the buffer's pairs in random order, in batches.

        Parameters
        ----------
        buffer : Buffer
        penalty : callable, optional
            From r(s, a) of a member, standardised, to a loss that is added in each batch.

        Returns
        -------
        dict
            Mean loss and share of decided pairs predicted rightly, over all members, with dropout.

        Raises
        ------
        InputError
            If no pair of the buffer is decided.
        """
        if buffer.decided() == 0:
            raise InputError(
                f"none of the {len(buffer)} pairs in the buffer is decided: every two segments earned "
                "the same, and nothing can be learned from them; collect more pairs "
                "(preferences.initial_pairs), longer segments (preferences.segment_length), or from a "
                "wider window"
            )
        total = {"loss": 0.0, "pairs": 0, "right": 0, "decided": 0, "penalty": 0.0, "batches": 0}
        for b in range(self.members):
            self._member_epoch(b, buffer, penalty, total)
        self.epochs += 1
        found = {
            "reward_loss": total["loss"] / max(total["pairs"], 1),
            "reward_accuracy": total["right"] / max(total["decided"], 1),
        }
        if penalty is not None:
            found["penalty_loss"] = total["penalty"] / max(total["batches"], 1)
        return found

    def _member_epoch(
        self,
        b: int,
        buffer: Buffer,
        penalty: Callable[[Chosen], Tensor] | None,
        total: dict[str, float],
    ) -> None:
        settings, n = self.settings, len(buffer)
        times = torch.where(buffer.held_mb[:n, b], 0, buffer.times_mb[:n, b])
        index = torch.arange(n).repeat_interleave(times)
        index = index[torch.randperm(index.numel(), generator=self._shuffle)]
        seen, before = 0, total["loss"]
        for some in torch.split(index, settings.batch_size):
            self.optimizers[b].zero_grad(set_to_none=True)
            for part in torch.split(some, settings.micro_batch):
                pairs = buffer.pairs(part).to(self.device)
                difference_m = self._difference(b, pairs, self._dropout)
                loss = preference_losses(difference_m, pairs.label_m, settings.uniform_labels).sum()
                torch.autograd.backward(loss / some.numel())
                total["loss"] += float(loss.detach())
                right, decided = preferred(difference_m.detach(), pairs.label_m)
                total["right"] += right
                total["decided"] += decided
            seen += some.numel()
            if self.decay_b[b] > 0.0:
                squares = [parameter.square().sum() for parameter in self.parameters[b]]
                torch.autograd.backward(self.decay_b[b] * torch.stack(squares).sum())
            if penalty is not None:
                added = penalty(self._standardised(b))
                torch.autograd.backward(added)
                total["penalty"] += float(added.detach())
            total["batches"] += 1
            self.optimizers[b].step()
        total["pairs"] += seen
        if seen and settings.validation > 0.0:
            self._adapt(b, buffer, (total["loss"] - before) / seen)

    def _standardised(self, b: int) -> Chosen:
        def chosen(stack: Tensor, action: Tensor) -> Tensor:
            found = self.member(b, stack, action, self._scoring())
            return (found - self.offset_b[b]) * self.scale_b[b]

        return chosen

    def _adapt(self, b: int, buffer: Buffer, trained: float) -> None:
        """Move the coefficient of the squared parameters by the loss on held-out pairs."""
        held = buffer.held_mb[: len(buffer), b].nonzero()[:, 0]
        if held.numel() == 0:
            return
        lost = 0.0
        with torch.no_grad():
            for part in torch.split(held, self.settings.micro_batch):
                pairs = buffer.pairs(part).to(self.device)
                difference_m = self._difference(b, pairs, None)
                uniform = self.settings.uniform_labels
                lost += float(preference_losses(difference_m, pairs.label_m, uniform).sum())
        ratio = lost / held.numel() / trained
        if ratio > 1.5:
            self.decay_b[b] *= 1.1
        elif ratio < 1.1:
            self.decay_b[b] /= 1.1

    def standardise(self, buffer: Buffer) -> None:
        """Set each member's offset and scale by its rewards along the buffer's segments."""
        if not self.settings.standardize:
            return
        for b in range(self.members):
            count, total, squares = 0.0, 0.0, 0.0
            with torch.no_grad():
                for part in torch.split(torch.arange(len(buffer)), self.settings.micro_batch):
                    pairs = buffer.pairs(part).to(self.device)
                    for segments in (pairs.first, pairs.second):
                        reward = self.member(b, segments.states(), segments.actions(), None)
                        kept = reward[segments.counted_nl.reshape(-1)].to(torch.float64)
                        count += kept.numel()
                        total += float(kept.sum())
                        squares += float(kept.square().sum())
            if count == 0.0:
                raise InputError("no step of the buffer's segments counts: nothing to standardise by")
            mean = total / count
            deviation = max(squares / count - mean**2, 0.0) ** 0.5
            self.offset_b[b] = mean
            # A reward that is the same everywhere but for rounding has no spread to scale.
            rounding = torch.finfo(self.offset_b.dtype).eps * abs(mean)
            self.scale_b[b] = self.settings.spread / deviation if deviation > rounding else 1.0

    def snapshot(self) -> Snapshot:
        """Parameters, optimisers, standardisation and counters; the generators are the caller's."""
        return {
            "networks": [deepcopy(network.state_dict()) for network in self.networks],
            "optimizers": [deepcopy(some.state_dict()) for some in self.optimizers],
            "offset": self.offset_b.clone(),
            "scale": self.scale_b.clone(),
            "decay": list(self.decay_b),
            "epochs": self.epochs,
        }

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Go on from a snapshot."""
        for network, state in zip(self.networks, snapshot["networks"], strict=True):
            network.load_state_dict(state)
        for some, state in zip(self.optimizers, snapshot["optimizers"], strict=True):
            some.load_state_dict(deepcopy(state))
        self.offset_b = snapshot["offset"].to(self.device).clone()
        self.scale_b = snapshot["scale"].to(self.device).clone()
        self.decay_b = list(snapshot["decay"])
        self.epochs = snapshot["epochs"]
