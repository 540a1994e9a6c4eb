"""Filters in series against scipy, and the curves of the equaliser's parts."""

import numpy as np
import pytest
import torch
from scipy import signal

from buscomp.trainer.biquad import cascade, high_shelf, low_shelf, peak

RATE = 44_100


def value(number):
    return torch.tensor([number], dtype=torch.float64)


def response_db(coefficients, frequency_hz):
    b, a = coefficients[0, :3].numpy(), np.concatenate([[1.0], coefficients[0, 3:].numpy()])
    return 20 * np.log10(np.abs(signal.freqz(b, a, [frequency_hz], fs=RATE)[1][0]))


@pytest.mark.parametrize("gain_db", [-12.0, -3.0, 6.0])
def test_shelves_and_peaks_have_their_gain_where_they_should_and_none_elsewhere(gain_db):
    for frequency_hz, q in ((100.0, 0.1), (1000.0, 0.7), (9000.0, 10.0)):
        given = value(gain_db), value(frequency_hz), value(q), RATE
        assert response_db(peak(*given), frequency_hz) == pytest.approx(gain_db, abs=1e-9)
        assert response_db(peak(*given), 1e-3) == pytest.approx(0.0, abs=1e-6)
        assert response_db(low_shelf(*given), 1e-3) == pytest.approx(gain_db, abs=1e-6)
        assert response_db(low_shelf(*given), frequency_hz) == pytest.approx(gain_db / 2, abs=1e-9)
        assert response_db(low_shelf(*given), RATE / 2 - 1e-3) == pytest.approx(0.0, abs=1e-6)
        assert response_db(high_shelf(*given), RATE / 2 - 1e-3) == pytest.approx(gain_db, abs=1e-6)
        assert response_db(high_shelf(*given), frequency_hz) == pytest.approx(gain_db / 2, abs=1e-9)
        assert response_db(high_shelf(*given), 1e-3) == pytest.approx(0.0, abs=1e-6)


def sections(batch=2):
    rows = []
    for b in range(batch):
        rows.append(
            torch.cat(
                [
                    low_shelf(value(6.0 + b), value(20.0), value(10.0), RATE),
                    peak(value(-12.0), value(30.0 + b), value(9.0), RATE),
                    high_shelf(value(-4.0), value(16_000.0), value(0.1), RATE),
                ]
            )
        )
    return torch.stack(rows)


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_a_cascade_in_chunks_equals_scipys_filters_in_series(chunk):
    x, coefficients = torch.randn(2, 3000, dtype=torch.float64), sections()
    state, parts = torch.zeros(2, 4, 2).double(), []
    for piece in x.split(chunk, dim=1):
        y, state = cascade(piece, coefficients, state)
        parts.append(y)
    for b in range(2):
        rows = np.insert(coefficients[b].numpy(), 3, 1.0, axis=1)
        np.testing.assert_allclose(
            torch.cat(parts, 1)[b].numpy(), signal.sosfilt(rows, x[b].numpy()), rtol=1e-9, atol=1e-9
        )


def test_the_gradient_of_a_cascade_is_that_of_differences_also_into_the_state():
    x, state = torch.randn(2, 20, dtype=torch.float64), torch.randn(2, 4, 2, dtype=torch.float64)
    given = (x.requires_grad_(), sections().requires_grad_(), state.requires_grad_())
    assert torch.autograd.gradcheck(cascade, given)
