"""What training makes small: mean absolute error plus a multi-resolution STFT distance, 1 : 1.

Resolutions, floor and weights are auraloss 0.4.0's defaults (Steinmetz and Reiss, 2020; the distance is that of
Yamamoto et al., Parallel WaveGAN, 2020): spectral convergence plus mean absolute difference of the logarithmic
magnitudes, averaged over three resolutions.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from torch import Tensor

RESOLUTIONS = ((1024, 120, 600), (2048, 240, 1200), (512, 50, 240))  # FFT size, hop, Hann window; samples
FLOOR = 1e-8  # of squared magnitudes


def training_loss(output: Tensor, target: Tensor) -> Tensor:
    """L1 + multi-resolution STFT of (batch, channels, frames)."""
    return (output - target).abs().mean() + mstft(output, target)


def mstft(output: Tensor, target: Tensor) -> Tensor:
    """Multi-resolution STFT distance of (batch, channels, frames); spectral convergence is one ratio over the batch."""
    total = output.new_zeros(())
    for resolution in RESOLUTIONS:
        total = total + spectral_distance(magnitudes(output, resolution), magnitudes(target, resolution))
    return total / len(RESOLUTIONS)


def spectral_distance(output: Tensor, target: Tensor) -> Tensor:
    """Spectral convergence plus log-magnitude distance of two magnitude spectrograms."""
    convergence = torch.linalg.vector_norm(target - output) / torch.linalg.vector_norm(target)
    distance: Tensor = convergence + (output.log() - target.log()).abs().mean()
    return distance


def magnitudes(audio: Tensor, resolution: tuple[int, int, int]) -> Tensor:
    """Magnitudes (signals, windows, bins) of (..., frames): centred windows on the reflected signal, not below 1e-4."""
    size, _, _ = resolution
    return _spectra(F.pad(audio.flatten(0, -2), (size // 2, size // 2), mode="reflect"), resolution)


def magnitudes_in_parts(audio: Tensor, resolution: tuple[int, int, int], windows: int = 64) -> Iterator[Tensor]:
    """The same for long signals, `windows` at a time, so that a part stays in the processor's cache."""
    size, hop, _ = resolution
    padded = F.pad(audio.flatten(0, -2), (size // 2, size // 2), mode="reflect")
    count = (padded.shape[-1] - size) // hop + 1
    for first in range(0, count, windows):
        many = min(windows, count - first)
        yield _spectra(padded[..., first * hop : (first + many - 1) * hop + size], resolution)


def _spectra(padded: Tensor, resolution: tuple[int, int, int]) -> Tensor:
    """A window shorter than the FFT lies in its middle; where it lies does not change magnitudes, so it is moved to the
    front and the rest is left to the FFT's own padding."""
    size, hop, length = resolution
    margin = (size - length) // 2
    window = torch.hann_window(length, dtype=padded.dtype, device=padded.device)
    pieces = padded[..., margin : padded.shape[-1] - (size - length - margin)].unfold(-1, length, hop)
    spectra = torch.fft.rfft(pieces * window, size)
    magnitude: Tensor = (spectra.real.square() + spectra.imag.square()).clamp(min=FLOOR).sqrt()
    return magnitude
