from __future__ import annotations

import numpy as np
import pytest

from buscomp.capture.staging import Staging
from buscomp.manifests.errors import UsageError


def test_boost_of_5_db_takes_minus_12_dbfs_to_minus_7():
    dry = np.array([[10 ** (-12 / 20), 0.0]], np.float32)
    boosted = Staging().boost(dry)
    assert boosted.dtype == np.float32
    assert 20 * np.log10(boosted[0, 0]) == pytest.approx(-7, abs=1e-5)


def test_trim_is_one_float32_multiplication_to_the_last_bit():
    returned = np.random.default_rng(0).uniform(-1, 1, (1000, 2)).astype(np.float32)
    assert np.array_equal(Staging().trim(returned), returned * np.float32(10 ** (-5 / 20)))


def test_songs_that_the_boost_drives_over_are_named_first_three_and_counted():
    songs = [{"song_id": f"hot-{n}", "peak_dbfs": -6.0, "true_peak_dbtp": -4.9} for n in range(5)]
    songs.insert(1, {"song_id": "fine", "peak_dbfs": -12.0, "true_peak_dbtp": -11.9})
    with pytest.raises(UsageError, match=r"hot-0 \(\+0\.1 dBFS\), hot-1 .*, hot-2 .* and 2 more .*up to 0 dBFS"):
        Staging().require_headroom(songs)


def test_true_peak_of_exactly_minus_the_boost_is_allowed_and_sample_peak_stands_in_for_it():
    Staging().require_headroom([{"song_id": "a", "peak_dbfs": -5.5, "true_peak_dbtp": -5.0}])
    with pytest.raises(UsageError, match="a "):
        Staging().require_headroom([{"song_id": "a", "peak_dbfs": -4.5, "true_peak_dbtp": None}])
