import sys

import pytest

from buscomp.manifests.errors import DeviceError
from buscomp.manifests.portaudio import import_portaudio


def test_a_missing_portaudio_library_is_told_with_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    with pytest.raises(DeviceError, match=r"library not found.*apt-get install libportaudio2"):
        import_portaudio()


def test_on_windows_asio_is_asked_for_before_sounddevice_is_imported(tmp_path, monkeypatch):
    (tmp_path / "sounddevice.py").write_text("import os\nasio = os.environ['SD_ENABLE_ASIO']\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.delenv("SD_ENABLE_ASIO", raising=False)
    monkeypatch.setattr("sys.platform", "win32")
    assert import_portaudio().asio == "1"
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
