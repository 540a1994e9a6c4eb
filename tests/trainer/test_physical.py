"""The physical grey box: its loop against plain Python, itself against the simulated unit, its names and readings."""

import json
from typing import Any

import numpy as np
import pytest
import torch

from buscomp.capture.simulator import Dynamics, Knobs, compress_lanes, gain_lanes
from buscomp.capture.specimen import AUTO_FAST_S, AUTO_FILL_S, AUTO_SLOW_S
from buscomp.tests.capture_music import song
from buscomp.trainer.gain_loop import gain_loop
from buscomp.trainer.physical import RANGES, Physical, reaching

RATE = 44_100
NAMES = ("threshold_db", "attack_ms", "release_s", "release_auto", "ratio")
LAW = [[55.0, 3, 6, 0.2, 0.01, 0.4, 0.05, 0.02, 0.7], [62.0, 2, 9, 0.1, 0.02, 0.0, 0.1, 0.1, 0.3]]


def given(frames=40) -> Any:
    torch.manual_seed(0)
    level_db = 60 + 15 * torch.randn(2, frames, dtype=torch.float64)
    start = torch.tensor([[50.0, 3, 4], [40.0, 1, 0]], dtype=torch.float64)
    return level_db.requires_grad_(), torch.tensor(LAW, dtype=torch.float64).requires_grad_(), start.requires_grad_()


@pytest.mark.parametrize("feedback", [True, False])
def test_the_loop_does_what_its_equations_say(feedback):
    level_db, law, start = (tensor.detach() for tensor in given())
    states = gain_loop(level_db, law, start, feedback)
    for b in range(2):
        threshold, slope, knee, attack, release, share, fill, empty, fall = LAW[b]
        envelope, fast, slow = start[b].tolist()
        for t, level in enumerate(level_db[b].tolist()):
            envelope = max(level, envelope - fall)
            over = max(envelope - threshold + knee / 2 - (fast + slow if feedback else 0.0), 0.0)
            wanted = slope * (over**2 / (2 * knee) if over < knee else over - knee / 2)
            for_fast, for_slow = (1 - share) * wanted - fast, share * wanted - slow
            fast += (attack if for_fast > 0 else release) * for_fast
            slow += (fill if for_slow > 0 else empty) * for_slow
            assert states[b, t].tolist() == pytest.approx([envelope, fast, slow], abs=1e-9)


@pytest.mark.parametrize("feedback", [True, False])
def test_the_gradient_of_the_loop_is_that_of_differences(feedback):
    assert torch.autograd.gradcheck(lambda level_db, law, start: gain_loop(level_db, law, start, feedback), given())


class AsPrinted(Physical):
    """A model that has learned everything about one setting of the simulated unit."""

    def __init__(self, law: Dynamics):
        super().__init__(1, True, RATE)
        fast, slow, fill = AUTO_FAST_S, AUTO_SLOW_S, AUTO_FILL_S
        self.known = {
            "threshold_db": law.threshold_db, "slope": law.ratio - 1, "knee_db": law.knee_db,
            "attack_s": law.attack_ms / 1000, "release_s": law.release_s or fast, "makeup_db": 0.0,
            "slow_share": 0.0 if law.release_s else 0.5, "slow_attack_s": fill, "slow_release_s": slow,
        }  # fmt: skip
        place = torch.logit(torch.log(torch.tensor(20 * np.log10(np.e) / 0.005 / 50)) / np.log(1000))
        self.fall.middle.data.copy_(place)

    def quantities(self, controls):
        return {name: torch.tensor([value], dtype=torch.float64) for name, value in self.known.items()}


@pytest.mark.parametrize("release_s", [0.1, 1.6, None])
@pytest.mark.parametrize(("ratio", "attack_ms"), [(1.5, 0.1), (4.0, 3.0), (10.0, 30.0)])
def test_it_can_be_the_simulated_unit_to_a_thousandth_of_a_db(ratio, attack_ms, release_s):
    knobs = Knobs(-24.0, ratio, attack_ms, release_s)
    dry = song(1, 3.0, RATE, 0.0)[:, :1]
    with torch.no_grad():
        model = AsPrinted(Dynamics.of(knobs))
        y, state = model(torch.from_numpy(dry.T.copy())[None], torch.zeros(1, 1))
    wet, gain_db = compress_lanes(dry, RATE, [knobs])[0], gain_lanes(dry, RATE, [knobs])[0]
    assert np.abs(y[0].numpy().T - wet).max() < 1e-4 * np.abs(wet).max()
    assert -float(state["gain_loop"][0, 1:].sum()) == pytest.approx(float(gain_db[-1]), abs=1e-3)
    assert gain_db.min() < -1.0


def test_names_decide_what_a_control_reaches():
    reached = {name: [NAMES[index] for index in reaching(name, NAMES)] for name in RANGES}
    assert reached["threshold_db"] == reached["slope"] == reached["knee_db"] == ["threshold_db", "ratio"]
    assert reached["attack_s"] == reached["release_s"] == ["attack_ms", "release_s", "release_auto", "ratio"]
    assert reached["makeup_db"] == []
    assert reached["slow_share"] == reached["slow_release_s"] == ["release_auto"]


def test_without_an_auto_flag_there_is_no_slow_branch_and_with_it_there_is():
    torch.manual_seed(0)
    model = Physical(5, True, RATE, NAMES)
    manual, auto = torch.tensor([0.5, 0.5, 0.5, 0.0, 0.5]), torch.tensor([0.5, 0.5, 0.5, 1.0, 0.5])
    assert model.reading(manual).slow_share == 0
    assert model.reading(auto).slow_share == pytest.approx(0.182, abs=1e-3)


def test_a_reading_is_one_line_of_json_in_the_units_of_a_panel():
    reading = Physical(5, True, RATE, NAMES).reading(torch.zeros(5))
    assert "\n" not in reading.json()
    assert json.loads(reading.json()) == {
        "threshold_db": -25.0, "ratio": 2.581, "knee_db": 3.873, "attack_ms": 2.449, "release_s": 0.2236,
        "makeup_db": 0.0, "slow_share": 0.0, "slow_attack_s": 0.7071, "slow_release_s": 3.162,
    }  # fmt: skip


@pytest.mark.parametrize("feedback", [True, False])
def test_readings_are_what_a_step_shows(feedback):
    """Attack: 63 % of the reduction of a high step. Ratio: change of level in over that out."""
    torch.manual_seed(0)
    model = Physical(5, feedback, RATE, NAMES)
    controls = torch.zeros(1, 5)
    reading = model.reading(controls[0])

    def reduction(level_db: float, frames: int, state: Any = None) -> Any:
        x = torch.full((1, 1, frames), 10 ** (level_db / 20), dtype=torch.float64)
        with torch.no_grad():
            y, state = model(x, controls.double(), state)
        return -20 * torch.log10(y / x)[0, 0], state

    model.double()
    at_6, state = reduction(6.0, RATE)
    at_0, _ = reduction(0.0, RATE)
    assert 6 / (6 - float(at_6[-1] - at_0[-1])) == pytest.approx(reading.ratio, rel=0.02)
    reached_ms = float((at_6 > (1 - np.exp(-1)) * at_6[-1]).nonzero()[0]) / RATE * 1000
    assert reached_ms == pytest.approx(reading.attack_ms, rel=0.15)
    back, _ = reduction(-90.0, RATE, state)
    assert float((back < np.exp(-1) * at_6[-1]).nonzero()[0]) / RATE == pytest.approx(reading.release_s, rel=0.2)
