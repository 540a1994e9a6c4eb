"""Detectors against plain Python loops, and their gradients against differences."""

from typing import Any

import numpy as np
import pytest
import torch
from scipy import signal

from buscomp.trainer.detector import Modulated, OnePole, Switching, one_pole
from buscomp.trainer.recurrence import falling, recurrence

RATE = 1000


def wanted(frames, batch=2, seed=1):
    return -20 * torch.rand(batch, frames, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def smoothed(wanted_db, decay_of, start):
    """Sample by sample, from the equation; `decay_of(b, t, g)` is the decay there."""
    rows = []
    for b, row in enumerate(wanted_db):
        g, values = start[b], []
        for t, target in enumerate(row):
            decay = decay_of(b, t, g)
            g = decay * g + (1 - decay) * target
            values.append(g)
        rows.append(torch.stack(values))
    return torch.stack(rows)


@pytest.mark.parametrize("frames", [1, 63, 64, 65, 5000])
@pytest.mark.parametrize("tau_samples", [0.5, 44_100.0])
def test_the_scan_of_the_one_pole_equals_a_recursive_filter(frames, tau_samples):
    levels, start = wanted(frames), torch.tensor([-3.0, -7.0]).double()
    decay, step = float(np.exp(-1 / tau_samples)), -float(np.expm1(-1 / tau_samples))
    expected = signal.lfilter([step], [1, -decay], levels.numpy(), zi=decay * start.numpy()[:, None])[0]
    found = one_pole(levels, torch.tensor(1 / tau_samples, dtype=torch.float64), start)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-9, atol=1e-9)


def test_the_switching_detector_attacks_when_the_gain_must_fall_and_releases_otherwise():
    detector = Switching(RATE)
    levels = wanted(200)
    attack_s, release_s = torch.sigmoid(detector.attack_and_release.detach().double())

    def decay(b: int, t: int, g: torch.Tensor) -> torch.Tensor:
        return torch.exp(-1 / (RATE * (attack_s if g > levels[b, t] else release_s)))

    after: dict[str, Any] = {}
    found = detector(levels, detector.initial_state(2, levels), after)
    torch.testing.assert_close(found, smoothed(levels, decay, torch.zeros(2).double()), rtol=1e-10, atol=1e-10)
    assert torch.equal(after["gain_db"], found[:, -1])


def test_the_modulated_detector_hears_the_gain_over_80_and_sets_each_sample_its_time():
    detector = Modulated(RATE).double()
    levels = wanted(200)
    hidden, _ = detector.rnn(levels[..., None] / 80)
    tau_s = torch.sigmoid(detector.tau(hidden)).squeeze(-1)
    found = detector(levels, detector.initial_state(2, levels), {})
    by_hand = smoothed(levels, lambda b, t, g: torch.exp(-1 / (RATE * tau_s[b, t])), torch.zeros(2).double())
    torch.testing.assert_close(found, by_hand, rtol=1e-10, atol=1e-10)


def test_the_gradient_of_the_recurrence_is_that_of_differences_and_of_the_plain_loop():
    levels, start = wanted(40).requires_grad_(), torch.tensor([-3.0, -7.0]).double().requires_grad_()
    decay = torch.rand(2, 40, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(recurrence, (levels, decay, start))
    weights = torch.randn(2, 40).double()
    by_loop = smoothed(levels, lambda b, t, g: decay[b, t], start)
    for found, right in zip(
        torch.autograd.grad((weights * recurrence(levels, decay, start)).sum(), (levels, decay, start)),
        torch.autograd.grad((weights * by_loop).sum(), (levels, decay, start)),
        strict=True,
    ):
        torch.testing.assert_close(found, right, rtol=1e-10, atol=1e-12)


def test_the_gradients_of_attack_and_release_are_those_of_differences():
    levels = wanted(30)
    start = torch.zeros(2).double()

    def gain(times: torch.Tensor) -> torch.Tensor:
        attack, release = torch.exp(-1 / (RATE * times))
        return recurrence(levels, torch.where(falling(levels, attack, release, start), attack, release), start)

    assert torch.autograd.gradcheck(gain, torch.tensor([0.002, 0.03]).double().requires_grad_())
    assert torch.autograd.gradcheck(
        lambda rate: one_pole(levels, rate, start), torch.tensor(0.01).double().requires_grad_()
    )


@pytest.mark.parametrize("make", [OnePole, Switching, Modulated])
def test_10_seconds_of_one_sample_at_a_time_end_where_the_whole_ends(make):
    """With the state in single precision a release of a second would stop short."""
    torch.manual_seed(3)
    rate = 200
    detector = make(rate)
    levels = wanted(10 * rate, batch=1)
    with torch.no_grad():
        whole = detector(levels, detector.initial_state(1, levels.float()), {})
        before = detector.initial_state(1, levels.float())
        for piece in levels.split(1, dim=1):
            after: dict[str, Any] = {}
            last = detector(piece, before, after)
            before = after
    assert float((last[:, -1] - whole[:, -1]).abs()) < 1e-5
