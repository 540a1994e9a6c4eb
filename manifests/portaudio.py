"""PortAudio, where a room needs it: capture plays and records takes, the trainer streams a model live."""

from __future__ import annotations

import os
import sys
from typing import Any

from .errors import DeviceError


def import_portaudio() -> Any:
    """The module sounddevice; `DeviceError` when there is no PortAudio library or it cannot start."""
    if sys.platform == "win32":
        os.environ.setdefault("SD_ENABLE_ASIO", "1")  # read when sounddevice is imported
    try:
        import sounddevice
    except OSError as error:
        raise DeviceError(
            f"PortAudio cannot be loaded ({error})",
            mend="install it: sudo apt-get install libportaudio2 (Debian, Ubuntu), brew install portaudio (macOS)",
        ) from error
    return sounddevice
