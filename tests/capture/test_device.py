"""Device profiles, and how one device is found by its name."""

from __future__ import annotations

from pathlib import Path

import pytest

from buscomp.capture.device import AudioDevice, DeviceProfile, choose_device, resolve_device
from buscomp.manifests.errors import DeviceError, UsageError
from buscomp.manifests.yaml_file import load_yaml

UCX = "Fireface UCX (23456789)"
STUDIO = [
    AudioDevice("Built-in Microphone", "Core Audio", 0, 1, 44100),
    AudioDevice(UCX, "Core Audio", 18, 18, 44100),
    AudioDevice("fireface", "JACK Audio Connection Kit", 3, 2, 44100),
]


def test_the_shipped_fireface_is_two_sends_and_two_returns_at_44_1_khz_under_any_host_api(tmp_path: Path):
    name, profile = resolve_device("fireface", tmp_path)
    assert name == "fireface"
    assert profile == DeviceProfile(match="fireface")
    assert (profile.sample_rate, profile.block_size, profile.sends, profile.returns) == (44100, 1024, (1, 2), (1, 2))
    assert (profile.send_boost_db, profile.return_trim_db, profile.max_latency_samples) == (5, -5, 8192)


def test_the_shipped_virtual_device_delays_by_137_37_samples(tmp_path: Path):
    _, profile = resolve_device("virtual", tmp_path)
    assert (profile.kind, profile.latency_samples, profile.noise_dbfs, profile.seed) == ("virtual", 137.37, -100, 1)


def test_a_profile_in_the_dataset_wins_over_the_shipped_one(tmp_path: Path):
    (tmp_path / "fireface.yaml").write_text("match: UCX\nsends: [3, 4]\nreturns: [5, 6]\n")
    _, profile = resolve_device("fireface", tmp_path)
    assert (profile.match, profile.sends, profile.returns) == ("UCX", (3, 4), (5, 6))


def test_a_name_without_a_profile_is_part_of_a_device_name(tmp_path: Path):
    assert resolve_device("Scarlett", tmp_path) == ("Scarlett", DeviceProfile(match="Scarlett"))
    with pytest.raises(UsageError, match="buscomp devices"):
        resolve_device(" ", tmp_path)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("match: x\nsends: [1, 1]", "twice"),
        ("match: x\nsends: [0, 1]", "greater than or equal to 1"),
        ("match: x\nsends: []", "at least 1"),
        ("match: x\nloopback_send: 3", "go together"),
        ("match: x\nloopback_send: 2\nloopback_return: 3", "must not use a channel"),
        ("match: x\nsamplerate: 44100", "samplerate"),
        ("sends: [1, 2]", "match"),
    ],
)
def test_a_profile_with_a_mistake_is_refused_by_name(tmp_path: Path, text: str, complaint: str):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=f"mine.yaml.*{complaint}"):
        load_yaml(path, DeviceProfile)


def test_a_device_is_chosen_by_part_of_its_name_in_any_case():
    assert choose_device(STUDIO, DeviceProfile(match="ucx")) == 1


def test_the_whole_name_wins_over_a_part_of_it():
    assert choose_device(STUDIO, DeviceProfile(match="Fireface")) == 2


def test_the_host_api_of_the_profile_decides():
    assert choose_device(STUDIO, DeviceProfile(match="fireface", host_api="core audio")) == 1
    with pytest.raises(UsageError, match="no such audio device under ALSA"):
        choose_device(STUDIO, DeviceProfile(match="fireface", host_api="ALSA"))


def test_one_name_under_two_host_apis_is_refused_and_both_are_listed():
    windows = [
        AudioDevice("ASIO Fireface", "ASIO", 8, 8, 44100),
        AudioDevice("Fireface", "Windows WASAPI", 8, 8, 44100),
    ]
    twins = [AudioDevice("Fireface", host_api, 8, 8, 44100) for host_api in ("ASIO", "Windows WASAPI")]
    assert choose_device(windows, DeviceProfile(match="fireface")) == 1
    with pytest.raises(UsageError, match=r"several .*Fireface \[ASIO\], Fireface \[Windows WASAPI\].*host_api"):
        choose_device(twins, DeviceProfile(match="fireface"))


def test_halves_of_a_device_that_lack_channels_do_not_make_a_name_ambiguous():
    halves = [
        AudioDevice("Analog (1+2)", "Windows WASAPI", 2, 0, 48000),
        AudioDevice("Analog (1+2)", "Windows WASAPI", 0, 2, 48000),
        AudioDevice("Analog (1+2)", "ASIO", 2, 2, 48000),
    ]
    assert choose_device(halves, DeviceProfile(match="analog")) == 2


def test_an_unknown_device_is_told_with_the_profiles_and_the_devices_seen():
    with pytest.raises(
        UsageError, match=r"got babyface \(allowed: profiles fireface, virtual, virtual-operator; devices.*UCX.*Core"
    ):
        choose_device(STUDIO, DeviceProfile(match="babyface"))
    with pytest.raises(UsageError, match="devices of this system: none"):
        choose_device([], DeviceProfile(match="babyface"))


def test_too_few_channels_are_told_with_both_counts():
    with pytest.raises(DeviceError, match=r"got 3 out and 2 in \(allowed: at least 4 out and 2 in\)"):
        choose_device(STUDIO, DeviceProfile(match="fireface", sends=(3, 4)))
