"""The training loss is L1 plus auraloss's multi-resolution STFT distance."""

import auraloss
import pytest
import torch

from buscomp.trainer import loss, processes
from buscomp.trainer.loss import RESOLUTIONS, magnitudes, magnitudes_in_parts, mstft, training_loss


def signals(frames=4480, batch=3):
    generator = torch.Generator().manual_seed(1)
    target = 0.1 * torch.randn(batch, 1, frames, generator=generator)
    return (0.7 * target + 0.02 * torch.randn(batch, 1, frames, generator=generator)).requires_grad_(), target


def auraloss_distance(dtype):
    """auraloss 0.4.0's multi-resolution STFT loss at its defaults, with windows of `dtype`."""
    distance = auraloss.freq.MultiResolutionSTFTLoss()
    for resolution in distance.stft_losses:
        resolution.window = torch.hann_window(resolution.win_length, dtype=dtype)
    return distance


def with_gradient(distance, output, target):
    output = output.detach().requires_grad_()
    value = distance(output, target)
    (gradient,) = torch.autograd.grad(value, output)
    return value.item(), gradient


@pytest.mark.parametrize(("batch", "frames"), [(1, 2049), (3, 4480), (2, 10_000), (16, 4410)])
def test_mstft_equals_auraloss_defaults_with_its_gradient(batch, frames):
    """In double precision to 1e-11. In single precision auraloss's own gradient is off by up to 1e-3, since the slope
    of the logarithm is steep near the floor; ours is not further off."""
    output, target = signals(frames, batch)
    value, gradient = with_gradient(auraloss_distance(torch.float64), output.double(), target.double())
    ours, our_gradient = with_gradient(mstft, output.double(), target.double())
    assert ours == pytest.approx(value, rel=1e-12)
    assert float((our_gradient - gradient).norm() / gradient.norm()) < 1e-11
    theirs, their_gradient = with_gradient(auraloss_distance(torch.float32), output, target)
    ours, our_gradient = with_gradient(mstft, output, target)
    assert ours == pytest.approx(theirs, rel=1e-6)
    errors = [float((single - gradient).norm() / gradient.norm()) for single in (our_gradient, their_gradient)]
    assert errors[0] < max(4 * errors[1], 1e-5)


@pytest.mark.parametrize("silent", ["output", "target", "both"])
def test_silence_gives_auralosss_value_and_gradient_too(silent):
    output, target = (signal.detach().double() for signal in signals())
    output = output * (0 if silent in ("output", "both") else 1)
    target = target * (0 if silent in ("target", "both") else 1)
    value, gradient = with_gradient(auraloss_distance(torch.float64), output, target)
    ours, our_gradient = with_gradient(mstft, output, target)
    assert ours == pytest.approx(value, rel=1e-12, abs=1e-12)
    if silent == "both":  # auraloss divides zero by zero there
        assert float(our_gradient.abs().max()) == 0
    else:
        torch.testing.assert_close(our_gradient, gradient, rtol=1e-9, atol=1e-12)


def test_the_gradient_is_that_of_small_changes():
    output, target = (signal.detach().double() for signal in signals(2100, 2))
    _, gradient = with_gradient(training_loss, output, target)
    direction = torch.randn(output.shape, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    step = 1e-7
    up, down = (training_loss(output + sign * step * direction, target) for sign in (1, -1))
    assert float((up - down) / (2 * step)) == pytest.approx(float((gradient * direction).sum()), rel=1e-4)


def test_parts_of_a_batch_in_two_processes_have_the_loss_and_the_gradients_of_the_whole(monkeypatch):
    """Each half is computed twice: once to learn its sums, once with the sums of both."""
    output, target = (signal.detach().double() for signal in signals(batch=4))
    value, gradient = with_gradient(training_loss, output, target)
    halves = [(output[:2], target[:2]), (output[2:], target[2:])]
    sums: list[list[torch.Tensor]] = [[], []]
    for half, own in zip(halves, sums, strict=True):
        with monkeypatch.context() as patch:
            for module in (loss, processes):
                patch.setattr(module, "summed", lambda tensor, own=own: own.append(tensor.detach()) or tensor)
            patch.setattr(processes, "count", lambda: 2)
            training_loss(*half)
    for part, half in enumerate(halves):
        totals = iter([one + other for one, other in zip(*sums, strict=True)])
        with monkeypatch.context() as patch:
            for module in (loss, processes):
                patch.setattr(module, "summed", lambda tensor, totals=totals: next(totals).clone())
                patch.setattr(module, "count", lambda: 2)
            together, own_gradient = with_gradient(training_loss, *half)
        assert together == pytest.approx(value, rel=1e-12)
        torch.testing.assert_close(own_gradient, gradient[2 * part : 2 * part + 2], rtol=1e-9, atol=1e-14)


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
    value = training_loss(output, 0.1 * torch.randn(1, 1, 4480))
    value.backward()
    assert torch.isfinite(value)
    assert output.grad is not None
    assert torch.isfinite(output.grad).all()
