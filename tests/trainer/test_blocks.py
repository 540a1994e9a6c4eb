"""The grid of blocks: pooling, holding, and an LSTM that hears the block before."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from buscomp.trainer.blocks import BLOCK, BlockLstm, hold, modulated


def made(alignment, pooled=3, controls=2, hidden=4) -> BlockLstm:
    torch.manual_seed(1)
    return BlockLstm(pooled, controls, hidden, alignment).double()


def features(frames, channels=3):
    """All negative, so that a maximum with the zeros of some padding would show."""
    return -1 - torch.rand(2, channels, frames, dtype=torch.float64, generator=torch.Generator().manual_seed(2))


CONTROLS = torch.rand(2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(3))


def by_hand(lstm, values, controls):
    """An LSTM over the maximum of each whole block, a step at a time."""
    codes, memory = [], None
    for block in values.split(BLOCK, -1):
        inputs = torch.cat([block.amax(-1), controls], dim=-1)[:, None]
        code, memory = lstm(inputs, memory)
        codes.append(code)
    return torch.cat(codes, dim=1)


def test_same_hears_each_block_and_delayed_the_block_before_with_a_block_of_zeros_first():
    values = features(4 * BLOCK)
    same, delayed = made("same"), made("delayed")
    wanted = by_hand(same, values, CONTROLS)
    codes, offset = same.codes(values, CONTROLS, "lstm", same.silence(2, 3, "lstm"), {})
    assert offset == 0
    torch.testing.assert_close(codes, wanted)
    shifted = torch.cat([torch.zeros(2, 3, BLOCK).double(), values[..., :-BLOCK]], dim=-1)
    codes, offset = delayed.codes(values, CONTROLS, "lstm", delayed.silence(2, 3, "lstm"), {})
    assert offset == 0
    torch.testing.assert_close(codes, by_hand(delayed, shifted, CONTROLS))


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 300), min_size=1, max_size=8))
def test_codes_held_over_any_chunks_are_those_of_the_whole(chunks):
    lstm, values, held = made("delayed"), features(sum(chunks)), []
    state, frames = lstm.silence(2, 3, "lstm"), sum(chunks)
    for piece in values.split(chunks, -1):
        after: dict[str, torch.Tensor] = {}
        codes, offset = lstm.codes(piece, CONTROLS, "lstm", state, after)
        state = after
        held.append(hold(codes, offset, piece.shape[-1]))
    padded = torch.nn.functional.pad(values, (BLOCK, -frames % BLOCK), value=-torch.inf)
    padded[..., :BLOCK] = 0
    wanted = hold(by_hand(lstm, padded[..., :-BLOCK], CONTROLS), 0, frames)
    torch.testing.assert_close(torch.cat(held, dim=-1), wanted)


@pytest.mark.parametrize(("frames", "offset"), [(256, 0), (300, 0), (1, 127), (200, 100), (28, 100), (29, 100)])
def test_modulation_is_gamma_times_features_plus_beta_at_every_frame(frames, offset):
    blocks = -(-(offset + frames) // BLOCK)
    modulation, x = torch.randn(2, blocks, 6).double(), features(frames)
    gamma, beta = hold(modulation, offset, frames).chunk(2, dim=1)
    assert gamma.shape == x.shape
    torch.testing.assert_close(modulated(x, modulation, offset), gamma * x + beta)


def test_gradients_reach_what_was_pooled_through_the_block_that_hears_it():
    lstm, values = made("delayed"), features(3 * BLOCK).requires_grad_()
    codes, _ = lstm.codes(values, CONTROLS, "lstm", lstm.silence(2, 3, "lstm"), {})
    (gradient,) = torch.autograd.grad(codes[:, 1].sum(), values)
    assert gradient[..., :BLOCK].count_nonzero() == 2 * 3  # the maximum of each channel
    assert gradient[..., BLOCK:].count_nonzero() == 0
