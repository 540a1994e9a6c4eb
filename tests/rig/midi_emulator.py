"""A unit that listens to MIDI under JACK: says every message that it gets on its standard output, and echoes it.

python midi_emulator.py [deaf]       deaf: whoever connects to it is disconnected at once
"""

from __future__ import annotations

import signal
import sys
import threading
import time

import jack
import mido


def disconnect_everybody(name: str) -> None:
    client = jack.Client("emu-deaf", no_start_server=True)
    port = client.get_port_by_name(name)
    while True:
        for connection in client.get_all_connections(port):
            client.disconnect(connection, port)
        time.sleep(0.005)


def main() -> None:
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit())  # JACK waits seconds for a client that was killed
    heard = mido.open_input("in", virtual=True, client_name="emu")
    echo = mido.open_output("out", virtual=True, client_name="emu")
    if "deaf" in sys.argv:
        threading.Thread(target=disconnect_everybody, args=("emu:in",), daemon=True).start()
    try:
        print("READY", flush=True)
        for message in heard:
            print(*message.bytes(), flush=True)
            echo.send(message)
    finally:
        heard.close()
        echo.close()


main()
