"""S4D: the scan, the convolution with its kernel and the recurrence are one thing."""

from typing import Any

import pytest
import torch

from buscomp.trainer.s4d import S4D, doubled, powers, scan, stepped


def made(modes=4, channels=3, seed=1):
    torch.manual_seed(seed)
    return S4D(channels, modes).double()


def with_d(layer) -> Any:
    """The arguments dt A, c and D of both forms."""
    return (*layer._discrete(), layer.D)


def convolution(layer, u, state):
    """With the kernel Re(sum of c a^l), and what the state leaves."""
    dt_A, c = layer._discrete()
    frames = u.shape[-1]
    a = powers(dt_A, frames + 1)
    kernel = (c[..., None] * a[..., :-1]).real.sum(1)
    padded = torch.nn.functional.pad(u, (frames - 1, 0))
    y = torch.nn.functional.conv1d(padded, kernel.flip(-1)[:, None], groups=len(kernel)) + layer.D[:, None] * u
    s = torch.view_as_complex(state)
    after = a[..., -1] * s + (a[..., :-1].flip(-1) * u[:, :, None]).sum(-1)
    return y + ((c * s)[..., None] * a[..., 1:]).real.sum(2), after


def recurrence(layer, u, state):
    """Sample by sample, from the equations."""
    dt_A, c = layer._discrete()
    a, s, parts = torch.exp(dt_A), torch.view_as_complex(state), []
    for frame in range(u.shape[-1]):
        s = a * s + u[..., frame, None]
        parts.append((c * s).real.sum(-1) + layer.D * u[..., frame])
    return torch.stack(parts, dim=-1), s


def test_the_step_is_a_zero_order_hold():
    layer = made()
    dt = layer.log_dt.exp()[:, None]
    A = torch.complex(-layer.log_A_re.exp(), layer.A_im)
    a = torch.exp(dt * A)
    dt_A, c = layer._discrete()
    torch.testing.assert_close(dt_A, dt * A)
    torch.testing.assert_close(c, 2 * torch.view_as_complex(layer.C) * (a - 1) / A)


@pytest.mark.parametrize("modes", [1, 4, 32])
@pytest.mark.parametrize("frames", [1, 63, 64, 65, 200])
def test_scan_and_kernel_equal_the_recurrence_with_state(modes, frames):
    layer = made(modes)
    u, state = torch.randn(2, 3, frames).double(), torch.randn(2, 3, modes, 2).double()
    wanted, after = recurrence(layer, u, state)
    y, s = layer(u, state)
    torch.testing.assert_close(y, wanted, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(torch.view_as_complex(s), after, rtol=1e-10, atol=1e-10)
    y, s = convolution(layer, u, state)
    torch.testing.assert_close(y, wanted, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(s, after, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("piece", [1, 7, 64, 4480])
def test_the_length_of_a_piece_changes_nothing(piece):
    layer = made(8)
    u, state = torch.randn(2, 3, 4480).double(), torch.randn(2, 3, 8, 2).double()
    y, after = layer(u, state)
    dt_A, c, D = with_d(layer)
    found, s = scan(u, torch.view_as_complex(state), dt_A, c, D, piece)
    torch.testing.assert_close(found, y, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(s, torch.view_as_complex(after), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("frames", [5, 192])
def test_gradients_of_the_scan_equal_those_of_the_recurrence(frames):
    layer = made(2)
    u, state = torch.randn(2, 3, frames).double(), torch.randn(2, 3, 2, 2).double()
    weights = torch.randn(2, 3, frames).double()

    def gradients(form):
        inputs = [u.clone().requires_grad_(), state.clone().requires_grad_(), *layer.parameters()]
        y, s = form(inputs[0], inputs[1])
        s = s if s.is_complex() else torch.view_as_complex(s)
        return torch.autograd.grad((weights * y).sum() + s.abs().square().sum(), inputs)

    wanted = gradients(lambda u, state: recurrence(layer, u, state))
    for found, right in zip(gradients(layer), wanted, strict=True):
        torch.testing.assert_close(found, right, rtol=1e-8, atol=1e-8)


def test_initial_values_are_the_published_ones():
    torch.manual_seed(0)
    layer = S4D(200, 8, 1e-3, 1e-1)
    dt = layer.log_dt.detach().exp()
    assert 1e-3 <= float(dt.min()) < 1.5e-3 < 7e-2 < float(dt.max()) <= 1e-1
    assert torch.allclose(layer.log_A_re.exp(), torch.tensor(0.5))
    assert torch.allclose(layer.A_im[7], torch.pi * torch.arange(8.0))
    assert float(layer.C.detach().square().sum(-1).mean()) == pytest.approx(1.0, abs=0.1)
    assert sum(parameter.numel() for parameter in layer.parameters()) == 200 * (4 * 8 + 2)


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("count", [1, 2, 7, 64])
def test_doubling_gives_what_step_after_step_gives(count, backwards):
    torch.manual_seed(1)
    x, decay = torch.randn(3, 2, count, 4, dtype=torch.complex128), torch.randn(3, 1, 1, 4, dtype=torch.complex128)
    decay = decay / decay.abs() * torch.rand(3, 1, 1, 4)
    torch.testing.assert_close(doubled(x.clone(), decay, backwards), stepped(x.clone(), decay, backwards))
