"""Tables read along trajectories, against reading them entry by entry."""

import pytest
import torch
from torch import Tensor

from sampled.errors import InputError
from sampled.trajectories import Trajectories

P, N, H, S, A, B = 2, 3, 4, 5, 3, 2


@pytest.fixture(params=["stored by step", "stored by trajectory"])
def batch(request: pytest.FixtureRequest) -> Trajectories:
    generator = torch.Generator().manual_seed(0)

    def whole(high: int, *shape: int) -> Tensor:
        return torch.randint(0, high, shape, generator=generator, dtype=torch.int32)

    if request.param == "stored by step":
        states, actions = whole(S, H + 1, P, N).permute(1, 2, 0), whole(A * B, H, P, N).permute(1, 2, 0)
    else:
        states, actions = whole(S, P, N, H + 1), whole(A * B, P, N, H)
    lengths = torch.tensor([[1, 4, 2], [3, 4, 1]])
    return Trajectories(states, actions, lengths, torch.zeros(P, S, dtype=torch.bool), (A, B))


def each(batch: Trajectories) -> list[tuple[tuple[int, int, int], int, int, int, int]]:
    """Index, state, actions and next state of every step."""
    return [
        (
            (p, n, h),
            int(batch.states_pnh[p, n, h]),
            *divmod(int(batch.actions_pnh[p, n, h]), B),
            int(batch.states_pnh[p, n, h + 1]),
        )
        for p in range(P)
        for n in range(N)
        for h in range(H)
    ]


def test_sizes(batch: Trajectories) -> None:
    assert (batch.problems, batch.n, batch.horizon, batch.n_states) == (P, N, H, S)


def test_tables_are_read_entry_by_entry(batch: Trajectories) -> None:
    of_state, of_both = torch.randn(P, S), torch.randn(P, S, A, B)
    of_first, of_second, of_move = (
        torch.randn(P, S, A, 1),
        torch.randn(P, S, 1, B),
        torch.randn(P, S, A, B, S),
    )
    v, r = batch.at_states(of_state), batch.at_actions(of_both)
    first, second = batch.at_actions(of_first), batch.at_actions(of_second)
    moves = batch.at_transitions(of_move)
    a_pnh, b_pnh = batch.each_action_pnh
    for (p, n, h), s, a, b, t in each(batch):
        at = (p, n, h)
        assert v[at] == of_state[p, s]
        assert v[p, n, h + 1] == of_state[p, t]
        assert r[at] == of_both[p, s, a, b]
        assert first[at] == of_first[p, s, a, 0]
        assert second[at] == of_second[p, s, 0, b]
        assert moves[at] == of_move[p, s, a, b, t]
        assert (int(a_pnh[at]), int(b_pnh[at])) == (a, b)


def test_gradients_flow_back_to_the_tables(batch: Trajectories) -> None:
    table = torch.randn(P, S, A, 1, requires_grad=True)
    weight = torch.randn(P, N, H)
    (batch.at_actions(table) * weight).sum().backward()  # type: ignore[no-untyped-call] # in PyTorch
    expected = torch.zeros(P, S, A, 1)
    for (p, n, h), s, a, _, _ in each(batch):
        expected[p, s, a, 0] += weight[p, n, h]
    assert table.grad is not None
    torch.testing.assert_close(table.grad, expected)


def test_the_mask_holds_the_length(batch: Trajectories) -> None:
    for (p, n, h), *_ in each(batch):
        assert batch.mask_pnh[p, n, h] == (h < batch.lengths_pn[p, n])
    assert torch.equal(batch.steps_p, batch.lengths_pn.sum(-1))
    assert not batch.terminated_pn.any()


def test_tables_of_booleans_and_whole_numbers_keep_their_dtype(batch: Trajectories) -> None:
    assert batch.at_states(torch.zeros(P, S, dtype=torch.bool)).dtype == torch.bool
    assert batch.at_states(torch.zeros(P, S, dtype=torch.int64)).dtype == torch.int64


def test_bad_tables(batch: Trajectories) -> None:
    with pytest.raises(InputError, match=r"table_ps has shape \(1, 5\).*must be \(2, 5\)"):
        batch.at_states(torch.zeros(1, S))
    with pytest.raises(InputError, match=r"table_psj has shape \(2, 5, 2, 3\).*must be \(2, 5, 3, 2\)"):
        batch.at_actions(torch.zeros(P, S, B, A))
    with pytest.raises(InputError, match=r"table_psj has shape \(2, 5, 3\)"):
        batch.at_actions(torch.zeros(P, S, A))
    with pytest.raises(InputError, match=r"table_psjt has shape"):
        batch.at_transitions(torch.zeros(P, S, A * B, S))
    with pytest.raises(InputError, match="table_ps on meta, trajectories on cpu"):
        batch.at_states(torch.zeros(P, S, device="meta"))


def test_bad_batches(batch: Trajectories) -> None:
    good = (batch.states_pnh, batch.actions_pnh, batch.lengths_pn, batch.terminal_ps)
    with pytest.raises(InputError, match=r"states_pnh \(2, 3, 4\).*do not fit"):
        Trajectories(good[0][..., 1:], *good[1:], (A, B))
    with pytest.raises(InputError, match=r"torch.int64 and torch.int32; both must be torch.int32"):
        Trajectories(good[0].long(), *good[1:], (A, B))
    with pytest.raises(InputError, match="lengths_pn on meta"):
        Trajectories(good[0], good[1], good[2].to("meta"), good[3], (A, B))
