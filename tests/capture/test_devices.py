"""The verb `devices` on a machine without PortAudio, and on one whose audio system does not answer."""

from __future__ import annotations

import json
import time

import pytest
from click.testing import CliRunner

from buscomp.capture import devices as verb
from buscomp.capture import portaudio, portaudio_child
from buscomp.capture.device import DeviceProfile
from buscomp.manifests.errors import DeviceError
from buscomp.tests.capture.audio_processes import crash, never_answer


@pytest.fixture
def no_portaudio(tmp_path, monkeypatch):
    """The audio process inherits this search path."""
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')\n")
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("no_portaudio")
def test_without_portaudio_the_profiles_are_still_listed_and_one_line_says_what_to_install():
    told = CliRunner().invoke(verb.devices)
    assert told.exit_code == 0, told.output
    assert told.output.splitlines()[0] == "Profiles: fireface, virtual, virtual-operator"
    assert len(told.output.splitlines()) == 2
    assert "libportaudio2" in told.output


@pytest.mark.usefixtures("no_portaudio")
def test_as_json_the_missing_library_is_a_value():
    listed = json.loads(CliRunner().invoke(verb.devices, ["--json"]).output)
    assert listed["profiles"] == ["fireface", "virtual", "virtual-operator"]
    assert listed["devices"] == []
    assert "PortAudio cannot be loaded" in listed["missing"]


@pytest.mark.usefixtures("no_portaudio")
def test_without_portaudio_an_interface_is_a_device_error():
    with pytest.raises(DeviceError, match="libportaudio2"):
        portaudio.PortAudioInterface(DeviceProfile(match="fireface"))


def test_an_audio_system_that_never_answers_is_given_up_and_its_process_killed(monkeypatch):
    monkeypatch.setattr(verb, "QUERY_LIMIT_S", 1.0)
    monkeypatch.setattr(portaudio_child, "query", never_answer)
    began = time.monotonic()
    with pytest.raises(DeviceError, match="did not answer within 1 s"):
        verb.list_devices()
    assert time.monotonic() - began < 10


def test_an_audio_process_that_crashes_is_named_by_its_signal(monkeypatch):
    monkeypatch.setattr(portaudio_child, "query", crash)
    with pytest.raises(DeviceError, match=r"died \(SIGABRT\)"):
        verb.list_devices()
