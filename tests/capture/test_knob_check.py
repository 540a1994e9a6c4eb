import numpy as np
import pytest

from buscomp.capture.fingerprint_signal import STAIRS_DBFS
from buscomp.capture.knob_check import steady_reduction_db
from buscomp.capture.simulator import static_reduction_db
from buscomp.capture.specimen import IDEAL
from buscomp.tests.capture.fingerprint_visits import UNIT, visit


@pytest.mark.parametrize("release_s", [0.1, 0.4, 1.6])
def test_soft_songs_are_not_expected_to_lose_what_a_long_release_still_lets_go_of(release_s):
    """At a threshold of -8 dBFS a tone of -21 dBFS loses nothing; its stair still shows 1 dB and more."""
    setting = UNIT.setting({"threshold_db": -8, "attack_ms": 3, "release_s": release_s, "ratio": 5}, "grid")
    found = visit(IDEAL, setting)
    expected_db = [steady_reduction_db(found, level_dbfs) for level_dbfs in STAIRS_DBFS]
    assert expected_db == sorted(expected_db)
    assert max(expected_db[:8]) == 0, "below the knee, up to -13 dBFS"
    assert expected_db[-1] == pytest.approx(float(np.asarray(static_reduction_db(-1.0, -8.0, 5.0))), abs=0.6)
