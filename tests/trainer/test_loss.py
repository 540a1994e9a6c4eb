"""The training loss is L1 plus auraloss's multi-resolution STFT distance."""

import pytest
import torch

from buscomp.trainer.loss import RESOLUTIONS, magnitudes, magnitudes_in_parts, mstft, training_loss


def signals(frames=4480, batch=3):
    generator = torch.Generator().manual_seed(1)
    target = 0.1 * torch.randn(batch, 1, frames, generator=generator)
    return (0.7 * target + 0.02 * torch.randn(batch, 1, frames, generator=generator)).requires_grad_(), target


@pytest.mark.parametrize("frames", [2049, 4480, 10_000])
def test_mstft_equals_auraloss_defaults_with_its_gradient(frames):
    auraloss = pytest.importorskip("auraloss")
    output, target = signals(frames)
    ours, theirs = mstft(output, target), auraloss.freq.MultiResolutionSTFTLoss()(output, target)
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-5)
    (mine,), (other,) = torch.autograd.grad(ours, output), torch.autograd.grad(theirs, output)
    assert float((mine - other).abs().max() / other.abs().max()) < 5e-3  # float32, steep near the floor


def test_mstft_of_half_the_level_is_one_half_plus_the_logarithm_of_two():
    target = torch.randn(1, 1, 8000, generator=torch.Generator().manual_seed(2))
    assert mstft(target / 2, target).item() == pytest.approx(0.5 + 0.6931, abs=1e-3)
    assert mstft(target, target).item() == 0.0


def test_training_loss_is_l1_plus_mstft_one_to_one():
    output, target = signals()
    parts = (output - target).abs().mean() + mstft(output, target)
    assert training_loss(output, target).item() == pytest.approx(parts.item(), rel=1e-6)


@pytest.mark.parametrize("resolution", RESOLUTIONS)
def test_a_spectrogram_in_parts_equals_the_whole(resolution):
    audio = torch.randn(2, 20_001, generator=torch.Generator().manual_seed(3))
    parts = torch.cat(list(magnitudes_in_parts(audio, resolution)), dim=-2)
    torch.testing.assert_close(parts, magnitudes(audio, resolution))


def test_silence_has_a_finite_loss_and_gradient():
    output = torch.zeros(1, 1, 4480, requires_grad=True)
    loss = training_loss(output, 0.1 * torch.randn(1, 1, 4480))
    loss.backward()
    assert torch.isfinite(loss)
    assert output.grad is not None
    assert torch.isfinite(output.grad).all()
